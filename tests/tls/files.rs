//! Certificates in files: what is negotiated with them, and what happens when they change.

use std::time::Duration;

use althing::config::{CertificateSource, Secret};
use althing::node::Node;
use althing::wire::Request;
use rustls::ProtocolVersion;
use tokio::time::sleep;

use crate::authority::Authority;
use crate::scene::{Folder, Socket, config, leaf, scene, shake, tls, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_by_http2_and_the_socket_by_http1_both_over_tls() {
    let scene = scene(|_| ()).await;
    let (http, url) = scene.http();
    let page = http.get(format!("{url}/healthz")).send().await.expect("an answer");
    assert_eq!((page.status().as_u16(), page.version()), (200, reqwest::Version::HTTP_2));
    assert_eq!(page.headers().get("strict-transport-security").and_then(|v| v.to_str().ok()), Some("max-age=31536000"));

    let mut socket = scene.socket().await;
    socket.ask(Request::join("hall", "ada", None)).await.expect("joined");
    socket.ask(Request::Ping {}).await;
    assert!(scene.metric("althing_tls_handshakes_total{result=\"ok\"}").await >= 2.0);
    let left = scene.metric("althing_tls_certificate_expires_seconds").await;
    assert!(left > 86_400.0 * 365.0 * 50.0, "it expires in 2090: {left}");
    scene.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_3_and_1_2_are_spoken_and_what_is_negotiated_is_what_a_client_lists() {
    let scene = scene(|_| ()).await;
    let roots = scene.authority.client(&[b"h2", b"http/1.1"]);
    let newest = shake(scene.node.http, "localhost", roots).await.expect("a handshake");
    assert_eq!(newest.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(newest.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let plain = shake(scene.node.http, "localhost", scene.authority.client(&[])).await.expect("a handshake");
    assert_eq!(plain.get_ref().1.alpn_protocol(), None);
    assert!(shake(scene.node.http, "localhost", scene.authority.client(&[b"acme-tls/1"])).await.is_err(), "no authority is expected");

    let old_client = scene.authority.old_client();
    let older = shake(scene.node.http, "localhost", old_client).await.expect("a handshake");
    assert_eq!(older.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_change_are_used_for_new_connections_and_old_ones_go_on() {
    let scene = scene(|_| ()).await;
    let mut socket = scene.socket().await;
    socket.ask(Request::join("hall", "ada", None)).await.expect("joined");
    assert_eq!(scene.shown().await, scene.first.der());

    let second = scene.authority.give();
    second.write(&scene.folder.cert(), &scene.folder.key());
    until("the second certificate is shown", async || scene.shown().await == second.der()).await;
    socket.ask(Request::Ping {}).await;

    // A certificate without its key, one that has expired, a key that is none: the second one stays.
    let third = scene.authority.give();
    std::fs::write(scene.folder.cert(), &third.cert).expect("written");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.shown().await, second.der());
    let ended = scene.authority.give_until(2021);
    ended.write(&scene.folder.cert(), &scene.folder.key());
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.shown().await, second.der());
    std::fs::write(scene.folder.key(), "no key").expect("written");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.shown().await, second.der());
    socket.ask(Request::Ping {}).await;

    third.write(&scene.folder.cert(), &scene.folder.key());
    until("the third certificate is shown", async || scene.shown().await == third.der()).await;
    socket.ask(Request::Ping {}).await;
    scene.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_certificate_before_is_not_resumed() {
    let scene = scene(|_| ()).await;
    let client = scene.authority.client(&[b"http/1.1"]);
    let visit = async || {
        let mut stream = shake(scene.node.http, "localhost", client.clone()).await.expect("a handshake");
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        (stream.get_ref().1.handshake_kind(), leaf(&stream))
    };
    visit().await;
    assert_eq!(visit().await.0, Some(rustls::HandshakeKind::Resumed));
    let second = scene.authority.give();
    second.write(&scene.folder.cert(), &scene.folder.key());
    until("the second certificate is shown", async || scene.shown().await == second.der()).await;
    assert_eq!(visit().await, (Some(rustls::HandshakeKind::Full), second.der()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_has_the_files_read_at_once_and_is_told_what_has_come_of_it() {
    let scene = scene(|config| tls(config).look_every = Duration::from_secs(3_600)).await;
    let second = scene.authority.give();
    second.write(&scene.folder.cert(), &scene.folder.key());
    sleep(Duration::from_millis(200)).await;
    assert_eq!(scene.shown().await, scene.first.der(), "nobody has looked yet");
    let days = scene.node.look_at_certificate().await.expect("files are looked at").expect("a good certificate");
    assert!(days > 365 * 50, "it expires in 2090: {days}");
    assert_eq!(scene.shown().await, second.der());

    std::fs::write(scene.folder.key(), "no key").expect("written");
    let refused = scene.node.look_at_certificate().await.expect("files are looked at").expect_err("a key that is none");
    assert!(refused.to_string().contains("key.pem"), "{refused}");
    assert_eq!(scene.shown().await, second.der());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_good_certificate_does_not_start_and_says_why() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let refused = async || {
        let source = CertificateSource::Files { cert: folder.cert(), key: folder.key() };
        Node::start(config(source)).await.err().expect("refused").to_string()
    };
    let missing = refused().await;
    assert!(missing.contains("cert.pem") && missing.contains("tls.cert"), "{missing}");
    let (one, other) = (authority.give(), authority.give());
    one.write(&folder.cert(), &folder.key());
    std::fs::write(folder.key(), &other.key).expect("written");
    let mismatch = refused().await;
    assert!(mismatch.contains("key.pem is not that of the certificate in"), "{mismatch}");
    authority.give_until(2021).write(&folder.cert(), &folder.key());
    let expired = refused().await;
    assert!(expired.contains("expired") && expired.contains("renew it"), "{expired}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_pages_are_those_by_https_of_whatever_http() {
    let secret = Secret::new("0123456789abcdef0123456789abcdef").expect("long enough");
    let scene = scene(|config| config.auth = [("main".to_owned(), secret)].into_iter().collect()).await;
    let (http, url) = scene.http();
    // By HTTP/2 there is no Host, but an :authority.
    let preflight = async |origin: String| {
        let asked = http.request(reqwest::Method::OPTIONS, format!("{url}/whip/hall/ada")).header("origin", origin);
        let answer = asked.send().await.expect("an answer");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        answer.status().as_u16()
    };
    assert_eq!(preflight(url.clone()).await, 200);
    assert_eq!(preflight(url.replace("https", "http")).await, 403, "whoever is in between may have written a plain page");
    assert_eq!(preflight("https://evil.example".into()).await, 403);

    let socket = format!("{}/ws", url.replace("https", "wss"));
    let open = async |origin: &str| Socket::try_open(&socket, scene.authority.client(&[]), Some(origin)).await.is_ok();
    assert!(open(&url).await);
    assert!(!open(&url.replace("https", "http")).await);
}
