//! Which packets have been seen: rollover counting (RFC 3711 section 3.3.1) and replay protection (section 3.3.2).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

/// The highest index of SRTP: a 32-bit rollover counter and a 16-bit sequence number (RFC 3711 section 3.3.1).
pub const MAX_INDEX: u64 = (1 << 48) - 1;

/// Words of an SRTP replay window: 1,024 packets. A publisher without RTX repeats lost packets under their own
/// number, up to a second late; the 128 that suffice for reordering alone would drop them at 2 Mbit/s.
const RTP_WORDS: usize = 16;

/// The packet was seen before, or is too old to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replayed;

/// What is known of one received SSRC: plain data, so that it can be handed to another process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceiveStream {
    window: ReplayWindow<RTP_WORDS>,
}

/// A [`ReceiveStream`] as plain numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamState {
    /// Rollover counter of the highest accepted packet.
    pub roc: u32,
    /// Sequence number of the highest accepted packet.
    pub highest_seq: u16,
    /// The replay window: packet `index` was seen when bit `index % 64` of word `index / 64 % 16` is set.
    pub window: [u64; RTP_WORDS],
}

impl ReceiveStream {
    /// Nothing received yet; the rollover counter begins at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The 48-bit index that `seq` most probably has (RFC 3711 section 3.3.1).
    ///
    /// Where the estimate would lie before the beginning of the stream it is placed in the first turn.
    pub fn index(&self, seq: u16) -> u64 {
        let Some(highest) = self.window.highest else {
            return u64::from(seq);
        };
        let delta = seq.wrapping_sub(highest as u16) as i16;
        highest.checked_add_signed(i64::from(delta)).unwrap_or(u64::from(seq))
    }

    /// Whether a packet may be new; to be asked before it is authenticated.
    ///
    /// # Errors
    /// [`Replayed`] when it was accepted before, or lies behind the window or beyond the life of the key.
    pub fn check(&self, index: u64) -> Result<(), Replayed> {
        if index > MAX_INDEX {
            return Err(Replayed);
        }
        self.window.check(index)
    }

    /// Marks a packet as seen; to be told only after it was authenticated.
    pub fn accept(&mut self, index: u64) {
        self.window.accept(index);
    }

    /// The state as plain numbers; `None` before the first packet.
    pub fn snapshot(&self) -> Option<StreamState> {
        let highest = self.window.highest?;
        Some(StreamState { roc: (highest >> 16) as u32, highest_seq: highest as u16, window: self.window.seen })
    }

    /// The stream that [`Self::snapshot`] described.
    pub fn restore(state: StreamState) -> Self {
        let highest = u64::from(state.roc) << 16 | u64::from(state.highest_seq);
        Self { window: ReplayWindow { highest: Some(highest), seen: state.window } }
    }
}

/// A ring of bits for the last `WORDS * 64` indices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReplayWindow<const WORDS: usize> {
    highest: Option<u64>,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self { highest: None, seen: [0; WORDS] }
    }
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const SPAN: u64 = WORDS as u64 * 64;

    /// Whether `index` is neither seen nor too old.
    pub fn check(&self, index: u64) -> Result<(), Replayed> {
        match self.highest {
            Some(highest) if index <= highest => {
                let fresh = highest - index < Self::SPAN && !self.bit(index);
                if fresh { Ok(()) } else { Err(Replayed) }
            }
            _ => Ok(()),
        }
    }

    /// Marks `index` as seen. One that is too old changes nothing.
    pub fn accept(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest && highest - index >= Self::SPAN => return,
            Some(highest) if index > highest => self.advance(highest, index),
            Some(_) => {}
            None => self.highest = Some(index),
        }
        *self.word(index) |= 1 << (index % 64);
    }

    fn advance(&mut self, from: u64, to: u64) {
        if to - from >= Self::SPAN {
            self.seen = [0; WORDS];
        } else {
            for index in from + 1..=to {
                *self.word(index) &= !(1 << (index % 64));
            }
        }
        self.highest = Some(to);
    }

    fn bit(&self, index: u64) -> bool {
        self.seen.get((index / 64) as usize % WORDS).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    #[allow(clippy::indexing_slicing, reason = "a remainder of the array's own length")]
    fn word(&mut self, index: u64) -> &mut u64 {
        &mut self.seen[(index / 64) as usize % WORDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_first_packet_has_rollover_counter_zero() {
        assert_eq!(ReceiveStream::new().index(65_535), 65_535);
    }

    #[test]
    fn a_wrap_raises_the_rollover_counter_and_a_late_packet_keeps_the_old_one() {
        let mut stream = ReceiveStream::new();
        stream.accept(65_534);
        assert_eq!(stream.index(1), 65_537);
        stream.accept(65_537);
        assert_eq!(stream.index(65_535), 65_535);
        assert_eq!(stream.check(65_535), Ok(()));
        assert_eq!(stream.check(65_534), Err(Replayed));
    }

    #[test]
    fn an_estimate_before_the_beginning_is_placed_in_the_first_turn() {
        let mut stream = ReceiveStream::new();
        stream.accept(10);
        assert_eq!(stream.index(60_000), 60_000);
    }

    #[test]
    fn a_packet_behind_the_window_is_refused_and_one_inside_is_not() {
        let mut stream = ReceiveStream::new();
        stream.accept(100);
        stream.accept(100 + 1_023);
        assert_eq!(stream.check(100), Err(Replayed));
        assert_eq!(stream.check(101), Ok(()));
        stream.accept(100 + 1_024);
        assert_eq!(stream.check(100), Err(Replayed));
        stream.accept(1_000_000);
        assert_eq!(stream.check(1_000_000 - 1_024), Err(Replayed));
        assert_eq!(stream.check(1_000_000 - 1_023), Ok(()));
    }

    #[test]
    fn nothing_is_accepted_beyond_the_life_of_the_key() {
        let mut stream = ReceiveStream::new();
        stream.accept(MAX_INDEX);
        assert_eq!(stream.index(0), MAX_INDEX + 1);
        assert_eq!(stream.check(MAX_INDEX + 1), Err(Replayed));
    }

    #[test]
    fn a_stream_goes_through_a_snapshot_unchanged() {
        let mut stream = ReceiveStream::new();
        assert_eq!(stream.snapshot(), None);
        for index in [65_530, 65_536, 65_539, 65_537] {
            stream.accept(index);
        }
        let state = stream.snapshot().unwrap();
        assert_eq!((state.roc, state.highest_seq), (1, 3));
        assert_eq!(ReceiveStream::restore(state), stream);
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_everything_seen(steps in proptest::collection::vec(-1_500i64..1_500, 1..400)) {
            let mut window = ReplayWindow::<2>::default();
            let mut seen = BTreeSet::<u64>::new();
            let mut at = 5_000i64;
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let fresh = !seen.contains(&index) && seen.last().is_none_or(|highest| highest.saturating_sub(index) < 128);
                prop_assert_eq!(window.check(index).is_ok(), fresh);
                if fresh {
                    window.accept(index);
                    seen.insert(index);
                }
            }
        }

        #[test]
        fn indices_follow_the_true_ones_over_every_wrap(start in 0u64..65_536, steps in proptest::collection::vec(-900i64..20_000, 1..300)) {
            let mut stream = ReceiveStream::new();
            let mut truth = start;
            stream.accept(truth);
            let mut highest = truth;
            for step in steps {
                truth = highest.saturating_add_signed(step).max(start);
                prop_assert_eq!(stream.index(truth as u16), truth);
                stream.accept(truth);
                highest = highest.max(truth);
            }
        }
    }
}
