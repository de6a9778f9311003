//! What is said of a call to whoever answers for it: enough to make a bill of.

use serde::{Deserialize, Serialize};

use crate::control::rooms::RoomName;
use crate::wire::{LeaveReason, MemberId, RecordingEnd, RecordingPause, Source, TrackNumber};

/// Something that has happened in a room, as it is kept, delivered and given out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its own: what is delivered twice has the same.
    pub id: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The node that says so.
    pub node: String,
    /// The room's name.
    pub room: String,
    /// This opening of the room: a name may be used again.
    pub session: String,
    /// Counts the session's events from 1, without gaps: where one is missing, it was lost.
    pub seq: u64,
}

/// What has happened. Seconds have three decimals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum What {
    /// A room is opened.
    #[serde(rename = "room.created")]
    RoomCreated {},
    /// It is over, and so is everything in it: nothing follows.
    #[serde(rename = "room.closed")]
    RoomClosed {
        /// Why.
        reason: Reason,
        /// How long it was there.
        seconds: f64,
    },
    /// Somebody is in it.
    #[serde(rename = "member.joined")]
    MemberJoined {
        /// Tells this stay from others of the same member.
        visit: u32,
        /// Who.
        member: MemberId,
        /// The name to show.
        name: String,
    },
    /// Somebody is in it no longer.
    #[serde(rename = "member.left")]
    MemberLeft {
        /// Which stay.
        visit: u32,
        /// Who.
        member: MemberId,
        /// Why.
        reason: Reason,
        /// How long they were there, those in which their socket was lost included.
        seconds: f64,
    },
    /// Something is published.
    #[serde(rename = "track.published")]
    TrackPublished {
        /// Whose stay.
        visit: u32,
        /// Whose.
        member: MemberId,
        /// Which.
        track: TrackNumber,
        /// What it is.
        kind: Kind,
        /// Where it comes from.
        source: Source,
    },
    /// It is published no longer.
    #[serde(rename = "track.ended")]
    TrackEnded {
        /// Whose stay.
        visit: u32,
        /// Whose.
        member: MemberId,
        /// Which.
        track: TrackNumber,
        /// What it was.
        kind: Kind,
        /// Where it came from.
        source: Source,
        /// How long it was published.
        seconds: f64,
        /// Of these, muted; not said where a node was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        muted_seconds: Option<f64>,
    },
    /// The room is recorded.
    #[serde(rename = "recording.started")]
    RecordingStarted {
        /// Its identity in the library.
        recording: String,
        /// Who has begun it.
        by: MemberId,
    },
    /// It is recorded, and nothing of that is written, or not all: what is said meanwhile is lost. Again when the reason is another one.
    #[serde(rename = "recording.paused")]
    RecordingPaused {
        /// Its identity in the library.
        recording: String,
        /// Why.
        reason: RecordingPause,
    },
    /// It is written again.
    #[serde(rename = "recording.resumed")]
    RecordingResumed {
        /// Its identity in the library.
        recording: String,
        /// How long it was not.
        seconds: f64,
    },
    /// It is recorded no longer, and what was recorded is whole on the disk.
    #[serde(rename = "recording.finished")]
    RecordingFinished {
        /// Its identity in the library.
        recording: String,
        /// How long the room was recorded.
        seconds: f64,
        /// Files that there are.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Why it ended, where nobody has ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// A picture was taken of what somebody shows, and is kept.
    #[serde(rename = "screenshot.taken")]
    ScreenshotTaken {
        /// Its identity in the library.
        item: String,
        /// Who has asked for it.
        by: MemberId,
        /// Whose it is.
        member: MemberId,
        /// The camera, or the screen.
        source: Source,
    },
    /// A recording was mixed down. It may come long after the room is over, and is a session of its own.
    #[serde(rename = "mixdown.finished")]
    MixdownFinished {
        /// The recording's identity in the library.
        recording: String,
        /// The film's file name.
        file: String,
        /// Its bytes.
        bytes: u64,
        /// How long that took.
        seconds: f64,
    },
    /// It was not: what is asked for again may be.
    #[serde(rename = "mixdown.failed")]
    MixdownFailed {
        /// The recording's identity in the library.
        recording: String,
        /// The film's file name.
        file: String,
        /// Why: `no_ffmpeg`, `no_encoder`, `nothing_to_show`, `not_found`, `too_long`, `disk_full`, `storage_unavailable` or `failed`.
        error: String,
        /// How long that took.
        seconds: f64,
    },
    /// It could not be recorded, or no longer, or what was recorded could not be completed.
    #[serde(rename = "recording.failed")]
    RecordingFailed {
        /// Its identity in the library.
        recording: String,
        /// How long.
        seconds: f64,
        /// Why.
        reason: Reason,
    },
    /// Something of the room is sent to a server elsewhere.
    #[serde(rename = "egress.started")]
    EgressStarted {
        /// Its identity.
        egress: String,
        /// Whose.
        member: MemberId,
        /// The host that it is sent to.
        host: String,
        /// Who has begun it.
        by: MemberId,
    },
    /// It is sent there no longer, or could not be.
    #[serde(rename = "egress.ended")]
    EgressEnded {
        /// Its identity.
        egress: String,
        /// How long, from the order on.
        seconds: f64,
        /// Why.
        reason: Reason,
    },
}

/// What a track is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    Audio,
    /// A picture.
    Video,
}

/// Why something is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// They left.
    Left,
    /// Their connection was lost for longer than a session may be resumed.
    Lost,
    /// A moderator removed them.
    Kicked,
    /// The same identity joined again.
    Replaced,
    /// The room was ended by whoever runs the service.
    Ended,
    /// Nobody was in the room any more.
    Empty,
    /// The node was told to end.
    ShuttingDown,
    /// The server could not go on with it.
    Failed,
    /// As much is kept of the room as may be.
    LibraryFull,
    /// The node was killed, or lost its machine. It is said when a node begins again where that one kept its events; the seconds are those up to
    /// its last sign of life, of which there is one every five seconds.
    NodeLost,
}

impl From<LeaveReason> for Reason {
    fn from(reason: LeaveReason) -> Self {
        match reason {
            LeaveReason::Left => Self::Left,
            LeaveReason::Lost => Self::Lost,
            LeaveReason::Kicked => Self::Kicked,
            LeaveReason::Replaced => Self::Replaced,
        }
    }
}

impl From<RecordingEnd> for Reason {
    fn from(end: RecordingEnd) -> Self {
        match end {
            RecordingEnd::LibraryFull => Self::LibraryFull,
            RecordingEnd::Failed => Self::Failed,
        }
    }
}

impl From<Source> for Kind {
    fn from(source: Source) -> Self {
        if source.is_audio() { Self::Audio } else { Self::Video }
    }
}

/// Something that has happened, before it has its place in the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// The room.
    pub room: RoomName,
    /// This opening of it.
    pub session: String,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What.
    pub what: What,
}
