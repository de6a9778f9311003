//! Links that carry less than everything, and what came of it in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use althing::base::{Bitrate, RoomId, Time};
use althing::contract::{Counter, MediaKind, RoomCommand, View};

use crate::coding::Mode;
use crate::cross::Cross;
use crate::link::{Class, Loss, Queue, Shape};
use crate::oracle::{EVERY, Oracle};
use crate::sender::Publishes;
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
        (0..span.as_millis() / EVERY.as_millis())
            .map(|_| {
                self.run(EVERY);
                self.estimate(member)
            })
            .collect()
    }
}

/// Who speak in a full room.
const SPEAKERS: usize = 5;

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
pub fn a_link_that_breaks_down(seed: u64, queue: Duration) -> Score {
    let ways = Ways::free(millis(50)).down(|shape| Shape { queue: Queue::Time(queue), ..shape.carrying(2_500_000) });
    let (mut world, subscriber) = watching(seed, 1, ways);
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
pub fn a_steady_link(seed: u64, mbps: f64) -> Score {
    let capacity = mbps * 1_000_000.0;
    let ways = Ways::free(millis(50)).down(|shape| shape.carrying(capacity as u64));
    let (mut world, subscriber) = watching(seed, 4, ways);
    world.run(seconds(10));
    let from = world.now;
    let estimates: Vec<f64> = world.estimates(subscriber, seconds(60)).into_iter().map(|estimate| estimate / capacity).collect();
    let least = estimates.iter().copied().fold(f64::MAX, f64::min);
    let most = estimates.iter().copied().fold(0.0, f64::max);
    let log = &world.down[subscriber].log;
    let bytes = |class| log.bytes(class, from, world.now) as f64;
    let all = [Class::Sound, Class::Picture, Class::Repair, Class::Padding, Class::Report].map(bytes).iter().sum::<f64>();
    // Beside pictures there is sound, and there are reports.
    let others = [Class::Sound, Class::Report].map(bytes).iter().sum::<f64>() * 8.0 / 60.0;
    let oracle = Oracle::new(4);
    let (best, chosen) = (oracle.best(capacity, others), world.chosen(subscriber, 4, from));
    let moments = chosen.len() as f64;
    let at_best = chosen.iter().filter(|set| *set == best).count() as f64;
    let at_estimated = chosen.iter().zip(&estimates).filter(|(set, estimate)| *set == oracle.best(*estimate * capacity, others)).count() as f64;
    let beside = chosen.iter().map(|set| Oracle::beside(set, best)).sum::<f64>();
    let switches = (0..4).map(|pair| world.decoder(subscriber, pair).switches(from, world.now)).max().unwrap_or(0);
    let frozen: Duration = (0..4).map(|pair| world.decoder(subscriber, pair).frozen(from, world.now)).sum();
    Score::from([
        ("least estimate of capacity", least),
        ("most estimate of capacity", most),
        ("time with the best set", at_best / moments),
        ("time with the best set for the estimate", at_estimated / moments),
        ("chosen of the best", beside / moments),
        ("used of capacity", all * 8.0 / 60.0 / capacity),
        ("padding of all", bytes(Class::Padding) / all),
        ("most switches of a picture", switches as f64),
        ("queue p95 ms", milliseconds(log.waited(95, from, world.now))),
        ("frozen ms", milliseconds(frozen)),
        ("overflowed", log.overflowed as f64),
    ])
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
    let shown = slot.decoder.shown.last().map_or(from, |shown| shown.at);
    assert_eq!(world.count(Counter::KeyFrameRequestHeld), 0, "an honest receiver may ask for as many key frames as it needs");
    Score::from([
        ("up s", shown.since(from).as_secs_f64()),
        ("estimate of capacity", estimates.iter().sum::<f64>() / estimates.len() as f64 / capacity),
        ("used of capacity", log.bytes(Class::Picture, from, world.now) as f64 * 8.0 / span.as_secs_f64() / capacity),
        ("recovered in 400 ms", if lost > 0.0 { soon / lost } else { 1.0 }),
        ("frozen of all", slot.decoder.frozen(from, world.now).as_secs_f64() / span.as_secs_f64()),
        ("least pictures a second", windows.fold(f64::MAX, f64::min)),
        ("switches a minute", slot.decoder.switches(from, world.now) as f64 * 60.0 / span.as_secs_f64()),
        ("queue p95 ms", milliseconds(log.waited(95, from, world.now))),
    ])
}

/// 10 % loss both ways.
pub fn a_lossy_way(seed: u64, span: Duration) -> Score {
    let (_, _, capacity, ways) = lossy();
    a_way_of_a_kind(seed, span, capacity, ways)
}

/// 30 % loss both ways.
pub fn a_very_lossy_way(seed: u64, span: Duration) -> Score {
    a_way_of_a_kind(seed, span, 4_000_000.0, Ways::free(millis(100)).both(|shape| shape.losing(300)))
}

/// A room over ways from 1 to 5 Mbit/s in which everybody publishes three encodings and sound, and is shown nine others, one of them
/// large, and hears the five who speak.
pub fn a_full_room(seed: u64, members: usize, workers: usize, span: Duration) -> Score {
    let mut world = World::with_workers(seed, workers as u64);
    world.keeps_books = false;
    for worker in 0..workers {
        world.command(worker, RoomCommand::Voices { most: SPEAKERS as u8 });
    }
    for n in 0..members {
        let capacity = 1_000_000 + (n as u64 % 5) * 1_000_000;
        let member = world.join_on(n % workers, Publishes::picture(Mode::Vp8, 3), 9, Ways::free(millis(60)).down(|shape| shape.carrying(capacity)));
        world.members[member].sender.streams.iter_mut().for_each(|stream| stream.spoken = n < SPEAKERS);
    }
    for subscriber in 0..members {
        for pair in 0..9 {
            let view = if pair == 0 { View::LARGE } else { SMALL };
            world.point_half(subscriber, pair, MediaKind::Video, Some((subscriber + 1 + usize::from(pair)) % members), view);
        }
        for (pair, speaker) in (0..).zip((0..SPEAKERS).filter(|speaker| *speaker != subscriber)) {
            world.point_half(subscriber, pair, MediaKind::Audio, Some(speaker), View::LARGE);
        }
    }
    world.run(span);
    let from = world.now;
    // Over five seconds: the pictures of one second are larger than those of the next.
    let (mut estimated, mut sent) = (vec![0.0; members], vec![0.0; members]);
    for _ in 0..5 {
        for _ in 0..10 {
            world.run(EVERY);
            estimated.iter_mut().enumerate().for_each(|(member, sum)| *sum += world.estimate(member) / 10.0);
        }
        let second = (world.now.as_micros() / 1_000_000) as usize - 1;
        let offered = |member: usize| world.down[member].log.offered.get(second).map_or(0.0, |bytes| *bytes as f64 * 8.0);
        sent.iter_mut().enumerate().for_each(|(member, sum)| *sum += offered(member));
    }
    let over = sent.iter().zip(&estimated).map(|(sent, estimated)| sent / estimated.max(1.0)).fold(0.0, f64::max);
    let (mut queue, mut unseen) = (0.0_f64, 0.0);
    for member in 0..members {
        queue = queue.max(milliseconds(world.down[member].log.waited(95, from, world.now)));
        let shows = |pair| world.has_come(member, pair) && world.level(member, pair, from) > 0;
        unseen += (0..9).filter(|pair| !shows(*pair)).count() as f64;
    }
    Score::from([
        ("most sent of an estimate", over),
        ("longest queue p95 ms", queue),
        ("pictures that nobody is shown", unseen),
        ("opened of each packet", world.opened_of_each()),
        ("refused packets", world.refused() as f64),
    ])
}

impl World {
    /// How often each packet that came was decrypted.
    pub fn opened_of_each(&self) -> f64 {
        self.count(Counter::RtpIn) as f64 / self.ledger.arrivals() as f64
    }

    /// Packets that were opened in vain.
    pub fn refused(&self) -> u64 {
        self.count(Counter::DropAuthentication) + self.count(Counter::DropReplay)
    }
}

/// A way of the board: its name, for how long, its capacity in bit/s, and its shape.
type Kind = (&'static str, Duration, f64, Ways);

fn lossy() -> Kind {
    let ways = Ways::free(millis(100)).both(|shape| shape.losing(100)).down(|shape| shape.carrying(4_000_000));
    ("10 % loss, 100 ms", seconds(30), 4_000_000.0, ways)
}

/// The ways of the board.
pub fn kinds() -> Vec<Kind> {
    let ways = |round_trip, bps| Ways::free(millis(round_trip)).down(|shape| shape.carrying(bps));
    let crossed = |cross| ways(50, 3_000_000).down(|shape| Shape { cross: vec![cross], ..shape });
    let steady = Cross::Steady { bps: 1_000_000, on: seconds(5), off: seconds(5) };
    let greedy = Cross::Greedy { from: Time::from_millis(20_000), until: Time::from_millis(40_000), rtt: millis(50) };
    let bursts = Loss::Bursts { begin: 7, end: 300, lost: 850 };
    vec![
        lossy(),
        ("jitter of 200 ms", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| shape.jittering(millis(200), true))),
        ("2 % loss in bursts", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| Shape { loss: bursts, ..shape })),
        ("reordering", seconds(40), 3_000_000.0, ways(50, 3_000_000).down(|shape| shape.jittering(millis(30), true))),
        ("a third for others, on and off", seconds(40), 3_000_000.0, crossed(steady)),
        ("beside a greedy flow", seconds(50), 3_000_000.0, crossed(greedy)),
    ]
}
