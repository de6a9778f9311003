//! The hands of the media plane: worker threads, sockets, batches.
//!
//! `media/` decides, this room carries out: it receives in batches, tells the engine the time and the bytes,
//! and sends what the engine wrote.

pub mod clock;
mod ports;
pub mod relay;
pub mod streams;
pub mod udp;
mod wakes;
pub mod worker;

pub use relay::RelaySetup;
pub use worker::{Ports, Started, Worker, WorkerConfig, spawn};
