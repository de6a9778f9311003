//! A node as whoever runs the machine sees it: a process of its own that is sent signals, with a service manager that listens.

mod client;
mod nodes;
#[path = "nodes/process.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use althing::config::Secret;
use althing::control::auth::{Claims, Role, TokenGrants, sign};
use althing::wire::{ByeReason, ErrorCode, Event, Request, VERSION};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Kind, Participant, Phase, Refusal, Settings, Signaling};
use process::Process;
use rcgen::{CertificateParams, KeyPair};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whatever is waited for has to come within this; a busy machine needs some of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service manager, as a node has it.
struct Manager {
    /// What it is told.
    told: UnixDatagram,
    socket: PathBuf,
}

impl Manager {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("althing-notify-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = std::env::temp_dir().join(name);
        let told = UnixDatagram::bind(&socket).expect("a socket");
        told.set_read_timeout(Some(PATIENCE)).expect("set");
        Self { told, socket }
    }

    /// Waits until it is told this.
    fn hear(&self, what: &str) -> String {
        let mut bytes = [0; 4_096];
        loop {
            let length = self.told.recv(&mut bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if said.contains(what) {
                return said;
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Starts a node, and waits until its service manager is told that it is ready.
fn start(settings: &[&str], environment: &[(&str, &str)]) -> (Process, Manager) {
    let manager = Manager::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_althing"));
    command.envs(environment.iter().copied()).env("NOTIFY_SOCKET", &manager.socket);
    let process = Process::start_by(&mut command, settings);
    assert!(manager.hear("READY=1").contains("STATUS=serving"));
    (process, manager)
}

impl Process {
    fn status(&self, path: &str) -> u16 {
        self.status_for(path, "")
    }

    /// With further lines of the request's header.
    fn status_for(&self, path: &str, lines: &str) -> u16 {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n", self.http).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
    }

    /// An offer by WHIP: the status, whether it is said when to come again, and the code.
    fn post(&self, path: &str) -> (u16, bool, String) {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        let header = format!("Host: {}\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: 0", self.http);
        write!(stream, "POST {path} HTTP/1.1\r\n{header}\r\n\r\n").expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        let (header, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = header.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let code = body.split_once("\"code\":\"").and_then(|(_, rest)| rest.split_once('"')).expect("a problem").0;
        (status, header.to_ascii_lowercase().contains("\r\nretry-after:"), code.to_owned())
    }

    async fn join(&self, room: &str) -> Result<(Signaling, UnboundedReceiver<Event>)> {
        self.begin(Request::join(room, "somebody", None)).await
    }

    async fn enter(&self, lobby: &str) -> Result<(Signaling, UnboundedReceiver<Event>)> {
        self.begin(Request::Enter { lobby: lobby.into(), name: "somebody".into(), token: None, me: None, call: None }).await
    }

    async fn begin(&self, request: Request) -> Result<(Signaling, UnboundedReceiver<Event>)> {
        let (socket, events) = Signaling::open(&format!("ws://{}/ws", self.http)).await?;
        socket.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await?;
        socket.ask(request).await?;
        Ok((socket, events))
    }
}

async fn wait_for(events: &mut UnboundedReceiver<Event>, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("in time").expect("the socket is open");
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_dry_and_ends_with_its_last_member() {
    let (mut node, manager) = start(&["drain.seconds=3600"], &[]);
    let (ada, mut heard) = node.join("here").await.expect("joined");
    assert_eq!(node.status("/readyz"), 200);
    node.signal("TERM");
    assert!(manager.hear("STOPPING=1").contains("STATUS=draining"));
    assert_eq!(wait_for(&mut heard, |event| matches!(event, Event::Draining { .. })).await, Event::Draining { seconds: 3_600 });
    assert_eq!(node.status("/readyz"), 503, "a balancer sends nobody here any more");
    assert_eq!(node.status("/healthz"), 200, "and nobody restarts it");
    let elsewhere = node.join("elsewhere").await.err().expect("no room begins");
    assert!(
        elsewhere.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == ErrorCode::Draining && refusal.message.contains("shutting down")),
        "{elsewhere}"
    );
    let lobby = node.enter("office").await.err().expect("no lobby opens");
    assert!(lobby.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == ErrorCode::Draining), "{lobby}");
    let (status, later, code) = node.post("/whip/elsewhere/eve");
    assert_eq!((status, later, code.as_str()), (503, true, "draining"), "nor by WHIP");
    let (bob, mut told) = node.join("here").await.expect("a room that there is takes its members");
    wait_for(&mut told, |event| matches!(event, Event::Draining { seconds } if *seconds <= 3_600)).await;
    for member in [ada, bob] {
        assert_eq!(member.ask(Request::Leave {}).await.expect("left"), None);
    }
    assert!(node.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_ends_at_the_deadline_whoever_is_left() {
    let (mut node, _manager) = start(&["drain.seconds=1"], &[]);
    let (ada, mut heard) = node.join("here").await.expect("joined");
    node.signal("TERM");
    wait_for(&mut heard, |event| matches!(event, Event::Draining { .. })).await;
    wait_for(&mut heard, |event| matches!(event, Event::Bye { reason: ByeReason::ShuttingDown })).await;
    ada.close().await;
    assert!(node.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_draining_node_at_once() {
    let (mut node, _manager) = start(&["drain.seconds=3600"], &[]);
    let (_ada, mut heard) = node.join("here").await.expect("joined");
    node.signal("TERM");
    wait_for(&mut heard, |event| matches!(event, Event::Draining { .. })).await;
    node.signal("TERM");
    wait_for(&mut heard, |event| matches!(event, Event::Bye { reason: ByeReason::ShuttingDown })).await;
    assert!(node.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_node_at_once() {
    let (mut node, _manager) = start(&["drain.seconds=3600"], &[]);
    let (_ada, mut heard) = node.join("here").await.expect("joined");
    node.signal("INT");
    wait_for(&mut heard, |event| matches!(event, Event::Bye { reason: ByeReason::ShuttingDown })).await;
    assert!(node.ended().success());
}

#[test]
fn a_hangup_has_the_log_s_level_read_again() {
    let file = std::env::temp_dir().join(format!("althing-level-{}.toml", std::process::id()));
    std::fs::write(&file, "[log]\nlevel = \"error,althing::node::listeners=info\"\n").expect("written");
    let (mut node, manager) = start(&[], &[("ALTHING_CONFIG", file.to_str().expect("UTF-8"))]);
    std::fs::write(&file, "[log]\nlevel = \"info\"\n").expect("written");
    node.signal("HUP");
    assert!(manager.hear("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.hear("READY=1");
    node.read("the log's level is read again");
    std::fs::write(&file, "[log]\nlevel = \"info\"\n[http]\norigins = [\"https://a.example\"]\n").expect("written");
    node.signal("HUP");
    manager.hear("READY=1");
    assert!(node.read("wait for a restart").contains(r#"["http"]"#));
    std::fs::write(&file, "[log]\nlevel = \"loud\"\n").expect("written");
    node.signal("HUP");
    manager.hear("READY=1");
    assert!(node.read("the settings are as before").contains("log.level"));
    node.signal("TERM");
    assert!(node.ended().success(), "nobody is there: it ends at once");
    std::fs::remove_file(&file).expect("removed");
}

/// A certificate and its key, both PEM.
fn certificate() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    (CertificateParams::new(["meet.example.org".to_owned()]).expect("a name").self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

#[test]
fn a_hangup_says_in_one_line_what_was_taken_up_of_settings_and_certificate_and_what_was_not() {
    let folder = std::env::temp_dir().join(format!("althing-hangup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let [cert, key, file] = ["cert.pem", "key.pem", "althing.toml"].map(|name| folder.join(name));
    let [(chain, private), (_, foreign)] = [certificate(), certificate()];
    std::fs::write(&cert, chain).expect("written");
    std::fs::write(&key, &private).expect("written");
    // Whoever looks at the files every ten seconds speaks elsewhere.
    let spoken = |node: &Process| node.log().lines().filter(|line| line.contains("node::life")).map(str::to_owned).collect::<Vec<_>>();
    let level = |level: &str| {
        let text = format!("[log]\nlevel = \"{level}\"\n[tls]\nmode = \"files\"\ncert = {cert:?}\nkey = {key:?}\n");
        std::fs::write(&file, text).expect("written");
    };
    level("info");
    let (mut node, manager) = start(&[], &[("ALTHING_CONFIG", file.to_str().expect("UTF-8"))]);
    let hang_up = || {
        let before = spoken(&node).len();
        node.signal("HUP");
        manager.hear("READY=1");
        node.read("node::life");
        spoken(&node).split_off(before)
    };
    let said = |lines: &[String], severity: &str, words: &[&str]| {
        let [line] = lines else { panic!("one line: {lines:?}") };
        assert!(line.contains(severity) && words.iter().all(|word| line.contains(word)), "{line}");
    };
    said(&hang_up(), "INFO", &["level is read again", "the certificate is (it expires in"]);
    std::fs::write(&key, &foreign).expect("written");
    said(&hang_up(), "WARN", &["level is read again", "the certificate is not used, the one before stays", "key.pem"]);
    level("loud");
    said(&hang_up(), "WARN", &["nothing is taken up", "key.pem", "log.level"]);
    std::fs::write(&key, &private).expect("written");
    said(&hang_up(), "WARN", &["the certificate is read again", "the settings are as before", "log.level"]);
    node.signal("INT");
    assert!(node.ended().success());
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_page_that_is_refused_is_spoken_of_with_what_to_do_and_not_again_at_once() {
    let mut node = Process::start(&["auth.keys.main=old-old-old-old-old-old-old-old-old"]);
    for page in ["https://app.example", "https://app.example", "https://evil.example"] {
        assert_eq!(node.status_for("/api/v1/node", &format!("Origin: {page}\r\n")), 403);
    }
    let line = node.read("was refused");
    assert!(line.contains("https://app.example") && line.contains("http.origins"), "{line}");
    node.signal("INT");
    assert!(node.ended().success());
    assert_eq!(node.log().matches("was refused").count(), 1);
}

/// A token of this key for somebody in the room `rotation`.
fn token(kid: &str, secret: &str, who: &str) -> String {
    let grants = TokenGrants { room: "rotation".into(), role: Some(Role::Member), ..TokenGrants::default() };
    let claims = Claims { sub: who.into(), exp: 4_000_000_000, grants, ..Claims::default() };
    sign(kid, &Secret::new(secret).expect("long enough"), &claims).expect("signed")
}

/// Whether a token is taken.
async fn admits(node: &Process, token: String) -> Result<()> {
    let (socket, _events) = Signaling::open(&format!("ws://{}/ws", node.http)).await?;
    socket.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await?;
    socket.ask(Request::join("rotation", "somebody", Some(token))).await?;
    socket.ask(Request::Leave {}).await?;
    Ok(())
}

fn refused_as(outcome: Result<()>) -> Option<ErrorCode> {
    outcome.err()?.downcast_ref::<Refusal>().map(|refusal| refusal.code)
}

/// Waits until each hears something new of the other.
async fn goes_on(people: &[Participant; 2]) {
    let heard = || [people[0].count(2, Kind::Video).unique, people[1].count(1, Kind::Video).unique];
    let (before, until) = (heard(), Instant::now() + PATIENCE);
    while heard().iter().zip(before).any(|(now, before)| *now < before + 20) {
        assert!(Instant::now() < until, "the call goes on: {before:?}, then {:?}", heard());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_with_an_overlap_by_hangups_and_no_call_is_disturbed() {
    let folder = std::env::temp_dir().join(format!("althing-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let (old, new) = ("old-old-old-old-old-old-old-old-old", "new-new-new-new-new-new-new-new-new");
    let file = folder.join("althing.toml");
    let secret = |name: &str| folder.join(format!("{name}.secret")).display().to_string();
    std::fs::write(secret("old"), old).expect("written");
    std::fs::write(secret("new"), new).expect("written");
    let with = |keys: &[&str]| {
        let lines: String = keys.iter().map(|key| format!("{key} = {{ secret_file = {:?} }}\n", secret(key))).collect();
        std::fs::write(&file, format!("[auth.keys]\n{lines}")).expect("written");
    };
    with(&["old"]);
    let (mut node, manager) = start(&[], &[("ALTHING_CONFIG", file.to_str().expect("UTF-8"))]);
    let again = |node: &Process, says: &str| {
        node.signal("HUP");
        manager.hear("READY=1");
        node.read(says)
    };
    let (phase, phases) = watch::channel(Phase::Count);
    let mut people = Vec::new();
    for number in [1, 2] {
        let (url, room) = (format!("ws://{}/ws", node.http), "rotation".to_owned());
        let token = Some(token("old", old, &format!("p{number}")));
        let settings = Settings { url, room, number, token, address: Ipv4Addr::LOCALHOST.into(), pairs: 2 };
        people.push(Participant::join(&settings, phases.clone()).await.expect("joined and connected"));
    }
    let Ok(people) = <[Participant; 2]>::try_from(people) else { panic!("two") };
    goes_on(&people).await;
    assert_eq!(refused_as(admits(&node, token("new", new, "eve")).await), Some(ErrorCode::TokenInvalid), "its key is not known yet");

    with(&["old", "new"]);
    assert!(again(&node, "keys and secrets are").contains(r#"keys=["new", "old"]"#));
    for (kid, secret) in [("old", old), ("new", new)] {
        admits(&node, token(kid, secret, "eve")).await.expect("both are good");
    }
    with(&["new"]);
    again(&node, "keys and secrets are");
    assert_eq!(refused_as(admits(&node, token("old", old, "eve")).await), Some(ErrorCode::TokenInvalid), "that of the old key is not");
    admits(&node, token("new", new, "eve")).await.expect("that of the new one is");
    goes_on(&people).await;

    std::fs::write(secret("new"), "too short").expect("written");
    assert!(again(&node, "the settings are as before").contains("auth.keys.new"));
    admits(&node, token("new", new, "eve")).await.expect("a file that is rejected leaves the key that there is");
    std::fs::remove_file(secret("new")).expect("removed");
    assert!(again(&node, "the settings are as before").contains("new.secret"));
    with(&[]);
    assert!(again(&node, "the settings are as before").contains("restart"), "nobody becomes everybody's room by a slip");
    assert_eq!(refused_as(admits(&node, token("old", old, "eve")).await), Some(ErrorCode::TokenInvalid));
    admits(&node, token("new", new, "eve")).await.expect("as before");
    goes_on(&people).await;

    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.signal("TERM");
    assert!(node.ended().success());
    std::fs::remove_dir_all(&folder).expect("removed");
}

/// What a receiver was posted.
struct Posted {
    head: String,
    body: String,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    /// Which of these secrets it is signed with, and how many signatures there are.
    fn signed_with(&self, secrets: [&str; 2]) -> ([bool; 2], usize) {
        let signed = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let signatures: Vec<&str> = self.header("webhook-signature").split(' ').collect();
        let with = |secret: &str| {
            let bytes = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
            let right = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), signed.as_bytes());
            signatures.contains(&format!("v1,{}", STANDARD.encode(right)).as_str())
        };
        (secrets.map(with), signatures.len())
    }
}

/// Takes whatever is posted there.
fn receiver(at: SocketAddr) -> Receiver<Posted> {
    use std::io::{Read, Write};
    let listener = TcpListener::bind(at).expect("the port is free");
    let (posted, all) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(std::io::Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {}
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            let whole = reader.read_exact(&mut body).is_ok();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            if !whole || posted.send(Posted { head, body: String::from_utf8(body).expect("JSON") }).is_err() {
                return;
            }
        }
    });
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_webhooks_are_replaced_by_hangups_and_a_receiver_that_is_away_is_spoken_of_once() {
    let folder = std::env::temp_dir().join(format!("althing-webhooks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let secret = |byte: u8| format!("whsec_{}", STANDARD.encode([byte; 32]));
    let [old, new] = [secret(1), secret(2)];
    let (file, events) = (folder.join("althing.toml"), folder.join("events"));
    let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let with = |secrets: &str| {
        let text = format!(
            "[events]\nenabled = true\nfolder = {events:?}\n[webhooks]\nretry_ms = 100\nurls = ['http://{at}/path-is-a-secret']\n{secrets}\n"
        );
        std::fs::write(&file, text).expect("written");
    };
    with(&format!("secret = '{old}'"));
    let (mut node, manager) = start(&[], &[("ALTHING_CONFIG", file.to_str().expect("UTF-8"))]);
    let again = |node: &Process, says: &str| {
        node.signal("HUP");
        manager.hear("READY=1");
        node.read(says)
    };
    let mut inside = vec![node.join("first").await.expect("joined")];
    let away = node.read("a receiver does not take events");
    assert!(away.contains("unreachable") && !away.contains("path-is-a-secret"), "{away}");
    let posted = receiver(at);
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("a receiver takes events again")) {
        said.push(node.read(""));
    }
    assert!(!said.iter().any(|line| line.contains("does not take")), "it was said once: {said:?}");
    let of = |room: &str| loop {
        let posted = posted.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing is posted of `{room}`"));
        if posted.body.contains(&format!("\"room\":\"{room}\"")) {
            return posted.signed_with([&old, &new]);
        }
    };
    assert_eq!(of("first"), ([true, false], 1));

    with(&format!("secret = '{new}'\nold_secret = '{old}'"));
    again(&node, "keys and secrets are");
    inside.push(node.join("second").await.expect("joined"));
    assert_eq!(of("second"), ([true, true], 2));
    with(&format!("secret = '{new}'"));
    again(&node, "keys and secrets are");
    inside.push(node.join("third").await.expect("joined"));
    assert_eq!(of("third"), ([false, true], 1));

    with("secret = 'whsec_short'");
    assert!(again(&node, "the settings are as before").contains("webhooks.secret"));
    inside.push(node.join("fourth").await.expect("joined"));
    assert_eq!(of("fourth"), ([false, true], 1), "as before");
    drop(inside);
    node.signal("INT");
    assert!(node.ended().success());
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_watchdog_hears_from_a_node_whose_workers_answer() {
    let (_node, manager) = start(&[], &[("WATCHDOG_USEC", "4000000")]);
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_have_not_reported_do_not_answer() {
    let mut node = nodes::start(|_| ()).await;
    node.answers();
    assert!(!node.answers(), "nothing has been reported between two questions in a row");
    let until = Instant::now() + PATIENCE;
    loop {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        if node.answers() {
            break;
        }
        assert!(Instant::now() < until, "workers report");
    }
    node.shut_down().await;
}
