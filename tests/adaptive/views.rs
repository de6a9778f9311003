//! Stories of tiles: what is shown small is sent small, and what is not shown is not sent at all.

use std::time::Duration;

use althing::contract::{Counter, Limit, View};

use crate::coding::Mode;
use crate::link::Class;
use crate::sender::Publishes;
use crate::world::{Ways, World};

pub const SMALL: View = View { width: 240, height: 135, rank: 1 };
pub const MIDDLE: View = View { width: 640, height: 360, rank: 1 };
pub const HIDDEN: View = View { width: 0, height: 0, rank: 1 };

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Nothing that left for anybody is at fault, and nothing was shown that could not be decoded.
pub fn assert_sound(world: &World) {
    let faults = world.faults();
    assert!(faults.is_empty(), "seed {}: {:#?}", world.seed, faults.first());
    assert_eq!(world.wrong(), Vec::<&str>::new(), "seed {}", world.seed);
    assert_eq!(world.count(Counter::DropAuthentication) + world.count(Counter::DropMalformed) + world.count(Counter::RoomPanic), 0);
}

#[test]
fn every_codec_is_shown_without_a_fault_where_nothing_is_lost() {
    for mode in Mode::ALL {
        let mut world = World::new(1);
        let publisher = world.join(Publishes::picture(mode, 1), 0, Ways::free(millis(40)));
        let subscriber = world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
        world.point(subscriber, 0, Some(publisher), View::LARGE);
        // It begins with less, until it is known what the way carries.
        world.run(millis(4_000));
        let from = world.now;
        world.run(millis(6_000));
        assert_sound(&world);
        let decoder = world.decoder(subscriber, 0);
        assert!(decoder.rate(from, world.now) > 29.5, "{mode:?}: {} pictures a second", decoder.rate(from, world.now));
        assert_eq!((decoder.waits_in_vain(), decoder.undecodable().len()), (vec![], 0), "{mode:?}");
        assert!(world.down[subscriber].log.bytes(Class::Picture, from, world.now) > 50_000);
    }
}

#[test]
fn a_stream_with_sizes_within_is_shown_large_where_nothing_limits_it() {
    for mode in Mode::ALL.into_iter().filter(|mode| mode.spatial_layers() > 1) {
        let mut world = World::new(1);
        world.join(Publishes::picture(mode, 1), 0, Ways::free(millis(40)));
        world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(8_000));
        assert_eq!(world.decoder(1, 0).at(world.now).map(|shown| shown.spatial), Some(2), "{mode:?}");
    }
}

/// One publisher of a simulcast, and one who watches.
fn two(seed: u64, mode: Mode, workers: usize) -> World {
    let mut world = World::with_workers(seed, workers as u64);
    world.join_on(0, Publishes::picture(mode, 3), 0, Ways::free(millis(40)));
    world.join_on(workers - 1, Publishes::NOTHING, 1, Ways::free(millis(40)));
    world
}

#[test]
fn what_is_shown_small_is_sent_small_and_what_is_hidden_not_at_all() {
    for workers in [1, 2] {
        for mode in [Mode::Vp8, Mode::Vp9, Mode::H264] {
            let mut world = two(3, mode, workers);
            let mut uplinks = Vec::new();
            for (view, encoding) in [(View::LARGE, Some(2)), (SMALL, Some(0)), (MIDDLE, Some(1)), (HIDDEN, None)] {
                world.point(1, 0, Some(0), view);
                world.run(millis(5_000));
                let from = world.now;
                world.run(millis(3_000));
                let shown = world.decoder(1, 0).between(from, world.now).last().copied();
                assert_eq!(shown.map(|shown| shown.stream.encoding), encoding, "{mode:?} on {workers} workers, {view:?}");
                let quality = world.quality(1, 0).expect("control was told");
                assert_eq!((quality.encoding, quality.limit), (encoding, (encoding != Some(2)).then_some(Limit::View)), "{mode:?}, {view:?}");
                uplinks.push(world.up[0].log.bytes(Class::Picture, from, world.now) * 8 / 3_000);
            }
            // Of each publisher only what somebody sees is asked for: the rates in kbit/s, with headers.
            for (uplink, expected) in uplinks.iter().zip([1_500.0, 150.0, 500.0, 0.0]) {
                let (least, most) = (expected * 0.9, expected * 1.25);
                assert!((least..=most).contains(&(*uplink as f64)), "{mode:?} on {workers} workers: {uplinks:?} kbit/s");
            }
            assert_sound(&world);
        }
    }
}

#[test]
fn a_picture_that_is_shown_again_is_there_after_a_key_frame_and_a_round_trip() {
    for seed in [1, 2, 3] {
        let mut world = two(seed, Mode::Vp8, 1);
        for view in [View::LARGE, SMALL, MIDDLE] {
            world.point(1, 0, Some(0), view);
            world.run(millis(2_000));
            world.point(1, 0, Some(0), HIDDEN);
            world.run(millis(5_000));
            let from = world.now;
            world.point(1, 0, Some(0), view);
            world.run(millis(1_000));
            let first = world.decoder(1, 0).first(from, |_| true).expect("it is shown");
            // Signaling 50 ms, half a round trip each way, a frame's interval, and a large key frame at the pacer's rate.
            assert!(first.since(from) < millis(50 + 40 + 34 + 60), "{view:?} after {:?}, seed {seed}", first.since(from));
        }
        assert_sound(&world);
    }
}

#[test]
fn an_encoding_is_left_only_when_the_key_frame_of_the_next_one_is_there() {
    for mode in [Mode::Vp8, Mode::Vp9, Mode::H264, Mode::Av1] {
        let mut world = two(5, mode, 1);
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(2_000));
        let from = world.now;
        for view in [SMALL, View::LARGE, MIDDLE, SMALL, MIDDLE, View::LARGE] {
            world.point(1, 0, Some(0), view);
            world.run(millis(6_000));
        }
        assert_sound(&world);
        let decoder = world.decoder(1, 0);
        assert_eq!(decoder.switches(from, world.now), 6, "{mode:?}");
        // No picture is missing but those that the change of the source costs.
        assert!(decoder.longest_gap(from, world.now) < millis(120), "{mode:?}: {:?}", decoder.longest_gap(from, world.now));
        assert_eq!(decoder.waits_in_vain(), [], "{mode:?}");
    }
}

#[test]
fn a_publisher_that_leaves_its_top_encoding_out_is_shown_smaller_at_once_and_large_again_when_it_is_back() {
    for workers in [1, 2] {
        for seed in [1, 2, 3] {
            let mut world = two(seed, Mode::Vp8, workers);
            world.point(1, 0, Some(0), View::LARGE);
            world.run(millis(5_000));
            for _ in 0..2 {
                let from = world.now;
                world.members[0].sender.encoding(2).expect("it has three").withhold(true);
                world.run(millis(4_000));
                let decoder = world.decoder(1, 0);
                assert_eq!(decoder.at(world.now).map(|shown| shown.stream.encoding), Some(1), "seed {seed}, {workers} workers");
                assert!(
                    decoder.longest_gap(from, world.now) < millis(600),
                    "seed {seed}, {workers} workers: {:?}",
                    decoder.longest_gap(from, world.now)
                );
                assert_eq!(world.quality(1, 0).and_then(|quality| quality.limit), Some(Limit::Publisher), "seed {seed}, {workers} workers");
                let back = world.now;
                world.members[0].sender.encoding(2).expect("it has three").withhold(false);
                world.run(millis(3_000));
                let decoder = world.decoder(1, 0);
                let large = decoder.first(back, |shown| shown.stream.encoding == 2).expect("large again");
                assert!(large.since(back) < millis(500), "seed {seed}, {workers} workers: after {:?}", large.since(back));
                assert!(decoder.longest_gap(back, world.now) < millis(120));
            }
            assert_sound(&world);
        }
    }
}
