//! To come, to go, to be lost and to come back.

use std::time::Duration;

use super::scene::{GRACE, IDLE, Scene, Seen, Told};
use crate::control::calls::{Command, LobbyRequest, Outcome};
use crate::wire::{ByeReason, CallEnd, CallId, CallMedia, ErrorCode, MemberId};

#[test]
fn people_see_who_comes_who_is_busy_and_who_goes() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    assert_eq!(scene.people(ada), [Seen::There("ben".into(), false)]);
    let cleo = scene.enter("cleo");
    let call = scene.call(ada, "ben").expect("it rings");
    assert_eq!(scene.people(cleo), [Seen::There("ada".into(), true), Seen::There("ben".into(), true)]);
    scene.reject(ben, &call).expect("rejected");
    assert_eq!(scene.people(cleo), [Seen::There("ada".into(), false), Seen::There("ben".into(), false)]);
    scene.leave(ben);
    assert_eq!(scene.people(cleo), [Seen::Gone("ben".into())]);
    scene.enter("ada");
    assert_eq!(scene.people(cleo), [], "one more device of somebody is nobody new");
}

#[test]
fn a_caller_who_is_lost_for_longer_than_the_grace_is_gone_and_it_rings_no_longer() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.hush();
    scene.lose(ada);
    scene.pass(GRACE - Duration::from_millis(1));
    scene.nothing_more();
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (None, Some(false)));
    assert_eq!(scene.counted, [Outcome::Gone]);
}

#[test]
fn a_phone_that_calls_and_is_lost_is_waited_for_no_longer_although_the_laptop_is_here() {
    let mut scene = Scene::new();
    let (phone, laptop, ben) = (scene.enter("ada"), scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(phone, "ben").expect("it rings");
    scene.hush();
    scene.lose(phone);
    scene.pass(GRACE);
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!(scene.calls(laptop), []);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), Some(false)));
}

#[test]
fn a_callee_who_is_lost_for_longer_than_the_grace_is_gone() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.hush();
    scene.lose(ben);
    scene.pass(GRACE);
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), None));
    assert_eq!(scene.counted, [Outcome::Gone]);
}

#[test]
fn whoever_leaves_on_purpose_is_not_waited_for() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.hush();
    scene.leave(ada);
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Cancelled)]);
    let ada = scene.enter("ada");
    let call = scene.call(ada, "ben").expect("it rings");
    scene.leave(ben);
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!(scene.counted, [Outcome::Cancelled, Outcome::Gone]);
    let ben = scene.enter("ben");
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    scene.leave(ben);
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::HungUp)]);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), None));
}

#[test]
fn a_caller_who_comes_back_within_the_grace_takes_the_call_up() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.lose(ada);
    scene.pass(GRACE / 2);
    let ada = scene.try_enter("ada", Some(&call)).expect("entered");
    scene.hush();
    scene.pass(GRACE * 2);
    scene.nothing_more();
    scene.accept(ben, &call).expect("it still rings");
    assert!(matches!(&scene.calls(ada)[..], [Told::Accepted(of, ..)] if *of == call));
}

#[test]
fn a_call_accepted_while_the_caller_was_lost_is_told_when_they_are_back() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.lose(ada);
    scene.accept(ben, &call).expect("accepted");
    assert_eq!(scene.admitted.len(), 1, "one end is not there");
    let ada = scene.try_enter("ada", Some(&call)).expect("entered");
    assert!(matches!(&scene.calls(ada)[..], [Told::Accepted(of, ..)] if *of == call));
    assert_eq!(scene.admitted[0].admission.room, scene.admitted[1].admission.room);
}

#[test]
fn a_callee_who_comes_back_within_the_grace_is_told_that_it_rings_and_for_how_long() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.lose(ben);
    scene.pass(GRACE / 2);
    let ben = scene.enter("ben");
    assert_eq!(scene.calls(ben), [Told::Rings(call.clone(), "ada".into(), CallMedia::Video)]);
    scene.pass(GRACE);
    scene.accept(ben, &call).expect("accepted");
}

#[test]
fn a_call_goes_on_while_its_ends_are_lost_here_and_is_taken_up_by_the_same_device() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    scene.lose(ada);
    scene.pass(GRACE * 100);
    scene.nothing_more();
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(true), Some(true)), "it lives in its room");
    let again = scene.try_enter("ada", Some(&call)).expect("entered");
    assert!(matches!(&scene.calls(again)[..], [Told::Accepted(of, ..)] if *of == call));
    scene.hang_up(ben, &call).expect("hung up");
    assert_eq!(scene.calls(again), [Told::Over(call, CallEnd::HungUp)]);
}

#[test]
fn a_call_whose_both_ends_stay_away_is_forgotten() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.lose(ada);
    scene.pass(GRACE * 2);
    scene.lose(ben);
    scene.pass(GRACE - Duration::from_millis(1));
    assert_eq!(scene.lobby.len(), 2);
    scene.pass(Duration::from_millis(1));
    assert!(scene.lobby.is_empty());
    let late = scene.try_enter("ben", Some(&call)).expect("entered");
    assert_eq!(scene.calls(late), [Told::Over(call, CallEnd::Unknown)], "whoever thinks to be in it is told");
}

#[test]
fn a_device_that_comes_back_before_its_old_socket_is_missed_takes_its_place() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    let again = scene.try_enter("ada", Some(&call)).expect("entered");
    assert_eq!(scene.byes.get(&ada), Some(&ByeReason::Resumed));
    scene.lose(ada);
    scene.pass(GRACE * 2);
    scene.hang_up(ben, &call).expect("hung up");
    assert!(matches!(&scene.calls(again)[..], [Told::Accepted(..), Told::Over(..)]));
}

#[test]
fn a_device_of_somebody_else_takes_up_no_call_whose_name_it_has_found() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    let cleo = scene.try_enter("cleo", Some(&call)).expect("entered");
    assert_eq!(scene.calls(cleo), [Told::Over(call, CallEnd::Unknown)]);
    assert_eq!(scene.admitted.len(), 2);
    scene.nothing_more();
    assert!(scene.byes.is_empty());
}

#[test]
fn a_phone_that_is_lost_in_a_call_is_waited_for_when_the_laptop_leaves() {
    let mut scene = Scene::new();
    let (phone, laptop, ben) = (scene.enter("ada"), scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(phone, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    scene.lose(phone);
    scene.leave(laptop);
    scene.nothing_more();
    assert_eq!(scene.is_busy("ada"), Some(true));
    let phone = scene.try_enter("ada", Some(&call)).expect("entered");
    assert!(matches!(&scene.calls(phone)[..], [Told::Accepted(..)]));
}

#[test]
fn a_lobby_takes_so_many_people_and_an_identity_so_many_devices() {
    let mut scene = Scene::with(|rules| rules.people = 2);
    let first = scene.enter("ada");
    scene.enter("ben");
    assert_eq!(scene.try_enter("cleo", None), Err(ErrorCode::Full));
    for _ in 0..7 {
        scene.enter("ada");
    }
    assert!(scene.byes.is_empty());
    scene.enter("ada");
    assert_eq!(scene.byes.get(&first), Some(&ByeReason::Replaced), "the oldest goes");
    assert_eq!(scene.lobby.sockets(), 9);
}

#[test]
fn whoever_is_removed_is_told_is_gone_for_whom_they_called_and_is_kept_out() {
    let mut scene = Scene::new();
    let (moderator, ada, ben) = (scene.enter("mod"), scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.hush();
    assert_eq!(scene.ask(ben, LobbyRequest::Kick { member: MemberId("ada".into()) }), Err(ErrorCode::Forbidden));
    scene.ask(moderator, LobbyRequest::Kick { member: MemberId("ada".into()) }).expect("removed");
    assert_eq!(scene.byes.get(&ada), Some(&ByeReason::Kicked));
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!(scene.people(moderator).last(), Some(&Seen::Gone("ada".into())));
    assert_eq!(scene.try_enter("ada", None), Err(ErrorCode::Kicked));
    assert_eq!(scene.ask(moderator, LobbyRequest::Kick { member: MemberId("ada".into()) }), Err(ErrorCode::NotFound));
}

#[test]
fn an_empty_lobby_ends_and_nothing_is_left_in_it() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    scene.leave(ada);
    scene.leave(ben);
    assert!(scene.lobby.is_empty() && scene.lobby.calls.is_empty() && scene.lobby.sockets() == 0);
    scene.pass(IDLE - Duration::from_millis(1));
    assert!(!scene.closed);
    scene.pass(Duration::from_millis(1));
    assert!(scene.closed);
}

#[test]
fn when_the_node_ends_everybody_is_told() {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    scene.apply(Command::ShutDown);
    assert_eq!([ada, ben].map(|socket| scene.byes[&socket]), [ByeReason::ShuttingDown; 2]);
    assert!(scene.closed);
}

#[test]
fn a_request_of_a_socket_that_is_not_in_the_lobby_does_nothing() {
    let mut scene = Scene::new();
    let ada = scene.enter("ada");
    scene.leave(ada);
    scene.apply(Command::Request { socket: ada, id: 3, what: LobbyRequest::Accept { call: CallId("c".into()) } });
    scene.lose(ada);
    assert!(scene.lobby.is_empty());
}
