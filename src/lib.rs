//! Althing, a selective forwarding unit for WebRTC.

pub mod base;
pub mod contract;
pub mod io;
pub mod media;
pub mod port;
pub mod sdp;
pub mod wire;
