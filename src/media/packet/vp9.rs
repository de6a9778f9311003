//! The VP9 payload descriptor (RFC 9628 section 4.2), as far as a key frame's beginning.

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

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..8)) {
            starts_key_frame(&payload);
        }
    }
}
