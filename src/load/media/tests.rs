use super::*;
use crate::media::packet::rtp::RtpHeader;
use crate::media::packet::{ext, opus, starts_key_frame, vp8};

fn video(text: &str) -> Schedule {
    Schedule::new(Source::Video { shape: text.parse().expect("a shape"), random: Random::new(1) }, Time::from_millis(1_000))
}

fn drafts(schedule: &mut Schedule, until: Time, key: bool) -> Vec<Draft> {
    let mut out = Vec::new();
    while schedule.due() < until {
        schedule.take(schedule.due(), key, &mut out);
    }
    out
}

#[test]
fn a_video_has_its_rate_its_frames_and_small_packets() {
    let mut schedule = video("1500k@30");
    let out = drafts(&mut schedule, Time::from_millis(11_000), false);
    let bits: usize = out.iter().map(|d| (d.payload + RTP_HEADER) * 8).sum();
    assert!((14_400_000..15_600_000).contains(&bits), "{bits} bits in 10 s");
    assert_eq!(out.iter().filter(|d| d.marker).count(), 300);
    assert_eq!(out.iter().filter(|d| d.start).count(), 300);
    assert!(out.iter().all(|d| d.payload + RTP_HEADER <= VIDEO_PACKET));
    assert_eq!(out.iter().filter(|d| d.start).map(|d| d.timestamp).take(3).collect::<Vec<_>>(), [0, 3_000, 6_000]);
}

#[test]
fn a_key_frame_is_several_times_as_large() {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    video("1500k@30").take(Time::from_millis(1_000), false, &mut small);
    video("1500k@30").take(Time::from_millis(1_000), true, &mut large);
    let bytes = |drafts: &[Draft]| drafts.iter().map(|d| d.payload).sum::<usize>();
    assert!(bytes(&large) > 3 * bytes(&small) && large.iter().all(|d| d.key));
}

#[test]
fn a_publisher_that_slept_does_not_send_what_it_missed() {
    let mut schedule = video("100k@10");
    let mut out = Vec::new();
    schedule.take(Time::from_millis(61_000), false, &mut out);
    schedule.take(Time::from_millis(61_000), false, &mut out);
    assert_eq!(out.iter().filter(|d| d.start).count(), 1);
    assert_eq!(schedule.due(), Time::from_millis(61_100));
}

#[test]
fn written_packets_are_what_a_server_reads() {
    let mut composer = Composer::new(MediaKind::Video, 77, &mut Random::new(3));
    let mut out = Vec::new();
    video("1500k@30").take(Time::from_millis(1_000), true, &mut out);
    let mut buffer = [0; MOST_PACKET];
    let mut pictures = Vec::new();
    for (number, draft) in (0..).zip(&out) {
        let stamp = Stamp { stream: 1, number, sent: 5 };
        let written = composer.write(9, draft, &stamp, &mut buffer).expect("it fits");
        let packet = &buffer[..written.header + written.payload];
        let header = RtpHeader::parse(packet).expect("a header");
        assert_eq!((header.ssrc, header.payload_type, header.marker, header.header_len), (77, VP8, draft.marker, RTP_HEADER));
        assert_eq!(u64::from(header.sequence), written.index);
        let payload = &packet[header.header_len..];
        assert_eq!(starts_key_frame(crate::contract::Codec::Vp8, payload), number == 0);
        assert_eq!(Stamp::read(9, payload), Some(stamp));
        pictures.push(vp8::Descriptor::parse(payload).expect("a descriptor").picture_id.expect("an id").value);
    }
    assert!(pictures.len() > 10 && pictures.iter().all(|p| *p == pictures[0]), "one picture, one id");
}

#[test]
fn sound_is_fifty_packets_a_second_with_a_level() {
    let pattern = "1/1".parse().expect("a pattern");
    let mut schedule = Schedule::new(Source::Audio { pattern, publisher: 0 }, Time::ZERO);
    let out = drafts(&mut schedule, Time::from_millis(2_000), false);
    assert_eq!(out.len(), 100);
    assert_eq!(out.iter().filter(|d| d.level.is_some_and(|l| l.voice && l.level < 50)).count(), 50);
    let mut composer = Composer::new(MediaKind::Audio, 5, &mut Random::new(3));
    let mut buffer = [0; MOST_PACKET];
    for draft in &out {
        let written = composer.write(1, draft, &Stamp { stream: 0, number: 0, sent: 0 }, &mut buffer).expect("it fits");
        let packet = &buffer[..written.header + written.payload];
        let header = RtpHeader::parse(packet).expect("a header");
        let block = header.extension.expect("an extension");
        let element = ext::elements(block.form, &packet[block.start..block.end]).next().expect("an element");
        let level = ext::AudioLevel::read(&packet[block.start + element.start..block.start + element.end]);
        assert_eq!((element.id, level), (LEVEL_ID, draft.level));
        assert_eq!(opus::frame_samples_48k(&packet[header.header_len..]), Some(960));
    }
}

#[test]
fn a_trace_keeps_its_gaps_sizes_and_frames_and_begins_again() {
    let trace = Arc::new(Trace::read("0 1000 0 video\n100 500 1 video\n20000 60 0 audio\n40000 700 1 video\n").expect("a trace"));
    let source = Source::Trace { trace: trace.clone(), kind: MediaKind::Video, at: 0, turn: 0, frame: (true, 0) };
    let mut schedule = Schedule::new(source, Time::ZERO);
    let (mut times, mut out) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        times.push(schedule.due().as_micros());
        schedule.take(schedule.due(), false, &mut out);
    }
    assert_eq!(times, [0, 100, 40_000, trace.length]);
    assert_eq!(out.iter().map(|d| d.payload).collect::<Vec<_>>(), [988, 488, 688, 988]);
    assert_eq!(
        out.iter().map(|d| (d.start, d.marker, d.key)).collect::<Vec<_>>(),
        [(true, false, true), (false, true, false), (true, true, false), (true, false, false)]
    );
    assert_eq!(out.iter().map(|d| d.timestamp).collect::<Vec<_>>(), [0, 0, 3_600, (trace.length * 90 / 1_000) as u32]);
}
