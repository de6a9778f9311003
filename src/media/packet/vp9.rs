//! The VP9 payload descriptor (RFC 9628 section 4.2).

use super::bytes::u16_at;
use super::vp8::{PictureId, next};

/// What a VP9 payload says before its picture data. A *frame* here is one picture of one spatial layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Whether the payload begins a frame (B).
    pub start_of_frame: bool,
    /// Whether the payload ends a frame (E).
    pub end_of_frame: bool,
    /// Whether the frame is predicted from other pictures (P).
    pub predicted: bool,
    /// Whether the frame is of no use to upper spatial layers, in its own picture and in all that follow (Z).
    pub apart: bool,
    /// Whether frames tell their references, rather than following the structure (F).
    pub flexible: bool,
    /// The picture id, if present.
    pub picture_id: Option<PictureId>,
    /// The layers that the frame belongs to, if present.
    pub layer: Option<LayerIds>,
    /// Where TL0PICIDX lies in the payload, and its value, if present: in non-flexible mode, with layers.
    pub tl0_picture_index: Option<(usize, u8)>,
    /// How many pictures back the frame refers to, 1–127 each; unused places are 0. In flexible mode only.
    pub references: [u8; 3],
    /// The scalability structure, if present.
    pub structure: Option<Structure>,
    /// Bytes before the picture data; never more than the payload has.
    pub header_len: usize,
    /// Whether the payload begins a key frame, as [`starts_key_frame`] says.
    pub key_frame: bool,
}

/// A frame's place in the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerIds {
    /// The spatial layer, 0–7.
    pub spatial: u8,
    /// The temporal layer, 0–7.
    pub temporal: u8,
    /// Whether later pictures of higher temporal layers refer to no earlier picture above this one's (U).
    pub switching_up: bool,
    /// Whether the frame is predicted from the next lower spatial layer's frame of its picture (D).
    pub inter_layer: bool,
}

/// What the stream is made of (the SS data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// How many spatial layers there are, 1–8.
    pub spatial_layers: u8,
    /// How many pictures the picture group has, 0 when there is none.
    pub pictures: u8,
    sizes: [(u16, u16); 8],
}

impl Structure {
    /// Width and height of a spatial layer's pictures, in pixels; `None` when they are not told.
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.sizes.get(usize::from(spatial)).copied().filter(|size| *size != (0, 0))
    }
}

/// Whether the payload begins a key frame: the first packet (B) of a frame of the lowest spatial layer whose picture is
/// predicted from no other picture (P clear).
pub fn starts_key_frame(payload: &[u8]) -> bool {
    let Some((first, rest)) = payload.split_first() else {
        return false;
    };
    let (has_picture_id, predicted, has_layer, begins) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    if predicted || !begins {
        return false;
    }
    let after_id = match rest {
        _ if !has_picture_id => rest,
        [high, _, rest @ ..] if high & 0x80 != 0 => rest,
        [id, rest @ ..] if id & 0x80 == 0 => rest,
        _ => return false,
    };
    match after_id {
        [] => false,
        [layer, ..] => !has_layer || layer & 0x0e == 0,
    }
}

impl Descriptor {
    /// Reads the descriptor of a payload; `None` when the payload ends within it, or when it has more than three references.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut at = 0;
        let first = next(payload, &mut at)?;
        let has = |bit: u8| first & bit != 0;
        let (predicted, flexible, start_of_frame) = (has(0x40), has(0x10), has(0x08));
        let picture_id = if has(0x80) { Some(PictureId::parse(payload, &mut at)?) } else { None };
        let layer = if has(0x20) { Some(LayerIds::read(next(payload, &mut at)?)) } else { None };
        let tl0_picture_index = if has(0x20) && !flexible { Some((at, next(payload, &mut at)?)) } else { None };
        let references = if predicted && flexible { references(payload, &mut at)? } else { [0; 3] };
        let structure = if has(0x02) { Some(Structure::parse(payload, &mut at)?) } else { None };
        Some(Self {
            start_of_frame,
            end_of_frame: has(0x04),
            predicted,
            apart: has(0x01),
            flexible,
            picture_id,
            layer,
            tl0_picture_index,
            references,
            structure,
            header_len: at,
            key_frame: start_of_frame && !predicted && layer.is_none_or(|layer| layer.spatial == 0) && at < payload.len(),
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

impl LayerIds {
    const fn read(byte: u8) -> Self {
        Self { temporal: byte >> 5, switching_up: byte & 0x10 != 0, spatial: byte >> 1 & 7, inter_layer: byte & 1 != 0 }
    }
}

fn references(payload: &[u8], at: &mut usize) -> Option<[u8; 3]> {
    let mut references = [0; 3];
    for reference in &mut references {
        let byte = next(payload, at)?;
        *reference = byte >> 1;
        if byte & 1 == 0 {
            return Some(references);
        }
    }
    None
}

impl Structure {
    fn parse(payload: &[u8], at: &mut usize) -> Option<Self> {
        let head = next(payload, at)?;
        let spatial_layers = (head >> 5).wrapping_add(1);
        let mut sizes = [(0, 0); 8];
        if head & 0x10 != 0 {
            for size in sizes.iter_mut().take(spatial_layers.into()) {
                *size = (u16_at(payload, *at)?, u16_at(payload, at.wrapping_add(2))?);
                *at = at.wrapping_add(4);
            }
        }
        let pictures = if head & 0x08 != 0 { next(payload, at)? } else { 0 };
        for _ in 0..pictures {
            let references = next(payload, at)? >> 2 & 3;
            *at = at.wrapping_add(references.into());
        }
        (*at <= payload.len()).then_some(Self { spatial_layers, pictures, sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// I, L, B, V in flexible-less mode: 15-bit id, TID 0 SID 0, TL0PICIDX, scalability structure, data.
    const KEY: [u8; 7] = [0xaa, 0x81, 0x23, 0x00, 0x05, 0x18, 0x82];

    #[test]
    fn the_first_packet_of_an_unpredicted_picture_begins_a_key_frame() {
        assert!(starts_key_frame(&KEY));
        assert!(starts_key_frame(&[0x08, 0x82]), "neither picture id nor layers");
        assert!(starts_key_frame(&[0x88, 0x05, 0x82]), "a picture id of 7 bits");
    }

    #[test]
    fn a_predicted_picture_does_not() {
        assert!(!starts_key_frame(&[KEY[0] | 0x40, 0x81, 0x23, 0, 5, 0x18]));
    }

    #[test]
    fn a_later_packet_of_the_frame_does_not() {
        assert!(!starts_key_frame(&[KEY[0] & !0x08, 0x81, 0x23, 0, 5, 0x18]));
    }

    #[test]
    fn an_upper_spatial_layer_of_the_same_picture_does_not() {
        for sid in 1..8 {
            assert!(!starts_key_frame(&[KEY[0], 0x81, 0x23, sid << 1 | 1, 5, 0x18]));
        }
    }

    #[test]
    fn a_descriptor_cut_before_its_layer_begins_nothing() {
        for cut in 0..4 {
            assert!(!starts_key_frame(&KEY[..cut]), "{cut}");
        }
    }

    #[test]
    fn a_descriptor_of_the_non_flexible_mode_is_read() {
        // I, P, L, B, E, Z; 15-bit picture id 0x1234; TID 2 with U, SID 1 with D; TL0PICIDX 7.
        let d = Descriptor::parse(&[0xed, 0x92, 0x34, 0x53, 7, 0x86]).unwrap();
        let expected = Descriptor {
            start_of_frame: true,
            end_of_frame: true,
            predicted: true,
            apart: true,
            flexible: false,
            picture_id: Some(PictureId { offset: 1, bits: 15, value: 0x1234 }),
            layer: Some(LayerIds { spatial: 1, temporal: 2, switching_up: true, inter_layer: true }),
            tl0_picture_index: Some((4, 7)),
            references: [0; 3],
            structure: None,
            header_len: 5,
            key_frame: false,
        };
        assert_eq!(d, expected);
    }

    #[test]
    fn frames_of_the_flexible_mode_tell_their_references() {
        // I, P, L, F; 7-bit picture id; TID 1; references 1, 3 and 127 pictures back.
        let payload = [0xf0, 0x05, 0x20, 0x03, 0x07, 0xfe, 0x86];
        let d = Descriptor::parse(&payload).unwrap();
        assert_eq!((d.flexible, d.references, d.tl0_picture_index, d.header_len), (true, [1, 3, 127], None, 6));
        assert_eq!(d.picture_id, Some(PictureId { offset: 1, bits: 7, value: 5 }));
        assert_eq!(Descriptor::parse(&[0xf0, 0x05, 0x20, 0x03, 0x07, 0xff, 0x02, 0x86]), None, "a fourth one");
        assert_eq!(Descriptor::parse(&[0xb0, 0x05, 0x20, 0x86]).unwrap().header_len, 3, "nothing to refer to without P");
    }

    /// B, V; two spatial layers of 320×180 and 640×360; a group of two pictures, the second with two references.
    const STRUCTURE: [u8; 16] = [0x0a, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 2, 0x00, 0x38, 1, 2, 0x82];

    #[test]
    fn the_structure_tells_sizes_and_is_passed_over() {
        let d = Descriptor::parse(&STRUCTURE).unwrap();
        let structure = d.structure.unwrap();
        assert_eq!((structure.spatial_layers, structure.pictures, d.header_len, d.key_frame), (2, 2, 15, true));
        assert_eq!([0, 1, 2, 8].map(|spatial| structure.resolution(spatial)), [Some((320, 180)), Some((640, 360)), None, None]);
        let bare = Descriptor::parse(&[0x02, 0xe0, 0x82]).unwrap();
        assert_eq!((bare.structure.unwrap().spatial_layers, bare.structure.unwrap().resolution(0), bare.header_len), (8, None, 2));
    }

    #[test]
    fn a_descriptor_cut_anywhere_is_none() {
        for cut in 0..15 {
            assert_eq!(Descriptor::parse(&STRUCTURE[..cut]), None, "{cut}");
        }
        assert!(!Descriptor::parse(&STRUCTURE[..15]).unwrap().key_frame, "no picture data");
    }

    #[test]
    fn patching_changes_the_field_alone() {
        let mut payload = [0xed, 0x92, 0x34, 0x53, 7, 0x86];
        let d = Descriptor::parse(&payload).unwrap();
        assert!(d.set_picture_id(&mut payload, 0xffff) && d.set_tl0_picture_index(&mut payload, 255));
        assert_eq!(payload, [0xed, 0xff, 0xff, 0x53, 255, 0x86]);
        assert!(!d.set_picture_id(&mut [0xed, 0x92], 1) && !d.set_tl0_picture_index(&mut [], 1));
        let without = Descriptor::parse(&[0x08, 0x82]).unwrap();
        assert!(!without.set_picture_id(&mut payload, 1) && !without.set_tl0_picture_index(&mut payload, 1));
    }

    proptest! {
        #[test]
        fn any_payload_gives_a_descriptor_inside_it(payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(d) = Descriptor::parse(&payload) {
                prop_assert!(d.header_len <= payload.len());
                prop_assert!(!d.key_frame || starts_key_frame(&payload));
                let mut copy = payload[..d.header_len].to_vec();
                prop_assert_eq!(d.set_picture_id(&mut copy, d.picture_id.map_or(0, |id| id.value)), d.picture_id.is_some());
                let tl0 = d.tl0_picture_index;
                prop_assert_eq!(d.set_tl0_picture_index(&mut copy, tl0.map_or(0, |(_, value)| value)), tl0.is_some());
                prop_assert_eq!(&copy, &payload[..d.header_len]);
            }
        }

        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..8)) {
            starts_key_frame(&payload);
        }
    }
}
