//! What waits to be sent to a client: bounded in messages and in bytes. A client that is too slow loses its socket,
//! never the room's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::close_code;
use tokio::sync::{mpsc, watch};

use crate::wire::ByeReason;

/// Messages that may wait: a room of 500 that all publish at once makes about 1,000.
pub const MESSAGES: usize = 2_048;
/// Bytes that may wait; one message may always, however long.
pub const BYTES: usize = 2 * 1024 * 1024;

/// The sending end: cheap to clone, never waits.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<String>,
    bytes: Arc<AtomicUsize>,
    end: Arc<watch::Sender<Option<End>>>,
}

/// The socket's end.
pub struct Waiting {
    queue: mpsc::Receiver<String>,
    bytes: Arc<AtomicUsize>,
    /// Becomes `Some` when the socket has to close.
    pub end: watch::Receiver<Option<End>>,
}

/// How a socket is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The last message.
    pub last: Option<String>,
    /// The close code (RFC 6455 section 7.4).
    pub code: u16,
    /// The close reason.
    pub reason: &'static str,
    /// What waits is not sent: the client does not take it anyway.
    pub at_once: bool,
}

/// Too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

/// An outbox and its other end.
pub fn outbox() -> (Outbox, Waiting) {
    let (queue, queue_end) = mpsc::channel(MESSAGES);
    let bytes = Arc::new(AtomicUsize::new(0));
    let (end, end_seen) = watch::channel(None);
    (Outbox { queue, bytes: bytes.clone(), end: Arc::new(end) }, Waiting { queue: queue_end, bytes, end: end_seen })
}

impl Outbox {
    /// Adds a message. A socket that is closing takes it and drops it.
    ///
    /// # Errors
    /// When too much waits; the message is dropped.
    pub fn push(&self, text: String) -> Result<(), TooSlow> {
        let len = text.len();
        let before = self.bytes.fetch_add(len, Ordering::Relaxed);
        if before > 0 && before.saturating_add(len) > BYTES {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
            return Err(TooSlow);
        }
        match self.queue.try_send(text) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.bytes.fetch_sub(len, Ordering::Relaxed);
                Err(TooSlow)
            }
        }
    }

    /// Closes the socket; the first end counts.
    pub fn finish(&self, end: End) {
        self.end.send_if_modified(|place| {
            let first = place.is_none();
            if first {
                *place = Some(end);
            }
            first
        });
    }
}

impl Waiting {
    /// The next message; `None` when nobody can add any.
    pub async fn next(&mut self) -> Option<String> {
        let text = self.queue.recv().await?;
        self.bytes.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }

    /// The next message that waits already.
    pub fn next_now(&mut self) -> Option<String> {
        let text = self.queue.try_recv().ok()?;
        self.bytes.fetch_sub(text.len(), Ordering::Relaxed);
        Some(text)
    }
}

impl End {
    /// A session is over; `last` says so to the client.
    pub fn bye(last: String, reason: ByeReason) -> Self {
        let (code, text) = match reason {
            ByeReason::Kicked => (close_code::POLICY, "kicked"),
            ByeReason::Replaced => (close_code::NORMAL, "replaced"),
            ByeReason::Resumed => (close_code::NORMAL, "resumed"),
            ByeReason::TooSlow => (close_code::POLICY, "too slow"),
            ByeReason::ShuttingDown => (close_code::AWAY, "shutting down"),
            ByeReason::Ended => (close_code::NORMAL, "ended"),
        };
        Self { last: Some(last), code, reason: text, at_once: reason == ByeReason::TooSlow }
    }

    /// The room is lost, and with it the number of the next event: the close code alone says so.
    pub fn failed() -> Self {
        Self::close(close_code::ERROR, "the room is lost")
    }

    /// Closes without a message.
    pub const fn close(code: u16, reason: &'static str) -> Self {
        Self { last: None, code, reason, at_once: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_is_bounded_in_messages_and_takes_more_when_it_is_emptied() {
        let (outbox, mut waiting) = outbox();
        for _ in 0..MESSAGES {
            assert_eq!(outbox.push("x".into()), Ok(()));
        }
        assert_eq!(outbox.push("x".into()), Err(TooSlow));
        assert_eq!(waiting.next_now().as_deref(), Some("x"));
        assert_eq!(outbox.push("x".into()), Ok(()));
    }

    #[test]
    fn an_outbox_is_bounded_in_bytes_but_takes_one_long_message() {
        let (outbox, mut waiting) = outbox();
        assert_eq!(outbox.push("x".repeat(BYTES + 1)), Ok(()));
        assert_eq!(outbox.push("x".into()), Err(TooSlow));
        waiting.next_now();
        assert_eq!(outbox.push("x".into()), Ok(()));
        assert_eq!(outbox.push("x".repeat(BYTES)), Err(TooSlow));
    }

    #[test]
    fn the_first_end_counts() {
        let (outbox, waiting) = outbox();
        outbox.finish(End::close(1000, "first"));
        outbox.finish(End::close(1001, "second"));
        assert_eq!(waiting.end.borrow().as_ref().map(|e| e.reason), Some("first"));
    }
}
