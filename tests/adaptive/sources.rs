//! A slot that is pointed at another source goes on with the one before until that begins, and every packet names whose it is.

use std::time::Duration;

use althing::base::Time;
use althing::contract::{MediaKind, RoomCommand, View};

use crate::coding::Mode;
use crate::sender::Publishes;
use crate::views::{assert_sound, millis};
use crate::world::{Ways, World, track};

/// Pictures come 30 times a second: what is longer than three of them is seen to stand still.
const STILL: Duration = Duration::from_millis(120);

/// Publishers of these, a round trip of 200 ms away, and one who watches the first of them.
fn watching_the_first(seed: u64, modes: &[Mode], workers: usize) -> World {
    let mut world = World::with_workers(seed, workers as u64);
    for (index, mode) in modes.iter().enumerate() {
        world.join_on(index % workers, Publishes::picture(*mode, 1), 0, Ways::free(millis(200)));
    }
    world.join_on(workers - 1, Publishes::NOTHING, 1, Ways::free(millis(40)));
    world.point(modes.len(), 0, Some(0), View::LARGE);
    world.run(millis(2_500));
    world
}

/// Whose pictures were shown, each once, in their order.
fn shown(world: &World, subscriber: usize, from: Time) -> Vec<u16> {
    let mut clients: Vec<u16> = world.decoder(subscriber, 0).between(from, world.now).map(|shown| shown.stream.client).collect();
    clients.dedup();
    clients
}

#[test]
fn a_picture_goes_on_until_the_one_of_the_next_source_begins_across_codecs_and_workers() {
    for workers in [1, 2] {
        let modes = [Mode::Vp8, Mode::H264, Mode::Vp9, Mode::Av1];
        for next in 1..modes.len() {
            let mut world = watching_the_first(next as u64, &modes, workers);
            let from = world.now;
            world.point(modes.len(), 0, Some(next), View::LARGE);
            world.run(millis(3_000));
            assert_sound(&world);
            assert_eq!(shown(&world, modes.len(), from), [0, next as u16], "{workers} workers");
            let gap = world.decoder(modes.len(), 0).longest_gap(from, world.now);
            assert!(gap < STILL, "{:?} on {workers} workers: {gap:?}", modes[next]);
            // The key frame took a round trip to its publisher.
            let began = world.decoder(modes.len(), 0).first(from, |shown| shown.stream.client == next as u16).expect("shown");
            assert!(began.since(from) > millis(200), "{:?}", began.since(from));
        }
    }
}

#[test]
fn whoever_changes_many_times_in_a_row_sees_the_first_and_then_the_last() {
    let modes = [Mode::Vp8, Mode::Vp8, Mode::Vp9, Mode::Vp8];
    let mut world = watching_the_first(9, &modes, 1);
    let from = world.now;
    for next in [1, 2, 3, 1, 0, 2, 3] {
        world.point(4, 0, Some(next), View::LARGE);
        world.run(millis(20));
    }
    world.run(millis(3_000));
    assert_sound(&world);
    assert_eq!(shown(&world, 4, from), [0, 3]);
    assert!(world.decoder(4, 0).longest_gap(from, world.now) < STILL);
}

#[test]
fn whoever_comes_back_before_the_next_source_begins_has_missed_nothing() {
    let mut world = watching_the_first(4, &[Mode::Vp8, Mode::Vp8], 1);
    let from = world.now;
    world.point(2, 0, Some(1), View::LARGE);
    world.run(millis(60));
    world.point(2, 0, Some(0), View::LARGE);
    world.run(millis(3_000));
    assert_sound(&world);
    assert_eq!(shown(&world, 2, from), [0]);
    assert!(world.decoder(2, 0).longest_gap(from, world.now) < millis(80));
}

#[test]
fn a_source_that_never_begins_is_waited_for_two_seconds() {
    let mut world = watching_the_first(5, &[Mode::Vp8, Mode::Vp8], 1);
    world.command(0, RoomCommand::Mute { track: track(1, MediaKind::Video), muted: true });
    let from = world.now;
    world.point(2, 0, Some(1), View::LARGE);
    world.run(millis(5_000));
    let last = world.decoder(2, 0).between(from, world.now).last().expect("it went on").at;
    assert!((millis(1_900)..millis(2_400)).contains(&last.since(from)), "{:?}", last.since(from));
    world.command(0, RoomCommand::Mute { track: track(1, MediaKind::Video), muted: false });
    world.run(millis(2_000));
    assert_sound(&world);
    assert_eq!(shown(&world, 2, from), [0, 1]);
}

#[test]
fn a_source_that_ends_while_it_goes_on_leaves_the_slot_to_the_next_one() {
    for workers in [1, 2] {
        let mut world = watching_the_first(6, &[Mode::Vp8, Mode::Vp9], workers);
        let from = world.now;
        world.point(2, 0, Some(1), View::LARGE);
        world.run(millis(60));
        for worker in 0..workers {
            world.command(worker, RoomCommand::Unpublish { track: track(0, MediaKind::Video) });
        }
        world.run(millis(3_000));
        assert_sound(&world);
        assert_eq!(shown(&world, 2, from), [0, 1]);
    }
}

#[test]
fn what_is_lost_of_the_source_that_goes_on_is_repaired() {
    let mut world = World::new(7);
    for _ in 0..2 {
        world.join_on(0, Publishes::picture(Mode::Vp8, 1), 0, Ways::free(millis(400)));
    }
    world.join_on(0, Publishes::NOTHING, 1, Ways::free(millis(40)).down(|shape| shape.losing(100)));
    world.point(2, 0, Some(0), View::LARGE);
    world.run(millis(3_000));
    let mut next = 1;
    for _ in 0..20 {
        let from = world.now;
        world.point(2, 0, Some(next), View::LARGE);
        world.run(millis(390));
        assert_eq!(shown(&world, 2, from), [1 - next as u16], "the next one cannot have begun");
        world.run(millis(1_600));
        next = 1 - next;
    }
    assert_sound(&world);
}
