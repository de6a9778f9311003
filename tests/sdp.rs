//! Session descriptions: a corpus of real offers (`tests/sdp/offers`) with snapshots of their answers, what is refused and why, what holds
//! from offer to offer, and offers that were tampered with.

#[path = "sdp/bench.rs"]
mod bench;
#[path = "sdp/corpus.rs"]
mod corpus;
#[path = "sdp/mutations.rs"]
mod mutations;
#[path = "sdp/oracle.rs"]
mod oracle;
#[path = "sdp/refusals.rs"]
mod refusals;
#[path = "sdp/sessions.rs"]
mod sessions;
#[path = "sdp/support.rs"]
mod support;
