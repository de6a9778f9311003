//! One peer's connection: ICE-lite finds the way, DTLS agrees on keys, SRTP and SRTCP protect the packets.
//!
//! ```text
//! datagram ─ first byte 0–3    → ice   (USERNAME, MESSAGE-INTEGRITY) → answer, validated and selected paths
//!          ─ first byte 20–63  → dtls  (from a validated path only)  → SrtpKeys; application data → sctp, when it is negotiated
//!          ─ first byte 128–191 → srtp, srtcp (from a validated path only) → plaintext in place
//! ```

pub mod dtls;
pub mod ice;
mod keys;
pub mod replay;
pub mod sctp;
pub mod srtcp;
pub mod srtp;

pub use crate::base::Path;
pub use dtls::{DtlsError, DtlsEvent, DtlsIdentity, DtlsTransport};
pub use ice::{ConsentLost, IceAnswer, IceLite, MAX_PATHS, StunDrop, peek_username};
pub use replay::{ReceiveStream, Replayed, StreamState};
pub use sctp::{SctpEvent, SctpTransport};
pub use srtcp::{SrtcpReceiver, SrtcpSender};
pub use srtp::{Opened, SrtpError, SrtpReceiver, SrtpSender};
