//! Althing, a selective forwarding unit for WebRTC.

// Rules that hold only in some rooms: `clippy.toml` lists what is banned and why, `media/` denies it.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod base;
pub mod cli;
pub mod config;
pub mod contract;
pub mod control;
pub mod metrics;
pub mod node;
pub mod port;
pub mod sdp;
pub mod wire;
