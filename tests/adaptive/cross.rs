//! Others' traffic through the same queue: a steady stream that comes and goes, and a flow that takes what it gets, as TCP does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use althing::base::Time;

/// Bytes of each of its packets on the wire.
pub const PACKET: usize = 1_250;

#[derive(Clone, Copy, Debug)]
pub enum Cross {
    /// So many bit/s for a while, then nothing for a while.
    Steady { bps: u64, on: Duration, off: Duration },
    /// One more packet under way each round trip, half as many after a drop.
    Greedy { from: Time, until: Time, rtt: Duration },
}

/// A flow of it.
pub struct Flow {
    cross: Cross,
    next: Time,
    /// Packets that may be under way, in thousandths.
    window: u64,
    under_way: u64,
    /// When the sender hears of each packet, and whether it came through.
    heard: BinaryHeap<Reverse<(Time, bool)>>,
    halved: Time,
}

impl Flow {
    pub fn new(cross: Cross) -> Self {
        let next = if let Cross::Greedy { from, .. } = cross { from } else { Time::ZERO };
        Self { cross, next, window: 4_000, under_way: 0, heard: BinaryHeap::new(), halved: Time::ZERO }
    }

    pub fn next_at(&self) -> Time {
        self.heard.peek().map_or(Time::NEVER, |Reverse((at, _))| *at).min(self.next)
    }

    /// Its moment has come; whether it sends a packet.
    pub fn turn(&mut self, now: Time) -> bool {
        match self.cross {
            Cross::Steady { bps, on, off } => {
                let (on, period) = (on.as_micros() as u64, (on + off).as_micros() as u64);
                let phase = now.as_micros() % period;
                if phase >= on {
                    self.next = now + Duration::from_micros(period - phase);
                    return false;
                }
                self.next = now + Duration::from_micros(PACKET as u64 * 8_000_000 / bps);
                true
            }
            Cross::Greedy { until, rtt, .. } => {
                while let Some(Reverse((at, came))) = self.heard.peek().copied()
                    && at <= now
                {
                    self.heard.pop();
                    self.under_way -= 1;
                    if came {
                        self.window += 1_000_000 / self.window;
                    } else if self.halved <= now {
                        self.window = (self.window / 2).max(2_000);
                        self.halved = now + rtt;
                    }
                }
                let sends = now < until && (self.under_way + 1) * 1_000 <= self.window;
                self.under_way += u64::from(sends);
                let more = now < until && (self.under_way + 1) * 1_000 <= self.window;
                self.next = if more { now } else { Time::NEVER };
                sends
            }
        }
    }

    pub fn delivered(&mut self, at: Time) {
        self.hears(at, true);
    }

    pub fn dropped(&mut self, at: Time) {
        self.hears(at, false);
    }

    fn hears(&mut self, at: Time, came: bool) {
        if let Cross::Greedy { rtt, .. } = self.cross {
            self.heard.push(Reverse((at + rtt, came)));
        }
    }
}
