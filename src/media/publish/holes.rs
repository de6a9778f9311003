//! Sequence numbers that a publisher's stream is missing, and when to ask for them (RFC 4585 section 6.2.1).

use std::time::Duration;

use crate::base::Time;

/// Holes remembered at most; a larger gap is a new beginning, not a loss to repair.
pub const MOST_HOLES: usize = 128;
/// A hole older than this is given up: its frame is late for everybody.
const GIVE_UP: Duration = Duration::from_millis(1_000);
/// Requests for one hole at most.
const MOST_REQUESTS: u8 = 10;

#[derive(Clone, Copy, Debug)]
struct Hole {
    sequence: u64,
    since: Time,
    ask_at: Time,
    requests: u8,
}

/// The holes of one stream, lowest first.
#[derive(Debug, Default)]
pub struct Holes {
    holes: Vec<Hole>,
}

/// What a packet meant for the holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one, or a first one.
    InOrder,
    /// Numbers between it and the one before are missing now.
    Gap,
    /// It filled a hole.
    Filled,
    /// So many are missing that none is asked for.
    TooManyMissing,
    /// It is late, and nobody was waiting for it.
    Late,
}

impl Holes {
    /// A packet with the extended number `sequence` came while `highest` was the highest so far.
    pub fn arrived(&mut self, now: Time, highest: Option<u64>, sequence: u64) -> Arrival {
        let Some(highest) = highest else { return Arrival::InOrder };
        if sequence <= highest {
            return match self.holes.binary_search_by_key(&sequence, |h| h.sequence) {
                Ok(index) => {
                    self.holes.remove(index);
                    Arrival::Filled
                }
                Err(_) => Arrival::Late,
            };
        }
        let missing = sequence - highest - 1;
        if missing == 0 {
            return Arrival::InOrder;
        }
        if missing > MOST_HOLES as u64 {
            self.holes.clear();
            return Arrival::TooManyMissing;
        }
        let over = (self.holes.len() + missing as usize).saturating_sub(MOST_HOLES);
        self.holes.drain(..over);
        self.holes.reserve_exact(MOST_HOLES - self.holes.len());
        self.holes.extend((highest + 1..sequence).map(|sequence| Hole { sequence, since: now, ask_at: now, requests: 0 }));
        Arrival::Gap
    }

    /// Sequence numbers to ask for now, lowest first. Each is asked for again after `retry` and more with each
    /// time; those that are too old are given up.
    pub fn due(&mut self, now: Time, retry: Duration, mut ask: impl FnMut(u16)) -> usize {
        self.holes.retain(|h| now.since(h.since) < GIVE_UP && h.requests < MOST_REQUESTS);
        let mut asked = 0;
        for hole in self.holes.iter_mut().filter(|h| h.ask_at <= now) {
            hole.requests += 1;
            hole.ask_at = now + retry.saturating_mul(u32::from(hole.requests.min(3)));
            ask(hole.sequence as u16);
            asked += 1;
        }
        asked
    }

    /// When [`Self::due`] has something to say next.
    pub fn next_due(&self) -> Option<Time> {
        self.holes.iter().map(|h| h.ask_at).min()
    }

    /// Whether a sequence number is missing.
    pub fn has(&self, sequence: u64) -> bool {
        self.holes.binary_search_by_key(&sequence, |h| h.sequence).is_ok()
    }

    /// Forgets all holes.
    pub fn clear(&mut self) {
        self.holes.clear();
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.holes.capacity() * size_of::<Hole>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_millis(50);

    fn due(holes: &mut Holes, now: Time) -> Vec<u16> {
        let mut asked = Vec::new();
        holes.due(now, RETRY, |s| asked.push(s));
        asked
    }

    #[test]
    fn a_gap_is_asked_for_at_once_and_again_until_it_is_filled() {
        let mut holes = Holes::default();
        assert_eq!(holes.arrived(Time::ZERO, None, 10), Arrival::InOrder);
        assert_eq!(holes.arrived(Time::ZERO, Some(10), 13), Arrival::Gap);
        assert_eq!(due(&mut holes, Time::ZERO), [11, 12]);
        assert_eq!(due(&mut holes, Time::from_millis(49)), Vec::<u16>::new());
        assert_eq!(holes.arrived(Time::from_millis(49), Some(13), 11), Arrival::Filled);
        assert_eq!(due(&mut holes, Time::from_millis(50)), [12]);
        assert_eq!(due(&mut holes, Time::from_millis(149)), Vec::<u16>::new());
        assert_eq!(due(&mut holes, Time::from_millis(150)), [12]);
        assert_eq!(due(&mut holes, Time::from_millis(1_000)), Vec::<u16>::new());
        assert_eq!(holes.next_due(), None);
    }

    #[test]
    fn too_large_a_gap_is_not_asked_for() {
        let mut holes = Holes::default();
        assert_eq!(holes.arrived(Time::ZERO, Some(10), 11 + MOST_HOLES as u64 + 1), Arrival::TooManyMissing);
        assert_eq!(due(&mut holes, Time::ZERO), Vec::<u16>::new());
    }

    #[test]
    fn the_number_of_holes_is_capped_and_the_newest_stay() {
        let mut holes = Holes::default();
        let mut highest = 0;
        for _ in 0..100 {
            holes.arrived(Time::ZERO, Some(highest), highest + 101);
            highest += 101;
        }
        let asked = due(&mut holes, Time::ZERO);
        assert_eq!(asked.len(), MOST_HOLES);
        assert_eq!(asked.last(), Some(&((highest - 1) as u16)));
    }
}
