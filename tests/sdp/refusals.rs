//! What is refused, each with its error; and that a refused offer leaves no trace.

use althing::sdp::{Change, Offer, OfferError, OfferLimits};

use super::support::{LIMITS, answer, offer, session, without};

fn refused(sdp: &str) -> OfferError {
    let before = session();
    let mut session = before.clone();
    let error = answer(&mut session, sdp, 1).expect_err("the offer was accepted");
    assert_eq!(session, before);
    assert!(error.to_string().len() > 20 && error.to_string().len() < 300, "{error}");
    error
}

fn malformed(sdp: &str) -> String {
    match refused(sdp) {
        OfferError::Malformed(what) => what,
        other => panic!("{other:?}"),
    }
}

/// Refused by a session that has agreed on `first`, which goes on as if nothing had been.
fn refused_later(first: &str, sdp: &str) -> OfferError {
    let mut session = session();
    answer(&mut session, first, 1).unwrap();
    let mut untouched = session.clone();
    let error = answer(&mut session, sdp, 2).expect_err("the offer was accepted");
    assert_eq!(session, untouched);
    assert_eq!(answer(&mut session, first, 3).unwrap().sdp, answer(&mut untouched, first, 3).unwrap().sdp);
    error
}

fn join() -> String {
    offer("chromium-join")
}

/// A small offer with one m-line for sound and one for pictures.
fn small() -> String {
    offer("firefox-sendrecv")
}

#[test]
fn an_offer_over_the_limit_is_refused_unread() {
    let sdp = "x".repeat(LIMITS.max_bytes + 1);
    assert_eq!(refused(&sdp), OfferError::TooLarge { bytes: sdp.len(), limit: LIMITS.max_bytes });
}

#[test]
fn more_mlines_than_allowed_are_refused() {
    let limits = OfferLimits { max_mlines: 9, ..LIMITS };
    assert_eq!(Offer::parse(&join(), &limits), Err(OfferError::TooManyMlines { count: 10, limit: 9 }));
    assert!(Offer::parse(&join(), &OfferLimits { max_mlines: 10, ..LIMITS }).is_ok());
    let many = "v=0\r\n".to_owned() + &"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(300);
    let limits = OfferLimits { max_mlines: 1_000, ..LIMITS };
    assert_eq!(Offer::parse(&many, &limits), Err(OfferError::TooManyMlines { count: 300, limit: 255 }));
}

#[test]
fn mlines_after_a_lone_carriage_return_are_counted_too() {
    let limits = OfferLimits { max_mlines: 9, ..LIMITS };
    assert_eq!(Offer::parse(&join().replace("\r\nm=", "\n\rm="), &limits), Err(OfferError::TooManyMlines { count: 10, limit: 9 }));
}

#[test]
fn text_that_is_no_description_is_malformed() {
    for text in [
        "",
        "v=0",
        "v=1\r\n",
        "hello",
        "v=0\r\nx=1\r\n",
        "\0\0\0",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
    ] {
        malformed(text);
    }
    let long = format!("v=0\r\n{}=1\r\n", "y".repeat(50_000));
    assert!(malformed(&long).len() < 200);
}

#[test]
fn without_a_fingerprint_there_is_no_session() {
    assert_eq!(refused(&without(&join(), |l| l.starts_with("a=fingerprint"))), OfferError::NoFingerprint);
}

#[test]
fn weak_fingerprints_do_not_count() {
    for hash in ["sha-1", "md5", "SHA-1", "sha-224"] {
        assert_eq!(refused(&join().replace("sha-256", hash)), OfferError::WeakFingerprint, "{hash}");
    }
    let both = join().replace("a=fingerprint:", "a=fingerprint:sha-1 AA:BB\r\na=fingerprint:");
    assert!(answer(&mut session(), &both, 1).is_ok());
}

#[test]
fn a_fingerprint_of_the_wrong_form_is_malformed() {
    for value in ["", "AB", "zz", &vec!["AB"; 31].join(":"), &vec!["AB"; 33].join(":"), &vec!["+1"; 32].join(":"), &"AB:".repeat(10_000)] {
        let sdp = without(&small(), |l| l.starts_with("a=fingerprint"))
            .replace("a=ice-options", &format!("a=fingerprint:sha-256 {value}\r\na=ice-options"));
        malformed(&sdp);
    }
}

#[test]
fn fingerprints_in_lower_case_and_on_either_level_are_taken() {
    let session_level = small();
    assert!(session_level.find("a=fingerprint").unwrap() < session_level.find("m=").unwrap());
    let lower = session_level
        .lines()
        .map(|l| if l.starts_with("a=fingerprint") { l.to_ascii_lowercase() } else { l.to_owned() } + "\r\n")
        .collect::<String>();
    assert_eq!(Offer::parse(&lower, &LIMITS), Offer::parse(&session_level, &LIMITS));
    let line = session_level.lines().find(|l| l.starts_with("a=fingerprint")).unwrap();
    let moved = without(&session_level, |l| l == line).replace("a=mid:0\r\n", &format!("a=mid:0\r\n{line}\r\n"));
    assert!(answer(&mut session(), &moved, 1).is_ok());
}

#[test]
fn without_ice_credentials_there_is_no_session() {
    assert_eq!(refused(&without(&join(), |l| l.starts_with("a=ice-ufrag"))), OfferError::NoIce);
    assert_eq!(refused(&without(&join(), |l| l.starts_with("a=ice-pwd"))), OfferError::NoIce);
}

#[test]
fn ice_credentials_of_the_wrong_length_and_another_lite_agent_are_refused() {
    let with = |key: &str, value: &str| {
        let lines = small().lines().map(|l| if l.starts_with(key) { format!("{key}{value}\r\n") } else { format!("{l}\r\n") }).collect::<String>();
        assert!(matches!(refused(&lines), OfferError::BadIce(_)), "{key}{value}");
    };
    with("a=ice-ufrag:", "abc");
    with("a=ice-ufrag:", &"a".repeat(257));
    with("a=ice-ufrag:", "a:bcd");
    with("a=ice-pwd:", &"p".repeat(21));
    with("a=ice-pwd:", &"p".repeat(257));
    assert!(matches!(refused(&small().replace("a=ice-options", "a=ice-lite\r\na=ice-options")), OfferError::BadIce(_)));
}

#[test]
fn all_mlines_have_to_be_in_one_bundle() {
    assert_eq!(refused(&without(&join(), |l| l.starts_with("a=group:BUNDLE"))), OfferError::NoBundle);
    assert_eq!(refused(&join().replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1")), OfferError::NoBundle);
    assert_eq!(refused(&small().replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0\r\na=group:BUNDLE 1")), OfferError::NoBundle);
    assert!(answer(&mut session(), &small().replace("a=group:BUNDLE 0 1", "a=group:LS 0 1\r\na=group:BUNDLE 0 1"), 1).is_ok());
}

#[test]
fn rtcp_has_to_share_the_port() {
    assert!(matches!(refused(&without(&join(), |l| l == "a=rtcp-mux")), OfferError::NoRtcpMux { mid } if mid.to_string() == "0"));
}

#[test]
fn an_offer_with_unknown_codecs_alone_is_refused() {
    let unknown = small()
        .replace("opus/48000", "speex/48000")
        .replace("VP8/", "VP1/")
        .replace("VP9/", "VP2/")
        .replace("AV1/", "AV9/")
        .replace("H264/", "H261/");
    assert_eq!(refused(&unknown), OfferError::NoCodec { mid: None });
}

#[test]
fn an_mline_with_unknown_codecs_is_rejected_beside_one_that_is_known() {
    let answer = answer(&mut session(), &small().replace("opus/48000", "speex/48000"), 1).unwrap();
    assert!(answer.sdp.contains("a=group:BUNDLE 1\r\n"));
    assert!(answer.sdp.contains("m=audio 0 UDP/TLS/RTP/SAVPF 109\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=inactive\r\n"));
    assert!(answer.sdp.contains("a=candidate:1 "));
    assert_eq!(answer.publishable.len(), 1);
}

#[test]
fn an_mline_in_use_may_not_lose_its_last_known_codec() {
    let error = refused_later(&small(), &small().replace("opus/48000", "speex/48000"));
    assert!(matches!(error, OfferError::NoCodec { mid: Some(mid) } if mid.to_string() == "0"));
}

#[test]
fn things_that_must_be_unique_are_refused_twice() {
    let twice = |sdp: String, expected: &str| match refused(&sdp) {
        OfferError::Duplicate { what, .. } => assert_eq!(what, expected),
        other => panic!("{other:?}"),
    };
    twice(small().replace("a=mid:1\r\n", "a=mid:0\r\n"), "mid");
    twice(small().replace("a=mid:1\r\n", "a=mid:1\r\na=mid:2\r\n"), "a=mid of one m-line, then");
    twice(small().replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 0"), "mid of the BUNDLE group");
    twice(small().replace("SAVPF 109 9", "SAVPF 109 109"), "payload type");
    twice(small().replace("a=rtpmap:9 G722/8000/1", "a=rtpmap:109 G722/8000/1"), "payload type");
    twice(small().replace("a=extmap:3 ", "a=extmap:1 "), "header extension id");
    let ssrc = |text: &str| text.split_once("a=ssrc:").unwrap().1.split_once(' ').unwrap().0.to_owned();
    let (audio, video) = small().split_once("m=video").map(|(a, v)| (ssrc(a), ssrc(v))).unwrap();
    twice(small().replace(&video, &audio), "SSRC");
    twice(small().replace(&format!("a=ssrc-group:FID {video}"), &format!("a=ssrc-group:FID {video} {video}\r\na=ssrc-group:FID {video}")), "SSRC");
    let rids = offer("chromium-simulcast-vp8");
    twice(rids.replace("a=rid:q send", "a=rid:f send"), "rid");
}

#[test]
fn the_mid_extension_has_one_id_in_the_whole_bundle() {
    let video = small().split_once("m=video").unwrap().1.to_owned();
    let moved = video.replace("a=extmap:3 ", "a=extmap:13 ");
    assert_ne!(video, moved);
    assert!(matches!(refused(&small().replace(&video, &moved)), OfferError::Duplicate { what: "header extension id", .. }));
}

#[test]
fn an_ssrc_of_ours_cannot_be_taken_by_the_client() {
    let mut session = session();
    let ours = answer(&mut session, &join(), 1).unwrap().media.send[0].ssrc;
    let before = session.clone();
    let sdp = join().replace("a=rtcp-rsize\r\n", &format!("a=rtcp-rsize\r\na=ssrc:{ours} cname:x\r\n"));
    let first = sdp.split_once("m=video").unwrap().0.to_owned();
    let sdp = join().replace(join().split_once("m=video").unwrap().0, &first);
    assert!(matches!(answer(&mut session, &sdp, 2), Err(OfferError::Duplicate { .. })));
    assert_eq!(session, before);
}

#[test]
fn attributes_without_their_form_are_malformed() {
    let broken = [
        ("a=mid:1\r\n", "a=mid:12345678901234567\r\n"),
        ("a=mid:1\r\n", "a=mid:\r\n"),
        ("a=mid:1\r\n", "a=mid:a b\r\n"),
        ("a=mid:1\r\n", "a=mid:1\ra=ice-lite\r\n"),
        ("a=mid:1\r\n", "a=mid:ä\r\n"),
        ("a=mid:1\r\n", ""),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=extmap:3 ", "a=extmap:three "),
        ("a=extmap:3 ", "a=extmap:3/sideways "),
        ("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid", "a=extmap:3"),
        ("SAVPF 109 ", "SAVPF 109 x "),
        ("SAVPF 109 ", "SAVPF 109 200 "),
        ("a=rtpmap:109 ", "a=rtpmap:209 "),
        ("a=rtpmap:109 ", "a=rtpmap:"),
        ("a=ssrc:", "a=ssrc:-"),
        ("a=ssrc-group:FID ", "a=ssrc-group:FID x "),
        ("m=audio ", "m=audio 99999"),
        ("m=audio", "m=smell"),
    ];
    for (from, to) in broken {
        assert!(small().contains(from), "{from}");
        malformed(&small().replace(from, to));
    }
    let rids = offer("chromium-simulcast-vp8");
    malformed(&rids.replace("a=rid:q send", "a=rid:12345678901234567 send"));
    malformed(&rids.replace("a=rid:q send", "a=rid:q! send"));
}

#[test]
fn lists_that_only_cost_memory_are_refused() {
    let ssrcs = (1..=40).map(|n| format!("a=ssrc:{n} cname:x\r\n")).collect::<String>();
    malformed(&small().replace("a=mid:1\r\n", &format!("a=mid:1\r\n{ssrcs}")));
    let groups = "a=ssrc-group:FID 1 2\r\n".repeat(40);
    malformed(&small().replace("a=mid:1\r\n", &format!("a=mid:1\r\n{groups}")));
    let rids = (1..=40).map(|n| format!("a=rid:r{n} send\r\n")).collect::<String>();
    malformed(&small().replace("a=mid:1\r\n", &format!("a=mid:1\r\n{rids}")));
}

#[test]
fn the_dtls_role_holds_for_life() {
    let passive = offer("ffmpeg-whip");
    let active = passive.replace("a=setup:passive", "a=setup:active");
    let actpass = passive.replace("a=setup:passive", "a=setup:actpass");
    assert_eq!(refused_later(&passive, &active), OfferError::Changed(Change::Role));
    assert_eq!(refused_later(&actpass, &passive), OfferError::Changed(Change::Role));
    let mut session = session();
    answer(&mut session, &passive, 1).unwrap();
    assert!(answer(&mut session, &actpass, 2).unwrap().sdp.contains("a=setup:active\r\n"));
}

#[test]
fn the_certificate_holds_for_life() {
    let line = small().lines().find(|l| l.starts_with("a=fingerprint")).unwrap().to_owned();
    let other = small().replace(&line, &format!("a=fingerprint:sha-256 {}", vec!["00"; 32].join(":")));
    assert_eq!(refused_later(&small(), &other), OfferError::Changed(Change::Fingerprint));
}

#[test]
fn mlines_in_use_keep_their_mid_and_kind_and_never_go() {
    let other_mid = small().replace("a=mid:1\r\n", "a=mid:9\r\n").replace("BUNDLE 0 1", "BUNDLE 0 9");
    assert_eq!(refused_later(&small(), &other_mid), OfferError::Changed(Change::Mid { index: 1 }));
    let two_sounds = offer("chromium-join").replace("m=video", "m=audio");
    assert_eq!(refused_later(&join(), &two_sounds), OfferError::Changed(Change::Kind { index: 1 }));
    let one = small().split_once("m=video").unwrap().0.replace("BUNDLE 0 1", "BUNDLE 0");
    assert_eq!(refused_later(&small(), &one), OfferError::Changed(Change::Mlines));
}

#[test]
fn half_an_ice_restart_is_refused() {
    let restart = |key: &str, value: &str| -> String {
        small().lines().map(|l| if l.starts_with(key) { format!("{key}{value}\r\n") } else { format!("{l}\r\n") }).collect()
    };
    assert!(matches!(refused_later(&small(), &restart("a=ice-ufrag:", "another")), OfferError::BadIce(_)));
    assert!(matches!(refused_later(&small(), &restart("a=ice-pwd:", &"x".repeat(24))), OfferError::BadIce(_)));
}

#[test]
fn an_offer_with_every_mline_stopped_begins_nothing() {
    let stop = |line: &str| match line.strip_prefix("m=").map(|rest| rest.splitn(3, ' ').collect::<Vec<_>>()) {
        Some(words) => format!("m={} 0 {}\r\n", words[0], words[2]),
        None => format!("{line}\r\n"),
    };
    let stopped: String = without(&small(), |l| l.starts_with("a=group") || l == "a=bundle-only").lines().map(stop).collect();
    assert_eq!(refused(&stopped), OfferError::NoCodec { mid: None });
    let mut session = session();
    answer(&mut session, &small(), 1).unwrap();
    let last = answer(&mut session, &stopped, 2).unwrap();
    assert_eq!(last.sdp.matches("\r\nm=").count(), last.sdp.matches(" 0 UDP/TLS/RTP/SAVPF").count());
    assert!(!last.sdp.contains("BUNDLE"));
}
