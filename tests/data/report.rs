//! What came of it.

pub use crate::rows::Report;

/// Whether all is asked for: more messages, and the rows are written.
pub fn is_full() -> bool {
    std::env::var_os("ALTHING_DATA_FULL").is_some_and(|value| value == "1")
}

/// An empty report.
pub fn report() -> Report {
    Report::of("data", "docs/proof/data.jsonl", "make prove-data", is_full())
}
