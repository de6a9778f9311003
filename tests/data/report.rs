//! What came of it: rows, said at once and, when all is asked for, written to `docs/proof/data.jsonl`.

use std::path::Path;

use crate::row::{self, Row, Run};

const FILE: &str = "docs/proof/data.jsonl";
const COMMAND: &str = "make prove-data";

/// Whether all is asked for: more messages, and the rows are written.
pub fn is_full() -> bool {
    std::env::var_os("ALTHING_DATA_FULL").is_some_and(|value| value == "1")
}

pub struct Report {
    run: Run,
    rows: Vec<Row>,
}

impl Report {
    pub fn new() -> Self {
        Self { run: Run::new(COMMAND), rows: Vec::new() }
    }

    pub fn say(&self, what: &str) {
        println!("    {what}");
    }

    pub fn figure(&mut self, row: &str, value: f64, unit: &'static str) {
        let row = self.run.figure(format!("data.{row}"), rounded(value), unit);
        self.say(&format!("{} {} {unit}", row.row, row.value));
        self.rows.push(row);
    }

    pub fn at_most(&mut self, row: &str, value: f64, unit: &'static str, most: f64) {
        self.add(row, value, unit, &format!("<= {most}"), value <= most);
    }

    pub fn at_least(&mut self, row: &str, value: f64, unit: &'static str, least: f64) {
        self.add(row, value, unit, &format!(">= {least}"), value >= least);
    }

    pub fn exactly(&mut self, row: &str, value: f64, unit: &'static str, wanted: f64) {
        self.add(row, value, unit, &format!("= {wanted}"), (value - wanted).abs() < f64::EPSILON);
    }

    pub fn between(&mut self, row: &str, value: f64, unit: &'static str, (least, most): (f64, f64)) {
        self.add(row, value, unit, &format!("{least} to {most}"), (least..=most).contains(&value));
    }

    fn add(&mut self, row: &str, value: f64, unit: &'static str, reach: &str, pass: bool) {
        let row = self.run.verdict(format!("data.{row}"), rounded(value), unit, reach, pass);
        self.say(&format!("{} {} {unit} ({reach}): {}", row.row, row.value, if pass { "passes" } else { "FAILS" }));
        self.rows.push(row);
    }

    /// Writes the rows where all was asked for; fails when one of them does.
    pub fn end(self) {
        if is_full() {
            row::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE), &self.rows).expect("written");
        }
        let failed: Vec<_> = self.rows.iter().filter(|row| row.pass == Some(false)).map(|row| &row.row).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
