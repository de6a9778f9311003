//! The signaling messages as types: the one source of the protocol.
//!
//! JSON over WebSocket. A client sends [`ClientMessage`]s, each with an `id`; each gets exactly one
//! [`Ok`](ServerMessage::Ok) or [`Error`](ServerMessage::Error) with that `id`. Whatever else the server
//! says is an event with a `seq` that rises by one, so that a client that comes back can say what it has seen.
//! The TypeScript types of `web/sdk/src/wire.ts`, the JSON Schema of docs/schema and the tables of docs/PROTOCOL.md are generated from here.

mod calls;
mod data;
mod direct;
mod event;
mod request;
mod response;
mod values;

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod typescript;

pub use calls::{CallEnd, CallId, CallMedia, PersonInfo, RejectReason};
pub use data::{DataDelivery, DataEnd, DataMessage, DataPayload, MOST_RECEIVERS, TEXT, TOPIC_BYTES};
pub use direct::{CandidateType, DirectAbility, DirectProtocol, DirectState, IceServer, Policy, Signal, Way};
pub use event::{ByeReason, Event, LeaveReason, RecordingEnd};
pub use request::{ClientMessage, PublishLine, Request, Tile};
pub use response::{ErrorCode, Limits, OkResult, PairMids, ServerMessage, SlotPair, WelcomeFeatures};
pub use values::{
    ChatMessage, EgressInfo, Grants, Knocker, LibraryGrant, MemberId, MemberInfo, Priority, QualityLevel, QualityLimit, Reaction, RecordingInfo,
    RecordingPause, Source, TrackInfo, TrackNumber, TrackQuality, VideoCodec,
};

/// The version of the protocol, carried by `hello` and by `Sec-WebSocket-Protocol`.
pub const VERSION: u32 = 1;
/// The WebSocket subprotocol that a client asks for.
pub const SUBPROTOCOL: &str = "althing.v1";
/// The `type` of every request, in the order of [`Request`]'s variants.
pub const REQUEST_TYPES: [&str; 39] = [
    "hello",
    "join",
    "resume",
    "leave",
    "enter",
    "call",
    "accept",
    "reject",
    "cancel",
    "hang_up",
    "offer",
    "candidate",
    "publish",
    "unpublish",
    "mute",
    "subscribe",
    "unsubscribe",
    "view",
    "ice_servers",
    "signal",
    "direct",
    "release",
    "policy",
    "chat",
    "history",
    "data",
    "hand",
    "react",
    "describe",
    "audience",
    "kick",
    "mute_member",
    "mute_all",
    "lock",
    "admit",
    "record",
    "stop_recording",
    "screenshot",
    "ping",
];
