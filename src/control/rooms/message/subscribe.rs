//! `subscribe` and `unsubscribe`: which of the others' tracks a member wants. At first it wants all.

use crate::base::TrackId;
use crate::control::Refusal;
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ErrorCode, TrackNumber};

impl Room {
    pub(in crate::control::rooms) fn want(&mut self, seat: Seat, tracks: &[TrackNumber], wanted: bool) -> Outcome {
        let others = |track: &TrackNumber| {
            let id = TrackId(track.0);
            self.tracks.get(&id).is_some_and(|owner| *owner != seat) && !self.fallbacks.is_one(id)
        };
        if !tracks.iter().all(others) {
            return Err(Refusal::new(ErrorCode::NotFound, "one of these tracks does not exist (any more), or is your own"));
        }
        let Some(member) = self.members.get_mut(&seat) else { return Ok(None) };
        if !member.grants.subscribe {
            return Err(Refusal::forbidden("your token does not allow to receive others' tracks"));
        }
        for track in tracks {
            if wanted {
                member.unwanted.remove(&TrackId(track.0));
            } else {
                member.unwanted.insert(TrackId(track.0));
            }
        }
        self.fill_one(seat);
        Ok(None)
    }
}
