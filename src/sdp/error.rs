//! Why an offer is refused. It is always the offerer's fault, and the same offer never succeeds later.

use std::fmt;

use crate::contract::Mid;

/// Why an offer was refused. A refused offer has changed nothing. The text says what is wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// More bytes than allowed; nothing of it was read.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The size allowed.
        limit: usize,
    },
    /// Not a session description (RFC 8866), or an attribute without its form.
    Malformed(String),
    /// Something that must be unique is there twice.
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        value: String,
    },
    /// More m-lines than allowed.
    TooManyMlines {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// No `a=fingerprint` (RFC 8122) where the transport is described.
    NoFingerprint,
    /// Only fingerprints by weak hash functions (SHA-1, MD5) or unknown ones.
    WeakFingerprint,
    /// No `a=ice-ufrag` or no `a=ice-pwd` (RFC 8839).
    NoIce,
    /// ICE attributes that cannot be used; says which.
    BadIce(&'static str),
    /// Not all m-lines are in one BUNDLE group (RFC 9143).
    NoBundle,
    /// An m-line without `a=rtcp-mux` (RFC 5761).
    NoRtcpMux {
        /// Its mid.
        mid: Mid,
    },
    /// No known codec: on the m-line given, which had one before, or on any m-line of a first offer.
    NoCodec {
        /// The m-line's mid.
        mid: Option<Mid>,
    },
    /// The offer changes what holds for the life of the connection.
    Changed(Change),
}

/// What may not change from one offer of a connection to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The part in the DTLS handshake (`a=setup`).
    Role,
    /// The certificate (`a=fingerprint`).
    Fingerprint,
    /// The mid of an m-line that has not been rejected.
    Mid {
        /// The m-line's index.
        index: u8,
    },
    /// The kind of an m-line that has not been rejected.
    Kind {
        /// The m-line's index.
        index: u8,
    },
    /// m-lines have gone: a stopped one stays, with port 0.
    Mlines,
}

impl std::error::Error for OfferError {}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "the offer has {bytes} bytes, {limit} are allowed: set codec preferences on receiving transceivers, or ask for fewer slots")
            }
            Self::Malformed(what) => write!(f, "the offer is not a session description: {what}"),
            Self::Duplicate { what, value } => write!(f, "the offer has the {what} {value} twice: each must be unique"),
            Self::TooManyMlines { count, limit } => write!(f, "the offer has {count} m-lines, {limit} are allowed: ask for fewer slots"),
            Self::NoFingerprint => f.write_str("the offer has no a=fingerprint: only DTLS-SRTP is spoken here"),
            Self::WeakFingerprint => f.write_str("the offer has no a=fingerprint by sha-256, sha-384 or sha-512: use one of these"),
            Self::NoIce => f.write_str("the offer has no a=ice-ufrag and a=ice-pwd: both are needed"),
            Self::BadIce(what) => write!(f, "the offer's ICE attributes cannot be used: {what}"),
            Self::NoBundle => f.write_str("the offer does not put all its m-lines into one BUNDLE group: use bundlePolicy max-bundle"),
            Self::NoRtcpMux { mid } => write!(f, "the m-line {mid} has no a=rtcp-mux: RTP and RTCP share one port here"),
            Self::NoCodec { mid: Some(mid) } => write!(f, "the m-line {mid} has no codec left that is known here: keep one of those agreed before"),
            Self::NoCodec { mid: None } => {
                f.write_str("no m-line of the offer has a codec that is known here: offer Opus, or VP8, VP9, H.264 or AV1")
            }
            Self::Changed(change) => write!(f, "{change}: make a new connection for that"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("the offer changes the DTLS role"),
            Self::Fingerprint => f.write_str("the offer changes the certificate's fingerprint"),
            Self::Mid { index } => write!(f, "the offer changes the mid of m-line {index}, which is in use"),
            Self::Kind { index } => write!(f, "the offer changes the kind of m-line {index}, which is in use"),
            Self::Mlines => f.write_str("the offer has fewer m-lines than the one before"),
        }
    }
}

/// A [`OfferError::Malformed`] about something that we name ourselves.
pub(super) fn malformed(what: &str) -> OfferError {
    OfferError::Malformed(what.to_owned())
}
