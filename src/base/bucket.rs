//! A token bucket: an allowance that grows with time up to a limit.

use std::time::Duration;

use super::Time;

/// Parts of one unit: small rates would lose what a millisecond brings.
const PARTS: i64 = 1_000_000;

/// What is left of an allowance. It may be overdrawn once: whoever asks before knowing the cost pays it afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    left: i64,
    at: Time,
}

impl Bucket {
    /// A full one.
    pub const fn new(at_once: u32) -> Self {
        Self { left: (at_once as i64).saturating_mul(PARTS), at: Time::ZERO }
    }

    /// Whether anything is left at `now`, when `per_second` come in and at most `at_once` are kept.
    pub fn is_open(&mut self, now: Time, per_second: u32, at_once: u32) -> bool {
        let more = i64::try_from(now.micros_since(self.at)).unwrap_or(i64::MAX).saturating_mul(i64::from(per_second));
        self.left = self.left.saturating_add(more).min(i64::from(at_once).saturating_mul(PARTS));
        self.at = self.at.max(now);
        self.left > 0
    }

    /// Takes so many units.
    pub fn spend(&mut self, units: usize) {
        self.left = self.left.saturating_sub(i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(PARTS));
    }

    /// Takes so many units if anything is left.
    pub fn take(&mut self, now: Time, (per_second, at_once): (u32, u32), units: usize) -> bool {
        let open = self.is_open(now, per_second, at_once);
        if open {
            self.spend(units);
        }
        open
    }

    /// When something will be left again.
    pub fn opens_at(&self, per_second: u32) -> Time {
        if self.left > 0 {
            return self.at;
        }
        let micros = self.left.unsigned_abs() / u64::from(per_second.max(1)) + 1;
        self.at + Duration::from_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_at_once_and_then_so_much_a_second() {
        let mut bucket = Bucket::new(3);
        let taken = |bucket: &mut Bucket, at| (0..10).filter(|_| bucket.take(Time::from_millis(at), (2, 3), 1)).count();
        assert_eq!(taken(&mut bucket, 0), 3);
        assert_eq!(taken(&mut bucket, 400), 1, "eight tenths of one are enough to begin");
        assert_eq!(taken(&mut bucket, 500), 0);
        assert_eq!(taken(&mut bucket, 60_000), 3, "no more is kept");
    }

    #[test]
    fn what_is_overdrawn_is_waited_for_exactly() {
        let mut bucket = Bucket::new(100);
        assert!(bucket.take(Time::from_millis(1), (1_000, 100), 600));
        let at = bucket.opens_at(1_000);
        assert!(!bucket.is_open(Time::from_micros(at.as_micros() - 2), 1_000, 100));
        assert!(bucket.is_open(at, 1_000, 100));
        assert_eq!(at.since(Time::from_millis(1)).as_millis(), 500);
    }
}
