//! What goes into a room and what comes out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::administration::AdminOrder;
use super::egress::{EgressOrder, EgressReport};
use super::names::RoomName;
use super::profile::Profile;
use super::recording::{RecordEffect, RecordOrder};
use super::screenshot::Wish;
use super::settings::RoomSettings;
use super::whip::{Attach, Trickle};
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{self, RoomCommand};
use crate::control::Refusal;
use crate::control::egress::Instruction;
use crate::control::events::What;
use crate::sdp::Offer;
use crate::wire::{
    ByeReason, DirectAbility, DirectState, ErrorCode, Event, Grants, MemberId, OkResult, Policy, PublishLine, Reaction, RecordingPause, Signal,
    Source, Tile, TrackNumber,
};

/// One signaling socket; never reused within a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// Something that happens to a room. What must be drawn (identities, secrets) comes drawn.
#[derive(Debug)]
pub enum Command {
    /// Somebody admitted wants in.
    Join {
        /// Through which socket.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// Who, and what it may do.
        admission: Admission,
        /// Drawn for it.
        draws: JoinDraws,
        /// What its client says of itself.
        introduction: Introduction,
    },
    /// Somebody takes up a session whose socket was lost.
    Resume {
        /// Through which socket.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// The session's secret.
        secret: String,
        /// The last event that it claims to have received.
        seq: u64,
    },
    /// A member asks for something.
    Request {
        /// Through which socket.
        socket: SocketId,
        /// The request's id.
        id: u32,
        /// What.
        what: MemberRequest,
    },
    /// Somebody admitted publishes or plays by HTTP: joins and offers at once.
    Attach(Box<Attach>),
    /// A session by HTTP is ended by its client.
    Detach {
        /// Where the answer goes.
        socket: SocketId,
        /// The session's secret.
        secret: String,
    },
    /// The client of a session by HTTP has candidates, or restarts ICE.
    Trickle(Box<Trickle>),
    /// Somebody admitted has the room recorded, or no longer, by HTTP.
    Order {
        /// Where the answer goes.
        socket: SocketId,
        /// Who, and the name to show.
        by: (MemberId, String),
        /// What.
        order: RecordOrder,
    },
    /// Somebody admitted has something of the room sent elsewhere, or no longer.
    OrderEgress {
        /// Where the answer goes.
        socket: SocketId,
        /// What.
        order: EgressOrder,
    },
    /// The task of something that is sent elsewhere says something.
    Egress {
        /// Its identity.
        egress: String,
        /// What.
        report: EgressReport,
    },
    /// A program that runs the service wants something, by HTTP.
    Administer {
        /// Where the answer goes.
        socket: SocketId,
        /// What.
        order: AdminOrder,
    },
    /// A socket is gone; `bye` when it could not take what it was sent and still has to be told.
    SocketLost {
        /// Which.
        socket: SocketId,
        /// The last word to it.
        bye: Option<ByeReason>,
    },
    /// A worker says something.
    Media(contract::Event),
    /// The recording that was to begin could not.
    RecordingFailed,
    /// As much is kept of the room as may be: nothing more is kept of this recording.
    RecordingFull {
        /// Which.
        recording: String,
    },
    /// Nothing of a recording is written at present, or not all; or it is again.
    RecordingPaused {
        /// Which.
        recording: String,
        /// Why; none when it is written.
        paused: Option<RecordingPause>,
    },
    /// The files of a recording that has ended are whole on the disk, or never will be.
    RecordingOver {
        /// Which.
        recording: String,
        /// What there is of it, if it is whole.
        whole: Option<Whole>,
    },
    /// The key frame of a picture has come, or none will.
    ScreenshotSeen {
        /// Which picture.
        number: u64,
    },
    /// A picture is kept, or it is known why not.
    ScreenshotOver {
        /// Which picture.
        number: u64,
        /// Its identity in the library.
        result: Result<String, Refusal>,
    },
    /// A deadline has come.
    Timeout,
    /// The node will end at this time, at the latest: everybody is told, and the room is over as soon as it is empty.
    Drain {
        /// When.
        until: Time,
    },
    /// The node ends.
    ShutDown,
}

/// What there is of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whole {
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Who may join, and what it may do there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// The room.
    pub room: RoomName,
    /// The member's identity there.
    pub identity: MemberId,
    /// The name to show.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// What the application says of it.
    pub profile: Profile,
    /// Tracks that it publishes at most at a time; none: as many as the room lets everybody.
    pub tracks: Option<u8>,
    /// Kilobits a second that it publishes at most, all its tracks together; none: as much as the room lets everybody.
    pub publish_kbps: Option<u32>,
    /// What the room is given, where it is opened by this.
    pub settings: RoomSettings,
}

impl Admission {
    /// Of somebody of whom nothing else is said.
    pub fn new(room: RoomName, identity: MemberId, name: String, grants: Grants) -> Self {
        Self { room, identity, name, grants, profile: Profile::default(), tracks: None, publish_kbps: None, settings: RoomSettings::default() }
    }
}

/// What a client says of itself when it joins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Introduction {
    /// It can be connected directly.
    pub direct: Option<DirectAbility>,
    /// It knocks where the room is locked.
    pub knock: bool,
    /// It encrypts its media end to end.
    pub encrypted: bool,
}

/// Drawn for a join.
#[derive(Debug)]
pub struct JoinDraws {
    /// The secret that `resume` takes.
    pub resume: String,
}

/// Tracks that a member publishes at most: one of each source, and a fallback of each picture.
pub const MOST_TRACKS: u64 = 6;

/// Drawn for an offer; what is not needed is dropped.
#[derive(Clone, Debug)]
pub struct OfferDraws {
    /// The connection's identity, if it is a new one.
    pub peer: PeerId,
    /// The first of [`MOST_TRACKS`] identities for new tracks.
    pub tracks: TrackId,
    /// Our ICE user name fragment, unique within the node.
    pub ufrag: String,
    /// Our ICE password.
    pub pwd: String,
    /// Where SSRCs come from.
    pub ssrc_seed: u64,
    /// The session's id in the answer, below 2⁶².
    pub session: u64,
    /// Where a new connection goes when the room's home has enough of them: the less busy of two workers drawn, and the other one
    /// when it is hardly busier.
    pub elsewhere: [WorkerId; 2],
    /// Where each worker is found at present, by its number.
    pub candidates: Candidates,
}

/// Where clients find each worker, by its number: the most preferred address first.
pub type Candidates = Arc<Vec<Vec<SocketAddr>>>;

/// What a member asks for.
#[derive(Debug)]
pub enum MemberRequest {
    /// To leave.
    Leave,
    /// An answer to an offer, already read.
    Offer {
        /// The offer.
        offer: Box<Offer>,
        /// What its sending m-lines carry.
        publish: Vec<PublishLine>,
        /// Drawn for it.
        draws: OfferDraws,
    },
    /// To publish on a negotiated m-line.
    Publish {
        /// What, and where.
        line: PublishLine,
        /// The track's identity, if it is a new one.
        track: TrackId,
    },
    /// To stop publishing.
    Unpublish {
        /// Which track.
        track: TrackNumber,
    },
    /// To mark an own track.
    Mute {
        /// Which track.
        track: TrackNumber,
        /// Whether it is muted.
        muted: bool,
    },
    /// To receive tracks or not.
    Want {
        /// Which tracks.
        tracks: Vec<TrackNumber>,
        /// Whether they are wanted.
        wanted: bool,
    },
    /// To receive tracks as large as they are shown.
    View {
        /// How they are shown.
        tiles: Vec<Tile>,
    },
    /// To say something to the other end of a direct connection.
    Signal {
        /// The direct connection.
        session: String,
        /// What.
        signal: Signal,
    },
    /// To say how a direct connection stands.
    Direct {
        /// The direct connection.
        session: String,
        /// How.
        state: DirectState,
    },
    /// To be without a connection.
    Release,
    /// To have the room's media travel otherwise.
    Policy {
        /// How.
        policy: Policy,
    },
    /// To say something.
    Chat {
        /// What.
        text: String,
        /// The sender's key for it.
        key: Option<String>,
        /// Whether the sender wants the event too.
        echo: bool,
        /// The time: milliseconds since the Unix epoch.
        at: u64,
    },
    /// Earlier chat.
    History {
        /// Only smaller numbers.
        before: Option<u64>,
        /// At most so many.
        limit: u32,
    },
    /// To send data.
    Data(OwnedData),
    /// To raise a hand, or to lower one.
    Hand {
        /// Whether it is raised.
        raised: bool,
        /// Whose, if not the own.
        member: Option<MemberId>,
    },
    /// To show something for a moment.
    React {
        /// What.
        reaction: Reaction,
    },
    /// To change what is said of the own self.
    Describe {
        /// The metadata, if it changes.
        metadata: Option<String>,
        /// The attributes, if they change.
        attributes: Option<BTreeMap<String, String>>,
    },
    /// To say who may receive what is published from a source.
    Audience {
        /// The source.
        source: Source,
        /// Who alone; none: everybody.
        members: Option<Vec<MemberId>>,
    },
    /// To remove a member.
    Kick {
        /// Whom.
        member: MemberId,
    },
    /// To stop forwarding a track.
    MuteMember {
        /// Which track.
        track: TrackNumber,
        /// Whether it is muted.
        muted: bool,
    },
    /// To stop forwarding a source of everybody else.
    MuteAll {
        /// Which source.
        source: Source,
        /// Whether it is muted.
        muted: bool,
    },
    /// To have the room recorded.
    Record {
        /// The recording's identity, drawn.
        recording: String,
        /// The time: milliseconds since the Unix epoch.
        at: u64,
        /// Who is recorded; empty for everybody.
        members: Vec<MemberId>,
        /// What of them is recorded; empty for everything.
        sources: Vec<Source>,
    },
    /// To end the recording.
    StopRecording,
    /// To have a picture taken.
    Screenshot {
        /// Whose.
        member: MemberId,
        /// The camera, or the screen.
        source: Source,
    },
    /// To lock the room.
    Lock {
        /// Whether it is locked.
        locked: bool,
    },
    /// To let somebody in who knocks, or to send them away.
    Admit {
        /// Whom.
        member: MemberId,
        /// Whether they may come in.
        admitted: bool,
    },
}

/// Data as a member has sent it by its socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedData {
    /// What it is about.
    pub topic: String,
    /// Whom it is for; empty for all others.
    pub to: Vec<MemberId>,
    /// Whether the payload is text.
    pub text: bool,
    /// The payload.
    pub payload: Vec<u8>,
    /// Whether it may be lost.
    pub lossy: bool,
    /// The sender's number for it.
    pub number: Option<u64>,
}

/// What a room wants done, in this order.
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
    /// Tell members something; each has its own number for it.
    Tell {
        /// Whom.
        to: Vec<(SocketId, u64)>,
        /// What.
        event: Event,
    },
    /// Tell a socket that its session is over, and close it.
    Bye {
        /// Which.
        socket: SocketId,
        /// The event's number.
        seq: u64,
        /// Why.
        reason: ByeReason,
    },
    /// Command a worker.
    Worker(WorkerId, RoomCommand),
    /// Have something recorded, or no longer.
    Record(RecordEffect),
    /// Take a picture.
    Screenshot(Box<Wish>),
    /// Have the task of something that is sent elsewhere do something.
    Egress {
        /// Its identity.
        egress: String,
        /// What.
        what: Instruction,
    },
    /// Count how a direct connection stands.
    Direct(DirectState),
    /// A member's connection has not come up in time: say why that may be.
    Unreached,
    /// Count a message of a data channel that goes to nobody.
    DataRefused(ErrorCode),
    /// A member is sent away: none of its sessions has a use for relays any more.
    SentAway {
        /// Its identity.
        member: MemberId,
    },
    /// Say this to whoever makes a bill of the room.
    Happened(Box<What>),
    /// The room is over.
    Closed,
}
