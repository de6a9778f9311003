//! The best that a link could carry: every set of forms that pictures can be sent in, and how it would fare on the wire.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::time::Duration;

use althing::base::Time;
use althing::contract::View;

use crate::coding::Mode;
use crate::link::Class;
use crate::sender::Publishes;
use crate::views::{MIDDLE, SMALL, millis};
use crate::world::{Ways, World};

/// What is chosen is told from what leaves within so much: twice the time in which a picture of each layer leaves.
const WINDOW: Duration = Duration::from_millis(300);
/// It is looked at so often.
pub const EVERY: Duration = Duration::from_millis(100);

/// A set is feasible when 95 of a hundred of its packets wait no longer than this, in microseconds: what a steady link has to reach.
const LONGEST_WAIT: u64 = 60_000;
/// How long what leaves is recorded.
const RECORDED: Duration = Duration::from_secs(30);

/// A packet of a recording: when it left, in microseconds; bytes on the wire; its temporal layer.
type Recorded = (u64, f64, u8);

/// A form of a picture: which encoding, and its layers up to which.
const FORMS: [(usize, u8); 7] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)];

/// What leaves of each encoding where nothing limits it. Recorded once.
fn recordings() -> &'static [Vec<Recorded>; 3] {
    static RECORDINGS: OnceLock<[Vec<Recorded>; 3]> = OnceLock::new();
    RECORDINGS.get_or_init(|| {
        let mut world = World::new(77);
        let publisher = world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
        let viewers = [SMALL, MIDDLE, View::LARGE].map(|view| {
            let viewer = world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
            world.point(viewer, 0, Some(publisher), view);
            viewer
        });
        world.run(millis(8_000));
        let from = world.now;
        world.run(RECORDED);
        viewers.map(|viewer| world.recording(viewer, from))
    })
}

/// What leaves of a form.
fn recording(level: u8) -> impl Iterator<Item = &'static Recorded> {
    let form = level.checked_sub(1).map(|place| FORMS[usize::from(place)]);
    form.into_iter().flat_map(|(encoding, temporal)| recordings()[encoding].iter().filter(move |packet| packet.2 <= temporal))
}

/// What each form takes on the wire, in bit/s, the least first: nothing; two and three temporal layers of each encoding, and of the
/// smallest the base alone.
fn forms() -> &'static [f64] {
    static RATES: OnceLock<Vec<f64>> = OnceLock::new();
    let rate = |level| recording(level).map(|(_, bytes, _)| bytes * 8.0).sum::<f64>() / RECORDED.as_secs_f64();
    RATES.get_or_init(|| (0..=FORMS.len() as u8).map(rate).collect())
}

fn total(levels: &[u8]) -> f64 {
    levels.iter().map(|level| forms()[usize::from(*level)]).sum()
}

/// The place among [`forms`] of an encoding with its layers up to one.
fn level(encoding: u8, temporal: u8) -> u8 {
    // Of larger encodings the base alone is none: what has only begun counts as the form below it.
    if encoding == 0 { 1 + temporal } else { 1 + encoding * 2 + temporal }
}

/// All sets of forms for so many pictures, the best first: those that show most pictures, and of these the one whose worst is best,
/// and so on.
pub struct Oracle {
    sets: Vec<Vec<u8>>,
}

impl Oracle {
    pub fn new(pictures: u32) -> Self {
        let count = forms().len();
        let sets = (0..count.pow(pictures)).map(|set| (0..pictures).map(|n| (set / count.pow(n) % count) as u8).collect::<Vec<u8>>());
        let mut sets: Vec<_> = sets.filter(|set| set.is_sorted()).collect();
        sets.sort_by_cached_key(|set| Reverse((set.iter().filter(|level| **level > 0).count(), set.clone())));
        Self { sets }
    }

    /// The best that a link of so many bit/s carries beside others' bit/s.
    pub fn best(&self, capacity: f64, others: f64) -> &[u8] {
        let feasible = |set: &&Vec<u8>| total(set) + others < capacity && wait(set, capacity, others) <= LONGEST_WAIT;
        self.sets.iter().find(feasible).map_or(&[], Vec::as_slice)
    }

    /// What a set takes beside another one.
    pub fn beside(set: &[u8], other: &[u8]) -> f64 {
        total(set) / total(other)
    }
}

/// How long 95 of a hundred packets of a set wait at most on a link of so many bit/s, in microseconds, beside others' even bit/s.
fn wait(set: &[u8], capacity: f64, others: f64) -> u64 {
    let span = RECORDED.as_micros() as u64;
    // All pictures are one, recorded once: each begins at another place, and at another moment between two frames.
    let shift = |n: u64| n * (span / set.len() as u64 + 7_300);
    let pictures = (0..).zip(set).flat_map(|(n, level)| recording(*level).map(move |(at, bytes, _)| ((at + shift(n)) % span, *bytes)));
    let sound = (0..span / 5_000).map(|n| (n * 5_000, others / 8.0 / 200.0));
    let mut packets: Vec<(u64, f64)> = pictures.chain(sound).collect();
    packets.sort_by_key(|(at, _)| *at);
    let mut free = 0.0_f64;
    let mut waits: Vec<u64> = packets
        .into_iter()
        .map(|(at, bytes)| {
            let begin = free.max(at as f64);
            free = begin + bytes * 8e6 / capacity;
            (begin - at as f64) as u64
        })
        .collect();
    waits.sort_unstable();
    waits[waits.len() * 95 / 100]
}

impl World {
    /// What has left for a viewer since a moment.
    fn recording(&self, viewer: usize, from: Time) -> Vec<Recorded> {
        let left = || self.book(viewer, 0).left(from);
        let around = (self.down[viewer].log.bytes(Class::Picture, from, self.now) as f64 - left().map(|(_, bytes, _)| bytes as f64).sum::<f64>())
            / left().count() as f64;
        left().map(|(at, bytes, stamp)| (at.micros_since(from), bytes as f64 + around, stamp.temporal)).collect()
    }

    /// The sets of forms that a subscriber's pairs were sent from a moment on, one each [`EVERY`], each with its least form first.
    pub fn chosen(&self, subscriber: usize, pairs: u8, from: Time) -> Vec<Vec<u8>> {
        let (every, window) = (EVERY.as_micros() as u64, WINDOW.as_millis() / EVERY.as_millis());
        let spans = (self.now.micros_since(from) / every) as usize;
        let mut sets = vec![Vec::new(); spans];
        for pair in 0..pairs {
            let mut levels = vec![0; spans];
            let left = self.has_come(subscriber, pair).then(|| self.book(subscriber, pair).left(from));
            for (at, _, stamp) in left.into_iter().flatten() {
                let first = (at.micros_since(from) / every) as usize;
                let level = level(stamp.stream.encoding, stamp.temporal);
                levels.iter_mut().skip(first).take(window as usize).for_each(|most| *most = level.max(*most));
            }
            sets.iter_mut().zip(levels).for_each(|(set, level)| set.push(level));
        }
        sets.iter_mut().for_each(|set| set.sort_unstable());
        sets
    }

    /// The place among [`forms`] of the best that a pair has been shown since a moment.
    pub fn level(&self, subscriber: usize, pair: u8, from: Time) -> u8 {
        self.decoder(subscriber, pair).between(from, self.now).map(|shown| level(shown.stream.encoding, shown.temporal)).max().unwrap_or(0)
    }
}

#[test]
fn the_best_set_shows_everybody_before_anybody_well_and_leaves_no_queue() {
    let oracle = Oracle::new(4);
    // Of the least form one would take less than the link carries, but its packets would wait for each other.
    assert_eq!(oracle.best(100_000.0, 20_000.0), [0, 0, 0, 0]);
    assert!(total(&[0, 0, 0, 1]) < 80_000.0);
    assert_eq!(oracle.best(50_000_000.0, 0.0), [7, 7, 7, 7]);
    let best = oracle.best(2_000_000.0, 200_000.0);
    assert!(best[0] >= 3 && total(best) < 1_800_000.0 && total(best) > 1_400_000.0, "{best:?} {}", total(best));
    let less = total(best) + 150_000.0;
    assert!(wait(best, 2_000_000.0, 200_000.0) <= LONGEST_WAIT && wait(best, less, 200_000.0) > LONGEST_WAIT);
}

#[test]
fn what_forms_take_is_what_their_publisher_sends_and_what_is_around_it() {
    let encodings = crate::sender::ENCODINGS.iter().zip([3, 5, 7]);
    for ((_, _, kbps), level) in encodings {
        let (bare, form) = (*kbps as f64 * 1_000.0, forms()[level]);
        assert!((bare * 1.02..bare * 1.25).contains(&form), "{form} for {bare}");
    }
    assert!(forms().is_sorted(), "{:?}", forms());
}
