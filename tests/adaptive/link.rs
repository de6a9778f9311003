//! A shaped way in one direction: capacity in steps, a queue that drops its tail, delay, jitter, loss, others' traffic. One seed, one run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use althing::base::Time;
use althing::base::random::Random;

use crate::cross::{Cross, Flow};

/// Bytes of IP and UDP around each datagram.
pub const OVERHEAD: usize = 28;

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Sound,
    Picture,
    /// Sent again, because it was asked for.
    Repair,
    /// Sent to find out what the link carries, and for nothing else.
    Padding,
    Report,
    Cross,
}

pub const CLASSES: usize = 6;

/// A datagram, and what its sender knows of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    pub bytes: Vec<u8>,
    pub class: Class,
    /// The packet of a publisher that it carries: its stream, and its number there.
    pub carries: Option<(crate::stamp::StreamId, u64)>,
}

impl Datagram {
    pub fn new(class: Class, bytes: Vec<u8>) -> Self {
        Self { bytes, class, carries: None }
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub enum Queue {
    /// So much time of the present capacity.
    Time(Duration),
    Bytes(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Loss {
    None,
    /// Of a thousand datagrams so many, each for itself.
    Even(u32),
    /// Gilbert and Elliott: of a thousand datagrams so many begin a burst, of those within one so many end it, and so many are lost.
    Bursts {
        begin: u32,
        end: u32,
        lost: u32,
    },
}

/// How a way behaves.
#[derive(Clone, Debug)]
pub struct Shape {
    /// From when it carries how many bit/s; none: no limit.
    pub capacity: Vec<(Time, Option<u64>)>,
    pub queue: Queue,
    pub delay: Duration,
    /// Added to the delay, evenly drawn from zero to this.
    pub jitter: Duration,
    /// Whether jitter changes the order.
    pub reorders: bool,
    pub loss: Loss,
    pub cross: Vec<Cross>,
}

impl Shape {
    /// Nothing but a delay.
    pub fn free(delay: Duration) -> Self {
        let queue = Queue::Time(Duration::from_millis(300));
        Self { capacity: vec![], queue, delay, jitter: Duration::ZERO, reorders: true, loss: Loss::None, cross: vec![] }
    }

    pub fn carrying(mut self, bps: u64) -> Self {
        self.capacity = vec![(Time::ZERO, Some(bps))];
        self
    }

    pub fn losing(mut self, per_mille: u32) -> Self {
        self.loss = Loss::Even(per_mille);
        self
    }

    pub fn jittering(mut self, jitter: Duration, reorders: bool) -> Self {
        (self.jitter, self.reorders) = (jitter, reorders);
        self
    }

    fn capacity_at(&self, now: Time) -> Option<u64> {
        self.capacity.iter().rev().find(|(from, _)| *from <= now).and_then(|(_, bps)| *bps)
    }

    fn next_step(&self, now: Time) -> Time {
        self.capacity.iter().map(|(from, _)| *from).find(|from| *from > now).unwrap_or(Time::NEVER)
    }
}

/// What has gone over a way.
#[derive(Default)]
pub struct Log {
    /// Of each datagram of ours: when it was sent, and how long it waited, in microseconds.
    pub waited: Vec<(Time, u32)>,
    /// Bytes on the wire that came through, by second and class.
    pub seconds: Vec<[u64; CLASSES]>,
    /// Bytes on the wire that were sent, by second, whether or not they came through.
    pub offered: Vec<u64>,
    pub overflowed: u64,
    pub lost: u64,
    pub sent: u64,
}

impl Log {
    /// Bytes of a class that came through between two moments (whole seconds).
    pub fn bytes(&self, class: Class, from: Time, until: Time) -> u64 {
        let seconds = (from.as_micros() / 1_000_000) as usize..(until.as_micros() / 1_000_000) as usize;
        self.seconds.get(seconds.start..seconds.end.min(self.seconds.len())).into_iter().flatten().map(|second| second[class as usize]).sum()
    }

    /// The wait that so many per cent of datagrams did not exceed between two moments.
    pub fn waited(&self, per_cent: usize, from: Time, until: Time) -> Duration {
        let mut waits: Vec<u32> = self.waited.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, wait)| *wait).collect();
        waits.sort_unstable();
        waits
            .get((waits.len() * per_cent / 100).min(waits.len().saturating_sub(1)))
            .map_or(Duration::ZERO, |wait| Duration::from_micros((*wait).into()))
    }
}

/// What waits: a datagram of ours, or a packet of a flow of others, with its bytes on the wire.
struct Waiting {
    what: Result<Datagram, usize>,
    bytes: usize,
    since: Time,
}

/// A way in one direction.
pub struct Link {
    pub shape: Shape,
    pub log: Log,
    random: Random,
    queue: VecDeque<Waiting>,
    queued: usize,
    /// What is left of the first in the queue, in bits times microseconds of a second.
    left: u64,
    served: Time,
    flying: BinaryHeap<Reverse<(Time, u64, Datagram)>>,
    count: u64,
    in_burst: bool,
    last_arrival: Time,
    flows: Vec<Flow>,
}

impl Link {
    pub fn new(shape: Shape, seed: u64) -> Self {
        let flows = shape.cross.iter().map(|cross| Flow::new(*cross)).collect();
        Self {
            shape,
            log: Log::default(),
            random: Random::new(seed),
            queue: VecDeque::new(),
            queued: 0,
            left: 0,
            served: Time::ZERO,
            flying: BinaryHeap::new(),
            count: 0,
            in_burst: false,
            last_arrival: Time::ZERO,
            flows,
        }
    }

    /// Another shape from now on; what is under way stays so.
    pub fn reshape(&mut self, now: Time, shape: Shape) {
        self.advance(now);
        if let Some(bps) = self.shape.capacity_at(now) {
            self.left = self.left.saturating_sub(now.micros_since(self.served) * bps);
        }
        self.served = now;
        self.shape = shape;
        self.flows = self.shape.cross.iter().map(|cross| Flow::new(*cross)).collect();
    }

    pub fn send(&mut self, now: Time, datagram: Datagram) {
        self.advance(now);
        self.log.sent += 1;
        let bytes = datagram.bytes.len() + OVERHEAD;
        let second = (now.as_micros() / 1_000_000) as usize;
        if self.log.offered.len() <= second {
            self.log.offered.resize(second + 1, 0);
        }
        self.log.offered[second] += bytes as u64;
        self.enqueue(now, Waiting { what: Ok(datagram), bytes, since: now });
    }

    /// When something happens by itself.
    pub fn next_at(&self) -> Time {
        let arrival = self.flying.peek().map_or(Time::NEVER, |Reverse((at, _, _))| *at);
        let flows = self.flows.iter().map(Flow::next_at).min().unwrap_or(Time::NEVER);
        arrival.min(self.head_done()).min(flows)
    }

    /// The next datagram that has arrived.
    pub fn arrived(&mut self, now: Time) -> Option<Datagram> {
        self.advance(now);
        if self.flying.peek().is_none_or(|Reverse((at, _, _))| *at > now) {
            return None;
        }
        self.flying.pop().map(|Reverse((_, _, datagram))| datagram)
    }

    /// How long something sent now would wait.
    pub fn standing(&mut self, now: Time) -> Duration {
        self.advance(now);
        match self.shape.capacity_at(now) {
            Some(bps) if !self.queue.is_empty() => Duration::from_micros(self.queued as u64 * 8_000_000 / bps.max(1)),
            _ => Duration::ZERO,
        }
    }

    fn enqueue(&mut self, now: Time, waiting: Waiting) {
        let Some(bps) = self.shape.capacity_at(now) else {
            // What waited when the limit fell goes with it.
            self.release(now);
            return self.depart(now, waiting);
        };
        let most = match self.shape.queue {
            Queue::Time(time) => (bps * time.as_micros() as u64 / 8_000_000) as usize,
            Queue::Bytes(bytes) => bytes,
        };
        if self.queued + waiting.bytes > most.max(3_000) {
            match waiting.what {
                Ok(_) => self.log.overflowed += 1,
                Err(flow) => self.flows[flow].dropped(now),
            }
            return;
        }
        if self.queue.is_empty() {
            (self.served, self.left) = (now, waiting.bytes as u64 * 8_000_000);
        }
        self.queued += waiting.bytes;
        self.queue.push_back(waiting);
    }

    fn release(&mut self, now: Time) {
        while let Some(waiting) = self.queue.pop_front() {
            self.depart(now, waiting);
        }
        self.queued = 0;
    }

    /// When the first in the queue is through.
    fn head_done(&self) -> Time {
        if self.queue.is_empty() {
            return Time::NEVER;
        }
        let (mut at, mut left) = (self.served, self.left);
        loop {
            let step = self.shape.next_step(at);
            match self.shape.capacity_at(at) {
                None => return at,
                Some(bps) => {
                    let done = at + Duration::from_micros(left.div_ceil(bps.max(1)));
                    if done <= step {
                        return done;
                    }
                    left = left.saturating_sub(step.micros_since(at) * bps);
                    at = step;
                }
            }
        }
    }

    fn advance(&mut self, now: Time) {
        loop {
            let flow = (0..self.flows.len()).min_by_key(|flow| self.flows[*flow].next_at()).filter(|flow| self.flows[*flow].next_at() <= now);
            let (done, flow_at) = (self.head_done(), flow.map_or(Time::NEVER, |flow| self.flows[flow].next_at()));
            if done <= now && done <= flow_at {
                let head = self.queue.pop_front().expect("there is one");
                self.queued -= head.bytes;
                self.depart(done, head);
                self.served = done;
                self.left = self.queue.front().map_or(0, |next| next.bytes as u64 * 8_000_000);
            } else if let Some(flow) = flow {
                // Up to then the head is served on: `head_done` counts from where it stands.
                if self.flows[flow].turn(flow_at) {
                    self.enqueue(flow_at, Waiting { what: Err(flow), bytes: crate::cross::PACKET, since: flow_at });
                }
            } else {
                return;
            }
        }
    }

    /// It leaves the queue.
    fn depart(&mut self, at: Time, waiting: Waiting) {
        let datagram = match waiting.what {
            Ok(datagram) => datagram,
            Err(flow) => {
                self.count_bytes(at, Class::Cross, waiting.bytes);
                return self.flows[flow].delivered(at);
            }
        };
        self.log.waited.push((waiting.since, at.micros_since(waiting.since) as u32));
        if self.is_lost() {
            self.log.lost += 1;
            return;
        }
        self.count_bytes(at, datagram.class, waiting.bytes);
        let jitter = match self.shape.jitter.as_micros() as u64 {
            0 => 0,
            most => self.random.next_u64() % most,
        };
        let mut arrival = at + self.shape.delay + Duration::from_micros(jitter);
        if !self.shape.reorders {
            arrival = arrival.max(self.last_arrival);
        }
        self.last_arrival = self.last_arrival.max(arrival);
        self.count += 1;
        self.flying.push(Reverse((arrival, self.count, datagram)));
    }

    fn count_bytes(&mut self, at: Time, class: Class, bytes: usize) {
        let second = (at.as_micros() / 1_000_000) as usize;
        if self.log.seconds.len() <= second {
            self.log.seconds.resize(second + 1, [0; CLASSES]);
        }
        self.log.seconds[second][class as usize] += bytes as u64;
    }

    fn is_lost(&mut self) -> bool {
        let mut chance = |per_mille: u32| self.random.next_u32() % 1_000 < per_mille;
        match self.shape.loss {
            Loss::None => false,
            Loss::Even(per_mille) => chance(per_mille),
            Loss::Bursts { begin, end, lost } => {
                self.in_burst = if self.in_burst { !chance(end) } else { chance(begin) };
                self.in_burst && chance(lost)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(n: u8) -> Datagram {
        Datagram::new(Class::Picture, vec![n; 1_222])
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn what_is_queued_waits_its_turn_at_the_capacity_of_each_moment() {
        // 1,250 bytes on the wire are 10 ms at 1 Mbit/s, and 20 ms at half of that.
        let steps = vec![(Time::ZERO, Some(1_000_000)), (at(15), Some(500_000))];
        let mut link = Link::new(Shape { capacity: steps, ..Shape::free(Duration::from_millis(7)) }, 1);
        (0..3).for_each(|n| link.send(Time::ZERO, datagram(n)));
        assert_eq!(link.standing(Time::ZERO), Duration::from_millis(30));
        let mut arrivals = vec![];
        while link.next_at() < Time::NEVER {
            let now = link.next_at();
            arrivals.extend(link.arrived(now).map(|datagram| (datagram.bytes[0], now.as_micros() / 1_000)));
        }
        assert_eq!(arrivals, [(0, 17), (1, 32), (2, 52)]);
        assert_eq!(link.log.waited(100, Time::ZERO, at(1)), Duration::from_millis(45));
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_loss_is_what_it_was_set_to() {
        let mut link = Link::new(Shape::free(Duration::ZERO).carrying(1_000_000), 1);
        (0..100).for_each(|n| link.send(Time::ZERO, datagram(n)));
        assert_eq!(link.log.overflowed, 70);
        let mut link = Link::new(Shape { queue: Queue::Bytes(12_500), ..Shape::free(Duration::ZERO).carrying(1_000_000) }, 1);
        (0..100).for_each(|n| link.send(Time::ZERO, datagram(n)));
        assert_eq!(link.log.overflowed, 90);
        for (loss, expected) in [(Loss::Even(100), 900..1_100), (Loss::Bursts { begin: 10, end: 250, lost: 800 }, 230..400)] {
            let mut link = Link::new(Shape { loss, ..Shape::free(Duration::ZERO) }, 3);
            (0..10_000_u64).for_each(|n| link.send(at(n), datagram(0)));
            assert!(expected.contains(&link.log.lost), "{loss:?} {}", link.log.lost);
        }
    }

    #[test]
    fn jitter_keeps_the_order_unless_it_may_change_it() {
        for reorders in [false, true] {
            let mut link = Link::new(Shape::free(Duration::ZERO).jittering(Duration::from_millis(20), reorders), 5);
            (0..200).for_each(|n| link.send(at(u64::from(n)), datagram(n)));
            let order: Vec<u8> = std::iter::from_fn(|| link.arrived(at(1_000))).map(|datagram| datagram.bytes[0]).collect();
            assert_eq!((order.len(), order.is_sorted()), (200, !reorders));
        }
    }

    #[test]
    fn others_take_their_share_of_the_queue() {
        let steady = Cross::Steady { bps: 400_000, on: Duration::from_secs(1), off: Duration::from_secs(1) };
        for (cross, expected) in [
            (steady, 240_000..260_000),
            (Cross::Greedy { from: Time::ZERO, until: at(10_000), rtt: Duration::from_millis(40) }, 1_000_000..1_251_000),
        ] {
            let mut link = Link::new(Shape { cross: vec![cross], ..Shape::free(Duration::ZERO).carrying(1_000_000) }, 1);
            while link.next_at() < at(10_000) {
                let now = link.next_at();
                link.arrived(now);
            }
            let bytes = link.log.bytes(Class::Cross, Time::ZERO, at(10_000));
            assert!(expected.contains(&bytes), "{cross:?}: {bytes}");
        }
    }
}
