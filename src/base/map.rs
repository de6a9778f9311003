//! A hash map with a seed of its own.
//!
//! The node draws the seed at start (so that nobody outside can aim at one bucket), the simulation fixes
//! it (so that one seed is one run).

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// A `HashMap` whose hashing, and so its order, follows from a given seed.
pub type SeededMap<K, V> = HashMap<K, V, Seed>;

/// The seed of a [`SeededMap`].
#[derive(Clone, Copy, Debug)]
pub struct Seed(u64);

impl Seed {
    /// A seed; two maps with the same seed and the same history have the same order.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An empty map with this seed.
    pub fn map<K, V>(self) -> SeededMap<K, V> {
        HashMap::with_hasher(self)
    }
}

impl BuildHasher for Seed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
