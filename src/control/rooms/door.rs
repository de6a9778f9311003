//! Who knocks at a locked room. Nobody waits in it: whoever knocks is refused and asks again, so that it costs a line in a list, and whoever has
//! gone away is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use super::member::Seat;
use super::room::{Outcome, Room};
use crate::base::Time;
use crate::control::Refusal;
use crate::wire::{ErrorCode, Event, Knocker, MemberId};

/// Whoever has not knocked again for so long has gone away.
const PATIENCE: Duration = Duration::from_secs(10);
/// People at the door: more than anybody looks through.
const MOST: usize = 64;
/// Moderators are told at most so often, however fast people come and go.
const APART: Duration = Duration::from_millis(500);
/// People that a room remembers as let in, or as sent away.
const REMEMBERED: usize = 10_000;

/// The door of a room.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// In the order in which they came.
    knocking: Vec<(Knocker, Time)>,
    /// Sent away, until the room is unlocked.
    refused: BTreeSet<MemberId>,
    changed: bool,
    not_before: Option<Time>,
}

impl Door {
    /// Who knocks.
    pub fn people(&self) -> Vec<Knocker> {
        self.knocking.iter().map(|(person, _)| person.clone()).collect()
    }

    pub fn deadline(&self) -> Option<Time> {
        let told = self.not_before.filter(|_| self.changed);
        self.knocking.iter().map(|(_, until)| *until).chain(told).min()
    }

    fn take(&mut self, member: &MemberId) -> bool {
        let before = self.knocking.len();
        self.knocking.retain(|(person, _)| person.member != *member);
        before != self.knocking.len()
    }
}

impl Room {
    /// Somebody knocks, for the first time or again; what they are told.
    pub(super) fn knock(&mut self, person: Knocker, now: Time) -> Refusal {
        if self.door.refused.contains(&person.member) {
            return Refusal::new(ErrorCode::NotAdmitted, "a moderator has not let you in");
        }
        let until = now + PATIENCE;
        if let Some((known, again)) = self.door.knocking.iter_mut().find(|(known, _)| known.member == person.member) {
            *again = until;
            self.door.changed |= *known != person;
            *known = person;
        } else if self.door.knocking.len() < MOST {
            self.door.knocking.push((person, until));
            self.door.changed = true;
        } else {
            return Refusal::new(ErrorCode::Locked, "the room is locked, and many people wait already: try again later");
        }
        Refusal::new(ErrorCode::Locked, "the room is locked: its moderators have been asked")
    }

    /// Lets somebody in, or sends them away.
    pub(super) fn admit(&mut self, seat: Seat, member: &MemberId, admitted: bool) -> Outcome {
        self.may_moderate(seat)?;
        self.let_in(member, admitted)
    }

    /// The same, whoever wants it.
    pub(super) fn let_in(&mut self, member: &MemberId, admitted: bool) -> Outcome {
        if !self.door.take(member) {
            return Err(Refusal::new(ErrorCode::NotFound, "nobody of that name knocks (any more)"));
        }
        self.door.changed = true;
        let remembered = if admitted { &mut self.insiders } else { &mut self.door.refused };
        if remembered.len() >= REMEMBERED {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "too many people were let in or sent away: unlock the room instead"));
        }
        remembered.insert(member.clone());
        Ok(None)
    }

    /// The room was locked or unlocked: it is decided anew who comes in.
    pub(super) fn open_door(&mut self) {
        self.door.refused.clear();
        self.door.changed |= !self.door.knocking.is_empty();
        self.door.knocking.clear();
    }

    /// Somebody moderates from now on, and has to hear who waits.
    pub(super) fn remind_of_door(&mut self) {
        self.door.changed |= !self.door.knocking.is_empty();
    }

    pub(super) fn forget_knocks(&mut self, now: Time) {
        let before = self.door.knocking.len();
        self.door.knocking.retain(|(_, until)| now < *until);
        self.door.changed |= before != self.door.knocking.len();
    }

    /// Tells moderators who knocks, after each command.
    pub(super) fn settle_door(&mut self, now: Time) {
        if !self.door.changed || self.door.not_before.is_some_and(|at| now < at) {
            return;
        }
        self.door.changed = false;
        self.door.not_before = Some(now + APART);
        let moderators: BTreeSet<Seat> = self.members.iter().filter(|(_, m)| m.grants.moderate).map(|(seat, _)| *seat).collect();
        let people = self.door.people();
        self.tell(|s| moderators.contains(&s), Event::Knocking { people });
    }
}
