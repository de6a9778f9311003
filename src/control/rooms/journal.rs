//! What happened to a member's media and why, kept for whoever asks later: a bounded record per participant.

use std::collections::VecDeque;

use serde::Serialize;

use super::member::number;
use super::room::Room;
use crate::base::Time;
use crate::contract::{DataEnd, Event as Media, Limit, LinkState, Quality};
use crate::wire::{DirectState, MemberId, TrackNumber, VideoCodec};

/// Entries that are kept of one member, the newest. With a change every few seconds that is a quarter of an hour.
const MOST: usize = 256;

/// The record of one member.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    dropped: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When, in milliseconds since the node began.
    at_ms: u64,
    #[serde(flatten)]
    what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum What {
    /// The media connection came up, went down, or came back.
    Connection { state: &'static str },
    /// Its data channels opened, or were closed.
    Data { state: &'static str },
    /// Its media travels otherwise: through the server, directly, or there is nobody to travel to.
    Way {
        #[serde(skip_serializing_if = "Option::is_none")]
        via: Option<&'static str>,
    },
    /// What it has said of its direct connection.
    Direct {
        #[serde(flatten)]
        state: DirectState,
    },
    /// What it is sent has changed.
    Sent {
        /// What its link carried then, and why that was so.
        #[serde(skip_serializing_if = "Option::is_none")]
        link: Option<Link>,
        tracks: Vec<Track>,
    },
    /// Which encodings of an own track anybody wants has changed.
    Demand { track: TrackNumber, encodings: u8 },
    /// A fallback of an own track was asked for in one of these codecs, for so many; in none: it was no longer.
    Fallback { track: TrackNumber, codecs: Vec<VideoCodec>, waiting: usize },
    /// There is a fallback of an own track now, under this number; or no longer.
    FallbackSent {
        track: TrackNumber,
        #[serde(skip_serializing_if = "Option::is_none")]
        fallback: Option<TrackNumber>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Link {
    estimate_kbps: u64,
    why: &'static str,
    loss_per_cent: u8,
    round_trip_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Track {
    track: TrackNumber,
    /// Whether it is sent the fallback in its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fallback: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<u8>,
    of: u8,
    /// Why it is not more.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
}

/// One member's record, as it is given out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberJournal {
    member: MemberId,
    /// Older entries that are not kept.
    dropped: u64,
    entries: Vec<Entry>,
}

impl Journal {
    pub(super) fn note(&mut self, now: Time, what: What) {
        if self.entries.len() >= MOST {
            self.entries.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.entries.push_back(Entry { at_ms: now.as_micros() / 1_000, what });
    }
}

impl Room {
    /// Notes what a worker says about a member's media.
    pub(super) fn keep_journal(&mut self, now: Time, event: &Media) {
        let (seat, what) = match event {
            Media::Connected { peer, .. } => (self.peers.get(peer), What::Connection { state: "connected" }),
            Media::Reconnected { peer, .. } => (self.peers.get(peer), What::Connection { state: "reconnected" }),
            Media::Disconnected { peer, reason, .. } => (self.peers.get(peer), What::Connection { state: reason.name() }),
            Media::Quality { peer, tracks, link, .. } => (
                self.peers.get(peer),
                What::Sent { link: link.as_ref().map(Link::from), tracks: tracks.iter().map(|sent| self.sent_track(sent)).collect() },
            ),
            Media::Demand { track, encodings, .. } => (self.tracks.get(track), What::Demand { track: number(*track), encodings: *encodings }),
            Media::DataChannel { peer, end, .. } => (self.peers.get(peer), What::Data { state: end.map_or("open", DataEnd::name) }),
            Media::Speakers { .. } | Media::TrackStarted { .. } | Media::Data { .. } | Media::RoomFailed { .. } | Media::Mapped(_) => return,
        };
        if let Some(member) = seat.copied().and_then(|seat| self.members.get_mut(&seat)) {
            member.journal.note(now, what);
        }
    }

    fn sent_track(&self, sent: &Quality) -> Track {
        let limit = sent.limit.map(|limit| match limit {
            Limit::Bandwidth => "bandwidth",
            Limit::View => "view",
            Limit::Publisher => "publisher",
            Limit::Codec => "codec",
        });
        let track = self.fallbacks.original(sent.track);
        Track { track: number(track), fallback: track != sent.track, encoding: sent.encoding, of: sent.of, limit }
    }

    /// The records of all members.
    pub fn journals(&self) -> Vec<MemberJournal> {
        let of = |m: &super::member::Member| {
            let entries = m.journal.entries.iter().cloned().collect();
            MemberJournal { member: m.identity.clone(), dropped: m.journal.dropped, entries }
        };
        self.members.values().map(of).collect()
    }
}

impl From<&LinkState> for Link {
    fn from(state: &LinkState) -> Self {
        let LinkState { estimate, why, loss_per_cent, round_trip_ms } = *state;
        Self { estimate_kbps: estimate.as_bps() / 1_000, why, loss_per_cent, round_trip_ms }
    }
}
