//! How the ways between a worker and a peer have done: what is told of them, and from when on it is worth telling.

use super::event::LinkState;
use crate::base::TrackId;

/// In thousandths: from this share of lost packets on, what repairs cannot bring back in time is seen and heard.
pub const LOSSY_PER_MILLE: u16 = 50;
/// In milliseconds: with more jitter browsers play later, or leave gaps.
pub const JITTERY_MS: u32 = 50;
/// In milliseconds: with a longer round trip people talk over each other.
pub const DISTANT_MS: u32 = 400;
/// In milliseconds: a picture that waits longer for a key frame is seen to stand still.
pub const STANDS_STILL_MS: u32 = 1_000;

/// How a peer's connection has done for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// How long that was, in milliseconds.
    pub over_ms: u32,
    /// To the peer and back, as its receiver reports say, in milliseconds.
    pub round_trip_ms: Option<u32>,
    /// What its link carries, where it says what it receives.
    pub link: Option<LinkState>,
    /// Of what it publishes, what has not done well.
    pub received: Vec<Flow>,
    /// Of what it is sent, what has not done well.
    pub sent: Vec<Flow>,
}

/// How a track has come, or has gone out to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Which track.
    pub track: TrackId,
    /// Of a thousand packets, so many were lost on the way, repairs not regarded.
    pub loss_per_mille: u16,
    /// The most jitter, in milliseconds.
    pub jitter_ms: u32,
    /// Nothing came, although somebody wants it.
    pub silent: bool,
    /// For so long nothing could be shown, because a key frame is waited for, in milliseconds.
    pub waits_ms: u32,
}

impl Flow {
    /// Whether somebody may have noticed.
    pub const fn is_noticeable(&self) -> bool {
        self.silent || self.loss_per_mille >= LOSSY_PER_MILLE || self.jitter_ms >= JITTERY_MS || self.waits_ms >= STANDS_STILL_MS
    }
}

impl Health {
    /// Whether somebody may have noticed.
    pub fn is_noticeable(&self) -> bool {
        !self.received.is_empty() || !self.sent.is_empty() || self.round_trip_ms.is_some_and(|ms| ms >= DISTANT_MS)
    }
}
