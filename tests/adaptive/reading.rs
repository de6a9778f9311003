//! Stories of what is easily taken for something else: tiles that nobody sees, encodings that do not come, receivers that begin with silence.

use std::time::Duration;

use althing::base::Time;
use althing::contract::{Counter, Limit, View};

use crate::coding::Mode;
use crate::decoder::Shown;
use crate::receiver::Feedback;
use crate::sender::Publishes;
use crate::views::{HIDDEN, MIDDLE, SMALL, assert_sound, millis};
use crate::world::{Ways, World};

fn last(world: &World) -> Option<Shown> {
    world.decoder(1, 0).at(world.now).copied()
}

/// A publisher of a simulcast, and one who watches it over a way that it says carries so much.
fn watched(bps: u64) -> World {
    let mut world = World::new(11);
    world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
    world.join(Publishes::NOTHING, 2, Ways { feedback: Feedback::Estimates(bps), ..Ways::free(millis(40)) });
    world.point(1, 0, Some(0), View::LARGE);
    world
}

#[test]
fn beside_a_tile_that_nobody_sees_what_was_in_vain_is_tried_again_as_late_as_without_it() {
    for hidden in [false, true] {
        let mut world = watched(5_000_000);
        if hidden {
            world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
            world.point(1, 1, Some(2), HIDDEN);
        }
        world.run(millis(3_000));
        assert_eq!(last(&world).map(|shown| shown.stream.encoding), Some(2));
        world.members[1].receiver.feedback = Feedback::Estimates(800_000);
        world.run(millis(2_000));
        assert_eq!(last(&world).map(|shown| shown.stream.encoding), Some(1), "hidden {hidden}");
        // It fits again, though not with ample room, and was taken back a moment after it had been given.
        world.members[1].receiver.feedback = Feedback::Estimates(1_500_000);
        for _ in 0..3 {
            world.run(millis(1_000));
            assert_eq!(last(&world).map(|shown| shown.stream.encoding), Some(1), "hidden {hidden}, at {:?}", world.now);
        }
        world.run(millis(9_000));
        assert_eq!(last(&world).map(|shown| shown.stream.encoding), Some(2), "hidden {hidden}");
        assert_sound(&world);
    }
}

#[test]
fn each_change_of_a_picture_is_counted_once_and_by_its_cause() {
    let mut world = watched(5_000_000);
    world.run(millis(3_000));
    let causes = [Counter::LayersUp, Counter::LayersDownView, Counter::LayersDownPublisher, Counter::LayersDownBandwidth, Counter::LayersPaused];
    let mut before = causes.map(|cause| world.count(cause));
    let mut changed = |world: &mut World, what: &str, expected: [u64; 5]| {
        world.run(millis(5_000));
        let now = causes.map(|cause| world.count(cause));
        let counted: Vec<u64> = now.iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(counted, expected, "{what}");
        before = now;
    };
    for (view, expected) in [(SMALL, [0, 1, 0, 0, 0]), (MIDDLE, [1, 0, 0, 0, 0]), (HIDDEN, [0, 1, 0, 0, 0]), (View::LARGE, [1, 0, 0, 0, 0])] {
        world.point(1, 0, Some(0), view);
        changed(&mut world, &format!("{view:?}"), expected);
    }
    world.members[0].sender.encoding(2).expect("it has three").withhold(true);
    changed(&mut world, "the top encoding does not come", [0, 0, 1, 0, 0]);
    world.members[0].sender.encoding(2).expect("it has three").withhold(false);
    changed(&mut world, "it is back", [1, 0, 0, 0, 0]);
    world.members[1].receiver.feedback = Feedback::Estimates(800_000);
    changed(&mut world, "the way carries less", [0, 0, 0, 1, 0]);
    world.members[1].receiver.feedback = Feedback::Estimates(40_000);
    changed(&mut world, "the way carries nothing", [0, 0, 0, 0, 1]);
}

#[test]
fn a_small_tile_whose_own_encoding_does_not_come_is_shown_a_larger_one() {
    let mut world = watched(5_000_000);
    world.members[0].sender.encoding(0).expect("it has three").withhold(true);
    world.run(millis(3_000));
    world.point(1, 0, Some(0), SMALL);
    world.run(millis(4_000));
    let from = world.now;
    world.run(millis(3_000));
    assert!(world.decoder(1, 0).rate(from, world.now) > 28.0, "{} pictures a second", world.decoder(1, 0).rate(from, world.now));
    assert_eq!(world.quality(1, 0).map(|quality| (quality.encoding, quality.limit)), Some((Some(2), Some(Limit::Publisher))));
    world.members[0].sender.encoding(0).expect("it has three").withhold(false);
    world.run(millis(2_000));
    assert_eq!(last(&world).map(|shown| shown.stream.encoding), Some(0), "its own, once that comes");
    assert_sound(&world);
}

#[test]
fn an_encoding_that_its_publisher_keeps_back_is_asked_for_less_and_less_often_and_shown_at_once_when_it_comes() {
    for workers in [1, 2] {
        let mut world = World::with_workers(13, workers);
        world.join_on(0, Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
        world.join_on(workers as usize - 1, Publishes::NOTHING, 1, Ways::free(millis(40)));
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(5_000));
        let top = |world: &mut World| world.members[0].sender.encoding(2).expect("it has three").key_requests;
        let before = top(&mut world);
        world.members[0].sender.encoding(2).expect("it has three").withhold(true);
        world.run(millis(60_000));
        let asked = top(&mut world) - before;
        assert!((8..=20).contains(&asked), "{workers} workers: {asked} requests in a minute");
        // It comes again without a key frame: that is asked for now.
        let stream = world.members[0].sender.encoding(2).expect("it has three");
        stream.withhold(false);
        stream.key_due = false;
        let back = world.now;
        world.run(millis(2_000));
        let large = world.decoder(1, 0).first(back, |shown| shown.stream.encoding == 2).expect("large again");
        assert!(large.since(back) < millis(400), "{workers} workers: after {:?}", large.since(back));
        assert_sound(&world);
    }
}

/// A probe that the way does not carry may cost one of twenty a second of standing still.
#[test]
fn a_receiver_that_is_not_heard_in_the_beginning_is_sent_what_its_way_carries_once_it_is() {
    let shown: Vec<_> = (11..14).map(unheard_and_heard).collect();
    let smooth = shown.iter().filter(|(frozen, rate)| *frozen < millis(300) && *rate > 14.0).count();
    assert!(smooth >= 2, "{shown:?}: frozen, and pictures a second");
}

fn unheard_and_heard(seed: u64) -> (Duration, f64) {
    let mut world = World::new(seed);
    world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
    world.join(Publishes::NOTHING, 1, Ways::free(millis(40)).down(|shape| shape.carrying(800_000)));
    world.run(millis(500));
    let (open, now) = (world.up[1].shape.clone(), world.now);
    world.up[1].reshape(now, open.clone().losing(1_000));
    world.point(1, 0, Some(0), View::LARGE);
    world.run(millis(5_000));
    assert_eq!(world.count(Counter::LinksUnanswered), 1, "it says nothing, and is sent all there is");
    let now = world.now;
    world.up[1].reshape(now, open);
    world.run(millis(12_000));
    let from = world.now;
    world.run(millis(10_000));
    let quality = world.quality(1, 0).expect("control was told");
    assert_eq!((quality.encoding, quality.limit), (Some(1), Some(Limit::Bandwidth)));
    (world.decoder(1, 0).frozen(from, world.now), world.decoder(1, 0).rate(from, world.now))
}

/// A worker that has nothing else to do for somebody need not wake for its own reports: they go out when it hears from them anyway.
#[test]
fn a_subscriber_is_reported_to_each_second_at_the_moment_when_it_reports() {
    let mut world = World::new(9);
    world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
    world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
    world.point(1, 0, Some(0), View::LARGE);
    world.run(millis(11_500));
    let (told, fed_back) = (&world.slot(1, 0).told, &world.members[1].receiver.fed_back);
    let lately: Vec<_> = told.iter().copied().filter(|at| *at > Time::from_millis(1_500)).collect();
    assert!((9..=11).contains(&lately.len()), "{lately:?}");
    let answered = |at: Time| fed_back.iter().any(|fed_back| (39..=42).contains(&at.since(*fed_back).as_millis()));
    assert!(lately.iter().all(|at| answered(*at)), "{lately:?} of {fed_back:?}");
}
