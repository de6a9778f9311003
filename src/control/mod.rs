//! The control plane: who may join, what members say to each other and to the server, and what the workers are told.
//!
//! The way of a message: `http` (listener) → `signaling` (socket → message → session) → the room's actor → the pure
//! [`rooms::Room`] → effects: answers and events into members' outboxes, commands into a worker's inbox. Workers'
//! events come back through [`dispatch`]. WHIP and WHEP (`whip`) come in by HTTP and end at the same rooms.
//! Programs that run a service come by the HTTP API ([`api`]). What is kept of rooms is served by `recordings`.
//! Whoever wants to be called waits in a lobby ([`calls`]), which works the same way; an accepted call is held in a room.

pub mod admin;
pub mod api;
pub mod auth;
pub mod calls;
pub mod dispatch;
pub mod draw;
pub mod egress;
pub mod events;
pub mod http;
pub mod outward;
pub mod p2p;
pub mod recordings;
pub mod refusal;
pub mod rooms;
pub mod signaling;
pub mod trace;
pub mod whip;

pub use refusal::{Limit, Refusal};
