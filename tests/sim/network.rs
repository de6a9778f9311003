//! A virtual network: delay, jitter, loss, all from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use althing::base::Time;
use althing::base::random::Random;

/// Who a datagram is for: the server, or the client with this number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Host {
    Server,
    Client(usize),
}

/// How a way behaves.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub delay: Duration,
    /// Added to the delay, evenly drawn from zero to this: reorders.
    pub jitter: Duration,
    /// Of a thousand datagrams, so many are lost.
    pub loss_per_mille: u32,
}

impl Link {
    pub const GOOD: Link = Link { delay: Duration::from_millis(10), jitter: Duration::ZERO, loss_per_mille: 0 };
}

/// A datagram under way.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Datagram {
    pub to: Host,
    /// The client at the other end, whoever sends.
    pub client: usize,
    pub bytes: Vec<u8>,
}

pub struct Network {
    random: Random,
    under_way: BinaryHeap<Reverse<(Time, u64, Datagram)>>,
    sent: u64,
    pub lost: u64,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), under_way: BinaryHeap::new(), sent: 0, lost: 0 }
    }

    pub fn send(&mut self, now: Time, link: Link, datagram: Datagram) {
        self.sent += 1;
        if self.random.next_u32() % 1_000 < link.loss_per_mille {
            self.lost += 1;
            return;
        }
        let jitter = match link.jitter.as_micros() as u64 {
            0 => 0,
            most => self.random.next_u64() % most,
        };
        let at = now + link.delay + Duration::from_micros(jitter);
        self.under_way.push(Reverse((at, self.sent, datagram)));
    }

    pub fn next_at(&self) -> Option<Time> {
        self.under_way.peek().map(|Reverse((at, _, _))| *at)
    }

    pub fn arrived(&mut self, now: Time) -> Option<Datagram> {
        if self.next_at()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse((_, _, datagram))| datagram)
    }
}
