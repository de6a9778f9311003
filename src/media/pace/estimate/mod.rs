//! The estimate: how many bits per second one subscriber's link carries.
//!
//! ```text
//! feedback → delivery (acknowledged rate, least delay) → queue (too long? falling?) ─┐
//!          → loss (risen? our doing?) ───────────────────────────────────────────────┼→ rate
//!          → silence (no feedback) ──────────────────────────────────────────────────┤
//! probes ────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The control law is that of draft-ietf-rmcat-gcc-02 section 5.5 in spirit, with three differences that a forwarder of layers needs.
//! It hardly ever sends as much as it may, since layers come in steps: so growing by itself means little, and probes find the
//! capacity, which is remembered. A decrease aims at what the link was seen to carry, lower by as much as drains the queue in about
//! a second; once it is drained the estimate goes back to just below the capacity instead of climbing there. And what is judged is
//! the queue that stands, not its gradient: the least delay is the one figure that jitter leaves alone.

mod delivery;
mod loss;
mod queue;
mod silence;
mod why;

use std::time::Duration;

use self::delivery::{Delivery, Rates};
use self::loss::{Loss, Seen, Verdict};
use self::queue::Queue;
use self::silence::Silence;
use super::probe::Found;
use super::sent::{Sent, SentHistory};
use crate::base::Time;

pub use self::queue::Load;
pub use self::why::Why;

/// The acknowledged rate that a decrease goes by is over so many microseconds, more where delays scatter.
const SHORT: i64 = 150_000;
/// That which bounds growth, over so many.
const LONG: i64 = 1_200_000;
/// Below a known capacity by this factor the estimate comes to rest. Nearer, bursts of frames meet in a queue.
const REST: f64 = 0.97;
/// And by this where delays scatter: what is known of the capacity does too.
const REST_JITTERS: f64 = 0.93;
/// Above the acknowledged rate by this factor at most the estimate grows by itself while the capacity is known,
const NEAR: f64 = 1.05;
/// and by this while it is not.
const FAR: f64 = 1.5;
/// Growth in a second, as a share of the estimate.
const GROWTH: f64 = 0.08;
/// One decrease takes away this share of the estimate at most, unless less than was sent gets through.
const LEAST_KEPT: f64 = 0.7;
/// The same where delays scatter: then it may be chance.
const LEAST_KEPT_JITTERS: f64 = 0.85;
/// So many decreases without an end of the queue show that it is not ours alone.
const IN_VAIN: u32 = 3;
/// Then nothing more is taken away while this share of what is sent arrives.
const GETS_THROUGH: f64 = 0.9;
/// Queues drain within so many microseconds.
const DRAIN: f64 = 1_000_000.0;
/// Delays are apart by this many microseconds, and by the time of so many bits at the estimate, without any jitter: frames that meet.
const OWN_SPREAD: f64 = 15_000.0;
const OWN_BITS: f64 = 30_000.0;
/// While a queue drains pictures may take this part of the capacity: the rest drains it.
const SHARE_WHILE_DRAINING: f64 = 0.8;
/// And for so long after a decrease: until the estimate is back at the capacity.
const SHARE_AFTER_DRAINING: Duration = Duration::from_secs(4);
/// Without news the capacity is trusted for so many microseconds; then it bounds growth less by [`FADE`] a second.
const TRUST: u64 = 30_000_000;
const FADE: f64 = 0.02;

/// What the link was last seen to carry when it was busy.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    rate: f64,
    seen: Time,
}

/// The estimator of one link. Rates are in bits per second, on the wire.
#[derive(Debug)]
pub struct Estimator {
    delivery: Delivery,
    queue: Queue,
    loss: Loss,
    silence: Silence,
    rate: f64,
    least: f64,
    most: f64,
    capacity: Option<Capacity>,
    why: Why,
    counts: [u64; Why::COUNT],
    updated: Time,
    /// When it was lowered because of a queue, and what got through then.
    cut: Option<(Time, f64)>,
    /// When it was lowered for any reason.
    lowered: Option<Time>,
    /// How often since there was no queue.
    cuts: u32,
    /// The estimate before feedback stopped.
    before_silence: Option<f64>,
    round_trip: f64,
    least_round_trip: f64,
    /// Of the newest datagram that arrived, when it had been sent.
    newest_sent: Time,
    /// Difference of the clocks' zeros in microseconds, so that delays are small numbers.
    zero: Option<i64>,
    /// A probe may have made a queue until then, and of how many microseconds.
    pardon: (Time, f64),
}

/// What an update changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that others need to know.
    None,
    /// The estimate fell: by a cut, not by noise.
    Fell,
}

impl Estimator {
    /// Knows nothing but where to begin.
    pub fn new(now: Time, start: f64, least: f64, most: f64) -> Self {
        Self {
            delivery: Delivery::default(),
            queue: Queue::default(),
            loss: Loss::default(),
            silence: Silence::default(),
            rate: start.clamp(least, most),
            least,
            most,
            capacity: None,
            why: Why::Start,
            counts: [0; Why::COUNT],
            updated: now,
            cut: None,
            lowered: None,
            cuts: 0,
            before_silence: None,
            round_trip: 100_000.0,
            least_round_trip: f64::INFINITY,
            newest_sent: Time::ZERO,
            zero: None,
            pardon: (Time::ZERO, 0.0),
        }
    }

    /// The estimate.
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// What may be divided among pictures: while a queue drains, and for a moment after, nearly what the link was seen to carry. The
    /// estimate is lower then, and to send nothing meanwhile would let pictures stand still for as long.
    pub fn share(&self, now: Time) -> f64 {
        let lowered = self.lowered.is_some_and(|at| now.since(at) < SHARE_AFTER_DRAINING);
        match self.capacity {
            Some(known) if lowered => self.rate.max(SHARE_WHILE_DRAINING * known.rate),
            _ => self.rate,
        }
    }

    /// Why it is what it is.
    pub const fn why(&self) -> Why {
        self.why
    }

    /// How often it was changed for this reason; holding and growing count each feedback.
    pub fn count(&self, why: Why) -> u64 {
        self.counts.get(why as usize).copied().unwrap_or(0)
    }

    /// What the queue says.
    pub const fn load(&self) -> Load {
        self.queue.load()
    }

    /// How long the queue stands that was last seen.
    pub fn standing_queue(&self) -> Duration {
        Duration::from_micros(self.queue.standing() as u64)
    }

    /// Share of datagrams lost, smoothed.
    pub const fn loss(&self) -> f64 {
        self.loss.smoothed()
    }

    /// Share of datagrams that the link loses at any rate.
    pub const fn inherent_loss(&self) -> f64 {
        self.loss.inherent()
    }

    /// Whether datagrams change their order on the way.
    pub const fn reorders(&self) -> bool {
        self.loss.reorders()
    }

    /// How far delays are apart that scatter evenly, in microseconds; 0 when that is no more than our own frames explain.
    pub fn spread(&self) -> f64 {
        let spread = self.queue.spread();
        if spread > (OWN_BITS * 1e6 / self.rate).max(OWN_SPREAD) { spread } else { 0.0 }
    }

    /// How far delays are apart, for whatever reason, in microseconds.
    pub const fn apart(&self) -> f64 {
        self.queue.spread()
    }

    /// Time from sending a datagram to the feedback about it, smoothed, in microseconds.
    pub const fn round_trip(&self) -> f64 {
        self.round_trip
    }

    /// Whether feedback has stopped.
    pub const fn is_silent(&self) -> bool {
        self.silence.lasts()
    }

    /// The round trip as measured by other means, in microseconds, where there is no transport-wide feedback.
    pub fn note_round_trip(&mut self, round_trip: f64) {
        self.round_trip += (round_trip - self.round_trip) / 8.0;
    }

    /// Bounds of the estimate.
    pub fn bound(&mut self, least: f64, most: f64) {
        (self.least, self.most) = (least, most.max(least));
        self.rate = self.rate.clamp(self.least, self.most);
    }

    /// Feedback spoke of datagrams of `bytes`, or passed over them; the newest of them left at `sent`.
    pub fn covered(&mut self, sent: Time, bytes: u64) {
        self.delivery.covered(sent.as_micros(), bytes);
    }

    /// Feedback that spoke of `bytes` was lost; nothing is known but that others arrive.
    pub fn passed_over(&mut self, bytes: u64) {
        self.delivery.presumed((bytes as f64 * (1.0 - self.loss.smoothed())) as u64);
    }

    /// A datagram arrived at `arrival` (in microseconds of the receiver's clock); its bytes count unless they were presumed. Returns how
    /// many milliseconds later than the fastest ones it arrived.
    pub fn arrived(&mut self, sent: &Sent, arrival: i64, counts: bool) -> u8 {
        let at = sent.at.as_micros() as i64;
        let zero = *self.zero.get_or_insert(arrival - at);
        let delay = arrival - at - zero;
        self.delivery.arrived(arrival, delay, if counts { u64::from(sent.bytes) } else { 0 });
        let late = self.newest_sent.micros_since(sent.at);
        self.queue.arrived(arrival, delay, late);
        if late > 0 {
            self.loss.came_late(late);
        }
        self.newest_sent = self.newest_sent.max(sent.at);
        u8::try_from(self.queue.above_bottom(delay) / 1_000).unwrap_or(u8::MAX)
    }

    /// A whole feedback has been read.
    pub fn feedback(&mut self, now: Time, count: u8, history: &SentHistory) -> Change {
        self.measure_round_trip(now);
        let came_back = self.silence.heard(now, count);
        let pardoned = if now < self.pardon.0 { self.pardon.1 } else { 0.0 };
        let load = self.queue.judge(&self.delivery, pardoned);
        if came_back {
            return self.resume(now);
        }
        let before = self.rate;
        let settles = now + Duration::from_micros(self.round_trip as u64 + 100_000);
        let seen = Seen { queue: self.queue.shows(), spread: self.queue.spread(), estimate: self.rate, settles };
        match self.loss.judge(now, history, self.newest_sent, seen) {
            Verdict::Lower(rate) => {
                self.capacity = Some(Capacity { rate: rate.min(self.rate), seen: now });
                self.set(now, rate, Why::DecreaseLoss);
            }
            Verdict::Restore(rate) => {
                self.capacity = None;
                self.set(now, rate.max(self.rate), Why::Restore);
            }
            Verdict::None => match load {
                Load::Over => self.over(now, history.on_the_way()),
                Load::Draining => self.draining(now),
                Load::Some => self.set(now, self.rate, Why::Hold),
                Load::Under => {
                    self.cuts = 0;
                    self.grow(now);
                }
            },
        }
        self.updated = now;
        if self.rate < 0.98 * before { Change::Fell } else { Change::None }
    }

    /// A probe found something.
    pub fn probed(&mut self, now: Time, found: Found) {
        let Found { sent, received, acknowledged, limited, precise } = found;
        if let Some(before) = self.loss.carried(now, acknowledged) {
            self.set(now, before.max(self.rate), Why::Restore);
        }
        if !precise && self.queue.shows() {
            // The queue it made tells more than its arrivals.
            return;
        }
        // Where delays scatter, one probe moves what is known by little.
        let jitters = self.spread() > 0.0;
        let (near, weight) = if jitters { (1.35, 0.25) } else { (1.1, 0.5) };
        let carries = match self.capacity {
            Some(known) if received < near * known.rate => known.rate + (received - known.rate) * weight,
            _ => received,
        };
        let found = match (limited, jitters) {
            (true, true) => self.rest() * carries,
            (true, false) => self.rest() * received,
            (false, _) => sent.min(received),
        };
        let precise = limited && precise;
        if precise && received > 0.8 * self.rate {
            self.capacity = Some(Capacity { rate: carries, seen: now });
        } else if found > self.rate && self.capacity.is_some_and(|known| found > known.rate) {
            self.capacity = None;
        }
        if found > self.rate {
            self.set(now, found, Why::ProbeUp);
        } else if let Some(known) = self.capacity.filter(|known| precise && known.seen == now && known.rate < self.rate) {
            self.set(now, known.rate, Why::ProbeDown);
        }
    }

    /// A probe of `bytes` is sent: until a while after, a queue of its length is no overuse.
    pub fn pardon(&mut self, now: Time, bytes: f64) {
        self.pardon = (now + Duration::from_micros(self.round_trip as u64 + 600_000), bytes * 8e6 / self.rate);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_due(&self, now: Time, history: &SentHistory) -> Option<Time> {
        self.silence.deadline(history.waiting_since(now), self.round_trip)
    }

    /// Halves the estimate when feedback has stopped, and again each half second.
    pub fn handle_timeout(&mut self, now: Time, history: &SentHistory) -> Change {
        if self.next_due(now, history).is_none_or(|due| now < due) {
            return Change::None;
        }
        self.before_silence.get_or_insert(self.rate);
        self.silence.declare(now);
        self.set(now, self.rate / 2.0, Why::Outage);
        Change::Fell
    }

    /// Everything that was sent has arrived and nothing follows: whatever the last packets said, no queue is left.
    pub fn drained(&mut self, now: Time) {
        if self.queue.load() != Load::Under {
            self.queue.drained();
            if let Some(known) = self.capacity {
                self.set(now, self.rate.max(self.rest() * known.rate), Why::Increase);
            }
        }
    }

    /// What other reports say, where there is no transport-wide feedback.
    pub fn told(&mut self, now: Time, rate: f64, why: Why) {
        self.set(now, rate, why);
    }

    fn rest(&self) -> f64 {
        if self.spread() > 0.0 { REST_JITTERS } else { REST }
    }

    /// What has to be sent for `received` to arrive.
    fn through(&self, received: f64) -> f64 {
        received / self.loss.arriving()
    }

    fn over(&mut self, now: Time, on_the_way: u64) {
        let Some(Rates { received, sent }) = self.delivery.rates(SHORT + self.queue.spread() as i64 / 2) else {
            return self.set(now, self.rate, Why::Hold);
        };
        let passes = self.through(received).max(self.least);
        let again = self.cut.is_none_or(|(at, passed)| now.micros_since(at) as f64 >= self.round_trip + 100_000.0 || passes < 0.85 * passed);
        if !again {
            return self.set(now, self.rate, Why::Hold);
        }
        let (collapse, kept) = if self.spread() > 0.0 { (0.65, LEAST_KEPT_JITTERS) } else { (0.8, LEAST_KEPT) };
        let collapsed = passes < collapse * sent;
        self.cuts += 1;
        if !collapsed && self.cuts >= IN_VAIN {
            self.queue.tolerate();
            if self.cuts > IN_VAIN && passes >= GETS_THROUGH * sent {
                // What is sent gets through, and to send less has shortened nothing: to go on would end with nothing at all.
                return self.set(now, self.rate, Why::Hold);
            }
        }
        // What is on its way will stand in the queue too.
        let expected = on_the_way as f64 * 8e6 / passes - self.least_round_trip;
        let share = (self.queue.standing().max(expected) / DRAIN).clamp(0.05, 0.5);
        let target = if collapsed { passes * (1.0 - share) } else { (passes * (1.0 - share)).max(kept * self.rate) };
        // Of a second decrease the estimate says how the queue is drained, and no more what the link carries.
        let most = self.capacity.filter(|_| self.cuts > 1).map_or(self.rate, |known| known.rate.max(self.rate));
        self.capacity = Some(Capacity { rate: passes.min(most), seen: now });
        self.cut = Some((now, passes));
        self.loss.explained(now + Duration::from_micros(self.round_trip as u64 + 200_000));
        self.set(now, target.min(self.rate), Why::DecreaseDelay);
    }

    /// While a queue drains, what arrives is what the link carries.
    fn draining(&mut self, now: Time) {
        if let (Some(known), Some(rates)) = (&mut self.capacity, self.delivery.rates(SHORT)) {
            let passes = rates.received / self.loss.arriving();
            *known = Capacity { rate: known.rate + (passes - known.rate) / 4.0, seen: now };
        }
        self.set(now, self.rate, Why::Hold);
    }

    fn grow(&mut self, now: Time) {
        let Some(rates) = self.delivery.rates(LONG) else { return self.set(now, self.rate, Why::Hold) };
        let acknowledged = self.through(rates.received);
        let settled = self.lowered.is_none_or(|at| now.micros_since(at) as f64 > LONG as f64 + self.round_trip);
        let (bound, rest) = match self.capacity {
            Some(known) => {
                let fade = 1.0 + FADE * now.micros_since(known.seen).saturating_sub(TRUST) as f64 / 1e6;
                let near = if settled { NEAR * acknowledged } else { 0.0 };
                let rest = self.rest() * known.rate;
                ((rest * fade).max(near), rest)
            }
            None => (FAR * acknowledged, 0.0),
        };
        let seconds = now.micros_since(self.updated).min(500_000) as f64 / 1e6;
        let grown = (self.rate * (1.0 + GROWTH * seconds)).max(rest);
        let rate = grown.min(bound).max(self.rate);
        self.set(now, rate, if rate > self.rate { Why::Increase } else { Why::Hold });
    }

    /// Feedback is back: what it says decides, beginning with half of what was.
    fn resume(&mut self, now: Time) -> Change {
        self.updated = now;
        if let Some(before) = self.before_silence.take() {
            self.loss.explained(now);
            if self.queue.load() != Load::Over {
                // Once halved: it was short, perhaps only feedbacks that got lost.
                let back = if self.rate > 0.4 * before { before } else { before / 2.0 };
                self.set(now, back.max(self.rate), Why::Restore);
            }
        }
        Change::None
    }

    fn measure_round_trip(&mut self, now: Time) {
        if self.newest_sent == Time::ZERO {
            // Nothing has arrived yet: there is nothing to measure from.
            return;
        }
        let sample = now.micros_since(self.newest_sent) as f64;
        self.round_trip += (sample - self.round_trip) / 8.0;
        // Slowly upwards, so that a longer route is learned within a minute.
        self.least_round_trip = sample.min(self.least_round_trip * 1.001);
    }

    fn set(&mut self, now: Time, rate: f64, why: Why) {
        let rate = rate.clamp(self.least, self.most);
        if rate < self.rate {
            self.lowered = Some(now);
        }
        self.rate = rate;
        self.why = why;
        if let Some(count) = self.counts.get_mut(why as usize) {
            *count += 1;
        }
    }
}
