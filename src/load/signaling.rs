//! The WebSocket front of a node, from the client's side.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::presence::Failure;
use crate::wire::{ClientMessage, Event, OkResult, Request, SUBPROTOCOL, ServerMessage, VERSION};

/// How long an answer may take. A join in a storm of hundreds waits for those before it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open signaling socket.
pub struct Signaling {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u32,
    events: VecDeque<Event>,
}

impl Signaling {
    /// Opens `url` and says hello.
    ///
    /// # Errors
    /// When the server cannot be reached or does not speak our protocol.
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let not_open = |e: tungstenite::Error| Failure::new(reason_of(&e), format!("{url}: {e}"));
        let mut request = url.into_client_request().map_err(not_open)?;
        if let Ok(protocol) = SUBPROTOCOL.parse() {
            request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        }
        let connected = timeout(PATIENCE, connect_async(request)).await;
        let (socket, _) = connected.map_err(|_| Failure::new("the server does not answer", url))?.map_err(not_open)?;
        let mut signaling = Self { socket, next: 0, events: VecDeque::new() };
        signaling.ask(Request::Hello { versions: vec![VERSION], features: Vec::new() }).await?;
        Ok(signaling)
    }

    /// The address of the server's end.
    pub fn server(&self) -> Option<std::net::IpAddr> {
        let stream = match self.socket.get_ref() {
            MaybeTlsStream::Plain(stream) => stream,
            MaybeTlsStream::Rustls(stream) => stream.get_ref().0,
            _ => return None,
        };
        stream.peer_addr().ok().map(|a| a.ip().to_canonical())
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// A refusal with the server's code, or when the socket is lost or the answer takes too long.
    pub async fn ask(&mut self, request: Request) -> Result<Option<OkResult>, Failure> {
        self.next += 1;
        let (id, name) = (self.next, request.name());
        let text = serde_json::to_string(&ClientMessage { id, request }).map_err(|e| Failure::new("a request cannot be written", e))?;
        self.socket.send(Message::text(text)).await.map_err(|e| Failure::new("the signaling socket was lost", e))?;
        let answered = timeout(PATIENCE, self.answer(id)).await;
        answered.map_err(|_| Failure::new("no answer in time", format!("`{name}` was not answered within {} s", PATIENCE.as_secs())))?
    }

    /// The next event; `None` when the socket is closed.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            // An answer that nobody waits for any more is no news.
            self.read().await?;
        }
    }

    /// Leaves and closes.
    pub async fn leave(mut self) {
        let goodbye = async {
            let _ = self.ask(Request::Leave {}).await;
            let _ = self.socket.close(None).await;
        };
        let _ = timeout(Duration::from_secs(5), goodbye).await;
    }

    async fn answer(&mut self, id: u32) -> Result<Option<OkResult>, Failure> {
        loop {
            match self.read().await {
                None => return Err(Failure::new("the signaling socket was lost", "the server closed it")),
                Some(Some(ServerMessage::Ok { id: of, result })) if of == id => return Ok(result),
                Some(Some(ServerMessage::Error { id: of, code, message, .. })) if of.is_none_or(|of| of == id) => {
                    return Err(Failure::new(format!("refused: {}", code.name()), message));
                }
                Some(_) => {}
            }
        }
    }

    /// Reads a message; an event is put aside. Pings are answered by the stream itself while it is read.
    async fn read(&mut self) -> Option<Option<ServerMessage>> {
        let text = match self.socket.next().await? {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => return Some(None),
        };
        if !concerns_us(text.as_str()) {
            return Some(None);
        }
        match serde_json::from_str(text.as_str()) {
            Ok(ServerMessage::Event { event, .. }) => {
                self.events.push_back(event);
                Some(None)
            }
            message => Some(message.ok()),
        }
    }
}

/// Of events, only some are read: in a room that fills, everybody hears of everybody, and that would be most of our work.
fn concerns_us(text: &str) -> bool {
    if !text.starts_with("{\"type\":\"event\"") {
        return true;
    }
    let kind = text.split_once("\"event\":{\"type\":\"").and_then(|(_, rest)| rest.split('"').next());
    matches!(kind, Some("need" | "slots" | "restart" | "bye"))
}

fn reason_of(error: &tungstenite::Error) -> &'static str {
    match error {
        tungstenite::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => "nothing listens there",
        tungstenite::Error::Io(_) => "the server cannot be reached",
        tungstenite::Error::Http(_) | tungstenite::Error::Protocol(_) => "no signaling front there",
        tungstenite::Error::Url(_) => "not a ws:// or wss:// address",
        tungstenite::Error::Tls(_) => "TLS failed",
        _ => "the signaling socket failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ByeReason, MemberId, MemberInfo};

    #[test]
    fn what_others_do_is_not_read_and_what_concerns_us_is() {
        let text = |event| serde_json::to_string(&ServerMessage::Event { seq: 3, event }).expect("plain data");
        let member = MemberInfo {
            member: MemberId("a".into()),
            name: "need slots".into(),
            moderator: false,
            away: false,
            tracks: vec![],
            hand: None,
            metadata: String::new(),
            attributes: Default::default(),
        };
        assert!(!concerns_us(&text(Event::MemberJoined { member })));
        assert!(!concerns_us(&text(Event::Speakers { members: vec![MemberId("bye".into())] })));
        for event in [Event::Need { pairs: 4 }, Event::Slots { slots: vec![] }, Event::Restart {}, Event::Bye { reason: ByeReason::Kicked }] {
            assert!(concerns_us(&text(event)));
        }
        assert!(concerns_us(&serde_json::to_string(&ServerMessage::Ok { id: 1, result: None }).expect("plain data")));
    }
}
