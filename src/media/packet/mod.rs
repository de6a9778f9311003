//! Views over the bytes of media packets: RTP, its header extensions, RTCP, and as much of each codec as
//! forwarding needs.
//!
//! Every reader is total: any bytes of any length give an answer or a refusal, never a panic. Nothing here
//! allocates for each packet, and nothing keeps state but [`twcc::Arrivals`].

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects))]

pub mod av1;
mod bytes;
pub mod dependency;
pub mod ext;
pub mod h264;
pub mod layers;
pub mod opus;
pub mod red;
pub mod rtcp;
pub mod rtp;
pub mod size;
pub mod twcc;
pub mod vp8;
pub mod vp9;

use crate::contract::Codec;

/// Why bytes are not a packet. It is the sender's fault, and trying again with the same bytes is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// The bytes end before what they announce.
    Truncated,
    /// The version is not 2.
    Version,
    /// The padding is longer than what it pads, or zero although announced.
    Padding,
}

/// Whether a decoder that has seen nothing before can begin with this packet, given that what follows arrives.
///
/// `payload` is an RTP payload without its padding. For video that is the first packet of a key frame; audio
/// has no key frames, so each of its packets that carries anything is a beginning.
pub fn starts_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Red { .. } => !payload.is_empty(),
        Codec::Vp8 => vp8::starts_key_frame(payload),
        Codec::Vp9 { .. } => vp9::starts_key_frame(payload),
        Codec::H264 { .. } => h264::starts_key_frame(payload),
        Codec::Av1 { .. } => av1::starts_key_frame(payload),
    }
}

/// How many bytes of sound an audio packet carries, that of earlier packets (RED) not counted.
pub fn sound_len(codec: Codec, payload: &[u8]) -> usize {
    match codec {
        Codec::Red { .. } => red::primary(payload).map_or(0, |primary| payload.len().saturating_sub(primary.start)),
        _ => payload.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::plan::H264Profile;
    use proptest::prelude::*;

    fn codecs() -> [Codec; 6] {
        let h264 = Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 };
        [Codec::Opus, Codec::Red { primary: 111 }, Codec::Vp8, Codec::Vp9 { profile: 0 }, h264, Codec::Av1 { profile: 0 }]
    }

    #[test]
    fn an_empty_payload_begins_nothing() {
        assert!(codecs().into_iter().all(|codec| !starts_key_frame(codec, &[])));
    }

    #[test]
    fn each_codec_is_asked_in_its_own_language() {
        let beginnings: [&[u8]; 6] = [&[0xf8, 1], &[0x6f, 1], &[0x10, 0x10], &[0x08, 0x82], &[0x67, 0x42], &[0x18, 0x0a]];
        let others: [&[u8]; 6] = [&[], &[], &[0x10, 0x11], &[0x48, 0x86], &[0x41, 0x9a], &[0x10, 0x32]];
        for ((codec, beginning), other) in codecs().into_iter().zip(beginnings).zip(others) {
            assert!(starts_key_frame(codec, beginning), "{codec:?}");
            assert!(!starts_key_frame(codec, other), "{codec:?}");
        }
    }

    #[test]
    fn of_redundant_sound_only_the_newest_counts() {
        // An earlier block of three bytes, then one of two.
        let red = [0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 1, 1, 2, 2];
        assert_eq!(
            [sound_len(Codec::Opus, &red), sound_len(Codec::Red { primary: 111 }, &red), sound_len(Codec::Red { primary: 111 }, &red[..5])],
            [10, 2, 0]
        );
    }

    proptest! {
        #[test]
        fn no_payload_makes_a_codec_view_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            for codec in codecs() {
                for cut in 0..=payload.len() {
                    starts_key_frame(codec, &payload[..cut]);
                    prop_assert!(sound_len(codec, &payload[..cut]) <= cut);
                }
            }
        }
    }
}
