use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use proptest::prelude::*;

use super::*;
use crate::base::{Ntp, Time};
use crate::contract::{Extension, ExtensionMap};
use crate::media::packet::layers::FrameLayers;
use crate::media::packet::rtp::RtpHeader;
use crate::media::packet::vp8;
use crate::media::publish::cache::{Cache, CacheSize};
use crate::media::rewrite::{PictureIds, SourceExtensions};

#[derive(Default)]
struct Sent(Vec<u8>);

impl RelaySink for Sent {
    fn send(&mut self, _to: WorkerId, parts: [&[u8]; 3], _spare: bool) -> bool {
        self.0 = parts.concat();
        true
    }
}

fn handle() -> Handle {
    let mut rooms = slotmap::SlotMap::new();
    Handle { room: rooms.insert(()), index: 7, track: TrackId(99) }
}

#[test]
fn a_packet_arrives_as_it_was_cached() {
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 0x10, 0x55, 0, 0];
    packet.extend([0x90, 0x80, 0x81, 0x02, 0, 9, 9]);
    let header = RtpHeader::parse(&packet).expect("a header");
    let mut map = ExtensionMap::default();
    map.set(Extension::AudioLevel, 1);
    let descriptor = vp8::Descriptor::parse(packet.get(header.header_len..).expect("a payload")).expect("a descriptor");
    let meta = PacketMeta {
        sequence: 0x1_0001,
        generation: 3,
        arrived: Time::ZERO,
        timestamp: 2,
        marker: true,
        codec: 4,
        starts_key_frame: true,
        header_len: header.header_len as u16,
        extensions: SourceExtensions::read(&header, &map, &packet),
        layers: FrameLayers::from_vp8(&descriptor, true),
        pictures: PictureIds { id: 0x102, id_at: 2, id_bits: 15, tl0: 0, tl0_at: 0, len: 4 },
    };
    let mut cache = Cache::new(CacheSize::VIDEO);
    cache.insert(meta, &packet);
    let mut sent = Sent::default();
    assert!(send_packet(&mut sent, WorkerId(1), handle(), 2, cache.get(0x1_0001).expect("cached")));
    let Some(Message::Packet { handle: to, encoding: 2, meta: read, packet: bytes }) = Message::read(&sent.0) else { panic!("a packet") };
    assert_eq!((to, bytes, format!("{read:?}")), (handle(), &packet[..], format!("{meta:?}")));
    assert_eq!(read.extensions.get(Extension::AudioLevel, bytes), Some(&[0x55][..]));
}

#[test]
fn what_rooms_say_is_read_as_it_was_said() {
    let line = ClockLine { ntp: Ntp(5), timestamp: 6, clock_rate: 90_000 };
    let many: Vec<_> = (0..20).map(|n| (TrackId(n), n as u8)).collect();
    let (room, track) = (RoomId(1), TrackId(u64::MAX));
    let v6 = Path { local: 3, remote: SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 4)) };
    for note in [
        Note::Demand { room, track, wanted: 5, handle: handle() },
        Note::Demand { room, track, wanted: 0, handle: handle() },
        Note::KeyFrame { room, track, encoding: 2 },
        Note::Clock { handle: handle(), encoding: 1, clock: Some((line, -7)) },
        Note::Clock { handle: handle(), encoding: 1, clock: None },
        Note::Voices { room, are: VoicesAre::Speaking, voices: Voices::default() },
        Note::Voices { room, are: VoicesAre::Loud, voices: Voices::new(&many[..3]) },
        Note::Voices { room, are: VoicesAre::Forwarded, voices: Voices::new(&many) },
        Note::PathIs { path: Path { local: 1, remote: ([192, 0, 2, 1], 40_000).into() }, peer: 3 << 32 | 9 },
        Note::PathIs { path: v6, peer: u64::MAX },
    ] {
        let mut sent = Sent::default();
        send_note(&mut sent, WorkerId(1), &note);
        assert!(matches!(Message::read(&sent.0), Some(Message::Note(read)) if read == note), "{note:?}");
    }
    let mut sent = Sent::default();
    send_stray(&mut sent, WorkerId(1), v6, &[1, 2, 3], true);
    assert!(matches!(Message::read(&sent.0), Some(Message::Stray { path, datagram: [1, 2, 3] }) if path == v6));
    send_skipped(&mut sent, WorkerId(1), handle(), 2, 8, 9);
    assert!(matches!(Message::read(&sent.0), Some(Message::Skipped { handle: to, encoding: 2, sequence: 8, generation: 9 }) if to == handle()));
}

#[test]
fn an_import_tells_a_new_generation_and_a_break_from_what_goes_on() {
    let mut import = Import::new(WorkerId(1));
    let mut follow = |generation, sequence| import.follow(1, generation, sequence, 128);
    assert_eq!(follow(5, 10_000), Continuity::GoesOn, "the first");
    assert_eq!(follow(5, 10_001), Continuity::GoesOn);
    assert_eq!(follow(5, 9_990), Continuity::GoesOn, "late");
    assert_eq!(follow(5, 10_130), Continuity::GoesOn, "128 are missing");
    assert_eq!(follow(5, 10_260), Continuity::Broken, "129 are missing");
    assert_eq!(follow(5, 10_261), Continuity::GoesOn);
    assert_eq!(follow(6, 3), Continuity::NewGeneration);
    assert_eq!(follow(6, 4), Continuity::GoesOn);
    assert_eq!(import.follow(0, 6, 90_000, 128), Continuity::GoesOn, "another encoding has numbers of its own");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..12) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() { *first = kind; }
        let _ = Message::read(&bytes);
    }
}
