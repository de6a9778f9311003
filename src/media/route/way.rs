//! The way to one subscriber, as its legs see it.

use super::origins::Origins;
use crate::base::Time;
use crate::media::pace::Link;
use crate::media::pace::sent::Kind;
use crate::media::transport::{Path, SrtpSender};

/// What a subscriber's connection lends to its legs.
pub struct Way<'a> {
    /// Seals packets.
    pub sender: &'a SrtpSender,
    /// Where the subscriber is.
    pub path: Path,
    /// The subscriber's next transport-wide sequence number.
    pub transport_cc: &'a mut u16,
    /// Congestion control towards it.
    pub link: Option<&'a mut Link>,
    /// What leaves, where much of it gets lost.
    pub origins: Option<&'a mut Origins>,
    /// Another source, or another encoding, has begun on it.
    pub begun: bool,
}

impl Way<'_> {
    /// A datagram leaves; `number` is its transport-wide one, if it has any.
    pub(super) fn sent(&mut self, now: Time, number: Option<u16>, bytes: usize, kind: Kind) {
        let Some(link) = &mut self.link else { return };
        match number {
            Some(number) => link.sent(now, number, bytes, kind),
            None => link.sent_unnumbered(now, bytes),
        }
        link.pacer().spend(bytes);
    }
}
