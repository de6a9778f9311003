//! Stories of full rooms: each packet is opened once, and nothing goes where nobody wants it.

use althing::base::Time;
use althing::contract::{Counter, Event, View};

use crate::coding::Mode;
use crate::link::Class;
use crate::sender::Publishes;
use crate::stamp::SOUND;
use crate::views::{HIDDEN, MIDDLE, SMALL, millis};
use crate::world::{Ways, World};

const MEMBERS: usize = 50;
const PAIRS: u8 = 3;

#[test]
fn of_fifty_who_all_publish_three_encodings_each_packet_is_opened_once_and_only_what_is_seen_goes_on() {
    for workers in [1, 2] {
        let mut world = World::with_workers(1, workers as u64);
        world.keeps_books = false;
        for n in 0..MEMBERS {
            world.join_on(n % workers, Publishes::picture(Mode::Vp8, 3), PAIRS, Ways::free(millis(40)));
        }
        for subscriber in 0..MEMBERS {
            for pair in 0..PAIRS {
                // The last ten are seen by nobody.
                world.point(subscriber, pair, Some((subscriber + 1 + usize::from(pair)) % (MEMBERS - 10)), if pair == 2 { HIDDEN } else { SMALL });
            }
        }
        world.run(millis(4_000));
        assert_eq!((world.opened_of_each(), world.refused()), (1.0, 0), "each packet is opened once");
        let shown = world.members.iter().flat_map(|member| member.receiver.slots.values()).flat_map(|slot| &slot.decoder.shown);
        assert!(shown.clone().count() > MEMBERS * 2 * 60);
        assert!(shown.clone().all(|shown| shown.stream.encoding == 0), "the smallest only");
        // Whatever was forwarded was seen or heard: pictures of one packet each, and one packet every 20 ms.
        let came: u64 = world.members.iter().flat_map(|member| member.receiver.slots.values()).map(|slot| slot.packets - slot.repeats).sum();
        let under_way = world.count(Counter::RtpForwarded) - came;
        assert!(under_way < 2_000, "{under_way} packets were forwarded and did not come");
        // Each publisher who is seen was told that the smallest is enough.
        for member in &world.members[..MEMBERS - 10] {
            for stream in member.sender.streams.iter().filter(|stream| stream.id.encoding != SOUND) {
                assert_eq!(stream.wanted, stream.id.encoding == 0, "{:?}", stream.id);
            }
        }
        let told = world.events.iter().filter(|(_, event)| matches!(event, Event::Demand { .. })).count();
        assert!(told <= MEMBERS * 2, "{told} demands");
        if workers > 1 {
            // Every packet that crosses was wanted there: nothing but sound and the smallest encoding.
            let before = (world.count(Counter::RelayOut), world.ledger.arrivals());
            world.run(millis(1_000));
            let (crossed, arrived) = (world.count(Counter::RelayOut) - before.0, world.ledger.arrivals() - before.1);
            assert!(crossed <= arrived, "{crossed} of {arrived} packets crossed");
            assert_eq!(world.count(Counter::RelayDropFull), 0);
        }
    }
}

#[test]
fn a_publisher_whom_nobody_has_ever_watched_sends_no_picture() {
    let mut world = World::new(3);
    for _ in 0..2 {
        world.join(Publishes::picture(Mode::Vp8, 3), 1, Ways::free(millis(40)));
    }
    world.point(0, 0, Some(1), SMALL);
    world.run(millis(6_000));
    let before = world.up[0].log.bytes(Class::Picture, Time::ZERO, world.now);
    world.run(millis(3_000));
    assert_eq!(world.up[0].log.bytes(Class::Picture, Time::ZERO, world.now), before);
}

#[test]
fn a_key_frame_that_nobody_waits_for_any_more_is_not_asked_for_again() {
    for workers in [1, 2] {
        let mut world = World::with_workers(7, workers as u64);
        world.join_on(0, Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
        world.join_on(workers - 1, Publishes::NOTHING, 1, Ways::free(millis(40)));
        world.point(1, 0, Some(0), View::LARGE);
        world.run(millis(4_000));
        let before = world.members[0].sender.encoding(0).map_or(0, |stream| stream.key_requests);
        for n in 0..40 {
            world.point(1, 0, Some(0), [SMALL, View::LARGE, MIDDLE, View::LARGE][n % 4]);
            world.run(millis(400));
        }
        // Of its forty changes ten lead to the smallest encoding.
        let asked = world.members[0].sender.encoding(0).map_or(0, |stream| stream.key_requests) - before;
        assert!((10..=12).contains(&asked), "on {workers} workers the smallest encoding was asked for {asked} key frames");
    }
}

#[test]
fn somebody_who_shows_a_room_large_changes_nothing_for_those_who_show_it_small() {
    let mut world = World::new(2);
    for _ in 0..6 {
        world.join(Publishes::picture(Mode::Vp8, 3), 5, Ways::free(millis(40)));
    }
    for subscriber in 0..6 {
        for pair in 0..5_u8 {
            world.point(subscriber, pair, Some((subscriber + 1 + usize::from(pair)) % 6), SMALL);
        }
    }
    world.run(millis(4_000));
    let from = world.now;
    world.point(5, 0, Some(0), View::LARGE);
    world.run(millis(2_000));
    assert_eq!(world.decoder(5, 0).at(world.now).map(|shown| shown.stream.encoding), Some(2));
    for subscriber in 1..5_usize {
        let decoder = world.decoder(subscriber, (6 - subscriber) as u8 - 1);
        assert!(decoder.between(from, world.now).all(|shown| shown.stream.client == 0 && shown.stream.encoding == 0));
        assert!(decoder.longest_gap(from, world.now) < millis(60), "{:?}", decoder.longest_gap(from, world.now));
    }
    crate::views::assert_sound(&world);
}
