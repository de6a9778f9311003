//! Joining a real node: many who come at once, and what those who only wait cost it.

mod client;
mod light;
mod nodes;

use std::time::Duration;

use althing::node::Node;
use light::{Light, Wish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

async fn node() -> Node {
    nodes::start(|config| config.media.workers = 1).await
}

/// The sum of a metric over all labels.
async fn metric(node: &Node, name: &str) -> f64 {
    let mut socket = TcpStream::connect(node.admin).await.expect("the admin listener");
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("asked");
    let mut text = String::new();
    socket.read_to_string(&mut text).await.expect("answered");
    let values = text.lines().filter(|l| l.starts_with(name)).filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

/// How often the worker's loop turned in `span`.
async fn ticks(node: &Node, span: Duration) -> f64 {
    // The figure is from the last report, which may be a second old.
    sleep(Duration::from_millis(1_500)).await;
    let before = metric(node, "althing_worker_ticks_total").await;
    sleep(span).await;
    metric(node, "althing_worker_ticks_total").await - before
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_who_come_at_once_all_receive_and_a_call_beside_them_loses_nothing() {
    let node = node().await;
    let outcome = light::storm::storm(&format!("ws://{}/ws", node.http), 60).await.expect("they come");
    assert_eq!(outcome.receiving, 60);
    assert!(outcome.call_offered > 100, "{outcome:?}");
    assert_eq!(outcome.call_lost, 0, "{outcome:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_sleeps_and_members_who_only_wait_wake_it_for_reports_and_consent() {
    const WAITING: u16 = 20;
    let node = node().await;
    assert!(ticks(&node, Duration::from_secs(3)).await <= 1.0, "nobody is there");

    let mut waiting = Vec::new();
    for number in 0..WAITING {
        let wish = Wish { url: format!("ws://{}/ws", node.http), room: "waiting".into(), number, sends: None, publishes: true };
        waiting.push(Light::join(wish).await.expect("joined"));
    }
    while metric(&node, "althing_dtls_handshakes_total{result=\"completed\"").await < f64::from(WAITING) {
        sleep(Duration::from_millis(100)).await;
    }
    let turns = ticks(&node, Duration::from_secs(10)).await;
    // A second each: one turn for its reports, a quarter of a check; one for the worker's own report. Both figures may be a
    // second old.
    let most = 12.0 * (f64::from(WAITING) * 1.25 + 1.0);
    assert!(turns > 0.0 && turns < most, "{turns} turns in 10 s, at most {most}");
    let held = metric(&node, "althing_memory_bytes{kind=\"peers\"").await;
    assert!(held > 1_000.0 * f64::from(WAITING), "{held} bytes of {WAITING} peers");

    waiting.into_iter().for_each(Light::abandon);
    node.shut_down().await;
}
