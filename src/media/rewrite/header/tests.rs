use super::*;
use crate::contract::plan::ShortToken;
use ::bytes::Bytes;
use proptest::prelude::*;
use rtc_rtp::header::Header;
use rtc_shared::marshal::Unmarshal;
use std::collections::BTreeMap;

fn map(two_byte_allowed: bool, ids: &[(Extension, u8)]) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    map.two_byte_allowed = two_byte_allowed;
    for (kind, id) in ids {
        map.set(*kind, *id);
    }
    map
}

/// A packet with these elements and a payload of one byte.
fn packet(form: ExtensionForm, elements: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 2_048];
    bytes[..12].copy_from_slice(&[0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    let mut block = ExtensionWriter::new(&mut bytes[12..], form);
    for (id, value) in elements {
        assert!(block.add(*id, value));
    }
    let len = block.finish().unwrap();
    bytes.truncate(12 + len);
    bytes.push(0xaa);
    bytes
}

fn read(packet: &[u8], map: &ExtensionMap) -> SourceExtensions {
    SourceExtensions::read(&RtpHeader::parse(packet).unwrap(), map, packet)
}

const FIELDS: OutFields<'static> = OutFields {
    marker: true,
    payload_type: 111,
    sequence: 0x0102,
    timestamp: 0x0304_0506,
    ssrc: 0x0708_090a,
    csrc: None,
    transport_cc: None,
    abs_send_time: None,
    mid: false,
    dependency: None,
};

/// What a subscriber finds: the extension kinds by its own map.
fn found(header: &[u8], target: &ExtensionMap) -> BTreeMap<String, Vec<u8>> {
    let parsed = RtpHeader::parse(header).unwrap();
    assert_eq!(parsed.header_len, header.len());
    let read = SourceExtensions::read(&parsed, target, header);
    Extension::ALL.into_iter().filter_map(|kind| Some((format!("{kind:?}"), read.get(kind, header)?.to_vec()))).collect()
}

#[test]
fn a_header_without_extensions_is_twelve_bytes() {
    let rewrite = HeaderRewrite::compile(&ExtensionMap::default(), None);
    let mut out = [0xff; 64];
    let len = rewrite.write(&[], &SourceExtensions::default(), &mut out, &FIELDS);
    assert_eq!(len, Some(12));
    assert_eq!(out[..12], [0x80, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(out[12..], [0xff; 52]);
}

#[test]
fn ids_are_translated_and_values_are_kept() {
    let source = map(false, &[(Extension::AudioLevel, 1), (Extension::Mid, 4), (Extension::AbsCaptureTime, 9)]);
    let target = map(false, &[(Extension::AudioLevel, 6), (Extension::Mid, 2), (Extension::AbsCaptureTime, 3)]);
    let packet = packet(ExtensionForm::OneByte, &[(4, b"source"), (1, &[0x85]), (9, &[1, 2, 3, 4, 5, 6, 7, 8])]);
    let rewrite = HeaderRewrite::compile(&target, ShortToken::new("slot"));
    let mut out = [0; 64];
    let len = rewrite.write(&packet, &read(&packet, &source), &mut out, &OutFields { mid: true, csrc: Some(99), ..FIELDS }).unwrap();
    let header = Header::unmarshal(&mut Bytes::copy_from_slice(&out[..len])).unwrap();
    assert_eq!((header.csrc.clone(), header.ssrc, header.padding), (vec![99], FIELDS.ssrc, false));
    assert_eq!(header.get_extension_ids(), [2, 6, 3]);
    assert_eq!(header.get_extension(2).unwrap(), b"slot"[..]);
    assert_eq!(header.get_extension(6).unwrap(), [0x85][..]);
    assert_eq!(header.get_extension(3).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8][..]);
}

#[test]
fn what_belongs_to_the_source_alone_is_never_carried_over() {
    let own = [Extension::Mid, Extension::RtpStreamId, Extension::RepairedRtpStreamId, Extension::TransportCc, Extension::AbsSendTime];
    let ids: Vec<_> = own.into_iter().zip(1..).collect();
    let both = map(true, &ids);
    let packet = packet(ExtensionForm::OneByte, &[(1, b"0"), (2, b"h"), (3, b"h"), (4, &[1, 2]), (5, &[1, 2, 3])]);
    let rewrite = HeaderRewrite::compile(&both, ShortToken::new("7"));
    let mut out = [0; 64];
    assert_eq!(rewrite.write(&packet, &read(&packet, &both), &mut out, &FIELDS), Some(12));
    let fields = OutFields { mid: true, transport_cc: Some(0x0a0b), abs_send_time: Some(0x0c_0d0e), ..FIELDS };
    let len = rewrite.write(&packet, &read(&packet, &both), &mut out, &fields).unwrap();
    let expected = [("Mid", b"7".to_vec()), ("TransportCc", vec![0x0a, 0x0b]), ("AbsSendTime", vec![0x0c, 0x0d, 0x0e])];
    assert_eq!(found(&out[..len], &both), expected.into_iter().map(|(kind, value)| (kind.to_owned(), value)).collect());
}

#[test]
fn an_extension_that_the_subscriber_did_not_negotiate_is_left_out() {
    let source = map(false, &[(Extension::VideoOrientation, 1), (Extension::PlayoutDelay, 2)]);
    let target = map(false, &[(Extension::PlayoutDelay, 5)]);
    let packet = packet(ExtensionForm::OneByte, &[(1, &[3]), (2, &[1, 2, 3])]);
    let fields = OutFields { mid: true, transport_cc: Some(1), abs_send_time: Some(2), ..FIELDS };
    let mut out = [0; 64];
    let len = HeaderRewrite::compile(&target, ShortToken::new("0")).write(&packet, &read(&packet, &source), &mut out, &fields).unwrap();
    assert_eq!(found(&out[..len], &target), [("PlayoutDelay".to_owned(), vec![1, 2, 3])].into());
}

#[test]
fn a_long_value_takes_the_two_byte_form_where_it_is_agreed_and_stays_out_where_it_is_not() {
    let source = map(true, &[(Extension::DependencyDescriptor, 20), (Extension::VideoOrientation, 3)]);
    let long = [7; 40];
    let packet = packet(ExtensionForm::TwoByte, &[(20, &long), (3, &[1])]);
    let mut out = [0; 128];
    for agreed in [true, false] {
        let target = map(agreed, &[(Extension::DependencyDescriptor, 4), (Extension::VideoOrientation, 5)]);
        let len = HeaderRewrite::compile(&target, None).write(&packet, &read(&packet, &source), &mut out, &FIELDS).unwrap();
        let form = RtpHeader::parse(&out[..len]).unwrap().extension.unwrap().form;
        assert_eq!(form, if agreed { ExtensionForm::TwoByte } else { ExtensionForm::OneByte });
        let found = found(&out[..len], &target);
        assert_eq!(found.get("VideoOrientation"), Some(&vec![1]));
        assert_eq!(found.get("DependencyDescriptor"), agreed.then(|| long.to_vec()).as_ref());
    }
}

#[test]
fn the_two_byte_form_is_not_taken_without_need() {
    let both = map(true, &[(Extension::VideoOrientation, 3), (Extension::Mid, 15)]);
    let packet = packet(ExtensionForm::TwoByte, &[(3, &[1])]);
    let rewrite = HeaderRewrite::compile(&both, ShortToken::new("1"));
    let mut out = [0; 64];
    for (mid, form) in [(false, ExtensionForm::OneByte), (true, ExtensionForm::TwoByte)] {
        let len = rewrite.write(&packet, &read(&packet, &both), &mut out, &OutFields { mid, ..FIELDS }).unwrap();
        assert_eq!(RtpHeader::parse(&out[..len]).unwrap().extension.unwrap().form, form, "an id above 14 needs it");
        assert_eq!(found(&out[..len], &both).len(), 1 + usize::from(mid));
    }
}

#[test]
fn a_header_fits_wholly_or_not_at_all() {
    let both = map(true, &[(Extension::VideoOrientation, 3), (Extension::TransportCc, 4)]);
    let packet = packet(ExtensionForm::OneByte, &[(3, &[1])]);
    let rewrite = HeaderRewrite::compile(&both, None);
    let fields = OutFields { csrc: Some(1), transport_cc: Some(1), ..FIELDS };
    for room in 0..32 {
        let mut out = vec![0; room];
        let len = rewrite.write(&packet, &read(&packet, &both), &mut out, &fields);
        assert_eq!(len, (room >= 28).then_some(28), "{room}");
    }
}

#[test]
fn of_a_repeated_extension_the_first_counts() {
    let both = map(false, &[(Extension::VideoOrientation, 3)]);
    let packet = packet(ExtensionForm::OneByte, &[(3, &[1]), (3, &[2])]);
    assert_eq!(read(&packet, &both).get(Extension::VideoOrientation, &packet), Some(&[1][..]));
}

fn any_map() -> impl Strategy<Value = ExtensionMap> {
    (any::<bool>(), proptest::sample::subsequence((1..=30u8).collect::<Vec<_>>(), 11).prop_shuffle(), any::<[bool; 11]>()).prop_map(
        |(two_byte_allowed, ids, present)| {
            let kept = Extension::ALL.into_iter().zip(ids).zip(present).filter(|(_, present)| *present).map(|(entry, _)| entry);
            map(two_byte_allowed, &kept.collect::<Vec<_>>())
        },
    )
}

proptest! {
    #[test]
    fn a_subscriber_finds_exactly_what_it_may(
        (source, target) in (any_map(), any_map()),
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 11),
        (mid, transport_cc, abs_send_time, csrc) in any::<(bool, Option<u16>, Option<u32>, Option<u32>)>(),
    ) {
        let sent: Vec<_> = Extension::ALL.into_iter().zip(&values).filter_map(|(kind, value)| Some((kind, source.id(kind)?, &value[..]))).collect();
        let packet = packet(ExtensionForm::TwoByte, &sent.iter().map(|(_, id, value)| (*id, *value)).collect::<Vec<_>>());
        let extensions = if sent.is_empty() { SourceExtensions::default() } else { read(&packet, &source) };
        let rewrite = HeaderRewrite::compile(&target, ShortToken::new("mid"));
        let mut out = vec![0; rewrite.max_len(&extensions)];
        let fields = OutFields { mid, transport_cc, abs_send_time, csrc, ..FIELDS };
        let len = rewrite.write(&packet, &extensions, &mut out, &fields);
        prop_assert!(len.is_some());
        let len = len.unwrap();

        let mut expected = BTreeMap::new();
        let mut expect = |kind: Extension, value: &[u8]| {
            if target.id(kind).is_some_and(|id| target.two_byte_allowed || ExtensionForm::OneByte.holds(id, value.len())) {
                expected.insert(format!("{kind:?}"), value.to_vec());
            }
        };
        for (kind, _, value) in sent.iter().filter(|(kind, _, _)| CARRIED.contains(kind)) {
            expect(*kind, value);
        }
        if mid { expect(Extension::Mid, b"mid") }
        if let Some(n) = transport_cc { expect(Extension::TransportCc, &n.to_be_bytes()) }
        if let Some(n) = abs_send_time { expect(Extension::AbsSendTime, &n.to_be_bytes()[1..]) }
        prop_assert_eq!(found(&out[..len], &target), expected);
        let header = RtpHeader::parse(&out[..len]).unwrap();
        prop_assert_eq!((header.marker, header.payload_type, header.sequence, header.timestamp, header.ssrc), (true, 111, 0x0102, 0x0304_0506, 0x0708_090a));
    }

    #[test]
    fn any_packet_is_read_without_panic(packet in proptest::collection::vec(any::<u8>(), 14..200), source in any_map()) {
        let mut packet = packet;
        packet[0] = packet[0] & 0x1f | 0x90;
        let profile = if packet[1] & 1 == 0 { [0xbe, 0xde] } else { [0x10, 0x00] };
        packet[12..14].copy_from_slice(&profile);
        if let Ok(header) = RtpHeader::parse(&packet) {
            let read = SourceExtensions::read(&header, &source, &packet);
            for kind in Extension::ALL {
                prop_assert!(read.get(kind, &packet).is_none_or(|value| value.len() <= packet.len()));
            }
            let mut out = [0; 2_048];
            prop_assert!(HeaderRewrite::compile(&source, None).write(&packet, &read, &mut out, &FIELDS).is_some());
        }
    }
}

proptest! {
    #[test]
    fn the_usual_header_is_the_same_by_both_ways(
        own in proptest::collection::vec(0u8..17, 3), ids in proptest::collection::vec(0u8..17, CARRIED.len()),
        values in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), CARRIED.len()),
        mid in any::<bool>(), csrc in any::<Option<u32>>(), numbers in any::<(Option<u16>, Option<u32>)>(), two_byte_allowed in any::<bool>(),
    ) {
        let mut source = map(true, &[]);
        // One that is nobody's, so that there is a block at all.
        let mut elements: Vec<(u8, &[u8])> = vec![(14, &[1])];
        for (place, (kind, (present, value))) in CARRIED.into_iter().zip(&values).enumerate() {
            let id = place as u8 + 1;
            source.set(kind, id);
            if *present {
                elements.push((id, value.as_slice()));
            }
        }
        let packet = packet(ExtensionForm::TwoByte, &elements);
        let extensions = read(&packet, &source);
        let mut target = map(two_byte_allowed, &[]);
        for (kind, id) in [Extension::Mid, Extension::TransportCc, Extension::AbsSendTime].into_iter().zip(own).chain(CARRIED.into_iter().zip(ids)) {
            if id > 0 {
                target.set(kind, id);
            }
        }
        let rewrite = HeaderRewrite::compile(&target, ShortToken::new("a-mid"));
        let fields = OutFields { mid, csrc, transport_cc: numbers.0, abs_send_time: numbers.1.map(|t| t & 0xff_ffff), ..FIELDS };
        let (mut short, mut any) = ([0; 400], [0; 400]);
        let any_len = rewrite.write_any(&packet, &extensions, &mut any, &fields).unwrap();
        if let Some(len) = rewrite.write_short(&packet, &extensions, &mut short, &fields) {
            prop_assert_eq!(&short[..len], &any[..any_len]);
        } else {
            // Only what is unusual is left to the long way.
            let unusual = |kind: Extension, len: usize| target.id(kind).is_some_and(|id| !ExtensionForm::OneByte.holds(id, len));
            let missing = (numbers.0.is_none() && target.id(Extension::TransportCc).is_some()) || (numbers.1.is_none() && target.id(Extension::AbsSendTime).is_some());
            let own_unusual = (mid && unusual(Extension::Mid, 5)) || unusual(Extension::TransportCc, 2) || unusual(Extension::AbsSendTime, 3);
            let carried_unusual = CARRIED.into_iter().zip(&values).any(|(kind, (present, value))| *present && unusual(kind, value.len()));
            prop_assert!(missing || own_unusual || carried_unusual);
        }
    }
}
