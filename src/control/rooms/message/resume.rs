//! `resume`, and what comes before it: a socket that is lost, and a member that is given up.
//!
//! The answer is the room as it is, up to the last event's number; whatever was told to the lost socket is in it. So
//! nothing can be lost or doubled, however long the socket was dead before anybody noticed, and nothing has to be kept
//! for those who are away.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::base::{Time, TrackId};
use crate::control::Refusal;
use crate::control::rooms::command::SocketId;
use crate::control::rooms::member::{Presence, Seat};
use crate::control::rooms::room::Room;
use crate::wire::{ByeReason, ErrorCode, Event, LeaveReason};

impl Room {
    pub(in crate::control::rooms) fn resume(&mut self, socket: SocketId, id: u32, secret: &str, seq: u64) {
        let found = self.members.iter().find(|(_, m)| m.http.is_none() && verify_slices_are_equal(m.resume.as_bytes(), secret.as_bytes()).is_ok());
        // A number that was never given is of another session, or of none.
        let Some(seat) = found.filter(|(_, m)| seq <= m.seq).map(|(seat, _)| *seat) else {
            let refusal = Refusal::new(ErrorCode::ResumeUnknown, "there is no such session any more: join again");
            return self.reply(socket, id, Err(refusal));
        };
        self.bye(seat, ByeReason::Resumed);
        let was_away = self.seat_at(seat, Presence::Here(socket));
        self.sockets.insert(socket, seat);
        let joined = self.joined(seat);
        self.reply(socket, id, Ok(joined));
        let own: Vec<TrackId> = self.members.get(&seat).map_or_else(Vec::new, |m| m.tracks.iter().map(|t| t.id).collect());
        own.into_iter().for_each(|track| self.tell_demand(seat, track));
        self.tell_fallbacks(seat);
        if self.members.get(&seat).is_some_and(|m| !m.quality.is_empty()) {
            self.tell_quality(seat);
        }
        // What the other end of a direct connection has said meanwhile went to a dead socket: it has to know, though nobody saw this one go.
        if was_away || self.ways.is_end(seat) {
            self.tell_away(seat, false);
        }
    }

    pub(in crate::control::rooms) fn socket_lost(&mut self, socket: SocketId, bye: Option<ByeReason>, now: Time) {
        let Some(seat) = self.sockets.get(&socket).copied() else { return };
        if let Some(reason) = bye {
            self.bye(seat, reason);
        }
        self.sockets.remove(&socket);
        self.seat_at(seat, Presence::Away { since: now });
        self.tell_away(seat, true);
        self.remove_lost(now);
    }

    /// Gives up those who have been away for too long.
    pub(in crate::control::rooms) fn remove_lost(&mut self, now: Time) {
        let resume = self.rules.resume;
        let lost = |p: Presence| matches!(p, Presence::Away { since } if now >= since + resume);
        let seats: Vec<Seat> = self.members.iter().filter(|(_, m)| lost(m.presence)).map(|(seat, _)| *seat).collect();
        for seat in seats {
            self.remove(seat, LeaveReason::Lost);
        }
    }

    /// Sets where a member is; whether it was away before.
    fn seat_at(&mut self, seat: Seat, presence: Presence) -> bool {
        let Some(member) = self.members.get_mut(&seat) else { return false };
        matches!(std::mem::replace(&mut member.presence, presence), Presence::Away { .. })
    }

    fn tell_away(&mut self, seat: Seat, away: bool) {
        let Some(member) = self.members.get(&seat).map(|m| m.identity.clone()) else { return };
        self.tell(|s| s != seat, Event::MemberAway { member, away });
    }
}
