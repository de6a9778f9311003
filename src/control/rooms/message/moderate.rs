//! `kick`, `mute_member`, `mute_all`, `lock`.

use std::collections::BTreeSet;

use crate::base::TrackId;
use crate::contract::RoomCommand;
use crate::control::Refusal;
use crate::control::rooms::Effect;
use crate::control::rooms::ledger::Note;
use crate::control::rooms::member::{Seat, number};
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ByeReason, ErrorCode, Event, LeaveReason, MemberId, Source, TrackNumber};

/// Identities and muted sources that a room remembers: far more than a room has members.
const REMEMBERED: usize = 10_000;

impl Room {
    /// Removes a member, and refuses its identity for the room's life.
    pub(in crate::control::rooms) fn kick(&mut self, seat: Seat, member: &MemberId) -> Outcome {
        self.may_moderate(seat)?;
        self.send_away(member, false)
    }

    /// Removes a member; its identity may come again, or is refused for the room's life.
    pub(in crate::control::rooms) fn send_away(&mut self, member: &MemberId, may_return: bool) -> Outcome {
        let Some(whom) = self.identities.get(member).copied() else {
            return Err(Refusal::new(ErrorCode::NotFound, "there is no such member (any more)"));
        };
        if !may_return {
            if self.kicked.len() >= REMEMBERED {
                return Err(Refusal::new(ErrorCode::LimitExceeded, "too many members were removed from this room: lock it instead"));
            }
            self.kicked.insert(member.clone());
        }
        self.effects.push(Effect::SentAway { member: member.clone() });
        self.bye(whom, ByeReason::Kicked);
        self.remove(whom, LeaveReason::Kicked);
        Ok(None)
    }

    /// Stops forwarding a track, or allows it again; it holds for the same source when it is published again.
    pub(in crate::control::rooms) fn mute_member(&mut self, seat: Seat, track: TrackNumber, muted: bool) -> Outcome {
        self.may_moderate(seat)?;
        self.silence(track, muted)
    }

    /// The same, whoever wants it.
    pub(in crate::control::rooms) fn silence(&mut self, track: TrackNumber, muted: bool) -> Outcome {
        let id = TrackId(track.0);
        let worker = self.tracks.get(&id).and_then(|owner| Some(self.members.get(owner)?.connection.as_ref()?.worker));
        let owner = self.tracks.get(&id).and_then(|owner| self.members.get_mut(owner));
        let Some((owner, track)) = owner.and_then(|m| Some((m.identity.clone(), m.tracks.iter_mut().find(|t| t.id == id && !t.fallback)?))) else {
            return Err(Refusal::new(ErrorCode::NotFound, "there is no such track (any more)"));
        };
        if track.muted_by_moderator == muted {
            return Ok(None);
        }
        let silenced = (owner.clone(), track.source);
        if muted && self.silenced.len() >= REMEMBERED {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "too many sources are muted in this room: lock it instead"));
        }
        track.muted_by_moderator = muted;
        self.ledger.note(Note::Muted(id, muted || track.muted));
        let event = Event::Track { member: owner, track: track.info() };
        if muted {
            self.silenced.insert(silenced);
        } else {
            self.silenced.remove(&silenced);
        }
        if let Some(worker) = worker {
            self.worker(worker, RoomCommand::Mute { track: id, muted });
        }
        if let Some(fallback) = self.fallbacks.of(id) {
            self.mute_fallback(fallback, muted);
        }
        self.tell(|_| true, event);
        Ok(None)
    }

    /// Mutes a source of everybody else who is there; whoever comes later is not meant.
    pub(in crate::control::rooms) fn mute_all(&mut self, seat: Seat, source: Source, muted: bool) -> Outcome {
        self.may_moderate(seat)?;
        self.silence_all(Some(seat), source, muted)
    }

    /// The same of everybody but one.
    pub(in crate::control::rooms) fn silence_all(&mut self, but: Option<Seat>, source: Source, muted: bool) -> Outcome {
        let others = self.members.iter().filter(|(other, _)| Some(**other) != but);
        let tracks: Vec<TrackNumber> =
            others.flat_map(|(_, m)| m.tracks.iter().filter(|t| t.source == source && !t.fallback)).map(|t| number(t.id)).collect();
        for track in tracks {
            self.silence(track, muted)?;
        }
        Ok(None)
    }

    fn mute_fallback(&mut self, fallback: TrackId, muted: bool) {
        let Some(owner) = self.tracks.get(&fallback).and_then(|owner| self.members.get_mut(owner)) else { return };
        owner.tracks.iter_mut().filter(|t| t.id == fallback).for_each(|t| t.muted_by_moderator = muted);
        if let Some(worker) = owner.connection.as_ref().map(|c| c.worker) {
            self.worker(worker, RoomCommand::Mute { track: fallback, muted });
        }
    }

    pub(in crate::control::rooms) fn lock(&mut self, seat: Seat, locked: bool) -> Outcome {
        self.may_moderate(seat)?;
        self.set_locked(locked);
        Ok(None)
    }

    pub(in crate::control::rooms) fn set_locked(&mut self, locked: bool) {
        if self.locked != locked {
            self.locked = locked;
            self.insiders = if locked { self.identities.keys().cloned().collect() } else { BTreeSet::new() };
            self.tell(|_| true, Event::Locked { locked });
            self.open_door();
        }
    }

    pub(in crate::control::rooms) fn may_moderate(&self, seat: Seat) -> Result<(), Refusal> {
        match self.members.get(&seat) {
            Some(member) if member.grants.moderate => Ok(()),
            _ => Err(Refusal::forbidden("your token does not allow to moderate")),
        }
    }
}
