#![allow(clippy::disallowed_methods, reason = "an epoch has to come from somewhere")]

use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

use super::*;
use crate::base::{PeerId, TrackId};
use crate::contract::{
    Codec, CodecPlan, DisconnectReason, ExtensionMap, Feedback, IceCredentials, Mapped, MediaKind, MediaPlan, Mid, ReceivePlan, SecurityPlan,
    SendPlan, SrtpKeys, SrtpProfile, TransportPlan,
};
use crate::media::transport::sctp::RELIABLE;
use crate::media::transport::sctp::tests::world::{World, plan};
use crate::media::transport::{SrtcpSender, SrtpSender};
use rtc_sctp::PayloadProtocolIdentifier;

mod begun;

const ROOM: RoomId = RoomId(1);

fn engine() -> Engine {
    let identity = DtlsIdentity::generate().expect("a certificate");
    Engine::new(EngineConfig { identity, epoch: Instant::now(), wall_at_zero: Ntp::default(), seed: 1 })
}

fn ice(name: &str) -> IceCredentials {
    let [local_pwd, remote_pwd] = ["p".repeat(24), "q".repeat(24)];
    IceCredentials { local_ufrag: name.into(), local_pwd, remote_ufrag: "theirs".into(), remote_pwd }
}

fn tell(engine: &mut Engine, room: RoomId, what: RoomCommand) {
    engine.handle_command(Time::ZERO, Command { room, what });
}

fn add(engine: &mut Engine, room: RoomId, peer: PeerId, name: &str) {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (key, salt) = (vec![1; 16], vec![2; 12]);
    let keys = SrtpKeys { profile, receive_key: key.clone(), receive_salt: salt.clone(), send_key: key, send_salt: salt };
    let transport = Box::new(TransportPlan { ice: ice(name), security: SecurityPlan::Keys(keys) });
    tell(engine, room, RoomCommand::AddPeer { peer, transport });
    let mid = |n: &str| Mid::new(n).expect("a mid");
    let codecs = vec![CodecPlan { payload_type: 96, codec: Codec::Vp8, clock_rate: 90_000, rtx: None, feedback: Feedback::default() }];
    let extensions = ExtensionMap::default();
    let receive = ReceivePlan {
        mline: 0,
        mid: mid("0"),
        kind: MediaKind::Video,
        codecs: codecs.clone(),
        extensions,
        ssrcs: Vec::new(),
        rids: Vec::new(),
        ssrc_encodings: false,
    };
    let send = SendPlan { mline: 1, mid: mid("1"), kind: MediaKind::Video, ssrc: 7, rtx_ssrc: None, codecs, extensions };
    tell(engine, room, RoomCommand::Negotiate { peer, media: Box::new(MediaPlan { receive: vec![receive], send: vec![send], data: None }) });
    tell(engine, room, RoomCommand::Publish { peer, mline: 0, track: TrackId(peer.0), voice: false });
}

fn check(name: &str, port: u16) -> (Path, Vec<u8>) {
    checks(name, port, true)
}

fn checks(name: &str, port: u16, nominates: bool) -> (Path, Vec<u8>) {
    let provider = rtc_crypto::default_provider().expect("a provider");
    let mut message = Message::new();
    TransactionId([1; 12]).add_to(&mut message).expect("id");
    message.set_type(BINDING_REQUEST);
    message.write_header();
    message.add(ATTR_USERNAME, format!("{name}:theirs").as_bytes());
    message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
    if nominates {
        message.add(ATTR_USE_CANDIDATE, &[]);
    }
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider("p".repeat(24), provider.crypto());
    integrity.add_to(&mut message).expect("integrity");
    FINGERPRINT.add_to(&mut message).expect("fingerprint");
    (Path { local: 0, remote: ([127, 0, 0, 1], port).into() }, message.raw)
}

fn read(engine: &mut Engine, (path, mut datagram): (Path, Vec<u8>)) {
    engine.handle_read(Time::ZERO, path, &mut datagram);
}

#[test]
fn user_names_of_generations_that_have_ended_are_forgotten() {
    let mut engine = engine();
    add(&mut engine, ROOM, PeerId(1), "first");
    read(&mut engine, check("first", 1_000));
    for name in ["second", "third", "fourth"] {
        tell(&mut engine, ROOM, RoomCommand::RestartIce { peer: PeerId(1), ice: ice(name) });
        assert_eq!(engine.shared.demux.len(), (2, 1), "both answer until the new one has nominated");
        read(&mut engine, check(name, 1_000));
        assert_eq!(engine.shared.demux.len(), (1, 1), "{name}");
    }
    add(&mut engine, ROOM, PeerId(2), "other");
    tell(&mut engine, ROOM, RoomCommand::RemovePeer { peer: PeerId(1) });
    assert_eq!(engine.shared.demux.len(), (1, 0));
}

#[test]
fn a_fault_takes_down_its_room_and_no_other() {
    let mut engine = engine();
    for (room, peer, name) in [(ROOM, 1, "one"), (ROOM, 2, "two"), (RoomId(2), 3, "three")] {
        add(&mut engine, room, PeerId(peer), name);
        read(&mut engine, check(name, 1_000 + peer as u16));
    }
    let key = *engine.keys.get(&ROOM).expect("the room");
    engine.rooms.get_mut(key).expect("the room").corrupt();
    tell(&mut engine, ROOM, RoomCommand::RemovePeer { peer: PeerId(1) });
    assert_eq!(engine.report().counters.get(Counter::RoomPanic), 1);
    let events: Vec<Event> = std::iter::from_fn(|| engine.poll_event()).collect();
    assert_eq!(events, [Event::RoomFailed { room: ROOM }]);
    let report = engine.report();
    assert_eq!((report.rooms, report.peers, engine.shared.demux.len()), (1, 1, (1, 1)));
    read(&mut engine, check("three", 1_003));
    assert_eq!(engine.report().counters.get(Counter::StunAnswered), 4, "the other room goes on");
    add(&mut engine, ROOM, PeerId(4), "again");
    assert_eq!(engine.report().rooms, 2, "and this one may begin again");
}

/// A Binding request without a user name, from this address.
fn stranger(from: &str, more: &[(rtc_stun::attributes::AttrType, &[u8])]) -> (Path, Vec<u8>) {
    let mut message = Message::new();
    TransactionId([9; 12]).add_to(&mut message).expect("id");
    message.set_type(BINDING_REQUEST);
    message.write_header();
    more.iter().for_each(|(kind, value)| message.add(*kind, value));
    (Path { local: 0, remote: from.parse().expect("an address") }, message.raw)
}

fn replies(engine: &mut Engine) -> Vec<(Path, Vec<u8>)> {
    let mut out = Outgoing::for_a_tick();
    engine.poll_transmit(Time::ZERO, &mut out);
    out.datagrams().iter().map(|datagram| (datagram.path, out.payload(datagram).to_vec())).collect()
}

#[test]
fn whoever_asks_without_a_user_name_is_told_where_they_are_and_gets_hardly_more_than_they_sent() {
    for (from, most) in [("192.0.2.7:1234", 1.6), ("[2001:db8::7]:1234", 2.2), ("[::ffff:192.0.2.7]:1234", 1.6)] {
        let mut engine = engine();
        let request = stranger(from, &[]);
        let asked = request.1.len();
        read(&mut engine, request);
        let [(path, answer)] = &replies(&mut engine)[..] else { panic!("one answer") };
        let mut message = Message::new();
        message.unmarshal_binary(answer).expect("an answer");
        let mut mapped = rtc_stun::xoraddr::XorMappedAddress::default();
        rtc_stun::message::Getter::get_from(&mut mapped, &message).expect("an address");
        assert_eq!((mapped.ip, mapped.port), (path.remote.ip().to_canonical(), 1_234));
        assert_eq!(message.transaction_id, TransactionId([9; 12]));
        assert!(answer.len() as f64 <= asked as f64 * most, "{} bytes for {asked}", answer.len());
        assert_eq!(engine.counters().get(Counter::StunService), 1);
    }
}

#[test]
fn strangers_of_one_prefix_are_answered_so_many_times_a_second() {
    let mut engine = engine();
    for _ in 0..STRANGERS + 50 {
        read(&mut engine, stranger("192.0.2.7:1234", &[]));
        replies(&mut engine);
    }
    read(&mut engine, stranger("198.51.100.7:1234", &[]));
    assert_eq!(engine.counters().get(Counter::StunService), u64::from(STRANGERS) + 1);
    assert_eq!(engine.counters().get(Counter::StunServiceLimited), 50);
}

#[test]
fn what_strangers_send_that_is_no_plain_request_is_not_answered() {
    let mut engine = engine();
    let (path, whole) = stranger("192.0.2.7:1234", &[]);
    read(&mut engine, stranger("192.0.2.7:1234", &[(rtc_stun::attributes::ATTR_PRIORITY, &[0; 4])]));
    read(&mut engine, stranger("192.0.2.7:1234", &[(rtc_stun::attributes::AttrType(0x0026), &[0; 4])]));
    (0..whole.len()).for_each(|len| read(&mut engine, (path, whole[..len].to_vec())));
    for byte in 0..8 {
        let mut broken = whole.clone();
        broken[byte] ^= 0x10;
        read(&mut engine, (path, broken));
    }
    assert_eq!(replies(&mut engine), [], "only what may be ignored may be in it");
}

/// RFC 8489 section 6.3.3: a success response, with this transaction.
fn mapped(transaction: [u8; 12]) -> Vec<u8> {
    let address = "203.0.113.9:40000".parse().expect("an address");
    let mut value = [0; 20];
    let len = crate::base::stun::write_xor_address(address, &transaction, &mut value);
    let head = [1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42];
    [&head[..], &transaction, &[0, 0x20, 0, 8], &value[..len]].concat()
}

#[test]
fn a_stun_servers_answer_is_handed_on_if_it_is_to_us_and_not_without_end() {
    let path = Path { local: 0, remote: "198.51.100.3:3478".parse().expect("an address") };
    let mut plain = engine();
    plain.handle_read(Time::ZERO, path, &mut mapped(*b"ours-all0001"));
    assert_eq!((plain.poll_event(), plain.counters().get(Counter::StunMalformed)), (None, 1), "nobody has asked");

    let mut asking = engine().with_questions(Some(*b"ours-all"));
    asking.handle_read(Time::ZERO, path, &mut mapped(*b"ours-now0001"));
    assert_eq!((asking.poll_event(), asking.counters().get(Counter::StunMalformed)), (None, 1), "another's transaction");
    asking.handle_read(Time::ZERO, path, &mut mapped(*b"ours-all0001"));
    let address = "203.0.113.9:40000".parse().expect("an address");
    assert_eq!(asking.poll_event(), Some(Event::Mapped(Mapped { transaction: *b"ours-all0001", server: path.remote, address })));
    for _ in 0..STRANGERS * 2 {
        asking.handle_read(Time::ZERO, path, &mut mapped(*b"ours-all0001"));
    }
    assert_eq!(std::iter::from_fn(|| asking.poll_event()).count() as u32, STRANGERS - 1);
    assert_eq!(asking.counters().get(Counter::StunServiceLimited), u64::from(STRANGERS) + 1);
    assert!(asking.poll_timeout().is_none(), "and nothing else comes of it");
}

/// A sealed packet of the peer's, by UDP from this port: media on its m-line, or a report.
fn packet(kind: Protocol, number: u16) -> Vec<u8> {
    let (profile, key, salt) = (SrtpProfile::AeadAes128Gcm, [1; 16], [2; 12]);
    if kind == Protocol::Rtp {
        let sender = SrtpSender::new(profile, &key, &salt).expect("keys");
        let [a, b] = number.to_be_bytes();
        let mut packet = vec![0x80, 96, a, b, 0, 0, 0, 0, 0, 0, 0, 9, 0x10, 0x00];
        packet.resize(packet.len() + sender.overhead(), 0);
        sender.seal_in_place(&mut packet, 12, 2, 9, u64::from(number)).expect("sealed");
        return packet;
    }
    let mut sender = SrtcpSender::new(profile, &key, &salt).expect("keys");
    sender.resume_at(u32::from(number));
    // A receiver report without blocks.
    let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    packet.resize(packet.len() + sender.overhead(), 0);
    sender.seal_rtcp(&mut packet, 8).expect("sealed");
    packet
}

#[test]
fn a_path_is_deserted_when_nothing_authentic_comes_on_it() {
    for (kind, authentic) in [(Protocol::Rtp, true), (Protocol::Rtcp, true), (Protocol::Rtp, false), (Protocol::Rtcp, false)] {
        let mut engine = engine();
        add(&mut engine, ROOM, PeerId(1), "name");
        let (near, nominating) = check("name", 1_000);
        read(&mut engine, (near, nominating));
        let (far, checking) = checks("name", 2_000, false);
        for number in 1..=10_u16 {
            let now = Time::from_millis(u64::from(number) * 1_000);
            let mut datagram = packet(kind, number);
            let last = datagram.len() - 1;
            datagram[last] ^= u8::from(!authentic);
            engine.handle_read(now, near, &mut datagram);
            engine.handle_read(now + Duration::from_millis(900), far, &mut checking.clone());
        }
        let key = *engine.keys.get(&ROOM).expect("the room");
        let way = engine.rooms.get(key).expect("the room").way_to(0);
        assert_eq!(way, Some(if authentic { near } else { far }), "{kind:?}, authentic: {authentic}");
    }
}

#[test]
fn who_waits_for_control_goes_on_when_that_has_dealt_with_something() {
    let mut engine = engine();
    add(&mut engine, ROOM, PeerId(1), "name");
    let mut world = World::greeted(1, 0, plan());
    world.room = 0;
    world.say(RELIABLE, PayloadProtocolIdentifier::Binary, b"it waits");
    world.run(Duration::from_secs(1));
    assert!(world.server.has_unread());
    let key = *engine.keys.get(&ROOM).expect("the room");
    engine.rooms.get_mut(key).expect("the room").give_data(0, world.server);
    assert!(!engine.has_deferred());
    let dealt = || Command { room: ROOM, what: RoomCommand::DataTaken { messages: 1 } };
    engine.handle_command(Time::ZERO, dealt());
    assert!(engine.has_deferred(), "there is room for one message now");
}

/// A packet of RTP of so many bytes on the track of [`add`].
fn large(number: u16, bytes: usize) -> Vec<u8> {
    let (profile, key, salt) = (SrtpProfile::AeadAes128Gcm, [1; 16], [2; 12]);
    let sender = SrtpSender::new(profile, &key, &salt).expect("keys");
    let [a, b] = number.to_be_bytes();
    let mut packet = vec![0x80, 96, a, b, 0, 0, 0, 0, 0, 0, 0, 9, 0x10, 0x00];
    packet.resize(bytes - sender.overhead(), 1);
    let payload = packet.len() - 12;
    packet.resize(bytes, 0);
    sender.seal_in_place(&mut packet, 12, payload, 9, u64::from(number)).expect("sealed");
    packet
}

#[test]
fn whoever_sends_more_than_it_may_is_told_then_cut_and_what_is_forged_counts_for_nobody() {
    let mut engine = engine();
    add(&mut engine, ROOM, PeerId(1), "one");
    let (path, request) = check("one", 1_000);
    read(&mut engine, (path, request));
    tell(&mut engine, ROOM, RoomCommand::Allow { peer: PeerId(1), publish: Some(crate::base::Bitrate::kbps(400)) });
    std::iter::from_fn(|| engine.poll_event()).for_each(drop);
    let mut number = 0;
    let mut send = |engine: &mut Engine, seconds: std::ops::Range<u64>, kbps: u64, forged: bool| {
        let (apart, mut said) = (8_000_000 / kbps, Vec::new());
        for at in (seconds.start * 1_000_000..seconds.end * 1_000_000).step_by(apart as usize) {
            number += 1;
            let mut datagram = large(number, 1_000);
            if forged {
                datagram[999] ^= 1;
            }
            engine.handle_read(Time::from_micros(at), path, &mut datagram);
            said.extend(std::iter::from_fn(|| engine.poll_event()).filter_map(|event| match event {
                Event::Excess { track, ended, sent, .. } => Some((track, ended, sent.as_bps() / 100_000)),
                _ => None,
            }));
        }
        said
    };
    assert_eq!(send(&mut engine, 0..5, 400, false), [], "it keeps to it");
    assert_eq!(send(&mut engine, 5..7, 8_000, true), [], "whoever forges packets of its gets nobody cut");
    let said = send(&mut engine, 7..13, 1_000, false);
    assert!(matches!(said[..], [(TrackId(1), false, 5..=10), (TrackId(1), true, 8..=10), ..]), "{said:?}");
    let report = engine.report();
    assert_eq!(report.counters.get(Counter::ExcessTold), 1);
    let dropped = report.counters.get(Counter::DropUnpublished);
    assert_eq!(send(&mut engine, 13..14, 80, false), []);
    assert_eq!(engine.report().counters.get(Counter::DropUnpublished), dropped + 10, "nothing of that track goes any further");
    tell(&mut engine, ROOM, RoomCommand::Allow { peer: PeerId(1), publish: None });
    assert_eq!(send(&mut engine, 14..15, 8_000, false), [], "what is not bounded any more is not weighed");
}
