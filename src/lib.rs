//! Althing, a selective forwarding unit (SFU) for WebRTC, in one process with two planes.
//!
//! **The media plane** carries packets: pinned threads, no lock, no await, no allocation per packet.
//! - [`media`] is the SFU as a pure machine: it is told the time and the bytes, and returns bytes and events.
//! - [`turn`] is the relay for those who cannot be reached directly, a pure machine like it.
//! - [`io`] is the hands of both: worker threads, sockets, batches.
//!
//! **The control plane** does everything else, on tokio, and may wait.
//! - [`control`] holds HTTP, tokens, signaling, and the rooms as pure state machines.
//! - [`sdp`] turns an offer into a plan and an answer.
//! - [`metrics`] shows Prometheus what workers and rooms count.
//!
//! **Between them** go values, never state.
//! - [`contract`] has the values (commands and plans down, events and counters up), [`port`] the mailboxes.
//!
//! **Beside them:** [`record`] turns what workers copy for it into files, on threads of its own. [`tls`] has the certificate that listeners show, and goes on replacing it.
//!
//! **Under all:** [`base`] has ids, units, time as a value; [`wire`] the signaling messages; [`config`] the settings.
//! [`node`] puts everything together, [`cli`] is the front of the program. [`load`] is the load tester: a client of any node.
//!
//! A packet's way: [`io::udp`] → [`media::engine`] → [`media::publish`] (the track's cache), then once a tick
//! [`media::route`] (every subscriber's leg) → [`base::outgoing`] → [`io::udp`].
//!
//! A message's way: [`control::http`] → [`control::signaling`] → [`control::rooms`]'s `Room::apply` → effects: an answer, an
//! event for a member, or a command that goes through [`port`] to a worker.
//!
//! `docs/ARCHITECTURE.md` draws it.

pub mod base;
pub mod cli;
pub mod config;
pub mod contract;
pub mod control;
pub mod io;
pub mod load;
pub mod media;
pub mod metrics;
pub mod node;
pub mod port;
pub mod record;
pub mod sdp;
pub mod tls;
pub mod turn;
pub mod wire;
