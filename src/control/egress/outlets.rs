//! The sockets for connections that this node begins. A session has a port of its own: two sessions with one server would otherwise have the same
//! two ends, and nothing would tell their packets apart.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Path, WorkerId};

/// Pairs that are checked at most.
const MOST_PAIRS: usize = 32;

/// Where the sockets are, of all workers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outlets {
    /// The addresses that each worker is bound to, in the order of its sockets.
    pub bound: Vec<IpAddr>,
    /// The addresses that are announced.
    pub announced: Vec<IpAddr>,
    /// The ports of each worker, by slot.
    pub ports: Vec<Vec<u16>>,
}

impl Outlets {
    /// Where a slot's connection may be reached on a worker, most preferred first.
    pub fn candidates(&self, worker: WorkerId, slot: u16) -> Vec<SocketAddr> {
        let port = self.ports.get(usize::from(worker.0)).and_then(|ports| ports.get(usize::from(slot)));
        port.map_or_else(Vec::new, |port| self.announced.iter().map(|ip| SocketAddr::new(*ip, *port)).collect())
    }

    /// The ways from a slot's sockets to these candidates, best first. Nothing is sent to another machine from a loopback address, nor the other way
    /// round.
    pub fn pairs(&self, slot: u16, remote: &[SocketAddr]) -> Vec<Path> {
        let of_slot = self.bound.len().saturating_mul(usize::from(slot).saturating_add(1));
        let mut pairs = Vec::new();
        for remote in remote {
            for (i, ip) in self.bound.iter().enumerate() {
                let alike = ip.is_ipv4() == remote.is_ipv4() && ip.is_loopback() == remote.ip().is_loopback();
                if let (true, Ok(local)) = (alike && pairs.len() < MOST_PAIRS, u32::try_from(of_slot.saturating_add(i))) {
                    pairs.push(Path { local, remote: *remote });
                }
            }
        }
        pairs
    }
}

/// The slots of the node.
#[derive(Clone)]
pub struct Slots {
    count: u16,
    free: Arc<Mutex<Vec<u16>>>,
}

/// A session's slot; given back when it is dropped.
pub struct Slot {
    number: u16,
    free: Arc<Mutex<Vec<u16>>>,
}

impl Slots {
    /// So many.
    pub fn new(count: u16) -> Self {
        Self { count, free: Arc::new(Mutex::new((0..count).rev().collect())) }
    }

    /// Whether no session has one.
    pub fn are_free(&self) -> bool {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).len() == usize::from(self.count)
    }

    /// One, if any is free.
    pub fn take(&self) -> Option<Slot> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Slot { number, free: self.free.clone() })
    }
}

impl Slot {
    /// Which.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlets() -> Outlets {
        let all = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        Outlets {
            bound: all(&["10.0.0.1", "2001:db8::1", "127.0.0.1"]),
            announced: all(&["203.0.113.9", "2001:db8::1"]),
            ports: vec![vec![1, 2], vec![3, 4]],
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_slot_has_a_port_at_each_worker_and_a_socket_at_each_address() {
        let outlets = outlets();
        assert_eq!(outlets.candidates(WorkerId(1), 0), [at("203.0.113.9:3"), at("[2001:db8::1]:3")]);
        assert!(outlets.candidates(WorkerId(2), 0).is_empty(), "there is no such worker");
        let remote = [at("198.51.100.1:9"), at("[2001:db8::7]:9"), at("127.0.0.1:9"), at("[::1]:9")];
        let path = |local, remote| Path { local, remote };
        assert_eq!(outlets.pairs(0, &remote), [path(3, remote[0]), path(4, remote[1]), path(5, remote[2])], "behind the three that clients come to");
        assert_eq!(outlets.pairs(1, &remote[..1]), [path(6, remote[0])]);
        let many: Vec<SocketAddr> = (1..200).map(|port| SocketAddr::new([198, 51, 100, 1].into(), port)).collect();
        assert_eq!(outlets.pairs(0, &many).len(), MOST_PAIRS);
    }

    #[test]
    fn no_two_sessions_have_one_slot() {
        let slots = Slots::new(2);
        assert!(slots.are_free());
        let (first, second) = (slots.take().expect("one"), slots.take().expect("another"));
        assert_ne!(first.number(), second.number());
        assert!(slots.take().is_none());
        let freed = first.number();
        drop(first);
        assert!(!slots.are_free(), "the other one goes on");
        assert_eq!(slots.take().expect("it is free again").number(), freed);
    }
}
