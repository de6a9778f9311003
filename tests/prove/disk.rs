//! What recordings survive: the power is cut, the disk refuses, is slow, is gone. See `tests/disk`, of which this is more. CUTS=10: fewer cuts.

#[path = "../disk/call.rs"]
mod call;
#[path = "../client/mod.rs"]
mod client;
#[path = "../disk/faulty.rs"]
mod faulty;
#[path = "../disk/fuse.rs"]
mod fuse;
#[path = "../nodes/mod.rs"]
mod nodes;
#[path = "row.rs"]
#[allow(dead_code, reason = "shared with other proofs, which use all of it")]
mod row;
#[path = "../disk/scenes.rs"]
mod scenes;
#[path = "../disk/stack.rs"]
mod stack;
#[path = "../client/witness.rs"]
#[allow(dead_code, reason = "shared with a test that uses all of it")]
mod witness;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use faulty::Fault;
use row::{Row, Run};
use scenes::{Remains, Survived, fault, lost_disk, power_cuts, power_cuts_at_the_end};
use stack::apart;

const SEED: u64 = 7;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "serve_a_disk") {
        stack::serve();
        return ExitCode::SUCCESS;
    }
    let run = Run::new("make prove-recording");
    let cuts = std::env::var("CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(50);
    let Some(rows) = prove(&run, cuts) else { return ExitCode::FAILURE };
    for row in &rows {
        println!("{} {} {} {:?}", row.row, row.value, row.unit, row.pass);
    }
    row::write(Path::new("docs/proof/recording.jsonl"), &rows).expect("the rows are written");
    if rows.iter().all(|row| row.pass != Some(false)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prove(run: &Run, cuts: u64) -> Option<Vec<Row>> {
    let mut rows = power(run, cuts, apart(move || power_cuts(cuts, SEED))?);
    let ends = apart(|| power_cuts_at_the_end(50, SEED))?;
    let playing = ends.iter().filter(|file| file.is_ok()).count();
    let share = 100.0 * playing as f64 / ends.len() as f64;
    rows.push(run.verdict("power.end.plays".into(), share, "% of files after 50 cuts while they were ended", "= 100", playing == ends.len()));
    let slow = Fault::Slow(Duration::from_secs(2));
    for (name, fault_is, lasts, queue) in [("error", Fault::NewBlocks, 3, 64 << 20), ("hang", Fault::Hang, 5, 64 << 20), ("slow", slow, 8, 400 << 10)]
    {
        rows.extend(survived(run, name, &apart(move || fault(fault_is, Duration::from_secs(lasts), queue))?));
    }
    let (gone, files) = apart(lost_disk)?;
    let plays = files.iter().all(|file| file.plays.is_ok());
    rows.extend(survived(run, "gone", &Survived { broken: if plays { vec![] } else { vec![format!("{files:?}")] }, ..gone }));
    Some(rows)
}

fn power(run: &Run, cuts: u64, files: Vec<Remains>) -> Vec<Row> {
    let playing = files.iter().filter(|file| file.plays.is_ok()).count();
    let mut tails: Vec<f64> = files.iter().map(|file| file.tail).collect();
    tails.sort_by(f64::total_cmp);
    let p99 = tails.get((tails.len() as f64 * 0.99).ceil() as usize - 1).copied().unwrap_or(f64::NAN);
    let share = 100.0 * playing as f64 / files.len() as f64;
    vec![
        run.verdict("power.plays".into(), share, "% of files after 50 power cuts", "= 100", playing == files.len() && cuts >= 50),
        run.verdict("power.tail.p99".into(), p99.round(), "ms", "<= 2000", p99 <= 2_000.0),
    ]
}

/// The call unharmed, the files playable, the alarm raised within a second, members told of a pause, the recording resumed.
fn survived(run: &Run, name: &str, survived: &Survived) -> Vec<Row> {
    println!("{name}: {survived:?}");
    let unharmed = survived.forwarded.iter().all(|share| *share > 98.0);
    let pass = unharmed && survived.broken.is_empty() && survived.resumed < 5.0;
    let told = survived.paused.map(|_| run.figure(format!("disk.{name}.told"), survived.told.round(), "ms from the alarm until members know"));
    let goes_on = run.figure(format!("disk.{name}.goes_on"), f64::from(u8::from(survived.goes_on)), "members know at last that it is recorded");
    let rows = [
        run.verdict(format!("disk.{name}"), f64::from(u8::from(pass)), "call unharmed, files playable, resumes", "= 1", pass),
        run.figure(format!("disk.{name}.files"), survived.files as f64, "files of two people"),
        run.figure(format!("disk.{name}.lost"), survived.lost as f64, "pieces lost"),
        run.verdict(format!("disk.{name}.alarm"), survived.alarm.round(), "ms from the first call that it met", "<= 1000", survived.alarm <= 1_000.0),
        goes_on,
    ];
    rows.into_iter().chain(told).collect()
}
