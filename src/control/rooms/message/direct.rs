//! `signal`, `direct`, `release` and `policy`: two members who are connected with each other, not with the server.

use crate::base::Time;
use crate::control::Refusal;
use crate::control::rooms::command::Effect;
use crate::control::rooms::journal::What;
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{DirectState, ErrorCode, Event, Policy, Signal};

/// m-lines that a description may say something of.
const LINES: usize = 16;

impl Room {
    /// Hands a description or a candidate to the other end.
    pub(in crate::control::rooms) fn signal(&mut self, seat: Seat, session: String, signal: Signal, now: Time) -> Outcome {
        let other = self.ways.other_end(seat, &session).ok_or_else(not_direct)?;
        if self.members.get(&other).is_none_or(|m| m.ear().is_none()) {
            return Err(Refusal::new(ErrorCode::NotDirect, "the other end is away: offer again when it is back"));
        }
        if let Signal::Offer { lines, .. } | Signal::Answer { lines, .. } = &signal
            && lines.len() > LINES
        {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a description has at most {LINES} m-lines that carry something")));
        }
        // What counts is what the other end's socket has to take.
        let bytes = serde_json::to_string(&signal).map_or(usize::MAX, |text| text.len());
        if !self.members.get_mut(&seat).is_some_and(|m| m.allowance.take(bytes, now)) {
            return Err(Refusal::new(ErrorCode::RateLimited, "too much is said to the other end: wait a moment"));
        }
        self.tell(|s| s == other, Event::Signal { session, signal });
        Ok(None)
    }

    /// Notes how a direct connection stands. One that cannot be had moves the call to the server.
    pub(in crate::control::rooms) fn direct_state(&mut self, seat: Seat, session: &str, state: DirectState, now: Time) -> Outcome {
        if self.ways.other_end(seat, session).is_none() {
            return Err(not_direct());
        }
        if let Some(member) = self.members.get_mut(&seat) {
            member.journal.note(now, What::Direct { state });
        }
        self.effects.extend(self.ways.count(seat, session, state).map(Effect::Direct));
        if state == (DirectState::Failed {}) {
            self.ways.fail(seat, session, now);
        }
        Ok(None)
    }

    /// Takes a member's connection away, with its tracks; the member stays.
    pub(in crate::control::rooms) fn release(&mut self, seat: Seat) -> Outcome {
        self.end_connection(seat);
        if let Some(member) = self.members.get_mut(&seat) {
            member.quality.clear();
        }
        self.fill_after(seat);
        Ok(None)
    }

    pub(in crate::control::rooms) fn set_policy(&mut self, seat: Seat, policy: Policy, now: Time) -> Outcome {
        // Whoever has moved the call to the server may take that back: in a call of two nobody moderates.
        if policy != Policy::Sfu && !(policy == self.rules.policy && self.ways.is_moved_by(seat)) {
            self.may_moderate(seat)?;
        }
        self.may_travel(policy, self.rules.policy)?;
        self.move_to(policy, Some(seat), now);
        Ok(None)
    }

    /// Has the room's media travel so, and tells everybody.
    pub(in crate::control::rooms) fn move_to(&mut self, policy: Policy, by: Option<Seat>, now: Time) {
        if policy != self.ways.policy() {
            self.ways.set_policy(policy, by, now);
            self.tell(|_| true, Event::Policy { policy });
        }
    }
}

fn not_direct() -> Refusal {
    Refusal::new(ErrorCode::NotDirect, "there is no such direct connection (any more)")
}
