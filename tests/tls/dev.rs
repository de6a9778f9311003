//! A certificate of the server's own making.

use althing::config::CertificateSource;
use althing::node::Node;

use crate::authority::trusting;
use crate::scene::{Folder, PATIENCE, Socket, config, leaf, shake};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_good_for_whoever_accepts_it_stays_the_same_and_binds_no_browser_to_https() {
    let folder = Folder::new();
    let start = async || Node::start(config(CertificateSource::Development { cache: folder.0.clone() })).await.expect("the node starts");
    let node = start().await;
    let own = std::fs::read(folder.0.join("development.pem")).expect("kept");
    let client = trusting(&own, &[]);
    let first = leaf(&shake(node.http, "127.0.0.1", client.clone()).await.expect("a handshake"));
    Socket::open(&format!("wss://localhost:{}/ws", node.http.port()), client.clone()).await;

    let root = reqwest::Certificate::from_pem(&own).expect("a certificate");
    let http = reqwest::Client::builder().tls_certs_only([root]).timeout(PATIENCE).build().expect("a client");
    let answer = http.get(format!("https://localhost:{}/healthz", node.http.port())).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert!(!answer.headers().contains_key("strict-transport-security"), "nobody could pass its warning any more");
    node.shut_down().await;

    let again = start().await;
    assert_eq!(leaf(&shake(again.http, "127.0.0.1", client).await.expect("a handshake")), first);
    again.shut_down().await;
}
