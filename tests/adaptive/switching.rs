//! Stories of change under loss: another encoding every 400 ms, other layers every moment, and nothing that cannot be decoded.

use althing::contract::View;

use crate::coding::Mode;
use crate::link::Shape;
use crate::sender::Publishes;
use crate::views::{MIDDLE, SMALL, assert_sound, millis};
use crate::world::{Ways, World};

/// A way that loses 3 % and changes the order.
fn rough(shape: Shape) -> Shape {
    shape.losing(30).jittering(millis(12), true)
}

#[test]
fn another_encoding_every_400_ms_for_a_minute_under_loss_is_always_decodable() {
    for (mode, workers) in [(Mode::Vp8, 1), (Mode::Vp8, 2), (Mode::Vp9, 1), (Mode::Av1, 1), (Mode::H264, 1)] {
        let mut world = World::with_workers(7, workers);
        world.join_on(0, Publishes::picture(mode, 3), 0, Ways::free(millis(40)).both(rough));
        world.join_on(workers as usize - 1, Publishes::NOTHING, 1, Ways::free(millis(40)).both(rough));
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(2_000));
        let from = world.now;
        let changes = if mode == Mode::Vp8 { 150 } else { 40 };
        for n in 0..changes {
            world.point(1, 0, Some(0), [SMALL, View::LARGE, MIDDLE, View::LARGE][n % 4]);
            world.run(millis(400));
        }
        assert_sound(&world);
        let decoder = world.decoder(1, 0);
        assert!(decoder.switches(from, world.now) >= changes * 2 / 3, "{mode:?}: {}", decoder.switches(from, world.now));
        let (frozen, gap, rate) = (decoder.frozen(from, world.now), decoder.longest_gap(from, world.now), decoder.rate(from, world.now));
        assert!(
            frozen < (world.now.since(from)) / 10 && gap < millis(700) && rate > 20.0,
            "{mode:?}, {workers} workers: {frozen:?}, {gap:?}, {rate}"
        );
    }
}

#[test]
fn without_loss_a_change_every_400_ms_never_stops_the_picture() {
    for mode in [Mode::Vp8, Mode::Vp9, Mode::Av1, Mode::H264] {
        let mut world = World::new(8);
        world.join(Publishes::picture(mode, 3), 0, Ways::free(millis(40)));
        world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(2_000));
        let from = world.now;
        for n in 0..60 {
            world.point(1, 0, Some(0), [SMALL, View::LARGE, MIDDLE, View::LARGE][n % 4]);
            world.run(millis(400));
        }
        assert_sound(&world);
        let decoder = world.decoder(1, 0);
        assert!(decoder.switches(from, world.now) >= 50, "{mode:?}: {}", decoder.switches(from, world.now));
        assert!(decoder.longest_gap(from, world.now) < millis(300), "{mode:?}: {:?}", decoder.longest_gap(from, world.now));
        assert_eq!(decoder.waits_in_vain(), [], "{mode:?}");
    }
}
