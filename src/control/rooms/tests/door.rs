use std::time::Duration;

use super::scene::{Client, Introduction, Scene, id};
use crate::control::rooms::MemberRequest;
use crate::wire::{ErrorCode, Event, Knocker, MemberId, OkResult};

fn knock(scene: &mut Scene, name: &str) -> Result<Client, ErrorCode> {
    scene.try_join_with(name, |_| (), Introduction { knock: true, ..Introduction::default() })
}

fn admit(name: &str, admitted: bool) -> MemberRequest {
    MemberRequest::Admit { member: id(name), admitted }
}

/// Who knocks, as the client was told last.
fn knocking(scene: &mut Scene, client: &Client) -> Option<Vec<MemberId>> {
    let told = scene.told(client).into_iter().rev();
    told.filter_map(|e| if let Event::Knocking { people } = e { Some(people) } else { None })
        .next()
        .map(|p| p.into_iter().map(|p| p.member).collect())
}

/// A locked room with a moderator and somebody else.
fn locked() -> (Scene, Client, Client) {
    let mut scene = Scene::new();
    let (moderator, bob) = (scene.moderator("mod"), scene.join("bob"));
    scene.request(&moderator, MemberRequest::Lock { locked: true }).expect("locked");
    scene.forget();
    (scene, moderator, bob)
}

#[test]
fn moderators_are_told_who_knocks_and_let_them_in() {
    let (mut scene, moderator, bob) = locked();
    assert_eq!(knock(&mut scene, "carol").err(), Some(ErrorCode::Locked));
    let people = vec![Knocker { member: id("carol"), name: "CAROL".into() }];
    assert_eq!(scene.told(&moderator), [Event::Knocking { people: people.clone() }]);
    assert_eq!(scene.told(&bob), [], "others are told nothing");
    assert_eq!(scene.request(&bob, admit("carol", true)), Err(ErrorCode::Forbidden));
    assert_eq!(scene.request(&moderator, admit("dave", true)), Err(ErrorCode::NotFound));
    let mut moderator = moderator;
    let Ok(OkResult::Joined { knocking, .. }) = scene.resume(&mut moderator, 0) else { panic!("not resumed") };
    assert_eq!(knocking, people, "who comes back knows it");
    assert_eq!(scene.request(&moderator, admit("carol", true)), Ok(None));
    knock(&mut scene, "carol").expect("let in");
    assert_eq!(scene.try_join("dave", |_| ()).err(), Some(ErrorCode::Locked), "nobody else is");
}

#[test]
fn who_is_sent_away_is_told_and_asks_nobody_again() {
    let (mut scene, moderator, _) = locked();
    knock(&mut scene, "carol").err().expect("refused");
    scene.request(&moderator, admit("carol", false)).expect("sent away");
    scene.pass(Duration::from_secs(1));
    scene.forget();
    assert_eq!(knock(&mut scene, "carol").err(), Some(ErrorCode::NotAdmitted));
    assert_eq!(scene.told(&moderator), []);
    scene.request(&moderator, MemberRequest::Lock { locked: false }).expect("unlocked");
    knock(&mut scene, "carol").expect("open to everybody");
}

#[test]
fn who_knocks_no_longer_is_forgotten() {
    let (mut scene, moderator, _) = locked();
    knock(&mut scene, "carol").err().expect("refused");
    scene.pass(Duration::from_secs(9));
    knock(&mut scene, "carol").err().expect("refused");
    scene.forget();
    scene.pass(Duration::from_secs(9));
    assert_eq!(knocking(&mut scene, &moderator), None);
    scene.pass(Duration::from_secs(2));
    assert_eq!(knocking(&mut scene, &moderator), Some(vec![]));
}

#[test]
fn a_crowd_at_the_door_is_bounded_and_told_twice_a_second() {
    let (mut scene, moderator, _) = locked();
    for n in 0..200 {
        assert_eq!(knock(&mut scene, &format!("m{n}")).err(), Some(ErrorCode::Locked));
    }
    assert_eq!(scene.told(&moderator).len(), 1);
    scene.pass(Duration::from_millis(600));
    assert_eq!(knocking(&mut scene, &moderator).map(|people| people.len()), Some(64));
}

#[test]
fn where_nobody_knocks_nobody_is_told() {
    let (mut scene, moderator, _) = locked();
    assert_eq!(scene.try_join("carol", |_| ()).err(), Some(ErrorCode::Locked));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.told(&moderator), []);
    let mut open = Scene::new();
    knock(&mut open, "carol").expect("an open room has no door");
}
