//! The relay under attack: a real node, real sockets on loopback, and all the while two clients who exchange data through it.
//!
//! `cargo test --test attacks` asks for a part of everything; `make attacks` (`ALTHING_ATTACKS_FULL=1`) for all of it, and writes what came of
//! it to `docs/proof/attacks.jsonl`. The build is one with debug assertions: a sum that overflows is a panic here.

#[allow(dead_code, reason = "shared with the tests of the protocol, which use all of it")]
#[path = "../protocol/client.rs"]
mod client;
mod credentials;
mod exchange;
mod fanout;
mod forms;
mod malformed;
#[path = "../nodes/mod.rs"]
mod nodes;
mod quota;
mod reach;
mod reflection;
mod report;
#[allow(dead_code, reason = "shared with the proofs")]
#[path = "../prove/row.rs"]
mod row;
#[allow(dead_code, reason = "shared with the other proofs")]
#[path = "../prove/report.rs"]
mod rows;
mod scene;
mod streams;
mod turn;

/// What the client of the protocol's tests begins a log with; nobody reads one here.
mod logs {
    pub const fn begin() {}
}
