//! Althing, a selective forwarding unit for WebRTC.

pub mod base;
pub mod cli;
pub mod config;
pub mod contract;
pub mod control;
pub mod io;
pub mod media;
pub mod metrics;
pub mod node;
pub mod port;
pub mod sdp;
pub mod wire;
