//! What a room is given beyond the node's settings: at its creation, by the token of whoever opens it, or later by a program. The node's limits
//! are narrowed, never widened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::profile::check_text;
use super::room::Rules;
use crate::config::LEAST_PUBLISH_KBPS;
use crate::control::Refusal;
use crate::wire::{ErrorCode, Policy};

/// Seconds that an empty room lives on at most, where somebody has said for how long: a room that is made in the morning for the evening.
const LONGEST_EMPTY: u64 = 86_400;

/// What a room is given. What is not said is as the node has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RoomSettings {
    /// How media travels where nobody in the room has said otherwise. It stays `sfu` where the server's own policy (`rooms.policy`) is that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Members at most, as far as the server takes as many (`rooms.members`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// Tracks that a member publishes at most at a time, as far as the server takes as many (`rooms.tracks`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<u8>,
    /// Kilobits a second that a member publishes at most, all its tracks together, as far as the server takes as much (`rooms.publish_kbps`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_kbps: Option<u32>,
    /// Mebibytes that are kept of the room, as far as the server keeps as many (`library.room_mib`): a recording that reaches them ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_mib: Option<u32>,
    /// Seconds that the room lives on when it is empty, or before anybody has come: at most a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_seconds: Option<u64>,
    /// What the application says of the room: everybody inside sees it, and the server does not look into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Nobody new comes in while it is locked; into one that is locked from the beginning nobody at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
}

impl RoomSettings {
    /// Checks what somebody wants.
    ///
    /// # Errors
    /// `LimitExceeded` or `Malformed` where a value cannot be.
    pub fn check(&self, metadata_bytes: usize) -> Result<(), Refusal> {
        if self.members == Some(0) || self.tracks.is_some_and(|tracks| tracks > 4) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "`members` is at least 1, and `tracks` at most 4"));
        }
        if self.publish_kbps.is_some_and(|kbps| kbps < LEAST_PUBLISH_KBPS) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("`publish_kbps` is at least {LEAST_PUBLISH_KBPS}: a voice takes as much")));
        }
        if self.empty_seconds.is_some_and(|seconds| seconds > LONGEST_EMPTY) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("`empty_seconds` is at most {LONGEST_EMPTY}")));
        }
        self.metadata.as_deref().map_or(Ok(()), |metadata| check_text("metadata", metadata, metadata_bytes))
    }

    /// With what is said anew.
    pub(super) fn amended(&self, by: RoomSettings) -> Self {
        Self {
            policy: by.policy.or(self.policy),
            members: by.members.or(self.members),
            tracks: by.tracks.or(self.tracks),
            publish_kbps: by.publish_kbps.or(self.publish_kbps),
            library_mib: by.library_mib.or(self.library_mib),
            empty_seconds: by.empty_seconds.or(self.empty_seconds),
            metadata: by.metadata.or_else(|| self.metadata.clone()),
            locked: by.locked.or(self.locked),
        }
    }
}

impl Rules {
    /// The node's rules, narrowed to what a room was given.
    pub(super) fn narrowed(&self, to: &RoomSettings) -> Self {
        let mut rules = self.clone();
        if let Some(members) = to.members {
            rules.members = rules.members.min(members as usize);
        }
        if let Some(tracks) = to.tracks {
            rules.tracks = rules.tracks.min(tracks.into());
        }
        rules.publish_kbps = least(rules.publish_kbps, to.publish_kbps);
        rules.library_mib = least(rules.library_mib, to.library_mib);
        if let Some(seconds) = to.empty_seconds {
            rules.grace = Duration::from_secs(seconds);
        }
        if let Some(policy) = to.policy.filter(|_| rules.policy != Policy::Sfu) {
            rules.policy = policy;
        }
        rules
    }
}

/// The lesser of two bounds; none is no bound.
pub(super) fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}
