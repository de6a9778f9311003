//! What is done about calls: to make one, to take it, not to take it, to end it.

use std::time::Duration;

use super::command::{Admit, CallDraws, Effect, Outcome};
use super::lobby::{Answer, Lobby, not_found};
use super::person::{Call, End};
use crate::base::Time;
use crate::control::Refusal;
use crate::control::rooms::{Admission, SocketId};
use crate::wire::{ByeReason, CallEnd, CallId, CallMedia, ErrorCode, Event, Grants, LibraryGrant, MemberId, OkResult, RejectReason};

/// What calls are counted by.
const MINUTE: Duration = Duration::from_secs(60);
/// Identities whose calls are remembered for a minute, for each person that may be here: those who leave and come back are not forgotten.
const REMEMBERED: usize = 4;

impl Lobby {
    pub(super) fn call(&mut self, socket: SocketId, me: &MemberId, to: MemberId, media: CallMedia, draws: CallDraws, now: Time) -> Answer {
        if to == *me {
            return Err(Refusal::new(ErrorCode::WrongState, "nobody can call themselves"));
        }
        let left_behind = match self.standing(socket, me, &to) {
            Standing::Free => None,
            Standing::LeftBehind(id) => Some(id),
            Standing::Calls(id) => return Ok(self.call_once_more(&id, socket, now)),
            Standing::IsCalled(id) => {
                let until = self.calls.get(&id).and_then(|call| call.rings).unwrap_or(now);
                self.connect(&id, socket);
                return Ok(Some(calling(&id, until, now)));
            }
            Standing::Busy => return Err(Refusal::new(ErrorCode::WrongState, "you are in a call, or about to be: end it first")),
        };
        self.pay(me, now)?;
        let Some(callee) = self.people.get(&to) else {
            return Err(not_found("there is nobody of this identity in the lobby (any more)"));
        };
        if callee.call.is_some() && callee.call != left_behind {
            self.effects.push(Effect::Count(Outcome::Busy));
            return Err(Refusal::new(ErrorCode::Busy, "they are in a call, or about to be: try again later"));
        }
        if let Some(id) = left_behind {
            self.drop_call(&id);
        }
        let (id, until) = (draws.call, now + self.rules.ring);
        let (caller, callee) = (End::new(me.clone(), Some(socket)), End::new(to.clone(), None));
        self.calls.insert(id.clone(), Call { media, room: draws.room, caller, callee, rings: Some(until) });
        for member in [me, &to] {
            if let Some(person) = self.people.get_mut(member) {
                person.call = Some(id.clone());
            }
            self.announce(member);
        }
        let devices = self.devices(&to);
        self.ring(&id, devices, now);
        Ok(Some(calling(&id, until, now)))
    }

    /// How somebody stands who wants to call.
    fn standing(&self, socket: SocketId, me: &MemberId, to: &MemberId) -> Standing {
        let found = self.people.get(me).and_then(|person| person.call.clone());
        let Some((id, call)) = found.and_then(|id| self.calls.get(&id).map(|call| (id, call))) else { return Standing::Free };
        let Some((mine, other)) = call.ends(me) else { return Standing::Free };
        let is_caller = call.caller.member == *me;
        match (call.is_ringing() && other.member == *to, is_caller) {
            (true, true) if mine.socket.is_none_or(|at| at == socket) => Standing::Calls(id),
            (true, false) => Standing::IsCalled(id),
            _ if mine.lost.is_some() => Standing::LeftBehind(id),
            _ => Standing::Busy,
        }
    }

    /// Asked once more for the same, because the answer was lost with a socket.
    fn call_once_more(&mut self, id: &CallId, socket: SocketId, now: Time) -> Option<OkResult> {
        let call = self.calls.get_mut(id)?;
        call.caller.take(socket);
        Some(calling(id, call.rings.unwrap_or(now), now))
    }

    pub(super) fn accept(&mut self, socket: SocketId, me: &MemberId, id: &CallId) -> Answer {
        let Some(call) = self.calls.get_mut(id).filter(|call| call.callee.member == *me) else { return Err(no_ring()) };
        if call.is_ringing() {
            self.connect(id, socket);
        } else if call.callee.socket.is_none_or(|at| at == socket) {
            // Asked once more, for its answer was lost.
            call.callee.take(socket);
            self.admit(id, me);
        } else {
            return Err(no_ring());
        }
        Ok(None)
    }

    pub(super) fn reject(&mut self, socket: SocketId, me: &MemberId, id: &CallId, reason: RejectReason) -> Answer {
        if !self.calls.get(id).is_some_and(|call| call.callee.member == *me && call.is_ringing()) {
            return Err(no_ring());
        }
        let (outcome, why) = match reason {
            RejectReason::Declined => (Outcome::Rejected, CallEnd::Rejected),
            RejectReason::Busy => (Outcome::Busy, CallEnd::Busy),
        };
        self.stop_ringing(id, outcome, Some(why), CallEnd::Elsewhere, Some(socket));
        Ok(None)
    }

    pub(super) fn cancel(&mut self, socket: SocketId, me: &MemberId, id: &CallId) -> Answer {
        if self.calls.get(id).is_none_or(|call| call.caller.member != *me) {
            return Err(no_call());
        }
        self.hang_up(socket, me, id)
    }

    /// Ends a call, wherever it stands.
    pub(super) fn hang_up(&mut self, socket: SocketId, me: &MemberId, id: &CallId) -> Answer {
        let Some(call) = self.calls.get(id).filter(|call| call.ends(me).is_some()) else { return Err(no_call()) };
        match (call.is_ringing(), call.caller.member == *me) {
            (true, true) => self.stop_ringing(id, Outcome::Cancelled, None, CallEnd::Cancelled, None),
            (true, false) => return self.reject(socket, me, id, RejectReason::Declined),
            (false, _) => self.end(id, CallEnd::HungUp, Some(socket)),
        }
        Ok(None)
    }

    /// A device that has come in is told what it has missed, and takes up the call that it is an end of.
    pub(super) fn catch_up(&mut self, socket: SocketId, me: &MemberId, claimed: Option<&CallId>, now: Time) {
        let mine = self.people.get(me).and_then(|person| person.call.clone());
        if let Some(claimed) = claimed.filter(|id| Some(*id) != mine.as_ref()) {
            self.tell([socket], Event::CallOver { call: claimed.clone(), reason: CallEnd::Unknown });
        }
        let Some(id) = mine else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.is_ringing() && call.callee.member == *me {
            self.ring(&id, [socket], now);
        } else if claimed == Some(&id) {
            let rings = call.is_ringing();
            let before = call.end_mut(me).and_then(|end| end.socket.replace(socket));
            if let Some(end) = call.end_mut(me) {
                end.take(socket);
            }
            if let Some(before) = before.filter(|before| *before != socket) {
                self.bye(before, ByeReason::Resumed);
                self.lose(before, None, now);
            }
            if !rings {
                self.admit(&id, me);
            }
        }
    }

    /// A call rings no longer: the caller and the callee's devices are told why, but for the one that knows.
    pub(super) fn stop_ringing(&mut self, id: &CallId, outcome: Outcome, caller: Option<CallEnd>, callee: CallEnd, but: Option<SocketId>) {
        let Some(call) = self.free(id) else { return };
        self.effects.push(Effect::Count(outcome));
        if let Some(reason) = caller {
            self.tell(call.caller.socket, Event::CallOver { call: id.clone(), reason });
        }
        let devices: Vec<_> = self.devices(&call.callee.member).into_iter().filter(|socket| Some(*socket) != but).collect();
        self.tell(devices, Event::CallOver { call: id.clone(), reason: callee });
        self.announce_both(&call);
    }

    /// A call that went on is over: its ends are told why, but for the one that knows.
    pub(super) fn end(&mut self, id: &CallId, reason: CallEnd, but: Option<SocketId>) {
        let Some(call) = self.free(id) else { return };
        let ends: Vec<_> = [call.caller.socket, call.callee.socket].into_iter().flatten().filter(|socket| Some(*socket) != but).collect();
        self.tell(ends, Event::CallOver { call: id.clone(), reason });
        self.announce_both(&call);
    }

    /// A call is accepted at this device: its other devices ring no longer.
    fn connect(&mut self, id: &CallId, socket: SocketId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.rings = None;
        call.callee.take(socket);
        let [caller, callee] = [&call.caller, &call.callee].map(|end| end.member.clone());
        self.effects.push(Effect::Count(Outcome::Accepted));
        self.admit(id, &caller);
        self.admit(id, &callee);
        let others: Vec<_> = self.devices(&callee).into_iter().filter(|other| *other != socket).collect();
        self.tell(others, Event::CallOver { call: id.clone(), reason: CallEnd::Elsewhere });
    }

    /// Lets an end into the call's room; one whose device is lost hears of it when it is back.
    fn admit(&mut self, id: &CallId, member: &MemberId) {
        let Some(call) = self.calls.get(id) else { return };
        let Some((mine, other)) = call.ends(member) else { return };
        let (Some(socket), Some(person)) = (mine.socket, self.people.get(member)) else { return };
        let name = self.people.get(&other.member).map(|other| other.name.clone()).unwrap_or_default();
        // Of two who call each other neither is the other's moderator.
        let grants = Grants { moderate: false, record: false, library: LibraryGrant::None, ..person.grants.clone() };
        let admission = Admission::new(call.room.clone(), member.clone(), person.name.clone(), grants);
        let (with, media) = (other.member.clone(), call.media);
        let Some(seq) = self.number(socket) else { return };
        self.effects.push(Effect::Admit(Box::new(Admit { socket, seq, admission, call: id.clone(), with, name, media })));
    }

    fn ring(&mut self, id: &CallId, devices: impl IntoIterator<Item = SocketId>, now: Time) {
        let Some(call) = self.calls.get(id) else { return };
        let from = call.caller.member.clone();
        let name = self.people.get(&from).map(|person| person.name.clone()).unwrap_or_default();
        let left_ms = left(call.rings.unwrap_or(now), now);
        let event = Event::Ringing { call: id.clone(), from, name, media: call.media, left_ms };
        self.tell(devices, event);
    }

    /// A call is over because an end of it is gone.
    pub(super) fn drop_call(&mut self, id: &CallId) {
        match self.calls.get(id).map(Call::is_ringing) {
            Some(true) => self.stop_ringing(id, Outcome::Gone, Some(CallEnd::Gone), CallEnd::Gone, None),
            Some(false) => self.end(id, CallEnd::Gone, None),
            None => {}
        }
    }

    /// Takes a call out: both ends are free.
    fn free(&mut self, id: &CallId) -> Option<Call> {
        let call = self.calls.remove(id)?;
        for end in [&call.caller, &call.callee] {
            if let Some(person) = self.people.get_mut(&end.member) {
                person.call = None;
            }
        }
        Some(call)
    }

    fn announce_both(&mut self, call: &Call) {
        self.announce(&call.caller.member);
        self.announce(&call.callee.member);
    }

    /// Calls are made as often as may be: a whole minute's at once, and then one for each share of a minute.
    fn pay(&mut self, me: &MemberId, now: Time) -> Result<(), Refusal> {
        self.paid.retain(|_, at| *at > now);
        let share = MINUTE / self.rules.calls_per_minute.max(1);
        let at = self.paid.get(me).copied().unwrap_or(now);
        let is_known = self.paid.contains_key(me) || self.paid.len() < self.rules.people.saturating_mul(REMEMBERED);
        if !is_known || at.since(now) + share > MINUTE {
            let why = format!("at most {} calls a minute: wait a moment", self.rules.calls_per_minute);
            return Err(Refusal::new(ErrorCode::RateLimited, why));
        }
        self.paid.insert(me.clone(), at + share);
        Ok(())
    }
}

/// How somebody stands who wants to call somebody.
enum Standing {
    /// In no call.
    Free,
    /// Calls the very same already, from here or from a device that is lost.
    Calls(CallId),
    /// Is called by the very same.
    IsCalled(CallId),
    /// In a call whose device is lost, while they call anew at another: they are in that call no longer.
    LeftBehind(CallId),
    /// In a call, or about to be.
    Busy,
}

fn calling(id: &CallId, until: Time, now: Time) -> OkResult {
    OkResult::Calling { call: id.clone(), left_ms: left(until, now) }
}

/// Milliseconds, rounded up: nobody is told that a call is over that still rings.
fn left(until: Time, now: Time) -> u64 {
    until.micros_since(now).div_ceil(1_000)
}

fn no_ring() -> Refusal {
    not_found("this call does not ring (any more)")
}

fn no_call() -> Refusal {
    not_found("there is no such call (any more)")
}
