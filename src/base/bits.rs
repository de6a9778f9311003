//! A set of small numbers as bits, walked in rising order.

/// A growable set of small indices.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BitSet {
    words: Vec<u64>,
}

impl Clone for BitSet {
    fn clone(&self) -> Self {
        Self { words: self.words.clone() }
    }

    /// Allocates only when it has to grow.
    fn clone_from(&mut self, source: &Self) {
        self.words.clone_from(&source.words);
    }
}

impl BitSet {
    /// Adds `index`; grows when it is larger than any before.
    pub fn insert(&mut self, index: usize) {
        let word = index / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (index % 64);
        }
    }

    /// Takes `index` out.
    pub fn remove(&mut self, index: usize) {
        if let Some(bits) = self.words.get_mut(index / 64) {
            *bits &= !(1 << (index % 64));
        }
    }

    /// Whether `index` is in.
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    /// Adds all of `other`.
    pub fn union_with(&mut self, other: &BitSet) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Takes all out, and keeps the memory.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The smallest index, if any.
    pub fn first(&self) -> Option<usize> {
        self.words.iter().enumerate().find(|(_, bits)| **bits != 0).map(|(word, bits)| word * 64 + bits.trailing_zeros() as usize)
    }

    /// The smallest index that is not below `from`, if any.
    pub fn next_from(&self, from: usize) -> Option<usize> {
        let mask = u64::MAX << (from % 64);
        let words = self.words.iter().enumerate().skip(from / 64);
        let mut bits = words.map(|(word, bits)| (word, if word == from / 64 { bits & mask } else { *bits }));
        bits.find(|(_, bits)| *bits != 0).map(|(word, bits)| word * 64 + bits.trailing_zeros() as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// All indices, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(word, bits)| (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit))
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|bits| *bits == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_set_holds(steps in proptest::collection::vec((any::<bool>(), 0usize..300), 0..200)) {
            let (mut bits, mut model) = (BitSet::default(), std::collections::BTreeSet::new());
            for (add, index) in steps {
                if add { bits.insert(index); model.insert(index); } else { bits.remove(index); model.remove(&index); }
                prop_assert_eq!(bits.first(), model.first().copied());
            }
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((bits.is_empty(), bits.len()), (model.is_empty(), model.len()));
            for from in (0..400).step_by(17) {
                prop_assert_eq!(bits.next_from(from), model.range(from..).next().copied());
            }
        }
    }
}
