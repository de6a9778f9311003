//! What went out under a subscriber's transport-wide numbers, where much gets lost: NACKs do too, and are repeated after a round trip
//! only. Transport-wide feedback tells of the same losses by another packet.

/// Numbers remembered: at 2,000 packets a second a quarter of a second.
const REMEMBERED: usize = 512;
/// Repairs remembered.
const REPAIRS: usize = 128;

/// A packet of a leg, by its media SSRC and the low bits of its sequence number there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The leg's media SSRC.
    pub ssrc: u32,
    /// The outgoing sequence number.
    pub sequence: u16,
}

/// The packets sent last to one subscriber.
#[derive(Debug)]
pub struct Origins {
    /// By number; an SSRC of 0 is none.
    sent: [(u16, Origin); REMEMBERED],
    /// By sequence number: what has been sent again already.
    repaired: [Origin; REPAIRS],
}

impl Default for Origins {
    fn default() -> Self {
        Self { sent: [(0, Origin::default()); REMEMBERED], repaired: [Origin::default(); REPAIRS] }
    }
}

impl Origins {
    /// A packet left under this transport-wide number.
    pub fn note(&mut self, number: u16, origin: Origin) {
        self.sent[usize::from(number) % REMEMBERED] = (number, origin);
    }

    /// A packet is sent again.
    pub fn repair(&mut self, origin: Origin) {
        self.repaired[usize::from(origin.sequence) % REPAIRS] = origin;
    }

    /// What left under a number that is reported lost, unless it has been sent again since. Once: whoever reports it twice, or its
    /// repair, asks by NACK.
    pub fn take(&mut self, number: u16) -> Option<Origin> {
        let (known, origin) = &mut self.sent[usize::from(number) % REMEMBERED];
        let origin = std::mem::take(origin);
        let is_new = *known == number && origin.ssrc != 0 && self.repaired[usize::from(origin.sequence) % REPAIRS] != origin;
        is_new.then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reported_lost_is_found_once_unless_it_was_sent_again_or_is_forgotten() {
        let origin = |sequence| Origin { ssrc: 7, sequence };
        let mut origins = Origins::default();
        (0..600).for_each(|number| origins.note(number, origin(number + 1_000)));
        assert_eq!(origins.take(599), Some(origin(1_599)));
        assert_eq!(origins.take(599), None, "once");
        origins.repair(origin(1_500));
        assert_eq!(origins.take(500), None, "it has been sent again");
        assert_eq!(origins.take(501), Some(origin(1_501)));
        assert_eq!(origins.take(87), None, "another one has its place");
        assert_eq!(origins.take(700), None, "never sent");
    }
}
