//! What waits until packets are done: handshakes, and data channels.

use super::Engine;
use crate::base::Time;

/// Datagrams with data that have their turn together. Each takes some microseconds.
const DATA_A_TURN: usize = 32;
/// When so many bytes of data have been sent in a turn, the rest waits for the next one.
const DATA_BYTES_A_TURN: usize = 64 * 1_024;

impl Engine {
    /// Carries one waiting handshake a step further: handshakes are dear, packets go before them. Then some of what data channels have
    /// received and have to send.
    pub fn handle_deferred(&mut self, now: Time) {
        for _ in 0..DATA_A_TURN {
            let Some(at) = self.shared.deferred.pop_front() else { break };
            let was_data = self.guarded(at.room, |room, shared| room.handle_deferred(now, at.peer, shared));
            self.settle(at.room);
            if was_data == Some(false) {
                break;
            }
        }
        let mut sent = 0;
        // Whoever is listed meanwhile has its turn in the next one.
        for _ in 0..self.shared.data.len() {
            let Some(at) = self.shared.data.pop_front() else { break };
            sent += self.guarded(at.room, |room, shared| room.data_turn(now, at.peer, shared)).unwrap_or(0);
            self.settle(at.room);
            if sent >= DATA_BYTES_A_TURN {
                break;
            }
        }
    }

    /// Whether something waits for [`Self::handle_deferred`].
    pub fn has_deferred(&self) -> bool {
        !self.shared.deferred.is_empty() || !self.shared.data.is_empty()
    }
}
