//! The state of one lobby: who is reachable through which sockets, and the calls between them.
//!
//! | may happen to a person | and then |
//! |---|---|
//! | all sockets are lost | they stay for [`Rules::grace`]; entering again takes everything up |
//! | they are away for longer | they are gone: what rings is over; a call that goes on is left to its other end |
//!
//! Kept always, and tried by `tests/model.rs`: a person is in no call but the one that names them as an end, and the other way round;
//! every socket is of one person; what rings has a deadline; when all have left, nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::command::{Command, Effect, LobbyRequest};
use super::person::{Call, Person};
use crate::base::Time;
use crate::control::Refusal;
use crate::control::rooms::{RoomName, SocketId};
use crate::wire::{ByeReason, CallId, ErrorCode, Event, MemberId, OkResult};

/// What a lobby holds people to.
#[derive(Clone, Debug)]
pub struct Rules {
    /// People at most.
    pub people: usize,
    /// A call rings for so long.
    pub ring: Duration,
    /// Somebody whose sockets are lost is reachable for so long: longer than a phone takes to change networks, shorter than a caller's
    /// patience with somebody who is not there.
    pub grace: Duration,
    /// Calls that an identity may make in a minute.
    pub calls_per_minute: u32,
    /// An empty lobby lives on for so long, with its list of removed people.
    pub idle: Duration,
}

/// What a request comes to.
pub(super) type Answer = Result<Option<OkResult>, Refusal>;

/// A lobby.
pub struct Lobby {
    pub(super) name: RoomName,
    pub(super) rules: Rules,
    pub(super) people: BTreeMap<MemberId, Person>,
    /// Whose a socket is, and the number of its last event.
    pub(super) sockets: BTreeMap<SocketId, (MemberId, u64)>,
    pub(super) calls: BTreeMap<CallId, Call>,
    /// Who was removed, for the lobby's life.
    pub(super) kicked: BTreeSet<MemberId>,
    /// When an identity will have made as few calls as if it had made none (the generic cell rate algorithm's arrival time).
    pub(super) paid: BTreeMap<MemberId, Time>,
    /// Since when nobody is there.
    pub(super) empty: Option<Time>,
    pub(super) effects: Vec<Effect>,
}

impl Lobby {
    /// A lobby without people.
    pub fn new(name: RoomName, rules: Rules, now: Time) -> Self {
        Self {
            name,
            rules,
            people: BTreeMap::new(),
            sockets: BTreeMap::new(),
            calls: BTreeMap::new(),
            kicked: BTreeSet::new(),
            paid: BTreeMap::new(),
            empty: Some(now),
            effects: Vec::new(),
        }
    }

    /// Takes a command in; what is to be done about it comes out.
    pub fn apply(&mut self, command: Command, now: Time) -> Vec<Effect> {
        match command {
            Command::Enter { socket, id, admission, call } => self.enter(socket, id, admission, call.as_ref(), now),
            Command::Request { socket, id, what } => self.request(socket, id, what, now),
            Command::SocketLost { socket, bye } => self.lose(socket, bye, now),
            Command::Timeout => {}
            Command::ShutDown => self.shut_down(),
        }
        self.expire(now);
        self.empty = if self.people.is_empty() { self.empty.or(Some(now)) } else { None };
        if self.empty.is_some_and(|since| now >= since + self.rules.idle) {
            self.effects.push(Effect::Closed);
        }
        std::mem::take(&mut self.effects)
    }

    /// When the next thing is due.
    pub fn deadline(&self) -> Time {
        let away = self.people.values().filter_map(|person| self.leaves_at(person));
        let calls = self.calls.values().map(|call| call.deadline(self.rules.grace));
        let idle = self.empty.map(|since| since + self.rules.idle);
        away.chain(calls).chain(idle).min().unwrap_or(Time::NEVER)
    }

    /// Whether a socket is in here.
    pub fn has_socket(&self, socket: SocketId) -> bool {
        self.sockets.contains_key(&socket)
    }

    /// People, those away included.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Sockets.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    fn request(&mut self, socket: SocketId, id: u32, what: LobbyRequest, now: Time) {
        let Some((member, _)) = self.sockets.get(&socket) else { return };
        let member = member.clone();
        // The answer comes before what follows from it.
        let at = self.effects.len();
        let result = match what {
            LobbyRequest::Leave => {
                self.leave(socket, now);
                Ok(None)
            }
            LobbyRequest::Call { to, media, draws } => self.call(socket, &member, to, media, draws, now),
            LobbyRequest::Accept { call } => self.accept(socket, &member, &call),
            LobbyRequest::Reject { call, reason } => self.reject(socket, &member, &call, reason),
            LobbyRequest::Cancel { call } => self.cancel(socket, &member, &call),
            LobbyRequest::HangUp { call } => self.hang_up(socket, &member, &call),
            LobbyRequest::Kick { member: whom } => self.kick(&member, &whom),
        };
        self.effects.insert(at, Effect::Reply { socket, id, result });
    }

    /// Tells sockets something.
    pub(super) fn tell(&mut self, to: impl IntoIterator<Item = SocketId>, event: Event) {
        let to: Vec<_> = to.into_iter().filter_map(|socket| Some((socket, self.number(socket)?))).collect();
        if !to.is_empty() {
            self.effects.push(Effect::Tell { to, event });
        }
    }

    /// Tells everybody how somebody is now.
    pub(super) fn announce(&mut self, member: &MemberId) {
        let Some(person) = self.people.get(member).map(|person| person.info(member)) else { return };
        let all: Vec<_> = self.sockets.keys().copied().collect();
        self.tell(all, Event::Person { person });
    }

    /// The number of a socket's next event.
    pub(super) fn number(&mut self, socket: SocketId) -> Option<u64> {
        let (_, seq) = self.sockets.get_mut(&socket)?;
        *seq += 1;
        Some(*seq)
    }

    /// The devices of somebody.
    pub(super) fn devices(&self, member: &MemberId) -> Vec<SocketId> {
        self.people.get(member).map(|person| person.sockets.iter().copied().collect()).unwrap_or_default()
    }

    /// Closes a socket with a last word.
    pub(super) fn bye(&mut self, socket: SocketId, reason: ByeReason) {
        if let Some(seq) = self.number(socket) {
            self.effects.push(Effect::Bye { socket, seq, reason });
        }
    }

    fn shut_down(&mut self) {
        let all: Vec<_> = self.sockets.keys().copied().collect();
        for socket in all {
            self.bye(socket, ByeReason::ShuttingDown);
        }
        self.sockets.clear();
        self.people.clear();
        self.calls.clear();
        self.effects.push(Effect::Closed);
    }
}

pub(super) fn not_found(why: &'static str) -> Refusal {
    Refusal::new(ErrorCode::NotFound, why)
}
