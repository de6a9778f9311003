//! A published track: its packets, its holes, its key frames, how loud it is.

pub mod cache;
pub mod holes;
pub mod key_frame;
pub mod level;
pub mod receive;
pub mod reception;
pub mod stream;
pub mod track;
