//! What both ends know of a track that crosses: who wants it of us, and how what comes goes on.

use super::Handle;
use crate::base::{Time, WorkerId};
use crate::contract::MOST_ENCODINGS;

/// A worker that has subscribers for one of our tracks.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// The worker.
    pub worker: WorkerId,
    /// Where it wants the packets.
    pub handle: Handle,
    /// A bit for each encoding that it wants.
    pub wanted: u8,
    /// Unless it says again that it wants them, they end then.
    pub until: Time,
}

impl Export {
    /// Whether it wants an encoding.
    pub const fn wants(&self, encoding: u8) -> bool {
        self.wanted >> encoding & 1 == 1
    }
}

/// What an imported track is beside a track.
#[derive(Clone, Debug)]
pub struct Import {
    /// The worker of its publisher.
    pub from: WorkerId,
    /// The encodings of which that worker was told that somebody here wants them, a bit for each.
    pub wanted: u8,
    /// When to say so again.
    pub demand_due: Time,
    /// Demands since anything came.
    pub unanswered: u32,
    /// When to say again that nobody wants what comes nevertheless.
    pub refusal_due: Time,
    /// Of each encoding, its generation and its highest number.
    encodings: [Option<(u32, u64)>; MOST_ENCODINGS],
}

/// What a packet means for its import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// It goes on.
    GoesOn,
    /// The publisher's track has begun a new generation.
    NewGeneration,
    /// More is missing than is ever repaired.
    Broken,
}

impl Import {
    /// An import that nobody has asked for yet.
    pub const fn new(from: WorkerId) -> Self {
        Self { from, wanted: 0, demand_due: Time::ZERO, unanswered: 0, refusal_due: Time::ZERO, encodings: [None; MOST_ENCODINGS] }
    }

    /// A number of one of the publisher's streams has come. A gap of more than `most` breaks the stream.
    pub fn follow(&mut self, encoding: u8, generation: u32, sequence: u64, most: u64) -> Continuity {
        self.unanswered = 0;
        let Some(known) = self.encodings.get_mut(usize::from(encoding)) else { return Continuity::GoesOn };
        let before = known.replace((generation, sequence));
        match before {
            None => Continuity::GoesOn,
            Some((before, _)) if before != generation => Continuity::NewGeneration,
            Some((_, highest)) => {
                *known = Some((generation, highest.max(sequence)));
                if sequence > highest + most + 1 { Continuity::Broken } else { Continuity::GoesOn }
            }
        }
    }
}
