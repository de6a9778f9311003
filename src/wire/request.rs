//! What a client may say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calls::{CallId, CallMedia, RejectReason};
use super::data::DataPayload;
use super::direct::{DirectAbility, DirectState, Policy, Signal};
use super::values::{MemberId, Priority, Reaction, Source, TrackNumber, is_false};

/// One message from a client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct ClientMessage {
    /// Chosen by the client; the answer carries it.
    pub id: u32,
    /// What it asks for.
    #[serde(flatten)]
    pub request: Request,
}

/// What a client asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum Request {
    /// First of all: which versions and features the client has.
    Hello {
        /// Protocol versions that it speaks.
        versions: Vec<u32>,
        /// Optional features that it knows; unknown ones are ignored.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        features: Vec<String>,
    },
    /// Enters a room. With keys configured the token says which; without (development mode) `room` does.
    Join {
        /// The room's name: 1–64 characters, letters, digits, `.`, `_`, `-`.
        room: String,
        /// The name to show; the token's name wins when it has one.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        name: String,
        /// A join token (JWT).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        token: Option<String>,
        /// The identity that the client had before its session was lost. Without keys it is given back; with keys the token says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        me: Option<MemberId>,
        /// That the client can be connected with another one directly. Without it the room's media goes through the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        direct: Option<DirectAbility>,
        /// Where the room is locked, its moderators are asked: the join is refused all the same, and may be repeated every few seconds until one
        /// of them has let the client in. Whoever does not for ten seconds has gone away.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        knock: bool,
        /// That the client encrypts its media end to end. All members of a room do, or none of them: the first one decides.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        encrypted: bool,
    },
    /// Takes up a session whose socket was lost; media has gone on meanwhile.
    Resume {
        /// The secret that `join` returned.
        resume: String,
        /// The `seq` of the last event received, 0 for none. A number that was never sent is refused.
        #[cfg_attr(test, ts(type = "number"))]
        seq: u64,
    },
    /// Leaves the room, and the connection's media ends; or leaves the lobby, and with it a call that this socket is an end of.
    Leave {},
    /// Enters a lobby, to call and be called. Sockets of one identity are its devices: a call rings at all of them.
    Enter {
        /// The lobby's name, which follows the rule of rooms' names. A token names it as it names a room.
        lobby: String,
        /// The name to show; the token's name wins when it has one.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        name: String,
        /// A join token (JWT).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        token: Option<String>,
        /// The identity that the client had before. Without keys it is given back; with keys the token says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        me: Option<MemberId>,
        /// The call that the client is an end of, whose socket was lost: this socket takes it up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        call: Option<CallId>,
    },
    /// Calls somebody in the same lobby. Whoever is called by them at this moment is connected with them at once.
    Call {
        /// Whom.
        to: MemberId,
        /// What with.
        media: CallMedia,
    },
    /// Takes a call.
    Accept {
        /// Which.
        call: CallId,
    },
    /// Does not take a call.
    Reject {
        /// Which.
        call: CallId,
        /// Why.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        reason: RejectReason,
    },
    /// Takes an own call back; one that has just been accepted ends.
    Cancel {
        /// Which.
        call: CallId,
    },
    /// Ends a call.
    HangUp {
        /// Which.
        call: CallId,
    },
    /// A new offer. The answer comes in the `ok`. The offer also says, whole, what its sending m-lines carry.
    Offer {
        /// The session description.
        sdp: String,
        /// What is published on which m-line: all of it, not only what is new.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        publish: Vec<PublishLine>,
    },
    /// A remote candidate, kept for the record (an ICE-lite server sends no checks).
    Candidate {
        /// The candidate attribute's value; empty for the end of candidates.
        candidate: String,
        /// The m-line's mid.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        mid: String,
    },
    /// Publishes on an m-line that is already negotiated, without a new offer.
    Publish {
        /// What, and where.
        #[serde(flatten)]
        line: PublishLine,
    },
    /// Stops publishing a track; its m-line stays and may be used again.
    Unpublish {
        /// Which track.
        track: TrackNumber,
    },
    /// Says that an own track is muted or not.
    Mute {
        /// Which track.
        track: TrackNumber,
        /// Whether it is muted.
        muted: bool,
    },
    /// Wants these tracks again (all tracks are wanted at first).
    Subscribe {
        /// Which tracks.
        tracks: Vec<TrackNumber>,
    },
    /// Wants these tracks no longer.
    Unsubscribe {
        /// Which tracks.
        tracks: Vec<TrackNumber>,
    },
    /// How tracks are shown: what is not named stays as it was. At first every picture is shown large.
    View {
        /// The tiles (at most 64).
        tiles: Vec<Tile>,
    },
    /// Where STUN and TURN servers are, with credentials of the member's own.
    IceServers {},
    /// Says something to the other end of a direct connection.
    Signal {
        /// The direct connection, as the event `way` names it.
        session: String,
        /// What.
        signal: Signal,
    },
    /// Says how a direct connection stands.
    Direct {
        /// The direct connection.
        session: String,
        /// How it stands.
        state: DirectState,
    },
    /// Gives up the media connection with the server: all that is published through it ends.
    Release {},
    /// How the room's media shall travel. Anybody may wish for the server; the rest takes the right to moderate.
    Policy {
        /// How.
        policy: Policy,
    },
    /// Says something to everybody.
    Chat {
        /// What (1 byte to 4 KiB).
        text: String,
        /// A key of the sender's (at most 64 bytes): a repeated key is answered like the first, and sent to nobody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        key: Option<String>,
        /// Whether the sender wants the message as an event too.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        echo: bool,
    },
    /// Earlier chat.
    History {
        /// Only messages with a smaller number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        before: Option<u64>,
        /// At most so many (1–200), the newest of them.
        limit: u32,
    },
    /// Sends data to others; those who have data channels get it by them. It is not kept: who is not there gets none.
    Data {
        /// What it is about (at most 64 bytes).
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        topic: String,
        /// Whom it is for (at most 32); empty for all others. Who is not in the room is left out.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        to: Vec<MemberId>,
        /// What.
        payload: DataPayload,
        /// Whether it may be lost on the way, and arrive in any order: it is not sent again, and waits behind nothing.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        lossy: bool,
        /// A number of the sender's that rises with each message: one that does not was said before, and is sent to nobody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        number: Option<u64>,
    },
    /// Raises the own hand, or lowers one: moderators may lower anybody's.
    Hand {
        /// Whether it is raised.
        raised: bool,
        /// Whose; nobody named: the own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        member: Option<MemberId>,
    },
    /// Shows everybody something for a moment. It is not kept.
    React {
        /// What.
        reaction: Reaction,
    },
    /// Changes what is said of the own self: everybody is told. What is not mentioned stays as it was. Together they have as many bytes as `welcome`
    /// says.
    Describe {
        /// The metadata; empty for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        metadata: Option<String>,
        /// The attributes: all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        attributes: Option<BTreeMap<String, String>>,
    },
    /// Says who may receive what the member publishes from a source, now and later. At first everybody may. Where not everybody may, media
    /// goes through the server.
    Audience {
        /// The source.
        source: Source,
        /// Who alone may receive it (at most 100; nobody, where none is named); absent: everybody again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        members: Option<Vec<MemberId>>,
    },
    /// Moderation: a member is removed from the room (or the lobby), its token's further use there refused for its life.
    Kick {
        /// Whom.
        member: MemberId,
    },
    /// Moderation: stops (or allows again) forwarding a track.
    MuteMember {
        /// Which track.
        track: TrackNumber,
        /// Whether it is muted.
        muted: bool,
    },
    /// Moderation: stops (or allows again) forwarding this source of everybody else who is there.
    MuteAll {
        /// Which source.
        source: Source,
        /// Whether it is muted.
        muted: bool,
    },
    /// Moderation: nobody new may join while locked.
    Lock {
        /// Whether the room is locked.
        locked: bool,
    },
    /// Moderation: lets somebody in who knocks at the locked room, or sends them away.
    Admit {
        /// Whom.
        member: MemberId,
        /// Whether they may come in.
        admitted: bool,
    },
    /// Has the room recorded on the server. Everybody is told before anything is kept. Where media goes directly between two browsers, it goes
    /// through the server from now on.
    Record {
        /// Who is recorded; nobody named: everybody.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        members: Vec<MemberId>,
        /// What of them is recorded; nothing named: everything.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<_>"))]
        sources: Vec<Source>,
    },
    /// Ends the recording.
    StopRecording {},
    /// Has the server take a picture of what somebody shows: it is kept beside the recordings. Everybody is told before it is taken; the answer
    /// comes when it is there.
    Screenshot {
        /// Whose.
        member: MemberId,
        /// The camera, or the screen.
        source: Source,
    },
    /// Asks for nothing but an answer.
    Ping {},
}

impl Request {
    /// To enter a room by way of the server.
    pub fn join(room: impl Into<String>, name: impl Into<String>, token: Option<String>) -> Self {
        Self::Join { room: room.into(), name: name.into(), token, me: None, direct: None, knock: false, encrypted: false }
    }

    /// The `type` of the request.
    pub const fn name(&self) -> &'static str {
        match self {
            Request::Hello { .. } => "hello",
            Request::Join { .. } => "join",
            Request::Resume { .. } => "resume",
            Request::Leave {} => "leave",
            Request::Enter { .. } => "enter",
            Request::Call { .. } => "call",
            Request::Accept { .. } => "accept",
            Request::Reject { .. } => "reject",
            Request::Cancel { .. } => "cancel",
            Request::HangUp { .. } => "hang_up",
            Request::Offer { .. } => "offer",
            Request::Candidate { .. } => "candidate",
            Request::Publish { .. } => "publish",
            Request::Unpublish { .. } => "unpublish",
            Request::Mute { .. } => "mute",
            Request::Subscribe { .. } => "subscribe",
            Request::Unsubscribe { .. } => "unsubscribe",
            Request::View { .. } => "view",
            Request::IceServers {} => "ice_servers",
            Request::Signal { .. } => "signal",
            Request::Direct { .. } => "direct",
            Request::Release {} => "release",
            Request::Policy { .. } => "policy",
            Request::Chat { .. } => "chat",
            Request::History { .. } => "history",
            Request::Data { .. } => "data",
            Request::Hand { .. } => "hand",
            Request::React { .. } => "react",
            Request::Describe { .. } => "describe",
            Request::Audience { .. } => "audience",
            Request::Kick { .. } => "kick",
            Request::MuteMember { .. } => "mute_member",
            Request::MuteAll { .. } => "mute_all",
            Request::Lock { .. } => "lock",
            Request::Admit { .. } => "admit",
            Request::Record { .. } => "record",
            Request::StopRecording {} => "stop_recording",
            Request::Screenshot { .. } => "screenshot",
            Request::Ping {} => "ping",
        }
    }
}

/// How one track of video is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct Tile {
    /// Which track.
    pub track: TrackNumber,
    /// Width of the picture in pixels of the display; 0 when it is not to be seen.
    pub width: u16,
    /// Height of the picture in pixels of the display; 0 when it is not to be seen.
    pub height: u16,
    /// How much it matters.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub priority: Priority,
}

/// What a sending m-line carries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub struct PublishLine {
    /// The m-line's mid.
    pub mid: String,
    /// Where the track comes from.
    pub source: Source,
    /// Whether it begins muted.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub muted: bool,
    /// Whether it is a fallback: the picture of the own track of this source once more in another codec, as the event `fallback` asks
    /// for it. It comes and goes with that track, and nobody else is told of it.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<_>"))]
    pub fallback: bool,
}
