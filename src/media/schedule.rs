//! What is due when: at most one moment for each index, the earliest first.
//!
//! A turn costs what is due, not what exists: setting, moving and taking out are a few comparisons, whatever else waits.
//! Grows with the largest index and the number of moments, never with their changes: nothing is allocated once it has
//! held as many.

use crate::base::Time;

/// In `places`: this index has no moment.
const NOWHERE: u32 = u32::MAX;

/// Moments of small indices, as a binary heap that knows where each index is.
#[derive(Debug, Default)]
pub struct Schedule {
    /// A heap by moment, then index: one history, one order.
    heap: Vec<(Time, u32)>,
    /// Of each index, its place in the heap.
    places: Vec<u32>,
}

impl Schedule {
    /// The earliest moment; [`Time::NEVER`] when there is none.
    pub fn next(&self) -> Time {
        self.heap.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// The moment of `index` is `at`, whatever it was; [`Time::NEVER`] takes it out.
    pub fn set(&mut self, index: usize, at: Time) {
        if at == Time::NEVER {
            return self.remove(index);
        }
        match self.place(index) {
            Some(place) => {
                let before = std::mem::replace(&mut self.heap[place].0, at);
                if at < before {
                    self.rise(place);
                } else if at > before {
                    self.sink(place);
                }
            }
            None => self.insert(index, at),
        }
    }

    /// The moment of `index` is `at`, unless it has an earlier one.
    pub fn sooner(&mut self, index: usize, at: Time) {
        if self.place(index).is_none_or(|place| at < self.heap[place].0) {
            self.set(index, at);
        }
    }

    /// `index` has no moment any more.
    pub fn remove(&mut self, index: usize) {
        let Some(place) = self.place(index) else { return };
        self.places[index] = NOWHERE;
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.note(place);
            self.rise(place);
            self.sink(place);
        }
    }

    /// Takes out the earliest index whose moment has come.
    pub fn pop(&mut self, now: Time) -> Option<usize> {
        let (at, index) = *self.heap.first()?;
        (at <= now).then(|| {
            self.remove(index as usize);
            index as usize
        })
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<(Time, u32)>() + self.places.capacity() * size_of::<u32>()
    }

    fn place(&self, index: usize) -> Option<usize> {
        self.places.get(index).copied().filter(|place| *place != NOWHERE).map(|place| place as usize)
    }

    fn insert(&mut self, index: usize, at: Time) {
        let Ok(number) = u32::try_from(index) else { return };
        if self.places.len() <= index {
            self.places.resize(index + 1, NOWHERE);
        }
        self.heap.push((at, number));
        let place = self.heap.len() - 1;
        self.note(place);
        self.rise(place);
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= self.heap[place] {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let Some(child) = children.into_iter().filter(|c| *c < self.heap.len()).min_by_key(|c| self.heap[*c]) else { return };
            if self.heap[place] <= self.heap[child] {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, place: usize) {
        let index = self.heap[place].1 as usize;
        self.places[index] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn earliest(model: &BTreeMap<usize, u64>) -> Option<(u64, usize)> {
        model.iter().map(|(index, at)| (*at, *index)).min()
    }

    proptest! {
        #[test]
        fn it_gives_out_what_a_sorted_map_would(steps in proptest::collection::vec((0u8..4, 0usize..40, 0u64..50), 0..300)) {
            let (mut schedule, mut model) = (Schedule::default(), BTreeMap::new());
            for (what, index, at) in steps {
                match what {
                    0 => { schedule.set(index, Time::from_micros(at)); model.insert(index, at); }
                    1 => { schedule.sooner(index, Time::from_micros(at)); let entry = model.entry(index).or_insert(at); *entry = at.min(*entry); }
                    2 => { schedule.remove(index); model.remove(&index); }
                    _ => {
                        let due = earliest(&model).filter(|(first, _)| *first <= at).map(|(_, index)| index);
                        prop_assert_eq!(schedule.pop(Time::from_micros(at)), due);
                        if let Some(index) = due { model.remove(&index); }
                    }
                }
                prop_assert_eq!(schedule.next(), earliest(&model).map_or(Time::NEVER, |(at, _)| Time::from_micros(at)));
            }
        }
    }

    #[test]
    fn never_takes_a_moment_out() {
        let mut schedule = Schedule::default();
        schedule.set(3, Time::from_millis(1));
        schedule.set(3, Time::NEVER);
        assert_eq!((schedule.next(), schedule.pop(Time::from_millis(9))), (Time::NEVER, None));
    }
}
