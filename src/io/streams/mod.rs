//! Streams: clients that come by TCP because no UDP gets through (ICE-TCP to the media port, TURN to the relay's).
//!
//! To the machines above a stream is a socket with a number of its own: what comes on it are datagrams with a path, and what they send to
//! such a path goes out on it.

mod connection;
mod framing;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustls::ServerConnection;
use socket2::{Domain, Protocol, Socket, Type};

use crate::base::outgoing::Outgoing;
use crate::base::{Path, Time};
use crate::contract::{Counter, Counters};
use crate::port::{SealedStream, StreamPrefixes};

use crate::tls::Certificates;
use connection::{Connection, Scratch};
pub use framing::Framing;

/// Numbers of local sockets from here on are streams: the slot in the lower 16 bits, and above it how often it was given.
pub const STREAMS: u32 = 1 << 24;

/// Numbers among a worker's wakes: streams from here on,
const STREAM_WAKES: u64 = 1 << 34;
/// and listeners from here on.
const LISTENER_WAKES: u64 = 1 << 35;
/// Streams of a worker at a time, and at all workers together from one source prefix (/24, /56): an office behind one address has a few
/// hundred people.
const MOST: usize = 8_192;
/// As [`MOST`].
pub const MOST_OF_PREFIX: u32 = 512;
const _: () = assert!(MOST <= 1 << 16, "a slot has 16 bits");
/// Streams accepted in one turn.
const ACCEPTS_A_TURN: usize = 32;
/// A stream is closed when it has shown nothing that somebody knows for so long.
const PATIENCE: Duration = Duration::from_secs(15);
const SWEEP: Duration = Duration::from_secs(1);
/// How long nothing is accepted when the system gives no more descriptors: soon one will have been closed.
const BREATHER: Duration = Duration::from_millis(200);

/// Where streams are accepted.
struct Listener {
    socket: OwnedFd,
    framing: Framing,
    tls: Option<Certificates>,
}

/// The streams of a worker, and where they are accepted.
pub struct Streams {
    listeners: Vec<Listener>,
    slots: Vec<Option<Connection>>,
    /// How often each slot was given.
    turns: Vec<u8>,
    free: Vec<usize>,
    prefixes: Arc<StreamPrefixes>,
    wakes: OwnedFd,
    open: usize,
    swept: Time,
    scratch: Scratch,
    /// A handshake went on in this turn: packets go before the next one.
    has_shaken_hands: bool,
    /// Until when nothing is accepted: the system had no descriptor left.
    paused: Option<Time>,
    /// Streams that have ended and that nobody has been told of.
    ended: Vec<(Path, Framing)>,
    /// What it counts.
    pub counters: Counters,
}

impl Streams {
    /// None yet; `wakes` is the worker's epoll set, `prefixes` what all workers know of who has how many.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    pub fn new(wakes: &OwnedFd, prefixes: Arc<StreamPrefixes>) -> io::Result<Self> {
        Ok(Self {
            listeners: Vec::new(),
            slots: Vec::new(),
            turns: Vec::new(),
            free: Vec::new(),
            prefixes,
            wakes: wakes.try_clone()?,
            open: 0,
            swept: Time::ZERO,
            scratch: Scratch::default(),
            has_shaken_hands: false,
            paused: None,
            ended: Vec::new(),
            counters: Counters::default(),
        })
    }

    /// Accepts streams at an address that other workers may have, too; with certificates, such as are sealed by TLS.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(&mut self, address: SocketAddr, shared: bool, framing: Framing, tls: Option<Certificates>) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        socket.listen(256)?;
        let socket = OwnedFd::from(socket);
        epoll::add(&self.wakes, &socket, epoll::EventData::new_u64(LISTENER_WAKES | self.listeners.len() as u64), epoll::EventFlags::IN)?;
        self.listeners.push(Listener { socket, framing, tls });
        Ok(())
    }

    /// A turn of the worker begins.
    pub const fn begin_turn(&mut self) {
        self.has_shaken_hands = false;
    }

    /// Whether a wake is of a stream or of where they are accepted.
    pub const fn is_woken_by(wake: u64) -> bool {
        wake & (STREAM_WAKES | LISTENER_WAKES) != 0 && wake != u64::MAX
    }

    /// Whether none is open.
    pub const fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Streams that are open.
    pub const fn len(&self) -> usize {
        self.open
    }

    /// Takes what waits, and hands every message to `take`, which may change it.
    pub fn serve(&mut self, now: Time, wake: u64, mut take: impl FnMut(Path, Framing, &mut [u8])) {
        let index = (wake & 0xFFFF_FFFF) as usize;
        if wake & LISTENER_WAKES != 0 {
            return self.accept(now, index);
        }
        let Some(path) = self.path(index) else { return };
        let Some(connection) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        let framing = connection.framing;
        if connection.is_shaking_hands() && std::mem::replace(&mut self.has_shaken_hands, true) {
            // It waits, and wakes the worker again.
            return;
        }
        let goes_on = connection.read(&mut self.scratch, |message| take(path, framing, message));
        let goes_on = connection.flush(&self.wakes) && goes_on;
        if !goes_on {
            self.close(index);
        }
    }

    /// Sends what is in an arena and has the path of a stream.
    pub fn send(&mut self, out: &Outgoing, counters: &mut Counters) {
        for datagram in out.datagrams().iter().filter(|datagram| datagram.path.local >= STREAMS) {
            let slot = self.slot_of(&datagram.path);
            let Some(connection) = slot.and_then(|slot| self.slots.get_mut(slot)).and_then(Option::as_mut) else {
                counters.add(Counter::DropSocketError);
                continue;
            };
            if connection.write(out.payload(datagram), out.is_droppable(), &self.wakes) {
                counters.add(Counter::DatagramsOut);
                counters.add_many(Counter::BytesOut, datagram.len as u64);
            } else {
                counters.add(Counter::DropSocketFull);
            }
        }
    }

    /// Closes streams of which nobody knows anything, by what `knows` says.
    pub fn handle_timeout(&mut self, now: Time, knows: impl Fn(&Path, Framing) -> bool) {
        if self.paused.is_some_and(|at| at <= now) {
            self.paused = None;
            self.listen_for(epoll::EventFlags::IN);
        }
        if self.open == 0 || self.swept + SWEEP > now {
            return;
        }
        self.swept = now;
        for slot in 0..self.slots.len() {
            let Some(path) = self.path(slot) else { continue };
            let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_mut) else { continue };
            if knows(&path, connection.framing) {
                connection.known = now;
            } else if now.since(connection.known) > PATIENCE {
                self.close(slot);
            }
        }
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let sweep = (self.open > 0).then(|| self.swept + SWEEP);
        [sweep, self.paused].into_iter().flatten().min()
    }

    /// A stream that has ended since the last call.
    pub fn poll_ended(&mut self) -> Option<(Path, Framing)> {
        self.ended.pop()
    }

    fn accept(&mut self, now: Time, index: usize) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Listener { socket, framing, tls }) = self.listeners.get(index) else { return };
            let (framing, tls) = (*framing, tls.as_ref());
            let (socket, remote) = match acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, Some(remote))) => (socket, remote),
                Err(error) if !is_passing(error) => return self.pause(now),
                _ => return,
            };
            let Ok(remote) = SocketAddr::try_from(remote) else { continue };
            let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
            match tls.map(|tls| ServerConnection::new(tls.current(&[]))).transpose() {
                Ok(tls) => drop(self.admit(now, socket, remote, framing, tls.map(Box::new))),
                Err(_) => self.counters.add(Counter::StreamsRefused),
            }
        }
    }

    /// Goes on with a stream that another listener has accepted, and hands over what of it has been opened already.
    pub fn adopt(&mut self, now: Time, stream: SealedStream, mut take: impl FnMut(Path, &mut [u8])) {
        let SealedStream { socket, remote, tls } = stream;
        let Some(slot) = self.admit(now, socket, remote, Framing::Turn, Some(tls)) else { return };
        let Some(path) = self.path(slot) else { return };
        let goes_on = self.slots[slot].as_mut().is_some_and(|connection| connection.go_on(&mut self.scratch, |message| take(path, message)));
        if !goes_on {
            self.close(slot);
        }
    }

    /// Gives a stream its slot, if there may be one more.
    fn admit(&mut self, now: Time, socket: OwnedFd, remote: SocketAddr, framing: Framing, tls: Option<Box<ServerConnection>>) -> Option<usize> {
        if self.open >= MOST || !self.prefixes.claim(remote.ip()) {
            self.counters.add(Counter::StreamsRefused);
            return None;
        }
        let slot = self.free.last().copied().unwrap_or(self.slots.len());
        let wake = STREAM_WAKES | slot as u64;
        if epoll::add(&self.wakes, &socket, epoll::EventData::new_u64(wake), epoll::EventFlags::IN).is_err() {
            self.prefixes.release(remote.ip());
            self.counters.add(Counter::StreamsRefused);
            return None;
        }
        self.free.pop();
        self.open += 1;
        self.counters.add(Counter::StreamsAccepted);
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
            self.turns.resize(slot + 1, 0);
        }
        self.turns[slot] = self.turns[slot].wrapping_add(1);
        self.slots[slot] = Some(Connection::new(socket, remote, framing, wake, now, tls));
        Some(slot)
    }

    /// Whoever waits at a listener would wake the worker again and again.
    fn pause(&mut self, now: Time) {
        self.counters.add(Counter::StreamsRefused);
        self.paused = Some(now + BREATHER);
        self.listen_for(epoll::EventFlags::empty());
    }

    fn listen_for(&self, flags: epoll::EventFlags) {
        for (index, listener) in self.listeners.iter().enumerate() {
            // It is in the set as long as it is open.
            let _ = epoll::modify(&self.wakes, &listener.socket, epoll::EventData::new_u64(LISTENER_WAKES | index as u64), flags);
        }
    }

    fn close(&mut self, slot: usize) {
        let path = self.path(slot);
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.prefixes.release(connection.remote.ip());
        self.open -= 1;
        self.free.push(slot);
        self.ended.extend(path.map(|path| (path, connection.framing)));
    }

    fn path(&self, slot: usize) -> Option<Path> {
        let connection = self.slots.get(slot)?.as_ref()?;
        let local = STREAMS | u32::from(*self.turns.get(slot)?) << 16 | slot as u32;
        Some(Path { local, remote: connection.remote })
    }

    fn slot_of(&self, path: &Path) -> Option<usize> {
        let slot = (path.local & 0xFFFF) as usize;
        self.path(slot).filter(|own| own == path).map(|_| slot)
    }
}

/// Whether an error of accepting is about one connection, or only says that there is none.
fn is_passing(error: Errno) -> bool {
    !matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}

/// Has a socket of the set wake the worker when there is something to read, and when there is room to write if that is awaited.
fn watch(wakes: &OwnedFd, socket: impl AsFd, wake: u64, writes: bool) {
    let flags = if writes { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
    // It is in the set as long as it is open.
    let _ = epoll::modify(wakes, socket, epoll::EventData::new_u64(wake), flags);
}

#[cfg(test)]
mod tests;
