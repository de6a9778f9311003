//! What is remembered of how a peer does, from one look to the next.

use crate::base::Time;
use crate::contract::{Distributions, Measure};

/// What is remembered of a peer from one look to the next.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Its plan came then.
    pub(in crate::media) added: Time,
    /// The first check of a path was validated then.
    pub(in crate::media) reached: Option<Time>,
    /// Media has come from it.
    pub(in crate::media) has_sent: bool,
    pub(in crate::media) looked_at: Time,
    pub(in crate::media) told_at: Time,
    /// What was told last was noticeable.
    pub(in crate::media) was_noticeable: bool,
}

impl Watch {
    /// Of a peer whose plan has come now.
    pub const fn new(now: Time) -> Self {
        Self { added: now, reached: None, has_sent: false, looked_at: now, told_at: now, was_noticeable: false }
    }

    /// A check was validated: the first one says how long it took to get there.
    pub fn reached(&mut self, now: Time, distributions: &mut Distributions) {
        if self.reached.is_none() {
            self.reached = Some(now);
            distributions.observe(Measure::IceTime, now.micros_since(self.added));
        }
    }

    /// The keys are there.
    pub fn secured(&self, now: Time, distributions: &mut Distributions) {
        distributions.observe(Measure::HandshakeTime, now.micros_since(self.reached.unwrap_or(self.added)));
    }

    /// A track of it has begun.
    pub fn sent(&mut self, now: Time, distributions: &mut Distributions) {
        if !std::mem::replace(&mut self.has_sent, true) {
            distributions.observe(Measure::FirstMediaTime, now.micros_since(self.added));
        }
    }
}
