use super::*;
use ::bytes::Bytes;
use proptest::prelude::*;
use rtc_rtcp::extended_report::{DLRRReport, DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock};
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::packet::Packet;
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::source_description::SourceDescription;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};

const BLOCK: ReportBlock =
    ReportBlock { ssrc: 7, fraction_lost: 64, cumulative_lost: -3, highest: 0x1_0005, jitter: 90, last_sr: 0xabcd_0123, delay: 65_536 };
const INFO: SenderInfo = SenderInfo { ntp: Ntp(0x0102_0304_0506_0708), rtp_timestamp: 90_000, packets: 11, octets: 12_000 };

/// One of each packet that we write.
fn everything(out: &mut [u8]) -> Compound<'_> {
    let mut compound = Compound::new(out);
    assert!(compound.sender_report(1, INFO, &[BLOCK, ReportBlock { ssrc: 8, cumulative_lost: 5, ..BLOCK }]));
    assert!(compound.receiver_report(1, &[BLOCK]));
    assert!(compound.cname(1, "someone@example"));
    assert!(compound.nack(1, 2, &mut [65_530, 65_535, 3, 20, 21].into_iter()));
    assert!(compound.picture_loss(1, 2));
    assert!(compound.full_intra_request(1, 2, 9));
    assert!(compound.remb(1, Bitrate::kbps(2_500), &[2, 3]));
    assert!(compound.transport_feedback(1, 2, &[1, 2, 3, 4, 5]));
    assert!(compound.bye(&[1, 2, 3]));
    assert!(compound.extended_report_dlrr(1, &[(7, 0xabcd_0123, 65_536), (8, 0, 0)]));
    assert!(compound.extended_report_rrtr(1, INFO.ntp));
    compound
}

fn read(compound: &[u8]) -> Vec<Result<Rtcp<'_>, Malformed>> {
    packets(compound).collect()
}

fn theirs(bytes: &[u8]) -> Vec<Box<dyn Packet>> {
    rtc_rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(bytes)).unwrap()
}

fn delay(ssrc: u32, last_rr: u32, delay: u32) -> XrBlock {
    XrBlock::DelaySinceLastReceiverReport { ssrc, last_rr, delay }
}

/// The blocks of an extended report of SSRC 1 with these bytes, a multiple of four, as its blocks.
fn extended(blocks: &[u8]) -> Vec<XrBlock> {
    let bytes = [&[0x80, 207, 0, blocks.len() as u8 / 4 + 1, 0, 0, 0, 1], blocks].concat();
    let [Ok(Rtcp::ExtendedReport { ssrc: 1, blocks })] = &read(&bytes)[..] else { panic!("{bytes:?}") };
    blocks.clone().collect()
}

fn one<T: Packet + Clone + 'static>(bytes: &[u8]) -> T {
    let packets = theirs(bytes);
    assert_eq!(packets.len(), 1);
    packets[0].as_any().downcast_ref::<T>().unwrap().clone()
}

#[test]
fn what_is_written_is_read() {
    let mut out = [0xff; 512];
    let compound = everything(&mut out);
    let packets: Vec<_> = read(compound.as_slice()).into_iter().map(Result::unwrap).collect();
    assert_eq!(packets.len(), 11);
    let Rtcp::SenderReport { ssrc: 1, ntp: Ntp(0x0102_0304_0506_0708), rtp_timestamp: 90_000, packets: 11, octets: 12_000, blocks } =
        packets[0].clone()
    else {
        panic!("{:?}", packets[0]);
    };
    assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK, ReportBlock { ssrc: 8, cumulative_lost: 5, ..BLOCK }]);
    let Rtcp::ReceiverReport { ssrc: 1, blocks } = packets[1].clone() else { panic!("{:?}", packets[1]) };
    assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK]);
    assert_eq!(packets[2], Rtcp::SourceDescription);
    let Rtcp::Nack { sender: 1, media: 2, lost } = packets[3].clone() else { panic!("{:?}", packets[3]) };
    assert_eq!(lost.collect::<Vec<_>>(), [65_530, 65_535, 3, 20, 21]);
    assert_eq!(packets[4], Rtcp::PictureLoss { sender: 1, media: 2 });
    let Rtcp::FullIntraRequest { sender: 1, entries } = packets[5].clone() else { panic!("{:?}", packets[5]) };
    assert_eq!(entries.collect::<Vec<_>>(), [(2, 9)]);
    let Rtcp::Remb { sender: 1, bitrate, ssrcs } = packets[6].clone() else { panic!("{:?}", packets[6]) };
    assert_eq!((bitrate, ssrcs.collect::<Vec<_>>()), (Bitrate::bps(2_500_000), vec![2, 3]));
    assert_eq!(packets[7], Rtcp::TransportFeedback { sender: 1, media: 2, fci: &[1, 2, 3, 4, 5] });
    let Rtcp::Bye { ssrcs } = packets[8].clone() else { panic!("{:?}", packets[8]) };
    assert_eq!(ssrcs.collect::<Vec<_>>(), [1, 2, 3]);
    let Rtcp::ExtendedReport { ssrc: 1, blocks } = packets[9].clone() else { panic!("{:?}", packets[9]) };
    assert_eq!(blocks.collect::<Vec<_>>(), [delay(7, 0xabcd_0123, 65_536), delay(8, 0, 0)]);
    let Rtcp::ExtendedReport { ssrc: 1, blocks } = packets[10].clone() else { panic!("{:?}", packets[10]) };
    assert_eq!(blocks.collect::<Vec<_>>(), [XrBlock::ReceiverReferenceTime(INFO.ntp)]);
}

#[test]
fn a_compound_cut_anywhere_is_read_up_to_the_cut() {
    let mut out = [0; 512];
    let compound = everything(&mut out).as_slice().to_vec();
    let whole = read(&compound);
    for cut in 0..compound.len() {
        let (last, before) = match read(&compound[..cut]) {
            packets if packets.is_empty() => continue,
            mut packets => (packets.pop().unwrap(), packets),
        };
        assert_eq!(before, whole[..before.len()], "{cut}");
        assert!(last == Err(Malformed::Truncated) || last == whole[before.len()], "{cut}");
    }
}

#[test]
fn malformed_content_does_not_hide_the_next_packet() {
    // An RR that announces a block it does not have, then a PLI.
    let bytes = [0x81, 201, 0, 1, 0, 0, 0, 1, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(read(&bytes), [Err(Malformed::Truncated), Ok(Rtcp::PictureLoss { sender: 1, media: 2 })]);
}

#[test]
fn a_malformed_header_ends_the_compound() {
    let bytes = [0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(read(&bytes), [Err(Malformed::Version)]);
    assert_eq!(read(&[0x80]), [Err(Malformed::Truncated)]);
}

#[test]
fn impossible_padding_is_refused() {
    for padding in [0, 9, 255] {
        assert_eq!(read(&[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, padding]), [Err(Malformed::Padding)]);
    }
    assert_eq!(read(&[0xa0, 203, 0, 0]), [Err(Malformed::Padding)]);
    // Padding that eats the content leaves too little of it.
    assert_eq!(read(&[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4]), [Err(Malformed::Truncated)]);
}

#[test]
fn unknown_packets_and_formats_are_told_by_their_type() {
    assert_eq!(read(&[0x80, 208, 0, 1, 0, 0, 0, 1]), [Ok(Rtcp::Other { packet_type: 208 })]);
    assert_eq!(read(&[0x83, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]), [Ok(Rtcp::Other { packet_type: 205 })]);
    assert_eq!(read(&[0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, b'R', b'E', b'M', b'A']), [Ok(Rtcp::Other { packet_type: 206 })]);
}

#[test]
fn requests_without_entries_are_malformed() {
    assert_eq!(read(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]), [Err(Malformed::Truncated)]);
    assert_eq!(read(&[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]), [Err(Malformed::Truncated)]);
}

#[test]
fn an_absurd_estimate_saturates() {
    let bytes = [0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0xff, 0xff, 0xff];
    let [Ok(Rtcp::Remb { bitrate, .. })] = &read(&bytes)[..] else { panic!() };
    assert_eq!(*bitrate, Bitrate::bps(u64::MAX));
}

#[test]
fn what_does_not_fit_leaves_the_compound_as_it_was() {
    let mut reference = [0; 512];
    let whole = everything(&mut reference).as_slice().to_vec();
    for room in 0..whole.len() {
        let mut out = vec![0; room];
        let mut compound = Compound::new(&mut out);
        let fitted = [
            compound.sender_report(1, INFO, &[BLOCK]),
            compound.receiver_report(1, &[]),
            compound.cname(1, "x"),
            compound.nack(1, 2, &mut [3].into_iter()),
            compound.picture_loss(1, 2),
            compound.full_intra_request(1, 2, 3),
            compound.remb(1, Bitrate::bps(1), &[2]),
            compound.transport_feedback(1, 2, &[1]),
            compound.bye(&[1]),
            compound.extended_report_dlrr(1, &[(2, 3, 4)]),
            compound.extended_report_rrtr(1, INFO.ntp),
        ];
        assert!(compound.len() <= room);
        let packets = read(compound.as_slice());
        assert!(packets.iter().all(Result::is_ok), "{room}");
        // A NACK is written even when the buffer is then full and it cannot know that its iterator is at its end.
        let written = fitted.iter().filter(|f| **f).count();
        assert!(packets.len() == written || packets.len() == written + 1 && !fitted[3], "{room}");
    }
}

#[test]
fn counts_that_the_header_cannot_hold_are_refused() {
    let mut out = [0; 4_096];
    let mut compound = Compound::new(&mut out);
    assert!(!compound.receiver_report(1, &[BLOCK; 32]));
    assert!(!compound.bye(&[0; 32]));
    assert!(!compound.remb(1, Bitrate::bps(1), &[0; 256]));
    assert!(!compound.cname(1, &"n".repeat(256)));
    assert!(!compound.extended_report_dlrr(1, &[(0, 0, 0); 21_846]));
    assert!(compound.is_empty());
    assert!(compound.receiver_report(1, &[BLOCK; 31]) && compound.bye(&[0; 31]) && compound.cname(1, &"n".repeat(255)));
    assert!(read(compound.as_slice()).iter().all(Result::is_ok));
}

#[test]
fn a_nack_without_numbers_writes_nothing() {
    let mut out = [0; 64];
    let mut compound = Compound::new(&mut out);
    assert!(compound.nack(1, 2, &mut std::iter::empty()));
    assert!(compound.is_empty());
}

#[test]
fn delays_of_nobody_write_nothing() {
    let mut out = [0; 64];
    let mut compound = Compound::new(&mut out);
    assert!(compound.extended_report_dlrr(1, &[]));
    assert!(compound.is_empty());
}

#[test]
fn blocks_of_other_types_are_passed_over() {
    // Loss run lengths of no chunks, two delays, a statistics summary's header, a time.
    let blocks = [
        &[1, 0, 0, 2, 0, 0, 0, 9, 0, 1, 0, 2][..],
        &[5, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12],
        &[6, 0xf0, 0, 0],
        &[4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    assert_eq!(extended(&blocks.concat()), [delay(7, 8, 9), delay(10, 11, 12), XrBlock::ReceiverReferenceTime(INFO.ntp)]);
    assert_eq!(extended(&[]), []);
}

#[test]
fn a_block_of_an_impossible_length_says_nothing() {
    let time = [4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    let after = |block: &[u8]| extended(&[block, &time[..]].concat());
    // A time of one word and of three, delays that end within a sub-block.
    assert_eq!(after(&[4, 0, 0, 1, 1, 2, 3, 4]), [XrBlock::ReceiverReferenceTime(INFO.ntp)]);
    assert_eq!(after(&[4, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]), [XrBlock::ReceiverReferenceTime(INFO.ntp)]);
    assert_eq!(after(&[5, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]), [XrBlock::ReceiverReferenceTime(INFO.ntp)]);
    // One that announces more than there is hides what would follow.
    assert_eq!(after(&[9, 0, 0, 4]), []);
}

#[test]
fn an_extended_report_without_its_sender_is_malformed() {
    assert_eq!(read(&[0x80, 207, 0, 0]), [Err(Malformed::Truncated)]);
}

#[test]
fn numbers_that_do_not_fit_stay_for_the_next_nack() {
    let wanted: Vec<u16> = (0..100).map(|n| 65_000_u16.wrapping_add(n * 20)).collect();
    let mut rest = wanted.iter().copied();
    let mut got = Vec::new();
    for turn in 0.. {
        let mut out = [0; 12 + 4 * 30];
        let mut compound = Compound::new(&mut out);
        let done = compound.nack(1, 2, &mut rest);
        for packet in packets(compound.as_slice()) {
            let Ok(Rtcp::Nack { lost, .. }) = packet else { panic!() };
            got.extend(lost);
        }
        assert_eq!(done, turn == 3);
        if done {
            break;
        }
    }
    assert_eq!(got, wanted);
}

#[test]
fn a_cname_always_ends_with_a_zero() {
    for len in 0..12 {
        let mut out = [0xff; 32];
        let mut compound = Compound::new(&mut out);
        let name = "n".repeat(len);
        assert!(compound.cname(5, &name));
        assert_eq!(compound.as_slice().last(), Some(&0));
        let theirs: SourceDescription = one(compound.as_slice());
        assert_eq!((theirs.chunks[0].source, theirs.chunks.len()), (5, 1));
        assert_eq!(theirs.chunks[0].items[0].text, name.as_bytes());
    }
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<(u32, u8, u32, u32, u32, u32)>(), -0x80_0000..0x80_0000).prop_map(
        |((ssrc, fraction_lost, highest, jitter, last_sr, delay), cumulative_lost)| ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost,
            highest,
            jitter,
            last_sr,
            delay,
        },
    )
}

fn as_theirs(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc,
        fraction_lost: block.fraction_lost,
        total_lost: block.cumulative_lost as u32 & 0xff_ffff,
        last_sequence_number: block.highest,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        exhaust(&bytes);
    }

    #[test]
    fn any_change_to_a_compound_is_read_without_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut out = [0; 512];
        let mut bytes = everything(&mut out).as_slice().to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        exhaust(&bytes);
    }

    #[test]
    fn reports_are_read_alike_by_another_implementation(
        (ssrc, ntp, rtp_timestamp, packets, octets) in any::<(u32, u64, u32, u32, u32)>(),
        blocks in proptest::collection::vec(block(), 0..32),
    ) {
        let mut out = [0; 1_024];
        let mut compound = Compound::new(&mut out);
        let info = SenderInfo { ntp: Ntp(ntp), rtp_timestamp, packets, octets };
        prop_assert!(compound.sender_report(ssrc, info, &blocks));
        let theirs: rtc_rtcp::sender_report::SenderReport = one(compound.as_slice());
        prop_assert_eq!((theirs.ssrc, theirs.ntp_time, theirs.rtp_time), (ssrc, ntp, rtp_timestamp));
        prop_assert_eq!((theirs.packet_count, theirs.octet_count), (packets, octets));
        prop_assert_eq!(&theirs.reports, &blocks.iter().map(as_theirs).collect::<Vec<_>>());

        let bytes = rtc_rtcp::packet::marshal(&[Box::new(theirs.clone())]).unwrap();
        prop_assert_eq!(&bytes[..], compound.as_slice());

        let report = rtc_rtcp::receiver_report::ReceiverReport { ssrc, reports: theirs.reports, profile_extensions: Bytes::new() };
        let bytes = rtc_rtcp::packet::marshal(&[Box::new(report)]).unwrap();
        let [Ok(Rtcp::ReceiverReport { ssrc: read_ssrc, blocks: read_blocks })] = &read(&bytes)[..] else { panic!() };
        prop_assert_eq!((*read_ssrc, read_blocks.clone().collect::<Vec<_>>()), (ssrc, blocks));
    }

    #[test]
    fn nacks_are_read_alike_by_another_implementation(start in any::<u16>(), steps in proptest::collection::vec(1u16..40, 1..80)) {
        let mut sequence = start;
        let wanted: Vec<u16> = steps.into_iter().map(|step| { sequence = sequence.wrapping_add(step); sequence }).collect();
        let mut out = [0; 512];
        let mut compound = Compound::new(&mut out);
        prop_assert!(compound.nack(1, 2, &mut wanted.iter().copied()));
        let ours: TransportLayerNack = one(compound.as_slice());
        prop_assert_eq!((ours.sender_ssrc, ours.media_ssrc), (1, 2));
        prop_assert_eq!(ours.nacks.iter().flat_map(|pair| pair.packet_list()).collect::<Vec<_>>(), wanted.clone());

        let theirs = TransportLayerNack { sender_ssrc: 3, media_ssrc: 4, nacks: nack_pairs_from_sequence_numbers(&wanted) };
        let bytes = rtc_rtcp::packet::marshal(&[Box::new(theirs)]).unwrap();
        let [Ok(Rtcp::Nack { sender: 3, media: 4, lost })] = &read(&bytes)[..] else { panic!() };
        prop_assert_eq!(lost.clone().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn requests_are_read_alike_by_another_implementation((sender, media, number) in any::<(u32, u32, u8)>(), ssrcs in proptest::collection::vec(any::<u32>(), 1..31)) {
        let mut out = [0; 256];
        let mut compound = Compound::new(&mut out);
        prop_assert!(compound.picture_loss(sender, media) && compound.full_intra_request(sender, media, number) && compound.bye(&ssrcs));
        let packets = theirs(compound.as_slice());
        let pli = packets[0].as_any().downcast_ref::<PictureLossIndication>().unwrap();
        prop_assert_eq!((pli.sender_ssrc, pli.media_ssrc), (sender, media));
        let fir = packets[1].as_any().downcast_ref::<FullIntraRequest>().unwrap();
        prop_assert_eq!(&fir.fir, &vec![FirEntry { ssrc: media, sequence_number: number }]);
        let bye = packets[2].as_any().downcast_ref::<Goodbye>().unwrap();
        prop_assert_eq!(&bye.sources, &ssrcs);

        let fir = FullIntraRequest { sender_ssrc: sender, media_ssrc: 0, fir: ssrcs.iter().map(|ssrc| FirEntry { ssrc: *ssrc, sequence_number: number }).collect() };
        let bye = Goodbye { sources: ssrcs.clone(), reason: Bytes::from_static(b"done") };
        let bytes = rtc_rtcp::packet::marshal(&[Box::new(fir), Box::new(bye)]).unwrap();
        let [Ok(Rtcp::FullIntraRequest { entries, .. }), Ok(Rtcp::Bye { ssrcs: left })] = &read(&bytes)[..] else { panic!() };
        prop_assert_eq!(entries.clone().collect::<Vec<_>>(), ssrcs.iter().map(|ssrc| (*ssrc, number)).collect::<Vec<_>>());
        prop_assert_eq!(left.clone().collect::<Vec<_>>(), ssrcs);
    }

    #[test]
    fn extended_reports_are_read_alike_by_another_implementation(
        (ssrc, ntp) in any::<(u32, u64)>(),
        delays in proptest::collection::vec(any::<(u32, u32, u32)>(), 1..40),
    ) {
        let mut out = [0; 1_024];
        let mut compound = Compound::new(&mut out);
        prop_assert!(compound.extended_report_dlrr(ssrc, &delays) && compound.extended_report_rrtr(ssrc, Ntp(ntp)));
        let list = DLRRReportBlock { reports: delays.iter().map(|&(ssrc, last_rr, dlrr)| DLRRReport { ssrc, last_rr, dlrr }).collect() };
        let time = ReceiverReferenceTimeReportBlock { ntp_timestamp: ntp };
        let alone = |block: Box<dyn Packet>| ExtendedReport { sender_ssrc: ssrc, reports: vec![block] };
        let packets = theirs(compound.as_slice());
        prop_assert_eq!(packets.len(), 2);
        prop_assert!(packets[0].equal(&alone(Box::new(list.clone()))));
        prop_assert!(packets[1].equal(&alone(Box::new(time.clone()))));

        let report = ExtendedReport { sender_ssrc: ssrc, reports: vec![Box::new(time), Box::new(list)] };
        let bytes = rtc_rtcp::packet::marshal(&[Box::new(report)]).unwrap();
        let [Ok(Rtcp::ExtendedReport { ssrc: read_ssrc, blocks })] = &read(&bytes)[..] else { panic!() };
        let mut expected = vec![XrBlock::ReceiverReferenceTime(Ntp(ntp))];
        expected.extend(delays.iter().map(|&(ssrc, last_rr, since)| delay(ssrc, last_rr, since)));
        prop_assert_eq!((*read_ssrc, blocks.clone().collect::<Vec<_>>()), (ssrc, expected));
    }

    #[test]
    fn estimates_keep_eighteen_bits(bps in any::<u64>(), shift in 0u32..64) {
        let bps = bps >> shift;
        let mut out = [0; 64];
        let mut compound = Compound::new(&mut out);
        prop_assert!(compound.remb(1, Bitrate::bps(bps), &[2]));
        let [Ok(Rtcp::Remb { bitrate, .. })] = &read(compound.as_slice())[..] else { panic!() };
        prop_assert!(bitrate.as_bps() <= bps && bps - bitrate.as_bps() <= bps >> 17);
        let theirs: ReceiverEstimatedMaximumBitrate = one(compound.as_slice());
        // The other implementation reads a mantissa of 0 as 2^23.
        prop_assert_eq!(theirs.bitrate, if bps == 0 { 8_388_608.0 } else { bitrate.as_bps() as f32 });
        prop_assert_eq!(theirs.ssrcs, vec![2]);
    }
}

/// Takes everything that a reader could take.
fn exhaust(bytes: &[u8]) {
    for packet in packets(bytes).flatten() {
        match packet {
            Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => assert!(blocks.count() <= MAX_COUNT),
            Rtcp::Nack { lost, .. } => assert!(lost.count() <= bytes.len() * 17),
            Rtcp::FullIntraRequest { entries, .. } => assert!(entries.count() <= bytes.len()),
            Rtcp::ExtendedReport { blocks, .. } => assert!(blocks.count() <= bytes.len()),
            Rtcp::Remb { ssrcs, .. } | Rtcp::Bye { ssrcs } => assert!(ssrcs.count() <= 255),
            _ => {}
        }
    }
}
