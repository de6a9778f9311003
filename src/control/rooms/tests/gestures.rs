use std::time::Duration;

use super::scene::{Client, Scene, id};
use crate::control::rooms::MemberRequest;
use crate::wire::{ErrorCode, Event, MemberId, OkResult, Reaction};

fn hand(raised: bool) -> MemberRequest {
    MemberRequest::Hand { raised, member: None }
}

fn hands(scene: &mut Scene, newcomer: &str) -> Vec<(MemberId, u32)> {
    let mut client = scene.join(newcomer);
    let Ok(OkResult::Joined { members, .. }) = scene.resume(&mut client, 0) else { panic!("not joined") };
    let mut hands: Vec<_> = members.into_iter().filter_map(|m| Some((m.hand?, m.member))).collect();
    hands.sort();
    scene.leave(&client);
    hands.into_iter().map(|(hand, member)| (member, hand)).collect()
}

#[test]
fn hands_are_raised_in_order_and_newcomers_know_it() {
    let mut scene = Scene::new();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.join(name));
    scene.forget();
    assert_eq!(scene.request(&bob, hand(true)), Ok(None));
    assert_eq!(scene.request(&alice, hand(true)), Ok(None));
    let raised = [Event::Hand { member: id("bob"), hand: Some(1) }, Event::Hand { member: id("alice"), hand: Some(2) }];
    assert_eq!((scene.told(&alice), scene.told(&bob)), (raised.to_vec(), raised.to_vec()), "everybody is told, whoever has done it");
    assert_eq!(hands(&mut scene, "carol"), [(id("bob"), 1), (id("alice"), 2)]);
    scene.forget();
    assert_eq!(scene.request(&bob, hand(true)), Ok(None));
    assert_eq!(scene.told(&alice), [], "what is so already is told to nobody");
    scene.request(&bob, hand(false)).expect("lowered");
    scene.request(&bob, hand(true)).expect("raised");
    assert_eq!(hands(&mut scene, "carol"), [(id("alice"), 2), (id("bob"), 3)], "whoever raises it again is behind the others");
}

#[test]
fn a_hand_is_raised_by_its_owner_and_lowered_by_moderators_too() {
    let mut scene = Scene::new();
    let moderator = scene.moderator("mod");
    let bob = scene.join("bob");
    let carol = scene.join("carol");
    scene.request(&bob, hand(true)).expect("raised");
    scene.forget();
    let of_bob = |raised| MemberRequest::Hand { raised, member: Some(id("bob")) };
    assert_eq!(scene.request(&carol, of_bob(false)), Err(ErrorCode::Forbidden));
    assert_eq!(scene.request(&moderator, of_bob(false)), Ok(None));
    assert_eq!(scene.told(&bob), [Event::Hand { member: id("bob"), hand: None }]);
    assert_eq!(scene.request(&moderator, of_bob(true)), Err(ErrorCode::Forbidden));
    let nobody = MemberRequest::Hand { raised: false, member: Some(id("nobody")) };
    assert_eq!(scene.request(&moderator, nobody), Err(ErrorCode::NotFound));
    assert_eq!(scene.told(&bob), [], "nothing else was told");
}

#[test]
fn reactions_are_told_to_everybody_and_kept_by_nobody() {
    let mut scene = Scene::new();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.join(name));
    scene.forget();
    scene.request(&alice, MemberRequest::React { reaction: Reaction::Heart }).expect("shown");
    let shown = [Event::Reaction { member: id("alice"), reaction: Reaction::Heart }];
    assert_eq!((scene.told(&alice), scene.told(&bob)), (shown.to_vec(), shown.to_vec()));
    let silent = scene.try_join("silent", |g| g.chat = false).expect("admitted");
    assert_eq!(scene.request(&silent, MemberRequest::React { reaction: Reaction::Heart }), Err(ErrorCode::Forbidden));
}

/// How many of a hundred at once are taken.
fn taken(scene: &mut Scene, client: &Client) -> usize {
    (0..100).filter(|_| scene.request(client, MemberRequest::React { reaction: Reaction::Laugh }) != Err(ErrorCode::RateLimited)).count()
}

#[test]
fn nobody_fills_the_others_sockets_with_gestures() {
    let mut scene = Scene::new();
    let alice = scene.join("alice");
    assert_eq!(taken(&mut scene, &alice), 10);
    assert_eq!(scene.request(&alice, hand(true)), Err(ErrorCode::RateLimited), "hands are among them");
    scene.pass(Duration::from_secs(60));
    let many: Vec<Client> = (0..20).map(|n| scene.join(&format!("m{n}"))).collect();
    assert_eq!(many.iter().map(|client| taken(&mut scene, client)).sum::<usize>(), 60, "nor do all of them together");
    let last = many.last().expect("one");
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.request(last, hand(true)), Ok(None), "a hand waits for no reactions");
}
