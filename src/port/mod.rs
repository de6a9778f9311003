//! The mailboxes between the planes. `node` makes them; each side is handed its end.
//!
//! | mailbox | from → to | capacity | when full |
//! |---|---|---|---|
//! | commands | rooms → worker | [`COMMANDS`] | the sender is told; nothing is lost silently |
//! | events | worker → rooms | [`EVENTS`] | the worker keeps them and tries again next tick |
//! | report | worker → metrics | 1 | the newer report replaces the older one |
//! | streams | HTTPS listener → worker | [`STREAMS`] | the stream is closed and counted |
//! | rings | worker → worker | [`ring::RING`] bytes | the message is dropped and counted: nobody waits for another worker |
//! | tap rings | worker → recorder | [`tap::TAP_RING`] bytes | the packet is dropped and counted: the recording has a gap |

mod inbox;
mod prefixes;
pub mod ring;
mod sealed;
pub mod tap;
mod users;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::contract::{Event, WorkerReport};

pub use inbox::{Closed, Inbox, Overloaded, WorkerHandle, inbox};
pub use prefixes::StreamPrefixes;
pub use ring::{Bell, Rings, rings};
pub use sealed::{STREAMS, SealedStream};
pub use tap::{TapReader, TapWriter, tap};
pub use users::RelayUsers;

/// Commands that may wait for one worker: a storm of 500 joins into one room makes about 250 a tick.
pub const COMMANDS: usize = 16_384;
/// Events that may wait for the control plane, of all workers together.
pub const EVENTS: usize = 16_384;

/// The worker's end of the event mailbox.
pub type EventSender = tokio::sync::mpsc::Sender<Event>;
/// The control plane's end of the event mailbox.
pub type EventReceiver = tokio::sync::mpsc::Receiver<Event>;

/// The mailbox for events of all workers.
pub fn events() -> (EventSender, EventReceiver) {
    tokio::sync::mpsc::channel(EVENTS)
}

/// Where a worker leaves its latest report.
#[derive(Clone, Default)]
pub struct ReportSlot(Arc<ArcSwap<WorkerReport>>);

impl ReportSlot {
    /// Replaces the report.
    pub fn publish(&self, report: WorkerReport) {
        self.0.store(Arc::new(report));
    }

    /// The latest report.
    pub fn latest(&self) -> Arc<WorkerReport> {
        self.0.load_full()
    }
}
