//! VP8 picture ids and TL0PICIDX that go on without a seam when a slot is pointed at another source (RFC 7741 section 4.2).

use crate::media::packet::vp8::{Descriptor, PictureId};

const PICTURE_ID_BITS: u32 = 15;
const TL0_BITS: u32 = 8;

/// Maps a source's picture ids (15 bits) and TL0PICIDX (8 bits) to a slot's by adding a constant to each.
///
/// [`Self::map`] is told of every packet that is sent, also when nothing needs to be written: a switch goes on from the highest.
#[derive(Clone, Copy, Debug)]
pub struct PictureMap {
    picture: Continuity,
    tl0: Continuity,
}

impl Default for PictureMap {
    fn default() -> Self {
        Self { picture: Continuity::new(PICTURE_ID_BITS), tl0: Continuity::new(TL0_BITS) }
    }
}

impl PictureMap {
    /// A new source begins: its next picture gets the id after the highest one sent.
    pub fn switch(&mut self) {
        self.picture.switch();
        self.tl0.switch();
    }

    /// The slot's picture id and TL0PICIDX for a source's.
    pub fn map(&mut self, picture_id: u16, tl0: u8) -> (u16, u8) {
        (self.picture.map(picture_id), self.tl0.map(tl0.into()) as u8)
    }

    /// Whether the present source's values are the slot's values, so that its descriptors need no writing.
    pub const fn is_identity(&self) -> bool {
        self.picture.is_identity() && self.tl0.is_identity()
    }

    /// Maps what a descriptor has and writes what differs into `bytes`, a copy of at least the descriptor. Whether anything differed.
    pub fn rewrite(&mut self, descriptor: &Descriptor, bytes: &mut [u8]) -> bool {
        let picture = descriptor.picture_id.is_some_and(|id| {
            let out = self.picture.map(self.picture.widened(id));
            out != id.value && descriptor.set_picture_id(bytes, out)
        });
        let tl0 = descriptor.tl0_picture_index.is_some_and(|(_, value)| {
            let out = self.tl0.map(value.into()) as u8;
            out != value && descriptor.set_tl0_picture_index(bytes, out)
        });
        picture || tl0
    }
}

/// One number that wraps after some bits.
#[derive(Clone, Copy, Debug)]
struct Continuity {
    mask: u16,
    offset: u16,
    /// The highest number given out, once there is one.
    highest: Option<u16>,
    /// The next number comes from a new source.
    switching: bool,
}

impl Continuity {
    const fn new(bits: u32) -> Self {
        Self { mask: u16::MAX >> 16_u32.wrapping_sub(bits), offset: 0, highest: None, switching: false }
    }

    const fn switch(&mut self) {
        // Before anything was sent there is nothing to go on from.
        self.switching = self.highest.is_some();
    }

    const fn is_identity(&self) -> bool {
        self.offset == 0 && !self.switching
    }

    fn map(&mut self, input: u16) -> u16 {
        if let (true, Some(highest)) = (self.switching, self.highest) {
            self.offset = highest.wrapping_add(1).wrapping_sub(input) & self.mask;
            self.switching = false;
        }
        let out = input.wrapping_add(self.offset) & self.mask;
        let ahead = self.highest.map_or(0, |highest| out.wrapping_sub(highest) & self.mask);
        if self.highest.is_none() || ahead <= self.mask / 2 {
            self.highest = Some(out);
        }
        out
    }

    /// A picture id of 7 bits as one of 15 bits, the nearest to the highest; on the wire its lowest 7 bits remain.
    fn widened(&self, id: PictureId) -> u16 {
        match (id.bits, self.highest) {
            (7, Some(highest)) if !self.switching => {
                let expected = highest.wrapping_sub(self.offset);
                // Seven bits of difference, with sign.
                let delta = (id.value.wrapping_sub(expected) << 9).cast_signed() >> 9;
                expected.wrapping_add_signed(delta) & self.mask
            }
            _ => id.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_source_is_left_as_it_is() {
        let mut map = PictureMap::default();
        map.switch();
        assert!(map.is_identity());
        assert_eq!(map.map(500, 20), (500, 20));
        assert!(map.is_identity());
    }

    #[test]
    fn another_source_goes_on_after_the_highest() {
        let mut map = PictureMap::default();
        map.map(500, 20);
        map.map(502, 21);
        map.map(501, 20);
        map.switch();
        assert!(!map.is_identity());
        assert_eq!(map.map(9_000, 255), (503, 22));
        assert_eq!(map.map(9_001, 0), (504, 23));
        assert_eq!(map.map(9_000, 255), (503, 22));
    }

    #[test]
    fn ids_wrap_after_15_and_8_bits() {
        let mut map = PictureMap::default();
        map.map(0x7fff, 255);
        assert_eq!(map.map(0, 0), (0, 0));
        map.switch();
        assert_eq!(map.map(0x7ffe, 250), (1, 1));
        assert_eq!(map.map(0, 252), (3, 3));
    }

    #[test]
    fn a_descriptor_is_written_only_where_it_differs() {
        let payload = [0x90, 0xe0, 0x81, 0xf4, 20, 0x00, 0x10];
        let descriptor = Descriptor::parse(&payload).unwrap();
        let mut map = PictureMap::default();
        let mut bytes = payload;
        assert!(!map.rewrite(&descriptor, &mut bytes));
        assert_eq!(bytes, payload);
        map.switch();
        assert!(map.rewrite(&descriptor, &mut bytes[..descriptor.header_len]));
        assert_eq!(bytes, [0x90, 0xe0, 0x81, 0xf5, 21, 0x00, 0x10]);
    }

    #[test]
    fn a_descriptor_without_ids_is_left_alone() {
        let mut map = PictureMap::default();
        map.map(5, 5);
        map.switch();
        let mut bytes = [0x10, 0x10];
        assert!(!map.rewrite(&Descriptor::parse(&bytes).unwrap(), &mut bytes));
        assert_eq!(bytes, [0x10, 0x10]);
    }

    #[test]
    fn ids_of_seven_bits_go_on_through_their_own_wrap() {
        let short = |value: u8| Descriptor::parse(&[0x90, 0x80, value, 0x10]).unwrap();
        let written = |map: &mut PictureMap, value: u8| {
            let mut bytes = [0x90, 0x80, value, 0x10];
            map.rewrite(&short(value), &mut bytes);
            bytes[2]
        };
        let mut map = PictureMap::default();
        for value in (100..128).chain(0..20) {
            assert_eq!(written(&mut map, value), value);
        }
        map.switch();
        assert_eq!(written(&mut map, 90), 20, "one after the highest");
        let rest: Vec<u8> = (91..128).chain(0..5).map(|value| written(&mut map, value)).collect();
        assert_eq!(rest, (21..63).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn pictures_of_any_sources_are_numbered_one_after_the_other(sources in proptest::collection::vec((any::<u16>(), any::<u8>(), 1u16..400), 1..8)) {
            let mut map = PictureMap::default();
            let mut previous: Option<(u16, u8)> = None;
            for (picture, tl0, count) in sources {
                map.switch();
                for n in 0..count {
                    let out = map.map(picture.wrapping_add(n) & 0x7fff, tl0.wrapping_add(n as u8));
                    if let Some((p, t)) = previous {
                        prop_assert_eq!(out, (p.wrapping_add(1) & 0x7fff, t.wrapping_add(1)));
                    }
                    previous = Some(out);
                }
            }
        }
    }
}
