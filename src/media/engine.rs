//! The engine of a worker: the whole SFU as a pure machine.
//!
//! `handle_read`, `handle_relay`, `handle_command`, `handle_timeout` in; `poll_relay`, `poll_tap`, `poll_transmit`, `poll_event`,
//! `poll_timeout` out.
//! It is told the time and the bytes, and owns no socket and no clock.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use slotmap::{DefaultKey, Key, SlotMap};

use super::demux::{Demux, PeerAt, Protocol};
use super::room::Room;
use super::route::relay::{self, Message, Note, RelaySink};
use super::route::strays::Strays;
use super::route::tap::TapSink;
use super::schedule::Schedule;
use super::transport::ice::{self, StunDrop};
use super::transport::{DtlsIdentity, Path};
use crate::base::map::{Seed, SeededMap};
use crate::base::outgoing::Outgoing;
use crate::base::prefix::PrefixRate;
use crate::base::random::Random;
use crate::base::{Bitrate, Ntp, PeerId, RoomId, Time, WorkerId};
use crate::contract::{Command, Counter, Counters, Distributions, Event, RoomCommand, WorkerReport, owner_of_ufrag};

/// No room is worth a turn of the clock sooner than this after the last one.
const SHORTEST_TURN: Duration = Duration::from_millis(1);
/// Handshake datagrams, and those with data, that may wait for their turn, of all peers together.
const MOST_DEFERRED: usize = 4_096;
/// Requests to the STUN service that are answered each second of one source prefix: a call begins with a few, and an office has one address.
const STRANGERS: u32 = 100;
/// What may wait for other workers in one turn, packets excepted.
const MOST_NOTES: usize = 4_096;
/// Bytes of the largest datagram that another worker hands over.
const STRAY: usize = 2_048;

/// What an engine is made of.
pub struct EngineConfig {
    /// The node's DTLS certificate.
    pub identity: DtlsIdentity,
    /// What [`Time::ZERO`] is, for DTLS timers.
    pub epoch: Instant,
    /// The wall clock at [`Time::ZERO`], for sender reports.
    pub wall_at_zero: Ntp,
    /// Seed for hashing and for numbers that need no secrecy.
    pub seed: u64,
}

/// What rooms share: counters, the table of peers, replies. A room that fails leaves all of it consistent.
pub struct Shared {
    /// Everything counted.
    pub counters: Counters,
    /// Everything measured.
    pub distributions: Distributions,
    /// What control will be told.
    pub events: VecDeque<Event>,
    /// Numbers that need no secrecy.
    pub random: Random,
    /// Which peer a datagram belongs to.
    pub demux: Demux,
    /// The node's DTLS certificate.
    pub identity: DtlsIdentity,
    /// What [`Time::ZERO`] is.
    pub epoch: Instant,
    /// Replies of this tick.
    pub replies: Outgoing,
    /// The worker that this is.
    pub worker: WorkerId,
    notes: VecDeque<(WorkerId, Note)>,
    wall_at_zero: Ntp,
    deferred: VecDeque<PeerAt>,
    /// Peers whose data channels have something to do.
    data: VecDeque<PeerAt>,
}

impl Shared {
    /// The wall clock at `now`.
    pub fn wall(&self, now: Time) -> Ntp {
        self.wall_at_zero.plus_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }

    /// Sends a datagram with this tick's replies; a tick that has no room for it drops and counts it.
    pub fn reply(&mut self, path: Path, datagram: &[u8]) {
        if !self.replies.push(path, datagram) {
            self.counters.add(Counter::DropReply);
        }
    }

    /// Says something to another worker with this turn's messages; a turn that has no room for it drops and counts it.
    pub fn say(&mut self, to: WorkerId, note: Note) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push_back((to, note));
        } else {
            self.counters.add(Counter::RelayDropFull);
        }
    }

    /// A peer's data channels have something to do, when packets are done. Each peer asks once until its turn.
    pub fn list_data(&mut self, at: PeerAt) {
        self.data.push_back(at);
    }

    /// A handshake datagram waits at this peer; false when too many wait.
    pub fn defer(&mut self, at: PeerAt) -> bool {
        let room = self.deferred.len() < MOST_DEFERRED;
        if room {
            self.deferred.push_back(at);
        }
        room
    }
}

/// The engine of a worker.
pub struct Engine {
    rooms: SlotMap<DefaultKey, Room>,
    keys: SeededMap<RoomId, DefaultKey>,
    /// Rooms with something to give out.
    busy: VecDeque<DefaultKey>,
    /// When each room has something to do, by its slot.
    timers: Schedule,
    /// The room in each slot.
    slots: Vec<DefaultKey>,
    /// Rooms with something for other workers.
    crossing: VecDeque<DefaultKey>,
    /// Rooms with something for recordings.
    tapping: VecDeque<DefaultKey>,
    strays: Strays,
    strangers: PrefixRate,
    /// Where a datagram that another worker handed over is decrypted.
    stray: Box<[u8]>,
    /// How the transactions begin that this node asks STUN servers with from media ports.
    questions: Option<[u8; 8]>,
    shared: Shared,
}

impl Engine {
    /// An engine without rooms, of the only worker or the first.
    pub fn new(config: EngineConfig) -> Self {
        Self::on(WorkerId(0), config)
    }

    /// An engine without rooms, of this worker.
    pub fn on(worker: WorkerId, config: EngineConfig) -> Self {
        let seed = Seed::new(config.seed);
        Self {
            rooms: SlotMap::new(),
            keys: seed.map(),
            busy: VecDeque::new(),
            timers: Schedule::default(),
            slots: Vec::new(),
            crossing: VecDeque::new(),
            tapping: VecDeque::new(),
            strays: Strays::new(seed),
            strangers: PrefixRate::new(seed, STRANGERS),
            stray: vec![0; STRAY].into_boxed_slice(),
            questions: None,
            shared: Shared {
                counters: Counters::default(),
                distributions: Distributions::default(),
                events: VecDeque::new(),
                random: Random::new(config.seed),
                demux: Demux::new(seed),
                identity: config.identity,
                epoch: config.epoch,
                replies: Outgoing::for_replies(),
                worker,
                notes: VecDeque::new(),
                wall_at_zero: config.wall_at_zero,
                deferred: VecDeque::new(),
                data: VecDeque::new(),
            },
        }
    }

    /// Hands on what STUN servers answer to transactions that begin like this: somebody asks with them from the worker's ports.
    pub const fn with_questions(mut self, begin: Option<[u8; 8]>) -> Self {
        self.questions = begin;
        self
    }

    /// Carries out a command of the control plane.
    pub fn handle_command(&mut self, now: Time, command: Command) {
        let Some(key) = self.room_for(&command) else {
            return self.shared.counters.add(Counter::CommandUnknown);
        };
        let close = command.what == RoomCommand::Close;
        self.guarded(key, |room, shared| room.handle_command(now, command.what, shared));
        if close && let Some(room) = self.rooms.get(key) {
            room.forget_addresses(&mut self.shared.demux);
        }
        if close || self.rooms.get(key).is_some_and(Room::is_empty) {
            return self.remove_room(key);
        }
        self.settle(key);
    }

    /// Takes in one datagram; `datagram` is decrypted in place.
    pub fn handle_read(&mut self, now: Time, path: Path, datagram: &mut [u8]) {
        self.shared.counters.add(Counter::DatagramsIn);
        self.shared.counters.add_many(Counter::BytesIn, datagram.len() as u64);
        let (protocol, at) = match self.addressee(path, datagram) {
            Ok(found) => found,
            Err(Counter::StunMalformed) => return self.handle_nobodys(now, path, datagram),
            Err(reason) => return self.shared.counters.add(reason),
        };
        self.guarded(at.room, |room, shared| match protocol {
            Protocol::Stun => room.handle_stun(now, at.peer, path, datagram, shared),
            Protocol::Dtls => room.handle_dtls(at.peer, path, datagram, shared),
            Protocol::Rtp => room.handle_rtp(now, at.peer, path, datagram, shared),
            Protocol::Rtcp => room.handle_rtcp(now, at.peer, path, datagram, shared),
        });
        self.settle(at.room);
    }

    /// Takes in what another worker has said.
    pub fn handle_relay(&mut self, now: Time, from: WorkerId, message: &[u8]) {
        let stale = Counter::RelayDropStale;
        let done = match Message::read(message) {
            Some(Message::Packet { handle, encoding, meta, packet }) => {
                self.with_room(Some(handle.room), |room, shared| room.handle_relayed(now, from, (handle, encoding), meta, packet, shared))
            }
            Some(Message::Skipped { handle, encoding, sequence, generation }) => {
                self.with_room(Some(handle.room), |room, shared| room.handle_skipped(now, from, (handle, encoding), (generation, sequence), shared))
            }
            Some(Message::Note(note)) => self.take_note(now, from, note),
            Some(Message::Stray { path, datagram }) => self.take_stray(now, from, path, datagram),
            None => None,
        };
        if done.is_none() {
            self.shared.counters.add(stale);
        }
    }

    fn take_note(&mut self, now: Time, from: WorkerId, note: Note) -> Option<()> {
        match note {
            Note::Demand { room, track, wanted, handle } => {
                self.with_room(self.key(room), |room, shared| room.handle_demand(now, from, track, wanted, handle, shared))
            }
            Note::KeyFrame { room, track, encoding } => self.with_room(self.key(room), |room, shared| room.handle_key_frame(track, encoding, shared)),
            Note::Clock { handle, encoding, clock } => {
                self.with_room(Some(handle.room), |room, shared| room.handle_clock(handle, encoding, clock, shared))
            }
            Note::Voices { room, are, voices } => self.with_room(self.key(room), |room, _| room.handle_voices(now, from, are, voices)),
            Note::PathIs { path, peer } => {
                if !self.strays.remember(now, path, (from, peer)) {
                    self.shared.counters.add(Counter::StrayTableFull);
                }
                Some(())
            }
        }
    }

    /// A datagram of one of our peers that arrived at another worker; it learns where the next ones belong.
    fn take_stray(&mut self, now: Time, from: WorkerId, path: Path, datagram: &[u8]) -> Option<()> {
        let mut copy = std::mem::take(&mut self.stray);
        let bytes = copy.get_mut(..datagram.len());
        let fits = bytes.map(|bytes| {
            bytes.copy_from_slice(datagram);
            self.shared.counters.add(Counter::StrayIn);
            self.handle_read(now, path, bytes);
        });
        self.stray = copy;
        if Protocol::of(datagram) == Some(Protocol::Stun)
            && let Some(at) = self.shared.demux.path(&path)
        {
            let peer = (slot_of(at.room) as u64) << 32 | at.peer as u64;
            self.shared.say(from, Note::PathIs { path, peer });
        }
        fits
    }

    /// Whether a path is one that an ICE check has validated.
    pub fn knows(&self, path: &Path) -> bool {
        self.shared.demux.path(path).is_some()
    }

    /// The worker that a datagram belongs to, when it is another one (one port for all workers), and whether it is only said to be.
    pub fn owner_of(&self, now: Time, path: &Path, datagram: &[u8]) -> Option<(WorkerId, bool)> {
        if Protocol::of(datagram)? != Protocol::Stun {
            let ours = self.shared.demux.path(path).is_some();
            return if ours { None } else { self.strays.owner(now, path).map(|owner| (owner, false)) };
        }
        let user = ice::peek_username(datagram).ok().filter(|user| self.shared.demux.user(user).is_none())?;
        let owner = owner_of_ufrag(user).filter(|owner| *owner != self.shared.worker)?;
        Some((owner, self.strays.owner(now, path) != Some(owner)))
    }

    /// Hands over what is for other workers: each packet that they want once, and what rooms have to say.
    pub fn poll_relay(&mut self, sink: &mut impl RelaySink) {
        while let Some(key) = self.crossing.pop_front() {
            self.guarded(key, |room, shared| room.cross(sink, shared));
            if let Some(room) = self.rooms.get_mut(key) {
                room.crosses = false;
            }
        }
        while let Some((to, note)) = self.shared.notes.pop_front() {
            if !relay::send_note(sink, to, &note) {
                self.shared.counters.add(Counter::RelayDropFull);
            }
        }
    }

    /// Copies what has come and is recorded, each packet once.
    pub fn poll_tap(&mut self, sink: &mut impl TapSink) {
        while let Some(key) = self.tapping.pop_front() {
            self.guarded(key, |room, shared| room.give_taps(sink, shared));
            if let Some(room) = self.rooms.get_mut(key) {
                room.taps = false;
            }
        }
    }

    /// Does what is due by the clock.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(slot) = self.timers.pop(now) {
            let Some(key) = self.slots.get(slot).copied() else { continue };
            self.guarded(key, |room, shared| room.handle_timeout(now, shared));
            self.settle(key);
            if let Some(room) = self.rooms.get(key) {
                // Whatever is due now has been done: the next turn is later, or one mistake here would be an endless loop.
                self.timers.set(slot, room.deadline().max(now + SHORTEST_TURN));
            }
        }
    }

    /// Writes into an empty arena what is to be sent: replies first, then forwards, never both at once. Call again until nothing is written.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Outgoing) {
        out.set_droppable(self.shared.replies.is_empty());
        if !self.shared.replies.is_empty() {
            return out.take_from(&mut self.shared.replies);
        }
        while let Some(key) = self.busy.front().copied() {
            if self.guarded(key, |room, shared| room.poll_transmit(now, out, shared)) == Some(false) {
                return;
            }
            if let Some(room) = self.rooms.get_mut(key) {
                room.busy = false;
                // What had to wait has its moment now.
                self.timers.set(slot_of(key), room.deadline());
            }
            self.busy.pop_front();
        }
    }

    /// The next event for the control plane.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        Some(self.timers.next()).filter(|at| *at != Time::NEVER)
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The counters, for what the hands of the engine count.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.shared.counters
    }

    /// What is measured, for what the hands of the engine measure.
    pub fn distributions_mut(&mut self) -> &mut Distributions {
        &mut self.shared.distributions
    }

    /// What the link to a peer carries on the wire, as far as it says what it receives.
    pub fn estimate(&self, room: RoomId, peer: PeerId) -> Option<Bitrate> {
        self.rooms.get(self.key(room)?)?.estimate(peer)
    }

    /// What the worker reports about itself.
    pub fn report(&self) -> WorkerReport {
        let (counters, distributions) = (self.shared.counters.clone(), self.shared.distributions.clone());
        let mut report = WorkerReport { counters, distributions, ..WorkerReport::default() };
        for (_, room) in &self.rooms {
            room.add_to(&mut report);
        }
        report.memory.arenas = self.shared.replies.memory() as u64;
        report
    }

    /// What the datagram is, and whose: by ICE user name for STUN, else by the path that an ICE check has validated.
    fn addressee(&self, path: Path, datagram: &[u8]) -> Result<(Protocol, PeerAt), Counter> {
        let protocol = Protocol::of(datagram).ok_or(Counter::DropUnknownProtocol)?;
        let at = if protocol == Protocol::Stun {
            let user = ice::peek_username(datagram).map_err(stun_drop)?;
            self.shared.demux.user(user).ok_or(Counter::StunUnknownUser)?
        } else {
            self.shared.demux.path(&path).ok_or(Counter::DropUnvalidatedAddress)?
        };
        Ok((protocol, at))
    }

    fn key(&self, room: RoomId) -> Option<DefaultKey> {
        self.keys.get(&room).copied()
    }

    /// Lets a room do something that another worker's message asks for; none when it is not here.
    fn with_room(&mut self, key: Option<DefaultKey>, act: impl FnOnce(&mut Room, &mut Shared)) -> Option<()> {
        let key = key.filter(|key| self.rooms.contains_key(*key))?;
        self.guarded(key, act);
        self.settle(key);
        Some(())
    }

    fn room_for(&mut self, command: &Command) -> Option<DefaultKey> {
        if let Some(key) = self.keys.get(&command.room) {
            return Some(*key);
        }
        if !matches!(command.what, RoomCommand::AddPeer { .. }) {
            return None;
        }
        let key = self.rooms.insert_with_key(|key| Room::new(command.room, key));
        self.keys.insert(command.room, key);
        let slot = slot_of(key);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, key);
        }
        self.slots[slot] = key;
        Some(key)
    }

    /// Lets a room do something. A fault in it takes down this room and no other: its members are told to begin again.
    fn guarded<T>(&mut self, key: DefaultKey, act: impl FnOnce(&mut Room, &mut Shared) -> T) -> Option<T> {
        let (room, shared) = (self.rooms.get_mut(key)?, &mut self.shared);
        let id = room.id();
        // What rooms share is consistent at every call into it, and the room itself is dropped.
        let done = catch_unwind(AssertUnwindSafe(|| act(room, shared)));
        if done.is_err() {
            self.shared.counters.add(Counter::RoomPanic);
            self.shared.events.push_back(Event::RoomFailed { room: id });
            self.remove_room(key);
            self.shared.demux.remove_room(key);
        }
        done.ok()
    }

    fn remove_room(&mut self, key: DefaultKey) {
        if let Some(mut room) = self.rooms.remove(key) {
            room.refuse_all(&mut self.shared);
            room.settle(&mut self.shared);
            self.keys.remove(&room.id());
            self.timers.remove(slot_of(key));
        }
    }

    /// After anything happened in a room: it is given out in this tick, and its timer is set.
    fn settle(&mut self, key: DefaultKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        if !room.busy && room.has_output() {
            room.busy = true;
            self.busy.push_back(key);
        }
        if !room.crosses && room.has_crossing() {
            room.crosses = true;
            self.crossing.push_back(key);
        }
        if !room.taps && room.has_tapped() {
            room.taps = true;
            self.tapping.push_back(key);
        }
        self.timers.set(slot_of(key), room.deadline());
    }
}

/// A room's slot: small, and free for the next one when the room is gone.
fn slot_of(key: DefaultKey) -> usize {
    key.data().as_ffi() as u32 as usize
}

/// Which counter a STUN request that is not answered goes to.
pub(super) const fn stun_drop(reason: StunDrop) -> Counter {
    match reason {
        StunDrop::BadIntegrity => Counter::StunBadIntegrity,
        StunDrop::UnknownUser => Counter::StunUnknownUser,
        StunDrop::Malformed => Counter::StunMalformed,
    }
}

mod deferred;
mod strangers;

#[cfg(test)]
mod tests;
