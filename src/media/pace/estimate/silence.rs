//! Whether feedback has stopped: a link that is gone says nothing.

use crate::base::Time;

/// Silence is none before this many microseconds: receivers may gather for 250 ms, and one feedback may be lost.
const SHORTEST: f64 = 500_000.0;
/// Nor is it longer than this before it counts.
const LONGEST: f64 = 1_500_000.0;
/// So unlikely must it be that as many feedbacks were lost one after the other.
const UNLIKELY: f64 = 1e-7;

/// The rhythm of feedback.
#[derive(Debug)]
pub struct Silence {
    heard: Option<Time>,
    count: u8,
    /// Mean time between feedbacks, in microseconds.
    interval: f64,
    /// Share of feedbacks that are lost.
    lost: f64,
    /// So many are not lost in a row.
    in_a_row: f64,
    /// Losses of feedback explain no longer time without, in microseconds.
    unlikely: f64,
    /// When what we send is reduced the next time.
    next: Option<Time>,
}

impl Default for Silence {
    fn default() -> Self {
        Self { heard: None, count: 0, interval: 100_000.0, lost: 0.0, in_a_row: in_a_row(0.0), unlikely: SHORTEST, next: None }
    }
}

impl Silence {
    /// A feedback with this number came; returns whether silence had been declared.
    pub fn heard(&mut self, now: Time, count: u8) -> bool {
        if let Some(before) = self.heard {
            let passed = count.wrapping_sub(self.count);
            if (1..128).contains(&passed) {
                let each = now.micros_since(before) as f64 / f64::from(passed);
                self.interval += (each.min(LONGEST) - self.interval) / 16.0;
                let lost = 1.0 - 1.0 / f64::from(passed);
                self.lost += (lost - self.lost) / 64.0 * f64::from(passed.min(16));
                // A logarithm takes as long as the rest; it changes slowly while nothing is lost.
                if passed != 1 || count.is_multiple_of(16) {
                    self.in_a_row = in_a_row(self.lost);
                }
            }
        }
        (self.heard, self.count) = (Some(now), count);
        self.unlikely = self.interval * (self.in_a_row + 1.0);
        self.next.take().is_some()
    }

    /// Whether silence was declared and lasts.
    pub const fn lasts(&self) -> bool {
        self.next.is_some()
    }

    /// When silence counts (again): `waiting` is when the oldest datagram left that no feedback has spoken of, `round_trip` in
    /// microseconds. `None` while nothing is waited for.
    pub fn deadline(&self, waiting: Option<Time>, round_trip: f64) -> Option<Time> {
        let since = waiting?.max(self.heard?);
        let first = Time::from_micros(since.as_micros() + self.patience(round_trip) as u64);
        Some(self.next.map_or(first, |next| next.max(first)))
    }

    /// Silence counts now; it does again after half a second.
    pub fn declare(&mut self, now: Time) {
        self.next = Some(Time::from_micros(now.as_micros() + SHORTEST as u64));
    }

    fn patience(&self, round_trip: f64) -> f64 {
        self.unlikely.max(2.0 * round_trip).clamp(SHORTEST, LONGEST)
    }
}

/// How many are lost in a row as good as never, when this share is lost.
fn in_a_row(lost: f64) -> f64 {
    UNLIKELY.ln() / lost.clamp(0.01, 0.6).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    /// Feedback each 100 ms of which each `lost`-th never comes, for a minute.
    fn heard_with_losses(every: u64) -> Silence {
        let mut silence = Silence::default();
        for n in 0..600_u64 {
            if every == 0 || n % every != 0 {
                silence.heard(ms(n * 100), n as u8);
            }
        }
        silence
    }

    #[test]
    fn half_a_second_without_feedback_is_silence_and_so_is_each_further_one() {
        let mut silence = heard_with_losses(0);
        assert_eq!(silence.deadline(Some(ms(59_950)), 100_000.0), Some(ms(60_450)));
        silence.declare(ms(60_450));
        assert_eq!(silence.deadline(Some(ms(59_950)), 100_000.0), Some(ms(60_950)));
        assert!(silence.heard(ms(61_000), 10));
        assert!(!silence.heard(ms(61_100), 11));
    }

    #[test]
    fn a_long_round_trip_is_no_silence() {
        assert_eq!(heard_with_losses(0).deadline(Some(ms(59_900)), 400_000.0), Some(ms(60_700)));
    }

    #[test]
    fn where_feedback_gets_lost_silence_takes_longer() {
        let silence = heard_with_losses(3);
        let deadline = silence.deadline(Some(ms(59_900)), 100_000.0).unwrap();
        assert!((ms(61_200)..=ms(61_500)).contains(&deadline), "{deadline:?}");
    }

    #[test]
    fn nothing_sent_or_nothing_ever_heard_is_no_silence() {
        assert_eq!(heard_with_losses(0).deadline(None, 100_000.0), None);
        assert_eq!(Silence::default().deadline(Some(ms(1)), 100_000.0), None);
    }
}
