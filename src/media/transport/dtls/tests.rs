#![allow(clippy::disallowed_methods, reason = "an epoch has to come from somewhere")]

mod peer;

use super::*;
use crate::contract::HashFunction;
use peer::{LibraryPeer, Side, converse, split_hellos};
use proptest::prelude::*;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile as Listed;

const GCM: Listed = Listed::Srtp_Aead_Aes_128_Gcm;
const GCM_256: Listed = Listed::Srtp_Aead_Aes_256_Gcm;
const SHA1_80: Listed = Listed::Srtp_Aes128_Cm_Hmac_Sha1_80;
const SHA1_32: Listed = Listed::Srtp_Aes128_Cm_Hmac_Sha1_32;

fn identity() -> DtlsIdentity {
    DtlsIdentity::generate().unwrap()
}

fn ours(role: DtlsRole, expected: Fingerprint) -> DtlsTransport {
    DtlsTransport::new(&identity(), role, expected, Instant::now())
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Everything reaches the other side as it was sent.
fn direct(_: u64, datagram: Vec<u8>) -> Vec<Vec<u8>> {
    vec![datagram]
}

/// Our server with a client of the library's, connected.
fn connected() -> (DtlsTransport, LibraryPeer, SrtpKeys) {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours(DtlsRole::Server, client.fingerprint());
    converse(&mut client, &mut server, direct, direct);
    let Some(DtlsEvent::Established(keys)) = server.poll_event() else { panic!("no handshake") };
    assert_eq!(server.poll_event(), None);
    (server, client, keys)
}

fn mirrored(keys: &SrtpKeys) -> SrtpKeys {
    SrtpKeys {
        profile: keys.profile,
        receive_key: keys.send_key.clone(),
        receive_salt: keys.send_salt.clone(),
        send_key: keys.receive_key.clone(),
        send_salt: keys.receive_salt.clone(),
    }
}

#[test]
fn our_server_and_a_client_agree_on_keys() {
    let (_, client, keys) = connected();
    assert_eq!(keys.profile, SrtpProfile::AeadAes128Gcm);
    assert_eq!((keys.send_key.len(), keys.send_salt.len()), (16, 12));
    assert_ne!(keys.send_key, keys.receive_key);
    assert_eq!(client.keys(), Some(mirrored(&keys)));
}

#[test]
fn our_client_and_a_server_agree_on_keys() {
    let profiles = [(GCM, SrtpProfile::AeadAes128Gcm), (GCM_256, SrtpProfile::AeadAes256Gcm), (SHA1_80, SrtpProfile::AesCm128HmacSha1_80)];
    for (listed, profile) in profiles {
        let mut server = LibraryPeer::server(&[listed]);
        let mut client = ours(DtlsRole::Client, server.fingerprint());
        converse(&mut client, &mut server, direct, direct);
        let Some(DtlsEvent::Established(keys)) = client.poll_event() else { panic!("no handshake") };
        assert_eq!(keys.profile, profile);
        assert_eq!(server.keys(), Some(mirrored(&keys)));
    }
}

#[test]
fn our_client_and_our_server_agree_on_gcm() {
    let (client_identity, server_identity) = (identity(), identity());
    let epoch = Instant::now();
    let mut client = DtlsTransport::new(&client_identity, DtlsRole::Client, server_identity.fingerprint(), epoch);
    let mut server = DtlsTransport::new(&server_identity, DtlsRole::Server, client_identity.fingerprint(), epoch);
    converse(&mut client, &mut server, direct, direct);
    let (Some(DtlsEvent::Established(a)), Some(DtlsEvent::Established(b))) = (client.poll_event(), server.poll_event()) else { panic!() };
    assert_eq!((a.profile, &a), (SrtpProfile::AeadAes128Gcm, &mirrored(&b)));
    assert_eq!((client.poll_timeout(), server.poll_timeout()), (None, None));
}

#[test]
fn fingerprints_of_every_strong_hash_are_understood() {
    for hash in [HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512] {
        let mut client = LibraryPeer::client(&[GCM]);
        let mut server = ours(DtlsRole::Server, client.fingerprint_with(hash));
        converse(&mut client, &mut server, direct, direct);
        assert!(matches!(server.poll_event(), Some(DtlsEvent::Established(_))), "{hash:?}");
    }
}

#[test]
fn a_client_hello_in_pieces_reordered_and_partly_lost_still_gets_gcm() {
    for parts in [1, 2, 20] {
        for reversed in [false, true] {
            for lost in [None, Some(0), Some(parts / 2), Some(parts - 1)] {
                let mut client = LibraryPeer::client(&[SHA1_80, GCM]);
                let mut server = ours(DtlsRole::Server, client.fingerprint());
                let mut hellos = 0;
                let in_pieces = |_, datagram: Vec<u8>| {
                    let mut pieces = split_hellos(&datagram, parts);
                    if pieces.len() == parts {
                        hellos += 1;
                        if let Some(lost) = lost.filter(|_| hellos <= 2) {
                            pieces.remove(lost);
                        }
                        if reversed {
                            pieces.reverse();
                        }
                    }
                    pieces
                };
                converse(&mut client, &mut server, in_pieces, direct);
                let event = server.poll_event();
                assert!(
                    matches!(&event, Some(DtlsEvent::Established(keys)) if keys.profile == SrtpProfile::AeadAes128Gcm),
                    "{parts} {reversed} {lost:?}: {event:?}"
                );
            }
        }
    }
}

#[test]
fn the_profile_does_not_follow_the_clients_order() {
    let cases: [(&[Listed], Option<SrtpProfile>); 9] = [
        (&[SHA1_80, GCM], Some(SrtpProfile::AeadAes128Gcm)),
        (&[GCM, SHA1_80], Some(SrtpProfile::AeadAes128Gcm)),
        (&[GCM_256, SHA1_80, GCM], Some(SrtpProfile::AeadAes128Gcm)),
        (&[SHA1_80, GCM_256], Some(SrtpProfile::AeadAes256Gcm)),
        (&[GCM_256], Some(SrtpProfile::AeadAes256Gcm)),
        (&[SHA1_32, SHA1_80], Some(SrtpProfile::AesCm128HmacSha1_80)),
        (&[SHA1_80], Some(SrtpProfile::AesCm128HmacSha1_80)),
        (&[SHA1_32], None),
        (&[], None),
    ];
    for (listed, expected) in cases {
        let mut client = LibraryPeer::client(listed);
        let mut server = ours(DtlsRole::Server, client.fingerprint());
        converse(&mut client, &mut server, direct, direct);
        match (server.poll_event(), expected) {
            (Some(DtlsEvent::Established(keys)), Some(profile)) => {
                assert_eq!((keys.profile, keys.send_key.len(), keys.send_salt.len()), (profile, profile.key_len(), profile.salt_len()));
                assert_eq!(client.keys(), Some(mirrored(&keys)));
            }
            (event, expected) => assert_eq!((event, expected), (Some(DtlsEvent::Failed), None), "{listed:?}"),
        }
    }
}

#[test]
fn a_client_that_lists_null_ciphers_alone_fails() {
    let mut client = LibraryPeer::client(&[SHA1_32]);
    let mut server = ours(DtlsRole::Server, client.fingerprint());
    let with_null = |_, mut datagram: Vec<u8>| {
        let listed = [0, 14, 0, 5, 0, 2, 0, 2, 0];
        let place = datagram.windows(9).position(|bytes| bytes == listed).expect("use_srtp");
        datagram[place + 7] = 5;
        vec![datagram]
    };
    converse(&mut client, &mut server, with_null, direct);
    assert_eq!(server.poll_event(), Some(DtlsEvent::Failed));
    assert!(server.association.is_none());
}

#[test]
fn a_wrong_fingerprint_fails_in_both_roles_and_gives_no_keys() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours(DtlsRole::Server, identity().fingerprint());
    converse(&mut client, &mut server, direct, direct);
    assert_eq!((server.poll_event(), server.poll_event()), (Some(DtlsEvent::Failed), None));
    assert!(client.failed && !client.done, "it was told by an alert");

    let mut library = LibraryPeer::server(&[GCM]);
    let mut client = ours(DtlsRole::Client, identity().fingerprint());
    converse(&mut client, &mut library, direct, direct);
    assert_eq!((client.poll_event(), client.poll_event()), (Some(DtlsEvent::Failed), None));
    assert!(!library.done);
}

#[test]
fn a_fingerprint_of_the_right_bytes_under_another_hash_is_wrong() {
    let mut client = LibraryPeer::client(&[GCM]);
    let expected = Fingerprint { hash: HashFunction::Sha512, ..client.fingerprint() };
    let mut server = ours(DtlsRole::Server, expected);
    converse(&mut client, &mut server, direct, direct);
    assert_eq!(server.poll_event(), Some(DtlsEvent::Failed));
}

#[test]
fn a_client_without_certificate_or_extended_master_secret_fails() {
    for mut client in [LibraryPeer::client_without_certificate(&[GCM]), LibraryPeer::client_without_extended_master_secret(&[GCM])] {
        let mut server = ours(DtlsRole::Server, identity().fingerprint());
        converse(&mut client, &mut server, direct, direct);
        assert_eq!((server.poll_event(), server.poll_event()), (Some(DtlsEvent::Failed), None));
    }
}

#[test]
fn handshakes_survive_heavy_loss_both_ways() {
    for seed in 1..=40u64 {
        let (client_identity, server_identity) = (identity(), identity());
        let epoch = Instant::now();
        let mut client = DtlsTransport::new(&client_identity, DtlsRole::Client, server_identity.fingerprint(), epoch);
        let mut server = DtlsTransport::new(&server_identity, DtlsRole::Server, client_identity.fingerprint(), epoch);
        let mut state = seed;
        let mut lose = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33 & 3 == 0
        };
        let mut lose_back = lose;
        lose_back();
        converse(&mut client, &mut server, |_, d| if lose() { vec![] } else { vec![d] }, |_, d| if lose_back() { vec![] } else { vec![d] });
        assert!(matches!(server.poll_event(), Some(DtlsEvent::Established(_))), "server, seed {seed}");
        assert!(matches!(client.poll_event(), Some(DtlsEvent::Established(_))), "client, seed {seed}");
    }
}

#[test]
fn our_last_flight_is_repeated_when_it_was_lost() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours(DtlsRole::Server, client.fingerprint());
    let mut lost = 0;
    converse(&mut client, &mut server, direct, |_, datagram| {
        // The last flight begins with ChangeCipherSpec.
        if datagram[0] == record::CHANGE_CIPHER_SPEC && lost < 3 {
            lost += 1;
            return vec![];
        }
        vec![datagram]
    });
    assert!(client.done && lost == 3);
    assert!(matches!(server.poll_event(), Some(DtlsEvent::Established(_))));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_handshake_that_never_ends_fails_after_thirty_seconds() {
    let mut client = ours(DtlsRole::Client, identity().fingerprint());
    assert_eq!(client.poll_timeout(), None);
    client.start(at(1_000));
    let mut sent = vec![];
    while let Some(when) = client.poll_timeout() {
        while client.poll_transmit().is_some() {
            sent.push(when);
        }
        client.handle_timeout(when);
    }
    assert_eq!((client.poll_event(), client.poll_event()), (Some(DtlsEvent::Failed), None));
    let first: Vec<Time> = sent.iter().take(5).copied().collect();
    assert_eq!(first, [1_250, 1_750, 2_750, 3_750, 4_750].map(at), "sent before each of these moments");
    assert_eq!(sent.len(), 32, "tried until time ran out");
    assert_eq!(client.handle_datagram(at(31_001), &[22; 50]), Err(DtlsError::NotOpen));

    let mut server = ours(DtlsRole::Server, identity().fingerprint());
    server.start(at(0));
    server.handle_timeout(at(29_999));
    assert_eq!(server.poll_event(), None);
    server.handle_timeout(at(30_000));
    assert_eq!(server.poll_event(), Some(DtlsEvent::Failed));
}

#[test]
fn the_peers_goodbye_is_an_event_and_ours_reaches_the_peer() {
    let (mut server, mut client, _) = connected();
    client.close(at(40_000));
    for datagram in client.transmits() {
        let _ = server.handle_datagram(at(40_000), &datagram);
    }
    assert_eq!((server.poll_event(), server.poll_event()), (Some(DtlsEvent::Closed), None));

    let (mut server, mut client, _) = connected();
    server.close(at(40_000));
    while let Some(datagram) = server.poll_transmit() {
        client.receive(at(40_000), &datagram);
    }
    assert!(client.closed);
    assert_eq!(server.poll_event(), None);
}

#[test]
fn application_data_is_not_accepted() {
    let (mut server, mut client, _) = connected();
    client.write(at(40_000), b"hello");
    let datagrams = client.transmits();
    assert_eq!(datagrams.len(), 1);
    assert_eq!(server.handle_datagram(at(40_000), &datagrams[0]), Err(DtlsError::ApplicationData));
    assert_eq!((server.poll_event(), server.poll_transmit()), (None, None));
}

#[test]
fn forged_alerts_do_not_end_an_established_connection() {
    let (mut server, mut client, _) = connected();
    for epoch in [0, 1] {
        for alert in [[1, 0], [2, 40]] {
            let mut forged = vec![record::ALERT, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 9, 9, 0, 2];
            forged.extend_from_slice(&alert);
            let _ = server.handle_datagram(at(40_000), &forged);
        }
    }
    assert_eq!(server.poll_event(), None);
    client.close(at(40_000));
    for datagram in client.transmits() {
        let _ = server.handle_datagram(at(40_001), &datagram);
    }
    assert_eq!(server.poll_event(), Some(DtlsEvent::Closed), "the real one does");
}

#[test]
fn what_a_peer_may_send_in_a_handshake_is_capped() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours(DtlsRole::Server, client.fingerprint());
    client.tick(at(0));
    for datagram in client.transmits() {
        server.handle_datagram(at(0), &datagram).unwrap();
    }
    // Fragments of messages to come, and records of the next epoch: the library keeps them all.
    let mut flood = vec![record::HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 3, 244];
    flood.extend_from_slice(&[11, 0, 3, 232, 0, 9, 0, 0, 0, 0, 3, 232]);
    flood.resize(13 + 1_012, 0xaa);
    let mut accepted = 0;
    for number in 1..=200u8 {
        flood[10] = number;
        flood[4] = number % 2;
        match server.handle_datagram(at(1), &flood) {
            Ok(()) => accepted += flood.len(),
            Err(error) => assert_eq!(error, DtlsError::TooMuch),
        }
    }
    assert!(accepted > MAX_HANDSHAKE_BYTES - 4_096 && accepted <= MAX_HANDSHAKE_BYTES);
    assert_eq!(server.handle_datagram(at(1), &flood), Err(DtlsError::TooMuch));
    server.handle_timeout(at(30_000));
    assert_eq!(server.poll_event(), Some(DtlsEvent::Failed));
}

#[test]
fn a_peer_that_sends_a_message_byte_by_byte_is_stopped_early() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours_with(&client);
    client.tick(at(0));
    server.handle_datagram(at(0), &client.transmits()[0]).unwrap();
    let mut accepted = 0;
    for offset in 0..2_000u16 {
        let mut piece = vec![record::HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 1];
        piece.extend_from_slice(&offset.to_be_bytes());
        piece.extend_from_slice(&[0, 13, 11, 0, 8, 0, 0, 1, 0]);
        piece.extend_from_slice(&offset.to_be_bytes());
        piece.extend_from_slice(&[0, 0, 1, 0xaa]);
        match server.handle_datagram(at(1), &piece) {
            Ok(()) => accepted += 1,
            Err(error) => assert_eq!(error, DtlsError::TooMuch),
        }
    }
    assert_eq!(accepted, MAX_FRAGMENTS);
}

#[test]
fn a_fragment_that_overruns_its_message_or_its_record_is_refused() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours_with(&client);
    client.tick(at(0));
    server.handle_datagram(at(0), &client.transmits()[0]).unwrap();
    for (total, offset, len) in [(10, 0, 11), (10, 8, 3), (255, 0, 255), (10, 0, 9)] {
        let mut record = vec![record::HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 22];
        record.extend_from_slice(&[11, 0, 0, total, 0, 1, 0, 0, offset, 0, 0, len]);
        record.resize(13 + 22, 0xaa);
        assert_eq!(server.handle_datagram(at(1), &record), Err(DtlsError::Malformed), "{total} {offset} {len}");
    }
}

#[test]
fn repeats_after_the_handshake_are_capped_and_so_are_our_answers() {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours(DtlsRole::Server, client.fingerprint());
    let mut last = vec![];
    converse(
        &mut client,
        &mut server,
        |_, d| {
            last = d.clone();
            vec![d]
        },
        direct,
    );
    assert!(matches!(server.poll_event(), Some(DtlsEvent::Established(_))));
    let (mut answered, mut refused) = (0, 0);
    let mut sequence = 100u8;
    for _ in 0..500 {
        // A plain record of the peer's flight with a new number: anyone can forge it.
        sequence = sequence.wrapping_add(1);
        let mut forged = vec![record::HANDSHAKE, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, sequence, sequence, 0, 76];
        forged.extend_from_slice(&[11, 0, 0, 64, 0, 2, 0, 0, 0, 0, 0, 64]);
        forged.resize(13 + 76, 1);
        refused += usize::from(server.handle_datagram(at(60_000), &forged) == Err(DtlsError::TooMuch));
        while server.poll_transmit().is_some() {
            answered += 1;
        }
    }
    assert!(answered <= 16, "{answered}");
    assert!(refused >= 500 - MAX_REPEATED_BYTES / 89 - 1, "{refused}");
    assert_eq!(server.poll_event(), None);
    assert!(!last.is_empty());
}

#[test]
fn a_client_hello_cut_anywhere_gets_no_answer() {
    let mut client = LibraryPeer::client(&[GCM]);
    client.tick(at(0));
    let hello = client.transmits().remove(0);
    for len in 0..hello.len() {
        let mut server = ours_with(&client);
        assert_eq!(server.handle_datagram(at(0), &hello[..len]), Err(DtlsError::Malformed), "{len}");
        assert_eq!((server.poll_transmit(), server.poll_event()), (None, None));
    }
}

fn ours_with(client: &LibraryPeer) -> DtlsTransport {
    DtlsTransport::new(client.identity(), DtlsRole::Server, client.fingerprint(), Instant::now())
}

#[test]
fn other_things_than_a_client_hello_begin_nothing() {
    let mut server = ours(DtlsRole::Server, identity().fingerprint());
    for kind in [20, 21, 22, 24] {
        let record = [kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40];
        assert_eq!(server.handle_datagram(at(0), &record), Err(DtlsError::Malformed), "{kind}");
    }
    assert!(server.association.is_none());
    assert_eq!((server.poll_event(), server.poll_transmit()), (None, None));
    let mut client = ours(DtlsRole::Client, identity().fingerprint());
    assert_eq!(client.handle_datagram(at(0), &[22; 30]), Err(DtlsError::NotOpen), "not begun");
}

#[test]
fn an_identity_goes_through_pem_and_has_one_fingerprint() {
    let first = identity();
    let again = DtlsIdentity::from_pem(&first.to_pem().unwrap()).unwrap();
    assert_eq!(again.fingerprint_sha256(), first.fingerprint_sha256());
    assert_eq!(first.fingerprint_sha256().len(), 32 * 3 - 1);
    assert!(first.fingerprint_sha256().chars().all(|c| matches!(c, '0'..='9' | 'A'..='F' | ':')));
    assert_ne!(identity().fingerprint_sha256(), first.fingerprint_sha256());
    assert!(matches!(DtlsIdentity::from_pem("nonsense"), Err(DtlsError::Identity)));
    assert!(!format!("{first:?}").contains("PRIVATE"));
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = DtlsTransport::new(&again, DtlsRole::Server, client.fingerprint(), Instant::now());
    converse(&mut client, &mut server, direct, direct);
    assert!(matches!(server.poll_event(), Some(DtlsEvent::Established(_))));
}

/// The datagrams that a client sends in a handshake, for mangling.
fn client_datagrams() -> Vec<Vec<u8>> {
    let mut client = LibraryPeer::client(&[GCM]);
    let mut server = ours_with(&client);
    let mut sent = vec![];
    converse(
        &mut client,
        &mut server,
        |_, d| {
            sent.push(d.clone());
            vec![d]
        },
        direct,
    );
    sent
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic_or_succeed(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..20)) {
        let mut client = LibraryPeer::client(&[GCM]);
        client.tick(at(0));
        let mut server = ours_with(&client);
        server.handle_datagram(at(0), &client.transmits()[0]).unwrap();
        for mut datagram in datagrams {
            // Half of them look like records.
            if datagram.len() > 13 && datagram[0] < 128 {
                datagram[0] = 20 + datagram[0] % 5;
                datagram[3] = 0;
                datagram[4] &= 1;
                let len = datagram.len() - 13;
                datagram[11..13].copy_from_slice(&(len as u16).to_be_bytes());
            }
            let _ = server.handle_datagram(at(1), &datagram);
        }
        prop_assert!(!matches!(server.poll_event(), Some(DtlsEvent::Established(_))));
        prop_assert!(server.outgoing.len() <= MAX_OUTGOING);
    }

    #[test]
    fn a_handshake_with_damaged_copies_of_its_datagrams_never_panics(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..=255, any::<bool>()), 1..12)) {
        let recorded = client_datagrams();
        let mut client = LibraryPeer::client(&[GCM]);
        let mut server = ours_with(&client);
        for (which, place, flip, cut) in damage {
            let mut datagram = recorded[which.index(recorded.len())].clone();
            let place = place.index(datagram.len());
            datagram[place] ^= flip;
            if cut {
                datagram.truncate(place);
            }
            client.tick(at(0));
            for good in client.transmits() {
                let _ = server.handle_datagram(at(0), &good);
                let _ = server.handle_datagram(at(0), &datagram);
            }
            while let Some(answer) = server.poll_transmit() {
                client.receive(at(0), &answer);
            }
        }
    }
}
