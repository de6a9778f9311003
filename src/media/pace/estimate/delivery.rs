//! What arrived, and when: the acknowledged rate, the rate at which the same datagrams had been sent, and the least delay.
//!
//! Arrivals are kept as slices of at least 50 ms, each ending with an arrival. A rate is taken between the ends of two slices, so
//! that behind a full queue it is exactly what the link carries, however few packets there were. Slices follow the arrivals' clock:
//! it makes no difference whether feedback comes every 20 ms or every 250.

/// Slices kept: at least 1.6 s.
const SLICES: usize = 32;
/// A slice lasts at least so long, in microseconds. Less makes the least delay of one a matter of chance, more tells it later.
const SLICE: i64 = 50_000;

/// Where everything stood when a slice ended.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Its last arrival, in microseconds of the receiver's clock.
    arrival: i64,
    /// Bytes that had arrived.
    received: u64,
    /// When the newest datagram that feedback had spoken of was sent, in microseconds.
    sent_at: u64,
    /// Bytes sent up to that datagram.
    sent: u64,
    /// The least one-way delay in it, in microseconds on an unknown scale.
    least_delay: i64,
    /// Packets that arrived in it.
    packets: u32,
}

/// Rates over the same datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// At which they arrived, in bits per second.
    pub received: f64,
    /// At which they were sent, in bits per second.
    pub sent: f64,
}

/// The deliveries of the last seconds.
#[derive(Debug, Default)]
pub struct Delivery {
    slices: [Slice; SLICES],
    /// Slices ended so far.
    ended: usize,
    /// The one that has not ended.
    open: Slice,
}

impl Delivery {
    /// Feedback reached or passed over datagrams of `bytes`, the newest of which was sent at `sent_at` (in microseconds).
    pub fn covered(&mut self, sent_at: u64, bytes: u64) {
        self.open.sent_at = self.open.sent_at.max(sent_at);
        self.open.sent += bytes;
    }

    /// Bytes arrived of which no feedback tells when: they count as if they had come with the others.
    pub fn presumed(&mut self, bytes: u64) {
        self.open.received += bytes;
    }

    /// A datagram arrived at `arrival` after `delay` (both in microseconds).
    pub fn arrived(&mut self, arrival: i64, delay: i64, bytes: u64) {
        let begun = self.last(0).map(|slice| slice.arrival);
        self.open.received += bytes;
        self.open.least_delay = if self.open.packets == 0 { delay } else { self.open.least_delay.min(delay) };
        self.open.arrival = if self.open.packets == 0 && begun.is_none() { arrival } else { self.open.arrival.max(arrival) };
        self.open.packets += 1;
        if begun.is_none_or(|begun| self.open.arrival - begun >= SLICE) {
            if let Some(place) = self.slices.get_mut(self.ended % SLICES) {
                *place = self.open;
            }
            self.ended += 1;
            self.open.packets = 0;
        }
    }

    /// The newest arrival, in microseconds of the receiver's clock.
    pub const fn newest(&self) -> i64 {
        self.open.arrival
    }

    /// The rates over the last `window` microseconds, or a little more; `None` before there has been so much.
    pub fn rates(&self, window: i64) -> Option<Rates> {
        let end = self.open;
        // The newest that is old enough: arrivals go up from slice to slice.
        let (mut newer, mut older) = (0, self.ended.min(SLICES));
        while newer < older {
            let middle = usize::midpoint(newer, older);
            if end.arrival - self.last(middle)?.arrival >= window { older = middle } else { newer = middle + 1 }
        }
        let begin = self.last(newer).filter(|_| newer < self.ended.min(SLICES))?;
        let received_in = (end.arrival - begin.arrival) as f64 / 8e6;
        // Nothing sent leaves later than it arrives: a burst's own rate has no bound, but it is not more than this.
        let sent_in = (end.sent_at.saturating_sub(begin.sent_at).max(1_000)) as f64 / 8e6;
        Some(Rates { received: (end.received - begin.received) as f64 / received_in, sent: (end.sent - begin.sent) as f64 / sent_in })
    }

    /// The least delay among the last packets, at least so many and over so many microseconds (as far as there are): the delay and
    /// how many packets that were. `skip` leaves out as many slices, the newest first.
    pub fn least_delay(&self, skip: usize, window: i64, packets: u32) -> Option<(i64, u32)> {
        let mut least = (i64::MAX, 0);
        let mut begun = None;
        let open = Some(&self.open).filter(|open| open.packets > 0);
        for slice in open.into_iter().chain(self.slices()).skip(skip) {
            let newest = *begun.get_or_insert(slice.arrival);
            if newest - slice.arrival >= window && least.1 >= packets {
                break;
            }
            least = (least.0.min(slice.least_delay), least.1 + slice.packets);
        }
        (least.1 > 0).then_some(least)
    }

    /// Ended slices, newest first.
    fn slices(&self) -> impl Iterator<Item = &Slice> {
        (0..self.ended.min(SLICES)).filter_map(|back| self.last(back))
    }

    fn last(&self, back: usize) -> Option<&Slice> {
        let index = self.ended.checked_sub(back + 1)?;
        self.slices.get(index % SLICES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,000 bytes, each sent at one time and received at another, in milliseconds.
    fn delivered(packets: impl IntoIterator<Item = (u64, i64)>) -> Delivery {
        let mut delivery = Delivery::default();
        for (sent, arrival) in packets {
            delivery.covered(sent * 1_000, 1_000);
            delivery.arrived(arrival * 1_000, (arrival - sent as i64) * 1_000, 1_000);
        }
        delivery
    }

    #[test]
    fn behind_a_full_queue_the_rate_is_exact_with_a_few_packets() {
        let rates = delivered((0..10).map(|n| (n * 4, 100 + n as i64 * 27))).rates(150_000).expect("243 ms");
        assert_eq!((rates.received.round(), rates.sent.round()), (296_296.0, 2_000_000.0));
    }

    #[test]
    fn reordering_does_not_change_the_rate() {
        let spread = |n: u64| 100 + n as i64 * 10 + (n as i64 * 37) % 80;
        let rates = delivered((0..200).map(|n| (n * 10, spread(n)))).rates(1_000_000).expect("two seconds");
        assert!((rates.received / 800_000.0 - 1.0).abs() < 0.05, "{rates:?}");
    }

    #[test]
    fn what_a_lost_feedback_told_is_presumed() {
        let mut delivery = Delivery::default();
        for n in 0..100_i64 {
            delivery.covered(n as u64 * 10_000, 1_000);
            if n % 20 < 5 {
                delivery.presumed(1_000);
            } else {
                delivery.arrived(n * 10_000, 0, 1_000);
            }
        }
        let rates = delivery.rates(800_000).expect("a second");
        assert!((rates.received / 800_000.0 - 1.0).abs() < 0.01, "{rates:?}");
    }

    #[test]
    fn the_least_delay_is_sought_in_as_many_packets_as_asked_for() {
        let delays = |n: u64| if n == 60 { (600, 605) } else { (n * 10, n as i64 * 10 + 40) };
        let delivery = delivered((0..100).map(delays));
        assert_eq!(delivery.least_delay(0, 150_000, 1).map(|least| least.0), Some(40_000));
        assert_eq!(delivery.least_delay(0, 150_000, 50).map(|least| least.0), Some(5_000));
        assert_eq!(delivery.least_delay(7, 100_000, 1).map(|least| least.0), Some(5_000));
        assert_eq!(Delivery::default().least_delay(0, 1, 1), None);
        assert_eq!(Delivery::default().rates(1), None);
    }
}
