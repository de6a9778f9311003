//! `leave`: the session ends, its socket may join again.

use crate::control::rooms::command::SocketId;
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::Room;
use crate::wire::LeaveReason;

impl Room {
    pub(in crate::control::rooms) fn leave(&mut self, seat: Seat, socket: SocketId, id: u32) {
        self.reply(socket, id, Ok(None));
        self.remove(seat, LeaveReason::Left);
    }
}
