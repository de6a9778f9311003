//! Pacing: how fast datagrams may leave, so that a key frame does not fill the queue in front of the link.
//!
//! A bucket of bytes. Whoever sends takes from it while it is not empty, and may overdraw it by one datagram; so runs leave together
//! (one system call) as long as there is budget.

use std::time::Duration;

use super::sent::OVERHEAD;
use crate::base::Time;

/// Media may leave at this multiple of the estimate. A wide link delays nothing; more lets key frames fill queues, less delays them.
const FACTOR: f64 = 2.5;
/// The bucket holds so many microseconds at that rate,
const BURST: u64 = 10_000;
/// and so many bytes at least: two datagrams and a half, 24 ms at 1 Mbit/s. A larger one overflows a queue of 30 ms.
const LEAST_BURST: i64 = 3_000;
/// What waits for nothing may overdraw the budget by so many microseconds: more would stop media for as long.
const MOST_DEBT: i64 = 200_000;
/// From so many on, what can wait to be asked for again is not sent.
const DEEP_DEBT: i64 = 50_000;
/// What is sent again may take what is left of so much of the estimate, in hundredths,
const ALL_WITHIN: i64 = 105;
/// and so much of it in any case. More keeps a link full, and its losses look as if they were the link's own.
const REPAIRS_WITHIN: i64 = 20;
/// Over so many microseconds: a burst of losses is repaired at once.
const ALL_OVER: i64 = 500_000;
/// Media may overdraw it by so many microseconds.
const ALL_DEBT: i64 = 100_000;
/// A queue is emptied before its oldest datagram has waited so long.
const MOST_WAIT: Duration = Duration::from_millis(250);
/// The time for that is never taken for less than this.
const LEAST_WAIT: Duration = Duration::from_millis(25);
/// The budget is kept in millionths of a byte: bytes per second times microseconds.
const UNIT: i64 = 1_000_000;

/// The budget of one subscriber.
#[derive(Debug)]
pub struct Pacer {
    budget: i64,
    most: i64,
    /// Bytes per second.
    rate: i64,
    filled: Time,
    estimate: i64,
    /// Bytes per second that the link carries.
    carries: i64,
    /// Bytes that have left.
    spent: u64,
    repairs: Repairs,
}

/// What may be sent again. It is worked out when something is asked for: that is seldom, and media pays nothing for it.
#[derive(Debug, Default)]
struct Repairs {
    /// When it was worked out, and how many bytes had left then.
    at: Time,
    spent: u64,
    /// What is left of what the link carries, and of the part that is for repairs, in the budget's unit.
    left: i64,
    own: i64,
}

impl Pacer {
    /// A full bucket for an estimate in bits per second.
    pub fn new(now: Time, estimate: f64) -> Self {
        let mut pacer = Self { budget: 0, most: 0, rate: 0, filled: now, estimate: 0, carries: 0, spent: 0, repairs: Repairs::default() };
        pacer.set(estimate);
        pacer.budget = pacer.most;
        let left = pacer.carries.saturating_mul(ALL_OVER);
        pacer.repairs = Repairs { at: now, spent: 0, left, own: left / 100 * REPAIRS_WITHIN };
        pacer
    }

    /// The estimate is now this, in bits per second.
    pub fn set(&mut self, estimate: f64) {
        self.carry(estimate);
        self.estimate = (FACTOR * estimate / 8.0) as i64;
        self.apply(self.estimate);
    }

    /// A queue stands in front of the link, and the estimate is this: nothing leaves faster, and at the beginning nothing at all for a
    /// moment. What is sent into a full queue is lost, the key frame with which a smaller picture begins first of all.
    pub fn drain(&mut self, estimate: f64, begins: bool) {
        self.carry(estimate);
        self.estimate = self.carries;
        self.apply(self.estimate);
        if begins {
            self.budget = self.budget.min(-self.rate.saturating_mul(MOST_DEBT));
        }
    }

    /// Whether a datagram may leave now.
    pub fn is_ready(&mut self, now: Time) -> bool {
        self.fill(now);
        self.budget > 0
    }

    /// Whether a datagram of `bytes` (of UDP payload) may be sent again: not when so much was sent already, waiting for nothing or in
    /// all, that it had better wait to be asked for once more. It has to be spent like any other.
    pub fn may_repair(&mut self, now: Time, bytes: usize) -> bool {
        self.fill(now);
        let (most, debt) = (self.carries.saturating_mul(ALL_OVER), -self.carries.saturating_mul(ALL_DEBT));
        let repairs = &mut self.repairs;
        let filled = i64::try_from(now.micros_since(repairs.at)).unwrap_or(i64::MAX).saturating_mul(self.carries / 100);
        let spent = i64::try_from(self.spent.wrapping_sub(repairs.spent)).unwrap_or(i64::MAX).saturating_mul(UNIT);
        let left = repairs.left.saturating_add(filled.saturating_mul(ALL_WITHIN)).saturating_sub(spent);
        let own = repairs.own.saturating_add(filled.saturating_mul(REPAIRS_WITHIN));
        (repairs.at, repairs.spent) = (now.max(repairs.at), self.spent);
        (repairs.left, repairs.own) = (left.clamp(debt, most), own.clamp(debt, most / 100 * REPAIRS_WITHIN));
        if self.budget < -self.rate.saturating_mul(DEEP_DEBT) || repairs.left < 0 && repairs.own < 0 {
            return false;
        }
        if repairs.left < 0 {
            repairs.own -= (bytes + OVERHEAD) as i64 * UNIT;
        }
        true
    }

    /// Takes the budget for a datagram of `bytes` (of UDP payload), if there is any now.
    pub fn take(&mut self, now: Time, bytes: usize) -> bool {
        self.fill(now);
        if self.budget <= 0 {
            return false;
        }
        self.spend(bytes);
        true
    }

    /// A datagram of `bytes` (of UDP payload) leaves that waits for nothing: audio, a repair, a probe.
    pub fn spend(&mut self, bytes: usize) {
        let cost = (bytes + OVERHEAD) as i64 * UNIT;
        self.budget = (self.budget - cost).max(-self.rate.saturating_mul(MOST_DEBT));
        self.spent = self.spent.wrapping_add((bytes + OVERHEAD) as u64);
    }

    /// When there is budget again.
    pub fn next_at(&self) -> Time {
        let missing = (1 - self.budget).max(0);
        self.filled + Duration::from_micros((missing as u64).div_ceil(self.rate.max(1) as u64))
    }

    /// `bytes` wait, the oldest for `oldest`: the rate rises if they would wait for longer than 250 ms otherwise. Nothing waiting
    /// brings it back.
    pub fn queued(&mut self, bytes: usize, oldest: Duration) {
        let left = MOST_WAIT.saturating_sub(oldest).max(LEAST_WAIT);
        let needed = (bytes as u64).saturating_mul(1_000_000) / left.as_micros() as u64;
        let rate = self.estimate.max(i64::try_from(needed).unwrap_or(i64::MAX));
        if rate != self.rate {
            self.apply(rate);
        }
    }

    /// The rate at which datagrams may leave now, in bits per second.
    pub const fn rate(&self) -> u64 {
        self.rate as u64 * 8
    }

    fn carry(&mut self, estimate: f64) {
        let carries = (estimate / 8.0) as i64;
        if carries < self.carries / 10 * 9 {
            // What has left was no more than the link was taken to carry then.
            self.repairs.spent = self.spent;
        }
        self.carries = carries;
    }

    fn apply(&mut self, rate: i64) {
        // 100 Gbit/s: more would overflow the budget after years without a datagram.
        self.rate = rate.min(12_500_000_000);
        self.most = (self.rate * BURST as i64).max(LEAST_BURST * UNIT);
        // What was owed at a higher rate is not owed for longer at a lower one.
        self.budget = self.budget.max(-self.rate.saturating_mul(MOST_DEBT));
    }

    fn fill(&mut self, now: Time) {
        let passed = now.micros_since(self.filled).min(1_000_000) as i64;
        self.filled = now.max(self.filled);
        self.budget = (self.budget + passed * self.rate).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// Bytes (with overhead) that leave in a second when datagrams of 1,200 bytes wait all the time.
    fn in_a_second(pacer: &mut Pacer, from: u64) -> usize {
        (from..from + 1_000_000).step_by(250).map(|micros| if pacer.take(at(micros), 1_200) { 1_200 + OVERHEAD } else { 0 }).sum()
    }

    #[test]
    fn datagrams_leave_at_two_and_a_half_times_the_estimate() {
        let mut pacer = Pacer::new(Time::ZERO, 1e6);
        in_a_second(&mut pacer, 0);
        let bytes = in_a_second(&mut pacer, 1_000_000);
        assert!((bytes as f64 / 312_500.0 - 1.0).abs() < 0.01, "{bytes}");
    }

    #[test]
    fn a_run_leaves_together_and_then_budget_is_waited_for() {
        let mut pacer = Pacer::new(Time::ZERO, 8e6);
        let run = (0..100).take_while(|_| pacer.take(Time::ZERO, 1_200)).count();
        assert_eq!(run, 21, "ten milliseconds at 20 Mbit/s are 25,000 bytes");
        let next = pacer.next_at();
        assert!(next > Time::ZERO && next < Time::from_millis(1));
        assert!(!pacer.take(at(next.as_micros() - 1), 1_200));
        assert!(pacer.take(next, 1_200));
    }

    #[test]
    fn idle_time_saves_no_more_than_a_burst() {
        let mut pacer = Pacer::new(Time::ZERO, 1e6);
        let run = |pacer: &mut Pacer, now: Time| (0..100).take_while(|_| pacer.take(now, 1_200)).count();
        run(&mut pacer, Time::ZERO);
        assert_eq!(run(&mut pacer, Time::from_millis(3_600_000)), 3);
    }

    #[test]
    fn repairs_leave_with_everything_else_at_little_more_than_the_estimate() {
        // Datagrams of media each so many milliseconds, and what repairs may take then, in kbit/s: what is left, or a fifth.
        for (each, least, most) in [(12, 245.0, 320.0), (48, 840.0, 920.0), (9, 195.0, 260.0)] {
            let mut pacer = Pacer::new(Time::ZERO, 1e6);
            let mut repairs = 0;
            for millis in 0..10_000 {
                if millis % each == 0 {
                    assert!(pacer.is_ready(Time::from_millis(millis)) || millis < 1_000, "media does not wait for repairs");
                    pacer.spend(1_172);
                }
                if pacer.may_repair(Time::from_millis(millis), 1_172) {
                    pacer.spend(1_172);
                    repairs += 1_200;
                }
            }
            let rate = f64::from(repairs) * 8.0 / 10_000.0;
            assert!((least..most).contains(&rate), "a datagram of media each {each} ms: {rate} kbit/s");
        }
    }

    #[test]
    fn a_queue_that_would_wait_too_long_raises_the_rate_until_it_is_gone() {
        let mut pacer = Pacer::new(Time::ZERO, 1e6);
        let usual = pacer.rate();
        pacer.queued(50_000, Duration::from_millis(50));
        assert_eq!(usual, pacer.rate(), "312 bytes a millisecond empty it in 160 ms");
        pacer.queued(100_000, Duration::from_millis(50));
        assert_eq!(pacer.rate(), 4_000_000, "it has 200 ms left");
        pacer.queued(100_000, Duration::from_millis(900));
        assert_eq!(pacer.rate(), 32_000_000);
        pacer.queued(0, Duration::ZERO);
        assert_eq!(usual, pacer.rate());
    }
}
