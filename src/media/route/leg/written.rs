//! How a packet is written for a subscriber: its header, and its payload, sealed.

use super::{Leg, MOST_RED, Moment, Source};
use crate::media::packet::red;
use crate::media::publish::cache::CachedPacket;
use crate::media::rewrite::{Dependency, OutFields};
use crate::media::route::outlet::Form;
use crate::media::route::way::Way;
use crate::media::transport::SrtpSender;

impl Leg {
    pub(in crate::media::route) fn write_header(
        &mut self, moment: &Moment, source: &Source<'_>, payload_type: u8, ssrc: u32, sequence: u64, way: &mut Way<'_>, out: &mut [u8],
    ) -> Option<usize> {
        let packet = &source.packet;
        let fields = OutFields {
            payload_type,
            // What is sent again as it was must not follow what is cut now.
            marker: if self.repeats_exactly { packet.meta.marker } else { self.switch.ends_picture(packet.meta) },
            sequence: sequence as u16,
            timestamp: self.timestamp.map(packet.meta.timestamp),
            ssrc,
            csrc: self.name,
            transport_cc: Some(*way.transport_cc),
            abs_send_time: Some(moment.abs_send_time),
            mid: !self.acknowledged || self.repeats_exactly,
            dependency: self.dependency(source),
        };
        let len = self.header.write(packet.header, &packet.meta.extensions, out, &fields)?;
        if self.counts_transport {
            *way.transport_cc = way.transport_cc.wrapping_add(1);
        }
        Some(len)
    }

    /// What its dependency descriptor says, where it has one: the frame's number here, and with a key frame which layers are cut.
    fn dependency<'a>(&mut self, source: &Source<'a>) -> Option<Dependency<'a>> {
        let number = source.packet.meta.extensions.frame_number(source.packet.header)?;
        let layer = self.switch.present().map(|choice| choice.layer);
        let structure = source.encoding.structure.as_deref().filter(|_| source.packet.meta.starts_key_frame && !self.repeats_exactly);
        let active = structure.zip(layer).map(|(structure, layer)| (structure.active_for(layer), structure));
        Some(Dependency { frame_number: self.frames.map(number), active })
    }

    /// Seals header and payload; the length of the datagram and of the payload.
    pub(in crate::media::route) fn seal(
        &mut self, packet: &CachedPacket<'_>, form: Form, sender: &SrtpSender, sequence: u64, header_len: usize, slot: &mut [u8],
    ) -> Option<(usize, usize)> {
        let mut numbers = None;
        let shared = match form {
            Form::AsIs => Some(packet.payload),
            Form::Numbered { .. } => {
                numbers = self.picture.differs(&packet.meta.pictures)?;
                numbers.is_none().then_some(packet.payload)
            }
            Form::RedPrimary { .. } => packet.payload.get(red::primary(packet.payload)?.start..),
            Form::RedBlocks { .. } | Form::AddRed { .. } => None,
        };
        if let Some(payload) = shared {
            let len = sender.seal_scatter(slot, header_len, payload, self.ssrc, sequence)?;
            return Some((len, payload.len()));
        }
        let target = slot.get_mut(header_len..)?;
        let payload_len = match numbers {
            Some((id, tl0)) => {
                let target = target.get_mut(..packet.payload.len())?;
                target.copy_from_slice(packet.payload);
                packet.meta.pictures.write(target, id, tl0);
                target.len()
            }
            None => self.copy_payload(packet, form, target)?,
        };
        let len = sender.seal_in_place(slot, header_len, payload_len, self.ssrc, sequence)?;
        Some((len, payload_len))
    }

    /// Copies the payload and changes what is this subscriber's own; its length.
    pub(in crate::media::route) fn copy_payload(&mut self, packet: &CachedPacket<'_>, form: Form, target: &mut [u8]) -> Option<usize> {
        let payload = match form {
            Form::RedPrimary { .. } => packet.payload.get(red::primary(packet.payload)?.start..)?,
            Form::AddRed { primary } => {
                let timestamp = self.timestamp.map(packet.meta.timestamp);
                let most = target.len().min(MOST_RED);
                return self.redundancy.write(timestamp, packet.payload, primary, target.get_mut(..most)?);
            }
            Form::AsIs | Form::Numbered { .. } | Form::RedBlocks { .. } => packet.payload,
        };
        let target = target.get_mut(..payload.len())?;
        target.copy_from_slice(payload);
        match form {
            Form::Numbered { .. } => {
                self.picture.rewrite(&packet.meta.pictures, target)?;
            }
            Form::RedBlocks { theirs, primary } => {
                for block in red::headers(payload).filter(|block| block.payload_type == theirs) {
                    red::set_payload_type(target, block.offset, primary);
                }
            }
            Form::AsIs | Form::RedPrimary { .. } | Form::AddRed { .. } => {}
        }
        Some(payload.len())
    }
}
