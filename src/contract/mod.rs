//! The values that cross between the control plane and the media plane: commands down, events and
//! cumulative counters up. Values only: no channel, no socket, no behaviour.

pub mod command;
pub mod event;
pub mod health;
pub mod measure;
pub mod plan;
pub mod report;
pub mod tap;

pub use command::{Command, RoomCommand, View};
pub use event::{DataEnd, DisconnectReason, Event, Limit, LinkState, Mapped, Quality};
pub use measure::{Distributions, Measure};
pub use plan::{
    CNAME, Codec, CodecPlan, DataLimits, DataPlan, DtlsRole, Extension, ExtensionMap, Feedback, Fingerprint, H264Profile, HashFunction,
    IceCredentials, MOST_ENCODINGS, MediaKind, MediaPlan, Mid, ReceivePlan, Rid, SecurityPlan, SendPlan, SrtpKeys, SrtpProfile, TransportPlan,
    owner_of_ufrag, ufrag_of,
};
pub use report::{Counter, Counters, Memory, WorkerReport};
pub use tap::{TapClock, TapCodec, TapPacket, TapPlace, Tapped};
