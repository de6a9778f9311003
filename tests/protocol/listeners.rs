//! Health, metrics, and what happens when a port is taken.

use althing::config::Config;
use althing::node::Node;
use althing::wire::Request;

use crate::client::{Client, get, node};

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
    let mut config = Config::default();
    config.http.listen = first.http;
    config.admin = ([127, 0, 0, 1], 0).into();
    config.media.port = 0;
    config.turn = None;
    let error = Node::start(config).await.err().expect("refused").to_string();
    assert!(error.contains(&first.http.to_string()) && error.contains("--set http.listen="), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_all_workers_share_is_not_shared_with_another_node() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port").port();
    let config = || {
        let mut config = Config::default();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.admin = ([127, 0, 0, 1], 0).into();
        config.media.bind = vec![[127, 0, 0, 1].into()];
        (config.media.port, config.media.workers, config.media.single_port) = (port, 2, true);
        config
    };
    let first = Node::start(config()).await.expect("the first one starts");
    let error = Node::start(config()).await.err().expect("the second one does not").to_string();
    assert!(error.contains(&port.to_string()) && error.contains("--set media.port="), "{error}");
    first.shut_down().await;
}
