//! Raised hands, and what members show for a moment: who has raised a hand before whom, and how much of it the others have to take.

use crate::base::{Bucket, Time};

/// What a member may show a second, and at once: more than a person does on purpose.
const OF_MEMBER: (u32, u32) = (3, 10);
/// Reactions of a room: each is told to everybody. In a room of 500 more would be 15,000 messages a second.
const OF_ROOM: (u32, u32) = (30, 60);

/// A member's hand, and what it may still show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gestures {
    /// Where its hand is in the order of raising; none while it is down.
    pub hand: Option<u32>,
    left: Option<Bucket>,
}

impl Gestures {
    /// Takes one, if it is left.
    pub fn take(&mut self, now: Time) -> bool {
        self.left.get_or_insert_with(|| Bucket::new(OF_MEMBER.1)).take(now, OF_MEMBER, 1)
    }
}

/// The hands of a room, and what may still be shown there.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoomGestures {
    /// The number of the last hand.
    last: u32,
    left: Option<Bucket>,
}

impl RoomGestures {
    /// Takes one reaction, if it is left.
    pub fn take(&mut self, now: Time) -> bool {
        self.left.get_or_insert_with(|| Bucket::new(OF_ROOM.1)).take(now, OF_ROOM, 1)
    }

    /// The number of the next hand.
    pub fn next_hand(&mut self) -> u32 {
        self.last = self.last.saturating_add(1);
        self.last
    }
}
