//! The signaling socket: requests with their answers, and events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use althing::wire::{ClientMessage, ErrorCode, Event, OkResult, Request, SUBPROTOCOL, ServerMessage};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Result;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = std::result::Result<Option<OkResult>, Refusal>;
type Waiting = Arc<Mutex<HashMap<u32, oneshot::Sender<Answer>>>>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that the server refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused ({:?}): {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

/// An open signaling socket.
#[derive(Clone)]
pub struct Signaling {
    sink: Arc<AsyncMutex<SplitSink<Socket, Message>>>,
    waiting: Waiting,
    next: Arc<AtomicU32>,
}

impl Signaling {
    /// Opens `url` (`ws://…/ws`); what the server says by itself comes on the channel, which ends with the socket.
    ///
    /// # Errors
    /// When the server cannot be reached or does not speak our protocol.
    pub async fn open(url: &str) -> Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let (sink, stream) = socket.split();
        let (event_tx, events) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        tokio::spawn(listen(stream, Arc::clone(&waiting), event_tx));
        let sink = Arc::new(AsyncMutex::new(sink));
        Ok((Self { sink, waiting, next: Arc::new(AtomicU32::new(1)) }, events))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// A [`Refusal`], or when the socket is lost or the answer takes too long.
    pub async fn ask(&self, request: Request) -> Result<Option<OkResult>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer_tx, answer) = oneshot::channel();
        self.waiting.lock().expect("no panic while locked").insert(id, answer_tx);
        let text = serde_json::to_string(&ClientMessage { id, request })?;
        self.send(&text).await?;
        Ok(tokio::time::timeout(PATIENCE, answer).await.map_err(|_| "no answer in time")?.map_err(|_| "the signaling socket was lost")??)
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// When the socket is lost.
    pub async fn send(&self, text: &str) -> Result<()> {
        Ok(self.sink.lock().await.send(Message::text(text)).await?)
    }

    /// Closes the socket.
    pub async fn close(&self) {
        let _ = self.sink.lock().await.close().await;
    }
}

async fn listen(mut stream: SplitStream<Socket>, waiting: Waiting, events: mpsc::UnboundedSender<Event>) {
    // Pings are answered by the stream itself while it is read.
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let (id, answer) = match serde_json::from_str(text.as_str()) {
            Ok(ServerMessage::Event { event, .. }) => {
                let _ = events.send(event);
                continue;
            }
            Ok(ServerMessage::Ok { id, result }) => (id, Ok(result)),
            Ok(ServerMessage::Error { id: Some(id), code, message, .. }) => (id, Err(Refusal { code, message })),
            Ok(ServerMessage::Error { id: None, code, message, .. }) => {
                eprintln!("the server could not read a message: {code:?} {message}");
                continue;
            }
            Err(error) => {
                eprintln!("the server said what the protocol does not know: {error}");
                continue;
            }
        };
        let waiter = waiting.lock().expect("no panic while locked").remove(&id);
        if let Some(waiter) = waiter {
            let _ = waiter.send(answer);
        }
    }
    waiting.lock().expect("no panic while locked").clear();
}
