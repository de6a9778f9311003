//! What the figures of links that carry less than everything have to reach: stories assert it, and the proof writes it down.

use std::fmt;

use crate::scores::Score;

/// A figure of a score, and what it has to reach.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub name: &'static str,
    pub unit: &'static str,
    least: f64,
    most: f64,
}

const fn at_least(name: &'static str, unit: &'static str, least: f64) -> Reach {
    Reach { name, unit, least, most: f64::INFINITY }
}

const fn at_most(name: &'static str, unit: &'static str, most: f64) -> Reach {
    Reach { name, unit, least: f64::NEG_INFINITY, most }
}

const fn within(name: &'static str, unit: &'static str, least: f64, most: f64) -> Reach {
    Reach { name, unit, least, most }
}

/// From 2.5 Mbit/s to 300 kbit/s and back, with a queue of 300 ms.
pub const BREAKS_DOWN: [Reach; 7] = breaks_down(1_300.0, at_most("queue after 4 s ms", "ms", 100.0));
/// With one of 1.2 s.
pub const BREAKS_DOWN_DEEP: [Reach; 7] = breaks_down(2_500.0, at_most("queue after 6 s ms", "ms", 500.0));

const fn breaks_down(frozen: f64, queue: Reach) -> [Reach; 7] {
    [
        within("encoding before", "of 0 to 2", 2.0, 2.0),
        at_most("lower after ms", "ms", 1_000.0),
        at_most("frozen ms", "ms", frozen),
        queue,
        at_most("top again after ms", "ms", 15_000.0),
        at_most("another's longest gap ms", "ms", 100.0),
        at_most("another's switches", "switches", 0.0),
    ]
}

/// Four pictures over a link that does not change. The set is the best for the estimate, which the row before holds to the capacity;
/// the one switch that a minute may have comes some seconds after its beginning.
pub const STEADY: [Reach; 6] = [
    within("least estimate of capacity", "of the capacity", 0.85, 1.05),
    within("most estimate of capacity", "of the capacity", 0.85, 1.05),
    at_least("time with the best set for the estimate", "of the time", 0.8),
    at_most("padding of all", "of what is sent", 0.05),
    at_most("most switches of a picture", "switches a minute", 1.0),
    at_most("queue p95 ms", "ms", 60.0),
];

/// 10 % loss both ways.
pub const LOSSY: [Reach; 2] = [at_least("recovered in 400 ms", "of the lost packets", 0.98), at_most("frozen of all", "of the time", 0.01)];

/// 30 % loss both ways, for so many seconds.
pub const fn very_lossy(seconds: u64) -> [Reach; 2] {
    [at_least("up s", "s", seconds as f64 - 1.0), at_least("least pictures a second", "pictures a second", 10.0)]
}

/// A full room.
pub const FULL_ROOM: [Reach; 3] = [
    at_most("most sent of an estimate", "of the estimate", 1.0),
    within("opened of each packet", "times", 1.0, 1.0),
    at_most("refused packets", "packets", 0.0),
];

impl Reach {
    pub fn holds(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// Of these the one that is farthest from good.
    pub fn worst(&self, values: impl Iterator<Item = f64>) -> f64 {
        let middle = if self.least.is_finite() && self.most.is_finite() { self.least.midpoint(self.most) } else { 0.0 };
        let badness = |value: f64| match (self.least.is_finite(), self.most.is_finite()) {
            (true, true) => (value - middle).abs(),
            (true, false) => -value,
            _ => value,
        };
        values.max_by(|a, b| badness(*a).total_cmp(&badness(*b))).unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "= {most}"),
            (least, f64::INFINITY) => write!(f, ">= {least}"),
            (f64::NEG_INFINITY, most) => write!(f, "<= {most}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

/// Asserts what a score has to reach, and tells all of it when something does not.
pub fn assert_reached(score: &Score, reaches: &[Reach]) {
    for reach in reaches {
        let value = score[reach.name];
        assert!(reach.holds(value), "{} is {value} {}, not {reach}: {score:#?}", reach.name, reach.unit);
    }
}

#[test]
fn the_worst_is_what_is_farthest_from_good() {
    let worst = |reach: Reach| (reach.worst([3.0, 1.0, 2.0].into_iter()), reach.to_string());
    assert_eq!(worst(at_most("", "", 9.0)), (3.0, "<= 9".to_owned()));
    assert_eq!(worst(at_least("", "", 0.5)), (1.0, ">= 0.5".to_owned()));
    assert_eq!(worst(within("", "", 1.5, 3.5)), (1.0, "1.5 to 3.5".to_owned()));
    assert!(at_least("", "", 0.5).holds(0.5) && !at_most("", "", 2.0).holds(2.5) && !at_most("", "", 2.0).holds(f64::NAN));
}
