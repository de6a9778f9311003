//! What goes into a lobby and what comes out.

use crate::control::Refusal;
use crate::control::rooms::{Admission, RoomName, SocketId};
use crate::wire::{ByeReason, CallId, CallMedia, Event, MemberId, OkResult, RejectReason};

/// Something that happens to a lobby. What must be drawn comes drawn.
#[derive(Debug)]
pub enum Command {
    /// Somebody admitted wants in, with one more device or with the one whose socket was lost.
    Enter {
        /// Through which socket.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// Who, and what it may do.
        admission: Admission,
        /// The call that this device is an end of.
        call: Option<CallId>,
    },
    /// Somebody inside asks for something.
    Request {
        /// Through which socket.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// What.
        what: LobbyRequest,
    },
    /// A socket is gone; `bye` when it could not take what it was sent and still has to be told.
    SocketLost {
        /// Which.
        socket: SocketId,
        /// The last word to it.
        bye: Option<ByeReason>,
    },
    /// A deadline has come.
    Timeout,
    /// The node ends.
    ShutDown,
}

/// What somebody in a lobby asks for.
#[derive(Debug)]
pub enum LobbyRequest {
    /// To leave with this device.
    Leave,
    /// To call somebody.
    Call {
        /// Whom.
        to: MemberId,
        /// What with.
        media: CallMedia,
        /// Drawn for it.
        draws: CallDraws,
    },
    /// To take a call.
    Accept {
        /// Which.
        call: CallId,
    },
    /// Not to take a call.
    Reject {
        /// Which.
        call: CallId,
        /// Why.
        reason: RejectReason,
    },
    /// To take an own call back.
    Cancel {
        /// Which.
        call: CallId,
    },
    /// To end a call.
    HangUp {
        /// Which.
        call: CallId,
    },
    /// To remove somebody.
    Kick {
        /// Whom.
        member: MemberId,
    },
}

/// Drawn for a call.
#[derive(Clone, Debug)]
pub struct CallDraws {
    /// Its name.
    pub call: CallId,
    /// The room in which it is held.
    pub room: RoomName,
}

/// What has become of a call that somebody wished for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// Both are connected.
    Accepted,
    /// The callee did not want to.
    Rejected,
    /// The callee was in another call, was being called or was calling.
    Busy,
    /// The caller took it back.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
    /// One of the two was lost meanwhile.
    Gone,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 6] = [Outcome::Accepted, Outcome::Rejected, Outcome::Busy, Outcome::Cancelled, Outcome::TimedOut, Outcome::Gone];

    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Rejected => "rejected",
            Outcome::Busy => "busy",
            Outcome::Cancelled => "cancelled",
            Outcome::TimedOut => "timed_out",
            Outcome::Gone => "gone",
        }
    }
}

/// What a lobby wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Answer a request: exactly one for each.
    Reply {
        /// Where.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// The answer.
        result: Result<Option<OkResult>, Refusal>,
    },
    /// Tell sockets something; each has its own number for it.
    Tell {
        /// Whom.
        to: Vec<(SocketId, u64)>,
        /// What.
        event: Event,
    },
    /// Tell an end that its call is accepted, with a token for the room.
    Admit(Box<Admit>),
    /// Tell a socket that its session is over, and close it.
    Bye {
        /// Which.
        socket: SocketId,
        /// The event's number.
        seq: u64,
        /// Why.
        reason: ByeReason,
    },
    /// Count what has become of a call.
    Count(Outcome),
    /// The lobby is over.
    Closed,
}

/// An end of an accepted call, which is to be let into the call's room.
#[derive(Clone, PartialEq, Debug)]
pub struct Admit {
    /// Its socket.
    pub socket: SocketId,
    /// The event's number.
    pub seq: u64,
    /// Who is admitted where, and what it may do there.
    pub admission: Admission,
    /// The call.
    pub call: CallId,
    /// The other end.
    pub with: MemberId,
    /// The other end's name.
    pub name: String,
    /// What it was called with.
    pub media: CallMedia,
}
