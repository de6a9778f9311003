//! One measurement: a forwarder on a thread of its own, fed by another, its CPU time divided by what it forwarded.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::feed::{Feed, Feeder};

/// Where the forwarder runs, and where its feeder (and whoever receives) does.
const FORWARDER_CORE: usize = 1;
const FEEDER_CORE: usize = 0;
const WARM_UP: Duration = Duration::from_millis(60);

/// Where forwards go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// A device that drops all it is given: the sender's own cost, and no other.
    Discard,
    /// This machine's loopback, to a socket that reads.
    Loopback,
}

impl Network {
    /// Enters a network namespace whose only way out is a device that drops everything. False without the privilege.
    pub fn enter_discarding() -> bool {
        let run = |line: &str| {
            let mut words = line.split(' ');
            Command::new(words.next().expect("a program")).args(words).status().is_ok_and(|s| s.success())
        };
        // SAFETY: only this process's view of the network changes; sockets are opened afterwards.
        #[allow(unsafe_code, reason = "no library function enters a namespace without a file")]
        let entered = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
        let lines = [
            "ip link set lo up",
            "ip link add drop type ifb",
            "ip link set drop mtu 1500 up",
            "ip addr add 10.9.0.1/16 dev drop",
            "tc qdisc replace dev drop root noqueue",
        ];
        entered && lines.iter().all(|line| run(line))
    }

    /// The address of a subscriber.
    pub fn address(self, index: usize) -> SocketAddr {
        let (high, low) = ((index / 250 + 1) as u8, (index % 250 + 1) as u8);
        let ip = if self == Self::Discard { Ipv4Addr::new(10, 9, high, low) } else { Ipv4Addr::new(127, 1, high, low) };
        (ip, 40_000).into()
    }
}

/// What is measured.
#[derive(Clone)]
pub struct Case {
    pub network: Network,
    pub publishers: usize,
    pub subscribers: usize,
    /// Messages received in one tick at most.
    pub batch: usize,
    pub feed: Feed,
    pub time: Duration,
}

impl Case {
    /// As many publishers as subscribers, and more than one: each member sends to all others.
    pub fn is_room(&self) -> bool {
        self.publishers > 1 && self.publishers == self.subscribers
    }
}

/// What a forwarder has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub received: u64,
    pub forwarded: u64,
    /// Messages handed to the kernel: a packet, or a run of them.
    pub messages: u64,
    /// Nanoseconds of CPU that its surroundings took, which a call would take elsewhere.
    pub aside: u64,
}

/// Something that forwards.
pub trait Forwarder {
    /// The port that it receives on.
    fn port(&self) -> u16;
    /// How long it runs before it is measured.
    fn warm_up(&self) -> Duration {
        WARM_UP
    }
    /// Waits a little for packets and forwards them.
    fn turn(&mut self);
    fn tally(&self) -> Tally;
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Nanoseconds of CPU per forward.
    pub ns: f64,
    pub forwarded: u64,
    /// Packets in one message, on average.
    pub run: f64,
    /// Share of the time that the forwarder's thread was on its core.
    pub busy: f64,
}

/// Runs a case once with the forwarder that `make` builds for these publishers' addresses.
pub fn run<F: Forwarder>(case: &Case, make: impl FnOnce(&Case, &[SocketAddr]) -> F + Send + 'static) -> Outcome {
    run_watched(case, make).0
}

/// The same, and when each packet of a trace was sent (nanoseconds since 1970, by index from 1).
pub fn run_watched<F: Forwarder>(case: &Case, make: impl FnOnce(&Case, &[SocketAddr]) -> F + Send + 'static) -> (Outcome, Vec<u64>) {
    let feeder = Feeder::new(case);
    let sources = feeder.addresses();
    let (stop, received, port) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let forwarder = {
        let (case, stop, received, port) = (case.clone(), stop.clone(), received.clone(), port.clone());
        std::thread::spawn(move || {
            pin(FORWARDER_CORE);
            let mut forwarder = make(&case, &sources);
            port.store(u64::from(forwarder.port()), Ordering::Release);
            let begun = Instant::now();
            let turn = |forwarder: &mut F| {
                forwarder.turn();
                received.store(forwarder.tally().received, Ordering::Release);
            };
            while begun.elapsed() < forwarder.warm_up() || forwarder.tally().forwarded == 0 {
                assert!(begun.elapsed() < Duration::from_secs(20), "nothing is forwarded: {:?}", forwarder.tally());
                turn(&mut forwarder);
            }
            let (before, cpu, wall) = (forwarder.tally(), cpu_ns(), Instant::now());
            while wall.elapsed() < case.time {
                turn(&mut forwarder);
            }
            let (after, cpu, wall) = (forwarder.tally(), cpu_ns() - cpu, wall.elapsed());
            let cpu = cpu - (after.aside - before.aside);
            stop.store(true, Ordering::Release);
            let forwarded = after.forwarded - before.forwarded;
            Outcome {
                ns: cpu as f64 / forwarded.max(1) as f64,
                forwarded,
                run: forwarded as f64 / (after.messages - before.messages).max(1) as f64,
                busy: cpu as f64 / wall.as_nanos() as f64,
            }
        })
    };
    pin(FEEDER_CORE);
    while port.load(Ordering::Acquire) == 0 {
        assert!(!forwarder.is_finished(), "the forwarder has not begun");
        std::thread::sleep(Duration::from_micros(100));
    }
    let sent = feeder.feed((Ipv4Addr::LOCALHOST, port.load(Ordering::Acquire) as u16).into(), &received, &stop);
    (forwarder.join().expect("the forwarder ends well"), sent)
}

/// CPU time of this thread in nanoseconds.
pub fn cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Keeps this thread on a core, where there are that many.
pub fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core % std::thread::available_parallelism().map_or(1, usize::from));
    let _ = sched_setaffinity(None, &cores);
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
