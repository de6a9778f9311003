//! A node in this process, and a client that speaks to it over a socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use althing::config::{Config, Secret};
use althing::control::auth::TokenGrants;
use althing::node::Node;
use althing::wire::{ClientMessage, ErrorCode, Event, OkResult, Request, SUBPROTOCOL, ServerMessage, Source, VERSION};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(10);

/// A node on ports of its own.
pub async fn node() -> Node {
    node_with(|_| ()).await
}

/// A node that asks for tokens of the key `main`.
pub async fn guarded_node() -> Node {
    node_with(|config| config.auth = [("main".to_owned(), secret())].into_iter().collect()).await
}

pub fn secret() -> Secret {
    Secret::new(SECRET).expect("long enough")
}

/// What a token grants to whoever is no moderator.
pub fn everyones(room: &str) -> TokenGrants {
    let publish = Source::ALL.to_vec();
    TokenGrants { room: room.into(), join: true, publish, subscribe: true, chat: true, ..TokenGrants::default() }
}

pub async fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    super::logs::begin();
    super::nodes::start(change).await
}

/// A client at its socket.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u32,
    /// Events that came while an answer was awaited.
    pub events: VecDeque<(u64, Event)>,
    pub address: SocketAddr,
}

impl Client {
    /// Opens a socket and says nothing.
    pub async fn connect(node: &Node) -> Self {
        Self::try_connect(node, None).await.expect("a socket")
    }

    pub async fn try_connect(node: &Node, origin: Option<&str>) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{}/ws", node.http).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header"));
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("a header"));
        }
        let (socket, response) = connect_async(request).await?;
        assert_eq!(response.headers().get("sec-websocket-protocol").and_then(|v| v.to_str().ok()), Some(SUBPROTOCOL));
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("TLS") };
        let address = stream.local_addr().expect("an address");
        Ok(Self { socket, next: 0, events: VecDeque::new(), address })
    }

    /// Opens a socket and says hello.
    pub async fn greet(node: &Node) -> Self {
        let mut client = Self::connect(node).await;
        let welcome = client.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await;
        assert!(matches!(welcome, Ok(Some(OkResult::Welcome { .. }))), "{welcome:?}");
        client
    }

    /// Opens a socket and joins.
    pub async fn join(node: &Node, room: &str) -> (Self, Joined) {
        let mut client = Self::greet(node).await;
        let joined = client.enter(Request::join(room, "somebody", None)).await;
        let joined = joined.expect("joined");
        (client, joined)
    }

    /// Joins or resumes.
    pub async fn enter(&mut self, request: Request) -> Result<Joined, ErrorCode> {
        match self.ask(request).await? {
            Some(OkResult::Joined { me, resume, seq, members, chat, pairs, .. }) => {
                let members = members.into_iter().map(|m| m.member.0).collect();
                Ok(Joined { me: me.member.0, resume, seq, members, chat: chat.into_iter().map(|m| (m.number, m.text)).collect(), pairs })
            }
            other => panic!("not joined: {other:?}"),
        }
    }

    /// Asks for something and waits for the answer.
    pub async fn ask(&mut self, request: Request) -> Result<Option<OkResult>, ErrorCode> {
        self.next += 1;
        let id = self.next;
        self.send(&serde_json::to_string(&ClientMessage { id, request }).expect("JSON")).await;
        self.answer(id).await
    }

    pub async fn say(&mut self, text: &str, key: Option<&str>) -> Result<Option<OkResult>, ErrorCode> {
        self.ask(Request::Chat { text: text.into(), key: key.map(Into::into), echo: false }).await
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    pub async fn send_raw(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.socket.send(message).await
    }

    /// Sends a text frame that is not UTF-8; the library would not.
    pub async fn send_bad_text(&mut self) {
        use tokio::io::AsyncWriteExt;
        let MaybeTlsStream::Plain(stream) = self.socket.get_mut() else { panic!("TLS") };
        // FIN and text; masked, two bytes; a mask of zeros; an overlong encoding.
        stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xC0, 0x80]).await.expect("sent");
    }

    async fn answer(&mut self, wanted: u32) -> Result<Option<OkResult>, ErrorCode> {
        loop {
            match self.message().await {
                ServerMessage::Ok { id, result } => {
                    assert_eq!(id, wanted);
                    return Ok(result);
                }
                ServerMessage::Error { id, code, .. } => {
                    assert_eq!(id, Some(wanted), "{code:?}");
                    return Err(code);
                }
                ServerMessage::Event { seq, event } => self.events.push_back((seq, event)),
            }
        }
    }

    /// The next error, with or without an id.
    pub async fn error(&mut self) -> (Option<u32>, ErrorCode) {
        loop {
            match self.message().await {
                ServerMessage::Error { id, code, .. } => return (id, code),
                ServerMessage::Event { seq, event } => self.events.push_back((seq, event)),
                other => panic!("not an error: {other:?}"),
            }
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> (u64, Event) {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.message().await {
            ServerMessage::Event { seq, event } => (seq, event),
            other => panic!("not an event: {other:?}"),
        }
    }

    pub async fn message(&mut self) -> ServerMessage {
        self.try_message().await.unwrap_or_else(|closed| panic!("closed: {closed:?}"))
    }

    /// The next message, or how the socket was closed.
    pub async fn try_message(&mut self) -> Result<ServerMessage, Option<CloseFrame>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(text.as_str()).expect("a message")),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The code with which the socket is closed; what comes before is let go.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Err(frame) = self.try_message().await {
                return frame.map(|f| f.code.into());
            }
        }
    }

    /// Cuts the connection without a word, as a network does.
    pub fn cut(self) {
        drop(self.socket);
    }

    /// Closes the socket as a tab that is closed does.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.expect("closed");
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// What a join returned.
#[derive(Debug)]
pub struct Joined {
    pub me: String,
    pub resume: String,
    pub seq: u64,
    pub members: Vec<String>,
    pub chat: Vec<(u64, String)>,
    pub pairs: u32,
}

/// Asks a listener for a path; the status and the body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, text.split_once("\r\n\r\n").expect("a body").1.to_owned())
}
