//! The clock that the media plane is told.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Ntp, Time};

/// Turns the process's monotonic clock into [`Time`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock whose zero is `epoch`; one epoch serves the whole process.
    pub const fn new(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// Now.
    pub fn now(&self) -> Time {
        Time::ZERO + self.epoch.elapsed()
    }

    /// The wall clock at [`Time::ZERO`], for sender reports.
    pub fn wall_at_zero(&self) -> Ntp {
        let since_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ntp::from_unix(since_unix.saturating_sub(self.epoch.elapsed()))
    }
}
