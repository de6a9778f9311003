//! Stories of layers within one stream: where a subscriber goes down, and how it comes up again.

use althing::contract::View;

use crate::coding::Mode;
use crate::decoder::Shown;
use crate::link::Shape;
use crate::receiver::Feedback;
use crate::sender::Publishes;
use crate::views::{assert_sound, millis};
use crate::world::{Ways, World};

/// One publisher, and one who watches it large over a way that it says carries so much.
fn watched(seed: u64, mode: Mode, encodings: u8, ways: &Ways) -> World {
    let mut world = World::new(seed);
    world.join(Publishes::picture(mode, encodings), 0, ways.clone());
    world.join(Publishes::NOTHING, 1, Ways { feedback: Feedback::Estimates(5_000_000), ..ways.clone() });
    world.point(1, 0, Some(0), View::LARGE);
    world.run(millis(3_000));
    world
}

fn carries(world: &mut World, bps: u64) {
    world.members[1].receiver.feedback = Feedback::Estimates(bps);
}

fn last(world: &World) -> Shown {
    *world.decoder(1, 0).at(world.now).expect("something is shown")
}

#[test]
fn where_less_is_carried_pictures_come_less_often_and_as_often_as_before_when_more_is() {
    for mode in [Mode::Vp8, Mode::Vp9, Mode::Av1] {
        for seed in [1, 2, 3] {
            let mut world = watched(seed, mode, 1, &Ways::free(millis(40)));
            // Of 1,500 kbit/s in three layers, two fit into 1,200: fifteen pictures a second.
            for (bps, expected) in [(1_250_000, 15.0), (5_000_000, 30.0)] {
                carries(&mut world, bps);
                world.run(millis(1_500));
                let from = world.now;
                world.run(millis(2_000));
                let rate = world.decoder(1, 0).rate(from, world.now);
                assert!((expected - 1.0..=expected + 1.0).contains(&rate), "{mode:?}, seed {seed}, {bps} bit/s: {rate} pictures a second");
                assert!(world.decoder(1, 0).longest_gap(from, world.now) < millis(110), "{mode:?}, seed {seed}");
            }
            assert_sound(&world);
            assert_eq!(world.decoder(1, 0).waits_in_vain(), [], "{mode:?}, seed {seed}");
        }
    }
}

#[test]
fn where_less_is_carried_pictures_become_smaller_within_a_second_and_large_again() {
    for mode in [Mode::Vp9Svc { key: false }, Mode::Vp9Svc { key: true }, Mode::Av1Svc { key: false }, Mode::Av1Svc { key: true }] {
        for seed in [1, 2, 3] {
            let mut world = watched(seed, mode, 1, &Ways::free(millis(40)));
            for (bps, spatial) in [(900_000, 1), (250_000, 0), (900_000, 1), (5_000_000, 2), (250_000, 0), (5_000_000, 2)] {
                let from = world.now;
                carries(&mut world, bps);
                world.run(millis(1_500));
                assert_eq!(last(&world).spatial, spatial, "{mode:?}, seed {seed}, {bps} bit/s");
                let gap = world.decoder(1, 0).longest_gap(from, world.now);
                assert!(gap < millis(200), "{mode:?}, seed {seed}, {bps} bit/s: {gap:?}");
            }
            assert_sound(&world);
            assert_eq!(world.decoder(1, 0).waits_in_vain(), [], "{mode:?}, seed {seed}");
        }
    }
}

#[test]
fn layers_that_come_and_go_every_moment_are_always_decodable() {
    let rough = |shape: Shape| shape.losing(30).jittering(millis(12), true);
    for mode in Mode::ALL {
        for lossy in [false, true] {
            let ways = if lossy { Ways::free(millis(40)).both(rough) } else { Ways::free(millis(40)) };
            let mut world = watched(9, mode, if mode.spatial_layers() > 1 { 1 } else { 3 }, &ways);
            let from = world.now;
            for n in 0..16 {
                carries(&mut world, [5_000_000, 1_200_000, 400_000, 900_000, 260_000, 2_000_000, 1_500_000][n % 7]);
                world.run(millis(700));
            }
            assert_sound(&world);
            let decoder = world.decoder(1, 0);
            let mut kinds: Vec<_> = decoder.between(from, world.now).map(|shown| (shown.stream.encoding, shown.spatial)).collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert!(kinds.len() >= 2, "{mode:?}: it changes at all, {kinds:?}");
            let gap = decoder.longest_gap(from, world.now);
            assert!(gap < millis(if lossy { 700 } else { 300 }), "{mode:?}, lossy {lossy}: {gap:?}");
            if !lossy {
                assert_eq!(decoder.waits_in_vain(), [], "{mode:?}");
            }
        }
    }
}

/// A key frame that nobody asks for does not come: an encoder that is left alone sends none for minutes.
#[test]
fn a_larger_picture_of_the_same_stream_is_asked_for_once_and_not_before_it_fits() {
    for mode in [Mode::Vp9Svc { key: false }, Mode::Av1Svc { key: true }] {
        let mut world = watched(4, mode, 1, &Ways::free(millis(40)));
        carries(&mut world, 250_000);
        world.run(millis(3_000));
        let before = world.members[0].sender.streams[1].key_requests;
        world.run(millis(3_000));
        assert_eq!(world.members[0].sender.streams[1].key_requests, before, "{mode:?}: what does not fit is not asked for");
        carries(&mut world, 5_000_000);
        world.run(millis(2_000));
        let asked = world.members[0].sender.streams[1].key_requests - before;
        assert!((1..=2).contains(&asked), "{mode:?}: asked {asked} times");
        assert_eq!(last(&world).spatial, 2, "{mode:?}");
    }
}

#[test]
fn a_small_tile_of_a_stream_with_sizes_within_is_sent_its_small_size() {
    for mode in [Mode::Vp9Svc { key: false }, Mode::Av1Svc { key: false }] {
        let mut world = watched(5, mode, 1, &Ways::free(millis(40)));
        for (view, spatial) in [(crate::views::SMALL, 0), (crate::views::MIDDLE, 1)] {
            world.point(1, 0, Some(0), view);
            world.run(millis(2_000));
            assert_eq!(last(&world).spatial, spatial, "{mode:?}, {view:?}");
        }
    }
}
