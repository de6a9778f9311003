//! A member with a real connection (ICE, DTLS) that speaks SCTP by hand, and badly.

use std::net::SocketAddr;
use std::time::Duration;

use althing::base::random::Random;
use althing::wire::{OkResult, Request, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::client::Signaling;
use crate::hostile::{COOKIE_ECHO, FORWARD_TSN, chunk, data, init, packet};
use crate::transport::{Server, Transport, identity};

pub struct Attacker {
    transport: Transport,
    socket: UdpSocket,
    server: SocketAddr,
    tag: u32,
    _signaling: Signaling,
}

impl Attacker {
    /// Joins, connects, and begins an association.
    pub async fn connect(node: SocketAddr, room: &str) -> Self {
        let (signaling, _) = Signaling::open(&format!("ws://{node}/ws")).await.expect("a socket");
        signaling.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
        signaling.ask(Request::join(room, "", None)).await.expect("joined");
        let fingerprint = identity().fingerprint().value.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":");
        let sdp = [
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
            "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:evil\r\na=ice-pwd:evilevilevilevilevilevil\r\na=setup:actpass\r\na=sctp-port:5000\r\n",
            &format!("a=fingerprint:sha-256 {fingerprint}\r\n"),
        ];
        let answer = signaling.ask(Request::Offer { sdp: sdp.concat(), publish: vec![] }).await.expect("answered");
        let Some(OkResult::Answer { sdp, .. }) = answer else { panic!("not an answer") };
        let server = Server::read(&sdp).expect("an address");
        let mut transport = Transport::new(&server, "evil");
        transport.take_data();
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let mut attacker = Self { transport, socket, server: server.address, tag: 0, _signaling: signaling };
        let connected = timeout(Duration::from_secs(20), async {
            while !attacker.transport.is_connected() {
                attacker.turn(Duration::from_millis(50)).await;
            }
            attacker.begin().await;
        });
        connected.await.expect("connected");
        attacker
    }

    /// INIT and COOKIE ECHO, as often as it takes.
    async fn begin(&mut self) {
        while self.tag == 0 {
            self.say(&[init(7)]).await;
            self.turn(Duration::from_millis(100)).await;
            let Some(answer) = self.transport.data() else { continue };
            self.tag = u32::from_be_bytes(*answer[16..].first_chunk().expect("a tag"));
            let parameters = &answer[32..];
            let cookie = parameters[4..usize::from(u16::from_be_bytes([parameters[2], parameters[3]]))].to_vec();
            self.say(&[chunk(COOKIE_ECHO, 0, &cookie)]).await;
            self.turn(Duration::from_millis(100)).await;
        }
        self.say(&[data(1, 0, 0, 3, b"\0")]).await;
    }

    /// So many chunks; how many datagrams came back.
    pub async fn attack(&mut self, chunks: u32) -> u32 {
        let (mut random, mut answered) = (Random::new(9), 0);
        for n in 0..chunks {
            let (near, far) = (2 + random.next_u32() % 3_000, random.next_u32());
            let garbage: Vec<u8> = (0..random.next_u32() % 200).map(|_| random.next_u32() as u8).collect();
            let evil = match n % 6 {
                0 => data(near, (far % 80) as u16, (far >> 16) as u16, (far >> 8) as u8 & 7, &garbage),
                1 => data(far, 0, 0, 3, &garbage),
                2 => chunk(FORWARD_TSN, 0, &(1u32 << 30).wrapping_add(far).to_be_bytes()),
                3 => chunk([1, 4, 9, 14, 64, 130, 192, 255][far as usize % 8], 0, &garbage),
                4 => init(far | 1),
                _ => data(near, 1, 0, 7, &garbage),
            };
            // Now and then no SCTP at all.
            if n % 100 == 99 {
                self.send(&garbage).await;
            } else {
                self.say(&[evil]).await;
            }
            if n % 20 == 0 {
                answered += self.turn(Duration::from_millis(5)).await;
            }
        }
        answered
    }

    async fn say(&mut self, chunks: &[Vec<u8>]) {
        let packet = packet(if self.tag == 0 { 0 } else { self.tag }, chunks);
        self.send(&packet).await;
    }

    async fn send(&mut self, packet: &[u8]) {
        if let Some(datagram) = self.transport.seal_data(packet) {
            let _ = self.socket.send_to(&datagram, self.server).await;
        }
    }

    /// Takes what comes within a while, and does what is due.
    async fn turn(&mut self, span: Duration) -> u32 {
        let (mut out, mut came, mut buffer) = (Vec::new(), 0, [0; 2_048]);
        self.transport.tick(&mut out);
        for datagram in out.drain(..) {
            let _ = self.socket.send_to(&datagram, self.server).await;
        }
        while let Ok(Ok((len, _))) = timeout(span, self.socket.recv_from(&mut buffer)).await {
            came += 1;
            self.transport.take(&mut buffer[..len], &mut out);
            for datagram in out.drain(..) {
                let _ = self.socket.send_to(&datagram, self.server).await;
            }
            if came >= 50 {
                break;
            }
        }
        sleep(Duration::from_millis(1)).await;
        came
    }
}

/// What the node has counted. Workers report each second.
pub async fn metrics(admin: SocketAddr) -> String {
    sleep(Duration::from_millis(1_500)).await;
    let mut stream = TcpStream::connect(admin).await.expect("the admin listener");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("answered");
    text
}
