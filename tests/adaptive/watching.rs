//! How a picture was, as somebody who watched it would say.

use std::time::Duration;

use althing::base::Time;

use crate::decoder::{Decoder, Shown};
use crate::stamp::StreamId;

/// A picture that stands still for longer is frozen.
const FROZEN_AFTER: u64 = 200_000;

impl Decoder {
    pub fn between(&self, from: Time, until: Time) -> impl Iterator<Item = &Shown> {
        self.shown.iter().filter(move |shown| shown.at >= from && shown.at < until)
    }

    /// Pictures a second between two moments.
    pub fn rate(&self, from: Time, until: Time) -> f64 {
        self.between(from, until).count() as f64 * 1_000_000.0 / until.micros_since(from) as f64
    }

    /// How long the picture stood still between two moments, without the time that anybody is used to.
    pub fn frozen(&self, from: Time, until: Time) -> Duration {
        let first = self.shown.iter().rev().find(|shown| shown.at < from).map_or(from, |shown| shown.at.max(from));
        let times = self.between(from, until).map(|shown| shown.at).chain([until]);
        let (_, frozen) = times.fold((first, 0), |(last, frozen), at| (at, frozen + at.micros_since(last).saturating_sub(FROZEN_AFTER)));
        Duration::from_micros(frozen)
    }

    /// The longest time without a new picture between two moments.
    pub fn longest_gap(&self, from: Time, until: Time) -> Duration {
        let times = self.between(from, until).map(|shown| shown.at).chain([until]);
        let (_, longest) = times.fold((from, 0), |(last, longest), at| (at, at.micros_since(last).max(longest)));
        Duration::from_micros(longest)
    }

    /// How often it became another encoding, or another size, between two moments.
    pub fn switches(&self, from: Time, until: Time) -> usize {
        let kinds: Vec<(StreamId, u8)> = self.between(from, until).map(|shown| (shown.stream, shown.spatial)).collect();
        kinds.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    /// What was shown last before a moment.
    pub fn at(&self, at: Time) -> Option<&Shown> {
        self.shown.iter().rev().find(|shown| shown.at <= at)
    }

    /// When something was first shown that passes a test, from a moment on.
    pub fn first(&self, from: Time, test: impl Fn(&Shown) -> bool) -> Option<Time> {
        self.shown.iter().find(|shown| shown.at >= from && test(shown)).map(|shown| shown.at)
    }
}
