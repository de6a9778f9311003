//! Every panel of every dashboard, asked of a real Prometheus that scrapes a real node under load: an empty one fails.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing::config::{EventsConfig, LibraryConfig, WebhookConfig, WebhookSecret};
use althing::load::{Door, Kind, Plan, run};
use althing::node::Node;
use althing::wire::{OkResult, Request};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::client::{Participant, Phase, Settings};
use crate::files::{boards, panels, queries};
use crate::folder::Folder;
use crate::node::{get, start};
use crate::nodes::HERE;
use crate::port::free_port;
use crate::row::{self, Run};
use crate::scene::Credentials;
use crate::turn::{From, Turn};
use crate::way::Server;

/// What `$__rate_interval` stands for: four scrapes.
const RATE: &str = "4s";

struct Prometheus {
    child: Child,
    at: SocketAddr,
}

impl Prometheus {
    /// Scrapes a node each second, as deploy/prometheus/prometheus.yml says but for the times and the address.
    async fn start(folder: &Path, admin: SocketAddr) -> Self {
        let committed = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/prometheus.yml")).expect("a file");
        let settings = committed.replace("15s", "1s").replace("127.0.0.1:9090", &admin.to_string());
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml"), folder.join("alerts.yml")).expect("copied");
        fs::write(folder.join("prometheus.yml"), settings).expect("written");
        let at = SocketAddr::new(HERE, free_port());
        let log = fs::File::create(folder.join("log")).expect("a file");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is installed (Debian: apt-get install prometheus)");
        let prometheus = Self { child, at };
        let begun = Instant::now();
        while !reqwest::get(format!("http://{at}/-/ready")).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
            sleep(Duration::from_millis(100)).await;
        }
        prometheus
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&format!("http://{}/api/v1/{path}", self.at)).expect("an address");
        url.query_pairs_mut().extend_pairs(parameters);
        let text = reqwest::get(url).await.expect("an answer").text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// How many numbers a query has over a time; those that are none (0 of 0) do not count.
    async fn numbers(&self, query: &str, from: u64, to: u64) -> Result<usize, String> {
        let answer = self.ask("query_range", &[("query", query), ("start", &from.to_string()), ("end", &to.to_string()), ("step", "1")]).await;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let values = answer["data"]["result"].as_array().into_iter().flatten().flat_map(|series| series["values"].as_array().into_iter().flatten());
        Ok(values.filter(|value| value[1].as_str().and_then(|number| number.parse::<f64>().ok()).is_some_and(f64::is_finite)).count())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn plan(node: &Node, kind: Kind) -> Plan {
    Plan {
        door: Door::Socket { url: format!("ws://{}/ws", node.http) },
        tokens: Vec::new(),
        rooms: 1,
        room_prefix: format!("load-{}-", kind.name()),
        publishers: 2,
        subscribers: 2,
        publishers_receive: true,
        video: "500k@30".parse().ok(),
        audio: "1/1".parse().ok(),
        trace: None,
        kind,
        join_rate: 2.0,
        duration: Duration::from_secs(12),
        patience: Duration::from_secs(60),
        pairs: None,
        threads: None,
        open_one_in: None,
        nack: true,
        transport_cc: true,
        merged: true,
        server_pid: None,
        metrics: None,
    }
}

/// A receiver of events, which takes each at the second attempt only.
struct Hook {
    at: SocketAddr,
}

impl Hook {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((HERE, 0)).await.expect("a port");
        let at = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let take = move |headers: axum::http::HeaderMap| {
            let id = headers["webhook-id"].to_str().expect("text").to_owned();
            let first = seen.lock().expect("no panic").insert(id);
            async move { if first { axum::http::StatusCode::SERVICE_UNAVAILABLE } else { axum::http::StatusCode::OK } }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", axum::routing::post(take))).await });
        Self { at }
    }
}

fn events(folder: &Path, hook: SocketAddr) -> EventsConfig {
    EventsConfig {
        folder: folder.join("events"),
        node: "node-1".into(),
        keep: Duration::from_secs(86_400),
        keep_bytes: 64 << 20,
        webhooks: WebhookConfig {
            urls: vec![format!("http://{hook}/").parse().expect("an address")],
            secrets: WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").into_iter().collect(),
            timeout: Duration::from_secs(5),
            at_once: 16,
            retry: Duration::from_millis(50),
            retry_most: Duration::from_secs(1),
            give_up: Duration::from_secs(3_600),
        },
    }
}

/// Two clients of the relay, one of whom sends to the other; and one without credentials.
fn relay(credentials: &Credentials) {
    let (mut one, mut other) = (Turn::udp([127, 0, 0, 1], credentials), Turn::udp([127, 0, 0, 1], credentials));
    let (here, there) = (one.allocate(false).expect("an allocation"), other.allocate(false).expect("an allocation"));
    one.permit(there).expect("permitted");
    other.permit(here).expect("permitted");
    for _ in 0..20 {
        one.send_to(there, b"hello").expect("sent");
    }
    assert!(matches!(other.next_data(Duration::from_secs(5)), Some((From::Peer(_), data)) if data == b"hello"));
}

async fn credentials(who: &Participant) -> Credentials {
    let Ok(Some(OkResult::IceServers { servers, .. })) = who.signaling().ask(Request::IceServers {}).await else { panic!("no servers") };
    let relay = servers.iter().find(|server| server.username.is_some()).expect("a relay");
    let urls = relay.urls.iter().filter_map(|url| url.strip_prefix("turn:")?.split('?').next()?.parse().ok());
    Credentials {
        relays: urls.collect(),
        username: relay.username.clone().expect("a user name"),
        password: relay.credential.clone().expect("a password"),
    }
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_something_under_load() {
    let folder = Folder::new("boards");
    let recordings = folder.0.join("recordings");
    fs::create_dir_all(&recordings).expect("a folder");
    let (bucket, hook) = (Server::start(), Hook::start().await);
    let node = start(&recordings, |config| {
        config.library =
            Some(LibraryConfig { folder: recordings.clone(), minimum_free: 0, keep: None, keep_bytes: None, room_mib: None, uploads: None });
        config.s3 = Some(bucket.config(bucket.at));
        config.events = Some(events(&folder.0, hook.at));
        config.rooms.publish_kbps = Some(100_000);
    })
    .await;
    let prometheus = Prometheus::start(&folder.0, node.admin).await;
    // Counters have to be seen before they rise, and Prometheus looks for whom to ask every five seconds only.
    let begun = Instant::now();
    while !matches!(prometheus.numbers("sum (count_over_time(up[10s])) > 1", seconds(), seconds()).await, Ok(1)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the node is scraped");
        sleep(Duration::from_millis(200)).await;
    }
    let from = seconds();
    let (_phase, phases) = watch::channel(Phase::Count);
    let settings = Settings { url: format!("ws://{}/ws", node.http), room: "recorded".into(), number: 1, token: None, address: HERE, pairs: 2 };
    let who = Participant::join(&settings, phases).await.expect("joined and connected");
    who.signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    let credentials = credentials(&who).await;
    let relayed = tokio::task::spawn_blocking(move || relay(&credentials));
    who.signaling().send("no request").await.expect("sent");
    let (_stop, stopped) = watch::channel(false);
    let (light, full) = tokio::join!(run(plan(&node, Kind::Light), true, stopped.clone()), run(plan(&node, Kind::Full), true, stopped.clone()));
    for outcome in [light.expect("a run"), full.expect("a run")] {
        assert_eq!(outcome.participants.joined, 4, "{outcome}");
    }
    relayed.await.expect("relayed");
    who.signaling().ask(Request::StopRecording {}).await.expect("it is recorded no longer");
    let until = Instant::now() + Duration::from_secs(120);
    while !get(node.admin, "/metrics").await.1.lines().any(|line| line.strip_prefix("althing_store_left_total ").is_some_and(|left| left != "0")) {
        assert!(Instant::now() < until, "the recording goes to the bucket");
        sleep(Duration::from_millis(200)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let to = seconds();
    let (mut asked, mut empty) = (0, Vec::new());
    for (name, board) in boards() {
        for panel in panels(&board) {
            for query in queries(panel) {
                let concrete = query.replace("$node", ".*").replace("$__rate_interval", RATE);
                asked += 1;
                match prometheus.numbers(&concrete, from, to).await {
                    Ok(0) => empty.push(format!("{name}: {}: {query}", panel["title"])),
                    Ok(_) => {}
                    Err(error) => empty.push(format!("{name}: {}: {query}: {error}", panel["title"])),
                }
            }
        }
    }
    // That there is a number does not say that it is of what there was.
    for there_was in [
        r#"increase(althing_webhook_attempts_total{result="delivered"}[2m]) > 0"#,
        r#"increase(althing_webhook_attempts_total{result="error"}[2m]) > 0"#,
        "increase(althing_events_written_total[2m]) > 0",
        r#"increase(althing_store_objects_total{done="copied"}[2m]) > 0"#,
        "increase(althing_store_copied_bytes_total[2m]) > 0",
    ] {
        let found = prometheus.numbers(there_was, to, to).await;
        assert!(found.as_ref().is_ok_and(|numbers| *numbers > 0), "{there_was}: {found:?}");
    }
    let dead = prometheus.numbers("sum (rate(althing_no_such_metric_total[4s]))", from, to).await;
    assert_eq!(dead, Ok(0), "what there is not is found to be empty");
    assert!(asked > 80, "{asked}");
    assert!(empty.is_empty(), "{} of {asked} are empty:\n{}", empty.len(), empty.join("\n"));
    let node_variable = prometheus.ask("label/instance/values", &[("match[]", "althing_build_info")]).await;
    assert_eq!(node_variable["data"].as_array().map(Vec::len), Some(1), "{node_variable}");
    let rules = prometheus.ask("rules", &[]).await;
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() >= 15 && rules.iter().all(|rule| rule["health"] == "ok"), "Prometheus evaluates every alert: {rules:?}");
    let firing: Vec<_> = rules.iter().filter(|rule| rule["state"] == "firing").map(|rule| rule["name"].to_string()).collect();
    assert!(firing.is_empty(), "a good call alerts nobody: {firing:?}");
    if std::env::var_os("ALTHING_DASHBOARDS_ROWS").is_some() {
        let run = Run::new("make dashboards");
        let rows = [
            run.verdict("dashboards: queries of panels that find nothing under load".into(), empty.len() as f64, "queries", "0", empty.is_empty()),
            run.figure("dashboards: queries that were executed".into(), asked as f64, "queries"),
            run.verdict("dashboards: alerts that fire in a good call".into(), firing.len() as f64, "alerts", "0", firing.is_empty()),
        ];
        row::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proof/backend.jsonl"), &rows).expect("written");
    }
    println!("{asked} queries of {} dashboards, none empty; {} alerts evaluated, none firing", boards().len(), rules.len());
    who.leave().await;
    node.shut_down().await;
}
