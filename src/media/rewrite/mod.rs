//! From a source's packets to the packets of one slot: numbers, times, headers and picture ids go on without a seam
//! when packets are left out and when the slot is pointed at another source.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects))]

pub mod header;
pub mod picture;
pub mod redundancy;
pub mod sequence;
pub mod timestamp;

pub use header::{Dependency, HeaderRewrite, OutFields, SourceExtensions};
pub use picture::{Continuity, PictureIds, PictureMap};
pub use redundancy::Redundancy;
pub use sequence::SequenceMap;
pub use timestamp::{TimestampMap, WallMap};
