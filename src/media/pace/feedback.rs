//! What a receiver says about arrivals (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1), read in place.
//!
//! The counterpart of [`crate::media::packet::twcc`], which writes the same towards publishers.

/// Packets that one feedback may speak of. A longer one speaks of more than is remembered, and a few bytes of runs can claim
/// 65,535 packets: refusing it bounds what reading costs.
pub const MOST_PACKETS: u16 = 8_192;

const FIXED_LEN: usize = 8;
const ONE_BIT_SYMBOLS: u16 = 14;
const TWO_BIT_SYMBOLS: u16 = 7;

/// One feedback's control information.
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    base: u16,
    packets: u16,
    reference: u32,
    count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What is said about one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The transport-wide number.
    pub number: u16,
    /// When it arrived, in ticks of 250 µs on the circle of 32 bits (which is the circle of the reference time's 24 bits of 64 ms);
    /// `None` when it has not.
    pub arrival: Option<u32>,
}

impl<'a> Feedback<'a> {
    /// A view of `fci`, unless its fixed part or its chunks end early, or it speaks of no packet or of too many.
    pub fn parse(fci: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = fci.split_first_chunk::<FIXED_LEN>()?;
        let [base_high, base_low, packets_high, packets_low, reference @ .., count] = *fixed;
        let packets = u16::from_be_bytes([packets_high, packets_low]);
        if packets == 0 || packets > MOST_PACKETS {
            return None;
        }
        let mut missing = packets;
        let mut chunks_len = 0;
        while missing > 0 {
            let chunk = rest.get(chunks_len..)?.first_chunk().copied().map(u16::from_be_bytes)?;
            missing = missing.saturating_sub(Chunk::read(chunk).packets());
            chunks_len += 2;
        }
        let (chunks, deltas) = rest.split_at_checked(chunks_len)?;
        let [high, middle, low] = reference;
        Some(Self {
            base: u16::from_be_bytes([base_high, base_low]),
            packets,
            // Sixty-four milliseconds are 256 ticks.
            reference: u32::from_be_bytes([high, middle, low, 0]),
            count,
            chunks,
            deltas,
        })
    }

    /// The first number that it speaks of.
    pub const fn base(&self) -> u16 {
        self.base
    }

    /// How many numbers it announces that it speaks of.
    pub const fn packets(&self) -> u16 {
        self.packets
    }

    /// The number of this feedback, one more than that of the feedback before.
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// What is said about each number, lowest first. Ends early where arrival times do, or at the reserved symbol.
    pub const fn statuses(&self) -> Statuses<'a> {
        Statuses { number: self.base, left: self.packets, tick: self.reference, chunk: Chunk::NONE, chunks: self.chunks, deltas: self.deltas }
    }
}

/// One packet status chunk (sections 3.1.3 and 3.1.4), as far as it has not been read.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Run { symbol: u16, left: u16 },
    List { bits: u16, width: u16, left: u16 },
}

impl Chunk {
    const NONE: Chunk = Chunk::Run { symbol: 0, left: 0 };

    const fn read(bits: u16) -> Self {
        match bits >> 14 {
            0 | 1 => Chunk::Run { symbol: bits >> 13, left: bits & 0x1fff },
            2 => Chunk::List { bits: bits << 2, width: 1, left: ONE_BIT_SYMBOLS },
            _ => Chunk::List { bits: bits << 2, width: 2, left: TWO_BIT_SYMBOLS },
        }
    }

    const fn packets(self) -> u16 {
        match self {
            Chunk::Run { left, .. } | Chunk::List { left, .. } => left,
        }
    }

    fn next(&mut self) -> Option<u16> {
        match self {
            Chunk::Run { symbol, left } => {
                *left = left.checked_sub(1)?;
                Some(*symbol)
            }
            Chunk::List { bits, width, left } => {
                *left = left.checked_sub(1)?;
                let symbol = *bits >> (16 - *width);
                *bits <<= *width;
                Some(symbol)
            }
        }
    }
}

/// Iterator over what one feedback says.
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    number: u16,
    left: u16,
    tick: u32,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Statuses<'_> {
    fn symbol(&mut self) -> Option<u16> {
        loop {
            if let Some(symbol) = self.chunk.next() {
                return Some(symbol);
            }
            let (chunk, rest) = self.chunks.split_first_chunk()?;
            (self.chunk, self.chunks) = (Chunk::read(u16::from_be_bytes(*chunk)), rest);
        }
    }

    fn arrival(&mut self, symbol: u16) -> Option<u32> {
        let delta = match symbol {
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                u32::from(*delta)
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk()?;
                self.deltas = rest;
                i32::from(i16::from_be_bytes(*delta)).cast_unsigned()
            }
            _ => return None,
        };
        self.tick = self.tick.wrapping_add(delta);
        Some(self.tick)
    }
}

impl Iterator for Statuses<'_> {
    type Item = Status;

    fn next(&mut self) -> Option<Status> {
        self.left = self.left.checked_sub(1)?;
        let symbol = self.symbol();
        let arrival = match symbol {
            Some(0) => None,
            symbol => {
                let arrival = symbol.and_then(|symbol| self.arrival(symbol));
                if arrival.is_none() {
                    self.left = 0;
                    return None;
                }
                arrival
            }
        };
        let number = self.number;
        self.number = number.wrapping_add(1);
        Some(Status { number, arrival })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Time;
    use crate::media::packet::twcc::Arrivals;
    use proptest::prelude::*;

    fn read(fci: &[u8]) -> Vec<(u16, Option<u32>)> {
        Feedback::parse(fci).map_or_else(Vec::new, |feedback| feedback.statuses().map(|status| (status.number, status.arrival)).collect())
    }

    fn at(ticks: u64) -> Time {
        Time::from_micros(ticks * 250)
    }

    #[test]
    fn arrivals_and_losses_are_read_as_they_were_written() {
        let mut arrivals = Arrivals::new();
        for (number, ticks) in [(65_534, 1_000), (65_535, 1_010), (1, 1_700), (2, 1_690)] {
            arrivals.record(number, at(ticks));
        }
        let mut fci = [0; 64];
        let len = arrivals.write_fci(&mut fci).expect("four packets came");
        assert_eq!(read(&fci[..len]), [(65_534, Some(1_000)), (65_535, Some(1_010)), (0, None), (1, Some(1_700)), (2, Some(1_690))]);
        assert_eq!(Feedback::parse(&fci[..len]).map(|feedback| (feedback.base(), feedback.count())), Some((65_534, 0)));
    }

    #[test]
    fn the_reference_time_wraps_on_the_circle_of_ticks() {
        let mut arrivals = Arrivals::new();
        arrivals.record(7, at((1 << 32) - 1));
        arrivals.record(8, at((1 << 32) + 1));
        let mut fci = [0; 64];
        let len = arrivals.write_fci(&mut fci).expect("two packets came");
        assert_eq!(read(&fci[..len]), [(7, Some(u32::MAX)), (8, Some(1))]);
    }

    #[test]
    fn what_ends_early_is_read_as_far_as_it_goes() {
        // Two packets in a run of small deltas, of which only one is there.
        assert_eq!(read(&[0, 5, 0, 2, 0, 0, 1, 0, 0x20, 2, 9]), [(5, Some(256 + 9))]);
        // Chunks for one packet, although two are announced.
        assert_eq!(read(&[0, 5, 0, 2, 0, 0, 1, 0, 0x20, 1, 9]), []);
        // The reserved symbol.
        assert_eq!(read(&[0, 5, 0, 2, 0, 0, 1, 0, 0x60, 2, 9, 9]), []);
        assert_eq!(read(&[0, 5, 0, 0, 0, 0, 1, 0]), []);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn more_packets_than_anybody_remembers_are_refused() {
        let mut fci = vec![0, 5, 0x20, 0x01, 0, 0, 1, 0];
        fci.extend([0x1f, 0xff].repeat(9));
        assert!(Feedback::parse(&fci).is_none());
        fci[2..4].copy_from_slice(&[0x20, 0x00]);
        assert_eq!(read(&fci).len(), usize::from(MOST_PACKETS));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_it_never_says_more_than_announced(fci in proptest::collection::vec(any::<u8>(), 0..200)) {
            let announced = fci.get(2..4).map_or(0, |count| usize::from(count[0]) << 8 | usize::from(count[1]));
            prop_assert!(read(&fci).len() <= announced);
        }

        #[test]
        fn every_arrival_that_our_writer_tells_is_read(
            start: u16, first in 0u64..1 << 33, packets in proptest::collection::vec((0u16..20, 0u64..300, any::<bool>()), 1..300), room in 40usize..400,
        ) {
            let (mut arrivals, mut number, mut ticks) = (Arrivals::new(), start, first);
            let mut expected = std::collections::BTreeMap::new();
            for (gap, pause, early) in packets {
                number = number.wrapping_add(gap + 1);
                ticks += pause;
                let tick = if early { ticks.saturating_sub(60) } else { ticks };
                arrivals.record(number, at(tick));
                expected.insert(number, tick as u32);
            }
            let mut fci = vec![0; room];
            let mut read_back = std::collections::BTreeMap::new();
            while let Some(len) = arrivals.write_fci(&mut fci) {
                read_back.extend(read(&fci[..len]).into_iter().filter_map(|(number, arrival)| Some((number, arrival?))));
            }
            // The writer remembers so many numbers; what is older may be missing.
            let oldest = crate::media::packet::twcc::CAPACITY as u16 - 1;
            expected.retain(|told, _| number.wrapping_sub(*told) <= oldest);
            read_back.retain(|told, _| number.wrapping_sub(*told) <= oldest);
            prop_assert_eq!(read_back, expected);
        }
    }
}
