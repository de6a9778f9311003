//! Calling a person: who can be reached in a lobby, and calls that ring.

use serde::{Deserialize, Serialize};

use super::values::MemberId;

/// Names a call, from its first ring to its end. Only its two ends learn it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct CallId(pub String);

/// What somebody wants to call with. Each end decides by itself what it publishes then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum CallMedia {
    /// Sound alone.
    Voice,
    /// Sound and picture.
    Video,
}

/// Why somebody does not take a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum RejectReason {
    /// They do not want to.
    #[default]
    Declined,
    /// They are in a call of which the lobby knows nothing.
    Busy,
}

/// Why a call is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum CallEnd {
    /// It was rejected.
    Rejected,
    /// Whoever was called is in another call.
    Busy,
    /// The caller took it back.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
    /// The other end cannot be reached any more.
    Gone,
    /// It was answered or rejected at another device of the same identity.
    Elsewhere,
    /// The other end has hung up.
    HungUp,
    /// The lobby knows no such call (any more), since it was ended while this end was lost, or since the server has been started anew. A
    /// call that was accepted may go on in its room, where each end sees whether the other one is there.
    Unknown,
}

/// Somebody in a lobby.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct PersonInfo {
    /// The identity.
    pub member: MemberId,
    /// The name to show.
    pub name: String,
    /// Whether they are in a call, are being called or are calling.
    pub busy: bool,
}
