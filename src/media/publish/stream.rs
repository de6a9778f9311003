//! One SSRC that a peer sends.

use super::holes::Holes;
use super::reception::Reception;
use crate::media::transport::ReceiveStream;

/// SSRCs remembered for one peer. A browser sends two for each video and one for each audio m-line.
pub const MOST_STREAMS: usize = 64;

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Media.
    Media,
    /// RTX of the same encoding's media (RFC 4588).
    Repair,
    /// An encoding that the answer did not accept.
    Unwanted,
}

/// Where an SSRC belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The m-line.
    pub mline: u8,
    /// What it carries of it.
    pub kind: StreamKind,
    /// The number of the encoding.
    pub encoding: u8,
}

/// One SSRC: its SRTP state, its statistics, its holes.
#[derive(Debug)]
pub struct Stream {
    /// The SSRC.
    pub ssrc: u32,
    /// What it carries.
    pub kind: StreamKind,
    /// The m-line it belongs to.
    pub mline: u8,
    /// The number of the encoding that it is, or repairs.
    pub encoding: u8,
    /// Index and replay window of SRTP.
    pub srtp: ReceiveStream,
    /// Statistics for receiver reports.
    pub reception: Reception,
    /// What it has gone through since its peer was looked at.
    pub tally: Tally,
    /// What is missing of it.
    pub holes: Holes,
}

/// What a stream has gone through since its peer was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub(in crate::media) expected: u64,
    pub(in crate::media) lost: u64,
    /// The most jitter, in microseconds.
    pub(in crate::media) jitter: u32,
}

impl Stream {
    /// Where it belongs.
    pub const fn bound(&self) -> Bound {
        Bound { mline: self.mline, kind: self.kind, encoding: self.encoding }
    }

    /// It belongs somewhere else: what is missing of it was asked for in vain.
    pub fn bind(&mut self, Bound { mline, kind, encoding }: Bound) {
        (self.mline, self.kind, self.encoding) = (mline, kind, encoding);
        self.holes.clear();
    }

    /// A stream whose first packet has just authenticated.
    pub fn new(ssrc: u32, Bound { kind, mline, encoding }: Bound, srtp: ReceiveStream) -> Self {
        Self { ssrc, kind, mline, encoding, srtp, reception: Reception::default(), tally: Tally::default(), holes: Holes::default() }
    }
}
