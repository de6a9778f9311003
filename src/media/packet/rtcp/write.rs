//! Writing RTCP compounds.

use super::*;
use crate::media::packet::bytes::Put;

/// A compound RTCP packet that grows in a caller's buffer.
///
/// Each method appends one packet and says whether it fitted; what did not fit leaves the compound as it was.
pub struct Compound<'a> {
    out: &'a mut [u8],
    len: usize,
}

/// The sender's part of a sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The wall clock now.
    pub ntp: Ntp,
    /// The same moment in units of the stream's clock rate.
    pub rtp_timestamp: u32,
    /// RTP packets sent so far, wrapping.
    pub packets: u32,
    /// Payload octets sent so far, wrapping.
    pub octets: u32,
}

const HEADER_LEN: usize = 4;
const FEEDBACK_LEN: usize = 8;
const PAIR_LEN: usize = 4;
const CNAME: u8 = 1;

impl<'a> Compound<'a> {
    /// An empty compound.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The compound so far.
    pub fn as_slice(&self) -> &[u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    /// SR with at most [`MAX_COUNT`] blocks (RFC 3550 section 6.4.1).
    pub fn sender_report(&mut self, ssrc: u32, info: SenderInfo, blocks: &[ReportBlock]) -> bool {
        self.reports(SENDER_REPORT, 24, blocks, |put| {
            put.u32(ssrc) && put.bytes(&info.ntp.0.to_be_bytes()) && put.u32(info.rtp_timestamp) && put.u32(info.packets) && put.u32(info.octets)
        })
    }

    /// RR with at most [`MAX_COUNT`] blocks (RFC 3550 section 6.4.2).
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> bool {
        self.reports(RECEIVER_REPORT, 4, blocks, |put| put.u32(ssrc))
    }

    /// SDES with a CNAME of at most 255 bytes (RFC 3550 section 6.5.1).
    pub fn cname(&mut self, ssrc: u32, name: &str) -> bool {
        let Ok(len) = u8::try_from(name.len()) else {
            return false;
        };
        // SSRC, item type and length, the name, and at least one zero that ends the chunk.
        let body_len = name.len().wrapping_add(7).next_multiple_of(4);
        self.append(SOURCE_DESCRIPTION, 1, body_len, |put| put.u32(ssrc) && put.bytes(&[CNAME, len]) && put.bytes(name.as_bytes()))
    }

    /// Generic NACK (RFC 4585 section 6.2.1) for numbers in ascending order (a wrap is ascending).
    ///
    /// True when `lost` is exhausted; an empty one writes nothing. False when the buffer could not be sure to hold another number:
    /// those that were taken are written, the others are still in `lost`, for the next compound.
    pub fn nack(&mut self, sender: u32, media: u32, lost: &mut impl Iterator<Item = u16>) -> bool {
        let first_pair = self.len.wrapping_add(HEADER_LEN).wrapping_add(FEEDBACK_LEN);
        let room = self.out.len().saturating_sub(first_pair) / PAIR_LEN;
        let mut pairs = 0_usize;
        let (mut pid, mut bitmap) = (0, 0);
        let mut exhausted = false;
        while pairs < room {
            let Some(sequence) = lost.next() else {
                exhausted = true;
                break;
            };
            match sequence.wrapping_sub(pid) {
                0 if pairs > 0 => {}
                ahead @ 1..=16 if pairs > 0 => bitmap |= 1 << ahead.wrapping_sub(1),
                _ => {
                    pairs = pairs.wrapping_add(1);
                    (pid, bitmap) = (sequence, 0_u16);
                }
            }
            let at = pairs.wrapping_sub(1).wrapping_mul(PAIR_LEN).wrapping_add(first_pair);
            if let Some(place) = self.out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *place = (u32::from(pid) << 16 | u32::from(bitmap)).to_be_bytes();
            }
        }
        let body_len = pairs.wrapping_mul(PAIR_LEN).wrapping_add(FEEDBACK_LEN);
        if pairs > 0 {
            // The pairs are in place already: only what stands before them is written now.
            let Some(mut put) = self.open(TRANSPORT_FEEDBACK, NACK, body_len) else {
                return false;
            };
            put.u32(sender);
            put.u32(media);
        }
        exhausted
    }

    /// PLI (RFC 4585 section 6.3.1).
    pub fn picture_loss(&mut self, sender: u32, media: u32) -> bool {
        self.append(PAYLOAD_FEEDBACK, PICTURE_LOSS, FEEDBACK_LEN, |put| put.u32(sender) && put.u32(media))
    }

    /// FIR for one stream (RFC 5104 section 4.3.1); `number` rises with each new command and stays when one is repeated.
    pub fn full_intra_request(&mut self, sender: u32, media: u32, number: u8) -> bool {
        self.append(PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST, 16, |put| {
            // The header's media source is unused here: the entry names it.
            put.u32(sender) && put.u32(0) && put.u32(media) && put.bytes(&[number])
        })
    }

    /// REMB for at most 255 streams (draft-alvestrand-rmcat-remb-03); the bitrate is rounded down to 18 significant bits.
    pub fn remb(&mut self, sender: u32, bitrate: Bitrate, ssrcs: &[u32]) -> bool {
        let Ok(count) = u8::try_from(ssrcs.len()) else {
            return false;
        };
        let exponent = 46_u32.saturating_sub(bitrate.as_bps().leading_zeros());
        let mantissa = bitrate.as_bps().checked_shr(exponent).unwrap_or(0) as u32;
        let body_len = usize::from(count).wrapping_mul(4).wrapping_add(16);
        self.append(PAYLOAD_FEEDBACK, APPLICATION_LAYER, body_len, |put| {
            let rate = u32::from(count) << 24 | exponent << 18 | mantissa;
            put.u32(sender) && put.u32(0) && put.bytes(b"REMB") && put.u32(rate) && ssrcs.iter().all(|ssrc| put.u32(*ssrc))
        })
    }

    /// Transport-wide congestion control feedback with the given control information, padded to 32 bits as RTCP pads.
    pub fn transport_feedback(&mut self, sender: u32, media: u32, fci: &[u8]) -> bool {
        let unpadded = fci.len().wrapping_add(FEEDBACK_LEN);
        let padding = unpadded.next_multiple_of(4).wrapping_sub(unpadded);
        let padded_bit = if padding == 0 { 0 } else { 0x20 };
        self.append(TRANSPORT_FEEDBACK, TRANSPORT_CC | padded_bit, unpadded.next_multiple_of(4), |put| {
            // The padding's last byte counts the padding.
            let end: &[u8] = match padding {
                1 => &[1],
                2 => &[0, 2],
                3 => &[0, 0, 3],
                _ => &[],
            };
            put.u32(sender) && put.u32(media) && put.bytes(fci) && put.bytes(end)
        })
    }

    /// BYE for at most [`MAX_COUNT`] sources, without a reason (RFC 3550 section 6.6).
    pub fn bye(&mut self, ssrcs: &[u32]) -> bool {
        let Some(count) = counted(ssrcs.len()) else {
            return false;
        };
        self.append(BYE, count, ssrcs.len().wrapping_mul(4), |put| ssrcs.iter().all(|ssrc| put.u32(*ssrc)))
    }

    /// XR with a DLRR block (RFC 3611 section 4.5): for each receiver its SSRC, the middle 32 bits of its last reference time, and the
    /// time since that arrived in 1/65,536 s. An empty list writes nothing and fits.
    pub fn extended_report_dlrr(&mut self, ssrc: u32, delays: &[(u32, u32, u32)]) -> bool {
        if delays.is_empty() {
            return true;
        }
        let Ok(words) = u16::try_from(delays.len().saturating_mul(3)) else {
            return false;
        };
        self.extended_report(ssrc, xr::DELAY, words, |put| {
            delays.iter().all(|(receiver, last_rr, delay)| put.u32(*receiver) && put.u32(*last_rr) && put.u32(*delay))
        })
    }

    /// XR with an RRTR block (RFC 3611 section 4.4): the wall clock now.
    pub fn extended_report_rrtr(&mut self, ssrc: u32, ntp: Ntp) -> bool {
        self.extended_report(ssrc, xr::REFERENCE_TIME, 2, |put| put.bytes(&ntp.0.to_be_bytes()))
    }

    /// One block, whose content of so many 32-bit words `fill` writes.
    fn extended_report(&mut self, ssrc: u32, block_type: u8, words: u16, fill: impl FnOnce(&mut Put<'_>) -> bool) -> bool {
        let body_len = usize::from(words).wrapping_mul(4).wrapping_add(8);
        self.append(EXTENDED_REPORT, 0, body_len, |put| put.u32(ssrc) && put.bytes(&[block_type, 0]) && put.u16(words) && fill(put))
    }

    fn reports(&mut self, packet_type: u8, head_len: usize, blocks: &[ReportBlock], head: impl FnOnce(&mut Put<'_>) -> bool) -> bool {
        let Some(count) = counted(blocks.len()) else {
            return false;
        };
        let body_len = blocks.len().wrapping_mul(ReportBlock::LEN).wrapping_add(head_len);
        self.append(packet_type, count, body_len, |put| head(put) && blocks.iter().all(|block| block.write(put)))
    }

    /// Appends a packet whose body `fill` writes; what it leaves is zeros.
    fn append(&mut self, packet_type: u8, first: u8, body_len: usize, fill: impl FnOnce(&mut Put<'_>) -> bool) -> bool {
        self.open(packet_type, first, body_len).is_some_and(|mut put| {
            let filled = fill(&mut put);
            put.zeros();
            filled
        })
    }

    /// Writes a header and returns the body; `None`, and nothing written, when the two do not fit.
    fn open(&mut self, packet_type: u8, first: u8, body_len: usize) -> Option<Put<'_>> {
        let words = u16::try_from(body_len / 4).ok()?;
        let (header, rest) = self.out.get_mut(self.len..)?.split_first_chunk_mut::<HEADER_LEN>()?;
        let body = rest.get_mut(..body_len)?;
        let [high, low] = words.to_be_bytes();
        *header = [0x80 | first, packet_type, high, low];
        self.len = self.len.wrapping_add(HEADER_LEN).wrapping_add(body_len);
        Some(Put::new(body))
    }
}

impl ReportBlock {
    fn write(&self, put: &mut Put<'_>) -> bool {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0x00ff_ffff;
        put.u32(self.ssrc)
            && put.u32(u32::from(self.fraction_lost) << 24 | lost)
            && put.u32(self.highest)
            && put.u32(self.jitter)
            && put.u32(self.last_sr)
            && put.u32(self.delay)
    }
}

fn counted(len: usize) -> Option<u8> {
    u8::try_from(len).ok().filter(|count| usize::from(*count) <= MAX_COUNT)
}
