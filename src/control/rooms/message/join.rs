//! `join`: a newcomer, or somebody who comes again under the same identity.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Time;
use crate::control::rooms::command::{Admission, Introduction, JoinDraws, SocketId};
use crate::control::rooms::gestures::Gestures;
use crate::control::rooms::journal::Journal;
use crate::control::rooms::ledger::Note;
use crate::control::rooms::member::{Member, Presence, Seat, is_unlimited};
use crate::control::rooms::message::Sending;
use crate::control::rooms::profile::Changes;
use crate::control::rooms::room::{Outcome, Room};
use crate::control::rooms::slots::Slots;
use crate::control::rooms::way::Allowance;
use crate::control::{Limit, Refusal};
use crate::wire::{ByeReason, DirectAbility, ErrorCode, Event, Knocker, LeaveReason, MemberId, OkResult};

/// Why one who does not encrypt cannot come in.
const ENCRYPTED: &str = "the members of this room encrypt end to end: join with the whole link, which has their key";

impl Room {
    pub(in crate::control::rooms) fn join(
        &mut self, socket: SocketId, admission: Admission, draws: JoinDraws, introduction: Introduction, now: Time,
    ) -> Outcome {
        let knocker = introduction.knock.then(|| Knocker { member: admission.identity.clone(), name: admission.name.clone() });
        match (self.take_in(socket, admission, draws, introduction, now), knocker) {
            (Ok(seat), _) => Ok(self.joined(seat)),
            (Err(refusal), Some(knocker)) if refusal.code == ErrorCode::Locked => Err(self.knock(knocker, now)),
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Gives a newcomer a seat; whoever had its identity goes.
    pub(super) fn take_in(
        &mut self, socket: SocketId, admission: Admission, draws: JoinDraws, introduction: Introduction, now: Time,
    ) -> Result<Seat, Refusal> {
        let Introduction { direct, encrypted, .. } = introduction;
        admission.profile.check(self.rules.metadata_bytes)?;
        let before = self.identities.get(&admission.identity).copied();
        self.may_join(&admission.identity, before, direct.is_some() && is_unlimited(&admission.grants), encrypted)?;
        if self.members.len() == usize::from(before.is_some()) {
            self.encrypted = encrypted;
        }
        if let Some(before) = before {
            self.bye(before, ByeReason::Replaced);
            self.remove(before, LeaveReason::Replaced);
        }
        let seat = self.new_seat();
        let asked = if admission.grants.subscribe { self.first_pairs() } else { 0 };
        let member = Member {
            identity: admission.identity.clone(),
            name: admission.name,
            grants: admission.grants,
            resume: draws.resume,
            presence: Presence::Here(socket),
            http: None,
            direct: direct.map(bounded),
            allowance: Allowance::default(),
            sending: Sending::default(),
            profile: admission.profile,
            changes: Changes::default(),
            audiences: BTreeMap::new(),
            most_tracks: admission.tracks,
            most_kbps: admission.publish_kbps,
            since: now,
            gestures: Gestures::default(),
            seq: 0,
            connection: None,
            tracks: Vec::new(),
            unwanted: BTreeSet::new(),
            views: BTreeMap::new(),
            pins: BTreeSet::new(),
            quality: Vec::new(),
            journal: Journal::new(self.past.now()),
            slots: Slots::default(),
            asked,
        };
        self.ledger.note(Note::Joined(seat, member.identity.clone(), member.name.clone()));
        self.members.insert(seat, member);
        self.identities.insert(admission.identity, seat);
        self.sockets.insert(socket, seat);
        Ok(seat)
    }

    /// Tells the others of a newcomer; after its own answer.
    pub(in crate::control::rooms) fn announce_join(&mut self, socket: SocketId) {
        let Some(seat) = self.sockets.get(&socket).copied() else { return };
        let Some(member) = self.members.get(&seat).map(Member::info) else { return };
        self.tell(|s| s != seat, Event::MemberJoined { member });
    }

    pub(super) fn may_join(&self, identity: &MemberId, before: Option<Seat>, is_direct: bool, encrypted: bool) -> Result<(), Refusal> {
        if self.kicked.contains(identity) {
            return Err(Refusal::new(ErrorCode::Kicked, "a moderator has removed you from this room"));
        }
        let others = self.len().saturating_sub(usize::from(before.is_some()));
        if !self.direct_room_takes(is_direct, others) {
            let why = "the room's calls go directly between two browsers: this client cannot, or both are there already";
            return Err(Refusal::new(ErrorCode::DirectOnly, why));
        }
        if others > 0 && encrypted != self.encrypted {
            let why = if encrypted { "the members of this room do not encrypt end to end: join without" } else { ENCRYPTED };
            return Err(Refusal::new(ErrorCode::EncryptionDiffers, why));
        }
        if before.is_some() {
            return Ok(());
        }
        if self.locked && !self.insiders.contains(identity) {
            return Err(Refusal::new(ErrorCode::Locked, "the room is locked: ask somebody inside to unlock it"));
        }
        if self.len() >= self.rules.members {
            let most = match self.rules.members {
                1 => "1 member".to_owned(),
                most => format!("{most} members"),
            };
            return Err(Refusal::limited(Limit::Members, ErrorCode::Full, format!("the room is full: it takes {most}")));
        }
        Ok(())
    }

    /// The room as a member sees it.
    pub(in crate::control::rooms) fn joined(&self, seat: Seat) -> Option<OkResult> {
        let member = self.members.get(&seat)?;
        Some(OkResult::Joined {
            room: self.name.as_str().to_owned(),
            me: Box::new(member.own_info()),
            grants: member.grants.clone(),
            resume: member.resume.clone(),
            pairs: member.asked as u32,
            members: self.members.iter().filter(|(s, _)| **s != seat).map(|(_, m)| m.info()).collect(),
            speakers: self.speaker_ids(),
            chat: if member.grants.chat { self.chat.newest(None, self.rules.history) } else { Vec::new() },
            locked: self.locked,
            seq: member.seq,
            slots: self.slot_list(seat),
            connection: member.connection.is_some(),
            way: Box::new(self.way_of(seat)),
            policy: self.ways.policy(),
            recording: self.recording.as_ref().map(|recording| Box::new(recording.info.clone())),
            egress: self.egresses.infos(),
            knocking: if member.grants.moderate { self.door.people() } else { Vec::new() },
            encrypted: self.encrypted,
            metadata: self.metadata(),
        })
    }
}

/// The name of a direct connection is short, if it is one of ours.
fn bounded(ability: DirectAbility) -> DirectAbility {
    const LONGEST: usize = 64;
    DirectAbility { held: ability.held.filter(|held| held.len() <= LONGEST) }
}
