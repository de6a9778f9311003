//! `althing doctor` on real sockets: the real program, ports that are free, taken or our own, relays, certificates, clocks.

#[path = "nodes/process.rs"]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use process::Running;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

const ALTHING: &str = env!("CARGO_BIN_EXE_althing");
const SECRET: &str = "north-north-north-north-north-north";
/// Ports of one test.
const SPAN: u16 = 64;

/// Ports that nobody else has, below those that the system gives out.
struct Ports(u16);

impl Ports {
    fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let offset = (std::process::id() % 40) as u16 * 256;
        loop {
            let first = 20_000 + (offset + NEXT.fetch_add(SPAN, Ordering::Relaxed)) % 12_000;
            let free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
            if (first..first + SPAN).all(free) {
                return Self(first);
            }
        }
    }

    const fn http(&self) -> u16 {
        self.0
    }

    const fn admin(&self) -> u16 {
        self.0 + 1
    }

    const fn media(&self) -> u16 {
        self.0 + 2
    }

    const fn turn(&self) -> u16 {
        self.0 + 3
    }

    const fn other(&self) -> u16 {
        self.0 + 4
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(ALTHING);
        command.arg(verb);
        for set in [
            format!("http.listen=127.0.0.1:{}", self.http()),
            format!("admin.listen=127.0.0.1:{}", self.admin()),
            format!("media.port={}", self.media()),
            "media.workers=1".to_owned(),
            "media.bind=127.0.0.1".to_owned(),
            format!("turn.port={}", self.turn()),
            format!("turn.first_port={}", self.0 + 16),
            format!("turn.last_port={}", self.0 + 31),
        ] {
            command.args(["--set", &set]);
        }
        command.args(more);
        command
    }

    fn doctor(&self, more: &[&str]) -> Report {
        let done = self.command("doctor", more).arg("--json").output().expect("it runs");
        let text = String::from_utf8(done.stdout).expect("text");
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("JSON: {text} {}", String::from_utf8_lossy(&done.stderr)));
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let findings = json["findings"].as_array().expect("a list");
        let findings = findings.iter().map(|f| (text(f, "verdict"), text(f, "code"), text(f, "what") + " " + &text(f, "next"))).collect();
        Report { code: done.status.code(), findings }
    }

    fn node(&self) -> Running {
        let node = Running(self.command("run", &["--log", "error"]).stdout(Stdio::null()).spawn().expect("it starts"));
        until("the node is ready", || get(self.admin(), "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
        node
    }
}

#[derive(Debug)]
struct Report {
    code: Option<i32>,
    findings: Vec<(String, String, String)>,
}

impl Report {
    /// What is said of this code, with its verdict before it.
    fn of(&self, code: &str) -> Vec<String> {
        self.findings.iter().filter(|(_, is, _)| is == code).map(|(verdict, _, text)| format!("{verdict}: {text}")).collect()
    }

    fn problems(&self) -> Vec<&str> {
        self.findings.iter().filter(|(verdict, ..)| verdict == "problem").map(|(_, code, _)| code.as_str()).collect()
    }

    fn has(&self, code: &str, verdict: &str, texts: &[&str]) {
        let said = self.of(code);
        let fits = |said: &String| said.starts_with(verdict) && texts.iter().all(|text| said.contains(text));
        assert!(said.iter().any(fits), "{verdict} {code} {texts:?} in {self:#?}");
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn free_ports_can_be_had_and_are_let_go_again() {
    let ports = Ports::new();
    for _ in 0..2 {
        let report = ports.doctor(&[]);
        assert_eq!((report.code, report.problems()), (Some(0), vec![]), "{report:#?}");
        let media = format!("UDP 127.0.0.1:{}", ports.media());
        report.has("port_free", "ok", &[&media]);
        assert_eq!(report.of("port_free").len(), 7, "each service: {report:#?}");
        report.has("announced_loopback", "warning", &["127.0.0.1"]);
    }
}

#[test]
fn a_port_in_the_way_is_named_with_its_setting() {
    let ports = Ports::new();
    let _media = UdpSocket::bind(("127.0.0.1", ports.media())).expect("bound");
    let _turn = TcpListener::bind(("127.0.0.1", ports.turn())).expect("bound");
    let report = ports.doctor(&[]);
    assert_eq!((report.code, report.problems()), (Some(1), vec!["port_taken"; 2]), "{report:#?}");
    report.has("port_taken", "problem", &["Another program", &format!("UDP 127.0.0.1:{}", ports.media()), "media.port"]);
    report.has("port_taken", "problem", &["Another program", &format!("TCP 127.0.0.1:{}", ports.turn()), "turn.port"]);
}

#[test]
fn a_node_that_runs_is_reached_on_its_ports_and_on_no_others() {
    let ports = Ports::new();
    let _node = ports.node();
    let report = ports.doctor(&[]);
    assert_eq!((report.code, report.problems()), (Some(0), vec![]), "{report:#?}");
    report.has("node", "ok", &[]);
    for service in ["page and signaling", "media: UDP", "media: TCP", "the relay: UDP", "the relay: TCP"] {
        report.has("port_answers", "ok", &[service]);
    }
    let elsewhere = format!("media.port={}", ports.other());
    let report = ports.doctor(&["--set", &elsewhere]);
    assert_eq!((report.code, report.problems()), (Some(1), vec!["port_silent"; 2]), "{report:#?}");
    report.has("port_silent", "problem", &["UDP", "media.port"]);

    // Its STUN service sees this machine at its loopback address, which is not what is announced.
    let stun = format!("127.0.0.1:{}", ports.media());
    let report = ports.doctor(&["--stun", &stun, "--announce", "10.0.0.5"]);
    report.has("announced_other_than_seen", "problem", &["127.0.0.1", "10.0.0.5", "--announce"]);
    assert_eq!(report.code, Some(1));
}

#[test]
fn another_program_at_the_admin_port_is_no_node() {
    let ports = Ports::new();
    let listener = TcpListener::bind(("127.0.0.1", ports.admin())).expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, "Thu, 01 Jan 2026 00:00:00 GMT")));
    let report = ports.doctor(&[]);
    report.has("port_taken", "problem", &["Another program", "admin.listen"]);
    report.has("port_free", "ok", &["page and signaling"]);
}

#[test]
fn private_addresses_are_a_warning_and_a_problem_for_a_public_page() {
    let ports = Ports::new();
    let report = ports.doctor(&["--announce", "10.0.0.5"]);
    report.has("announced_private", "warning", &["10.0.0.5", "media.announce"]);
    assert_eq!(report.code, Some(0), "{report:#?}");
    let report = ports.doctor(&["--announce", "10.0.0.5", "--url", "http://203.0.113.1:9"]);
    report.has("announced_private", "problem", &["10.0.0.5"]);
    assert_eq!(report.code, Some(1));
}

/// A STUN server (RFC 8489) that sees everybody at 203.0.113.9, or says nothing; its port.
fn stun_server(answers: bool) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut bytes = [0; 100];
        while let Ok((_, from)) = socket.recv_from(&mut bytes) {
            let [p, q] = (from.port() ^ 0x2112).to_be_bytes();
            let seen = [0, 0x20, 0, 8, 0, 1, p, q, 203 ^ 0x21, 0x12, 113 ^ 0xA4, 9 ^ 0x42];
            let answer = [&[1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42][..], &bytes[8..20], &seen].concat();
            if answers {
                socket.send_to(&answer, from).expect("sent");
            }
        }
    });
    port
}

#[test]
fn what_the_stun_server_of_the_settings_sees_is_announced() {
    let ports = Ports::new();
    let asking = |server: u16| format!("media.stun_server=127.0.0.1:{server}");
    let answers = asking(stun_server(true));
    let report = ports.doctor(&["--set", &answers]);
    report.has("announced", "ok", &["127.0.0.1", "203.0.113.9"]);
    report.has("announced_seen", "ok", &["203.0.113.9"]);
    assert_eq!(report.code, Some(0), "{report:#?}");
    let report = ports.doctor(&["--set", &asking(stun_server(false))]);
    report.has("stun_unanswered", "warning", &["127.0.0.1"]);
    assert_eq!(report.code, Some(0), "no call fails for it alone: {report:#?}");
}

#[test]
fn certificates_are_looked_at_for_time_name_and_key() {
    let ports = Ports::new();
    let folder = std::env::temp_dir().join(format!("althing-doctor-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a directory");
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let make = |name: &str, year: i32| {
        let mut params = CertificateParams::new(["meet.example.org".to_owned()]).expect("names");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().expect("a key");
        fs::write(path(&format!("{name}.pem")), params.self_signed(&key).expect("a certificate").pem()).expect("written");
        fs::write(path(&format!("{name}.key")), key.serialize_pem()).expect("written");
    };
    make("old", 2021);
    make("good", 2090);
    let look = |cert: &str, key: &str, url: &str| {
        let (cert, key) = (format!("tls.cert={}", path(cert).display()), format!("tls.key={}", path(key).display()));
        ports.doctor(&["--set", "tls.mode=files", "--set", &cert, "--set", &key, "--url", url])
    };
    look("good.pem", "good.key", "https://meet.example.org").has("certificate", "ok", &[]);
    look("good.pem", "good.key", "https://talk.example.org").has("certificate_other_name", "problem", &["talk.example.org"]);
    look("old.pem", "old.key", "https://meet.example.org").has("certificate_unusable", "problem", &["expired", "renew"]);
    look("good.pem", "old.key", "https://meet.example.org").has("certificate_unusable", "problem", &["private key"]);
    look("none.pem", "old.key", "https://meet.example.org").has("certificate_unusable", "problem", &["none.pem", "tls.cert"]);
    let _taken = TcpListener::bind(("127.0.0.1", ports.other())).expect("bound");
    let (cert, key) = (format!("tls.cert={}", path("good.pem").display()), format!("tls.key={}", path("good.key").display()));
    let redirect = format!("tls.redirect=127.0.0.1:{}", ports.other());
    let report = ports.doctor(&["--set", "tls.mode=files", "--set", &cert, "--set", &key, "--set", &redirect]);
    report.has("port_taken", "problem", &["sent to HTTPS", "tls.redirect"]);
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_page_with_a_certificate_that_was_made_here_is_read() {
    let ports = Ports::new();
    let folder = std::env::temp_dir().join(format!("althing-doctor-made-{}", std::process::id()));
    let cache = format!("tls.cache={}", folder.display());
    let settings = ["--set", "tls.mode=dev", "--set", &cache];
    let _node = Running(ports.command("run", &["--log", "error"]).args(settings).stdout(Stdio::null()).spawn().expect("it starts"));
    until("the node is ready", || get(ports.admin(), "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let url = format!("https://localhost:{}", ports.http());
    ports.doctor(&[settings.as_slice(), &["--url", &url]].concat()).has("url", "ok", &[&url, "answers"]);
    // Another's, that nobody vouches for, is believed by no browser.
    ports.doctor(&["--url", &url]).has("url", "problem", &["does not answer"]);
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn settings_that_cannot_work_are_said_first_and_alone() {
    let report = Ports::new().doctor(&["--set", "rooms.voices=0"]);
    assert_eq!((report.code, report.problems()), (Some(1), vec!["settings"]));
    report.has("settings", "problem", &["rooms.voices"]);
}

#[test]
fn a_clock_that_is_off_is_a_problem() {
    let ports = Ports::new();
    // An address that no interface lists: another machine's clock, as far as can be seen.
    let listener = TcpListener::bind("127.0.0.2:0").expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, "Thu, 01 Jan 2015 00:00:00 GMT")));
    let report = ports.doctor(&["--url", &url]);
    report.has("clock", "problem", &["seconds ahead of", "127.0.0.2"]);
    assert_eq!(report.code, Some(1));
    // Nobody listens there.
    ports.doctor(&["--url", &format!("http://127.0.0.2:{}", ports.other())]).has("url", "problem", &["does not answer", "refused"]);
}

fn answer(mut stream: TcpStream, date: &str) {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").as_bytes());
}

#[test]
fn a_relay_that_does_not_answer_is_a_problem() {
    let ports = Ports::new();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound");
    let _kept = UdpSocket::bind(silent).expect("bound");
    let (urls, secret) = (format!("ice.urls=turn:{silent}?transport=udp"), format!("ice.secret={SECRET}"));
    let report = ports.doctor(&["--set", &urls, "--set", &secret]);
    assert_eq!((report.code, report.problems()), (Some(1), vec!["relay_silent"]), "{report:#?}");
    let urls = format!("ice.urls=turn:127.0.0.1:{}?transport=tcp", ports.other());
    ports.doctor(&["--set", &urls, "--set", &secret]).has("relay_unreachable", "problem", &["ice.urls"]);
}

#[test]
fn coturn_takes_our_credentials_and_refuses_others() {
    if Command::new("turnserver").arg("--help").output().is_err() {
        eprintln!("SKIPPED: there is no turnserver (Debian: apt install coturn), so nothing is known of a real relay");
        return;
    }
    let ports = Ports::new();
    let port = ports.other();
    let mut command = Command::new("turnserver");
    command.args(["-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=relay.example.org", "--use-auth-secret"]);
    command.args([format!("--listening-port={port}"), format!("--static-auth-secret={SECRET}")]);
    command.args([format!("--min-port={}", ports.0 + 40), format!("--max-port={}", ports.0 + 60)]);
    command.args(["--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout", "--pidfile=/dev/null"]);
    let _coturn = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    until("coturn listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for transport in ["udp", "tcp"] {
        let urls = format!("ice.urls=turn:127.0.0.1:{port}?transport={transport}");
        let report = ports.doctor(&["--set", &urls, "--set", &format!("ice.secret={SECRET}")]);
        report.has("relay", "ok", &["takes our credentials"]);
        let report = ports.doctor(&["--set", &urls, "--set", &format!("ice.secret=not-{SECRET}")]);
        report.has("relay_credentials", "problem", &["ice.secret"]);
    }
}
