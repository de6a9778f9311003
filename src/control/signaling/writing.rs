//! The writing half of a socket: what waits in the outbox, pings, last words.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::outbox::{End, Waiting};

/// A closing socket may take so long to take its last messages.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes of waiting messages that go out with one write. More saves system calls when a room fills, less keeps the
/// buffer of each socket small.
const BATCH_BYTES: usize = 16 * 1024;

/// Writes until the socket has to close or fails. Pings keep the way open and show that the client is there.
pub async fn write(mut sink: SplitSink<WebSocket, Message>, mut waiting: Waiting, heartbeat: Duration) {
    let mut end = waiting.end.clone();
    let mut beat = interval_at(Instant::now() + heartbeat, heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            _ = end.wait_for(Option::is_some) => break,
            text = waiting.next() => match text {
                Some(text) => Message::Text(text.into()),
                None => break,
            },
            _ = beat.tick() => Message::Ping(Default::default()),
        };
        let at_once = async {
            let _ = end.wait_for(|e| e.as_ref().is_some_and(|e| e.at_once)).await;
        };
        tokio::select! {
            sent = write_batch(&mut sink, message, &mut waiting) => if sent.is_err() { return },
            () = at_once => break,
        }
    }
    let end = waiting.end.borrow().clone();
    let _ = timeout(LAST_WORDS, last_words(sink, waiting, end)).await;
}

/// Writes a message and what waits behind it, up to [`BATCH_BYTES`] at once.
async fn write_batch(sink: &mut SplitSink<WebSocket, Message>, first: Message, waiting: &mut Waiting) -> Result<(), axum::Error> {
    let mut bytes = 0;
    sink.feed(first).await?;
    while bytes < BATCH_BYTES
        && let Some(text) = waiting.next_now()
    {
        bytes += text.len();
        sink.feed(Message::Text(text.into())).await?;
    }
    sink.flush().await
}

async fn last_words(mut sink: SplitSink<WebSocket, Message>, mut waiting: Waiting, end: Option<End>) -> Result<(), axum::Error> {
    let end = end.unwrap_or(End::close(close_code::NORMAL, ""));
    while let Some(text) = waiting.next_now().filter(|_| !end.at_once) {
        sink.send(Message::Text(text.into())).await?;
    }
    if let Some(last) = end.last {
        sink.send(Message::Text(last.into())).await?;
    }
    sink.send(Message::Close(Some(CloseFrame { code: end.code, reason: end.reason.into() }))).await
}
