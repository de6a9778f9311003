//! The hands of the relay: sockets at which clients are heard, and one for each allocation.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::epoll;

use super::streams::{Framing, Streams};
use super::udp::{self, Receiver, Sender};
use super::wakes::{ALLOCATIONS, FRONTS, INBOX, Wakes};
use crate::base::outgoing::Outgoing;
use crate::base::random::Random;
use crate::base::{Path, Time};
use crate::contract::{Counter, Counters};
use crate::port::RelayUsers;
use crate::tls::Certificates;
use crate::turn::{Denied, Hands, Relay, RelayConfig};

/// Batches taken from one socket in one turn.
const BATCHES: usize = 4;
/// Messages taken from a socket by one call, until it has brought as many: there are seldom more, and each place costs a little to prepare.
const FEW: usize = 8;
/// Ports that are tried for an allocation before it is refused.
const TRIES: usize = 24;

/// What a worker's relay is made of.
pub struct RelaySetup {
    /// Where clients are heard.
    pub fronts: Vec<SocketAddr>,
    /// The port at which they are heard on streams that are sealed by TLS, and the certificate there.
    pub tls: Option<(u16, Certificates)>,
    /// The addresses that allocations are bound to, one of each family.
    pub addresses: Vec<IpAddr>,
    /// Their ports.
    pub ports: RangeInclusive<u16>,
    /// What all workers know of users.
    pub users: Arc<RelayUsers>,
    /// How long what comes is gathered when nothing but the relay has work.
    pub gather: Duration,
    /// The relay itself.
    pub relay: RelayConfig,
}

/// A relay with its sockets.
pub struct RelaySockets {
    relay: Relay,
    hands: Ports,
    fronts: Vec<OwnedFd>,
    to_clients: Sender,
    to_peers: Sender,
    gather: Duration,
    /// What is sent counts as the relay's, not as media.
    sent: Counters,
    nothing: Outgoing,
}

/// The sockets of allocations, by slot.
struct Ports {
    sockets: Vec<Option<OwnedFd>>,
    bound: Vec<Option<SocketAddr>>,
    /// Slots opened since the senders were told.
    opened: Vec<usize>,
    addresses: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    random: Random,
    users: Arc<RelayUsers>,
    wakes: OwnedFd,
}

impl RelaySockets {
    /// Binds where clients are heard, by UDP and on streams, and has a worker woken by it; the second value is the port.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no more descriptors.
    pub fn new(setup: RelaySetup, wakes: &Wakes, streams: &mut Streams) -> io::Result<(Self, u16)> {
        let (fronts, port) = super::ports::bind_all(&setup.fronts, true, true)?;
        setup.fronts.iter().try_for_each(|address| streams.listen(SocketAddr::new(address.ip(), port), true, Framing::Turn, None))?;
        if let Some((port, certificates)) = &setup.tls {
            let sealed = |address: &SocketAddr| streams.listen(SocketAddr::new(address.ip(), *port), true, Framing::Turn, Some(certificates.clone()));
            setup.fronts.iter().try_for_each(sealed)?;
        }
        for front in &fronts {
            udp::receive_runs(front);
        }
        wakes.add_rest(&fronts, FRONTS)?;
        let hands = Ports {
            sockets: Vec::new(),
            bound: Vec::new(),
            opened: Vec::new(),
            addresses: setup.addresses,
            ports: setup.ports,
            random: Random::new(setup.relay.seed),
            users: setup.users,
            wakes: wakes.set().try_clone()?,
        };
        let to_clients = Sender::new(&fronts);
        let relay = Relay::new(setup.relay);
        let (sent, nothing) = (Counters::default(), Outgoing::new(0, 0));
        Ok((Self { relay, hands, fronts, to_clients, to_peers: Sender::new(&[]), gather: setup.gather, sent, nothing }, port))
    }

    /// Where clients are heard.
    pub fn fronts(&self) -> &[OwnedFd] {
        &self.fronts
    }

    /// Whether a wake is one of the relay's sockets.
    pub const fn is_woken_by(wake: u64) -> bool {
        wake & (FRONTS | ALLOCATIONS) != 0 && wake != INBOX
    }

    /// How long what comes is gathered when nothing but the relay has work.
    pub const fn gather(&self) -> Duration {
        self.gather
    }

    /// Takes what waits at a socket; [`Self::give_out`] sends what comes of it, but for what there is no room to keep until then. Whether that
    /// was all.
    pub fn serve(&mut self, now: Time, wake: u64, receiver: &mut Receiver, streams: &mut Streams) -> bool {
        let index = (wake & (FRONTS - 1)) as usize;
        let mut most = FEW.min(receiver.batch());
        for _ in 0..BATCHES {
            let received = if wake & ALLOCATIONS == 0 {
                self.take_from_clients(now, index, most, receiver, streams)
            } else {
                self.take_from_peers(now, index, most, receiver, streams)
            };
            if received < most {
                return true;
            }
            most = receiver.batch();
        }
        false
    }

    /// Does what is due by the clock.
    pub fn handle_timeout(&mut self, now: Time, streams: &mut Streams) {
        if self.relay.poll_timeout().is_some_and(|at| at <= now) {
            self.relay.handle_timeout(now, &mut self.hands);
            self.give_out(streams);
        }
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.relay.poll_timeout()
    }

    /// Allocations at present.
    pub fn allocations(&self) -> usize {
        self.relay.len()
    }

    /// Adds what the relay has counted.
    pub fn add_to(&self, counters: &mut Counters) {
        counters.add_all(&self.relay.counters);
        let refused = self.sent.get(Counter::DropSocketFull) + self.sent.get(Counter::DropSocketError);
        counters.add_many(Counter::TurnDropFull, refused);
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.relay.to_clients.memory() + self.relay.to_peers.memory()
    }

    fn take_from_clients(&mut self, now: Time, index: usize, most: usize, receiver: &mut Receiver, streams: &mut Streams) -> usize {
        let Some(socket) = self.fronts.get(index) else { return 0 };
        let received = receiver.receive_at_most(most, socket).unwrap_or(0);
        for datagram in 0..received {
            self.make_room(streams);
            if let Some((remote, bytes)) = receiver.datagram(datagram) {
                self.relay.handle_client(now, Path { local: index as u32, remote }, bytes, &mut self.hands);
            }
        }
        received
    }

    fn take_from_peers(&mut self, now: Time, slot: usize, most: usize, receiver: &mut Receiver, streams: &mut Streams) -> usize {
        let Some(socket) = self.hands.sockets.get(slot).and_then(Option::as_ref) else { return 0 };
        let received = receiver.receive_at_most(most, socket).unwrap_or(0);
        for datagram in 0..received {
            self.make_room(streams);
            if let Some((from, bytes)) = receiver.datagram(datagram) {
                self.relay.handle_peer(now, slot, from, bytes);
            }
        }
        received
    }

    /// A datagram writes one datagram at most.
    fn make_room(&mut self, streams: &mut Streams) {
        if !self.relay.has_room() {
            self.give_out(streams);
        }
    }

    /// Takes in what has come on a stream; [`Self::give_out`] sends what comes of it.
    pub fn take_from_client(&mut self, now: Time, path: Path, message: &[u8]) {
        self.relay.handle_client(now, path, message, &mut self.hands);
    }

    /// Whether a client has an allocation.
    pub fn knows(&self, path: &Path) -> bool {
        self.relay.knows(path)
    }

    /// A client's stream has ended.
    pub fn let_go(&mut self, path: &Path) {
        self.relay.let_go(path, &mut self.hands);
    }

    /// Sends what is to be sent: once a turn, so that what has come from several sockets leaves by one call.
    pub fn give_out(&mut self, streams: &mut Streams) {
        for slot in self.hands.opened.drain(..) {
            if let Some(socket) = self.hands.sockets.get(slot).and_then(Option::as_ref) {
                self.to_peers.learn(slot, socket);
            }
        }
        self.to_clients.send(&self.fronts[..], &self.relay.to_clients, &mut self.nothing, &mut self.sent);
        if !streams.is_empty() {
            streams.send(&self.relay.to_clients, &mut self.sent);
        }
        self.to_peers.send(&self.hands.sockets[..], &self.relay.to_peers, &mut self.nothing, &mut self.sent);
        self.relay.sent();
    }
}

impl Ports {
    fn bind(&mut self, ip: IpAddr, even: bool) -> Option<(OwnedFd, SocketAddr)> {
        let (first, count) = (*self.ports.start(), u32::from(*self.ports.end()).checked_sub((*self.ports.start()).into())? + 1);
        (0..TRIES).find_map(|_| {
            let port = first + (self.random.next_u32() % count) as u16;
            let port = if even { port & !1 } else { port };
            let at = SocketAddr::new(ip, port);
            self.ports.contains(&port).then(|| udp::bind_relayed(at).ok()).flatten().map(|socket| (socket, at))
        })
    }
}

impl Hands for Ports {
    fn open(&mut self, slot: usize, ipv6: bool, even: bool) -> Option<SocketAddr> {
        let ip = *self.addresses.iter().find(|ip| ip.is_ipv6() == ipv6)?;
        let (socket, bound) = self.bind(ip, even)?;
        udp::receive_runs(&socket);
        epoll::add(&self.wakes, &socket, epoll::EventData::new_u64(ALLOCATIONS | slot as u64), epoll::EventFlags::IN).ok()?;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
            self.bound.resize(slot + 1, None);
        }
        self.sockets[slot] = Some(socket);
        self.bound[slot] = Some(bound);
        self.users.set_bound(bound, true);
        self.opened.push(slot);
        Some(bound)
    }

    fn close(&mut self, slot: usize) {
        if let Some(place) = self.sockets.get_mut(slot) {
            if let Some(bound) = self.bound[slot].take() {
                self.users.set_bound(bound, false);
            }
            *place = None;
        }
    }

    fn claim(&mut self, user: &str) -> Result<(), Denied> {
        if self.users.is_revoked(user) {
            return Err(Denied::Revoked);
        }
        if self.users.claim(user) { Ok(()) } else { Err(Denied::Quota) }
    }

    fn release(&mut self, user: &str) {
        self.users.release(user);
    }

    fn is_revoked(&self, user: &str) -> bool {
        self.users.is_revoked(user)
    }

    fn is_relayed(&self, bound: SocketAddr) -> bool {
        self.users.is_bound(bound)
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
