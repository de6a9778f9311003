//! What the server says by itself.

use serde::{Deserialize, Serialize};

use super::calls::{CallEnd, CallId, CallMedia, PersonInfo};
use super::data::{DataEnd, DataPayload};
use super::direct::{Policy, Signal, Way};
use super::response::SlotPair;
use super::values::{
    ChatMessage, EgressInfo, Grants, Knocker, MemberId, MemberInfo, Reaction, RecordingInfo, Source, TrackInfo, TrackNumber, TrackQuality, VideoCodec,
};

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Event {
    /// Somebody has come.
    MemberJoined {
        /// Who.
        member: MemberInfo,
    },
    /// The server ends soon, and begins no room any more: whoever can goes on elsewhere. At the end it says `bye`.
    Draining {
        /// So many seconds are left at most.
        seconds: u32,
    },
    /// Somebody has gone.
    MemberLeft {
        /// Who.
        member: MemberId,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody's socket was lost or has come back; their media may go on meanwhile.
    MemberAway {
        /// Who.
        member: MemberId,
        /// Whether the socket is lost.
        away: bool,
    },
    /// Somebody's name, metadata, attributes or right to moderate has changed; they themselves are told, too.
    MemberChanged {
        /// Who, as they are now.
        member: MemberInfo,
    },
    /// What the member may do has changed. What it publishes from a source that it may not publish any more has ended (no event for each).
    Granted {
        /// What it may do now.
        grants: Grants,
    },
    /// What the application says of the room has changed.
    Room {
        /// The metadata as it is now.
        metadata: String,
    },
    /// A track has been published, or has changed (muted or not). Whoever did it knows from the answer; a moderator's muting
    /// is told to everybody.
    Track {
        /// Whose.
        member: MemberId,
        /// The track as it is now.
        track: TrackInfo,
    },
    /// A track has ended.
    TrackEnded {
        /// Whose.
        member: MemberId,
        /// Which.
        track: TrackNumber,
    },
    /// The member sends more than it may, in all: an own track that takes most has ended (no other event for it), or will if that goes on.
    PublishExcess {
        /// Which track.
        track: TrackNumber,
        /// Kilobits a second that it may send, all its tracks together.
        limit_kbps: u32,
        /// Kilobits a second that it has sent lately.
        sent_kbps: u32,
        /// Whether the track has ended.
        ended: bool,
    },
    /// More receiving slot pairs are needed: send an offer that has so many in all.
    Need {
        /// How many.
        pairs: u32,
    },
    /// Who is in which slot pair: all of it. Pictures of the member before may come for up to two seconds; each packet names the track
    /// that it is of: its contributing source (CSRC) is the lowest 32 bits of the track's number.
    Slots {
        /// The pairs that are filled.
        slots: Vec<SlotPair>,
    },
    /// Who speaks, the loudest of that moment first: all of it, whenever somebody begins or ends.
    Speakers {
        /// The members.
        members: Vec<MemberId>,
    },
    /// What is sent of each track of video in the slots: all of it, whenever something about it changes.
    Quality {
        /// The tracks.
        tracks: Vec<TrackQuality>,
    },
    /// Which encodings of an own track somebody wants, by rid: the others need not be sent until they are named here. An own track
    /// without encodings is not mentioned.
    Demand {
        /// Which track.
        track: TrackNumber,
        /// The rids that are wanted, smallest first.
        rids: Vec<String>,
    },
    /// Somebody is shown an own track of video and cannot decode it: publish its picture once more, in the first of these codecs that can
    /// be sent. Those that serve most come first. None: that is needed no longer.
    Fallback {
        /// Which track.
        track: TrackNumber,
        /// The codecs, the best first.
        codecs: Vec<VideoCodec>,
    },
    /// How the member's media travels has changed: told to those who can be connected directly.
    Way {
        /// How.
        way: Way,
    },
    /// The other end of the direct connection says something.
    Signal {
        /// The direct connection.
        session: String,
        /// What.
        signal: Signal,
    },
    /// How the room's media shall travel has changed.
    Policy {
        /// How.
        policy: Policy,
    },
    /// Somebody has said something.
    Chat {
        /// What.
        message: ChatMessage,
    },
    /// Somebody has sent data. Whoever has data channels gets it by them, and no event.
    Data {
        /// Who.
        from: MemberId,
        /// What it is about.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        topic: String,
        /// What.
        payload: DataPayload,
    },
    /// The server has closed the member's data channels: from now on data comes as events.
    DataClosed {
        /// Why.
        reason: DataEnd,
    },
    /// A hand was raised or lowered. Everybody is told, whoever has done it.
    Hand {
        /// Whose.
        member: MemberId,
        /// Where it is in order, as in `MemberInfo`; none when it is lowered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        hand: Option<u32>,
    },
    /// Somebody shows something for a moment; they themselves are told, too.
    Reaction {
        /// Who.
        member: MemberId,
        /// What.
        reaction: Reaction,
    },
    /// Who knocks at the locked room, in the order in which they came: all of it, told to moderators.
    Knocking {
        /// Who.
        people: Vec<Knocker>,
    },
    /// The room was locked or unlocked.
    Locked {
        /// Whether it is locked.
        locked: bool,
    },
    /// The room is recorded from now on, or no longer. It is told before anything is kept, and again when the recording pauses, when it goes on,
    /// and when nobody is there any more who may end it: once a second at most.
    Recording {
        /// The recording; none when it is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        recording: Option<RecordingInfo>,
        /// Why it is over, where nobody has ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        reason: Option<RecordingEnd>,
    },
    /// What of the room is sent to servers elsewhere: all of it. It is told before anything is sent.
    Egress {
        /// What, the oldest first; empty when nothing is sent any more.
        sessions: Vec<EgressInfo>,
    },
    /// A picture of what somebody shows is taken by the server. It is told before it is.
    Screenshot {
        /// Who has asked for it.
        by: MemberId,
        /// Whose.
        member: MemberId,
        /// The camera, or the screen.
        source: Source,
    },
    /// The client's own media connection is up or down.
    Media {
        /// Whether it is up.
        connected: bool,
    },
    /// The server has lost the room's media: all tracks and slots are gone (no event for each). Make a new peer connection and
    /// offer again.
    Restart {},
    /// Somebody has come into the lobby, or has changed.
    Person {
        /// Who, as they are now.
        person: PersonInfo,
    },
    /// Somebody has gone from the lobby.
    PersonGone {
        /// Who.
        member: MemberId,
    },
    /// Somebody calls. It rings at every device until `accepted` or `call_over`.
    Ringing {
        /// The call.
        call: CallId,
        /// Who calls.
        from: MemberId,
        /// The caller's name.
        name: String,
        /// What with.
        media: CallMedia,
        /// It rings for so long (milliseconds).
        #[cfg_attr(test, ts(type = "number"))]
        left_ms: u64,
    },
    /// A call is accepted: both ends join its room, on sockets of their own.
    Accepted {
        /// The call.
        call: CallId,
        /// The other end.
        with: MemberId,
        /// The other end's name.
        name: String,
        /// What it was called with.
        media: CallMedia,
        /// The room: fresh, and known to nobody else.
        room: String,
        /// The token that admits there; none where the server asks for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        token: Option<String>,
    },
    /// A call is over.
    CallOver {
        /// Which.
        call: CallId,
        /// Why.
        reason: CallEnd,
    },
    /// The session is over; the socket closes.
    Bye {
        /// Why.
        reason: ByeReason,
    },
}

/// Why somebody has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum LeaveReason {
    /// They left.
    Left,
    /// Their socket was gone for longer than a session may be resumed.
    Lost,
    /// A moderator removed them.
    Kicked,
    /// The same identity joined again.
    Replaced,
}

/// Why a recording is over that nobody has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum RecordingEnd {
    /// As much is kept of the room as may be.
    LibraryFull,
    /// The server could not go on with it.
    Failed,
}

/// Why a session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum ByeReason {
    /// A moderator removed the member.
    Kicked,
    /// The same identity joined elsewhere.
    Replaced,
    /// The session was resumed on another socket.
    Resumed,
    /// The client is too slow to take what it is sent.
    TooSlow,
    /// The server is shutting down.
    ShuttingDown,
    /// The room was ended by whoever runs the service.
    Ended,
}
