//! What came of an attack: rows, said at once and, when everything was asked for, written to `docs/proof/attacks.jsonl`.

use std::path::Path;
use std::time::Instant;

use crate::row::{self, Row, Run};

const FILE: &str = "docs/proof/attacks.jsonl";
const COMMAND: &str = "make attacks";

/// Whether everything is asked for.
pub fn is_full() -> bool {
    std::env::var_os("ALTHING_ATTACKS_FULL").is_some_and(|value| value == "1")
}

/// So many when everything is asked for, and otherwise so few.
pub fn count(full: usize, quick: usize) -> usize {
    if is_full() { full } else { quick }
}

/// The rows of one class.
pub struct Report {
    class: &'static str,
    run: Run,
    rows: Vec<Row>,
    begun: Instant,
}

impl Report {
    /// Of a class, as `T5`.
    pub fn new(class: &'static str) -> Self {
        println!("==> {class}");
        Self { class, run: Run::new(COMMAND), rows: Vec::new(), begun: Instant::now() }
    }

    /// How far it has come.
    pub fn say(&self, what: &str) {
        println!("    {} {:5.1} s  {what}", self.class, self.begun.elapsed().as_secs_f64());
    }

    /// There may be so many at most.
    pub fn at_most(&mut self, row: &str, value: f64, unit: &'static str, most: f64) {
        self.add(row, value, unit, &format!("<= {most}"), value <= most);
    }

    /// There have to be so many at least.
    pub fn at_least(&mut self, row: &str, value: f64, unit: &'static str, least: f64) {
        self.add(row, value, unit, &format!(">= {least}"), value >= least);
    }

    /// There have to be just so many.
    pub fn exactly(&mut self, row: &str, value: f64, unit: &'static str, wanted: f64) {
        self.add(row, value, unit, &format!("= {wanted}"), (value - wanted).abs() < f64::EPSILON);
    }

    fn add(&mut self, row: &str, value: f64, unit: &'static str, reach: &str, pass: bool) {
        let row = self.run.verdict(format!("attacks.{}.{row}", self.class), (value * 1_000.0).round() / 1_000.0, unit, reach, pass);
        self.say(&format!("{} {} {unit} ({reach}): {}", row.row, row.value, if pass { "passes" } else { "FAILS" }));
        self.rows.push(row);
    }

    /// Writes the rows, and fails when one does not pass.
    pub fn finish(self) {
        if is_full() {
            row::write(Path::new(FILE), &self.rows).expect("written");
        }
        self.say("done");
        let failed: Vec<_> =
            self.rows.iter().filter(|row| row.pass == Some(false)).map(|row| format!("{}: {} {}", row.row, row.value, row.unit)).collect();
        assert!(failed.is_empty(), "does not pass: {}", failed.join("; "));
    }
}
