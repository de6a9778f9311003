//! What no forwarder can go below on this machine: receive, open, N × (rewrite, seal, send) and nothing else.
//!
//! Prints a JSON line a case: nanoseconds of CPU per forward (the median of five), and what of it is cipher, sending, the rest.
//! As root it sends into a device that drops everything, else over loopback. `cargo bench --bench limit -- loopback` chooses loopback.

#![allow(dead_code, reason = "the proof uses the same parts, and more of them")]

mod bare;
mod feed;
mod measure;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use bare::{Bare, Without};
use feed::{Feed, read_trace};
use measure::{Case, Network, median, run};

const RUNS: usize = 5;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let loopback = std::env::args().any(|a| a == "loopback") || !Network::enter_discarding();
    let network = if loopback { Network::Loopback } else { Network::Discard };
    let _sink = loopback.then(sink::Sink::begin);
    let flood = |bytes, subscribers, batch| Case {
        network,
        publishers: 1,
        subscribers,
        batch,
        feed: Feed::Flood { bytes, audio: bytes < 200, at_a_time: batch },
        time: Duration::from_millis(300),
    };
    let sizes = [1_200, 120].into_iter();
    for case in sizes
        .flat_map(|bytes| [1, 2, 4, 8].map(|batch| (bytes, batch)))
        .flat_map(|(bytes, batch)| [1, 10, 50, 200, 1_000].into_iter().filter(move |n| batch == 1 || *n == 50).map(move |n| (bytes, batch, n)))
    {
        let (bytes, batch, subscribers) = case;
        let what = format!(r#""bytes":{bytes},"subscribers":{subscribers},"per_tick":{batch}"#);
        print(network, &what, &flood(bytes, subscribers, batch));
    }
    for (name, text) in feed::TRACES {
        let trace = Arc::new(read_trace(text));
        for (publishers, subscribers) in [(1, 50), (10, 10)] {
            let case = Case { network, publishers, subscribers, batch: 32, feed: Feed::Trace(trace.clone()), time: Duration::from_secs(3) };
            print(network, &format!(r#""trace":"{name}","publishers":{publishers},"subscribers":{subscribers}"#), &case);
        }
    }
}

fn print(network: Network, what: &str, case: &Case) {
    let mut figures = [const { Vec::new() }; 3];
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        for (figures, without) in figures.iter_mut().zip([Without::Nothing, Without::Crypto, Without::Send]) {
            let outcome = run(case, move |case, sources| Bare::new(case, sources, without));
            figures.push(outcome.ns);
            if without == Without::Nothing {
                runs.push(outcome.run);
            }
        }
    }
    let [whole, no_crypto, no_send] = figures.map(median);
    println!(
        r#"{{"bench":"limit","network":"{network:?}",{what},"ns_per_forward":{whole:.0},"crypto_ns":{:.0},"send_ns":{:.0},"rest_ns":{:.0},"packets_per_message":{:.2}}}"#,
        whole - no_crypto,
        whole - no_send,
        no_crypto + no_send - whole,
        median(runs),
    );
}
