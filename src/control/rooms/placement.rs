//! On which workers rooms and their connections live.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::WorkerId;

/// What one unit of [`Worker::load`] is finer than a thousandth of a core: so much that what a worker was given only breaks ties.
const FINE: u64 = 1_000;

/// How loaded each worker is: how busy it was when it was last measured, and what it has been given since.
pub struct Placement {
    workers: Vec<Worker>,
    /// What one of those that were given cost when workers were last measured, on average over all of them; at least a thousandth of a core.
    cost: AtomicU64,
}

#[derive(Default)]
struct Worker {
    /// Rooms that are at home there, and connections; not yet lost.
    given: AtomicU64,
    /// As many there were when it was last measured.
    measured: AtomicU64,
    /// Thousandths of a core that it used then.
    busy: AtomicU64,
}

impl Placement {
    /// For this many workers, numbered from 0.
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Worker::default()).collect(), cost: AtomicU64::new(FINE) }
    }

    /// The less loaded of two workers that a random number draws, the first of them when they are alike; and the other one when its load is
    /// within a quarter of that, else the same again. Two are enough: the fullest worker is then hardly fuller than the rest, and
    /// nobody has to look at all of them.
    pub fn choose(&self, random: u64) -> [WorkerId; 2] {
        let workers = self.workers.len() as u64;
        if workers < 2 {
            return [WorkerId(0); 2];
        }
        let one = random % workers;
        let other = (one + 1 + (random >> 32) % (workers - 1)) % workers;
        let cost = self.cost.load(Ordering::Relaxed);
        let load = |worker: u64| self.workers.get(worker as usize).map_or(0, |w| w.load(cost));
        let (low, high) = (one.min(other), one.max(other));
        let (best, second) = if load(high) < load(low) { (high, low) } else { (low, high) };
        let alike = load(second) <= load(best) + load(best) / 4;
        [best, if alike { second } else { best }].map(|w| WorkerId(w as u16))
    }

    /// A worker has used so many thousandths of a core lately.
    pub fn measured(&self, worker: WorkerId, busy: u64) {
        if let Some(worker) = self.workers.get(usize::from(worker.0)) {
            // Half of what was known before: one quiet second says little.
            worker.busy.store(worker.busy.load(Ordering::Relaxed).midpoint(busy), Ordering::Relaxed);
            worker.measured.store(worker.given.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let sum = |of: fn(&Worker) -> &AtomicU64| self.workers.iter().map(|w| of(w).load(Ordering::Relaxed)).sum::<u64>();
        let cost = (sum(|w| &w.busy) * FINE / sum(|w| &w.measured).max(1)).max(FINE);
        self.cost.store(cost, Ordering::Relaxed);
    }

    /// A worker has been given a room or a connection.
    pub fn give(&self, worker: WorkerId) {
        if let Some(worker) = self.workers.get(usize::from(worker.0)) {
            worker.given.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It has them no longer.
    pub fn take_back(&self, worker: WorkerId, count: usize) {
        if let Some(worker) = self.workers.get(usize::from(worker.0)) {
            worker.given.fetch_sub(count as u64, Ordering::Relaxed);
        }
    }
}

impl Worker {
    fn load(&self, cost: u64) -> u64 {
        let given = self.given.load(Ordering::Relaxed);
        self.busy.load(Ordering::Relaxed) * FINE + given.saturating_sub(self.measured.load(Ordering::Relaxed)) * cost + given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(n: u64) -> Vec<u64> {
        let mut random = crate::base::random::Random::new(n);
        (0..8_000).map(|_| u64::from(random.next_u32()) << 32 | u64::from(random.next_u32())).collect()
    }

    fn given(placement: &Placement, worker: usize) -> u64 {
        placement.workers[worker].given.load(Ordering::Relaxed)
    }

    #[test]
    fn of_two_workers_the_less_loaded_is_taken() {
        let placement = Placement::new(2);
        for random in [0, 1, 7 << 32, u64::MAX] {
            assert_eq!(placement.choose(random), [WorkerId(0), WorkerId(1)], "they are alike");
        }
        placement.give(WorkerId(0));
        assert_eq!(placement.choose(5), [WorkerId(1); 2]);
        placement.take_back(WorkerId(0), 1);
        assert_eq!(placement.choose(5)[0], WorkerId(0));
        assert_eq!(Placement::new(1).choose(9), [WorkerId(0); 2]);
    }

    #[test]
    fn many_are_spread_evenly() {
        let placement = Placement::new(8);
        for random in drawn(1) {
            placement.give(placement.choose(random)[0]);
        }
        for worker in 0..8 {
            assert!((950..1_050).contains(&given(&placement, worker)), "{}", given(&placement, worker));
        }
    }

    #[test]
    fn who_is_busy_is_given_less_however_few_it_has() {
        let placement = Placement::new(2);
        for _ in 0..10 {
            placement.give(WorkerId(1));
        }
        for _ in 0..8 {
            placement.measured(WorkerId(0), 600);
            placement.measured(WorkerId(1), 100);
        }
        assert_eq!(placement.choose(3), [WorkerId(1); 2], "it has ten, and is hardly busy");
        // Each is expected to cost what those that are there do: 700 thousandths for ten.
        for _ in 0..8 {
            assert_eq!(placement.choose(3)[0], WorkerId(1));
            placement.give(WorkerId(1));
        }
        assert_eq!(placement.choose(3), [WorkerId(0), WorkerId(1)], "and is taken for as busy by then, until it is measured");
    }
}
