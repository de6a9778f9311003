//! What the server says: answers and events.

use serde::{Deserialize, Serialize};

use super::calls::{CallId, PersonInfo};
use super::direct::{IceServer, Policy, Way};
use super::event::Event;
use super::values::{ChatMessage, EgressInfo, Grants, Knocker, MemberId, MemberInfo, RecordingInfo, TrackInfo, TrackNumber, is_false};

/// One message from the server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum ServerMessage {
    /// A request was carried out.
    Ok {
        /// The request's id.
        id: u32,
        /// What it returns, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        result: Option<OkResult>,
    },
    /// A request was refused; nothing has changed.
    Error {
        /// The request's id; absent when the message was too broken to have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<u32>,
        /// What is wrong, for programs.
        code: ErrorCode,
        /// What is wrong and what to do about it, for people (English).
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// Something happened.
    Event {
        /// Rises by one from event to event of a session.
        #[cfg_attr(test, ts(type = "number"))]
        seq: u64,
        /// What.
        event: Event,
    },
}

/// What a request returns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one lives at a time: it is written at once")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum OkResult {
    /// Of `hello`.
    Welcome {
        /// The version that both speak from now on.
        version: u32,
        /// The server's name and version.
        server: String,
        /// What the server holds to.
        limits: Limits,
        /// The server pings about so often (milliseconds), and closes a socket that is silent for twice that.
        #[cfg_attr(test, ts(type = "number"))]
        heartbeat_ms: u64,
        /// A lost session may be resumed for so long (milliseconds).
        #[cfg_attr(test, ts(type = "number"))]
        resume_ms: u64,
        /// Features of this server.
        features: WelcomeFeatures,
    },
    /// Of `join`, and of `resume`: the room as it is, all of it. It replaces whatever the client held before.
    Joined {
        /// The room's name.
        room: String,
        /// The member's own identity and name.
        me: Box<MemberInfo>,
        /// What it may do.
        grants: Grants,
        /// The secret that `resume` takes.
        resume: String,
        /// How many receiving slot pairs its next offer should have.
        pairs: u32,
        /// The others.
        members: Vec<MemberInfo>,
        /// Who speaks, loudest first.
        speakers: Vec<MemberId>,
        /// The latest chat, oldest first; numbers tell a client that resumes which messages it has already.
        chat: Vec<ChatMessage>,
        /// Whether the room is locked.
        locked: bool,
        /// The `seq` up to which this is the state: the next event has the number after it.
        #[cfg_attr(test, ts(type = "number"))]
        seq: u64,
        /// Who is in which slot pair (empty after `join`).
        slots: Vec<SlotPair>,
        /// Whether the server still holds this session's media connection; if not, make a new peer connection and offer.
        connection: bool,
        /// How the member's media travels. The event `way` follows when that changes.
        way: Box<Way>,
        /// How the room's media shall travel.
        policy: Policy,
        /// The recording that goes on, if the room is recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        recording: Option<Box<RecordingInfo>>,
        /// What of the room is sent to servers elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        egress: Vec<EgressInfo>,
        /// Who knocks, for moderators.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        knocking: Vec<Knocker>,
        /// Whether all members encrypt their media end to end.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        encrypted: bool,
        /// What the application says of the room: the server does not look into it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        metadata: String,
    },
    /// Of `enter`: the lobby as it is. Events are numbered from 1 after it; the first ones say what rings already.
    Entered {
        /// The lobby's name.
        lobby: String,
        /// The own identity and name.
        me: PersonInfo,
        /// What may be published in a call.
        grants: Grants,
        /// The others.
        people: Vec<PersonInfo>,
    },
    /// Of `call`.
    Calling {
        /// The call's name.
        call: CallId,
        /// It rings for so long (milliseconds).
        #[cfg_attr(test, ts(type = "number"))]
        left_ms: u64,
    },
    /// Of `offer`.
    Answer {
        /// The session description.
        sdp: String,
        /// The m-lines of each receiving slot pair.
        pairs: Vec<PairMids>,
        /// The member's own tracks after this offer, each with the mid it is sent on.
        published: Vec<(String, TrackInfo)>,
    },
    /// Of `publish`.
    Published {
        /// The track.
        track: TrackInfo,
    },
    /// Of `ice_servers`.
    IceServers {
        /// The servers.
        servers: Vec<IceServer>,
        /// The credentials are good for so long (milliseconds): whoever needs them longer asks again.
        #[cfg_attr(test, ts(type = "number"))]
        lifetime_ms: u64,
    },
    /// Of `chat`.
    Said {
        /// The message's number.
        #[cfg_attr(test, ts(type = "number"))]
        number: u64,
        /// When the server took it: milliseconds since the Unix epoch.
        #[cfg_attr(test, ts(type = "number"))]
        at: u64,
    },
    /// Of `screenshot`.
    Screenshot {
        /// The picture's identity in the library.
        item: String,
    },
    /// Of `history`, oldest first.
    History {
        /// The messages.
        messages: Vec<ChatMessage>,
    },
}

/// What a server can do, beyond the version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct WelcomeFeatures {
    /// No keys are configured: anybody may join any room.
    pub development: bool,
    /// Members may be connected with each other directly, where their room's policy is so.
    pub direct: bool,
    /// An offer may have an m-line of data channels.
    pub data: bool,
    /// Rooms may be recorded, by whoever is granted that.
    #[serde(default)]
    pub recording: bool,
    /// Relays for calls that find no direct way are in this server: such a call ends with it.
    #[serde(default)]
    pub relay: bool,
    /// What is kept of rooms can be listed, played and downloaded, by whoever is granted that.
    #[serde(default)]
    pub library: bool,
    /// Members may add to it.
    #[serde(default)]
    pub uploads: bool,
    /// The server takes pictures of what members show (`screenshot`), by whoever is granted to record: as far as it knows, there is what decodes them.
    #[serde(default)]
    pub screenshots: bool,
}

/// Limits that a client should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct Limits {
    /// Bytes of a message, `offer` excepted.
    pub message_bytes: u32,
    /// Bytes of an `offer`.
    pub offer_bytes: u32,
    /// m-lines of an offer.
    pub mlines: u32,
    /// Messages a second.
    pub messages_per_second: u32,
    /// Bytes of a chat text.
    pub chat_bytes: u32,
    /// Bytes of a name to show.
    pub name_bytes: u32,
    /// Bytes of data in one message.
    pub data_bytes: u32,
    /// Bytes of a member's metadata and attributes together.
    #[serde(default)]
    pub metadata_bytes: u32,
}

/// The m-lines of a receiving slot pair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct PairMids {
    /// The pair's number, from 0.
    pub pair: u32,
    /// The mid of its audio m-line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub audio: Option<String>,
    /// The mid of its video m-line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub video: Option<String>,
}

/// Who is in a slot pair. A pair that is empty is not listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct SlotPair {
    /// The pair's number.
    pub pair: u32,
    /// Whose tracks.
    pub member: MemberId,
    /// Whether they are of a shared screen (else of camera and microphone).
    pub screen: bool,
    /// The audio track in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub audio: Option<TrackNumber>,
    /// The video track in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub video: Option<TrackNumber>,
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum ErrorCode {
    /// Not JSON, or not of the protocol's form.
    Malformed,
    /// A `type` that the server does not know.
    UnknownMessage,
    /// No common version.
    UnsupportedVersion,
    /// Too many messages a second.
    RateLimited,
    /// A message that is not allowed now (before `hello`, before `join`, twice).
    WrongState,
    /// No token where one is needed.
    TokenMissing,
    /// The token is not valid: form, signature, algorithm or key.
    TokenInvalid,
    /// The token has expired, or is not valid yet.
    TokenExpired,
    /// The token is for another room.
    TokenWrongRoom,
    /// The token's member was removed from this room.
    Kicked,
    /// The token does not grant this.
    Forbidden,
    /// The room's name is not a name.
    InvalidRoomName,
    /// The name to show is too long or has control characters.
    InvalidName,
    /// The room is full, or there are too many rooms.
    Full,
    /// The server is about to end and begins no room any more: who comes back in a moment finds the next one.
    Draining,
    /// The room is locked.
    Locked,
    /// A moderator has not let in whoever knocked.
    NotAdmitted,
    /// The room's members encrypt their media end to end and this client does not, or the other way round.
    EncryptionDiffers,
    /// The server cannot do that where media is encrypted end to end: it has no key.
    Encrypted,
    /// There is no such session any more: join again.
    ResumeUnknown,
    /// There is no such member, track or message.
    NotFound,
    /// A value is too long or too many.
    LimitExceeded,
    /// Such a track is published already on another m-line, or an m-line is named twice or cannot carry it.
    PublishConflict,
    /// The offer is not a session description.
    SdpMalformed,
    /// The offer has no `a=fingerprint`, or only weak ones.
    SdpFingerprint,
    /// The offer has no ICE credentials, or bad ones.
    SdpIce,
    /// The offer does not put all m-lines into one BUNDLE group.
    SdpBundle,
    /// The offer has more m-lines than allowed.
    SdpTooManyMlines,
    /// No codec of an m-line that is to be published is known.
    SdpNoCodec,
    /// The offer changes what may not change: the role, the fingerprint, an m-line's kind or mid.
    SdpChanged,
    /// The room's calls go directly between two browsers, which this client cannot, or which are there already.
    DirectOnly,
    /// There is no such direct connection (any more), or its other end is away.
    NotDirect,
    /// Whoever is called is in a call, is being called or is calling.
    Busy,
    /// Nothing is recorded here at present: it is switched off, the disk is full, or as many rooms as may be are recorded.
    RecordingUnavailable,
    /// As much is kept of this room as may be: something of it has to be deleted first.
    LibraryFull,
    /// No picture can be taken: there is nothing here that decodes one, nowhere to keep it, or none has come.
    ScreenshotUnavailable,
    /// The server has failed; nothing the client can do but try again.
    Internal,
}

impl ErrorCode {
    /// Whether the same request may succeed later.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            ErrorCode::RateLimited
                | ErrorCode::Full
                | ErrorCode::Draining
                | ErrorCode::Locked
                | ErrorCode::Busy
                | ErrorCode::RecordingUnavailable
                | ErrorCode::ScreenshotUnavailable
                | ErrorCode::Internal
        )
    }

    /// The code as the protocol writes it.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::Malformed => "malformed",
            ErrorCode::UnknownMessage => "unknown_message",
            ErrorCode::UnsupportedVersion => "unsupported_version",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::WrongState => "wrong_state",
            ErrorCode::TokenMissing => "token_missing",
            ErrorCode::TokenInvalid => "token_invalid",
            ErrorCode::TokenExpired => "token_expired",
            ErrorCode::TokenWrongRoom => "token_wrong_room",
            ErrorCode::Kicked => "kicked",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::InvalidRoomName => "invalid_room_name",
            ErrorCode::InvalidName => "invalid_name",
            ErrorCode::Full => "full",
            ErrorCode::Draining => "draining",
            ErrorCode::Locked => "locked",
            ErrorCode::NotAdmitted => "not_admitted",
            ErrorCode::EncryptionDiffers => "encryption_differs",
            ErrorCode::Encrypted => "encrypted",
            ErrorCode::ResumeUnknown => "resume_unknown",
            ErrorCode::NotFound => "not_found",
            ErrorCode::LimitExceeded => "limit_exceeded",
            ErrorCode::PublishConflict => "publish_conflict",
            ErrorCode::SdpMalformed => "sdp_malformed",
            ErrorCode::SdpFingerprint => "sdp_fingerprint",
            ErrorCode::SdpIce => "sdp_ice",
            ErrorCode::SdpBundle => "sdp_bundle",
            ErrorCode::SdpTooManyMlines => "sdp_too_many_mlines",
            ErrorCode::SdpNoCodec => "sdp_no_codec",
            ErrorCode::SdpChanged => "sdp_changed",
            ErrorCode::DirectOnly => "direct_only",
            ErrorCode::NotDirect => "not_direct",
            ErrorCode::Busy => "busy",
            ErrorCode::RecordingUnavailable => "recording_unavailable",
            ErrorCode::LibraryFull => "library_full",
            ErrorCode::ScreenshotUnavailable => "screenshot_unavailable",
            ErrorCode::Internal => "internal",
        }
    }
}
