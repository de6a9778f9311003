//! From RTP timestamps to the node's clock: by the publisher's sender reports, which put all of its streams on one line, and before
//! the first of them by when packets arrive.

use crate::base::Time;

/// A line that is off by more than this is jumped to; by less, it is approached so that nothing is heard of it.
const JUMP: i64 = 250_000;
/// What is approached takes twenty times as long as it is off.
const SLEW: i64 = 20;
/// A timestamp that lies further from its packet's arrival than this is no time of capture: its clock makes no sense.
const SENSE: i64 = 5_000_000;

/// The line of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// Ticks in a second.
    rate: i64,
    /// The last timestamp, and the same without wraps.
    last: Option<(u32, i64)>,
    /// Timestamps lie so at present: one without wraps, and its microseconds.
    line: Option<(i64, i64)>,
    /// As the sender reports say that they do.
    goal: Option<(i64, i64)>,
    /// A report that came before any packet.
    early: Option<(u32, i64)>,
    /// The latest time that was asked for.
    at: i64,
}

impl Timeline {
    /// A stream with a clock of `rate` Hz that has not begun.
    pub fn new(rate: u32) -> Self {
        Self { rate: i64::from(rate.max(1)), last: None, line: None, goal: None, early: None, at: 0 }
    }

    /// A sender report: `timestamp` was captured at `captured` (microseconds).
    pub fn report(&mut self, timestamp: u32, captured: i64) {
        match self.last {
            Some(last) => self.goal = Some((unwrapped(last, timestamp), captured)),
            None => self.early = Some((timestamp, captured)),
        }
    }

    /// When `timestamp` was captured, in microseconds; its packet arrived at `arrived`.
    pub fn time_of(&mut self, timestamp: u32, arrived: Time) -> i64 {
        let arrived = i64::try_from(arrived.as_micros()).unwrap_or(i64::MAX);
        let ticks = self.last.map_or(i64::from(timestamp), |last| unwrapped(last, timestamp));
        if self.last.is_none_or(|(_, latest)| ticks > latest) {
            self.last = Some((timestamp, ticks));
        }
        if let Some((reported, captured)) = self.early.take() {
            self.goal = Some((unwrapped((timestamp, ticks), reported), captured));
        }
        let on = |line: (i64, i64)| line.1 + (ticks - line.0) * 1_000_000 / self.rate;
        self.goal = self.goal.filter(|goal| (on(*goal) - arrived).abs() < SENSE);
        let mut line = self.line.or(self.goal).unwrap_or((ticks, arrived));
        let off = self.goal.map_or(0, |goal| on(goal) - on(line));
        if off.abs() > JUMP {
            line = self.goal.unwrap_or(line);
        } else {
            let most = (on(line) - self.at).clamp(0, 1_000_000) / SLEW;
            line.1 += off.clamp(-most, most);
        }
        if (on(line) - arrived).abs() > SENSE {
            line = (ticks, arrived);
        }
        self.line = Some(line);
        self.at = self.at.max(on(line));
        on(line)
    }
}

fn unwrapped((timestamp, ticks): (u32, i64), other: u32) -> i64 {
    ticks + i64::from(other.wrapping_sub(timestamp) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn before_a_report_time_begins_with_the_first_arrival_and_jitter_does_not_show() {
        let mut line = Timeline::new(48_000);
        let times: Vec<_> = [(0u32, 1_000), (960, 1_055), (1_920, 1_041)].map(|(ts, ms)| line.time_of(ts, at(ms))).to_vec();
        assert_eq!(times, [1_000_000, 1_020_000, 1_040_000]);
    }

    #[test]
    fn a_known_report_holds_from_the_first_packet_over_a_wrap() {
        let mut line = Timeline::new(90_000);
        line.report(u32::MAX - 89_999, 5_000_000);
        assert_eq!(line.time_of(0, at(6_080)), 6_000_000);
        assert_eq!(line.time_of(45_000, at(6_580)), 6_500_000);
    }

    #[test]
    fn a_later_report_is_approached_slowly_when_it_is_near_and_at_once_when_it_is_far() {
        let mut line = Timeline::new(48_000);
        assert_eq!(line.time_of(0, at(1_080)), 1_080_000);
        line.report(0, 1_000_000);
        let mut before = 1_080_000;
        for n in 1..=200u32 {
            let time = line.time_of(n * 960, at(1_080 + u64::from(n) * 20));
            let step = time - before;
            assert!((19_000..=20_000).contains(&step), "{step}");
            before = time;
        }
        assert_eq!(before, 1_000_000 + 200 * 20_000, "80 ms are made good within 1.6 s");
        line.report(200 * 960, 6_000_000);
        assert_eq!(line.time_of(201 * 960, at(6_050)), 6_020_000);
    }

    #[test]
    fn clocks_that_make_no_sense_are_taken_at_arrival() {
        let mut line = Timeline::new(90_000);
        line.report(0, 900_000_000);
        assert_eq!(line.time_of(0, at(1_000)), 1_000_000);
        assert_eq!(line.time_of(90_000 * 60, at(1_033)), 1_033_000, "a timestamp that jumps by a minute");
        assert_eq!(line.time_of(90_000 * 60 + 3_000, at(1_066)), 1_066_333);
    }
}
