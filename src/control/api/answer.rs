//! What answers say.

use serde::Serialize;

use crate::control::egress::Trouble;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{EgressSeen, MemberSeen, RoomSeen, TrackSeen};
use crate::wire::{EgressInfo, Grants, Knocker, MemberId, MemberInfo, Policy, RecordingInfo, TrackInfo};

/// A room.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoomAnswer {
    /// Its name.
    name: String,
    /// When it began: milliseconds since the Unix epoch.
    created: u64,
    /// How many members it has, those away included.
    members: usize,
    /// How many tracks they publish.
    tracks: usize,
    /// Whether it is locked.
    locked: bool,
    /// Who knocks at the locked room.
    knocking: Vec<Knocker>,
    /// Whether its members encrypt end to end.
    encrypted: bool,
    /// How its media shall travel.
    policy: Policy,
    /// How it travels now: `direct` or `server`. Absent where there is nobody to travel to.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'static str>,
    /// The recording that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<RecordingInfo>,
    /// What the application says of it.
    metadata: String,
    /// What it holds its members to.
    limits: RoomLimits,
    /// Seconds that it lives on when it is empty.
    empty_seconds: u64,
}

/// What a room holds its members to.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RoomLimits {
    /// Members at most.
    members: usize,
    /// Tracks of a member at most at a time.
    tracks: usize,
    /// Kilobits a second that a member publishes at most, all its tracks together. Absent where that is not bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    publish_kbps: Option<u32>,
    /// Mebibytes that are kept of it. Absent where that is not bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    library_mib: Option<u32>,
}

impl RoomAnswer {
    pub fn new(room: &Handle, seen: RoomSeen) -> Self {
        Self {
            name: room.name.as_str().to_owned(),
            created: room.created,
            members: seen.members,
            tracks: seen.tracks,
            locked: seen.locked,
            knocking: seen.knocking,
            encrypted: seen.encrypted,
            policy: seen.policy,
            via: seen.via,
            recording: seen.recording,
            metadata: seen.metadata,
            limits: RoomLimits { members: seen.most_members, tracks: seen.most_tracks, publish_kbps: seen.most_kbps, library_mib: seen.most_mib },
            empty_seconds: seen.empty_seconds,
        }
    }
}

/// Rooms, the oldest first.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoomList {
    /// The rooms.
    pub rooms: Vec<RoomAnswer>,
    /// `after` of the next page; absent where there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A member.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemberAnswer {
    /// What the other members see of it.
    #[serde(flatten)]
    info: MemberInfo,
    /// What it may do.
    grants: Grants,
    /// When it came: milliseconds since the Unix epoch.
    joined: u64,
    /// Whether it came by WHIP or WHEP.
    by_http: bool,
    /// Whether it has a media connection with the server.
    connection: bool,
}

impl MemberAnswer {
    pub fn new(room: &Handle, seen: MemberSeen) -> Self {
        Self { joined: room.unix_millis(seen.since), info: seen.info, grants: seen.grants, by_http: seen.by_http, connection: seen.connection }
    }
}

/// Members, in the order of their coming.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemberList {
    /// The members.
    pub members: Vec<MemberAnswer>,
    /// `after` of the next page; absent where there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A track.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrackAnswer {
    /// Whose it is.
    member: MemberId,
    /// What others see of it.
    #[serde(flatten)]
    pub track: TrackInfo,
}

impl From<TrackSeen> for TrackAnswer {
    fn from(TrackSeen { member, track }: TrackSeen) -> Self {
        Self { member, track }
    }
}

/// Tracks, in the order of their beginning.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrackList {
    /// The tracks.
    pub tracks: Vec<TrackAnswer>,
    /// `after` of the next page; absent where there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The server.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NodeAnswer {
    /// Its version.
    pub version: &'static str,
    /// Whether it takes new members; else it is shutting down.
    pub ready: bool,
    /// Whether no keys are set, so that anybody may do anything.
    pub development: bool,
    /// Seconds since it began.
    pub uptime_seconds: u64,
    /// Rooms now.
    pub rooms: usize,
    /// Members of all rooms now, those away included.
    pub members: u64,
    /// Signaling sockets now.
    pub sockets: usize,
    /// WHIP and WHEP sessions now.
    pub whip_sessions: u64,
    /// Whether rooms may be recorded.
    pub records: bool,
}

/// Something of a room that is sent to a server elsewhere.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EgressAnswer {
    #[serde(flatten)]
    info: EgressInfo,
    /// `waiting` (nothing is published), `connecting`, `live`, `retrying` or `failed`.
    state: &'static str,
    /// How often it was tried in a row.
    tries: u32,
    /// Why the last try was in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The HTTP status with which the other server refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl From<EgressSeen> for EgressAnswer {
    fn from(seen: EgressSeen) -> Self {
        let (reason, status) = (seen.trouble.map(Trouble::name), seen.trouble.and_then(Trouble::status));
        Self { info: seen.info, state: seen.state, tries: seen.tries, reason, status }
    }
}

/// What of a room is sent elsewhere, the oldest first. Of what has failed the latest eight are there, too.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EgressList {
    /// The sessions.
    pub sessions: Vec<EgressAnswer>,
}
