//! Rewriting alone: header, sequence number, picture id. Prints a JSON line a case.

mod cpu;

use std::hint::black_box;

use althing::contract::{Extension, ExtensionMap, Mid};
use althing::media::packet::rtp::RtpHeader;
use althing::media::rewrite::{HeaderRewrite, OutFields, PictureIds, PictureMap, SequenceMap, SourceExtensions};

const TIMES: u64 = 200_000;

fn map(ids: &[(Extension, u8)]) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    ids.iter().for_each(|(kind, id)| map.set(*kind, *id));
    map
}

fn print(what: &str, ns: f64) {
    println!(r#"{{"bench":"rewrite","what":"{what}","ns":{ns:.1}}}"#);
}

/// The result is needed, as far as the compiler knows.
fn keep<T>(value: T) {
    black_box(value);
}

fn main() {
    let ours = map(&[(Extension::Mid, 4), (Extension::TransportCc, 5), (Extension::AbsSendTime, 2), (Extension::AudioLevel, 1)]);
    let rewrite = HeaderRewrite::compile(&ours, Mid::new("3"));
    let theirs = map(&[(Extension::TransportCc, 3), (Extension::AudioLevel, 1)]);
    let video = [0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 0x31, 0, 1, 0, 0xAA];
    let audio = [0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 2, 0x31, 0, 1, 0x10, 20, 0, 0, 0, 0xAA];
    let mut out = [0; 1_500];
    for (what, packet, mid) in
        [("header, video", &video[..], false), ("header, video, with mid", &video, true), ("header, audio with level", &audio, false)]
    {
        let header = RtpHeader::parse(packet).expect("a header");
        let source = SourceExtensions::read(&header, &theirs, packet);
        let fields = |n: u64| OutFields {
            payload_type: 96,
            sequence: n as u16,
            timestamp: n as u32,
            ssrc: 7,
            transport_cc: Some(n as u16),
            abs_send_time: Some(n as u32 & 0xff_ffff),
            mid,
            ..OutFields::default()
        };
        print(what, cpu::nanoseconds(TIMES, |n| keep(rewrite.write(black_box(packet), &source, &mut out, &fields(n)))));
    }
    let mut sequence = SequenceMap::new(1);
    sequence.switch(0);
    print("sequence, in order", cpu::nanoseconds(TIMES, |n| keep(sequence.map(n))));
    let mut thinned = SequenceMap::new(1);
    thinned.switch(0);
    print("sequence, every second left out", cpu::nanoseconds(TIMES, |n| if n % 2 == 0 { keep(thinned.map(n)) } else { keep(thinned.skip(n)) }));
    let payload = [0x90, 0xe0, 0x81, 0xf4, 20, 0x00, 0x10];
    let ids = PictureIds { id: 0x1f4, id_at: 2, id_bits: 15, tl0: 20, tl0_at: 4, len: 6 };
    for (what, switched) in [("picture id, the same", false), ("picture id, another", true)] {
        let mut pictures = PictureMap::default();
        pictures.map(&PictureIds { id: 9, ..ids });
        if switched {
            pictures.switch();
        }
        pictures.map(&ids);
        let mut copy = payload;
        print(what, cpu::nanoseconds(TIMES, |_| keep(pictures.rewrite(&ids, black_box(&mut copy)))));
    }
}
