use super::scene::{Client, Scene, id};
use crate::base::{Bitrate, PeerId, RoomId, TrackId};
use crate::contract::{self, MediaKind, RoomCommand};
use crate::control::rooms::{AdminOrder, Command, Purpose, RoomSettings, SocketId};
use crate::wire::{Event, LeaveReason, Source, TrackNumber};

/// What the worker holds peers to, as it was told, since this was last asked.
fn allowed(scene: &mut Scene) -> Vec<Option<u64>> {
    let commands = std::mem::take(&mut scene.commands).into_iter();
    commands.filter_map(|c| if let RoomCommand::Allow { publish, .. } = c { Some(publish.map(Bitrate::as_bps)) } else { None }).collect()
}

fn with_camera(scene: &mut Scene, name: &str) -> (Client, TrackNumber) {
    let mut client = scene.join(name);
    client.add(MediaKind::Audio);
    client.add(MediaKind::Video);
    let published = scene.offer(&client, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("answered");
    (client, published[1].1.track)
}

fn set(scene: &mut Scene, settings: RoomSettings) {
    let socket = SocketId(scene.draw());
    scene.apply(Command::Administer { socket, order: AdminOrder::Set(settings) });
}

fn exceed(scene: &mut Scene, track: TrackNumber, ended: bool) {
    let connection = scene.room.tracks.get(&TrackId(track.0)).and_then(|seat| scene.room.members.get(seat)?.connection.as_ref());
    let peer = connection.map_or(PeerId(0), |connection| connection.peer);
    let (room, track, sent) = (RoomId(1), TrackId(track.0), Bitrate::kbps(3_100));
    scene.apply(Command::Media(contract::Event::Excess { room, peer, track, sent, ended }));
}

#[test]
fn a_worker_holds_a_connection_to_the_least_of_what_node_room_and_token_say() {
    let mut scene = Scene::new();
    with_camera(&mut scene, "ada");
    assert_eq!(allowed(&mut scene), [], "nothing is bounded where nobody says so");
    set(&mut scene, RoomSettings { publish_kbps: Some(900), ..RoomSettings::default() });
    assert_eq!(allowed(&mut scene), [Some(900_000)], "those who are there are held to it from now on");
    set(&mut scene, RoomSettings { publish_kbps: Some(900), ..RoomSettings::default() });
    assert_eq!(allowed(&mut scene), [], "once");
    with_camera(&mut scene, "bob");
    assert_eq!(allowed(&mut scene), [Some(900_000)]);

    let mut scene = Scene::with(|rules| rules.publish_kbps = Some(500));
    scene.publish_kbps = Some(2_000);
    with_camera(&mut scene, "ada");
    assert_eq!(allowed(&mut scene), [Some(500_000)], "no token widens it");
    scene.publish_kbps = Some(200);
    with_camera(&mut scene, "bob");
    assert_eq!(allowed(&mut scene), [Some(200_000)]);
    set(&mut scene, RoomSettings { publish_kbps: Some(64), ..RoomSettings::default() });
    assert_eq!(allowed(&mut scene), [Some(64_000), Some(64_000)]);
}

#[test]
fn how_many_a_room_takes_is_said_as_one_says_it() {
    for (members, said) in [(1, "it takes 1 member"), (2, "it takes 2 members")] {
        let mut scene = Scene::with(|rules| rules.members = members);
        (0..members).for_each(|n| drop(scene.join(&format!("m{n}"))));
        assert!(scene.try_join("late", |_| ()).is_err());
        let refusal = scene.replies[0].2.as_ref().expect_err("refused");
        assert!(refusal.message.ends_with(said), "{}", refusal.message);
    }
}

#[test]
fn whoever_sends_too_much_is_told_and_then_what_takes_most_ends_for_everybody() {
    let mut scene = Scene::with(|rules| rules.publish_kbps = Some(1_000));
    let (ada, camera) = with_camera(&mut scene, "ada");
    let watcher = scene.join("watcher");
    scene.forget();
    exceed(&mut scene, camera, false);
    let excess = |ended| Event::PublishExcess { track: camera, limit_kbps: 1_000, sent_kbps: 3_100, ended };
    assert_eq!((scene.told(&ada), scene.told(&watcher)), (vec![excess(false)], vec![]));
    exceed(&mut scene, camera, true);
    assert_eq!(scene.told(&ada), [excess(true)]);
    assert_eq!(scene.told(&watcher), [Event::TrackEnded { member: id("ada"), track: camera }]);
    assert!(scene.commands.contains(&RoomCommand::Unpublish { track: TrackId(camera.0) }));
    exceed(&mut scene, camera, true);
    assert_eq!((scene.told(&ada), scene.told(&watcher)), (vec![], vec![]), "what has ended ends once");
    let again = scene.offer(&ada, &[("0", Source::Microphone), ("1", Source::Camera)]).expect("it may be published again");
    assert_ne!(again[1].1.track, camera);
}

#[test]
fn a_limit_that_was_lifted_meanwhile_ends_nothing() {
    let mut scene = Scene::new();
    let (ada, camera) = with_camera(&mut scene, "ada");
    scene.forget();
    exceed(&mut scene, camera, true);
    assert_eq!(scene.told(&ada), []);
    assert_eq!(scene.commands, [RoomCommand::Mute { track: TrackId(camera.0), muted: false }], "the worker lets it through again");
}

#[test]
fn a_publisher_by_http_who_cannot_be_told_is_over() {
    let mut scene = Scene::with(|rules| rules.publish_kbps = Some(1_000));
    let watcher = scene.join("watcher");
    let (session, _) = scene.attach("encoder", Purpose::Publish, &[(MediaKind::Audio, true), (MediaKind::Video, true)]).expect("answered");
    let seen = scene.room.member_seen(&id("encoder")).expect("there");
    let camera = seen.info.tracks.iter().find(|track| track.source == Source::Camera).expect("published").track;
    scene.forget();
    exceed(&mut scene, camera, true);
    assert!(scene.told(&watcher).contains(&Event::MemberLeft { member: id("encoder"), reason: LeaveReason::Lost }));
    assert!(scene.commands.contains(&RoomCommand::RemovePeer { peer: session.peer }));
}
