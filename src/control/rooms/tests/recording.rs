use std::time::Duration;

use super::scene::{Client, GRACE, RESUME, Scene, id};
use crate::base::{Time, TrackId};
use crate::contract::RoomCommand;
use crate::control::rooms::{Command, MemberRequest, RecordEffect};
use crate::wire::{ErrorCode, Event, OkResult, Policy, RecordingEnd, RecordingInfo, RecordingPause, Source, Way};

fn record(scene: &mut Scene, who: &Client, members: &[&str], sources: &[Source]) -> Result<Option<OkResult>, ErrorCode> {
    let members = members.iter().map(|name| id(name)).collect();
    scene.request(who, MemberRequest::Record { recording: "r1".into(), at: 7, members, sources: sources.to_vec() })
}

fn recorder(scene: &mut Scene, name: &str) -> Client {
    scene.try_join(name, |g| g.record = true).expect("admitted")
}

/// What is attached and detached since it was last asked for.
fn taken(scene: &mut Scene) -> Vec<(bool, TrackId, Option<Source>)> {
    let effects = std::mem::take(&mut scene.recorded).into_iter().filter_map(|(effect, _)| match effect {
        RecordEffect::Attach { track, source, .. } => Some((true, track, Some(source))),
        RecordEffect::Detach { track } => Some((false, track, None)),
        RecordEffect::Begin { .. } | RecordEffect::Chat { .. } | RecordEffect::End => None,
    });
    effects.collect()
}

#[test]
fn everybody_is_told_before_anything_is_recorded_and_newcomers_with_their_join() {
    let mut scene = Scene::new();
    let mut boss = recorder(&mut scene, "boss");
    scene.connect(&mut boss);
    let bob = scene.join_with_media("bob");
    scene.forget();
    assert_eq!(record(&mut scene, &bob, &[], &[]), Err(ErrorCode::Forbidden), "his token does not say so");
    assert_eq!(record(&mut scene, &boss, &[], &[]), Ok(None));
    assert_eq!(record(&mut scene, &boss, &[], &[]), Err(ErrorCode::WrongState), "it is recorded already");
    assert!(scene.recorded.iter().all(|(_, told)| *told == 2), "{:?}", scene.recorded);
    assert!(matches!(scene.recorded[0].0, RecordEffect::Begin { .. }));
    assert_eq!(taken(&mut scene).len(), 4, "two microphones and two cameras");
    let told = scene.told(&bob);
    let [Event::Recording { recording: Some(info), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&info.by, info.at, &info.sources[..]), (&id("boss"), 7, &Source::ALL[..]));
    let carol = scene.join_with_media("carol");
    let state = scene.room.joined(*scene.room.sockets.get(&carol.socket).expect("she is there"));
    assert!(matches!(state, Some(OkResult::Joined { recording: Some(_), .. })));
    assert_eq!(taken(&mut scene).len(), 2, "what is published later is recorded too");
}

#[test]
fn what_is_recorded_follows_what_is_published_and_chosen() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join_with_media("bob");
    scene.join_with_media("carol");
    scene.forget();
    record(&mut scene, &boss, &["bob"], &[Source::Microphone]).expect("begun");
    let begun = taken(&mut scene);
    let [(true, microphone, Some(Source::Microphone))] = begun[..] else { panic!("{begun:?}") };
    scene.request(&bob, MemberRequest::Unpublish { track: crate::wire::TrackNumber(microphone.0) }).expect("unpublished");
    assert_eq!(taken(&mut scene), [(false, microphone, None)]);
    assert!(!scene.commands.iter().any(|c| matches!(c, RoomCommand::Tap { .. })), "a track that has ended takes its tap with it");
}

#[test]
fn an_end_ends_the_taps_and_everybody_is_told() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join_with_media("bob");
    assert_eq!(scene.request(&boss, MemberRequest::StopRecording), Err(ErrorCode::WrongState));
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    scene.recorded.clear();
    assert_eq!(scene.request(&bob, MemberRequest::StopRecording), Err(ErrorCode::Forbidden));
    assert_eq!(scene.request(&boss, MemberRequest::StopRecording), Ok(None));
    assert_eq!(scene.commands.iter().filter(|c| matches!(c, RoomCommand::Tap { tap: None, .. })).count(), 2);
    assert_eq!(scene.recorded.pop().map(|(effect, _)| effect), Some(RecordEffect::End));
    assert_eq!(scene.told(&bob), [Event::Recording { recording: None, reason: None }]);
    record(&mut scene, &boss, &[], &[]).expect("it may begin again");
    scene.forget();
    scene.apply(Command::RecordingFailed);
    assert_eq!(scene.told(&bob), [Event::Recording { recording: None, reason: Some(RecordingEnd::Failed) }], "the disk is full, say");
}

#[test]
fn a_direct_call_goes_through_the_server_while_it_is_recorded() {
    let mut scene = Scene::new();
    let alice = scene.try_join_as("alice", |g| g.record = true, Some(crate::wire::DirectAbility { held: None })).expect("admitted");
    let bob = scene.join_direct("bob", None);
    assert_eq!(scene.room.via(), Some("direct"));
    scene.forget();
    record(&mut scene, &alice, &[], &[]).expect("begun");
    let told = scene.told(&bob);
    assert!(matches!(told[..], [Event::Recording { recording: Some(_), .. }, Event::Way { way: Way::Server {} }]), "{told:?}");
    scene.request(&alice, MemberRequest::StopRecording).expect("ended");
    let mut scene = Scene::with(|rules| rules.policy = Policy::P2p);
    let alice = scene.try_join_as("alice", |g| g.record = true, Some(crate::wire::DirectAbility { held: None })).expect("admitted");
    assert_eq!(record(&mut scene, &alice, &[], &[]), Err(ErrorCode::WrongState), "this server has nothing of such calls");
}

/// What somebody was told of the recording since it was last asked for.
fn told_of_it(scene: &mut Scene, who: &Client) -> Vec<Option<RecordingInfo>> {
    let told = scene.told(who).into_iter().filter_map(|event| if let Event::Recording { recording, .. } = event { Some(recording) } else { None });
    told.collect()
}

/// That it pauses, and for what.
fn pauses(scene: &mut Scene, who: &Client) -> Vec<Option<RecordingPause>> {
    told_of_it(scene, who).into_iter().map(|info| info.expect("it goes on").paused).collect()
}

fn pause(scene: &mut Scene, recording: &str, paused: Option<RecordingPause>) {
    scene.apply(Command::RecordingPaused { recording: recording.into(), paused });
}

#[test]
fn everybody_is_told_that_nothing_is_written_and_that_it_is_again_and_whoever_comes_meanwhile() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join("bob");
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    pause(&mut scene, "r1", Some(RecordingPause::DiskFull));
    for who in [&boss, &bob] {
        assert_eq!(pauses(&mut scene, who), [Some(RecordingPause::DiskFull)], "{}: at once, for it is the first", who.name);
    }
    pause(&mut scene, "r1", Some(RecordingPause::DiskFull));
    pause(&mut scene, "r0", None);
    assert_eq!(pauses(&mut scene, &bob), [], "the same again, and what is said of another one");
    let carol = scene.join("carol");
    let state = scene.room.joined(*scene.room.sockets.get(&carol.socket).expect("she is there"));
    let Some(OkResult::Joined { recording: Some(info), .. }) = state else { panic!("{state:?}") };
    assert_eq!(info.paused, Some(RecordingPause::DiskFull));
    assert_eq!(scene.room.seen().recording.expect("there").paused, Some(RecordingPause::DiskFull), "a program sees it, too");
    scene.now = scene.now + Duration::from_secs(7);
    pause(&mut scene, "r1", None);
    for who in [&boss, &bob, &carol] {
        assert_eq!(pauses(&mut scene, who), [None], "{}", who.name);
    }
    scene.request(&boss, MemberRequest::StopRecording).expect("ended");
    scene.forget();
    pause(&mut scene, "r1", Some(RecordingPause::DiskSlow));
    assert_eq!(scene.told(&bob), [], "it is over");
    assert_eq!(scene.room.deadline(), Time::NEVER);
}

#[test]
fn a_disk_that_comes_and_goes_is_told_once_a_second_and_ends_as_it_is() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    let begun = scene.now;
    let mut told = Vec::new();
    for n in 0..100 {
        pause(&mut scene, "r1", (n % 2 == 0).then_some(RecordingPause::DiskSlow));
        told.extend(pauses(&mut scene, &boss));
        scene.now = scene.now + Duration::from_millis(37);
    }
    assert_eq!(scene.now.micros_since(begun), 3_700_000);
    assert_eq!(told.len(), 4, "{told:?}");
    pause(&mut scene, "r1", Some(RecordingPause::DiskFailed));
    assert_eq!(pauses(&mut scene, &boss), []);
    let due = scene.room.deadline();
    assert!(due > scene.now && due.micros_since(scene.now) < 1_000_000, "what was not told is not forgotten");
    scene.now = due;
    scene.apply(Command::Timeout);
    assert_eq!(pauses(&mut scene, &boss), [Some(RecordingPause::DiskFailed)]);
    assert_eq!(scene.room.deadline(), Time::NEVER);
}

#[test]
fn a_recording_outlives_whoever_has_begun_it_and_whoever_moderates_may_end_it() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let host = scene.moderator("host");
    let bob = scene.join("bob");
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    scene.request(&boss, MemberRequest::Leave).expect("left");
    assert_eq!(told_of_it(&mut scene, &bob), [], "the host may end it");
    assert_eq!(scene.request(&bob, MemberRequest::StopRecording), Err(ErrorCode::Forbidden));
    assert_eq!(record(&mut scene, &host, &[], &[]), Err(ErrorCode::Forbidden), "to begin one takes more");
    assert_eq!(scene.request(&host, MemberRequest::StopRecording), Ok(None));
    assert_eq!(told_of_it(&mut scene, &bob), [None]);
}

#[test]
fn when_nobody_is_left_who_may_end_it_everybody_is_told_that_it_ends_with_the_call() {
    let mut scene = Scene::new();
    let boss = recorder(&mut scene, "boss");
    let bob = scene.join("bob");
    record(&mut scene, &boss, &[], &[]).expect("begun");
    scene.forget();
    let unattended = |scene: &mut Scene, who: &Client| -> Vec<bool> {
        told_of_it(scene, who).into_iter().map(|info| info.expect("it goes on").unattended).collect()
    };
    scene.apply(Command::SocketLost { socket: boss.socket, bye: None });
    scene.now = scene.now + Duration::from_secs(5);
    scene.apply(Command::Timeout);
    assert!(unattended(&mut scene, &bob).is_empty(), "who has lost the connection may come back");
    scene.now = scene.now + RESUME;
    scene.apply(Command::Timeout);
    assert_eq!(unattended(&mut scene, &bob), [true]);
    scene.now = scene.now + Duration::from_secs(5);
    let again = recorder(&mut scene, "boss");
    assert_eq!(unattended(&mut scene, &bob), [false], "somebody may end it again");
    scene.request(&again, MemberRequest::Leave).expect("left");
    scene.now = scene.now + Duration::from_secs(5);
    scene.apply(Command::Timeout);
    assert_eq!(unattended(&mut scene, &bob), [true]);
    scene.recorded.clear();
    scene.request(&bob, MemberRequest::Leave).expect("left");
    assert!(scene.room.recording.is_some(), "who reloads the page is gone for a moment");
    scene.now = scene.now + GRACE;
    scene.apply(Command::Timeout);
    assert!(scene.closed, "the recording ends with its room");
}
