//! Time as a value: pure code is told it and never reads a clock.

use std::ops::Add;
use std::time::Duration;

/// A moment on the monotonic clock: microseconds since the process (or the simulation) began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The moment at which the clock began.
    pub const ZERO: Time = Time(0);
    /// Later than any moment that will come.
    pub const NEVER: Time = Time(u64::MAX);

    /// From microseconds since the clock began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the clock began.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the clock began.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Microseconds after `earlier`; zero if it is not later.
    pub const fn micros_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// An NTP timestamp in 32.32 fixed point, seconds since 1900 (RFC 5905 section 6, used by RFC 3550 section 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ntp(pub u64);

impl Ntp {
    /// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
    pub const UNIX_OFFSET_SECONDS: u64 = 2_208_988_800;

    /// From the time since the Unix epoch.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(Self::UNIX_OFFSET_SECONDS);
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    /// This moment plus a number of microseconds, which may be negative.
    pub fn plus_micros(self, micros: i64) -> Self {
        let fixed = ((i128::from(micros) << 32) + 500_000).div_euclid(1_000_000);
        Self(self.0.wrapping_add(fixed as u64))
    }

    /// Microseconds from `earlier` to this, negative if this is before it.
    pub fn micros_since(self, earlier: Ntp) -> i64 {
        let fixed = self.0.wrapping_sub(earlier.0) as i64;
        ((i128::from(fixed) * 1_000_000 + (1 << 31)) >> 32) as i64
    }

    /// The middle 32 bits, as LSR and DLSR use them (RFC 3550 section 6.4.1): units of 1/65,536 s.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_of_the_unix_epoch_is_the_offset() {
        assert_eq!(Ntp::from_unix(Duration::ZERO).0 >> 32, Ntp::UNIX_OFFSET_SECONDS);
    }

    #[test]
    fn ntp_microseconds_go_there_and_back() {
        let start = Ntp::from_unix(Duration::from_millis(1_700_000_000_123));
        for micros in [-3_600_000_000, -1, 0, 1, 999_999, 3_600_000_000] {
            assert_eq!(start.plus_micros(micros).micros_since(start), micros);
        }
    }

    #[test]
    fn time_never_goes_below_zero() {
        assert_eq!(Time::from_millis(1).since(Time::from_millis(2)), Duration::ZERO);
    }
}
