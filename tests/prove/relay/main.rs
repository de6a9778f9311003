//! `make prove-relay`: what it costs to relay a packet, beside Debian's coturn in the same run. The rows go to
//! `docs/proof/relay.jsonl`.
//!
//! Both servers are processes of their own with one thread that relays, on loopback, one after the other. Clients and peers are in this process.

mod allocate;
mod calls;
#[path = "../../client/mod.rs"]
mod client;
#[allow(dead_code, reason = "shared with the other proofs")]
#[path = "../row.rs"]
mod row;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use calls::{Calls, Outcome, Shape};
use clap::Parser;
use client::Result;
use row::{Row, Run};
use servers::Server;

/// A packet may cost so much of coturn's.
const REACH: f64 = 0.5;
/// Of what is sent, so much has to arrive in percent: else the two have not done the same work.
const DELIVERED: f64 = 99.9;

#[derive(Parser)]
struct Arguments {
    /// The server's binary.
    #[arg(long, default_value = "target/release/althing")]
    server: PathBuf,
    /// Runs of each, of which the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long a run sends.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Clients of a run; all sizes are proven when none is given.
    #[arg(long)]
    clients: Vec<usize>,
    /// Only Althing, for a profiler.
    #[arg(long)]
    alone: bool,
    /// Where the rows go.
    #[arg(long, default_value = "docs/proof/relay.jsonl")]
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
            eprintln!("prove-relay failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prove(arguments: &Arguments) -> Result<bool> {
    let run = Run::new("make prove-relay");
    let program = arguments.server.to_str().ok_or("the server's path is not text")?;
    let sizes = if arguments.clients.is_empty() { &[20, 100][..] } else { &arguments.clients };
    let mut rows = Vec::new();
    for &clients in sizes {
        for (name, shape) in [("call", Shape::Call), ("spaced", Shape::Spaced)] {
            let name = format!("relay_cpu.{name}_{clients}");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..arguments.rounds {
                let measure = |who, server: Server| -> Result<Outcome> {
                    let outcome = Calls::new(&server, clients)?.run(shape, Duration::from_secs(arguments.seconds));
                    let Outcome { ns, rate, delivered, p99 } = outcome;
                    eprintln!("{name:22} {who:8} {ns:7.0} ns a packet, {rate:7.0} packets/s, {delivered:7.3} % arrived, 99 % within {p99:6.0} µs");
                    Ok(outcome)
                };
                ours.push(measure("althing", Server::althing(program, clients)?)?);
                if !arguments.alone {
                    theirs.push(measure("coturn", Server::coturn()?)?);
                }
            }
            if !arguments.alone {
                rows.extend(rows_of(&run, &name, &ours, &theirs));
            }
        }
    }
    if arguments.alone {
        return Ok(true);
    }
    rows.iter().for_each(print);
    row::write(&arguments.out, &rows)?;
    Ok(rows.iter().all(|r| r.pass != Some(false)))
}

fn rows_of(run: &Run, name: &str, ours: &[Outcome], theirs: &[Outcome]) -> Vec<Row> {
    let all = |of: &[Outcome], pick: fn(&Outcome) -> f64| median(of.iter().map(pick).collect());
    let ratio = median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.ns / theirs.ns).collect());
    let delivered = ours.iter().chain(theirs).map(|outcome| outcome.delivered).fold(f64::INFINITY, f64::min);
    let reach = format!("<= {REACH}, >= {DELIVERED} % delivered by both");
    vec![
        run.verdict(name.to_owned(), ratio, "of coturn's CPU per relayed packet", &reach, ratio <= REACH && delivered >= DELIVERED),
        run.figure(format!("{name}.althing_ns"), all(ours, |o| o.ns), "ns of CPU per relayed packet, the whole process"),
        run.figure(format!("{name}.coturn_ns"), all(theirs, |o| o.ns), "ns of CPU per relayed packet, the whole process"),
        run.figure(format!("{name}.althing_p99"), all(ours, |o| o.p99), "µs from sender to receiver, up to 500 of them until it is looked"),
        run.figure(format!("{name}.coturn_p99"), all(theirs, |o| o.p99), "µs from sender to receiver, up to 500 of them until it is looked"),
        run.figure(format!("{name}.rate"), all(ours, |o| o.rate), "relayed packets/s"),
        run.figure(format!("{name}.delivered"), delivered, "% at least, of both"),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(row: &Row) {
    let verdict = match row.pass {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "",
    };
    println!("{:32} {:>12.3} {:48} {:40} {verdict}", row.row, row.value, row.unit, row.reach.as_deref().unwrap_or(""));
}
