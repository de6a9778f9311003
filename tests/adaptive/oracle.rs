//! The best that a link could carry: every set of forms that pictures can be sent in, and what each takes on the wire.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::time::Duration;

use althing::base::Time;
use althing::contract::View;

use crate::coding::Mode;
use crate::link::Class;
use crate::sender::{ENCODINGS, Publishes};
use crate::views::{MIDDLE, SMALL, millis};
use crate::world::{Ways, World};

/// What is chosen is told from what leaves within so much: twice the time in which a picture of each layer leaves.
const WINDOW: Duration = Duration::from_millis(300);
/// It is looked at so often.
pub const EVERY: Duration = Duration::from_millis(100);

/// What the forms of a picture take on the wire, in bit/s, the least first: nothing; two and three temporal layers of each encoding,
/// and of the smallest the base alone. Measured once, where nothing limits them.
fn forms() -> &'static [f64] {
    static FORMS: OnceLock<Vec<f64>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let mut world = World::new(77);
        let publisher = world.join(Publishes::picture(Mode::Vp8, 3), 0, Ways::free(millis(40)));
        let viewers = [SMALL, MIDDLE, View::LARGE].map(|view| {
            let viewer = world.join(Publishes::NOTHING, 1, Ways::free(millis(40)));
            world.point(viewer, 0, Some(publisher), view);
            viewer
        });
        world.run(millis(8_000));
        let from = world.now;
        world.run(millis(30_000));
        let rates = (0..).zip(viewers).flat_map(|(encoding, viewer)| {
            let rates = world.rates(viewer, encoding, from);
            rates.into_iter().skip(usize::from(encoding > 0)).collect::<Vec<_>>()
        });
        [0.0].into_iter().chain(rates).collect()
    })
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

    /// The best that takes no more than this.
    pub fn best(&self, bps: f64) -> &[u8] {
        self.sets.iter().find(|set| total(set) <= bps).map_or(&[], Vec::as_slice)
    }

    /// What a set takes beside another one.
    pub fn beside(set: &[u8], other: &[u8]) -> f64 {
        total(set) / total(other)
    }
}

impl World {
    /// What each temporal layer of an encoding, with those below it, took on the wire since a moment, in bit/s.
    fn rates(&self, viewer: usize, encoding: u8, from: Time) -> Vec<f64> {
        let mut layers = [(0.0, 0.0); 3];
        for (_, bytes, stamp) in self.book(viewer, 0).left(from) {
            assert_eq!(stamp.stream.encoding, encoding, "nothing limits it");
            let (count, sum) = &mut layers[usize::from(stamp.temporal)];
            (*count, *sum) = (*count + 1.0, *sum + bytes as f64);
        }
        let (count, sum) = layers.iter().fold((0.0, 0.0), |all, layer| (all.0 + layer.0, all.1 + layer.1));
        let around = (self.down[viewer].log.bytes(Class::Picture, from, self.now) as f64 - sum) / count;
        let rates = layers.map(|(count, sum)| (sum + count * around) * 8.0 / self.now.since(from).as_secs_f64());
        rates.iter().scan(0.0, |all, rate| Some(std::mem::replace(all, *all + rate) + rate)).collect()
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
fn the_best_set_shows_everybody_before_anybody_well() {
    let oracle = Oracle::new(4);
    assert_eq!(oracle.best(80_000.0), [0, 0, 0, 1]);
    assert_eq!(oracle.best(50_000_000.0), [7, 7, 7, 7]);
    let best = oracle.best(2_000_000.0);
    assert!(best[0] >= 3 && total(best) <= 2_000_000.0 && total(best) > 1_500_000.0, "{best:?} {}", total(best));
}

#[test]
fn what_forms_take_is_what_their_publisher_sends_and_what_is_around_it() {
    let encodings = ENCODINGS.iter().enumerate().map(|(n, (_, _, kbps))| (3 + n * 2, *kbps as f64 * 1_000.0));
    for (place, kbps) in encodings {
        let form = forms()[place];
        assert!((kbps * 1.02..kbps * 1.25).contains(&form), "{form} for {kbps}");
    }
    assert!(forms().is_sorted() && forms().len() == 8, "{:?}", forms());
}
