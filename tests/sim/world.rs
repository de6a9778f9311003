//! A world: engines, their clients, the network between them, and a virtual clock. One seed is one run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use althing::base::outgoing::Outgoing;
use althing::base::{Ntp, RoomId, Time, TrackId, WorkerId};
use althing::contract::{Command, Counter, Event, MediaKind, RoomCommand, SrtpProfile, View};
use althing::media::engine::{Engine, EngineConfig};
use althing::media::route::relay::{RelaySink, send_stray};
use althing::media::route::tap::TapSink;
use althing::media::transport::{DtlsIdentity, Path};

use crate::client::Client;
use crate::network::{Datagram, Host, Link, Network};

pub struct World {
    pub now: Time,
    /// One for each worker.
    pub engines: Vec<Engine>,
    pub identity: DtlsIdentity,
    pub epoch: Instant,
    pub clients: Vec<Client>,
    pub network: Network,
    pub link: Link,
    pub events: Vec<Event>,
    room: RoomId,
    out: Outgoing,
    pub seed: u64,
    /// Datagrams that the engines have sent.
    pub sent_back: u64,
    /// Messages that have crossed from worker to worker, and those that found the ring full.
    pub crossed: u64,
    pub refused: u64,
    /// Whether the ring from one worker to another is full.
    pub full: fn(usize, usize) -> bool,
    /// A worker that does nothing at present: what comes to it over the network is lost, what others leave it waits in its rings.
    pub stalled: Option<usize>,
    waiting: VecDeque<(usize, Vec<u8>)>,
    /// What is copied for recordings.
    pub taps: Taps,
    /// Says how many allocations this thread has made so far; the test that counts sets it.
    pub allocations: fn() -> u64,
    /// Allocations made by the engine, by what it was doing: datagrams in, packets out, timers.
    pub allocated: [u64; 3],
}

impl World {
    /// One worker.
    pub fn new(seed: u64) -> Self {
        Self::with_workers(seed, 1)
    }

    pub fn with_workers(seed: u64, workers: u64) -> Self {
        let identity = DtlsIdentity::generate().expect("a certificate");
        let epoch = Instant::now();
        let wall_at_zero = Ntp::from_unix(Duration::from_secs(1_700_000_000));
        let engine = |n| Engine::on(WorkerId(n as u16), EngineConfig { identity: identity.clone(), epoch, wall_at_zero, seed: seed + n * 1_000 });
        Self {
            now: Time::ZERO,
            engines: (0..workers).map(engine).collect(),
            identity,
            epoch,
            clients: Vec::new(),
            network: Network::new(seed),
            link: Link::GOOD,
            events: Vec::new(),
            room: RoomId(1),
            out: Outgoing::for_a_tick(),
            crossed: 0,
            refused: 0,
            full: |_, _| false,
            stalled: None,
            waiting: VecDeque::new(),
            taps: Taps::default(),
            allocations: || 0,
            allocated: [0; 3],
            seed,
            sent_back: 0,
        }
    }

    /// A client joins, publishes audio and video, and gets `pairs` slot pairs; returns its index.
    pub fn join(&mut self, pairs: u8, profile: SrtpProfile) -> usize {
        let index = self.clients.len();
        let client = Client::new(index, self.seed, profile);
        self.add(client, pairs);
        index
    }

    pub fn add(&mut self, mut client: Client, pairs: u8) {
        let peer = client.peer;
        self.command(RoomCommand::AddPeer { peer, transport: Box::new(client.transport()) });
        self.command(RoomCommand::Negotiate { peer, media: Box::new(client.plan(pairs)) });
        for (mline, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
            client.publish(self.now, kind);
            self.command(RoomCommand::Publish { peer, mline, track: track(client.index, kind), voice: kind == MediaKind::Audio });
        }
        self.clients.push(client);
    }

    /// A client joins on a worker, as control does it: the room there learns of all tracks of others, and all others of its tracks.
    pub fn join_on(&mut self, worker: usize, pairs: u8, profile: SrtpProfile) -> usize {
        let client = Client::new(self.clients.len(), self.seed, profile);
        self.add_on(worker, client, pairs)
    }

    pub fn add_on(&mut self, worker: usize, mut client: Client, pairs: u8) -> usize {
        let index = self.clients.len();
        client.worker = worker;
        let peer = client.peer;
        let first = self.clients.iter().all(|c| c.worker != worker || !c.online);
        self.command_in(worker, self.room, RoomCommand::AddPeer { peer, transport: Box::new(client.transport()) });
        self.command_in(worker, self.room, RoomCommand::Negotiate { peer, media: Box::new(client.plan(pairs)) });
        if first {
            self.command_in(worker, self.room, RoomCommand::Listener { worker: WorkerId(0) });
            let others: Vec<usize> = (0..index).filter(|c| self.clients[*c].online && self.clients[*c].worker != worker).collect();
            others.into_iter().for_each(|other| self.import(other, worker));
        }
        for (mline, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
            client.publish(self.now, kind);
            self.command_in(worker, self.room, RoomCommand::Publish { peer, mline, track: track(index, kind), voice: kind == MediaKind::Audio });
        }
        self.clients.push(client);
        for other in (0..self.engines.len()).filter(|w| *w != worker) {
            if self.clients.iter().any(|c| c.online && c.worker == other) {
                self.import(index, other);
            }
        }
        index
    }

    /// Tells a worker of a client's tracks on another one.
    pub fn import(&mut self, client: usize, to: usize) {
        let from = WorkerId(self.clients[client].worker as u16);
        for source in self.clients[client].plan(0).receive {
            let track = track(client, source.kind);
            self.command_in(to, self.room, RoomCommand::Import { track, from, source: Box::new(source) });
        }
    }

    /// A client's tracks end, on all workers.
    pub fn unpublish(&mut self, client: usize) {
        for worker in 0..self.engines.len() {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                self.command_in(worker, self.room, RoomCommand::Unpublish { track: track(client, kind) });
            }
        }
    }

    /// Points a subscriber's pair at a publisher, or at nobody.
    pub fn point(&mut self, subscriber: usize, pair: u8, publisher: Option<usize>) {
        for (half, kind) in [(0, MediaKind::Audio), (1, MediaKind::Video)] {
            let source = publisher.map(|p| track(p, kind));
            let (peer, mline, name) = (self.clients[subscriber].peer, 2 + pair * 2 + half, source.map(|track| track.0 as u32));
            let what = RoomCommand::Point { peer, mline, source, view: View::LARGE, name };
            self.command_in(self.clients[subscriber].worker, self.room, what);
        }
    }

    /// Everybody sees everybody: the n-th other in the n-th pair.
    pub fn connect_all(&mut self) {
        for subscriber in 0..self.clients.len() {
            let others: Vec<usize> = (0..self.clients.len()).filter(|p| *p != subscriber && self.clients[*p].online).collect();
            for (pair, publisher) in others.into_iter().enumerate() {
                self.point(subscriber, pair as u8, Some(publisher));
            }
        }
    }

    pub fn leave(&mut self, index: usize) {
        self.clients[index].online = false;
        self.command_in(self.clients[index].worker, self.room, RoomCommand::RemovePeer { peer: self.clients[index].peer });
    }

    pub fn command(&mut self, what: RoomCommand) {
        self.command_in(0, self.room, what);
    }

    pub fn command_in(&mut self, worker: usize, room: RoomId, what: RoomCommand) {
        self.engines[worker].handle_command(self.now, Command { room, what });
        self.drain();
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.engines.iter().map(|e| e.report().counters.get(counter)).sum()
    }

    /// A digest of what has happened, to compare runs.
    pub fn digest(&self) -> String {
        let heard: Vec<_> = self
            .clients
            .iter()
            .map(|c| c.heard.iter().map(|(s, h)| (*s, h.packets.len(), h.packets.last_key_value().map(|(n, s)| (*n, *s)))).collect::<Vec<_>>())
            .collect();
        let reports: Vec<_> = self.engines.iter().map(Engine::report).collect();
        format!("{heard:?} {reports:?} {:?}", self.events)
    }

    /// The server receives bytes as if from a client's address (or any other).
    pub fn inject(&mut self, from: Path, mut bytes: Vec<u8>) {
        self.engines[0].handle_read(self.now, from, &mut bytes);
        self.drain();
    }

    /// Goes on to the next thing that happens until `end`; false when nothing does.
    pub fn step(&mut self, end: Time) -> bool {
        let clients = self.clients.iter().filter(|c| c.online).map(Client::next_at).min();
        let stalled = self.stalled;
        let timers = self.engines.iter().enumerate().filter(|(worker, _)| Some(*worker) != stalled).map(|(_, engine)| engine.poll_timeout());
        let next = [clients, self.network.next_at()].into_iter().chain(timers).flatten().min().unwrap_or(Time::NEVER);
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        while let Some(datagram) = self.network.arrived(self.now) {
            self.deliver(datagram);
        }
        for index in 0..self.clients.len() {
            if self.clients[index].online && self.clients[index].next_at() <= self.now {
                let mut out = Vec::new();
                self.clients[index].tick(self.now, &mut out);
                self.send_from(index, out);
            }
        }
        let turning = self.engines.iter_mut().enumerate().filter(|(worker, _)| Some(*worker) != stalled).map(|(_, engine)| engine);
        for engine in turning.filter(|e| e.poll_timeout().is_some_and(|at| at <= self.now)) {
            let before = (self.allocations)();
            engine.handle_timeout(self.now);
            self.allocated[2] += (self.allocations)() - before;
        }
        self.drain();
        true
    }

    fn deliver(&mut self, datagram: Datagram) {
        match datagram.to {
            Host::Server if self.stalled == Some(self.clients[datagram.client].worker) => {}
            Host::Server => {
                let mut bytes = datagram.bytes;
                let before = (self.allocations)();
                let engine = &mut self.engines[self.clients[datagram.client].worker];
                engine.handle_read(self.now, path(datagram.client), &mut bytes);
                self.allocated[0] += (self.allocations)() - before;
            }
            Host::Client(index) if self.clients.get(index).is_some_and(|c| c.online) => {
                let mut out = Vec::new();
                self.clients[index].take(self.now, datagram.bytes, &mut out);
                self.send_from(index, out);
            }
            Host::Client(_) => {}
        }
    }

    fn send_from(&mut self, client: usize, datagrams: Vec<Vec<u8>>) {
        for bytes in datagrams {
            self.network.send(self.now, self.link, Datagram { to: Host::Server, client, bytes });
        }
    }

    fn drain(&mut self) {
        while self.cross() {}
        for engine in &mut self.engines {
            let before = (self.allocations)();
            engine.poll_tap(&mut self.taps);
            self.allocated[1] += (self.allocations)() - before;
        }
        for worker in self.turning() {
            self.give_out(worker);
            while self.engines[worker].has_deferred() {
                self.engines[worker].handle_deferred(self.now);
                self.give_out(worker);
            }
            self.events.extend(std::iter::from_fn(|| self.engines[worker].poll_event()));
        }
    }

    /// What the workers have for each other; whether there was anything.
    fn cross(&mut self) -> bool {
        let before = self.crossed;
        if self.stalled.is_none() {
            for (from, bytes) in std::mem::take(&mut self.waiting) {
                let to = usize::from(bytes[0]);
                self.take_message(from, to, &bytes[1..]);
            }
        }
        for worker in self.turning() {
            let room = RING.saturating_sub(self.waiting.iter().filter(|(from, _)| *from == worker).map(|(_, bytes)| bytes.len()).sum());
            let mut ring = Ring { from: worker, full: self.full, stalled: self.stalled, room, messages: Vec::new(), refused: 0 };
            self.engines[worker].poll_relay(&mut ring);
            self.refused += ring.refused;
            for (to, bytes) in ring.messages {
                if Some(to) == self.stalled {
                    self.waiting.push_back((worker, [&[to as u8], &bytes[..]].concat()));
                } else {
                    self.take_message(worker, to, &bytes);
                }
            }
        }
        self.crossed > before
    }

    fn turning(&self) -> impl Iterator<Item = usize> + use<> {
        let stalled = self.stalled;
        (0..self.engines.len()).filter(move |worker| Some(*worker) != stalled)
    }

    fn take_message(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.crossed += 1;
        let allocations = (self.allocations)();
        self.engines[to].handle_relay(self.now, WorkerId(from as u16), bytes);
        self.allocated[0] += (self.allocations)() - allocations;
    }

    /// With one port for all workers, the system gives a datagram to any of them, which hands it to its owner; false when it is nobody's.
    pub fn arrive_at(&mut self, worker: usize, from: Path, mut bytes: Vec<u8>) -> bool {
        let owner = self.engines[worker].owner_of(self.now, &from, &bytes);
        match owner {
            None => self.engines[worker].handle_read(self.now, from, &mut bytes),
            Some((owner, spare)) => {
                let mut ring = Ring { from: worker, full: self.full, stalled: None, room: RING, messages: Vec::new(), refused: 0 };
                send_stray(&mut ring, owner, from, &bytes, spare);
                ring.messages.into_iter().for_each(|(to, bytes)| self.take_message(worker, to, &bytes));
            }
        }
        self.drain();
        owner.is_some()
    }

    fn give_out(&mut self, worker: usize) {
        loop {
            let before = (self.allocations)();
            self.engines[worker].poll_transmit(self.now, &mut self.out);
            self.allocated[1] += (self.allocations)() - before;
            if self.out.is_empty() {
                return;
            }
            for datagram in self.out.datagrams() {
                let client = usize::from(datagram.path.remote.port() - 10_000);
                self.sent_back += 1;
                self.network.send(self.now, self.link, Datagram { to: Host::Client(client), client, bytes: self.out.payload(datagram).to_vec() });
            }
            self.out.clear();
        }
    }
}

/// What is copied for recordings: kept, or only counted.
#[derive(Default)]
pub struct Taps {
    pub frames: Vec<Vec<u8>>,
    pub keeps: bool,
    pub full: bool,
    pub taken: u64,
}

impl TapSink for Taps {
    fn take(&mut self, head: &[u8], payload: &[u8]) -> bool {
        if self.keeps {
            self.frames.push([head, payload].concat());
        }
        self.taken += u64::from(!self.full);
        !self.full
    }
}

/// Bytes that wait for a stalled worker at most, from each other one.
const RING: usize = 256 * 1024;

/// A ring of the simulation: it takes all, or nothing, or what fits while the other end stands still.
struct Ring {
    from: usize,
    full: fn(usize, usize) -> bool,
    stalled: Option<usize>,
    /// Bytes that still fit into the ring to the stalled worker.
    room: usize,
    messages: Vec<(usize, Vec<u8>)>,
    refused: u64,
}

impl RelaySink for Ring {
    fn send(&mut self, to: WorkerId, parts: [&[u8]; 3], _spare: bool) -> bool {
        let (to_stalled, len) = (self.stalled == Some(to.0.into()), parts.iter().map(|p| p.len()).sum());
        if (self.full)(self.from, to.0.into()) || to_stalled && len > self.room {
            self.refused += 1;
            return false;
        }
        self.room -= if to_stalled { len } else { 0 };
        self.messages.push((to.0.into(), parts.concat()));
        true
    }
}

pub fn path(client: usize) -> Path {
    Path { local: 0, remote: ([127, 0, 0, 1], 10_000 + client as u16).into() }
}

pub fn track(client: usize, kind: MediaKind) -> TrackId {
    TrackId(client as u64 * 2 + u64::from(kind == MediaKind::Video) + 1)
}
