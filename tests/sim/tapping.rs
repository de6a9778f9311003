//! What is copied for recordings: everything of a track, whoever else receives it.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::base::{RoomId, TapId};
use althing::contract::{Counter, MediaKind, RoomCommand, SrtpProfile, TapClock, TapCodec, TapPacket, Tapped};

use crate::client::stamp;
use crate::network::Link;
use crate::seeds;
use crate::world::{World, track};

const GCM: SrtpProfile = SrtpProfile::AeadAes128Gcm;
const SOUND: TapId = TapId(1);
const PICTURE: TapId = TapId(2);

/// Somebody alone in a room, whose tracks are recorded.
fn recorded(seed: u64) -> World {
    let mut world = World::new(seed);
    world.join(1, GCM);
    world.connect_all();
    world.run(Duration::from_secs(2));
    world.taps.keeps = true;
    tap(&mut world, 0, true);
    world
}

fn tap(world: &mut World, client: usize, on: bool) {
    for (kind, tap) in [(MediaKind::Audio, SOUND), (MediaKind::Video, PICTURE)] {
        world.command(RoomCommand::Tap { track: track(client, kind), tap: on.then_some(tap) });
    }
}

/// The packets of a tap, as they were copied.
fn packets(world: &World, tap: TapId) -> Vec<(TapPacket, Vec<u8>)> {
    let read = |frame: &Vec<u8>| match Tapped::read(frame)? {
        Tapped::Packet(packet, payload) if packet.place.tap == tap => Some((packet, payload.to_vec())),
        _ => None,
    };
    world.taps.frames.iter().filter_map(read).collect()
}

fn clocks(world: &World, tap: TapId) -> Vec<TapClock> {
    let read = |frame: &Vec<u8>| match Tapped::read(frame)? {
        Tapped::Clock(clock) if clock.tap == tap => Some(clock),
        _ => None,
    };
    world.taps.frames.iter().filter_map(read).collect()
}

#[test]
fn somebody_alone_is_recorded_from_a_key_frame_on_without_a_gap() {
    for seed in seeds() {
        let mut world = recorded(seed);
        world.run(Duration::from_secs(10));
        let pictures = packets(&world, PICTURE);
        assert!(pictures[0].0.starts_key_frame, "it begins with a key frame, that was asked for");
        for (tap, codec, payload_type, least) in [(SOUND, TapCodec::Opus, 111, 480), (PICTURE, TapCodec::Vp8, 96, 800)] {
            let copied = packets(&world, tap);
            assert!(copied.len() > least, "{} packets", copied.len());
            assert!(copied.iter().all(|(packet, _)| packet.codec == codec));
            let stamps: Vec<_> = copied.iter().map(|(_, payload)| stamp(payload_type, payload).expect("its payload in the clear")).collect();
            assert!(stamps.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "in order, each once");
            let clock = clocks(&world, tap);
            assert!(clock.len() >= 8, "a sender report each second: {}", clock.len());
        }
        assert_eq!(world.count(Counter::RtpForwarded), 0, "nobody else wants it");
    }
}

#[test]
fn one_clock_line_serves_sound_and_picture() {
    let mut world = recorded(1);
    world.run(Duration::from_secs(10));
    // When a packet was captured, by its stream's line, and when it arrived: the same time on the way for both.
    let ways = [(SOUND, 48_000), (PICTURE, 90_000)].map(|(tap, rate)| {
        let line = *clocks(&world, tap).last().expect("a sender report");
        let (packet, _) = packets(&world, tap).pop().expect("a packet");
        let ticks = i64::from(packet.timestamp.wrapping_sub(line.timestamp) as i32);
        let captured = line.captured + ticks * 1_000_000 / rate;
        packet.arrived.as_micros() as i64 - captured
    });
    assert!(ways.iter().all(|way| way.abs() <= 20_000) && (ways[0] - ways[1]).abs() <= 10_000, "{ways:?} µs");
}

#[test]
fn repaired_packets_are_copied_too() {
    for seed in seeds() {
        let mut world = recorded(seed);
        world.run(Duration::from_secs(1));
        world.link = Link { loss_per_mille: 50, jitter: Duration::from_millis(4), ..Link::GOOD };
        world.run(Duration::from_secs(20));
        let (lost, copied) = (world.network.lost, packets(&world, PICTURE));
        let numbers: BTreeMap<u64, usize> = copied.iter().fold(BTreeMap::new(), |mut all, (packet, _)| {
            *all.entry(packet.place.sequence).or_default() += 1;
            all
        });
        assert!(lost > 50 && numbers.values().all(|times| *times == 1), "{lost} lost; each number once");
        let (first, last) = (*numbers.keys().next().expect("some"), *numbers.keys().next_back().expect("some"));
        let missing = last + 1 - first - numbers.len() as u64;
        assert!(missing * 50 <= numbers.len() as u64 / 10, "{missing} of {} missing", numbers.len());
    }
}

#[test]
fn voices_that_nobody_hears_are_recorded_all_the_same() {
    let mut world = World::new(1);
    for _ in 0..4 {
        world.join(3, GCM);
    }
    world.connect_all();
    world.command(RoomCommand::Voices { most: 1 });
    world.run(Duration::from_secs(2));
    world.taps.keeps = true;
    for client in 0..4 {
        world.command(RoomCommand::Tap { track: track(client, MediaKind::Audio), tap: Some(TapId(10 + client as u64)) });
    }
    let unheard = world.count(Counter::DropUnheard);
    world.run(Duration::from_secs(5));
    assert!(world.count(Counter::DropUnheard) > unheard, "not all are forwarded");
    for client in 0..4 {
        assert!(packets(&world, TapId(10 + client)).len() > 240, "{client}");
    }
}

#[test]
fn what_is_muted_or_not_recorded_any_more_is_not_copied() {
    let mut world = recorded(1);
    world.run(Duration::from_secs(2));
    let (sound, picture) = (track(0, MediaKind::Audio), track(0, MediaKind::Video));
    world.command(RoomCommand::Mute { track: sound, muted: true });
    world.taps.frames.clear();
    world.run(Duration::from_secs(2));
    assert_eq!((packets(&world, SOUND).len(), packets(&world, PICTURE).is_empty()), (0, false));
    world.command(RoomCommand::Mute { track: sound, muted: false });
    world.run(Duration::from_secs(1));
    assert!(!packets(&world, SOUND).is_empty());
    tap(&mut world, 0, false);
    world.taps.frames.clear();
    world.run(Duration::from_secs(2));
    assert_eq!(world.taps.frames.len(), 0);
    // A track that has ended takes its tap with it, and an unknown one changes nothing.
    tap(&mut world, 0, true);
    world.command(RoomCommand::Unpublish { track: picture });
    world.run(Duration::from_secs(1));
    let unknown = world.count(Counter::CommandUnknown);
    world.command(RoomCommand::Tap { track: picture, tap: Some(PICTURE) });
    world.command(RoomCommand::TapKeyFrame { track: picture });
    assert_eq!(world.count(Counter::CommandUnknown), unknown + 2);
}

#[test]
fn a_full_ring_is_counted_and_nobody_else_notices() {
    let mut world = World::new(1);
    world.join(1, GCM);
    world.join(1, GCM);
    world.connect_all();
    world.taps.full = true;
    tap(&mut world, 0, true);
    world.run(Duration::from_secs(5));
    assert!(world.count(Counter::TapDropFull) > 400 && world.count(Counter::TapOut) == 0);
    let heard: usize = world.clients[1].heard.values().map(|heard| heard.packets.len()).sum();
    assert!(heard > 600, "{heard}");
    assert_eq!(world.clients[1].heard.values().map(|heard| heard.still_missing()).sum::<usize>(), 0);
}

#[test]
fn a_key_frame_that_a_recording_needs_is_asked_for() {
    let mut world = recorded(1);
    world.run(Duration::from_secs(2));
    world.taps.frames.clear();
    world.command_in(0, RoomId(1), RoomCommand::TapKeyFrame { track: track(0, MediaKind::Video) });
    world.run(Duration::from_secs(1));
    assert!(packets(&world, PICTURE).iter().any(|(packet, _)| packet.starts_key_frame));
}
