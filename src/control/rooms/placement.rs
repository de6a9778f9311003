//! On which workers rooms and their connections live.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::WorkerId;

/// How much each worker has been given and not yet lost: rooms that are at home there, and connections.
pub struct Placement {
    loads: Vec<AtomicUsize>,
}

impl Placement {
    /// For this many workers, numbered from 0.
    pub fn new(workers: usize) -> Self {
        Self { loads: (0..workers).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// The less loaded of two workers that a random number draws; the first of them when they are alike. Two are enough: the
    /// fullest worker is then hardly fuller than the rest, and nobody has to look at all of them.
    pub fn choose(&self, random: u64) -> WorkerId {
        let workers = self.loads.len() as u64;
        if workers < 2 {
            return WorkerId(0);
        }
        let one = random % workers;
        let other = (one + 1 + (random >> 32) % (workers - 1)) % workers;
        let (low, high) = (one.min(other), one.max(other));
        WorkerId(if self.load(high) < self.load(low) { high } else { low } as u16)
    }

    /// A worker has been given a room or a connection.
    pub fn give(&self, worker: WorkerId) {
        if let Some(load) = self.loads.get(usize::from(worker.0)) {
            load.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It has them no longer.
    pub fn take_back(&self, worker: WorkerId, count: usize) {
        if let Some(load) = self.loads.get(usize::from(worker.0)) {
            load.fetch_sub(count, Ordering::Relaxed);
        }
    }

    fn load(&self, worker: u64) -> usize {
        self.loads.get(worker as usize).map_or(0, |load| load.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_workers_the_less_loaded_is_taken() {
        let placement = Placement::new(2);
        for random in [0, 1, 7 << 32, u64::MAX] {
            assert_eq!(placement.choose(random), WorkerId(0));
        }
        placement.give(WorkerId(0));
        assert_eq!(placement.choose(5), WorkerId(1));
        placement.take_back(WorkerId(0), 1);
        assert_eq!(placement.choose(5), WorkerId(0));
        assert_eq!(Placement::new(1).choose(9), WorkerId(0));
    }

    #[test]
    fn many_are_spread_evenly() {
        let placement = Placement::new(8);
        let mut random = crate::base::random::Random::new(1);
        for _ in 0..8_000 {
            let worker = placement.choose(u64::from(random.next_u32()) << 32 | u64::from(random.next_u32()));
            placement.give(worker);
        }
        for worker in 0..8 {
            assert!((950..1_050).contains(&placement.load(worker)), "{}", placement.load(worker));
        }
    }
}
