//! What is reported and asked for: sender reports when a source begins, key frames for pictures that were lost, feedback that is none.

use std::time::Duration;

use althing::base::Time;
use althing::contract::{Codec, CodecPlan, Counter, RoomCommand, SrtpProfile};

use crate::client::{Client, written};
use crate::seeds;
use crate::world::{World, path};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const VIDEO: usize = 1;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// So many people, of whom the first sees the second.
fn watching(seed: u64, people: usize) -> World {
    let mut world = World::new(seed);
    for _ in 0..people {
        world.join(1, GCM);
    }
    world.point(0, 0, Some(1));
    world
}

/// When the sender reports of a half of subscriber 0's pair came.
fn reports(world: &World, mline: u8) -> Vec<Time> {
    let client = &world.clients[0];
    client.heard[&client.slot_ssrc(mline)].sender_reports.iter().map(|(_, _, at)| *at).collect()
}

#[test]
fn a_sender_report_comes_with_the_first_packet_of_another_source_and_lies_on_its_line() {
    for seed in seeds() {
        let mut world = watching(seed, 4);
        world.run(millis(8_000));
        for (turn, publisher) in [2, 3, 1, 3, 2, 1, 2].into_iter().enumerate() {
            let from = world.now;
            world.point(0, 0, Some(publisher));
            let mut begun = [None; 2];
            while begun.contains(&None) {
                world.run(millis(1));
                for (mline, begun) in [2, 3].into_iter().zip(&mut begun) {
                    let heard = &world.clients[0].heard[&world.clients[0].slot_ssrc(mline)];
                    let (_, last) = heard.packets.last_key_value().expect("packets came");
                    *begun = begun.or((last.client == publisher as u32).then_some(world.now));
                }
            }
            for (mline, begun) in [2, 3].into_iter().zip(begun) {
                let since = reports(&world, mline).into_iter().find(|at| *at + millis(1) >= begun.expect("it has begun"));
                assert!(since.is_some(), "seed {seed}, change {turn}, m-line {mline}: begun at {begun:?}, {from:?}");
            }
            let skew = crate::stories::skew(&world);
            assert!(skew.abs() < 40_000, "seed {seed}, change {turn}: {skew} µs between the halves of a pair");
            world.run(millis(1_370));
        }
        assert_eq!(world.count(Counter::SwitchReportHeld), 0);
        assert!(world.count(Counter::SwitchReportOut) >= 14);
    }
}

#[test]
fn a_publisher_whose_stream_begins_anew_with_each_packet_makes_no_flood_of_reports() {
    let mut world = watching(1, 2);
    world.run(millis(3_000));
    let before = (world.count(Counter::SwitchReportOut), reports(&world, 2).len());
    for _ in 0..500 {
        world.clients[1].published[0].next += 1_000;
        // Its clock jumps as well, or there would be nothing new to report.
        let timestamp = &mut world.clients[1].published[0].timestamp;
        *timestamp = timestamp.wrapping_add(4_800_000);
        world.run(millis(20));
    }
    let (sent, held) = (world.count(Counter::SwitchReportOut) - before.0, world.count(Counter::SwitchReportHeld));
    assert!((20..=26).contains(&sent), "{sent} in ten seconds");
    // Of the others the line was the same as before.
    assert!(held > 350, "{held} of five hundred were held");
    assert!(reports(&world, 2).len() - before.1 <= 36, "and no others take their place");
}

#[test]
fn a_receiver_that_loses_its_picture_all_the_time_does_not_cost_its_publisher_a_key_frame_each_time() {
    let mut world = watching(2, 3);
    world.point(2, 0, Some(1));
    world.run(millis(2_000));
    let asked = |world: &World| world.clients[1].published[VIDEO].key_frame_requests;
    let lose = |world: &mut World, subscriber: usize| {
        let ssrc = world.clients[subscriber].slot_ssrc(3);
        let compound = world.clients[subscriber].seal_rtcp(&written(|c| c.picture_loss(1, ssrc))).expect("keys");
        world.inject(path(subscriber), compound);
    };
    let storm = |world: &mut World, seconds: u64| {
        let before = asked(world);
        for _ in 0..seconds * 20 {
            lose(world, 0);
            world.run(millis(50));
        }
        asked(world) - before
    };
    let first = storm(&mut world, 20);
    assert!((45..=52).contains(&first), "forty at once, and one each two seconds: {first}");
    let then = storm(&mut world, 60);
    assert!((28..=32).contains(&then), "one each two seconds: {then}");
    assert!(world.count(Counter::KeyFrameRequestHeld) > 500);
    // Somebody else's loss is not held, and is repaired at once.
    world.run(millis(400));
    let before = asked(&world);
    lose(&mut world, 2);
    world.run(millis(30));
    assert_eq!(asked(&world), before + 1);
    // Nor does it last.
    world.run(millis(10_000));
    let before = asked(&world);
    lose(&mut world, 0);
    world.run(millis(30));
    assert_eq!(asked(&world), before + 1);
}

#[test]
fn what_was_given_up_begins_anew_with_a_key_frame_that_is_asked_for_at_once() {
    let mut world = World::new(3);
    for index in 0..2 {
        let mut client = Client::new(index, 3, GCM);
        client.is_estimated = true;
        world.add(client, 1);
    }
    world.point(0, 0, Some(1));
    // Just after the reports of a second, which look for what waits for a key frame.
    world.run(millis(4_000));
    let reported = reports(&world, 3).last().copied().expect("reports came");
    world.run(millis(1_100).saturating_sub(world.now.since(reported)));
    let before = world.clients[1].published[VIDEO].key_frame_requests;
    let mut sent = 0;
    while world.count(Counter::DropPaced) == 0 {
        let packet = world.clients[1].packet(VIDEO, false, true, false);
        world.inject(path(1), packet);
        sent += 1;
        assert!(sent < 1_000, "more than may wait");
    }
    let from = world.now;
    while world.clients[1].published[VIDEO].key_frame_requests == before {
        world.run(millis(1));
        assert!(world.now.since(from) < millis(30), "it is asked for at once");
    }
    world.run(millis(300));
    let client = &world.clients[0];
    let begun = client.heard[&client.slot_ssrc(3)].packets.values().rev().find(|stamp| stamp.key).expect("a key frame");
    assert!(begun.number > 500 + sent, "{}", begun.number);
}

#[test]
fn feedback_that_cannot_be_read_or_speaks_of_more_than_was_sent_is_dropped_and_counted() {
    let mut world = World::new(4);
    for index in 0..2 {
        let mut client = Client::new(index, 4, GCM);
        client.is_estimated = true;
        world.add(client, 1);
    }
    world.point(0, 0, Some(1));
    world.run(millis(3_000));
    assert_eq!(world.count(Counter::DropFeedback), 0);
    let tell = |world: &mut World, fci: &[u8]| {
        let before = world.count(Counter::DropFeedback);
        let compound = world.clients[0].seal_rtcp(&written(|c| c.transport_feedback(1, 0, fci))).expect("keys");
        world.inject(path(0), compound);
        world.count(Counter::DropFeedback) - before
    };
    // Base 0, ten packets, of which no chunk speaks.
    let mut fci = [0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(tell(&mut world, &fci[..8]), 1, "it ends too early");
    // Runs of packets that have not come: thousands of numbers in two bytes each.
    (fci[2], fci[3]) = (0x1F, 0xFF);
    fci[8..10].copy_from_slice(&0x1FFF_u16.to_be_bytes());
    let dropped: u64 = (0..100).map(|_| tell(&mut world, &fci)).sum();
    assert!((80..100).contains(&dropped), "{dropped} of a hundred speak of more than may be");
    let before = world.count(Counter::DropFeedback);
    world.run(millis(2_000));
    assert_eq!(world.count(Counter::DropFeedback), before, "what is said of what was sent is heard");
    let client = &world.clients[0];
    assert!(client.heard[&client.slot_ssrc(3)].from(1).len() > 300, "and the picture goes on");
}

#[test]
fn sound_that_is_not_what_its_redundancy_was_agreed_to_be_is_left_out_and_leaves_no_gap() {
    const RED: u8 = 63;
    let mut world = World::new(5);
    let mut plans = Vec::new();
    for index in 0..2 {
        let client = Client::new(index, 5, GCM);
        let mut plan = client.plan(1);
        let opus = plan.receive[0].codecs[0].clone();
        plan.receive[0].codecs.push(CodecPlan { payload_type: RED, codec: Codec::Red { primary: opus.payload_type }, ..opus });
        plans.push((client.peer, plan));
        world.add(client, 1);
    }
    for (peer, plan) in plans {
        world.command(RoomCommand::Negotiate { peer, media: Box::new(plan) });
    }
    world.point(0, 0, Some(1));
    world.run(millis(500));
    world.clients[1].published[0].active = false;
    world.run(millis(100));
    let opus = world.clients[1].published[0].payload_type;
    let before = world.count(Counter::DropUndecodable);
    let mut sent = Vec::new();
    for n in 0..20_u8 {
        let number = world.clients[1].published[0].next;
        world.clients[1].published[0].next += 1;
        world.clients[1].published[0].timestamp = world.clients[1].published[0].timestamp.wrapping_add(960);
        let (mut header, payload) = world.clients[1].stamped(0, number, false, true, true);
        header[1] = RED;
        // Comfort noise (RFC 3389) each fourth time, and once nothing that could be read.
        let primary = if n % 4 == 3 { 13 } else { opus };
        let red = if n == 7 { vec![0x80 | opus] } else { [&[primary][..], &payload].concat() };
        if n % 4 != 3 {
            sent.push(number);
        }
        let packet = world.clients[1].seal(&header, &red, number);
        world.inject(path(1), packet);
        world.run(millis(20));
    }
    world.run(millis(100));
    let heard = &world.clients[0].heard[&world.clients[0].slot_ssrc(2)];
    let came: Vec<u64> = heard.from(1).iter().map(|stamp| stamp.number).filter(|number| *number >= sent[0]).collect();
    assert_eq!(came, sent, "what is Opus comes as Opus, and nothing else");
    assert!(heard.packets.keys().zip(heard.packets.keys().skip(1)).all(|(a, b)| a + 1 == *b), "and there is no gap");
    assert_eq!(world.count(Counter::DropUndecodable) - before, 5);
}
