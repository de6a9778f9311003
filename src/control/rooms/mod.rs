//! Rooms: a pure state machine ([`Room`]), the task that owns one ([`actor`]), and where they are found ([`directory`]).
//!
//! `Room::apply(command, now) → effects` knows no clock, no socket, no randomness; one file in `message/` for each thing
//! that a member may ask for. Whose slots are to be filled is decided in `filling`, who is in which pair in `slots`.

pub mod actor;
mod administration;
mod awaited;
mod chat;
mod choice;
mod command;
pub mod directory;
mod door;
mod egress;
mod ending;
mod fallback;
mod fate;
mod filling;
mod gestures;
mod journal;
pub mod kept;
mod ledger;
mod limits;
mod media;
mod member;
mod message;
mod names;
mod past;
mod picture;
pub mod placement;
mod played;
mod profile;
mod recording;
mod room;
mod screenshot;
mod seen;
mod settings;
mod slots;
mod spread;
mod troubles;
mod unreached;
mod way;
mod whip;

#[cfg(test)]
mod tests;

pub use administration::{AdminOrder, GrantsChange, MemberChange};
pub use command::{Admission, Candidates, Command, Effect, Introduction, JoinDraws, MOST_TRACKS, MemberRequest, OfferDraws, OwnedData, SocketId};
pub use directory::Directory;
pub use egress::{EgressDraws, EgressOrder, EgressReport, EgressSeen};
pub use names::{MAX_NAME, RoomName, display_name, identity};
pub use past::CallAccount;
pub use played::Pin;
pub use profile::Profile;
pub use recording::{RecordEffect, RecordOrder};
pub use room::{Ground, Room, Rules};
pub use screenshot::Wish;
pub use seen::{MemberSeen, RoomSeen, TrackSeen};
pub use settings::RoomSettings;
pub use whip::{Attach, Condition, Purpose, Trickle};
