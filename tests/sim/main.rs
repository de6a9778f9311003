//! Stories: real engines in a virtual network under a virtual clock, every packet stamped.
//!
//! `ALTHING_SIM_SEED=n` adds a seed; the others are constants, so that a failure can be repeated.

mod calls;
mod client;
mod crossing;
mod edges;
mod fallback;
mod handshakes;
mod house;
mod member;
mod network;
mod offer;
mod reports;
mod stories;
mod tapping;
mod world;

/// The seeds of every run.
pub fn seeds() -> Vec<u64> {
    let extra = std::env::var("ALTHING_SIM_SEED").ok().and_then(|s| s.parse().ok());
    [1, 2, 3].into_iter().chain(extra).collect()
}
