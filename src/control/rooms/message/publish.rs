//! `publish`, `unpublish`, `mute`, and the publish list of an `offer`: the desired state, of which only the difference is done.

use super::offer::nth_track;
use crate::base::TrackId;
use crate::contract::{MediaKind, Mid, RoomCommand};
use crate::control::rooms::ledger::Note;
use crate::control::rooms::member::{Seat, Track, publishable};
use crate::control::rooms::room::{Outcome, Room};
use crate::control::{Limit, Refusal};
use crate::wire::{ErrorCode, Grants, OkResult, PublishLine, Source, TrackNumber};

/// A line of a publish list that its member may publish.
pub(super) struct Desired {
    mid: Mid,
    source: Source,
    muted: bool,
    fallback: bool,
}

impl Desired {
    /// Reads a publish list: each source granted, `most` at most, no source and no m-line twice, no fallback of what is not published.
    pub(super) fn list(grants: &Grants, most: usize, lines: &[PublishLine]) -> Result<Vec<Self>, Refusal> {
        let mut list: Vec<Self> = Vec::new();
        for line in lines.iter() {
            let desired = Self::one(grants, line)?;
            if list.iter().any(|d| (d.source, d.fallback) == (desired.source, desired.fallback) || d.mid == desired.mid) {
                return Err(conflict("the publish list names a source or an m-line twice"));
            }
            list.push(desired);
        }
        if list.iter().any(|d| d.fallback && !list.iter().any(|other| other.source == d.source && !other.fallback)) {
            return Err(alone());
        }
        if list.iter().filter(|d| !d.fallback).count() > most {
            return Err(too_many(most));
        }
        // What a fallback is of begins before it.
        list.sort_by_key(|d| d.fallback);
        Ok(list)
    }

    fn one(grants: &Grants, line: &PublishLine) -> Result<Self, Refusal> {
        if !grants.publish.contains(&line.source) {
            return Err(Refusal::forbidden("your token does not allow to publish from this source"));
        }
        if line.fallback && line.source.is_audio() {
            return Err(conflict("only a picture has a fallback in another codec"));
        }
        let mid = Mid::new(&line.mid).ok_or_else(unknown_line)?;
        Ok(Self { mid, source: line.source, muted: line.muted && !line.fallback, fallback: line.fallback })
    }

    /// Whether it is this track.
    fn is(&self, track: &Track) -> bool {
        track.mid == self.mid && self.is_like(track)
    }

    /// Whether it is of the same source in the same part.
    fn is_like(&self, track: &Track) -> bool {
        (track.source, track.fallback) == (self.source, self.fallback)
    }

    /// Whether the m-line is there and can carry it.
    pub(super) fn check(&self, lines: &[(Mid, MediaKind, u8)]) -> Result<(), Refusal> {
        publishable(lines, self.mid, self.source).map(|_| ()).ok_or_else(unknown_line)
    }
}

impl Room {
    pub(in crate::control::rooms) fn publish(&mut self, seat: Seat, line: &PublishLine, track: TrackId) -> Outcome {
        let Some(member) = self.members.get(&seat) else { return Ok(None) };
        let desired = Desired::one(&member.grants, line)?;
        let Some(connection) = &member.connection else {
            return Err(Refusal::new(ErrorCode::WrongState, "there is no connection yet: send an offer first"));
        };
        desired.check(&connection.publishable)?;
        match member.tracks.iter().find(|t| desired.is_like(t) || t.mid == desired.mid) {
            Some(same) if desired.is(same) => {
                let track = same.id;
                self.set_muted(seat, track, desired.muted);
                return Ok(self.published(seat, track));
            }
            Some(_) => return Err(conflict("this source or this m-line is in use: unpublish it first")),
            None if desired.fallback && !member.tracks.iter().any(|t| t.source == desired.source) => return Err(alone()),
            None if !desired.fallback && member.tracks.iter().filter(|t| !t.fallback).count() >= self.most_tracks(member.most_tracks) => {
                return Err(too_many(self.most_tracks(member.most_tracks)));
            }
            None => {}
        }
        self.begin_track(seat, &desired, track);
        self.fill_after(seat);
        Ok(self.published(seat, track))
    }

    pub(in crate::control::rooms) fn unpublish(&mut self, seat: Seat, track: TrackNumber) -> Outcome {
        let track = self.own_track(seat, track)?;
        self.finish_track(seat, track);
        self.fill_after(seat);
        Ok(None)
    }

    pub(in crate::control::rooms) fn mute(&mut self, seat: Seat, track: TrackNumber, muted: bool) -> Outcome {
        let track = self.own_track(seat, track)?;
        if self.fallbacks.is_one(track) {
            return Err(conflict("a fallback is muted with the track that it is of"));
        }
        self.set_muted(seat, track, muted);
        Ok(None)
    }

    /// Makes the member's tracks those of the list: what stays is left alone.
    pub(super) fn set_published(&mut self, seat: Seat, desired: &[Desired], first: TrackId) {
        let Some(member) = self.members.get(&seat) else { return };
        let gone: Vec<TrackId> = member.tracks.iter().filter(|t| !desired.iter().any(|d| d.is(t))).map(|t| t.id).collect();
        for track in gone {
            self.finish_track(seat, track);
        }
        for (i, d) in (0..).zip(desired) {
            let old = self.members.get(&seat).and_then(|m| m.tracks.iter().find(|t| d.is(t))).map(|t| t.id);
            match old {
                Some(track) => self.set_muted(seat, track, d.muted),
                None => self.begin_track(seat, d, nth_track(first, i)),
            }
        }
    }

    /// Tracks that a member may publish at a time, whose token says `own`.
    pub(super) fn most_tracks(&self, own: Option<u8>) -> usize {
        own.map_or(self.rules.tracks, |own| self.rules.tracks.min(own.into()))
    }

    fn begin_track(&mut self, seat: Seat, desired: &Desired, id: TrackId) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(connection) = &member.connection else { return };
        let Some(mline) = connection.publishable(desired.mid, desired.source) else { return };
        let (peer, worker) = (connection.peer, connection.worker);
        let muted_by_moderator = self.silenced.contains(&(member.identity.clone(), desired.source));
        let Desired { source, mid, muted, fallback } = *desired;
        let original = member.tracks.iter().find(|t| t.source == source).map(|t| t.id);
        member.tracks.push(Track { id, source, mid, muted, muted_by_moderator, fallback, demand: None, audience: None });
        self.tracks.insert(id, seat);
        if !fallback {
            self.restrict(seat, id);
        }
        self.worker(worker, RoomCommand::Publish { peer, mline, track: id, voice: source == Source::Microphone });
        if muted_by_moderator {
            self.worker(worker, RoomCommand::Mute { track: id, muted: true });
        }
        self.export(id, mid, worker);
        match original.filter(|_| fallback) {
            Some(original) => {
                self.fallbacks.begin(original, id);
                self.point_undecoding(original);
            }
            None => {
                self.ledger.note(Note::Published { track: id, seat, source, muted: muted || muted_by_moderator });
                self.tell_track(seat, id);
            }
        }
    }

    pub(in crate::control::rooms) fn finish_track(&mut self, seat: Seat, id: TrackId) {
        if let Some(fallback) = self.fallbacks.of(id) {
            self.finish_track(seat, fallback);
        }
        let original = self.fallbacks.original(id);
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(place) = member.tracks.iter().position(|t| t.id == id) else { return };
        let track = member.tracks.remove(place);
        if let Some(worker) = member.connection.as_ref().map(|c| c.worker) {
            self.worker(worker, RoomCommand::Unpublish { track: id });
            self.withdraw(id, worker);
        }
        self.end_track(seat, &track);
        self.point_undecoding(original);
    }

    fn set_muted(&mut self, seat: Seat, id: TrackId, muted: bool) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(track) = member.tracks.iter_mut().find(|t| t.id == id && t.muted != muted) else { return };
        track.muted = muted;
        self.ledger.note(Note::Muted(id, muted || track.muted_by_moderator));
        self.tell_track(seat, id);
    }

    fn own_track(&self, seat: Seat, track: TrackNumber) -> Result<TrackId, Refusal> {
        let found = self.members.get(&seat).and_then(|m| m.track(TrackId(track.0)));
        found.map(|t| t.id).ok_or_else(|| Refusal::new(ErrorCode::NotFound, "you have no such track"))
    }

    fn published(&self, seat: Seat, track: TrackId) -> Option<OkResult> {
        let track = self.members.get(&seat)?.track(track)?.info();
        Some(OkResult::Published { track })
    }
}

fn conflict(why: &'static str) -> Refusal {
    Refusal::new(ErrorCode::PublishConflict, why)
}

fn too_many(most: usize) -> Refusal {
    Refusal::limited(
        Limit::Tracks,
        ErrorCode::LimitExceeded,
        format!("at most {most} tracks are published by a member at a time: end another one first"),
    )
}

fn alone() -> Refusal {
    conflict("a fallback is of a track that is published: publish the source itself, too")
}

fn unknown_line() -> Refusal {
    conflict("no m-line that is sent to the server has this mid and can carry this source: offer it first")
}
