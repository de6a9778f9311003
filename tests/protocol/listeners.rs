//! Health, metrics, and what happens when a port is taken.

use althing::node::Node;
use althing::wire::{ErrorCode, PublishLine, Request, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, get, node, node_with};
use crate::nodes;

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_are_served() {
    let node = node().await;
    for address in [node.http, node.admin] {
        assert_eq!(get(address, "/healthz").await, (200, "ok".into()));
        assert_eq!(get(address, "/readyz").await, (200, "ok".into()));
    }
    assert_eq!(get(node.http, "/").await.0, 200);
    assert!(!get(node.http, "/metrics").await.1.contains("althing_rooms"), "metrics are private");
    let (mut client, _) = Client::join(&node, "r").await;
    client.send("nonsense").await;
    client.error().await;
    client.ask(Request::Ping {}).await.expect("answered");
    let (status, metrics) = get(node.admin, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "althing_rooms 1",
        "althing_members 1",
        "althing_signaling_sockets 1",
        "althing_joins_total{result=\"ok\"} 1",
        "althing_signaling_errors_total{code=\"malformed\"} 1",
        "althing_signaling_messages_total{result=\"ok\",type=\"join\"} 1",
        "althing_signaling_messages_total{result=\"ok\",type=\"ping\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_the_setting_that_helps() {
    let first = node().await;
    let mut config = nodes::config();
    config.http.listen = first.http;
    let error = Node::start(config).await.err().expect("refused").to_string();
    assert!(error.contains(&first.http.to_string()) && error.contains("--set http.listen="), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_all_workers_share_is_not_shared_with_another_node() {
    let first = nodes::start(|config| (config.media.workers, config.media.single_port) = (2, true)).await;
    let port = first.media[0].port();
    assert!(first.media.iter().all(|at| at.port() == port), "{:?}", first.media);
    let mut config = nodes::config();
    (config.media.port, config.media.workers, config.media.single_port) = (port, 2, true);
    let error = Node::start(config).await.err().expect("the second one does not").to_string();
    assert!(error.contains(&port.to_string()) && error.contains("--set media.port="), "{error}");
    first.shut_down().await;
}

/// The status of a request to the private listener that names this host.
async fn status_for(node: &Node, host: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(node.admin).await.expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_listener_is_asked_by_address_or_by_a_name_that_is_set() {
    let node = nodes::start(|config| config.admin_hosts = vec!["althing.internal".into()]).await;
    let at = node.admin.to_string();
    for path in ["/metrics", "/healthz", "/calls", "/calls/list", "/rooms/any/journal", "/api/v1/events"] {
        let plain = status_for(&node, &at, path).await;
        assert_ne!(plain, 421, "{path} by address");
        for host in ["localhost", "althing.internal:9090"] {
            assert_eq!(status_for(&node, host, path).await, plain, "{path} as {host}");
        }
        // A name of an attacker's that leads to 127.0.0.1 in a victim's browser.
        for host in ["rebound.evil.example", "rebound.evil.example:9090", "127.0.0.1.evil.example", ""] {
            assert_eq!(status_for(&node, host, path).await, 421, "{path} as {host}");
        }
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_only_so_much_of_is_refused_by_its_code_and_counted_by_its_name() {
    let node = node_with(|config| (config.rooms.max, config.rooms.members, config.rooms.tracks) = (1, 2, 1)).await;
    let counted = async || {
        let text = get(node.admin, "/metrics").await.1;
        ["rooms", "members", "tracks", "kept"].map(|limit| {
            let line = format!("althing_limits_reached_total{{limit=\"{limit}\"}} ");
            text.lines().find_map(|said| said.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or_else(|| panic!("{line} is not in\n{text}"))
        })
    };
    assert_eq!(counted().await, [0; 4]);
    let (mut ada, _) = Client::join(&node, "one").await;
    let (_ben, _) = Client::join(&node, "one").await;
    for (room, so_far) in [("one", [0, 1, 0, 0]), ("another", [1, 1, 0, 0])] {
        let mut late = Client::greet(&node).await;
        assert_eq!(late.enter(Request::join(room, "late", None)).await.err(), Some(ErrorCode::Full), "{room}");
        assert_eq!(counted().await, so_far);
    }
    let sdp = crate::calls::offer(&[("audio", "sendonly"), ("video", "sendonly")], 1);
    let line = |mid: &str, source| PublishLine { mid: mid.into(), source, muted: false, fallback: false };
    let both = vec![line("0", Source::Microphone), line("1", Source::Camera)];
    assert_eq!(ada.ask(Request::Offer { sdp: sdp.clone(), publish: both }).await.err(), Some(ErrorCode::LimitExceeded));
    assert_eq!(counted().await, [1, 1, 1, 0]);
    ada.ask(Request::Offer { sdp, publish: vec![line("0", Source::Microphone)] }).await.expect("one is published");
    node.shut_down().await;
}
