mod model;

use std::time::Duration;

use super::scene::{Client, Scene, id, track};
use crate::base::{PeerId, RoomId, TrackId};
use crate::contract::{Event as Media, Limit, MediaKind, Quality, RoomCommand};
use crate::control::rooms::fallback::LINGER;
use crate::control::rooms::{Command, MemberRequest, Pin, Purpose};
use crate::wire::VideoCodec::{self, Av1, H264, Vp8, Vp9};
use crate::wire::{ErrorCode, Event, OkResult, PublishLine, QualityLimit, Source, Tile, TrackInfo, TrackNumber};

const ROOM: RoomId = RoomId(1);
const MOMENT: Duration = Duration::from_millis(1);
const CAMERA: &[(&str, Source)] = &[("0", Source::Microphone), ("1", Source::Camera)];
const BOTH: &[(&str, Source)] = &[("0", Source::Microphone), ("1", Source::Camera), ("+2", Source::Camera)];

fn peer(scene: &Scene) -> PeerId {
    scene.commands.iter().rev().find_map(|c| if let RoomCommand::AddPeer { peer, .. } = c { Some(*peer) } else { None }).expect("a connection")
}

/// A publisher who sends AV1, could send the others, and has an m-line for a fallback.
fn ada(scene: &mut Scene) -> (Client, TrackNumber) {
    let mut ada = scene.join("ada");
    ada.sends = vec![Av1, Vp9, H264, Vp8];
    ada.add_all(&[MediaKind::Audio, MediaKind::Video, MediaKind::Video]);
    let published = scene.offer(&ada, CAMERA).expect("answered");
    (ada, track(&published, Source::Camera))
}

/// Somebody who only watches, with these codecs.
fn viewer(scene: &mut Scene, name: &str, receives: &[VideoCodec]) -> (Client, PeerId) {
    let mut client = scene.join(name);
    client.receives = receives.to_vec();
    client.grow(4);
    scene.offer(&client, &[]).expect("answered");
    let peer = peer(scene);
    (client, peer)
}

/// A worker says what a viewer is sent of one track.
fn told(scene: &mut Scene, peer: PeerId, track: TrackNumber, limit: Option<Limit>) {
    let sent = Quality { track: TrackId(track.0), encoding: limit.is_none().then_some(0), of: 1, limit };
    scene.apply(Command::Media(Media::Quality { room: ROOM, peer, tracks: vec![sent], link: None }));
}

fn fails(scene: &mut Scene, peer: PeerId, track: TrackNumber) {
    told(scene, peer, track, Some(Limit::Codec));
}

/// What a publisher was asked for since it was last looked at.
fn asked(scene: &mut Scene, client: &Client) -> Vec<Vec<VideoCodec>> {
    scene.told(client).into_iter().filter_map(|e| if let Event::Fallback { codecs, .. } = e { Some(codecs) } else { None }).collect()
}

fn wants(scene: &mut Scene, client: &Client, track: TrackNumber, wanted: bool) {
    scene.request(client, MemberRequest::Want { tracks: vec![track], wanted }).expect("done");
}

fn fallback(published: &[(String, TrackInfo)]) -> TrackNumber {
    published.iter().find(|(_, t)| t.fallback).expect("a fallback").1.track
}

/// The pictures that a viewer is pointed at.
fn shown(scene: &Scene, peer: PeerId) -> Vec<TrackNumber> {
    scene.workers.pictures(peer).into_iter().map(|track| TrackNumber(track.0)).collect()
}

/// Ada with a fallback, a viewer who needs it, and the numbers of track and fallback.
fn with_fallback(scene: &mut Scene) -> (Client, TrackNumber, TrackNumber, Client, PeerId) {
    let (ada, camera) = ada(scene);
    let (ben, peer) = viewer(scene, "ben", &[Vp8]);
    fails(scene, peer, camera);
    let second = fallback(&scene.offer(&ada, BOTH).expect("answered"));
    (ada, camera, second, ben, peer)
}

#[test]
fn who_cannot_decode_a_track_is_told_and_its_publisher_is_asked_for_another_codec() {
    let mut scene = Scene::new();
    let (ada, camera) = ada(&mut scene);
    let (ben, peer) = viewer(&mut scene, "ben", &[Vp8, Vp9]);
    scene.events.clear();
    fails(&mut scene, peer, camera);
    fails(&mut scene, peer, camera);
    assert!(matches!(&scene.told(&ben)[0], Event::Quality { tracks } if tracks[0].limit == Some(QualityLimit::Codec) && tracks[0].track == camera));
    assert_eq!(scene.told(&ada), [Event::Fallback { track: camera, codecs: vec![Vp8, Vp9] }], "once, of what both know");
    assert_eq!(scene.room.fallbacks(), [1, 0]);
}

#[test]
fn a_fallback_takes_the_tracks_place_for_those_who_need_it_and_nobody_hears_of_it() {
    let mut scene = Scene::new();
    let (ada, camera) = ada(&mut scene);
    let (ben, needy) = viewer(&mut scene, "ben", &[Vp8]);
    let (cleo, other) = viewer(&mut scene, "cleo", &[Av1, Vp8]);
    fails(&mut scene, needy, camera);
    told(&mut scene, other, camera, None);
    scene.events.clear();
    let places = scene.commands.len();
    let published = scene.offer(&ada, BOTH).expect("answered");
    let second = fallback(&published);
    assert_eq!(published.len(), 3, "its publisher knows its number");
    assert_eq!((shown(&scene, needy), shown(&scene, other)), (vec![second], vec![camera]));
    assert!(!scene.commands[places..].iter().any(|c| matches!(c, RoomCommand::Point { peer, .. } if *peer == other)), "nobody else is touched");
    assert_eq!((scene.told(&ben), scene.told(&cleo)), (vec![], vec![]));
    told(&mut scene, needy, second, None);
    assert!(matches!(&scene.told(&ben)[..], [Event::Quality { tracks }] if tracks[0].track == camera && tracks[0].limit.is_none()));
    assert_eq!(asked(&mut scene, &ada).len(), 0);
    assert_eq!(scene.room.fallbacks(), [1, 1]);
    let (dan, _) = viewer(&mut scene, "dan", &[Vp8]);
    let Ok(OkResult::Joined { members, .. }) = scene.resume(&mut { dan }, 0) else { panic!("not resumed") };
    assert_eq!(members.iter().find(|m| m.member == id("ada")).map(|m| m.tracks.len()), Some(2));
}

#[test]
fn a_fallback_is_taken_back_some_seconds_after_the_last_who_needed_it_has_gone() {
    let mut scene = Scene::new();
    let (ada, camera, second, ben, needy) = with_fallback(&mut scene);
    told(&mut scene, needy, second, None);
    scene.events.clear();
    wants(&mut scene, &ben, camera, false);
    scene.pass(LINGER.checked_sub(MOMENT).expect("longer"));
    wants(&mut scene, &ben, camera, true);
    scene.pass(LINGER * 2);
    assert_eq!(asked(&mut scene, &ada).len(), 0, "somebody has only looked away for a moment");
    assert_eq!(shown(&scene, needy), [second], "and has it again at once");
    scene.leave(&ben);
    scene.pass(LINGER.checked_sub(MOMENT).expect("longer"));
    assert_eq!(asked(&mut scene, &ada).len(), 0);
    scene.pass(MOMENT);
    assert_eq!(asked(&mut scene, &ada), [vec![]]);
    assert_eq!(scene.room.fallbacks(), [0, 1]);
    scene.request(&ada, MemberRequest::Unpublish { track: second }).expect("unpublished");
    assert_eq!(scene.room.fallbacks(), [0, 0]);
    scene.pass(LINGER * 3);
    assert_eq!(asked(&mut scene, &ada).len(), 0);
}

#[test]
fn a_picture_that_is_not_to_be_seen_needs_no_fallback() {
    let mut scene = Scene::new();
    let (ada, camera) = ada(&mut scene);
    let (ben, peer) = viewer(&mut scene, "ben", &[Vp8]);
    let tile = |width| MemberRequest::View { tiles: vec![Tile { track: camera, width, height: width, priority: crate::wire::Priority::Normal }] };
    scene.request(&ben, tile(0)).expect("done");
    fails(&mut scene, peer, camera);
    assert_eq!(asked(&mut scene, &ada).len(), 0);
    scene.request(&ben, tile(200)).expect("done");
    assert_eq!(asked(&mut scene, &ada), [vec![Vp8]]);
    scene.request(&ben, tile(0)).expect("done");
    scene.pass(LINGER);
    assert_eq!(asked(&mut scene, &ada), [vec![]]);
}

#[test]
fn another_codec_is_asked_for_when_it_serves_more_but_not_with_every_change() {
    let mut scene = Scene::new();
    let (ada, camera) = ada(&mut scene);
    let (ben, first) = viewer(&mut scene, "ben", &[H264]);
    fails(&mut scene, first, camera);
    assert_eq!(asked(&mut scene, &ada), [vec![H264]]);
    let (_, second) = viewer(&mut scene, "cleo", &[Vp8]);
    fails(&mut scene, second, camera);
    assert_eq!(asked(&mut scene, &ada).len(), 0, "one of two is as good as the other");
    scene.pass(LINGER);
    assert_eq!(asked(&mut scene, &ada), [vec![H264, Vp8]]);
    for _ in 0..20 {
        wants(&mut scene, &ben, camera, false);
        scene.pass(LINGER / 10);
        wants(&mut scene, &ben, camera, true);
        scene.pass(LINGER / 10);
    }
    assert_eq!(asked(&mut scene, &ada).len(), 0, "nobody makes a publisher begin anew at will");
    scene.leave(&ben);
    scene.pass(LINGER);
    assert_eq!(asked(&mut scene, &ada), [vec![Vp8]]);
}

#[test]
fn whoever_takes_turns_with_codecs_troubles_those_who_are_served_less_and_less() {
    let mut scene = Scene::new();
    let (ada, camera) = ada(&mut scene);
    let people = [("ben", Vp8), ("cleo", H264), ("dan", Vp8), ("eve", H264)].map(|(name, codec)| {
        let (client, peer) = viewer(&mut scene, name, &[codec]);
        fails(&mut scene, peer, camera);
        client
    });
    let [_, _, dan, eve] = &people;
    scene.pass(LINGER);
    asked(&mut scene, &ada);
    let mut turns = Vec::new();
    let mut patience = LINGER;
    for round in 0..9 {
        let [comes, goes] = if round % 2 == 0 { [eve, dan] } else { [dan, eve] };
        wants(&mut scene, comes, camera, true);
        wants(&mut scene, goes, camera, false);
        scene.pass(patience.checked_sub(MOMENT).expect("longer"));
        assert_eq!(asked(&mut scene, &ada).len(), 0, "round {round}: not before {patience:?}");
        scene.pass(MOMENT);
        turns.extend(asked(&mut scene, &ada));
        patience = (patience * 2).min(LINGER * 64);
    }
    assert_eq!(turns.iter().map(|codecs| codecs[0]).collect::<Vec<_>>(), [H264, Vp8, H264, Vp8, H264, Vp8, H264, Vp8, H264]);
    wants(&mut scene, dan, camera, true);
    wants(&mut scene, eve, camera, false);
    [1, 0, 2, 3].into_iter().for_each(|n| scene.leave(&people[n]));
    scene.pass(LINGER);
    assert_eq!(asked(&mut scene, &ada), [vec![]], "what nobody needs ends as soon as ever");
}

#[test]
fn a_fallback_that_is_not_decodable_either_is_not_shown() {
    let mut scene = Scene::new();
    let (_, camera, second, ben, peer) = with_fallback(&mut scene);
    assert_eq!(shown(&scene, peer), [second]);
    scene.events.clear();
    fails(&mut scene, peer, second);
    assert_eq!(shown(&scene, peer), [camera]);
    assert!(
        matches!(&scene.told(&ben)[..], [Event::Quality { tracks }] if tracks[0].track == camera && tracks[0].limit == Some(QualityLimit::Codec))
    );
}

#[test]
fn a_fallback_ends_with_its_track_and_with_its_connection() {
    let mut scene = Scene::new();
    let (mut ada, camera, second, ben, peer) = with_fallback(&mut scene);
    scene.forget();
    scene.request(&ada, MemberRequest::Unpublish { track: camera }).expect("unpublished");
    assert!(scene.commands.contains(&RoomCommand::Unpublish { track: TrackId(second.0) }));
    assert_eq!((shown(&scene, peer), scene.room.fallbacks()), (vec![], [0, 0]));
    let ended = scene.told(&ben).into_iter().filter(|e| matches!(e, Event::TrackEnded { .. })).count();
    assert_eq!(ended, 1, "of one track that others know");
    let again = track(&scene.offer(&ada, CAMERA).expect("answered"), Source::Camera);
    fails(&mut scene, peer, again);
    scene.offer(&ada, BOTH).expect("answered");
    assert_eq!(scene.room.fallbacks(), [1, 1]);
    ada.reload();
    ada.add_all(&[MediaKind::Audio, MediaKind::Video]);
    scene.offer(&ada, CAMERA).expect("answered");
    assert_eq!(scene.room.fallbacks(), [0, 0]);
    assert_eq!(shown(&scene, peer).len(), 1);
}

#[test]
fn when_a_fallback_ends_alone_its_viewers_are_back_at_the_track() {
    let mut scene = Scene::new();
    let (ada, camera, second, ben, peer) = with_fallback(&mut scene);
    scene.offer(&ada, CAMERA).expect("answered");
    assert_eq!((shown(&scene, peer), scene.room.fallbacks()), (vec![camera], [1, 0]));
    scene.events.clear();
    told(&mut scene, peer, second, None);
    assert_eq!(scene.told(&ben), [Event::Quality { tracks: vec![] }], "a worker that did not know it yet does not give its number away");
    let third = fallback(&scene.offer(&ada, BOTH).expect("answered"));
    assert_eq!(shown(&scene, peer), [third]);
}

#[test]
fn a_moderators_muting_holds_for_the_fallback_as_well() {
    let mut scene = Scene::new();
    let boss = scene.moderator("boss");
    let (ada, camera, second, ..) = with_fallback(&mut scene);
    scene.forget();
    scene.request(&boss, MemberRequest::MuteMember { track: camera, muted: true }).expect("muted");
    for track in [camera, second] {
        assert!(scene.commands.contains(&RoomCommand::Mute { track: TrackId(track.0), muted: true }));
    }
    scene.offer(&ada, CAMERA).expect("answered");
    scene.forget();
    let third = fallback(&scene.offer(&ada, BOTH).expect("answered"));
    assert!(scene.commands.contains(&RoomCommand::Mute { track: TrackId(third.0), muted: true }), "also for one that begins later");
}

#[test]
fn what_may_be_claimed_as_a_fallback_is_one_of_an_own_picture() {
    let mut scene = Scene::new();
    let (ada, _) = ada(&mut scene);
    let (_, peer) = viewer(&mut scene, "ben", &[Vp8]);
    scene.forget();
    let bad: [&[(&str, Source)]; 5] = [
        &[("+2", Source::Camera)],
        &[("0", Source::Microphone), ("+2", Source::Camera)],
        &[("1", Source::Camera), ("+2", Source::Screen)],
        &[("1", Source::Camera), ("+1", Source::Camera)],
        &[("0", Source::Microphone), ("+0", Source::Microphone)],
    ];
    for publish in bad {
        assert_eq!(scene.offer(&ada, publish), Err(ErrorCode::PublishConflict), "{publish:?}");
    }
    let mut ada = ada;
    ada.add(MediaKind::Video);
    let twice: &[(&str, Source)] = &[("1", Source::Camera), ("+2", Source::Camera), ("+3", Source::Camera)];
    assert_eq!(scene.offer(&ada, twice), Err(ErrorCode::PublishConflict), "one of a track, no more");
    assert_eq!((scene.commands.len(), shown(&scene, peer).len()), (0, 1));
    let line = |source| PublishLine { mid: "2".into(), source, muted: false, fallback: true };
    let publish = |source| MemberRequest::Publish { line: line(source), track: TrackId(999) };
    assert_eq!(scene.request(&ada, publish(Source::Screen)), Err(ErrorCode::PublishConflict));
    assert!(scene.request(&ada, publish(Source::Camera)).is_ok(), "also without an offer");
    assert!(scene.request(&ada, publish(Source::Camera)).is_ok(), "twice is the same as once");
    assert_eq!(scene.room.fallbacks(), [0, 1]);
}

#[test]
fn a_fallback_is_no_track_to_anybody_else_and_not_to_be_muted() {
    let mut scene = Scene::new();
    let boss = scene.moderator("boss");
    let (ada, _, second, ben, peer) = with_fallback(&mut scene);
    scene.forget();
    let tracks = vec![second];
    assert_eq!(scene.request(&ben, MemberRequest::Want { tracks, wanted: false }), Err(ErrorCode::NotFound));
    assert_eq!(scene.request(&ben, MemberRequest::Unpublish { track: second }), Err(ErrorCode::NotFound));
    assert_eq!(scene.request(&boss, MemberRequest::MuteMember { track: second, muted: true }), Err(ErrorCode::NotFound));
    assert_eq!(scene.request(&ada, MemberRequest::Mute { track: second, muted: true }), Err(ErrorCode::PublishConflict));
    let tile = Tile { track: second, width: 0, height: 0, priority: crate::wire::Priority::High };
    scene.request(&ben, MemberRequest::View { tiles: vec![tile] }).expect("passed over");
    assert_eq!((scene.commands.len(), shown(&scene, peer), scene.told(&ben), scene.told(&ada)), (0, vec![second], vec![], vec![]));
}

#[test]
fn a_publisher_that_comes_back_learns_what_was_asked_for_meanwhile() {
    let mut scene = Scene::new();
    let (mut ada, camera) = ada(&mut scene);
    let (ben, peer) = viewer(&mut scene, "ben", &[Vp8]);
    scene.lose(&ada);
    fails(&mut scene, peer, camera);
    scene.resume(&mut ada, 0).expect("resumed");
    assert_eq!(asked(&mut scene, &ada), [vec![Vp8]]);
    scene.offer(&ada, BOTH).expect("answered");
    scene.lose(&ada);
    scene.leave(&ben);
    scene.pass(LINGER);
    let Ok(OkResult::Joined { me, .. }) = scene.resume(&mut ada, 0) else { panic!("not resumed") };
    assert_eq!(me.tracks.iter().filter(|t| t.fallback).count(), 1, "it is told what there is of it");
    assert_eq!(asked(&mut scene, &ada), [vec![]]);
}

#[test]
fn a_viewer_that_can_decode_more_than_before_is_shown_the_track_itself() {
    let mut scene = Scene::new();
    let (_, camera, second, mut ben, peer) = with_fallback(&mut scene);
    ben.grow(6);
    scene.offer(&ben, &[]).expect("answered");
    assert_eq!(shown(&scene, peer), [second], "more slots change nothing");
    ben.receives = vec![Vp8, Av1];
    scene.offer(&ben, &[]).expect("answered");
    assert_eq!(shown(&scene, peer), [camera]);
}

#[test]
fn nothing_is_known_of_a_viewer_with_a_new_connection() {
    let mut scene = Scene::new();
    let (_, camera, _, mut ben, _) = with_fallback(&mut scene);
    ben.reload();
    ben.receives = vec![Vp8, Av1];
    ben.grow(4);
    scene.offer(&ben, &[]).expect("answered");
    let anew = peer(&scene);
    assert_eq!(shown(&scene, anew), [camera], "another page may decode more");
    scene.pass(LINGER);
    assert_eq!(scene.room.fallbacks(), [0, 1], "and nobody is left who needs the fallback");
}

#[test]
fn a_publisher_that_sends_in_another_order_is_tried_anew() {
    let mut scene = Scene::new();
    let (mut ada, camera, _, _, peer) = with_fallback(&mut scene);
    ada.sends = vec![Vp8, Av1, Vp9, H264];
    scene.offer(&ada, BOTH).expect("answered");
    assert_eq!(shown(&scene, peer), [camera]);
}

#[test]
fn who_publishes_by_http_is_asked_for_nothing_and_who_plays_by_http_is_served() {
    let mut scene = Scene::new();
    let (whip, _) = scene.attach("whip", Purpose::Publish, &[(MediaKind::Audio, true), (MediaKind::Video, true)]).expect("published");
    let camera = scene.commands.iter().rev().find_map(|c| if let RoomCommand::Publish { track, .. } = c { Some(TrackNumber(track.0)) } else { None });
    let camera = camera.expect("published");
    let (_, peer) = viewer(&mut scene, "ben", &[Vp8, H264, Vp9, Av1]);
    fails(&mut scene, peer, camera);
    assert_eq!(scene.room.fallbacks(), [0, 0]);
    scene.detach(&whip.secret).expect("ended");

    let (ada, camera) = ada(&mut scene);
    let pair = [(MediaKind::Audio, false), (MediaKind::Video, false)];
    let (whep, _) = scene.attach("whep", Purpose::Play(vec![Pin::member(id("ada"))]), &pair).expect("played");
    fails(&mut scene, whep.peer, camera);
    assert_eq!(asked(&mut scene, &ada), [vec![Vp8]]);
    let second = fallback(&scene.offer(&ada, BOTH).expect("answered"));
    assert_eq!(shown(&scene, whep.peer), [second]);
}

#[test]
fn a_screen_has_a_fallback_of_its_own() {
    let mut scene = Scene::new();
    let (mut ada, camera) = ada(&mut scene);
    let (_, peer) = viewer(&mut scene, "ben", &[Vp8]);
    let [screen_line, more] = [MediaKind::Video, MediaKind::Video].map(|kind| ada.add(kind));
    let more = format!("+{more}");
    let mut list = vec![("0", Source::Microphone), ("1", Source::Camera), (screen_line.as_str(), Source::Screen)];
    let screen = track(&scene.offer(&ada, &list).expect("answered"), Source::Screen);
    let tracks = [camera, screen].map(|t| Quality { track: TrackId(t.0), encoding: None, of: 1, limit: Some(Limit::Codec) }).to_vec();
    scene.apply(Command::Media(Media::Quality { room: ROOM, peer, tracks, link: None }));
    assert_eq!(asked(&mut scene, &ada).len(), 2);
    list.extend([("+2", Source::Camera), (more.as_str(), Source::Screen)]);
    let published = scene.offer(&ada, &list).expect("answered");
    let fallbacks: Vec<TrackNumber> = published.iter().filter(|(_, t)| t.fallback).map(|(_, t)| t.track).collect();
    assert_eq!((shown(&scene, peer), scene.room.fallbacks()), (fallbacks, [2, 2]));
}

#[test]
fn a_fault_of_the_rooms_media_ends_all_of_it() {
    let mut scene = Scene::new();
    let (.., peer) = with_fallback(&mut scene);
    scene.apply(Command::Media(Media::RoomFailed { room: ROOM }));
    assert_eq!((scene.room.fallbacks(), shown(&scene, peer)), ([0, 0], vec![]));
}

#[test]
fn the_journals_say_who_was_asked_for_what_and_who_is_sent_a_fallback() {
    let mut scene = Scene::new();
    let (_, camera, second, _, peer) = with_fallback(&mut scene);
    told(&mut scene, peer, second, None);
    let text = serde_json::to_string(&scene.room.journals()).expect("JSON");
    for part in [
        format!(r#""what":"fallback","track":{},"codecs":["vp8"],"waiting":1"#, camera.0),
        format!(r#""what":"fallback_sent","track":{},"fallback":{}"#, camera.0, second.0),
        format!(r#""track":{},"of":1,"limit":"codec""#, camera.0),
        format!(r#""track":{},"fallback":true,"encoding":0"#, camera.0),
    ] {
        assert!(text.contains(&part), "{part} is not in {text}");
    }
}
