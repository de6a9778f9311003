//! RTP header extensions: their elements (RFC 8285) and the values that Althing reads or writes.

use super::bytes::u16_at;
use super::rtp::ExtensionForm;
use crate::base::Time;

/// One element: its id and where its value lies in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The id that negotiation gave to a kind of extension.
    pub id: u8,
    /// Offset of the value's first byte in the block.
    pub start: usize,
    /// Offset after its last byte; never beyond the block.
    pub end: usize,
}

/// The elements of a header extension block, padding left out.
///
/// The walk ends at an element that does not lie wholly in the block and, in the one-byte form, at id 15 and at id 0 with a
/// length (RFC 8285 section 4.2).
pub fn elements(form: ExtensionForm, block: &[u8]) -> impl Iterator<Item = Element> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while block.get(at) == Some(&0) && form != ExtensionForm::Unknown {
            at = at.wrapping_add(1);
        }
        let element = match form {
            ExtensionForm::OneByte => one_byte_element(block, at),
            ExtensionForm::TwoByte => two_byte_element(block, at),
            ExtensionForm::Unknown => None,
        }
        .filter(|element| element.end <= block.len());
        at = element.map_or(block.len(), |element| element.end);
        element
    })
}

fn one_byte_element(block: &[u8], at: usize) -> Option<Element> {
    let head = *block.get(at)?;
    let (id, len) = (head >> 4, usize::from(head & 0x0f).wrapping_add(1));
    let start = at.wrapping_add(1);
    (1..=14).contains(&id).then_some(Element { id, start, end: start.wrapping_add(len) })
}

fn two_byte_element(block: &[u8], at: usize) -> Option<Element> {
    let &[id, len] = block.get(at..)?.first_chunk()?;
    let start = at.wrapping_add(2);
    Some(Element { id, start, end: start.wrapping_add(usize::from(len)) })
}

impl ExtensionForm {
    /// Whether an element with this id and length of value can be written in this form.
    pub const fn holds(self, id: u8, len: usize) -> bool {
        match self {
            ExtensionForm::OneByte => matches!(id, 1..=14) && matches!(len, 1..=16),
            ExtensionForm::TwoByte => id != 0 && len <= 255,
            ExtensionForm::Unknown => false,
        }
    }
}

/// Writes a header extension block, the four bytes that announce it included.
pub struct ExtensionWriter<'a> {
    out: &'a mut [u8],
    at: usize,
    form: ExtensionForm,
    full: bool,
}

const ANNOUNCEMENT_LEN: usize = 4;

impl<'a> ExtensionWriter<'a> {
    /// A block in `form`, at the start of `out`.
    pub fn new(out: &'a mut [u8], form: ExtensionForm) -> Self {
        Self { out, at: ANNOUNCEMENT_LEN, form, full: false }
    }

    /// Appends an element and says whether it was written.
    ///
    /// One that the form cannot hold is left out ([`ExtensionForm::holds`]); one that the buffer cannot hold spoils the block.
    pub fn add(&mut self, id: u8, value: &[u8]) -> bool {
        if !self.form.holds(id, value.len()) {
            return false;
        }
        let len = value.len() as u8;
        let written = match self.form {
            ExtensionForm::OneByte => self.put(&[id << 4 | len.wrapping_sub(1)]),
            _ => self.put(&[id, len]),
        } && self.put(value);
        self.full |= !written;
        written
    }

    /// Pads the block to 32 bits and returns its length in bytes: 0 when no element was written, so that the packet needs no
    /// extension at all; `None` when the buffer was too small.
    pub fn finish(mut self) -> Option<usize> {
        if self.full {
            return None;
        }
        if self.at == ANNOUNCEMENT_LEN {
            return Some(0);
        }
        while !self.at.is_multiple_of(4) {
            if !self.put(&[0]) {
                return None;
            }
        }
        let words = u16::try_from(self.at.wrapping_sub(ANNOUNCEMENT_LEN) / 4).ok()?;
        let profile: u16 = if self.form == ExtensionForm::OneByte { 0xbede } else { 0x1000 };
        let announcement = u32::from(profile) << 16 | u32::from(words);
        *self.out.first_chunk_mut()? = announcement.to_be_bytes();
        Some(self.at)
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.at.wrapping_add(bytes.len());
        let Some(place) = self.out.get_mut(self.at..end) else {
            return false;
        };
        place.copy_from_slice(bytes);
        self.at = end;
        true
    }
}

/// The loudness of an audio packet (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the sender took it for speech.
    pub voice: bool,
    /// Loudness in −dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
}

impl AudioLevel {
    /// From an element's value; `None` when it is empty.
    pub fn read(value: &[u8]) -> Option<Self> {
        value.first().map(|byte| Self { voice: byte & 0x80 != 0, level: byte & 0x7f })
    }

    /// As an element's value; a level above 127 counts as 127.
    pub fn bytes(self) -> [u8; 1] {
        [u8::from(self.voice) << 7 | self.level.min(127)]
    }
}

/// The transport-wide sequence number in an element's value; `None` when it is too short.
pub fn transport_cc(value: &[u8]) -> Option<u16> {
    u16_at(value, 0)
}

/// A transport-wide sequence number as an element's value.
pub const fn transport_cc_bytes(sequence: u16) -> [u8; 2] {
    sequence.to_be_bytes()
}

/// The 24 bits of an absolute send time element: 6.18 fixed point seconds, wrapping each 64 s; `None` when it is too short.
pub fn abs_send_time(value: &[u8]) -> Option<u32> {
    let &[a, b, c] = value.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// The absolute send time of a moment: 24 bits of 6.18 fixed point seconds, rounded to the nearest.
pub const fn abs_send_time_of(at: Time) -> u32 {
    const TURN_MICROS: u64 = 64_000_000;
    let scaled = (at.as_micros() % TURN_MICROS) << 18;
    (scaled.wrapping_add(500_000) / 1_000_000) as u32 & 0x00ff_ffff
}

/// 24 bits of absolute send time as an element's value.
pub const fn abs_send_time_bytes(time: u32) -> [u8; 3] {
    let [_, a, b, c] = time.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests;
