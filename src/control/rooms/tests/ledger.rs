use std::time::Duration;

use super::scene::{Scene, id, track};
use crate::base::Time;
use crate::control::events::{Kind, Reason, What};
use crate::control::rooms::command::Whole;
use crate::control::rooms::ledger::Remains;
use crate::control::rooms::{Command, MemberRequest, RecordEffect};
use crate::wire::{Event, RecordingEnd, RecordingPause, Source};

fn scene() -> Scene {
    let mut scene = Scene::new();
    let empty = Scene::new().room;
    scene.room = std::mem::replace(&mut scene.room, empty).with_ledger(scene.now);
    scene
}

fn happened(scene: &mut Scene) -> Vec<What> {
    std::mem::take(&mut scene.happened)
}

#[test]
fn a_stay_and_its_tracks_are_said_with_their_seconds() {
    let mut scene = scene();
    let mut alice = scene.join("alice");
    assert_eq!(happened(&mut scene), [What::RoomCreated {}, What::MemberJoined { visit: 1, member: id("alice"), name: "ALICE".into() }]);
    scene.pass(Duration::from_millis(1_500));
    scene.connect(&mut alice);
    let published = happened(&mut scene);
    let [
        What::TrackPublished { track: sound, kind: Kind::Audio, source: Source::Microphone, visit: 1, .. },
        What::TrackPublished { track: picture, kind: Kind::Video, source: Source::Camera, .. },
    ] = published[..]
    else {
        panic!("{published:?}")
    };
    scene.pass(Duration::from_secs(1));
    scene.request(&alice, MemberRequest::Mute { track: sound, muted: true }).expect("muted");
    scene.pass(Duration::from_millis(2_250));
    scene.request(&alice, MemberRequest::Mute { track: sound, muted: false }).expect("unmuted");
    scene.pass(Duration::from_secs(1));
    scene.request(&alice, MemberRequest::Unpublish { track: picture }).expect("unpublished");
    let (visit, member) = (1, id("alice"));
    let ended = What::TrackEnded {
        visit,
        member: member.clone(),
        track: picture,
        kind: Kind::Video,
        source: Source::Camera,
        seconds: 4.25,
        muted_seconds: Some(0.0),
    };
    assert_eq!(happened(&mut scene), [ended]);
    scene.leave(&alice);
    let sound = What::TrackEnded {
        visit,
        member: member.clone(),
        track: sound,
        kind: Kind::Audio,
        source: Source::Microphone,
        seconds: 4.25,
        muted_seconds: Some(2.25),
    };
    assert_eq!(happened(&mut scene), [sound, What::MemberLeft { visit, member, reason: Reason::Left, seconds: 5.75 }]);
    scene.pass(Duration::from_secs(60));
    assert_eq!(happened(&mut scene), [What::RoomClosed { reason: Reason::Empty, seconds: 35.75 }]);
}

#[test]
fn each_way_out_has_its_reason() {
    let mut scene = scene();
    let boss = scene.moderator("boss");
    let (alice, bob) = (scene.join("alice"), scene.join("bob"));
    scene.join("carol");
    happened(&mut scene);
    let reasons = |scene: &mut Scene| -> Vec<(u32, Reason)> {
        let of = |what| if let What::MemberLeft { visit, reason, .. } = what { Some((visit, reason)) } else { None };
        happened(scene).into_iter().filter_map(of).collect()
    };
    scene.request(&boss, MemberRequest::Kick { member: id("alice") }).expect("removed");
    assert_eq!(reasons(&mut scene), [(2, Reason::Kicked)]);
    scene.join("bob");
    assert_eq!(reasons(&mut scene), [(3, Reason::Replaced)], "the second stay is another one");
    let dave = scene.join("dave");
    scene.lose(&dave);
    assert_eq!(reasons(&mut scene), [], "it may be resumed");
    scene.pass(Duration::from_secs(61));
    assert_eq!(reasons(&mut scene), [(6, Reason::Lost)]);
    scene.apply(Command::ShutDown);
    let last = happened(&mut scene);
    assert!(matches!(last.last(), Some(What::RoomClosed { reason: Reason::ShuttingDown, .. })), "{last:?}");
    assert_eq!(last.iter().filter(|what| matches!(what, What::MemberLeft { reason: Reason::ShuttingDown, .. })).count(), 3);
    assert_eq!(scene.room.close_books(scene.now, Reason::Failed), Remains::default(), "nothing is said twice");
    let _ = (alice, bob);
}

#[test]
fn a_recording_is_finished_or_has_failed_and_a_room_that_breaks_ends_what_is_open() {
    let mut scene = scene();
    let boss = scene.try_join("boss", |g| g.record = true).expect("admitted");
    let record = |recording: &str| MemberRequest::Record { recording: recording.into(), at: 7, members: vec![], sources: vec![] };
    happened(&mut scene);
    scene.request(&boss, record("r1")).expect("begun");
    scene.pass(Duration::from_secs(3));
    scene.request(&boss, MemberRequest::StopRecording).expect("ended");
    let begun = happened(&mut scene);
    assert_eq!(begun, [What::RecordingStarted { recording: "r1".into(), by: id("boss") }], "its files are not whole yet");
    scene.pass(Duration::from_secs(2));
    scene.apply(Command::RecordingOver { recording: "r1".into(), whole: Some(Whole { files: 2, bytes: 70 }) });
    scene.request(&boss, record("r2")).expect("begun");
    scene.apply(Command::RecordingFailed);
    scene.request(&boss, record("r3")).expect("begun");
    assert_eq!(
        happened(&mut scene),
        [
            What::RecordingFinished { recording: "r1".into(), seconds: 3.0, files: 2, bytes: 70, reason: None },
            What::RecordingStarted { recording: "r2".into(), by: id("boss") },
            What::RecordingFailed { recording: "r2".into(), seconds: 0.0, reason: Reason::Failed },
            What::RecordingStarted { recording: "r3".into(), by: id("boss") },
        ]
    );
    let remains = scene.room.close_books(scene.now + Duration::from_secs(1), Reason::Failed);
    let kind = |what: &What| serde_json::to_value(what).expect("JSON")["type"].as_str().map(str::to_owned).expect("a type");
    assert_eq!(remains.now.iter().map(kind).collect::<Vec<_>>(), ["member.left"]);
    let ended: Vec<_> = remains.recordings.into_iter().map(|ending| kind(&ending.said(Some(Whole { files: 0, bytes: 0 })))).collect();
    assert_eq!(ended, ["recording.finished"]);
    assert_eq!(remains.last.as_ref().map(kind).as_deref(), Some("room.closed"), "it is the last word of all");
}

#[test]
fn for_how_long_a_recording_was_not_written_is_said() {
    let mut scene = scene();
    let boss = scene.try_join("boss", |g| g.record = true).expect("admitted");
    scene.request(&boss, MemberRequest::Record { recording: "r1".into(), at: 7, members: vec![], sources: vec![] }).expect("begun");
    happened(&mut scene);
    for paused in [Some(RecordingPause::DiskSlow), Some(RecordingPause::DiskFull), None] {
        scene.apply(Command::RecordingPaused { recording: "r1".into(), paused });
        scene.now = scene.now + Duration::from_secs(4);
        scene.apply(Command::Timeout);
    }
    let paused = |reason| What::RecordingPaused { recording: "r1".into(), reason };
    let resumed = What::RecordingResumed { recording: "r1".into(), seconds: 8.0 };
    assert_eq!(happened(&mut scene), [paused(RecordingPause::DiskSlow), paused(RecordingPause::DiskFull), resumed]);
}

#[test]
fn a_recording_whose_room_has_no_more_space_ends_with_the_reason_and_one_whose_files_are_lost_has_failed() {
    let mut scene = scene();
    let boss = scene.try_join("boss", |g| g.record = true).expect("admitted");
    let record = |recording: &str| MemberRequest::Record { recording: recording.into(), at: 7, members: vec![], sources: vec![] };
    scene.request(&boss, record("r1")).expect("begun");
    scene.forget();
    happened(&mut scene);
    scene.apply(Command::RecordingFull { recording: "another".into() });
    assert_eq!(scene.told(&boss), []);
    scene.apply(Command::RecordingFull { recording: "r1".into() });
    assert_eq!(scene.told(&boss), [Event::Recording { recording: None, reason: Some(RecordingEnd::LibraryFull) }]);
    assert!(scene.recorded.iter().any(|(effect, _)| *effect == RecordEffect::End));
    scene.apply(Command::RecordingOver { recording: "r1".into(), whole: Some(Whole { files: 1, bytes: 9 }) });
    scene.request(&boss, record("r2")).expect("begun");
    scene.request(&boss, MemberRequest::StopRecording).expect("ended");
    scene.apply(Command::RecordingOver { recording: "r2".into(), whole: None });
    let said = happened(&mut scene);
    assert_eq!(said[0], What::RecordingFinished { recording: "r1".into(), seconds: 0.0, files: 1, bytes: 9, reason: Some(Reason::LibraryFull) });
    assert_eq!(said[2], What::RecordingFailed { recording: "r2".into(), seconds: 0.0, reason: Reason::Failed });
}

#[test]
fn media_that_is_lost_ends_its_tracks_and_fallbacks_are_no_tracks_of_a_bill() {
    let mut scene = scene();
    let alice = scene.join_with_media("alice");
    let published = scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    happened(&mut scene);
    scene.apply(Command::Media(crate::contract::Event::RoomFailed { room: crate::base::RoomId(1) }));
    let ended = happened(&mut scene);
    assert_eq!(ended.len(), 2, "{ended:?}");
    let is_it = |what: &What| matches!(what, What::TrackEnded { track: it, .. } if *it == track(&published, Source::Camera));
    assert!(ended.iter().any(is_it));
}

#[test]
fn nothing_is_said_where_nobody_wants_to_know() {
    let mut scene = Scene::new();
    scene.join_with_media("alice");
    scene.apply(Command::ShutDown);
    assert!(scene.happened.is_empty());
    assert_eq!(scene.room.close_books(Time::NEVER, Reason::Failed), Remains::default());
}

#[test]
fn a_picture_that_is_kept_is_said_and_one_that_is_not_is_not() {
    let mut scene = scene();
    let mut boss = scene.try_join("boss", |g| g.record = true).expect("admitted");
    scene.connect(&mut boss);
    happened(&mut scene);
    for result in [Ok("item-1".to_owned()), Err(crate::control::Refusal::forbidden("no"))] {
        let what = MemberRequest::Screenshot { member: id("boss"), source: Source::Camera };
        scene.apply(Command::Request { socket: boss.socket, id: 9, what });
        let number = scene.wishes.pop().expect("it is taken").0.number;
        scene.apply(Command::ScreenshotOver { number, result });
    }
    assert_eq!(happened(&mut scene), [What::ScreenshotTaken { item: "item-1".into(), by: id("boss"), member: id("boss"), source: Source::Camera }]);
}
