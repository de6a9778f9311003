//! A participant for tests and proofs: signaling over WebSocket, and one peer connection of the `webrtc` crate.
//!
//! It publishes a stamped VP8-like video and a stamped Opus-like audio, and receives every slot pair. The stamps say
//! who sent a packet and the how-manieth it is, so that a receiver knows exactly what came, what came twice and what
//! never came. Nothing is encoded or decoded.
//!
//! - `signaling` asks and is answered, and hears events.
//! - `connection` makes the peer connection and negotiates it.
//! - `data` is another one, which has nothing but data channels.
//! - `socket` gives its UDP sockets a buffer in which a busy machine loses nothing.
//! - `key_frame` hears the requests for key frames.
//! - `media` writes the packets.
//! - `tally` counts them.

// Each test takes from here what it needs.
#![allow(dead_code, unused_imports)]

mod connection;
mod data;
mod key_frame;
mod media;
mod participant;
mod signaling;
/// The load tester has the same.
#[path = "../../src/load/full/socket.rs"]
mod socket;
mod tally;

pub use connection::Connection;
pub use data::DataConnection;
pub use media::{AUDIO_PERIOD, Audio, FRAME_PERIOD, VIDEO_BITRATE, VIDEO_PACKET, Video};
pub use participant::{Offered, Participant, Phase, Settings, View};
pub use signaling::{Refusal, Signaling};
pub use tally::{Count, Kind, Stamp, Tally};

/// Whatever went wrong, for people.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of whatever may go wrong.
pub type Result<T> = std::result::Result<T, Error>;
