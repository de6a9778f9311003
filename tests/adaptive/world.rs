//! A world: engines, members, a way to and from each, and a virtual clock. One seed is one run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use althing::base::outgoing::Outgoing;
use althing::base::{Ntp, PeerId, RoomId, Time, TrackId, WorkerId};
use althing::contract::{Command, Counter, Event, MediaKind, Quality, RoomCommand, View};
use althing::media::engine::{Engine, EngineConfig};
use althing::media::peer::Srtp;
use althing::media::route::relay::RelaySink;
use althing::media::transport::{DtlsIdentity, Path};

use crate::book::{Book, Faults};
use crate::decoder::Decoder;
use crate::ledger::Ledger;
use crate::link::{Class, Datagram, Link, Loss, Shape};
use crate::member::{Member, mirrored};
use crate::opened::Opener;
use crate::receiver::{Feedback, Receiver, Slot};
use crate::sender::Publishes;

/// From the server's wish to its publisher, over signaling.
const SIGNALING: Duration = Duration::from_millis(50);

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Turn {
    Member(usize),
    Up(usize),
    Down(usize),
}

/// Where what leaves towards a member is opened.
struct Tap {
    srtp: Srtp,
    opener: Opener,
    books: BTreeMap<u32, Book>,
}

pub struct World {
    pub now: Time,
    pub engines: Vec<Engine>,
    pub members: Vec<Member>,
    pub up: Vec<Link>,
    pub down: Vec<Link>,
    taps: Vec<Tap>,
    pub ledger: Ledger,
    pub events: Vec<(Time, Event)>,
    pub qualities: BTreeMap<PeerId, Vec<Quality>>,
    /// Whether what leaves is opened there. It costs as much as receiving it.
    pub keeps_books: bool,
    agenda: BinaryHeap<Reverse<(Time, Turn)>>,
    signals: BTreeMap<(Time, u64), (usize, u8)>,
    room: RoomId,
    out: Outgoing,
    pub seed: u64,
}

/// How a member is connected.
#[derive(Clone, Debug)]
pub struct Ways {
    pub up: Shape,
    pub down: Shape,
    pub feedback: Feedback,
}

impl Ways {
    /// Both ways without limits, with half of a round trip each.
    pub fn free(round_trip: Duration) -> Self {
        let shape = Shape::free(round_trip / 2);
        Self { up: shape.clone(), down: shape, feedback: Feedback::Transport(Duration::from_millis(50)) }
    }

    pub fn both(mut self, change: impl Fn(Shape) -> Shape) -> Self {
        (self.up, self.down) = (change(self.up), change(self.down));
        self
    }

    pub fn down(mut self, change: impl Fn(Shape) -> Shape) -> Self {
        self.down = change(self.down);
        self
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_workers(seed, 1)
    }

    pub fn with_workers(seed: u64, workers: u64) -> Self {
        let (identity, epoch) = (DtlsIdentity::generate().expect("a certificate"), Instant::now());
        let wall_at_zero = Ntp::from_unix(Duration::from_secs(1_700_000_000));
        let engine = |n| Engine::on(WorkerId(n as u16), EngineConfig { identity: identity.clone(), epoch, wall_at_zero, seed: seed + n * 1_000 });
        Self {
            now: Time::ZERO,
            engines: (0..workers).map(engine).collect(),
            members: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            taps: Vec::new(),
            ledger: Ledger::default(),
            events: Vec::new(),
            qualities: BTreeMap::new(),
            keeps_books: true,
            agenda: BinaryHeap::new(),
            signals: BTreeMap::new(),
            room: RoomId(1),
            out: Outgoing::for_a_tick(),
            seed,
        }
    }

    /// Somebody joins on a worker, as control does it: the room there learns of all tracks of others, and all others of theirs.
    pub fn join_on(&mut self, worker: usize, publishes: Publishes, pairs: u8, ways: Ways) -> usize {
        let index = self.members.len();
        let round_trip = ways.up.delay + ways.down.delay + (ways.up.jitter + ways.down.jitter) / 2;
        let mut receiver = Receiver::new(ways.feedback, round_trip);
        if ways.down.reorders {
            receiver.patience += ways.down.jitter;
        }
        let shaky = [&ways.up, &ways.down].into_iter().filter(|way| way.reorders).map(|way| way.jitter).sum::<Duration>();
        let lossy = !matches!((ways.up.loss, ways.down.loss), (Loss::None, Loss::None));
        // As a browser's jitter buffer does: it makes room for what comes late, or again.
        receiver.hold = shaky + if lossy { round_trip * 2 + Duration::from_millis(20) } else { Duration::ZERO };
        let mut member = Member::new(index, self.seed, publishes, pairs, receiver);
        member.worker = worker;
        self.taps.push(Tap { srtp: Srtp::new(&mirrored(&member.keys)).expect("keys"), opener: Opener::default(), books: BTreeMap::new() });
        let peer = member.peer;
        let first = self.members.iter().all(|other| other.worker != worker);
        self.command(worker, RoomCommand::AddPeer { peer, transport: Box::new(member.transport()) });
        self.command(worker, RoomCommand::Negotiate { peer, media: Box::new(member.plan()) });
        if first && self.engines.len() > 1 {
            self.command(worker, RoomCommand::Listener { worker: WorkerId(0) });
            let others: Vec<usize> = (0..index).filter(|other| self.members[*other].worker != worker).collect();
            others.into_iter().for_each(|other| self.import(other, worker));
        }
        for kind in published(publishes) {
            let mline = u8::from(kind == MediaKind::Video);
            self.command(worker, RoomCommand::Publish { peer, mline, track: track(index, kind), voice: kind == MediaKind::Audio });
        }
        self.members.push(member);
        let seed = self.seed.wrapping_mul(1_000) + index as u64 * 2;
        self.up.push(Link::new(ways.up, seed));
        self.down.push(Link::new(ways.down, seed + 1));
        self.agenda.push(Reverse((self.now, Turn::Member(index))));
        for other in (0..self.engines.len()).filter(|w| *w != worker) {
            if self.members.iter().any(|m| m.worker == other) {
                self.import(index, other);
            }
        }
        index
    }

    pub fn join(&mut self, publishes: Publishes, pairs: u8, ways: Ways) -> usize {
        self.join_on(0, publishes, pairs, ways)
    }

    /// Tells a worker of a member's tracks on another one.
    fn import(&mut self, member: usize, to: usize) {
        let from = WorkerId(self.members[member].worker as u16);
        let kinds = published(self.members[member].publishes);
        for source in self.members[member].plan().receive.into_iter().filter(|source| kinds.contains(&source.kind)) {
            let track = track(member, source.kind);
            self.command(to, RoomCommand::Import { track, from, source: Box::new(source) });
        }
    }

    /// Points a subscriber's pair at a publisher that it shows like this, or at nobody.
    pub fn point(&mut self, subscriber: usize, pair: u8, publisher: Option<usize>, view: View) {
        self.point_half(subscriber, pair, MediaKind::Audio, publisher, view);
        self.point_half(subscriber, pair, MediaKind::Video, publisher, view);
    }

    /// The same for what is heard, or for what is seen.
    pub fn point_half(&mut self, subscriber: usize, pair: u8, kind: MediaKind, publisher: Option<usize>, view: View) {
        let source = publisher.filter(|p| published(self.members[*p].publishes).contains(&kind)).map(|p| track(p, kind));
        let mline = 2 + pair * 2 + u8::from(kind == MediaKind::Video);
        let name = source.map(|track| track.0 as u32);
        self.command(self.members[subscriber].worker, RoomCommand::Point { peer: self.members[subscriber].peer, mline, source, view, name });
    }

    pub fn command(&mut self, worker: usize, what: RoomCommand) {
        let room = self.room;
        self.engines[worker].handle_command(self.now, Command { room, what });
        self.drain();
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.engines.iter().map(|engine| engine.counters().get(counter)).sum()
    }

    /// Whether anything has ever come on a subscriber's pair.
    pub fn has_come(&self, subscriber: usize, pair: u8) -> bool {
        let member = &self.members[subscriber];
        member.receiver.slots.contains_key(&member.picture_ssrc(pair))
    }

    /// A subscriber's pair, as its receiver has it.
    pub fn slot(&self, subscriber: usize, pair: u8) -> &Slot {
        let member = &self.members[subscriber];
        member.receiver.slots.get(&member.picture_ssrc(pair)).expect("something came")
    }

    pub fn decoder(&self, subscriber: usize, pair: u8) -> &Decoder {
        &self.slot(subscriber, pair).decoder
    }

    /// What has left for a subscriber's pair.
    pub fn book(&self, subscriber: usize, pair: u8) -> &Book {
        &self.taps[subscriber].books[&self.members[subscriber].picture_ssrc(pair)]
    }

    /// Whatever is wrong with what has left for anybody, whose and why.
    pub fn faults(&self) -> Vec<(usize, u32, Faults)> {
        let books = self
            .taps
            .iter()
            .enumerate()
            .flat_map(|(member, tap)| tap.books.iter().map(move |(ssrc, book)| (member, *ssrc, book.faults(&self.ledger))));
        books.filter(|(_, _, faults)| !faults.are_none()).collect()
    }

    /// Whatever was shown to anybody that could not be decoded.
    pub fn wrong(&self) -> Vec<&str> {
        self.members.iter().flat_map(|m| m.receiver.slots.values()).flat_map(|slot| slot.decoder.wrong.iter().map(String::as_str)).collect()
    }

    /// What control was told last of what a subscriber gets of a publisher's picture.
    pub fn quality(&self, subscriber: usize, publisher: usize) -> Option<Quality> {
        let told = self.qualities.get(&self.members[subscriber].peer)?;
        told.iter().find(|quality| quality.track == track(publisher, MediaKind::Video)).copied()
    }

    /// Another shape of a member's way down.
    pub fn reshape_down(&mut self, member: usize, change: impl FnOnce(Shape) -> Shape) {
        let shape = change(self.down[member].shape.clone());
        self.down[member].reshape(self.now, shape);
        self.again(Turn::Down(member));
    }

    fn again(&mut self, turn: Turn) {
        let at = match turn {
            Turn::Member(index) => self.members[index].next_at(),
            Turn::Up(index) => self.up[index].next_at(),
            Turn::Down(index) => self.down[index].next_at(),
        };
        if at < Time::NEVER {
            self.agenda.push(Reverse((at, turn)));
        }
    }

    /// Goes on to the next thing that happens until `end`; false when nothing does.
    pub fn step(&mut self, end: Time) -> bool {
        let planned = self.agenda.peek().map(|Reverse((at, _))| *at);
        let signal = self.signals.first_key_value().map(|((at, _), _)| *at);
        let timers = self.engines.iter().filter_map(Engine::poll_timeout);
        let next = timers.chain(planned).chain(signal).min().unwrap_or(Time::NEVER);
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        while let Some(Reverse((at, turn))) = self.agenda.peek().copied()
            && at <= self.now
        {
            self.agenda.pop();
            self.take(turn);
        }
        while let Some(entry) = self.signals.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (member, encodings) = entry.remove();
            self.members[member].sender.demand(encodings);
        }
        let now = self.now;
        for engine in self.engines.iter_mut().filter(|engine| engine.poll_timeout().is_some_and(|at| at <= now)) {
            engine.handle_timeout(now);
        }
        self.drain();
        true
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Member(index) if self.members[index].next_at() <= self.now => {
                let mut out = Vec::new();
                self.members[index].tick(self.now, &mut self.ledger, &mut out);
                out.into_iter().for_each(|datagram| self.up[index].send(self.now, datagram));
                self.again(Turn::Up(index));
                self.again(turn);
            }
            Turn::Up(index) if self.up[index].next_at() <= self.now => {
                while let Some(mut datagram) = self.up[index].arrived(self.now) {
                    if let Some(packet) = datagram.carries {
                        self.ledger.arrived(self.now, packet);
                    }
                    self.engines[self.members[index].worker].handle_read(self.now, path(index), &mut datagram.bytes);
                }
                self.again(turn);
            }
            Turn::Down(index) if self.down[index].next_at() <= self.now => {
                while let Some(datagram) = self.down[index].arrived(self.now) {
                    self.members[index].take(self.now, datagram.bytes);
                }
                self.again(Turn::Member(index));
                self.again(turn);
            }
            _ => {}
        }
    }

    fn drain(&mut self) {
        while self.cross() {}
        for worker in 0..self.engines.len() {
            self.give_out(worker);
            while let Some(event) = self.engines[worker].poll_event() {
                self.note(worker, event);
            }
        }
    }

    fn note(&mut self, worker: usize, event: Event) {
        match &event {
            Event::Demand { track, encodings, .. } => {
                let publisher = (track.0 as usize - 1) / 2;
                assert_eq!(self.members[publisher].worker, worker, "the publisher's own worker says what is wanted");
                self.signals.insert((self.now + SIGNALING, self.events.len() as u64), (publisher, *encodings));
            }
            Event::Quality { peer, tracks, .. } => {
                self.qualities.insert(*peer, tracks.clone());
            }
            Event::RoomFailed { .. } => panic!("a fault in the engine, seed {}", self.seed),
            _ => {}
        }
        self.events.push((self.now, event));
    }

    /// What the workers have for each other; whether there was anything.
    fn cross(&mut self) -> bool {
        let mut crossed = false;
        for worker in 0..self.engines.len() {
            let mut ring = Ring(Vec::new());
            self.engines[worker].poll_relay(&mut ring);
            for (to, bytes) in ring.0 {
                crossed = true;
                self.engines[to].handle_relay(self.now, WorkerId(worker as u16), &bytes);
            }
        }
        crossed
    }

    fn give_out(&mut self, worker: usize) {
        loop {
            self.engines[worker].poll_transmit(self.now, &mut self.out);
            if self.out.is_empty() {
                return;
            }
            for datagram in self.out.datagrams() {
                let (member, bytes) = (usize::from(datagram.path.remote.port() - 10_000), self.out.payload(datagram));
                let class = match bytes {
                    [128..=191, 0..=191 | 224.., ..] if self.keeps_books => self.taps[member].leaves(self.now, bytes, &self.members[member].receiver),
                    [128..=191, 0..=191 | 224.., ..] => Class::Picture,
                    _ => Class::Report,
                };
                self.down[member].send(self.now, Datagram::new(class, bytes.to_vec()));
                let at = self.down[member].next_at();
                if at < Time::NEVER {
                    self.agenda.push(Reverse((at, Turn::Down(member))));
                }
            }
            self.out.clear();
        }
    }
}

impl Tap {
    /// A packet leaves: what for.
    fn leaves(&mut self, now: Time, bytes: &[u8], receiver: &Receiver) -> Class {
        let packet = self.opener.open(&self.srtp.receiver, bytes.to_vec()).expect("authentic, and no number protects two packets");
        if packet.repeat && packet.stamp.is_none() {
            return Class::Padding;
        }
        let left_before = self.books.entry(packet.ssrc).or_default().sent(now, &packet);
        match (packet.is_sound(), packet.repeat, left_before) {
            (true, _, _) => Class::Sound,
            (_, false, _) => Class::Picture,
            (_, true, _) if receiver.asked.contains(&(packet.ssrc, packet.number)) => Class::Repair,
            _ => Class::Padding,
        }
    }
}

/// A ring between workers that takes everything.
struct Ring(Vec<(usize, Vec<u8>)>);

impl RelaySink for Ring {
    fn send(&mut self, to: WorkerId, parts: [&[u8]; 3], _spare: bool) -> bool {
        self.0.push((to.0.into(), parts.concat()));
        true
    }
}

fn published(publishes: Publishes) -> Vec<MediaKind> {
    [(publishes.sound, MediaKind::Audio), (publishes.picture, MediaKind::Video)].into_iter().filter_map(|(does, kind)| does.then_some(kind)).collect()
}

fn path(member: usize) -> Path {
    Path { local: 0, remote: ([127, 0, 0, 1], 10_000 + member as u16).into() }
}

pub fn track(member: usize, kind: MediaKind) -> TrackId {
    TrackId(member as u64 * 2 + u64::from(kind == MediaKind::Video) + 1)
}
