//! One room over several workers, each on a thread of its own: what a forward costs them all together.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use althing::contract::Counter;

use super::althing_side::Althing;
use super::feed::Feeder;
use super::measure::{Case, Forwarder, cpu_ns, pin};

const WARM_UP: Duration = Duration::from_millis(300);

/// What a run has cost, and what has crossed.
pub struct Spread {
    /// Nanoseconds of CPU per forward, all workers together.
    pub ns: f64,
    /// Packets opened for each that was sent: by all workers together.
    pub opened: f64,
    /// Crossings for each packet that was sent.
    pub crossed: f64,
}

/// Runs a case with its subscribers dealt out over so many workers.
pub fn run(case: &Case, workers: usize) -> Spread {
    let feeder = Feeder::new(case);
    let all = Althing::spread(case, &feeder.addresses(), workers);
    let to = (Ipv4Addr::LOCALHOST, all[0].port()).into();
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(number, mut worker)| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                pin(1 - number % 2);
                let mut before = None;
                let begun = Instant::now();
                while !stop.load(Ordering::Acquire) {
                    worker.turn();
                    if before.is_none() && begun.elapsed() > WARM_UP {
                        before = Some((cpu_ns(), counts(&mut worker)));
                    }
                }
                let (cpu, counted) = before.expect("it ran longer than the warm-up");
                let after = counts(&mut worker);
                (cpu_ns() - cpu, std::array::from_fn::<u64, 3, _>(|i| after[i] - counted[i]))
            })
        })
        .collect();
    let (stopper, time) = (stop.clone(), WARM_UP + case.time);
    std::thread::spawn(move || {
        std::thread::sleep(time);
        stopper.store(true, Ordering::Release);
    });
    pin(0);
    feeder.feed(to, &AtomicU64::new(0), &stop);
    let (mut cpu, mut sums) = (0, [0; 3]);
    for thread in threads {
        let (spent, counted) = thread.join().expect("a worker ends well");
        cpu += spent;
        sums.iter_mut().zip(counted).for_each(|(sum, n)| *sum += n);
    }
    let [forwarded, opened, crossed] = sums.map(|n| n as f64);
    let sent = forwarded / case.subscribers as f64;
    Spread { ns: cpu as f64 / forwarded, opened: opened / sent, crossed: crossed / sent }
}

/// Forwards, packets opened, crossings.
fn counts(worker: &mut Althing) -> [u64; 3] {
    [Counter::RtpForwarded, Counter::RtpIn, Counter::RelayOut].map(|counter| worker.count(counter))
}
