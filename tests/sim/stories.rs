//! What must hold for people in a call.

use std::time::Duration;

use althing::base::RoomId;
use althing::contract::{Counter, DisconnectReason, Event, MediaKind, RoomCommand, SrtpProfile};

use crate::client::{Client, Stamp};
use crate::network::Link;
use crate::seeds;
use crate::world::{World, path, track};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const SHA1: SrtpProfile = SrtpProfile::AesCm128HmacSha1_80;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Stamps of a publisher on a subscriber's pair, one half.
fn heard(world: &World, subscriber: usize, pair: u8, kind: MediaKind, publisher: usize) -> Vec<Stamp> {
    let ssrc = world.clients[subscriber].slot_ssrc(2 + pair * 2 + u8::from(kind == MediaKind::Video));
    world.clients[subscriber].heard.get(&ssrc).map(|h| h.from(publisher)).unwrap_or_default()
}

fn assert_no_gap(stamps: &[Stamp], what: &str) {
    for pair in stamps.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "{what}: a gap after {:?}", pair[0]);
    }
}

#[test]
fn three_people_hear_and_see_each_other_without_a_gap() {
    for profile in [GCM, SrtpProfile::AeadAes256Gcm, SHA1] {
        for seed in seeds() {
            let mut world = World::new(seed);
            for _ in 0..3 {
                world.join(2, profile);
            }
            world.connect_all();
            world.run(seconds(10));
            for subscriber in 0..3 {
                for (pair, publisher) in (0..3).filter(|p| *p != subscriber).enumerate() {
                    let audio = heard(&world, subscriber, pair as u8, MediaKind::Audio, publisher);
                    let video = heard(&world, subscriber, pair as u8, MediaKind::Video, publisher);
                    assert!(audio.len() > 480, "{} audio packets", audio.len());
                    assert!(video.len() > 850, "{} video packets", video.len());
                    assert!(video[0].key, "the first packet of a picture begins a key frame");
                    assert_no_gap(&audio, "audio");
                    assert_no_gap(&video, "video");
                    let repeats: u64 = world.clients[subscriber].heard.values().map(|h| h.repeats + h.duplicates).sum();
                    assert_eq!(repeats, 0, "nothing comes twice");
                }
            }
            assert_eq!(world.count(Counter::DropAuthentication) + world.count(Counter::DropReplay) + world.count(Counter::DropTooOld), 0);
            assert!(world.clients.iter().all(|c| c.feedback_packets > 50 && c.reports_about_us > 5), "feedback and reports reach publishers");
        }
    }
}

#[test]
fn losses_both_ways_are_repaired_with_rtx_and_without() {
    for has_rtx in [true, false] {
        for seed in seeds() {
            let mut world = World::new(seed);
            world.link = Link { loss_per_mille: 50, jitter: Duration::from_millis(4), ..Link::GOOD };
            for index in 0..3 {
                let mut client = Client::new(index, seed, GCM);
                client.has_rtx = has_rtx;
                world.add(client, 2);
            }
            world.connect_all();
            world.run(seconds(20));
            world.clients.iter_mut().flat_map(|c| &mut c.published).for_each(|p| p.active = false);
            world.run(seconds(2));
            assert!(world.network.lost > 500);
            let mut delivered = 0;
            let mut missing = 0;
            for client in &world.clients {
                for stream in client.heard.values().filter(|h| !h.packets.is_empty()) {
                    delivered += stream.packets.len();
                    missing += stream.still_missing();
                    assert!(stream.duplicates * 50 < stream.packets.len() as u64, "only what is asked for twice comes twice: {}", stream.duplicates);
                }
            }
            assert!(missing * 1_000 < delivered, "seed {seed}, rtx {has_rtx}: {missing} of {delivered} missing");
            assert!(world.count(Counter::RtpRepaired) > 100 && world.count(Counter::RtpRetransmitted) > 100);
        }
    }
}

#[test]
fn reordering_alone_costs_nothing_and_delivers_everything() {
    for seed in seeds() {
        let mut world = World::new(seed);
        world.link = Link { jitter: Duration::from_millis(15), ..Link::GOOD };
        for _ in 0..2 {
            world.join(1, GCM);
        }
        world.connect_all();
        world.run(seconds(10));
        world.clients.iter_mut().flat_map(|c| &mut c.published).for_each(|p| p.active = false);
        world.run(seconds(1));
        for (subscriber, publisher) in [(0, 1), (1, 0)] {
            let audio = heard(&world, subscriber, 0, MediaKind::Audio, publisher);
            assert!(audio.len() > 480);
            assert_no_gap(&audio, "audio");
        }
    }
}

#[test]
fn those_who_stay_notice_nothing_of_ten_who_come_and_go() {
    for seed in seeds() {
        let mut world = World::new(seed);
        for _ in 0..2 {
            world.join(2, GCM);
        }
        world.connect_all();
        world.run(seconds(2));
        for _ in 0..10 {
            let guest = world.join(2, GCM);
            world.point(0, 1, Some(guest));
            world.point(1, 1, Some(guest));
            world.point(guest, 0, Some(0));
            world.point(guest, 1, Some(1));
            world.run(seconds(1));
            let seen = heard(&world, 0, 1, MediaKind::Video, guest);
            assert!(seen.len() > 50 && seen[0].key, "the guest is seen, beginning with a key frame");
            world.leave(guest);
            world.run(Duration::from_millis(300));
        }
        for (subscriber, publisher) in [(0, 1), (1, 0)] {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                assert_no_gap(&heard(&world, subscriber, 0, kind, publisher), "for those who stay");
            }
        }
        // The guests' slot: one stream, whose numbers go on from guest to guest.
        let slot = &world.clients[0].heard[&world.clients[0].slot_ssrc(5)];
        let numbers: Vec<u64> = slot.packets.keys().copied().collect();
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "a slot's numbers have no gap across its guests");
        assert_eq!(world.engines[0].report().peers, 2);
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || {
        let mut world = World::new(7);
        world.link = Link { loss_per_mille: 30, jitter: Duration::from_millis(9), ..Link::GOOD };
        for _ in 0..3 {
            world.join(2, GCM);
        }
        world.connect_all();
        world.run(seconds(5));
        world.digest()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_peer_without_consent_is_sent_nothing_and_comes_back_with_the_next_check() {
    let mut world = World::new(5);
    for _ in 0..2 {
        world.join(1, GCM);
    }
    world.connect_all();
    world.run(seconds(2));
    world.clients[0].online = false;
    world.run(seconds(33));
    assert!(world.events.contains(&Event::Disconnected {
        room: althing::base::RoomId(1),
        peer: world.clients[0].peer,
        reason: DisconnectReason::ConsentLost
    }));
    let before = world.count(Counter::RtpForwarded);
    world.run(seconds(2));
    assert_eq!(world.count(Counter::RtpForwarded), before, "nothing is forwarded to a peer that is gone");
    world.clients[0].online = true;
    world.run(seconds(3));
    assert!(world.count(Counter::RtpForwarded) > before);
    assert!(world.events.iter().any(|e| matches!(e, Event::Reconnected { .. })));
}

#[test]
fn a_muted_track_is_not_forwarded_and_comes_back_with_a_key_frame() {
    let mut world = World::new(6);
    for _ in 0..2 {
        world.join(1, GCM);
    }
    world.connect_all();
    world.run(seconds(2));
    world.command(RoomCommand::Mute { track: track(1, MediaKind::Video), muted: true });
    world.run(Duration::from_millis(100));
    let before = heard(&world, 0, 0, MediaKind::Video, 1).len();
    world.run(seconds(2));
    assert_eq!(heard(&world, 0, 0, MediaKind::Video, 1).len(), before);
    world.command(RoomCommand::Mute { track: track(1, MediaKind::Video), muted: false });
    world.run(seconds(2));
    let stamps = heard(&world, 0, 0, MediaKind::Video, 1);
    assert!(stamps.len() > before + 100);
    assert!(stamps[before].key, "a key frame comes first");
}

#[test]
fn media_from_an_address_that_no_check_has_validated_is_dropped() {
    let mut world = World::new(8);
    world.join(1, GCM);
    world.run(seconds(1));
    let before = world.count(Counter::RtpIn);
    world.inject(path(77), vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4]);
    world.inject(path(77), vec![22, 254, 253, 0, 0]);
    world.inject(path(0), vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.count(Counter::DropUnvalidatedAddress), 2);
    assert_eq!(world.count(Counter::DropAuthentication), 1);
    assert_eq!(world.count(Counter::RtpIn), before);
}

#[test]
fn sender_reports_of_a_pair_lie_on_the_publishers_own_line() {
    for seed in seeds() {
        let mut world = World::new(seed);
        for _ in 0..2 {
            world.join(1, GCM);
        }
        world.connect_all();
        world.run(seconds(10));
        let skew = skew(&world);
        assert!(skew.abs() < 25_000, "seed {seed}: {skew} µs between the halves of a pair");
    }
}

#[test]
fn lips_stay_in_sync_after_each_change_of_the_source() {
    for seed in seeds() {
        let mut world = World::new(seed);
        for _ in 0..4 {
            world.join(1, GCM);
        }
        world.point(0, 0, Some(1));
        world.run(seconds(8));
        for (turn, publisher) in [2, 3, 1, 3, 2, 1, 2].into_iter().enumerate() {
            world.point(0, 0, Some(publisher));
            // The first reports after a change come with it, or within a second.
            world.run(Duration::from_millis(1_200));
            let skew = skew(&world);
            assert!(skew.abs() < 40_000, "seed {seed}, change {turn}: {skew} µs between the halves of a pair");
        }
    }
}

/// By how many microseconds the sender reports of subscriber 0's first pair move sound against picture.
pub fn skew(world: &World) -> i64 {
    let (audio, video) = (world.clients[0].slot_ssrc(2), world.clients[0].slot_ssrc(3));
    // What both halves say about the moment of the same capture must agree: both streams began at one moment with one timestamp.
    let moment = |ssrc: u32, rate: i64| {
        let (ntp, rtp, _) = *world.clients[0].heard[&ssrc].sender_reports.last().expect("sender reports came");
        ntp.plus_micros(i64::from(last_out(world, ssrc).wrapping_sub(rtp) as i32) * 1_000_000 / rate)
    };
    let captured = |ssrc: u32, rate: i64| {
        let (_, stamp) = world.clients[0].heard[&ssrc].packets.last_key_value().expect("packets came");
        i64::from(stamp.timestamp.wrapping_sub(u32::MAX - 90_000)) * 1_000_000 / rate
    };
    let (heard, seen) = (moment(audio, 48_000), moment(video, 90_000));
    heard.micros_since(seen) - (captured(audio, 48_000) - captured(video, 90_000))
}

fn last_out(world: &World, ssrc: u32) -> u32 {
    world.clients[0].heard[&ssrc].last_out_timestamp
}

/// How many packets of each of the others' voices a subscriber has heard since `before`.
fn voices(world: &World, subscriber: usize, before: &[usize]) -> Vec<usize> {
    let others = (0..world.clients.len()).filter(|p| *p != subscriber);
    let heard = others.enumerate().map(|(pair, publisher)| heard(world, subscriber, pair as u8, MediaKind::Audio, publisher).len());
    heard.zip(before.iter().chain(std::iter::repeat(&0))).map(|(now, before)| now - before).collect()
}

#[test]
fn of_many_voices_the_loudest_are_forwarded_and_whoever_begins_to_speak_is_heard() {
    for workers in [1, 2] {
        let mut world = World::with_workers(7, workers);
        for n in 0..8 {
            world.join_on(n % workers as usize, 7, GCM);
        }
        world.connect_all();
        let level = |world: &mut World, client: usize, level: u8| world.clients[client].published[0].level = Some(level);
        (0..8).for_each(|client| level(&mut world, client, 100));
        world.run(seconds(2));
        for worker in 0..workers as usize {
            world.command_in(worker, RoomId(1), RoomCommand::Voices { most: 2 });
        }
        level(&mut world, 1, 20);
        level(&mut world, 2, 20);
        world.run(seconds(2));
        let before = voices(&world, 0, &[]);
        world.run(seconds(2));
        assert_eq!(voices(&world, 0, &before), [100, 100, 0, 0, 0, 0, 0], "{workers} workers: two speak, the others are not forwarded");
        level(&mut world, 1, 100);
        world.run(seconds(2));
        let before = voices(&world, 0, &[]);
        level(&mut world, 6, 30);
        world.run(seconds(2));
        let now = voices(&world, 0, &before);
        assert!(now[5] >= 80, "{workers} workers: whoever begins to speak is heard within 400 ms: {now:?}");
        assert_eq!((now[1], now[0] < 30), (100, true), "in the place of one who is silent: {now:?}");
        let dropped = world.count(Counter::DropUnheard);
        for worker in 0..workers as usize {
            world.command_in(worker, RoomId(1), RoomCommand::Voices { most: u8::MAX });
        }
        world.run(seconds(1));
        let before = voices(&world, 0, &[]);
        world.run(seconds(1));
        assert_eq!(voices(&world, 0, &before), [50; 7], "{workers} workers: all are forwarded again");
        assert!(dropped > 1_000 && world.count(Counter::DropUnheard) - dropped < 10);
        let numbers =
            |client: usize| world.clients[0].heard[&world.clients[0].slot_ssrc(2 + client as u8 * 2)].packets.keys().copied().collect::<Vec<_>>();
        for pair in 0..7 {
            assert!(numbers(pair).windows(2).all(|w| w[1] == w[0] + 1), "a pause leaves no gap in a slot's numbers");
        }
    }
}

#[test]
fn of_many_voices_one_that_says_no_level_is_heard_unless_others_speak() {
    for workers in [1, 2] {
        let mut world = World::with_workers(8, workers);
        for n in 0..5 {
            world.join_on(n % workers as usize, 4, GCM);
            world.clients[n].published[0].level = Some(100);
        }
        world.clients[4].published[0].level = None;
        world.connect_all();
        for worker in 0..workers as usize {
            world.command_in(worker, RoomId(1), RoomCommand::Voices { most: 2 });
        }
        world.run(seconds(2));
        // What client 0 hears of the four others in two seconds, from half a second on.
        let hears = |world: &mut World, levels: [u8; 3]| {
            (1..).zip(levels).for_each(|(client, level)| world.clients[client].published[0].level = Some(level));
            world.run(Duration::from_millis(1_500));
            let before = voices(world, 0, &[]);
            world.run(seconds(2));
            voices(world, 0, &before)
        };
        assert_eq!(hears(&mut world, [100; 3]), [0, 0, 0, 100], "{workers} workers: nobody else speaks");
        assert_eq!(hears(&mut world, [25, 100, 100]), [100, 0, 0, 100], "{workers} workers: there is a place for each");
        assert_eq!(hears(&mut world, [25, 25, 100]), [100, 100, 0, 0], "{workers} workers: two speak up");
        assert_eq!(hears(&mut world, [25, 100, 100]), [100, 0, 0, 100], "{workers} workers: one of them has ended");
        assert_eq!(hears(&mut world, [25, 38, 100]), [100, 0, 0, 100], "{workers} workers: who speaks low is no louder");
        let told = world.events.iter().rev().find_map(|event| match event {
            Event::Speakers { speaking, .. } => Some(speaking.iter().map(|(track, _)| *track).collect::<Vec<_>>()),
            _ => None,
        });
        assert!(told.is_some_and(|told| told.contains(&track(4, MediaKind::Audio))), "and it is said to speak");
    }
}
