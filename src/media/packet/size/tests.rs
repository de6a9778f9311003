use super::*;
use crate::contract::plan::H264Profile;
use proptest::prelude::*;

const H264: Codec = Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 };
const VP9: Codec = Codec::Vp9 { profile: 0 };
const AV1: Codec = Codec::Av1 { profile: 0 };

/// Beginnings of key frames as encoders wrote them: libvpx, x264 and SVT-AV1, the size in each name.
const VP8_640X360: [u8; 14] = [0x30, 0x34, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 0x00, 0x47, 0x08, 0x85];
const VP9_640X360: [u8; 14] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x76, 0x00, 0x38, 0x24, 0x1c, 0x18];
const VP9_FULL_CHROMA_322X182: [u8; 12] = [0xa2, 0x49, 0x83, 0x42, 0x00, 0x02, 0x82, 0x01, 0x6a, 0xc0, 0x07, 0x04];
const BASELINE_640X360: [u8; 24] =
    [0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x8f, 0x16, 0x2e, 0x48];
const BASELINE_638X358: [u8; 23] =
    [0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xea, 0x68, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x03, 0xc5, 0x8b, 0x92];
const HIGH_1920X1080: [u8; 26] = [
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60,
    0xc6, 0x58,
];
const INTERLACED_1920X1080: [u8; 25] = [
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x04, 0x4f, 0xdc, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x07, 0x83, 0xe2, 0xc5, 0xb2,
    0xc0,
];
const HIGH_422_322X182: [u8; 26] = [
    0x67, 0x7a, 0x00, 0x0d, 0xbc, 0xd9, 0x41, 0x51, 0x9e, 0x22, 0x2e, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42,
    0x99, 0x60,
];
const HIGH_444_322X182: [u8; 26] = [
    0x67, 0xf4, 0x00, 0x0d, 0x91, 0x9b, 0x28, 0x2a, 0x33, 0xc7, 0xc5, 0xc2, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x78, 0x1e, 0x28,
    0x53, 0x2c,
];
/// Sequence headers after their OBU headers.
const AV1_640X360: [u8; 11] = [0x00, 0x00, 0x00, 0x0c, 0xc4, 0xff, 0x67, 0x12, 0xbe, 0x40, 0x10];
const AV1_1280X720: [u8; 11] = [0x00, 0x00, 0x00, 0x2d, 0x4c, 0xff, 0xb3, 0xc4, 0xaf, 0x90, 0x04];

fn vp8(frame: &[u8]) -> Option<(u16, u16)> {
    picture_size(Codec::Vp8, &[&[0x10], frame].concat())
}

/// With a descriptor that says only that a frame begins.
fn vp9(frame: &[u8]) -> Option<(u16, u16)> {
    picture_size(VP9, &[&[0x08], frame].concat())
}

/// As the only element of its packet.
fn av1(header: &[u8]) -> Option<(u16, u16)> {
    picture_size(AV1, &[&[0x18, 0x08], header].concat())
}

#[test]
fn what_encoders_write_is_read() {
    assert_eq!(vp8(&VP8_640X360), Some((640, 360)));
    assert_eq!(vp9(&VP9_640X360), Some((640, 360)));
    assert_eq!(vp9(&VP9_FULL_CHROMA_322X182), Some((322, 182)));
    assert_eq!(picture_size(H264, &BASELINE_640X360), Some((640, 360)));
    assert_eq!(picture_size(H264, &BASELINE_638X358), Some((638, 358)));
    assert_eq!(picture_size(H264, &HIGH_1920X1080), Some((1_920, 1_080)));
    assert_eq!(picture_size(H264, &INTERLACED_1920X1080), Some((1_920, 1_080)));
    assert_eq!(picture_size(H264, &HIGH_422_322X182), Some((322, 182)));
    assert_eq!(picture_size(H264, &HIGH_444_322X182), Some((322, 182)));
    assert_eq!(av1(&AV1_640X360), Some((640, 360)));
    assert_eq!(av1(&AV1_1280X720), Some((1_280, 720)));
}

#[test]
fn a_packet_that_begins_no_key_frame_has_no_size() {
    assert_eq!(picture_size(Codec::Vp8, &[&[0x00][..], &VP8_640X360].concat()), None);
    assert_eq!(picture_size(VP9, &[&[0x48][..], &VP9_640X360].concat()), None);
    assert_eq!(picture_size(H264, &[&[0x7c, 0x07][..], &BASELINE_640X360[1..]].concat()), None);
    assert_eq!(picture_size(AV1, &[&[0x10, 0x08][..], &AV1_640X360].concat()), None);
}

#[test]
fn sound_has_no_size() {
    assert_eq!(picture_size(Codec::Opus, &VP8_640X360), None);
    assert_eq!(picture_size(Codec::Red { primary: 111 }, &VP8_640X360), None);
}

#[test]
fn a_picture_without_pixels_has_no_size() {
    for zeros in [6..8, 8..10] {
        let mut frame = VP8_640X360;
        frame[zeros].fill(0);
        assert_eq!(vp8(&frame), None);
    }
}

#[test]
fn the_scaling_of_vp8_is_not_its_size() {
    let mut frame = VP8_640X360;
    frame[7] |= 0x40;
    frame[9] |= 0xc0;
    assert_eq!(vp8(&frame), Some((640, 360)));
    let extended = [&[0x90, 0xe0, 0x92, 0x34, 7, 0xa0][..], &frame].concat();
    assert_eq!(picture_size(Codec::Vp8, &extended), Some((640, 360)));
}

#[test]
fn a_vp8_frame_without_its_start_code_has_no_size() {
    let mut frame = VP8_640X360;
    frame[3] = 0x9c;
    assert_eq!(vp8(&frame), None);
}

#[test]
fn the_largest_layer_that_vp9_announces_is_the_size() {
    // I, L, B, V: a picture id of 15 bits, the lowest layer, TL0PICIDX; three layers with their sizes.
    let head = [0xaa, 0x81, 0x23, 0x00, 0x05];
    let structure = [0x50, 1, 64, 0, 180, 2, 128, 1, 104, 5, 0, 2, 208];
    let packet = [&head[..], &structure, &VP9_640X360].concat();
    assert_eq!(picture_size(VP9, &packet), Some((1_280, 720)));
    for cut in 0..head.len() + structure.len() {
        assert_eq!(picture_size(VP9, &packet[..cut]), None, "{cut}");
    }
    let mut without_top = packet;
    without_top[head.len() + 9..head.len() + 13].fill(0);
    assert_eq!(picture_size(VP9, &without_top), Some((640, 360)));
}

#[test]
fn a_structure_without_sizes_leaves_it_to_the_frame() {
    // G: three pictures with no, one and three references.
    let structure = [0x08, 3, 0x00, 0x24, 1, 0x4c, 1, 2, 3];
    for head in [&[0x0a][..], &[0x8a, 0x05], &[0x2a, 0x00, 0x05], &[0x3a, 0x00]] {
        assert_eq!(picture_size(VP9, &[head, &structure, &VP9_640X360].concat()), Some((640, 360)), "{head:?}");
        assert_eq!(picture_size(VP9, &[head, &[0x00], &VP9_640X360].concat()), Some((640, 360)), "{head:?}");
    }
}

/// The uncompressed header of a VP9 key frame up to its size; `colors` is what the profile has between sync code and size.
fn vp9_header(profile: u32, colors: &[(u32, u32)]) -> Vec<u8> {
    let mut bits = Writer::default();
    bits.put(2, 2).put(profile & 1, 1).put(profile >> 1, 1);
    if profile == 3 {
        bits.put(0, 1);
    }
    bits.put(0, 2).put(0b10, 2).put(0x49_8342, 24);
    for &(value, count) in colors {
        bits.put(value, count);
    }
    bits.put(1_279, 16).put(719, 16).bytes()
}

#[test]
fn every_profile_of_vp9_is_read() {
    let (range, sampling, deep, rgb) = ((1, 1), (0b110, 3), (1, 1), (7, 3));
    let of_profile: [&[&[(u32, u32)]]; 4] = [
        &[&[(2, 3), range]],
        &[&[(2, 3), range, sampling], &[rgb, (0, 1)]],
        &[&[deep, (2, 3), range]],
        &[&[deep, (2, 3), range, sampling], &[deep, rgb, (0, 1)]],
    ];
    for (profile, variants) in (0..).zip(of_profile) {
        for colors in variants {
            assert_eq!(vp9(&vp9_header(profile, colors)), Some((1_280, 720)), "{profile} {colors:?}");
        }
    }
}

#[test]
fn a_vp9_frame_that_is_no_key_frame_has_no_size() {
    // Another frame marker; a frame shown again; an intra-only frame; another sync code.
    for (at, value) in [(0, 0x42), (0, 0x8a), (0, 0x86), (1, 0x48)] {
        let mut frame = VP9_640X360;
        frame[at] = value;
        assert_eq!(vp9(&frame), None, "{at} {value:#x}");
    }
}

#[test]
fn a_parameter_set_is_found_in_every_kind_of_packet() {
    let stap = [&[0x78, 0, 2, 0x09, 0xf0, 0, 0, 0, 24][..], &BASELINE_640X360, &[0, 4, 0x68, 0xce, 0x3c, 0x80]].concat();
    assert_eq!(picture_size(H264, &stap), Some((640, 360)));
    assert_eq!(picture_size(H264, &[&[0x7c, 0x87][..], &BASELINE_640X360[1..]].concat()), Some((640, 360)));
    // An IDR slice whose parameter set came before it.
    assert_eq!(picture_size(H264, &[0x65, 0xb8, 0x00, 0x04]), None);
    assert_eq!(picture_size(H264, &[0x7c, 0x85, 0xb8, 0x00]), None);
    assert_eq!(picture_size(H264, &[0x78, 0, 2, 0x65, 0xb8]), None);
}

/// What a parameter set says, before and after the size.
#[derive(Clone, Debug)]
struct Sps {
    profile: u32,
    chroma_format: u32,
    /// For each list what is written of it, if anything.
    scaling: Vec<Option<Vec<i32>>>,
    order: Vec<u32>,
    columns: u32,
    rows: u32,
    fields: bool,
    crop: Option<[u32; 4]>,
}

impl Sps {
    fn written(&self) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.put(self.profile, 8).put(0, 8).put(31, 8).ue(0);
        if PROFILES_WITH_CHROMA.contains(&self.profile) {
            bits.ue(self.chroma_format);
            if self.chroma_format == 3 {
                bits.put(0, 1);
            }
            bits.ue(0).ue(0).put(0, 1).put(u32::from(!self.scaling.is_empty()), 1);
            for list in &self.scaling {
                bits.put(u32::from(list.is_some()), 1);
                list.iter().flatten().for_each(|difference| bits.se(*difference));
            }
        }
        bits.ue(4).ue(self.order.first().copied().unwrap_or(2));
        match &self.order[..] {
            [1, rest @ ..] => {
                bits.put(1, 1);
                bits.ues(rest);
            }
            [_, rest @ ..] => bits.ues(rest),
            [] => {}
        }
        bits.ue(3).put(0, 1).ue(self.columns - 1).ue(self.rows - 1).put(u32::from(!self.fields), 1);
        if self.fields {
            bits.put(1, 1);
        }
        bits.put(1, 1).put(u32::from(self.crop.is_some()), 1);
        bits.ues(self.crop.as_ref().map_or(&[], |crop| crop));
        // No VUI, and the bit that ends a set.
        let set = bits.put(0, 1).put(1, 1).bytes();
        [&[0x67], &with_emulation_prevention(&set)[..]].concat()
    }

    fn plain() -> Self {
        Self { profile: 66, chroma_format: 1, scaling: vec![], order: vec![], columns: 40, rows: 23, fields: false, crop: Some([0, 0, 0, 4]) }
    }
}

fn with_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for &byte in bytes {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

#[test]
fn scaling_lists_are_passed() {
    // A flat list of 16, one that ends at once (8 − 8 = 0), one that ends in its middle, a list of 64 that goes through every sign.
    let lists = [
        Some([vec![8], vec![0; 15]].concat()),
        Some(vec![-8]),
        None,
        Some(vec![2, -1, -9]),
        None,
        None,
        Some((0..64).map(|n| if n % 2 == 0 { 5 } else { -4 }).collect()),
        None,
    ];
    let sps = Sps { profile: 100, scaling: lists.to_vec(), ..Sps::plain() };
    assert_eq!(picture_size(H264, &sps.written()), Some((640, 360)));
    // With full chroma there are four lists more.
    let full =
        Sps { profile: 244, chroma_format: 3, crop: Some([0, 0, 0, 8]), scaling: [&lists[..], &[None, None, None, Some(vec![-8])]].concat(), ..sps };
    assert_eq!(picture_size(H264, &full.written()), Some((640, 360)));
}

#[test]
fn bytes_that_prevent_emulation_are_passed() {
    // Offsets so large that the set has zeros before the size.
    let sps = Sps { order: vec![1, 0x00ff_ffff, 0x00ff_ffff, 2, 0x00ff_ffff, 0x00ff_ffff], ..Sps::plain() };
    let written = sps.written();
    let (at, _) = written.windows(3).enumerate().find(|(_, bytes)| *bytes == [0, 0, 3]).expect("a byte that prevents emulation");
    assert!(at + 3 < written.len() - 8, "before the size: {written:x?}");
    assert_eq!(picture_size(H264, &written), Some((640, 360)));
}

#[test]
fn impossible_parameter_sets_have_no_size() {
    let size = |sps: Sps| picture_size(H264, &sps.written());
    assert_eq!(size(Sps { profile: 100, chroma_format: 4, ..Sps::plain() }), None);
    assert_eq!(size(Sps { crop: Some([0, 320, 0, 0]), ..Sps::plain() }), None, "nothing is left");
    assert_eq!(size(Sps { crop: Some([0, 321, 0, 0]), ..Sps::plain() }), None);
    assert_eq!(size(Sps { crop: Some([u32::MAX - 1; 4]), ..Sps::plain() }), None);
    assert_eq!(size(Sps { columns: 4_096, ..Sps::plain() }), None, "more than 65,535 pixels");
    assert_eq!(size(Sps { rows: 2_048, fields: true, crop: None, ..Sps::plain() }), None);
    assert_eq!(size(Sps { columns: u32::MAX, ..Sps::plain() }), None);
    assert_eq!(size(Sps { order: vec![1, 0, 0, u32::MAX - 1], ..Sps::plain() }), None, "an endless cycle");
}

#[test]
fn a_sequence_header_is_found_among_the_elements() {
    let header = AV1_640X360;
    let with_size = [&[0x0a, 11][..], &header].concat();
    let with_extension = [&[0x0e, 0x00, 11][..], &header].concat();
    let frame = [0x30, 0x10, 0x00];
    let packets = [
        // Any number of elements: temporal delimiter, header with its own size, frame.
        [&[0x08, 1, 0x10, 13][..], &with_size, &[3], &frame].concat(),
        // One, which has an extension.
        [&[0x18][..], &with_extension].concat(),
        // Two: a header with its length, then a frame that goes on in the next packet.
        [&[0x68, 13][..], &with_size, &frame].concat(),
        // Three, of which the header is the last.
        [&[0x38, 1, 0x10, 3][..], &frame, &with_extension].concat(),
        // Lengths may have more bytes than they need.
        [&[0x08, 0x8d, 0x80, 0x00][..], &with_size].concat(),
    ];
    for packet in packets {
        assert_eq!(picture_size(AV1, &packet), Some((640, 360)), "{packet:x?}");
    }
    assert_eq!(picture_size(AV1, &[&[0x18][..], &frame].concat()), None);
    assert_eq!(picture_size(AV1, &[&[0x08][..], &[0x80; 9], &with_size].concat()), None, "an endless length");
}

/// A sequence header with everything that may stand before its size.
fn full_sequence_header(timing: bool, model: bool, delays: bool, levels: &[u32], (width, height): (u32, u32)) -> Vec<u8> {
    let mut bits = Writer::default();
    bits.put(0, 5).put(u32::from(timing), 1);
    if timing {
        bits.put(1, 32).put(60, 32).put(1, 1).ue(1_000).put(u32::from(model), 1);
        if model {
            bits.put(6, 5).put(1_000, 32).put(9, 5).put(9, 5);
        }
    }
    bits.put(u32::from(delays), 1).put(levels.len() as u32 - 1, 5);
    for &level in levels {
        bits.put(0x301, 12).put(level, 5);
        if level > 7 {
            bits.put(1, 1);
        }
        if timing && model {
            // Only levels that are odd have a model, to have both.
            bits.put(level & 1, 1);
            if level & 1 == 1 {
                bits.put(77, 7).put(11, 7).put(1, 1);
            }
        }
        if delays {
            bits.put(level >> 1 & 1, 1);
            if level >> 1 & 1 == 1 {
                bits.put(9, 4);
            }
        }
    }
    let bits_of = |size: u32| u32::BITS - (size - 1).max(1).leading_zeros();
    bits.put(bits_of(width) - 1, 4).put(bits_of(height) - 1, 4);
    bits.put(width - 1, bits_of(width)).put(height - 1, bits_of(height)).bytes()
}

#[test]
fn a_reduced_sequence_header_has_a_level_only() {
    let mut bits = Writer::default();
    // A still picture, level 8: there is no tier here.
    let header = bits.put(0b00011, 5).put(8, 5).put(10, 4).put(9, 4).put(1_279, 11).put(719, 10).bytes();
    assert_eq!(av1(&header), Some((1_280, 720)));
}

/// Writes bits, the highest of each byte first.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn put(&mut self, value: u32, count: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let code = value + 1;
        let len = u32::BITS - code.leading_zeros();
        self.put(0, len - 1).put(code, len)
    }

    fn ues(&mut self, values: &[u32]) {
        for &value in values {
            self.ue(value);
        }
    }

    fn se(&mut self, value: i32) {
        self.ue(if value > 0 { value.unsigned_abs() * 2 - 1 } else { value.unsigned_abs() * 2 });
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))).collect()
    }
}

fn sps() -> impl Strategy<Value = Sps> {
    let order = prop_oneof![
        Just(vec![2]),
        (0_u32..13).prop_map(|bits| vec![0, bits]),
        (any::<(u16, u16)>(), proptest::collection::vec(0_u32..1 << 20, 0..20))
            .prop_map(|((a, b), cycle)| { [vec![1, a.into(), b.into(), cycle.len() as u32], cycle].concat() }),
    ];
    let profile = prop_oneof![Just(66), Just(77), Just(88), Just(100), Just(110), Just(122), Just(244)];
    let list = || proptest::option::of((1..=16_usize).prop_map(|len| [vec![1; len - 1], vec![-7 - len as i32]].concat()));
    (
        profile,
        0_u32..4,
        any::<bool>(),
        proptest::collection::vec(list(), 12),
        order,
        (1_u32..500, 1_u32..250),
        any::<bool>(),
        proptest::option::of(proptest::array::uniform4(0_u32..4)),
    )
        .prop_map(|(profile, chroma_format, scaled, mut scaling, order, (columns, rows), fields, crop)| {
            scaling.truncate(if !scaled {
                0
            } else if chroma_format == 3 {
                12
            } else {
                8
            });
            Sps { profile, chroma_format, scaling, order, columns, rows, fields, crop }
        })
}

proptest! {
    #[test]
    fn any_parameter_set_is_read(sps in sps()) {
        let format = if PROFILES_WITH_CHROMA.contains(&sps.profile) { sps.chroma_format } else { 1 };
        let (across, down) = [(1, 1), (2, 2), (2, 1), (1, 1)][format as usize];
        let fields = if sps.fields { 2 } else { 1 };
        let [left, right, top, bottom] = sps.crop.unwrap_or_default();
        let (width, height) = (sps.columns * 16 - (left + right) * across, sps.rows * 16 * fields - (top + bottom) * down * fields);
        let expected = Some((width as u16, height as u16)).filter(|size| !is_empty(size));
        prop_assert_eq!(picture_size(H264, &sps.written()), expected);
    }

    #[test]
    fn any_sequence_header_is_read(
        (timing, model, delays) in any::<(bool, bool, bool)>(),
        levels in proptest::collection::vec(0_u32..32, 1..=32),
        width in 1_u32..65_536,
        height in 1_u32..65_536,
    ) {
        let header = full_sequence_header(timing, model, delays, &levels, (width, height));
        prop_assert_eq!(av1(&header), Some((width as u16, height as u16)));
    }

    #[test]
    fn any_vp8_size_is_read(width in 1_u16..0x4000, height in 1_u16..0x4000, scaling in any::<(u16, u16)>()) {
        let mut frame = VP8_640X360;
        frame[6..8].copy_from_slice(&(width | scaling.0 << 14).to_le_bytes());
        frame[8..10].copy_from_slice(&(height | scaling.1 << 14).to_le_bytes());
        prop_assert_eq!(vp8(&frame), Some((width, height)));
    }

    #[test]
    fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64), start in 0..10_usize) {
        // Beginnings that get beyond the first questions.
        let starts: [&[u8]; 10] = [
            &[],
            &[0x10, 0, 0, 0, 0x9d, 1, 0x2a],
            &[0x08, 0x82, 0x49, 0x83, 0x42],
            &[0x0a],
            &[0xaa],
            &[0x67, 100],
            &[0x78, 0, 20, 0x67, 100],
            &[0x7c, 0x87],
            &[0x08, 40, 0x08],
            &[0x18, 0x0a, 20],
        ];
        let payload = [starts[start], &payload].concat();
        for codec in [Codec::Opus, Codec::Vp8, VP9, H264, AV1] {
            for cut in 0..=payload.len() {
                picture_size(codec, &payload[..cut]);
            }
        }
    }

    #[test]
    fn a_cut_never_changes_the_size(which in 0..5_usize, cut in any::<prop::sample::Index>()) {
        let packets: [(_, &[u8], &[u8]); 5] = [
            (Codec::Vp8, &[0x10], &VP8_640X360),
            (VP9, &[0x08], &VP9_640X360),
            (H264, &[], &BASELINE_640X360),
            (H264, &[0x78, 0, 24], &BASELINE_640X360),
            (AV1, &[0x18, 0x08], &AV1_640X360),
        ];
        let (codec, head, rest) = packets[which];
        let payload = [head, rest].concat();
        let size = picture_size(codec, &payload[..cut.index(payload.len())]);
        prop_assert!(size.is_none() || size == Some((640, 360)));
    }
}
