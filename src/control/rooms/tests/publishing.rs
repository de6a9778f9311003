use super::scene::{Client, Scene, id, track};
use crate::base::TrackId;
use crate::contract::{MediaKind, RoomCommand};
use crate::control::rooms::MemberRequest;
use crate::wire::{ErrorCode, Event, OkResult, PublishLine, Source, TrackNumber};

/// A member with two sending m-lines: mid 0 is sound, mid 1 is a picture.
fn with_lines(scene: &mut Scene, name: &str) -> Client {
    let mut client = scene.join(name);
    client.add(MediaKind::Audio);
    client.add(MediaKind::Video);
    client
}

fn publish(scene: &mut Scene, client: &Client, mid: &str, source: Source) -> Result<TrackNumber, ErrorCode> {
    let track = TrackId(1_000_000 + scene.draw());
    match scene.request(client, MemberRequest::Publish { line: PublishLine { mid: mid.into(), source, muted: false, fallback: false }, track })? {
        Some(OkResult::Published { track }) => Ok(track.track),
        other => panic!("not published: {other:?}"),
    }
}

#[test]
fn the_first_offer_begins_the_connection_before_anything_is_published_on_it() {
    let mut scene = Scene::new();
    let alice = with_lines(&mut scene, "alice");
    scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    let kinds: Vec<_> = scene.commands.iter().map(std::mem::discriminant).collect();
    assert!(matches!(
        &scene.commands[..],
        [RoomCommand::AddPeer { .. }, RoomCommand::Negotiate { .. }, RoomCommand::Publish { mline: 0, .. }, RoomCommand::Publish { mline: 1, .. }]
    ));
    scene.forget();
    scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    assert_eq!(scene.commands.iter().map(std::mem::discriminant).collect::<Vec<_>>(), kinds[1..2], "the same offer only renews the plan");
}

#[test]
fn an_offer_says_all_that_is_published_and_only_the_difference_is_done() {
    let mut scene = Scene::new();
    let watcher = scene.join("watcher");
    let alice = with_lines(&mut scene, "alice");
    let first = scene.offer(&alice, &[("0", Source::Microphone)]).expect("answered");
    scene.forget();
    let second = scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    assert_eq!(first[0], second[0], "what stays keeps its number");
    assert!(matches!(&scene.told(&watcher)[..], [Event::Track { track, .. }] if track.source == Source::Camera));
    scene.offer(&alice, &[("1", Source::Screen)]).expect("answered");
    let told = scene.told(&watcher);
    assert!(
        matches!(&told[..], [Event::TrackEnded { track: microphone, .. }, Event::TrackEnded { .. }, Event::Track { track, .. }]
            if *microphone == first[0].1.track && track.source == Source::Screen),
        "{told:?}"
    );
}

#[test]
fn a_track_is_published_muted_and_unpublished_without_an_offer() {
    let mut scene = Scene::new();
    let watcher = scene.join("watcher");
    let alice = with_lines(&mut scene, "alice");
    assert_eq!(publish(&mut scene, &alice, "0", Source::Microphone), Err(ErrorCode::WrongState), "there is no connection yet");
    scene.offer(&alice, &[]).expect("answered");
    scene.forget();
    let track = publish(&mut scene, &alice, "0", Source::Microphone).expect("published");
    assert_eq!(publish(&mut scene, &alice, "0", Source::Microphone), Ok(track), "twice is the same as once");
    scene.request(&alice, MemberRequest::Mute { track, muted: true }).expect("muted");
    scene.request(&alice, MemberRequest::Mute { track, muted: true }).expect("muted already");
    scene.request(&alice, MemberRequest::Unpublish { track }).expect("unpublished");
    let told = scene.told(&watcher);
    assert!(
        matches!(&told[..], [Event::Track { track: a, .. }, Event::Track { track: b, .. }, Event::TrackEnded { .. }] if !a.muted && b.muted),
        "{told:?}"
    );
    assert_eq!(scene.request(&alice, MemberRequest::Unpublish { track }), Err(ErrorCode::NotFound));
    assert_eq!(scene.commands.last(), Some(&RoomCommand::Unpublish { track: TrackId(track.0) }));
}

#[test]
fn what_cannot_be_published_is_refused_and_changes_nothing() {
    let mut scene = Scene::new();
    let watcher = scene.join("watcher");
    let mut alice = with_lines(&mut scene, "alice");
    scene.offer(&alice, &[("0", Source::Microphone)]).expect("answered");
    alice.grow(1);
    scene.forget();
    let bad: [&[(&str, Source)]; 6] = [
        &[("0", Source::Camera)],
        &[("9", Source::Camera)],
        &[("3", Source::Camera)],
        &[("0", Source::Microphone), ("0", Source::ScreenAudio)],
        &[("1", Source::Camera), ("1", Source::Camera)],
        &[("a mid of more than sixteen bytes", Source::Camera)],
    ];
    for publish in bad {
        assert_eq!(scene.offer(&alice, publish), Err(ErrorCode::PublishConflict), "{publish:?}");
    }
    assert_eq!(publish(&mut scene, &alice, "1", Source::Microphone), Err(ErrorCode::PublishConflict), "the source is in use");
    assert_eq!(publish(&mut scene, &alice, "0", Source::ScreenAudio), Err(ErrorCode::PublishConflict), "the m-line is in use");
    assert_eq!((scene.told(&watcher), scene.commands.len()), (vec![], 0));
}

#[test]
fn each_source_needs_its_grant() {
    let mut scene = Scene::new();
    let mut alice = scene.try_join("alice", |g| g.publish = vec![Source::Microphone]).expect("admitted");
    alice.add(MediaKind::Audio);
    alice.add(MediaKind::Video);
    assert_eq!(scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]), Err(ErrorCode::Forbidden));
    assert_eq!(scene.commands, []);
    scene.offer(&alice, &[("0", Source::Microphone)]).expect("answered");
    assert_eq!(publish(&mut scene, &alice, "1", Source::Camera), Err(ErrorCode::Forbidden));
    assert_eq!(publish(&mut scene, &alice, "1", Source::Screen), Err(ErrorCode::Forbidden));
}

#[test]
fn nobody_touches_the_tracks_of_another() {
    let mut scene = Scene::new();
    let alice = with_lines(&mut scene, "alice");
    let track = track(&scene.offer(&alice, &[("0", Source::Microphone)]).expect("answered"), Source::Microphone);
    let bob = scene.join("bob");
    assert_eq!(scene.request(&bob, MemberRequest::Unpublish { track }), Err(ErrorCode::NotFound));
    assert_eq!(scene.request(&bob, MemberRequest::Mute { track, muted: true }), Err(ErrorCode::NotFound));
}

#[test]
fn a_new_peer_connection_takes_the_place_of_the_old_one() {
    let mut scene = Scene::new();
    let watcher = scene.join("watcher");
    let mut alice = with_lines(&mut scene, "alice");
    scene.offer(&alice, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    scene.forget();
    alice.reload();
    alice.add(MediaKind::Video);
    let published = scene.offer(&alice, &[("0", Source::Camera)]).expect("answered");
    assert_eq!(published.len(), 1);
    let peers: Vec<_> = scene.commands.iter().filter_map(|c| if let RoomCommand::AddPeer { peer, .. } = c { Some(*peer) } else { None }).collect();
    assert!(
        matches!(&scene.commands[..], [RoomCommand::RemovePeer { peer }, RoomCommand::AddPeer { .. }, RoomCommand::Negotiate { .. }, RoomCommand::Publish { .. }]
        if !peers.contains(peer))
    );
    let told = scene.told(&watcher);
    assert!(
        matches!(&told[..], [Event::TrackEnded { .. }, Event::TrackEnded { .. }, Event::Track { member, .. }] if *member == id("alice")),
        "{told:?}"
    );
}

#[test]
fn an_offer_that_breaks_the_connection_it_is_of_is_refused() {
    let mut scene = Scene::new();
    let mut alice = with_lines(&mut scene, "alice");
    scene.offer(&alice, &[("0", Source::Microphone)]).expect("answered");
    scene.forget();
    let certificate_kept = {
        alice.reload();
        alice.reload();
        alice.add(MediaKind::Video);
        alice
    };
    assert_eq!(scene.offer(&certificate_kept, &[]), Err(ErrorCode::SdpChanged));
    assert_eq!(scene.commands, []);
}
