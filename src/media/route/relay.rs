//! What workers say to each other about a room that lives on several: packets, and who wants them.
//!
//! ```text
//! importer ─► exporter   Demand (a track is wanted, and where its packets are to be put), KeyFrame
//! exporter ─► importer   Packet, Skipped, Clock
//! all      ─► listener   Voices
//! ```
//!
//! All of it is soft state: a message that is lost is said again, so that a full ring costs staleness and nothing else.
//! Rooms and tracks are named by identity, packets by the [`Handle`] that the importer gave: nothing is hashed for one.

mod bytes;
mod crossing;

use slotmap::DefaultKey;

use crate::base::{RoomId, TrackId, WorkerId};
use crate::media::publish::cache::PacketMeta;
use crate::media::publish::track::ClockLine;
use crate::media::transport::Path;

pub use bytes::{send_note, send_packet, send_skipped, send_stray};
pub use crossing::{Continuity, Export, Import};

/// Voices that one message names: as many as are ever said to speak.
pub const MOST_VOICES: usize = 10;

/// Takes messages for other workers.
pub trait RelaySink {
    /// Takes a message for a worker, in three parts; false when there is no room for it, and it is lost. What may be spared is
    /// refused earlier than the rest.
    fn send(&mut self, to: WorkerId, parts: [&[u8]; 3], spare: bool) -> bool;
}

/// Where an importer keeps a track: what its packets are addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The room's key in the importer's engine.
    pub room: DefaultKey,
    /// The track's index in that room.
    pub index: u32,
    /// The track: the index may be another's by now.
    pub track: TrackId,
}

/// What a room says to another worker, packets excepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// Whether the sender has subscribers for a track.
    Demand {
        /// The room.
        room: RoomId,
        /// The track.
        track: TrackId,
        /// A bit for each encoding that is wanted; 0 when it is wanted no longer.
        wanted: u8,
        /// Where its packets are to be put.
        handle: Handle,
    },
    /// Somebody at the sender needs a key frame.
    KeyFrame {
        /// The room.
        room: RoomId,
        /// The track.
        track: TrackId,
        /// The number of the encoding.
        encoding: u8,
    },
    /// An encoding's line of NTP against RTP, and its offset to our wall clock; none when it is not known any more.
    Clock {
        /// Whose.
        handle: Handle,
        /// The number of the encoding.
        encoding: u8,
        /// The line and the offset in microseconds.
        clock: Option<(ClockLine, i64)>,
    },
    /// Voices at the sender, loudest first, or those that it has chosen as the listener.
    Voices {
        /// The room.
        room: RoomId,
        /// What they are.
        are: VoicesAre,
        /// Audio level in −dBov of each.
        voices: Voices,
    },
    /// What comes on this path is the sender's: one of its checks has passed there (one port for all workers).
    PathIs {
        /// The path.
        path: Path,
        /// What the sender calls the peer.
        peer: u64,
    },
}

/// What a list of voices is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VoicesAre {
    /// Those that speak at the sender.
    Speaking,
    /// Those that are loud at the sender, be it with a word or not.
    Loud,
    /// Those that are to be forwarded; their levels say nothing.
    Forwarded,
}

/// Who speaks, and how loud (−dBov).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voices {
    count: u8,
    list: [(TrackId, u8); MOST_VOICES],
}

impl Voices {
    /// The first [`MOST_VOICES`] of a list.
    pub fn new(speaking: &[(TrackId, u8)]) -> Self {
        let mut voices = Self::default();
        for (place, voice) in voices.list.iter_mut().zip(speaking) {
            *place = *voice;
            voices.count += 1;
        }
        voices
    }

    /// Each track with its level.
    pub fn iter(&self) -> impl Iterator<Item = (TrackId, u8)> + '_ {
        self.list.iter().take(self.count.into()).copied()
    }

    /// Whether nobody speaks.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<(TrackId, u8)> for Voices {
    fn from_iter<I: IntoIterator<Item = (TrackId, u8)>>(voices: I) -> Self {
        let mut list = Self::default();
        for (place, voice) in list.list.iter_mut().zip(voices) {
            *place = voice;
            list.count += 1;
        }
        list
    }
}

/// A message as it is read.
#[derive(Debug)]
pub enum Message<'a> {
    /// A packet of a track.
    Packet {
        /// Where it belongs.
        handle: Handle,
        /// The number of its encoding.
        encoding: u8,
        /// What is known of it; [`PacketMeta::arrived`] is for the reader to say.
        meta: PacketMeta,
        /// Header and payload.
        packet: &'a [u8],
    },
    /// A number of a track that will never come as a packet.
    Skipped {
        /// Where it belongs.
        handle: Handle,
        /// The number of its encoding.
        encoding: u8,
        /// The number.
        sequence: u64,
        /// The generation that it belongs to.
        generation: u32,
    },
    /// Anything else.
    Note(Note),
    /// A datagram of one of the reader's peers that arrived at the sender (one port for all workers).
    Stray {
        /// How it came.
        path: Path,
        /// The datagram.
        datagram: &'a [u8],
    },
}

#[cfg(test)]
mod tests;
