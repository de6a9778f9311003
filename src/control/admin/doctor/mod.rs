//! What would stop a call, in plain sentences: from what was found on this machine to what to do about it.
//!
//! Here are the sentences, which are pure, and what asks over the network ([`ask`]). `node` looks at the machine, with the hands that it
//! starts with.

pub mod addresses;
pub mod ask;
pub mod bucket;
pub mod certificate;
pub mod machine;
pub mod ports;
pub mod relays;

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It works.
    Ok,
    /// Some calls fail, or will.
    Warning,
    /// Calls fail, or the node does not start.
    Problem,
}

/// What was found, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What it is, for machines: a name that stays.
    pub code: &'static str,
    /// A sentence.
    pub what: String,
    /// What to do; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(code: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, code, what: what.into(), next: None }
    }

    /// A finding that some calls suffer from.
    pub fn warning(code: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, code, what: what.into(), next: Some(next.into()) }
    }

    /// A finding that stops calls.
    pub fn problem(code: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, code, what: what.into(), next: Some(next.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
        };
        write!(f, "{mark}  {}", self.what)?;
        self.next.iter().try_for_each(|next| write!(f, "\n         → {next}"))
    }
}

/// All that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        match (count(Verdict::Problem), count(Verdict::Warning)) {
            (0, 0) => writeln!(f, "\nNothing was found that would stop a call."),
            (problems, warnings) => writeln!(f, "\n{}, {}.", number(problems, "problem"), number(warnings, "warning")),
        }
    }
}

fn number(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn listed<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
