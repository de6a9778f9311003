//! A thread of light clients: one epoll set, one batch of receive slots, one heap of timers, no lock on the way of a packet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::time::{ClockId, clock_gettime};

use super::batch::{BATCH, Batch};
use super::client::{Desk, Light, Now};
use super::tally::Count;
use crate::base::Time;

/// Sockets looked at in one turn.
const READY: usize = 256;
/// After so many sockets the timers are looked at: publishers should not be late because others receive.
const SOCKETS_BETWEEN_TIMERS: usize = 16;
/// Batches taken from one socket before the others have their turn.
const BATCHES_A_SOCKET: usize = 4;
/// Orders taken in one turn: each is a handshake that begins.
const ORDERS_A_TURN: usize = 8;
/// From so many clients on, packets are left to gather,
const MANY: usize = 32;
/// for so long.
const GATHER: Duration = Duration::from_millis(1);
/// The number of the order book among the wakes; clients have theirs from 0.
const ORDERS: u64 = u64::MAX;

/// What a thread is asked to do.
enum Order {
    Join(Box<Light>),
    Finish(Sender<Findings>),
}

/// What the clients of a thread have found.
pub struct Findings {
    /// Of each client: its participant, and what it counted by stream.
    pub counts: Vec<(usize, Vec<(u32, Count)>)>,
    /// One-way latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// Packets that were not of this run.
    pub foreign: u64,
}

/// A running thread.
#[derive(Clone)]
pub struct Thread {
    orders: Sender<Order>,
    wake: Arc<OwnedFd>,
}

impl Thread {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the system gives no thread or no file descriptor.
    pub fn start(number: usize, desk: Desk) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let wakes = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&wakes, &*wake, epoll::EventData::new_u64(ORDERS), epoll::EventFlags::IN)?;
        let (orders, book) = channel();
        let floor =
            Floor { desk, wakes, wake: wake.clone(), book, clients: Vec::new(), timers: BinaryHeap::new(), due: Vec::new(), batch: Batch::new() };
        std::thread::Builder::new().name(format!("load-{number}")).spawn(move || floor.run())?;
        Ok(Self { orders, wake })
    }

    /// Hands over a client. One that comes after the end is dropped.
    pub fn join(&self, client: Light) {
        self.order(Order::Join(Box::new(client)));
    }

    /// Ends the thread: all say goodbye, and what they found comes back on the channel.
    pub fn finish(&self) -> Receiver<Findings> {
        let (sender, receiver) = channel();
        self.order(Order::Finish(sender));
        receiver
    }

    fn order(&self, order: Order) {
        // The thread ends only when it is told to.
        let _ = self.orders.send(order);
        // An eventfd write fails only when its counter is full, and then the thread is awake anyway.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

struct Floor {
    desk: Desk,
    wakes: OwnedFd,
    wake: Arc<OwnedFd>,
    book: Receiver<Order>,
    clients: Vec<Light>,
    /// When a client may have something to do. Old entries are left in and mean nothing.
    timers: BinaryHeap<Reverse<(Time, usize)>>,
    /// The one entry of each client that means something.
    due: Vec<Time>,
    batch: Batch,
}

impl Floor {
    fn run(mut self) {
        let mut ready = [const { MaybeUninit::uninit() }; READY];
        loop {
            let timeout = self.until_next_turn();
            // A signal may interrupt the wait; the turn then simply finds nothing to do.
            let (ready, _) = epoll::wait(&self.wakes, &mut ready, timeout.as_ref()).unwrap_or((&mut [], &mut []));
            let mut ordered = false;
            for (at, wake) in ready.iter().enumerate() {
                match wake.data.u64() {
                    ORDERS => ordered = true,
                    client => self.take_packets(client as usize),
                }
                if at % SOCKETS_BETWEEN_TIMERS == SOCKETS_BETWEEN_TIMERS - 1 {
                    self.take_timers();
                }
            }
            self.take_timers();
            if ordered && self.take_orders() {
                return;
            }
            self.let_packets_gather();
        }
    }

    /// Waits a moment, when there are many clients and no timer is due: a server that serves one subscriber after the other would wake us
    /// for every packet (2.7 µs a packet at 109,000 a second, of which a third was falling asleep). When a packet arrived the kernel has noted.
    fn let_packets_gather(&self) {
        if self.clients.len() >= MANY {
            std::thread::sleep(self.until_next_timer().unwrap_or(GATHER).min(GATHER));
        }
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let Reverse((next, _)) = self.timers.peek()?;
        Some(next.since(self.now().time))
    }

    fn until_next_turn(&self) -> Option<Timespec> {
        let span = self.until_next_timer()?;
        Some(Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) })
    }

    fn take_packets(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else { return };
        for _ in 0..BATCHES_A_SOCKET {
            // An error here is the answer to an earlier datagram (port unreachable); the socket itself goes on.
            let received = self.batch.receive(client.socket()).unwrap_or(0);
            let now = now(&self.desk);
            for index in 0..received {
                let (datagrams, arrived) = self.batch.datagrams(index);
                for datagram in datagrams {
                    client.handle_datagram(now, arrived, datagram, &mut self.desk);
                }
            }
            if received < BATCH {
                break;
            }
        }
        self.set_timer(at);
    }

    fn take_timers(&mut self) {
        while let Some(Reverse((time, at))) = self.timers.peek().copied() {
            let now = self.now();
            if time > now.time {
                return;
            }
            self.timers.pop();
            if self.due.get(at) != Some(&time) {
                continue;
            }
            let Some(client) = self.clients.get_mut(at) else { continue };
            client.handle_timeout(now, &mut self.desk);
            if let Some(due) = self.due.get_mut(at) {
                *due = Time::NEVER;
            }
            self.set_timer(at);
        }
    }

    /// Enters a client's next timer, when it is sooner than the one that is entered.
    fn set_timer(&mut self, at: usize) {
        let (Some(client), Some(due)) = (self.clients.get(at), self.due.get_mut(at)) else { return };
        let next = client.poll_timeout(self.desk.nack);
        if next < *due {
            *due = next;
            self.timers.push(Reverse((next, at)));
        }
    }

    /// Takes orders; whether the thread ends.
    fn take_orders(&mut self) -> bool {
        // Cleared before the book is looked at: an order that comes meanwhile wakes again.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        for _ in 0..ORDERS_A_TURN {
            match self.book.try_recv() {
                Ok(Order::Join(client)) => self.admit(*client),
                Ok(Order::Finish(reply)) => {
                    self.finish(&reply);
                    return true;
                }
                Err(_) => return false,
            }
        }
        // There may be more: packets have their turn first.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        false
    }

    fn admit(&mut self, client: Light) {
        let at = self.clients.len();
        let data = epoll::EventData::new_u64(at as u64);
        if let Err(error) = epoll::add(&self.wakes, client.socket(), data, epoll::EventFlags::IN) {
            tracing::warn!(%error, "a client's socket cannot be watched");
            return;
        }
        self.clients.push(client);
        self.due.push(Time::NEVER);
        self.set_timer(at);
    }

    fn finish(&mut self, reply: &Sender<Findings>) {
        let now = self.now();
        for client in &mut self.clients {
            client.close(now, &mut self.desk);
        }
        let counts = self.clients.iter().map(|c| (c.index(), c.counts())).collect();
        // Whoever does not wait any more does not want to know.
        let _ = reply.send(Findings { counts, latency: self.desk.latency.clone(), foreign: self.desk.foreign });
    }

    fn now(&self) -> Now {
        now(&self.desk)
    }
}

fn now(desk: &Desk) -> Now {
    let nanos = |clock| {
        let at = clock_gettime(clock);
        at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
    };
    let time = Time::ZERO + Duration::from_micros(desk.epoch.elapsed().as_micros() as u64);
    Now { time, monotonic: nanos(ClockId::Monotonic), wall: nanos(ClockId::Realtime) }
}
