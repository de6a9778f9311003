//! The work that both relays are given: clients that send as in a call, and as many peers that send to them as much.
//!
//! Nobody sleeps on the sockets that packets arrive at: they are looked at now and then. Else whoever sends on loopback pays for waking the
//! receiver, which is on another machine in truth.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use althing::base::Path;
use althing::base::outgoing::Outgoing;
use althing::base::random::Random;
use althing::contract::Counters;
use althing::io::udp::{self, Receiver, Sender};
use althing::turn::frame;
use hdrhistogram::Histogram;

use crate::allocate::{CHANNEL, Session};
use crate::client::Result;
use crate::servers::Server;

/// Bytes of a voice packet, and how often one is sent.
const VOICE: (usize, Duration) = (160, Duration::from_millis(20));
/// Bytes of a packet of video, how many are a picture, and how often there is one: a megabit a second.
const VIDEO: (usize, u32, Duration) = (1_200, 4, Duration::from_millis(40));
/// Until everything is warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// For what is still on its way at the end.
const DRAIN: Duration = Duration::from_millis(500);
/// How often it is looked for what has arrived.
const LOOK: Duration = Duration::from_micros(500);
/// Messages looked for at one socket at a time.
const AT_A_TIME: usize = 8;
/// For an answer of the relay's.
const PATIENCE: Duration = Duration::from_millis(200);
/// Where clients are, and peers: a relay that is at the address of its peers would take them for its own.
const CLIENTS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PEERS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How packets follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A picture's packets together.
    Call,
    /// As many packets, each by itself.
    Spaced,
}

/// What one run has cost.
#[derive(Clone, Copy)]
pub struct Outcome {
    /// Nanoseconds of the server's CPU time for each packet that arrived, at peers and at clients.
    pub ns: f64,
    /// Packets that arrived, a second.
    pub rate: f64,
    /// Of those that were sent, in percent.
    pub delivered: f64,
    /// One in a hundred was under way for so many microseconds or more, half a millisecond of looking included.
    pub p99: f64,
}

/// Sockets of clients and of their peers, with allocations and channels.
pub struct Calls<'a> {
    server: &'a Server,
    clients: usize,
    /// Clients first, then their peers.
    sockets: Vec<OwnedFd>,
    /// Where each of them sends to.
    destinations: Vec<SocketAddr>,
}

/// What has happened so far.
#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    arrived: AtomicU64,
    stopped: AtomicBool,
}

impl<'a> Calls<'a> {
    /// So many clients, each allowed in.
    ///
    /// # Errors
    /// What the relay or the system refuses.
    pub fn new(server: &'a Server, clients: usize) -> Result<Self> {
        let mut calls = Self { server, clients, sockets: Vec::new(), destinations: vec![server.turn; clients] };
        let mut peers = Vec::new();
        for _ in 0..clients {
            let (client, peer) = (UdpSocket::from(socket(CLIENTS)?), UdpSocket::from(socket(PEERS)?));
            calls.destinations.push(allocate(server, &client, peer.local_addr()?)?);
            calls.sockets.push(client.into());
            peers.push(OwnedFd::from(peer));
        }
        calls.sockets.append(&mut peers);
        Ok(calls)
    }

    /// Sends for so long.
    pub fn run(&self, shape: Shape, time: Duration) -> Outcome {
        let (tally, epoch) = (Tally::default(), Instant::now());
        std::thread::scope(|scope| {
            let receiving = scope.spawn(|| self.receive(&tally, epoch));
            let sending = scope.spawn(|| self.send(&tally, epoch, shape, WARM_UP + time));
            std::thread::sleep(WARM_UP);
            let look = || (Instant::now(), self.server.cpu(), tally.arrived.load(Ordering::Relaxed));
            let before = look();
            std::thread::sleep(time);
            let after = look();
            sending.join().expect("the sender does not panic");
            std::thread::sleep(DRAIN);
            tally.stopped.store(true, Ordering::Relaxed);
            let latency = receiving.join().expect("the receiver does not panic");
            let arrived = (after.2 - before.2) as f64;
            Outcome {
                ns: (after.1 - before.1) as f64 / arrived,
                rate: arrived / (after.0 - before.0).as_secs_f64(),
                delivered: 100.0 * tally.arrived.load(Ordering::Relaxed) as f64 / tally.sent.load(Ordering::Relaxed) as f64,
                p99: latency.value_at_quantile(0.99) as f64,
            }
        })
    }

    fn send(&self, tally: &Tally, epoch: Instant, shape: Shape, time: Duration) {
        let mut due = schedule(self.sockets.len() as u32, shape);
        // Whoever sends is not at the machine that relays: packets come as they come off a network, one by one.
        let mut sender = Sender::new(&self.sockets).without_runs();
        let (mut out, mut nothing, mut counters) = (Outgoing::new(64 * 1_500, 64), Outgoing::new(0, 0), Counters::default());
        out.set_droppable(true);
        while let Some(Reverse(mut burst)) = due.pop() {
            if burst.at > time {
                return;
            }
            std::thread::sleep(burst.at.saturating_sub(epoch.elapsed()));
            let mut payload = [0; VIDEO.0];
            payload[..8].copy_from_slice(&(epoch.elapsed().as_micros() as u64).to_be_bytes());
            for _ in 0..burst.packets {
                self.write(burst.from, &payload[..burst.bytes], &mut out);
            }
            sender.send(&self.sockets[..], &out, &mut nothing, &mut counters);
            out.clear();
            tally.sent.fetch_add(u64::from(burst.packets), Ordering::Relaxed);
            burst.at += burst.every;
            due.push(Reverse(burst));
        }
    }

    /// Clients send on their channel, peers as they would to anybody.
    fn write(&self, from: u32, payload: &[u8], out: &mut Outgoing) {
        let path = Path { local: from, remote: self.destinations[from as usize] };
        if from as usize >= self.clients {
            return assert!(out.push(path, payload), "there is room");
        }
        let len = out.slot().and_then(|slot| frame::write_channel_data(CHANNEL, payload, slot)).expect("there is room");
        out.commit(path, len);
    }

    /// Counts what arrives whole; for how many microseconds it was under way.
    fn receive(&self, tally: &Tally, epoch: Instant) -> Histogram<u64> {
        let (mut receiver, mut latency) = (Receiver::new(false), Histogram::new_with_bounds(1, 60_000_000, 3).expect("a histogram"));
        while !tally.stopped.load(Ordering::Relaxed) {
            for (index, socket) in self.sockets.iter().enumerate() {
                let mut received = AT_A_TIME;
                while received == AT_A_TIME {
                    received = receiver.receive_at_most(AT_A_TIME, socket).expect("received");
                    let now = epoch.elapsed().as_micros() as u64;
                    let stamps = (0..received).filter_map(|n| stamp_of(receiver.datagram(n)?.1, index < self.clients));
                    let whole = stamps.map(|stamp| latency.saturating_record(now.saturating_sub(stamp))).count();
                    tally.arrived.fetch_add(whole as u64, Ordering::Relaxed);
                }
            }
            std::thread::sleep(LOOK);
        }
        latency
    }
}

/// When a packet was sent; none when it is not what was sent.
fn stamp_of(datagram: &[u8], on_channel: bool) -> Option<u64> {
    let payload = if on_channel { frame::channel_data(datagram).filter(|(number, _)| *number == CHANNEL)?.1 } else { datagram };
    let whole = [VOICE.0, VIDEO.0].contains(&payload.len());
    whole.then(|| payload.first_chunk().map(|stamp| u64::from_be_bytes(*stamp))).flatten()
}

/// Packets that are sent at once, and again after some time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Burst {
    at: Duration,
    from: u32,
    every: Duration,
    bytes: usize,
    packets: u32,
}

/// All begin at different times, the same in every run.
fn schedule(senders: u32, shape: Shape) -> BinaryHeap<Reverse<Burst>> {
    let (bytes, packets, every) = VIDEO;
    let (packets, every) = if shape == Shape::Call { (packets, every) } else { (1, every / packets) };
    let mut random = Random::new(7);
    let mut begin = |every: Duration| every * (random.next_u32() >> 16) / (1 << 16);
    let mut of = |from| {
        let voice = Burst { at: begin(VOICE.1), from, every: VOICE.1, bytes: VOICE.0, packets: 1 };
        [voice, Burst { at: begin(every), from, every, bytes, packets }]
    };
    (0..senders).flat_map(&mut of).map(Reverse).collect()
}

/// Asks for an allocation and a channel over a client's socket; where its peer sends to.
fn allocate(server: &Server, socket: &UdpSocket, peer: SocketAddr) -> Result<SocketAddr> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let relayed = Session::new(&server.username, &server.password).allocate(peer, |request| {
        let mut bytes = [0; 1_500];
        socket.send_to(request, server.turn).ok()?;
        socket.recv(&mut bytes).ok().map(|len| bytes[..len].to_vec())
    })?;
    socket.set_nonblocking(true)?;
    Ok(relayed)
}

fn socket(at: Ipv4Addr) -> Result<OwnedFd> {
    Ok(udp::bind(SocketAddr::from((at, 0)))?)
}
