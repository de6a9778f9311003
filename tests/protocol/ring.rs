//! Calling a person, over real sockets.

use std::time::Duration;

use althing::control::auth::{Claims, TokenGrants, sign, unix_time};
use althing::node::Node;
use althing::wire::{CallEnd, CallId, CallMedia, ErrorCode, Event, MemberId, OkResult, PersonInfo, RejectReason, Request, Source};

use crate::client::{Client, everyones, get, node_with, secret};

/// Somebody in a lobby, at one socket.
struct Person {
    client: Client,
    me: String,
}

impl Person {
    async fn enter(node: &Node, lobby: &str, name: &str) -> Self {
        Self::enter_again(node, lobby, name, None).await
    }

    async fn enter_again(node: &Node, lobby: &str, name: &str, call: Option<&CallId>) -> Self {
        let mut client = Client::greet(node).await;
        let me = Some(MemberId(name.to_lowercase()));
        let entered = client.ask(Request::Enter { lobby: lobby.into(), name: name.into(), token: None, me, call: call.cloned() }).await;
        let Ok(Some(OkResult::Entered { me, .. })) = entered else { panic!("not entered: {entered:?}") };
        Self { client, me: me.member.0 }
    }

    async fn call(&mut self, to: &str) -> Result<CallId, ErrorCode> {
        match self.client.ask(Request::Call { to: MemberId(to.into()), media: CallMedia::Video }).await? {
            Some(OkResult::Calling { call, .. }) => Ok(call),
            other => panic!("not calling: {other:?}"),
        }
    }

    /// The next event about a call; what is told of people is passed over.
    async fn told(&mut self) -> Event {
        loop {
            match self.client.event().await.1 {
                Event::Person { .. } | Event::PersonGone { .. } => {}
                event => return event,
            }
        }
    }

    async fn hears(&mut self) -> CallId {
        match self.told().await {
            Event::Ringing { call, .. } => call,
            other => panic!("it does not ring: {other:?}"),
        }
    }

    /// The room and the token for it.
    async fn is_let_in(&mut self) -> (String, Option<String>) {
        match self.told().await {
            Event::Accepted { room, token, .. } => (room, token),
            other => panic!("not accepted: {other:?}"),
        }
    }

    async fn hears_the_end(&mut self) -> CallEnd {
        match self.told().await {
            Event::CallOver { reason, .. } => reason,
            other => panic!("not over: {other:?}"),
        }
    }
}

async fn quick_node() -> Node {
    node_with(|config| (config.calls.ring, config.calls.grace) = (Duration::from_secs(2), Duration::from_secs(1))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_accepted_and_both_meet_in_its_room() {
    let node = quick_node().await;
    let (mut ada, mut ben) = (Person::enter(&node, "office", "Ada").await, Person::enter(&node, "office", "Ben").await);
    assert_eq!((ada.me.as_str(), ben.me.as_str()), ("ada", "ben"));
    let person = |name: &str, busy| PersonInfo { member: MemberId(name.to_lowercase()), name: name.into(), busy };
    assert_eq!(ada.client.event().await, (1, Event::Person { person: person("Ben", false) }));
    let call = ada.call("ben").await.expect("it rings");
    assert_eq!(ben.hears().await, call);
    ben.client.ask(Request::Accept { call: call.clone() }).await.expect("accepted");
    let ((room, none), (same, _)) = (ada.is_let_in().await, ben.is_let_in().await);
    assert_eq!((&room, none), (&same, None), "development mode needs no token");
    let (_one, first) = Client::join(&node, &room).await;
    let (_other, second) = Client::join(&node, &room).await;
    assert_eq!((first.members.len(), second.members.len()), (0, 1));
    ada.client.ask(Request::HangUp { call }).await.expect("hung up");
    assert_eq!(ben.hears_the_end().await, CallEnd::HungUp);
    let (_, text) = get(node.admin, "/metrics").await;
    for line in [
        "althing_rings_total{outcome=\"accepted\"} 1",
        "althing_people_reachable 2",
        "althing_signaling_messages_total{result=\"ok\",type=\"call\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_cancelled_timed_out_and_busy_are_told() {
    let node = quick_node().await;
    let mut people = Vec::new();
    for name in ["Ada", "Ben", "Cleo"] {
        people.push(Person::enter(&node, "office", name).await);
    }
    let [ada, ben, cleo] = &mut people[..] else { panic!("three") };
    let call = ada.call("ben").await.expect("it rings");
    assert_eq!(cleo.call("ben").await, Err(ErrorCode::Busy));
    ben.hears().await;
    ben.client.ask(Request::Reject { call, reason: RejectReason::Declined }).await.expect("rejected");
    assert_eq!(ada.hears_the_end().await, CallEnd::Rejected);
    let call = ada.call("ben").await.expect("it rings");
    ben.hears().await;
    ada.client.ask(Request::Cancel { call }).await.expect("taken back");
    assert_eq!(ben.hears_the_end().await, CallEnd::Cancelled);
    ada.call("ben").await.expect("it rings");
    ben.hears().await;
    assert_eq!((ada.hears_the_end().await, ben.hears_the_end().await), (CallEnd::TimedOut, CallEnd::TimedOut));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_call_each_other_are_connected() {
    let node = quick_node().await;
    let (mut ada, mut ben) = (Person::enter(&node, "office", "Ada").await, Person::enter(&node, "office", "Ben").await);
    let (one, other) = tokio::join!(ada.call("ben"), ben.call("ada"));
    assert_eq!(one.expect("one call"), other.expect("the same"));
    let mut rooms = Vec::new();
    for person in [&mut ada, &mut ben] {
        rooms.push(loop {
            match person.told().await {
                Event::Ringing { .. } => {}
                Event::Accepted { room, .. } => break room,
                other => panic!("{other:?}"),
            }
        });
    }
    assert_eq!(rooms[0], rooms[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_socket_may_come_back_and_is_gone_after_a_while() {
    let node = quick_node().await;
    let (mut ada, mut ben) = (Person::enter(&node, "office", "Ada").await, Person::enter(&node, "office", "Ben").await);
    let call = ada.call("ben").await.expect("it rings");
    ben.hears().await;
    ada.client.cut();
    let mut ada = Person::enter_again(&node, "office", "Ada", Some(&call)).await;
    ben.client.ask(Request::Accept { call: call.clone() }).await.expect("it still rings");
    let (room, _) = ada.is_let_in().await;
    ben.is_let_in().await;
    ada.client.cut();
    let mut ada = Person::enter_again(&node, "office", "Ada", Some(&call)).await;
    assert_eq!(ada.is_let_in().await.0, room, "the call goes on");
    ben.client.ask(Request::HangUp { call }).await.expect("hung up");
    assert_eq!(ada.hears_the_end().await, CallEnd::HungUp);
    ada.call("ben").await.expect("it rings");
    ben.hears().await;
    ada.client.cut();
    assert_eq!(ben.hears_the_end().await, CallEnd::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_is_closed_takes_its_call_back_at_once() {
    let node = node_with(|config| config.calls.grace = Duration::from_secs(600)).await;
    let (mut ada, mut ben) = (Person::enter(&node, "office", "Ada").await, Person::enter(&node, "office", "Ben").await);
    ada.call("ben").await.expect("it rings");
    ben.hears().await;
    ada.client.close(1001).await;
    assert_eq!(ben.hears_the_end().await, CallEnd::Cancelled);
    assert!(matches!(ben.client.event().await.1, Event::Person { .. } | Event::PersonGone { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_rings_who_is_in_another_lobby() {
    let node = quick_node().await;
    let (mut ada, mut ben) = (Person::enter(&node, "one", "Ada").await, Person::enter(&node, "two", "Ben").await);
    assert_eq!(ada.call("ben").await, Err(ErrorCode::NotFound));
    ben.client.ask(Request::Ping {}).await.expect("answered");
    assert!(ben.client.events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_limited() {
    let node = node_with(|config| config.calls.per_minute = 2).await;
    let (mut ada, _ben) = (Person::enter(&node, "office", "Ada").await, Person::enter(&node, "office", "Ben").await);
    for _ in 0..2 {
        let call = ada.call("ben").await.expect("it rings");
        ada.client.ask(Request::Cancel { call }).await.expect("taken back");
    }
    assert_eq!(ada.call("ben").await, Err(ErrorCode::RateLimited));
}

#[tokio::test(flavor = "multi_thread")]
async fn lobbies_and_their_names_are_bounded() {
    let node = node_with(|config| (config.calls.lobbies, config.calls.people) = (1, 2)).await;
    let enter = |lobby: &str, name: &str| Request::Enter { lobby: lobby.into(), name: name.into(), token: None, me: None, call: None };
    let mut client = Client::greet(&node).await;
    assert_eq!(client.ask(enter("a b", "Ada")).await, Err(ErrorCode::InvalidRoomName));
    assert_eq!(client.ask(enter("office", &"x".repeat(129))).await, Err(ErrorCode::InvalidName));
    assert_eq!(client.ask(enter("office", "a\nb")).await, Err(ErrorCode::InvalidName));
    client.ask(enter("office", "Ada")).await.expect("entered");
    let mut second = Client::greet(&node).await;
    assert_eq!(second.ask(enter("other", "Ben")).await, Err(ErrorCode::Full), "one lobby");
    second.ask(enter("office", "Ben")).await.expect("entered");
    let mut third = Client::greet(&node).await;
    assert_eq!(third.ask(enter("office", "Cleo")).await, Err(ErrorCode::Full), "two people");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_out_of_place_is_refused_and_the_socket_lives_on() {
    let node = quick_node().await;
    let mut ada = Person::enter(&node, "office", "Ada").await;
    for text in [
        r#"{"id":90,"type":"call","to":"ben"}"#,
        r#"{"id":90,"type":"call","to":"ben","media":"smell"}"#,
        r#"{"id":90,"type":"call","to":7,"media":"voice"}"#,
        r#"{"id":90,"type":"accept"}"#,
        r#"{"id":90,"type":"reject","call":"c","reason":"rude"}"#,
    ] {
        ada.client.send(text).await;
        assert_eq!(ada.client.error().await, (Some(90), ErrorCode::Malformed), "{text}");
    }
    assert_eq!(ada.client.ask(Request::join("room", "Ada", None)).await, Err(ErrorCode::WrongState), "one socket is in one place");
    assert_eq!(ada.client.ask(Request::Accept { call: CallId("x".repeat(60_000)) }).await, Err(ErrorCode::NotFound));
    let (mut member, _) = Client::join(&node, "room").await;
    assert_eq!(member.ask(Request::Call { to: MemberId("ada".into()), media: CallMedia::Voice }).await, Err(ErrorCode::WrongState));
    ada.client.ask(Request::Leave {}).await.expect("left");
    ada.client.enter(Request::join("room", "Ada", None)).await.expect("and then it may go elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_a_token_opens_its_lobby_and_a_call_gives_a_token_for_its_room_alone() {
    let node = node_with(|config| config.auth = [("main".to_owned(), secret())].into_iter().collect()).await;
    let token = |who: &str, room: &str, seconds: i64| {
        let grants = TokenGrants { moderate: true, publish: vec![Source::Microphone], ..everyones(room) };
        let exp = unix_time().as_secs().saturating_add_signed(seconds);
        sign("main", &secret(), &Claims { sub: who.into(), name: Some(who.to_uppercase()), exp, grants, ..Claims::default() }).expect("a token")
    };
    let enter = |token: Option<String>| Request::Enter { lobby: "office".into(), name: String::new(), token, me: None, call: None };
    let mut ada = Client::greet(&node).await;
    assert_eq!(ada.ask(enter(None)).await, Err(ErrorCode::TokenMissing));
    assert_eq!(ada.ask(enter(Some(token("ada", "elsewhere", 60)))).await, Err(ErrorCode::TokenWrongRoom));
    assert_eq!(ada.ask(enter(Some(token("ada", "office", -60)))).await, Err(ErrorCode::TokenExpired));
    let lobby_token = token("ada", "office", 60);
    let entered = ada.ask(enter(Some(lobby_token.clone()))).await;
    assert!(matches!(&entered, Ok(Some(OkResult::Entered { me, .. })) if me.name == "ADA" && me.member.0 == "ada"), "{entered:?}");
    let mut ben = Client::greet(&node).await;
    ben.ask(enter(Some(token("ben", "office", 60)))).await.expect("entered");
    let (mut ada, mut ben) = (Person { client: ada, me: "ada".into() }, Person { client: ben, me: "ben".into() });
    let call = ada.call("ben").await.expect("it rings");
    ben.hears().await;
    ben.client.ask(Request::Accept { call }).await.expect("accepted");
    let ((room, first), (_, second)) = (ada.is_let_in().await, ben.is_let_in().await);
    let mut outside = Client::greet(&node).await;
    assert_eq!(outside.ask(Request::join(room.clone(), "", None)).await, Err(ErrorCode::TokenMissing));
    assert_eq!(outside.ask(Request::join(room.clone(), "", Some(lobby_token))).await, Err(ErrorCode::TokenWrongRoom));
    assert_eq!(
        outside.ask(Request::join("office", "", first.clone())).await,
        Err(ErrorCode::TokenWrongRoom),
        "nor does it open the lobby's namesake"
    );
    let mut inside = Vec::new();
    for (name, token) in [("ada", first), ("ben", second)] {
        let mut member = Client::greet(&node).await;
        let joined = member.ask(Request::join(room.clone(), "", token)).await;
        let Ok(Some(OkResult::Joined { me, grants, .. })) = joined else { panic!("not joined: {joined:?}") };
        assert_eq!((me.member.0.as_str(), me.name.as_str()), (name, name.to_uppercase().as_str()));
        assert_eq!((grants.publish, grants.moderate), (vec![Source::Microphone], false));
        inside.push(member);
    }
    ada.client.ask(Request::Kick { member: MemberId("ben".into()) }).await.expect("her token moderates");
    assert!(matches!(ben.told().await, Event::CallOver { .. } | Event::Bye { .. }));
    assert_eq!(ben.client.close_code().await, Some(1008));
    let mut again = Client::greet(&node).await;
    assert_eq!(again.ask(enter(Some(token("ben", "office", 60)))).await, Err(ErrorCode::Kicked));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_node_ends_a_lobby_says_so() {
    let node = quick_node().await;
    let mut ada = Person::enter(&node, "office", "Ada").await;
    node.shut_down().await;
    assert!(matches!(ada.told().await, Event::Bye { .. }));
    assert_eq!(ada.client.close_code().await, Some(1001));
}
