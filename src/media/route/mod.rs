//! From a track to its subscribers.

pub mod fanout;
pub mod leg;
pub mod relay;
pub mod strays;
