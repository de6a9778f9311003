//! Big-endian numbers in byte slices, read and written without a way to panic.

/// The 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

/// The 64-bit number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

/// Writes one value after the other into a slice; what does not fit is refused whole.
pub(crate) struct Put<'a> {
    rest: &'a mut [u8],
}

impl<'a> Put<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out }
    }

    /// Appends `bytes`; whether they fitted.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> bool {
        match std::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((head, tail)) => {
                head.copy_from_slice(bytes);
                self.rest = tail;
                true
            }
            None => false,
        }
    }

    /// Appends a 16-bit number.
    pub(crate) fn u16(&mut self, value: u16) -> bool {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a 32-bit number.
    pub(crate) fn u32(&mut self, value: u32) -> bool {
        self.bytes(&value.to_be_bytes())
    }

    /// Fills what is left with zeros.
    pub(crate) fn zeros(self) {
        self.rest.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_does_not_lie_wholly_inside_is_none() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u16_at(&bytes, 6), Some(0x0708));
        assert_eq!(u16_at(&bytes, 7), None);
        assert_eq!(u32_at(&bytes, 4), Some(0x0506_0708));
        assert_eq!(u32_at(&bytes, usize::MAX), None);
        assert_eq!(u64_at(&bytes, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(u64_at(&bytes, 1), None);
    }

    #[test]
    fn writing_stops_at_the_end() {
        let mut out = [0xff; 5];
        let mut put = Put::new(&mut out);
        assert!(put.u16(0x0102));
        assert!(put.bytes(&[3]));
        put.zeros();
        assert_eq!(out, [1, 2, 3, 0, 0]);
        assert!(!Put::new(&mut out).bytes(&[9; 6]));
        assert_eq!(out, [1, 2, 3, 0, 0]);
    }
}
