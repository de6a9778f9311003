//! A worker: one pinned thread, its sockets, and the engine that it drives.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::error::TrySendError;

use super::clock::Clock;
use super::ports::{bind_all, bind_outlets};
use super::relay::{RelaySetup, RelaySockets};
use super::streams::{Framing, Streams};
use super::udp::{self, Receiver, Sender};
use super::wakes::{INBOX, Wakes};
use crate::base::outgoing::Outgoing;
use crate::base::{Time, WorkerId};
use crate::contract::{Counter, Event, Measure, WorkerReport};
use crate::media::engine::{Engine, EngineConfig};
use crate::media::route::relay::{RelaySink, send_stray};
use crate::media::route::tap::TapSink;
use crate::media::transport::{DtlsIdentity, Path};
use crate::port::{Closed, EventSender, Inbox, ReportSlot, Rings, StreamPrefixes, TapWriter};

mod relayed;

/// Commands taken in one turn, so that a storm of joins leaves room for packets.
const COMMANDS_A_TURN: usize = 64;
/// Batches taken from one socket in one turn. More saves waits under load, less lets other sockets, joins and timers come sooner.
const TICKS_A_TURN: usize = 4;
/// Messages taken from one ring in one turn.
const RELAYS_A_TURN: usize = 64;
/// How often the worker publishes its counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// An event that found its mailbox full is offered again after this.
const EVENT_RETRY: Duration = Duration::from_millis(5);
/// Replies that a full socket has refused are offered again after this.
const HELD_RETRY: Duration = Duration::from_millis(1);

/// What a worker is made of.
pub struct WorkerConfig {
    /// Its number.
    pub id: WorkerId,
    /// The addresses to bind, one socket each. Port 0 takes a free port, the same for all.
    pub addresses: Vec<SocketAddr>,
    /// The core to stay on.
    pub core: Option<usize>,
    /// The node's DTLS certificate.
    pub identity: DtlsIdentity,
    /// The process's time zero.
    pub epoch: Instant,
    /// Seed for hashing and for numbers that need no secrecy.
    pub seed: u64,
    /// Messages taken in one tick at most ([`udp::RECEIVE_BATCH`]).
    pub batch: usize,
    /// Its ends of the rings between workers.
    pub rings: Rings,
    /// Where it leaves what is recorded.
    pub tap: Option<TapWriter>,
    /// All workers share their ports: what arrives at the wrong one is handed to its owner.
    pub shared_port: bool,
    /// Clients may come by TCP, to the same addresses.
    pub tcp: bool,
    /// What all workers know of streams.
    pub prefixes: Arc<StreamPrefixes>,
    /// Its part of the relay.
    pub relay: Option<RelaySetup>,
    /// Ports for connections that this node begins itself: a socket each at every address, numbered behind those of `addresses`, port by port.
    pub outlets: u16,
    /// How the transactions begin that STUN servers are asked with from its sockets; none is ever asked without.
    pub questions: Option<[u8; 8]>,
}

/// A worker that has started.
pub struct Started {
    /// The port of media.
    pub port: u16,
    /// The port of the relay.
    pub relay: Option<u16>,
    /// The ports for connections that this node begins itself.
    pub outlets: Vec<u16>,
    /// Its sockets once more, for questions to STUN servers: empty where none is asked.
    pub sockets: Vec<OwnedFd>,
}

/// Binds the sockets, then starts the thread. The thread ends when every handle to its inbox is gone.
///
/// # Errors
/// When a port is taken, or the system gives no more descriptors or threads.
pub fn spawn(config: WorkerConfig, inbox: Inbox, events: EventSender, report: ReportSlot) -> io::Result<Started> {
    let core = config.core;
    let name = format!("media-{}", config.id);
    let (asks, addresses) = (config.questions.is_some(), config.addresses.len());
    let (worker, Ports { media, relay, outlets }) = Worker::new(config, inbox, events, report)?;
    let heard_at = worker.sockets.iter().take(addresses);
    let sockets = if asks { heard_at.map(OwnedFd::try_clone).collect::<io::Result<_>>()? } else { Vec::new() };
    std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core {
            pin(core);
        }
        worker.run();
    })?;
    Ok(Started { port: media, relay, outlets, sockets })
}

/// The ports that a worker has bound.
pub struct Ports {
    /// Of media.
    pub media: u16,
    /// Of the relay.
    pub relay: Option<u16>,
    /// For connections that this node begins itself.
    pub outlets: Vec<u16>,
}

/// A worker: an engine, and the sockets and mailboxes that it is driven by.
pub struct Worker {
    engine: Engine,
    sockets: Vec<OwnedFd>,
    wakes: Wakes,
    receiver: Receiver,
    sender: Sender,
    out: Outgoing,
    /// Replies that a full socket has refused.
    held: Outgoing,
    inbox: Inbox,
    rings: Rings,
    tap: Option<TapWriter>,
    relay: Option<RelaySockets>,
    streams: Streams,
    shared_port: bool,
    /// A ring was not drained in the last turn.
    more_relays: bool,
    events: EventSender,
    report: ReportSlot,
    clock: Clock,
    /// An event that found its mailbox full.
    unsent: Option<Event>,
    /// The inbox was not drained in the last turn.
    more_commands: bool,
    /// Something has been counted since the last report.
    unreported: bool,
    /// The last turn was the relay's alone.
    gathers: bool,
    /// When it was looked last what the engine's timers ask for.
    served_at: Time,
    reported_at: Option<Time>,
}

impl Worker {
    /// Binds its sockets; the second value is their ports.
    ///
    /// # Errors
    /// As [`spawn`].
    pub fn new(config: WorkerConfig, inbox: Inbox, events: EventSender, report: ReportSlot) -> io::Result<(Self, Ports)> {
        let (mut sockets, port) = bind_all(&config.addresses, config.shared_port, config.tcp)?;
        let outlets = bind_outlets(&config.addresses, config.outlets, &mut sockets)?;
        let wakes = Wakes::new()?;
        wakes.add_rest(&sockets, 0)?;
        let mut streams = Streams::new(wakes.set(), config.prefixes)?;
        if config.tcp {
            config.addresses.iter().try_for_each(|address| streams.listen(SocketAddr::new(address.ip(), port), false, Framing::Ice, None))?;
        }
        let relay = config.relay.map(|setup| RelaySockets::new(setup, &wakes, &mut streams)).transpose()?;
        let (relay, relay_port) = relay.map_or((None, None), |(relay, port)| (Some(relay), Some(port)));
        let clock = Clock::new(config.epoch);
        let engine = Engine::on(
            config.id,
            EngineConfig { identity: config.identity, epoch: config.epoch, wall_at_zero: clock.wall_at_zero(), seed: config.seed },
        )
        .with_questions(config.questions);
        let receives_runs = sockets.iter().map(udp::receive_runs).fold(false, |any, runs| any | runs);
        let worker = Self {
            engine,
            receiver: Receiver::new(receives_runs).with_batch(config.batch),
            sender: Sender::new(&sockets),
            sockets,
            wakes,
            out: Outgoing::for_a_tick(),
            held: Outgoing::for_a_tick(),
            inbox,
            rings: config.rings,
            tap: config.tap,
            relay,
            streams,
            shared_port: config.shared_port,
            more_relays: false,
            events,
            report,
            clock,
            unsent: None,
            more_commands: false,
            unreported: true,
            gathers: false,
            served_at: Time::ZERO,
            reported_at: None,
        };
        Ok((worker, Ports { media: port, relay: relay_port, outlets }))
    }

    /// The engine: benches put it into the state that they measure.
    pub const fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The engine, to look at.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The clock that the engine is told.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Turns until every handle to the inbox is gone.
    pub fn run(mut self) {
        while self.turn().is_ok() {}
    }

    /// One turn of the loop: wait; take in packets, commands and timers; give out forwards, then one handshake step; report.
    ///
    /// # Errors
    /// [`Closed`] when every handle to the inbox is gone.
    pub fn turn(&mut self) -> Result<(), Closed> {
        self.gather();
        let timeout = self.fall_asleep();
        let fronts = self.relay.as_ref().map_or(&[][..], RelaySockets::fronts);
        let ready = self.wakes.wait(self.inbox.wake_fd(), &self.sockets, fronts, timeout.as_ref());
        self.rings.bell().wake_up();
        self.streams.begin_turn();
        let mut relays_only = !ready.numbers().is_empty();
        for wake in ready.numbers() {
            match *wake {
                wake if RelaySockets::is_woken_by(wake) => relays_only &= self.serve_relay(wake),
                wake => {
                    relays_only = false;
                    match wake {
                        INBOX => self.inbox.clear_wake(),
                        wake if Streams::is_woken_by(wake) => self.serve_stream(wake),
                        socket => self.serve(socket as u32),
                    }
                }
            }
        }
        self.gathers = relays_only;
        if let Some(relay) = &mut self.relay {
            relay.give_out(&mut self.streams);
        }
        let now = self.clock.now();
        self.take_commands(now)?;
        self.take_streams(now);
        self.take_relays(now);
        if let Some(due) = self.engine.poll_timeout().filter(|due| *due <= now) {
            // What was set since, for a moment that was past already, is late since then only.
            self.engine.distributions_mut().observe(Measure::LoopLag, now.micros_since(due.max(self.served_at)));
            self.engine.handle_timeout(now);
        }
        self.served_at = now;
        self.handle_timeouts(now);
        self.give_out(now);
        if self.engine.has_deferred() {
            self.engine.handle_deferred(now);
            self.give_out(now);
        }
        self.give_events();
        self.give_report(now);
        self.engine.counters_mut().add(Counter::Ticks);
        Ok(())
    }

    /// How long to sleep: not at all when another worker has left something, since it rings for a sleeper only.
    fn fall_asleep(&self) -> Option<Timespec> {
        self.rings.bell().fall_asleep();
        if self.rings.is_empty() { self.until_next_turn() } else { Some(Timespec { tv_sec: 0, tv_nsec: 0 }) }
    }

    /// How long nothing needs to be done; `None` for ever.
    fn until_next_turn(&self) -> Option<Timespec> {
        let now = self.clock.now();
        let next = if self.engine.has_deferred() || self.more_commands || self.more_relays {
            now
        } else {
            let event = self.unsent.as_ref().map(|_| now + EVENT_RETRY);
            let held = (!self.held.is_empty()).then(|| now + HELD_RETRY);
            let report = self.unreported.then(|| self.reported_at.map_or(now, |at| at + REPORT_EVERY));
            let relay = self.relay.as_ref().and_then(RelaySockets::poll_timeout);
            [self.engine.poll_timeout(), relay, self.streams.poll_timeout(), event, held, report].into_iter().flatten().min()?
        };
        let span = next.since(now);
        Some(Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) })
    }

    /// Takes what waits at a socket and forwards it. While it comes in full batches, a few more are taken before anything else is
    /// looked at: so a busy worker waits less often, and a sparse packet goes out with its own turn.
    fn serve(&mut self, local: u32) {
        for tick in 1..=TICKS_A_TURN {
            let now = self.clock.now();
            if !self.take_packets(now, local) || tick == TICKS_A_TURN {
                return;
            }
            self.give_out(now);
        }
    }

    /// Takes one batch; whether it was a full one.
    fn take_packets(&mut self, now: Time, local: u32) -> bool {
        let Some(socket) = self.sockets.get(local as usize) else { return false };
        // An error here is the answer to an earlier datagram (port unreachable); the socket itself goes on.
        let received = self.receiver.receive(socket).unwrap_or(0);
        self.engine.distributions_mut().observe(Measure::ReceiveBatch, received as u64);
        self.engine.counters_mut().add(Counter::ReceiveCalls);
        for index in 0..received {
            match self.receiver.datagram(index) {
                Some((remote, datagram)) => {
                    let path = Path { local, remote };
                    match if self.shared_port { self.engine.owner_of(now, &path, datagram) } else { None } {
                        None => self.engine.handle_read(now, path, datagram),
                        Some((owner, said)) => {
                            let sent = send_stray(&mut self.rings, owner, path, datagram, said);
                            self.engine.counters_mut().add(if sent { Counter::StrayOut } else { Counter::RelayDropFull });
                        }
                    }
                }
                None => self.engine.counters_mut().add(Counter::DropMalformed),
            }
        }
        self.unreported |= received > 0;
        received >= self.receiver.batch()
    }

    fn take_commands(&mut self, now: Time) -> Result<(), Closed> {
        self.more_commands = true;
        for _ in 0..COMMANDS_A_TURN {
            let Some(command) = self.inbox.next()? else {
                self.more_commands = false;
                break;
            };
            self.engine.handle_command(now, command);
            self.unreported = true;
        }
        self.unreported |= self.inbox.is_asked();
        Ok(())
    }

    /// Takes what other workers have left, a part of each ring so that none of them keeps the others waiting.
    fn take_relays(&mut self, now: Time) {
        self.more_relays = false;
        for from in 0..self.rings.workers() {
            let mut taken = 0;
            while taken < RELAYS_A_TURN && self.rings.receive(from, |message| self.engine.handle_relay(now, WorkerId(from as u16), message)).is_some()
            {
                taken += 1;
            }
            self.more_relays |= taken == RELAYS_A_TURN;
            self.unreported |= taken > 0;
        }
    }

    /// Hands over what other workers want before anything goes out here: they have further to go.
    fn hand_over(&mut self) {
        if self.rings.workers() > 1 {
            self.engine.poll_relay(&mut self.rings);
            self.rings.ring_bells();
        }
        self.engine.poll_tap(&mut self.tap);
        if let Some(tap) = &mut self.tap {
            tap.ring_bell();
        }
    }

    fn give_out(&mut self, now: Time) {
        self.hand_over();
        if !self.held.is_empty() {
            // What was refused goes first, and is refused again where the socket is still full.
            std::mem::swap(&mut self.held, &mut self.out);
            self.send();
        }
        loop {
            self.engine.poll_transmit(now, &mut self.out);
            if self.out.is_empty() {
                return;
            }
            self.send();
            self.unreported = true;
        }
    }

    fn send(&mut self) {
        self.sender.send(self.sockets.as_slice(), &self.out, &mut self.held, self.engine.counters_mut());
        if !self.streams.is_empty() {
            self.streams.send(&self.out, self.engine.counters_mut());
        }
        self.out.clear();
    }

    fn give_events(&mut self) {
        while let Some(event) = self.unsent.take().or_else(|| self.engine.poll_event()) {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.unsent = Some(event);
                return;
            }
        }
    }

    fn give_report(&mut self, now: Time) {
        if !self.unreported || self.reported_at.is_some_and(|at| now.since(at) < REPORT_EVERY) {
            return;
        }
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let busy_micros = cpu.tv_sec as u64 * 1_000_000 + cpu.tv_nsec as u64 / 1_000;
        let mut report = self.engine.report();
        report.memory.arenas += (self.out.memory() + self.held.memory() + self.receiver.memory()) as u64;
        report.counters.add_all(&self.streams.counters);
        report.streams = self.streams.len() as u64;
        if let Some(relay) = &self.relay {
            relay.add_to(&mut report.counters);
            report.allocations = relay.allocations() as u64;
            report.memory.arenas += relay.memory() as u64;
        }
        self.report.publish(WorkerReport { busy_micros, ..report });
        (self.unreported, self.reported_at) = (false, Some(now));
    }
}

impl TapSink for Option<TapWriter> {
    fn take(&mut self, head: &[u8], payload: &[u8]) -> bool {
        self.as_mut().is_some_and(|tap| tap.send(head, payload))
    }
}

impl RelaySink for Rings {
    fn send(&mut self, to: WorkerId, parts: [&[u8]; 3], spare: bool) -> bool {
        Rings::send(self, usize::from(to.0), &parts, spare)
    }
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        tracing::warn!(core, %error, "the worker could not be pinned to its core; it runs wherever the system puts it");
    }
}
