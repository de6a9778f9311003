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
    /// RTX of the same m-line's media (RFC 4588).
    Repair,
    /// An encoding that the answer did not accept.
    Unwanted,
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
    /// Index and replay window of SRTP.
    pub srtp: ReceiveStream,
    /// Statistics for receiver reports.
    pub reception: Reception,
    /// What is missing of it.
    pub holes: Holes,
}

impl Stream {
    /// A stream whose first packet has just authenticated.
    pub fn new(ssrc: u32, kind: StreamKind, mline: u8, srtp: ReceiveStream) -> Self {
        Self { ssrc, kind, mline, srtp, reception: Reception::default(), holes: Holes::default() }
    }
}
