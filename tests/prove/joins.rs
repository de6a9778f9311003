//! `make prove-joins`: what a join costs, what a participant holds, and what 500 who come at once do to the server. The
//! rows go to `docs/proof/forward.jsonl`.
//!
//! The server is the given binary in a process of its own. Clients are light ones: real sockets, signaling, ICE, DTLS and
//! SRTP, nothing repaired.

#[path = "../client/mod.rs"]
mod client;
#[path = "../light/mod.rs"]
mod light;
#[allow(dead_code, reason = "shared with the other proofs")]
mod row;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use client::Result;
use light::cost::{Server, median, rounds};
use light::storm::{Storm, storm};
use row::{Row, Run};

/// A join may cost so many bare handshakes.
const MOST_HANDSHAKES: f64 = 6.0;
/// What a participant may hold beside its caches, in KiB.
const MOST_HEAP: f64 = 64.0;

#[derive(Parser)]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/althing")]
    server: PathBuf,
    /// How many come at once.
    #[arg(long, default_value_t = 500)]
    storm: u16,
    /// Where the rows go.
    #[arg(long, default_value = "docs/proof/forward.jsonl")]
    out: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match prove(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("prove-joins failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prove(arguments: &Arguments) -> Result<bool> {
    let run = Run::new("make prove-joins");
    let program = arguments.server.to_str().ok_or("the server's path is not text")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();

    eprintln!("joins, one after the other, beside bare handshakes");
    let server = Server::start(program)?;
    let round = median(runtime.block_on(rounds(&server, 5, 40))?).ok_or("no rounds")?;
    drop(server);
    let (join, handshake) = (round.join.as_secs_f64() * 1e3, round.handshake.as_secs_f64() * 1e3);
    let reach = format!("<= {MOST_HANDSHAKES} handshakes ({:.3} ms)", MOST_HANDSHAKES * handshake);
    rows.push(run.verdict("join_cpu_ms".to_owned(), join, "ms", &reach, round.ratio() <= MOST_HANDSHAKES));
    rows.push(run.figure("join_handshake_cpu_ms".to_owned(), handshake, "ms"));
    rows.push(run.figure("join_handshakes".to_owned(), round.ratio(), "handshakes"));

    eprintln!("what a participant holds");
    rows.extend(heap_rows(&run)?);

    eprintln!("{} joins at once, a call in another room", arguments.storm);
    let server = Server::start(program)?;
    let before = server.cpu();
    let outcome = runtime.block_on(storm(&server.url(), arguments.storm))?;
    rows.extend(storm_rows(&run, &outcome, server.cpu() - before, server.resident()));

    rows.iter().for_each(print);
    row::write(&arguments.out, &rows)?;
    Ok(rows.iter().all(|r| r.pass != Some(false)))
}

/// From the test that asks the allocator.
fn heap_rows(run: &Run) -> Result<Vec<Row>> {
    let output = Command::new("cargo").args(["test", "--quiet", "--locked", "--test", "heap", "--", "--nocapture"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|l| l.contains("KiB of heap")).ok_or_else(|| format!("the heap was not measured:\n{text}"))?;
    let figures: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [heap, caches] = figures[..] else { return Err("the heap was not measured".into()) };
    Ok(vec![
        run.verdict("heap_kib".to_owned(), heap, "KiB", &format!("<= {MOST_HEAP} KiB"), heap <= MOST_HEAP && output.status.success()),
        run.figure("heap_caches_kib".to_owned(), caches, "KiB"),
    ])
}

fn storm_rows(run: &Run, outcome: &Storm, cpu: u64, resident: u64) -> Vec<Row> {
    let all = format!("= {} participants", outcome.came);
    vec![
        run.verdict("storm_receiving".to_owned(), f64::from(outcome.receiving), "participants", &all, outcome.receiving == outcome.came),
        run.verdict("storm_call_lost".to_owned(), outcome.call_lost as f64, "packets", "= 0", outcome.call_lost == 0 && outcome.call_offered > 0),
        run.figure("storm_call_offered".to_owned(), outcome.call_offered as f64, "packets"),
        run.figure("storm_ready".to_owned(), outcome.ready.as_secs_f64(), "s"),
        run.figure("storm_cpu_per_join".to_owned(), cpu as f64 / 1e6 / f64::from(outcome.came.max(1)), "ms"),
        run.figure("storm_rss".to_owned(), resident as f64 / f64::from(1 << 20), "MiB"),
    ]
}

fn print(row: &Row) {
    let verdict = match row.pass {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "",
    };
    println!("{:32} {:>14.4} {:12} {:28} {verdict}", row.row, row.value, row.unit, row.reach.as_deref().unwrap_or(""));
}
