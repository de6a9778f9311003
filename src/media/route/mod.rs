//! From a track to its subscribers.

mod before;
pub mod fanout;
pub mod leg;
pub mod origins;
pub mod outlet;
pub mod queue;
pub mod relay;
pub mod repair;
pub mod strays;
pub mod tap;
mod terms;
pub mod way;
