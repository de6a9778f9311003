//! A room on several workers: what crosses, how often, and what a full ring costs.

use std::time::Duration;

use althing::base::{RoomId, WorkerId};
use althing::contract::{Counter, Event, MediaKind, RoomCommand, SrtpProfile, ufrag_of};
use althing::media::transport::Path;

use crate::client::Client;
use crate::world::{World, track};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;

/// So many clients, dealt out over the workers, who all see each other.
fn spread(seed: u64, workers: u64, clients: usize) -> World {
    let mut world = World::with_workers(seed, workers);
    for index in 0..clients {
        world.join_on(index % workers as usize, clients as u8 - 1, GCM);
    }
    world.connect_all();
    world
}

/// What each client has heard of each other one: how many packets, and how many are missing.
fn heard(world: &World) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    for (me, client) in world.clients.iter().enumerate() {
        for other in (0..world.clients.len()).filter(|o| *o != me) {
            all.push((me, other, client.heard.values().map(|h| h.from(other).len()).sum()));
        }
        assert_eq!(client.heard.values().map(|h| h.still_missing()).sum::<usize>(), 0, "client {me} misses packets");
    }
    all
}

#[test]
fn four_workers_deliver_what_one_does_and_each_packet_crosses_once() {
    let [mut one, mut four] = [spread(7, 1, 8), spread(7, 4, 8)];
    for world in [&mut one, &mut four] {
        world.run(Duration::from_secs(10));
    }
    for ((me, other, alone), (_, _, together)) in heard(&one).into_iter().zip(heard(&four)) {
        assert!(alone > 1_000 && together + 30 > alone, "{me} has heard {together} packets of {other}, {alone} with one worker");
    }
    assert_eq!(one.count(Counter::RelayOut), 0);
    let (received, crossed, taken) = (four.count(Counter::RtpIn), four.count(Counter::RelayOut), four.count(Counter::RelayIn));
    assert_eq!((crossed, four.count(Counter::RelayDropFull)), (taken, 0));
    // Each packet is opened once, by its publisher's worker, and crosses once to each of the three others.
    assert!(crossed <= received * 3 && crossed > received * 29 / 10, "{received} received, {crossed} crossed");
}

#[test]
fn what_nobody_over_there_receives_does_not_cross() {
    let mut world = World::with_workers(3, 2);
    for worker in [0, 0, 1] {
        world.join_on(worker, 2, GCM);
    }
    world.point(1, 0, Some(0));
    world.run(Duration::from_secs(3));
    assert_eq!(world.count(Counter::RelayOut), 0, "the third has pointed at nobody");
    world.point(2, 0, Some(0));
    world.run(Duration::from_secs(3));
    let crossed = world.count(Counter::RelayOut);
    assert!(crossed > 300, "{crossed}");
    world.point(2, 0, None);
    world.run(Duration::from_secs(1));
    let crossed = world.count(Counter::RelayOut);
    world.run(Duration::from_secs(5));
    assert_eq!(world.count(Counter::RelayOut), crossed, "nobody receives it any more");
}

#[test]
fn a_full_ring_costs_those_on_its_other_side_only_and_they_recover() {
    let mut world = spread(5, 2, 4);
    world.run(Duration::from_secs(3));
    world.full = |from, _| from == 0;
    world.run(Duration::from_secs(2));
    assert!(world.count(Counter::RelayDropFull) > 200 && world.refused > 200);
    let locally = |world: &World| world.clients[2].heard.values().map(|h| h.from(0).len()).sum::<usize>();
    let across = |world: &World| world.clients[1].heard.values().map(|h| h.from(0).len()).sum::<usize>();
    let (here, there) = (locally(&world), across(&world));
    assert!(here > there + 150, "{here} here, {there} over there");
    world.full = |_, _| false;
    world.run(Duration::from_secs(3));
    assert!(across(&world) > there + 200, "over there they receive again");
    assert_eq!(world.clients[2].heard.values().map(|h| h.still_missing()).sum::<usize>(), 0, "and nobody here has missed anything");
}

#[test]
fn a_demand_that_comes_before_its_track_is_said_again() {
    let mut world = World::with_workers(9, 2);
    world.join_on(0, 1, GCM);
    world.join_on(1, 1, GCM);
    // Its worker forgets the track and learns of it later, as when commands to two workers overtake each other.
    world.command_in(0, RoomId(1), RoomCommand::Unpublish { track: track(0, MediaKind::Video) });
    world.point(1, 0, Some(0));
    world.run(Duration::from_millis(200));
    let peer = world.clients[0].peer;
    world.command_in(0, RoomId(1), RoomCommand::Publish { peer, mline: 1, track: track(0, MediaKind::Video), voice: false });
    world.run(Duration::from_secs(4));
    assert!(world.clients[1].heard.values().map(|h| h.from(0).len()).sum::<usize>() > 300);
}

#[test]
fn many_who_wait_over_there_ask_for_one_key_frame() {
    let mut world = World::with_workers(11, 2);
    world.join_on(0, 1, GCM);
    for _ in 0..10 {
        world.join_on(1, 1, GCM);
    }
    world.run(Duration::from_secs(2));
    let before = world.count(Counter::KeyFrameRequestOut);
    for subscriber in 1..=10 {
        world.point(subscriber, 0, Some(0));
    }
    world.run(Duration::from_secs(2));
    let asked = world.count(Counter::KeyFrameRequestOut) - before;
    assert!((1..=3).contains(&asked), "{asked} requests");
    for subscriber in 1..=10 {
        assert!(world.clients[subscriber].heard.values().map(|h| h.from(0).len()).sum::<usize>() > 150, "{subscriber}");
    }
}

#[test]
fn who_speaks_is_said_by_one_worker_for_all() {
    let mut world = spread(13, 3, 3);
    world.run(Duration::from_secs(3));
    let said: Vec<_> =
        world.events.iter().filter_map(|e| if let Event::Speakers { speaking, .. } = e { Some(speaking.clone()) } else { None }).collect();
    let last = said.last().expect("somebody speaks");
    let mut tracks: Vec<_> = last.iter().map(|(track, _)| *track).collect();
    tracks.sort_unstable();
    assert_eq!(tracks, [0, 1, 2].map(|client| track(client, MediaKind::Audio)), "all three, though each is on a worker of its own");
    assert!(said.len() <= 3, "who speaks has changed at most as often as somebody began: {said:?}");
}

#[test]
fn a_track_that_ends_and_a_room_that_closes_over_there_leave_nothing_behind() {
    let mut world = spread(17, 2, 4);
    world.run(Duration::from_secs(2));
    world.unpublish(0);
    world.run(Duration::from_secs(1));
    world.command_in(1, RoomId(1), RoomCommand::Close);
    for client in [1, 3] {
        world.clients[client].online = false;
    }
    world.run(Duration::from_secs(1));
    let crossed = world.count(Counter::RelayOut);
    world.run(Duration::from_secs(3));
    assert_eq!(world.count(Counter::RelayOut), crossed, "nothing crosses to a room that is gone");
    assert_eq!(world.count(Counter::RoomPanic), 0);
    assert!(world.clients[0].heard.values().map(|h| h.from(2).len()).sum::<usize>() > 500, "those who stay go on");
}

#[test]
fn a_demand_that_is_not_repeated_expires_and_one_that_is_heard_again_brings_the_packets_back() {
    let mut world = spread(19, 2, 4);
    world.run(Duration::from_secs(3));
    world.full = |from, _| from == 1;
    world.run(Duration::from_secs(8));
    let crossed = world.count(Counter::RelayOut);
    world.run(Duration::from_secs(3));
    assert_eq!(world.count(Counter::RelayOut), crossed, "nobody has said for long that it is wanted");
    let across = |world: &World| world.clients[1].heard.values().map(|h| h.from(0).len()).sum::<usize>();
    let before = across(&world);
    world.full = |_, _| false;
    world.run(Duration::from_secs(5));
    assert!(across(&world) > before + 400, "{} and {before} before", across(&world));
    assert!(world.clients.iter().all(|c| c.heard.values().all(|h| h.still_missing() == 0)));
}

#[test]
fn a_worker_that_stands_still_costs_the_others_nothing_and_comes_back() {
    let mut world = spread(23, 3, 6);
    world.run(Duration::from_secs(3));
    world.stalled = Some(1);
    world.run(Duration::from_secs(4));
    assert!(world.refused > 100, "its rings are full");
    // Clients 0 and 3 are on one worker, 2 and 5 on another.
    let of_others = |world: &World| {
        [(0, 3), (3, 0), (2, 5), (0, 2), (5, 3)].map(|(me, other)| world.clients[me].heard.values().map(|h| h.from(other).len()).sum::<usize>())
    };
    for (pair, packets) in of_others(&world).into_iter().enumerate() {
        assert!(packets > 7 * 135, "pair {pair}: {packets} packets in seven seconds");
    }
    let its = |world: &World| world.clients[1].heard.values().map(|h| h.from(4).len() + h.from(0).len()).sum::<usize>();
    let before = its(&world);
    world.stalled = None;
    world.run(Duration::from_secs(6));
    assert!(its(&world) > before + 1_200, "{} and {before} before", its(&world));
    assert_eq!(world.count(Counter::RoomPanic), 0);
    for (me, client) in world.clients.iter().enumerate().filter(|(me, _)| me % 3 != 1) {
        let missing: usize = [0, 2, 3, 5]
            .iter()
            .map(|other| client.heard.values().filter(|h| !h.from(*other).is_empty()).map(|h| h.still_missing()).sum::<usize>())
            .sum();
        assert_eq!(missing, 0, "client {me}");
    }
}

#[test]
fn what_arrives_at_the_wrong_worker_goes_to_its_owner_once_a_check_is_authentic() {
    let mut world = World::with_workers(29, 2);
    for worker in [0, 1] {
        let index = world.clients.len();
        let mut client = Client::new(index, 29, GCM);
        client.ice.local_ufrag = ufrag_of(WorkerId(worker), &format!("user{index}"));
        world.add_on(worker.into(), client, 1);
    }
    let elsewhere = Path { local: 0, remote: ([127, 0, 0, 1], 10_001).into() };
    let media = world.clients[1].packet(0, true, true, true);
    assert!(!world.arrive_at(0, elsewhere, media.clone()), "nobody has said whose the path is");
    assert_eq!(world.count(Counter::DropUnvalidatedAddress), 1);

    // A forged check finds its owner by its user name, which finds that it is forged: nothing is remembered.
    let username = world.clients[1].username();
    let forged = world.clients[1].check_with(&username, Some("not-its-password-but-another"), &[]);
    assert!(world.arrive_at(0, elsewhere, forged));
    assert_eq!((world.count(Counter::StrayIn), world.count(Counter::StunBadIntegrity)), (1, 1));
    assert!(!world.arrive_at(0, elsewhere, media.clone()));

    let check = world.clients[1].check();
    assert!(world.arrive_at(0, elsewhere, check));
    assert!(world.arrive_at(0, elsewhere, media.clone()), "its media follows");
    assert_eq!((world.count(Counter::StunAnswered), world.count(Counter::RtpIn)), (1, 1));

    // One member with very many ports does not push the others out.
    for port in 11_000..31_000 {
        let check = world.clients[1].check();
        world.arrive_at(0, Path { local: 0, remote: ([127, 0, 0, 2], port).into() }, check);
    }
    assert_eq!(world.count(Counter::StrayTableFull), 0);
}
