//! One port for all workers: what arrives at the wrong one goes to its owner.
//!
//! The system deals datagrams out by their 5-tuple, and knows nothing of peers. A check is sent to the worker that its
//! user name begins with; once the owner has found it authentic, it says so ([`super::relay::Note::PathIs`]), and what
//! comes on that path follows. Nothing is stored before.

use std::time::Duration;

use crate::base::map::{Seed, SeededMap};
use crate::base::{Time, WorkerId};
use crate::media::transport::Path;

/// Paths of others' peers that are remembered. More: about 64 bytes each.
const MOST_PATHS: usize = 16_384;
/// An owner that has not repeated for so long that a path is its own has lost it: browsers check every few seconds.
const FORGET: Duration = Duration::from_secs(60);

/// Paths of other workers' peers.
#[derive(Debug)]
pub struct Strays {
    paths: SeededMap<Path, (WorkerId, Time)>,
}

impl Strays {
    /// None yet.
    pub fn new(seed: Seed) -> Self {
        Self { paths: seed.map() }
    }

    /// A path is a worker's; false when there is no room to remember it.
    pub fn remember(&mut self, now: Time, path: Path, owner: WorkerId) -> bool {
        if self.paths.len() >= MOST_PATHS && !self.paths.contains_key(&path) {
            self.paths.retain(|_, (_, said)| now.since(*said) < FORGET);
            if self.paths.len() >= MOST_PATHS {
                return false;
            }
        }
        self.paths.insert(path, (owner, now));
        true
    }

    /// Whose a path is.
    pub fn owner(&self, now: Time, path: &Path) -> Option<WorkerId> {
        self.paths.get(path).filter(|(_, said)| now.since(*said) < FORGET).map(|(owner, _)| *owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: u32) -> Path {
        Path { local: 0, remote: (std::net::Ipv4Addr::from(n), 9).into() }
    }

    #[test]
    fn a_path_that_is_not_confirmed_is_forgotten_and_a_full_table_takes_no_more() {
        let mut strays = Strays::new(Seed::new(1));
        for n in 0..MOST_PATHS as u32 {
            assert!(strays.remember(Time::ZERO, path(n), WorkerId(1)));
        }
        assert!(!strays.remember(Time::from_millis(1_000), path(u32::MAX), WorkerId(1)));
        assert!(strays.remember(Time::from_millis(1_000), path(7), WorkerId(2)), "one that is known is confirmed");
        let later = Time::from_millis(60_500);
        assert_eq!((strays.owner(later, &path(7)), strays.owner(later, &path(8))), (Some(WorkerId(2)), None));
        assert!(strays.remember(later, path(u32::MAX), WorkerId(1)), "what was not confirmed gives way");
        assert_eq!(strays.paths.len(), 2);
    }
}
