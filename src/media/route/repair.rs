//! What a leg sends beside media for the first time: what was asked for again, and what fills a probe.

use super::leg::{Leg, Moment, PADDING, Source};
use super::outlet::{Form, Outlet};
use super::way::Way;
use crate::base::outgoing::Outgoing;
use crate::media::pace::sent::Kind;
use crate::media::publish::track::Track;
use crate::media::rewrite::{OutFields, SourceExtensions};

/// Bytes of padding that one packet can have: its last byte counts them.
const MOST_PADDING: usize = 255;
/// Packets that are looked at for one that is short enough.
const LOOKED_AT: usize = 8;
/// Packets that a probe is filled with, the newest first.
const MOST_REPEATED: u64 = 64;
/// Bytes of an RTX packet's payload before the original one: the original sequence number (RFC 4588 section 4).
const OSN: usize = 2;

impl Leg {
    /// The source's number of an outgoing sequence number, for a NACK.
    pub fn source_of(&self, sequence: u16) -> Option<u64> {
        self.sequence.source_of(sequence)
    }

    /// Sends a packet of a track that comes to it again: as RTX where negotiated (RFC 4588), else the very same packet.
    pub fn retransmit(
        &mut self, moment: &Moment, track: usize, source: &Source<'_>, kind: Kind, way: &mut Way<'_>, out: &mut Outgoing,
    ) -> Option<()> {
        self.with(track, |leg| leg.retransmit_present(moment, source, kind, way, out))?
    }

    fn retransmit_present(&mut self, moment: &Moment, source: &Source<'_>, kind: Kind, way: &mut Way<'_>, out: &mut Outgoing) -> Option<()> {
        let packet = &source.packet;
        // Before the present source has begun, numbers lead to the one before; its packets may be in the cache under the same numbers.
        if !self.switch.is_on(source.number, packet.meta.generation) || !self.switch.has_sent(packet.meta) {
            return None;
        }
        // RED is made once: the same packet would repeat others now (docs of `rewrite/redundancy.rs`).
        let repeats = |outlet: &Outlet| !matches!(outlet.form, Form::AddRed { .. }) && outlet.form.fits(packet.payload);
        let outlet = self.outlets.get(usize::from(packet.meta.codec)).copied().flatten().filter(repeats)?;
        let sequence = self.sequence.map(packet.meta.sequence)?;
        let slot = out.slot()?;
        let number = self.counts_transport.then_some(*way.transport_cc);
        let len = match (outlet.rtx, self.plan.rtx_ssrc) {
            (Some(payload_type), Some(ssrc)) => {
                let index = self.rtx_next;
                let header_len = self.write_header(moment, source, payload_type, ssrc, index, way, slot)?;
                slot.get_mut(header_len..header_len + OSN)?.copy_from_slice(&(sequence as u16).to_be_bytes());
                let payload_len = self.copy_payload(packet, outlet.form, slot.get_mut(header_len + OSN..)?)?;
                self.rtx_next += 1;
                way.sender.seal_in_place(slot, header_len, OSN + payload_len, ssrc, index)?
            }
            _ if sequence < self.repeats_from || !self.repeats_exactly => return None,
            _ => {
                let header_len = self.write_header(moment, source, outlet.payload_type, self.plan.ssrc, sequence, way, slot)?;
                self.seal(packet, outlet.form, way.sender, sequence, header_len, slot)?.0
            }
        };
        out.commit(way.path, len);
        way.sent(moment.now, number, len, kind);
        Some(())
    }

    /// Sends a packet that went out lately once more, or one before it the next time: to fill a probe with at most so many bytes. As
    /// RTX, or not at all.
    pub fn repeat(&mut self, moment: &Moment, track: &Track, bytes: usize, way: &mut Way<'_>, out: &mut Outgoing) -> Option<()> {
        let number = self.switch.present()?.encoding;
        let encoding = track.encoding(number)?;
        self.plan.rtx_ssrc?;
        let newest = self.sequence.highest_in()?;
        for _ in 0..LOOKED_AT {
            self.repeated = if self.repeated <= newest && self.repeated + MOST_REPEATED > newest { self.repeated.checked_sub(1)? } else { newest };
            let fitting = encoding.cache.get(self.repeated).filter(|packet| packet.payload.len() <= bytes);
            let Some(packet) = fitting else { continue };
            if self.retransmit_present(moment, &Source { track, number, encoding, packet }, Kind::Probe, way, out).is_some() {
                return Some(());
            }
        }
        None
    }

    /// Sends nothing but padding, at most so many bytes of it: to fill a probe while there is nothing to repeat. It goes with the numbers
    /// of RTX, which have no gaps that matter.
    pub fn pad(&mut self, moment: &Moment, bytes: usize, way: &mut Way<'_>, out: &mut Outgoing) -> Option<()> {
        let (payload_type, ssrc) = (self.plan.codecs.iter().find_map(|c| c.rtx)?, self.plan.rtx_ssrc?);
        let number = self.counts_transport.then_some(*way.transport_cc);
        let fields = OutFields {
            payload_type,
            sequence: self.rtx_next as u16,
            timestamp: self.last_timestamp,
            ssrc,
            transport_cc: Some(*way.transport_cc),
            abs_send_time: Some(moment.abs_send_time),
            mid: !self.acknowledged || self.repeats_exactly,
            ..OutFields::default()
        };
        let slot = out.slot()?;
        let header_len = self.header.write(&[], &SourceExtensions::default(), slot, &fields)?;
        *slot.first_mut()? |= PADDING;
        let padding = slot.get_mut(header_len..)?.get_mut(..bytes.clamp(1, MOST_PADDING))?;
        padding.fill(0);
        let len = padding.len();
        // The last byte says how many there are (RFC 3550 section 5.1).
        *padding.last_mut()? = len as u8;
        let len = way.sender.seal_in_place(slot, header_len, len, ssrc, self.rtx_next)?;
        self.rtx_next += 1;
        if self.counts_transport {
            *way.transport_cc = way.transport_cc.wrapping_add(1);
        }
        out.commit(way.path, len);
        way.sent(moment.now, number, len, Kind::Probe);
        Some(())
    }

    /// Whether any codec here may be asked for again.
    pub fn takes_nacks(&self) -> bool {
        self.plan.codecs.iter().any(|c| c.feedback.nack)
    }

    /// What went out so far had another header: sent again, it would not be the same to the bit.
    pub(super) fn forget_repeats(&mut self) {
        self.repeats_from = self.sequence.highest_out().map_or(0, |h| h + 1);
    }
}
