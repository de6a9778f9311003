//! Arithmetic on numbers that wrap: RTP sequence numbers and timestamps (RFC 1982, RFC 3550).

/// Whether `a` comes after `b` on the 16-bit circle (less than half a turn ahead).
pub const fn seq_after(a: u16, b: u16) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 0x8000
}

/// Whether `a` comes after `b` on the 32-bit circle (less than half a turn ahead).
pub const fn timestamp_after(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 0x8000_0000
}

/// Turns 16-bit sequence numbers into 64-bit ones that never wrap.
///
/// The first number seen is placed one full turn above zero, so that numbers just before it exist too.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeqUnwrapper {
    highest: Option<u64>,
}

impl SeqUnwrapper {
    /// The extended number of `seq` nearest to the highest one seen; raises the highest when it is newer.
    pub fn unwrap(&mut self, seq: u16) -> u64 {
        let extended = self.peek(seq);
        if self.highest.is_none_or(|h| extended > h) {
            self.highest = Some(extended);
        }
        extended
    }

    /// The same without changing anything.
    pub fn peek(&self, seq: u16) -> u64 {
        let Some(highest) = self.highest else {
            return 0x1_0000 | u64::from(seq);
        };
        let delta = seq.wrapping_sub(highest as u16) as i16;
        // A number further back than the beginning is placed one turn ahead instead of below zero.
        highest.checked_add_signed(i64::from(delta)).unwrap_or_else(|| highest.wrapping_add(u64::from(seq.wrapping_sub(highest as u16))))
    }

    /// The highest extended number seen.
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_goes_up_and_a_late_packet_goes_back() {
        let mut u = SeqUnwrapper::default();
        let first = u.unwrap(65_534);
        assert_eq!(u.unwrap(65_535), first + 1);
        assert_eq!(u.unwrap(1), first + 3);
        assert_eq!(u.unwrap(0), first + 2);
        assert_eq!(u.highest(), Some(first + 3));
    }

    proptest! {
        #[test]
        fn unwrapping_follows_the_true_number_within_half_a_turn(start in 0u64..1_000_000, steps in proptest::collection::vec(-3_000i64..30_000, 1..200)) {
            let mut u = SeqUnwrapper::default();
            let mut truth = start + 0x1_0000;
            let base = i128::from(u.unwrap(truth as u16)) - i128::from(truth);
            let mut highest = truth;
            for step in steps {
                truth = truth.saturating_add_signed(step).max(highest.saturating_sub(30_000)).max(0x1_0000);
                prop_assume!(truth < highest + 0x8000);
                prop_assert_eq!(i128::from(u.unwrap(truth as u16)) - i128::from(truth), base);
                highest = highest.max(truth);
            }
        }
    }
}
