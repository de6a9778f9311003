//! A light participant for proofs of joining: real signaling, ICE, DTLS and SRTP on a socket of its own, nothing repaired
//! and nothing reported, so that hundreds of them leave the machine to the server.
//!
//! - `offer` writes Chromium's offer with as many slot pairs as are needed.
//! - `transport` connects: checks, handshake, packets.
//! - `participant` joins, negotiates, sends and counts.
//! - `cost` measures the server's CPU beside one bare handshake.
//! - `storm` lets many come at once.

#![allow(dead_code, reason = "each of those who share it takes what it needs")]

pub mod cost;
mod offer;
mod participant;
pub mod storm;
mod transport;

#[allow(unused_imports, reason = "likewise")]
pub use participant::{Light, Sends, Wish};
