//! What requests say.

use serde::Deserialize;

use crate::control::rooms::RoomSettings;
use crate::wire::{DataPayload, MemberId, Source};

/// A room that is made.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NewRoom {
    /// Its name: 1–64 characters, letters, digits, `.`, `_`, `-`. Without one it is drawn.
    pub name: Option<String>,
    /// What it is given.
    pub settings: RoomSettings,
}

/// Whether a track is forwarded.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrackChange {
    /// Whether it is muted: nothing of it is forwarded then.
    pub muted: bool,
}

/// Whether a source of everybody who is there is forwarded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MuteAll {
    /// Which.
    pub source: Source,
    /// Whether it is muted.
    pub muted: bool,
}

/// Data for members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NewData {
    /// What it is about (at most 64 bytes).
    #[serde(default)]
    pub topic: String,
    /// Whom it is for (at most 32); empty for everybody. Who is not in the room is left out.
    #[serde(default)]
    pub to: Vec<MemberId>,
    /// What.
    pub payload: DataPayload,
    /// Whether it may be lost on the way.
    #[serde(default)]
    pub lossy: bool,
}

/// Whether somebody who knocks comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Entry {
    /// Whether they are let in; else they are sent away.
    pub admitted: bool,
}

/// Something of a room that is to be sent to a server elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NewEgress {
    /// Whose media.
    pub member: MemberId,
    /// What of it.
    #[serde(default)]
    pub source: SentSource,
    /// Where to: the URL of a WHIP endpoint.
    pub url: String,
    /// The bearer token that the other server asks for, if it does.
    #[serde(default)]
    pub token: Option<String>,
}

/// What of a member is sent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SentSource {
    /// Its camera and its microphone.
    #[default]
    Camera,
    /// Its screen, with its sound.
    Screen,
}
