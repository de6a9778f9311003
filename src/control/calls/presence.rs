//! Coming and going: devices that enter, leave, are lost and come back; who is away for too long; who is removed.

use std::collections::BTreeSet;

use super::command::{Effect, Outcome};
use super::lobby::{Answer, Lobby, not_found};
use super::person::{DEVICES, Person};
use crate::base::Time;
use crate::control::Refusal;
use crate::control::rooms::{Admission, SocketId};
use crate::wire::{ByeReason, CallEnd, CallId, ErrorCode, Event, MemberId, OkResult};

/// Removed identities that a lobby remembers: far more than it has people.
const REMEMBERED: usize = 10_000;

impl Lobby {
    /// A device comes in: of somebody new, one more of somebody who is here, or one that was lost.
    pub(super) fn enter(&mut self, socket: SocketId, id: u32, admission: Admission, call: Option<&CallId>, now: Time) {
        if let Err(refusal) = self.may_enter(&admission.identity) {
            self.effects.push(Effect::Reply { socket, id, result: Err(refusal) });
            return;
        }
        let Admission { identity: member, name, grants, .. } = admission;
        let before = self.people.get(&member).map(|person| person.info(&member));
        if self.devices(&member).len() >= DEVICES
            && let Some(oldest) = self.devices(&member).first().copied()
        {
            self.bye(oldest, ByeReason::Replaced);
            self.forget_socket(oldest, now);
        }
        let person = self.people.entry(member.clone()).or_insert_with(|| Person {
            name: String::new(),
            grants: grants.clone(),
            sockets: BTreeSet::new(),
            away: None,
            call: None,
        });
        (person.name, person.grants, person.away) = (name, grants.clone(), None);
        person.sockets.insert(socket);
        let me = person.info(&member);
        let others = self.people.iter().filter(|(other, _)| **other != member);
        let people = others.map(|(other, person)| person.info(other)).collect();
        let lobby = self.name.as_str().to_owned();
        let entered = OkResult::Entered { lobby, me: me.clone(), grants, people };
        self.effects.push(Effect::Reply { socket, id, result: Ok(Some(entered)) });
        if before.is_none_or(|before| before != me) {
            let others: Vec<_> = self.sockets.keys().copied().collect();
            self.tell(others, Event::Person { person: me });
        }
        self.sockets.insert(socket, (member.clone(), 0));
        self.catch_up(socket, &member, call, now);
    }

    fn may_enter(&self, member: &MemberId) -> Result<(), Refusal> {
        if self.kicked.contains(member) {
            return Err(Refusal::new(ErrorCode::Kicked, "a moderator has removed you from this lobby"));
        }
        if !self.people.contains_key(member) && self.people.len() >= self.rules.people {
            return Err(Refusal::new(ErrorCode::Full, format!("the lobby is full: it takes {} people", self.rules.people)));
        }
        Ok(())
    }

    /// Leaves on purpose: nobody waits for this device.
    pub(super) fn leave(&mut self, socket: SocketId, now: Time) {
        let Some((member, _)) = self.sockets.get(&socket).cloned() else { return };
        let held = self.calls.iter_mut().find_map(|(id, call)| call.end_at(socket).is_some().then(|| id.clone()));
        if let Some(call) = held {
            // It is an end of that call: nothing can be refused.
            let _ = self.hang_up(socket, &member, &call);
        }
        self.forget_socket(socket, now);
        // Another device that is lost, and in a call, may come back.
        let Some(person) = self.people.get(&member) else { return };
        let is_awaited =
            person.call.as_ref().and_then(|id| self.calls.get(id)).and_then(|call| call.ends(&member)).is_some_and(|(end, _)| end.lost.is_some());
        if person.sockets.is_empty() && !is_awaited {
            self.remove(&member);
        }
    }

    /// A socket is lost: its device may come back.
    pub(super) fn lose(&mut self, socket: SocketId, bye: Option<ByeReason>, now: Time) {
        if let Some(reason) = bye {
            self.bye(socket, reason);
        }
        self.forget_socket(socket, now);
    }

    /// Moderation: somebody is removed, and refused for the lobby's life.
    pub(super) fn kick(&mut self, by: &MemberId, member: &MemberId) -> Answer {
        if !self.people.get(by).is_some_and(|person| person.grants.moderate) {
            return Err(Refusal::forbidden("your token does not allow to moderate"));
        }
        if !self.people.contains_key(member) {
            return Err(not_found("there is nobody of this identity in the lobby (any more)"));
        }
        if self.kicked.len() >= REMEMBERED {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "too many people were removed from this lobby"));
        }
        self.kicked.insert(member.clone());
        for socket in self.devices(member) {
            self.bye(socket, ByeReason::Kicked);
            self.sockets.remove(&socket);
        }
        self.remove(member);
        Ok(None)
    }

    /// Whatever is due is done.
    pub(super) fn expire(&mut self, now: Time) {
        let due: Vec<_> = self.calls.iter().filter(|(_, call)| call.deadline(self.rules.grace) <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some(call) = self.calls.get(&id) else { continue };
            match call.rings {
                Some(until) if until <= now => self.stop_ringing(&id, Outcome::TimedOut, Some(CallEnd::TimedOut), CallEnd::TimedOut, None),
                _ => self.drop_call(&id),
            }
        }
        let due: Vec<_> =
            self.people.iter().filter(|(_, person)| self.leaves_at(person).is_some_and(|at| at <= now)).map(|(m, _)| m.clone()).collect();
        for member in due {
            self.remove(&member);
        }
    }

    /// When somebody who is away is taken for gone. Not while a call of theirs goes on: it may be the only thing that still works.
    pub(super) fn leaves_at(&self, person: &Person) -> Option<Time> {
        let talks = person.call.as_ref().and_then(|id| self.calls.get(id)).is_some_and(|call| !call.is_ringing());
        if talks { None } else { person.away.map(|since| since + self.rules.grace) }
    }

    fn forget_socket(&mut self, socket: SocketId, now: Time) {
        let Some((member, _)) = self.sockets.remove(&socket) else { return };
        for call in self.calls.values_mut() {
            if let Some(end) = call.end_at(socket) {
                end.lose(now);
            }
        }
        if let Some(person) = self.people.get_mut(&member) {
            person.sockets.remove(&socket);
            if person.sockets.is_empty() {
                person.away = Some(now);
            }
        }
    }

    /// Somebody is gone, with the call that they were an end of.
    fn remove(&mut self, member: &MemberId) {
        if let Some(id) = self.people.get(member).and_then(|person| person.call.clone()) {
            self.drop_call(&id);
        }
        if self.people.remove(member).is_some() {
            let all: Vec<_> = self.sockets.keys().copied().collect();
            self.tell(all, Event::PersonGone { member: member.clone() });
        }
    }
}
