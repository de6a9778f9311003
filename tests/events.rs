//! What happens in rooms, as whoever makes bills hears it: a node in a process of its own, which is killed, and whose disk is full; members with
//! real sockets; a receiver that refuses, is slow, and is gone.

#[path = "client/folder.rs"]
mod folder;
#[path = "nodes/process.rs"]
mod process;
#[path = "client/signaling.rs"]
mod signaling;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use althing::base::random::Random;
use althing::wire::{OkResult, Request, VERSION};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use folder::Folder;
use process::{Process, Running};
use serde_json::{Value, json};
use signaling::Signaling;
use tokio::time::sleep;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whatever is waited for has to come within this; a busy machine needs some of it.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that the receiver has had.
struct Heard {
    headers: [String; 3],
    body: String,
    event: Value,
    taken: bool,
}

/// A receiver.
#[derive(Clone)]
struct Hook {
    heard: Arc<Mutex<Vec<Heard>>>,
    /// What it does with requests: one in ten is refused, one in fifty answered too late.
    moods: Arc<Mutex<Option<Random>>>,
}

impl Hook {
    fn new(moods: Option<Random>) -> Self {
        Self { heard: Arc::default(), moods: Arc::new(Mutex::new(moods)) }
    }

    async fn serve(&self) -> SocketAddr {
        let routes = Router::new().route("/hook", post(hear)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    fn heard(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().expect("no panic while locked")
    }

    /// What was taken, each once, in the order in which it first came.
    fn taken(&self) -> Vec<Value> {
        let mut ids = BTreeSet::new();
        let heard = self.heard();
        let first = heard.iter().filter(|heard| heard.taken && ids.insert(heard.headers[0].clone()));
        first.map(|heard| heard.event.clone()).collect()
    }
}

fn below(random: &mut Random, most: u64) -> u64 {
    random.next_u64() % most
}

async fn hear(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mood = hook.moods.lock().expect("no panic while locked").as_mut().map_or(99, |random| below(random, 100));
    let taken = mood >= 10;
    let body = String::from_utf8(body.to_vec()).expect("text");
    let event = serde_json::from_str(&body).expect("JSON");
    hook.heard().push(Heard { headers: ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header), body, event, taken });
    if (10..12).contains(&mood) {
        sleep(Duration::from_millis(1_500)).await;
    }
    if taken { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Starts a node that tells a receiver what happens.
fn start(folder: &Path, hook: SocketAddr) -> Process {
    start_by(&mut Command::new(env!("CARGO_BIN_EXE_althing")), folder, hook)
}

fn start_by(command: &mut Command, folder: &Path, hook: SocketAddr) -> Process {
    let settings = [
        "rooms.grace_seconds=1",
        "rooms.resume_seconds=1",
        "events.enabled=true",
        "events.node=n1",
        &format!("events.folder={}", folder.display()),
        &format!("webhooks.urls=http://{hook}/hook"),
        &format!("webhooks.secret={SECRET}"),
        "webhooks.timeout_seconds=1",
        "webhooks.retry_ms=50",
        "webhooks.retry_most_seconds=1",
    ];
    Process::start_by(command, &settings)
}

impl Process {
    async fn metric(&self, name: &str) -> f64 {
        let text = reqwest::get(format!("http://{}/metrics", self.admin)).await.expect("answered").text().await.expect("text");
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name}"))
    }

    /// Everything that the log of events has.
    async fn events(&self, room: Option<&str>) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), "0".to_owned());
        let room = room.map_or(String::new(), |room| format!("&room={room}"));
        loop {
            let (page, more) = self.page(&mut after, &room).await.expect("answered");
            events.extend(page);
            if !more {
                return events;
            }
        }
    }

    /// What follows a place in the log, and whether there is more; the place is then behind it.
    async fn page(&self, after: &mut String, more: &str) -> Result<(Vec<Value>, bool)> {
        let text = reqwest::get(format!("http://{}/api/v1/events?limit=50&after={after}{more}", self.admin)).await?.text().await?;
        let page: Value = serde_json::from_str(&text)?;
        page["after"].as_str().expect("a place").clone_into(after);
        Ok((page["events"].as_array().expect("a list").clone(), page["more"] == true))
    }

    async fn join(&self, room: &str) -> Result<(Signaling, String)> {
        let (socket, _) = Signaling::open(&format!("ws://{}/ws", self.http)).await?;
        socket.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await?;
        match socket.ask(Request::join(room, "somebody", None)).await? {
            Some(OkResult::Joined { me, .. }) => Ok((socket, me.member.0)),
            other => Err(format!("not joined: {other:?}").into()),
        }
    }
}

/// Who is on the bill as the log gives it out, looked at until the node is gone.
async fn look(process: Arc<Process>) -> Vec<String> {
    let (mut billed, mut after) = (Vec::new(), "0".to_owned());
    while let Ok((events, _)) = process.page(&mut after, "").await {
        let joined = events.iter().filter(|event| event["type"] == "member.joined");
        billed.extend(joined.map(|event| event["data"]["member"].as_str().expect("text").to_owned()));
        sleep(Duration::from_millis(20)).await;
    }
    billed
}

/// Members who come to rooms and go, one after another, until the node is gone; who was told that they are inside.
async fn come_and_go(http: Arc<Process>, room: String, mut random: Random) -> Vec<String> {
    let mut inside = Vec::new();
    while let Ok((socket, member)) = http.join(&room).await {
        inside.push(member);
        sleep(Duration::from_millis(below(&mut random, 60))).await;
        // Some go without a word.
        if below(&mut random, 3) > 0 && socket.ask(Request::Leave {}).await.is_err() {
            break;
        }
        socket.close().await;
    }
    inside
}

/// What a run with kills has come to.
struct Run {
    kills: usize,
    log: Vec<Value>,
    taken: Vec<Value>,
    /// Whom the log had given out before a kill.
    billed: BTreeSet<String>,
    /// Who was told that they are inside.
    inside: BTreeSet<String>,
}

/// Kills until there are so many events, three times at least.
async fn run_with_kills(hook: &Hook, events: usize, seed: u64) -> Run {
    let folder = Folder::new(&format!("kills-{seed}"));
    let address = hook.serve().await;
    let mut random = Random::new(seed);
    let (mut kills, mut billed, mut inside) = (0, BTreeSet::new(), BTreeSet::new());
    loop {
        let process = start(&folder.0, address);
        if kills >= 3 && process.events(None).await.len() >= events {
            break;
        }
        let process = Arc::new(process);
        let rooms: Vec<_> =
            (0..6).map(|room| tokio::spawn(come_and_go(process.clone(), format!("r{room}"), Random::new(random.next_u64())))).collect();
        let looking = tokio::spawn(look(process.clone()));
        sleep(Duration::from_millis(200 + below(&mut random, 1_300))).await;
        process.signal("KILL");
        kills += 1;
        billed.extend(looking.await.expect("no panic"));
        for room in rooms {
            inside.extend(room.await.expect("no panic"));
        }
    }
    let mut process = start(&folder.0, address);
    let log = process.events(None).await;
    let until = Instant::now() + PATIENCE;
    while hook.taken().len() < log.len() {
        assert!(Instant::now() < until, "{} of {} events were taken", hook.taken().len(), log.len());
        sleep(Duration::from_millis(50)).await;
    }
    process.signal("INT");
    process.ended();
    Run { kills, log, taken: hook.taken(), billed, inside }
}

/// The numbers of each session, as they came.
fn numbers(events: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        numbers.entry(event["session"].as_str().expect("text").to_owned()).or_default().push(event["seq"].as_u64().expect("a number"));
    }
    numbers
}

/// Members of these events that have joined, and left.
fn stays(events: &[Value], kind: &str) -> BTreeSet<String> {
    let of = events.iter().filter(|event| event["type"] == kind);
    let stays: Vec<String> = of.map(|event| event["data"]["member"].as_str().expect("text").to_owned()).collect();
    let each: BTreeSet<String> = stays.iter().cloned().collect();
    assert_eq!(each.len(), stays.len(), "{kind}: each once");
    each
}

/// `make prove-events` does it with a thousand events, and has their signatures looked at by another implementation.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_out_of_order_when_the_node_is_killed_at_any_moment() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().map_or(usual, |value| value.parse().expect("a number"));
    let (events, seed) = (number("PROOF_EVENTS", 200), number("PROOF_SEED", 7));
    let hook = Hook::new(Some(Random::new(seed)));
    let run = run_with_kills(&hook, usize::try_from(events).expect("small"), seed).await;
    let ids = |events: &[Value]| events.iter().map(|event| event["id"].as_str().expect("text").to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&run.log), ids(&run.taken), "each is delivered");
    for (session, numbers) in numbers(&run.taken) {
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{session}: in order, and none is missing");
    }
    let closed = run.taken.iter().filter(|event| event["type"] == "room.closed").count();
    assert_eq!(closed, numbers(&run.taken).len(), "every room's bill ends");
    let joined = stays(&run.taken, "member.joined");
    assert_eq!(joined, stays(&run.taken, "member.left"), "every stay ends, once");
    assert!(!run.billed.is_empty() && run.billed.is_subset(&joined), "what was given out once is on the bill for good");
    if let Ok(out) = std::env::var("PROOF_OUT") {
        let unbilled = run.inside.difference(&joined).count();
        let requests: Vec<Value> = hook
            .heard()
            .iter()
            .map(|heard| {
                let [id, timestamp, signature] = &heard.headers;
                json!({ "id": id, "timestamp": timestamp, "signature": signature, "body": heard.body, "taken": heard.taken })
            })
            .collect();
        let run =
            json!({ "kills": run.kills, "log": run.log, "inside": run.inside.len(), "unbilled": unbilled, "secret": SECRET, "requests": requests });
        std::fs::File::create(out).and_then(|mut file| file.write_all(run.to_string().as_bytes())).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_has_told_everything_and_what_waited_is_told_by_the_next_one() {
    let (folder, hook) = (Folder::new("ends"), Hook::new(None));
    let address = hook.serve().await;
    let mut process = start(&folder.0, address);
    let (_socket, member) = process.join("a").await.expect("joined");
    process.signal("INT");
    process.ended();
    let kinds = |events: &[Value]| events.iter().map(|event| event["type"].as_str().expect("text").to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds(&hook.taken()), ["room.created", "member.joined", "member.left", "room.closed"]);
    let left = &hook.taken()[2];
    assert_eq!((left["data"]["member"].as_str(), left["data"]["reason"].as_str()), (Some(member.as_str()), Some("shutting_down")));
    assert!(left["data"]["seconds"].as_f64().is_some_and(|seconds| seconds < 30.0));
    assert_eq!((left["node"].as_str(), left["room"].as_str()), (Some("n1"), Some("a")));
    // Nobody listens there: what happens is told by the node after that one.
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let mut process = start(&folder.0, gone);
    drop(process.join("b").await.expect("joined"));
    process.signal("INT");
    process.ended();
    let listener = tokio::net::TcpListener::bind(gone).await.expect("the port is free");
    let routes = Router::new().route("/hook", post(hear)).with_state(hook.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let process = start(&folder.0, gone);
    let until = Instant::now() + PATIENCE;
    while hook.taken().len() < 8 {
        assert!(Instant::now() < until, "{:?}", kinds(&hook.taken()));
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.events(Some("b")).await, hook.taken()[4..], "it is given out as it was told");
    assert_eq!(process.metric("althing_events_lost_total{reason=\"space\"}").await, 0.0);
}

/// A mount namespace with a disk of a few pages in a folder.
struct SmallDisk {
    holder: Running,
    filler: PathBuf,
}

impl SmallDisk {
    async fn new(folder: &Path) -> Self {
        let script = "mount -t tmpfs -o size=256k tmpfs \"$0\" && exec sleep 600";
        let holder = Running(Command::new("unshare").args(["-rm", "sh", "-c", script]).arg(folder).spawn().expect("unshare"));
        let (until, mounts) = (Instant::now() + PATIENCE, format!("/proc/{}/mounts", holder.0.id()));
        while !std::fs::read_to_string(&mounts).is_ok_and(|mounts| mounts.contains(folder.to_str().expect("UTF-8"))) {
            assert!(Instant::now() < until, "no disk of its own: this test needs namespaces (user, mount)");
            sleep(Duration::from_millis(10)).await;
        }
        let seen = PathBuf::from(format!("/proc/{}/root", holder.0.id())).join(folder.strip_prefix("/").expect("absolute"));
        Self { holder, filler: seen.join("filler") }
    }

    fn start(&self, folder: &Path, hook: SocketAddr) -> Process {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.0.id().to_string(), "-U", "-m", "--preserve-credentials", env!("CARGO_BIN_EXE_althing")]);
        start_by(&mut command, folder, hook)
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(&self.filler).expect("the node's own disk");
        while filler.write_all(&[7; 4_096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(&self.filler).expect("removed");
    }
}

/// Fills the disk until it refuses: a block that is begun has room for some events. How many have joined meanwhile.
async fn until_it_refuses(disk: &SmallDisk, process: &Process, room: &str) -> usize {
    disk.fill();
    let until = Instant::now() + PATIENCE;
    let mut joined = 0;
    while process.metric("althing_event_log_refuses").await == 0.0 {
        assert!(Instant::now() < until, "the disk is not full");
        drop(process.join(room).await.expect("calls go on"));
        joined += 1;
    }
    joined
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_and_nodes_begin_while_the_disk_is_full_and_nothing_is_lost_that_they_held() {
    let (folder, hook) = (Folder::new("full"), Hook::new(None));
    let address = hook.serve().await;
    let (disk, events) = (SmallDisk::new(&folder.0).await, folder.0.join("events"));
    let process = disk.start(&events, address);
    // A segment that is begun has to end where it was well.
    let (_inside, first) = process.join("before").await.expect("joined");
    let until = Instant::now() + PATIENCE;
    while !hook.taken().iter().any(|event| event["data"]["member"] == first.as_str()) {
        assert!(Instant::now() < until, "it is not told");
        sleep(Duration::from_millis(20)).await;
    }
    let joined = until_it_refuses(&disk, &process, "during").await;
    let (_socket, last) = process.join("last").await.expect("calls go on");
    disk.empty();
    while !hook.taken().iter().any(|event| event["data"]["member"] == last.as_str()) {
        assert!(Instant::now() < until, "it is not told");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.metric("althing_event_log_refuses").await, 0.0);
    assert_eq!(process.metric("althing_events_lost_total{reason=\"queue\"}").await, 0.0);
    assert_eq!(stays(&hook.taken(), "member.joined").len(), joined + 2);
    // Killed while it is full, and begun again while it still is.
    until_it_refuses(&disk, &process, "again").await;
    drop(process);
    let mut process = disk.start(&events, address);
    assert_eq!(process.metric("althing_event_log_refuses").await, 1.0);
    disk.empty();
    let closed = |event: &Value| event["data"]["member"] == last.as_str() && event["data"]["reason"] == "node_lost";
    while !hook.taken().iter().any(closed) {
        assert!(Instant::now() < until + PATIENCE, "the bill does not end");
        sleep(Duration::from_millis(20)).await;
    }
    process.signal("INT");
    process.ended();
    for (session, numbers) in numbers(&hook.taken()) {
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{session}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_none_is_refused_with_the_reason() -> Result<()> {
    let (folder, hook) = (Folder::new("asked"), Hook::new(None));
    let process = start(&folder.0, hook.serve().await);
    for bad in ["after=x", "limit=0", "limit=1001", "rooms=a"] {
        let answer = reqwest::get(format!("http://{}/api/v1/events?{bad}", process.admin)).await?;
        assert_eq!(answer.status(), 400, "{bad}");
        assert!(answer.text().await?.contains("\"code\":\"malformed\""), "{bad}");
    }
    let _inside = process.join("a").await?;
    let until = Instant::now() + PATIENCE;
    while process.events(None).await.len() < 2 {
        assert!(Instant::now() < until, "nothing is written");
        sleep(Duration::from_millis(10)).await;
    }
    let mut both = Vec::new();
    for at in [process.http, process.admin] {
        both.push(reqwest::get(format!("http://{at}/api/v1/events?room=a")).await?.text().await?);
    }
    assert_eq!(both[0], both[1], "in development mode everybody may ask");
    Ok(())
}
