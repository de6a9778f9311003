//! H.264 payloads (RFC 6184), as far as a key frame's beginning.

use super::bytes::u16_at;

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether the payload begins a key frame: it holds a sequence parameter set, or the first slice of an IDR picture, in a single
/// NAL unit packet, a STAP-A or the first fragment of an FU-A.
///
/// A sequence parameter set comes first where encoders repeat it; where they do not, the IDR slice is the beginning.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else {
        return false;
    };
    match first & 0x1f {
        STAP_A => aggregated(payload).any(unit_starts_key_frame),
        FU_A => match payload {
            // The start bit, then the type of the fragmented unit.
            [_, header, slice, ..] if header & 0x80 != 0 => begins(header & 0x1f, *slice),
            _ => false,
        },
        _ => unit_starts_key_frame(payload),
    }
}

fn unit_starts_key_frame(unit: &[u8]) -> bool {
    matches!(unit, [header, slice, ..] if begins(header & 0x1f, *slice))
}

/// `first_mb_in_slice` opens a slice header as an Exp-Golomb number: 0, the picture's first slice, is a single set bit.
const fn begins(unit_type: u8, after_header: u8) -> bool {
    unit_type == SPS || unit_type == IDR && after_header & 0x80 != 0
}

/// The NAL units in a STAP-A, each after its 16-bit size (section 5.7.1).
fn aggregated(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let size = usize::from(u16_at(rest, 0)?);
        let (unit, after) = rest.get(2..)?.split_at_checked(size)?;
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SPS, PPS and an IDR slice, as browsers aggregate them.
    const STAP: [u8; 18] = [0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c, 0, 4, 0x65, 0xb8, 0, 4];

    #[test]
    fn a_parameter_set_or_the_first_idr_slice_begins_a_key_frame() {
        assert!(starts_key_frame(&[0x67, 0x42, 0xe0, 0x1f]));
        assert!(starts_key_frame(&[0x65, 0xb8, 0]));
        assert!(starts_key_frame(&STAP));
    }

    #[test]
    fn a_later_slice_of_an_idr_picture_does_not() {
        assert!(!starts_key_frame(&[0x65, 0x38, 0]));
        assert!(!starts_key_frame(&[0x7c, 0x85, 0x38]));
    }

    #[test]
    fn other_units_do_not() {
        for unit_type in (0..32).filter(|t| ![IDR, SPS].contains(t)) {
            assert!(!starts_key_frame(&[0x60 | unit_type, 0x80, 0x80]), "{unit_type}");
        }
        assert!(!starts_key_frame(&[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x41, 0x9a]));
    }

    #[test]
    fn only_the_first_fragment_does() {
        assert!(starts_key_frame(&[0x7c, 0x85, 0xb8]));
        assert!(!starts_key_frame(&[0x7c, 0x05, 0xb8]));
        assert!(!starts_key_frame(&[0x7c, 0x45, 0xb8]));
        assert!(!starts_key_frame(&[0x7c, 0x81, 0xb8]));
    }

    #[test]
    fn an_aggregate_cut_before_its_first_unit_ends_begins_nothing() {
        for cut in 0..STAP.len() {
            assert_eq!(starts_key_frame(&STAP[..cut]), cut >= 7, "{cut}");
        }
    }

    #[test]
    fn an_aggregate_of_empty_units_ends() {
        assert!(!starts_key_frame(&[0x78, 0, 0, 0, 0, 0, 0]));
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            starts_key_frame(&payload);
        }
    }
}
