//! Words that every room may use: ids, units, sequence arithmetic, time, the ordered map, addresses.
//!
//! Depends on std, `slotmap` and `ipnet` only.

pub mod address;
pub mod bits;
pub mod bucket;
pub mod ids;
pub mod map;
pub mod outgoing;
pub mod path;
pub mod prefetch;
pub mod prefix;
pub mod random;
pub mod read;
pub mod seq;
pub mod stun;
pub mod time;
pub mod units;

pub use bits::BitSet;
pub use bucket::Bucket;
pub use ids::{PeerId, RoomId, TapId, TrackId, WorkerId};
pub use path::Path;
pub use time::{Ntp, Time};
pub use units::Bitrate;
