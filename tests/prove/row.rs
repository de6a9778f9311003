//! The rows of a proof: one JSON object a line, one line a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// One figure, and whether it is good enough.
#[derive(Clone, Serialize, Debug)]
pub struct Row {
    /// What was measured.
    pub row: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it has to reach; nothing for a figure that only informs.
    pub reach: Option<String>,
    /// Whether it does.
    pub pass: Option<bool>,
    /// How to measure it again.
    pub command: String,
    /// What was measured: the source's commit.
    pub commit: String,
    /// Where it was measured: processor, cores, kernel.
    pub machine: String,
}

/// What all rows of a run share.
pub struct Run {
    command: String,
    commit: String,
    machine: String,
}

impl Run {
    /// A run of `command`, here and now.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), commit: commit(), machine: machine() }
    }

    /// A figure that informs.
    pub fn figure(&self, row: String, value: f64, unit: &'static str) -> Row {
        Row { row, value, unit, reach: None, pass: None, command: self.command.clone(), commit: self.commit.clone(), machine: self.machine.clone() }
    }

    /// A figure that has to reach something.
    pub fn verdict(&self, row: String, value: f64, unit: &'static str, reach: &str, pass: bool) -> Row {
        Row { reach: Some(reach.to_owned()), pass: Some(pass), ..self.figure(row, value, unit) }
    }
}

/// Writes the rows into `file`, in place of older ones of the same names; rows of other proofs stay.
pub fn write(file: &Path, rows: &[Row]) -> std::io::Result<()> {
    let names: BTreeSet<&str> = rows.iter().map(|r| r.row.as_str()).collect();
    let is_replaced = |line: &str| {
        let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
        value.is_none_or(|v| v["row"].as_str().is_none_or(|name| names.contains(name)))
    };
    let before = fs::read_to_string(file).unwrap_or_default();
    let kept = before.lines().filter(|l| !l.is_empty() && !is_replaced(l)).map(str::to_owned);
    let new = rows.iter().map(|r| serde_json::to_string(r).expect("a row is plain data"));
    let text: String = kept.chain(new).map(|line| line + "\n").collect();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

fn commit() -> String {
    let git = |arguments: &[&str]| Command::new("git").args(arguments).output().ok().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let head = git(&["rev-parse", "--short", "HEAD"]).filter(|h| !h.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    // The proof's own results are not a change of what it measures.
    let changes = git(&["status", "--porcelain", "--", ".", ":!docs/proof"]).unwrap_or_default();
    if changes.is_empty() { head } else { format!("{head} with changes") }
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).map_or("unknown processor", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split(['-', '\n']).next().unwrap_or_default();
    format!("{model}, {cores} cores, Linux {kernel}")
}
