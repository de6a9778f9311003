//! The signaling protocol over real sockets, against a whole node.

#[path = "protocol/access.rs"]
mod access;
#[path = "protocol/api.rs"]
mod api;
#[path = "protocol/bad_input.rs"]
mod bad_input;
#[path = "protocol/calls.rs"]
mod calls;
#[path = "protocol/client.rs"]
mod client;
#[path = "protocol/endurance.rs"]
mod endurance;
#[path = "protocol/fallback.rs"]
mod fallback;
#[path = "protocol/listeners.rs"]
mod listeners;
#[path = "protocol/logs.rs"]
mod logs;
mod nodes;
#[path = "protocol/ring.rs"]
mod ring;
#[path = "protocol/whip.rs"]
mod whip;
