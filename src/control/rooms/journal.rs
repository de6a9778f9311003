//! What happened to a member's media and why, kept for whoever asks later: a bounded record per participant.

use std::collections::VecDeque;

use serde::Serialize;

use super::member::{Member, Seat, number};
use super::room::Room;
use super::troubles::{Leg, News, Noticed, Shown, Sign, Trouble, Troubles, Worst, in_choice, in_health};
use crate::base::{Time, TrackId};
use crate::contract::health::{Flow, Health};
use crate::contract::{DataEnd, Event as Media, Limit, LinkState, Quality};
use crate::wire::{DirectState, MemberId, QualityLevel, Source, TrackNumber, VideoCodec};

/// Entries that are kept of one member, the newest. With a change every few seconds that is a quarter of an hour.
const MOST: usize = 256;
/// Looks at its ways that are kept of one member, the newest: ten minutes of what is bad all the time.
const MOST_LOOKS: usize = 120;

/// The record of one member.
#[derive(Debug)]
pub struct Journal {
    /// When its member came.
    came: Time,
    entries: VecDeque<Entry>,
    dropped: u64,
    looks: VecDeque<Entry>,
    pub(super) troubles: Troubles,
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
    /// The first packet of an own track has come.
    Began { track: TrackNumber, source: Source },
    /// It has sent more than it may: it was told, or the track ended.
    Excess { track: TrackNumber, source: Source, sent_kbps: u64, ended: bool },
    /// How its ways have done for a while: what did not do well.
    Ways {
        over_ms: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        round_trip_ms: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        link: Option<Link>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        uplink: Vec<Way>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        downlink: Vec<Way>,
    },
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

/// How a track has come, or gone out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Way {
    track: TrackNumber,
    loss_per_mille: u16,
    jitter_ms: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    silent: bool,
    /// So long a key frame has been waited for.
    waits_ms: u32,
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
    pub(super) member: MemberId,
    /// As others see it.
    name: String,
    /// When it came, in milliseconds since the node began, and when it went.
    came_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    went_ms: Option<u64>,
    /// Older entries that are not kept, of all kinds.
    dropped: u64,
    entries: Vec<Entry>,
    /// What its ways were like while they did not do well, and a minute's last look otherwise.
    looks: Vec<Entry>,
    /// When it had bad pictures or sound, or others had because of its uplink.
    pub(super) troubles: Vec<Trouble>,
}

impl Journal {
    /// Of a member that comes now.
    pub(super) fn new(came: Time) -> Self {
        Self { came, entries: VecDeque::new(), dropped: 0, looks: VecDeque::new(), troubles: Troubles::default() }
    }

    pub(super) fn note(&mut self, now: Time, what: What) {
        if self.entries.len() >= MOST {
            self.entries.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.entries.push_back(Entry { at_ms: now.as_micros() / 1_000, what });
    }

    fn look(&mut self, now: Time, what: What) {
        if self.looks.len() >= MOST_LOOKS {
            self.looks.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.looks.push_back(Entry { at_ms: now.as_micros() / 1_000, what });
    }

    /// It is given out. `went`: when its member has left.
    pub(super) fn of(&self, member: MemberId, name: String, went: Option<Time>) -> MemberJournal {
        MemberJournal {
            member,
            name,
            came_ms: self.came.as_micros() / 1_000,
            went_ms: went.map(|at| at.as_micros() / 1_000),
            dropped: self.dropped.saturating_add(self.troubles.dropped()),
            entries: self.entries.iter().cloned().collect(),
            looks: self.looks.iter().cloned().collect(),
            troubles: self.troubles.all(),
        }
    }
}

impl MemberJournal {
    /// Everything that there is of it, counted.
    pub(super) fn size(&self) -> usize {
        self.entries.len() + self.looks.len() + self.troubles.len() + 1
    }
}

impl Room {
    /// Notes what a worker says about a member's media.
    pub(super) fn keep_journal(&mut self, now: Time, event: &Media) {
        self.keep_troubles(now, event);
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
            Media::TrackStarted { track, .. } => {
                let seat = self.tracks.get(track);
                let Some(shown) = self.shown(*track) else { return };
                (seat, What::Began { track: shown.track, source: shown.source })
            }
            Media::Excess { track, sent, ended, .. } => {
                let seat = self.tracks.get(track);
                let Some(shown) = self.shown(*track) else { return };
                (seat, What::Excess { track: shown.track, source: shown.source, sent_kbps: sent.as_bps() / 1_000, ended: *ended })
            }
            Media::Health { peer, health, .. } => return self.keep_look(now, self.peers.get(peer).copied(), health),
            Media::Speakers { .. } | Media::Data { .. } | Media::RoomFailed { .. } | Media::Mapped(_) => return,
        };
        if let Some(member) = seat.copied().and_then(|seat| self.members.get_mut(&seat)) {
            member.journal.note(now, what);
        }
    }

    fn keep_look(&mut self, now: Time, seat: Option<Seat>, health: &Health) {
        let ways = |flows: &[Flow]| flows.iter().map(|flow| self.flow(flow)).collect();
        let what = What::Ways {
            over_ms: health.over_ms,
            round_trip_ms: health.round_trip_ms,
            link: health.link.as_ref().map(Link::from),
            uplink: ways(&health.received),
            downlink: ways(&health.sent),
        };
        if let Some(member) = seat.and_then(|seat| self.members.get_mut(&seat)) {
            member.journal.look(now, what);
        }
    }

    fn flow(&self, flow: &Flow) -> Way {
        let Flow { track, loss_per_mille, jitter_ms, silent, waits_ms } = *flow;
        Way { track: number(self.fallbacks.original(track)), loss_per_mille, jitter_ms, silent, waits_ms }
    }

    /// Notes since when, and until when, something was bad.
    fn keep_troubles(&mut self, now: Time, event: &Media) {
        let off = || Noticed { leg: Leg::Connection, sign: Sign::Disconnected, track: None, worst: Worst::default() };
        let (peer, since, news, noticed) = match event {
            Media::Health { peer, health, .. } => {
                let since = Time::from_micros(now.as_micros().saturating_sub(u64::from(health.over_ms) * 1_000));
                (peer, since, News::Health, in_health(health))
            }
            Media::Quality { peer, tracks, link, .. } => (peer, now, News::Choice, in_choice(tracks, link.as_ref())),
            Media::Disconnected { peer, .. } => (peer, now, News::Connection, vec![off()]),
            Media::Connected { peer, .. } | Media::Reconnected { peer, .. } => (peer, now, News::Connection, Vec::new()),
            _ => return,
        };
        let Some(seat) = self.peers.get(peer).copied() else { return };
        // Of what is muted nothing comes, as it should be.
        let muted = |noticed: &Noticed| matches!(noticed.sign, Sign::Silent | Sign::Frozen) && noticed.track.is_some_and(|t| self.is_muted(t));
        let explained: Vec<_> = noticed
            .into_iter()
            .filter(|noticed| !muted(noticed))
            .map(|noticed| {
                let seen_by = noticed.track.filter(|_| noticed.leg == Leg::Uplink).map_or_else(Vec::new, |track| self.watchers(track));
                let shown = noticed.track.and_then(|track| self.shown(track));
                (noticed, shown, seen_by)
            })
            .collect();
        if let Some(member) = self.members.get_mut(&seat) {
            member.journal.troubles.take_in(since, now, news, explained);
        }
    }

    fn shown(&self, track: TrackId) -> Option<Shown> {
        let track = self.fallbacks.original(track);
        let member = self.members.get(self.tracks.get(&track)?)?;
        Some(Shown { track: number(track), member: member.identity.clone(), source: member.track(track)?.source })
    }

    fn is_muted(&self, track: TrackId) -> bool {
        let track = self.fallbacks.original(track);
        let member = self.tracks.get(&track).and_then(|seat| self.members.get(seat));
        member.and_then(|member| member.track(track)).is_some_and(|track| track.muted || track.muted_by_moderator)
    }

    /// Who is sent a picture at present.
    fn watchers(&self, track: TrackId) -> Vec<MemberId> {
        let track = number(self.fallbacks.original(track));
        let watches = |member: &&Member| member.quality.iter().any(|sent| sent.track == track && sent.level != QualityLevel::Paused);
        self.members.values().filter(watches).map(|member| member.identity.clone()).collect()
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
        self.members.values().map(|m| m.journal.of(m.identity.clone(), m.name.clone(), None)).collect()
    }
}

impl From<&LinkState> for Link {
    fn from(state: &LinkState) -> Self {
        let LinkState { estimate, why, loss_per_cent, round_trip_ms } = *state;
        Self { estimate_kbps: estimate.as_bps() / 1_000, why, loss_per_cent, round_trip_ms }
    }
}
