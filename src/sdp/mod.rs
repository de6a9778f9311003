//! Session descriptions: an offer's text in, a plan and the answer's text out. Pure: no clock, no socket, no randomness of its own.
//!
//! The way of an offer: [`Offer::parse`] reads and checks it alone (the expensive half, done off the room's actor), then
//! [`Session::answer`] holds it against what the connection has agreed before and writes the answer (the cheap half). `rtc-sdp` knows the
//! grammar of what comes; what it means, and what is said to it, is decided here:
//! - `offer`: the whole description: limits, BUNDLE, the transport (ICE, DTLS), duplicates;
//! - `repeats`: m-lines that say the same as an earlier one, so that they need not be read again;
//! - `section`: one m-line with its attributes, read whole and then bound by payload type;
//! - `codec`: which payload types Althing forwards, and what the answer says about each;
//! - `session`: what may not change from offer to offer, slots and their SSRCs;
//! - `line`: what is common to an m-line of the offer and us;
//! - `answer`: the text;
//! - `fragment`: candidates and credentials that come later, by HTTP;
//! - `proposal`: the other way round: what we offer to a server elsewhere, and its answer.

mod answer;
mod codec;
mod error;
mod fragment;
mod line;
mod offer;
mod proposal;
mod repeats;
mod section;
mod session;

pub use error::{Change, OfferError};
pub use fragment::{Fragment, FragmentError, MOST_FRAGMENT};
pub use offer::{Offer, OfferLimits, OneWay};
pub use proposal::{AnswerError, Proposal, RemoteAnswer};
pub use session::{Answer, Fresh, Local, MlineRef, Pair, Session};
