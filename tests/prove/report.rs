//! The rows of a proof that is a test: said at once and, when everything was asked for, written.

use std::path::Path;
use std::time::Instant;

use crate::row::{self, Row, Run};

/// Rows that begin with the same words.
pub struct Report {
    begin: String,
    file: &'static str,
    /// Whether everything was asked for.
    full: bool,
    run: Run,
    rows: Vec<Row>,
    begun: Instant,
}

impl Report {
    /// Of a proof, for a file below the package's root.
    pub fn of(begin: &str, file: &'static str, command: &str, full: bool) -> Self {
        println!("==> {begin}");
        Self { begin: begin.to_owned(), file, full, run: Run::new(command), rows: Vec::new(), begun: Instant::now() }
    }

    /// How far it has come.
    pub fn say(&self, what: &str) {
        println!("    {} {:5.1} s  {what}", self.begin, self.begun.elapsed().as_secs_f64());
    }

    /// A figure that informs.
    pub fn figure(&mut self, row: &str, value: f64, unit: &'static str) {
        let row = self.run.figure(format!("{}.{row}", self.begin), rounded(value), unit);
        self.say(&format!("{} {} {unit}", row.row, row.value));
        self.rows.push(row);
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

    /// It has to be within.
    pub fn between(&mut self, row: &str, value: f64, unit: &'static str, (least, most): (f64, f64)) {
        self.add(row, value, unit, &format!("{least} to {most}"), (least..=most).contains(&value));
    }

    fn add(&mut self, row: &str, value: f64, unit: &'static str, reach: &str, pass: bool) {
        let row = self.run.verdict(format!("{}.{row}", self.begin), rounded(value), unit, reach, pass);
        self.say(&format!("{} {} {unit} ({reach}): {}", row.row, row.value, if pass { "passes" } else { "FAILS" }));
        self.rows.push(row);
    }

    /// Writes the rows, and fails when one does not pass.
    pub fn finish(self) {
        if self.full {
            row::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file), &self.rows).expect("written");
        }
        self.say("done");
        let failed = self.rows.iter().filter(|row| row.pass == Some(false)).map(|row| format!("{}: {} {}", row.row, row.value, row.unit));
        let failed: Vec<_> = failed.collect();
        assert!(failed.is_empty(), "does not pass: {}", failed.join("; "));
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
