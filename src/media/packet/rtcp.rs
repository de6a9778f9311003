//! RTCP (RFC 3550 section 6, RFC 3611, RFC 4585, RFC 5104): read in place, written into a caller's buffer.

mod write;
mod xr;

pub use write::{Compound, SenderInfo};
pub use xr::{XrBlock, XrBlocks};

use super::Malformed;
use super::bytes::{u16_at, u32_at, u64_at};
use crate::base::{Bitrate, Ntp};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const EXTENDED_REPORT: u8 = 207;

const NACK: u8 = 1;
const TRANSPORT_CC: u8 = 15;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA_REQUEST: u8 = 4;
const APPLICATION_LAYER: u8 = 15;

/// The most report blocks, or sources of a BYE, that one packet can count.
pub const MAX_COUNT: usize = 31;

/// One RTCP packet of a compound.
#[derive(Clone, Debug, PartialEq)]
pub enum Rtcp<'a> {
    /// SR (RFC 3550 section 6.4.1).
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// The wall clock when the report was sent.
        ntp: Ntp,
        /// The same moment in units of the stream's clock rate.
        rtp_timestamp: u32,
        /// RTP packets sent so far, wrapping.
        packets: u32,
        /// Payload octets sent so far, wrapping.
        octets: u32,
        /// What it has received from others.
        blocks: ReportBlocks<'a>,
    },
    /// RR (RFC 3550 section 6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it has received.
        blocks: ReportBlocks<'a>,
    },
    /// Generic NACK (RFC 4585 section 6.2.1).
    Nack {
        /// Who asks.
        sender: u32,
        /// Whose packets are missing.
        media: u32,
        /// Their sequence numbers.
        lost: LostSequences<'a>,
    },
    /// PLI (RFC 4585 section 6.3.1).
    PictureLoss {
        /// Who asks.
        sender: u32,
        /// Whose picture is lost.
        media: u32,
    },
    /// FIR (RFC 5104 section 4.3.1).
    FullIntraRequest {
        /// Who asks.
        sender: u32,
        /// From whom, each with the number of the command: repeated commands have the same.
        entries: IntraEntries<'a>,
    },
    /// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportFeedback {
        /// Who reports.
        sender: u32,
        /// Whose stream names the transport.
        media: u32,
        /// The feedback control information, without padding where it was announced.
        fci: &'a [u8],
    },
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
    Remb {
        /// Who estimates.
        sender: u32,
        /// The estimate for all those streams together.
        bitrate: Bitrate,
        /// The streams.
        ssrcs: Ssrcs<'a>,
    },
    /// SDES (RFC 3550 section 6.5), which nothing here needs to read.
    SourceDescription,
    /// BYE (RFC 3550 section 6.6).
    Bye {
        /// Who leaves.
        ssrcs: Ssrcs<'a>,
    },
    /// XR (RFC 3611 section 2).
    ExtendedReport {
        /// Who reports.
        ssrc: u32,
        /// What it says about round trips.
        blocks: XrBlocks<'a>,
    },
    /// Any other packet.
    Other {
        /// Its packet type, 192–223.
        packet_type: u8,
    },
}

/// The packets of a compound (or of a reduced-size one, RFC 5506), in order.
///
/// A packet whose content is malformed is an error and the next follows; after a malformed header there is nothing more, since
/// nothing says where the next packet would begin.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Result<Rtcp<'_>, Malformed>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match Framed::split(rest) {
            Ok((framed, after)) => {
                rest = after;
                Some(framed.read())
            }
            Err(malformed) => {
                rest = &[];
                Some(Err(malformed))
            }
        }
    })
}

/// One packet's header, and its body without padding.
struct Framed<'a> {
    packet_type: u8,
    /// Report count, source count or feedback message type.
    count: u8,
    padded: bool,
    body: &'a [u8],
}

impl<'a> Framed<'a> {
    fn split(compound: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (&[first, packet_type, high, low], after) = compound.split_first_chunk().ok_or(Malformed::Truncated)?;
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let words = usize::from(u16::from_be_bytes([high, low]));
        let (body, rest) = after.split_at_checked(words.wrapping_mul(4)).ok_or(Malformed::Truncated)?;
        Ok((Self { packet_type, count: first & 0x1f, padded: first & 0x20 != 0, body }, rest))
    }

    fn read(mut self) -> Result<Rtcp<'a>, Malformed> {
        if self.padded {
            let padding = super::rtp::padding_len(self.body).ok_or(Malformed::Padding)?;
            self.body = self.body.get(..self.body.len().wrapping_sub(padding)).ok_or(Malformed::Padding)?;
        }
        match self.packet_type {
            SENDER_REPORT => self.sender_report(),
            RECEIVER_REPORT => self.receiver_report(),
            SOURCE_DESCRIPTION => Some(Rtcp::SourceDescription),
            BYE => self.bye(),
            TRANSPORT_FEEDBACK => self.transport_feedback(),
            PAYLOAD_FEEDBACK => self.payload_feedback(),
            EXTENDED_REPORT => self.extended_report(),
            packet_type => Some(Rtcp::Other { packet_type }),
        }
        .ok_or(Malformed::Truncated)
    }

    fn sender_report(&self) -> Option<Rtcp<'a>> {
        Some(Rtcp::SenderReport {
            ssrc: u32_at(self.body, 0)?,
            ntp: Ntp(u64_at(self.body, 4)?),
            rtp_timestamp: u32_at(self.body, 12)?,
            packets: u32_at(self.body, 16)?,
            octets: u32_at(self.body, 20)?,
            blocks: self.blocks(24)?,
        })
    }

    fn receiver_report(&self) -> Option<Rtcp<'a>> {
        Some(Rtcp::ReceiverReport { ssrc: u32_at(self.body, 0)?, blocks: self.blocks(4)? })
    }

    /// The counted blocks; what follows them is a profile's own extension.
    fn blocks(&self, at: usize) -> Option<ReportBlocks<'a>> {
        let len = usize::from(self.count).wrapping_mul(ReportBlock::LEN);
        self.body.get(at..at.wrapping_add(len)).map(ReportBlocks)
    }

    fn bye(&self) -> Option<Rtcp<'a>> {
        let ssrcs = self.body.get(..usize::from(self.count).wrapping_mul(4)).map(Ssrcs)?;
        Some(Rtcp::Bye { ssrcs })
    }

    /// Sender, media source and feedback control information (RFC 4585 section 6.1).
    fn feedback(&self) -> Option<(u32, u32, &'a [u8])> {
        Some((u32_at(self.body, 0)?, u32_at(self.body, 4)?, self.body.get(8..)?))
    }

    fn transport_feedback(&self) -> Option<Rtcp<'a>> {
        let (sender, media, fci) = self.feedback()?;
        match self.count {
            NACK => (fci.len() >= 4).then_some(Rtcp::Nack { sender, media, lost: LostSequences::new(fci) }),
            TRANSPORT_CC => Some(Rtcp::TransportFeedback { sender, media, fci }),
            _ => Some(Rtcp::Other { packet_type: self.packet_type }),
        }
    }

    fn payload_feedback(&self) -> Option<Rtcp<'a>> {
        let (sender, media, fci) = self.feedback()?;
        match self.count {
            PICTURE_LOSS => Some(Rtcp::PictureLoss { sender, media }),
            FULL_INTRA_REQUEST => (fci.len() >= 8).then_some(Rtcp::FullIntraRequest { sender, entries: IntraEntries(fci) }),
            APPLICATION_LAYER if fci.starts_with(b"REMB") => remb(sender, fci),
            _ => Some(Rtcp::Other { packet_type: self.packet_type }),
        }
    }

    fn extended_report(&self) -> Option<Rtcp<'a>> {
        Some(Rtcp::ExtendedReport { ssrc: u32_at(self.body, 0)?, blocks: XrBlocks::new(self.body.get(4..)?) })
    }
}

fn remb(sender: u32, fci: &[u8]) -> Option<Rtcp<'_>> {
    let &[count, a, b, c] = fci.get(4..)?.first_chunk()?;
    let mantissa = u128::from(u32::from_be_bytes([0, a & 0x03, b, c]));
    let bitrate = Bitrate::bps(u64::try_from(mantissa << (a >> 2)).unwrap_or(u64::MAX));
    let ssrcs = fci.get(8..)?.get(..usize::from(count).wrapping_mul(4)).map(Ssrcs)?;
    Some(Rtcp::Remb { sender, bitrate, ssrcs })
}

/// What one receiver has seen of one stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256 of what was expected.
    pub fraction_lost: u8,
    /// Lost since the beginning: 24 bits with sign; duplicates count against it.
    pub cumulative_lost: i32,
    /// Highest sequence number received, extended by the count of its wraps.
    pub highest: u32,
    /// Interarrival jitter in units of the stream's clock rate.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 when there was none.
    pub last_sr: u32,
    /// Time since that report arrived, in 1/65,536 s.
    pub delay: u32,
}

impl ReportBlock {
    const LEN: usize = 24;

    fn read(block: &[u8; Self::LEN]) -> Option<Self> {
        let loss = u32_at(block, 4)?;
        Some(Self {
            ssrc: u32_at(block, 0)?,
            fraction_lost: (loss >> 24) as u8,
            // Up and down again carries the sign of the 24 bits into all 32.
            cumulative_lost: (loss << 8).cast_signed() >> 8,
            highest: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay: u32_at(block, 20)?,
        })
    }
}

/// Report blocks, read as they are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        ReportBlock::read(block)
    }
}

/// Sequence numbers of a NACK, in the order of its pairs of PID and BLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSequences<'a> {
    pairs: &'a [u8],
    pid: u16,
    /// Bit n stands for `pid + n`; what was taken is cleared.
    pending: u32,
}

impl<'a> LostSequences<'a> {
    fn new(pairs: &'a [u8]) -> Self {
        Self { pairs, pid: 0, pending: 0 }
    }
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending == 0 {
            let (pair, rest) = self.pairs.split_first_chunk::<4>()?;
            self.pairs = rest;
            self.pid = u16_at(pair, 0)?;
            self.pending = u32::from(u16_at(pair, 2)?) << 1 | 1;
        }
        let bit = self.pending.trailing_zeros();
        self.pending &= self.pending.wrapping_sub(1);
        Some(self.pid.wrapping_add(bit as u16))
    }
}

/// Entries of a full intra request: the stream and the command's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntraEntries<'a>(&'a [u8]);

impl Iterator for IntraEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (&[a, b, c, d, number, ..], rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some((u32::from_be_bytes([a, b, c, d]), number))
    }
}

/// A list of SSRCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssrcs<'a>(&'a [u8]);

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*ssrc))
    }
}

#[cfg(test)]
mod tests;
