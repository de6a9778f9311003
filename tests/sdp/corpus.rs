//! Every offer of the corpus, answered by a new session with fixed randomness.

use althing::contract::{Codec, DataLimits, DataPlan, DtlsRole, HashFunction, SecurityPlan};
use althing::sdp::Session;

use super::support::{self, first_answer, names, offer, summary};

#[test]
fn answers_to_the_corpus_are_as_recorded() {
    let names = names();
    assert!(names.len() > 40, "the corpus is not there");
    for name in names {
        let answer = first_answer(&name);
        // Of the largest, the plan says enough.
        let text = if offer(&name).len() > 30_000 { "(not recorded)".to_owned() } else { answer.sdp.replace("\r\n", "\n") };
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.clone(), format!("{}\n{text}", summary(&answer)));
        });
    }
}

#[test]
fn every_answer_keeps_the_form_of_its_offer() {
    for name in names() {
        let (offer, answer) = (offer(&name), first_answer(&name));
        let mlines = |sdp: &str| sdp.lines().filter(|l| l.starts_with("m=")).map(|l| l.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
        let mids = |sdp: &str| sdp.lines().filter(|l| l.starts_with("a=mid:")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(mlines(&offer), mlines(&answer.sdp), "{name}");
        assert_eq!(mids(&offer), mids(&answer.sdp), "{name}");
        assert!(answer.sdp.lines().any(|l| l == "a=ice-lite"), "{name}");
        assert!(answer.sdp.split_inclusive("\r\n").all(|l| l.ends_with("\r\n") && !l.trim_end().contains('\r')), "{name}");
        assert_eq!(answer.sdp.matches("a=end-of-candidates").count(), 1, "{name}");
        let transport = answer.transport.as_ref().unwrap();
        assert_eq!((transport.ice.local_ufrag.as_str(), answer.restart.clone()), ("ufrag1", None), "{name}");
        assert!(answer.sdp.contains("a=ice-pwd:password-password-00000001\r\n"), "{name}");
    }
}

#[test]
fn no_ssrc_of_ours_is_zero_or_given_twice_or_the_clients() {
    for name in names() {
        let (offer, answer) = (offer(&name), first_answer(&name));
        let mut ours: Vec<u32> = answer.media.send.iter().flat_map(|s| [Some(s.ssrc), s.rtx_ssrc]).flatten().collect();
        ours.sort_unstable();
        assert!(!ours.contains(&0), "{name}");
        assert!(ours.windows(2).all(|w| w[0] != w[1]), "{name}");
        assert!(ours.iter().all(|s| !offer.contains(&format!("a=ssrc:{s} "))), "{name}");
    }
}

#[test]
fn slots_of_a_pair_share_an_msid_stream_and_announce_rtx() {
    for name in ["chromium-join", "firefox-join", "chromium-pairs12", "firefox-pairs12"] {
        let answer = first_answer(name);
        let count = if name.ends_with("12") { 12 } else { 4 };
        assert_eq!(answer.pairs.len(), count);
        for (i, pair) in answer.pairs.iter().enumerate() {
            let (audio, video) = (pair.audio.unwrap(), pair.video.unwrap());
            assert_eq!((usize::from(audio.index), usize::from(video.index)), (2 + 2 * i, 3 + 2 * i));
            assert!(answer.sdp.contains(&format!("a=msid:pair-{i} pair-{i}-audio\r\n")));
            assert!(answer.sdp.contains(&format!("a=msid:pair-{i} pair-{i}-video\r\n")));
            let slot = answer.media.send.iter().find(|s| s.mline == video.index).unwrap();
            let rtx = slot.rtx_ssrc.unwrap();
            assert!(answer.sdp.contains(&format!("a=ssrc-group:FID {} {rtx}\r\na=ssrc:{} cname:althing\r\n", slot.ssrc, slot.ssrc)));
            assert!(answer.media.send.iter().find(|s| s.mline == audio.index).unwrap().rtx_ssrc.is_none());
        }
    }
}

#[test]
fn chromium_can_publish_every_codec_and_profile_that_it_offers() {
    let answer = first_answer("chromium-join");
    let video = &answer.media.receive[1];
    let has = |wanted: fn(&Codec) -> bool| video.codecs.iter().any(|c| wanted(&c.codec) && c.rtx.is_some());
    assert!(has(|c| *c == Codec::Vp8) && has(|c| *c == Codec::Vp9 { profile: 0 }) && has(|c| *c == Codec::Av1 { profile: 0 }));
    assert!(has(|c| matches!(c, Codec::H264 { packetization_mode: 0, .. })) && has(|c| matches!(c, Codec::H264 { packetization_mode: 1, .. })));
    let audio: Vec<_> = answer.media.receive[0].codecs.iter().map(|c| c.codec).collect();
    assert_eq!(audio, [Codec::Opus, Codec::Red { primary: 111 }]);
}

#[test]
fn red_comes_first_only_when_it_is_offered_first() {
    let audio: Vec<_> = first_answer("chromium-red-first").media.receive[0].codecs.iter().map(|c| c.codec).collect();
    assert_eq!(audio, [Codec::Red { primary: 111 }, Codec::Opus]);
}

#[test]
fn all_encodings_of_a_simulcast_are_accepted() {
    for name in ["chromium-simulcast-vp8", "chromium-simulcast-h264", "chromium-simulcast-vp9", "chromium-simulcast-av1", "firefox-simulcast-vp8"] {
        let answer = first_answer(name);
        let plan = &answer.media.receive[0];
        assert_eq!(plan.rids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["q", "h", "f"], "{name}");
        assert_eq!((plan.ssrcs.len(), plan.encodings()), (0, 3), "{name}");
        assert!(answer.sdp.contains("a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n"), "{name}");
        assert_eq!(answer.sdp.matches("a=rid:").count(), 3, "{name}");
    }
}

#[test]
fn ffmpeg_is_answered_active_and_its_rtx_is_known_by_the_group_alone() {
    let answer = first_answer("ffmpeg-whip");
    assert!(matches!(answer.transport.as_ref().unwrap().security, SecurityPlan::Dtls { role: DtlsRole::Client, .. }));
    assert_eq!(answer.sdp.matches("a=setup:active\r\n").count(), 2);
    assert_eq!(answer.media.receive[1].ssrcs, [(3_301_547_221, Some(1_918_273_640))]);
    assert_eq!(answer.media.receive[1].codecs[0].rtx, Some(105));
    assert!(answer.media.send.is_empty() && answer.pairs.is_empty());
}

#[test]
fn without_transport_wide_feedback_remb_and_absolute_send_time_are_kept() {
    let answer = first_answer("aiortc-sendrecv");
    let video = &answer.media.receive[1];
    assert!(video.codecs.iter().all(|c| c.feedback.remb && !c.feedback.transport_cc));
    assert!(video.extensions.id(althing::contract::Extension::AbsSendTime).is_some());
    // Its fingerprints are by three hash functions: the first is taken.
    let SecurityPlan::Dtls { fingerprint, .. } = &answer.transport.as_ref().unwrap().security else { panic!() };
    assert_eq!(fingerprint.hash, HashFunction::Sha256);
}

#[test]
fn with_it_neither_is() {
    for name in ["chromium-join", "firefox-join"] {
        let answer = first_answer(name);
        assert!(answer.media.receive[1].codecs.iter().all(|c| c.feedback.transport_cc && !c.feedback.remb), "{name}");
        assert!(!answer.sdp.contains("goog-remb") && !answer.sdp.contains("abs-send-time"), "{name}");
    }
}

#[test]
fn extensions_that_the_offerer_only_receives_are_ours_to_send_only() {
    use althing::contract::Extension::{DependencyDescriptor, PlayoutDelay};
    let answer = first_answer("firefox-join");
    let (receive, send) = (&answer.media.receive[1], answer.media.send.iter().find(|s| s.mline == 3).unwrap());
    assert_eq!((receive.extensions.id(PlayoutDelay), send.extensions.id(PlayoutDelay).is_some()), (None, true));
    assert_eq!(send.extensions.id(DependencyDescriptor), None);
    assert!(answer.sdp.contains("/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"));
}

#[test]
fn data_channels_are_taken_beside_the_rest() {
    for (name, takes) in [("chromium-data", 262_144), ("firefox-data", 1_073_741_823)] {
        let answer = first_answer(name);
        let begin = answer.sdp.find("m=application 5000 UDP/DTLS/SCTP webrtc-datachannel\r\n").unwrap_or_else(|| panic!("{name}"));
        assert!(answer.sdp[begin..].contains("a=sctp-port:5000\r\na=max-message-size:20480\r\n"), "{name}");
        assert_eq!(answer.media.data, Some(DataPlan { peer_takes: takes, limits: DataLimits::default() }), "{name}");
        assert_eq!(answer.publishable.len(), 2, "{name}");
    }
}

#[test]
fn data_channels_are_rejected_where_there_are_none_and_a_second_time_and_where_nobody_would_begin_them() {
    let rejected = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n";
    let offer = support::offer("chromium-data").replace("\r\n", "\n").replace('\n', "\r\n");
    let answer = |session: &mut Session, sdp: &str| support::answer(session, sdp, 1).unwrap();
    let off = answer(&mut support::session_with(None), &offer);
    assert!(off.sdp.contains(rejected) && off.media.data.is_none());

    let passive = answer(&mut support::session(), &offer.replace("a=setup:actpass", "a=setup:passive"));
    assert!(passive.sdp.contains(rejected) && passive.media.data.is_none());

    let begin = offer.find("m=application").unwrap();
    let again = offer[begin..].replace("a=mid:", "a=mid:again");
    let mid = again.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap().to_owned();
    let bundle = offer.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
    let twice = format!("{offer}{again}").replace(bundle, &format!("{bundle} {mid}"));
    let both = answer(&mut support::session(), &twice);
    assert_eq!((both.sdp.matches(rejected).count(), both.sdp.matches("m=application").count()), (1, 2));
    assert!(both.media.data.is_some());

    // The form before RFC 8841.
    let old = offer.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000");
    assert!(answer(&mut support::session(), &old).media.data.is_none());
}

#[test]
fn data_channels_alone_are_a_connection_and_may_come_later_and_go() {
    let offer = support::offer("chromium-data").replace("\r\n", "\n").replace('\n', "\r\n");
    let begin = offer.find("m=application").unwrap();
    let head = &offer[..offer.find("m=").unwrap()];
    let mid = offer[begin..].lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap();
    let bundle = head.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap();
    let alone = format!("{}{}", head.replace(bundle, &format!("a=group:BUNDLE {mid}")), &offer[begin..]);
    let answer = support::answer(&mut support::session(), &alone, 1).unwrap();
    assert!(answer.transport.is_some() && answer.media.data.is_some() && answer.sdp.contains("a=candidate:"));

    let mut session = support::session();
    let without = offer[..begin].replace(bundle, &bundle.replace(&format!(" {mid}"), ""));
    assert!(support::answer(&mut session, &without, 1).unwrap().media.data.is_none());
    assert!(support::answer(&mut session, &offer, 2).unwrap().media.data.is_some());
    let stopped = offer.replace("m=application 9 ", "m=application 0 ").replace(bundle, &bundle.replace(&format!(" {mid}"), ""));
    assert!(support::answer(&mut session, &stopped, 3).unwrap().media.data.is_none());
    assert!(support::answer(&mut session, &offer, 4).unwrap().media.data.is_some());
}
