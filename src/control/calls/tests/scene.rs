//! A lobby, its people's devices, and a note of everything that is said.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Time;
use crate::control::Refusal;
use crate::control::calls::command::Admit;
use crate::control::calls::{CallDraws, Command, Effect, Lobby, LobbyRequest, Outcome, Rules};
use crate::control::rooms::{Admission, RoomName, SocketId};
use crate::wire::{
    ByeReason, CallEnd, CallId, CallMedia, ErrorCode, Event, Grants, LibraryGrant, MemberId, OkResult, PersonInfo, RejectReason, Source,
};

pub const RING: Duration = Duration::from_secs(45);
pub const GRACE: Duration = Duration::from_secs(8);
pub const IDLE: Duration = Duration::from_secs(30);

pub struct Scene {
    pub lobby: Lobby,
    pub now: Time,
    pub closed: bool,
    pub counted: Vec<Outcome>,
    said: BTreeMap<SocketId, Vec<Event>>,
    seqs: BTreeMap<SocketId, u64>,
    pub admitted: Vec<Admit>,
    pub byes: BTreeMap<SocketId, ByeReason>,
    replies: Vec<(SocketId, u32, Result<Option<OkResult>, Refusal>)>,
    drawn: u64,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules { people: 50, ring: RING, grace: GRACE, calls_per_minute: 12, idle: IDLE };
        change(&mut rules);
        let now = Time::from_millis(1_000);
        Self {
            lobby: Lobby::new(RoomName::new("lobby").expect("a name"), rules, now),
            now,
            closed: false,
            counted: Vec::new(),
            said: BTreeMap::new(),
            seqs: BTreeMap::new(),
            admitted: Vec::new(),
            byes: BTreeMap::new(),
            replies: Vec::new(),
            drawn: 0,
        }
    }

    pub fn apply(&mut self, command: Command) {
        for effect in self.lobby.apply(command, self.now) {
            match effect {
                Effect::Reply { socket, id, result } => self.replies.push((socket, id, result)),
                Effect::Tell { to, event } => to.into_iter().for_each(|(socket, seq)| self.hear(socket, seq, event.clone())),
                Effect::Admit(admit) => {
                    let Admit { socket, seq, admission, call, with, name, media } = (*admit).clone();
                    let room = admission.room.as_str().to_owned();
                    self.hear(socket, seq, Event::Accepted { call, with, name, media, room, token: None });
                    self.admitted.push(*admit);
                }
                Effect::Bye { socket, seq, reason } => {
                    self.hear(socket, seq, Event::Bye { reason });
                    self.byes.insert(socket, reason);
                }
                Effect::Count(outcome) => self.counted.push(outcome),
                Effect::Closed => self.closed = true,
            }
        }
    }

    /// Each socket's events are numbered without a gap.
    fn hear(&mut self, socket: SocketId, seq: u64, event: Event) {
        let last = self.seqs.entry(socket).or_default();
        assert_eq!(seq, *last + 1, "{event:?}");
        *last = seq;
        self.said.entry(socket).or_default().push(event);
    }

    /// Time passes; what is due meanwhile happens at its moment.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.lobby.deadline() <= end && !self.closed {
            self.now = self.now.max(self.lobby.deadline());
            self.apply(Command::Timeout);
        }
        self.now = end;
    }

    /// A device of somebody comes in.
    pub fn enter(&mut self, name: &str) -> SocketId {
        self.try_enter(name, None).expect("entered")
    }

    pub fn try_enter(&mut self, name: &str, call: Option<&CallId>) -> Result<SocketId, ErrorCode> {
        self.drawn += 1;
        let socket = SocketId(self.drawn);
        let grants = Grants {
            publish: vec![Source::Microphone, Source::Camera],
            subscribe: true,
            chat: true,
            data: true,
            moderate: name == "mod",
            record: false,
            library: LibraryGrant::None,
            describe: true,
        };
        let room = RoomName::new("lobby").expect("a name");
        let admission = Admission::new(room, MemberId(name.into()), name.to_uppercase(), grants);
        self.apply(Command::Enter { socket, id: 1, admission, call: call.cloned() });
        self.answer(socket).map(|_| socket)
    }

    /// Who else is here, by the answer to the last `enter`.
    pub fn ask(&mut self, socket: SocketId, what: LobbyRequest) -> Result<Option<OkResult>, ErrorCode> {
        self.apply(Command::Request { socket, id: 2, what });
        self.answer(socket)
    }

    fn answer(&mut self, socket: SocketId) -> Result<Option<OkResult>, ErrorCode> {
        assert_eq!(self.replies.len(), 1, "exactly one answer");
        let (to, _, result) = self.replies.pop().expect("an answer");
        assert_eq!(to, socket);
        result.map_err(|refusal| refusal.code)
    }

    pub fn call_by(&mut self, socket: SocketId, to: &str, media: CallMedia) -> Result<CallId, ErrorCode> {
        self.drawn += 1;
        let draws = CallDraws { call: CallId(format!("call-{}", self.drawn)), room: RoomName::new(&format!("room-{}", self.drawn)).expect("a name") };
        match self.ask(socket, LobbyRequest::Call { to: MemberId(to.into()), media, draws })? {
            Some(OkResult::Calling { call, .. }) => Ok(call),
            other => panic!("not calling: {other:?}"),
        }
    }

    pub fn call(&mut self, socket: SocketId, to: &str) -> Result<CallId, ErrorCode> {
        self.call_by(socket, to, CallMedia::Video)
    }

    pub fn accept(&mut self, socket: SocketId, call: &CallId) -> Result<(), ErrorCode> {
        self.ask(socket, LobbyRequest::Accept { call: call.clone() }).map(|_| ())
    }

    pub fn reject(&mut self, socket: SocketId, call: &CallId) -> Result<(), ErrorCode> {
        self.ask(socket, LobbyRequest::Reject { call: call.clone(), reason: RejectReason::Declined }).map(|_| ())
    }

    pub fn cancel(&mut self, socket: SocketId, call: &CallId) -> Result<(), ErrorCode> {
        self.ask(socket, LobbyRequest::Cancel { call: call.clone() }).map(|_| ())
    }

    pub fn hang_up(&mut self, socket: SocketId, call: &CallId) -> Result<(), ErrorCode> {
        self.ask(socket, LobbyRequest::HangUp { call: call.clone() }).map(|_| ())
    }

    pub fn leave(&mut self, socket: SocketId) {
        self.ask(socket, LobbyRequest::Leave).expect("left");
    }

    pub fn lose(&mut self, socket: SocketId) {
        self.apply(Command::SocketLost { socket, bye: None });
    }

    /// What a device was told of calls since the last time that somebody asked.
    pub fn calls(&mut self, socket: SocketId) -> Vec<Told> {
        let told = |event| match event {
            Event::Ringing { call, from, media, .. } => Some(Told::Rings(call, from.0, media)),
            Event::Accepted { call, with, room, .. } => Some(Told::Accepted(call, with.0, room)),
            Event::CallOver { call, reason } => Some(Told::Over(call, reason)),
            _ => None,
        };
        self.said.remove(&socket).unwrap_or_default().into_iter().filter_map(told).collect()
    }

    /// What a device was told of people since the last time that somebody asked.
    pub fn people(&mut self, socket: SocketId) -> Vec<Seen> {
        let told = |event| match event {
            Event::Person { person: PersonInfo { member, busy, .. } } => Some(Seen::There(member.0, busy)),
            Event::PersonGone { member } => Some(Seen::Gone(member.0)),
            _ => None,
        };
        self.said.remove(&socket).unwrap_or_default().into_iter().filter_map(told).collect()
    }

    /// What everybody has heard so far is forgotten.
    pub fn hush(&mut self) {
        self.said.clear();
    }

    /// Nobody has been told anything of a call that was not looked at.
    pub fn nothing_more(&mut self) {
        let sockets: Vec<_> = self.said.keys().copied().collect();
        for socket in sockets {
            assert_eq!(self.calls(socket), [], "{socket:?}");
        }
    }

    /// Whether somebody is in a call or about to be; none when they are not here.
    pub fn is_busy(&self, name: &str) -> Option<bool> {
        self.lobby.people.get(&MemberId(name.into())).map(|person| person.call.is_some())
    }
}

/// What a device is told of calls.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Rings(CallId, String, CallMedia),
    Accepted(CallId, String, String),
    Over(CallId, CallEnd),
}

/// What a device is told of people.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen {
    There(String, bool),
    Gone(String),
}
