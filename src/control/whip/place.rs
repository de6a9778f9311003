//! How many sessions there are, and may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// The node's places for sessions.
pub struct Places {
    most: usize,
    taken: Arc<AtomicUsize>,
    gauge: IntGauge,
}

/// A session's place; given back when it is dropped.
pub struct Place {
    taken: Arc<AtomicUsize>,
    gauge: IntGauge,
}

impl Places {
    /// So many.
    pub fn new(most: usize, gauge: IntGauge) -> Self {
        Self { most, taken: Arc::default(), gauge }
    }

    /// A place, if one is free.
    pub fn take(&self) -> Option<Place> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        self.gauge.inc();
        let place = Place { taken: self.taken.clone(), gauge: self.gauge.clone() };
        (before < self.most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}
