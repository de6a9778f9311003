//! The VP8 payload descriptor (RFC 7741 section 4.2).

use super::bytes::u16_at;

/// What a VP8 payload says before its picture data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Whether the payload begins a frame (S set, partition 0).
    pub start_of_frame: bool,
    /// The picture id, if present.
    pub picture_id: Option<PictureId>,
    /// Where TL0PICIDX lies in the payload, and its value, if present.
    pub tl0_picture_index: Option<(usize, u8)>,
    /// The temporal layer, 0–3, if present.
    pub temporal_id: Option<u8>,
    /// Whether a receiver may go up to this temporal layer from here (Y).
    pub layer_sync: bool,
    /// Bytes before the picture data; never more than the payload has.
    pub header_len: usize,
    /// Whether the payload begins a key frame.
    pub key_frame: bool,
}

/// A picture id and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// Offset of its first byte in the payload.
    pub offset: usize,
    /// How many bits it has: 7 or 15.
    pub bits: u8,
    /// Its value.
    pub value: u16,
}

/// Whether the payload begins a key frame.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| descriptor.key_frame)
}

impl Descriptor {
    /// Reads the descriptor of a payload; `None` when the payload ends within it.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut at = 1;
        let mut present = 0;
        if first & 0x80 != 0 {
            present = *payload.get(at)?;
            at = at.wrapping_add(1);
        }
        let picture_id = if present & 0x80 == 0 { None } else { Some(PictureId::parse(payload, &mut at)?) };
        let tl0_picture_index = if present & 0x40 == 0 { None } else { Some((at, next(payload, &mut at)?)) };
        // T and K share a byte: the temporal layer and the key frame index.
        let layer = if present & 0x30 == 0 { 0 } else { next(payload, &mut at)? };
        let temporal = present & 0x20 != 0;
        let start_of_frame = first & 0x17 == 0x10;
        Some(Self {
            start_of_frame,
            picture_id,
            tl0_picture_index,
            temporal_id: temporal.then_some(layer >> 6),
            layer_sync: temporal && layer & 0x20 != 0,
            header_len: at,
            // The first bit of the frame header (RFC 6386 section 9.1) is 0 in a key frame.
            key_frame: start_of_frame && payload.get(at).is_some_and(|frame| frame & 1 == 0),
        })
    }

    /// Writes another picture id in the place and length of the present one (its lowest 7 or 15 bits).
    ///
    /// `payload` is the one that was read, or a copy of at least its descriptor. False when there is no picture id, or no such place.
    pub fn set_picture_id(&self, payload: &mut [u8], value: u16) -> bool {
        self.picture_id.is_some_and(|id| id.write(payload, value))
    }

    /// Writes another TL0PICIDX in the place of the present one; see [`Self::set_picture_id`].
    pub fn set_tl0_picture_index(&self, payload: &mut [u8], value: u8) -> bool {
        let place = self.tl0_picture_index.and_then(|(offset, _)| payload.get_mut(offset));
        place.map(|byte| *byte = value).is_some()
    }
}

impl PictureId {
    /// Reads the id at `at` and moves `at` behind it. VP9 writes it the same way.
    pub(super) fn parse(payload: &[u8], at: &mut usize) -> Option<Self> {
        let offset = *at;
        let first = next(payload, at)?;
        if first & 0x80 == 0 {
            return Some(Self { offset, bits: 7, value: u16::from(first) });
        }
        next(payload, at)?;
        Some(Self { offset, bits: 15, value: u16_at(payload, offset)? & 0x7fff })
    }

    /// Writes another value in this id's place; false when `payload` has no such place.
    pub(super) fn write(self, payload: &mut [u8], value: u16) -> bool {
        match (self.bits, payload.get_mut(self.offset..)) {
            (7, Some([byte, ..])) => *byte = value as u8 & 0x7f,
            (15, Some([high, low, ..])) => [*high, *low] = (value | 0x8000).to_be_bytes(),
            _ => return false,
        }
        true
    }
}

/// The byte at `at`, which moves behind it.
pub(super) fn next(payload: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *payload.get(*at)?;
    *at = at.wrapping_add(1);
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// X, S; I, L, T; 15-bit picture id 0x1234; TL0PICIDX 7; TID 2 with Y; a key frame's first byte.
    const KEY: [u8; 7] = [0x90, 0xe0, 0x92, 0x34, 7, 0xa0, 0x10];

    #[test]
    fn a_full_descriptor_is_read() {
        let expected = Descriptor {
            start_of_frame: true,
            picture_id: Some(PictureId { offset: 2, bits: 15, value: 0x1234 }),
            tl0_picture_index: Some((4, 7)),
            temporal_id: Some(2),
            layer_sync: true,
            header_len: 6,
            key_frame: true,
        };
        assert_eq!(Descriptor::parse(&KEY), Some(expected));
    }

    #[test]
    fn a_descriptor_without_extensions_is_one_byte() {
        let d = Descriptor::parse(&[0x10, 0x01]).unwrap();
        assert_eq!((d.header_len, d.start_of_frame, d.key_frame, d.picture_id), (1, true, false, None));
    }

    #[test]
    fn the_key_index_takes_a_byte_and_is_no_temporal_layer() {
        let d = Descriptor::parse(&[0x90, 0x10, 0xff, 0]).unwrap();
        assert_eq!((d.header_len, d.temporal_id, d.layer_sync, d.key_frame), (3, None, false, true));
    }

    #[test]
    fn a_later_partition_or_a_later_packet_begins_no_frame() {
        for first in [0x11, 0x17, 0x00] {
            let d = Descriptor::parse(&[first, 0]).unwrap();
            assert!(!d.start_of_frame && !d.key_frame, "{first:#x}");
        }
        assert!(starts_key_frame(&[0x10, 0]));
        assert!(starts_key_frame(&[0x30, 0]), "the non-reference bit says nothing about the start");
    }

    #[test]
    fn a_descriptor_cut_anywhere_is_none() {
        for cut in 0..6 {
            assert_eq!(Descriptor::parse(&KEY[..cut]), None, "{cut}");
        }
        assert!(!Descriptor::parse(&KEY[..6]).unwrap().key_frame);
    }

    #[test]
    fn patching_changes_the_field_alone() {
        let d = Descriptor::parse(&KEY).unwrap();
        let mut payload = KEY;
        assert!(d.set_picture_id(&mut payload, 0xffff));
        assert!(d.set_tl0_picture_index(&mut payload, 255));
        assert_eq!(payload, [0x90, 0xe0, 0xff, 0xff, 255, 0xa0, 0x10]);

        let mut short = [0x90, 0x80, 0x05, 0];
        let d = Descriptor::parse(&short).unwrap();
        assert_eq!(d.picture_id, Some(PictureId { offset: 2, bits: 7, value: 5 }));
        assert!(d.set_picture_id(&mut short, 0x1ff));
        assert!(!d.set_tl0_picture_index(&mut short, 1));
        assert_eq!(short, [0x90, 0x80, 0x7f, 0]);
        assert!(!d.set_picture_id(&mut [], 1));
    }

    proptest! {
        #[test]
        fn a_patched_picture_id_is_read_back(value in 0u16..0x8000, tl0 in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut payload = [&KEY[..], &rest].concat();
            let before = Descriptor::parse(&payload).unwrap();
            before.set_picture_id(&mut payload, value);
            before.set_tl0_picture_index(&mut payload, tl0);
            let after = Descriptor::parse(&payload).unwrap();
            let picture_id = Some(PictureId { offset: 2, bits: 15, value });
            prop_assert_eq!(after, Descriptor { picture_id, tl0_picture_index: Some((4, tl0)), ..before });
        }

        #[test]
        fn any_payload_gives_a_descriptor_inside_it(payload in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Some(d) = Descriptor::parse(&payload) {
                prop_assert!(d.header_len <= payload.len());
                let mut copy = payload[..d.header_len].to_vec();
                prop_assert_eq!(d.set_picture_id(&mut copy, d.picture_id.map_or(0, |id| id.value)), d.picture_id.is_some());
                prop_assert_eq!(&copy, &payload[..d.header_len]);
            }
        }
    }
}
