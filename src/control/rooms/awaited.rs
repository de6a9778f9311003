//! Connections that have not come up yet: whoever runs the node hears of those that never do, as their members do.

use std::collections::VecDeque;
use std::time::Duration;

use super::command::Effect;
use super::journal::What;
use super::room::Room;
use crate::base::{PeerId, Time};

/// How long a connection may take to come up before it counts as unreached. Browsers give up after as long.
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections that are awaited at a time: twice as many as a room has members by default.
const MOST: usize = 1_024;

/// Connections that have not come up yet, oldest first.
#[derive(Default)]
pub(super) struct Awaited {
    /// Made by the command that is carried out.
    new: Vec<PeerId>,
    due: VecDeque<(Time, PeerId)>,
}

impl Awaited {
    /// A connection has been made.
    pub fn begin(&mut self, peer: PeerId) {
        self.new.push(peer);
    }

    /// When the oldest is due.
    pub fn deadline(&self) -> Option<Time> {
        self.due.front().map(|(at, _)| *at)
    }
}

impl Room {
    /// Takes note of new connections.
    pub(super) fn settle_awaited(&mut self, now: Time) {
        let awaited = &mut self.awaited;
        awaited.due.extend(awaited.new.drain(..).map(|peer| (now + PATIENCE, peer)));
        // Whoever makes so many is not waiting for any of them.
        while awaited.due.len() > MOST {
            awaited.due.pop_front();
        }
    }

    /// A connection is up.
    pub(super) fn has_come(&mut self, peer: PeerId) {
        self.awaited.due.retain(|(_, awaited)| *awaited != peer);
    }

    /// Tells of those that have not come up in time and are still wanted.
    pub(super) fn give_up_awaited(&mut self, now: Time) {
        while let Some((_, peer)) = self.awaited.due.pop_front_if(|(at, _)| *at <= now) {
            if let Some(member) = self.peers.get(&peer).and_then(|seat| self.members.get_mut(seat)) {
                member.journal.note(now, What::Connection { state: "unreached" });
                self.effects.push(Effect::Unreached);
            }
        }
    }
}
