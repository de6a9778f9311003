//! What a peer may send, all its m-lines together: a bucket that leaks half as fast again as was agreed, with room for key frames and probes.
//! Browsers are told by `b=` in the answer, and Chromium keeps to it; this is for whoever does not.

use crate::base::{Bitrate, Time};
use crate::media::peer::MOST_MLINES;

/// Of what was agreed, so much leaks. Less cuts off senders whose encoder overshoots; more lets whoever means harm have more.
const LEAK: (u64, u64) = (3, 2);
/// The bucket holds what leaks in so many microseconds: twice as much as was agreed fills it in nine seconds, ten times as much in half a second.
const HOLDS: u64 = 3_000_000;
/// Bits that it holds in any case: a key frame, and the probes that a connection begins with, are not less where little was agreed.
const LEAST: u64 = 2_000_000;

/// What has come of a packet's weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// The bucket is half full: whoever sends is told.
    Much,
    /// It is full: what takes most ends.
    TooMuch,
}

/// What a peer may send, and what it has sent lately.
#[derive(Debug)]
pub struct Allowance {
    agreed: Bitrate,
    /// Bits that have not leaked yet, times a million: nothing is lost by rounding.
    level: u64,
    at: Time,
    /// Since when [`Self::bytes`] counts.
    since: Time,
    /// Bytes of each m-line since the bucket was last nearly empty.
    bytes: [u32; MOST_MLINES],
    /// It was said that it is half full.
    said: bool,
    word: Option<Word>,
}

impl Allowance {
    /// For a peer that may send so much.
    pub const fn new(now: Time, agreed: Bitrate) -> Self {
        Self { agreed, level: 0, at: now, since: now, bytes: [0; MOST_MLINES], said: false, word: None }
    }

    /// Another rate is agreed from now on.
    pub const fn agree(&mut self, agreed: Bitrate) {
        self.agreed = agreed;
    }

    /// An authentic packet of an m-line has come.
    pub fn weigh(&mut self, now: Time, mline: u8, bytes: usize) {
        let leak = self.leak();
        self.level = self.level.saturating_sub(leak.saturating_mul(now.micros_since(self.at)));
        self.at = now;
        let holds = leak.saturating_mul(HOLDS).max(LEAST * 1_000_000);
        if self.level <= holds / 4 && now.micros_since(self.since) > HOLDS {
            (self.bytes, self.since, self.said) = ([0; MOST_MLINES], now, false);
        }
        if let Some(of_line) = self.bytes.get_mut(usize::from(mline)) {
            *of_line = of_line.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.level = self.level.saturating_add((bytes as u64).saturating_mul(8_000_000));
        if self.level >= holds {
            // Whoever goes on has half of it left.
            (self.level, self.said, self.word) = (holds / 2, true, Some(Word::TooMuch));
        } else if self.level >= holds / 2 && !self.said {
            (self.said, self.word) = (true, Some(Word::Much));
        }
    }

    /// What is to be said since this was last asked.
    pub const fn take_word(&mut self) -> Option<Word> {
        self.word.take()
    }

    /// The m-line that has taken most lately.
    pub fn most(&self) -> Option<u8> {
        let (mline, bytes) = (0..).zip(&self.bytes).max_by_key(|(_, bytes)| **bytes)?;
        (*bytes > 0).then_some(mline)
    }

    /// What all m-lines together have taken lately.
    pub fn sent(&self, now: Time) -> Bitrate {
        let bits = self.bytes.iter().map(|bytes| u64::from(*bytes) * 8).sum::<u64>();
        Bitrate::bps(bits.saturating_mul(1_000_000) / now.micros_since(self.since).max(100_000))
    }

    const fn leak(&self) -> u64 {
        self.agreed.as_bps().saturating_mul(LEAK.0) / LEAK.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at `kbps` in packets of 1,000 bytes on m-line 1 and 20 kbit/s on m-line 0; when and what it is told.
    fn told(allowance: &mut Allowance, from: u64, seconds: u64, kbps: u64) -> Vec<(u64, Word)> {
        let mut words = Vec::new();
        let apart = 8_000_000 / kbps;
        for i in 0..seconds * kbps / 8 {
            let now = Time::from_micros(from * 1_000_000 + i * apart);
            allowance.weigh(now, 1, 1_000);
            if i % (kbps / 8).max(1) == 0 {
                allowance.weigh(now, 0, 2_500);
            }
            words.extend(allowance.take_word().map(|word| (i * apart / 1_000_000, word)));
        }
        words
    }

    #[test]
    fn whoever_keeps_to_it_is_told_nothing_and_key_frames_are_forgiven() {
        let mut allowance = Allowance::new(Time::ZERO, Bitrate::kbps(1_000));
        assert_eq!(told(&mut allowance, 0, 60, 1_000), []);
        assert_eq!(told(&mut allowance, 60, 60, 1_400), [], "an encoder that overshoots");
        // A key frame of 150 KB at once, every ten seconds.
        for i in 0..6 {
            let now = Time::from_millis(120_000 + i * 10_000);
            (0..150).for_each(|_| allowance.weigh(now, 1, 1_000));
            assert_eq!(allowance.take_word(), None, "{i}");
            assert_eq!(told(&mut allowance, 121 + i * 10, 9, 800), []);
        }
    }

    #[test]
    fn whoever_does_not_is_told_first_and_then_what_takes_most_is_named() {
        let mut allowance = Allowance::new(Time::ZERO, Bitrate::kbps(1_000));
        let words = told(&mut allowance, 0, 12, 2_000);
        assert!(matches!(words[..], [(3..=5, Word::Much), (7..=9, Word::TooMuch), ..]), "{words:?}");
        assert_eq!(allowance.most(), Some(1));
        let sent = allowance.sent(Time::from_millis(12_000)).as_bps() / 1_000;
        assert!((1_900..2_150).contains(&sent), "{sent} kbit/s");
    }

    #[test]
    fn where_little_was_agreed_a_picture_may_begin_all_the_same() {
        let mut allowance = Allowance::new(Time::ZERO, Bitrate::kbps(64));
        (0..100).for_each(|_| allowance.weigh(Time::ZERO, 1, 1_000));
        assert_eq!(allowance.take_word(), None, "a key frame of 100 KB");
        let words = told(&mut allowance, 1, 10, 640);
        assert!(matches!(words[..], [(_, Word::Much), (1..=4, Word::TooMuch), ..]), "{words:?}");
    }

    #[test]
    fn ten_times_as_much_ends_within_a_second_and_a_quiet_while_makes_it_good() {
        let mut allowance = Allowance::new(Time::ZERO, Bitrate::kbps(500));
        let words = told(&mut allowance, 0, 1, 5_000);
        assert_eq!(words.first().map(|(_, word)| *word), Some(Word::Much));
        assert!(words.contains(&(0, Word::TooMuch)), "{words:?}");
        assert_eq!(told(&mut allowance, 30, 30, 500), []);
        assert_eq!(told(&mut allowance, 60, 20, 1_000).first().map(|(_, word)| *word), Some(Word::Much), "it is told anew");
    }
}
