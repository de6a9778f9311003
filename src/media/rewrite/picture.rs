//! Picture ids, TL0PICIDX and frame numbers that go on without a seam when pictures are left out and when a slot gets another source
//! (RFC 7741 section 4.2, RFC 9628 section 4.2, the dependency descriptor's frame number).

use super::SequenceMap;

/// Picture ids wrap after 15 bits.
const PICTURE_ID_BITS: u32 = 15;
/// Where a source's picture ids are placed on the line that never wraps: some of those before the first one may still come.
const TURN: u64 = 1 << PICTURE_ID_BITS;

/// The numbers of a picture in a VP8 or VP9 payload descriptor: where they lie in the payload, and what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureIds {
    /// The picture id.
    pub id: u16,
    /// Offset of its first byte.
    pub id_at: u8,
    /// How many bits it has: 7 or 15; 0 when there is none.
    pub id_bits: u8,
    /// TL0PICIDX.
    pub tl0: u8,
    /// Its offset; 0 when there is none.
    pub tl0_at: u8,
    /// Bytes before the picture data.
    pub len: u8,
}

impl PictureIds {
    /// Bytes that [`Self::to_bytes`] takes.
    pub const BYTES: usize = 8;

    /// All of it in bytes, for another worker of this process.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [high, low] = self.id.to_be_bytes();
        [high, low, self.id_at, self.id_bits, self.tl0, self.tl0_at, self.len, 0]
    }

    /// What [`Self::to_bytes`] made bytes of.
    pub const fn from_bytes([high, low, id_at, id_bits, tl0, tl0_at, len, _]: [u8; Self::BYTES]) -> Self {
        Self { id: u16::from_be_bytes([high, low]), id_at, id_bits, tl0, tl0_at, len }
    }

    /// Whether the descriptor has any number.
    pub const fn is_any(&self) -> bool {
        self.id_bits != 0 || self.tl0_at != 0
    }

    /// Writes other numbers into a copy of the descriptor, each in the place and length of the present one.
    pub fn write(&self, bytes: &mut [u8], id: u16, tl0: u8) {
        match (self.id_bits, bytes.get_mut(usize::from(self.id_at)..)) {
            (7, Some([byte, ..])) => *byte = id as u8 & 0x7f,
            (15, Some([high, low, ..])) => [*high, *low] = (id | 0x8000).to_be_bytes(),
            _ => {}
        }
        if self.tl0_at != 0
            && let Some(byte) = bytes.get_mut(usize::from(self.tl0_at))
        {
            *byte = tl0;
        }
    }
}

/// Maps a source's pictures to a slot's.
///
/// [`Self::map`] is told of every packet that is sent, also when nothing needs to be written: a switch goes on from the highest.
#[derive(Clone, Debug)]
pub struct PictureMap {
    tl0: Continuity,
    /// The highest picture id of the present source, on the line that never wraps.
    highest: Option<u64>,
    /// A picture was numbered before: the next source goes on from it.
    begun: bool,
    pictures: SequenceMap,
}

impl Default for PictureMap {
    fn default() -> Self {
        Self { tl0: Continuity::new(8), highest: None, begun: false, pictures: SequenceMap::new(0) }
    }
}

impl PictureMap {
    /// A new source begins: its next picture gets the id after the highest one sent.
    pub const fn switch(&mut self) {
        self.highest = None;
        self.tl0.switch();
    }

    /// Says that a picture is left out; those after it move up. Of one that comes too late for that the gap stays.
    pub fn leave(&mut self, ids: &PictureIds) {
        // Before the first picture of a source nothing is known to be after it.
        if ids.id_bits != 0 && self.highest.is_some() {
            let extended = self.extended(ids);
            self.highest = self.highest.max(Some(extended));
            self.pictures.skip(extended);
        }
    }

    /// The slot's picture id and TL0PICIDX for a source's. `None`: the picture was left out, or is older than what is remembered.
    pub fn map(&mut self, ids: &PictureIds) -> Option<(u16, u8)> {
        let tl0 = if ids.tl0_at == 0 { 0 } else { self.tl0.map(ids.tl0.into()) as u8 };
        if ids.id_bits == 0 {
            return Some((0, tl0));
        }
        let extended = self.extended(ids);
        if self.highest.is_none() {
            if !std::mem::replace(&mut self.begun, true) {
                self.pictures = SequenceMap::new(extended);
            }
            self.pictures.switch(extended);
        }
        self.highest = self.highest.max(Some(extended));
        let out = self.pictures.map(extended)?;
        Some((out as u16 & (TURN as u16).wrapping_sub(1), tl0))
    }

    /// Maps what a descriptor has and writes it into `bytes`, a copy of at least the descriptor, if it differs. Whether it differed;
    /// `None` as [`Self::map`].
    pub fn rewrite(&mut self, ids: &PictureIds, bytes: &mut [u8]) -> Option<bool> {
        let differs = self.differs(ids)?;
        if let Some((id, tl0)) = differs {
            ids.write(bytes, id, tl0);
        }
        Some(differs.is_some())
    }

    /// The numbers that are to be written, if they differ from those that are there; `None` as [`Self::map`].
    pub fn differs(&mut self, ids: &PictureIds) -> Option<Option<(u16, u8)>> {
        let (id, tl0) = self.map(ids)?;
        let mask = if ids.id_bits == 7 { 0x7f } else { u16::MAX };
        let same = (ids.id_bits == 0 || id & mask == ids.id) && (ids.tl0_at == 0 || tl0 == ids.tl0);
        Some((!same).then_some((id, tl0)))
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.pictures.memory()
    }

    /// A picture id on the line that never wraps: the nearest to the highest.
    fn extended(&self, ids: &PictureIds) -> u64 {
        let Some(highest) = self.highest else { return TURN.wrapping_add(u64::from(ids.id)) };
        let unused = 64_u32.wrapping_sub(u32::from(ids.id_bits));
        // The difference in as many bits as the id has, with sign.
        let delta = (u64::from(ids.id).wrapping_sub(highest).wrapping_shl(unused)).cast_signed().wrapping_shr(unused);
        highest.wrapping_add_signed(delta)
    }
}

/// One number that wraps after some bits, of which none is left out.
#[derive(Clone, Copy, Debug)]
pub struct Continuity {
    mask: u16,
    offset: u16,
    /// The highest number given out, once there is one.
    highest: Option<u16>,
    /// The next number comes from a new source.
    switching: bool,
}

impl Continuity {
    /// A number of so many bits, at most 16.
    pub const fn new(bits: u32) -> Self {
        Self { mask: u16::MAX >> 16_u32.wrapping_sub(bits), offset: 0, highest: None, switching: false }
    }

    /// A new source begins: its next number becomes the one after the highest that was given out.
    pub const fn switch(&mut self) {
        // Before anything was sent there is nothing to go on from.
        self.switching = self.highest.is_some();
    }

    /// The slot's number for a source's.
    pub fn map(&mut self, input: u16) -> u16 {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(id: u16, tl0: u8) -> PictureIds {
        PictureIds { id, id_at: 2, id_bits: 15, tl0, tl0_at: 4, len: 6 }
    }

    fn short(id: u16) -> PictureIds {
        PictureIds { id, id_at: 2, id_bits: 7, len: 3, ..PictureIds::default() }
    }

    fn map(map: &mut PictureMap, id: u16, tl0: u8) -> (u16, u8) {
        map.map(&ids(id, tl0)).unwrap()
    }

    #[test]
    fn the_first_source_is_left_as_it_is() {
        let mut m = PictureMap::default();
        m.switch();
        assert_eq!(map(&mut m, 500, 20), (500, 20));
        assert_eq!(m.differs(&ids(501, 20)), Some(None));
    }

    #[test]
    fn another_source_goes_on_after_the_highest() {
        let mut m = PictureMap::default();
        map(&mut m, 500, 20);
        map(&mut m, 502, 21);
        map(&mut m, 501, 20);
        m.switch();
        assert_eq!(map(&mut m, 9_000, 255), (503, 22));
        assert_eq!(map(&mut m, 9_001, 0), (504, 23));
        assert_eq!(map(&mut m, 9_000, 255), (503, 22));
    }

    #[test]
    fn ids_wrap_after_15_and_8_bits() {
        let mut m = PictureMap::default();
        map(&mut m, 0x7fff, 255);
        assert_eq!(map(&mut m, 0, 0), (0, 0));
        m.switch();
        assert_eq!(map(&mut m, 0x7ffe, 250), (1, 1));
        assert_eq!(map(&mut m, 0, 252), (3, 3));
    }

    #[test]
    fn pictures_that_are_left_out_leave_no_gap_and_one_sent_again_has_its_number() {
        let mut m = PictureMap::default();
        for id in 0x7ff0..0x8010_u16 {
            let (id, left) = (id & 0x7fff, id % 2 == 1);
            if left { m.leave(&ids(id, 0)) } else { assert!(m.map(&ids(id, 0)).is_some()) }
        }
        assert_eq!(map(&mut m, 0x7ff0, 0).0, 0x7ff0);
        assert_eq!(map(&mut m, 0x7ff2, 0).0, 0x7ff1);
        assert_eq!(map(&mut m, 0xe, 0).0, 0x7fff);
        assert_eq!(map(&mut m, 0x10, 0).0, 0);
        assert_eq!(m.map(&ids(0x7ff1, 0)), None, "it was left out");
    }

    #[test]
    fn a_picture_that_is_left_out_too_late_keeps_its_place() {
        let mut m = PictureMap::default();
        map(&mut m, 10, 0);
        map(&mut m, 12, 0);
        m.leave(&ids(11, 0));
        assert_eq!((map(&mut m, 12, 0).0, map(&mut m, 13, 0).0), (12, 13));
    }

    #[test]
    fn a_descriptor_is_written_only_where_it_differs() {
        let payload = [0x90, 0xe0, 0x81, 0xf4, 20, 0x00, 0x10];
        let mut m = PictureMap::default();
        let mut bytes = payload;
        assert_eq!(m.rewrite(&ids(500, 20), &mut bytes), Some(false));
        assert_eq!(bytes, payload);
        m.switch();
        assert_eq!(m.rewrite(&ids(500, 20), &mut bytes), Some(true));
        assert_eq!(bytes, [0x90, 0xe0, 0x81, 0xf5, 21, 0x00, 0x10]);
    }

    #[test]
    fn a_descriptor_without_ids_is_left_alone() {
        let mut m = PictureMap::default();
        map(&mut m, 5, 5);
        m.switch();
        let mut bytes = [0x10, 0x10];
        assert_eq!(m.rewrite(&PictureIds::default(), &mut bytes), Some(false));
        assert_eq!(bytes, [0x10, 0x10]);
    }

    #[test]
    fn ids_of_seven_bits_go_on_through_their_own_wrap() {
        let written = |m: &mut PictureMap, value: u8| {
            let mut bytes = [0x90, 0x80, value, 0x10];
            m.rewrite(&short(value.into()), &mut bytes).unwrap();
            bytes[2]
        };
        let mut m = PictureMap::default();
        for value in (100..128).chain(0..20) {
            assert_eq!(written(&mut m, value), value);
        }
        m.switch();
        assert_eq!(written(&mut m, 90), 20, "one after the highest");
        let rest: Vec<u8> = (91..128).chain(0..5).map(|value| written(&mut m, value)).collect();
        assert_eq!(rest, (21..63).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn pictures_of_any_sources_are_numbered_one_after_the_other(
            sources in proptest::collection::vec((any::<u16>(), any::<u8>(), 1u16..400, 1u16..5), 1..8)
        ) {
            let mut m = PictureMap::default();
            let mut previous: Option<u16> = None;
            for (picture, tl0, count, every) in sources {
                m.switch();
                for n in 0..count {
                    let ids = ids(picture.wrapping_add(n) & 0x7fff, tl0.wrapping_add(n as u8));
                    if n % every != 0 {
                        m.leave(&ids);
                        continue;
                    }
                    let (out, _) = m.map(&ids).unwrap();
                    if let Some(before) = previous {
                        prop_assert_eq!(out, before.wrapping_add(1) & 0x7fff);
                    }
                    previous = Some(out);
                }
            }
        }

        #[test]
        fn what_is_made_bytes_of_is_what_they_are_read_as(id in any::<u16>(), rest in any::<[u8; 5]>()) {
            let [id_at, id_bits, tl0, tl0_at, len] = rest;
            let ids = PictureIds { id, id_at, id_bits, tl0, tl0_at, len };
            prop_assert_eq!(PictureIds::from_bytes(ids.to_bytes()), ids);
        }
    }
}
