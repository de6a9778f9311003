//! Pictures of what somebody shows, taken by the server: one key frame of a track. Everybody is told before anything is taken.

use super::command::{Effect, SocketId};
use super::ledger::Note;
use super::member::Seat;
use super::room::Room;
use crate::base::{TrackId, WorkerId};
use crate::contract::RoomCommand;
use crate::control::Refusal;
use crate::wire::{ErrorCode, Event, MemberId, OkResult, Source};

/// Pictures of a room that are taken at a time. More: whoever means harm has its members' encoders make more key frames.
const MOST: usize = 4;

/// Pictures that are being taken.
#[derive(Default)]
pub(super) struct Screenshots {
    next: u64,
    pending: Vec<Pending>,
}

struct Pending {
    number: u64,
    socket: SocketId,
    id: u32,
    track: TrackId,
    by: MemberId,
    member: MemberId,
    source: Source,
    /// The worker that copies the track for this alone.
    tapped: Option<WorkerId>,
}

/// A picture that is to be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Its number in this room.
    pub number: u64,
    /// Which track.
    pub track: TrackId,
    /// Where it is published.
    pub worker: WorkerId,
    /// Whose it is, and the name that is shown.
    pub member: (MemberId, String),
    /// Where it comes from.
    pub source: Source,
    /// Who has asked, and the name that is shown.
    pub by: (MemberId, String),
    /// Whether the track is recorded anyway: then nothing new is copied.
    pub recorded: bool,
}

impl Room {
    /// Takes a picture of what `of` shows. The answer follows when it is there; until then there is none.
    pub(super) fn screenshot(&mut self, (seat, socket, id): (Seat, SocketId, u32), of: &MemberId, source: Source) {
        match self.screenshot_wish(seat, of, source) {
            Ok(mut wish) => {
                let shots = &mut self.screenshots;
                shots.next += 1;
                wish.number = shots.next;
                let tapped = (!wish.recorded).then_some(wish.worker);
                let (by, member) = (wish.by.0.clone(), wish.member.0.clone());
                shots.pending.push(Pending { number: wish.number, socket, id, track: wish.track, by, member, source, tapped });
                self.tell(|_| true, Event::Screenshot { by: wish.by.0.clone(), member: wish.member.0.clone(), source });
                self.effects.push(Effect::Screenshot(Box::new(wish)));
            }
            Err(refusal) => self.reply(socket, id, Err(refusal)),
        }
    }

    /// The key frame is there, or none will come: nothing more is copied for it.
    pub(super) fn screenshot_seen(&mut self, number: u64) {
        let Some(pending) = self.screenshots.pending.iter_mut().find(|pending| pending.number == number) else { return };
        let (track, worker) = (pending.track, pending.tapped.take());
        if let Some(worker) = worker.filter(|_| self.tracks.contains_key(&track)) {
            self.worker(worker, RoomCommand::Tap { track, tap: None });
        }
    }

    /// The picture is kept, or it is known why not.
    pub(super) fn screenshot_over(&mut self, number: u64, result: Result<String, Refusal>) {
        self.screenshot_seen(number);
        let Some(at) = self.screenshots.pending.iter().position(|pending| pending.number == number) else { return };
        let Pending { socket, id, by, member, source, .. } = self.screenshots.pending.remove(at);
        if let Ok(item) = &result {
            self.ledger.note(Note::Screenshot { item: item.clone(), by, member, source });
        }
        // Whoever has gone meanwhile is told nothing.
        if self.sockets.contains_key(&socket) {
            self.reply(socket, id, result.map(|item| Some(OkResult::Screenshot { item })));
        }
    }

    /// A track is recorded from now on: what was copied for a picture of it comes to the recording, whose tap it is now.
    pub(super) fn screenshot_yields(&mut self, track: TrackId) {
        self.screenshots.pending.iter_mut().filter(|pending| pending.track == track).for_each(|pending| pending.tapped = None);
    }

    fn screenshot_wish(&self, seat: Seat, of: &MemberId, source: Source) -> Result<Wish, Refusal> {
        let named = |seat: Seat| self.members.get(&seat).map(|member| (member.identity.clone(), member.name.clone()));
        let by = match self.members.get(&seat) {
            Some(member) if member.grants.record => (member.identity.clone(), member.name.clone()),
            _ => return Err(Refusal::forbidden("your token does not allow to record, and so to take pictures")),
        };
        if self.encrypted {
            let why = "the members encrypt end to end and the server has no key: take the picture in a browser, which has it";
            return Err(Refusal::new(ErrorCode::Encrypted, why));
        }
        if source.is_audio() {
            return Err(Refusal::new(ErrorCode::NotFound, "a picture is taken of a camera or of a screen"));
        }
        let none = || Refusal::new(ErrorCode::NotFound, "nobody of that name shows this");
        let owner = *self.identities.get(of).ok_or_else(none)?;
        let member = self.members.get(&owner).ok_or_else(none)?;
        let direct = || {
            let why = "the call goes directly between two browsers, and this server has no picture of it: take one in the browser";
            Refusal::new(ErrorCode::WrongState, why)
        };
        if self.ways.is_end(owner) {
            return Err(direct());
        }
        let track = member.tracks.iter().find(|track| track.source == source && !track.fallback).ok_or_else(none)?;
        let connection = member.connection.as_ref().ok_or_else(direct)?;
        if self.members.get(&seat).is_none_or(|own| owner != seat && !self.is_for(own, track.id)) {
            return Err(Refusal::forbidden("it is not for you: whoever shows it has said for whom it is"));
        }
        if track.muted || track.muted_by_moderator {
            return Err(Refusal::new(ErrorCode::WrongState, "it is muted, and shows nothing"));
        }
        let pending = &self.screenshots.pending;
        if pending.len() >= MOST || pending.iter().any(|pending| pending.track == track.id) {
            return Err(Refusal::new(ErrorCode::RateLimited, "pictures are being taken already: try again in a moment"));
        }
        let recorded = self.recording.as_ref().is_some_and(|recording| recording.takes(track.id));
        let member = named(owner).ok_or_else(none)?;
        Ok(Wish { number: 0, track: track.id, worker: connection.worker, member, source, by, recorded })
    }
}
