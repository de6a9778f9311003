//! The load tester: participants by the thousand, through the front door of any node, and an exact count of what came.
//!
//! ```text
//! plan ─► run ─┬─ member (one task each): signaling or whip ─► offer, answer
//!              │     ├─ light: client ─► thread (ICE, DTLS, SRTP on batched sockets; no lock, no await)
//!              │     └─ full:  a peer connection of the `webrtc` crate
//!              ├─ board: what is being done, which numbers count
//!              └─ meter, tally ─► report
//! ```
//!
//! It is a client: it uses nothing of the server but the parts that any client would write the same way (packets, DTLS, SRTP).

mod batch;
mod board;
mod check;
mod client;
#[cfg(feature = "full-clients")]
mod full;
mod media;
mod member;
mod meter;
mod offer;
mod plan;
mod presence;
mod progress;
mod report;
mod run;
mod shape;
mod signaling;
mod stamp;
mod tally;
mod thread;
mod trace;
mod whip;

pub use plan::{Door, Kind, Plan};
pub use presence::{Place, Role};
pub use report::{Delivery, Expectations, Outcome, Participants};
pub use run::{Trouble, run};
pub use shape::{AudioPattern, VideoShape};
pub use trace::Trace;
