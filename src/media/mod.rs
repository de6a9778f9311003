//! The media plane: a pure machine that is told the time and the bytes, and returns bytes and events.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod transport;
