//! Bad input at the engine's door: each is counted under its reason, exactly as often as it comes, nothing is sent back, and
//! what others say goes on unharmed.

#[path = "sim/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod client;
#[path = "sim/network.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod network;
#[path = "bad_input/storms.rs"]
mod storms;
#[path = "sim/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses all of it")]
mod world;

use std::time::Duration;

use althing::base::Time;
use althing::base::random::Random;
use althing::contract::{Counter, DtlsRole, MediaKind, SrtpProfile};
use althing::media::transport::{DtlsTransport, Path};
use client::{Client, written};
use proptest::prelude::*;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_USE_CANDIDATE};
use world::{World, path};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const GCM_256: SrtpProfile = SrtpProfile::AeadAes256Gcm;
const SHA1: SrtpProfile = SrtpProfile::AesCm128HmacSha1_80;
/// Whoever misbehaves; 1 and 2 talk to each other meanwhile.
const BAD: usize = 0;
const STRANGER: usize = 77;
const AUDIO: usize = 0;
const VIDEO: usize = 1;

struct Door {
    world: World,
    profile: SrtpProfile,
}

impl Door {
    fn new(profile: SrtpProfile) -> Self {
        let mut world = World::new(1);
        for _ in 0..3 {
            world.join(2, profile);
        }
        world.connect_all();
        world.run(Duration::from_millis(500));
        // From here on, the one that misbehaves sends only what a test makes it send.
        world.clients[BAD].published.iter_mut().for_each(|p| p.active = false);
        world.clients[BAD].checks = false;
        world.run(Duration::from_millis(100));
        Self { world, profile }
    }

    fn bad(&mut self) -> &mut Client {
        &mut self.world.clients[BAD]
    }

    /// Which counters rise by a datagram, beside those of datagrams and bytes, and how many datagrams are sent.
    fn send(&mut self, from: Path, datagram: Vec<u8>) -> (Vec<(Counter, u64)>, u64) {
        let (before, sent, len) = (self.world.engines[0].report().counters, self.world.sent_back, datagram.len() as u64);
        self.world.inject(from, datagram);
        let after = self.world.engines[0].report().counters;
        let risen = |c: &Counter| after.get(*c) - before.get(*c);
        assert_eq!((risen(&Counter::DatagramsIn), risen(&Counter::BytesIn)), (1, len));
        let others = Counter::ALL.iter().filter(|c| !matches!(c, Counter::DatagramsIn | Counter::BytesIn));
        (others.filter(|c| risen(c) > 0).map(|c| (*c, risen(c))).collect(), self.world.sent_back - sent)
    }

    /// The datagram raises this counter by one, no other, and is not answered.
    fn refuses(&mut self, from: Path, datagram: Vec<u8>, why: Counter, what: &str) {
        assert_eq!(self.send(from, datagram), (vec![(why, 1)], 0), "{what}");
    }

    /// A stamped packet of the one that misbehaves, in the clear, and its number.
    fn stamped(&mut self, index: usize) -> (Vec<u8>, Vec<u8>, u64) {
        let bad = self.bad();
        let number = bad.published[index].next;
        bad.published[index].next += 1;
        let (header, payload) = bad.stamped(index, number, true, true, true);
        (header, payload, number)
    }

    fn packet(&mut self, index: usize) -> Vec<u8> {
        self.bad().packet(index, true, true, true)
    }

    /// The others have heard and seen each other all the time, and go on doing so.
    fn others_are_unharmed(&mut self) {
        self.world.run(Duration::from_millis(500));
        for (subscriber, publisher) in [(1, 2), (2, 1)] {
            for (mline, kind, least) in [(4, MediaKind::Audio, 45), (5, MediaKind::Video, 80)] {
                let client = &self.world.clients[subscriber];
                let stamps = client.heard[&client.slot_ssrc(mline)].from(publisher);
                assert!(stamps.len() > least, "{} packets of {kind:?}", stamps.len());
                assert!(stamps.windows(2).all(|w| w[1].number == w[0].number + 1), "{kind:?} from {publisher} has a gap");
            }
        }
        // And the one that misbehaved is let in as soon as it behaves.
        let packet = self.packet(AUDIO);
        let (risen, _) = self.send(path(BAD), packet);
        assert_eq!(risen.first(), Some(&(Counter::RtpIn, 1)), "{:?}", self.profile);
    }
}

fn with_ssrc(mut header: Vec<u8>, ssrc: u32) -> Vec<u8> {
    header[8..12].copy_from_slice(&ssrc.to_be_bytes());
    header
}

#[test]
fn stun_with_a_username_of_ours_needs_the_right_password_and_the_right_peer() {
    let mut door = Door::new(GCM);
    let attributes: [(_, &[u8]); 2] = [(ATTR_ICE_CONTROLLING, &[7; 8]), (ATTR_USE_CANDIDATE, &[])];
    let bad = door.bad();
    let (user, password) = (bad.username(), bad.ice.local_pwd.clone());
    let (ours, _) = user.split_once(':').expect("two halves");
    let cases = [
        (user.clone(), None, Counter::StunBadIntegrity),
        (user.clone(), Some("not-the-password-of-anybody"), Counter::StunBadIntegrity),
        ("nobody:client0".to_owned(), Some(password.as_str()), Counter::StunUnknownUser),
        (format!("{ours}:nobody"), Some(password.as_str()), Counter::StunUnknownUser),
        (format!("{ours}:client1"), Some(password.as_str()), Counter::StunUnknownUser),
        ("server1:client1".to_owned(), Some(password.as_str()), Counter::StunBadIntegrity),
    ];
    for from in [BAD, STRANGER] {
        for (user, password, why) in &cases {
            let check = door.bad().check_with(user, *password, &attributes);
            door.refuses(path(from), check, *why, user);
        }
    }
    door.others_are_unharmed();
    // No path was won by any of it.
    door.refuses(path(STRANGER), vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], Counter::DropUnvalidatedAddress, "from a stranger's address");
    let check = door.bad().check();
    assert_eq!(door.send(path(BAD), check), (vec![(Counter::StunAnswered, 1)], 1));
}

#[test]
fn stun_is_refused_at_each_cut_and_with_each_byte_changed() {
    let mut door = Door::new(GCM);
    let check = door.bad().check();
    door.refuses(path(STRANGER), Vec::new(), Counter::DropUnknownProtocol, "nothing at all");
    for len in 1..check.len() {
        door.refuses(path(STRANGER), check[..len].to_vec(), Counter::StunMalformed, &format!("cut at {len}"));
    }
    // What follows the integrity (FINGERPRINT, 8 bytes) is not protected by it.
    for at in 0..check.len() - 8 {
        let mut changed = check.clone();
        changed[at] ^= 0x04;
        let (risen, sent) = door.send(path(STRANGER), changed);
        assert_eq!((risen.iter().map(|(_, n)| n).sum::<u64>(), sent), (1, 0), "byte {at}: {risen:?}");
        let fair = [
            Counter::StunMalformed,
            Counter::StunBadIntegrity,
            Counter::StunUnknownUser,
            Counter::DropUnvalidatedAddress,
            Counter::DropUnknownProtocol,
        ];
        assert!(fair.contains(&risen[0].0), "byte {at}: {risen:?}");
    }
    door.others_are_unharmed();
}

#[test]
fn a_client_hello_is_answered_on_a_validated_path_only() {
    let mut world = World::new(2);
    let server = world.identity.fingerprint();
    let client = Client::new(0, 2, GCM).with_handshake(DtlsRole::Server, server.clone(), world.epoch, None);
    world.add(client, 1);
    let mut hello = DtlsTransport::new(&world.identity, DtlsRole::Client, server, world.epoch);
    hello.start(Time::ZERO);
    let hello = hello.poll_transmit().expect("a ClientHello").to_vec();
    let before = world.sent_back;
    for from in [0, STRANGER] {
        world.inject(path(from), hello.clone());
    }
    assert_eq!((world.count(Counter::DropUnvalidatedAddress), world.sent_back), (2, before), "no check has come from there");
    world.inject(path(0), world.clients[0].check());
    let before = world.sent_back;
    world.inject(path(STRANGER), hello.clone());
    assert_eq!((world.count(Counter::DropUnvalidatedAddress), world.sent_back), (3, before));
    world.inject(path(0), hello);
    assert!(world.sent_back > before);
}

#[test]
fn dtls_where_none_is_due_is_dropped() {
    let mut door = Door::new(GCM);
    for kind in 20..=63 {
        let mut record = vec![kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3];
        door.refuses(path(BAD), record.clone(), Counter::DropDtls, "keys are agreed by other means");
        record.truncate(5);
        door.refuses(path(STRANGER), record, Counter::DropUnvalidatedAddress, "from a stranger's address");
    }
    door.others_are_unharmed();
}

#[test]
fn srtp_that_is_forged_replayed_or_from_elsewhere_is_dropped() {
    for profile in [GCM, GCM_256, SHA1] {
        let mut door = Door::new(profile);
        for index in [AUDIO, VIDEO] {
            let good = door.packet(index);
            for at in [12, 28, good.len() / 2, good.len() - 1] {
                let mut forged = good.clone();
                forged[at] ^= 1;
                // A changed extension header may not even be one.
                let (risen, sent) = door.send(path(BAD), forged);
                assert!(matches!(risen[..], [(Counter::DropAuthentication | Counter::DropMalformed, 1)]) && sent == 0, "byte {at}: {risen:?}");
            }
            door.refuses(path(1), good.clone(), Counter::DropAuthentication, "from another peer's address");
            door.refuses(path(STRANGER), good.clone(), Counter::DropUnvalidatedAddress, "from an address that nobody has validated");
            let (risen, sent) = door.send(path(BAD), good.clone());
            assert_eq!((risen, sent), (vec![(Counter::RtpIn, 1), (Counter::RtpForwarded, 2)], 2), "the first to come is good");
            for _ in 0..3 {
                door.refuses(path(BAD), good.clone(), Counter::DropReplay, "the second is not");
            }
        }
        door.others_are_unharmed();
    }
}

#[test]
fn ssrcs_that_nobody_announced_leave_nothing_behind() {
    let mut door = Door::new(GCM);
    let size = |door: &Door| door.world.engines[0].report().memory.caches;
    let before = size(&door);
    for n in 0..1_000u32 {
        let (header, payload, number) = door.stamped(AUDIO);
        let header = with_ssrc(header, 0x7000_0000 + n);
        // Forged: the tag is of other keys.
        let stranger = Client::new(9, 9, GCM);
        let forged = stranger.seal(&header, &payload, number & 0xFFFF);
        door.refuses(path(BAD), forged, Counter::DropAuthentication, "forged");
        // Authentic, but of no m-line: no MID, and a payload type that none has.
        let bare = [&[0x80, 50], &header[2..12]].concat();
        let unbound = door.bad().seal(&bare, &payload, number & 0xFFFF);
        door.refuses(path(BAD), unbound, Counter::DropUnknownSsrc, "unbound");
    }
    assert_eq!(size(&door), before);
    // So there is still room for as many as a peer may have: two are known.
    for n in 0..100u32 {
        let (header, payload, number) = door.stamped(AUDIO);
        let packet = door.bad().seal(&with_ssrc(header, 0x7100_0000 + n), &payload, number & 0xFFFF);
        let (risen, _) = door.send(path(BAD), packet);
        let expected = if n < 62 { Counter::RtpIn } else { Counter::DropSsrcCap };
        assert_eq!(risen.first(), Some(&(expected, 1)), "number {n}: {risen:?}");
    }
    door.others_are_unharmed();
}

#[test]
fn rtp_is_refused_at_each_cut() {
    for (profile, tag) in [(GCM, 16), (GCM_256, 16), (SHA1, 10)] {
        let mut door = Door::new(profile);
        let (header, payload, number) = door.stamped(AUDIO);
        let good = door.bad().seal(&header, &payload, number);
        for len in 0..good.len() {
            let why = match len {
                0..2 => Counter::DropUnknownProtocol,
                _ if len < header.len() + tag => Counter::DropMalformed,
                _ => Counter::DropAuthentication,
            };
            door.refuses(path(BAD), good[..len].to_vec(), why, &format!("cut at {len}"));
        }
        let (risen, _) = door.send(path(BAD), good);
        assert_eq!(risen[0], (Counter::RtpIn, 1), "whole it is good, after all of that");
        door.others_are_unharmed();
    }
}

#[test]
fn rtp_cut_at_each_length_before_it_was_sealed_is_authentic_and_does_no_harm() {
    for profile in [GCM, GCM_256, SHA1] {
        let mut door = Door::new(profile);
        for index in [AUDIO, VIDEO] {
            for len in 0..60 {
                let (header, payload, number) = door.stamped(index);
                let packet = door.bad().seal(&header, &payload[..len], number);
                let (risen, sent) = door.send(path(BAD), packet);
                assert_eq!(risen[0], (Counter::RtpIn, 1), "payload of {len} bytes");
                let empty = risen[1..] == [(Counter::DropPadding, 1)] && sent == 0;
                assert!(if len == 0 { empty } else { risen[1..] == [(Counter::RtpForwarded, 2)] }, "payload of {len} bytes: {risen:?}");
            }
            for padding in [0, 1, 30, 60, 61, 255] {
                let (mut header, mut payload, number) = door.stamped(index);
                header[0] |= 0x20;
                payload.truncate(60);
                payload[59] = padding;
                let packet = door.bad().seal(&header, &payload, number);
                let (risen, _) = door.send(path(BAD), packet);
                let expected = match padding {
                    0 | 61 | 255 => (Counter::DropMalformed, 1),
                    60 => (Counter::DropPadding, 1),
                    _ => (Counter::RtpForwarded, 2),
                };
                assert!(risen.contains(&(Counter::RtpIn, 1)) && risen.contains(&expected), "padding of {padding}: {risen:?}");
            }
        }
        // An RTX packet that is too short to say what it repairs, or repairs what is not missing.
        for len in [0, 1, 2, 3] {
            let (header, payload, _) = door.stamped(VIDEO);
            let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) + 8;
            let mut header = with_ssrc(header, ssrc);
            (header[1], header[2], header[3]) = (client::VP8_RTX, 0, 10 + len as u8);
            let packet = door.bad().seal(&header, &payload[..len], 10 + len as u64);
            assert_eq!(door.send(path(BAD), packet), (vec![(Counter::RtpIn, 1), (Counter::DropPadding, 1)], 0), "RTX of {len} bytes");
        }
        // A header whose extension goes beyond the packet, sealed by somebody who takes it for shorter.
        for len in 12..24 {
            let (header, payload, number) = door.stamped(AUDIO);
            let packet = door.bad().seal(&header[..len], &payload, number);
            let (risen, sent) = door.send(path(BAD), packet);
            assert!(
                matches!(risen[..], [(Counter::DropAuthentication | Counter::DropMalformed, 1)]) && sent == 0 || profile == SHA1,
                "header of {len}: {risen:?}"
            );
        }
        door.others_are_unharmed();
    }
}

#[test]
fn rtcp_is_refused_at_each_cut() {
    for (profile, overhead) in [(GCM, 20), (GCM_256, 20), (SHA1, 14)] {
        let mut door = Door::new(profile);
        let ssrc = door.bad().slot_ssrc(3);
        let good = door.bad().seal_rtcp(&written(|c| c.picture_loss(1, ssrc))).expect("keys");
        for len in 0..good.len() {
            let why = match len {
                0..2 => Counter::DropUnknownProtocol,
                _ if len < 8 + overhead => Counter::DropMalformed,
                _ => Counter::DropAuthentication,
            };
            let (risen, sent) = door.send(path(BAD), good[..len].to_vec());
            // Cut, the word of E flag and index is another one: it may be an index that has been.
            let replayed = risen == [(Counter::DropReplay, 1)];
            assert!((risen == [(why, 1)] || replayed) && sent == 0, "cut at {len}: {risen:?}");
        }
        door.refuses(path(1), good.clone(), Counter::DropAuthentication, "from another peer's address");
        door.refuses(path(STRANGER), good.clone(), Counter::DropUnvalidatedAddress, "from a stranger's address");
        assert_eq!(door.send(path(BAD), good.clone()).0, [(Counter::KeyFrameRequestIn, 1), (Counter::RtcpIn, 1)]);
        door.refuses(path(BAD), good, Counter::DropReplay, "a second time");
        door.others_are_unharmed();
    }
}

#[test]
fn rtcp_cut_at_each_length_before_it_was_sealed_is_authentic_and_malformed() {
    let mut door = Door::new(GCM);
    let ssrc = door.bad().slot_ssrc(3);
    let whole = written(|c| c.nack(1, ssrc, &mut [60_000u16, 60_100, 60_200].into_iter()) && c.picture_loss(1, ssrc) && c.cname(1, "somebody"));
    for len in 8..whole.len() {
        let compound = door.bad().seal_rtcp(&whole[..len]).expect("keys");
        let (risen, sent) = door.send(path(BAD), compound);
        assert!(risen.contains(&(Counter::RtcpIn, 1)) && sent == 0, "cut at {len}: {risen:?}");
        let malformed = risen.contains(&(Counter::DropMalformed, 1));
        assert!(malformed || len == 24 || len == 36, "only whole packets are well-formed, {len}: {risen:?}");
    }
    door.others_are_unharmed();
}

#[test]
fn garbage_in_an_authentic_compound_does_no_harm() {
    let mut door = Door::new(GCM);
    let mut random = Random::new(3);
    for packet_type in 192..=223 {
        for count in (0..32).step_by(5) {
            for words in 1..=7u8 {
                for claimed in [0, words - 1, words, words + 1, 255] {
                    let mut compound = vec![0x80 | count, packet_type, 0, claimed];
                    compound.extend((0..usize::from(words) * 4).map(|_| random.next_u32() as u8));
                    let sealed = door.bad().seal_rtcp(&compound).expect("keys");
                    let (risen, _) = door.send(path(BAD), sealed);
                    assert!(risen.contains(&(Counter::RtcpIn, 1)), "{risen:?}");
                }
            }
        }
    }
    door.others_are_unharmed();
}

#[test]
fn random_bytes_of_every_first_byte_are_counted_once_and_not_answered() {
    let mut door = Door::new(GCM);
    let mut random = Random::new(4);
    for first in 0..=255u8 {
        for len in [1, 2, 3, 8, 11, 12, 13, 20, 27, 28, 40, 100, 1_400] {
            for from in [BAD, STRANGER] {
                let mut datagram: Vec<u8> = (0..len).map(|_| random.next_u32() as u8).collect();
                datagram[0] = first;
                let (risen, sent) = door.send(path(from), datagram);
                assert!(matches!(risen[..], [(_, 1)]) && sent == 0, "first byte {first}, {len} bytes: {risen:?}");
            }
        }
    }
    door.others_are_unharmed();
}

/// What is done to good traffic.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Double(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        1 => any::<prop::sample::Index>().prop_map(Change::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Change::Append),
        1 => any::<prop::sample::Index>().prop_map(Change::Double),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Set(at, value) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            Change::Cut(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
            Change::Append(more) => bytes.extend(more),
            Change::Double(at) if !bytes.is_empty() => bytes.extend_from_within(at.index(bytes.len())..),
            Change::Set(..) | Change::Cut(_) | Change::Double(_) => {}
        }
    }
    bytes.truncate(1_400);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn changed_traffic_never_panics_and_never_harms_others(
        steps in proptest::collection::vec((0u8..7, any::<bool>(), proptest::collection::vec(change(), 1..6)), 1..150)
    ) {
        let mut door = Door::new(GCM);
        let slot = door.bad().slot_ssrc(3);
        for (what, before_sealing, changes) in steps {
            let datagram = match what {
                0 => changed(door.bad().check(), &changes),
                1 | 2 if before_sealing => {
                    let (header, payload, number) = door.stamped(usize::from(what - 1));
                    // The header stays long enough to be one; what it says is changed.
                    let mut header = changed(header, &changes);
                    header.resize(header.len().max(12), 0);
                    door.bad().seal(&header, &changed(payload, &changes), number)
                }
                1 | 2 => changed(door.packet(usize::from(what - 1)), &changes),
                3 => {
                    let (header, payload, _) = door.stamped(VIDEO);
                    door.bad().rtx(&header, &changed(payload, &changes))
                }
                _ => {
                    let compound = match what {
                        4 => written(|c| c.nack(1, slot, &mut (0..50u16).map(|n| n * 3))),
                        5 => written(|c| c.picture_loss(1, slot) && c.cname(1, "somebody")),
                        _ => written(|c| c.full_intra_request(1, slot, 3) && c.transport_feedback(1, slot, &[0, 1, 0, 2, 0, 0, 0, 0, 0x20, 2, 4, 4])),
                    };
                    let compound = if before_sealing { changed(compound, &changes) } else { compound };
                    let sealed = door.bad().seal_rtcp(&compound);
                    if before_sealing { sealed.unwrap_or_default() } else { changed(sealed.unwrap_or_default(), &changes) }
                }
            };
            let (_, _) = door.send(path(BAD), datagram);
            door.world.run(Duration::from_millis(1));
        }
        door.world.run(Duration::from_millis(200));
        for (subscriber, publisher) in [(1, 2), (2, 1)] {
            let client = &door.world.clients[subscriber];
            let stamps = client.heard[&client.slot_ssrc(4)].from(publisher);
            prop_assert!(stamps.len() > 30 && stamps.windows(2).all(|w| w[1].number == w[0].number + 1));
        }
    }
}
