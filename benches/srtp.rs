//! SRTP alone: sealing from a shared payload, and opening in place. Prints a JSON line a case.

mod cpu;

use althing::contract::SrtpProfile;
use althing::media::transport::{ReceiveStream, SrtpReceiver, SrtpSender};

const HEADER: usize = 20;
const SSRC: u32 = 77;

fn main() {
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::AesCm128HmacSha1_80] {
        for bytes in [120, 1_200] {
            let (key, salt) = (vec![7; profile.key_len()], vec![9; profile.salt_len()]);
            let sender = SrtpSender::new(profile, &key, &salt).expect("keys");
            let receiver = SrtpReceiver::new(profile, &key, &salt).expect("keys");
            let plain = vec![0x42; bytes - HEADER];
            let mut packet = vec![0x90; bytes + 32];
            let seal = cpu::nanoseconds(20_000, |index| {
                std::hint::black_box(sender.seal_scatter(&mut packet, HEADER, &plain, SSRC, index));
            });
            // Opening consumes a packet: what sealing it costs is taken off again.
            let mut stream = ReceiveStream::new();
            let both = cpu::nanoseconds(20_000, |index| {
                let len = sender.seal_scatter(&mut packet, HEADER, &plain, SSRC, index).expect("sealed");
                std::hint::black_box(receiver.open(&mut stream, &mut packet[..len], HEADER, index as u16, SSRC).expect("opened"));
            });
            println!(r#"{{"bench":"srtp","profile":"{}","bytes":{bytes},"seal_ns":{seal:.0},"open_ns":{:.0}}}"#, profile.name(), both - seal);
        }
    }
}
