//! A way that loses packets, between clients and a node: a wire for its media, and a signaling front that leads there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use althing::node::Node;
use tokio::net::UdpSocket;

/// Between clients and server: every datagram passes but each nth media packet of a picture, each way its own n; 0: all pass.
pub struct Wire {
    pub address: SocketAddr,
    pub dropped: Arc<AtomicU64>,
    pub to_server: Arc<AtomicU64>,
    pub to_clients: Arc<AtomicU64>,
}

/// One way of it.
#[derive(Clone)]
struct Way {
    drop_one_in: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    seen: u64,
}

/// Bytes from which a datagram counts as video: sound and reports are smaller.
const VIDEO_FROM: usize = 500;

impl Wire {
    pub async fn new(server: SocketAddr) -> Self {
        let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
        let address = outside.local_addr().expect("bound");
        let wire = Self { address, dropped: Arc::default(), to_server: Arc::default(), to_clients: Arc::default() };
        let way = |drop_one_in: &Arc<AtomicU64>| Way { drop_one_in: drop_one_in.clone(), dropped: wire.dropped.clone(), seen: 0 };
        let (mut there, back) = (way(&wire.to_server), way(&wire.to_clients));
        tokio::spawn(async move {
            let mut inside = BTreeMap::<SocketAddr, Arc<UdpSocket>>::new();
            let mut buffer = vec![0; 65_536];
            while let Ok((len, from)) = outside.recv_from(&mut buffer).await {
                let socket = match inside.get(&from) {
                    Some(socket) => socket.clone(),
                    None => {
                        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
                        socket.connect(server).await.expect("connected");
                        tokio::spawn(backwards(socket.clone(), outside.clone(), from, back.clone()));
                        inside.insert(from, socket.clone());
                        socket
                    }
                };
                if there.passes(&buffer[..len]) {
                    let _ = socket.send(&buffer[..len]).await;
                }
            }
        });
        wire
    }
}

impl Way {
    fn passes(&mut self, datagram: &[u8]) -> bool {
        let is_video = datagram.len() >= VIDEO_FROM && (128..192).contains(&datagram[0]) && !(192..=223).contains(&datagram[1]);
        let n = self.drop_one_in.load(Ordering::Relaxed);
        if n == 0 || !is_video {
            return true;
        }
        self.seen += 1;
        let drops = self.seen.is_multiple_of(n);
        self.dropped.fetch_add(u64::from(drops), Ordering::Relaxed);
        !drops
    }
}

async fn backwards(inside: Arc<UdpSocket>, outside: Arc<UdpSocket>, to: SocketAddr, mut way: Way) {
    let mut buffer = vec![0; 65_536];
    while let Ok(len) = inside.recv(&mut buffer).await {
        if way.passes(&buffer[..len]) {
            let _ = outside.send_to(&buffer[..len], to).await;
        }
    }
}

/// A signaling front that passes everything on, and writes the wire's address into the answers in place of the node's.
pub async fn signaling_that_names(node: &Node, wire: SocketAddr) -> SocketAddr {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let url = format!("ws://{}/ws", node.http);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let url = url.clone();
            tokio::spawn(async move {
                #[allow(clippy::result_large_err, reason = "the type that the library takes")]
                let protocol = |_: &Request, mut response: Response| {
                    response.headers_mut().insert("Sec-WebSocket-Protocol", althing::wire::SUBPROTOCOL.parse().expect("a header"));
                    Ok(response)
                };
                let client = tokio_tungstenite::accept_hdr_async(stream, protocol).await.expect("a WebSocket");
                let mut request = url.into_client_request().expect("an address");
                request.headers_mut().insert("Sec-WebSocket-Protocol", althing::wire::SUBPROTOCOL.parse().expect("a header"));
                let (server, _) = tokio_tungstenite::connect_async(request).await.expect("the node");
                let ((mut to_client, mut from_client), (mut to_server, mut from_server)) = (client.split(), server.split());
                let there = async {
                    while let Some(Ok(message)) = from_client.next().await {
                        if to_server.send(message).await.is_err() {
                            return;
                        }
                    }
                };
                let back = async {
                    while let Some(Ok(message)) = from_server.next().await {
                        let message = match message {
                            Message::Text(text) => Message::text(renamed(text.as_str(), wire)),
                            other => other,
                        };
                        if to_client.send(message).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = there => {}
                    () = back => {}
                }
            });
        }
    });
    address
}

/// The candidate lines of an answer, at the wire.
fn renamed(text: &str, wire: SocketAddr) -> String {
    let mut parts = text.split("a=candidate:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut fields: Vec<String> = part.splitn(7, ' ').map(str::to_owned).collect();
        (fields[4], fields[5]) = (wire.ip().to_string(), wire.port().to_string());
        out += &format!("a=candidate:{}", fields.join(" "));
    }
    out
}
