//! What a program that runs the service wants of a room. Its token was looked at before: nothing is asked for here.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::command::{OwnedData, SocketId};
use super::member::Seat;
use super::room::{Outcome, Room};
use super::settings::RoomSettings;
use super::way::Ways;
use crate::base::{Time, TrackId};
use crate::control::Refusal;
use crate::wire::{ByeReason, ErrorCode, Event, Grants, LibraryGrant, MemberId, Policy, Source, TrackNumber};

/// What a program wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdminOrder {
    /// The room is given something else.
    Set(RoomSettings),
    /// A member goes.
    Remove {
        /// Who.
        member: MemberId,
        /// Whether its identity may come again.
        may_return: bool,
    },
    /// A member is changed.
    Change {
        /// Who.
        member: MemberId,
        /// How.
        change: MemberChange,
    },
    /// A track is forwarded no longer, or again.
    MuteTrack {
        /// Which.
        track: TrackNumber,
        /// Whether it is muted.
        muted: bool,
    },
    /// A source of everybody who is there is forwarded no longer, or again.
    MuteAll {
        /// Which.
        source: Source,
        /// Whether it is muted.
        muted: bool,
    },
    /// Data for members.
    Send {
        /// The name by which they see who sends it.
        from: MemberId,
        /// What.
        data: OwnedData,
    },
    /// Somebody who knocks is let in or sent away.
    Admit {
        /// Who.
        member: MemberId,
        /// Whether they may come in.
        admitted: bool,
    },
    /// The room ends, with everybody inside.
    End,
}

/// How a member is changed. What is not mentioned stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemberChange {
    /// The name to show.
    pub name: Option<String>,
    /// Its metadata; empty for none.
    pub metadata: Option<String>,
    /// Its attributes: all of them.
    pub attributes: Option<BTreeMap<String, String>>,
    /// What it may do.
    pub grants: GrantsChange,
}

/// What of a member's grants is changed. What is not mentioned stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GrantsChange {
    /// The sources it may publish: all of them. What it publishes from others ends.
    pub publish: Option<Vec<Source>>,
    /// Whether it may receive the others' tracks.
    pub subscribe: Option<bool>,
    /// Whether it may read and write chat.
    pub chat: Option<bool>,
    /// Whether it may send data.
    pub data: Option<bool>,
    /// Whether it may kick, mute others and lock the room.
    pub moderate: Option<bool>,
    /// Whether it may have the room recorded.
    pub record: Option<bool>,
    /// What it may do with what is kept of the room; its token says that to the library, and goes on to say so.
    pub library: Option<LibraryGrant>,
    /// Whether it may change its own metadata and attributes.
    pub describe: Option<bool>,
}

impl GrantsChange {
    fn of(self, grants: &Grants) -> Grants {
        let mut publish = self.publish.unwrap_or_else(|| grants.publish.clone());
        publish.sort_unstable();
        publish.dedup();
        Grants {
            publish,
            subscribe: self.subscribe.unwrap_or(grants.subscribe),
            chat: self.chat.unwrap_or(grants.chat),
            data: self.data.unwrap_or(grants.data),
            moderate: self.moderate.unwrap_or(grants.moderate),
            record: self.record.unwrap_or(grants.record),
            library: self.library.unwrap_or(grants.library),
            describe: self.describe.unwrap_or(grants.describe),
        }
    }
}

impl Room {
    /// Carries out what a program wants.
    pub(super) fn administer(&mut self, socket: SocketId, order: AdminOrder, now: Time) {
        let ends = order == AdminOrder::End;
        let outcome = match order {
            AdminOrder::Set(settings) => self.give(settings, now),
            AdminOrder::Remove { member, may_return } => self.send_away(&member, may_return),
            AdminOrder::Change { member, change } => self.change_member(&member, change),
            AdminOrder::MuteTrack { track, muted } => self.silence(track, muted),
            AdminOrder::MuteAll { source, muted } => self.silence_all(None, source, muted),
            AdminOrder::Send { from, data } => self.send_for(from, &data),
            AdminOrder::Admit { member, admitted } => self.let_in(&member, admitted),
            AdminOrder::End => Ok(None),
        };
        self.reply(socket, 0, outcome);
        if ends {
            self.end(ByeReason::Ended);
        }
    }

    /// What a room is given at its beginning, before anybody is there; it was checked where it came from.
    pub fn furnish(&mut self, settings: RoomSettings) {
        self.rules = self.node_rules.narrowed(&settings);
        self.ways = Ways::new(self.rules.policy);
        self.locked = settings.locked == Some(true);
        self.settings = settings;
    }

    fn give(&mut self, settings: RoomSettings, now: Time) -> Outcome {
        settings.check(self.rules.metadata_bytes)?;
        if let Some(policy) = settings.policy.filter(|policy| *policy != self.ways.policy()) {
            self.may_travel(policy, self.node_rules.policy)?;
            self.move_to(policy, None, now);
        }
        if let Some(locked) = settings.locked {
            self.set_locked(locked);
        }
        let metadata = settings.metadata.clone().filter(|metadata| *metadata != self.metadata());
        self.settings = self.settings.amended(settings);
        self.rules = self.node_rules.narrowed(&self.settings);
        self.hold_all_to_limits();
        if let Some(metadata) = metadata {
            self.tell(|_| true, Event::Room { metadata });
        }
        Ok(None)
    }

    /// What the application says of the room.
    pub(super) fn metadata(&self) -> String {
        self.settings.metadata.clone().unwrap_or_default()
    }

    fn change_member(&mut self, member: &MemberId, change: MemberChange) -> Outcome {
        let MemberChange { name, metadata, attributes, grants } = change;
        let seat = self.identities.get(member).copied().ok_or_else(no_member)?;
        let most = self.rules.metadata_bytes;
        let Some(member) = self.members.get_mut(&seat) else { return Err(no_member()) };
        let profile = member.profile.amended(metadata, attributes);
        profile.check(most)?;
        let before = member.info();
        member.profile = profile;
        member.name = name.unwrap_or_else(|| member.name.clone());
        self.grant(seat, grants);
        if self.members.get(&seat).is_some_and(|m| m.info() != before) {
            self.tell_changed(seat);
        }
        Ok(None)
    }

    fn grant(&mut self, seat: Seat, change: GrantsChange) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let grants = change.of(&member.grants);
        if grants == member.grants {
            return;
        }
        let gone: Vec<TrackId> = member.tracks.iter().filter(|t| !t.fallback && !grants.publish.contains(&t.source)).map(|t| t.id).collect();
        let moderates = grants.moderate && !member.grants.moderate;
        member.grants = grants.clone();
        for track in gone {
            self.finish_track(seat, track);
        }
        self.tell(|s| s == seat, Event::Granted { grants });
        if moderates {
            self.remind_of_door();
        }
        self.fill_after(seat);
    }

    /// Whether a room's media may travel so; `most` is the policy that nobody goes beyond.
    pub(super) fn may_travel(&self, policy: Policy, most: Policy) -> Result<(), Refusal> {
        if policy != Policy::Sfu && most == Policy::Sfu {
            return Err(Refusal::forbidden("this server carries all media, so that no member learns another one's addresses"));
        }
        let all_able = self.members.values().all(super::member::Member::may_be_direct);
        if policy == Policy::P2p && (self.len() > 2 || !all_able) {
            return Err(Refusal::new(ErrorCode::DirectOnly, "only two browsers can be connected directly: more are here, or others than browsers"));
        }
        Ok(())
    }
}

pub(super) fn no_member() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such member (any more)")
}
