//! What came of an attack.

pub use crate::rows::Report;

/// Whether everything is asked for.
pub fn is_full() -> bool {
    std::env::var_os("ALTHING_ATTACKS_FULL").is_some_and(|value| value == "1")
}

/// So many when everything is asked for, and otherwise so few.
pub fn count(full: usize, quick: usize) -> usize {
    if is_full() { full } else { quick }
}

/// Of a class, as `T5`.
pub fn of_class(class: &str) -> Report {
    Report::of(&format!("attacks.{class}"), "docs/proof/attacks.jsonl", "make attacks", is_full())
}
