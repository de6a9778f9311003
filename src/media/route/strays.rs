//! One port for all workers: what arrives at the wrong one goes to its owner.
//!
//! The system deals datagrams out by their 5-tuple, and knows nothing of peers. A check is sent to the worker that its
//! user name begins with; once the owner has found it authentic, it says so ([`super::relay::Note::PathIs`]), and what
//! comes on that path follows. Nothing is stored before.

use std::time::Duration;

use crate::base::map::{Seed, SeededMap};
use crate::base::{Time, WorkerId};
use crate::media::transport::{MAX_PATHS, Path};

/// Paths of others' peers that are remembered. More: about 100 bytes each.
const MOST_PATHS: usize = 16_384;
/// An owner that has not repeated for so long that a path is its own has lost it: browsers check every few seconds.
const FORGET: Duration = Duration::from_secs(60);

/// A peer of another worker: the worker, and what it calls the peer.
pub type Whose = (WorkerId, u64);

/// Paths of other workers' peers.
#[derive(Debug)]
pub struct Strays {
    paths: SeededMap<Path, (Whose, Time)>,
    /// The paths of each peer, oldest first: as many as its owner remembers of it, so that one peer cannot fill the table.
    peers: SeededMap<Whose, Vec<Path>>,
}

impl Strays {
    /// None yet.
    pub fn new(seed: Seed) -> Self {
        Self { paths: seed.map(), peers: seed.map() }
    }

    /// A path is a peer's; false when there is no room to remember it.
    pub fn remember(&mut self, now: Time, path: Path, whose: Whose) -> bool {
        if let Some((_, said)) = self.paths.get_mut(&path).filter(|(before, _)| *before == whose) {
            *said = now;
            return true;
        }
        self.forget(&path);
        if self.paths.len() >= MOST_PATHS {
            self.forget_expired(now);
            if self.paths.len() >= MOST_PATHS {
                return false;
            }
        }
        let of_peer = self.peers.entry(whose).or_default();
        if of_peer.len() >= MAX_PATHS {
            self.paths.remove(&of_peer.remove(0));
        }
        of_peer.push(path);
        self.paths.insert(path, (whose, now));
        true
    }

    /// Whose a path is.
    pub fn owner(&self, now: Time, path: &Path) -> Option<WorkerId> {
        self.paths.get(path).filter(|(_, said)| now.since(*said) < FORGET).map(|((owner, _), _)| *owner)
    }

    fn forget(&mut self, path: &Path) {
        let Some((whose, _)) = self.paths.remove(path) else { return };
        if let Some(of_peer) = self.peers.get_mut(&whose) {
            of_peer.retain(|p| p != path);
            if of_peer.is_empty() {
                self.peers.remove(&whose);
            }
        }
    }

    fn forget_expired(&mut self, now: Time) {
        let Self { paths, peers } = self;
        paths.retain(|_, (_, said)| now.since(*said) < FORGET);
        peers.retain(|_, of_peer| {
            of_peer.retain(|p| paths.contains_key(p));
            !of_peer.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: u32) -> Path {
        Path { local: 0, remote: (std::net::Ipv4Addr::from(n), 9).into() }
    }

    /// Peers with two paths each.
    fn whose(n: u32) -> Whose {
        (WorkerId(1), u64::from(n / 2))
    }

    fn is_whole(strays: &Strays) -> bool {
        let listed: usize = strays.peers.values().map(Vec::len).sum();
        listed == strays.paths.len() && strays.peers.iter().all(|(w, paths)| paths.iter().all(|p| strays.paths[p].0 == *w))
    }

    #[test]
    fn a_path_that_is_not_confirmed_is_forgotten_and_a_full_table_takes_no_more() {
        let mut strays = Strays::new(Seed::new(1));
        for n in 0..MOST_PATHS as u32 {
            assert!(strays.remember(Time::ZERO, path(n), whose(n)));
        }
        assert!(!strays.remember(Time::from_millis(1_000), path(u32::MAX), whose(u32::MAX)));
        assert!(strays.remember(Time::from_millis(1_000), path(7), (WorkerId(2), 3)), "one that is known is confirmed");
        let later = Time::from_millis(60_500);
        assert_eq!((strays.owner(later, &path(7)), strays.owner(later, &path(8))), (Some(WorkerId(2)), None));
        assert!(strays.remember(later, path(u32::MAX), whose(u32::MAX)), "what was not confirmed gives way");
        assert_eq!(strays.paths.len(), 2);
        assert!(is_whole(&strays));
    }

    #[test]
    fn a_peer_with_many_paths_takes_no_more_than_its_share() {
        let mut strays = Strays::new(Seed::new(2));
        assert!(strays.remember(Time::ZERO, path(1), whose(1)));
        for n in 100..40_000 {
            assert!(strays.remember(Time::ZERO, path(n), (WorkerId(1), 77)));
        }
        assert_eq!(strays.paths.len(), 1 + MAX_PATHS);
        assert_eq!(strays.owner(Time::ZERO, &path(1)), Some(WorkerId(1)));
        assert_eq!(strays.owner(Time::ZERO, &path(39_999)), Some(WorkerId(1)));
        assert_eq!(strays.owner(Time::ZERO, &path(39_000)), None);
        assert!(is_whole(&strays));
    }
}
