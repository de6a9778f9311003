//! What a leg goes on with until the source that it was pointed at begins: a picture that moves is better than one that stands still.

use super::leg::{Leg, MOST_CODECS};
use super::outlet::Outlet;
use crate::base::Time;
use crate::contract::ReceivePlan;
use crate::media::select::{Aim, Choice, Switch};

/// A new source that has not begun for so many microseconds does not come soon: nothing is better than the wrong picture.
const LONGEST: u64 = 2_000_000;

/// The source before, and what belongs to it.
#[derive(Debug)]
pub(super) struct Before {
    track: usize,
    switch: Switch,
    outlets: [Option<Outlet>; MOST_CODECS],
    name: Option<u32>,
    /// When the leg was pointed at another one.
    left: Time,
    /// Whether that has begun.
    over: bool,
}

impl Leg {
    /// The leg is about to be pointed at another track, and goes on with the present one until that begins; false when there is nothing
    /// to go on with. Whoever calls this sees to it that the track still comes, and calls [`Self::forget_before`] when it need not.
    pub fn keep(&mut self, now: Time) -> bool {
        let (Some(track), Some(present)) = (self.source, self.switch.present()) else { return false };
        if self.before.is_some() || !self.switch.needs_key_frame() {
            return false;
        }
        let mut switch = self.switch;
        switch.aim(Aim::at(present));
        self.before = Some(Box::new(Before { track, switch, outlets: self.outlets, name: self.name, left: now, over: false }));
        true
    }

    /// The index of the track that it goes on with, or went on with until the present one began.
    pub fn before(&self) -> Option<usize> {
        self.before.as_ref().map(|before| before.track)
    }

    /// Compiles what it needs of the plan that a track's publisher has negotiated anew.
    pub fn compile_again(&mut self, track: usize, plan: &ReceivePlan) {
        self.with(track, |leg| leg.compile(plan));
    }

    /// That track and what comes of it, while it goes on.
    pub fn goes_on_with(&self) -> Option<(usize, Choice)> {
        self.before.as_ref().filter(|before| !before.over).and_then(|before| Some((before.track, before.switch.present()?)))
    }

    /// Whether that need not come any more.
    pub fn is_done_with_before(&self, now: Time) -> bool {
        self.before.as_ref().is_some_and(|before| before.over || now.micros_since(before.left) > LONGEST)
    }

    /// Nothing of the source before comes any more.
    pub fn forget_before(&mut self) {
        self.before = None;
    }

    /// It is pointed back at the source before, which it has not left yet: nothing need begin.
    pub fn take_back(&mut self) -> bool {
        let Some(before) = self.before.take_if(|before| !before.over) else { return false };
        let Before { track, switch, outlets, name, .. } = *before;
        (self.source, self.switch, self.outlets, self.name) = (Some(track), switch, outlets, name);
        true
    }

    /// The new source has begun.
    pub(super) fn leave_before(&mut self) {
        if let Some(before) = &mut self.before {
            before.over = true;
        }
    }

    /// The index of the track whose packets go out.
    pub fn sending(&self) -> Option<usize> {
        self.before.as_ref().filter(|before| !before.over).map_or(self.source, |before| Some(before.track))
    }

    /// What it gets of a track that comes to it.
    pub fn selection_of(&self, track: usize) -> &Switch {
        match &self.before {
            Some(before) if before.track == track && self.source != Some(track) => &before.switch,
            _ => &self.switch,
        }
    }

    /// Does something for a track that comes to it: for the one that it goes on with as if that were the present one. None for any
    /// other.
    pub(super) fn with<T>(&mut self, track: usize, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.source == Some(track) {
            return Some(act(self));
        }
        let mut before = self.before.take_if(|before| before.track == track && !before.over)?;
        self.exchange(&mut before);
        let done = act(self);
        self.exchange(&mut before);
        self.before = Some(before);
        Some(done)
    }

    fn exchange(&mut self, before: &mut Before) {
        std::mem::swap(&mut self.switch, &mut before.switch);
        std::mem::swap(&mut self.outlets, &mut before.outlets);
        std::mem::swap(&mut self.name, &mut before.name);
    }
}
