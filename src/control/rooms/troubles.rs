//! When a member had bad pictures or sound, and on which leg of the way: from what workers say, as spans of time. Pure.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::base::{Time, TrackId};
use crate::contract::health::{DISTANT_MS, Health, JITTERY_MS, LOSSY_PER_MILLE, STANDS_STILL_MS};
use crate::contract::{Limit, LinkState, Quality};
use crate::wire::{MemberId, Source, TrackNumber};

/// Spans that are kept of one member, the newest.
const MOST: usize = 128;
/// Spans of one member that last at a time: a few for each of its slots.
const MOST_OPEN: usize = 128;
/// Members that are named of those who saw it.
const MOST_NAMED: usize = 32;
/// A lesser picture for a shorter time is how every call begins.
const LEAST_REDUCED_MS: u64 = 3_000;
/// A picture that is gone for a shorter time has hardly been missed.
const LEAST_PAUSED_MS: u64 = 1_000;

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// From the member to the server.
    Uplink,
    /// From the server to the member.
    Downlink,
    /// Both.
    Connection,
}

/// By what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Packets were lost.
    Loss,
    /// They came at uneven times.
    Jitter,
    /// They took long.
    Delay,
    /// A picture that was wanted did not come.
    Silent,
    /// A picture waited for a key frame.
    Frozen,
    /// A lesser picture was sent, because the link carried no more.
    Reduced,
    /// A picture was not sent, because the link carried too little.
    Paused,
    /// A picture was not sent, because its codec cannot be decoded.
    Undecodable,
    /// There was no connection.
    Disconnected,
}

/// Which kind of news says whether a sign is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Health,
    Choice,
    Connection,
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub track: TrackNumber,
    /// Whose it is.
    pub member: MemberId,
    pub source: Source,
}

/// The worst of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Worst {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_per_cent: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_ms: Option<u32>,
    /// The least that the link was thought to carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_kbps: Option<u64>,
    /// Why it was thought so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// The place of the encoding that was sent, from the least, and how many there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<(u8, u8)>,
}

/// A span of time in which something was bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// In milliseconds since the node began.
    pub from_ms: u64,
    /// The same; none while it lasts.
    pub to_ms: Option<u64>,
    pub leg: Leg,
    pub sign: Sign,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    pub worst: Worst,
    /// How long everything would have been lost, had nothing been lost besides.
    #[serde(skip)]
    pub lost_ms: u64,
    /// Of a member's uplink: who was sent it meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen_by: Vec<MemberId>,
}

/// What was noticed at one time.
#[derive(Clone, Debug)]
pub(super) struct Noticed {
    pub leg: Leg,
    pub sign: Sign,
    pub track: Option<TrackId>,
    pub worst: Worst,
}

/// One member's spans.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    open: BTreeMap<(Leg, Sign, Option<TrackId>), Trouble>,
    closed: VecDeque<Trouble>,
    dropped: u64,
}

impl Sign {
    const fn news(self) -> News {
        match self {
            Sign::Loss | Sign::Jitter | Sign::Delay | Sign::Silent | Sign::Frozen => News::Health,
            Sign::Reduced | Sign::Paused | Sign::Undecodable => News::Choice,
            Sign::Disconnected => News::Connection,
        }
    }

    const fn least_ms(self) -> u64 {
        match self {
            Sign::Reduced => LEAST_REDUCED_MS,
            Sign::Paused => LEAST_PAUSED_MS,
            _ => 0,
        }
    }
}

impl Worst {
    fn take_in(&mut self, other: Worst) {
        self.loss_per_cent = self.loss_per_cent.max(other.loss_per_cent);
        self.jitter_ms = self.jitter_ms.max(other.jitter_ms);
        self.round_trip_ms = self.round_trip_ms.max(other.round_trip_ms);
        self.waits_ms = self.waits_ms.max(other.waits_ms);
        if other.estimate_kbps.is_some_and(|now| self.estimate_kbps.is_none_or(|before| now < before)) {
            (self.estimate_kbps, self.why) = (other.estimate_kbps, other.why);
        }
        if other.encoding.is_some_and(|(now, _)| self.encoding.is_none_or(|(before, _)| now < before)) {
            self.encoding = other.encoding;
        }
    }

    fn with_link(self, link: Option<&LinkState>) -> Self {
        let estimate = link.map(|link| (link.estimate.as_bps() / 1_000, link.why));
        Self { estimate_kbps: estimate.map(|(kbps, _)| kbps), why: estimate.map(|(_, why)| why), ..self }
    }
}

impl Troubles {
    /// News of one kind: what it names goes on, or began `since`; what it does not name is over, and was for the last time seen `since`.
    pub fn take_in(&mut self, since: Time, now: Time, news: News, noticed: impl IntoIterator<Item = (Noticed, Option<Shown>, Vec<MemberId>)>) {
        let (since, now) = (since.as_micros() / 1_000, now.as_micros() / 1_000);
        let mut lasting = Vec::new();
        for (Noticed { leg, sign, track, worst }, shown, seen_by) in noticed {
            let key = (leg, sign, track);
            lasting.push(key);
            if self.open.len() >= MOST_OPEN && !self.open.contains_key(&key) {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            let begun = || Trouble { from_ms: since.min(now), to_ms: None, leg, sign, shown, worst, lost_ms: 0, seen_by: Vec::new() };
            let trouble = self.open.entry(key).or_insert_with(begun);
            trouble.worst.take_in(worst);
            trouble.lost_ms += u64::from(worst.loss_per_cent.unwrap_or(0)) * now.saturating_sub(since) / 100;
            for member in seen_by {
                if trouble.seen_by.len() < MOST_NAMED && !trouble.seen_by.contains(&member) {
                    trouble.seen_by.push(member);
                }
            }
        }
        let over: Vec<_> = self.open.keys().filter(|key| key.1.news() == news && !lasting.contains(key)).copied().collect();
        over.iter().for_each(|key| self.close(key, since));
    }

    /// Everything is over: the member has left.
    pub fn end(&mut self, now: Time) {
        let all: Vec<_> = self.open.keys().copied().collect();
        all.iter().for_each(|key| self.close(key, now.as_micros() / 1_000));
    }

    /// All of them, those that last included, in the order in which they began.
    pub fn all(&self) -> Vec<Trouble> {
        let mut all: Vec<_> = self.closed.iter().chain(self.open.values()).cloned().collect();
        all.sort_by_key(|trouble| trouble.from_ms);
        all
    }

    /// Those that last, and are no passing thing any more.
    pub fn present(&self, now: Time) -> impl Iterator<Item = &Trouble> {
        let now = now.as_micros() / 1_000;
        self.open.values().filter(move |trouble| now.saturating_sub(trouble.from_ms) >= trouble.sign.least_ms())
    }

    /// How many are not kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn close(&mut self, key: &(Leg, Sign, Option<TrackId>), at: u64) {
        let Some(trouble) = self.open.remove(key) else { return };
        let to = at.max(trouble.from_ms);
        if to - trouble.from_ms < trouble.sign.least_ms() {
            return;
        }
        if self.closed.len() >= MOST {
            self.closed.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.closed.push_back(Trouble { to_ms: Some(to), ..trouble });
    }
}

/// What is bad of how a connection does.
pub(super) fn in_health(health: &Health) -> Vec<Noticed> {
    let mut found = Vec::new();
    let link = health.link.as_ref();
    for (leg, flows) in [(Leg::Uplink, &health.received), (Leg::Downlink, &health.sent)] {
        for flow in flows {
            let mut note = |sign, worst: Worst| found.push(Noticed { leg, sign, track: Some(flow.track), worst });
            if flow.loss_per_mille >= LOSSY_PER_MILLE {
                let worst = Worst { loss_per_cent: Some(flow.loss_per_mille / 10), round_trip_ms: health.round_trip_ms, ..Worst::default() };
                note(Sign::Loss, if leg == Leg::Downlink { worst.with_link(link) } else { worst });
            }
            if flow.jitter_ms >= JITTERY_MS {
                note(Sign::Jitter, Worst { jitter_ms: Some(flow.jitter_ms), round_trip_ms: health.round_trip_ms, ..Worst::default() });
            }
            if flow.silent {
                note(Sign::Silent, Worst::default());
            }
            if flow.waits_ms >= STANDS_STILL_MS {
                note(Sign::Frozen, Worst { waits_ms: Some(flow.waits_ms), ..Worst::default() }.with_link(link));
            }
        }
    }
    if let Some(round_trip) = health.round_trip_ms.filter(|ms| *ms >= DISTANT_MS) {
        let worst = Worst { round_trip_ms: Some(round_trip), ..Worst::default() };
        found.push(Noticed { leg: Leg::Connection, sign: Sign::Delay, track: None, worst });
    }
    found
}

/// What is bad of what is sent to a subscriber.
pub(super) fn in_choice(tracks: &[Quality], link: Option<&LinkState>) -> Vec<Noticed> {
    let judge = |sent: &Quality| {
        let (sign, encoding) = match (sent.limit?, sent.encoding) {
            (Limit::Bandwidth, None) => (Sign::Paused, None),
            (Limit::Bandwidth, Some(encoding)) => (Sign::Reduced, Some((encoding, sent.of))),
            (Limit::Codec, _) => (Sign::Undecodable, None),
            (Limit::View | Limit::Publisher, _) => return None,
        };
        let worst = Worst {
            encoding,
            loss_per_cent: link.map(|link| link.loss_per_cent.into()),
            round_trip_ms: link.map(|link| link.round_trip_ms),
            ..Worst::default()
        };
        Some(Noticed { leg: Leg::Downlink, sign, track: Some(sent.track), worst: worst.with_link(link) })
    };
    tracks.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests;
