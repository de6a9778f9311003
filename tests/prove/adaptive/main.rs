//! `make prove-adaptive`: links that carry less than everything, over several seeds each: the worst of every figure counts. Then what
//! all of it costs beside a bare seal and beside the limit. Rows go to docs/proof/adaptive.jsonl.
//!
//! `ROWS=steady,room` measures these alone, `ALTHING_SWEEP=0..500` other seeds of the random scenarios. Rows of browsers:
//! `make prove-lab`.

#![allow(dead_code, unused_imports, reason = "stories and other proofs use other parts of what they share")]

#[path = "../../adaptive/book.rs"]
mod book;
#[path = "../../adaptive/coding.rs"]
mod coding;
mod cost;
#[path = "../../adaptive/cross.rs"]
mod cross;
#[path = "../../adaptive/decoder.rs"]
mod decoder;
#[path = "../../adaptive/finder.rs"]
mod finder;
#[path = "../../adaptive/ledger.rs"]
mod ledger;
#[path = "../../adaptive/link.rs"]
mod link;
#[path = "../../adaptive/member.rs"]
mod member;
#[path = "../../adaptive/opened.rs"]
mod opened;
#[path = "../../adaptive/oracle.rs"]
mod oracle;
#[path = "../../adaptive/reach.rs"]
mod reach;
#[path = "../../adaptive/receiver.rs"]
mod receiver;
#[path = "../row.rs"]
mod row;
#[path = "../../adaptive/scores.rs"]
mod scores;
#[path = "../../adaptive/sender.rs"]
mod sender;
#[path = "../../adaptive/stamp.rs"]
mod stamp;
#[path = "../../adaptive/stream.rs"]
mod stream;
#[path = "../../adaptive/structure.rs"]
mod structure;
#[path = "../../adaptive/sweep.rs"]
mod sweep;
#[path = "../../adaptive/views.rs"]
mod views;
#[path = "../../adaptive/watching.rs"]
mod watching;
#[path = "../../adaptive/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reach::Reach;
use row::{Row, Run};
use scores::Score;

const COMMAND: &str = "make prove-adaptive";
const FILE: &str = "docs/proof/adaptive.jsonl";
/// Random scenarios that have to be without a fault.
const SWEEP: u64 = 10_000;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let chosen = std::env::var("ROWS").unwrap_or_default();
    let chosen: Vec<&str> = chosen.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|c| name.starts_with(c));
    let mut proof = Proof { run: Run::new(COMMAND), rows: Vec::new(), begun: Instant::now() };
    let millis = Duration::from_millis;
    for (queue, reaches) in [(300, reach::BREAKS_DOWN), (1_200, reach::BREAKS_DOWN_DEEP)] {
        if wanted("drop") {
            proof.scores(&format!("drop.queue_{queue}_ms"), 1..9, &reaches, |seed| scores::a_link_that_breaks_down(seed, millis(queue)));
        }
    }
    for mbps in [1.0, 2.0, 4.0] {
        if wanted("steady") {
            proof.scores(&format!("steady.{mbps}_mbps"), 1..9, &reach::STEADY, |seed| scores::a_steady_link(seed, mbps));
        }
    }
    if wanted("loss_10") {
        proof.scores("loss_10", 1..9, &reach::LOSSY, |seed| scores::a_lossy_way(seed, Duration::from_secs(120)));
    }
    if wanted("loss_30") {
        let span = Duration::from_secs(600);
        proof.scores("loss_30", 1..5, &reach::very_lossy(span.as_secs()), |seed| scores::a_very_lossy_way(seed, span));
    }
    for workers in [1, 2] {
        if wanted("room") {
            let span = Duration::from_secs(10);
            proof.scores(&format!("room_of_50.{workers}_workers"), 1..4, &reach::FULL_ROOM, |seed| scores::a_full_room(seed, 50, workers, span));
        }
    }
    if wanted("engine") {
        cost::engine(&mut proof);
    }
    if wanted("sweep") {
        proof.sweep();
    }
    if wanted("of_limit") {
        // The last: whoever enters a network of its own stays there.
        cost::beside_the_limit(&mut proof);
    }
    row::write(Path::new(FILE), &proof.rows).expect("the proof is written");
    ExitCode::from(u8::from(proof.rows.iter().any(|row| row.pass == Some(false))))
}

struct Proof {
    run: Run,
    rows: Vec<Row>,
    begun: Instant,
}

impl Proof {
    /// Plays a scenario with each seed: of what has to reach something the worst, of the rest the median.
    fn scores(&mut self, name: &str, seeds: Range<u64>, reaches: &[Reach], play: impl Fn(u64) -> Score + Sync) {
        let scores = self.each(name, seeds, play);
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        scores.iter().flatten().for_each(|(name, value)| values.entry(name).or_default().push(*value));
        for reach in reaches {
            let value = reach.worst(values.remove(reach.name).into_iter().flatten());
            self.verdict(
                &row_name(name, reach.name),
                value,
                reach.unit,
                &format!("{reach}, the worst of {} seeds", scores.len()),
                reach.holds(value),
            );
        }
        for (figure, values) in values {
            self.figure(&row_name(name, figure), cost::median(values), "the median");
        }
    }

    /// Random scenarios: what left that could not be decoded.
    fn sweep(&mut self) {
        let seeds = sweep::seeds().unwrap_or(0..SWEEP);
        let outcomes = self.each("sweep", seeds, |seed| (seed, sweep::scenario(seed)));
        let failed: Vec<String> = outcomes.iter().filter(|(_, outcome)| !outcome.faults.is_empty()).map(|(seed, _)| seed.to_string()).collect();
        if !failed.is_empty() {
            eprintln!("seeds with faults: {}", failed.join(" "));
        }
        let undecodable: usize = outcomes.iter().map(|(_, outcome)| outcome.undecodable).sum();
        let (frames, faulty) = ("frames beyond what was lost", failed.len() as f64);
        self.verdict("sweep.runs", outcomes.len() as f64, "seeded runs", &format!(">= {SWEEP}"), outcomes.len() as u64 >= SWEEP);
        self.verdict("sweep.undecodable", undecodable as f64, frames, "= 0", undecodable == 0);
        self.verdict("sweep.runs_with_any_fault", faulty, "runs", "= 0", failed.is_empty());
    }

    /// Does something with each seed, on all cores, and tells how far it is.
    fn each<T: Send>(&self, name: &str, seeds: Range<u64>, play: impl Fn(u64) -> T + Sync) -> Vec<T> {
        let count = (seeds.end - seeds.start) as usize;
        let (seeds, done, begun) = (Mutex::new(seeds), Mutex::new(Vec::with_capacity(count)), Instant::now());
        let told_every = count.div_ceil(100).max(1);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(seed) = { seeds.lock().expect("nobody fails").next() } {
                        let outcome = play(seed);
                        let mut done = done.lock().expect("nobody fails");
                        done.push((seed, outcome));
                        if done.len() % told_every == 0 || done.len() == count {
                            let (all, own) = (self.begun.elapsed().as_secs(), begun.elapsed().as_secs());
                            eprintln!("{all:>5} s  {name}: {} of {count} seeds, {own} s", done.len());
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("nobody fails");
        done.sort_by_key(|(seed, _)| *seed);
        done.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn verdict(&mut self, name: &str, value: f64, unit: &'static str, reach: &str, pass: bool) {
        println!("{} {name}: {value:.3} {unit} (reach {reach})", if pass { "ok  " } else { "FAIL" });
        self.rows.push(self.run.verdict(name.to_owned(), round(value), unit, reach, pass));
    }

    fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        println!("     {name}: {value:.3} {unit}");
        self.rows.push(self.run.figure(name.to_owned(), round(value), unit));
    }
}

fn row_name(group: &str, figure: &str) -> String {
    format!("{group}.{}", figure.replace(' ', "_").replace('\'', ""))
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
