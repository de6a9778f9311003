//! Links that carry less than everything, and what came of it in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::base::{Bitrate, RoomId, Time};
use althing::contract::View;

use crate::coding::Mode;
use crate::cross::Cross;
use crate::link::{Class, Loss, Queue, Shape};
use crate::sender::{ENCODINGS, Publishes};
use crate::views::{SMALL, millis};
use crate::world::{Ways, World};

/// What a scenario came to, by the names of what is measured.
pub type Score = BTreeMap<&'static str, f64>;

impl World {
    /// What a member's link is taken to carry, in bit/s; 0 when nobody says.
    pub fn estimate(&self, member: usize) -> f64 {
        let estimate: Option<Bitrate> = self.engines[self.members[member].worker].estimate(RoomId(1), self.members[member].peer);
        estimate.map_or(0.0, |estimate| estimate.as_bps() as f64)
    }

    /// Runs, and looks each 100 ms at what a member's link is taken to carry.
    fn estimates(&mut self, member: usize, span: Duration) -> Vec<f64> {
        (0..span.as_millis() / 100)
            .map(|_| {
                self.run(millis(100));
                self.estimate(member)
            })
            .collect()
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many publishers of three encodings, and one who sees them all large over a way of its own.
fn watching(seed: u64, publishers: usize, ways: Ways) -> (World, usize) {
    let mut world = World::new(seed);
    for _ in 0..publishers {
        world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(ways.up.delay * 2));
    }
    let subscriber = world.join(Publishes::NOTHING, publishers as u8, ways);
    for publisher in 0..publishers {
        world.point(subscriber, publisher as u8, Some(publisher), View::LARGE);
    }
    (world, subscriber)
}

fn milliseconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000.0
}

/// From 2.5 Mbit/s to 300 kbit/s and back, with so long a queue. Somebody else watches over a free way.
pub fn a_link_that_breaks_down(queue: Duration) -> Score {
    let ways = Ways::free(millis(50)).down(|shape| Shape { queue: Queue::Time(queue), ..shape.carrying(2_500_000) });
    let (mut world, subscriber) = watching(1, 1, ways);
    let other = world.join(Publishes::NOTHING, 1, Ways::free(millis(50)));
    world.point(other, 0, Some(0), View::LARGE);
    world.run(seconds(20));
    let before = world.decoder(subscriber, 0).at(world.now).map_or(0, |shown| shown.stream.encoding);
    let from = world.now;
    world.reshape_down(subscriber, |shape| shape.carrying(300_000));
    world.run(seconds(20));
    let until = world.now;
    world.reshape_down(subscriber, |shape| shape.carrying(2_500_000));
    world.run(seconds(25));
    let decoder = world.decoder(subscriber, 0);
    // The server has chosen when the first packet of a smaller encoding leaves.
    let lower = world.book(subscriber, 0).first_left(from, |stamp| stamp.stream.encoding < before).map_or(until, |at| at);
    let top = decoder.first(until, |shown| shown.stream.encoding == 2).unwrap_or(world.now);
    let log = &world.down[subscriber].log;
    Score::from([
        ("encoding before", before.into()),
        ("lower after ms", milliseconds(lower.since(from))),
        ("frozen ms", milliseconds(decoder.frozen(from, until))),
        ("queue after 4 s ms", milliseconds(log.waited(95, from + seconds(4), until))),
        ("queue after 6 s ms", milliseconds(log.waited(95, from + seconds(6), until))),
        ("top again after ms", milliseconds(top.since(until))),
        ("another's longest gap ms", milliseconds(world.decoder(other, 0).longest_gap(from, world.now))),
        ("another's switches", world.decoder(other, 0).switches(from, world.now) as f64),
    ])
}

/// A steady link with four publishers of three encodings.
pub fn a_steady_link(mbps: f64) -> Score {
    let capacity = mbps * 1_000_000.0;
    let ways = Ways::free(millis(50)).down(|shape| shape.carrying(capacity as u64));
    let (mut world, subscriber) = watching(2, 4, ways);
    world.run(seconds(10));
    let from = world.now;
    let estimates: Vec<f64> = world.estimates(subscriber, seconds(60)).into_iter().map(|estimate| estimate / capacity).collect();
    let least = estimates.iter().copied().fold(f64::MAX, f64::min);
    let most = estimates.iter().copied().fold(0.0, f64::max);
    let log = &world.down[subscriber].log;
    let bytes = |class| log.bytes(class, from, world.now) as f64;
    let all = [Class::Sound, Class::Picture, Class::Repair, Class::Padding, Class::Report].map(bytes).iter().sum::<f64>();
    let last = world.now.as_micros() - 10_000_000;
    let mut levels: Vec<u8> = (0..4).map(|pair| world.level(subscriber, pair, Time::from_micros(last))).collect();
    levels.sort_unstable();
    let best = best_levels(4, capacity - 4.0 * SOUND);
    let switches = (0..4).map(|pair| world.decoder(subscriber, pair).switches(from, world.now)).max().unwrap_or(0);
    let frozen: Duration = (0..4).map(|pair| world.decoder(subscriber, pair).frozen(from, world.now)).sum();
    Score::from([
        ("least estimate of capacity", least),
        ("most estimate of capacity", most),
        ("chosen of the best", total(&levels) / total(&best)),
        ("used of capacity", all * 8.0 / 60.0 / capacity),
        ("padding of all", bytes(Class::Padding) / all),
        ("most switches of a picture", switches as f64),
        ("queue p95 ms", milliseconds(log.waited(95, from, world.now))),
        ("frozen ms", milliseconds(frozen)),
        ("overflowed", log.overflowed as f64),
    ])
}

/// Bit/s of a voice, on the wire.
const SOUND: f64 = 68_000.0;

/// What the forms of a picture take on the wire, in bit/s, the least first: nothing; two and three temporal layers of each encoding,
/// and of the smallest the base alone.
fn forms() -> Vec<f64> {
    let shares = [0.4, 0.6, 1.0];
    let all = ENCODINGS.iter().enumerate().flat_map(|(n, (_, _, kbps))| {
        let packets = (*kbps as f64 * 1_000.0 / 8.0 / 30.0 / 1_100.0).ceil().max(1.0) * 30.0;
        let rate = *kbps as f64 * 1_000.0 + packets * 90.0 * 8.0;
        shares[usize::from(n > 0)..].iter().map(move |share| rate * share)
    });
    [0.0].into_iter().chain(all).collect()
}

fn total(levels: &[u8]) -> f64 {
    let forms = forms();
    levels.iter().map(|level| forms[usize::from(*level)]).sum()
}

/// Of all sets of forms that fit: the one that shows most pictures, and of those the one whose worst is best, and so on.
fn best_levels(pictures: u32, bps: f64) -> Vec<u8> {
    let count = forms().len();
    let sets = (0..count.pow(pictures)).map(|set| (0..pictures).map(|n| (set / count.pow(n) % count) as u8).collect::<Vec<u8>>());
    let fitting = sets.filter(|set| set.is_sorted() && total(set) <= bps);
    fitting.max_by_key(|set| (set.iter().filter(|level| **level > 0).count(), set.clone())).unwrap_or_default()
}

impl World {
    /// The place among [`forms`] of what a pair has been shown since a moment.
    fn level(&self, subscriber: usize, pair: u8, from: Time) -> u8 {
        let shown: Vec<_> = self.decoder(subscriber, pair).between(from, self.now).map(|shown| (shown.stream.encoding, shown.temporal)).collect();
        let Some((encoding, temporal)) = shown.iter().max() else { return 0 };
        if *encoding == 0 { 1 + temporal } else { 2 + encoding * 2 + temporal.saturating_sub(1) - u8::from(*temporal == 0) }
    }
}

/// One publisher over a way of some shape, for a while.
pub fn a_way_of_a_kind(seed: u64, span: Duration, capacity: f64, ways: Ways) -> Score {
    let (mut world, subscriber) = watching(seed, 1, ways);
    world.run(seconds(10));
    let from = world.now;
    let estimates = world.estimates(subscriber, span);
    let slot = world.slot(subscriber, 0);
    let soon = slot.recovered.iter().filter(|(at, took)| *at >= from && *took <= 400_000).count() as f64;
    let lost = slot.recovered.iter().map(|(at, _)| *at).chain(slot.given_up.iter().copied()).filter(|at| *at >= from).count() as f64;
    let windows = (0..span.as_secs() / 10).map(|n| slot.decoder.rate(from + seconds(n * 10), from + seconds(n * 10 + 10)));
    let log = &world.down[subscriber].log;
    Score::from([
        ("estimate of capacity", estimates.iter().sum::<f64>() / estimates.len() as f64 / capacity),
        ("used of capacity", log.bytes(Class::Picture, from, world.now) as f64 * 8.0 / span.as_secs_f64() / capacity),
        ("recovered in 400 ms", if lost > 0.0 { soon / lost } else { 1.0 }),
        ("frozen of all", slot.decoder.frozen(from, world.now).as_secs_f64() / span.as_secs_f64()),
        ("least pictures a second", windows.fold(f64::MAX, f64::min)),
        ("switches a minute", slot.decoder.switches(from, world.now) as f64 * 60.0 / span.as_secs_f64()),
        ("queue p95 ms", milliseconds(log.waited(95, from, world.now))),
    ])
}

/// Fifty members, all publishing three encodings; each shows nine others, one of them large, over ways from 1 to 5 Mbit/s.
pub fn a_full_room(members: usize, span: Duration) -> Score {
    let mut world = World::new(3);
    world.keeps_books = false;
    let capacity = |n: usize| 1_000_000.0 + (n % 5) as f64 * 1_000_000.0;
    for n in 0..members {
        let publishes = Publishes { sound: n < 5, ..Publishes::picture(Mode::Vp8, 3) };
        world.join(publishes, 9, Ways::free(millis(60)).down(|shape| shape.carrying(capacity(n) as u64)));
    }
    for subscriber in 0..members {
        for pair in 0..9_u8 {
            let view = if pair == 0 { View::LARGE } else { SMALL };
            world.point(subscriber, pair, Some((subscriber + 1 + usize::from(pair)) % members), view);
        }
    }
    world.run(span);
    let from = Time::from_micros(world.now.as_micros() - 3_000_000);
    let (mut over, mut queue, mut unseen) = (0.0_f64, 0.0_f64, 0.0);
    for member in 0..members {
        let log = &world.down[member].log;
        let bytes: u64 = [Class::Picture, Class::Report].map(|class| log.bytes(class, from, world.now)).iter().sum();
        over = over.max(bytes as f64 * 8.0 / 3.0 / world.estimate(member).max(1.0));
        queue = queue.max(milliseconds(log.waited(95, from, world.now)));
        let shows = |pair| world.has_come(member, pair) && world.level(member, pair, from) > 0;
        unseen += (0..9).filter(|pair| !shows(*pair)).count() as f64;
    }
    Score::from([("most sent of an estimate", over), ("longest queue p95 ms", queue), ("pictures that nobody is shown", unseen)])
}

/// The ways of the board, by name: how long, capacity in bit/s, and the way.
pub fn kinds() -> Vec<(&'static str, Duration, f64, Ways)> {
    let ways = |round_trip, bps| Ways::free(millis(round_trip)).down(|shape| shape.carrying(bps));
    let crossed = |cross| ways(50, 3_000_000).down(|shape| Shape { cross: vec![cross], ..shape });
    let steady = Cross::Steady { bps: 1_000_000, on: seconds(5), off: seconds(5) };
    let greedy = Cross::Greedy { from: Time::from_millis(20_000), until: Time::from_millis(40_000), rtt: millis(50) };
    let bursts = Loss::Bursts { begin: 7, end: 300, lost: 850 };
    vec![
        ("10 % loss, 100 ms", seconds(30), 4_000_000.0, ways(100, 4_000_000).both(|shape| shape.losing(100))),
        ("jitter of 200 ms", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| shape.jittering(millis(200), true))),
        ("2 % loss in bursts", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| Shape { loss: bursts, ..shape })),
        ("reordering", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| shape.jittering(millis(30), true))),
        ("a third for others, on and off", seconds(40), 3_000_000.0, crossed(steady)),
        ("beside a greedy flow", seconds(50), 3_000_000.0, crossed(greedy)),
    ]
}

#[test]
fn the_best_set_shows_everybody_before_anybody_well() {
    assert_eq!(best_levels(4, 100_000.0), [0, 0, 0, 1]);
    assert_eq!(best_levels(4, 50_000_000.0), [7, 7, 7, 7]);
    let best = best_levels(4, 2_000_000.0);
    assert!(best[0] >= 3 && total(&best) <= 2_000_000.0 && total(&best) > 1_500_000.0, "{best:?} {}", total(&best));
}
