//! One signaling socket: bytes → message (sizes, rate, form) → session (what is allowed now) → the room, and back
//! through a bounded outbox.

pub mod encode;
mod lobby;
mod message;
mod outbox;
mod session;
mod socket;
mod writing;

pub use outbox::{End, Outbox};
pub use socket::{Front, serve};
