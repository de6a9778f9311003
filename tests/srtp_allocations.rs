//! Sealing and opening allocate nothing: not once a packet, not ever after the keys are expanded.

mod counting;

use althing::contract::SrtpProfile;
use althing::media::transport::{ReceiveStream, SrtcpReceiver, SrtcpSender, SrtpReceiver, SrtpSender};

const HEADER: usize = 12;
const PAYLOAD: usize = 1_200;
const PROFILES: [SrtpProfile; 3] = [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::AesCm128HmacSha1_80];

fn allocations(work: impl FnOnce()) -> u64 {
    let before = counting::allocated();
    work();
    counting::allocated() - before
}

#[test]
fn rtp_is_sealed_and_opened_without_allocating() {
    for profile in PROFILES {
        let (key, salt) = (&[1; 32][..profile.key_len()], &[2; 14][..profile.salt_len()]);
        let sender = SrtpSender::new(profile, key, salt).unwrap();
        let receiver = SrtpReceiver::new(profile, key, salt).unwrap();
        let payload = [7; PAYLOAD];
        let mut packet = [0x80; HEADER + PAYLOAD + 16];
        let mut stream = ReceiveStream::new();
        let count = allocations(|| {
            for index in 60_000..70_000u64 {
                let len = sender.seal_scatter(&mut packet, HEADER, &payload, 5, index).unwrap();
                let opened = receiver.open(&mut stream, &mut packet[..len], HEADER, index as u16, 5).unwrap();
                assert_eq!((opened.index, opened.payload_len), (index, PAYLOAD));
            }
        });
        assert_eq!(count, 0, "{profile:?}");
    }
}

#[test]
fn rtcp_is_sealed_and_opened_without_allocating_once_the_ssrc_is_known() {
    for profile in PROFILES {
        let (key, salt) = (&[1; 32][..profile.key_len()], &[2; 14][..profile.salt_len()]);
        let mut sender = SrtcpSender::new(profile, key, salt).unwrap();
        let mut receiver = SrtcpReceiver::new(profile, key, salt).unwrap();
        let mut exchange = || {
            let mut packet = [0x80; 100];
            let len = sender.seal_rtcp(&mut packet, 52).unwrap();
            assert_eq!(receiver.open_rtcp(&mut packet[..len]), Ok(52));
        };
        exchange();
        assert_eq!(allocations(|| (0..1_000).for_each(|_| exchange())), 0, "{profile:?}");
    }
}
