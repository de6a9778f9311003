//! The queue in front of the link, from one-way delays: how long it stands, whether it falls, whether that is too much.
//!
//! A frame's burst and jitter raise the delay of single packets; a queue that stands raises the delay of all. So what counts is the
//! least delay of the last 150 ms above the least of the last seconds. Where delays scatter, the least of `n` packets scatters too:
//! more packets are asked for, and the threshold is higher by as much as chance explains.

use super::delivery::Delivery;

/// A standing queue up to this is no overuse, in microseconds, where delays do not scatter. More delays everything, less takes
/// frames that meet for a queue.
const THRESHOLD: f64 = 22_000.0;
/// A link that is not full has none longer than this, in microseconds, where delays do not scatter.
const SHOWS: f64 = 5_500.0;
/// The least delay is sought in so many microseconds.
const WINDOW: i64 = 150_000;
/// The bottom is the least delay of so many spans of [`SPAN`] microseconds.
const SPANS: usize = 5;
const SPAN: i64 = 4_000_000;
/// The threshold rises by this share of the excess in a second of overuse: a queue that does not go away when we give way is somebody
/// else's, and must be tolerated in order not to starve. It falls by that share in a second when the queue has gone.
const RISE: f64 = 0.15;
const FALL: f64 = 0.5;
/// A queue that stays after decreases raises it to this multiple of the queue at once.
const TOLERATE: f64 = 1.15;
/// A packet that was overtaken is remembered over so many others.
const LATE_FADES: f64 = 512.0;
/// Steps from packet to packet that scatter is the mean of.
const STEPS: f64 = 64.0;
/// A threshold never rises higher, in microseconds.
const MOST_TOLERATED: f64 = 500_000.0;

/// What the queue says about our rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Load {
    /// There is no queue.
    #[default]
    Under,
    /// A queue stands, not long enough to give way to.
    Some,
    /// It is too long, but it falls.
    Draining,
    /// It is too long.
    Over,
}

/// Mean steps of the delay from packet to packet, in microseconds. A queue that grows has none downwards, one that drains none
/// upwards; scatter has both.
#[derive(Debug, Default)]
struct Scatter {
    up: f64,
    down: f64,
    /// Steps that the means are over.
    steps: f64,
}

impl Scatter {
    fn step(&mut self, step: i64) {
        self.steps = (self.steps + 1.0).min(STEPS);
        let (up, down) = (step.max(0) as f64, step.min(0).unsigned_abs() as f64);
        // A division takes as long as everything else here.
        let weight = if self.steps < STEPS { 1.0 / self.steps } else { 1.0 / STEPS };
        self.up += (up.min(self.most(self.up)) - self.up) * weight;
        self.down += (down.min(self.most(self.down)) - self.down) * weight;
    }

    /// A larger step is not scatter but a queue that has drained, or a handover.
    fn most(&self, mean: f64) -> f64 {
        if self.steps < STEPS { 200_000.0 } else { 4.0 * mean + 4_000.0 }
    }
}

/// The queue as seen by the delays of packets.
#[derive(Debug)]
pub struct Queue {
    /// The least delay of each span, newest first, in microseconds.
    bottoms: [i64; SPANS],
    /// The least of them.
    bottom: i64,
    span_begun: i64,
    last_delay: Option<i64>,
    scatter: Scatter,
    /// By how much packets were overtaken at most lately, in microseconds of sending.
    late: f64,
    /// Added to the threshold, in microseconds.
    tolerated: f64,
    judged_at: i64,
    standing: f64,
    /// What chance alone makes of the least delay, in microseconds.
    chance: f64,
    threshold: f64,
    load: Load,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            bottoms: [i64::MAX; SPANS],
            bottom: i64::MAX,
            span_begun: 0,
            last_delay: None,
            scatter: Scatter::default(),
            late: 0.0,
            tolerated: 0.0,
            judged_at: 0,
            standing: 0.0,
            chance: 0.0,
            threshold: 0.0,
            load: Load::Under,
        }
    }
}

impl Queue {
    /// A packet arrived at `arrival` after `delay`, overtaken by one sent `late` after it (all in microseconds).
    pub fn arrived(&mut self, arrival: i64, delay: i64, late: u64) {
        self.late = (self.late * (1.0 - 1.0 / LATE_FADES)).max(late as f64);
        if self.last_delay.is_none() {
            (self.span_begun, self.judged_at) = (arrival, arrival);
        }
        if arrival - self.span_begun >= SPAN {
            self.bottoms.rotate_right(1);
            (self.bottoms[0], self.span_begun) = (delay, arrival);
            self.bottom = self.bottoms.iter().copied().fold(delay, i64::min);
        } else if delay < self.bottoms[0] {
            self.bottoms[0] = delay;
            self.bottom = self.bottom.min(delay);
        }
        if let Some(last) = self.last_delay.replace(delay) {
            self.scatter.step(delay - last);
        }
    }

    /// Judges what has arrived. `pardoned` microseconds of queue are the work of a probe.
    pub fn judge(&mut self, delivery: &Delivery, pardoned: f64) -> Load {
        let enough = self.packets_needed();
        let Some((least, packets)) = delivery.least_delay(0, WINDOW, enough) else { return self.load };
        self.standing = least.saturating_sub(self.bottom) as f64;
        let chance = 3.0 * self.spread() / f64::from(packets.max(1));
        self.chance = chance;
        let fixed = THRESHOLD + chance;
        self.threshold = fixed + self.tolerated;
        let falls = || {
            let before = delivery.least_delay(3, WINDOW, enough).map_or(least, |before| before.0);
            ((before - least) as f64) > 3_000.0 + chance / 2.0
        };
        self.load = match self.standing {
            standing if standing <= self.threshold / 2.0 => Load::Under,
            standing if standing <= self.threshold + pardoned => Load::Some,
            _ if falls() => Load::Draining,
            _ => Load::Over,
        };
        self.adapt(delivery.newest(), fixed);
        self.load
    }

    /// Nothing is on its way any more.
    pub const fn drained(&mut self) {
        (self.load, self.standing) = (Load::Under, 0.0);
    }

    /// The queue stands although we have given way: it is not ours alone.
    pub fn tolerate(&mut self) {
        self.tolerated = (self.tolerated + (TOLERATE * self.standing - self.threshold).max(0.0)).min(MOST_TOLERATED);
    }

    /// The last judgement.
    pub const fn load(&self) -> Load {
        self.load
    }

    /// Whether a queue shows at all, be it much too short to give way to.
    pub fn shows(&self) -> bool {
        self.standing > SHOWS + self.chance
    }

    /// How long the standing queue is, in microseconds.
    pub const fn standing(&self) -> f64 {
        self.standing
    }

    /// How far delays are apart, in microseconds, if they scatter evenly: then the mean step is a sixth of it, and where packets
    /// overtake each other the longest lateness is almost all of it.
    pub const fn spread(&self) -> f64 {
        let steps = 6.0 * self.scatter.up.min(self.scatter.down);
        steps.max(self.late)
    }

    /// How much more a delay is than the least of the last seconds, in microseconds.
    pub fn above_bottom(&self, delay: i64) -> u64 {
        delay.saturating_sub(self.bottom).max(0).unsigned_abs()
    }

    fn adapt(&mut self, now: i64, fixed: f64) {
        let seconds = ((now - self.judged_at).clamp(0, 500_000)) as f64 / 1e6;
        self.judged_at = now;
        if self.load == Load::Over {
            self.tolerated += (self.standing - self.threshold) * RISE * seconds;
            self.tolerated = self.tolerated.min(MOST_TOLERATED - fixed).max(0.0);
        } else if self.standing < fixed {
            self.tolerated -= self.tolerated * FALL * seconds;
        }
    }

    fn packets_needed(&self) -> u32 {
        (self.spread() / 6_000.0).clamp(4.0, 40.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    struct Line {
        queue: Queue,
        delivery: Delivery,
        sent: u64,
    }

    impl Line {
        fn new() -> Self {
            Self { queue: Queue::default(), delivery: Delivery::default(), sent: 0 }
        }

        /// A packet each 5 ms for so many seconds, each with the delay in microseconds that `delay` gives it; judged every 20.
        fn run(&mut self, seconds: f64, mut delay: impl FnMut(u64) -> i64) -> Load {
            for n in 0..(seconds * 200.0) as u64 {
                self.sent += 5_000;
                let delay = delay(n);
                let arrival = self.sent as i64 + delay;
                self.delivery.covered(self.sent, 1_000);
                self.queue.arrived(arrival, delay, 0);
                self.delivery.arrived(arrival, delay, 1_000);
                if n % 20 == 19 {
                    self.queue.judge(&self.delivery, 0.0);
                }
            }
            self.queue.load()
        }
    }

    #[test]
    fn a_queue_that_grows_is_overuse_within_half_a_second() {
        let mut line = Line::new();
        assert_eq!(line.run(5.0, |_| 20_000), Load::Under);
        // Five per cent too much: 50 ms of queue a second.
        assert_eq!(line.run(0.8, |n| 20_000 + n as i64 * 250), Load::Over);
        assert!(line.queue.standing() > 20_000.0);
    }

    #[test]
    fn a_queue_that_falls_is_waited_for() {
        let mut line = Line::new();
        line.run(5.0, |_| 20_000);
        line.run(1.0, |n| 20_000 + n as i64 * 1_000);
        assert_eq!(line.run(0.3, |n| 220_000 - n as i64 * 2_000), Load::Draining);
        assert_eq!(line.run(0.5, |_| 21_000), Load::Under);
    }

    #[test]
    fn frames_that_meet_are_no_queue() {
        let mut line = Line::new();
        assert_eq!(line.run(10.0, |n| 20_000 + (n as i64 % 7) * 5_000), Load::Under);
    }

    #[test]
    fn even_jitter_of_200_ms_is_no_queue_and_a_queue_in_it_is() {
        let mut random = Random::new(1);
        let mut line = Line::new();
        let mut jitter = move || (random.next_u32() % 200_000) as i64;
        for second in 0..60 {
            let load = line.run(1.0, |_| 20_000 + jitter());
            assert!(matches!(load, Load::Under | Load::Some), "{second}: {load:?}");
        }
        assert_eq!(line.run(1.5, |n| 20_000 + n as i64 * 1_000 + jitter()), Load::Over);
    }

    #[test]
    fn a_queue_that_stays_whatever_we_do_is_tolerated_in_the_end() {
        let mut line = Line::new();
        line.run(5.0, |_| 20_000);
        assert_eq!(line.run(0.5, |_| 120_000), Load::Over);
        line.queue.tolerate();
        assert_eq!(line.run(0.2, |_| 120_000), Load::Some);
        // It has gone: so has the tolerance.
        line.run(10.0, |_| 20_000);
        assert_eq!(line.run(0.5, |_| 120_000), Load::Over);
    }

    #[test]
    fn a_longer_route_is_a_queue_for_twenty_seconds_at_most() {
        let mut line = Line::new();
        line.run(30.0, |_| 20_000);
        assert_eq!(line.run(1.0, |_| 60_000), Load::Over);
        assert_eq!(line.run(21.0, |_| 60_000), Load::Under);
    }
}
