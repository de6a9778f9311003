//! How long to wait before anything becomes better: longer each time that it had to be taken back.

use std::time::Duration;

use super::allocate::Raise;
use crate::base::Time;

/// Between two improvements of what a subscriber gets, at least. Less flickers, more keeps a poor picture for longer.
const RAISE_EVERY: Duration = Duration::from_millis(500);
/// What is taken back so soon after an improvement shows that it was one too many.
const TOO_SOON: Duration = Duration::from_secs(10);
/// After that the next improvement waits for so long, twice as long each time,
const FIRST_WAIT: Duration = Duration::from_secs(8);
/// and no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The patience with one subscriber's link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    raised: Time,
    wait: Duration,
    next: Time,
}

impl Patience {
    /// What a subscriber gets was worked out: whether anything of it became better, and whether anything had to become less because
    /// the link carries no more.
    pub fn note(&mut self, now: Time, raised: bool, lowered: bool) {
        if lowered && self.raised != Time::ZERO {
            if now.since(self.raised) < TOO_SOON {
                self.wait = (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
            } else if now.since(self.raised) > LONGEST_WAIT {
                self.wait = Duration::ZERO;
            }
            self.next = self.next.max(now + self.wait);
        }
        if raised {
            self.raised = now;
            self.next = self.next.max(now + RAISE_EVERY);
        }
    }

    /// What may become better now.
    pub fn allows(&self, now: Time) -> Raise {
        match now {
            now if now >= self.next => Raise::Yes,
            now if now >= self.with_ample_room() => Raise::Ample,
            _ => Raise::No,
        }
    }

    /// When more may become better than now.
    pub fn next_raise(&self, now: Time) -> Time {
        if now < self.with_ample_room() { self.next.min(self.with_ample_room()) } else { self.next }
    }

    fn with_ample_room(&self) -> Time {
        if self.raised == Time::ZERO { Time::ZERO } else { self.raised + RAISE_EVERY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_taken_back_soon_is_tried_again_later_each_time() {
        let at = |seconds: u64| Time::from_millis(seconds * 1_000);
        let mut patience = Patience::default();
        patience.note(at(0), false, true);
        assert_eq!(patience.next, Time::ZERO, "a link that was too narrow from the beginning says nothing about improvements");
        patience.note(at(1), true, false);
        assert_eq!(patience.next, Time::from_millis(1_500));
        patience.note(at(3), false, true);
        assert_eq!(patience.next, at(11));
        assert_eq!([1_400, 3_100, 11_000].map(|ms| patience.allows(Time::from_millis(ms))), [Raise::No, Raise::Ample, Raise::Yes]);
        assert_eq!([1_400, 3_100].map(|ms| patience.next_raise(Time::from_millis(ms))), [Time::from_millis(1_500), at(11)]);
        patience.note(at(12), true, false);
        patience.note(at(14), false, true);
        assert_eq!(patience.next, at(30));
        patience.note(at(31), true, false);
        patience.note(at(120), false, true);
        assert_eq!(patience.next, at(120), "after a minute that was good it is the link that has changed");
    }
}
