//! Lost sockets, slow clients, the end of the node.

use std::time::Duration;

use althing::wire::{ByeReason, ErrorCode, Event, LeaveReason, Request};
use tokio::time::sleep;

use crate::client::{Client, get, node, node_with};

fn resume(secret: &str, seq: u64) -> Request {
    Request::Resume { resume: secret.into(), seq }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_nothing_is_lost_and_nothing_comes_twice() {
    let node = node().await;
    let (mut alice, joined) = Client::join(&node, "r").await;
    let (mut bob, _) = Client::join(&node, "r").await;
    let mut heard: Vec<u64> = Vec::new();
    let mut seq = alice.event().await.0;
    let mut secret = joined.resume;
    // Bob talks all the time; Alice's socket is cut four times, each time with messages on their way.
    let talk = tokio::spawn(async move {
        for i in 1..=200u64 {
            bob.say(&format!("message {i}"), None).await.expect("said");
            sleep(Duration::from_millis(if i % 5 == 0 { 60 } else { 10 })).await;
        }
        bob
    });
    while heard.last() != Some(&200) {
        for _ in 0..40 {
            if heard.last() == Some(&200) {
                break;
            }
            let (number, event) = alice.event().await;
            assert_eq!(number, seq + 1);
            seq = number;
            if let Event::Chat { message } = event {
                heard.push(message.number);
            }
        }
        alice.cut();
        sleep(Duration::from_millis(100)).await;
        alice = Client::greet(&node).await;
        let joined = alice.enter(resume(&secret, seq)).await.expect("resumed");
        assert!(joined.seq >= seq);
        (seq, secret) = (joined.seq, joined.resume);
        let last = heard.last().copied().unwrap_or(0);
        heard.extend(joined.chat.iter().map(|(number, _)| *number).filter(|n| *n > last));
    }
    assert_eq!(heard, (1..=200).collect::<Vec<_>>());
    let mut bob = talk.await.expect("talked");
    let mut away = Vec::new();
    bob.ask(Request::Ping {}).await.expect("answered");
    while let Some((_, event)) = bob.events.pop_front() {
        match event {
            Event::MemberAway { away: is, .. } => away.push(is),
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(away.chunks(2).all(|pair| pair == [true, false]), "{away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_be_taken_over_while_its_old_socket_still_lives() {
    let node = node().await;
    let (mut old, joined) = Client::join(&node, "r").await;
    let mut new = Client::greet(&node).await;
    let resumed = new.enter(resume(&joined.resume, 0)).await.expect("resumed");
    assert_eq!(resumed.me, joined.me);
    assert_eq!(old.event().await.1, Event::Bye { reason: ByeReason::Resumed });
    assert_eq!(old.close_code().await, Some(1000));
    assert!(new.say("here", None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_says_so() {
    let node = node_with(|config| config.rooms.resume = Duration::from_millis(200)).await;
    let (alice, joined) = Client::join(&node, "r").await;
    let (mut watcher, _) = Client::join(&node, "r").await;
    let mut again = Client::greet(&node).await;
    for secret in ["", "x", "1.guess", "ffffffffffffffff.guess", &joined.resume[..joined.resume.len() - 1]] {
        assert_eq!(again.enter(resume(secret, 0)).await.err(), Some(ErrorCode::ResumeUnknown), "{secret}");
    }
    alice.cut();
    assert!(matches!(watcher.event().await.1, Event::MemberAway { away: true, .. }));
    assert!(matches!(watcher.event().await.1, Event::MemberLeft { reason: LeaveReason::Lost, .. }));
    assert_eq!(again.enter(resume(&joined.resume, 0)).await.err(), Some(ErrorCode::ResumeUnknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_is_closed_has_left_and_a_socket_that_breaks_has_not() {
    let node = node().await;
    let (mut watcher, _) = Client::join(&node, "r").await;
    for code in [1000, 1001] {
        let (member, _) = Client::join(&node, "r").await;
        assert!(matches!(watcher.event().await.1, Event::MemberJoined { .. }));
        member.close(code).await;
        assert!(matches!(watcher.event().await.1, Event::MemberLeft { reason: LeaveReason::Left, .. }), "{code}");
    }
    let (member, _) = Client::join(&node, "r").await;
    assert!(matches!(watcher.event().await.1, Event::MemberJoined { .. }));
    member.close(4_000).await;
    assert!(matches!(watcher.event().await.1, Event::MemberAway { away: true, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_loses_its_socket_and_holds_nobody_up() {
    let node = node_with(|config| config.limits.messages_per_second = 10_000).await;
    let (slow, joined) = Client::join(&node, "r").await;
    let (mut talker, _) = Client::join(&node, "r").await;
    let text = "x".repeat(4_000);
    let mut away = false;
    for _ in 0..6_000 {
        talker.say(&text, None).await.expect("said");
        away = talker.events.drain(..).any(|(_, e)| matches!(e, Event::MemberAway { away: true, .. }));
        if away {
            break;
        }
    }
    assert!(away, "the slow one was never given up");
    let (_, metrics) = get(node.admin, "/metrics").await;
    assert!(metrics.contains("althing_slow_members_total 1"), "{metrics}");
    drop(slow);
    let mut again = Client::greet(&node).await;
    assert!(again.enter(resume(&joined.resume, 0)).await.is_ok(), "it may resume");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_is_lost() {
    let node = node_with(|config| config.http.heartbeat = Duration::from_millis(200)).await;
    let (mut watcher, _) = Client::join(&node, "r").await;
    let (silent, _) = Client::join(&node, "r").await;
    assert!(matches!(watcher.event().await.1, Event::MemberJoined { .. }));
    // A client answers pings as long as it is read; this one is not read any more.
    assert!(matches!(watcher.event().await.1, Event::MemberAway { away: true, .. }));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_everybody_is_told_and_nobody_is_waited_for_long() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "r").await;
    let mut outside = Client::greet(&node).await;
    let http = node.http;
    let begun = std::time::Instant::now();
    let (_, told, closed) = tokio::join!(node.shut_down(), alice.event(), outside.close_code());
    assert_eq!(told.1, Event::Bye { reason: ByeReason::ShuttingDown });
    assert_eq!(closed, Some(1001));
    assert_eq!(alice.close_code().await, Some(1001));
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(tokio::net::TcpStream::connect(http).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_come_and_go_without_a_trace() {
    let node = node_with(|config| config.rooms.grace = Duration::from_millis(50)).await;
    for i in 0..50 {
        let (mut member, _) = Client::join(&node, &format!("room-{i}")).await;
        member.ask(Request::Leave {}).await.expect("left");
        member.close(1000).await;
    }
    sleep(Duration::from_millis(300)).await;
    let (_, metrics) = get(node.admin, "/metrics").await;
    for line in ["althing_rooms 0", "althing_members 0", "althing_signaling_sockets 0"] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
}
