use super::super::keys::hex;
use super::*;
use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::option::srtp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [SrtpProfile; 3] = [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::AesCm128HmacSha1_80];
const KEY: [u8; 32] = *b"thirty-two bytes of a master key";
const SALT: [u8; 14] = *b"fourteen bytes";
const HEADER: usize = 12;

fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
    let (key, salt) = (&KEY[..profile.key_len()], &SALT[..profile.salt_len()]);
    (SrtpSender::new(profile, key, salt).unwrap(), SrtpReceiver::new(profile, key, salt).unwrap())
}

fn oracle(profile: SrtpProfile) -> Context {
    let other = match profile {
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let crypto = rtc_crypto::default_provider().unwrap();
    Context::new(&KEY[..profile.key_len()], &SALT[..profile.salt_len()], other, Some(srtp_replay_protection(1_024)), None, crypto.crypto()).unwrap()
}

fn header(seq: u16, ssrc: u32) -> [u8; HEADER] {
    let mut header = [0x80, 96, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&seq.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

fn sealed(sender: &SrtpSender, index: u64, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; HEADER + payload.len() + sender.overhead()];
    out[..HEADER].copy_from_slice(&header(index as u16, ssrc));
    let len = sender.seal_scatter(&mut out, HEADER, payload, ssrc, index).unwrap();
    assert_eq!(len, out.len());
    out
}

fn open(receiver: &SrtpReceiver, stream: &mut ReceiveStream, packet: &mut [u8]) -> Result<Opened, SrtpError> {
    let seq = u16::from_be_bytes([packet[2], packet[3]]);
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
    receiver.open(stream, packet, HEADER, seq, ssrc)
}

#[test]
fn srtp_packets_are_those_of_rfc_7714_section_16() {
    let plain = hex("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573");
    let sealed_128 =
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce";
    let sealed_256 =
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13";
    for (profile, cipher) in [(SrtpProfile::AeadAes128Gcm, hex(sealed_128)), (SrtpProfile::AeadAes256Gcm, hex(sealed_256))] {
        let sender = SrtpSender { keys: SessionKeys::of_rfc_7714(profile) };
        let mut out = vec![0; plain.len() + 16];
        out[..HEADER].copy_from_slice(&plain[..HEADER]);
        assert_eq!(sender.seal_scatter(&mut out, HEADER, &plain[HEADER..], 0x5501_a0b2, 0xf17b), Some(cipher.len()));
        assert_eq!(out, cipher, "{profile:?}");

        let receiver = SrtpReceiver { keys: SessionKeys::of_rfc_7714(profile) };
        assert_eq!(receiver.open_rtp((HEADER, 0x5501_a0b2, 0xf17b), 0, &mut out), Ok(plain.len() - HEADER));
        assert_eq!(out[..plain.len()], plain);
    }
}

#[test]
fn what_was_sealed_opens_to_the_same_payload_either_way() {
    for profile in PROFILES {
        let (sender, receiver) = pair(profile);
        for (index, len) in [(0, 0), (1, 1), (70_000, 1_200), (MAX_INDEX, 33)] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut packet = sealed(&sender, index, 7, &payload);
            let mut in_place = header(index as u16, 7).to_vec();
            in_place.extend_from_slice(&payload);
            in_place.resize(packet.len(), 0);
            assert_eq!(sender.seal_in_place(&mut in_place, HEADER, len, 7, index), Some(packet.len()));
            assert_eq!(in_place, packet);
            assert_eq!(receiver.open_rtp((HEADER, 7, index as u16), (index >> 16) as u32, &mut packet), Ok(len));
            assert_eq!(packet[HEADER..HEADER + len], payload);
        }
    }
}

#[test]
fn another_implementation_opens_what_we_seal_over_wraps_of_sequence_and_rollover() {
    for profile in PROFILES {
        let ((sender, _), mut other) = (pair(profile), oracle(profile));
        for index in (60_000..60_000 + 3 * 65_536).step_by(997) {
            let payload = [index as u8; 50];
            let opened = other.decrypt_rtp(&sealed(&sender, index, 9, &payload)).unwrap();
            assert_eq!(opened[HEADER..], payload, "{profile:?} {index}");
        }
    }
}

#[test]
fn we_open_what_another_implementation_seals_over_wraps_of_sequence_and_rollover() {
    for profile in PROFILES {
        let ((_, receiver), mut other) = (pair(profile), oracle(profile));
        let mut stream = ReceiveStream::new();
        for index in (30_000u64..30_000 + 3 * 65_536).step_by(997) {
            let mut plain = header(index as u16, 9).to_vec();
            plain.extend_from_slice(&[index as u8; 50]);
            let mut packet = other.encrypt_rtp(&plain).unwrap();
            assert_eq!(open(&receiver, &mut stream, &mut packet), Ok(Opened { index, payload_len: 50 }), "{profile:?}");
            assert_eq!(packet[..plain.len()], plain);
        }
        assert_eq!(stream.snapshot().unwrap().roc, 3);
    }
}

#[test]
fn a_packet_with_any_bit_changed_is_refused_and_changes_nothing() {
    for profile in PROFILES {
        let (sender, receiver) = pair(profile);
        let packet = sealed(&sender, 5, 7, b"hello");
        let stream = ReceiveStream::new();
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut after = stream.clone();
            assert_eq!(open(&receiver, &mut after, &mut bad), Err(SrtpError::Authentication), "{profile:?} bit {bit}");
            assert_eq!(after, stream);
        }
    }
}

#[test]
fn a_replayed_packet_is_dropped() {
    for profile in PROFILES {
        let (sender, receiver) = pair(profile);
        let packet = sealed(&sender, 5, 7, b"hello");
        let mut stream = ReceiveStream::new();
        assert!(open(&receiver, &mut stream, &mut packet.clone()).is_ok());
        let before = stream.clone();
        assert_eq!(open(&receiver, &mut stream, &mut packet.clone()), Err(SrtpError::Replay));
        assert_eq!(stream, before);
    }
}

#[test]
fn packets_in_another_order_within_the_window_are_accepted_once_each() {
    let (sender, receiver) = pair(SrtpProfile::AeadAes128Gcm);
    let mut stream = ReceiveStream::new();
    let order = [65_535u64, 65_540, 65_536, 65_534, 66_500, 65_538];
    for index in order {
        assert_eq!(open(&receiver, &mut stream, &mut sealed(&sender, index, 7, b"x")).unwrap().index, index);
    }
    for index in order {
        assert_eq!(open(&receiver, &mut stream, &mut sealed(&sender, index, 7, b"x")), Err(SrtpError::Replay));
    }
}

#[test]
fn a_packet_of_an_old_rollover_counter_is_refused() {
    for profile in PROFILES {
        let (sender, receiver) = pair(profile);
        let mut stream = ReceiveStream::new();
        for index in [100, 30_000, 60_000, 90_000, 120_000] {
            open(&receiver, &mut stream, &mut sealed(&sender, index, 7, b"x")).unwrap();
        }
        let before = stream.clone();
        // Its sequence number lies ahead of the highest, so it is taken for a new packet, and its tag tells.
        assert_eq!(open(&receiver, &mut stream, &mut sealed(&sender, 55_000, 7, b"x")), Err(SrtpError::Authentication));
        assert_eq!(open(&receiver, &mut stream, &mut sealed(&sender, 60_000, 7, b"x")), Err(SrtpError::Authentication));
        assert_eq!(stream, before);
    }
}

#[test]
fn a_packet_cut_at_any_length_is_refused() {
    for profile in PROFILES {
        let (sender, receiver) = pair(profile);
        let packet = sealed(&sender, 5, 7, b"hello");
        for len in 0..packet.len() {
            let result = receiver.open(&mut ReceiveStream::new(), &mut packet.clone()[..len], HEADER, 5, 7);
            assert!(matches!(result, Err(SrtpError::Short | SrtpError::Authentication)), "{profile:?} {len}: {result:?}");
            assert_eq!(result == Err(SrtpError::Short), len < HEADER + sender.overhead());
        }
    }
}

#[test]
fn forged_packets_under_any_ssrc_leave_a_fresh_stream_fresh() {
    let (_, receiver) = pair(SrtpProfile::AeadAes128Gcm);
    for ssrc in 0..1_000u32 {
        let mut forged = header(ssrc as u16, ssrc).to_vec();
        forged.extend_from_slice(&[0xab; 100]);
        let mut stream = ReceiveStream::new();
        assert_eq!(open(&receiver, &mut stream, &mut forged), Err(SrtpError::Authentication));
        assert_eq!(stream, ReceiveStream::new());
    }
}

#[test]
fn sealing_refuses_a_small_buffer_and_a_used_up_key() {
    for profile in PROFILES {
        let (sender, _) = pair(profile);
        let full = HEADER + 20 + sender.overhead();
        for len in 0..full {
            assert_eq!(sender.seal_scatter(&mut vec![0; len], HEADER, &[1; 20], 7, 0), None);
            assert_eq!(sender.seal_in_place(&mut vec![0; len], HEADER, 20, 7, 0), None);
        }
        assert_eq!(sender.seal_scatter(&mut vec![0; full], HEADER, &[1; 20], 7, MAX_INDEX + 1), None);
        assert_eq!(sender.seal_in_place(&mut vec![0; full], HEADER, 20, 7, MAX_INDEX + 1), None);
        assert_eq!(sender.seal_in_place(&mut vec![0; full], usize::MAX, 20, 7, 0), None);
        assert_eq!(sender.seal_scatter(&mut vec![0; full], HEADER, &[1; 20], 7, MAX_INDEX), Some(full));
    }
}

proptest! {
    #[test]
    fn opening_arbitrary_bytes_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), header_len in 0usize..220, seq: u16, roc: u32) {
        for profile in PROFILES {
            let (_, receiver) = pair(profile);
            prop_assert!(receiver.open(&mut ReceiveStream::new(), &mut bytes, header_len, seq, 1).is_err());
            prop_assert!(receiver.open_rtp((header_len, 1, seq), roc, &mut bytes).is_err());
        }
    }

    #[test]
    fn both_implementations_agree_on_every_payload(payload in proptest::collection::vec(any::<u8>(), 0..300), seq in 0u16..32_768, ssrc: u32) {
        for profile in PROFILES {
            let (sender, receiver) = pair(profile);
            let mut packet = sealed(&sender, u64::from(seq), ssrc, &payload);
            let mut plain = header(seq, ssrc).to_vec();
            plain.extend_from_slice(&payload);
            prop_assert_eq!(&oracle(profile).encrypt_rtp(&plain).unwrap()[..], &packet[..]);
            prop_assert!(open(&receiver, &mut ReceiveStream::new(), &mut packet).is_ok());
            prop_assert_eq!(&packet[..plain.len()], &plain[..]);
        }
    }
}
