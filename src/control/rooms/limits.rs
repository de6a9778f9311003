//! What members may publish: what they are told, and what their worker holds them to.

use super::member::{Seat, number};
use super::room::Room;
use super::settings::least;
use crate::base::{Bitrate, TrackId};
use crate::contract::RoomCommand;
use crate::wire::{Event, LeaveReason};

impl Room {
    /// What a member may publish whose token says `own`, all its tracks together; none: as much as it wants.
    pub(super) fn publish_limit(&self, own: Option<u32>) -> Option<Bitrate> {
        self.publish_kbps(own).map(|kbps| Bitrate::kbps(kbps.into()))
    }

    fn publish_kbps(&self, own: Option<u32>) -> Option<u32> {
        least(self.rules.publish_kbps, own)
    }

    /// Mebibytes that are kept of the room, if that is bounded.
    pub(super) fn library_mib(&self) -> Option<u32> {
        self.rules.library_mib
    }

    /// Has the worker of a member's connection hold it to its limit, where it does not yet.
    pub(super) fn hold_to_limit(&mut self, seat: Seat) {
        let Some(limit) = self.members.get(&seat).map(|member| self.publish_kbps(member.most_kbps)) else { return };
        let Some(connection) = self.members.get_mut(&seat).and_then(|member| member.connection.as_mut()) else { return };
        if std::mem::replace(&mut connection.publish_kbps, limit) != limit {
            let (peer, worker) = (connection.peer, connection.worker);
            self.worker(worker, RoomCommand::Allow { peer, publish: limit.map(|kbps| Bitrate::kbps(kbps.into())) });
        }
    }

    /// The room was given another limit: workers hold members to it from now on, and browsers hear of it with their next answers.
    pub(super) fn hold_all_to_limits(&mut self) {
        let seats: Vec<Seat> = self.members.keys().copied().collect();
        seats.into_iter().for_each(|seat| self.hold_to_limit(seat));
    }

    /// A member has sent more than it may; of `track` the most.
    pub(super) fn exceeded(&mut self, track: TrackId, sent: Bitrate, ended: bool) {
        let Some(seat) = self.tracks.get(&track).copied() else { return };
        let Some(member) = self.members.get(&seat) else { return };
        // It may have been taken back since.
        let Some(limit_kbps) = self.publish_kbps(member.most_kbps) else { return self.worker_forgives(seat, track) };
        let by_http = member.http.is_some();
        if ended && by_http {
            // Whoever came by WHIP cannot be told: the session is over, which its client sees.
            return self.remove(seat, LeaveReason::Lost);
        }
        if ended {
            self.finish_track(seat, track);
            self.fill_after(seat);
        }
        let sent_kbps = u32::try_from(sent.as_bps() / 1_000).unwrap_or(u32::MAX);
        self.tell(|s| s == seat, Event::PublishExcess { track: number(track), limit_kbps, sent_kbps, ended });
    }

    /// The limit was lifted while the worker said that it is passed: what it holds back goes on.
    fn worker_forgives(&mut self, seat: Seat, id: TrackId) {
        let Some(member) = self.members.get(&seat) else { return };
        let (Some(track), Some(connection)) = (member.track(id), &member.connection) else { return };
        let (muted, worker) = (track.muted_by_moderator, connection.worker);
        self.worker(worker, RoomCommand::Mute { track: id, muted });
    }
}
