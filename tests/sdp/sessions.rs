//! What holds, and what may change, from one offer of a connection to the next.

use althing::base::Bitrate;
use althing::sdp::MlineRef;

use althing::sdp::Answer;

use super::support::{answer, offer, section, session, session_with, without};

#[test]
fn offering_the_same_again_changes_nothing_but_the_version() {
    let mut session = session();
    let first = answer(&mut session, &offer("chromium-join"), 1).unwrap();
    let second = answer(&mut session, &offer("chromium-join"), 2).unwrap();
    assert_eq!(second.sdp, first.sdp.replace("o=- 4711 1 ", "o=- 4711 2 "));
    assert_eq!(second.media, first.media);
    assert_eq!(second.pairs, first.pairs);
    assert!(first.transport.is_some());
    assert_eq!((second.transport, second.restart), (None, None));
}

#[test]
fn added_mlines_leave_the_others_as_they_were() {
    for browser in ["chromium", "firefox"] {
        let mut session = session();
        let before = answer(&mut session, &offer(&format!("{browser}-screen-before")), 1).unwrap();
        let after = answer(&mut session, &offer(&format!("{browser}-screen-added")), 2).unwrap();
        assert_eq!(after.pairs, before.pairs, "{browser}");
        assert_eq!(after.media.send, before.media.send, "{browser}");
        assert_eq!(after.media.receive.len(), before.media.receive.len() + 2, "{browser}");
        assert_eq!(after.publishable.iter().map(|p| p.2).collect::<Vec<_>>(), [0, 1, 4, 5], "{browser}");
        assert_eq!(section(&after.sdp, 2), section(&before.sdp, 2), "{browser}");
    }
}

#[test]
fn an_ice_restart_takes_new_credentials_and_nothing_else_is_new() {
    for browser in ["chromium", "firefox"] {
        let mut session = session();
        let before = answer(&mut session, &offer(&format!("{browser}-restart-before")), 1).unwrap();
        let restart = answer(&mut session, &offer(&format!("{browser}-restart")), 2).unwrap();
        let ice = restart.restart.clone().unwrap();
        assert_eq!((ice.local_ufrag.as_str(), ice.local_pwd.as_str()), ("ufrag2", "password-password-00000002"), "{browser}");
        assert_ne!(ice.remote_ufrag, before.transport.unwrap().ice.remote_ufrag, "{browser}");
        assert!(restart.sdp.contains("a=ice-ufrag:ufrag2\r\n") && !restart.sdp.contains("ufrag1"), "{browser}");
        assert_eq!((restart.transport, restart.media), (None, before.media), "{browser}");
        let after = answer(&mut session, &offer(&format!("{browser}-restart-after")), 3).unwrap();
        assert_eq!(after.restart, None, "{browser}");
        assert!(after.sdp.contains("a=ice-ufrag:ufrag2\r\n"), "{browser}");
    }
}

#[test]
fn a_stopped_mline_is_rejected_and_may_be_taken_again() {
    for browser in ["chromium", "firefox"] {
        let mut session = session();
        let before = answer(&mut session, &offer(&format!("{browser}-stopped-before")), 1).unwrap();
        let stopped = answer(&mut session, &offer(&format!("{browser}-stopped")), 2).unwrap();
        assert!(section(&stopped.sdp, 2).starts_with("m=audio 0 ") && section(&stopped.sdp, 3).starts_with("m=video 0 "), "{browser}");
        assert_eq!(stopped.pairs[0], Default::default(), "{browser}");
        assert_eq!(stopped.pairs[1], before.pairs[1], "{browser}");
        let recycled = answer(&mut session, &offer(&format!("{browser}-recycled")), 3).unwrap();
        assert_eq!(recycled.pairs[1], before.pairs[1], "{browser}");
        let (old, new) = (before.pairs[0].audio.unwrap(), recycled.pairs[0].audio.unwrap());
        assert!(new.mid != old.mid, "{browser}");
        let ssrc = |answer: &althing::sdp::Answer, m: MlineRef| answer.media.send.iter().find(|s| s.mid == m.mid).unwrap().ssrc;
        assert_ne!(ssrc(&recycled, new), ssrc(&before, old), "{browser}");
    }
}

#[test]
fn a_slot_that_pauses_keeps_its_ssrcs_and_its_pair() {
    let mut session = session();
    let sdp = offer("chromium-join");
    let before = answer(&mut session, &sdp, 1).unwrap();
    let paused = answer(&mut session, &sdp.replace("a=recvonly", "a=inactive"), 2).unwrap();
    assert!(paused.media.send.is_empty() && paused.pairs.is_empty());
    assert!(section(&paused.sdp, 3).contains("a=inactive\r\n") && !section(&paused.sdp, 3).contains("a=ssrc"));
    assert!(!section(&paused.sdp, 3).starts_with("m=video 0 "));
    let resumed = answer(&mut session, &sdp, 3).unwrap();
    assert_eq!((resumed.pairs, resumed.media), (before.pairs, before.media));
}

fn rids(answer: &Answer) -> Vec<String> {
    answer.media.receive[0].rids.iter().map(ToString::to_string).collect()
}

#[test]
fn encodings_of_a_simulcast_keep_their_numbers() {
    let mut session = session();
    let first = offer("chromium-simulcast-vp8");
    assert_eq!(rids(&answer(&mut session, &first, 1).unwrap()), ["q", "h", "f"]);
    let turned = answer(&mut session, &first.replace("a=simulcast:send q;h;f", "a=simulcast:send f;h;q"), 2).unwrap();
    assert_eq!(rids(&turned), ["q", "h", "f"]);
    assert!(turned.sdp.contains("a=simulcast:recv f;h;q\r\n"), "in the order of the offer");
    let fewer = answer(&mut session, &first.replace("a=simulcast:send q;h;f", "a=simulcast:send h;f"), 3).unwrap();
    assert_eq!(rids(&fewer), ["q", "h", "f"]);
    assert!(fewer.sdp.contains("a=simulcast:recv h;f\r\n") && !fewer.sdp.contains("a=rid:q"), "what is not offered is not answered");
}

#[test]
fn paused_encodings_are_accepted_too_and_of_too_many_the_last() {
    let first = offer("chromium-simulcast-vp8");
    let chosen = |list: &str| rids(&answer(&mut session(), &first.replace("a=simulcast:send q;h;f", list), 1).unwrap());
    assert_eq!(chosen("a=simulcast:send q;h;~f"), ["q", "h", "f"]);
    assert_eq!(chosen("a=simulcast:recv x send q,~h"), ["q", "h"]);
    let many = first.replace("a=rid:q send", "a=rid:z send\r\na=rid:q send").replace("a=simulcast:send q;h;f", "a=simulcast:send z;q;h;f");
    assert_eq!(rids(&answer(&mut session(), &many, 1).unwrap()), ["q", "h", "f"]);
}

#[test]
fn the_tagged_mline_speaks_for_the_others() {
    let sdp = offer("chromium-join");
    let (first, rest) = sdp.split_at(sdp.find("m=video").unwrap());
    let bare = without(rest, |l| ["a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux"].iter().any(|start| l.starts_with(start)));
    let full = answer(&mut session(), &sdp, 1).unwrap();
    assert_eq!(answer(&mut session(), &format!("{first}{bare}"), 1).unwrap().sdp, full.sdp);
}

#[test]
fn when_the_tagged_mline_is_rejected_the_next_one_carries_the_candidates() {
    let sdp = offer("chromium-data").replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 2 0 1");
    assert!(sdp.contains("BUNDLE 2 0 1"));
    let without = answer(&mut session_with(None), &sdp, 1).unwrap();
    assert!(without.sdp.contains("a=group:BUNDLE 0 1\r\n"));
    assert!(section(&without.sdp, 0).contains("a=candidate:"));
    let with = answer(&mut session(), &sdp, 1).unwrap();
    assert!(with.sdp.contains("a=group:BUNDLE 2 0 1\r\n"));
    assert!(section(&with.sdp, 2).contains("a=candidate:") && !section(&with.sdp, 0).contains("a=candidate:"));
}

#[test]
fn extension_ids_over_fourteen_need_the_two_byte_form() {
    let sdp = offer("chromium-simulcast-vp8").replace("a=extmap:9 ", "a=extmap:16 ");
    let with = answer(&mut session(), &sdp, 1).unwrap();
    assert_eq!(with.media.receive[0].extensions.id(althing::contract::Extension::Mid), Some(16));
    let bare = answer(&mut session(), &without(&sdp, |l| l == "a=extmap-allow-mixed"), 1).unwrap();
    assert_eq!(bare.media.receive[0].extensions.id(althing::contract::Extension::Mid), None);
    assert!(!bare.sdp.contains("extmap-allow-mixed"));
}

#[test]
fn a_simulcast_by_ssrcs_has_an_encoding_for_each() {
    let sdp = offer("ffmpeg-whip").replace("a=ssrc-group:FID", "a=ssrc-group:SIM 11 12 3301547221\r\na=ssrc-group:FID 11 21\r\na=ssrc-group:FID");
    let answer = answer(&mut session(), &sdp, 1).unwrap();
    let plan = &answer.media.receive[1];
    assert_eq!(plan.ssrcs, [(11, Some(21)), (12, None), (3_301_547_221, Some(1_918_273_640))]);
    assert!(plan.ssrc_encodings && plan.encodings() == 3);
}

/// What the session and each m-line may carry to us, in kbit/s, as `b=AS` and as `b=TIAS` say it.
fn bandwidths(sdp: &str) -> Vec<Option<u64>> {
    let of = |part: &str| {
        let said = |kind: &str| part.lines().find_map(|line| line.strip_prefix(kind)?.parse::<u64>().ok());
        let (kilobits, bits) = (said("b=AS:"), said("b=TIAS:"));
        assert_eq!(kilobits, bits.map(|bits| bits / 1_000), "both say the same");
        let place = |prefix: &str| part.lines().position(|line| line.starts_with(prefix));
        if let (Some(bandwidth), Some(connection), Some(attribute)) = (place("b="), place("c="), place("a=")) {
            assert!(connection < bandwidth && bandwidth < attribute, "RFC 8866 section 5 has an order:\n{part}");
        }
        kilobits
    };
    let begin = sdp.find("\r\nm=").expect("an m-line") + 2;
    let mlines = (0..sdp.matches("\r\nm=").count()).map(|index| of(&section(sdp, index)));
    [of(&sdp[..begin])].into_iter().chain(mlines).collect()
}

#[test]
fn what_may_be_sent_is_shared_among_the_mlines_that_send() {
    let mut session = session();
    let free = answer(&mut session, &offer("chromium-screen-before"), 1).unwrap();
    assert!(bandwidths(&free.sdp).iter().all(Option::is_none));
    session.allow(Some(Bitrate::kbps(1_500)));
    let one = answer(&mut session, &offer("chromium-screen-before"), 2).unwrap();
    assert_eq!(bandwidths(&one.sdp), [Some(1_500), Some(64), Some(1_436), Some(1_500), Some(1_500)], "a microphone, a camera, and what we send");
    let two = answer(&mut session, &offer("chromium-screen-added"), 3).unwrap();
    assert_eq!(
        bandwidths(&two.sdp),
        [Some(1_500), Some(64), Some(686), Some(1_500), Some(1_500), Some(686), Some(64)],
        "a screen with its sound takes its share"
    );
    session.allow(Some(Bitrate::kbps(100)));
    let little = answer(&mut session, &offer("chromium-screen-added"), 4).unwrap();
    assert_eq!(bandwidths(&little.sdp), [Some(100), Some(25), Some(25), Some(100), Some(100), Some(25), Some(25)]);
    session.allow(None);
    let free = answer(&mut session, &offer("chromium-screen-added"), 5).unwrap();
    assert!(bandwidths(&free.sdp).iter().all(Option::is_none), "and it is taken back");
    assert_eq!(free.media, two.media, "nothing else follows from it");
}
