//! Bits in byte slices, the first one highest (AV1 RTP specification section A.8.2), read and written without a way to panic.

/// Reads one number after the other.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits were read.
    pub(super) const fn at(self) -> usize {
        self.at
    }

    /// How many bits are left.
    pub(super) const fn left(self) -> usize {
        self.bytes.len().wrapping_mul(8).saturating_sub(self.at)
    }

    /// The next `count` bits, at most 32; `None` when there are fewer.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let first = self.at / 8;
        let skipped = (self.at % 8) as u32;
        let end = self.at.wrapping_add(count as usize);
        let bytes = self.bytes.get(first..end.div_ceil(8))?;
        let window = bytes.iter().fold(0_u64, |window, byte| window << 8 | u64::from(*byte));
        let below = (bytes.len() as u32).wrapping_mul(8).wrapping_sub(skipped).wrapping_sub(count);
        let mask = 1_u64.wrapping_shl(count).wrapping_sub(1);
        self.at = end;
        Some((window.wrapping_shr(below) & mask) as u32)
    }

    /// The next bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit != 0)
    }

    /// A number below `values`, of which the lower ones take a bit less: ns(n).
    pub(super) fn below(&mut self, values: u32) -> Option<u32> {
        let longest = 32_u32.wrapping_sub(values.leading_zeros());
        let short = 1_u32.wrapping_shl(longest).wrapping_sub(values);
        let number = self.take(longest.saturating_sub(1))?;
        if number < short {
            return Some(number);
        }
        Some((number << 1).wrapping_sub(short).wrapping_add(self.take(1)?))
    }

    /// Passes over `count` bits; `None` when there are fewer.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        (count <= self.left()).then(|| self.at = self.at.wrapping_add(count))
    }
}

/// Writes one number after the other.
pub(super) struct PutBits<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> PutBits<'a> {
    pub(super) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Appends the lowest `count` bits of `value`, at most 32; `None` when they do not fit.
    pub(super) fn put(&mut self, value: u32, mut count: u32) -> Option<()> {
        while count > 0 {
            let byte = self.out.get_mut(self.at / 8)?;
            let room = 8_u32.wrapping_sub((self.at % 8) as u32);
            let part = room.min(count);
            count = count.wrapping_sub(part);
            let (mask, below) = (0xff_u8.wrapping_shr(8_u32.wrapping_sub(part)), room.wrapping_sub(part));
            let bits = value.wrapping_shr(count) as u8 & mask;
            *byte = *byte & !mask.wrapping_shl(below) | bits.wrapping_shl(below);
            self.at = self.at.wrapping_add(part as usize);
        }
        Some(())
    }

    /// Appends the next `count` bits of `source`; `None` when it has fewer, or when they do not fit.
    pub(super) fn copy(&mut self, source: &mut Bits<'_>, mut count: usize) -> Option<()> {
        while count > 0 {
            let part = count.min(32) as u32;
            self.put(source.take(part)?, part)?;
            count = count.saturating_sub(32);
        }
        Some(())
    }

    /// Fills the last byte with zeros and returns how many bytes there are.
    pub(super) fn finish(mut self) -> Option<usize> {
        let len = self.at.div_ceil(8);
        self.put(0, len.wrapping_mul(8).wrapping_sub(self.at) as u32)?;
        Some(len)
    }
}
