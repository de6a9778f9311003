//! Quantities that carry their unit in their type.

/// Bits per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Bitrate(u64);

impl Bitrate {
    /// From bits per second.
    pub const fn bps(bits_per_second: u64) -> Self {
        Self(bits_per_second)
    }

    /// From kilobits (1,000 bits) per second.
    pub const fn kbps(kilobits_per_second: u64) -> Self {
        Self(kilobits_per_second.saturating_mul(1_000))
    }

    /// In bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }
}
