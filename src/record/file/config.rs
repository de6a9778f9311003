//! What a decoder needs to know before the first picture, as containers write it, out of a key frame.

use shiguredo_mp4::Encode;
use shiguredo_mp4::bitstream::av1::{Av1ObuParseContext, Av1ObuType, Av1SampleEntryConfig, build_av01_box, parse_obus, parse_sequence_header};
use shiguredo_mp4::bitstream::h264::{H264NalUnitType, H264SampleEntryConfig, LengthSize, build_avc1_box, parse_length_prefixed_nal_units};
use shiguredo_mp4::boxes::Avc1Box;

/// Bytes of a box before its content.
const BOX_HEADER: usize = 8;

/// The `AV1CodecConfigurationRecord` ("AV1 Codec ISO Media File Format Binding", section 2.3); none when there is no sequence header.
pub fn av1(frame: &[u8]) -> Option<Vec<u8>> {
    let units = parse_obus(frame, Av1ObuParseContext::Sample).ok()?;
    let unit = units.iter().find(|unit| unit.obu_type == Av1ObuType::SequenceHeader)?;
    let header = parse_sequence_header(unit.payload).ok()?;
    let entry = build_av01_box(&header, unit.obu, &Av1SampleEntryConfig { initial_presentation_delay_minus_one: None }).ok()?;
    entry.av1c_box.encode_to_vec().ok()?.get(BOX_HEADER..).map(<[u8]>::to_vec)
}

/// The sample entry of a picture whose units have their lengths; none when it has no parameter sets.
pub fn h264(frame: &[u8]) -> Option<Avc1Box> {
    let units = parse_length_prefixed_nal_units(frame, LengthSize::FourBytes).ok()?;
    let sets = |wanted: H264NalUnitType| units.iter().filter(|unit| unit.nal_unit_type == wanted).map(|unit| unit.data.to_vec()).collect::<Vec<_>>();
    let config = H264SampleEntryConfig { length_size: LengthSize::FourBytes };
    build_avc1_box(&sets(H264NalUnitType::Sps), &sets(H264NalUnitType::Pps), &config).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_record_of_av1_has_profile_and_level_and_the_sequence_header() {
        // As Chromium's encoder writes it, then a frame.
        let header = [0x0a, 0x0b, 0x00, 0x00, 0x00, 0x24, 0xcf, 0x7f, 0x0d, 0xbf, 0xff, 0x30, 0x08];
        let frame = [&header[..], &[0x32, 0x02, 1, 2]].concat();
        let record = av1(&frame).expect("a sequence header");
        assert_eq!((record[0], &record[4..]), (0x81, &header[..]));
        assert_eq!(av1(&[0x32, 0x02, 1, 2]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_gone_through(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (av1(&frame), h264(&frame));
        }
    }
}
