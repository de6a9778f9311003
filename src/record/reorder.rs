//! Packets of one stream in the order of their numbers. What is missing is waited for, since publishers repair losses; not for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Time;

/// What is missing is given up after this. Less loses what a repair would have brought, more delays the file.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Numbers that are held while one before them is missing; a second of 8 Mbit/s.
const MOST_HELD: usize = 1_024;

/// The next thing in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// A packet.
    Packet(T),
    /// Numbers that have not come, and are waited for no longer.
    Gap,
}

/// Packets of one stream.
#[derive(Debug)]
pub struct Reorder<T> {
    /// The number that comes next; none before the first.
    next: Option<u64>,
    /// What has come after a number that is missing; nothing where a number was padding.
    held: BTreeMap<u64, (Time, Option<T>)>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: None, held: BTreeMap::new() }
    }
}

impl<T> Reorder<T> {
    /// Takes a number and its packet, or nothing where it will never have one; false when it comes too late, or again.
    pub fn insert(&mut self, now: Time, sequence: u64, packet: Option<T>) -> bool {
        let next = *self.next.get_or_insert(sequence);
        if sequence < next || self.held.contains_key(&sequence) {
            return false;
        }
        self.held.insert(sequence, (now, packet));
        true
    }

    /// The next thing in order, if it is there or waited for no longer.
    pub fn next(&mut self, now: Time) -> Option<Next<T>> {
        loop {
            let next = self.next?;
            if let Some((_, packet)) = self.held.remove(&next) {
                self.next = Some(next.saturating_add(1));
                match packet {
                    Some(packet) => return Some(Next::Packet(packet)),
                    None => continue,
                }
            }
            let (first, (came, _)) = self.held.first_key_value()?;
            if now.since(*came) < PATIENCE && self.held.len() < MOST_HELD {
                return None;
            }
            self.next = Some(*first);
            return Some(Next::Gap);
        }
    }

    /// The rest, without waiting for anything.
    pub fn flush(&mut self) -> Option<Next<T>> {
        self.next(Time::NEVER)
    }

    /// When the next missing number is given up.
    pub fn deadline(&self) -> Option<Time> {
        let (first, (came, _)) = self.held.first_key_value()?;
        (Some(*first) != self.next).then(|| *came + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn all(order: &mut Reorder<u64>, now: Time) -> Vec<Next<u64>> {
        std::iter::from_fn(|| order.next(now)).collect()
    }

    #[test]
    fn what_comes_late_takes_its_place_and_what_never_comes_is_a_gap_after_a_second() {
        let mut order = Reorder::default();
        for n in [10, 12, 13, 11, 15] {
            assert!(order.insert(at(0), n, Some(n)));
        }
        assert_eq!(all(&mut order, at(999)), [10, 11, 12, 13].map(Next::Packet));
        assert!(!order.insert(at(999), 12, Some(12)), "again");
        assert_eq!((order.deadline(), all(&mut order, at(999))), (Some(at(1_000)), vec![]));
        assert_eq!(all(&mut order, at(1_000)), [Next::Gap, Next::Packet(15)]);
        assert!(!order.insert(at(1_001), 14, Some(14)), "too late");
        assert_eq!(order.deadline(), None);
    }

    #[test]
    fn padding_is_no_gap() {
        let mut order = Reorder::default();
        order.insert(at(0), 1, Some(1));
        order.insert(at(0), 3, Some(3));
        order.insert(at(0), 2, None);
        assert_eq!(all(&mut order, at(0)), [1, 3].map(Next::Packet));
    }

    #[test]
    fn a_flood_of_numbers_is_held_no_further_than_the_cap() {
        let mut order = Reorder::default();
        order.insert(at(0), 0, Some(0));
        for n in (2..).step_by(2).take(10_000) {
            order.insert(at(0), n, Some(n));
            all(&mut order, at(0));
            assert!(order.held.len() <= MOST_HELD);
        }
    }

    proptest! {
        #[test]
        fn packets_come_out_rising_and_each_once(numbers in proptest::collection::vec(0u64..64, 1..200)) {
            let mut order = Reorder::default();
            let mut got = Vec::new();
            for (ms, n) in (0u64..).zip(numbers) {
                order.insert(at(ms * 50), n, Some(n));
                got.extend(all(&mut order, at(ms * 50)));
            }
            got.extend(std::iter::from_fn(|| order.flush()));
            let packets: Vec<u64> = got.into_iter().filter_map(|next| match next { Next::Packet(n) => Some(n), Next::Gap => None }).collect();
            prop_assert!(packets.is_sorted_by(|a, b| a < b));
        }
    }
}
