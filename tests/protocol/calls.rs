//! Members of a room, what they publish, what they say.

use althing::wire::{ErrorCode, Event, OkResult, PublishLine, Request, Source};

use crate::client::{Client, node};

/// An offer with these m-lines (media, direction); the number makes its certificate.
pub fn offer(lines: &[(&str, &str)], certificate: u8) -> String {
    let mids: Vec<String> = (0..lines.len()).map(|i| i.to_string()).collect();
    let mut sdp = format!("v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", mids.join(" "));
    sdp += &format!("a=ice-ufrag:user\r\na=ice-pwd:{}\r\na=setup:actpass\r\n", "p".repeat(24));
    sdp += &format!("a=fingerprint:sha-256 {}\r\n", vec![format!("{certificate:02X}"); 32].join(":"));
    for (mid, (media, direction)) in lines.iter().enumerate() {
        let (payload, map) = if *media == "audio" { (111, "opus/48000/2") } else { (96, "VP8/90000") };
        sdp += &format!("m={media} 9 UDP/TLS/RTP/SAVPF {payload}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n");
        sdp += &format!("a=rtpmap:{payload} {map}\r\n");
    }
    sdp
}

fn call(sources: &[(&str, Source)]) -> Request {
    let lines =
        [("audio", "sendonly"), ("video", "sendonly"), ("audio", "recvonly"), ("video", "recvonly"), ("audio", "recvonly"), ("video", "recvonly")];
    let publish = sources.iter().map(|(mid, source)| PublishLine { mid: (*mid).into(), source: *source, muted: false, fallback: false }).collect();
    Request::Offer { sdp: offer(&lines, 1), publish }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_see_each_others_tracks_in_slots() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "r").await;
    let (mut bob, joined) = Client::join(&node, "r").await;
    assert_eq!((joined.members.len(), joined.pairs), (1, 4));
    let answer = alice.ask(call(&[("0", Source::Microphone), ("1", Source::Camera)])).await;
    let Ok(Some(OkResult::Answer { sdp, pairs, published })) = answer else { panic!("no answer: {answer:?}") };
    assert!(sdp.contains("a=ice-lite") && sdp.contains("a=candidate:"));
    assert_eq!((pairs.len(), published.len()), (2, 2));
    assert!(matches!(bob.event().await.1, Event::Track { .. }));
    assert!(matches!(bob.event().await.1, Event::Track { .. }));
    bob.ask(call(&[])).await.expect("answered");
    let (_, slots) = bob.event().await;
    assert!(matches!(&slots, Event::Slots { slots } if slots.len() == 1 && slots[0].audio.is_some() && slots[0].video.is_some()), "{slots:?}");
    let (_, quality) = bob.event().await;
    assert!(matches!(&quality, Event::Quality { tracks } if tracks.len() == 1 && tracks[0].track == published[1].1.track), "{quality:?}");
    alice.ask(Request::Unpublish { track: published[1].1.track }).await.expect("unpublished");
    assert!(matches!(bob.event().await.1, Event::TrackEnded { .. }));
    assert!(matches!(bob.event().await.1, Event::Slots { slots } if slots[0].video.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_is_ordered_deduplicated_and_kept() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "r").await;
    let (mut bob, _) = Client::join(&node, "r").await;
    for i in 1..=20 {
        let said = alice.say(&format!("message {i}"), Some(&format!("key {i}"))).await;
        assert!(matches!(said, Ok(Some(OkResult::Said { number, .. })) if number == i), "{said:?}");
    }
    let again = alice.say("message 7", Some("key 7")).await;
    assert!(matches!(again, Ok(Some(OkResult::Said { number: 7, .. }))));
    for i in 1..=20 {
        assert!(matches!(bob.event().await.1, Event::Chat { message } if message.number == i));
    }
    let (mut carol, joined) = Client::join(&node, "r").await;
    assert_eq!(joined.chat.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    let history = carol.ask(Request::History { before: Some(11), limit: 5 }).await;
    let Ok(Some(OkResult::History { messages })) = history else { panic!("no history: {history:?}") };
    assert_eq!(messages.iter().map(|m| m.number).collect::<Vec<_>>(), [6, 7, 8, 9, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_know_nothing_of_each_other() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "one").await;
    let (mut bob, joined) = Client::join(&node, "two").await;
    assert_eq!(joined.members.len(), 0);
    alice.say("hello", None).await.expect("said");
    bob.ask(Request::Ping {}).await.expect("answered");
    assert!(bob.events.is_empty());
    assert_eq!(bob.ask(Request::Kick { member: althing::wire::MemberId("x".into()) }).await, Err(ErrorCode::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_socket_may_go_from_room_to_room() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "one").await;
    let (mut watcher, _) = Client::join(&node, "one").await;
    assert!(matches!(alice.event().await.1, Event::MemberJoined { .. }));
    alice.ask(Request::Leave {}).await.expect("left");
    assert!(matches!(watcher.event().await.1, Event::MemberLeft { .. }));
    let joined = alice.enter(Request::join("two", "", None)).await.expect("joined");
    assert_eq!((joined.members.len(), joined.seq), (0, 0));
}
