//! A worker: one pinned thread, its sockets, and the engine that it drives.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::error::TrySendError;

use super::clock::Clock;
use super::udp::{self, Receiver};
use crate::base::{Time, WorkerId};
use crate::contract::{Counter, Event, WorkerReport};
use crate::media::engine::{Engine, EngineConfig};
use crate::media::outgoing::Outgoing;
use crate::media::transport::{DtlsIdentity, Path};
use crate::port::{Closed, EventSender, Inbox, ReportSlot};

/// Commands taken in one turn, so that a storm of joins leaves room for packets.
const COMMANDS_A_TURN: usize = 64;
/// How often the worker publishes its counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// An event that found its mailbox full is offered again after this.
const EVENT_RETRY: Duration = Duration::from_millis(5);
/// The number of the inbox among the wakes; the sockets have theirs from 0.
const INBOX: u64 = u64::MAX;

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
}

/// Binds the sockets, then starts the thread; returns the port. The thread ends when every handle to its inbox is gone.
pub fn spawn(config: WorkerConfig, inbox: Inbox, events: EventSender, report: ReportSlot) -> io::Result<u16> {
    let (sockets, port) = bind_all(&config.addresses)?;
    let wakes = wakes(&sockets, &inbox)?;
    let clock = Clock::new(config.epoch);
    std::thread::Builder::new().name(format!("media-{}", config.id)).spawn(move || {
        if let Some(core) = config.core {
            pin(core);
        }
        let engine =
            Engine::new(EngineConfig { identity: config.identity, epoch: config.epoch, wall_at_zero: clock.wall_at_zero(), seed: config.seed });
        let out = Outgoing::for_a_tick();
        Worker {
            engine,
            sockets,
            wakes,
            receiver: Receiver::new(),
            out,
            inbox,
            events,
            report,
            clock,
            unsent: None,
            more_commands: false,
            unreported: true,
            reported_at: None,
        }
        .run();
    })?;
    Ok(port)
}

struct Worker {
    engine: Engine,
    sockets: Vec<OwnedFd>,
    wakes: OwnedFd,
    receiver: Receiver,
    out: Outgoing,
    inbox: Inbox,
    events: EventSender,
    report: ReportSlot,
    clock: Clock,
    /// An event that found its mailbox full.
    unsent: Option<Event>,
    /// The inbox was not drained in the last turn.
    more_commands: bool,
    /// Something has been counted since the last report.
    unreported: bool,
    reported_at: Option<Time>,
}

impl Worker {
    /// The loop: wait; take in commands, packets and timers; give out forwards, then one handshake step; report.
    fn run(mut self) {
        let mut ready = [const { MaybeUninit::uninit() }; 16];
        loop {
            let timeout = self.until_next_turn();
            // A signal may interrupt the wait; the turn then simply finds nothing to do.
            let (ready, _) = epoll::wait(&self.wakes, &mut ready, timeout.as_ref()).unwrap_or((&mut [], &mut []));
            for wake in ready.iter() {
                match wake.data.u64() {
                    INBOX => self.inbox.clear_wake(),
                    socket => self.take_packets(socket as u8),
                }
            }
            self.engine.counters_mut().add(Counter::Ticks);
            if self.take_commands().is_err() {
                return;
            }
            let now = self.clock.now();
            if self.engine.poll_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now);
            }
            self.give_out(now);
            self.engine.handle_deferred(now);
            self.give_out(now);
            self.give_events();
            self.give_report(now);
        }
    }

    /// How long nothing needs to be done; `None` for ever.
    fn until_next_turn(&self) -> Option<Timespec> {
        let now = self.clock.now();
        let next = if self.engine.has_deferred() || self.more_commands {
            now
        } else {
            let event = self.unsent.as_ref().map(|_| now + EVENT_RETRY);
            let report = self.unreported.then(|| self.reported_at.map_or(now, |at| at + REPORT_EVERY));
            [self.engine.poll_timeout(), event, report].into_iter().flatten().min()?
        };
        let span = next.since(now);
        Some(Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) })
    }

    fn take_packets(&mut self, local: u8) {
        let Some(socket) = self.sockets.get(usize::from(local)) else { return };
        // An error here is the answer to an earlier datagram (port unreachable); the socket itself goes on.
        let received = self.receiver.receive(socket).unwrap_or(0);
        let now = self.clock.now();
        for index in 0..received {
            match self.receiver.datagram(index) {
                Some((remote, datagram)) => self.engine.handle_read(now, Path { local, remote }, datagram),
                None => self.engine.counters_mut().add(Counter::DropMalformed),
            }
        }
        self.unreported |= received > 0;
    }

    fn take_commands(&mut self) -> Result<(), Closed> {
        let now = self.clock.now();
        self.more_commands = true;
        for _ in 0..COMMANDS_A_TURN {
            let Some(command) = self.inbox.next()? else {
                self.more_commands = false;
                break;
            };
            self.engine.handle_command(now, command);
            self.unreported = true;
        }
        Ok(())
    }

    fn give_out(&mut self, now: Time) {
        loop {
            self.engine.poll_transmit(now, &mut self.out);
            if self.out.is_empty() {
                return;
            }
            udp::send(&self.sockets, &self.out, self.engine.counters_mut());
            self.out.clear();
            self.unreported = true;
        }
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
        report.memory.arenas += (self.out.memory() + self.receiver.memory()) as u64;
        self.report.publish(WorkerReport { busy_micros, ..report });
        (self.unreported, self.reported_at) = (false, Some(now));
    }
}

fn bind_all(addresses: &[SocketAddr]) -> io::Result<(Vec<OwnedFd>, u16)> {
    let mut port = addresses.first().map_or(0, SocketAddr::port);
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let socket = udp::bind(SocketAddr::new(address.ip(), port))?;
        port = SocketAddr::try_from(rustix::net::getsockname(&socket)?).map_or(port, |bound| bound.port());
        sockets.push(socket);
    }
    Ok((sockets, port))
}

/// An epoll set with the sockets, numbered as they are, and the inbox.
fn wakes(sockets: &[OwnedFd], inbox: &Inbox) -> io::Result<OwnedFd> {
    let wakes = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, socket) in sockets.iter().enumerate() {
        epoll::add(&wakes, socket, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
    }
    epoll::add(&wakes, inbox.wake_fd(), epoll::EventData::new_u64(INBOX), epoll::EventFlags::IN)?;
    Ok(wakes)
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        tracing::warn!(core, %error, "the worker could not be pinned to its core; it runs wherever the system puts it");
    }
}
