//! Calling a person: a pure state machine ([`Lobby`]), the task that owns one ([`actor`]), and where they are found ([`directory`]).
//!
//! `Lobby::apply(command, now) → effects` knows no clock, no socket, no randomness. A lobby is a name under which people can be
//! reached; a call of it rings here and is held in a room of its own (`control::rooms`), which the two ends join on sockets of
//! their own. What is decided here and why: `docs/adr/0013-calling-a-person.md`.
//!
//! ```text
//!              call                accept, or call the caller
//!  free ──────────────► ringing ──────────────────────────────► in a call ──────────► free
//!                          │  reject, cancel, time is up, gone       hang up, leave
//!                          └──────────────────────────────────► free
//! ```

pub mod actor;
mod call;
mod command;
pub mod directory;
mod lobby;
mod person;
mod presence;

#[cfg(test)]
mod tests;

pub use command::{CallDraws, Command, Effect, LobbyRequest, Outcome};
pub use directory::Lobbies;
pub use lobby::{Lobby, Rules};
