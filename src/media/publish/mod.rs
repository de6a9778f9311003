//! A published track: its encodings, their packets, holes and key frames, how loud it is.

pub mod allowance;
pub mod cache;
pub mod encoding;
pub mod holes;
pub mod key_frame;
pub mod level;
pub mod meaning;
pub mod rate;
pub mod receive;
pub mod reception;
pub mod stream;
pub mod track;
