//! A server that speaks S3, and a way to it that can be cut and slowed down.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use althing::config::{S3Config, Secret};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The server: it ends with this.
pub struct Server {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub at: SocketAddr,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

impl Server {
    pub fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = here.join("target/moto");
        let python = if installed.join(".installed").exists() { installed.join("bin/python") } else { "python3".into() };
        let started =
            Command::new(python).arg(here.join("tests/s3/server.py")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.expect("python3");
        let questions = child.stdin.take().expect("its input");
        let mut answers = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("its first line");
        let said: Value = serde_json::from_str(&line).expect("moto says where it is; `make target/moto/.installed` installs it");
        let text = |key: &str| said[key].as_str().expect("text").to_owned();
        let at = text("endpoint").trim_start_matches("http://").parse().expect("an address");
        Self { child, questions, answers, at, bucket: text("bucket"), access_key: text("access_key"), secret_key: text("secret_key") }
    }

    pub fn config(&self, at: SocketAddr) -> S3Config {
        S3Config {
            endpoint: Some(format!("http://{at}")),
            region: "us-east-1".into(),
            bucket: self.bucket.clone(),
            prefix: "meet/hall".into(),
            access_key: Secret::of_others(&self.access_key).expect("a key"),
            secret_key: Secret::of_others(&self.secret_key).expect("a secret"),
            path_style: true,
            keep_local: Duration::ZERO,
        }
    }

    fn ask(&mut self, what: &str) -> Value {
        writeln!(self.questions, "{what}").expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Names of objects, and their bytes.
    pub fn objects(&mut self) -> Vec<(String, u64)> {
        let all = self.ask("objects");
        all.as_object().expect("objects").iter().map(|(name, bytes)| (name.clone(), bytes.as_u64().expect("bytes"))).collect()
    }

    pub fn has(&mut self, name: &str) -> bool {
        self.objects().iter().any(|(known, _)| known == name)
    }

    /// Objects in parts that are not whole.
    pub fn uploads(&mut self) -> u64 {
        self.ask("uploads").as_u64().expect("a number")
    }

    pub fn drop_object(&mut self, name: &str) {
        self.ask(&format!("drop {name}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A way to a server.
#[derive(Clone)]
pub struct Way {
    pub at: SocketAddr,
    open: Arc<AtomicBool>,
    /// Bytes that went there.
    pub there: Arc<AtomicU64>,
    /// Bytes that go either way in a hundredth of a second at most.
    slow: Arc<AtomicU64>,
}

impl Way {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let way = Self { at, open: Arc::new(AtomicBool::new(true)), there: Arc::default(), slow: Arc::new(AtomicU64::new(u64::MAX)) };
        let kept = way.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if kept.is_open() {
                    tokio::spawn(kept.clone().carry(client, server));
                }
            }
        });
        way
    }

    /// Cuts it, or mends it: what is under way breaks off.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// As many bytes go either way in a second at most, on each connection.
    pub fn slow_down(&self, bytes: u64) {
        self.slow.store(bytes / 100, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    async fn pass(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), passed: &AtomicU64) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let most = buffer.len().min(usize::try_from(self.slow.load(Ordering::Relaxed)).unwrap_or(usize::MAX)).max(1);
            match from.read(&mut buffer[..most]).await {
                Ok(bytes) if bytes > 0 && to.write_all(&buffer[..bytes]).await.is_ok() => {
                    passed.fetch_add(bytes as u64, Ordering::Relaxed);
                    if self.slow.load(Ordering::Relaxed) < u64::MAX {
                        sleep(Duration::from_millis(10)).await;
                    }
                }
                _ => return,
            }
        }
    }

    async fn carry(self, client: TcpStream, server: SocketAddr) {
        let Ok(upstream) = TcpStream::connect(server).await else { return };
        let ((mut from, mut to), (mut back_from, mut answers)) = (client.into_split(), upstream.into_split());
        std::mem::swap(&mut to, &mut answers);
        // `to` leads to the server now, and `answers` to the client.
        let there = self.pass(&mut from, &mut to, &self.there);
        let back = AtomicU64::new(0);
        let back_again = self.pass(&mut back_from, &mut answers, &back);
        let cut = async {
            while self.is_open() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = there => {}
            () = back_again => {}
            () = cut => {}
        }
    }
}
