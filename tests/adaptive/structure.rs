//! Dependency descriptors as an encoder writes them (AV1 RTP specification, appendix A): the modes L1T3, L3T3 and L3T3_KEY.

/// A kind of frame: spatial id, temporal id, an indication for each decode target, chain differences, references.
type Kind = (u8, u8, &'static str, &'static [u8], &'static [u8]);

/// What a stream's frames are like. For each spatial layer: key frame, T0, T1, the T2 after T0, the T2 after T1.
pub struct Structure {
    kinds: &'static [Kind],
    /// Which chain protects each target.
    protected_by: &'static [u8],
    /// None: its only size is that of the encoding.
    sizes: Option<&'static [(u16, u16)]>,
}

/// Templates of each spatial layer.
pub const KINDS: u8 = 5;

pub static L1T3: Structure = Structure {
    kinds: &[(0, 0, "SSS", &[0], &[]), (0, 0, "SSS", &[4], &[4]), (0, 1, "-DS", &[2], &[2]), (0, 2, "--D", &[1], &[1]), (0, 2, "--D", &[3], &[1])],
    protected_by: &[0, 0, 0],
    sizes: None,
};

const NINE: &[u8] = &[0, 0, 0, 1, 1, 1, 2, 2, 2];
const THREE_SIZES: &[(u16, u16)] = &[(320, 180), (640, 360), (1_280, 720)];

pub static L3T3: Structure = Structure {
    kinds: &[
        (0, 0, "SSSSSSSSS", &[0, 0, 0], &[]),
        (0, 0, "SSSRRRRRR", &[12, 11, 10], &[12]),
        (0, 1, "-DS-RR-RR", &[6, 5, 4], &[6]),
        (0, 2, "--D--R--R", &[3, 2, 1], &[3]),
        (0, 2, "--D--R--R", &[9, 8, 7], &[3]),
        (1, 0, "---SSSSSS", &[1, 1, 1], &[1]),
        (1, 0, "---SSSRRR", &[1, 1, 1], &[12, 1]),
        (1, 1, "----DS-RR", &[7, 6, 5], &[6, 1]),
        (1, 2, "-----D--R", &[4, 3, 2], &[3, 1]),
        (1, 2, "-----D--R", &[10, 9, 8], &[3, 1]),
        (2, 0, "------SSS", &[2, 1, 1], &[1]),
        (2, 0, "------SSS", &[2, 1, 1], &[12, 1]),
        (2, 1, "-------DS", &[8, 7, 6], &[6, 1]),
        (2, 2, "--------D", &[5, 4, 3], &[3, 1]),
        (2, 2, "--------D", &[11, 10, 9], &[3, 1]),
    ],
    protected_by: NINE,
    sizes: Some(THREE_SIZES),
};

pub static L3T3_KEY: Structure = Structure {
    kinds: &[
        (0, 0, "SSSSSSSSS", &[0, 0, 0], &[]),
        (0, 0, "SSS------", &[12, 11, 10], &[12]),
        (0, 1, "-DS------", &[6, 5, 4], &[6]),
        (0, 2, "--D------", &[3, 2, 1], &[3]),
        (0, 2, "--D------", &[9, 8, 7], &[3]),
        (1, 0, "---SSSSSS", &[1, 1, 1], &[1]),
        (1, 0, "---SSS---", &[1, 12, 11], &[12]),
        (1, 1, "----DS---", &[7, 6, 5], &[6]),
        (1, 2, "-----D---", &[4, 3, 2], &[3]),
        (1, 2, "-----D---", &[10, 9, 8], &[3]),
        (2, 0, "------SSS", &[2, 1, 1], &[1]),
        (2, 0, "------SSS", &[2, 1, 12], &[12]),
        (2, 1, "-------DS", &[8, 7, 6], &[6]),
        (2, 2, "--------D", &[5, 4, 3], &[3]),
        (2, 2, "--------D", &[11, 10, 9], &[3]),
    ],
    protected_by: NINE,
    sizes: Some(THREE_SIZES),
};

/// A descriptor: of a template, with a frame number, bringing a structure if given.
pub fn descriptor(first: bool, last: bool, template: u8, frame_number: u16, attached: Option<(&Structure, (u16, u16))>) -> Vec<u8> {
    let mut put = PutBits::default();
    put.put(u32::from(first), 1);
    put.put(u32::from(last), 1);
    put.put(template.into(), 6);
    put.put(frame_number.into(), 16);
    if let Some((structure, size)) = attached {
        // A structure, and neither active targets nor anything that differs from the template.
        put.put(0b1_0000, 5);
        structure.put(&mut put, size);
    }
    put.bytes
}

impl Structure {
    fn put(&self, put: &mut PutBits, size: (u16, u16)) {
        let (targets, chains) = (self.protected_by.len() as u32, self.kinds[0].3.len() as u32);
        put.put(0, 6);
        put.put(targets - 1, 5);
        for pair in self.kinds.windows(2) {
            put.put(if pair[1].0 != pair[0].0 { 2 } else { (pair[1].1 - pair[0].1).into() }, 2);
        }
        put.put(3, 2);
        for symbol in self.kinds.iter().flat_map(|kind| kind.2.chars()) {
            put.put("-DSR".find(symbol).expect("an indication") as u32, 2);
        }
        for kind in self.kinds {
            kind.4.iter().for_each(|reference| put.put(0x10 | (u32::from(*reference) - 1), 5));
            put.put(0, 1);
        }
        put.below(targets + 1, chains);
        self.protected_by.iter().for_each(|chain| put.below(chains, (*chain).into()));
        self.kinds.iter().flat_map(|kind| kind.3).for_each(|difference| put.put((*difference).into(), 4));
        put.put(1, 1);
        for (width, height) in self.sizes.unwrap_or(&[size]) {
            put.put(u32::from(*width - 1), 16);
            put.put(u32::from(*height - 1), 16);
        }
    }
}

/// Bits, the first one highest.
#[derive(Default)]
struct PutBits {
    bytes: Vec<u8>,
    bits: usize,
}

impl PutBits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("pushed") |= ((value >> bit & 1) as u8) << (7 - self.bits % 8);
            self.bits += 1;
        }
    }

    /// ns(n): of the numbers below `values`, the lower ones take a bit less.
    fn below(&mut self, values: u32, number: u32) {
        if values == 1 {
            return;
        }
        let longest = values.ilog2() + 1;
        let short = (1 << longest) - values;
        if number < short { self.put(number, longest - 1) } else { self.put(number + short, longest) }
    }
}

#[test]
fn structures_are_read_by_the_engines_own_reader() {
    use althing::media::packet::dependency::{Descriptor, Structure as Read};
    for (structure, layers) in [(&L1T3, 3), (&L3T3, 9), (&L3T3_KEY, 9)] {
        let key = descriptor(true, false, 0, 9, Some((structure, (640, 360))));
        let read = Read::attached(&key).expect("a structure");
        assert_eq!(read.layers().iter().count(), layers);
        let delta = Descriptor::parse(&descriptor(true, true, 1, 21, None), Some(&read)).expect("a delta frame");
        assert_eq!((delta.frame_number, delta.references.count_ones(), delta.key_frame), (21, 1, false));
    }
}
