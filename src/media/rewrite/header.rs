//! The outgoing RTP header: fixed fields from the slot, extensions carried over from the source's ids to the subscriber's.

use crate::contract::{Extension, ExtensionMap, Mid};
use crate::media::packet::dependency::{self, Structure};
use crate::media::packet::ext::{self, ExtensionWriter};
use crate::media::packet::rtp::{ExtensionForm, RtpHeader};

/// Extensions whose values are carried over as they are. `rid` and `rrid` end here: to a subscriber there is one encoding.
const CARRIED: [Extension; 6] = [
    Extension::AudioLevel,
    Extension::AbsCaptureTime,
    Extension::PlayoutDelay,
    Extension::VideoOrientation,
    Extension::DependencyDescriptor,
    Extension::VideoContentType,
];
const KINDS: usize = Extension::ALL.len();
const FIXED_LEN: usize = 12;
const CSRC_LEN: usize = 4;

/// Where the known extensions of a received packet lie: read once, kept beside the packet, used by every forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceExtensions {
    /// Offset in the packet, by kind; 0 where there is none.
    starts: [u16; KINDS],
    lens: [u8; KINDS],
    /// A bit for each kind that is there.
    present: u16,
}

impl SourceExtensions {
    /// Finds the extensions that were negotiated with the source. Of a repeated one the first counts.
    pub fn read(header: &RtpHeader, map: &ExtensionMap, packet: &[u8]) -> Self {
        let mut found = Self::default();
        let Some((block, bytes)) = header.extension.and_then(|block| Some((block, packet.get(block.start..block.end)?))) else {
            return found;
        };
        for element in ext::elements(block.form, bytes) {
            let Some(kind) = map.extension(element.id) else {
                continue;
            };
            let (Ok(start), Ok(len)) =
                (u16::try_from(block.start.wrapping_add(element.start)), u8::try_from(element.end.wrapping_sub(element.start)))
            else {
                continue;
            };
            if let (Some(at @ 0), Some(size)) = (found.starts.get_mut(kind as usize), found.lens.get_mut(kind as usize)) {
                (*at, *size) = (start, len);
                found.present |= 1 << kind as u16;
            }
        }
        found
    }

    /// The value of an extension in the packet that this was read from.
    pub fn get<'a>(&self, kind: Extension, packet: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.starts.get(kind as usize).copied().filter(|start| *start != 0)?;
        packet.get(start.into()..)?.get(..self.len(kind))
    }

    /// All of it in bytes, for another worker of this process.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (starts, lens) = bytes.split_at_mut(KINDS * 2);
        starts.as_chunks_mut().0.iter_mut().zip(self.starts).for_each(|(place, start)| *place = start.to_ne_bytes());
        lens.copy_from_slice(&self.lens);
        bytes
    }

    /// What [`Self::to_bytes`] made bytes of.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut read = Self::default();
        let (starts, lens) = bytes.split_at(KINDS * 2);
        read.starts.iter_mut().zip(starts.as_chunks().0).for_each(|(start, place)| *start = u16::from_ne_bytes(*place));
        read.present = read.starts.iter().enumerate().fold(0, |kinds, (kind, start)| if *start == 0 { kinds } else { kinds | 1 << kind });
        read.lens.copy_from_slice(lens);
        read
    }

    /// Bytes that [`Self::to_bytes`] takes.
    pub const BYTES: usize = KINDS * 3;

    /// The frame number of its dependency descriptor, if it has one.
    pub fn frame_number(&self, packet: &[u8]) -> Option<u16> {
        let [_, high, low] = *self.get(Extension::DependencyDescriptor, packet)?.first_chunk()?;
        Some(u16::from_be_bytes([high, low]))
    }

    /// Takes an extension out: it goes to nobody.
    pub fn forget(&mut self, kind: Extension) {
        if let Some(start) = self.starts.get_mut(kind as usize) {
            *start = 0;
            self.present &= !(1 << kind as u16);
        }
    }

    fn has(&self, kind: Extension) -> bool {
        self.starts.get(kind as usize).is_some_and(|start| *start != 0)
    }

    fn len(&self, kind: Extension) -> usize {
        self.lens.get(kind as usize).copied().unwrap_or(0).into()
    }
}

/// How headers are written for one slot: compiled at negotiation, the same for every source.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeaderRewrite {
    /// The slot's own elements as bytes, without and with its mid.
    own: [OwnBlock; 2],
    /// The kinds that the subscriber negotiated, with its ids.
    carried: [(Extension, u8); CARRIED.len()],
    carried_len: usize,
    /// A bit for each of them.
    carried_kinds: u16,
    transport_cc: Option<u8>,
    abs_send_time: Option<u8>,
    mid: Option<(u8, Mid)>,
    two_byte_allowed: bool,
}

/// The slot's own elements (mid, transport-wide number, send time) in the one-byte form, written once: a packet copies it and sets two values.
#[derive(Clone, Copy, Debug, Default)]
struct OwnBlock {
    bytes: [u8; OWN_LEN],
    /// With the announcement and without padding; 0 when the form cannot hold it.
    len: u8,
    /// Where the values lie; 0 where there is none.
    transport_cc: u8,
    abs_send_time: u8,
}

/// The announcement, a mid of 16 bytes, a transport-wide number, a send time.
const OWN_LEN: usize = 4 + 17 + 3 + 4 + 4;

impl OwnBlock {
    fn compile(mid: Option<(u8, Mid)>, transport_cc: Option<u8>, abs_send_time: Option<u8>) -> Self {
        let mut block = Self { bytes: [0; OWN_LEN], len: 4, transport_cc: 0, abs_send_time: 0 };
        block.bytes[..2].copy_from_slice(&[0xbe, 0xde]);
        let fits = mid.is_none_or(|(id, mid)| block.add(id, mid.as_bytes()).is_some())
            && transport_cc.is_none_or(|id| block.add(id, &[0; 2]).map(|at| block.transport_cc = at).is_some())
            && abs_send_time.is_none_or(|id| block.add(id, &[0; 3]).map(|at| block.abs_send_time = at).is_some());
        let words = usize::from(block.len).div_ceil(4).wrapping_sub(1) as u16;
        block.bytes[2..4].copy_from_slice(&words.to_be_bytes());
        if fits { block } else { Self::default() }
    }

    /// Appends an element; where its value lies.
    fn add(&mut self, id: u8, value: &[u8]) -> Option<u8> {
        if !ExtensionForm::OneByte.holds(id, value.len()) {
            return None;
        }
        let at = usize::from(self.len).wrapping_add(1);
        *self.bytes.get_mut(usize::from(self.len))? = id << 4 | value.len().wrapping_sub(1) as u8;
        self.bytes.get_mut(at..)?.get_mut(..value.len())?.copy_from_slice(value);
        self.len = at.wrapping_add(value.len()) as u8;
        Some(at as u8)
    }
}

/// What the slot says in one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutFields<'a> {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 0–127.
    pub payload_type: u8,
    /// The slot's sequence number.
    pub sequence: u16,
    /// The slot's timestamp.
    pub timestamp: u32,
    /// The slot's SSRC.
    pub ssrc: u32,
    /// The source's SSRC, to be named as a contributing source.
    pub csrc: Option<u32>,
    /// The transport-wide sequence number, written when the subscriber negotiated it.
    pub transport_cc: Option<u16>,
    /// 24 bits of absolute send time, written when the subscriber negotiated it.
    pub abs_send_time: Option<u32>,
    /// Whether to write the slot's mid, when the rewriting was compiled with one.
    pub mid: bool,
    /// What the dependency descriptor says here, where the source has one.
    pub dependency: Option<Dependency<'a>>,
}

/// What a slot says in a dependency descriptor instead of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// The frame's number.
    pub frame_number: u16,
    /// The decode targets that remain, when layers are cut or may be, and the structure that they are targets of.
    pub active: Option<(u32, &'a Structure)>,
}

/// Bytes of the longest extension.
const LONGEST: usize = 255;
/// Bytes by which a dependency descriptor may grow: the flags of its extended part, and 32 decode targets.
const ACTIVE_TARGETS: usize = 5;

impl HeaderRewrite {
    /// Compiles the subscriber's ids; `mid` is the slot's own.
    pub fn compile(target: &ExtensionMap, mid: Option<Mid>) -> Self {
        let mut carried = [(Extension::AudioLevel, 0); CARRIED.len()];
        let negotiated = CARRIED.into_iter().filter_map(|kind| Some((kind, target.id(kind)?)));
        let carried_len = carried.iter_mut().zip(negotiated).map(|(place, entry)| *place = entry).count();
        let (transport_cc, abs_send_time) = (target.id(Extension::TransportCc), target.id(Extension::AbsSendTime));
        let mid = target.id(Extension::Mid).zip(mid);
        Self {
            own: [None, mid].map(|mid| OwnBlock::compile(mid, transport_cc, abs_send_time)),
            carried,
            carried_len,
            carried_kinds: carried.iter().take(carried_len).fold(0, |kinds, (kind, _)| kinds | 1 << *kind as u16),
            transport_cc,
            abs_send_time,
            mid,
            two_byte_allowed: target.two_byte_allowed,
        }
    }

    /// Writes a header into `out` and returns its length in bytes; `None` when it does not fit.
    ///
    /// `source` was read from `packet`. The two-byte form is taken only where the subscriber agreed to it and an element needs it;
    /// where it did not agree, such an element is left out.
    pub fn write(&self, packet: &[u8], source: &SourceExtensions, out: &mut [u8], fields: &OutFields<'_>) -> Option<usize> {
        match self.write_short(packet, source, out, fields) {
            Some(len) => Some(len),
            None => self.write_any(packet, source, out, fields),
        }
    }

    /// The usual header: all elements fit the one-byte form, and both of the slot's values are given. `None` otherwise.
    fn write_short(&self, packet: &[u8], source: &SourceExtensions, out: &mut [u8], fields: &OutFields<'_>) -> Option<usize> {
        let own = self.own.get(usize::from(fields.mid))?;
        let transport_cc = if own.transport_cc == 0 { 0 } else { fields.transport_cc? };
        let abs_send_time = if own.abs_send_time == 0 { 0 } else { fields.abs_send_time? };
        if own.len == 0 {
            return None;
        }
        let fixed_len = write_fixed(out, fields)?;
        if own.len == 4 && source.present & self.carried_kinds == 0 {
            return Some(fixed_len);
        }
        let block = out.get_mut(fixed_len..)?;
        *block.first_chunk_mut()? = own.bytes;
        if own.transport_cc != 0 {
            *block.get_mut(usize::from(own.transport_cc)..)?.first_chunk_mut()? = ext::transport_cc_bytes(transport_cc);
        }
        if own.abs_send_time != 0 {
            *block.get_mut(usize::from(own.abs_send_time)..)?.first_chunk_mut()? = ext::abs_send_time_bytes(abs_send_time);
        }
        // Its length and its padding are written already.
        if source.present & self.carried_kinds == 0 {
            *out.first_mut()? |= 0x10;
            return Some(fixed_len.wrapping_add(usize::from(own.len).next_multiple_of(4)));
        }
        let mut at = usize::from(own.len);
        let mut scratch = [0; LONGEST];
        for (kind, id) in self.carried().filter(|(kind, _)| source.has(*kind)) {
            let value = value(*kind, packet, source, fields, &mut scratch)?;
            if !ExtensionForm::OneByte.holds(*id, value.len()) {
                return None;
            }
            let place = block.get_mut(at..)?.get_mut(..value.len().wrapping_add(1))?;
            let (head, rest) = place.split_first_mut()?;
            *head = id << 4 | value.len().wrapping_sub(1) as u8;
            rest.copy_from_slice(value);
            at = at.wrapping_add(place.len());
        }
        let end = at.next_multiple_of(4);
        block.get_mut(at..end)?.fill(0);
        *block.get_mut(2..)?.first_chunk_mut()? = ((end / 4).wrapping_sub(1) as u16).to_be_bytes();
        *out.first_mut()? |= 0x10;
        Some(fixed_len.wrapping_add(end))
    }

    /// Any header, element by element.
    fn write_any(&self, packet: &[u8], source: &SourceExtensions, out: &mut [u8], fields: &OutFields<'_>) -> Option<usize> {
        let fixed_len = write_fixed(out, fields)?;
        let mut block = ExtensionWriter::new(out.get_mut(fixed_len..)?, self.form(source, fields));
        if let Some((id, mid)) = self.mid.filter(|_| fields.mid) {
            block.add(id, mid.as_bytes());
        }
        if let Some((id, sequence)) = self.transport_cc.zip(fields.transport_cc) {
            block.add(id, &ext::transport_cc_bytes(sequence));
        }
        if let Some((id, time)) = self.abs_send_time.zip(fields.abs_send_time) {
            block.add(id, &ext::abs_send_time_bytes(time));
        }
        let mut scratch = [0; LONGEST];
        for (kind, id) in self.carried().filter(|(kind, _)| source.has(*kind)) {
            if let Some(value) = value(*kind, packet, source, fields, &mut scratch) {
                block.add(*id, value);
            }
        }
        let block_len = block.finish()?;
        if block_len > 0 {
            *out.first_mut()? |= 0x10;
        }
        Some(fixed_len.wrapping_add(block_len))
    }

    /// The most bytes that [`Self::write`] can need for a packet with these extensions, whatever the fields.
    pub fn max_len(&self, source: &SourceExtensions) -> usize {
        // Each element with a head of two bytes, the announcement and up to three bytes of padding.
        let own = 2 + 2 + 2 + 3 + 2 + Mid::MAX;
        let carried = self.carried().map(|(kind, _)| source.len(*kind).wrapping_add(2));
        const AROUND: usize = FIXED_LEN + CSRC_LEN + 4 + 3 + ACTIVE_TARGETS;
        carried.fold(own.wrapping_add(AROUND), usize::wrapping_add)
    }

    fn form(&self, source: &SourceExtensions, fields: &OutFields<'_>) -> ExtensionForm {
        if !self.two_byte_allowed {
            return ExtensionForm::OneByte;
        }
        let grows = |kind| kind == Extension::DependencyDescriptor && fields.dependency.is_some_and(|d| d.active.is_some());
        let len = |kind| source.len(kind).wrapping_add(if grows(kind) { ACTIVE_TARGETS } else { 0 });
        let carried = self.carried().filter(|(kind, _)| source.has(*kind)).map(|(kind, id)| (*id, len(*kind)));
        let own = [
            self.mid.filter(|_| fields.mid).map(|(id, mid)| (id, mid.as_bytes().len())),
            self.transport_cc.zip(fields.transport_cc).map(|(id, _)| (id, 2)),
            self.abs_send_time.zip(fields.abs_send_time).map(|(id, _)| (id, 3)),
        ];
        let all_short = carried.chain(own.into_iter().flatten()).all(|(id, len)| ExtensionForm::OneByte.holds(id, len));
        if all_short { ExtensionForm::OneByte } else { ExtensionForm::TwoByte }
    }

    fn carried(&self) -> impl Iterator<Item = &(Extension, u8)> {
        self.carried.iter().take(self.carried_len)
    }
}

/// What an extension that is carried over says here.
fn value<'a>(
    kind: Extension, packet: &'a [u8], source: &SourceExtensions, fields: &OutFields<'_>, scratch: &'a mut [u8; LONGEST],
) -> Option<&'a [u8]> {
    let value = source.get(kind, packet)?;
    match fields.dependency {
        Some(Dependency { frame_number, active }) if kind == Extension::DependencyDescriptor => {
            let len = dependency::rewrite(value, scratch, frame_number, active)?;
            scratch.get(..len)
        }
        _ => Some(value),
    }
}

/// Version 2, no padding, at most one contributing source; the extension bit is still clear.
fn write_fixed(out: &mut [u8], fields: &OutFields<'_>) -> Option<usize> {
    let (fixed, rest) = out.split_first_chunk_mut::<FIXED_LEN>()?;
    let [s0, s1] = fields.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
    let [r0, r1, r2, r3] = fields.ssrc.to_be_bytes();
    let sources = u8::from(fields.csrc.is_some());
    let second = u8::from(fields.marker) << 7 | fields.payload_type & 0x7f;
    *fixed = [0x80 | sources, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
    let Some(csrc) = fields.csrc else {
        return Some(FIXED_LEN);
    };
    *rest.first_chunk_mut()? = csrc.to_be_bytes();
    Some(FIXED_LEN + CSRC_LEN)
}

#[cfg(test)]
mod tests;
