//! Pictures that wait until the way to their subscriber may carry more: references into the caches, in the order of their coming.

use std::collections::VecDeque;
use std::time::Duration;

use super::fanout::TickItem;
use crate::base::Time;

/// References that wait at most. At 1,200 bytes that is more than a second at 4 Mbit/s: whoever has so much waiting is sent what it
/// cannot take.
const MOST: usize = 512;

/// What waits for one subscriber.
#[derive(Debug, Default)]
pub struct PaceQueue {
    items: VecDeque<(TickItem, Time, u16)>,
    bytes: usize,
}

impl PaceQueue {
    /// Appends something that takes `bytes`; false when there is no room.
    pub fn push(&mut self, now: Time, item: TickItem, bytes: usize) -> bool {
        if self.items.len() >= MOST {
            return false;
        }
        let bytes = bytes.min(usize::from(u16::MAX));
        self.items.push_back((item, now, bytes as u16));
        self.bytes += bytes;
        true
    }

    /// What has waited for the longest.
    pub fn first(&self) -> Option<TickItem> {
        self.items.front().map(|(item, _, _)| *item)
    }

    /// It has had its turn.
    pub fn pop(&mut self) {
        if let Some((_, _, bytes)) = self.items.pop_front() {
            self.bytes -= usize::from(bytes);
        }
    }

    /// A track is gone: its index may soon be another's.
    pub fn forget_track(&mut self, track: usize) {
        self.items.retain(|(item, _, _)| item.track != track);
        self.bytes = self.items.iter().map(|(_, _, bytes)| usize::from(*bytes)).sum();
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that wait.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long the first has waited.
    pub fn oldest(&self, now: Time) -> Duration {
        self.items.front().map_or(Duration::ZERO, |(_, since, _)| now.since(*since))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.items.capacity() * size_of::<(TickItem, Time, u16)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::route::fanout::What;

    fn item(track: usize, sequence: u64) -> TickItem {
        TickItem { track, encoding: 0, sequence, generation: 0, what: What::Packet }
    }

    #[test]
    fn what_comes_first_goes_first_and_a_track_that_is_gone_leaves_nothing() {
        let mut queue = PaceQueue::default();
        for (n, track) in [1, 2, 1].into_iter().enumerate() {
            assert!(queue.push(Time::from_millis(n as u64), item(track, n as u64), 100));
        }
        assert_eq!((queue.bytes(), queue.oldest(Time::from_millis(5))), (300, Duration::from_millis(5)));
        queue.forget_track(1);
        assert_eq!((queue.first(), queue.bytes()), (Some(item(2, 1)), 100));
        queue.pop();
        assert!(queue.is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn what_waits_is_capped() {
        let mut queue = PaceQueue::default();
        assert_eq!((0..MOST as u64 + 5).filter(|n| queue.push(Time::ZERO, item(0, *n), 1)).count(), MOST);
    }
}
