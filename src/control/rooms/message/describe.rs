//! `describe` and `audience`: what is said of a member, and who may receive what it publishes.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Time, TrackId};
use crate::control::Refusal;
use crate::control::rooms::member::{Member, Seat};
use crate::control::rooms::names::identity;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ErrorCode, Event, MemberId, Source};

/// Members that an audience names: it is told to everybody with each change of the track.
const AUDIENCE: usize = 100;

impl Room {
    /// Changes what is said of the own self.
    pub(in crate::control::rooms) fn describe(
        &mut self, seat: Seat, metadata: Option<String>, attributes: Option<BTreeMap<String, String>>, now: Time,
    ) -> Outcome {
        let Some(member) = self.members.get_mut(&seat) else { return Ok(None) };
        if !member.grants.describe {
            return Err(Refusal::forbidden("your token does not allow to change your metadata and attributes"));
        }
        let profile = member.profile.amended(metadata, attributes);
        profile.check(self.rules.metadata_bytes)?;
        if profile == member.profile {
            return Ok(None);
        }
        if !member.changes.take(now) {
            return Err(slow_down());
        }
        member.profile = profile;
        self.tell_changed(seat);
        Ok(None)
    }

    /// Says who may receive what a member publishes from a source, now and later.
    pub(in crate::control::rooms) fn set_audience(&mut self, seat: Seat, source: Source, members: Option<Vec<MemberId>>, now: Time) -> Outcome {
        if members.as_ref().is_some_and(|members| members.len() > AUDIENCE) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("an audience has at most {AUDIENCE} members, or is everybody")));
        }
        if members.iter().flatten().any(|member| identity(&member.0).is_none()) {
            return Err(Refusal::new(ErrorCode::InvalidName, "one of these is not the identity of a member"));
        }
        let audience = members.map(|members| members.into_iter().collect::<BTreeSet<_>>());
        let Some(member) = self.members.get_mut(&seat) else { return Ok(None) };
        if member.audiences.get(&source) == audience.as_ref() {
            return Ok(None);
        }
        if !member.changes.take(now) {
            return Err(slow_down());
        }
        match audience {
            Some(audience) => member.audiences.insert(source, audience),
            None => member.audiences.remove(&source),
        };
        let tracks: Vec<TrackId> = member.tracks.iter().filter(|t| t.source == source && !t.fallback).map(|t| t.id).collect();
        for track in tracks {
            self.restrict(seat, track);
            self.tell_track(seat, track);
        }
        self.fill_after(seat);
        Ok(None)
    }

    /// A track has the audience of its source.
    pub(super) fn restrict(&mut self, seat: Seat, id: TrackId) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(track) = member.tracks.iter_mut().find(|t| t.id == id) else { return };
        let audience = member.audiences.get(&track.source);
        track.audience = audience.map(|audience| audience.iter().cloned().collect());
        match audience {
            Some(audience) => self.restricted.insert(id, audience.clone()),
            None => self.restricted.remove(&id),
        };
    }

    /// Tells the others what a track is like now.
    pub(super) fn tell_track(&mut self, seat: Seat, id: TrackId) {
        let told = self.members.get(&seat).and_then(|m| Some(Event::Track { member: m.identity.clone(), track: m.track(id)?.info() }));
        if let Some(event) = told {
            self.tell(|s| s != seat, event);
        }
    }

    /// Tells everybody what a member is like now.
    pub(in crate::control::rooms) fn tell_changed(&mut self, seat: Seat) {
        if let Some(member) = self.members.get(&seat).map(Member::info) {
            self.tell(|_| true, Event::MemberChanged { member });
        }
    }

    /// Whether a member may receive a track, as far as its publisher has said.
    pub(in crate::control::rooms) fn is_for(&self, member: &Member, track: TrackId) -> bool {
        self.restricted.get(&track).is_none_or(|audience| audience.contains(&member.identity))
    }
}

fn slow_down() -> Refusal {
    Refusal::new(ErrorCode::RateLimited, "too many changes at once: wait a moment")
}
