//! The relay (TURN, RFC 8656) as a pure machine: it is told the time and the bytes, and writes what is to be sent.
//!
//! ```text
//! client ─ ChannelData, Send     → allocation → permitted? may be reached? → to_peers
//!        ─ requests (STUN)       → credentials → allocation, permission, channel → to_clients
//! peer   ─ any datagram          → allocation → permitted? → ChannelData or Data → to_clients
//! ```
//!
//! Sockets are opened by its [`Hands`]: one an allocation, and the ones at which clients are heard. A peer that is another allocation of the
//! same relay is handed its data without a socket in between.

#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)
)]

pub mod allocation;
pub mod credentials;
pub mod frame;
mod nonce;
pub mod reach;
mod request;
mod serve;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::map::{Seed, SeededMap};
use crate::base::outgoing::Outgoing;
use crate::base::prefix::PrefixRate;
use crate::base::stun::StunView;
use crate::base::{Path, Time};
use crate::contract::{Counter, Counters};

use allocation::Allocation;
use credentials::Secrets;
use nonce::Nonces;
use reach::Reach;

/// How often allocations are looked through for those that have ended.
const SWEEP: Duration = Duration::from_secs(1);
/// A class and method of which only the class is looked at: 0 request, 1 indication.
const CLASS: u16 = 0x0110;
const INDICATION: u16 = 0x0010;
/// A Send indication, as its type is written.
const SEND_INDICATION: u16 = 0x0016;

/// What a relay is made of.
pub struct RelayConfig {
    /// Secrets of credentials, the newest first.
    pub secrets: Vec<Vec<u8>>,
    /// Key of the nonces; all workers of a node share it.
    pub nonce_key: [u8; 32],
    /// Whom it may send to.
    pub reach: Reach,
    /// Allocations at a time.
    pub most: usize,
    /// Bytes a second that an allocation may relay, both ways together.
    pub bytes_per_second: Option<u64>,
    /// Answers a second to those whom nobody knows, for a source prefix.
    pub strangers: u32,
    /// Seed of its hashing.
    pub seed: u64,
}

/// Why a user gets no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It has as many as it may.
    Quota,
    /// It has been sent away.
    Revoked,
}

/// What the relay has others do.
pub trait Hands {
    /// Opens the socket of an allocation; where it is bound. None when there is no address of the family, or no port.
    fn open(&mut self, slot: usize, ipv6: bool, even: bool) -> Option<SocketAddr>;
    /// Closes it.
    fn close(&mut self, slot: usize);
    /// One more allocation for a user, of all workers together.
    ///
    /// # Errors
    /// [`Denied`]
    fn claim(&mut self, user: &str) -> Result<(), Denied>;
    /// One less.
    fn release(&mut self, user: &str);
    /// Whether a user has been sent away.
    fn is_revoked(&self, user: &str) -> bool;
    /// Whether an allocation is bound there, of whichever worker.
    fn is_relayed(&self, bound: SocketAddr) -> bool;
    /// The time of day, since the Unix epoch: it may be set while the node runs, and whoever issues credentials goes by it.
    fn wall(&self) -> Duration;
}

/// The relay of one worker.
pub struct Relay {
    slots: Vec<Option<Allocation>>,
    free: Vec<usize>,
    /// Slots whose last datagrams may still wait in [`Self::to_peers`]: given anew they would be sent from another's address.
    leaving: Vec<usize>,
    clients: SeededMap<Path, usize>,
    /// By the address that each is bound to.
    bound: SeededMap<SocketAddr, usize>,
    secrets: Secrets,
    nonces: Nonces,
    reach: Reach,
    strangers: PrefixRate,
    most: usize,
    bytes_per_second: Option<u64>,
    swept: Time,
    serial: u64,
    /// What is to be sent to clients; paths have the number of the socket at which the client was heard.
    pub to_clients: Outgoing,
    /// What is to be sent to peers; paths have the allocation's slot.
    pub to_peers: Outgoing,
    /// What it counts.
    pub counters: Counters,
}

impl Relay {
    /// A relay without allocations.
    pub fn new(config: RelayConfig) -> Self {
        let seed = Seed::new(config.seed);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            leaving: Vec::new(),
            clients: seed.map(),
            bound: seed.map(),
            secrets: Secrets::new(&config.secrets),
            nonces: Nonces::new(&config.nonce_key),
            reach: config.reach,
            strangers: PrefixRate::new(seed, config.strangers),
            most: config.most,
            bytes_per_second: config.bytes_per_second,
            swept: Time::ZERO,
            serial: 0,
            to_clients: arena(),
            to_peers: arena(),
            counters: Counters::default(),
        }
    }

    /// Allocations at present.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is no allocation.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Takes in what a client has sent.
    pub fn handle_client(&mut self, now: Time, path: Path, datagram: &[u8], hands: &mut impl Hands) {
        if frame::is_channel_data(datagram) {
            return self.take_channel_data(now, &path, datagram, hands);
        }
        match StunView::of(datagram) {
            Some(view) if view.kind == SEND_INDICATION => self.take_send(now, &path, &view, hands),
            Some(view) if view.kind & CLASS == 0 => self.serve(now, path, datagram, view, hands),
            Some(view) if view.kind & CLASS == INDICATION => {}
            _ => self.counters.add(Counter::TurnMalformed),
        }
    }

    /// Takes in what a peer has sent to the allocation of a slot.
    pub fn handle_peer(&mut self, now: Time, slot: usize, from: SocketAddr, datagram: &[u8]) {
        self.take_from_peer(now, slot, self.reach.outward(from), datagram);
    }

    /// Whether a client has an allocation.
    pub fn knows(&self, path: &Path) -> bool {
        self.clients.contains_key(path)
    }

    /// A client's stream has ended, and its allocation with it (RFC 8656 section 3.1).
    pub fn let_go(&mut self, path: &Path, hands: &mut impl Hands) {
        if let Some(slot) = self.clients.get(path).copied() {
            self.end(slot, hands);
        }
    }

    /// Ends what has expired, and what belongs to whoever has been sent away.
    pub fn handle_timeout(&mut self, now: Time, hands: &mut impl Hands) {
        self.swept = now;
        for slot in 0..self.slots.len() {
            let ended = self.slots.get(slot).and_then(Option::as_ref).is_some_and(|allocation| {
                allocation.expires <= now || credentials::parse(&allocation.username).is_none_or(|(user, _)| hands.is_revoked(user))
            });
            if ended {
                self.end(slot, hands);
            }
        }
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        (!self.is_empty()).then(|| self.swept + SWEEP)
    }

    /// Whether there is room for what one more datagram writes.
    pub fn has_room(&self) -> bool {
        self.to_clients.has_room() && self.to_peers.has_room()
    }

    /// What was written has been sent.
    pub fn sent(&mut self) {
        self.to_clients.clear();
        self.to_peers.clear();
        self.free.append(&mut self.leaving);
    }

    fn take_channel_data(&mut self, now: Time, path: &Path, datagram: &[u8], hands: &impl Hands) {
        let found = frame::channel_data(datagram).and_then(|(number, data)| Some((*self.clients.get(path)?, number, data)));
        let Some((slot, number, data)) = found else { return self.counters.add(Counter::TurnDropNoAllocation) };
        let Some(allocation) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        match allocation.peer_of(now, number) {
            Some(peer) => self.send_to_peer(now, slot, peer, data, hands),
            None => self.counters.add(Counter::TurnDropNoPermission),
        }
    }

    fn take_send(&mut self, now: Time, path: &Path, view: &StunView<'_>, hands: &impl Hands) {
        let Some(slot) = self.clients.get(path).copied() else { return self.counters.add(Counter::TurnDropNoAllocation) };
        let Some((peer, data)) = frame::send_indication(view) else { return self.counters.add(Counter::TurnMalformed) };
        let Some(peer) = self.reach.admit(peer) else { return self.counters.add(Counter::TurnDropForbidden) };
        let permitted = self.slots.get(slot).and_then(Option::as_ref).is_some_and(|allocation| allocation.permits(now, peer.ip()));
        if permitted { self.send_to_peer(now, slot, peer, data, hands) } else { self.counters.add(Counter::TurnDropNoPermission) }
    }

    /// Sends to a peer that may be sent to; one that is another allocation here is handed the data at once.
    fn send_to_peer(&mut self, now: Time, slot: usize, peer: SocketAddr, data: &[u8], hands: &impl Hands) {
        let Some(allocation) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        if allocation.bound.is_ipv6() != peer.is_ipv6() {
            return self.counters.add(Counter::TurnDropForbidden);
        }
        if !allocation.affords(now, data.len()) {
            return self.counters.add(Counter::TurnDropAllowance);
        }
        let relayed = allocation.relayed;
        let remote = self.reach.inward(peer);
        let inside = self.bound.get(&remote).copied();
        if inside.is_none() && self.reach.is_for_relays(remote) && !hands.is_relayed(remote) {
            return self.counters.add(Counter::TurnDropForbidden);
        }
        self.counters.add(Counter::TurnToPeers);
        self.counters.add_many(Counter::TurnBytesToPeers, data.len() as u64);
        if let Some(other) = inside {
            self.take_from_peer(now, other, relayed, data);
        } else if !self.to_peers.push(Path { local: slot as u32, remote }, data) {
            self.counters.add(Counter::TurnDropFull);
        }
    }

    /// `from`: as clients call it.
    fn take_from_peer(&mut self, now: Time, slot: usize, from: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        if !allocation.permits(now, from.ip()) {
            return self.counters.add(Counter::TurnDropNoPermission);
        }
        if !allocation.affords(now, data.len()) {
            return self.counters.add(Counter::TurnDropAllowance);
        }
        let Some(out) = self.to_clients.slot() else { return self.counters.add(Counter::TurnDropFull) };
        let written = match allocation.channel_of(now, from) {
            Some(number) => frame::write_channel_data(number, data, out),
            None => {
                self.serial = self.serial.wrapping_add(1);
                let mut id = [0; 12];
                id[4..].copy_from_slice(&self.serial.to_be_bytes());
                frame::write_data_indication(from, data, id, out)
            }
        };
        let Some(len) = written else { return self.counters.add(Counter::TurnDropTooLong) };
        self.to_clients.commit(allocation.client, len);
        self.counters.add(Counter::TurnToClients);
        self.counters.add_many(Counter::TurnBytesToClients, data.len() as u64);
    }

    fn end(&mut self, slot: usize, hands: &mut impl Hands) {
        let Some(allocation) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.clients.remove(&allocation.client);
        self.bound.remove(&allocation.bound);
        hands.close(slot);
        if let Some((user, _)) = credentials::parse(&allocation.username) {
            hands.release(user);
        }
        self.leaving.push(slot);
        self.counters.add(Counter::TurnEnded);
    }
}

/// Room for everything that one batch of receives can hold.
fn arena() -> Outgoing {
    let mut arena = Outgoing::new(2 << 20, 2_048);
    arena.set_droppable(true);
    arena
}

#[cfg(test)]
mod tests;
