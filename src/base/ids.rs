//! Identities, each a type of its own so that one is never passed for another.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// One room, for as long as it lives; never reused within a process.
    RoomId(u64)
);
id!(
    /// One participant's connection (one `RTCPeerConnection`); never reused within a process.
    PeerId(u64)
);
id!(
    /// One published track; never reused within a process.
    TrackId(u64)
);
id!(
    /// One media worker: a pinned thread with its own UDP port.
    WorkerId(u16)
);
id!(
    /// One tap: a recorder's leg on a published track; never reused within a process.
    TapId(u64)
);
