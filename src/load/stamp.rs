//! What every media packet says about itself, in the last bytes of its payload: behind everything that a server may rewrite.

/// A packet's stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The stream that it belongs to ([`super::board::stream`]).
    pub stream: u32,
    /// Its number in the stream, from 0, without gaps.
    pub number: u32,
    /// When it was sent: nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
    pub sent: u64,
}

impl Stamp {
    /// Bytes of a stamp.
    pub const LEN: usize = 20;

    /// Writes it at the end of `payload`; false when that is shorter than [`Self::LEN`]. `run` tells the packets of this run from others'.
    pub fn write(&self, run: u32, payload: &mut [u8]) -> bool {
        let Some(place) = payload.last_chunk_mut::<{ Self::LEN }>() else { return false };
        place[..4].copy_from_slice(&run.to_be_bytes());
        place[4..8].copy_from_slice(&self.stream.to_be_bytes());
        place[8..12].copy_from_slice(&self.number.to_be_bytes());
        place[12..].copy_from_slice(&self.sent.to_be_bytes());
        true
    }

    /// Reads it from the end of `payload`; `None` when the packet is not of this run.
    pub fn read(run: u32, payload: &[u8]) -> Option<Self> {
        let place = payload.last_chunk::<{ Self::LEN }>()?;
        let word = |at: usize| place[at..].first_chunk().copied().map(u32::from_be_bytes);
        let sent = place.last_chunk().copied().map(u64::from_be_bytes)?;
        (word(0)? == run).then_some(Self { stream: word(4)?, number: word(8)?, sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_at_the_end_and_only_by_its_run() {
        let stamp = Stamp { stream: 7, number: 0x1234_5678, sent: u64::MAX - 3 };
        let mut payload = [0; 40];
        assert!(stamp.write(9, &mut payload));
        assert_eq!(Stamp::read(9, &payload), Some(stamp));
        assert_eq!(Stamp::read(8, &payload), None);
        assert_eq!(Stamp::read(9, &payload[..39]), None);
        assert_eq!(Stamp::read(9, &payload[21..]), None);
        assert!(!stamp.write(9, &mut [0; 19]));
    }
}
