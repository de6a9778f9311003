use super::super::keys::hex;
use super::*;
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [SrtpProfile; 3] = [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::AesCm128HmacSha1_80];
const KEY: [u8; 32] = *b"thirty-two bytes of a master key";
const SALT: [u8; 14] = *b"fourteen bytes";

fn pair(profile: SrtpProfile) -> (SrtcpSender, SrtcpReceiver) {
    let (key, salt) = (&KEY[..profile.key_len()], &SALT[..profile.salt_len()]);
    (SrtcpSender::new(profile, key, salt).unwrap(), SrtcpReceiver::new(profile, key, salt).unwrap())
}

fn oracle(profile: SrtpProfile) -> Context {
    let other = match profile {
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let crypto = rtc_crypto::default_provider().unwrap();
    Context::new(&KEY[..profile.key_len()], &SALT[..profile.salt_len()], other, None, None, crypto.crypto()).unwrap()
}

/// An empty receiver report followed by a picture loss indication.
fn compound(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    packet
}

fn sealed(sender: &mut SrtcpSender, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + sender.overhead(), 0);
    assert_eq!(sender.seal_rtcp(&mut buffer, plain.len()), Some(buffer.len()));
    buffer
}

#[test]
fn srtcp_packets_are_those_of_rfc_7714_section_17() {
    let plain = hex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    let sealed_128 = "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4";
    let sealed_256 = "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4";
    for (profile, cipher) in [(SrtpProfile::AeadAes128Gcm, hex(sealed_128)), (SrtpProfile::AeadAes256Gcm, hex(sealed_256))] {
        let mut sender = SrtcpSender { keys: SessionKeys::of_rfc_7714(profile), next: 0x5d4 };
        let mut packet = sealed(&mut sender, &plain);
        assert_eq!(packet, cipher, "{profile:?}");
        let mut receiver = SrtcpReceiver { keys: SessionKeys::of_rfc_7714(profile), senders: Vec::new(), accepted: 0 };
        assert_eq!(receiver.open_rtcp(&mut packet), Ok(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }
}

#[test]
fn another_implementation_opens_what_we_seal() {
    for profile in PROFILES {
        let ((mut sender, _), mut other) = (pair(profile), oracle(profile));
        for ssrc in [1, 2, 1, 0xffff_ffff, 1] {
            assert_eq!(other.decrypt_rtcp(&sealed(&mut sender, &compound(ssrc))).unwrap()[..], compound(ssrc), "{profile:?}");
        }
    }
}

#[test]
fn we_open_what_another_implementation_seals() {
    for profile in PROFILES {
        let ((_, mut receiver), mut other) = (pair(profile), oracle(profile));
        for ssrc in [1, 2, 1, 0xffff_ffff, 1] {
            let plain = compound(ssrc);
            let mut packet = other.encrypt_rtcp(&plain).unwrap();
            assert_eq!(receiver.open_rtcp(&mut packet), Ok(plain.len()), "{profile:?}");
            assert_eq!(packet[..plain.len()], plain);
        }
        assert_eq!(receiver.senders(), 3);
    }
}

#[test]
fn a_replayed_compound_is_dropped_and_a_late_one_is_not() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packets: Vec<Vec<u8>> = (0..130).map(|_| sealed(&mut sender, &compound(7))).collect();
        for late in [1, 3, 2, 129] {
            assert!(receiver.open_rtcp(&mut packets[late].clone()).is_ok());
            assert_eq!(receiver.open_rtcp(&mut packets[late].clone()), Err(SrtpError::Replay));
        }
        assert_eq!(receiver.open_rtcp(&mut packets[0].clone()), Err(SrtpError::Replay), "behind the window of 128");
        assert!(receiver.open_rtcp(&mut packets[4].clone()).is_ok());
    }
}

#[test]
fn a_compound_with_any_bit_changed_is_refused_and_stores_nothing() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = sealed(&mut sender, &compound(7));
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(receiver.open_rtcp(&mut bad), Err(SrtpError::Authentication), "{profile:?} bit {bit}");
        }
        assert_eq!(receiver.senders(), 0);
        assert!(receiver.open_rtcp(&mut packet.clone()).is_ok());
    }
}

#[test]
fn a_compound_that_is_not_encrypted_is_refused() {
    // RFC 7714 section 17.3: authentic, with the E flag clear.
    let mut packet = hex(
        "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4",
    );
    let mut receiver = SrtcpReceiver { keys: SessionKeys::of_rfc_7714(SrtpProfile::AeadAes128Gcm), senders: Vec::new(), accepted: 0 };
    assert_eq!(receiver.open_rtcp(&mut packet), Err(SrtpError::Authentication));
    assert_eq!(receiver.senders(), 0);
}

#[test]
fn a_compound_cut_at_any_length_is_refused() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = sealed(&mut sender, &compound(7));
        for len in 0..packet.len() {
            let result = receiver.open_rtcp(&mut packet.clone()[..len]);
            assert!(matches!(result, Err(SrtpError::Short | SrtpError::Authentication)), "{profile:?} {len}: {result:?}");
        }
        assert_eq!(receiver.senders(), 0);
    }
}

#[test]
fn more_senders_than_the_cap_push_out_the_longest_unused() {
    let (mut sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
    let first = sealed(&mut sender, &compound(0));
    let second = sealed(&mut sender, &compound(1));
    assert!(receiver.open_rtcp(&mut first.clone()).is_ok());
    for ssrc in 1..2 * MAX_SENDERS as u32 {
        assert!(receiver.open_rtcp(&mut sealed(&mut sender, &compound(ssrc))).is_ok());
        assert!(receiver.open_rtcp(&mut sealed(&mut sender, &compound(0))).is_ok(), "in use all the time");
        assert!(receiver.senders() <= MAX_SENDERS);
    }
    assert_eq!(receiver.open_rtcp(&mut first.clone()), Err(SrtpError::Replay));
    assert!(receiver.open_rtcp(&mut second.clone()).is_ok(), "forgotten, so taken for new");
}

#[test]
fn a_used_up_key_and_a_small_buffer_seal_nothing() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let plain = compound(7);
        for len in 0..plain.len() + sender.overhead() {
            assert_eq!(sender.seal_rtcp(&mut vec![0; len], plain.len()), None);
        }
        assert_eq!(sender.seal_rtcp(&mut [0; 64], 7), None, "shorter than the fixed header");
        assert_eq!(sender.next_index(), 0);
        sender.resume_at(E_FLAG - 1);
        assert!(receiver.open_rtcp(&mut sealed(&mut sender, &plain)).is_ok());
        assert_eq!(sender.seal_rtcp(&mut [0; 64], plain.len()), None);
    }
}

proptest! {
    #[test]
    fn opening_arbitrary_bytes_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        for profile in PROFILES {
            let (_, mut receiver) = pair(profile);
            prop_assert!(receiver.open_rtcp(&mut bytes).is_err());
            prop_assert_eq!(receiver.senders(), 0);
        }
    }
}
