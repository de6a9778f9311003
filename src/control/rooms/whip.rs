//! Members by WHIP and WHEP. They have no socket and are told nothing: their connection says how long they stay. What
//! they receive is pinned ([`super::played`]).

use std::time::Duration;

use super::command::{Admission, JoinDraws, OfferDraws, SocketId};
use super::member::Seat;
use super::played::Pin;
use super::room::Room;
use crate::base::{PeerId, Time, TrackId};
use crate::contract::{DisconnectReason, Event as Media};
use crate::sdp::{Fragment, Offer};
use crate::wire::{Event, LeaveReason, MemberId};

/// A session whose connection is not up by then ends. Fewer would cut off slow handshakes over bad paths, which have as
/// long; more would keep the names of those who never come.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Somebody admitted who publishes or plays by HTTP. What must be drawn comes drawn.
#[derive(Debug)]
pub struct Attach {
    /// Stands for the socket that there is none of: never used by anybody else, and where the answer goes.
    pub socket: SocketId,
    /// Who, and what it may do.
    pub admission: Admission,
    /// What for.
    pub purpose: Purpose,
    /// The offer.
    pub offer: Box<Offer>,
    /// Drawn for its joining; `resume` is the session's secret.
    pub joining: JoinDraws,
    /// Drawn for its offer.
    pub offering: OfferDraws,
}

/// What a session by HTTP is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// WHIP (RFC 9725).
    Publish,
    /// WHEP: what each slot pair shows, in this order.
    Play(Vec<Pin>),
}

/// Candidates, or new credentials, for a session (RFC 9725 section 4.3). What must be drawn comes drawn.
#[derive(Debug)]
pub struct Trickle {
    /// Where the answer goes.
    pub socket: SocketId,
    /// The session's secret.
    pub secret: String,
    /// Which ICE generation it has to be for.
    pub condition: Condition,
    /// What the client says.
    pub fragment: Fragment,
    /// Drawn for a restart.
    pub offering: OfferDraws,
}

/// `If-Match` (RFC 9110 section 13.1.1). A session's entity tag is our user name fragment: one for each ICE generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// `*`: whichever generation there is.
    Any,
    /// One of these.
    Tags(Vec<String>),
}

impl Condition {
    /// Whether a session with this entity tag meets it.
    pub fn is_met(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|known| known == tag),
        }
    }
}

/// What a member by HTTP has instead of a socket.
#[derive(Debug)]
pub struct HttpSession {
    link: Link,
    /// What each slot pair shows; a publisher is shown nothing.
    pins: Vec<Pin>,
}

/// How its connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// Not up yet.
    Awaited { until: Time },
    /// Up.
    Up,
    /// Consent is lost (RFC 7675), and may come back.
    Lost { until: Time },
}

impl HttpSession {
    /// What each slot pair shows.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// Whether what a member publishes may have a place in a slot pair.
    pub fn may_show(&self, member: &MemberId, publishes: bool) -> bool {
        self.pins.iter().any(|pin| pin.is_of(member) || publishes && matches!(pin, Pin::Speaker | Pin::Screen))
    }

    /// Whether a slot pair follows who speaks.
    pub fn follows_speakers(&self) -> bool {
        self.pins.contains(&Pin::Speaker)
    }

    pub fn new(purpose: Purpose, now: Time) -> Self {
        let pins = match purpose {
            Purpose::Publish => Vec::new(),
            Purpose::Play(pins) => pins,
        };
        Self { link: Link::Awaited { until: now + CONNECT_WITHIN }, pins }
    }

    /// When it ends, if its connection stays as it is.
    pub fn deadline(&self) -> Option<Time> {
        match self.link {
            Link::Awaited { until } | Link::Lost { until } => Some(until),
            Link::Up => None,
        }
    }

    /// Whether its connection was up and is lost.
    pub fn is_lost(&self) -> bool {
        matches!(self.link, Link::Lost { .. })
    }
}

impl Room {
    /// The contributing source by which packets to a member name a track; none to players by HTTP, who are told no names.
    pub(super) fn name_of(&self, seat: Seat, track: TrackId) -> Option<u32> {
        let is_pinned = self.members.get(&seat).is_some_and(|member| member.http.is_some());
        (!is_pinned).then_some(track.0 as u32)
    }

    /// Notes what a worker says of the connection of a member by HTTP.
    pub(super) fn follow_connection(&mut self, event: &Media, now: Time) {
        match event {
            Media::Connected { peer, .. } | Media::Reconnected { peer, .. } => self.set_link(*peer, Link::Up),
            Media::Disconnected { peer, reason: DisconnectReason::ConsentLost, .. } => {
                self.set_link(*peer, Link::Lost { until: now + self.rules.resume });
            }
            Media::Disconnected { peer, reason: DisconnectReason::HandshakeFailed | DisconnectReason::NoWay, .. } => {
                self.end_http(*peer, LeaveReason::Lost)
            }
            Media::Disconnected { peer, reason: DisconnectReason::Closed, .. } => self.end_http(*peer, LeaveReason::Left),
            Media::Speakers { .. }
            | Media::Demand { .. }
            | Media::Quality { .. }
            | Media::Health { .. }
            | Media::Excess { .. }
            | Media::TrackStarted { .. }
            | Media::DataChannel { .. }
            | Media::Data { .. }
            | Media::RoomFailed { .. }
            | Media::Mapped(_) => {}
        }
    }

    /// Whoever has lost its connection to a fault of ours cannot be told to make another: its session is over.
    pub(super) fn end_unconnected(&mut self) {
        let unconnected = self.members.iter().filter(|(_, m)| m.http.is_some() && m.connection.is_none());
        for seat in unconnected.map(|(seat, _)| *seat).collect::<Vec<_>>() {
            self.remove(seat, LeaveReason::Lost);
        }
    }

    /// Gives up those whose connection has not come, or not come back.
    pub(super) fn end_overdue(&mut self, now: Time) {
        let overdue = |session: &HttpSession| session.deadline().is_some_and(|until| now >= until);
        let seats = self.members.iter().filter(|(_, m)| m.http.as_ref().is_some_and(overdue));
        for seat in seats.map(|(seat, _)| *seat).collect::<Vec<_>>() {
            self.remove(seat, LeaveReason::Lost);
        }
    }

    fn set_link(&mut self, peer: PeerId, link: Link) {
        let Some(seat) = self.peers.get(&peer).copied() else { return };
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(session) = &mut member.http else { return };
        let was_lost = session.is_lost();
        session.link = link;
        let away = session.is_lost();
        if away != was_lost {
            let member = member.identity.clone();
            self.tell(|s| s != seat, Event::MemberAway { member, away });
        }
    }

    fn end_http(&mut self, peer: PeerId, reason: LeaveReason) {
        let Some(seat) = self.peers.get(&peer).copied() else { return };
        if self.members.get(&seat).is_some_and(|m| m.http.is_some()) {
            self.remove(seat, reason);
        }
    }
}
