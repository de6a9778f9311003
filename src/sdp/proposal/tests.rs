use proptest::prelude::*;

use super::*;
use crate::contract::{DtlsRole, ExtensionMap, MediaPlan, SecurityPlan};

const LIMITS: OfferLimits = OfferLimits { max_mlines: 3, max_bytes: 64 * 1024 };

fn local(port: u16) -> Local {
    Local {
        fingerprint_sha256: ["AB"; 32].join(":"),
        candidates: vec![format!("192.0.2.1:{port}").parse().expect("an address"), format!("[2001:db8::1]:{port}").parse().expect("an address")],
        tcp: true,
        cname: "althing".to_owned(),
        session_id: 7,
        data: None,
        publish: None,
    }
}

fn fresh(n: u64) -> Fresh {
    Fresh { ufrag: format!("ufrag{n}"), pwd: format!("password-password-{n:08}"), ssrc_seed: n }
}

fn source(kind: MediaKind, codecs: &[Codec]) -> ReceivePlan {
    let plan = |(n, codec): (u8, &Codec)| {
        let clock_rate = if codec.kind() == MediaKind::Audio { 48_000 } else { 90_000 };
        CodecPlan { payload_type: 100 + n, codec: *codec, clock_rate, rtx: None, feedback: Feedback::default() }
    };
    ReceivePlan {
        mline: 0,
        mid: Mid::new("x").expect("a mid"),
        kind,
        codecs: (0..).zip(codecs).map(plan).collect(),
        extensions: ExtensionMap::default(),
        ssrcs: Vec::new(),
        rids: Vec::new(),
        ssrc_encodings: false,
    }
}

const H264: Codec = Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 };

/// Sound and a picture that may be VP8 or H.264.
fn proposal() -> Proposal {
    let sources = [source(MediaKind::Video, &[Codec::Vp8, H264]), source(MediaKind::Audio, &[Codec::Red { primary: 111 }, Codec::Opus])];
    Proposal::new(local(5_000), fresh(1), &sources.iter().collect::<Vec<_>>()).expect("something to send")
}

/// What another node of ours answers.
fn answered(offer: &str) -> (String, MediaPlan) {
    let offer = Offer::parse(offer, &LIMITS).expect("an offer").one_way(super::super::offer::OneWay::Sent);
    let answer = Session::new(local(6_000)).answer(&offer, fresh(2)).expect("it is taken");
    (answer.sdp, answer.media)
}

fn agree(proposal: &Proposal, answer: &str) -> Result<Answer, AnswerError> {
    proposal.agree(&RemoteAnswer::parse(answer, &LIMITS)?)
}

#[test]
fn another_node_takes_what_is_proposed_and_both_mean_the_same() {
    let proposal = proposal();
    let offer = proposal.sdp();
    let (answer, theirs) = answered(&offer);
    assert!(answer.contains("a=ice-lite") && answer.contains("a=setup:passive"));
    let ours = agree(&proposal, &answer).expect("agreed");
    let transport = ours.transport.expect("a transport");
    assert!(matches!(transport.security, SecurityPlan::Dtls { role: DtlsRole::Client, .. }), "whoever answers passive is begun with");
    assert_eq!((&transport.ice.local_ufrag[..], &transport.ice.remote_ufrag[..]), ("ufrag1", "ufrag2"));
    assert_eq!((ours.media.send.len(), ours.media.receive.len(), theirs.receive.len()), (2, 0, 2));
    for (sent, received) in ours.media.send.iter().zip(&theirs.receive) {
        assert_eq!((sent.mid, sent.kind, sent.mline), (received.mid, received.kind, received.mline));
        assert_eq!(received.ssrcs, [(sent.ssrc, sent.rtx_ssrc)], "the SSRCs that were announced");
        let meaning = |codecs: &[CodecPlan]| codecs.iter().map(|c| (c.payload_type, c.codec, c.rtx)).collect::<Vec<_>>();
        assert_eq!(meaning(&sent.codecs), meaning(&received.codecs));
        assert_eq!(sent.extensions, received.extensions);
        assert!(sent.extensions.id(Extension::Mid).is_some() && sent.extensions.id(Extension::TransportCc).is_some());
        assert_eq!(sent.extensions.id(Extension::AudioLevel).is_some(), sent.kind == MediaKind::Audio);
    }
    let video = &ours.media.send[1].codecs;
    assert_eq!(video.iter().map(|c| c.codec).collect::<Vec<_>>(), [Codec::Vp8, H264], "as the publisher prefers them");
    assert!(video.iter().all(|c| c.rtx.is_some() && c.feedback.nack && c.feedback.pli && c.feedback.transport_cc));
    assert_eq!(ours.media.send[0].codecs.iter().map(|c| c.codec).collect::<Vec<_>>(), [Codec::Opus], "what is in RED goes out as Opus");
}

#[test]
fn every_codec_is_written_as_it_is_read() {
    let profiles = [
        H264Profile::ConstrainedBaseline,
        H264Profile::Baseline,
        H264Profile::Main,
        H264Profile::ConstrainedHigh,
        H264Profile::High,
        H264Profile::PredictiveHigh444,
    ];
    let h264 = profiles.map(|profile| Codec::H264 { profile, packetization_mode: 0 });
    let others = [Codec::Vp8, Codec::Vp9 { profile: 0 }, Codec::Vp9 { profile: 2 }, Codec::Av1 { profile: 0 }, Codec::Av1 { profile: 1 }, H264];
    for codecs in [&h264[..], &others[..]] {
        let proposal = Proposal::new(local(1), fresh(1), &[&source(MediaKind::Video, codecs)]).expect("something to send");
        let (_, theirs) = answered(&proposal.sdp());
        assert_eq!(theirs.receive[0].codecs.iter().map(|c| c.codec).collect::<Vec<_>>(), codecs);
    }
    let many: Vec<Codec> = others.into_iter().chain(h264).collect();
    let proposal = Proposal::new(local(1), fresh(1), &[&source(MediaKind::Video, &many), &source(MediaKind::Audio, &[Codec::Opus])]).expect("both");
    let (_, theirs) = answered(&proposal.sdp());
    assert_eq!(theirs.receive[1].codecs.len(), MOST_CODECS, "payload types do not run into that of Opus");
}

#[test]
fn nothing_is_proposed_where_there_is_nothing() {
    assert!(Proposal::new(local(1), fresh(1), &[]).is_none());
    assert!(Proposal::new(local(1), fresh(1), &[&source(MediaKind::Audio, &[Codec::Red { primary: 1 }])]).is_none());
}

#[test]
fn an_answer_that_takes_too_little_or_something_else_is_refused_by_name() {
    let proposal = proposal();
    let (answer, _) = answered(&proposal.sdp());
    let changed = |from: &str, to: &str| {
        assert!(answer.contains(from), "{from} is in {answer}");
        agree(&proposal, &answer.replace(from, to)).expect_err(to)
    };
    let video = answer.find("m=video").expect("a picture");
    let without_video = format!("{}m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n", &answer[..video]);
    assert_eq!(agree(&proposal, &without_video.replace("BUNDLE 0 1", "BUNDLE 0")), Err(AnswerError::Refused(MediaKind::Video)));
    assert_eq!(agree(&proposal, &answer[..video].replace("BUNDLE 0 1", "BUNDLE 0")), Err(AnswerError::Unfit("it has not as many m-lines")));
    let unknown = answer.replace("VP8/90000", "theora/90000").replace("H264/90000", "theora/90000");
    assert_eq!(agree(&proposal, &unknown), Err(AnswerError::Refused(MediaKind::Video)));
    assert_eq!(changed("a=recvonly", "a=inactive"), AnswerError::Refused(MediaKind::Audio));
    assert_eq!(changed("rtpmap:96 VP8", "rtpmap:96 VP9"), AnswerError::Unfit("a payload type has another meaning"));
    assert_eq!(changed("a=setup:passive", "a=setup:actpass"), AnswerError::Unfit("a=setup is neither active nor passive"));
    let swapped = answer.replace("a=mid:0", "a=mid:9").replace("BUNDLE 0 1", "BUNDLE 9 1");
    assert_eq!(agree(&proposal, &swapped), Err(AnswerError::Unfit("an m-line has another mid")));
    assert!(matches!(changed("a=fingerprint:sha-256", "a=fingerprint:sha-1"), AnswerError::Offer(_)));
    assert!(matches!(agree(&proposal, "v=0"), Err(AnswerError::Offer(_))));
    let active = agree(&proposal, &answer.replace("a=setup:passive", "a=setup:active")).expect("agreed").transport.expect("a transport");
    assert!(matches!(active.security, SecurityPlan::Dtls { role: DtlsRole::Server, .. }));
}

#[test]
fn of_an_answers_candidates_those_by_udp_are_taken_that_are_addresses() {
    let lines = [
        "a=candidate:1 1 udp 100 192.0.2.1 5000 typ host",
        "a=candidate:1 1 UDP 300 2001:db8::1 5000 typ host generation 0",
        "a=candidate:1 1 udp 300 2001:db8::1 5000 typ host",
        "a=candidate:1 2 udp 400 192.0.2.1 5001 typ host",
        "a=candidate:1 1 tcp 400 192.0.2.1 9 typ host tcptype active",
        "a=candidate:1 1 udp 400 0b1c2d3e.local 5000 typ host",
        "a=candidate:1 1 udp 200 ::ffff:192.0.2.9 5000 typ srflx raddr 10.0.0.1 rport 1",
        "a=candidate:1 1 udp 400 192.0.2.1 0 typ host",
        "a=candidate:1 1 udp x 192.0.2.1 1 typ host",
        "a=candidate:",
        "a=candidate:1 1 udp",
    ];
    let expected: Vec<SocketAddr> = ["[2001:db8::1]:5000", "192.0.2.9:5000", "192.0.2.1:5000"].map(|at| at.parse().expect("an address")).into();
    assert_eq!(candidates(&lines.join("\r\n")), expected);
    let many: String = (1..500).map(|port| format!("a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n")).collect();
    assert_eq!(candidates(&many).len(), MOST_CANDIDATES);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_answered_is_agreed_on_or_refused(changes in proptest::collection::vec((0u8..5, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6)) {
        let proposal = proposal();
        let (answer, _) = answered(&proposal.sdp());
        let mut lines: Vec<String> = answer.split_inclusive('\n').map(str::to_owned).collect();
        for (what, at, other) in changes {
            prop_assume!(!lines.is_empty());
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match what {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[other].clone()),
                2 => lines[at] = lines[other].clone(),
                3 => lines.swap(at, other),
                _ => lines[at] = lines[at].replace(['0', '1', '9'], "7"),
            }
        }
        if let Ok(agreed) = agree(&proposal, &lines.concat()) {
            // Whatever is taken was proposed.
            prop_assert_eq!(agreed.media.send.len(), 2);
            for (line, proposed) in agreed.media.send.iter().zip(&proposal.lines) {
                prop_assert_eq!((line.kind, line.mid), (proposed.kind, proposed.mid));
                prop_assert!(line.codecs.iter().all(|c| proposed.codecs.iter().any(|p| p.plan.payload_type == c.payload_type && p.plan.codec == c.codec)));
            }
        }
    }
}
