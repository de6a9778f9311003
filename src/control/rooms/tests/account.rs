//! What is known of a call: who had bad pictures, when, and on which leg.

use super::scene::{Client, Scene, id};
use crate::base::{Bitrate, PeerId, RoomId, Time, TrackId};
use crate::contract::health::{Flow, Health};
use crate::contract::{DisconnectReason, Event as Media, Limit, LinkState, Quality};
use crate::control::rooms::past::{AtPresent, Finding};
use crate::control::rooms::troubles::{Leg, Sign};
use crate::control::rooms::{Command, MemberRequest};
use crate::wire::{Source, TrackNumber};

const ROOM: RoomId = RoomId(1);

fn peer(scene: &Scene, client: &Client) -> PeerId {
    let member = scene.room.members.values().find(|m| m.identity == client.id());
    member.and_then(|m| m.connection.as_ref()).expect("connected").peer
}

fn camera(scene: &Scene, client: &Client) -> TrackId {
    let member = scene.room.members.values().find(|m| m.identity == client.id()).expect("a member");
    member.tracks.iter().find(|t| t.source == Source::Camera).expect("published").id
}

fn health(received: Vec<Flow>, sent: Vec<Flow>) -> Box<Health> {
    let link = LinkState { estimate: Bitrate::kbps(250), why: "loss", loss_per_cent: 9, round_trip_ms: 90 };
    Box::new(Health { over_ms: 5_000, round_trip_ms: Some(90), link: Some(link), received, sent })
}

fn tell(scene: &mut Scene, ms: u64, event: Media) {
    scene.now = Time::from_millis(ms);
    scene.apply(Command::Media(event));
}

fn findings(scene: &Scene) -> Vec<Finding> {
    scene.room.account(ROOM, 0).troubles
}

/// Alice, bob and carol; everybody is sent everybody's picture.
fn call() -> (Scene, [Client; 3]) {
    let mut scene = Scene::new();
    let clients = ["alice", "bob", "carol"].map(|name| scene.join_with_media(name));
    let cameras: Vec<_> = clients.iter().map(|client| camera(&scene, client)).collect();
    for (n, client) in clients.iter().enumerate() {
        let others = cameras.iter().enumerate().filter(|(other, _)| *other != n);
        let tracks = others.map(|(_, track)| Quality { track: *track, encoding: Some(0), of: 1, limit: None }).collect();
        let peer = peer(&scene, client);
        tell(&mut scene, 1_000, Media::Quality { room: ROOM, peer, tracks, link: None });
    }
    (scene, clients)
}

#[test]
fn loss_on_the_way_to_one_is_that_ones_and_names_whose_picture_it_was() {
    let (mut scene, [alice, bob, _]) = call();
    let (peer, track) = (peer(&scene, &alice), camera(&scene, &bob));
    let lossy = Flow { track, loss_per_mille: 150, jitter_ms: 3, silent: false, waits_ms: 0 };
    tell(&mut scene, 20_000, Media::Health { room: ROOM, peer, health: health(vec![], vec![lossy]) });
    tell(&mut scene, 25_000, Media::Health { room: ROOM, peer, health: health(vec![], vec![]) });
    let found = findings(&scene);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].leg, found[0].sign, found[0].from_ms, found[0].to_ms), (Leg::Downlink, Sign::Loss, 15_000, Some(20_000)));
    assert_eq!((&found[0].had_by[..], &found[0].leg_of), (&[id("alice")][..], &id("alice")));
    let shown = found[0].shown.as_ref().expect("a picture");
    assert_eq!((&shown.member, shown.source, shown.track.0), (&id("bob"), Source::Camera, track.0));
    assert_eq!((found[0].worst.loss_per_cent, found[0].worst.estimate_kbps), (Some(15), Some(250)));
}

#[test]
fn loss_on_the_way_from_one_is_had_by_all_who_are_sent_it() {
    let (mut scene, [alice, bob, carol]) = call();
    let (publisher, track) = (peer(&scene, &bob), camera(&scene, &bob));
    let paused = Quality { track, encoding: None, of: 1, limit: Some(Limit::View) };
    let watcher = peer(&scene, &carol);
    tell(&mut scene, 2_000, Media::Quality { room: ROOM, peer: watcher, tracks: vec![paused], link: None });
    let lossy = Flow { track, loss_per_mille: 150, jitter_ms: 3, silent: false, waits_ms: 0 };
    tell(&mut scene, 20_000, Media::Health { room: ROOM, peer: publisher, health: health(vec![lossy], vec![]) });
    let found = findings(&scene);
    assert_eq!((found[0].leg, &found[0].leg_of, &found[0].had_by[..]), (Leg::Uplink, &id("bob"), &[alice.id()][..]), "carol does not show it");
}

#[test]
fn what_was_lost_on_the_way_up_is_not_blamed_on_the_ways_down() {
    let (mut scene, [alice, bob, _]) = call();
    let (publisher, watcher, track) = (peer(&scene, &bob), peer(&scene, &alice), camera(&scene, &bob));
    let lossy = |loss_per_mille| Flow { track, loss_per_mille, jitter_ms: 3, silent: false, waits_ms: 0 };
    tell(&mut scene, 20_000, Media::Health { room: ROOM, peer: publisher, health: health(vec![lossy(200)], vec![]) });
    tell(&mut scene, 22_000, Media::Health { room: ROOM, peer: watcher, health: health(vec![], vec![lossy(190)]) });
    let legs = |scene: &Scene| findings(scene).iter().map(|found| found.leg).collect::<Vec<_>>();
    assert_eq!(legs(&scene), [Leg::Uplink]);
    for (from, way) in [(25_000, publisher), (27_000, watcher)] {
        tell(&mut scene, from, Media::Health { room: ROOM, peer: way, health: health(vec![], vec![]) });
    }
    assert_eq!(legs(&scene), [Leg::Uplink], "nor when it is over");
    tell(&mut scene, 60_000, Media::Health { room: ROOM, peer: watcher, health: health(vec![], vec![lossy(190)]) });
    assert_eq!(legs(&scene), [Leg::Uplink, Leg::Downlink], "what is lost at another time is");
}

#[test]
fn a_camera_that_is_muted_is_no_trouble_and_one_that_sends_nothing_is() {
    let (mut scene, [_, bob, _]) = call();
    let (publisher, track) = (peer(&scene, &bob), camera(&scene, &bob));
    let silent = Flow { track, loss_per_mille: 0, jitter_ms: 0, silent: true, waits_ms: 0 };
    scene.request(&bob, MemberRequest::Mute { track: TrackNumber(track.0), muted: true }).expect("muted");
    tell(&mut scene, 20_000, Media::Health { room: ROOM, peer: publisher, health: health(vec![silent], vec![]) });
    assert_eq!(findings(&scene), []);
    scene.request(&bob, MemberRequest::Mute { track: TrackNumber(track.0), muted: false }).expect("not any more");
    tell(&mut scene, 25_000, Media::Health { room: ROOM, peer: publisher, health: health(vec![silent], vec![]) });
    assert_eq!((findings(&scene).len(), findings(&scene)[0].sign), (1, Sign::Silent));
}

#[test]
fn a_connection_that_was_lost_and_came_back_is_a_span_and_so_is_one_that_did_not() {
    let (mut scene, [alice, bob, _]) = call();
    let (first, second) = (peer(&scene, &alice), peer(&scene, &bob));
    let lost = |peer| Media::Disconnected { room: ROOM, peer, reason: DisconnectReason::ConsentLost };
    tell(&mut scene, 30_000, lost(first));
    tell(&mut scene, 34_000, Media::Reconnected { room: ROOM, peer: first });
    tell(&mut scene, 40_000, lost(second));
    scene.now = Time::from_millis(47_000);
    scene.leave(&bob);
    let found: Vec<_> = findings(&scene).into_iter().map(|f| (f.leg_of, f.sign, f.from_ms, f.to_ms)).collect();
    let expected = [(id("alice"), Sign::Disconnected, 30_000, Some(34_000)), (id("bob"), Sign::Disconnected, 40_000, Some(47_000))];
    assert_eq!(found, expected, "of one who has left, too");
}

#[test]
fn what_is_bad_at_present_is_said_while_it_lasts_and_no_echo_of_it() {
    let (mut scene, [alice, bob, carol]) = call();
    let (publisher, watcher, track) = (peer(&scene, &bob), peer(&scene, &alice), camera(&scene, &bob));
    assert_eq!(scene.room.at_present(), AtPresent { members: 3, count: 0, troubles: vec![] });
    let lossy = |loss_per_mille| Flow { track, loss_per_mille, jitter_ms: 3, silent: false, waits_ms: 0 };
    tell(&mut scene, 20_000, Media::Health { room: ROOM, peer: publisher, health: health(vec![lossy(200)], vec![]) });
    tell(&mut scene, 22_000, Media::Health { room: ROOM, peer: watcher, health: health(vec![], vec![lossy(190)]) });
    let present = scene.room.at_present();
    let found: Vec<_> = present.troubles.iter().map(|found| (found.leg, &found.leg_of, found.had_by.clone())).collect();
    assert_eq!(found, [(Leg::Uplink, &id("bob"), vec![id("alice"), id("carol")])]);
    for (at, way) in [(25_000, publisher), (27_000, watcher)] {
        tell(&mut scene, at, Media::Health { room: ROOM, peer: way, health: health(vec![], vec![]) });
    }
    assert_eq!(scene.room.at_present().count, 0, "it is over");

    let reduced = Quality { track, encoding: Some(0), of: 2, limit: Some(Limit::Bandwidth) };
    let watcher = peer(&scene, &carol);
    tell(&mut scene, 30_000, Media::Quality { room: ROOM, peer: watcher, tracks: vec![reduced], link: None });
    assert_eq!(scene.room.at_present().count, 0, "a lesser picture for a moment is nothing");
    tell(&mut scene, 34_000, Media::Quality { room: ROOM, peer: watcher, tracks: vec![reduced], link: None });
    assert_eq!(scene.room.at_present().troubles[0].sign, Sign::Reduced);
}

#[test]
fn what_is_lost_on_the_way_up_is_known_below_whenever_the_two_ways_are_looked_at() {
    let (mut scene, [alice, bob, _]) = call();
    let (publisher, watcher, track) = (peer(&scene, &bob), peer(&scene, &alice), camera(&scene, &bob));
    let lossy = |loss_per_mille| Flow { track, loss_per_mille, jitter_ms: 3, silent: false, waits_ms: 0 };
    let flows = |lost: u16| (lost > 0).then(|| lossy(lost)).into_iter().collect::<Vec<_>>();
    let up = |at, lost| (at, publisher, Health { over_ms: 6_000, ..*health(flows(lost), vec![]) });
    let down = |at, lost| (at, watcher, Health { over_ms: if lost > 500 { 5_000 } else { 6_000 }, ..*health(vec![], flows(lost)) });
    // Eleven seconds in which five of six are lost, as a real call was looked at: never for all of a look at the way up, for two at the way down.
    for (at, peer, health) in
        [up(28_741, 0), down(30_371, 138), up(34_741, 738), down(35_374, 832), down(40_379, 832), up(40_740, 719), up(45_744, 0), down(46_371, 0)]
    {
        tell(&mut scene, at, Media::Health { room: ROOM, peer, health: Box::new(health) });
    }
    let found: Vec<_> = findings(&scene).into_iter().map(|found| (found.leg, found.leg_of)).collect();
    assert_eq!(found, [(Leg::Uplink, id("bob"))]);
}

#[test]
fn a_way_down_that_loses_far_more_than_the_way_up_is_named_however_long_that_one_is_bad() {
    let (mut scene, [alice, bob, _]) = call();
    let (publisher, watcher, track) = (peer(&scene, &bob), peer(&scene, &alice), camera(&scene, &bob));
    let lossy = |loss_per_mille| Flow { track, loss_per_mille, jitter_ms: 3, silent: false, waits_ms: 0 };
    for at in (20_000..80_000).step_by(5_000) {
        tell(&mut scene, at, Media::Health { room: ROOM, peer: publisher, health: health(vec![lossy(200)], vec![]) });
        let down = if at == 50_000 { vec![lossy(900)] } else { vec![] };
        tell(&mut scene, at + 1_000, Media::Health { room: ROOM, peer: watcher, health: health(vec![], down) });
    }
    let found: Vec<_> = findings(&scene).into_iter().map(|found| (found.leg, found.leg_of)).collect();
    assert_eq!(found, [(Leg::Uplink, id("bob")), (Leg::Downlink, id("alice"))]);
}

#[test]
fn of_what_is_bad_at_present_a_list_says_a_few_and_how_many_there_are() {
    let (mut scene, [alice, bob, carol]) = call();
    for client in [&alice, &bob, &carol] {
        let watcher = peer(&scene, client);
        let others: Vec<_> = [&alice, &bob, &carol].iter().filter(|other| other.id() != client.id()).map(|other| camera(&scene, other)).collect();
        let flow = |track| Flow { track, loss_per_mille: 200, jitter_ms: 90, silent: false, waits_ms: 0 };
        tell(&mut scene, 20_000, Media::Health { room: ROOM, peer: watcher, health: health(vec![], others.into_iter().map(flow).collect()) });
    }
    let present = scene.room.at_present();
    assert_eq!((present.count, present.troubles.len()), (12, 8));
}

#[test]
fn who_has_left_and_what_happened_stays_and_is_bounded() {
    let (mut scene, _clients) = call();
    for n in 0..10_000 {
        let client = scene.join(&format!("m{n}"));
        scene.leave(&client);
    }
    let account = scene.room.account_at_the_end(ROOM, 5);
    let text = String::from_utf8(account.to_json().to_vec()).expect("text");
    assert!((8_000..=8_192).contains(&account.members.len()) && text.len() < 2_000_000, "{} members, {} bytes", account.members.len(), text.len());
    assert!(!text.contains("\"m0\"") && text.contains("\"m9999\""), "the oldest have gone");
    assert_eq!(account.ended_ms, Some(scene.now.as_micros() / 1_000));
    assert!(account.members.iter().all(|member| serde_json::to_value(member).expect("JSON")["went_ms"].is_u64()), "nobody is there any more");
}
