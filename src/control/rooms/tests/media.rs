use std::time::Duration;

use super::scene::{Client, Scene, id, track};
use crate::base::{PeerId, RoomId, TrackId};
use crate::contract::{DisconnectReason, Event as Media, MediaKind, RoomCommand, SrtpProfile};
use crate::control::rooms::Command;
use crate::wire::{Event, OkResult, Source, TrackNumber};

const ROOM: RoomId = RoomId(1);

fn peer(scene: &Scene) -> PeerId {
    scene.commands.iter().rev().find_map(|c| if let RoomCommand::AddPeer { peer, .. } = c { Some(*peer) } else { None }).expect("a connection")
}

fn speaking(scene: &mut Scene, tracks: &[TrackNumber]) {
    let speaking = tracks.iter().map(|t| (TrackId(t.0), 30)).collect();
    scene.apply(Command::Media(Media::Speakers { room: ROOM, speaking }));
}

fn with_sound(scene: &mut Scene, name: &str) -> (Client, TrackNumber, TrackNumber) {
    let mut client = scene.join(name);
    client.add(MediaKind::Audio);
    client.add(MediaKind::Audio);
    let published = scene.offer(&client, &[("0", Source::Microphone), ("1", Source::ScreenAudio)]).expect("answered");
    (client, track(&published, Source::Microphone), track(&published, Source::ScreenAudio))
}

#[test]
fn a_member_is_told_of_its_own_connection_only() {
    let mut scene = Scene::new();
    let alice = scene.join_with_media("alice");
    let peer = peer(&scene);
    let bob = scene.join("bob");
    scene.forget();
    scene.apply(Command::Media(Media::Connected { room: ROOM, peer, profile: SrtpProfile::AeadAes128Gcm, reached: crate::base::Time::ZERO }));
    scene.apply(Command::Media(Media::Disconnected { room: ROOM, peer, reason: DisconnectReason::ConsentLost }));
    scene.apply(Command::Media(Media::Reconnected { room: ROOM, peer }));
    scene.apply(Command::Media(Media::Connected {
        room: ROOM,
        peer: PeerId(999),
        profile: SrtpProfile::AeadAes128Gcm,
        reached: crate::base::Time::ZERO,
    }));
    assert_eq!(scene.told(&alice), [true, false, true].map(|connected| Event::Media { connected }));
    assert_eq!(scene.told(&bob), []);
}

#[test]
fn who_speaks_is_told_once_loudest_first_and_a_film_does_not_speak() {
    let mut scene = Scene::new();
    let (alice, alice_speaks, film) = with_sound(&mut scene, "alice");
    let (bob, bob_speaks, _) = with_sound(&mut scene, "bob");
    scene.forget();
    speaking(&mut scene, &[film]);
    assert_eq!(scene.told(&alice), []);
    speaking(&mut scene, &[bob_speaks, film, alice_speaks, TrackNumber(99_999)]);
    speaking(&mut scene, &[bob_speaks, alice_speaks]);
    assert_eq!(scene.told(&alice), [Event::Speakers { members: vec![id("bob"), id("alice")] }]);
    scene.leave(&bob);
    assert!(scene.told(&alice).contains(&Event::Speakers { members: vec![id("alice")] }), "who has gone speaks no more");
    speaking(&mut scene, &[]);
    assert_eq!(scene.told(&alice), [Event::Speakers { members: vec![] }]);
}

#[test]
fn after_a_fault_everybody_begins_again_in_the_same_session() {
    let mut scene = Scene::new();
    let mut alice = scene.join_with_media("alice");
    let mut bob = scene.join_with_media("bob");
    let old = peer(&scene);
    scene.forget();
    scene.apply(Command::Media(Media::RoomFailed { room: ROOM }));
    assert_eq!(scene.told(&alice), [Event::Restart {}]);
    assert_eq!(scene.told(&bob), [Event::Restart {}]);
    assert_eq!(scene.commands, [RoomCommand::Close], "what was on its way is cleared too");
    for client in [&mut alice, &mut bob] {
        client.reload();
        scene.connect(client);
    }
    assert!(peer(&scene) > old);
    assert_eq!(scene.slots(&alice).map(|s| s.len()), Some(1));
}

#[test]
fn whoever_was_away_during_a_fault_learns_it_when_resuming() {
    let mut scene = Scene::new();
    let mut alice = scene.join_with_media("alice");
    scene.lose(&alice);
    scene.apply(Command::Media(Media::RoomFailed { room: ROOM }));
    let Ok(OkResult::Joined { connection, me, slots, .. }) = scene.resume(&mut alice, 0) else { panic!("not resumed") };
    assert_eq!((connection, me.tracks.len(), slots.len()), (false, 0, 0));
}

#[test]
fn a_connection_that_never_comes_up_is_told_once() {
    let mut scene = Scene::new();
    scene.join_with_media("alice");
    let never = peer(&scene);
    scene.now = scene.now + Duration::from_secs(5);
    let bob = scene.join_with_media("bob");
    scene.apply(Command::Media(Media::Connected {
        room: ROOM,
        peer: peer(&scene),
        profile: SrtpProfile::AeadAes128Gcm,
        reached: crate::base::Time::ZERO,
    }));
    assert_ne!(peer(&scene), never);
    scene.now = scene.now + Duration::from_millis(9_999);
    scene.apply(Command::Timeout);
    assert_eq!(scene.unreached, 0);
    assert_eq!(scene.room.deadline(), scene.now + Duration::from_millis(1));
    scene.now = scene.room.deadline();
    scene.apply(Command::Timeout);
    assert_eq!(scene.unreached, 1);
    let journals = serde_json::to_string(&scene.room.journals()).expect("text");
    assert_eq!(journals.matches("unreached").count(), 1, "{journals}");
    scene.now = scene.now + Duration::from_secs(6);
    scene.apply(Command::Timeout);
    assert_eq!(scene.unreached, 1, "bob has come");
    // Whoever leaves before is not missed.
    scene.join_with_media("carol");
    scene.leave(&bob);
    scene.now = scene.now + Duration::from_secs(1);
    let dave = scene.join_with_media("dave");
    scene.leave(&dave);
    scene.now = scene.now + Duration::from_secs(30);
    scene.apply(Command::Timeout);
    assert_eq!(scene.unreached, 2, "carol, and nobody else");
}
