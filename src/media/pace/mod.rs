//! Congestion control towards one subscriber: what its link carries, when to send, when to probe.
//!
//! Pure: told the time and the bytes. [`Link`] owns one connection's state. Out: everything sent is told to [`Link::sent`], the
//! [`pacer`] says when media may leave, [`Link::poll_probe`] what to send beside it. In: transport-wide feedback (or REMB, or
//! receiver reports) moves the [`estimate`].

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

pub mod estimate;
pub mod feedback;
pub mod pacer;
pub mod probe;
mod reports;
pub mod sent;

use std::time::Duration;

use self::estimate::{Change, Estimator, Load, Why};
use self::feedback::Feedback;
use self::pacer::Pacer;
use self::probe::{Path, Prober};
use self::reports::Reports;
use self::sent::{Kind, News, OVERHEAD, SentHistory};
use crate::base::{Bitrate, Time};

/// An estimate is never lower: a voice still fits.
pub const LEAST_ESTIMATE: Bitrate = Bitrate::kbps(30);
/// Nor higher, unless set otherwise.
pub const MOST_ESTIMATE: Bitrate = Bitrate::kbps(100_000);
/// Without transport-wide feedback for so long, other reports count.
const FEEDBACK_STALE: Duration = Duration::from_millis(5_000);
/// A decrease below this share of the estimate is no correction: the link has broken down.
const COLLAPSE: f64 = 0.6;
/// A receiver that has said nothing for so long after the first datagram never will.
const SILENT_FROM_THE_START: Duration = Duration::from_millis(3_000);
/// When everything sent has arrived and for so long nothing more was sent, no queue of ours is left.
const IDLE: Duration = Duration::from_millis(100);
/// A receiver that has never sent feedback gets so many probes.
const UNANSWERED: u32 = 3;
/// Feedback may speak of so many numbers for each that was sent: where the order changes much, a receiver says again all that came since.
/// More would let a few bytes keep a worker busy.
const WORDS_EACH: u32 = 16;
/// And of so many at most without anything having been sent meanwhile.
const MOST_WORDS: u32 = 8 * feedback::MOST_PACKETS as u32;

/// What has been counted about one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Feedbacks that were read.
    pub feedbacks: u64,
    /// Feedbacks that could not be read, or spoke of many more numbers than were sent.
    pub unusable: u64,
    /// Numbers that feedback spoke of although they were never sent, or are forgotten.
    pub unknown: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// The congestion control of one subscriber's connection. What every datagram touches comes first.
#[derive(Debug)]
#[repr(C)]
pub struct Link {
    history: SentHistory,
    pacer: Pacer,
    /// When the first datagram left, and whether any report has come since.
    begun: Option<Time>,
    answered: bool,
    /// Whether anything left with a transport-wide number.
    numbered: bool,
    /// Numbers that feedback may still speak of.
    words: u32,
    counts: LinkCounts,
    prober: Prober,
    estimator: Estimator,
    most: f64,
    /// The newest arrival told of, on the receiver's clock, in ticks of 250 µs that never wrap.
    newest_tick: Option<i64>,
    feedback_at: Option<Time>,
    /// The estimate fell by so much that a long queue stands: it drains before anything else is sent.
    collapsed: bool,
    reports: Reports,
}

impl Link {
    /// A link of which nothing is known; `start` is where its estimate begins.
    pub fn new(now: Time, start: Bitrate) -> Self {
        let start = start.as_bps() as f64;
        let most = MOST_ESTIMATE.as_bps() as f64;
        let estimator = Estimator::new(now, start, LEAST_ESTIMATE.as_bps() as f64, most);
        Self {
            history: SentHistory::new(),
            prober: Prober::new(estimator.rate()),
            pacer: Pacer::new(now, estimator.rate()),
            estimator,
            most,
            counts: LinkCounts::default(),
            newest_tick: None,
            feedback_at: None,
            begun: None,
            answered: false,
            numbered: false,
            words: MOST_WORDS,
            collapsed: false,
            reports: Reports::new(now, start),
        }
    }

    /// The estimate never goes above this.
    pub fn limit(&mut self, most: Bitrate) {
        self.most = most.max(LEAST_ESTIMATE).as_bps() as f64;
        self.estimator.bound(LEAST_ESTIMATE.as_bps() as f64, self.most);
        self.pacer.set(self.estimator.rate());
    }

    /// Asks for the memory that [`Self::sent`] writes beside its own.
    pub fn fetch(&self) {
        self.history.fetch();
    }

    /// Asks for the memory that the next [`Self::feedback`] reads and writes beside its own.
    pub fn fetch_reported(&self) {
        self.history.fetch_reported();
    }

    /// A datagram of `bytes` (of UDP payload) left now under this transport-wide number.
    pub fn sent(&mut self, now: Time, number: u16, bytes: usize, kind: Kind) {
        self.begun.get_or_insert(now);
        let bytes = bytes + OVERHEAD;
        self.numbered = true;
        self.words = (self.words + WORDS_EACH).min(MOST_WORDS);
        self.history.record(now, number, bytes, kind);
        self.prober.sent(now, self.history.next() - 1, bytes as u32);
        self.counts.bytes += bytes as u64;
    }

    /// A datagram of `bytes` (of UDP payload) left now without a transport-wide number.
    pub fn sent_unnumbered(&mut self, now: Time, bytes: usize) {
        self.begun.get_or_insert(now);
        self.counts.bytes += (bytes + OVERHEAD) as u64;
    }

    /// Transport-wide feedback came; whether it could be read, and spoke of no more than it may.
    pub fn feedback(&mut self, now: Time, fci: &[u8]) -> bool {
        let read = Feedback::parse(fci).and_then(|feedback| Some((self.words.checked_sub(feedback.packets().into())?, feedback)));
        let Some((words, feedback)) = read else {
            self.counts.unusable += 1;
            return false;
        };
        self.words = words;
        self.counts.feedbacks += 1;
        self.feedback_at = Some(now);
        self.answered = true;
        let passed_over = self.history.pass_over(feedback.base());
        if passed_over > 0 {
            self.estimator.passed_over(passed_over);
        }
        let mut before = self.history.on_the_way() + passed_over;
        for status in feedback.statuses() {
            let news = self.history.report(now, status.number, status.arrival.is_some());
            let after = self.history.on_the_way();
            if let News::Received { sent, .. } | News::Lost(sent) = news {
                self.estimator.covered(sent.at, before - after);
                before = after;
            }
            match (news, status.arrival) {
                (News::Received { sent, passed_over }, Some(tick)) => {
                    let arrival = self.unwrap_tick(tick).saturating_mul(250);
                    let late = self.estimator.arrived(&sent, arrival, !passed_over);
                    self.history.note_delay(sent.number, late);
                    self.prober.arrived(&sent, arrival);
                }
                (News::Unknown, _) => self.counts.unknown += 1,
                _ => {}
            }
        }
        let (estimate, was_silent) = (self.estimator.rate(), self.estimator.is_silent());
        let change = self.estimator.feedback(now, feedback.count(), &self.history);
        if was_silent {
            self.prober.hurry(now);
        }
        self.follow(now, change, estimate);
        self.learn(now);
        true
    }

    /// The receiver estimates its link itself (REMB).
    pub fn remb(&mut self, now: Time, rate: Bitrate) {
        self.answered = true;
        if self.has_no_feedback(now) {
            let rate = self.reports.remb(now, rate.as_bps() as f64, self.estimator.rate());
            self.estimator.told(now, rate, Why::Remb);
            self.pacer.set(self.estimator.rate());
        }
    }

    /// A receiver report came: in 256ths what was lost of a stream since the last one, and the round trip if known.
    pub fn receiver_report(&mut self, now: Time, fraction_lost: u8, round_trip: Option<Duration>) {
        self.answered = true;
        if !self.has_no_feedback(now) {
            return;
        }
        let round_trip = round_trip.map(|round_trip| round_trip.as_micros() as f64);
        if let Some(round_trip) = round_trip {
            self.estimator.note_round_trip(round_trip);
        }
        let (lost, rates) = (f64::from(fraction_lost) / 256.0, (self.estimator.rate(), self.prober.wanted()));
        if let Some(rate) = self.reports.report(now, lost, round_trip, self.counts.bytes, rates) {
            self.estimator.told(now, rate, Why::Report);
            self.pacer.set(self.estimator.rate());
        }
    }

    /// Whether its receiver has never reported anything, although there was much time to: it does not, whatever it negotiated.
    pub fn is_unanswered(&self, now: Time) -> bool {
        !self.answered && self.begun.is_some_and(|at| now.since(at) > SILENT_FROM_THE_START)
    }

    /// What the link carries, on the wire.
    pub fn estimate(&self) -> Bitrate {
        Bitrate::bps(self.estimator.rate() as u64)
    }

    /// What may be divided among pictures, on the wire.
    pub fn share(&self, now: Time) -> Bitrate {
        Bitrate::bps(self.estimator.share(now) as u64)
    }

    /// Whether a queue stands that is too long.
    pub fn is_overusing(&self) -> bool {
        matches!(self.estimator.load(), Load::Over | Load::Draining)
    }

    /// What the next better choice of layers needs, on the wire; 0 when nothing is missing.
    pub fn want(&mut self, now: Time, rate: Bitrate) {
        self.prober.want(now, rate.as_bps() as f64);
    }

    /// How many bytes (of UDP payload, at most 1,200) to send beside media now, as padding or as packets repeated; call until `None`.
    /// What is sent is told to [`Self::sent`] as [`Kind::Probe`], and waits for no pacer.
    pub fn poll_probe(&mut self, now: Time) -> Option<usize> {
        self.prober.poll(now, self.estimator.is_silent())
    }

    /// When [`Self::handle_timeout`] and then [`Self::poll_probe`] have something to do.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        let probe = self.prober.next_due(self.estimator.rate(), self.may_probe(), self.estimator.is_silent(), self.patience());
        let idle = self.feedback_at.filter(|_| self.history.on_the_way() == 0 && self.estimator.load() != Load::Under);
        [probe, idle.map(|at| at + IDLE), self.estimator.next_due(now, &self.history)].into_iter().flatten().min()
    }

    /// Time has passed: feedback may have stopped, a probe may be due.
    pub fn handle_timeout(&mut self, now: Time) {
        let estimate = self.estimator.rate();
        let change = self.estimator.handle_timeout(now, &self.history);
        self.follow(now, change, estimate);
        self.learn(now);
        if self.history.on_the_way() == 0 && self.feedback_at.is_some_and(|at| now.since(at) >= IDLE) {
            self.estimator.drained(now);
        }
        if self.may_probe()
            && let Some(bytes) = self.prober.begin(now, self.estimator.rate(), self.most, self.path())
        {
            self.estimator.pardon(now, bytes);
        }
    }

    /// When media may leave.
    pub const fn pacer(&mut self) -> &mut Pacer {
        &mut self.pacer
    }

    /// The share of datagrams that are lost, smoothed over about two seconds.
    pub const fn loss(&self) -> f64 {
        self.estimator.loss()
    }

    /// The share that is lost whatever is sent.
    pub const fn inherent_loss(&self) -> f64 {
        self.estimator.inherent_loss()
    }

    /// The time from sending a datagram to the feedback about it, smoothed: a round trip and half a feedback's interval.
    pub fn round_trip(&self) -> Duration {
        Duration::from_micros(self.estimator.round_trip() as u64)
    }

    /// Why the estimate is what it is, and everything else there is to explain.
    pub const fn estimator(&self) -> &Estimator {
        &self.estimator
    }

    /// The last reason for a change.
    pub const fn why(&self) -> Why {
        self.estimator.why()
    }

    /// What has been counted.
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.history.memory()
    }

    fn has_no_feedback(&self, now: Time) -> bool {
        self.feedback_at.is_none_or(|at| now.since(at) > FEEDBACK_STALE)
    }

    fn follow(&mut self, now: Time, change: Change, before: f64) {
        if change == Change::Fell {
            self.prober.fell(now, before, self.estimator.rate());
        }
        let collapsed = change == Change::Fell && self.estimator.rate() < COLLAPSE * before;
        self.collapsed = collapsed || self.collapsed && self.is_overusing();
        if self.collapsed {
            self.pacer.drain(self.estimator.rate(), collapsed);
        } else {
            self.pacer.set(self.estimator.rate());
        }
    }

    fn learn(&mut self, now: Time) {
        if self.prober.awaits()
            && let Some(found) = self.prober.found(now, &self.history, self.patience(), self.path())
        {
            let before = self.estimator.rate();
            self.estimator.probed(now, found);
            self.prober.learned(now, found.limited, before, self.estimator.rate());
            self.pacer.set(self.estimator.rate());
        }
    }

    /// Whether a probe would tell something: no queue stands already, and the receiver sends feedback (or nobody knows yet).
    fn may_probe(&self) -> bool {
        // What has no number is in no feedback: nothing would be learnt from it, nor would it ever be enough.
        let answers = self.numbered && (self.feedback_at.is_some() || self.prober.untold() < UNANSWERED);
        answers && self.estimator.load() == Load::Under && !self.estimator.is_silent()
    }

    /// How long feedback about a probe is waited for.
    fn patience(&self) -> Duration {
        self.round_trip() + Duration::from_millis(400)
    }

    fn path(&self) -> Path {
        Path { loss: self.estimator.inherent_loss(), apart: self.estimator.apart(), spread: self.estimator.spread() }
    }

    /// The tick nearest to the newest one on the circle of 32 bits.
    fn unwrap_tick(&mut self, tick: u32) -> i64 {
        let newest = self.newest_tick.unwrap_or(i64::from(tick));
        let tick = newest.saturating_add(i64::from(tick.wrapping_sub(newest as u32).cast_signed()));
        self.newest_tick = Some(newest.max(tick));
        tick
    }
}

#[cfg(test)]
mod tests;
