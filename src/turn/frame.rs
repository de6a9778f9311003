//! What data travels in between a client and its relay (RFC 8656 sections 11 and 12), read and written in place.

use std::net::SocketAddr;

use rtc_stun::attributes::{ATTR_DATA, ATTR_DONT_FRAGMENT, ATTR_XOR_PEER_ADDRESS};

use crate::base::stun::{HEADER, MAGIC_COOKIE, StunView, write_xor_address};

/// Numbers that a channel may have: those of RFC 5766 section 11, of which clients make use (coturn's own among them). RFC 8656 section 12 leaves
/// 0x4000 to 0x4FFF, for ports that carry DTLS and the like as well; a relay's does not.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7FFE;
/// Bytes before the data of a ChannelData message.
pub const CHANNEL_HEADER: usize = 4;
/// A Data indication, as its type is written: method 7, class indication.
const DATA_INDICATION: u16 = 0x0017;

/// Whether a datagram's first byte is that of a ChannelData message.
pub fn is_channel_data(datagram: &[u8]) -> bool {
    matches!(datagram, [0x40..=0x7F, ..])
}

/// Number and data of a ChannelData message; over UDP it may be padded.
pub fn channel_data(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let ([a, b, c, d], rest) = datagram.split_first_chunk()?;
    let data = rest.get(..usize::from(u16::from_be_bytes([*c, *d])))?;
    Some((u16::from_be_bytes([*a, *b]), data))
}

/// Writes a ChannelData message; its length, or none when `out` is too short.
pub fn write_channel_data(number: u16, data: &[u8], out: &mut [u8]) -> Option<usize> {
    let (header, rest) = out.split_first_chunk_mut::<CHANNEL_HEADER>()?;
    let [a, b] = number.to_be_bytes();
    let [c, d] = u16::try_from(data.len()).ok()?.to_be_bytes();
    *header = [a, b, c, d];
    rest.get_mut(..data.len())?.copy_from_slice(data);
    Some(CHANNEL_HEADER + data.len())
}

/// Peer and data of a Send indication (RFC 8656 section 11.1); none when one is missing, or something in it may not be ignored.
pub fn send_indication<'a>(view: &StunView<'a>) -> Option<(SocketAddr, &'a [u8])> {
    let (mut peer, mut data) = (None, None);
    for (kind, value) in view.attributes() {
        match kind {
            kind if kind == ATTR_XOR_PEER_ADDRESS.0 => peer = peer.or(Some(value)),
            kind if kind == ATTR_DATA.0 => data = data.or(Some(value)),
            // The relay never fragments.
            kind if kind == ATTR_DONT_FRAGMENT.0 || kind >= 0x8000 => {}
            _ => return None,
        }
    }
    Some((view.xor_address(peer?)?, data?))
}

/// Writes a Data indication (RFC 8656 section 11.4); its length, or none when `out` is too short.
pub fn write_data_indication(peer: SocketAddr, data: &[u8], transaction: [u8; 12], out: &mut [u8]) -> Option<usize> {
    let mut address = [0; 20];
    let len = write_xor_address(peer, &transaction, &mut address);
    let padded = data.len().next_multiple_of(4);
    let body = 4 + len + 4 + padded;
    let mut place = Place { out: out.get_mut(..HEADER + body)? };
    place.put(&DATA_INDICATION.to_be_bytes())?;
    place.put(&u16::try_from(body).ok()?.to_be_bytes())?;
    place.put(&MAGIC_COOKIE.to_be_bytes())?;
    place.put(&transaction)?;
    place.attribute(ATTR_XOR_PEER_ADDRESS.0, address.get(..len)?)?;
    place.attribute(ATTR_DATA.0, data)?;
    place.put([0; 3].get(..padded - data.len())?)?;
    Some(HEADER + body)
}

/// What is still to be written.
struct Place<'a> {
    out: &'a mut [u8],
}

impl Place<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (now, later) = std::mem::take(&mut self.out).split_at_mut_checked(bytes.len())?;
        now.copy_from_slice(bytes);
        self.out = later;
        Some(())
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        self.put(&kind.to_be_bytes())?;
        self.put(&u16::try_from(value.len()).ok()?.to_be_bytes())?;
        self.put(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_stun::message::{Getter, Message, Setter};
    use rtc_turn::proto::chandata::ChannelData;
    use rtc_turn::proto::channum::ChannelNumber;
    use rtc_turn::proto::data::Data;
    use rtc_turn::proto::peeraddr::PeerAddress;
    use rtc_turn::proto::send_indication as send_type;

    use super::*;

    fn peers() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port))),
            (any::<[u16; 8]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port))),
        ]
    }

    proptest! {
        #[test]
        fn a_data_indication_is_what_the_library_reads(peer in peers(), data in prop::collection::vec(any::<u8>(), 0..1_400), id in any::<[u8; 12]>()) {
            let mut out = [0xAA; 1_500];
            let len = write_data_indication(peer, &data, id, &mut out).expect("it fits");
            let mut message = Message::new();
            message.unmarshal_binary(&out[..len]).expect("well-formed");
            prop_assert_eq!(message.typ, rtc_stun::message::MessageType::new(rtc_stun::message::METHOD_DATA, rtc_stun::message::CLASS_INDICATION));
            let (mut from, mut content) = (PeerAddress::default(), Data::default());
            from.get_from(&message).expect("an address");
            content.get_from(&message).expect("data");
            prop_assert_eq!(SocketAddr::new(from.ip, from.port), peer);
            prop_assert_eq!(content.0, data.clone());
            prop_assert_eq!(write_data_indication(peer, &data, id, &mut out[..len - 1]), None);
        }

        #[test]
        fn a_send_indication_of_the_library_is_read(peer in peers(), data in prop::collection::vec(any::<u8>(), 0..1_400)) {
            let mut message = Message::new();
            message.build(&[
                Box::new(send_type()) as Box<dyn Setter>,
                Box::new(PeerAddress { ip: peer.ip(), port: peer.port() }),
                Box::new(Data(data.clone())),
            ]).expect("a message");
            let view = StunView::of(&message.raw).expect("well-formed");
            prop_assert_eq!(send_indication(&view), Some((peer, &data[..])));
        }

        #[test]
        fn channel_data_is_what_the_library_writes_and_reads(number in CHANNELS, data in prop::collection::vec(any::<u8>(), 0..1_400)) {
            let mut theirs = ChannelData { data: data.clone(), number: ChannelNumber(number), raw: Vec::new() };
            theirs.encode();
            prop_assert!(is_channel_data(&theirs.raw));
            prop_assert_eq!(channel_data(&theirs.raw), Some((number, &data[..])), "padded or not");
            let mut out = [0; 1_500];
            let len = write_channel_data(number, &data, &mut out).expect("it fits");
            let mut read = ChannelData { raw: out[..len].to_vec(), ..ChannelData::default() };
            read.decode().expect("well-formed");
            prop_assert_eq!((read.number.0, read.data), (number, data));
        }
    }

    #[test]
    fn what_may_not_be_ignored_is_not() {
        let mut message = Message::new();
        message
            .build(&[Box::new(send_type()) as Box<dyn Setter>, Box::new(PeerAddress { ip: [1, 2, 3, 4].into(), port: 5 }), Box::new(Data(vec![1]))])
            .expect("a message");
        message.add(rtc_stun::attributes::AttrType(0x8099), &[1]);
        assert!(send_indication(&StunView::of(&message.raw).expect("well-formed")).is_some());
        message.add(rtc_stun::attributes::AttrType(0x0099), &[1]);
        assert!(send_indication(&StunView::of(&message.raw).expect("well-formed")).is_none());
    }
}
