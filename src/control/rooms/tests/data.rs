use std::time::Duration;

use super::scene::{Client, Scene, id};
use crate::base::{PeerId, WorkerId};
use crate::contract::{DataEnd, Event as Media, RoomCommand};
use crate::control::rooms::{Command, MemberRequest, OwnedData, Purpose};
use crate::wire::{self, DataDelivery, DataMessage, DataPayload, ErrorCode, Event, MemberId};

fn owned(text: &str) -> OwnedData {
    OwnedData { topic: "t".into(), to: vec![], text: true, payload: text.into(), lossy: false, number: None }
}

fn send(scene: &mut Scene, client: &Client, data: OwnedData) -> Result<(), ErrorCode> {
    scene.request(client, MemberRequest::Data(data)).map(|result| assert_eq!(result, None))
}

fn texts(events: &[Event]) -> Vec<(String, String)> {
    let text = |event: &Event| match event {
        Event::Data { from, payload: DataPayload::Text(text), .. } => Some((from.0.clone(), text.clone())),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// Who gets what by data channels.
fn delivered(scene: &mut Scene) -> Vec<(Vec<PeerId>, String, bool)> {
    let delivered = scene.commands.iter().filter_map(|command| match command {
        RoomCommand::Data { to, message, reliable } => {
            let delivery = DataDelivery::read(message).expect("a delivery");
            Some((to.clone(), format!("{} {} {}", delivery.from.0, delivery.topic, String::from_utf8_lossy(delivery.payload)), *reliable))
        }
        _ => None,
    });
    let delivered = delivered.collect();
    scene.commands.clear();
    delivered
}

/// Joins with a connection that has data channels, and opens them.
fn join_with_channels(scene: &mut Scene, name: &str) -> (Client, PeerId) {
    let mut client = scene.join(name);
    client.data = true;
    scene.connect(&mut client);
    let peer = scene.commands.iter().rev().find_map(|c| if let RoomCommand::Negotiate { peer, .. } = c { Some(*peer) } else { None }).expect("one");
    channel(scene, peer, None);
    scene.commands.clear();
    (client, peer)
}

fn channel(scene: &mut Scene, peer: PeerId, end: Option<DataEnd>) {
    scene.apply(Command::Media(Media::DataChannel { room: crate::base::RoomId(1), peer, end }));
}

fn came(scene: &mut Scene, peer: PeerId, message: &[u8], reliable: bool) {
    let message = message.to_vec();
    scene.apply(Command::Media(Media::Data { room: crate::base::RoomId(1), worker: WorkerId(0), peer, message, reliable }));
}

fn message(to: &[&str]) -> Vec<u8> {
    DataMessage { topic: "t", to: to.iter().map(|name| id(name)).collect(), text: true, payload: b"hi" }.write()
}

#[test]
fn whoever_has_no_channels_gets_data_by_its_socket() {
    let mut scene = Scene::new();
    let (alice, bob, eve) = (scene.join("alice"), scene.join("bob"), scene.join("eve"));
    send(&mut scene, &alice, owned("to all")).expect("sent");
    send(&mut scene, &alice, OwnedData { to: vec![id("bob"), id("nobody"), id("bob"), id("alice")], ..owned("to bob") }).expect("sent");
    send(&mut scene, &alice, OwnedData { text: false, payload: vec![0, 255], ..owned("") }).expect("sent");
    let got = scene.told(&bob);
    assert_eq!(texts(&got), [("alice".into(), "to all".into()), ("alice".into(), "to bob".into())]);
    assert_eq!(got.last(), Some(&Event::Data { from: id("alice"), topic: "t".into(), payload: DataPayload::Base64("AP8=".into()) }));
    assert_eq!(texts(&scene.told(&eve)), [("alice".to_owned(), "to all".to_owned())]);
    assert_eq!(texts(&scene.told(&alice)), []);
}

#[test]
fn whoever_has_channels_gets_data_by_them_whichever_way_it_came() {
    let mut scene = Scene::new();
    let ((alice, at_alice), (bob, at_bob), eve) = (join_with_channels(&mut scene, "alice"), join_with_channels(&mut scene, "bob"), scene.join("eve"));
    scene.forget();
    came(&mut scene, at_alice, &message(&[]), true);
    assert_eq!(scene.commands.last(), Some(&RoomCommand::DataTaken { messages: 1 }), "it is dealt with");
    assert_eq!(delivered(&mut scene), [(vec![at_bob], "alice t hi".into(), true)]);
    came(&mut scene, at_alice, &message(&["bob"]), false);
    assert_eq!(delivered(&mut scene), [(vec![at_bob], "alice t hi".into(), false)]);
    send(&mut scene, &eve, OwnedData { lossy: true, ..owned("hey") }).expect("sent");
    assert_eq!(delivered(&mut scene), [(vec![at_alice, at_bob], "eve t hey".into(), false)]);
    assert_eq!(texts(&scene.told(&eve)), [("alice".to_owned(), "hi".to_owned())]);
    assert_eq!((texts(&scene.told(&alice)), texts(&scene.told(&bob))), (vec![], vec![]));
}

#[test]
fn a_member_goes_on_with_its_socket_when_its_channels_are_closed_and_is_told_why() {
    let mut scene = Scene::new();
    let ((_, at_alice), (bob, at_bob)) = (join_with_channels(&mut scene, "alice"), join_with_channels(&mut scene, "bob"));
    scene.forget();
    channel(&mut scene, at_bob, Some(DataEnd::TooSlow));
    came(&mut scene, at_alice, &message(&[]), true);
    let got = scene.told(&bob);
    assert_eq!(got.first(), Some(&Event::DataClosed { reason: wire::DataEnd::TooSlow }));
    assert_eq!((texts(&got).len(), delivered(&mut scene)), (1, vec![]));
    channel(&mut scene, at_bob, None);
    channel(&mut scene, at_bob, Some(DataEnd::Closed));
    assert_eq!(scene.told(&bob), [], "who closes them itself knows");
}

#[test]
fn somebody_whose_socket_is_lost_gets_data_by_channels_all_the_same() {
    let mut scene = Scene::new();
    let ((_, at_alice), (bob, at_bob)) = (join_with_channels(&mut scene, "alice"), join_with_channels(&mut scene, "bob"));
    scene.lose(&bob);
    came(&mut scene, at_alice, &message(&[]), true);
    assert_eq!(delivered(&mut scene), [(vec![at_bob], "alice t hi".into(), true)]);
}

#[test]
fn data_without_the_right_or_of_a_wrong_form_goes_to_nobody() {
    let mut scene = Scene::new();
    let (_, at_alice) = join_with_channels(&mut scene, "alice");
    let (bob, mute) = (scene.join("bob"), scene.try_join("mute", |grants| grants.data = false).expect("admitted"));
    scene.forget();
    assert_eq!(send(&mut scene, &mute, owned("x")), Err(ErrorCode::Forbidden));
    let too_many = vec![MemberId("bob".into()); 33];
    for bad in [
        OwnedData { payload: vec![0; 16 * 1024 + 1], ..owned("") },
        OwnedData { topic: "x".repeat(65), ..owned("x") },
        OwnedData { topic: "\n".into(), ..owned("x") },
        OwnedData { to: too_many, ..owned("x") },
    ] {
        assert_eq!(send(&mut scene, &bob, bad), Err(ErrorCode::LimitExceeded));
    }
    came(&mut scene, at_alice, b"\xff no message", true);
    came(&mut scene, at_alice, &DataMessage { topic: "", to: vec![], text: false, payload: &[0; 17_000] }.write(), true);
    came(&mut scene, PeerId(999_999), &message(&[]), true);
    assert_eq!(scene.data_refused, [ErrorCode::Malformed, ErrorCode::LimitExceeded]);
    assert_eq!(texts(&scene.told(&bob)), []);
    let taken = scene.commands.iter().filter(|c| **c == RoomCommand::DataTaken { messages: 1 }).count();
    assert_eq!((taken, scene.commands.len()), (3, 3), "each is dealt with, and none goes on");
}

#[test]
fn a_number_that_was_said_before_is_sent_to_nobody_again() {
    let mut scene = Scene::new();
    let (alice, bob) = (scene.join("alice"), scene.join("bob"));
    for number in [1, 1, 2, 1, 7, 7] {
        send(&mut scene, &alice, OwnedData { number: Some(number), ..owned(&number.to_string()) }).expect("answered");
    }
    let got: Vec<_> = texts(&scene.told(&bob)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(got, ["1", "2", "7"]);
}

#[test]
fn a_socket_sends_as_much_as_it_may_and_later_more() {
    let mut scene = Scene::with(|rules| (rules.data.messages_per_second, rules.data.bytes_per_second) = (5, 100_000));
    let (alice, _) = (scene.join("alice"), scene.join("bob"));
    let sent = |scene: &mut Scene| (0..50).filter(|_| send(scene, &alice, owned("x")).is_ok()).count();
    assert_eq!(sent(&mut scene), 10);
    assert_eq!(send(&mut scene, &alice, owned("x")), Err(ErrorCode::RateLimited));
    scene.pass(Duration::from_secs(1));
    assert_eq!(sent(&mut scene), 5);
}

#[test]
fn who_comes_by_http_has_no_channels_and_is_sent_nothing() {
    let mut scene = Scene::new();
    let (_, at_alice) = join_with_channels(&mut scene, "alice");
    scene.data_by_http = true;
    scene.attach("player", Purpose::Play(vec![]), &[(crate::contract::MediaKind::Audio, false)]).expect("attached");
    let plans: Vec<_> =
        scene.commands.iter().filter_map(|c| if let RoomCommand::Negotiate { media, .. } = c { Some(media.data) } else { None }).collect();
    assert_eq!(plans, [None]);
    scene.commands.clear();
    came(&mut scene, at_alice, &message(&[]), true);
    assert_eq!(delivered(&mut scene), []);
}

#[test]
fn where_channels_are_off_an_offer_has_none_and_data_goes_by_sockets() {
    let mut scene = Scene::with(|rules| rules.data_channels = false);
    let mut alice = scene.join("alice");
    alice.data = true;
    scene.connect(&mut alice);
    let plan = scene.commands.iter().find_map(|c| if let RoomCommand::Negotiate { media, .. } = c { Some(media.data) } else { None });
    assert_eq!(plan, Some(None));
}
