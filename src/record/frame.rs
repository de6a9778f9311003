//! From the packets of a picture to its bytes, as a file holds them. The packets are all there, and in order.

use bytes::Bytes;
use rtc_rtp::codec::av1::Av1Depacketizer;
use rtc_rtp::codec::h264::H264Packet;
use rtc_rtp::packetizer::Depacketizer;

use crate::contract::TapCodec;
use crate::media::packet::{red, vp8, vp9};

/// Bytes of the longest picture.
pub const MOST_BYTES: usize = 8 << 20;
/// The beginning and the end of a VP9 superframe index with sizes of four bytes (VP9 bitstream specification, annex B).
const SUPERFRAME: u8 = 0b1101_1000;
/// Frames that a superframe index can name.
const MOST_LAYERS: usize = 8;

/// The bytes of a picture or of a piece of sound; none when they make no sense.
pub fn depacketise(codec: TapCodec, packets: &[Bytes]) -> Option<Vec<u8>> {
    let whole = match codec {
        TapCodec::Opus => packets.first()?.to_vec(),
        TapCodec::Red => primary(packets.first()?)?,
        TapCodec::Vp8 => joined(packets, |p| vp8::Descriptor::parse(p).map(|d| d.header_len))?,
        TapCodec::Vp9 => vp9_picture(packets)?,
        TapCodec::H264 => {
            let mut units = H264Packet::default();
            units.is_avc = true;
            by_library(&mut units, packets)?
        }
        TapCodec::Av1 => by_library(&mut Av1Depacketizer::new(), packets)?,
    };
    (!whole.is_empty()).then_some(whole)
}

fn primary(packet: &Bytes) -> Option<Vec<u8>> {
    packet.get(red::primary(packet)?.start..).map(<[u8]>::to_vec)
}

fn joined(packets: &[Bytes], header_len: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(packets.iter().map(Bytes::len).sum());
    for packet in packets {
        whole.extend_from_slice(packet.get(header_len(packet)?..)?);
    }
    Some(whole)
}

fn by_library(depacketizer: &mut impl Depacketizer, packets: &[Bytes]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(packets.iter().map(Bytes::len).sum());
    for packet in packets {
        whole.extend_from_slice(&depacketizer.depacketize(packet).ok()?);
    }
    Some(whole)
}

/// A picture of several sizes is several frames, which a decoder tells apart by the index at their end.
fn vp9_picture(packets: &[Bytes]) -> Option<Vec<u8>> {
    let mut ends = Vec::new();
    let mut len = 0;
    for packet in packets {
        let descriptor = vp9::Descriptor::parse(packet)?;
        len += packet.len().checked_sub(descriptor.header_len)?;
        if descriptor.end_of_frame {
            ends.push(len);
        }
    }
    let mut whole = joined(packets, |p| vp9::Descriptor::parse(p).map(|d| d.header_len))?;
    if (2..=MOST_LAYERS).contains(&ends.len()) && ends.last() == Some(&len) {
        let marker = SUPERFRAME | (ends.len() - 1) as u8;
        whole.push(marker);
        let mut from = 0;
        for end in ends {
            whole.extend_from_slice(&u32::try_from(end - from).ok()?.to_le_bytes());
            from = end;
        }
        whole.push(marker);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtc_rtp::codec::vp8::Vp8Payloader;
    use rtc_rtp::codec::vp9::{Vp9Packet, Vp9Payloader};
    use rtc_rtp::codec::{av1::Av1Payloader, h264::H264Payloader};
    use rtc_rtp::packetizer::Payloader;

    fn picture(len: usize) -> Bytes {
        (0..len).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn pictures_survive_the_way_through_packets() {
        let whole = picture(5_000);
        let mut payloader = Vp8Payloader::default();
        payloader.enable_picture_id = true;
        let vp8 = payloader.payload(1_200, &whole).expect("packets");
        assert_eq!(depacketise(TapCodec::Vp8, &vp8).as_deref(), Some(&whole[..]));
        let vp9 = Vp9Payloader::default().payload(1_200, &whole).expect("packets");
        assert_eq!(depacketise(TapCodec::Vp9, &vp9).as_deref(), Some(&whole[..]));
        let library: Vec<u8> = vp9.iter().flat_map(|p| Vp9Packet::default().depacketize(p).expect("a payload").to_vec()).collect();
        assert_eq!(library, whole, "the library agrees");
    }

    #[test]
    fn units_of_h264_get_their_lengths_and_parameter_sets_stay_in_band() {
        let (sps, pps, idr) = ([&[0x67, 66, 0, 31][..], &picture(20)].concat(), vec![0x68, 1, 2, 3], [&[0x65][..], &vec![5; 3_000]].concat());
        let annex_b = [&sps, &pps, &idr].iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect::<Vec<_>>();
        let packets = H264Payloader::default().payload(1_200, &Bytes::from(annex_b)).expect("packets");
        let mut whole = &depacketise(TapCodec::H264, &packets).expect("a picture")[..];
        for unit in [&sps, &pps, &idr] {
            let (len, rest) = whole.split_first_chunk::<4>().expect("a length");
            let (found, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
            assert_eq!(found, &unit[..]);
            whole = rest;
        }
        assert!(whole.is_empty());
    }

    #[test]
    fn units_of_av1_get_their_lengths_back() {
        // A frame OBU with a size field, as an encoder writes it.
        let unit = [&[0x32, 0xa0, 0x06][..], &picture(800)].concat();
        let packets = Av1Payloader::default().payload(300, &Bytes::from(unit.clone())).expect("packets");
        assert!(packets.len() > 2);
        assert_eq!(depacketise(TapCodec::Av1, &packets), Some(unit));
    }

    #[test]
    fn a_vp9_picture_of_two_sizes_ends_with_an_index() {
        // Flexible mode is off; I, L and the layer ids (S0, S1), B on the first and E on the last packet of each.
        let packet = |layer: u8, begin: bool, end: bool, data: &[u8]| {
            let flags = 0xa0 | u8::from(begin) << 3 | u8::from(end) << 2;
            Bytes::from([&[flags, 5, layer << 1, 9][..], data].concat())
        };
        let packets = [packet(0, true, true, &[1; 10]), packet(1, true, false, &[2; 300]), packet(1, false, true, &[3; 7])];
        let whole = depacketise(TapCodec::Vp9, &packets).expect("a picture");
        assert_eq!((whole.len(), &whole[317..]), (327, &[0xd9, 10, 0, 0, 0, 0x33, 1, 0, 0, 0xd9][..]));
    }

    #[test]
    fn sound_is_its_packet_and_of_redundant_sound_the_last_block() {
        assert_eq!(depacketise(TapCodec::Opus, &[Bytes::from_static(&[1, 2, 3])]), Some(vec![1, 2, 3]));
        let red = Bytes::from_static(&[0xef, 0x1e, 0, 2, 0x6f, 9, 9, 1, 2, 3]);
        assert_eq!(depacketise(TapCodec::Red, &[red]), Some(vec![1, 2, 3]));
    }

    proptest! {
        #[test]
        fn our_own_views_refuse_what_makes_no_sense(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let packets: Vec<Bytes> = packets.into_iter().map(Bytes::from).collect();
            for codec in [TapCodec::Opus, TapCodec::Red, TapCodec::Vp8, TapCodec::Vp9] {
                let _ = depacketise(codec, &packets);
            }
        }
    }
}
