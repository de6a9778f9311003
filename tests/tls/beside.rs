//! The relay at the port of the pages: who wants what is told apart after the handshake.

use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::message::{BINDING_REQUEST, CLASS_REQUEST, Getter, METHOD_ALLOCATE, Message, MessageType, Setter};
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::reqtrans::RequestedTransport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::scene::{PATIENCE, Scene, scene, shake, until};

/// A node whose relay is at the port of the pages.
async fn beside() -> Scene {
    scene(|config| {
        let mut turn = althing::config::Config::default().turn.expect("there is one by default");
        (turn.port, turn.beside_pages) = (0, true);
        config.turn = Some(turn);
    })
    .await
}

async fn stream(scene: &Scene) -> TlsStream<TcpStream> {
    naming(scene, &[]).await
}

/// A stream whose client says that it speaks these (ALPN).
async fn naming(scene: &Scene, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    shake(scene.node.http, "localhost", scene.authority.client(protocols)).await.expect("a handshake")
}

fn request(kind: MessageType, id: u8, content: &[&dyn Setter]) -> Vec<u8> {
    let mut message = Message { typ: kind, transaction_id: rtc_stun::message::TransactionId([id; 12]), ..Message::new() };
    message.write_header();
    content.iter().for_each(|setter| setter.add_to(&mut message).expect("it fits"));
    message.raw
}

async fn answer(stream: &mut TlsStream<TcpStream>) -> Message {
    let mut bytes = vec![0; 20];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("in time").expect("an answer");
    let rest = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    bytes.resize(20 + rest, 0);
    timeout(PATIENCE, stream.read_exact(&mut bytes[20..])).await.expect("in time").expect("the rest of it");
    let mut message = Message::new();
    message.unmarshal_binary(&bytes).expect("a message");
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_and_pages_share_a_port() {
    let scene = beside().await;
    let allocate = request(MessageType::new(METHOD_ALLOCATE, CLASS_REQUEST), 1, &[&RequestedTransport { protocol: PROTO_UDP }]);
    let mut relayed = stream(&scene).await;
    // In two records, of which the listener sees the first.
    relayed.write_all(&allocate[..7]).await.expect("sent");
    relayed.flush().await.expect("sent");
    sleep(Duration::from_millis(50)).await;
    relayed.write_all(&allocate[7..]).await.expect("sent");
    let challenge = answer(&mut relayed).await;
    let mut refused = ErrorCodeAttribute::default();
    refused.get_from(&challenge).expect("a refusal");
    assert_eq!((refused.code.0, challenge.contains(ATTR_NONCE), challenge.contains(ATTR_REALM)), (401, true, true));
    // The same stream goes on in the worker.
    relayed.write_all(&request(BINDING_REQUEST, 2, &[])).await.expect("sent");
    assert_eq!(answer(&mut relayed).await.transaction_id.0, [2; 12]);
    until("the worker counts it", async || scene.metric(r#"althing_worker_streams{worker="0"}"#).await >= 1.0).await;

    // Two requests in one record: what the listener has opened is not lost.
    let mut both = stream(&scene).await;
    both.write_all(&[request(BINDING_REQUEST, 3, &[]), request(BINDING_REQUEST, 4, &[])].concat()).await.expect("sent");
    assert_eq!([answer(&mut both).await.transaction_id.0, answer(&mut both).await.transaction_id.0], [[3; 12], [4; 12]]);

    // Clients of RFC 7443 name what they speak, and coturn's names HTTP before it.
    for protocols in [&[&b"stun.turn"[..]][..], &[b"http/1.1", b"stun.turn", b"stun.nat-discovery"]] {
        let mut named = naming(&scene, protocols).await;
        named.write_all(&request(BINDING_REQUEST, 5, &[])).await.expect("sent");
        assert_eq!(answer(&mut named).await.transaction_id.0, [5; 12], "{protocols:?}");
    }

    // Pages and sockets are where they were, with and without a protocol named.
    let mut plain = stream(&scene).await;
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut text = String::new();
    timeout(PATIENCE, plain.read_to_string(&mut text)).await.expect("in time").expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("ok"), "{text}");
    let (client, url) = scene.http();
    assert_eq!(client.get(format!("{url}/healthz")).send().await.expect("an answer").status(), 200);
    scene.socket().await;
    scene.node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_after_the_handshake_does_not_stay_and_a_relays_garbage_ends_it() {
    let scene = scene(|config| {
        let mut turn = althing::config::Config::default().turn.expect("there is one by default");
        (turn.port, turn.beside_pages) = (0, true);
        (config.turn, config.http.header) = (Some(turn), Duration::from_millis(300));
    })
    .await;
    let mut silent = stream(&scene).await;
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0; 1])).await.expect("closed in time").unwrap_or(0), 0);
    let mut garbage = stream(&scene).await;
    garbage.write_all(&[&[0, 1, 0xFF, 0xFF][..], &[0xFF; 600]].concat()).await.expect("sent");
    assert_eq!(timeout(PATIENCE, garbage.read(&mut [0; 1])).await.expect("closed in time").unwrap_or(0), 0);
    scene.node.shut_down().await;
}
