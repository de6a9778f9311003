//! What a program sees of a room: values, copied while nothing changes.

use super::member::Member;
use super::room::Room;
use crate::base::{Time, TrackId};
use crate::wire::{Grants, Knocker, MemberId, MemberInfo, Policy, RecordingInfo, TrackInfo};

/// A room, seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct RoomSeen {
    /// How many members it has.
    pub members: usize,
    /// How many tracks they publish.
    pub tracks: usize,
    /// Whether it is locked.
    pub locked: bool,
    /// Who knocks.
    pub knocking: Vec<Knocker>,
    /// Whether its members encrypt end to end.
    pub encrypted: bool,
    /// How its media shall travel.
    pub policy: Policy,
    /// How it travels: `direct` or `server`; none where there is nobody to travel to.
    pub via: Option<&'static str>,
    /// The recording that goes on.
    pub recording: Option<RecordingInfo>,
    /// What the application says of it.
    pub metadata: String,
    /// Members at most.
    pub most_members: usize,
    /// Tracks of a member at most.
    pub most_tracks: usize,
    /// Kilobits a second that a member publishes at most.
    pub most_kbps: Option<u32>,
    /// Mebibytes that are kept of it at most.
    pub most_mib: Option<u32>,
    /// Seconds that it lives on when it is empty.
    pub empty_seconds: u64,
}

/// A member, seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberSeen {
    /// Its place in the order of coming.
    pub seat: u32,
    /// What others see of it.
    pub info: MemberInfo,
    /// What it may do.
    pub grants: Grants,
    /// When it came.
    pub since: Time,
    /// Whether it came by WHIP or WHEP.
    pub by_http: bool,
    /// Whether it has a media connection with the server.
    pub connection: bool,
}

/// A track, seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct TrackSeen {
    /// Whose it is.
    pub member: MemberId,
    /// What others see of it.
    pub track: TrackInfo,
}

impl Room {
    /// The room.
    pub fn seen(&self) -> RoomSeen {
        RoomSeen {
            members: self.members.len(),
            tracks: self.members.values().flat_map(|m| &m.tracks).filter(|t| !t.fallback).count(),
            locked: self.locked,
            knocking: self.door.people(),
            encrypted: self.encrypted,
            policy: self.ways.policy(),
            via: self.via(),
            recording: self.recording.as_ref().map(|recording| recording.info.clone()),
            metadata: self.metadata(),
            most_members: self.rules.members,
            most_tracks: self.rules.tracks,
            most_kbps: self.rules.publish_kbps,
            most_mib: self.rules.library_mib,
            empty_seconds: self.rules.grace.as_secs(),
        }
    }

    /// Members behind this seat, in the order of their coming.
    pub fn members_seen(&self, after: u32, most: usize) -> Vec<MemberSeen> {
        self.members.iter().filter(|(seat, _)| seat.0 > after).take(most).map(|(seat, member)| member_seen(seat.0, member)).collect()
    }

    /// One member.
    pub fn member_seen(&self, member: &MemberId) -> Option<MemberSeen> {
        let seat = self.identities.get(member)?;
        Some(member_seen(seat.0, self.members.get(seat)?))
    }

    /// Tracks with higher numbers, in their order.
    pub fn tracks_seen(&self, after: u64, most: usize) -> Vec<TrackSeen> {
        let later = self.tracks.range(TrackId(after.saturating_add(1))..);
        let seen = later.filter_map(|(id, seat)| {
            let member = self.members.get(seat)?;
            let track = member.track(*id).filter(|track| !track.fallback)?;
            Some(TrackSeen { member: member.identity.clone(), track: track.info() })
        });
        seen.take(most).collect()
    }
}

fn member_seen(seat: u32, member: &Member) -> MemberSeen {
    MemberSeen {
        seat,
        info: member.info(),
        grants: member.grants.clone(),
        since: member.since,
        by_http: member.http.is_some(),
        connection: member.connection.is_some(),
    }
}
