//! WHIP and WHEP over real connections: what each request gets, and what the room hears of it.

use std::net::SocketAddr;
use std::time::Duration;

use althing::config::AllowedOrigins;
use althing::control::auth::{Claims, TokenGrants, sign, unix_time};
use althing::node::Node;
use althing::wire::{Event, LeaveReason, MemberId, Request, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::calls::offer;
use crate::client::{Client, everyones, get, guarded_node, node, node_with, secret};

const SEND: [(&str, &str); 2] = [("audio", "sendonly"), ("video", "sendonly")];
const PAIR: [(&str, &str); 2] = [("audio", "recvonly"), ("video", "recvonly")];
type Headers<'a> = &'a [(&'a str, &'a str)];

const SDP: (&str, &str) = ("Content-Type", "application/sdp");
const FRAGMENT: (&str, &str) = ("Content-Type", "application/trickle-ice-sdpfrag");
/// Candidates alone: what most clients trickle.
const CANDIDATES: &str = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n";

/// An answer: its status, its header fields with names in lower case, its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The code of a problem, after a look at its form.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(body["status"], self.status);
        assert!(body["detail"].as_str().is_some_and(|d| d.len() > 20) && body["title"].is_string(), "{body}");
        (self.status, body["code"].as_str().expect("a code").to_owned())
    }

    /// All values of a header field.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Our user name fragment in its body, as an entity tag.
    fn ufrag_tag(&self) -> String {
        format!("\"{}\"", self.body.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:")).expect("a user name fragment"))
    }

    /// Where the session is.
    fn session(&self) -> String {
        assert_eq!((self.status, self.header("content-type")), (201, Some("application/sdp")), "{self:?}");
        self.header("location").expect("a location").to_owned()
    }
}

async fn request(at: SocketAddr, method: &str, path: &str, headers: Headers<'_>, body: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.expect("sent");
    answer(&mut stream).await
}

async fn answer(stream: &mut TcpStream) -> Answer {
    let mut text = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await.expect("in time").expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a status");
    let head = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
    Answer { status, head, body: body.to_owned() }
}

async fn post(node: &Node, path: &str, lines: &[(&str, &str)]) -> Answer {
    request(node.http, "POST", path, &[SDP], &offer(lines, 7)).await
}

/// The metric's value.
async fn sessions(node: &Node) -> String {
    let metrics = get(node.admin, "/metrics").await.1;
    metrics.lines().find_map(|l| l.strip_prefix("althing_whip_sessions ")).expect("the metric").to_owned()
}

fn token(identity: &str, change: impl FnOnce(&mut TokenGrants)) -> String {
    let mut grants = everyones("r");
    change(&mut grants);
    let claims =
        Claims { sub: identity.into(), name: Some(format!("{identity} by name")), exp: unix_time().as_secs() + 60, grants, ..Claims::default() };
    sign("main", &secret(), &claims).expect("a token")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_comes_is_seen_and_goes() {
    let node = node().await;
    let (mut bob, _) = Client::join(&node, "r").await;
    let published = post(&node, "/whip/r/alice", &SEND).await;
    let session = published.session();
    assert!(session.starts_with("/whip/r/alice/") && session.len() > "/whip/r/alice/".len() + 48, "{session}");
    assert_eq!(published.header("cache-control"), Some("no-store"));
    for part in ["a=ice-lite", "a=recvonly", "a=candidate:", "a=end-of-candidates", "a=setup:passive"] {
        assert!(published.body.contains(part), "{part} is not in\n{}", published.body);
    }
    match bob.event().await.1 {
        Event::MemberJoined { member } => assert_eq!((member.member, member.name.as_str()), (MemberId("alice".into()), "alice")),
        other => panic!("unexpected: {other:?}"),
    }
    for source in [Source::Microphone, Source::Camera] {
        assert!(matches!(bob.event().await.1, Event::Track { track, .. } if track.source == source));
    }
    assert_eq!(sessions(&node).await, "1");
    let gone = request(node.http, "DELETE", &session, &[], "").await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    assert!(matches!(bob.event().await.1, Event::MemberLeft { reason: LeaveReason::Left, .. }));
    assert_eq!(request(node.http, "DELETE", &session, &[], "").await.problem(), (404, "resume_unknown".into()));
    assert_eq!(sessions(&node).await, "0");
    let metrics = get(node.admin, "/metrics").await.1;
    for line in
        ["althing_signaling_messages_total{result=\"ok\",type=\"whip\"} 1", "althing_signaling_messages_total{result=\"ok\",type=\"whip_delete\"} 1"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_may_come_before_those_it_plays_and_has_a_pair_for_each() {
    let node = node().await;
    let played = post(&node, "/whep/r/alice,bob", &[PAIR, PAIR].concat()).await;
    assert!(played.session().starts_with("/whep/r/alice,bob/"));
    assert_eq!((played.body.matches("a=sendonly").count(), played.body.matches("a=ssrc:").count()), (4, 8), "{}", played.body);
    post(&node, "/whip/r/alice", &SEND).await.session();
    let fewer = post(&node, "/whep/r/alice,bob", &PAIR[..1]).await;
    assert_eq!(fewer.body.matches("a=sendonly").count(), 1);
    let (_, joined) = Client::join(&node, "r").await;
    let players: Vec<_> = joined.members.iter().filter(|m| m.starts_with("player-")).collect();
    assert!(joined.members.len() == 3 && players.len() == 2, "{joined:?}");
    assert_eq!(request(node.http, "DELETE", &played.session(), &[], "").await.status, 200);
    assert_eq!(request(node.http, "DELETE", &fewer.session().replace("/r/", "/other/"), &[], "").await.problem().0, 404, "of another room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_post_of_the_same_member_replaces_the_first() {
    let node = node().await;
    let (mut bob, _) = Client::join(&node, "r").await;
    let first = post(&node, "/whip/r/alice", &SEND).await.session();
    let second = post(&node, "/whip/r/alice", &SEND).await.session();
    assert_ne!(first, second);
    let mut heard = Vec::new();
    while heard.len() < 7 {
        heard.push(bob.event().await.1);
    }
    let replaced = |e: &Event| matches!(e, Event::MemberLeft { reason: LeaveReason::Replaced, .. });
    assert_eq!(heard.iter().filter(|e| replaced(e)).count(), 1, "{heard:?}");
    assert_eq!(request(node.http, "DELETE", &first, &[], "").await.problem().0, 404);
    assert_eq!(sessions(&node).await, "1");
    assert_eq!(request(node.http, "DELETE", &second, &[], "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_gets_its_status_and_says_what_to_do() {
    let node = node_with(|config| config.limits.offer_bytes = 64 * 1024).await;
    let good = offer(&SEND, 7);
    let cases: &[(&str, Headers, String, u16, &str)] = &[
        ("/whip/r/alice", &[], good.clone(), 415, "malformed"),
        ("/whip/r/alice", &[("Content-Type", "application/json")], good.clone(), 415, "malformed"),
        ("/whip/r/alice", &[SDP], String::new(), 400, "sdp_malformed"),
        ("/whip/r/alice", &[SDP], "hello".into(), 400, "sdp_malformed"),
        ("/whip/r/alice", &[SDP], "x".repeat(70_000), 413, "limit_exceeded"),
        ("/whip/r/alice", &[SDP], "x".repeat(200_000), 413, "limit_exceeded"),
        ("/whip/r/alice", &[SDP], good.replace("a=fingerprint", "a=finger"), 422, "sdp_fingerprint"),
        ("/whip/r/alice", &[SDP], good.replace("a=ice-pwd", "a=ice-password"), 422, "sdp_ice"),
        ("/whip/r/alice", &[SDP], good.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), 422, "sdp_bundle"),
        ("/whip/r/alice", &[SDP], good.replace("opus/48000/2", "speex/8000").replace("VP8", "theora"), 422, "publish_conflict"),
        ("/whip/r/alice", &[SDP], offer(&PAIR, 7), 422, "publish_conflict"),
        ("/whip/r/alice", &[SDP], offer(&[SEND; 3].concat(), 7), 422, "publish_conflict"),
        ("/whip/r/alice", &[SDP], offer(&[SEND; 33].concat(), 7), 422, "sdp_too_many_mlines"),
        ("/whep/r/alice", &[SDP], good.clone(), 422, "publish_conflict"),
        ("/whip/a%20b/alice", &[SDP], good.clone(), 404, "invalid_room_name"),
        ("/whip/r/a%2Fb", &[SDP], good.clone(), 404, "invalid_name"),
        ("/whip/r/a,b", &[SDP], good.clone(), 404, "invalid_name"),
        ("/whep/r/a,,b", &[SDP], offer(&PAIR, 7), 404, "invalid_name"),
        ("/whep/r/a,b,", &[SDP], offer(&PAIR, 7), 404, "invalid_name"),
    ];
    for (path, headers, body, status, code) in cases {
        let answer = request(node.http, "POST", path, headers, body).await;
        assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{path} {}", body.get(..80).unwrap_or(body));
    }
    for path in ["/whip/r", "/whip/r/", "/whip", "/whip/", "/whep", "/whep/", "/whep/r/"] {
        let answer = request(node.http, "POST", path, &[SDP, ("Origin", "https://a.example")], &good).await;
        assert_eq!(answer.problem(), (404, "not_found".into()), "{path}");
        assert!(answer.body.contains("/whip/ROOM/MEMBER") && answer.header("access-control-allow-origin").is_some(), "{path} {answer:?}");
    }
    let many = vec!["m"; 65].join(",");
    assert_eq!(post(&node, &format!("/whep/r/{many}"), &PAIR).await.problem(), (413, "limit_exceeded".into()));
    assert_eq!(sessions(&node).await, "0", "no place is kept by what was refused");
    let lenient = [("Content-Type", "Application/SDP; charset=utf-8")];
    assert_eq!(request(node.http, "POST", "/whip/r/alice", &lenient, &good).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_that_a_url_does_not_have_are_named_with_those_that_it_has() {
    let node = node().await;
    let session = post(&node, "/whip/r/alice", &SEND).await.session();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = request(node.http, method, "/whep/r/alice", &[], "").await;
        assert_eq!((answer.problem().0, answer.header("allow")), (405, Some("OPTIONS, POST")), "{method}");
    }
    for method in ["GET", "PUT", "POST"] {
        let answer = request(node.http, method, &session, &[("Content-Type", "application/trickle-ice-sdpfrag")], "a=x").await;
        assert_eq!((answer.problem().0, answer.header("allow")), (405, Some("DELETE, OPTIONS, PATCH")), "{method}");
    }
    assert_eq!(request(node.http, "HEAD", "/whip/r/alice", &[], "").await.status, 405);
    assert_eq!(request(node.http, "DELETE", &session, &[], "").await.status, 200, "and the session is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_and_its_grants_are_kept_to() {
    let node = guarded_node().await;
    let good = offer(&SEND, 7);
    let ask = async |path: &str, token: Option<String>, body: &str| {
        let bearer = format!("Bearer {}", token.clone().unwrap_or_default());
        let headers: Vec<_> = [Some(SDP), token.is_some().then_some(("Authorization", bearer.as_str()))].into_iter().flatten().collect();
        request(node.http, "POST", path, &headers, body).await
    };
    let refused: &[(&str, Option<String>, u16, &str)] = &[
        ("/whip/r/alice", None, 401, "token_missing"),
        ("/whip/r/alice", Some("nonsense".into()), 401, "token_invalid"),
        ("/whip/other/alice", Some(token("alice", |_| ())), 403, "token_wrong_room"),
        ("/whip/r/alice", Some(token("mallory", |_| ())), 403, "forbidden"),
        ("/whip/r/alice", Some(token("alice", |g| g.join = false)), 403, "forbidden"),
        ("/whip/r/alice", Some(token("alice", |g| g.publish = vec![Source::Microphone])), 403, "forbidden"),
    ];
    for (path, token, status, code) in refused {
        let answer = ask(path, token.clone(), &good).await;
        assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{path} {token:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), *status == 401);
    }
    let microphone = token("alice", |g| g.publish = vec![Source::Microphone]);
    assert_eq!(ask("/whip/r/alice", Some(microphone), &offer(&SEND[..1], 7)).await.status, 201);
    let published = ask("/whip/r/alice", Some(token("alice", |_| ())), &good).await;
    let receive = offer(&PAIR, 9);
    assert_eq!(ask("/whep/r/alice", None, &receive).await.problem().0, 401);
    assert_eq!(ask("/whep/r/alice", Some(token("eve", |g| g.subscribe = false)), &receive).await.problem(), (403, "forbidden".into()));
    assert_eq!(ask("/whep/r/alice", Some(token("eve", |g| g.publish = vec![])), &receive).await.status, 201);

    let mut moderator = Client::greet(&node).await;
    let join = Request::join("r", "", Some(token("mod", |g| g.moderate = true)));
    let joined = moderator.enter(join).await.expect("joined");
    assert_eq!(joined.members, ["alice", "eve"]);
    moderator.ask(Request::Kick { member: MemberId("alice".into()) }).await.expect("kicked");
    assert_eq!(request(node.http, "DELETE", &published.session(), &[], "").await.status, 404);
    assert_eq!(ask("/whip/r/alice", Some(token("alice", |_| ())), &good).await.problem(), (403, "kicked".into()));
    moderator.ask(Request::Lock { locked: true }).await.expect("locked");
    assert_eq!(ask("/whip/r/carol", Some(token("carol", |_| ())), &good).await.problem(), (403, "locked".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_elsewhere_are_let_in_by_the_rules_of_origins_and_may_see_what_they_need() {
    const HOME: &str = "https://studio.example.org";
    let node = node_with(|config| {
        config.auth = [("main".to_owned(), secret())].into_iter().collect();
        config.http.origins = AllowedOrigins::OwnAnd(vec![HOME.to_owned()]);
    })
    .await;
    let bearer = format!("Bearer {}", token("alice", |_| ()));
    let headers = |origin: &'static str| [SDP, ("Authorization", bearer.as_str()), ("Origin", origin)];
    let stranger = request(node.http, "POST", "/whip/r/alice", &headers("https://evil.example"), &offer(&SEND, 7)).await;
    assert_eq!((stranger.problem().0, stranger.header("access-control-allow-origin")), (403, None));
    let preflight = request(node.http, "OPTIONS", "/whip/r/alice", &[("Origin", HOME), ("Access-Control-Request-Method", "POST")], "").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, Some(HOME)));
    assert!(preflight.header("access-control-allow-methods").is_some_and(|m| ["POST", "DELETE", "PATCH"].iter().all(|n| m.contains(n))));
    assert!(
        preflight.header("access-control-allow-headers").is_some_and(|h| ["Authorization", "Content-Type", "If-Match"].iter().all(|n| h.contains(n)))
    );
    assert_eq!(preflight.header("accept-post"), Some("application/sdp"));
    let published = request(node.http, "POST", "/whip/r/alice", &headers(HOME), &offer(&SEND, 7)).await;
    assert_eq!(published.header("access-control-allow-origin"), Some(HOME));
    assert!(published.header("access-control-expose-headers").is_some_and(|h| ["Location", "Link", "ETag"].iter().all(|n| h.contains(n))));
    assert_eq!(published.header("vary"), Some("origin"));
    let session = published.session();
    let preflight = request(node.http, "OPTIONS", &session, &[("Origin", HOME), ("Access-Control-Request-Method", "PATCH")], "").await;
    assert_eq!((preflight.status, preflight.header("accept-patch"), preflight.header("accept-post")), (200, Some(FRAGMENT.1), None));
    for method in ["DELETE", "PATCH"] {
        let strange = request(node.http, method, &session, &[FRAGMENT, ("If-Match", "*"), ("Origin", "https://evil.example")], "a=x").await;
        assert_eq!(strange.problem().0, 403);
    }
    let refused = request(node.http, "POST", "/whip/r/alice", &[SDP, ("Origin", HOME)], &offer(&SEND, 7)).await;
    assert_eq!((refused.problem().0, refused.header("access-control-allow-origin")), (401, Some(HOME)), "a page sees why");
    assert_eq!(request(node.http, "DELETE", &session, &[("Origin", HOME)], "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_candidates_and_restarts_of_the_generation_that_they_are_for() {
    let node = node().await;
    let (mut bob, _) = Client::join(&node, "r").await;
    let published = post(&node, "/whip/r/alice", &SEND).await;
    let (session, tag) = (published.session(), published.header("etag").expect("an entity tag").to_owned());
    assert_eq!((tag.clone(), published.header("accept-patch")), (published.ufrag_tag(), Some(FRAGMENT.1)));
    for _ in 0..3 {
        bob.event().await;
    }
    let patch = async |headers: Headers<'_>, body: &str| request(node.http, "PATCH", &session, headers, body).await;
    let trickled = patch(&[FRAGMENT, ("If-Match", &tag)], CANDIDATES).await;
    assert_eq!((trickled.status, trickled.body.as_str()), (204, ""));
    let several = format!("\"another\", {tag}");
    assert_eq!(patch(&[FRAGMENT, ("If-Match", &several)], CANDIDATES).await.status, 204);

    let unusual = patch(&[("Content-Type", "application/sdp"), ("If-Match", &tag)], CANDIDATES).await;
    assert_eq!((unusual.problem(), unusual.header("accept-patch")), ((415, "malformed".into()), Some(FRAGMENT.1)));
    assert_eq!(patch(&[FRAGMENT], CANDIDATES).await.problem(), (428, "precondition_required".into()));
    for other in ["\"another\"", "W/\"another\"", "another", ""] {
        assert_eq!(patch(&[FRAGMENT, ("If-Match", other)], CANDIDATES).await.problem(), (412, "precondition_failed".into()), "{other}");
    }
    let weak = format!("W/{tag}");
    assert_eq!(patch(&[FRAGMENT, ("If-Match", &weak)], CANDIDATES).await.problem().0, 412);
    let many = CANDIDATES.repeat(101);
    let long = format!("a={}", "x".repeat(20_000));
    let endless = format!("a={}", "x".repeat(40_000));
    for (body, status, code) in [
        ("", 400, "sdp_malformed"),
        ("hello", 400, "sdp_malformed"),
        ("a=candidate:1 1 udp here 192.0.2.9 9 typ host", 400, "sdp_malformed"),
        ("a=ice-ufrag:abcd\r\n", 422, "sdp_ice"),
        ("a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n", 422, "sdp_ice"),
        (&many, 413, "limit_exceeded"),
        (&long, 413, "limit_exceeded"),
        (&endless, 413, "limit_exceeded"),
    ] {
        assert_eq!(patch(&[FRAGMENT, ("If-Match", &tag)], body).await.problem(), (status, code.to_owned()), "{body:.40}");
    }

    let restart = format!("a=ice-ufrag:next\r\na=ice-pwd:{}\r\n{CANDIDATES}", "n".repeat(24));
    let restarted = patch(&[FRAGMENT, ("If-Match", "*")], &restart).await;
    assert_eq!((restarted.status, restarted.header("content-type")), (200, Some(FRAGMENT.1)), "{restarted:?}");
    let next = restarted.header("etag").expect("an entity tag").to_owned();
    assert_eq!(next, restarted.ufrag_tag());
    assert!(next != tag && restarted.body.contains("a=candidate:") && !restarted.body.contains("fingerprint"), "{}", restarted.body);
    assert_eq!(patch(&[FRAGMENT, ("If-Match", &tag)], CANDIDATES).await.problem().0, 412, "of the generation before");
    assert_eq!(patch(&[FRAGMENT, ("If-Match", &next)], CANDIDATES).await.status, 204);
    let repeated = patch(&[FRAGMENT, ("If-Match", "*")], &restart).await;
    assert_eq!(
        (repeated.status, &repeated.body, repeated.header("etag")),
        (200, &restarted.body, Some(next.as_str())),
        "nothing is lost with an answer"
    );

    assert_eq!(request(node.http, "PATCH", &session.replace("/r/", "/other/"), &[FRAGMENT, ("If-Match", "*")], CANDIDATES).await.problem().0, 404);
    assert_eq!(request(node.http, "DELETE", &session, &[], "").await.status, 200, "the session went on");
    assert!(matches!(bob.event().await.1, Event::MemberLeft { reason: LeaveReason::Left, .. }), "and nobody was told of any of it");
    assert_eq!(patch(&[FRAGMENT, ("If-Match", "*")], CANDIDATES).await.problem(), (404, "resume_unknown".into()));
    let metrics = get(node.admin, "/metrics").await.1;
    for line in [
        "althing_signaling_messages_total{result=\"ok\",type=\"whip_patch\"} 5",
        "althing_signaling_messages_total{result=\"wrong_state\",type=\"whip_patch\"} 6",
        "althing_joins_total{result=\"ok\"} 2",
        "althing_join_seconds_count 2",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_come_is_told_where_stun_and_turn_are() {
    let node = node_with(|config| {
        config.auth = [("main".to_owned(), secret())].into_iter().collect();
        config.ice.urls = vec!["stun:stun.example.org".into(), "turn:turn.example.org:3478?transport=udp".into()];
        config.ice.secret = Some(secret());
    })
    .await;
    let bearer = format!("Bearer {}", token("alice", |_| ()));
    let with_token: Headers = &[SDP, ("Authorization", &bearer)];
    let relays = |answer: &Answer| answer.all("link").filter(|l| l.starts_with("<turn")).count();
    let before = request(node.http, "OPTIONS", "/whip/r/alice", with_token, "").await;
    assert_eq!((before.status, relays(&before)), (200, 0), "no relay before there is a room");
    assert!(before.all("link").any(|l| l == "<stun:stun.example.org>; rel=\"ice-server\""), "{before:?}");
    let published = request(node.http, "POST", "/whip/r/alice", with_token, &offer(&SEND, 7)).await;
    published.session();
    let turn = published.all("link").find(|l| l.starts_with("<turn:turn.example.org:3478?transport=udp>; rel=\"ice-server\"; username=\""));
    let turn = turn.unwrap_or_else(|| panic!("no relay in {published:?}"));
    assert!(turn.contains("; credential=\"") && turn.ends_with("; credential-type=\"password\""), "{turn}");
    assert!(published.all("link").any(|l| l.starts_with("<stun:stun.example.org>")), "{published:?}");
    let user = |link: &str| link.split('"').nth(3).and_then(|user| user.split_once(':')).map(|(_, who)| who.to_owned()).expect("a user name");
    let after = request(node.http, "OPTIONS", "/whip/r/alice", with_token, "").await;
    assert!(after.all("link").any(|l| l.starts_with("<turn:turn.example.org") && user(l) == user(turn)), "the same user for one member: {after:?}");
    for headers in [&[][..], &[("Authorization", "Bearer nonsense")]] {
        let stranger = request(node.http, "OPTIONS", "/whip/r/alice", headers, "").await;
        assert_eq!((stranger.status, stranger.header("link")), (200, None));
    }
    let refused = request(node.http, "POST", "/whip/r/bob", with_token, &offer(&SEND, 7)).await;
    assert_eq!((refused.problem().0, refused.header("link")), (403, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_follows_who_speaks_without_naming_anybody() {
    let node = node().await;
    let played = post(&node, "/whep/r", &PAIR).await;
    assert!(played.session().starts_with("/whep/r/@speaker/"));
    let tag = played.header("etag").expect("an entity tag").to_owned();
    assert_eq!(request(node.http, "PATCH", &played.session(), &[FRAGMENT, ("If-Match", &tag)], CANDIDATES).await.status, 204);
    assert_eq!(request(node.http, "GET", "/whep/r", &[], "").await.header("allow"), Some("OPTIONS, POST"));
    let mixed = post(&node, "/whep/r/@screen,@speaker,alice:screen,alice", &[PAIR; 4].concat()).await;
    assert_eq!(mixed.body.matches("a=sendonly").count(), 8);
    for session in [played.session(), mixed.session()] {
        assert_eq!(request(node.http, "DELETE", &session, &[], "").await.status, 200);
    }
    assert_eq!(post(&node, "/whep/r/@nobody", &PAIR).await.problem(), (404, "invalid_name".into()));
    assert_eq!(post(&node, "/whip/r/@speaker", &SEND).await.problem(), (404, "invalid_name".into()));
    assert_eq!(sessions(&node).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_as_many_sessions_as_there_may_be_and_as_many_a_second() {
    let node = node_with(|config| config.limits.whip_sessions = 2).await;
    let first = post(&node, "/whip/r/a", &SEND).await.session();
    post(&node, "/whep/r/a", &PAIR).await.session();
    let full = post(&node, "/whip/other/b", &SEND).await;
    assert_eq!((full.problem(), full.header("retry-after").is_some()), ((503, "full".into()), true));
    assert_eq!(request(node.http, "DELETE", &first, &[], "").await.status, 200);
    post(&node, "/whip/r/b", &SEND).await.session();

    let node = node_with(|config| config.limits.whip_posts_per_second = 1).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(post(&node, "/whip/r/a", &SEND).await.status);
    }
    assert!(statuses[0] == 201 && statuses.contains(&429), "{statuses:?}");

    let node = node_with(|config| config.rooms.members = 1).await;
    post(&node, "/whip/r/a", &SEND).await.session();
    assert_eq!(post(&node, "/whip/r/b", &SEND).await.problem(), (503, "full".into()));
    assert_eq!(sessions(&node).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_too_long_or_never_ends_is_refused() {
    let node = node_with(|config| config.limits.offer_bytes = 64 * 1024).await;
    let mut stream = TcpStream::connect(node.http).await.expect("a connection");
    let head = format!(
        "POST /whip/r/alice HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{}: {}\r\n\r\n",
        node.http, SDP.0, SDP.1
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..5 {
        stream.write_all(chunk.as_bytes()).await.expect("sent");
    }
    assert_eq!(answer(&mut stream).await.problem(), (413, "limit_exceeded".into()));
    let mut slow = TcpStream::connect(node.http).await.expect("a connection");
    slow.write_all(head.as_bytes()).await.expect("sent");
    slow.write_all(b"3\r\nv=0\r\n").await.expect("sent");
    assert_eq!(answer(&mut slow).await.problem(), (408, "malformed".into()));
    assert_eq!(sessions(&node).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_ffmpeg_gstreamer_and_obs_are_answered() {
    let node = node().await;
    let read = |name: &str| std::fs::read_to_string(format!("{}/tests/sdp/offers/{name}.sdp", env!("CARGO_MANIFEST_DIR"))).expect("an offer");
    let (mut bob, _) = Client::join(&node, "r").await;
    let all = [
        ("ffmpeg-whip", "a=setup:active"),
        ("gstreamer-whip", "a=setup:passive"),
        ("ffmpeg-8.1-whip", "a=setup:active"),
        ("gstreamer-whipsink-vp8", "a=setup:passive"),
        ("gstreamer-whipsink-h264", "a=setup:passive"),
        ("libdatachannel-whip", "a=setup:passive"),
    ];
    for (name, setup) in all {
        let mlines = 2;
        let published = request(node.http, "POST", "/whip/r/studio", &[SDP], &read(name)).await;
        published.session();
        assert_eq!((published.body.matches(setup).count(), published.body.matches("a=recvonly").count()), (mlines, mlines), "{}", published.body);
    }
    let mut tracks = 0;
    while tracks < 2 * all.len() {
        tracks += usize::from(matches!(bob.event().await.1, Event::Track { .. }));
    }
    let played = request(node.http, "POST", "/whep/r/studio", &[SDP], &read("gstreamer-whepsrc")).await;
    played.session();
    assert_eq!((played.body.matches("a=setup:passive").count(), played.body.matches("a=sendonly").count()), (2, 2), "{}", played.body);
}
