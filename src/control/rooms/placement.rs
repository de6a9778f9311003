//! On which worker a room's participants live.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::WorkerId;

/// How many rooms each worker has been given and not yet lost.
pub struct Placement {
    rooms: Vec<AtomicUsize>,
}

impl Placement {
    /// For this many workers, numbered from 0.
    pub fn new(workers: usize) -> Self {
        Self { rooms: (0..workers).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// The worker with the fewest rooms, the first of them when there are several; counts the new room.
    pub fn take(&self) -> WorkerId {
        let counts = self.rooms.iter().enumerate().map(|(i, n)| (n.load(Ordering::Relaxed), i));
        let (_, least) = counts.min().unwrap_or_default();
        if let Some(rooms) = self.rooms.get(least) {
            rooms.fetch_add(1, Ordering::Relaxed);
        }
        WorkerId(least as u16)
    }

    /// A room is over.
    pub fn give_back(&self, worker: WorkerId) {
        if let Some(rooms) = self.rooms.get(usize::from(worker.0)) {
            rooms.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_goes_to_the_worker_with_the_fewest() {
        let placement = Placement::new(3);
        let first: Vec<u16> = (0..4).map(|_| placement.take().0).collect();
        assert_eq!(first, [0, 1, 2, 0]);
        placement.give_back(WorkerId(1));
        assert_eq!(placement.take(), WorkerId(1));
    }
}
