use std::time::Duration;

use super::scene::{GRACE, RESUME, Scene, id};
use crate::base::Time;
use crate::contract::RoomCommand;
use crate::control::rooms::{Command, MemberRequest, SocketId};
use crate::wire::{ByeReason, ErrorCode, Event, LeaveReason, OkResult};

fn is_remove_peer(command: &RoomCommand) -> bool {
    matches!(command, RoomCommand::RemovePeer { .. })
}

#[test]
fn who_joins_is_told_to_the_others_and_who_leaves_too() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let bob = scene.join("bob");
    let told = scene.told(&alice);
    assert!(matches!(&told[..], [Event::MemberJoined { member }] if member.member == id("bob") && member.name == "BOB"), "{told:?}");
    assert_eq!(scene.told(&bob), []);
    scene.leave(&bob);
    assert_eq!(scene.told(&alice), [Event::MemberLeft { member: id("bob"), reason: LeaveReason::Left }]);
    assert_eq!(scene.told(&bob), []);
}

#[test]
fn the_number_of_events_rises_by_one_for_each_session() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    for name in ["bob", "carol", "dave"] {
        let member = scene.join_with_media(name);
        scene.leave(&member);
    }
    let numbers: Vec<u64> = scene.events[&alice.socket].iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn after_leaving_nothing_may_be_asked_for_and_the_media_is_gone() {
    let mut scene = Scene::new();
    let alice = scene.join_with_media("alice");
    scene.leave(&alice);
    assert!(scene.commands.last().is_some_and(is_remove_peer));
    assert_eq!(scene.request(&alice, MemberRequest::Lock { locked: true }), Err(ErrorCode::WrongState));
}

#[test]
fn the_same_identity_joining_again_takes_the_place_of_the_first() {
    let mut scene = Scene::new();
    let watcher = scene.join("watcher");
    let first = scene.join_with_media("alice");
    scene.forget();
    let second = scene.join("alice");
    assert_eq!(scene.byes.get(&first.socket), Some(&ByeReason::Replaced));
    assert!(scene.commands.iter().any(is_remove_peer));
    let told = scene.told(&watcher);
    assert!(
        matches!(
            &told[..],
            [Event::MemberLeft { reason: LeaveReason::Replaced, .. }, Event::Slots { .. }, Event::MemberJoined { .. }]
                | [Event::MemberLeft { reason: LeaveReason::Replaced, .. }, Event::MemberJoined { .. }]
        ),
        "{told:?}"
    );
    assert_eq!(scene.request(&first, MemberRequest::Lock { locked: true }), Err(ErrorCode::WrongState));
    assert_eq!(scene.room.len(), 2);
    scene.leave(&second);
    assert_eq!(scene.room.len(), 1);
}

#[test]
fn a_full_room_takes_nobody_but_those_who_are_in_it() {
    let mut scene = Scene::with(|rules| rules.members = 2);
    scene.join("alice");
    scene.join("bob");
    assert_eq!(scene.try_join("carol", |_| ()).err(), Some(ErrorCode::Full));
    scene.join("bob");
}

#[test]
fn a_lost_socket_is_told_and_its_media_goes_on_until_the_session_is_given_up() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    let bob = scene.join_with_media("bob");
    scene.forget();
    scene.lose(&bob);
    assert_eq!(scene.told(&alice), [Event::MemberAway { member: id("bob"), away: true }]);
    scene.pass(RESUME - Duration::from_secs(1));
    assert_eq!((scene.told(&alice), scene.commands.len()), (vec![], 0));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.told(&alice), [Event::MemberLeft { member: id("bob"), reason: LeaveReason::Lost }]);
    assert!(scene.commands.iter().any(is_remove_peer));
}

#[test]
fn a_resumed_session_gets_the_room_as_it_is_and_goes_on_with_the_next_number() {
    let mut scene = Scene::new();
    let mut alice = scene.join_with_media("alice");
    let bob = scene.join_with_media("bob");
    let seen = scene.events[&alice.socket].last().expect("events").0;
    scene.lose(&alice);
    let carol = scene.join_with_media("carol");
    scene.request(&bob, MemberRequest::Chat { text: "hello".into(), key: None, echo: false, at: 1 }).expect("said");
    scene.leave(&bob);
    scene.forget();
    let Ok(OkResult::Joined { members, chat, seq, slots, connection, me, .. }) = scene.resume(&mut alice, seen) else { panic!("not resumed") };
    assert_eq!(members.iter().map(|m| m.member.clone()).collect::<Vec<_>>(), [id("carol")]);
    assert_eq!((chat.len(), slots.len(), connection, me.tracks.len(), me.away), (1, 1, true, 2, false));
    assert_eq!(scene.told(&carol), [Event::MemberAway { member: id("alice"), away: false }]);
    assert_eq!(scene.commands, [], "media has gone on");
    scene.leave(&carol);
    let first = scene.events[&alice.socket].first().expect("an event").0;
    assert_eq!(first, seq + 1);
}

#[test]
fn resuming_while_the_old_socket_still_seems_alive_closes_the_old_one() {
    let mut scene = Scene::new();
    let mut alice = scene.join("alice");
    let bob = scene.join("bob");
    let old = alice.socket;
    scene.forget();
    scene.resume(&mut alice, 1).expect("resumed");
    assert_eq!(scene.byes.get(&old), Some(&ByeReason::Resumed));
    scene.apply(Command::SocketLost { socket: old, bye: None });
    assert_eq!(scene.told(&bob), [], "to the others nothing has happened");
    assert_eq!(scene.request(&alice, MemberRequest::History { before: None, limit: 1 }), Ok(Some(OkResult::History { messages: vec![] })));
}

#[test]
fn nobody_resumes_with_a_wrong_secret_a_number_never_given_or_too_late() {
    let mut scene = Scene::new();
    let mut alice = scene.join("alice");
    let secret = std::mem::replace(&mut alice.secret, "1.guess".into());
    assert_eq!(scene.resume(&mut alice, 0).err(), Some(ErrorCode::ResumeUnknown));
    alice.secret = secret;
    assert_eq!(scene.resume(&mut alice, 1).err(), Some(ErrorCode::ResumeUnknown));
    scene.lose(&alice);
    scene.pass(RESUME);
    assert_eq!(scene.resume(&mut alice, 0).err(), Some(ErrorCode::ResumeUnknown));
}

#[test]
fn somebody_who_is_away_is_shown_as_away_to_newcomers() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.lose(&alice);
    let mut bob = scene.join("bob");
    let Ok(OkResult::Joined { members, .. }) = scene.resume(&mut bob, 0) else { panic!("not resumed") };
    assert!(members[0].away);
}

#[test]
fn somebody_who_is_too_slow_is_told_so_and_may_resume() {
    let mut scene = Scene::new();
    let mut alice = scene.join("alice");
    let bob = scene.join("bob");
    scene.forget();
    let socket = alice.socket;
    scene.apply(Command::SocketLost { socket, bye: Some(ByeReason::TooSlow) });
    assert_eq!(scene.byes.get(&socket), Some(&ByeReason::TooSlow));
    assert_eq!(scene.told(&bob), [Event::MemberAway { member: id("alice"), away: true }]);
    assert!(scene.resume(&mut alice, 1).is_ok());
}

#[test]
fn an_empty_room_closes_after_its_grace_and_not_before() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.pass(GRACE * 10);
    scene.leave(&alice);
    scene.pass(GRACE - Duration::from_secs(1));
    assert!(!scene.closed);
    let alice = scene.join("alice");
    scene.pass(GRACE * 2);
    assert!(!scene.closed);
    scene.leave(&alice);
    scene.pass(GRACE);
    assert!(scene.closed);
    assert_eq!(scene.commands.last(), Some(&RoomCommand::Close));
}

#[test]
fn a_room_that_nobody_enters_closes_too() {
    let mut scene = Scene::new();
    scene.pass(GRACE);
    assert!(scene.closed);
}

#[test]
fn a_room_in_which_nothing_is_due_has_no_deadline() {
    let mut scene = Scene::new();
    scene.join("alice");
    assert_eq!(scene.room.deadline(), Time::NEVER);
}

#[test]
fn at_the_end_of_the_node_everybody_is_told() {
    let mut scene = Scene::new();
    let members = [scene.join("alice"), scene.join_with_media("bob")];
    scene.apply(Command::ShutDown);
    assert!(members.iter().all(|m| scene.byes.get(&m.socket) == Some(&ByeReason::ShuttingDown)));
    assert!(scene.closed);
}

#[test]
fn a_node_that_drains_tells_everybody_and_its_rooms_end_with_their_last_member() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.forget();
    scene.apply(Command::Drain { until: scene.now + Duration::from_secs(30) });
    assert_eq!(scene.told(&alice), [Event::Draining { seconds: 30 }]);
    scene.pass(Duration::from_secs(10));
    let bob = scene.join("bob");
    assert_eq!(scene.told(&bob), [Event::Draining { seconds: 20 }], "a newcomer to a room that there is");
    scene.leave(&alice);
    assert!(!scene.closed);
    scene.leave(&bob);
    assert!(scene.closed, "nobody waits for others in an empty room");
}

#[test]
fn a_socket_that_is_no_members_changes_nothing() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    scene.forget();
    scene.apply(Command::SocketLost { socket: SocketId(999), bye: None });
    assert_eq!(scene.told(&alice), []);
}
