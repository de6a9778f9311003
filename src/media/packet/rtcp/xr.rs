//! Blocks of extended reports (RFC 3611 section 3), as far as they measure a receiver's round trip.
//!
//! A sender learns its round trip from receiver reports; a receiver that sends nothing learns its own from these two: it tells its
//! time (section 4.4), and the sender tells how long ago that came (section 4.5).

use super::*;

/// Receiver reference time (RFC 3611 section 4.4).
pub(super) const REFERENCE_TIME: u8 = 4;
/// Delay since the last receiver report (RFC 3611 section 4.5).
pub(super) const DELAY: u8 = 5;

/// One block of an extended report, or one sub-block of a list of delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XrBlock {
    /// The reporter's wall clock when the report was sent.
    ReceiverReferenceTime(Ntp),
    /// How long ago the reporter had a receiver's reference time.
    DelaySinceLastReceiverReport {
        /// The receiver.
        ssrc: u32,
        /// The middle 32 bits of its last reference time; 0 when there was none.
        last_rr: u32,
        /// Time since that arrived, in 1/65,536 s.
        delay: u32,
    },
}

impl XrBlock {
    const DELAY_LEN: usize = 12;

    fn delay(sub_block: &[u8; Self::DELAY_LEN]) -> Option<Self> {
        Some(Self::DelaySinceLastReceiverReport { ssrc: u32_at(sub_block, 0)?, last_rr: u32_at(sub_block, 4)?, delay: u32_at(sub_block, 8)? })
    }
}

/// Blocks of an extended report, read as they are taken. Others than those of [`XrBlock`] are passed over; where a block announces
/// more than the packet has, nothing more comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XrBlocks<'a> {
    /// Blocks that have not been opened.
    rest: &'a [u8],
    /// Sub-blocks of the list that is open.
    delays: &'a [u8],
}

impl<'a> XrBlocks<'a> {
    pub(super) const fn new(blocks: &'a [u8]) -> Self {
        Self { rest: blocks, delays: &[] }
    }

    /// Block type and content of the next block.
    fn open(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[block_type, _, high, low], after) = self.rest.split_first_chunk()?;
        let words = usize::from(u16::from_be_bytes([high, low]));
        let (content, rest) = after.split_at_checked(words.wrapping_mul(4))?;
        self.rest = rest;
        Some((block_type, content))
    }
}

impl Iterator for XrBlocks<'_> {
    type Item = XrBlock;

    fn next(&mut self) -> Option<XrBlock> {
        loop {
            if let Some((sub_block, delays)) = self.delays.split_first_chunk() {
                self.delays = delays;
                return XrBlock::delay(sub_block);
            }
            match self.open()? {
                // Its length is constant: with another it is something else.
                (REFERENCE_TIME, content) => {
                    if let Ok(ntp) = content.try_into() {
                        return Some(XrBlock::ReceiverReferenceTime(Ntp(u64::from_be_bytes(ntp))));
                    }
                }
                (DELAY, content) => self.delays = content,
                _ => {}
            }
        }
    }
}
