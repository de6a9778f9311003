//! Whole processes: a server as it is run, and load testers beside it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const ALTHING: &str = env!("CARGO_BIN_EXE_althing");

/// A process that ends with its owner.
pub struct Process(Child);

impl Process {
    /// Stops it, as if it were never scheduled again.
    pub fn freeze(&self) {
        let id = rustix::process::Pid::from_raw(self.0.id() as i32).expect("a process");
        rustix::process::kill_process(id, rustix::process::Signal::STOP).expect("stopped");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on ports of its own.
pub struct Server {
    process: Process,
    http: u16,
    admin: u16,
}

impl Server {
    /// Starts one with more settings, as `name=value`.
    pub fn start(settings: &[&str]) -> Self {
        let [http, admin] = [free_port(), free_port()];
        let mut command = Command::new(ALTHING);
        let own = [
            format!("http.listen=127.0.0.1:{http}"),
            format!("admin.listen=127.0.0.1:{admin}"),
            "log.level=warn".into(),
            "media.port=0".into(),
            "turn.enabled=false".into(),
        ];
        own.iter().map(String::as_str).chain(settings.iter().copied()).for_each(|setting| {
            command.args(["--set", setting]);
        });
        let process = Process(command.env("ALTHING_MEDIA__BIND", "127.0.0.1").stderr(Stdio::null()).spawn().expect("the server starts"));
        let server = Self { process, http, admin };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", admin)).is_err() || server.metrics().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Begins a load tester at this server.
    pub fn begin_load(&self, arguments: &[&str]) -> (Process, PathBuf) {
        let report = std::env::temp_dir().join(format!("althing-load-{}-{}.json", std::process::id(), free_port()));
        let child = Command::new(ALTHING)
            .args(["load", "--quiet", "--url", &format!("ws://127.0.0.1:{}/ws", self.http)])
            .args(["--server-pid", &self.process.0.id().to_string(), "--json"])
            .arg(&report)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn();
        (Process(child.expect("the load tester starts")), report)
    }

    /// Runs a load tester to its end; its figures.
    pub fn load(&self, arguments: &[&str]) -> Value {
        let (mut process, report) = self.begin_load(arguments);
        let status = process.0.wait().expect("it ends");
        let text = fs::read_to_string(&report).unwrap_or_else(|e| panic!("the load tester has left no report ({status}): {e}"));
        let _ = fs::remove_file(report);
        serde_json::from_str(&text).expect("JSON")
    }

    /// The sum of a metric over workers and labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let of_it = text.lines().filter(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        of_it.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.admin)) else { return text };
        let _ = socket.write_all(b"GET /metrics HTTP/1.0\r\n\r\n");
        let _ = socket.read_to_string(&mut text);
        text
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}
