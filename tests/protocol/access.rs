//! Who may join, and who may do what.

use althing::control::auth::{Claims, TokenGrants, sign, unix_time};
use althing::wire::{ErrorCode, Event, MemberId, OkResult, PublishLine, Request, Source, TrackNumber};

use crate::client::{Client, everyones, guarded_node, node, secret};

fn grants() -> TokenGrants {
    everyones("r")
}

fn claims(identity: &str, grants: TokenGrants) -> Claims {
    Claims { sub: identity.into(), name: None, exp: unix_time().as_secs() + 60, grants, ..Claims::default() }
}

fn token(claims: &Claims) -> String {
    sign("main", &secret(), claims).expect("a token")
}

fn join(token: Option<String>) -> Request {
    Request::join("r", "chosen", token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_opens_its_room_under_its_identity_and_name() {
    let node = guarded_node().await;
    let mut client = Client::greet(&node).await;
    let claims = Claims { name: Some("Alice A.".into()), ..claims("alice", grants()) };
    match client.ask(join(Some(token(&claims)))).await {
        Ok(Some(OkResult::Joined { me, grants, .. })) => {
            assert_eq!((me.member, me.name.as_str(), grants.moderate), (MemberId("alice".into()), "Alice A.", false));
        }
        other => panic!("not joined: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_token_gets_its_code() {
    let node = guarded_node().await;
    let mut client = Client::greet(&node).await;
    let good = token(&claims("alice", grants()));
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let body = head.split_once('.').expect("two parts").1;
    // {"typ":"JWT","alg":"none","kid":"main"} and {"typ":"JWT","alg":"HS512","kid":"main"}
    let none = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIiwia2lkIjoibWFpbiJ9.{body}.");
    let wrong = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiIsImtpZCI6Im1haW4ifQ.{body}.{signature}");
    for (token, code) in [
        (None, ErrorCode::TokenMissing),
        (Some("nonsense".to_owned()), ErrorCode::TokenInvalid),
        (Some(none), ErrorCode::TokenInvalid),
        (Some(wrong), ErrorCode::TokenInvalid),
        (Some(format!("{head}.{}", "A".repeat(43))), ErrorCode::TokenInvalid),
        (Some(sign("other", &secret(), &claims("alice", grants())).expect("a token")), ErrorCode::TokenInvalid),
        (Some(token(&Claims { exp: 1_000_000_000, ..claims("alice", grants()) })), ErrorCode::TokenExpired),
        (Some(token(&claims("alice", TokenGrants { room: "other".into(), ..grants() }))), ErrorCode::TokenWrongRoom),
        (Some(token(&claims("alice", TokenGrants { join: false, ..grants() }))), ErrorCode::Forbidden),
    ] {
        assert_eq!(client.ask(join(token.clone())).await, Err(code), "{token:?}");
    }
    assert!(client.ask(join(Some(good))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grant_is_asked_for() {
    let node = guarded_node().await;
    let mut client = Client::greet(&node).await;
    let nothing = TokenGrants { room: "r".into(), join: true, ..TokenGrants::default() };
    client.ask(join(Some(token(&claims("alice", nothing))))).await.expect("joined");
    let offer = |source| Request::Offer {
        sdp: crate::calls::offer(&[("audio", "sendonly")], 1),
        publish: vec![PublishLine { mid: "0".into(), source, muted: false, fallback: false }],
    };
    let record = Request::Record { members: vec![], sources: vec![] };
    assert_eq!(client.ask(record).await, Err(ErrorCode::RecordingUnavailable), "it is switched off here");
    let picture = Request::Screenshot { member: MemberId("alice".into()), source: Source::Camera };
    assert_eq!(client.ask(picture).await, Err(ErrorCode::ScreenshotUnavailable), "and so are pictures");
    for request in [
        offer(Source::Microphone),
        offer(Source::ScreenAudio),
        Request::Subscribe { tracks: vec![] },
        Request::Chat { text: "x".into(), key: None, echo: false },
        Request::History { before: None, limit: 1 },
        Request::Kick { member: MemberId("alice".into()) },
        Request::MuteMember { track: TrackNumber(1), muted: true },
        Request::Lock { locked: true },
        Request::StopRecording {},
    ] {
        assert_eq!(client.ask(request.clone()).await, Err(ErrorCode::Forbidden), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kicked_member_is_told_closed_and_kept_out() {
    let node = guarded_node().await;
    let mut moderator = Client::greet(&node).await;
    moderator.ask(join(Some(token(&claims("mod", TokenGrants { moderate: true, ..grants() }))))).await.expect("joined");
    let mut bob = Client::greet(&node).await;
    let bobs = token(&claims("bob", grants()));
    bob.ask(join(Some(bobs.clone()))).await.expect("joined");
    moderator.ask(Request::Kick { member: MemberId("bob".into()) }).await.expect("kicked");
    assert!(matches!(bob.event().await.1, Event::Bye { .. }));
    assert_eq!(bob.close_code().await, Some(1008));
    let mut again = Client::greet(&node).await;
    assert_eq!(again.ask(join(Some(bobs))).await, Err(ErrorCode::Kicked));
    moderator.ask(Request::Lock { locked: true }).await.expect("locked");
    assert_eq!(again.ask(join(Some(token(&claims("carol", grants()))))).await, Err(ErrorCode::Locked));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_identity_takes_the_place_of_the_first() {
    let node = guarded_node().await;
    let mut first = Client::greet(&node).await;
    first.ask(join(Some(token(&claims("alice", grants()))))).await.expect("joined");
    let mut second = Client::greet(&node).await;
    second.ask(join(Some(token(&claims("alice", grants()))))).await.expect("joined");
    assert!(matches!(first.event().await.1, Event::Bye { .. }));
    assert_eq!(first.close_code().await, Some(1000));
    assert!(second.say("still here", None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_server_says_that_it_is_open_to_all() {
    let node = node().await;
    let mut client = Client::connect(&node).await;
    let welcome = client.ask(Request::Hello { versions: vec![1], features: vec![] }).await;
    assert!(matches!(welcome, Ok(Some(OkResult::Welcome { features, .. })) if features.development));
    let guarded = guarded_node().await;
    let mut client = Client::connect(&guarded).await;
    let welcome = client.ask(Request::Hello { versions: vec![1], features: vec![] }).await;
    assert!(matches!(welcome, Ok(Some(OkResult::Welcome { features, .. })) if !features.development));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_page_opens_no_socket() {
    let node = guarded_node().await;
    assert!(Client::try_connect(&node, Some("https://evil.example")).await.is_err());
    assert!(Client::try_connect(&node, Some(&format!("http://{}", node.http))).await.is_ok());
    assert!(Client::try_connect(&node, None).await.is_ok(), "no page at all");
}
