//! The HTTP API beside the sockets of those whom it concerns; what it describes is held by `make api`.

use std::time::Duration;

use althing::control::auth::{AdminGrant, Claims, TokenGrants, sign, unix_time};
use althing::control::rooms::RoomSettings;
use althing::node::Node;
use althing::wire::{ByeReason, ErrorCode, Event, Grants, OkResult, Policy, Request};
use reqwest::{Client as Http, Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, everyones, guarded_node, node, secret};

fn token(sub: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims { sub: sub.into(), exp: unix_time().as_secs() + 60, grants: everyones("r"), ..Claims::default() };
    change(&mut claims);
    sign("main", &secret(), &claims).expect("signed")
}

fn admin(admin: AdminGrant, room: &str) -> String {
    token("backend", |claims| claims.grants = TokenGrants { room: room.into(), admin, ..TokenGrants::default() })
}

/// Asks as a program does: the status, and what is said.
async fn ask(node: &Node, method: Method, path: &str, token: Option<&str>, key: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = Http::new().request(method, format!("http://{}/api/v1{path}", node.http));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await.expect("an answer");
    let (status, text) = (answer.status().as_u16(), answer.text().await.expect("text"));
    (status, serde_json::from_str(&text).unwrap_or_default())
}

async fn join(node: &Node, token: String) -> (Client, Result<Option<OkResult>, ErrorCode>) {
    let mut client = Client::greet(node).await;
    let joined = client.ask(Request::join("r", "chosen", Some(token))).await;
    (client, joined)
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_takes_its_own_grant_and_joining_takes_another() {
    let node = guarded_node().await;
    let whole = admin(AdminGrant::Node, "");
    let own = admin(AdminGrant::Room, "r");
    let member = token("ada", |claims| claims.grants.moderate = true);
    let rooms = |token| ask(&node, Method::GET, "/rooms", token, None, Value::Null);
    assert_eq!(rooms(None).await.0, 401);
    assert_eq!(rooms(Some(&member)).await, (403, rooms(Some(&own)).await.1), "neither may look at all rooms");
    assert_eq!(rooms(Some(&whole)).await, (200, json!({ "rooms": [] })));
    assert_eq!(join(&node, own.clone()).await.1.err(), Some(ErrorCode::Forbidden), "it does not join");
    assert_eq!(join(&node, whole.clone()).await.1.err(), Some(ErrorCode::TokenInvalid), "nor does one for no room");
    let (_ada, joined) = join(&node, member.clone()).await;
    joined.expect("joined");
    for (token, status) in [(&whole, 200), (&own, 200), (&member, 403), (&admin(AdminGrant::Room, "other"), 403)] {
        assert_eq!(ask(&node, Method::GET, "/rooms/r", Some(token), None, Value::Null).await.0, status);
        assert_eq!(ask(&node, Method::PATCH, "/rooms/r", Some(token), None, json!({})).await.0, status);
    }
    let expired = token("backend", |claims| (claims.exp, claims.grants.admin) = (1_000_000, AdminGrant::Node));
    let (status, problem) = rooms(Some(&expired)).await;
    assert_eq!((status, &problem["code"], &problem["status"]), (401, &json!("token_expired"), &json!(401)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_says_of_member_and_room_is_seen_by_all() {
    let node = guarded_node().await;
    let settings = RoomSettings { policy: Some(Policy::Sfu), members: Some(2), metadata: Some("a lesson".into()), ..RoomSettings::default() };
    let described = |sub: &str| {
        token(sub, |claims| {
            claims.settings = Some(settings.clone());
            claims.metadata = "m".into();
            claims.attributes = [("seat".to_owned(), "7".to_owned())].into();
            claims.grants.describe = true;
        })
    };
    let (mut ada, joined) = join(&node, described("ada")).await;
    match joined {
        Ok(Some(OkResult::Joined { me, policy, metadata, .. })) => {
            assert_eq!((me.metadata.as_str(), &me.attributes["seat"][..], policy, metadata.as_str()), ("m", "7", Policy::Sfu, "a lesson"));
        }
        other => panic!("not joined: {other:?}"),
    }
    // Whoever comes later gives the room nothing.
    let (mut bob, joined) =
        join(&node, token("bob", |claims| claims.settings = Some(RoomSettings { members: Some(9), ..RoomSettings::default() }))).await;
    match joined {
        Ok(Some(OkResult::Joined { members, .. })) => assert_eq!(members[0].metadata, "m"),
        other => panic!("not joined: {other:?}"),
    }
    assert_eq!(join(&node, described("carol")).await.1.err(), Some(ErrorCode::Full));
    ada.ask(Request::Describe { metadata: Some("n".into()), attributes: None }).await.expect("told");
    let changed = async |client: &mut Client| loop {
        if let Event::MemberChanged { member } = client.event().await.1 {
            return member.metadata;
        }
    };
    assert_eq!(changed(&mut bob).await, "n");
    assert_eq!(bob.ask(Request::Describe { metadata: Some("x".into()), attributes: None }).await, Err(ErrorCode::Forbidden));
    let too_long = token("dave", |claims| claims.metadata = "x".repeat(2_000));
    assert_eq!(join(&node, too_long).await.1.err(), Some(ErrorCode::LimitExceeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_again_is_answered_and_not_carried_out_again() {
    let node = guarded_node().await;
    let (whole, other) = (admin(AdminGrant::Node, ""), token("another", |claims| claims.grants.admin = AdminGrant::Node));
    let node = &node;
    let create = |token: &str, key: Option<&'static str>, body: Value| {
        let token = token.to_owned();
        async move { ask(node, Method::POST, "/rooms", Some(&token), key, body).await }
    };
    let (first, again) = tokio::join!(create(&whole, Some("k1"), json!({})), create(&whole, Some("k1"), json!({})));
    assert!(first == again || [first.0, again.0].contains(&409), "{first:?} {again:?}");
    let made = if first.0 == 201 { first } else { again };
    assert_eq!(create(&whole, Some("\"k1\""), json!({})).await, made, "quoted as the draft has it");
    assert_eq!(create(&whole, Some("k1"), json!({ "name": "x" })).await.0, 422);
    assert_ne!(create(&other, Some("k1"), json!({})).await.1["name"], made.1["name"], "somebody else's key is another");
    assert_ne!(create(&whole, Some("k2"), json!({})).await.1["name"], made.1["name"]);
    // What was refused has changed nothing, and is decided anew.
    assert_eq!(create(&whole, Some("k3"), json!({ "name": "r", "settings": { "members": 0 } })).await.0, 413);
    assert_eq!(create(&whole, Some("k3"), json!({ "name": "r" })).await.0, 201);
    assert_eq!(create(&whole, Some("k4"), json!({ "name": "r" })).await.0, 409);
    assert_eq!(create("bad", Some("k1"), json!({})).await.0, 401, "and nobody is answered without a token");
    let less = token("backend", |_| ());
    assert_eq!(create(&less, Some("k1"), json!({})).await.0, 403, "nor with the same name and less rights");
    assert_eq!(ask(node, Method::GET, "/rooms", Some(&whole), None, Value::Null).await.1["rooms"].as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_leaves_no_request_behind_that_is_never_answered() {
    let node = guarded_node().await;
    let whole = admin(AdminGrant::Node, "");
    // The head and half of a body, and gone.
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(node.http).await.expect("a connection");
    let head =
        format!("POST /api/v1/rooms HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {whole}\r\nidempotency-key: k\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask(&node, Method::POST, "/rooms", Some(&whole), Some("k"), json!({})).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_grants_hold_on_the_socket_until_the_member_leaves() {
    let node = guarded_node().await;
    let own = admin(AdminGrant::Room, "r");
    let (mut ada, joined) = join(&node, token("ada", |_| ())).await;
    joined.expect("joined");
    ada.say("hi", None).await.expect("said");
    let silent = json!({ "grants": { "chat": false, "moderate": true } });
    let (status, member) = ask(&node, Method::PATCH, "/rooms/r/members/ada", Some(&own), None, silent).await;
    assert_eq!((status, &member["moderator"], &member["grants"]["chat"]), (200, &json!(true), &json!(false)));
    let granted = loop {
        if let Event::Granted { grants } = ada.event().await.1 {
            break grants;
        }
    };
    assert!(matches!(granted, Grants { chat: false, moderate: true, subscribe: true, .. }));
    assert_eq!(ada.say("hi", None).await, Err(ErrorCode::Forbidden));
    ada.ask(Request::Lock { locked: true }).await.expect("a moderator may");
    let (mut again, joined) = join(&node, token("ada", |_| ())).await;
    joined.expect("joined");
    assert_eq!(again.ask(Request::Lock { locked: false }).await, Err(ErrorCode::Forbidden), "its token counts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_room_is_found_no_more_when_that_is_answered() {
    let node = guarded_node().await;
    let own = admin(AdminGrant::Room, "r");
    let (mut ada, joined) = join(&node, token("ada", |_| ())).await;
    joined.expect("joined");
    for _ in 0..20 {
        assert_eq!(ask(&node, Method::DELETE, "/rooms/r", Some(&own), None, Value::Null).await.0, 204);
        assert_eq!(ask(&node, Method::GET, "/rooms/r", Some(&own), None, Value::Null).await.0, 404);
        assert_eq!(ask(&node, Method::POST, "/rooms", Some(&own), None, json!({ "name": "r" })).await.0, 201);
    }
    assert!(matches!(ada.event().await.1, Event::Bye { reason: ByeReason::Ended }));
    assert_eq!(ada.close_code().await, Some(1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_everything_refused_is_a_problem() {
    let node = node().await;
    let url = |path: &str| format!("http://{}/api/v1{path}", node.http);
    for (method, path, body, status) in [
        (Method::POST, "/rooms", "x".repeat(140_000), 413),
        (Method::POST, "/rooms", "[1]".into(), 400),
        (Method::POST, "/rooms", "{\"name\":".into(), 400),
        (Method::POST, "/rooms", format!("{}{}", "[".repeat(100_000), "]".repeat(20_000)), 400),
        (Method::POST, "/rooms", "{\"name\":7}".into(), 400),
        (Method::POST, "/rooms", "{\"unknown\":7}".into(), 400),
        (Method::PUT, "/rooms", String::new(), 405),
        (Method::GET, "/rooms?limit=x", String::new(), 400),
        (Method::GET, "/rooms?after=-1", String::new(), 400),
        (Method::GET, "/rooms/%2e%2e%2f", String::new(), 404),
        (Method::GET, "/rooms/%ff", String::new(), 400),
        (Method::GET, "/", String::new(), 404),
        (Method::PATCH, "/rooms/none", "{}".into(), 404),
        (Method::GET, "/library/%ff", String::new(), 404),
    ] {
        let answer = Http::new().request(method.clone(), url(path)).body(body).send().await.expect("an answer");
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        assert_eq!((answer.status().as_u16(), kind.as_str()), (status, "application/problem+json"), "{method} {path}");
        let problem: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        assert_eq!(problem["status"], status);
    }
    let lists = ["/rooms", "/rooms/none/members", "/rooms/none/tracks", "/events"];
    for (path, limit) in lists.iter().flat_map(|path| ["0", "1001", "x", "-1"].map(|limit| (path, limit))) {
        let (status, problem) = ask(&node, Method::GET, &format!("{path}?limit={limit}"), None, None, Value::Null).await;
        // Whether there is such a room may be looked at before.
        if status != 404 {
            assert_eq!((status, &problem["code"]), (400, &"malformed".into()), "{path} {limit}: {problem}");
        }
    }
    for key in ["", &"k".repeat(129)] {
        let answer = Http::new().post(url("/rooms")).header("idempotency-key", key).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    let stranger = Http::new().get(url("/rooms")).header("origin", "https://evil.example").send().await.expect("an answer");
    assert_eq!(stranger.status(), StatusCode::OK, "in development mode any page may");
}
