//! What a room is sent: by sockets, by HTTP handlers, by whoever only looks.

use tokio::sync::{mpsc, oneshot};

use crate::control::Refusal;
use crate::control::egress::Instruction;
use crate::control::rooms::command::{Command, SocketId};
use crate::control::rooms::egress::EgressSeen;
use crate::control::rooms::journal::MemberJournal;
use crate::control::rooms::past::{AtPresent, CallAccount};
use crate::control::rooms::room::Room;
use crate::control::rooms::seen::{MemberSeen, RoomSeen, TrackSeen};
use crate::control::signaling::Outbox;
use crate::control::trace::Journey;
use crate::control::whip::Place;
use crate::wire::{MemberId, OkResult};

/// Where the answer to an HTTP handler goes.
pub type Answered = oneshot::Sender<Result<Option<OkResult>, Refusal>>;

/// What a room is sent.
pub enum Letter {
    /// From a socket that wants to become a member's.
    Enter {
        /// `Join` or `Resume`.
        command: Command,
        /// The socket.
        socket: SocketId,
        /// Where its answers and events go.
        outbox: Outbox,
        /// Of its join, if that is followed.
        journey: Journey,
        /// What it is called at relays if it has become one; dropped when the room has ended meanwhile.
        entered: oneshot::Sender<Option<String>>,
    },
    /// From an HTTP handler, with the request's name.
    Ask {
        /// `Attach`, `Trickle`, `Detach`, `Order` or `Administer`.
        command: Command,
        /// The request's name.
        name: &'static str,
        /// The socket that the command names.
        socket: SocketId,
        /// The session's place, kept as long as the session; and its join, if that is followed.
        place: Option<(Place, Journey)>,
        /// Where the answer goes; dropped when the room has ended meanwhile.
        answered: Answered,
    },
    /// From an HTTP handler that has something of the room sent elsewhere.
    SendOut {
        /// `OrderEgress`.
        command: Command,
        /// The socket that the command names.
        socket: SocketId,
        /// The session's identity, and where its task reads what is to be done.
        task: (String, mpsc::Sender<Instruction>),
        /// Where the answer goes; dropped when the room has ended meanwhile.
        answered: Answered,
    },
    /// From a member's socket, with the request's name.
    Command(Command, &'static str),
    /// From the admin listener, which wants to know what happened.
    Journals(oneshot::Sender<Vec<MemberJournal>>),
    /// The same with those who have left.
    Account(oneshot::Sender<CallAccount>),
    /// From the same, which wants to know how it does.
    Present(oneshot::Sender<AtPresent>),
    /// From an HTTP handler, which wants to see something.
    Look(Look),
}

/// What somebody wants to see of a room, and where it goes.
pub enum Look {
    /// The room.
    Room(oneshot::Sender<RoomSeen>),
    /// Members behind this seat, in the order of their coming, so many of them at most.
    Members(u32, usize, oneshot::Sender<Vec<MemberSeen>>),
    /// One member.
    Member(MemberId, oneshot::Sender<Option<MemberSeen>>),
    /// What is sent elsewhere.
    Egress(oneshot::Sender<Vec<EgressSeen>>),
    /// Tracks with higher numbers than this, in their order, so many of them at most.
    Tracks(u64, usize, oneshot::Sender<Vec<TrackSeen>>),
}

impl Look {
    /// Shows it. Whoever asked may have hung up.
    pub(super) fn at(self, room: &Room) {
        match self {
            Look::Room(to) => drop(to.send(room.seen())),
            Look::Members(after, most, to) => drop(to.send(room.members_seen(after, most))),
            Look::Member(member, to) => drop(to.send(room.member_seen(&member))),
            Look::Egress(to) => drop(to.send(room.egress_seen())),
            Look::Tracks(after, most, to) => drop(to.send(room.tracks_seen(after, most))),
        }
    }
}
