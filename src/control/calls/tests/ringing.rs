//! To call, to take a call, not to take it, to end it.

use std::time::Duration;

use super::scene::{GRACE, RING, Scene, Told};
use crate::control::calls::{LobbyRequest, Outcome};
use crate::control::rooms::SocketId;
use crate::metrics::Metrics;
use crate::wire::{CallEnd, CallId, CallMedia, ErrorCode, RejectReason};

/// Ada and Ben, and Ada's call that rings at Ben.
fn ringing() -> (Scene, SocketId, SocketId, CallId) {
    let mut scene = Scene::new();
    let (ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    let call = scene.call_by(ada, "ben", CallMedia::Voice).expect("it rings");
    assert_eq!(scene.calls(ben), [Told::Rings(call.clone(), "ada".into(), CallMedia::Voice)]);
    assert_eq!(scene.calls(ada), []);
    (scene, ada, ben, call)
}

/// Ada and Ben in a call.
fn talking() -> (Scene, SocketId, SocketId, CallId) {
    let (mut scene, ada, ben, call) = ringing();
    scene.accept(ben, &call).expect("accepted");
    scene.hush();
    (scene, ada, ben, call)
}

#[test]
fn a_call_rings_at_the_callee_and_when_it_is_accepted_both_are_let_into_the_same_fresh_room() {
    let (mut scene, ada, ben, call) = ringing();
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(true), Some(true)));
    scene.accept(ben, &call).expect("accepted");
    let [a, b] = &scene.admitted[..] else { panic!("two ends") };
    assert_eq!((a.socket, b.socket), (ada, ben));
    assert_eq!((a.admission.identity.0.as_str(), b.admission.identity.0.as_str()), ("ada", "ben"));
    assert_eq!(a.admission.room, b.admission.room);
    assert_eq!((a.with.0.as_str(), a.name.as_str(), b.with.0.as_str()), ("ben", "BEN", "ada"));
    assert_eq!(a.admission.grants.publish.len(), 2, "the grants of the lobby's token");
    assert_eq!(scene.counted, [Outcome::Accepted]);
    assert!(matches!(&scene.calls(ada)[..], [Told::Accepted(of, with, _)] if *of == call && with == "ben"));
    assert!(matches!(&scene.calls(ben)[..], [Told::Accepted(of, with, _)] if *of == call && with == "ada"));
    scene.pass(RING * 100);
    scene.nothing_more();
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(true), Some(true)), "a call goes on for as long as they like");
}

#[test]
fn whoever_moderates_a_lobby_does_not_moderate_whom_they_call() {
    let mut scene = Scene::new();
    let (moderator, ben) = (scene.enter("mod"), scene.enter("ben"));
    let call = scene.call(moderator, "ben").expect("it rings");
    scene.accept(ben, &call).expect("accepted");
    assert!(scene.admitted.iter().all(|admit| !admit.admission.grants.moderate));
}

#[test]
fn a_call_that_is_rejected_is_over_for_both_and_they_may_call_again() {
    let (mut scene, ada, ben, call) = ringing();
    scene.reject(ben, &call).expect("rejected");
    assert_eq!(scene.calls(ada), [Told::Over(call.clone(), CallEnd::Rejected)]);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), Some(false)));
    assert_eq!(scene.counted, [Outcome::Rejected]);
    assert_eq!(scene.accept(ben, &call), Err(ErrorCode::NotFound), "it rings no longer");
    assert_eq!(scene.reject(ben, &call), Err(ErrorCode::NotFound));
    scene.nothing_more();
    scene.call(ben, "ada").expect("it rings");
}

#[test]
fn a_callee_in_a_call_that_the_lobby_does_not_know_says_that_they_are_busy() {
    let (mut scene, ada, ben, call) = ringing();
    scene.ask(ben, LobbyRequest::Reject { call: call.clone(), reason: RejectReason::Busy }).expect("rejected");
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::Busy)]);
    assert_eq!(scene.counted, [Outcome::Busy]);
}

#[test]
fn whoever_is_not_free_is_busy_for_others_and_is_not_disturbed() {
    let (mut scene, ada, ben, call) = ringing();
    let cleo = scene.enter("cleo");
    assert_eq!(scene.call(cleo, "ben"), Err(ErrorCode::Busy), "he is being called");
    assert_eq!(scene.call(cleo, "ada"), Err(ErrorCode::Busy), "she is calling");
    scene.accept(ben, &call).expect("accepted");
    assert_eq!(scene.call(cleo, "ben"), Err(ErrorCode::Busy), "he is in a call");
    assert_eq!(scene.counted, [Outcome::Busy, Outcome::Busy, Outcome::Accepted, Outcome::Busy]);
    assert_eq!(scene.call(ada, "cleo"), Err(ErrorCode::WrongState), "nor does she call a third");
    assert_eq!((scene.calls(ada).len(), scene.calls(ben).len()), (1, 1), "accepted, and nothing else");
    scene.nothing_more();
}

#[test]
fn a_caller_takes_a_call_back() {
    let (mut scene, ada, ben, call) = ringing();
    scene.cancel(ada, &call).expect("taken back");
    assert_eq!(scene.calls(ben), [Told::Over(call.clone(), CallEnd::Cancelled)]);
    assert_eq!(scene.accept(ben, &call), Err(ErrorCode::NotFound), "too late");
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), Some(false)));
    assert_eq!(scene.counted, [Outcome::Cancelled]);
    scene.nothing_more();
}

#[test]
fn a_call_taken_back_at_the_moment_at_which_it_is_accepted_is_over_for_both() {
    let (mut scene, ada, ben, call) = talking();
    scene.cancel(ada, &call).expect("taken back");
    assert_eq!(scene.calls(ben), [Told::Over(call.clone(), CallEnd::HungUp)]);
    scene.nothing_more();
}

#[test]
fn only_the_caller_takes_a_call_back_and_only_the_callee_takes_it() {
    let (mut scene, ada, ben, call) = ringing();
    let cleo = scene.enter("cleo");
    scene.hush();
    assert_eq!(scene.cancel(ben, &call), Err(ErrorCode::NotFound));
    assert_eq!(scene.accept(ada, &call), Err(ErrorCode::NotFound));
    assert_eq!(scene.reject(ada, &call), Err(ErrorCode::NotFound));
    for refused in [scene.accept(cleo, &call), scene.reject(cleo, &call), scene.cancel(cleo, &call), scene.hang_up(cleo, &call)] {
        assert_eq!(refused, Err(ErrorCode::NotFound), "a third has nothing to do with it");
    }
    scene.nothing_more();
    scene.accept(ben, &call).expect("it still rings");
}

#[test]
fn a_call_that_nobody_answers_rings_for_its_time_and_then_is_over_at_both_ends() {
    let (mut scene, ada, ben, call) = ringing();
    scene.pass(RING - Duration::from_millis(1));
    scene.nothing_more();
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.calls(ada), [Told::Over(call.clone(), CallEnd::TimedOut)]);
    assert_eq!(scene.calls(ben), [Told::Over(call.clone(), CallEnd::TimedOut)]);
    assert_eq!(scene.counted, [Outcome::TimedOut]);
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), Some(false)));
    assert_eq!(scene.accept(ben, &call), Err(ErrorCode::NotFound));
}

#[test]
fn two_who_call_each_other_at_the_same_moment_are_connected_in_one_call() {
    let (mut scene, ada, ben, call) = ringing();
    assert_eq!(scene.call_by(ben, "ada", CallMedia::Video), Ok(call.clone()), "the first one's call");
    let (a, b) = (scene.calls(ada), scene.calls(ben));
    let ([Told::Accepted(one, _, here)], [Told::Accepted(other, _, there)]) = (&a[..], &b[..]) else { panic!("{a:?} {b:?}") };
    assert_eq!((one, other), (&call, &call));
    assert_eq!(here, there, "one room");
    assert_eq!(scene.counted, [Outcome::Accepted]);
    scene.nothing_more();
}

#[test]
fn either_end_hangs_up_and_both_are_free() {
    for caller_does in [true, false] {
        let (mut scene, ada, ben, call) = talking();
        let (one, other) = if caller_does { (ada, ben) } else { (ben, ada) };
        scene.hang_up(one, &call).expect("hung up");
        assert_eq!(scene.calls(other), [Told::Over(call.clone(), CallEnd::HungUp)]);
        assert_eq!(scene.calls(one), [], "who did it knows");
        assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(false), Some(false)));
        assert_eq!(scene.hang_up(other, &call), Err(ErrorCode::NotFound), "once");
    }
}

#[test]
fn hanging_up_while_it_rings_is_to_take_it_back_or_to_reject_it() {
    let (mut scene, ada, ben, call) = ringing();
    scene.hang_up(ada, &call).expect("taken back");
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Cancelled)]);
    let (mut scene, ada, ben, call) = ringing();
    scene.hang_up(ben, &call).expect("rejected");
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::Rejected)]);
}

#[test]
fn all_devices_of_somebody_ring_and_the_first_that_accepts_has_the_call() {
    let mut scene = Scene::new();
    let (ada, phone, laptop) = (scene.enter("ada"), scene.enter("ben"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    let rings = || vec![Told::Rings(call.clone(), "ada".into(), CallMedia::Video)];
    assert_eq!((scene.calls(phone), scene.calls(laptop)), (rings(), rings()));
    scene.accept(laptop, &call).expect("accepted");
    assert_eq!(scene.calls(phone), [Told::Over(call.clone(), CallEnd::Elsewhere)]);
    assert!(matches!(&scene.calls(laptop)[..], [Told::Accepted(..)]));
    assert_eq!(scene.accept(phone, &call), Err(ErrorCode::NotFound), "the second is too late");
    assert_eq!(scene.admitted.len(), 2);
    scene.leave(phone);
    assert_eq!(scene.is_busy("ben"), Some(true), "the call goes on at the laptop");
    scene.leave(laptop);
    assert_eq!(scene.is_busy("ben"), None);
}

#[test]
fn a_call_that_is_rejected_at_one_device_stops_ringing_at_the_others() {
    let mut scene = Scene::new();
    let (ada, phone, laptop) = (scene.enter("ada"), scene.enter("ben"), scene.enter("ben"));
    let call = scene.call(ada, "ben").expect("it rings");
    scene.hush();
    scene.reject(phone, &call).expect("rejected");
    assert_eq!(scene.calls(laptop), [Told::Over(call.clone(), CallEnd::Elsewhere)]);
    assert_eq!(scene.calls(ada), [Told::Over(call, CallEnd::Rejected)]);
    scene.nothing_more();
}

#[test]
fn somebody_whose_call_is_at_a_device_that_is_lost_may_call_anew_at_another() {
    let (mut scene, ada, ben, call) = talking();
    let laptop = scene.enter("ada");
    scene.enter("cleo");
    assert_eq!(scene.call(laptop, "cleo"), Err(ErrorCode::WrongState), "she is in a call at her phone");
    scene.lose(ada);
    scene.call(laptop, "cleo").expect("it rings");
    assert_eq!(scene.calls(ben), [Told::Over(call, CallEnd::Gone)]);
    assert_eq!(scene.is_busy("ben"), Some(false));
}

#[test]
fn a_refused_call_leaves_a_call_at_a_lost_device_alone() {
    let (mut scene, ada, ben, _) = talking();
    let laptop = scene.enter("ada");
    scene.lose(ada);
    assert_eq!(scene.call(laptop, "nobody"), Err(ErrorCode::NotFound));
    scene.nothing_more();
    assert_eq!((scene.is_busy("ada"), scene.is_busy("ben")), (Some(true), Some(true)));
    assert_eq!(scene.calls(ben), []);
}

#[test]
fn calls_are_limited_for_each_identity_and_leaving_does_not_help() {
    let mut scene = Scene::with(|rules| rules.calls_per_minute = 3);
    let (mut ada, ben) = (scene.enter("ada"), scene.enter("ben"));
    for _ in 0..3 {
        let call = scene.call(ada, "ben").expect("it rings");
        scene.reject(ben, &call).expect("rejected");
        scene.leave(ada);
        ada = scene.enter("ada");
    }
    assert_eq!(scene.call(ada, "ben"), Err(ErrorCode::RateLimited));
    let call = scene.call(ben, "ada").expect("others may");
    scene.cancel(ben, &call).expect("taken back");
    scene.pass(Duration::from_secs(20));
    let call = scene.call(ada, "ben").expect("one more after its share of a minute");
    scene.cancel(ada, &call).expect("taken back");
    assert_eq!(scene.call(ada, "ben"), Err(ErrorCode::RateLimited));
}

#[test]
fn every_outcome_is_counted_under_its_name_and_begins_at_nothing() {
    let metrics = Metrics::new(Vec::new()).expect("names are unique");
    metrics.control.rang(Outcome::TimedOut.name());
    let text = metrics.text().expect("text");
    for outcome in Outcome::ALL {
        let line = format!("althing_rings_total{{outcome=\"{}\"}} {}", outcome.name(), u8::from(outcome == Outcome::TimedOut));
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("althing_rings_total{")).count(), Outcome::ALL.len());
}

#[test]
fn nobody_is_called_who_is_not_in_the_lobby_and_nobody_calls_themselves() {
    let mut scene = Scene::new();
    let ada = scene.enter("ada");
    assert_eq!(scene.call(ada, "stranger"), Err(ErrorCode::NotFound));
    assert_eq!(scene.call(ada, "ada"), Err(ErrorCode::WrongState));
    assert_eq!(scene.is_busy("ada"), Some(false));
    assert_eq!(scene.hang_up(ada, &CallId(String::new())), Err(ErrorCode::NotFound));
}

#[test]
fn a_call_asked_for_once_more_because_the_answer_was_lost_is_the_same_call() {
    let (mut scene, ada, ben, call) = ringing();
    scene.lose(ada);
    let again = scene.enter("ada");
    assert_eq!(scene.call(again, "ben"), Ok(call.clone()));
    scene.nothing_more();
    scene.pass(GRACE * 2);
    scene.accept(ben, &call).expect("it still rings");
    assert!(matches!(&scene.calls(again)[..], [Told::Accepted(..)]));
    assert_eq!(scene.accept(ben, &call), Ok(()), "so is an acceptance");
    assert_eq!(scene.calls(ben).len(), 2, "told once more");
    assert_eq!(scene.counted, [Outcome::Accepted], "counted once");
}
