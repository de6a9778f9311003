//! `hand` and `react`.

use crate::base::Time;
use crate::control::Refusal;
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ErrorCode, Event, MemberId, Reaction};

impl Room {
    /// Raises the own hand, or lowers one. What is so already is told to nobody.
    pub(in crate::control::rooms) fn set_hand(&mut self, seat: Seat, raised: bool, whose: Option<MemberId>, now: Time) -> Outcome {
        let whose = match whose {
            Some(member) => self.identities.get(&member).copied().ok_or_else(no_member)?,
            None => seat,
        };
        if whose != seat {
            self.may_moderate(seat)?;
            if raised {
                return Err(Refusal::forbidden("a hand is raised by its owner only"));
            }
        }
        let Some(member) = self.members.get_mut(&whose) else { return Err(no_member()) };
        if member.gestures.hand.is_some() == raised {
            return Ok(None);
        }
        // Moderators lower no more hands than are raised.
        if whose == seat && !member.gestures.take(now) {
            return Err(slow_down());
        }
        let hand = raised.then(|| self.gestures.next_hand());
        member.gestures.hand = hand;
        let member = member.identity.clone();
        self.tell(|_| true, Event::Hand { member, hand });
        Ok(None)
    }

    /// Shows everybody something.
    pub(in crate::control::rooms) fn react(&mut self, seat: Seat, reaction: Reaction, now: Time) -> Outcome {
        let Some(member) = self.members.get_mut(&seat).filter(|m| m.grants.chat) else {
            return Err(Refusal::forbidden("your token does not allow to chat"));
        };
        if !member.gestures.take(now) || !self.gestures.take(now) {
            return Err(slow_down());
        }
        let member = member.identity.clone();
        self.tell(|_| true, Event::Reaction { member, reaction });
        Ok(None)
    }
}

fn no_member() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such member (any more)")
}

fn slow_down() -> Refusal {
    Refusal::new(ErrorCode::RateLimited, "too many hands and reactions at once: wait a moment")
}
