//! What an encoder makes of pictures: frames that refer to each other, and what the codec's descriptor says about them.

use crate::structure::{self, KINDS, Structure};
use althing::contract::Codec;
use althing::contract::plan::H264Profile;

/// A codec, and its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// VP8 with three temporal layers.
    Vp8,
    /// VP9 with three temporal layers, whose references follow a group of pictures: as browsers send one spatial layer.
    Vp9,
    /// VP9 L3T3, or L3T3_KEY, in flexible mode: frames tell their references.
    Vp9Svc { key: bool },
    /// AV1 with one spatial layer and three temporal ones.
    Av1,
    /// AV1 L3T3, or L3T3_KEY.
    Av1Svc { key: bool },
    /// H.264 without layers.
    H264,
}

impl Mode {
    pub const ALL: [Mode; 8] = [
        Mode::Vp8,
        Mode::Vp9,
        Mode::Vp9Svc { key: false },
        Mode::Vp9Svc { key: true },
        Mode::Av1,
        Mode::Av1Svc { key: false },
        Mode::Av1Svc { key: true },
        Mode::H264,
    ];

    pub const fn codec(self) -> Codec {
        match self {
            Mode::Vp8 => Codec::Vp8,
            Mode::Vp9 | Mode::Vp9Svc { .. } => Codec::Vp9 { profile: 0 },
            Mode::Av1 | Mode::Av1Svc { .. } => Codec::Av1 { profile: 0 },
            Mode::H264 => Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 },
        }
    }

    /// The payload type that everybody has for it; RTX has the next one.
    pub const fn payload_type(self) -> u8 {
        match self {
            Mode::Vp8 => 96,
            Mode::Vp9 | Mode::Vp9Svc { .. } => 98,
            Mode::H264 => 102,
            Mode::Av1 | Mode::Av1Svc { .. } => 45,
        }
    }

    pub const fn spatial_layers(self) -> u8 {
        if matches!(self, Mode::Vp9Svc { .. } | Mode::Av1Svc { .. }) { 3 } else { 1 }
    }

    /// Whether upper spatial layers build on lower ones in key pictures only.
    const fn keys_only(self) -> bool {
        matches!(self, Mode::Vp9Svc { key: true } | Mode::Av1Svc { key: true })
    }

    fn structure(self) -> Option<&'static Structure> {
        match self {
            Mode::Av1 => Some(&structure::L1T3),
            Mode::Av1Svc { key: false } => Some(&structure::L3T3),
            Mode::Av1Svc { key: true } => Some(&structure::L3T3_KEY),
            Mode::Vp8 | Mode::Vp9 | Mode::Vp9Svc { .. } | Mode::H264 => None,
        }
    }
}

/// A frame before it is cut into packets.
#[derive(Clone, Debug)]
pub struct Frame {
    pub index: u32,
    pub spatial: u8,
    pub temporal: u8,
    /// Whether its picture is a key picture.
    pub key: bool,
    pub references: Vec<u32>,
    /// Whether it is the last frame of its picture.
    pub ends_picture: bool,
    /// Its place in the pattern of four pictures.
    place: u64,
    layer_sync: bool,
    picture_id: u16,
    tl0: u8,
    frame_number: u16,
    size: (u16, u16),
    mode: Mode,
}

/// An encoder of one stream.
pub struct Coder {
    pub mode: Mode,
    pub size: (u16, u16),
    next_frame: u32,
    /// Pictures since the last key picture.
    since_key: u64,
    picture_id: u16,
    tl0: u8,
    frame_number: u16,
    /// The last frames of T0 and T1, by spatial layer.
    base: [u32; 3],
    middle: [u32; 3],
}

impl Coder {
    /// Numbers begin shortly before they wrap.
    pub fn new(mode: Mode, size: (u16, u16), before_wrap: u16) -> Self {
        let (picture_id, tl0) = (0x7FFF - before_wrap % 200, 0xFF - (before_wrap % 20) as u8);
        let frame_number = 0xFFFF - before_wrap % 300;
        Self { mode, size, next_frame: 0, since_key: 0, picture_id, tl0, frame_number, base: [0; 3], middle: [0; 3] }
    }

    /// The frames of the next picture.
    pub fn picture(&mut self, key: bool) -> Vec<Frame> {
        let key = key || self.next_frame == 0;
        self.since_key = if key { 0 } else { self.since_key + 1 };
        self.picture_id = self.picture_id.wrapping_add(1) & 0x7FFF;
        let layered = self.mode != Mode::H264;
        let place = self.since_key % 8;
        let temporal = if layered { [0, 2, 1, 2][place as usize % 4] } else { 0 };
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let spatial_layers = self.mode.spatial_layers();
        (0..spatial_layers).map(|spatial| self.frame(key, place, spatial, temporal, spatial + 1 == spatial_layers)).collect()
    }

    fn frame(&mut self, key: bool, place: u64, spatial: u8, temporal: u8, ends_picture: bool) -> Frame {
        let (index, layer) = (self.next_frame, usize::from(spatial));
        self.next_frame += 1;
        self.frame_number = self.frame_number.wrapping_add(1);
        let (base, middle) = (self.base[layer], self.middle[layer]);
        let mut references = match (key, self.mode) {
            (true, _) => vec![],
            (_, Mode::Vp8) => match place {
                0 | 4 | 1 | 2 => vec![base],
                _ => vec![base, middle],
            },
            _ if place % 4 == 3 && self.mode != Mode::H264 => vec![middle],
            _ => vec![base],
        };
        if spatial > 0 && (key || !self.mode.keys_only()) {
            references.push(index - 1);
        }
        match temporal {
            0 => (self.base[layer], self.middle[layer]) = (index, if self.mode == Mode::Vp8 && !key { middle } else { index }),
            1 => self.middle[layer] = index,
            _ => {}
        }
        Frame {
            index,
            spatial,
            temporal,
            key,
            references,
            ends_picture,
            place,
            layer_sync: temporal > 0 && matches!(place, 1 | 2),
            picture_id: self.picture_id,
            tl0: self.tl0,
            frame_number: self.frame_number,
            size: self.size,
            mode: self.mode,
        }
    }
}

impl Frame {
    /// What a packet's payload begins with.
    pub fn head(&self, first: bool, last: bool) -> Vec<u8> {
        match self.mode {
            Mode::Vp8 => self.vp8(first),
            Mode::Vp9 | Mode::Vp9Svc { .. } => self.vp9(first, last),
            // One OBU, a frame; the beginning of a coded video sequence is said by the descriptor's structure and by N.
            Mode::Av1 | Mode::Av1Svc { .. } => {
                let continues = if first { 0 } else { 0x80 };
                vec![0x10 | continues | if self.key && self.spatial == 0 && first { 0x08 } else { 0 }, 0x30, 0]
            }
            Mode::H264 if self.key && first => {
                vec![0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c, 0, 60, 0x65, 0xb8]
            }
            Mode::H264 => vec![if self.key { 0x65 } else { 0x41 }, 0x40],
        }
    }

    /// Its dependency descriptor.
    pub fn dependency(&self, first: bool, last: bool) -> Option<Vec<u8>> {
        let structure = self.mode.structure()?;
        let kind = match (self.key, self.temporal, self.place % 4) {
            (true, _, _) => 0,
            (_, 0, _) => 1,
            (_, 1, _) => 2,
            (_, _, 1) => 3,
            _ => 4,
        };
        let attached = Some((structure, self.size)).filter(|_| self.key && self.spatial == 0 && first);
        Some(structure::descriptor(first, last, self.spatial * KINDS + kind, self.frame_number, attached))
    }

    /// X, S; I, L, T; 15 bits of picture id; TL0PICIDX; TID and Y. Then a frame tag, and a key frame's start code and size.
    fn vp8(&self, first: bool) -> Vec<u8> {
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        let layer = self.temporal << 6 | if self.layer_sync { 0x20 } else { 0 };
        let mut head = vec![0x80 | if first { 0x10 } else { 0 }, 0xe0, high, low, self.tl0, layer];
        match (first, self.key) {
            (true, true) => {
                let ([width, width_high], [height, height_high]) = (self.size.0.to_le_bytes(), self.size.1.to_le_bytes());
                head.extend([0x10, 0, 0, 0x9d, 0x01, 0x2a, width, width_high, height, height_high]);
            }
            (true, false) => head.extend([0x31, 0, 0]),
            (false, _) => head.push(0x55),
        }
        head
    }

    /// I, P, L, F, B, E, V, Z; 15 bits of picture id; TID, U, SID, D; TL0PICIDX or a reference; the structure in a key picture.
    fn vp9(&self, first: bool, last: bool) -> Vec<u8> {
        let (keys_only, flexible) = (self.mode.keys_only(), self.mode != Mode::Vp9);
        let structure = self.key && self.spatial == 0 && first;
        let inter_layer = self.spatial > 0 && (self.key || !keys_only);
        let apart = keys_only && !self.key || self.ends_picture;
        let flags = [(true, 0x80), (!self.key, 0x40), (true, 0x20), (flexible, 0x10), (first, 0x08), (last, 0x04), (structure, 0x02), (apart, 0x01)];
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        let layer = self.temporal << 5 | 0x10 | self.spatial << 1 | u8::from(inter_layer);
        let mut head = vec![flags.iter().fold(0, |bits, (set, bit)| bits | if *set { *bit } else { 0 }), high, low, layer];
        match (flexible, self.key) {
            (false, _) => head.push(self.tl0),
            (true, false) => head.push([4, 1, 2, 1][self.place as usize % 4] << 1),
            (true, true) => {}
        }
        if structure {
            // Spatial layers with sizes, and without flexible references a group of four pictures: T0, T2, T1, T2.
            let sizes = if flexible { &[(320_u16, 180_u16), (640, 360), (1_280, 720)][..] } else { &[self.size] };
            head.push((sizes.len() as u8 - 1) << 5 | 0x10 | if flexible { 0 } else { 0x08 });
            for (width, height) in sizes {
                head.extend(width.to_be_bytes());
                head.extend(height.to_be_bytes());
            }
            if !flexible {
                head.extend([4, 0x14, 4, 0x54, 1, 0x34, 2, 0x54, 1]);
            }
        }
        head.push(0x86);
        head
    }
}

/// How much a frame takes of what its picture has on average, in per mille.
pub fn share(frame: &Frame) -> u64 {
    let spatial = match (frame.mode.spatial_layers(), frame.spatial) {
        (1, _) => 1_000,
        (_, 0) => 70,
        (_, 1) => 230,
        _ => 700,
    };
    let temporal = match (frame.mode, frame.temporal) {
        (Mode::H264, _) => 10,
        (_, 0) => 16,
        _ => 8,
    };
    spatial * temporal * if frame.key { 3 } else { 1 } / 10
}

#[test]
fn frames_refer_to_frames_that_are_there_and_their_descriptors_are_read() {
    use althing::media::packet::{vp8, vp9};
    for mode in Mode::ALL {
        let mut coder = Coder::new(mode, (1_280, 720), 3);
        for n in 0..400_u32 {
            for frame in coder.picture(n % 37 == 0) {
                assert!(frame.references.iter().all(|reference| *reference < frame.index), "{mode:?} {frame:?}");
                let head = [frame.head(true, false), vec![0; 9]].concat();
                match mode {
                    Mode::Vp8 => {
                        let read = vp8::Descriptor::parse(&head).expect("VP8");
                        assert_eq!((read.key_frame, read.temporal_id), (frame.key, Some(frame.temporal)));
                    }
                    Mode::Vp9 | Mode::Vp9Svc { .. } => {
                        let layers = mode.spatial_layers();
                        let read = vp9::Descriptor::parse(&head).expect("VP9");
                        assert_eq!(
                            (read.predicted, read.layer.map(|l| (l.spatial, l.temporal))),
                            (!frame.key, Some((frame.spatial, frame.temporal)))
                        );
                        let structure = read.structure.map(|s| (s.spatial_layers, s.resolution(layers - 1)));
                        assert_eq!(structure, (frame.key && frame.spatial == 0).then_some((layers, Some((1_280, 720)))));
                    }
                    _ => {}
                }
                let starts = althing::media::packet::starts_key_frame(mode.codec(), &head);
                assert_eq!(starts, frame.key && frame.spatial == 0, "{mode:?} {n}");
            }
        }
    }
}
