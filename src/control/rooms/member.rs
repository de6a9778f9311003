//! A member of a room, and what it has.

use std::collections::{BTreeMap, BTreeSet};

use super::command::SocketId;
use super::fallback::Forms;
use super::gestures::Gestures;
use super::journal::Journal;
use super::message::Sending;
use super::profile::{Changes, Profile};
use super::slots::{Group, Slots};
use super::way::Allowance;
use super::whip::HttpSession;
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{Fingerprint, MediaKind, Mid, ReceivePlan, View};
use crate::sdp::{Pair, Session};
use crate::wire::{DirectAbility, Grants, MemberId, MemberInfo, Source, TrackInfo, TrackNumber, TrackQuality};

/// A member's place in a room; never given twice in a room's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seat(pub u32);

/// A member.
pub struct Member {
    pub identity: MemberId,
    pub name: String,
    pub grants: Grants,
    /// The secret that takes up its session.
    pub resume: String,
    pub presence: Presence,
    /// What it has instead of a socket, when it came by WHIP or WHEP.
    pub http: Option<HttpSession>,
    /// It can be connected with another member directly.
    pub direct: Option<DirectAbility>,
    /// What it may still say to the other end of a direct connection.
    pub allowance: Allowance,
    /// What it may still send of data by its socket.
    pub sending: Sending,
    /// What the application says of it.
    pub profile: Profile,
    /// What it may still change of itself.
    pub changes: Changes,
    /// Who alone may receive what it publishes, by source.
    pub audiences: BTreeMap<Source, BTreeSet<MemberId>>,
    /// Tracks that its token lets it publish at a time, if it says so.
    pub most_tracks: Option<u8>,
    /// Kilobits a second that its token lets it publish, if it says so.
    pub most_kbps: Option<u32>,
    /// When it came.
    pub since: Time,
    /// Its hand, where it is raised, and what it may still show.
    pub gestures: Gestures,
    /// The number of the last event for it.
    pub seq: u64,
    pub connection: Option<Connection>,
    pub tracks: Vec<Track>,
    /// Others' tracks that it does not want.
    pub unwanted: BTreeSet<TrackId>,
    /// How it shows others' tracks, where it has said so.
    pub views: BTreeMap<TrackId, View>,
    /// Others' tracks that it has pinned: they are shown whoever speaks.
    pub pins: BTreeSet<TrackId>,
    /// What it is sent.
    pub quality: Vec<TrackQuality>,
    /// What happened to its media.
    pub journal: Journal,
    pub slots: Slots,
    /// How many slot pairs it has been told to have.
    pub asked: usize,
}

/// Whether a member's socket is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    Here(SocketId),
    Away { since: Time },
}

/// A member's media connection.
pub struct Connection {
    pub peer: PeerId,
    pub worker: WorkerId,
    pub session: Session,
    pub fingerprint: Option<Fingerprint>,
    pub pairs: Vec<Pair>,
    /// What it sends, as it was negotiated: other workers need to know.
    pub receive: Vec<ReceivePlan>,
    /// In which forms it can decode a picture, by the index of the m-line that it would come on.
    pub decodes: Vec<(u8, Forms)>,
    /// m-lines on which something may be published.
    pub publishable: Vec<(Mid, MediaKind, u8)>,
    /// Its data channels are open: data goes by them.
    pub data: bool,
    /// Kilobits a second that its worker holds it to.
    pub publish_kbps: Option<u32>,
}

/// A published track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    pub id: TrackId,
    pub source: Source,
    pub mid: Mid,
    pub muted: bool,
    pub muted_by_moderator: bool,
    /// It is the fallback of the member's track of the same source, and shown in its place; others do not know it.
    pub fallback: bool,
    /// A bit for each encoding that somebody wants, once a worker has said so.
    pub demand: Option<u8>,
    /// Who alone may receive it.
    pub audience: Option<Vec<MemberId>>,
}

impl Member {
    pub fn socket(&self) -> Option<SocketId> {
        match self.presence {
            Presence::Here(socket) => Some(socket),
            Presence::Away { .. } => None,
        }
    }

    /// Whether it can be connected directly, and may do there what nobody could keep it from: send and receive everything, chat, and send data.
    pub fn may_be_direct(&self) -> bool {
        self.direct.is_some() && is_unlimited(&self.grants)
    }

    /// Where it can be told something.
    pub fn ear(&self) -> Option<SocketId> {
        self.socket().filter(|_| self.http.is_none())
    }

    pub fn info(&self) -> MemberInfo {
        MemberInfo {
            member: self.identity.clone(),
            name: self.name.clone(),
            moderator: self.grants.moderate,
            away: self.socket().is_none() || self.http.as_ref().is_some_and(HttpSession::is_lost),
            tracks: self.tracks.iter().filter(|t| !t.fallback).map(Track::info).collect(),
            hand: self.gestures.hand,
            metadata: self.profile.metadata.clone(),
            attributes: self.profile.attributes.clone(),
        }
    }

    /// The same, as the member itself is told.
    pub fn own_info(&self) -> MemberInfo {
        MemberInfo { tracks: self.tracks.iter().map(Track::info).collect(), ..self.info() }
    }

    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|t| t.id == id)
    }

    pub fn next_seq(&mut self) -> u64 {
        self.seq = self.seq.saturating_add(1);
        self.seq
    }
}

/// Whether these grants leave nothing out but moderation.
pub fn is_unlimited(grants: &Grants) -> bool {
    grants.subscribe && grants.chat && grants.data && Source::ALL.iter().all(|source| grants.publish.contains(source))
}

impl Connection {
    /// The index of the m-line with this mid, if `source` may be published there.
    pub fn publishable(&self, mid: Mid, source: Source) -> Option<u8> {
        publishable(&self.publishable, mid, source)
    }
}

/// The index of the m-line with this mid among those that are `publishable`, if it has the kind of `source`.
pub fn publishable(publishable: &[(Mid, MediaKind, u8)], mid: Mid, source: Source) -> Option<u8> {
    let kind = if source.is_audio() { MediaKind::Audio } else { MediaKind::Video };
    publishable.iter().find(|(m, k, _)| *m == mid && *k == kind).map(|(_, _, index)| *index)
}

impl Track {
    pub fn info(&self) -> TrackInfo {
        let Track { source, muted, muted_by_moderator, fallback, .. } = *self;
        TrackInfo { track: number(self.id), source, muted, muted_by_moderator, fallback, audience: self.audience.clone() }
    }

    pub fn group(&self, seat: Seat) -> Group {
        Group { seat, screen: self.source.is_screen() }
    }
}

/// A track's identity as the protocol writes it.
pub const fn number(track: TrackId) -> TrackNumber {
    TrackNumber(track.0)
}
