//! Reading fixed parts off the front of bytes that this process wrote itself.

/// What is still to be read.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// The next `N` bytes; none when there are fewer, and nothing is taken then.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*value)
    }
}
