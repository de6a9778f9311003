//! Pseudo-random numbers from a given seed, for numbers that need no secrecy (first timestamps and sequence numbers).

/// SplitMix64 (Steele, Lea, Flood 2014): one seed is one sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; the node draws the seed at start, the simulation fixes it.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}
