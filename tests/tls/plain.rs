//! Plain requests where there is HTTPS, and plain listeners that send everybody there.

use std::net::SocketAddr;

use crate::scene::{scene, tls};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_is_sent_to_https_at_the_same_port() {
    let scene = scene(|_| ()).await;
    let (http, url) = scene.http();
    let answer = http.post(format!("{}/whip/hall/ada?x=1", url.replace("https", "http"))).body("v=0").send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 308);
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!(location, format!("{url}/whip/hall/ada?x=1"));
    assert_eq!(http.get(format!("{url}/healthz")).send().await.expect("an answer").status().as_u16(), 200);
    assert_eq!(scene.metric("althing_tls_handshakes_total{result=\"plain\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_listener_sends_everybody_to_the_port_of_https_and_serves_nothing() {
    let scene = scene(|config| tls(config).redirect = Some(SocketAddr::from(([127, 0, 0, 1], 0)))).await;
    let plain = scene.node.redirect.expect("a listener");
    let (http, url) = scene.http();
    for path in ["/", "/r/hall", "/healthz", "/ws"] {
        let answer = http.get(format!("http://localhost:{}{path}", plain.port())).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 308);
        assert_eq!(answer.headers()["location"].to_str().expect("text"), format!("{url}{path}"));
    }
}
