//! One direction of a way: a queue before a capacity, then loss, then delay.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::random::Random;
use crate::shape::Shape;

/// How long anything may have waited (µs): figures above it are told as this.
const LONGEST_US: u64 = 60_000_000;

/// A direction.
pub struct Way {
    shape: Shape,
    random: Random,
    queue: VecDeque<Waiting>,
    queued: usize,
    /// When the first in the queue is through.
    head_done: Instant,
    flying: BinaryHeap<Reverse<Flying>>,
    departed: u64,
    last_arrival: Instant,
    /// In the bad state of the bursts.
    bad: bool,
    counts: Counts,
    waits: Histogram<u64>,
}

struct Waiting {
    frame: Vec<u8>,
    since: Instant,
}

struct Flying {
    at: Instant,
    /// Those of the same moment stay in order.
    order: u64,
    frame: Vec<u8>,
}

#[derive(Default)]
struct Counts {
    came: u64,
    delivered: u64,
    delivered_bytes: u64,
    overflowed: u64,
    lost: u64,
}

impl Way {
    /// One that passes everything at once.
    pub fn new(now: Instant, random: Random) -> Self {
        Self {
            shape: Shape::default(),
            random,
            queue: VecDeque::new(),
            queued: 0,
            head_done: now,
            flying: BinaryHeap::new(),
            departed: 0,
            last_arrival: now,
            bad: false,
            counts: Counts::default(),
            waits: Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that a histogram takes"),
        }
    }

    /// Shapes it anew; what waits goes on waiting, at the new capacity.
    pub fn reshape(&mut self, now: Instant, shape: Shape) {
        self.serve(now);
        let before = std::mem::replace(&mut self.shape, shape);
        match (before.capacity, self.shape.capacity) {
            (Some(old), Some(new)) if !self.queue.is_empty() => {
                let left = self.head_done.saturating_duration_since(now);
                self.head_done = now + left.mul_f64(old as f64 / new.max(1) as f64);
            }
            (_, None) => {
                while let Some(waiting) = self.queue.pop_front() {
                    self.depart(now, waiting);
                }
                self.queued = 0;
            }
            _ => {}
        }
        // A queue that has become shorter does not keep what it has no room for.
        while self.shape.capacity.is_some_and(|bps| self.queued > self.shape.queue(bps)) {
            let Some(Waiting { frame, .. }) = self.queue.pop_back() else { break };
            self.queued -= frame.len();
            self.counts.overflowed += 1;
        }
    }

    /// Takes what has come to its beginning.
    pub fn take(&mut self, now: Instant, frame: &[u8]) {
        self.serve(now);
        if !is_ip(frame) {
            // Whoever asks for a hardware address is no part of what is tried.
            return self.fly(now, frame.to_vec());
        }
        self.counts.came += 1;
        let waiting = Waiting { frame: frame.to_vec(), since: now };
        let Some(bps) = self.shape.capacity else { return self.depart(now, waiting) };
        if self.queued + frame.len() > self.shape.queue(bps) {
            self.counts.overflowed += 1;
            return;
        }
        if self.queue.is_empty() {
            self.head_done = now + through(frame, bps);
        }
        self.queued += frame.len();
        self.queue.push_back(waiting);
    }

    /// The next frame that has come to its end.
    pub fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.serve(now);
        if self.flying.peek().is_none_or(|Reverse(first)| first.at > now) {
            return None;
        }
        let Reverse(Flying { frame, .. }) = self.flying.pop()?;
        if is_ip(&frame) {
            self.counts.delivered += 1;
            self.counts.delivered_bytes += frame.len() as u64;
        }
        Some(frame)
    }

    /// When something happens by itself.
    pub fn next_at(&self) -> Option<Instant> {
        let head = (!self.queue.is_empty()).then_some(self.head_done);
        self.flying.peek().map(|Reverse(first)| first.at).into_iter().chain(head).min()
    }

    /// What has passed so far, and how long it had to wait in the queue since [`Way::forget`].
    pub fn counts(&mut self, now: Instant) -> Value {
        self.serve(now);
        let milliseconds = |us: u64| us as f64 / 1_000.0;
        let standing = self.shape.capacity.map_or(0, |bps| self.queued as u64 * 8_000_000 / bps.max(1));
        let Counts { came, delivered, delivered_bytes, overflowed, lost } = self.counts;
        json!({
            "came": came,
            "delivered": delivered,
            "delivered_bytes": delivered_bytes,
            "overflowed": overflowed,
            "lost": lost,
            "queue_ms": {
                "now": milliseconds(standing),
                "median": milliseconds(self.waits.value_at_quantile(0.5)),
                "p95": milliseconds(self.waits.value_at_quantile(0.95)),
                "greatest": milliseconds(self.waits.max()),
                "packets": self.waits.len(),
            },
        })
    }

    /// Lets the figures of the queue begin anew.
    pub fn forget(&mut self) {
        self.waits.reset();
    }

    /// Lets those depart that are through by now.
    fn serve(&mut self, now: Instant) {
        let Some(bps) = self.shape.capacity else { return };
        while self.head_done <= now {
            let Some(waiting) = self.queue.pop_front() else { return };
            self.queued -= waiting.frame.len();
            let done = self.head_done;
            self.depart(done, waiting);
            if let Some(next) = self.queue.front() {
                self.head_done = done + through(&next.frame, bps);
            }
        }
    }

    fn depart(&mut self, at: Instant, Waiting { frame, since }: Waiting) {
        self.waits.saturating_record((at.saturating_duration_since(since).as_micros() as u64).min(LONGEST_US));
        if self.loses() {
            self.counts.lost += 1;
            return;
        }
        let mut arrival = at + self.shape.delay(self.random.share());
        if !self.shape.reorder {
            arrival = arrival.max(self.last_arrival);
        }
        self.last_arrival = self.last_arrival.max(arrival);
        self.fly(arrival, frame);
    }

    fn fly(&mut self, at: Instant, frame: Vec<u8>) {
        self.departed += 1;
        self.flying.push(Reverse(Flying { at, order: self.departed, frame }));
    }

    fn loses(&mut self) -> bool {
        self.bad = match self.shape.burst {
            Some(burst) if self.bad => !self.random.happens(burst.leave()),
            Some(burst) => self.random.happens(burst.enter()),
            None => false,
        };
        self.random.happens(self.shape.loss) || self.bad
    }
}

/// How long a frame takes at `bps`.
fn through(frame: &[u8], bps: u64) -> Duration {
    Duration::from_micros(frame.len() as u64 * 8_000_000 / bps.max(1))
}

fn is_ip(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xDD]))
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Flying {}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
