//! The media plane: the whole SFU as a pure machine. It is told the time and the bytes, and returns bytes and events.
//!
//! In, for each packet: `engine` → `demux` → `transport` → `publish` (the cache). Out, once a tick: `route/fanout` walks every
//! subscriber's legs: `rewrite` → seal → `outgoing`. `room` holds all state of a room as one value; `peer` one connection of it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod demux;
pub mod engine;
pub mod pace;
pub mod packet;
pub mod peer;
pub mod publish;
pub mod rewrite;
pub mod room;
pub mod route;
pub mod schedule;
pub mod select;
pub mod transport;
pub mod watch;
