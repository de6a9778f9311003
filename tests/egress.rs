//! Calls that one node sends to another by WHIP: both are real, and a participant there counts what comes.

mod client;
#[path = "client/folder.rs"]
mod folder;
mod nodes;
#[path = "nodes/process.rs"]
mod process;

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing::config::{Config, LogFormat, LogSettings, Secret, WhipOutSettings};
use althing::control::auth::{Claims, TokenGrants, sign, unix_time};
use althing::node::Node;
use althing::node::logs::subscriber;
use althing::wire::Source;
use client::{Kind, Participant, Phase, Settings};
use folder::Folder;
use nodes::HERE;
use process::Process;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;

const ROOM: &str = "here";
const THERE: &str = "there";

/// A node that may send to others on this machine.
async fn node(at: IpAddr, change: impl FnOnce(&mut Config)) -> Node {
    let settings = WhipOutSettings {
        allow_hosts: vec!["127.0.0.1".into(), "[::1]".into()],
        allow_http: true,
        allow_networks: vec!["127.0.0.0/8".into(), "::1".into()],
        timeout_seconds: 2,
        ..WhipOutSettings::default()
    };
    nodes::start(|config| {
        config.http.listen.set_ip(at);
        (config.media.bind, config.media.workers) = (vec![at], 2);
        config.whip_out = settings.check().expect("it can work");
        change(config);
    })
    .await
}

async fn join(node: &Node, room: &str, number: u16, phases: &watch::Receiver<Phase>) -> Participant {
    join_at(node.http, room, number, phases).await
}

async fn join_at(http: SocketAddr, room: &str, number: u16, phases: &watch::Receiver<Phase>) -> Participant {
    let address = http.ip();
    let settings = Settings { url: format!("ws://{http}/ws"), room: room.into(), number, token: None, address, pairs: 2 };
    Participant::join(&settings, phases.clone()).await.expect("joined and connected")
}

async fn ask(node: &Node, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    ask_at(node.http, method, path, body).await
}

async fn ask_at(http: SocketAddr, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let method = method.parse().expect("a method");
    let mut request = Client::new().request(method, format!("http://{http}/api/v1/rooms/{ROOM}/egress{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Has a member sent to a URL; the session's identity.
async fn send(node: &Node, member: &Participant, url: &str) -> String {
    let (status, begun) = ask(node, "POST", "", Some(json!({ "member": member.member, "url": url }))).await;
    assert_eq!(status, 201, "{begun}");
    begun["egress"].as_str().expect("an identity").to_owned()
}

async fn state(node: &Node, egress: &str) -> Value {
    ask(node, "GET", &format!("/{egress}"), None).await.1
}

async fn until(node: &Node, egress: &str, wanted: &str) -> Value {
    until_at(node.http, egress, wanted).await
}

async fn until_at(http: SocketAddr, egress: &str, wanted: &str) -> Value {
    let begun = Instant::now();
    loop {
        let seen = ask_at(http, "GET", &format!("/{egress}"), None).await.1;
        if seen["state"] == wanted {
            return seen;
        }
        // A server that says nothing is taken for gone after 12 to 18 s.
        assert!(begun.elapsed() < Duration::from_secs(25), "{wanted}: {seen}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn heard(who: &Participant, publisher: u16, more: u64) {
    let begun = Instant::now();
    let before = Kind::ALL.map(|kind| who.count(publisher, kind).heard);
    loop {
        let now = Kind::ALL.map(|kind| who.count(publisher, kind).heard);
        if now.iter().zip(before).all(|(now, before)| *now >= before + more) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{now:?} after {before:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn endpoint(node: &Node) -> String {
    format!("http://{}/whip/{THERE}/guest", node.http)
}

async fn a_call_arrives(at: IpAddr) {
    let (a, b) = (node(at, |_| ()).await, node(at, |_| ()).await);
    let (phase, phases) = watch::channel(Phase::Count);
    let (sender, receiver) = (join(&a, ROOM, 1, &phases).await, join(&b, THERE, 2, &phases).await);
    let egress = send(&a, &sender, &endpoint(&b)).await;
    until(&a, &egress, "live").await;
    heard(&receiver, 1, 200).await;
    phase.send(Phase::Stop).expect("they listen");
    let (status, _) = ask(&a, "DELETE", &format!("/{egress}"), None).await;
    assert_eq!(status, 204);
    assert_eq!(ask(&a, "GET", &format!("/{egress}"), None).await.0, 404);
    for who in [sender, receiver] {
        who.leave().await;
    }
    a.shut_down().await;
    b.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_one_node_is_seen_and_heard_at_another() {
    a_call_arrives(HERE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_by_ipv6() {
    a_call_arrives(IpAddr::V6(Ipv6Addr::LOCALHOST)).await;
}

/// The members of a room, as its node has them.
async fn members(node: &Node, room: &str) -> Vec<String> {
    let answer = Client::new().get(format!("http://{}/api/v1/rooms/{room}/members", node.http)).send().await.expect("an answer");
    let list: Value = serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default();
    list["members"].as_array().into_iter().flatten().map(|m| m["member"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn gone(node: &Node, room: &str, member: &str) {
    let begun = Instant::now();
    while members(node, room).await.iter().any(|name| name == member) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{member} is still there");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_to_one_server_do_not_get_into_each_others_way_and_both_end_there() {
    let (a, b) = (node(HERE, |_| ()).await, node(HERE, |config| config.media.workers = 1).await);
    let (_phase, phases) = watch::channel(Phase::Count);
    let people = [join(&a, ROOM, 1, &phases).await, join(&a, ROOM, 3, &phases).await];
    let receiver = join(&b, THERE, 2, &phases).await;
    let first = send(&a, &people[0], &endpoint(&b)).await;
    let second = send(&a, &people[1], &format!("http://{}/whip/{THERE}/other", b.http)).await;
    for egress in [&first, &second] {
        until(&a, egress, "live").await;
    }
    heard(&receiver, 1, 100).await;
    heard(&receiver, 3, 100).await;
    let [ann, carl] = people;
    // Whoever leaves takes its session with it, and the other server hears of that at once.
    ann.leave().await;
    gone(&b, THERE, "guest").await;
    assert_eq!(ask(&a, "GET", &format!("/{first}"), None).await.0, 404);
    heard(&receiver, 3, 100).await;
    // And so it does of a node that ends.
    a.shut_down().await;
    assert!(!members(&b, THERE).await.iter().any(|name| name == "other"), "it was told before the node was gone");
    receiver.leave().await;
    drop(carl);
    b.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_other_server_ends_is_had_again() {
    let (a, b) = (node(HERE, |_| ()).await, node(HERE, |_| ()).await);
    let (_phase, phases) = watch::channel(Phase::Count);
    let (sender, receiver) = (join(&a, ROOM, 1, &phases).await, join(&b, THERE, 2, &phases).await);
    let egress = send(&a, &sender, &endpoint(&b)).await;
    heard(&receiver, 1, 50).await;
    let guest = format!("http://{}/api/v1/rooms/{THERE}/members/guest?may_return=true", b.http);
    assert_eq!(Client::new().delete(guest).send().await.expect("an answer").status(), 204);
    let lost = until(&a, &egress, "retrying").await;
    assert_eq!((&lost["reason"], &lost["tries"]), (&json!("closed"), &json!(1)), "{lost}");
    until(&a, &egress, "live").await;
    heard(&receiver, 1, 50).await;
    for who in [sender, receiver] {
        who.leave().await;
    }
    a.shut_down().await;
    b.shut_down().await;
}

/// `make prove-egress` runs it: it takes as long as a silence is believed in.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute"]
async fn a_server_that_goes_away_is_called_again() {
    let (a, b) = (node(HERE, |_| ()).await, node(HERE, |_| ()).await);
    let (_phase, phases) = watch::channel(Phase::Count);
    let sender = join(&a, ROOM, 1, &phases).await;
    let egress = send(&a, &sender, &endpoint(&b)).await;
    until(&a, &egress, "live").await;
    let (http, media) = (b.http, sender.member.clone());
    b.shut_down().await;
    let lost = until(&a, &egress, "retrying").await;
    assert!(lost["reason"] == "consent_lost", "{lost}");
    let again = node(HERE, |config| config.http.listen = http).await;
    let receiver = join(&again, THERE, 2, &phases).await;
    until(&a, &egress, "live").await;
    heard(&receiver, 1, 50).await;
    assert_eq!(state(&a, &egress).await["member"], json!(media));
    for who in [sender, receiver] {
        who.leave().await;
    }
    a.shut_down().await;
    again.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_token_gets_it_and_one_that_refuses_is_not_asked_again() {
    let keys = || [("main".to_owned(), Secret::new(SECRET).expect("long enough"))];
    let one = |config: &mut Config| config.whip_out.as_mut().expect("it is on").sessions = 1;
    let (a, b) = (node(HERE, one).await, node(HERE, |config| config.auth = keys().into_iter().collect()).await);
    let (_phase, phases) = watch::channel(Phase::Count);
    let sender = join(&a, ROOM, 1, &phases).await;
    let refused = send(&a, &sender, &endpoint(&b)).await;
    let seen = until(&a, &refused, "failed").await;
    assert_eq!((&seen["reason"], &seen["status"], &seen["tries"]), (&json!("refused"), &json!(401), &json!(1)), "{seen}");
    let grants = TokenGrants { room: THERE.into(), join: true, publish: Source::ALL.to_vec(), ..TokenGrants::default() };
    let claims = Claims { sub: "guest".into(), exp: unix_time().as_secs() + 60, grants, ..Claims::default() };
    let token = sign("main", &Secret::new(SECRET).expect("long enough"), &claims).expect("signed");
    let asked = json!({ "member": sender.member, "source": "camera", "url": endpoint(&b), "token": token });
    // One that has failed leaves its place to another, in a moment.
    sleep(Duration::from_millis(200)).await;
    let (status, begun) = ask(&a, "POST", "", Some(asked.clone())).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!(ask(&a, "POST", "", Some(asked)).await.0, 503, "there is one place");
    until(&a, begun["egress"].as_str().expect("an identity"), "live").await;
    let listed = ask(&a, "GET", "", None).await.1;
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2), "what has failed can still be asked about: {listed}");
    assert!(!listed.to_string().contains(&token[..20]), "a token is said to nobody");
    let (status, _) = ask(&a, "DELETE", &format!("/{}", begun["egress"].as_str().expect("an identity")), None).await;
    assert_eq!(status, 204);
    sleep(Duration::from_millis(200)).await;
    // Where nothing may be sent to, nothing is.
    for (url, status, why) in [
        ("http://192.0.2.1/whip", 403, "allow_hosts"),
        ("http://localhost/whip", 403, "allow_hosts"),
        ("ftp://127.0.0.1/x", 400, "https://"),
        ("nonsense", 400, "https://"),
        ("http://user:s3cret@127.0.0.1/whip", 400, "`token`"),
        ("http://user@localhost/whip", 400, "`token`"),
    ] {
        let (refused, problem) = ask(&a, "POST", "", Some(json!({ "member": sender.member, "url": url }))).await;
        assert_eq!(refused, status, "{url}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(why) && !detail.contains("s3cret")), "{url}: {problem}");
    }
    sender.leave().await;
    a.shut_down().await;
    b.shut_down().await;
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

#[derive(Clone)]
struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_logged_as_sent() {
    let settings = LogSettings { format: LogFormat::Json, level: "info".into() };
    tracing::subscriber::set_global_default(Arc::new(subscriber(&settings, || ToLog).expect("a level"))).expect("the first log");
    let node = node(HERE, |_| ()).await;
    let (_phase, phases) = watch::channel(Phase::Count);
    let sender = join(&node, ROOM, 1, &phases).await;
    assert_eq!(ask(&node, "POST", "", Some(json!({ "member": "nobody-there", "url": "http://127.0.0.1:9/whip" }))).await.0, 404);
    send(&node, &sender, "http://127.0.0.1:9/whip").await;
    let name = sender.member.0.clone();
    sender.leave().await;
    node.shut_down().await;
    let log = String::from_utf8_lossy(&LOG.lock().expect("no panic")).into_owned();
    let said: Vec<_> = log.lines().filter(|line| line.contains("a call is sent elsewhere")).collect();
    assert!(said.iter().any(|line| line.contains(&format!("\"{}\"", name))), "{log}");
    assert!(!said.iter().any(|line| line.contains("nobody-there")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_only_a_server_is_called_whose_certificate_is_vouched_for() {
    let kept = Folder::new("egress");
    let cache = format!("tls.cache={}", kept.0.display());
    let b = Process::start(&["tls.mode=dev", &cache]);
    let vouched = kept.0.join("development.pem");
    let own = reqwest::Certificate::from_pem(&std::fs::read(&vouched).expect("it is kept")).expect("a certificate");
    let client = Client::builder().tls_certs_only([own]).build().expect("a client");
    let to_here = ["whip_out.allow_hosts=[\"127.0.0.1\"]", "whip_out.allow_networks=[\"127.0.0.0/8\"]"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_althing"));
    let a = Process::start_by(program.env("SSL_CERT_FILE", &vouched), &to_here);
    let strange = Process::start(&to_here);
    let (_phase, phases) = watch::channel(Phase::Count);
    for (node, wanted) in [(&a, "live"), (&strange, "retrying")] {
        let sender = join_at(node.http, ROOM, 1, &phases).await;
        let body = json!({ "member": sender.member, "url": format!("https://{}/whip/{THERE}/guest", b.http) });
        let (status, begun) = ask_at(node.http, "POST", "", Some(body)).await;
        assert_eq!(status, 201, "{begun}");
        let seen = until_at(node.http, begun["egress"].as_str().expect("an identity"), wanted).await;
        let answer = client.get(format!("https://{}/api/v1/rooms/{THERE}/members", b.http)).send().await.expect("an answer");
        let list: Value = serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default();
        let is_there = list["members"].as_array().into_iter().flatten().any(|m| m["member"] == "guest");
        assert_eq!((is_there, seen["reason"].as_str()), if wanted == "live" { (true, None) } else { (false, Some("certificate")) }, "{seen} {list}");
        sender.leave().await;
        gone_by(&client, &b, "guest").await;
    }
}

/// Waits until a member of the other room has gone.
async fn gone_by(client: &Client, node: &Process, member: &str) {
    let begun = Instant::now();
    loop {
        let answer = client.get(format!("https://{}/api/v1/rooms/{THERE}/members/{member}", node.http)).send().await.expect("an answer");
        if answer.status() == 404 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{member} is still there");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_on_the_way_is_sent_again() {
    // Clients of the other node are told an address behind which every twentieth datagram is lost, either way.
    let there = |config: &mut Config| (config.media.workers, config.media.announce) = (1, vec![LOSSY]);
    let (a, b) = (node(HERE, |_| ()).await, node(HERE, there).await);
    let way = Way::new(b.media[0].port(), 50).await;
    let (phase, phases) = watch::channel(Phase::WarmUp);
    let (sender, receiver) = (join(&a, ROOM, 1, &phases).await, join(&b, THERE, 2, &phases).await);
    let egress = send(&a, &sender, &endpoint(&b)).await;
    until(&a, &egress, "live").await;
    heard(&receiver, 1, 100).await;
    phase.send(Phase::Count).expect("they listen");
    sleep(Duration::from_secs(5)).await;
    phase.send(Phase::Tail).expect("they listen");
    sleep(Duration::from_secs(2)).await;
    let offered = sender.offered();
    let missing = receiver.tally(|tally| tally.missing(1, Kind::Video, offered.video)).len();
    assert!(way.lost() > 100, "{} datagrams are lost", way.lost());
    // Two ways lose here, one behind the other: without repair it would be every tenth.
    assert!(missing * 50 < offered.video as usize, "{missing} of {} packets of pictures have not come", offered.video);
    for who in [sender, receiver] {
        who.leave().await;
    }
    a.shut_down().await;
    b.shut_down().await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LOSSY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A way to a port of this machine on which so many of a thousand datagrams are lost, each way.
struct Way(Arc<AtomicU64>);

impl Way {
    async fn new(port: u16, per_mille: u64) -> Self {
        let lost: Arc<AtomicU64> = Arc::default();
        let front = Arc::new(UdpSocket::bind((LOSSY, port)).await.expect("an address beside"));
        let count = lost.clone();
        tokio::spawn(async move {
            let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut random = Random(7);
            let mut datagram = vec![0; 2_048];
            while let Ok((len, from)) = front.recv_from(&mut datagram).await {
                let back = match backs.get(&from) {
                    Some(back) => back.clone(),
                    None => {
                        let back = Arc::new(UdpSocket::bind((HERE, 0)).await.expect("a port"));
                        back.connect((HERE, port)).await.expect("here");
                        backs.insert(from, back.clone());
                        tokio::spawn(way_back(back.clone(), front.clone(), from, per_mille, count.clone()));
                        back
                    }
                };
                if random.loses(per_mille) {
                    count.fetch_add(1, Ordering::Relaxed);
                } else {
                    let _ = back.send(&datagram[..len]).await;
                }
            }
        });
        Self(lost)
    }

    fn lost(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

async fn way_back(back: Arc<UdpSocket>, front: Arc<UdpSocket>, to: SocketAddr, per_mille: u64, count: Arc<AtomicU64>) {
    let mut random = Random(u64::from(to.port()));
    let mut datagram = vec![0; 2_048];
    while let Ok(len) = back.recv(&mut datagram).await {
        if random.loses(per_mille) {
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            let _ = front.send_to(&datagram[..len], to).await;
        }
    }
}

/// Whether something is lost, by a sequence that is the same each time.
struct Random(u64);

impl Random {
    fn loses(&mut self, per_mille: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % 1_000 < per_mille
    }
}
