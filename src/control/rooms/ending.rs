//! How a room ends: when it has been empty for long enough, when the node does, or when somebody has it end.

use super::command::{Effect, SocketId};
use super::ledger::Note;
use super::member::Seat;
use super::room::Room;
use crate::base::Time;
use crate::control::events::Reason;
use crate::wire::{ByeReason, Event};

impl Room {
    pub(super) fn note_emptiness(&mut self, now: Time) {
        if !self.members.is_empty() {
            self.empty_since = None;
            return;
        }
        let since = *self.empty_since.get_or_insert(now);
        if now >= since + self.rules.grace || self.ends_at.is_some() {
            self.close_all();
            self.ledger.note(Note::Closed(Reason::Empty));
            self.effects.push(Effect::Closed);
        }
    }

    /// Tells everybody, or who has just come, how long the node goes on.
    pub(super) fn warn_of_end(&mut self, now: Time, newcomer: Option<SocketId>) {
        let Some(at) = self.ends_at else { return };
        let seconds = at.micros_since(now).div_ceil(1_000_000) as u32;
        let whom = newcomer.map(|socket| self.sockets.get(&socket).copied());
        self.tell(|seat| whom.is_none_or(|who| who == Some(seat)), Event::Draining { seconds });
    }

    /// Ends the room: everybody is told why.
    pub(super) fn end(&mut self, reason: ByeReason) {
        let seats: Vec<Seat> = self.members.keys().copied().collect();
        for seat in seats {
            self.bye(seat, reason);
        }
        self.close_all();
        let why = if reason == ByeReason::Ended { Reason::Ended } else { Reason::ShuttingDown };
        self.ledger.note(Note::Closed(why));
        self.effects.push(Effect::Closed);
    }
}
