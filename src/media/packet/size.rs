//! The size of the picture that a key frame brings, as its first packet says it: VP8 (RFC 6386 section 9.1), VP9 (RFC 9628
//! section 4.2.1, and the uncompressed header of the bitstream), H.264 (ITU-T H.264 section 7.3.2.1.1) and AV1 (its
//! specification's section 5.5.1).

use super::bytes::u16_at;
use super::{starts_key_frame, vp8};
use crate::contract::Codec;

/// Width and height in pixels of the picture that begins with this packet.
///
/// `payload` is an RTP payload without its padding. `None` when it begins no key frame ([`starts_key_frame`]), when the size is not
/// in this packet (an H.264 key frame without its parameter set), or when it cannot be told. Where a key frame has several spatial
/// layers and says so, it is the largest one's size.
///
/// Takes some hundred steps, bit by bit: it is meant for key frames only.
pub fn picture_size(codec: Codec, payload: &[u8]) -> Option<(u16, u16)> {
    if !starts_key_frame(codec, payload) {
        return None;
    }
    match codec {
        Codec::Opus | Codec::Red { .. } => None,
        Codec::Vp8 => vp8_frame(payload),
        Codec::Vp9 { .. } => vp9_packet(payload),
        Codec::H264 { .. } => h264_packet(payload),
        Codec::Av1 { .. } => av1_packet(payload),
    }
    .filter(|size| !is_empty(size))
}

const fn is_empty(&(width, height): &(u16, u16)) -> bool {
    width == 0 || height == 0
}

/// A frame tag of three bytes, a start code, then 14 bits each.
fn vp8_frame(payload: &[u8]) -> Option<(u16, u16)> {
    let frame = payload.get(vp8::Descriptor::parse(payload)?.header_len..)?;
    let &[_, _, _, 0x9d, 0x01, 0x2a, width_low, width_high, height_low, height_high] = frame.first_chunk()? else {
        return None;
    };
    // The upper two bits ask whoever shows the picture to scale it up: it has no more pixels for that.
    let pixels = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    Some((pixels(width_low, width_high), pixels(height_low, height_high)))
}

const VP9_PICTURE_ID: u8 = 0x80;
const VP9_LAYER: u8 = 0x20;
const VP9_FLEXIBLE: u8 = 0x10;
const VP9_STRUCTURE: u8 = 0x02;
const VP9_SIZES: u8 = 0x10;
const VP9_GROUPS: u8 = 0x08;

/// The scalability structure in the descriptor where it has sizes, otherwise the frame itself.
fn vp9_packet(payload: &[u8]) -> Option<(u16, u16)> {
    let (first, mut rest) = payload.split_first()?;
    if first & VP9_PICTURE_ID != 0 {
        let long = rest.first()? & 0x80 != 0;
        rest = rest.get(if long { 2 } else { 1 }..)?;
    }
    if first & VP9_LAYER != 0 {
        // Without the flexible mode TL0PICIDX follows.
        rest = rest.get(if first & VP9_FLEXIBLE != 0 { 1 } else { 2 }..)?;
    }
    // Reference indices would follow here, but a key frame is predicted from nothing.
    if first & VP9_STRUCTURE == 0 {
        return vp9_frame(rest);
    }
    let (structure, mut rest) = rest.split_first()?;
    if structure & VP9_SIZES != 0 {
        let layers = usize::from(structure >> 5).wrapping_add(1);
        let (sizes, _) = rest.get(..layers.wrapping_mul(4))?.as_chunks();
        let sizes = sizes.iter().map(|&[a, b, c, d]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        // Layers rise in size; one that is not sent may be announced with none.
        return sizes.rev().find(|size| !is_empty(size));
    }
    if structure & VP9_GROUPS != 0 {
        let (pictures, groups) = rest.split_first()?;
        rest = groups;
        for _ in 0..*pictures {
            let references = rest.first()? >> 2 & 0x03;
            rest = rest.get(usize::from(references).wrapping_add(1)..)?;
        }
    }
    vp9_frame(rest)
}

const VP9_FRAME_MARKER: u32 = 2;
const VP9_SYNC_CODE: u32 = 0x49_8342;
const VP9_RGB: u32 = 7;

/// The uncompressed header of a key frame (VP9 bitstream specification, section 6.2).
fn vp9_frame(frame: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(frame.iter().copied());
    if bits.take(2)? != VP9_FRAME_MARKER {
        return None;
    }
    let (odd_profile, upper_profile) = (bits.flag()?, bits.flag()?);
    if odd_profile && upper_profile {
        bits.take(1)?;
    }
    // An existing frame is shown again, or the frame is no key frame.
    if bits.take(2)? != 0 {
        return None;
    }
    // Whether it is shown, and whether it resists errors.
    bits.take(2)?;
    if bits.take(24)? != VP9_SYNC_CODE {
        return None;
    }
    if upper_profile {
        // Ten bits or twelve.
        bits.take(1)?;
    }
    let rgb = bits.take(3)? == VP9_RGB;
    if !rgb {
        // The range of colours.
        bits.take(1)?;
    }
    if odd_profile {
        // How chroma is sampled, across and down, which RGB does not say; then a reserved bit.
        bits.take(if rgb { 1 } else { 3 })?;
    }
    Some((plus_one(bits.take(16)?)?, plus_one(bits.take(16)?)?))
}

const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The sequence parameter set in a single NAL unit packet, a STAP-A or the first fragment of an FU-A (RFC 6184 section 5.2).
fn h264_packet(payload: &[u8]) -> Option<(u16, u16)> {
    let (header, mut rest) = payload.split_first()?;
    match header & 0x1f {
        SPS => sequence_parameter_set(rest),
        // The second header has the unit's type; that this is its beginning is known already.
        FU_A => rest.split_first().filter(|(header, _)| **header & 0x1f == SPS).and_then(|(_, set)| sequence_parameter_set(set)),
        STAP_A => loop {
            let size = usize::from(u16_at(rest, 0)?);
            let (unit, after) = rest.get(2..)?.split_at_checked(size)?;
            if let Some((header, set)) = unit.split_first()
                && header & 0x1f == SPS
            {
                return sequence_parameter_set(set);
            }
            rest = after;
        },
        _ => None,
    }
}

/// Profiles whose parameter sets say how chroma is sampled (`profile_idc`).
const PROFILES_WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// A sequence parameter set after its NAL unit header, up to the cropping (ITU-T H.264 section 7.3.2.1.1).
fn sequence_parameter_set(set: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(without_emulation_prevention(set));
    let profile = bits.take(8)?;
    // Constraints and the level, then the set's id.
    bits.take(16)?;
    bits.exp_golomb()?;
    let (chroma_width, chroma_height) = if PROFILES_WITH_CHROMA.contains(&profile) { chroma_sampling(&mut bits)? } else { (2, 2) };
    // How frame numbers are written.
    bits.exp_golomb()?;
    pass_picture_order(&mut bits)?;
    // Reference frames, and whether frame numbers may have gaps.
    bits.exp_golomb()?;
    bits.take(1)?;
    let (columns, rows) = (bits.exp_golomb()?, bits.exp_golomb()?);
    // Without interlacing a row is one of the frame, with it one of each field; one more flag tells how frames and fields mix.
    let fields = if bits.flag()? { 1_u32 } else { 2 };
    bits.take(fields.wrapping_sub(1))?;
    // Inference in direct mode.
    bits.take(1)?;
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.exp_golomb()?;
        }
    }
    let [left, right, top, bottom] = crop;
    let height = u32::from(cropped(rows, [top, bottom], chroma_height)?).wrapping_mul(fields);
    Some((cropped(columns, [left, right], chroma_width)?, u16::try_from(height).ok()?))
}

/// What a high profile's set has before the others' go on: how many luma samples there are for one of chroma, across and down.
fn chroma_sampling(bits: &mut Bits<impl Iterator<Item = u8>>) -> Option<(u32, u32)> {
    let format = bits.exp_golomb()?;
    let (sampling, lists) = match format {
        // Without chroma cropping counts single samples, as with full chroma.
        0 => ((1, 1), 8),
        1 => ((2, 2), 8),
        2 => ((2, 1), 8),
        3 => ((1, 1), 12),
        _ => return None,
    };
    // Whether the planes are coded apart.
    bits.take(u32::from(format == 3))?;
    // Bits a sample of luma and of chroma, and whether coding may be lossless.
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.take(1)?;
    if bits.flag()? {
        for list in 0..lists {
            if bits.flag()? {
                pass_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(sampling)
}

/// Each factor is written as its difference to the one before it, modulo 256; a factor of 0 ends the list (section 7.3.2.1.1.1).
fn pass_scaling_list(bits: &mut Bits<impl Iterator<Item = u8>>, len: usize) -> Option<()> {
    let mut scale = 8_u8;
    for _ in 0..len {
        let code = bits.exp_golomb()?;
        // Numbers with sign are counted 0, 1, −1, 2, −2…
        let magnitude = code.wrapping_add(1) >> 1;
        let difference = if code & 1 == 1 { magnitude } else { magnitude.wrapping_neg() };
        scale = scale.wrapping_add(difference as u8);
        if scale == 0 {
            break;
        }
    }
    Some(())
}

fn pass_picture_order(bits: &mut Bits<impl Iterator<Item = u8>>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let cycle = bits.exp_golomb()?;
            // However many are announced, it ends where the bits do.
            for _ in 0..cycle {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Macroblocks of 16 samples, counted without the last one, less what is cropped on both sides in units of so many samples.
fn cropped(macroblocks: u32, sides: [u32; 2], unit: u32) -> Option<u16> {
    let [before, after] = sides;
    let crop = before.checked_add(after)?.checked_mul(unit)?;
    let samples = macroblocks.checked_add(1)?.checked_mul(16)?;
    u16::try_from(samples.checked_sub(crop)?).ok()
}

/// The bytes of a NAL unit without each 3 that keeps two zeros from looking like a start code (ITU-T H.264 section 7.4.1).
fn without_emulation_prevention(unit: &[u8]) -> impl Iterator<Item = u8> {
    let mut zeros = 0_usize;
    unit.iter().copied().filter(move |&byte| {
        let prevents = byte == 3 && zeros >= 2;
        zeros = if byte == 0 { zeros.wrapping_add(1) } else { 0 };
        !prevents
    })
}

const AV1_SEQUENCE_HEADER: u8 = 1;
const AV1_EXTENSION: u8 = 0x04;
const AV1_SIZE: u8 = 0x02;

/// The sequence header among the OBU elements of a packet (RTP Payload Format For AV1, section 4.4).
fn av1_packet(payload: &[u8]) -> Option<(u16, u16)> {
    let (aggregation, mut rest) = payload.split_first()?;
    // 0: there may be any number of elements, each with its length. Otherwise the last one goes on to the end.
    let count = usize::from(aggregation >> 4 & 0x03);
    for number in 1_usize.. {
        let element = if number == count {
            std::mem::take(&mut rest)
        } else {
            let (element, after) = leb128(&mut rest).and_then(|len| rest.split_at_checked(len))?;
            rest = after;
            element
        };
        let (header, mut content) = element.split_first()?;
        if header >> 3 & 0x0f == AV1_SEQUENCE_HEADER {
            content = content.get(usize::from(header & AV1_EXTENSION != 0)..)?;
            if header & AV1_SIZE != 0 {
                leb128(&mut content)?;
            }
            return sequence_header(content);
        }
    }
    None
}

/// A sequence header without its OBU header, up to the largest frame (AV1 specification, section 5.5.1).
fn sequence_header(header: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(header.iter().copied());
    // The profile, and whether there is one picture only.
    bits.take(4)?;
    let reduced = bits.flag()?;
    if reduced {
        // The level.
        bits.take(5)?;
    } else {
        pass_operating_points(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.take(4)?.wrapping_add(1), bits.take(4)?.wrapping_add(1));
    Some((plus_one(bits.take(width_bits)?)?, plus_one(bits.take(height_bits)?)?))
}

fn pass_operating_points(bits: &mut Bits<impl Iterator<Item = u8>>) -> Option<()> {
    let mut decoder_delay_bits = None;
    if bits.flag()? {
        // Units in a tick, ticks in a second; the picture's ticks when all have as many.
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            bits.exp_golomb()?;
        }
        if bits.flag()? {
            decoder_delay_bits = Some(bits.take(5)?.wrapping_add(1));
            // Units in a tick of decoding, lengths of two more times.
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let display_delays = bits.flag()?;
    let points = bits.take(5)?.wrapping_add(1);
    for _ in 0..points {
        // Which layers it has; levels above 7 have tiers.
        bits.take(12)?;
        if bits.take(5)? > 7 {
            bits.take(1)?;
        }
        if let Some(delay_bits) = decoder_delay_bits
            && bits.flag()?
        {
            // Delays before decoding and encoding, and whether they are low.
            bits.take(delay_bits)?;
            bits.take(delay_bits)?;
            bits.take(1)?;
        }
        if display_delays && bits.flag()? {
            bits.take(4)?;
        }
    }
    Some(())
}

/// A number of seven bits a byte, the lowest first, of at most eight bytes (AV1 specification, section 4.10.5).
fn leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_u64;
    for shift in (0..56).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

/// Sizes are written without their last pixel; 65,536 is more than anything here can show.
fn plus_one(value: u32) -> Option<u16> {
    u16::try_from(value.checked_add(1)?).ok()
}

/// Bits of a sequence of bytes, the highest of each byte first.
struct Bits<I> {
    bytes: I,
    byte: u8,
    /// How many of its bits have not been taken.
    left: u32,
}

impl<I: Iterator<Item = u8>> Bits<I> {
    fn new(bytes: I) -> Self {
        Self { bytes, byte: 0, left: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.bytes.next()?;
            self.left = u8::BITS;
        }
        self.left = self.left.wrapping_sub(1);
        Some(self.byte >> self.left & 1 == 1)
    }

    /// A number of at most 32 bits.
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// As many zeros as bits follow the one after them (ITU-T H.264 section 9.1; AV1 calls it `uvlc`). Below 2^32 − 1 in both.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros = u32::wrapping_add(zeros, 1);
        }
        let offset = 1_u32.checked_shl(zeros)?.wrapping_sub(1);
        self.take(zeros)?.checked_add(offset)
    }
}

#[cfg(test)]
mod tests;
