//! A node in a process of its own, which can be sent signals and killed.

// Each test takes from here what it needs.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Whatever is waited for has to come within this; a busy machine needs some of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node that ends with the test; one that fails is told what it has logged.
pub struct Process {
    child: Running,
    /// Its public listener.
    pub http: SocketAddr,
    /// Its private one.
    pub admin: SocketAddr,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a node on this machine alone, with ports that the system gives and these settings (`name=value`), and waits until it is ready.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_by(&mut Command::new(env!("CARGO_BIN_EXE_althing")), settings)
    }

    /// The same by a command that takes the program's arguments.
    pub fn start_by(command: &mut Command, settings: &[&str]) -> Self {
        let common = ["http.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "media.port=0", "media.bind=127.0.0.1", "turn.enabled=false"];
        Self::spawn(command.args(common.iter().chain(settings).flat_map(|setting| ["--set", setting])))
    }

    /// The same by a command that has its settings. Where it listens it says at info: the log has to have that line.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the node starts"));
        let outputs: [Box<dyn Read + Send>; 2] = [Box::new(child.0.stderr.take().expect("piped")), Box::new(child.0.stdout.take().expect("piped"))];
        let said = Arc::new(Said::default());
        said.lock().open = outputs.len();
        let readers = outputs.map(|output| {
            let said = said.clone();
            std::thread::spawn(move || said.take_from(output))
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut node = Self { child, http: nowhere, admin: nowhere, said, readers: readers.into() };
        let ready = node.read(" ready: ");
        let at = |name: &str| {
            let address = ready.split(' ').find_map(|word| word.strip_prefix(name)?.parse().ok());
            address.unwrap_or_else(|| panic!("no {name} in `{ready}`"))
        };
        (node.http, node.admin) = (at("http="), at("admin="));
        node
    }

    /// Waits until the log has a line with this, behind the one that was read last.
    pub fn read(&self, what: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.said.lock();
        loop {
            while let Some(line) = lines.all.get(lines.read).cloned() {
                lines.read += 1;
                if line.contains(what) {
                    return line;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(lines.open > 0 && !left.is_zero(), "no line says `{what}`");
            lines = self.said.more.wait_timeout(lines, left).expect("no panic while locked").0;
        }
    }

    /// All that it has written so far.
    pub fn log(&self) -> String {
        self.said.lock().all.join("\n")
    }

    /// Sends it a signal (`TERM`, `KILL`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.0.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.0.try_wait().expect("waited for").is_none()
    }

    /// Waits until it has ended; the log is whole then.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.readers.drain(..).for_each(|reader| reader.join().expect("no panic"));
        self.child.0.wait().expect("waited for")
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.0.kill().expect("killed");
        self.ended();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the node {} has said:\n{}", self.child.0.id(), self.log());
        }
    }
}

/// What a node has written.
#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    /// So many were read.
    read: usize,
    /// Outputs that are not at their ends.
    open: usize,
}

impl Said {
    fn take_from(&self, output: Box<dyn Read + Send>) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            self.lock().all.push(line);
            self.more.notify_all();
        }
        self.lock().open -= 1;
        self.more.notify_all();
    }

    /// A test that fails while it waits leaves the lines as they are.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
