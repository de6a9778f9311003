//! What a worker tells the control plane.

use std::net::SocketAddr;

use super::health::Health;
use super::plan::SrtpProfile;
use crate::base::{Bitrate, PeerId, RoomId, Time, TrackId, WorkerId};

/// Something that happened in a room on a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// DTLS is done: media may flow both ways.
    Connected {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
        /// The negotiated SRTP protection profile.
        profile: SrtpProfile,
        /// When its first ICE check was validated.
        reached: Time,
    },
    /// Nothing authenticated has come for the consent time (RFC 7675), or the handshake failed, or the peer closed.
    Disconnected {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
    /// Consent has come back after [`DisconnectReason::ConsentLost`] (an ICE restart, or the network returned).
    Reconnected {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
    },
    /// Who speaks has changed: the tracks above the speech threshold, loudest first.
    Speakers {
        /// Where.
        room: RoomId,
        /// Audio level in −dBov (0 loudest, 127 silence; RFC 6464) of each speaking track.
        speaking: Vec<(TrackId, u8)>,
    },
    /// Which encodings of a track somebody here, or on another worker, wants; whoever publishes it may leave out the others.
    Demand {
        /// Where.
        room: RoomId,
        /// Which track.
        track: TrackId,
        /// A bit for each encoding, by its number.
        encodings: u8,
    },
    /// What a subscriber is sent of each track of video that it is pointed at: all of it, when something about it changes.
    Quality {
        /// Where.
        room: RoomId,
        /// The subscriber.
        peer: PeerId,
        /// The tracks.
        tracks: Vec<Quality>,
        /// What its link carries, where it says what it receives.
        link: Option<LinkState>,
    },
    /// How a peer's connection does: every few seconds while somebody may notice, and now and then.
    Health {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
        /// How it has done since it was told last.
        health: Box<Health>,
    },
    /// A peer sends more than it may ([`super::RoomCommand::Allow`]).
    Excess {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
        /// What of its takes most.
        track: TrackId,
        /// What it has sent lately, in all.
        sent: Bitrate,
        /// Whether that track is not forwarded any more; otherwise it will not be if this goes on.
        ended: bool,
    },
    /// The first packet of a published track has arrived.
    TrackStarted {
        /// Where.
        room: RoomId,
        /// Which track.
        track: TrackId,
    },
    /// A peer has data channels now, or has none any more.
    DataChannel {
        /// Where.
        room: RoomId,
        /// Whose connection.
        peer: PeerId,
        /// None when it can be reached by them; else why it cannot any more.
        end: Option<DataEnd>,
    },
    /// A peer has sent a message on one of its data channels. Dealt with, it is to be answered by `DataTaken`.
    Data {
        /// Where.
        room: RoomId,
        /// The worker that hands it up.
        worker: WorkerId,
        /// Whose connection.
        peer: PeerId,
        /// The message as it came in.
        message: Vec<u8>,
        /// Whether it came on a reliable channel.
        reliable: bool,
    },
    /// The room's state was dropped after a fault; its members must connect anew.
    RoomFailed {
        /// Which room.
        room: RoomId,
    },
    /// A STUN server has answered what this node asked it from a media port: of no room.
    Mapped(Mapped),
}

/// What a STUN server says of a media port (RFC 8489 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The transaction that it answers.
    pub transaction: [u8; 12],
    /// Who says so.
    pub server: SocketAddr,
    /// As what the port is seen.
    pub address: SocketAddr,
}

/// Why a connection is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// No authenticated STUN for the consent time.
    ConsentLost,
    /// The DTLS handshake failed (a wrong fingerprint, no common profile, or it never ended).
    HandshakeFailed,
    /// The peer closed DTLS.
    Closed,
    /// No candidate pair of a connection that this node has begun was answered.
    NoWay,
}

/// Why a peer's data channels have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataEnd {
    /// The peer has closed them.
    Closed,
    /// More waited for it than is kept: what waited is lost.
    TooSlow,
    /// It broke the rules of SCTP.
    Misuse,
}

/// What is known of the link to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// What it carries on the wire.
    pub estimate: Bitrate,
    /// Why it is estimated so: a word for it.
    pub why: &'static str,
    /// Of a hundred datagrams, so many are lost.
    pub loss_per_cent: u8,
    /// From sending to the report about it, in milliseconds.
    pub round_trip_ms: u32,
}

/// What a subscriber is sent of a track of video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Which track.
    pub track: TrackId,
    /// The number of the encoding, from the smallest; none while nothing is sent.
    pub encoding: Option<u8>,
    /// How many encodings there are.
    pub of: u8,
    /// Why it is not more.
    pub limit: Option<Limit>,
}

/// What keeps a picture from being better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The way to the subscriber carries no more.
    Bandwidth,
    /// It is shown smaller, or not at all.
    View,
    /// Its publisher sends nothing better.
    Publisher,
    /// The subscriber cannot decode its codec.
    Codec,
}

impl DataEnd {
    /// The reason as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            DataEnd::Closed => "closed",
            DataEnd::TooSlow => "too_slow",
            DataEnd::Misuse => "misuse",
        }
    }
}

impl DisconnectReason {
    /// The reason as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            DisconnectReason::ConsentLost => "consent_lost",
            DisconnectReason::HandshakeFailed => "handshake_failed",
            DisconnectReason::Closed => "closed",
            DisconnectReason::NoWay => "no_way",
        }
    }
}
