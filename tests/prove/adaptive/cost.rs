//! What everything together costs: estimated, paced and rewritten, beside the bare seal and beside the limit, in the same run.

#[path = "../../../benches/limit/althing.rs"]
mod althing_side;
#[path = "../../../benches/limit/bare.rs"]
mod bare;
#[path = "../../../benches/cpu.rs"]
mod cpu;
#[path = "../../../benches/forward/engine.rs"]
mod engine;
mod estimated;
#[path = "../../../benches/limit/feed.rs"]
mod feed;
#[path = "../../../benches/limit/measure.rs"]
mod measure;
mod told;

use std::sync::Arc;
use std::time::Duration;

use althing_side::client;
use bare::{Bare, Without};
use engine::What;
use estimated::{Estimated, WARM_UP};
use feed::{Feed, Recorded, TRACES, read_trace};
use measure::{Case, Forwarder, Network, Outcome, Tally, run};
use told::Told;

pub use measure::median;

use super::Proof;

/// Pairs of runs of which the median counts.
const PAIRS: usize = 5;

/// The engine alone: forwarding VP8 that is written anew to fifty who report what they receive.
pub fn engine(proof: &mut Proof) {
    for (what, name, reach) in [(What::EstimatedVideo, "engine", Some(1.9)), (What::RewrittenVideo, "engine.without_estimates", None)] {
        let costs: Vec<_> = (0..7).map(|seed| engine::run(what, 50, seed)).collect();
        let all = |pick: fn(&engine::Cost) -> f64| median(costs.iter().map(pick).collect());
        let ratio = all(|c| c.forward / c.seal);
        match reach {
            Some(reach) => proof.verdict(name, ratio, "times the bare seal", &format!("<= {reach}"), ratio <= reach),
            None => proof.figure(name, ratio, "times the bare seal"),
        }
        proof.figure(&format!("{name}.forward"), all(|c| c.forward), "ns of CPU per forward");
        proof.figure(&format!("{name}.seal"), all(|c| c.seal), "ns of CPU per seal");
    }
}

/// Althing's worker beside the bare forwarder, both into a device that drops everything: fifty subscribers whose links are estimated,
/// and whose pictures are written anew.
pub fn beside_the_limit(proof: &mut Proof) {
    if !Network::enter_discarding() {
        eprintln!("*** SKIPPED: the rows beside the limit need root, for a network namespace with a device that drops everything. ***");
        return;
    }
    of_limit(proof, "of_limit.one_packet_a_tick", paced(1), 1, 0.85);
    of_limit(proof, "of_limit.four_packets_a_tick", paced(4), 4, 0.7);
    for (name, text) in TRACES {
        of_limit(proof, &format!("of_limit.trace_{name}"), read_trace(text), 32, 0.75);
        of_told(proof, &format!("of_limit.trace_{name}.told"), read_trace(text));
    }
}

/// Forty megabit per second to each, so many packets at a time: an estimate ends at a hundred, so estimated links cannot be flooded, and whoever forwards
/// is not to have more to do than a core can on a slow day, or links are taken for slow.
fn paced(at_a_time: u64) -> Vec<Recorded> {
    let packet = |n: u64| Recorded { at: Duration::from_micros(n / at_a_time * at_a_time * 240), bytes: 1_200, marker: true, audio: false };
    (0..6_000).map(|n| Recorded { marker: (n + 1) % at_a_time == 0, ..packet(n) }).collect()
}

/// The limit's cost divided by ours.
///
/// `batch` is how many packets are received in one tick at most.
fn of_limit(proof: &mut Proof, name: &str, trace: Vec<Recorded>, batch: usize, reach: f64) {
    let feed = Feed::Trace(Arc::new(trace));
    let case = Case { network: Network::Discard, publishers: 1, subscribers: 50, batch, feed, time: Duration::from_secs(2) };
    let mut pairs = Vec::new();
    for pair in 1..=PAIRS {
        let limit = run(&case, |case, sources| AsLate(Bare::new(case, sources, Without::Nothing)));
        pairs.push((limit, run(&case, Estimated::new)));
        eprintln!("{name}: {pair} of {PAIRS} pairs");
    }
    let all = |pick: fn(&(Outcome, Outcome)) -> f64| median(pairs.iter().map(pick).collect());
    let ratio = all(|(limit, ours)| limit.ns / ours.ns);
    proof.verdict(name, ratio, "of the limit", &format!(">= {reach}"), ratio >= reach);
    proof.figure(&format!("{name}.limit_ns"), all(|p| p.0.ns), "ns of CPU per forward");
    proof.figure(&format!("{name}.althing_ns"), all(|p| p.1.ns), "ns of CPU per forward");
    // Whether both did the same: what waits or is left out costs nothing.
    let forwarded = all(|(limit, ours)| ours.forwarded as f64 / limit.forwarded as f64);
    proof.verdict(&format!("{name}.forwarded"), forwarded, "of what the limit forwards", "0.97 to 1.03", (0.97..=1.03).contains(&forwarded));
    proof.figure(&format!("{name}.packets_per_message"), all(|p| p.1.run), "packets");
    proof.figure(&format!("{name}.limit_packets_per_message"), all(|p| p.0.run), "packets");
}

/// The same beside a limit that receives what subscribers report, and forgets it: how much of the difference is that they report at all.
fn of_told(proof: &mut Proof, name: &str, trace: Vec<Recorded>) {
    let feed = Feed::Trace(Arc::new(trace));
    let case = Case { network: Network::Discard, publishers: 1, subscribers: 50, batch: 32, feed, time: Duration::from_secs(2) };
    let mut pairs = Vec::new();
    for pair in 1..=PAIRS {
        let limit = run(&case, |case, sources| AsLate(Told::new(case, Bare::new(case, sources, Without::Nothing))));
        pairs.push((limit, run(&case, Estimated::new)));
        eprintln!("{name}: {pair} of {PAIRS} pairs");
    }
    proof.figure(name, median(pairs.iter().map(|(limit, ours)| limit.ns / ours.ns).collect()), "of a limit that receives the reports, too");
    proof.figure(&format!("{name}.limit_ns"), median(pairs.iter().map(|p| p.0.ns).collect()), "ns of CPU per forward");
}

/// A forwarder that is measured as late as one with estimated links: over the same part of a trace.
struct AsLate<F>(F);

impl<F: Forwarder> Forwarder for AsLate<F> {
    fn port(&self) -> u16 {
        self.0.port()
    }

    fn warm_up(&self) -> Duration {
        WARM_UP
    }

    fn turn(&mut self) {
        self.0.turn();
    }

    fn tally(&self) -> Tally {
        self.0.tally()
    }
}
