//! How a room's media travels: through the server, or directly between two clients.

use serde::{Deserialize, Serialize};

use super::request::PublishLine;
use super::values::MemberId;

/// How a room's media shall travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Policy {
    /// Directly between two, through the server when they are more or when that fails.
    #[default]
    Auto,
    /// Directly, or not at all: the room is for two.
    P2p,
    /// Through the server.
    Sfu,
}

/// How a member's media travels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Way {
    /// There is nobody whom it could travel to: no connection is needed. A direct connection that is up may be kept.
    Nobody {},
    /// Through the server: published by an offer, received in slots. A direct connection may be kept until that carries everything.
    Server {},
    /// Directly. A connection with the server may be kept until that carries everything, and is given up by `release` then.
    Direct {
        /// Names the direct connection: one of another name is another one.
        session: String,
        /// The other end.
        member: MemberId,
        /// Whether this end gives way when both have sent an offer, and waits for the first one.
        polite: bool,
    },
}

/// That a client can be connected with another one directly.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct DirectAbility {
    /// The direct connection that it still has, made before its session was lost: it is kept when the other end comes with it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub held: Option<String>,
}

/// What the ends of a direct connection say to each other by way of the server, which does not look into it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Signal {
    /// An offer.
    Offer {
        /// The session description.
        sdp: String,
        /// What the sender's m-lines carry: all of it.
        lines: Vec<PublishLine>,
        /// Rises with each change of `lines`: what has a smaller one is older, whichever way it came.
        revision: u32,
    },
    /// The answer to one.
    Answer {
        /// The session description.
        sdp: String,
        /// What the sender's m-lines carry: all of it.
        lines: Vec<PublishLine>,
        /// Rises with each change of `lines`: what has a smaller one is older, whichever way it came.
        revision: u32,
        /// The origin of the offer that it answers (RFC 8866 section 5.2), without its `o=`: an offer that was said twice is answered twice, and
        /// another one must not be taken for answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        origin: Option<String>,
    },
    /// A candidate.
    Candidate {
        /// The candidate attribute's value; empty for the end of candidates.
        candidate: String,
        /// The m-line's mid.
        mid: String,
        /// The user name fragment of the descriptions that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        ufrag: Option<String>,
    },
}

/// A STUN or TURN server, as `RTCIceServer` of W3C has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct IceServer {
    /// Where it is: `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The user name at a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub username: Option<String>,
    /// The password at a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub credential: Option<String>,
}

/// How a direct connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum DirectState {
    /// It is up, over this pair of candidates.
    Up {
        /// The own candidate.
        local: CandidateType,
        /// The other end's.
        remote: CandidateType,
        /// What carries the media: to the relay, where there is one.
        protocol: DirectProtocol,
    },
    /// It cannot be had, or is lost.
    Failed {},
}

/// Types of candidates (RFC 8445, section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum CandidateType {
    /// An address of the machine itself.
    Host,
    /// Server reflexive: an address of its NAT, found by STUN.
    Srflx,
    /// Peer reflexive: an address of its NAT, found by the check itself.
    Prflx,
    /// An address at a TURN server.
    Relay,
}

/// What carries a direct connection's media.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum DirectProtocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}
