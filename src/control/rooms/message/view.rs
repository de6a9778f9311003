//! `view`: how a member shows others' tracks, and what comes of it: which encodings are wanted of whom, and what is sent.

use crate::base::TrackId;
use crate::contract::{Limit, MOST_ENCODINGS, Quality, RoomCommand, View};
use crate::control::Refusal;
use crate::control::rooms::member::{Member, Seat, number};
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ErrorCode, Event, Priority, QualityLevel, QualityLimit, Tile, TrackQuality};

/// Tiles of one message: as many as there are m-lines.
const MOST_TILES: usize = 64;
/// What a shared screen is ranked above a camera: text that cannot be read is of no use.
const SCREEN_RANK: u8 = 3;

impl Room {
    /// Tracks that have ended meanwhile are passed over: the client may not know it yet.
    pub(in crate::control::rooms) fn view(&mut self, seat: Seat, tiles: &[Tile]) -> Outcome {
        if tiles.len() > MOST_TILES {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "at most 64 tiles in one message"));
        }
        let mut pinned = false;
        for tile in tiles {
            let id = TrackId(tile.track.0);
            let Some(source) =
                self.tracks.get(&id).filter(|owner| **owner != seat).and_then(|owner| self.members.get(owner)?.track(id).filter(|t| !t.fallback))
            else {
                continue;
            };
            let rank = rank(tile.priority, source.source.is_screen());
            let view = View { width: tile.width, height: tile.height, rank };
            pinned |= self.pin(seat, id, tile.priority);
            let Some(member) = self.members.get_mut(&seat) else { return Ok(None) };
            if member.views.insert(id, view) != Some(view) {
                self.fallbacks.look_again(seat);
                self.point_again(seat, id);
            }
        }
        if pinned {
            self.fill_one(seat);
        }
        Ok(None)
    }

    /// A slot shows what it showed, in another size or another form.
    pub(in crate::control::rooms) fn point_again(&mut self, seat: Seat, track: TrackId) {
        let Some(member) = self.members.get(&seat) else { return };
        let Some(connection) = &member.connection else { return };
        let shown = member.slots.filled().find(|(_, shown)| shown.video == Some(track));
        let Some(mline) = shown.and_then(|(pair, _)| connection.pairs.get(pair)?.video) else { return };
        let (peer, worker, view) = (connection.peer, connection.worker, self.view_of(member, track));
        let source = Some(self.fallbacks.shown(seat, track));
        self.worker(worker, RoomCommand::Point { peer, mline: mline.index, source, view, name: self.name_of(seat, track) });
    }

    /// How a member shows a track; large, until it says something else.
    pub(in crate::control::rooms) fn view_of(&self, member: &Member, track: TrackId) -> View {
        let screen = || self.tracks.get(&track).and_then(|owner| self.members.get(owner)?.track(track)).is_some_and(|t| t.source.is_screen());
        member.views.get(&track).copied().unwrap_or_else(|| View { rank: rank(Priority::Normal, screen()), ..View::LARGE })
    }

    /// A worker has found out which encodings of a track anybody wants.
    pub(in crate::control::rooms) fn demanded(&mut self, track: TrackId, encodings: u8) {
        let Some(seat) = self.tracks.get(&track).copied() else { return };
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(own) = member.tracks.iter_mut().find(|t| t.id == track) else { return };
        own.demand = Some(encodings);
        self.tell_demand(seat, track);
    }

    /// Tells a publisher which encodings of a track are wanted, if it has several.
    pub(in crate::control::rooms) fn tell_demand(&mut self, seat: Seat, track: TrackId) {
        let Some(member) = self.members.get(&seat) else { return };
        let Some((mid, encodings)) = member.track(track).and_then(|t| Some((t.mid, t.demand?))) else { return };
        let Some(line) = member.connection.as_ref().and_then(|c| c.receive.iter().find(|l| l.mid == mid)) else { return };
        let wanted = (0..).zip(&line.rids).filter(|(n, _)| encodings >> n & 1 == 1);
        let rids: Vec<String> = wanted.map(|(_, rid)| rid.to_string()).collect();
        if line.rids.len() > 1 {
            self.tell(|s| s == seat, Event::Demand { track: number(track), rids });
        }
    }

    /// A worker has changed what a subscriber is sent. Of a track that has ended meanwhile nothing is told, least of all of a fallback: its
    /// number is not known to anybody.
    pub(in crate::control::rooms) fn sent(&mut self, seat: Seat, tracks: &[Quality]) {
        let known = tracks.iter().filter(|sent| self.tracks.contains_key(&sent.track));
        let quality = known.map(|sent| quality(self.fallbacks.original(sent.track), sent)).collect();
        let Some(member) = self.members.get_mut(&seat) else { return };
        member.quality = quality;
        self.tell_quality(seat);
    }

    /// Tells a member what it is sent.
    pub(in crate::control::rooms) fn tell_quality(&mut self, seat: Seat) {
        let Some(tracks) = self.members.get(&seat).map(|m| m.quality.clone()) else { return };
        self.tell(|s| s == seat, Event::Quality { tracks });
    }
}

const fn rank(priority: Priority, screen: bool) -> u8 {
    let rank = match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
    };
    if screen { rank + SCREEN_RANK } else { rank }
}

fn quality(track: TrackId, sent: &Quality) -> TrackQuality {
    // The largest encoding is high, however many there are.
    let below_the_largest = |encoding: u8| sent.of.saturating_sub(1).saturating_sub(encoding).min(MOST_ENCODINGS as u8);
    let level = match sent.encoding.map(below_the_largest) {
        None => QualityLevel::Paused,
        Some(0) => QualityLevel::High,
        Some(1) => QualityLevel::Medium,
        Some(_) => QualityLevel::Low,
    };
    let limit = sent.limit.map(|limit| match limit {
        Limit::Bandwidth => QualityLimit::Bandwidth,
        Limit::View => QualityLimit::View,
        Limit::Publisher => QualityLimit::Publisher,
        Limit::Codec => QualityLimit::Codec,
    });
    TrackQuality { track: number(track), level, limit }
}
