//! Values that several messages share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A member's identity in its room: from the token's `sub`, or drawn by the server in development mode.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct MemberId(pub String);

/// A track's number, unique within the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct TrackNumber(#[cfg_attr(test, ts(type = "number"))] pub u64);

/// Where a track comes from. A member publishes at most one track of each source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Source {
    /// The microphone.
    Microphone,
    /// The camera.
    Camera,
    /// The sound of a shared screen, window or tab.
    ScreenAudio,
    /// A shared screen, window or tab.
    Screen,
}

impl Source {
    /// All sources.
    pub const ALL: [Source; 4] = [Source::Microphone, Source::Camera, Source::ScreenAudio, Source::Screen];

    /// Whether it is sound.
    pub const fn is_audio(self) -> bool {
        matches!(self, Source::Microphone | Source::ScreenAudio)
    }

    /// Whether it belongs to a shared screen.
    pub const fn is_screen(self) -> bool {
        matches!(self, Source::ScreenAudio | Source::Screen)
    }
}

/// What a member may do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct Grants {
    /// The sources it may publish.
    pub publish: Vec<Source>,
    /// Whether it may receive the others' tracks.
    pub subscribe: bool,
    /// Whether it may read and write chat.
    pub chat: bool,
    /// Whether it may send data. Everybody receives it.
    pub data: bool,
    /// Whether it may kick, mute others and lock the room.
    pub moderate: bool,
    /// Whether it may have the room recorded.
    #[serde(default)]
    pub record: bool,
    /// What it may do with what is kept of the room.
    #[serde(default)]
    pub library: LibraryGrant,
    /// Whether it may change its own metadata and attributes.
    #[serde(default)]
    pub describe: bool,
}

/// What somebody may do with what is kept of a room: recordings, screenshots and uploads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum LibraryGrant {
    /// Nothing.
    #[default]
    None,
    /// To see, to play and to download it.
    View,
    /// To rename it, to delete it, to share it and to add to it as well.
    Manage,
}

/// A recording that goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct RecordingInfo {
    /// Its identity.
    pub recording: String,
    /// Who has begun it.
    pub by: MemberId,
    /// When it began: milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number"))]
    pub at: u64,
    /// Who is recorded; empty for everybody.
    pub members: Vec<MemberId>,
    /// What of them is recorded.
    pub sources: Vec<Source>,
    /// Why nothing of it is written at present, or not all; what is said meanwhile is lost. None while it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub paused: Option<RecordingPause>,
    /// Nobody who is in the room may end it: it ends with the call, or by whoever runs the service.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub unattended: bool,
}

/// Why nothing of a recording is written. It goes on by itself when the reason is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum RecordingPause {
    /// The server's disk is full, or has as little left as it is to keep free.
    DiskFull,
    /// The server's disk refuses to write.
    DiskFailed,
    /// The server's disk is too slow: parts are lost.
    DiskSlow,
}

/// Something of the room that is sent to a server elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct EgressInfo {
    /// Its identity.
    pub egress: String,
    /// Whose media.
    pub member: MemberId,
    /// Whether it is the member's screen with its sound, and not its camera and microphone.
    pub screen: bool,
    /// The host that it is sent to.
    pub host: String,
    /// Who has begun it.
    pub by: MemberId,
    /// When it was begun: milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number"))]
    pub at: u64,
}

/// A published track, as others see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct TrackInfo {
    /// Its number.
    pub track: TrackNumber,
    /// Where it comes from.
    pub source: Source,
    /// Whether its publisher has muted it.
    pub muted: bool,
    /// Whether a moderator has muted it: nothing of it is forwarded until a moderator takes that back.
    pub muted_by_moderator: bool,
    /// Whether it is the fallback of the track of the same source. Only its publisher is told of it.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub fallback: bool,
    /// Who alone may receive it; absent: everybody who may receive anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub audience: Option<Vec<MemberId>>,
}

/// A codec of video, in the one form that every browser with that codec has: VP9 and AV1 of profile 0, H.264 of the constrained
/// baseline profile with packetization mode 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum VideoCodec {
    /// VP8 (RFC 7741).
    Vp8,
    /// H.264 (RFC 6184).
    H264,
    /// VP9 (RFC 9628).
    Vp9,
    /// AV1.
    Av1,
}

/// How much a picture matters beside the others, when not all can be had. Shared screens come first in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Priority {
    /// Less than others.
    Low,
    /// As others.
    #[default]
    Normal,
    /// More than others: it is pinned, or large.
    High,
}

/// What a member is sent of a track of video.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct TrackQuality {
    /// Which track.
    pub track: TrackNumber,
    /// How good it is.
    pub level: QualityLevel,
    /// Why it is not better, if anything but the track itself stands against that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub limit: Option<QualityLimit>,
}

/// How good a picture is, of what its publisher can send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum QualityLevel {
    /// Nothing is sent.
    Paused,
    /// The smallest of three encodings.
    Low,
    /// The middle one, or the smaller of two.
    Medium,
    /// The largest, or the only one.
    High,
}

/// What keeps a picture from being better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum QualityLimit {
    /// The member's own connection carries no more.
    Bandwidth,
    /// The member has said that it shows it smaller, or not at all.
    View,
    /// Its publisher sends nothing better: it cannot, or its connection carries no more.
    Publisher,
    /// The member cannot decode its codec.
    Codec,
}

/// A member, as others see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct MemberInfo {
    /// Its identity.
    pub member: MemberId,
    /// The name to show (at most 128 bytes).
    pub name: String,
    /// Whether it may moderate.
    pub moderator: bool,
    /// Whether its socket is lost at the moment (its media may go on).
    pub away: bool,
    /// Its tracks.
    pub tracks: Vec<TrackInfo>,
    /// Its hand is raised: whoever has the smaller number has raised it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub hand: Option<u32>,
    /// What the application says of it: the server does not look into it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub metadata: String,
    /// The same by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub attributes: BTreeMap<String, String>,
}

/// What a member shows for a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Reaction {
    /// Thumbs up.
    Agree,
    /// Thumbs down.
    Disagree,
    /// Clapping hands.
    Applause,
    /// A heart.
    Heart,
    /// Laughter.
    Laugh,
    /// Astonishment.
    Surprise,
    /// A party.
    Celebrate,
}

/// Somebody who waits at the door of a locked room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct Knocker {
    /// The identity that it would have in the room.
    pub member: MemberId,
    /// The name to show.
    pub name: String,
}

/// One line of chat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct ChatMessage {
    /// Its number in the room, from 1, without gaps.
    #[cfg_attr(test, ts(type = "number"))]
    pub number: u64,
    /// Who said it.
    pub member: MemberId,
    /// Their name at that time.
    pub name: String,
    /// When the server took it: milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number"))]
    pub at: u64,
    /// What they said (at most 4 KiB).
    pub text: String,
    /// The sender's own key for it, which makes sending it twice the same as once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
}

/// What is false is not written.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}
