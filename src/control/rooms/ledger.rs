//! What a room says to whoever makes a bill of it. What happens is noted where it happens; after each command the notes become effects, with
//! the time that has passed.

use std::collections::BTreeMap;

use super::command::{Effect, Whole};
use super::member::{Seat, number};
use super::room::Room;
use crate::base::{Time, TrackId};
use crate::control::events::{Reason, What};
use crate::wire::{MemberId, RecordingEnd, RecordingPause, Source};

/// The books of a room; none where nobody wants to know.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Option<Books>,
    notes: Vec<Note>,
}

/// Something that a command has brought about.
#[derive(Debug)]
pub(super) enum Note {
    Joined(Seat, MemberId, String),
    Left(Seat, Reason),
    Published {
        track: TrackId,
        seat: Seat,
        source: Source,
        muted: bool,
    },
    Muted(TrackId, bool),
    Ended(TrackId),
    Recording(String, MemberId),
    RecordingFailed,
    RecordingPaused(Option<RecordingPause>),
    RecordingOver(Option<RecordingEnd>),
    RecordingWhole(String, Option<Whole>),
    Screenshot {
        item: String,
        by: MemberId,
        member: MemberId,
        source: Source,
    },
    /// Which, of whom, where to, by whom.
    Egress(String, MemberId, String, MemberId),
    EgressOver(String, Reason),
    Closed(Reason),
}

/// What is open, and since when.
#[derive(Debug)]
struct Books {
    began: Time,
    said: bool,
    closed: bool,
    visits: BTreeMap<Seat, (MemberId, Time)>,
    tracks: BTreeMap<TrackId, Published>,
    recording: Option<(String, Time)>,
    /// Since when the recording pauses.
    paused: Option<Time>,
    egresses: BTreeMap<String, Time>,
    /// Recordings that are over, and whose files are being completed.
    ending: Vec<Ending>,
    /// The room's last word, which waits for them.
    last: Option<What>,
}

/// A recording that is over, and whose files are being completed.
#[derive(Clone, PartialEq, Debug)]
pub struct Ending {
    /// Its identity.
    pub recording: String,
    seconds: f64,
    reason: Option<Reason>,
}

impl Ending {
    /// What is said of it when it is known what has become of its files.
    pub fn said(self, whole: Option<Whole>) -> What {
        let Self { recording, seconds, reason } = self;
        match whole {
            Some(Whole { files, bytes }) => What::RecordingFinished { recording, seconds, files, bytes, reason },
            None => What::RecordingFailed { recording, seconds, reason: Reason::Failed },
        }
    }
}

/// What is left to be said of a room that is over.
#[derive(Default, PartialEq, Debug)]
pub struct Remains {
    /// At once.
    pub now: Vec<What>,
    /// When it is known what has become of these.
    pub recordings: Vec<Ending>,
    /// After them.
    pub last: Option<What>,
}

#[derive(Debug)]
struct Published {
    seat: Seat,
    source: Source,
    since: Time,
    muted_since: Option<Time>,
    muted_micros: u64,
}

impl Ledger {
    pub(super) fn note(&mut self, note: Note) {
        if self.books.is_some() {
            self.notes.push(note);
        }
    }
}

impl Room {
    /// The same room, which says what happens in it.
    #[must_use]
    pub fn with_ledger(mut self, now: Time) -> Self {
        let (visits, tracks) = (BTreeMap::new(), BTreeMap::new());
        self.ledger.books = Some(Books {
            began: now,
            said: false,
            closed: false,
            visits,
            tracks,
            recording: None,
            paused: None,
            egresses: BTreeMap::new(),
            ending: Vec::new(),
            last: None,
        });
        self
    }

    /// Has said what was noted.
    pub(super) fn settle_ledger(&mut self, now: Time) {
        let Some(books) = &mut self.ledger.books else { return };
        let mut said = Vec::new();
        if !books.said {
            books.said = true;
            said.push(What::RoomCreated {});
        }
        for note in self.ledger.notes.drain(..) {
            books.enter(note, now, &mut said);
        }
        // First: whatever becomes of the others, it has happened.
        self.effects.splice(0..0, said.into_iter().map(|what| Effect::Happened(Box::new(what))));
    }

    /// What is still open ends now: for a room that cannot be asked any more.
    pub fn close_books(&mut self, now: Time, reason: Reason) -> Remains {
        let mut remains = Remains::default();
        if let Some(books) = &mut self.ledger.books {
            for note in self.ledger.notes.drain(..) {
                books.enter(note, now, &mut remains.now);
            }
            books.close(now, reason, &mut remains.now);
            (remains.recordings, remains.last) = (std::mem::take(&mut books.ending), books.last.take());
        }
        remains
    }
}

impl Books {
    fn enter(&mut self, note: Note, now: Time, said: &mut Vec<What>) {
        match note {
            Note::Joined(seat, member, name) => {
                self.visits.insert(seat, (member.clone(), now));
                said.push(What::MemberJoined { visit: seat.0, member, name });
            }
            Note::Left(seat, reason) => self.leave(seat, reason, now, said),
            Note::Published { track, seat, source, muted } => {
                let Some((member, _)) = self.visits.get(&seat) else { return };
                let member = member.clone();
                self.tracks.insert(track, Published { seat, source, since: now, muted_since: muted.then_some(now), muted_micros: 0 });
                said.push(What::TrackPublished { visit: seat.0, member, track: number(track), kind: source.into(), source });
            }
            Note::Muted(track, muted) => {
                if let Some(track) = self.tracks.get_mut(&track) {
                    track.mute(muted, now);
                }
            }
            Note::Ended(track) => self.end(track, now, said),
            Note::Recording(recording, by) => {
                (self.recording, self.paused) = (Some((recording.clone(), now)), None);
                said.push(What::RecordingStarted { recording, by });
            }
            Note::RecordingFailed => self.fail_recording(now, said),
            Note::RecordingPaused(why) => self.pause_recording(why, now, said),
            Note::RecordingOver(reason) => self.end_recording(reason.map(Reason::from), now),
            Note::RecordingWhole(recording, whole) => {
                if let Some(place) = self.ending.iter().position(|ending| ending.recording == recording) {
                    said.push(self.ending.remove(place).said(whole));
                }
            }
            Note::Screenshot { item, by, member, source } => said.push(What::ScreenshotTaken { item, by, member, source }),
            Note::Egress(egress, member, host, by) => {
                self.egresses.insert(egress.clone(), now);
                said.push(What::EgressStarted { egress, member, host, by });
            }
            Note::EgressOver(egress, reason) => {
                if let Some(since) = self.egresses.remove(&egress) {
                    said.push(What::EgressEnded { egress, seconds: seconds(since, now), reason });
                }
            }
            Note::Closed(reason) => self.close(now, reason, said),
        }
    }

    fn leave(&mut self, seat: Seat, reason: Reason, now: Time, said: &mut Vec<What>) {
        let of: Vec<TrackId> = self.tracks.iter().filter(|(_, track)| track.seat == seat).map(|(id, _)| *id).collect();
        of.into_iter().for_each(|track| self.end(track, now, said));
        if let Some((member, since)) = self.visits.remove(&seat) {
            said.push(What::MemberLeft { visit: seat.0, member, reason, seconds: seconds(since, now) });
        }
    }

    fn end(&mut self, id: TrackId, now: Time, said: &mut Vec<What>) {
        let Some(mut track) = self.tracks.remove(&id) else { return };
        let Some((member, _)) = self.visits.get(&track.seat) else { return };
        track.mute(false, now);
        said.push(What::TrackEnded {
            visit: track.seat.0,
            member: member.clone(),
            track: number(id),
            kind: track.source.into(),
            source: track.source,
            seconds: seconds(track.since, now),
            muted_seconds: Some(of_micros(track.muted_micros)),
        });
    }

    fn fail_recording(&mut self, now: Time, said: &mut Vec<What>) {
        if let Some((recording, since)) = self.recording.take() {
            said.push(What::RecordingFailed { recording, seconds: seconds(since, now), reason: Reason::Failed });
        }
    }

    fn pause_recording(&mut self, why: Option<RecordingPause>, now: Time, said: &mut Vec<What>) {
        let Some((recording, _)) = &self.recording else { return };
        let recording = recording.clone();
        if let Some(reason) = why {
            self.paused.get_or_insert(now);
            said.push(What::RecordingPaused { recording, reason });
        } else if let Some(since) = self.paused.take() {
            said.push(What::RecordingResumed { recording, seconds: seconds(since, now) });
        }
    }

    fn close(&mut self, now: Time, reason: Reason, said: &mut Vec<What>) {
        if self.closed || !self.said {
            return;
        }
        self.closed = true;
        while let Some(seat) = self.visits.keys().next().copied() {
            self.leave(seat, reason, now, said);
        }
        for (egress, since) in std::mem::take(&mut self.egresses) {
            said.push(What::EgressEnded { egress, seconds: seconds(since, now), reason });
        }
        self.end_recording(None, now);
        let last = What::RoomClosed { reason, seconds: seconds(self.began, now) };
        // It is the last word of all: what is being completed is waited for.
        if self.ending.is_empty() {
            said.push(last);
        } else {
            self.last = Some(last);
        }
    }

    fn end_recording(&mut self, reason: Option<Reason>, now: Time) {
        if let Some((recording, since)) = self.recording.take() {
            self.ending.push(Ending { recording, seconds: seconds(since, now), reason });
        }
    }
}

impl Published {
    fn mute(&mut self, muted: bool, now: Time) {
        match (self.muted_since, muted) {
            (None, true) => self.muted_since = Some(now),
            (Some(since), false) => {
                self.muted_micros = self.muted_micros.saturating_add(now.micros_since(since));
                self.muted_since = None;
            }
            _ => {}
        }
    }
}

fn seconds(since: Time, now: Time) -> f64 {
    of_micros(now.micros_since(since))
}

/// To the millisecond.
fn of_micros(micros: u64) -> f64 {
    (micros / 1_000) as f64 / 1_000.0
}
