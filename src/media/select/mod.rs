//! Which encoding and which layer of a track each subscriber gets.

pub mod allocate;
pub mod ladder;
pub mod patience;
pub mod switch;
pub mod voices;

pub use allocate::{Claim, Form, Raise, allocate};
pub use ladder::{Ladder, Rung, ladder};
pub use patience::Patience;
pub use switch::{Aim, Choice, Step, Switch, Ways};
