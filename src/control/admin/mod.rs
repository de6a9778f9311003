//! What an operator asks on the machine that a node runs on.

pub mod calls;
pub mod doctor;
