//! Each gets a typed error or a close code, and changes nothing for anybody else.

use std::time::Duration;

use althing::wire::{ErrorCode, MemberId, OkResult, PublishLine, Request, ServerMessage, Source, TrackNumber};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, node, node_with};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_get_a_typed_error_and_the_socket_lives_on() {
    let node = node().await;
    let mut client = Client::greet(&node).await;
    for (text, id) in [("", None), ("{", None), ("[1,2]", None), (r#"{"type":"ping"}"#, None), (r#"{"id":5,"type":"join","room":[]}"#, Some(5))] {
        client.send(text).await;
        assert_eq!(client.error().await, (id, ErrorCode::Malformed), "{text}");
    }
    client.send(&format!(r#"{{"id":6,"type":"ping","x":{}"#, "[".repeat(60_000))).await;
    assert_eq!(client.error().await, (None, ErrorCode::Malformed), "deep nesting");
    client.send_raw(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert_eq!(client.error().await, (None, ErrorCode::Malformed), "binary");
    client.send(r#"{"id":7,"type":"dance"}"#).await;
    assert_eq!(client.error().await, (Some(7), ErrorCode::UnknownMessage));
    assert_eq!(client.ask(Request::Ping {}).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_closes_the_socket() {
    let node = node().await;
    let mut client = Client::greet(&node).await;
    client.send_bad_text().await;
    assert_eq!(client.close_code().await, Some(1007));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_message_is_refused_and_closes_the_socket() {
    let node = node().await;
    let mut client = Client::greet(&node).await;
    client.send(&format!(r#"{{"id":9,"type":"chat","text":"{}"}}"#, "x".repeat(70_000))).await;
    assert_eq!(client.error().await, (Some(9), ErrorCode::LimitExceeded));
    assert_eq!(client.close_code().await, Some(1009));
    let mut client = Client::greet(&node).await;
    client.send(&format!(r#"{{"id":9,"type":"offer","sdp":"{}"}}"#, "x".repeat(600_000))).await;
    assert_eq!(client.error().await, (None, ErrorCode::LimitExceeded));
    assert_eq!(client.close_code().await, Some(1009));
    let mut client = Client::greet(&node).await;
    let _ = client.send_raw(Message::text("x".repeat(3_000_000))).await;
    assert!(matches!(client.close_code().await, Some(1009) | None), "too large even to be told so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_offer_is_read_and_answered() {
    let node = node().await;
    let (mut client, _) = Client::join(&node, "r").await;
    let offer = Request::Offer { sdp: "x".repeat(300_000), publish: vec![] };
    assert_eq!(client.ask(offer).await, Err(ErrorCode::SdpMalformed));
    assert_eq!(client.ask(Request::Ping {}).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_messages_are_refused_one_by_one_and_others_notice_nothing() {
    let node = node().await;
    let mut flood = Client::greet(&node).await;
    let mut other = Client::greet(&node).await;
    for id in 0..150 {
        flood.send(&format!(r#"{{"id":{id},"type":"ping"}}"#)).await;
    }
    let begun = std::time::Instant::now();
    assert_eq!(other.ask(Request::Ping {}).await, Ok(None));
    assert!(begun.elapsed() < Duration::from_secs(1));
    let mut refused = 0;
    for expected in 0..150 {
        match flood.message().await {
            ServerMessage::Ok { id, .. } => assert_eq!(id, expected),
            ServerMessage::Error { id, code, retryable, .. } => {
                assert_eq!((id, code, retryable), (Some(expected), ErrorCode::RateLimited, true));
                refused += 1;
            }
            ServerMessage::Event { .. } => panic!("an event"),
        }
    }
    assert!((25..=100).contains(&refused), "{refused} of 150 refused");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(flood.ask(Request::Ping {}).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_now_is_a_wrong_state() {
    let node = node().await;
    let mut client = Client::connect(&node).await;
    let join = || Request::join("r", "", None);
    assert_eq!(client.ask(join()).await, Err(ErrorCode::WrongState));
    assert_eq!(client.ask(Request::Hello { versions: vec![99], features: vec![] }).await, Err(ErrorCode::UnsupportedVersion));
    client.ask(Request::Hello { versions: vec![99, 1], features: vec!["unheard-of".into()] }).await.expect("welcome");
    assert_eq!(client.ask(Request::Hello { versions: vec![1], features: vec![] }).await, Err(ErrorCode::WrongState));
    for request in in_room() {
        assert_eq!(client.ask(request).await, Err(ErrorCode::WrongState));
    }
    client.ask(join()).await.expect("joined");
    assert_eq!(client.ask(join()).await, Err(ErrorCode::WrongState));
    client.ask(Request::Leave {}).await.expect("left");
    assert_eq!(client.ask(Request::Leave {}).await, Err(ErrorCode::WrongState));
    client.ask(join()).await.expect("joined again");
}

/// Every request that only a member may send.
fn in_room() -> Vec<Request> {
    let track = TrackNumber(1);
    vec![
        Request::Leave {},
        Request::Offer { sdp: String::new(), publish: vec![] },
        Request::Candidate { candidate: String::new(), mid: String::new() },
        Request::Publish { line: PublishLine { mid: "0".into(), source: Source::Camera, muted: false, fallback: false } },
        Request::Unpublish { track },
        Request::Mute { track, muted: true },
        Request::Subscribe { tracks: vec![track] },
        Request::Unsubscribe { tracks: vec![track] },
        Request::Chat { text: "x".into(), key: None, echo: false },
        Request::History { before: None, limit: 1 },
        Request::Kick { member: MemberId("a".into()) },
        Request::MuteMember { track, muted: true },
        Request::Lock { locked: true },
        Request::Record { members: vec![], sources: vec![] },
        Request::StopRecording {},
        Request::Screenshot { member: MemberId("bob".into()), source: Source::Camera },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_and_bad_values_are_refused() {
    let node = node().await;
    let mut client = Client::greet(&node).await;
    for room in ["", "a b", "../etc", &"x".repeat(65)] {
        let join = Request::join(room, "", None);
        assert_eq!(client.ask(join).await, Err(ErrorCode::InvalidRoomName), "{room}");
    }
    for name in ["a\nb", &"x".repeat(129)] {
        let join = Request::join("r", name, None);
        assert_eq!(client.ask(join).await, Err(ErrorCode::InvalidName));
    }
    client.ask(Request::join("r", "李雷", None)).await.expect("joined");
    assert_eq!(client.ask(Request::History { before: None, limit: 100_000 }).await, Err(ErrorCode::LimitExceeded));
    assert_eq!(client.say(&"x".repeat(5_000), None).await, Err(ErrorCode::LimitExceeded));
    assert_eq!(client.ask(Request::Kick { member: MemberId("nobody".into()) }).await, Err(ErrorCode::NotFound));
    let publish = Request::Publish { line: PublishLine { mid: "0".into(), source: Source::Camera, muted: false, fallback: false } };
    assert_eq!(client.ask(publish).await, Err(ErrorCode::WrongState), "no connection yet");
    let candidate = Request::Candidate { candidate: "x".repeat(2_000), mid: "0".into() };
    assert_eq!(client.ask(candidate).await, Err(ErrorCode::LimitExceeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_sockets_have_their_numbers() {
    let node = node_with(|config| (config.rooms.max, config.limits.sockets) = (1, 3)).await;
    let (mut first, _) = Client::join(&node, "one").await;
    let mut second = Client::greet(&node).await;
    let join = |room: &str| Request::join(room, "", None);
    assert_eq!(second.ask(join("two")).await, Err(ErrorCode::Full));
    assert!(second.ask(join("one")).await.is_ok());
    let _third = Client::connect(&node).await;
    assert!(Client::try_connect(&node, None).await.is_err(), "a fourth socket");
    assert_eq!(first.ask(Request::Ping {}).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_cannot_be_answered_are_refused_by_reason() {
    let node = node().await;
    let (mut client, _) = Client::join(&node, "r").await;
    let good = crate::calls::offer(&[("audio", "sendonly")], 1);
    let with = |from: &str, to: &str| Request::Offer { sdp: good.replace(from, to), publish: vec![] };
    let fingerprint = good.lines().find(|l| l.starts_with("a=fingerprint")).expect("a fingerprint").to_owned();
    for (request, code) in [
        (with("v=0", "w=0"), ErrorCode::SdpMalformed),
        (with(&fingerprint, "a=x-nothing"), ErrorCode::SdpFingerprint),
        (with(&fingerprint, "a=fingerprint:sha-1 00:00"), ErrorCode::SdpFingerprint),
        (with("a=ice-pwd", "a=x-pwd"), ErrorCode::SdpIce),
        (with("a=group:BUNDLE", "a=group:LS"), ErrorCode::SdpBundle),
        (with("opus/48000/2", "speex/8000"), ErrorCode::SdpNoCodec),
        (Request::Offer { sdp: crate::calls::offer(&[("audio", "recvonly"); 65], 1), publish: vec![] }, ErrorCode::SdpTooManyMlines),
    ] {
        assert_eq!(client.ask(request).await, Err(code));
    }
    let answered = client.ask(Request::Offer { sdp: good, publish: vec![] }).await;
    assert!(matches!(answered, Ok(Some(OkResult::Answer { .. }))), "{answered:?}");
}
