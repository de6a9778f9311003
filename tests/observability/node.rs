//! A node with everything switched on, and what it is asked.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use althing::config::{Config, TurnConfig};
use althing::node::Node;
use serde_json::Value;

use crate::nodes;

pub async fn start(folder: &Path, change: impl FnOnce(&mut Config)) -> Node {
    nodes::start(|config| {
        config.media.workers = 1;
        config.rooms.grace = Duration::from_secs(1);
        config.recording = Some(nodes::recording(folder));
        config.turn = Some(TurnConfig {
            tls_port: None,
            beside_pages: false,
            gather: Duration::ZERO,
            host: None,
            port: 0,
            ports: 42_000..=42_100,
            user_allocations: 12,
            allocations: 64,
            bytes_per_second: None,
            allow_peers: Vec::new(),
        });
        change(config);
    })
    .await
}

/// What the private listener answers.
pub async fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{admin}{path}")).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

pub async fn json(admin: SocketAddr, path: &str) -> Value {
    let (status, text) = get(admin, path).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// Runs promtool; what it has said, and whether all is well.
pub fn promtool(arguments: &[&str], input: Option<&str>) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian: apt-get install prometheus)");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.unwrap_or_default().as_bytes()).expect("taken");
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
