//! The engine alone, no sockets: one publisher to N subscribers, AES-GCM, everything that this version does for a forward, beside
//! the bare seal of the same packet in the same run. Prints a JSON line a case.

#[path = "../../tests/sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod client;
#[path = "../cpu.rs"]
mod cpu;
mod engine;

use cpu::{RUNS, median};
use engine::{What, run};

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let many = [1, 10, 50, 200, 1_000].map(|subscribers| (What::Video, subscribers));
    for (what, subscribers) in many.into_iter().chain([(What::RewrittenVideo, 50), (What::EstimatedVideo, 50), (What::Audio, 50)]) {
        // `-- RewrittenVideo` runs the cases of that name alone.
        if std::env::args().skip(1).any(|name| !name.starts_with('-') && name != format!("{what:?}")) {
            continue;
        }
        let costs: Vec<_> = (0..RUNS as u64).map(|seed| run(what, subscribers, seed)).collect();
        let all = |pick: fn(&engine::Cost) -> f64| median(costs.iter().map(pick).collect());
        let (forward, seal, bytes, ratio) = (all(|c| c.forward), all(|c| c.seal), all(|c| c.bytes), all(|c| c.forward / c.seal));
        println!(
            r#"{{"bench":"forward","what":"{what:?}","subscribers":{subscribers},"bytes":{bytes:.0},"ns_per_forward":{forward:.0},"ns_bare_seal":{seal:.0},"ratio":{ratio:.2}}}"#
        );
    }
}
