//! What is known of a link whose receiver sends no transport-wide feedback: its own estimate (REMB), and its reports of loss (RR).
//!
//! The receiver's estimate counts, but not blindly: some begin with a few kilobits while hundreds arrive, and one that is sent nothing
//! says nothing any more. Reports show what did pass: what was sent while little got lost and the round trip stayed short. A receiver
//! whose estimate is far below that is not believed before trouble shows; and where there is none, a link that is in order is given
//! more, bit by bit, until what is wanted fits or trouble shows.

use std::time::Duration;

use crate::base::Time;

/// Reports are looked at together over so long, in microseconds.
const INTERVAL: u64 = 500_000;
/// The receiver's own estimate bounds growth for so long.
const FRESH: Duration = Duration::from_secs(3);
/// When so many times the receiver's own estimate have passed through a whole interval without trouble, that estimate is wrong.
const WRONG: f64 = 2.0;
/// After trouble its estimate lowers ours to this share of what was sent at a time: it takes a second more to follow, and one wrong word costs less.
const LEAST_KEPT: f64 = 0.5;
/// A queue stands when the round trip was long in so many intervals.
const STANDS: u32 = 2;
/// Until so many intervals have ended since it first came, it lowers the estimate to half of where it began at most: how else would it be found out?
const FIRST: u32 = 2;
/// Above what was sent by this factor at most the estimate grows without being wanted.
const FAR: f64 = 1.5;
/// Growth with a report, and before any trouble was seen.
const GROWTH: f64 = 1.08;
const GROWTH_FIRST: f64 = 1.5;
/// Loss above which the rate is lowered, and below which it is raised (draft-ietf-rmcat-gcc-02 section 6).
const MUCH_LOSS: f64 = 0.1;
const LITTLE_LOSS: f64 = 0.02;
/// A round trip that is longer than the shortest by so many microseconds, and by half of it, shows a queue.
const LONGER: f64 = 100_000.0;

/// What reports have told about one link. Rates are in bits per second, on the wire.
#[derive(Debug)]
pub struct Reports {
    /// The beginning of the interval, and the bytes that had been sent until then.
    since: Time,
    bytes: u64,
    /// In this interval: the highest share lost, and the shortest round trip.
    lost: f64,
    round_trip: f64,
    least_round_trip: f64,
    /// In how many intervals in a row the round trip was long: one may be a receiver that was busy.
    longer: u32,
    /// What was sent in the last interval.
    flows: f64,
    /// Whether there was ever trouble.
    troubled: bool,
    /// The receiver's own estimate, and the highest one in this interval: that in force when it began is one of them.
    own: Option<(Time, f64)>,
    highest: f64,
    /// Whether that was shown to be wrong.
    wrong: bool,
    /// Intervals that have ended since it first came, up to [`FIRST`].
    intervals: u32,
    /// In the first ones no estimate of its own counts below this.
    floor: f64,
}

impl Reports {
    /// Nothing is known but where the estimate begins.
    pub fn new(now: Time, start: f64) -> Self {
        Self {
            since: now,
            bytes: 0,
            lost: 0.0,
            round_trip: f64::INFINITY,
            least_round_trip: f64::INFINITY,
            longer: 0,
            flows: 0.0,
            troubled: false,
            own: None,
            highest: f64::INFINITY,
            wrong: false,
            intervals: 0,
            floor: start / 2.0,
        }
    }

    /// The receiver estimates its link itself; what the estimate becomes that was `rate`.
    pub fn remb(&mut self, now: Time, own: f64, rate: f64) -> f64 {
        self.own = Some((now, own));
        self.highest = self.highest.max(own);
        let floor = match self.troubled {
            true => LEAST_KEPT * self.flows,
            false if self.intervals < FIRST => self.floor,
            false => 0.0,
        };
        let floor = floor.min(rate);
        if self.wrong { rate } else { own.max(floor) }
    }

    /// A receiver reports that it has lost a `fraction` of a stream, and how long the round trip was in microseconds if it is known;
    /// `sent` bytes were sent in all. What the estimate becomes that was `rate` while `wanted` is asked for, if that ends an interval.
    pub fn report(&mut self, now: Time, fraction: f64, round_trip: Option<f64>, sent: u64, (rate, wanted): (f64, f64)) -> Option<f64> {
        self.lost = self.lost.max(fraction);
        if let Some(round_trip) = round_trip {
            self.round_trip = self.round_trip.min(round_trip);
        }
        let passed = now.micros_since(self.since);
        if passed < INTERVAL {
            return None;
        }
        let flows = sent.saturating_sub(self.bytes) as f64 * 8e6 / passed as f64;
        let (lost, round_trip) = (std::mem::take(&mut self.lost), std::mem::replace(&mut self.round_trip, f64::INFINITY));
        if round_trip.is_finite() {
            let is_long = round_trip > self.least_round_trip + LONGER.max(self.least_round_trip / 2.0);
            self.longer = if is_long { self.longer.saturating_add(1) } else { 0 };
            // Slowly upwards, so that a longer route is learned.
            self.least_round_trip = round_trip.min(self.least_round_trip * 1.001);
        }
        self.flows = flows;
        let highest = std::mem::replace(&mut self.highest, self.own.map_or(f64::INFINITY, |(_, own)| own));
        (self.since, self.bytes, self.intervals) = (now, sent, self.intervals + u32::from(self.own.is_some() && self.intervals < FIRST));
        self.wrong |= lost <= LITTLE_LOSS && flows > WRONG * highest;
        if lost > MUCH_LOSS || self.longer >= STANDS {
            self.troubled = true;
            // A long round trip may be a busy receiver's; loss is the link's, and whoever foresaw it was right.
            self.wrong &= lost <= MUCH_LOSS;
            let own = self.own.filter(|(at, _)| now.since(*at) < FRESH && !self.wrong).map_or(f64::INFINITY, |(_, own)| own);
            let lowered = if lost > MUCH_LOSS { rate * (1.0 - lost / 2.0) } else { rate };
            return Some(lowered.min(own.max(LEAST_KEPT * flows)));
        }
        if self.longer > 0 {
            return Some(rate);
        }
        if lost > LITTLE_LOSS {
            self.troubled = true;
            return Some(rate);
        }
        let own = self.own.filter(|(at, _)| now.since(*at) < FRESH && !self.wrong);
        let bound = own.map_or((FAR * flows).max(wanted), |(_, own)| own);
        let grown = rate * if self.troubled { GROWTH } else { GROWTH_FIRST };
        Some(grown.min(bound).max(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link by reports alone: a second at a time.
    struct Story {
        reports: Reports,
        rate: f64,
        second: u64,
        sent: u64,
    }

    impl Story {
        fn new() -> Self {
            Self { reports: Reports::new(Time::ZERO, 800_000.0), rate: 800_000.0, second: 0, sent: 0 }
        }

        fn now(&self) -> Time {
            Time::from_millis(self.second * 1_000)
        }

        fn remb(&mut self, own: f64) -> f64 {
            self.rate = self.reports.remb(self.now(), own, self.rate);
            self.rate
        }

        /// What was sent in it, what got lost of that, the round trip in milliseconds.
        fn second(&mut self, kbps: u64, lost: f64, round_trip: f64, wanted: f64) -> f64 {
            self.second += 1;
            self.sent += kbps * 125;
            if let Some(rate) = self.reports.report(self.now(), lost, Some(round_trip * 1_000.0), self.sent, (self.rate, wanted)) {
                self.rate = rate;
            }
            self.rate
        }
    }

    #[test]
    fn a_receiver_that_begins_with_a_few_kilobits_is_believed_only_when_something_is_wrong() {
        let mut story = Story::new();
        assert_eq!(story.remb(16_000.0), 400_000.0, "there is no report yet: by half");
        assert_eq!(story.remb(16_000.0), 400_000.0);
        assert_eq!(story.second(380, 0.0, 20.0, 2e6), 400_000.0);
        assert_eq!(story.second(380, 0.0, 20.0, 2e6), 600_000.0, "380 kbit/s came through");
        assert_eq!(story.remb(17_000.0), 600_000.0);
        for _ in 0..6 {
            story.second(380, 0.0, 20.0, 2e6);
        }
        assert_eq!(story.rate, 2e6, "what is wanted may be tried");
        story.second(2_000, 0.0, 220.0, 2e6);
        assert_eq!(story.remb(900_000.0), 2e6, "a long round trip may be a busy receiver's");
        assert_eq!(story.second(2_000, 0.2, 220.0, 2e6), 1e6, "loss is the link's, and half of what is sent is taken away at a time");
        assert_eq!(story.second(1_000, 0.2, 220.0, 2e6), 900_000.0);
        story.second += 3;
        assert_eq!(story.second(900, 0.0, 20.0, 2e6).round(), 972_000.0, "more slowly from now on");
    }

    #[test]
    fn an_estimate_that_may_be_right_bounds_growth() {
        let mut story = Story::new();
        story.second(300, 0.0, 20.0, 5e6);
        story.remb(1_000_000.0);
        assert_eq!(story.second(300, 0.0, 20.0, 5e6), 1_000_000.0);
        story.second += 4;
        assert!(story.second(300, 0.0, 20.0, 5e6) > 1_000_000.0, "while it is fresh");
    }

    #[test]
    fn one_who_was_sent_nothing_any_more_is_given_another_chance() {
        let mut story = Story::new();
        story.second(800, 0.5, 20.0, 9e5);
        assert_eq!(story.remb(16_000.0), 400_000.0);
        story.second(16, 0.0, 20.0, 9e5);
        assert_eq!(story.remb(16_000.0), 16_000.0);
        let came_back = (0..70).find(|_| story.second(16, 0.0, 20.0, 9e5) >= 800_000.0);
        assert!(came_back.is_some_and(|seconds| seconds > 20), "{came_back:?}");
    }
}
