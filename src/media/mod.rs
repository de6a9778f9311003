//! The media plane: pure machines that are told the time and the bytes, and return bytes and events.
//!
//! `packet` reads and writes what travels in a datagram, `rewrite` turns one source's packets into those of
//! the slot that a subscriber sees.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod packet;
pub mod rewrite;
