//! Clients that are slow or silent, on purpose or not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::scene::{PATIENCE, scene, shake, tls, until};

const SHORT: Duration = Duration::from_millis(400);

/// Reads until the other end closes; how long that took.
async fn closed(mut stream: impl AsyncReadExt + Unpin) -> Duration {
    let begin = Instant::now();
    let mut all = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("closed");
    begin.elapsed()
}

/// The first bytes of a ClientHello of 512, and no more.
const HALF: [u8; 9] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_and_half_a_handshake_are_closed_in_time() {
    let scene = scene(|config| tls(config).handshake = SHORT).await;
    let silent = TcpStream::connect(scene.node.http).await.expect("connected");
    let mut half = TcpStream::connect(scene.node.http).await.expect("connected");
    half.write_all(&HALF).await.expect("sent");
    let (silent, half) = tokio::join!(closed(silent), closed(half));
    for took in [silent, half] {
        assert!((SHORT / 2..SHORT * 5).contains(&took), "neither sooner nor later: {took:?}");
    }
    assert_eq!(scene.metric("althing_tls_handshakes_total{result=\"timeout\"}").await, 2.0);

    let mut nonsense = TcpStream::connect(scene.node.http).await.expect("connected");
    nonsense.write_all(&[0x16, 9, 9, 0xff, 0xff, 0, 0]).await.expect("sent");
    closed(nonsense).await;
    assert_eq!(scene.metric("althing_tls_handshakes_total{result=\"failed\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_as_many_handshakes_as_there_may_be_and_whoever_comes_anew_gets_in() {
    const MOST: usize = 8;
    let scene = scene(|config| tls(config).handshakes = MOST).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(scene.node.http).await.expect("connected"));
    }
    let evicted = async || scene.metric("althing_tls_handshakes_total{result=\"evicted\"}").await as usize;
    until("all but the last are gone", async || evicted().await == 50 - MOST).await;
    let (http, url) = scene.http();
    let begin = Instant::now();
    let answer = http.get(format!("{url}/healthz")).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let mut open = 0;
    for mut stream in silent {
        open += usize::from(timeout(Duration::from_millis(20), stream.read_u8()).await.is_err());
    }
    assert_eq!(open, MOST - 1, "the one that came had the place of the oldest");
}

/// How long a connection lives on which only so much of a request comes, drop by drop.
async fn trickled(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> Duration {
    let begin = Instant::now();
    let dripping = async {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            if matches!(timeout(SHORT / 8, stream.read_u8()).await, Ok(Err(_))) {
                return;
            }
        }
    };
    timeout(PATIENCE, dripping).await.expect("closed");
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_comes_too_slowly_ends_its_connection_with_and_without_tls() {
    let secure = scene(|config| config.http.header = SHORT).await;
    let stream = shake(secure.node.http, "localhost", secure.authority.client(&[b"http/1.1"])).await.expect("a handshake");
    let took = trickled(stream).await;
    assert!((SHORT / 2..SHORT * 5).contains(&took), "{took:?}");

    let plain = scene(|config| (config.http.header, config.tls) = (SHORT, None)).await;
    for address in [plain.node.http, plain.node.admin] {
        let took = trickled(TcpStream::connect(address).await.expect("connected")).await;
        assert!((SHORT / 2..SHORT * 5).contains(&took), "{took:?}");
        assert!(idle_for(address).await < SHORT * 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_end_their_connection() {
    let plain = scene(|config| (config.http.header, config.tls) = (SHORT, None)).await;
    let mut stream = TcpStream::connect(plain.node.http).await.expect("connected");
    let requests = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    // The server reads no further requests once its answers do not go out.
    let asking = async { while stream.write_all(&requests).await.is_ok() {} };
    timeout(PATIENCE, asking).await.expect("closed");
}

async fn idle_for(address: SocketAddr) -> Duration {
    closed(TcpStream::connect(address).await.expect("connected")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_by_http2_without_requests_is_ended_and_a_socket_is_not() {
    let scene = scene(|config| config.http.header = SHORT).await;
    let mut socket = scene.socket().await;
    let mut stream = shake(scene.node.http, "localhost", scene.authority.client(&[b"h2"])).await.expect("a handshake");
    // The connection preface and empty SETTINGS (RFC 9113 section 3.4).
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    let begin = Instant::now();
    let mut said = Vec::new();
    let goaway = async {
        while frame(&said, 0x7).is_none() {
            assert!(stream.read_buf(&mut said).await.expect("open") > 0, "closed without a word");
        }
    };
    timeout(PATIENCE, goaway).await.expect("GOAWAY");
    assert!(begin.elapsed() < SHORT * 5, "{:?}", begin.elapsed());
    sleep(SHORT).await;
    socket.ask(althing::wire::Request::Ping {}).await;
}

/// Where a frame of this type begins among those that have come (RFC 9113 section 4.1).
fn frame(said: &[u8], kind: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(head) = said.get(at..at + 9) {
        if head[3] == kind {
            return Some(at);
        }
        at += 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    }
    None
}
