//! What the control plane tells a worker.

use super::plan::{IceCredentials, MediaPlan, ReceivePlan, TransportPlan};
use crate::base::{Bitrate, Path, PeerId, RoomId, TapId, TrackId, WorkerId};

/// One command for one room. A room begins with its first [`RoomCommand::AddPeer`].
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The room that the command is for.
    pub room: RoomId,
    /// What to do there.
    pub what: RoomCommand,
}

/// What to do in a room. A command that names something unknown is counted and changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomCommand {
    /// A participant's connection begins: its ICE credentials answer from now on.
    AddPeer {
        /// Whose connection.
        peer: PeerId,
        /// How it is secured.
        transport: Box<TransportPlan>,
    },
    /// What an offer and its answer settled; replaces the plan before it. m-lines keep their index for life.
    Negotiate {
        /// Whose connection.
        peer: PeerId,
        /// The compiled result of the negotiation.
        media: Box<MediaPlan>,
    },
    /// New ICE credentials (RFC 8445 section 2.4); the old ones answer until a new pair is nominated.
    RestartIce {
        /// Whose connection.
        peer: PeerId,
        /// The new credentials of both sides.
        ice: IceCredentials,
    },
    /// This node has begun the connection itself: it looks for the way to the peer as a full ICE agent in the controlling role (RFC 8445), and
    /// goes on asking for consent there (RFC 7675). Given once, behind `AddPeer`.
    CheckIce {
        /// Whose connection.
        peer: PeerId,
        /// The candidate pairs, most preferred first.
        pairs: Vec<Path>,
        /// Which of two agents in the same role keeps it: a random number.
        tie_breaker: u64,
    },
    /// The connection ends; its tracks and subscriptions end with it.
    RemovePeer {
        /// Whose connection.
        peer: PeerId,
    },
    /// What arrives on a receiving m-line is the track `track` from now on.
    Publish {
        /// The publisher.
        peer: PeerId,
        /// Index of the m-line in its offers.
        mline: u8,
        /// The track's identity.
        track: TrackId,
        /// It is a voice, of which only the loudest are forwarded when there are many; the sound of a film is not.
        voice: bool,
    },
    /// What a peer may send, all its m-lines together, before and after its first packet; none: that is not bounded. Whoever sends half as much
    /// again for long is told ([`super::Event::Excess`]), and then what takes most is not forwarded any more.
    Allow {
        /// The publisher.
        peer: PeerId,
        /// How much.
        publish: Option<Bitrate>,
    },
    /// A track of this room that is published on another worker: it may be pointed at like one from here. Given again
    /// when its publisher has negotiated anew. Its packets cross only while somebody here subscribes.
    Import {
        /// The track.
        track: TrackId,
        /// The worker of its publisher.
        from: WorkerId,
        /// Its m-line as its publisher negotiated it.
        source: Box<ReceivePlan>,
    },
    /// The track, published here or imported, ends; whoever received it gets nothing more.
    Unpublish {
        /// The track.
        track: TrackId,
    },
    /// Stops (or resumes) forwarding a track, whatever its publisher sends.
    Mute {
        /// The track.
        track: TrackId,
        /// Whether its packets are dropped.
        muted: bool,
    },
    /// Copies a track that is published here into the worker's tap ring, in the best form that its publisher sends, whoever else
    /// receives it; or no longer. What a moderator has muted is not copied.
    Tap {
        /// The track.
        track: TrackId,
        /// What its packets are tagged with; none: they are copied no longer.
        tap: Option<TapId>,
    },
    /// The tap of a track needs a key frame: so that its recording can be entered there, or goes on after a loss.
    TapKeyFrame {
        /// The track.
        track: TrackId,
    },
    /// Points a sending m-line (one half of a slot pair) at a track, or at nothing.
    Point {
        /// The subscriber.
        peer: PeerId,
        /// Index of the m-line in its offers.
        mline: u8,
        /// What it shows or plays from now on.
        source: Option<TrackId>,
        /// How the picture is shown.
        view: View,
        /// The contributing source that its packets name (RFC 3550 section 5.1), so that a receiver knows when a slot's content changes.
        name: Option<u32>,
    },
    /// How many voices are forwarded at a time, the loudest of all; [`u8::MAX`]: all of them. Without this command a worker forwards all.
    Voices {
        /// How many.
        most: u8,
    },
    /// The worker that hears all of the room's voices and says who speaks. Without this command a worker takes itself for it.
    Listener {
        /// Which worker.
        worker: WorkerId,
    },
    /// A message for the data channels of these peers.
    Data {
        /// Whom it is for.
        to: Vec<PeerId>,
        /// The message as it goes out.
        message: Vec<u8>,
        /// Whether it has to arrive; else it is sent once, and may be dropped.
        reliable: bool,
    },
    /// So many of the messages that this worker has handed up are dealt with: it may hand up as many more.
    DataTaken {
        /// How many.
        messages: u32,
    },
    /// Everything of the room ends.
    Close,
    /// A fault in the room's dispatch, on purpose: tests of what comes after it. Not in an ordinary build.
    #[cfg(feature = "fault-hooks")]
    Panic,
}

/// How a picture is shown at a subscriber: what it is worth there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Width in pixels of the display; 0 when it is not to be seen.
    pub width: u16,
    /// Height in pixels of the display; 0 when it is not to be seen.
    pub height: u16,
    /// Pictures of a higher rank are served first, when not all can be had.
    pub rank: u8,
}

impl View {
    /// As large as there is.
    pub const LARGE: View = View { width: u16::MAX, height: u16::MAX, rank: 1 };

    /// Whether it is to be seen at all.
    pub const fn is_visible(self) -> bool {
        self.width > 0 && self.height > 0
    }
}
