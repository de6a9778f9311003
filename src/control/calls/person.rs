//! Somebody in a lobby, and a call as the lobby knows it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Time;
use crate::control::rooms::{RoomName, SocketId};
use crate::wire::{CallId, CallMedia, Grants, MemberId, PersonInfo};

/// Sockets of one identity at most: beyond it the oldest has to go.
pub const DEVICES: usize = 8;

/// Somebody who can be reached.
pub struct Person {
    pub name: String,
    pub grants: Grants,
    /// The devices.
    pub sockets: BTreeSet<SocketId>,
    /// Since when there is none.
    pub away: Option<Time>,
    /// The call that they are an end of.
    pub call: Option<CallId>,
}

impl Person {
    /// As others see them.
    pub fn info(&self, member: &MemberId) -> PersonInfo {
        PersonInfo { member: member.clone(), name: self.name.clone(), busy: self.call.is_some() }
    }
}

/// A call that rings or goes on.
pub struct Call {
    pub media: CallMedia,
    pub room: RoomName,
    pub caller: End,
    pub callee: End,
    /// Until when it rings; none once it is accepted.
    pub rings: Option<Time>,
}

/// One of the two.
pub struct End {
    pub member: MemberId,
    /// The device that is in the call. A callee has none while it rings: it rings at all of them.
    pub socket: Option<SocketId>,
    /// Since when the device is lost.
    pub lost: Option<Time>,
}

impl End {
    pub fn new(member: MemberId, socket: Option<SocketId>) -> Self {
        Self { member, socket, lost: None }
    }

    /// The device is this one from now on.
    pub fn take(&mut self, socket: SocketId) {
        (self.socket, self.lost) = (Some(socket), None);
    }

    /// The device is lost.
    pub fn lose(&mut self, now: Time) {
        (self.socket, self.lost) = (None, Some(now));
    }
}

impl Call {
    /// Whether nobody has accepted it yet.
    pub fn is_ringing(&self) -> bool {
        self.rings.is_some()
    }

    /// The end that somebody is.
    pub fn end_mut(&mut self, member: &MemberId) -> Option<&mut End> {
        [&mut self.caller, &mut self.callee].into_iter().find(|end| end.member == *member)
    }

    /// Somebody's end and the other one.
    pub fn ends(&self, member: &MemberId) -> Option<(&End, &End)> {
        [(&self.caller, &self.callee), (&self.callee, &self.caller)].into_iter().find(|(end, _)| end.member == *member)
    }

    /// The ends whose device is this socket.
    pub fn end_at(&mut self, socket: SocketId) -> Option<&mut End> {
        [&mut self.caller, &mut self.callee].into_iter().find(|end| end.socket == Some(socket))
    }

    /// When something is to be done about it: it has rung for long enough, its caller does not come back, or neither of the two does.
    /// A call that goes on lives in its room: one end alone may be without a socket here for as long as the other has one.
    pub fn deadline(&self, grace: Duration) -> Time {
        match (self.rings, self.caller.lost, self.callee.lost) {
            (Some(until), Some(lost), _) => until.min(lost + grace),
            (Some(until), None, _) => until,
            (None, Some(one), Some(other)) => one.max(other) + grace,
            (None, ..) => Time::NEVER,
        }
    }
}
