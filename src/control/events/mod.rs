//! Events that one can make a bill of: what happens in rooms is written to a log on the disk, and told from there to whoever is configured to
//! hear it. docs/EVENTS.md says it for receivers, adr/0025 why it is so.
//!
//! The way of an event: `Room::apply` → `Effect::Happened` → the room's [`Book`] (number, time) → the log's thread (place, identity; one fsync
//! for all that has come) → behind it each receiver's task, and whoever reads by HTTP.

mod deliver;
mod event;
pub mod http;
mod log;
mod read;
mod segment;
mod sign;
mod standing;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use self::deliver::{Receiver, Secrets};
use self::log::Log;
use self::read::{Kept, Reader};
use crate::config::{EventsConfig, WebhookSecret};
use crate::control::auth::unix_time;
use crate::control::draw;
use crate::control::rooms::RoomName;
use crate::metrics::EventMetrics;
use crate::record::jobs::MixedDown;

pub use event::{Draft, Event, Kind, Reason, What};

/// How long what is not delivered yet is still delivered when the node ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the disk may take to have everything when the node ends.
const DISK: Duration = Duration::from_secs(5);
/// Events that are looked at for one page: a room that is named may be in none of them.
const LOOKED_AT: usize = 10_000;

/// The log of a node. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Log>);

/// What a room writes into.
pub struct Book {
    events: Events,
    room: RoomName,
    session: String,
    seq: u64,
}

/// A part of the log.
#[derive(PartialEq, Debug)]
pub struct Page {
    /// Events, as they are delivered.
    pub events: Vec<Vec<u8>>,
    /// Where the next page begins.
    pub after: u64,
    /// Whether there may be more at present.
    pub more: bool,
}

impl Events {
    /// Opens the log of a folder. What a node before this one has left open is closed.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written to, or another node has it.
    pub fn open(config: &EventsConfig, metrics: EventMetrics) -> io::Result<Self> {
        Ok(Self(Arc::new(Log::open(config, metrics)?)))
    }

    /// Delivers to whoever is configured, until `closing` and five seconds longer. The tasks end then.
    ///
    /// # Errors
    /// When it cannot be read what was delivered.
    pub fn deliver(&self, config: &EventsConfig, closing: &watch::Receiver<bool>) -> io::Result<Deliveries> {
        let webhooks = Arc::new(config.webhooks.clone());
        let secrets = Secrets::new(ArcSwap::from_pointee(webhooks.secrets.clone()));
        let receivers = webhooks.urls.iter().map(|url| Receiver::new(self.0.shared.clone(), (webhooks.clone(), secrets.clone()), url.clone()));
        let receivers = receivers.collect::<io::Result<Vec<_>>>()?;
        self.0.shared.metrics.receivers(receivers.len());
        let tasks = receivers.into_iter().map(|receiver| tokio::spawn(receiver.run(closing.clone(), FAREWELL))).collect();
        Ok(Deliveries { tasks, secrets })
    }

    /// The book of a room that is opened.
    pub fn book(&self, room: RoomName) -> Book {
        Book { events: self.clone(), room, session: draw::hex::<8>(), seq: 0 }
    }

    /// Waits until all that was written lasts; not for longer than a disk should need.
    pub async fn flush(&self) {
        if !self.0.flush(DISK).await {
            tracing::error!("not all events are on the disk");
        }
    }

    /// The events behind `after`, `limit` of them at most; of one room, if it is named.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub fn page(&self, after: u64, room: Option<&str>, limit: usize) -> io::Result<Page> {
        let lasting = *self.0.shared.lasting.borrow();
        let mut reader = Reader::new(self.0.shared.clone(), after.min(lasting));
        let (mut events, mut through, mut looked) = (Vec::new(), after.min(lasting), 0);
        'page: while events.len() < limit && looked < LOOKED_AT {
            let kept = reader.read(LOOKED_AT)?;
            if kept.is_empty() {
                through = through.max(reader.through());
                break;
            }
            for Kept { place, json } in kept {
                if events.len() >= limit {
                    break 'page;
                }
                (through, looked) = (place, looked + 1);
                if room.is_none_or(|room| serde_json::from_slice::<Event>(&json).is_ok_and(|event| event.room == room)) {
                    events.push(json);
                }
            }
        }
        Ok(Page { events, after: through, more: through < lasting })
    }
}

impl Book {
    /// Something has happened now.
    pub fn write(&mut self, what: What) {
        self.seq += 1;
        let at = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        self.events.0.write(Draft { room: self.room.clone(), session: self.session.clone(), seq: self.seq, at, what });
    }
}

/// Writes down what is made of recordings, until nothing is made any more. Each is a session of its own: the room may be over, and this node another.
pub async fn follow_jobs(mut made: mpsc::Receiver<MixedDown>, events: Events) {
    while let Some(MixedDown { room, recording, file, made, took }) = made.recv().await {
        // A manifest that was put there from elsewhere may name anything.
        let Ok(room) = RoomName::new(&room) else { continue };
        let (file, seconds) = (file.to_owned(), (took.as_millis() as f64) / 1_000.0);
        let what = match made {
            Ok(bytes) => What::MixdownFinished { recording, file, bytes, seconds },
            Err(why) => What::MixdownFailed { recording, file, error: why.code().to_owned(), seconds },
        };
        events.book(room).write(what);
    }
}

/// What is delivered at present.
pub struct Deliveries {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    secrets: Secrets,
}

impl Deliveries {
    /// What is sent from now on is signed with these secrets.
    pub fn take_up(&self, secrets: &[WebhookSecret]) {
        self.secrets.store(Arc::new(secrets.to_vec()));
    }

    /// Waits until the tasks have ended: a few seconds after the node has said that it ends.
    pub async fn ended(self) {
        for task in self.tasks {
            // One that has panicked has said so.
            let _ = task.await;
        }
    }
}
