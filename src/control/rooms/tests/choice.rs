//! Rooms that are too big for everybody to be shown.

use super::scene::{Client, Scene, id};
use crate::base::{RoomId, TrackId};
use crate::contract::{Event as Media, Limit, Quality, RoomCommand};
use crate::control::rooms::{Command, MemberRequest};
use crate::wire::{ErrorCode, Event, MemberId, Priority, QualityLevel, QualityLimit, Source, Tile, TrackNumber, TrackQuality};

/// A room of `n` members of whom each is shown three.
fn big(n: usize) -> (Scene, Vec<Client>) {
    let mut scene = Scene::with(|rules| (rules.last_n, rules.voices) = (3, 2));
    let clients = (0..n).map(|i| scene.join_with_media(&format!("m{i}"))).collect();
    (scene, clients)
}

fn shown(scene: &mut Scene, client: &Client) -> Vec<MemberId> {
    let mut shown: Vec<_> = scene.slots(client).unwrap_or_default().into_iter().map(|slot| slot.member).collect();
    shown.sort();
    shown
}

fn track_of(scene: &Scene, client: &Client, source: Source) -> TrackNumber {
    let member = scene.room.members.values().find(|m| m.identity == client.id()).expect("a member");
    TrackNumber(member.tracks.iter().find(|t| t.source == source).expect("published").id.0)
}

fn speak(scene: &mut Scene, client: &Client) {
    let track = TrackId(track_of(scene, client, Source::Microphone).0);
    scene.apply(Command::Media(Media::Speakers { room: RoomId(1), speaking: vec![(track, 20)] }));
}

fn ids(names: &[&str]) -> Vec<MemberId> {
    names.iter().map(|name| id(name)).collect()
}

#[test]
fn who_begins_to_speak_is_shown_in_the_place_of_whoever_was_silent_for_longest() {
    let (mut scene, clients) = big(6);
    assert_eq!(shown(&mut scene, &clients[0]), ids(&["m1", "m2", "m3"]));
    speak(&mut scene, &clients[1]);
    speak(&mut scene, &clients[5]);
    let now = shown(&mut scene, &clients[0]);
    assert!(now.contains(&id("m1")) && now.contains(&id("m5")) && now.len() == 3, "{now:?}");
    scene.forget();
    speak(&mut scene, &clients[1]);
    assert!(!scene.told(&clients[0]).iter().any(|e| matches!(e, Event::Slots { .. })), "who is shown already moves nobody");
    speak(&mut scene, &clients[2]);
    speak(&mut scene, &clients[3]);
    assert_eq!(shown(&mut scene, &clients[0]), ids(&["m1", "m2", "m3"]), "the three who spoke last");
}

#[test]
fn a_pinned_picture_stays_whoever_speaks() {
    let (mut scene, clients) = big(6);
    let track = track_of(&scene, &clients[4], Source::Camera);
    let tile = |priority| MemberRequest::View { tiles: vec![Tile { track, width: 640, height: 360, priority }] };
    scene.request(&clients[0], tile(Priority::High)).expect("done");
    assert!(shown(&mut scene, &clients[0]).contains(&id("m4")), "it is shown at once");
    for other in [1, 2, 3, 5] {
        speak(&mut scene, &clients[other]);
    }
    assert_eq!(shown(&mut scene, &clients[0]), ids(&["m3", "m4", "m5"]));
    scene.request(&clients[0], tile(Priority::Normal)).expect("done");
    speak(&mut scene, &clients[1]);
    assert_eq!(shown(&mut scene, &clients[0]), ids(&["m1", "m3", "m5"]));
}

#[test]
fn workers_hear_how_many_voices_to_forward_when_there_are_more_and_when_there_are_not() {
    let told = |scene: &Scene| {
        scene.commands.iter().filter_map(|c| if let RoomCommand::Voices { most } = c { Some(*most) } else { None }).collect::<Vec<_>>()
    };
    let (mut scene, clients) = big(2);
    assert!(told(&scene).is_empty());
    scene.join_with_media("m2");
    assert_eq!(told(&scene), [2]);
    scene.leave(&clients[0]);
    assert_eq!(told(&scene), [2, u8::MAX]);
}

#[test]
fn a_tile_says_how_its_track_is_sent_and_one_that_is_gone_is_passed_over() {
    let (mut scene, clients) = big(2);
    let track = track_of(&scene, &clients[1], Source::Camera);
    scene.forget();
    let tile = |track, width| Tile { track, width, height: width / 2, priority: Priority::Normal };
    let view = MemberRequest::View { tiles: vec![tile(track, 320), tile(TrackNumber(99_999), 320)] };
    scene.request(&clients[0], view).expect("done");
    let [RoomCommand::Point { source, view, .. }] = &scene.commands[..] else { panic!("one slot is pointed: {:?}", scene.commands) };
    assert_eq!((*source, view.width, view.height), (Some(TrackId(track.0)), 320, 160));
    scene.forget();
    scene.request(&clients[0], MemberRequest::View { tiles: vec![tile(track, 320)] }).expect("done");
    assert!(scene.commands.is_empty(), "the same again changes nothing");
    let many = MemberRequest::View { tiles: vec![tile(track, 1); 65] };
    assert_eq!(scene.request(&clients[0], many), Err(ErrorCode::LimitExceeded));
}

#[test]
fn what_is_sent_and_what_is_wanted_is_told_and_told_again_to_who_resumes() {
    let (mut scene, mut clients) = big(2);
    let track = track_of(&scene, &clients[1], Source::Camera);
    let peer = scene.room.members.values().find(|m| m.identity == clients[0].id()).and_then(|m| m.connection.as_ref()).expect("connected").peer;
    scene.forget();
    let sent = Quality { track: TrackId(track.0), encoding: Some(0), of: 3, limit: Some(Limit::Bandwidth) };
    scene.apply(Command::Media(Media::Quality { room: RoomId(1), peer, tracks: vec![sent], link: None }));
    let expected = Event::Quality { tracks: vec![TrackQuality { track, level: QualityLevel::Low, limit: Some(QualityLimit::Bandwidth) }] };
    assert_eq!(scene.told(&clients[0]), std::slice::from_ref(&expected));
    scene.apply(Command::Media(Media::Demand { room: RoomId(1), track: TrackId(track.0), encodings: 1 }));
    assert_eq!(scene.told(&clients[1]), [], "a track without encodings is not mentioned");
    let journal = serde_json::to_value(scene.room.journals()).expect("JSON");
    assert_eq!(journal[0]["entries"][0]["tracks"][0]["limit"], "bandwidth", "and both are kept for whoever asks later: {journal}");
    assert_eq!(journal[1]["entries"][0]["what"], "demand", "{journal}");
    scene.lose(&clients[0]);
    scene.forget();
    let seq = scene.room.members.values().find(|m| m.identity == clients[0].id()).expect("a member").seq;
    scene.resume(&mut clients[0], seq).expect("resumed");
    assert!(scene.told(&clients[0]).contains(&expected));
}
