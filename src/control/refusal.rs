//! Why a request is not carried out.

use std::borrow::Cow;
use std::fmt;

use crate::sdp::{FragmentError, OfferError};
use crate::wire::ErrorCode;

/// A request was refused, and nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong, for programs.
    pub code: ErrorCode,
    /// What is wrong and what to do about it, for people.
    pub message: Cow<'static, str>,
    /// The limit that was reached, if that is why.
    pub limit: Option<Limit>,
}

/// What there is only so much of, and whoever runs the service wants to know when it is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Rooms of the node.
    Rooms,
    /// Members of a room.
    Members,
    /// Tracks of a member.
    Tracks,
    /// What is kept of a room.
    Kept,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rooms, Self::Members, Self::Tracks, Self::Kept];

    /// What it is called in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rooms => "rooms",
            Self::Members => "members",
            Self::Tracks => "tracks",
            Self::Kept => "kept",
        }
    }
}

impl Refusal {
    /// A refusal.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), limit: None }
    }

    /// A limit is reached.
    pub fn limited(limit: Limit, code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { limit: Some(limit), ..Self::new(code, message) }
    }

    /// As much is kept of the room as may be.
    pub fn library_full() -> Self {
        let why = "as much is kept of this room as may be: delete something of it first";
        Self::limited(Limit::Kept, ErrorCode::LibraryFull, why)
    }

    /// A token or a role does not allow this.
    pub fn forbidden(what: &'static str) -> Self {
        Self::new(ErrorCode::Forbidden, what)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<OfferError> for Refusal {
    fn from(error: OfferError) -> Self {
        let code = match &error {
            OfferError::TooLarge { .. } => ErrorCode::LimitExceeded,
            OfferError::Malformed(_) | OfferError::Duplicate { .. } => ErrorCode::SdpMalformed,
            OfferError::TooManyMlines { .. } => ErrorCode::SdpTooManyMlines,
            OfferError::NoFingerprint | OfferError::WeakFingerprint => ErrorCode::SdpFingerprint,
            OfferError::NoIce | OfferError::BadIce(_) => ErrorCode::SdpIce,
            OfferError::NoBundle | OfferError::NoRtcpMux { .. } => ErrorCode::SdpBundle,
            OfferError::NoCodec { .. } => ErrorCode::SdpNoCodec,
            OfferError::Changed(_) => ErrorCode::SdpChanged,
        };
        Self::new(code, error.to_string())
    }
}

impl From<FragmentError> for Refusal {
    fn from(error: FragmentError) -> Self {
        let code = match &error {
            FragmentError::TooLarge => ErrorCode::LimitExceeded,
            FragmentError::Malformed(_) => ErrorCode::SdpMalformed,
            FragmentError::BadIce(_) => ErrorCode::SdpIce,
        };
        Self::new(code, error.to_string())
    }
}
