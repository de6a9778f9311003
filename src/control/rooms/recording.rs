//! What of a room is recorded: the desired state, of which only the difference is done. Everybody is told first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::command::{Effect, SocketId};
use super::ledger::Note;
use super::member::{Member, Seat, Track};
use super::room::{Outcome, Room};
use crate::base::{Time, TrackId, WorkerId};
use crate::contract::RoomCommand;
use crate::control::Refusal;
use crate::record::Pause;
use crate::wire::{ErrorCode, Event, MemberId, Policy, RecordingEnd, RecordingInfo, RecordingPause, Source};

/// Members that a request may name.
const MOST_MEMBERS: usize = 500;
/// Changes of a recording are told so far apart. Less: a disk that comes and goes floods 500 sockets. More: what is said into a recording that is
/// not written is believed to be kept for longer.
const APART: Duration = Duration::from_secs(1);

/// The room is recorded.
#[derive(Debug)]
pub struct RoomRecording {
    /// What everybody is told of it.
    pub info: RecordingInfo,
    /// Who is recorded; empty for everybody.
    chosen: BTreeSet<MemberId>,
    /// The tracks that are recorded, and their workers.
    taken: BTreeMap<TrackId, WorkerId>,
    /// Why it is not written; told a little later where something was told just now.
    paused: Option<RecordingPause>,
    /// Nobody who is there may end it; told as above.
    unattended: bool,
    /// When a change was told last.
    told: Option<Time>,
}

/// What a room wants of the recorder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordEffect {
    /// A recording begins.
    Begin {
        /// Its identity.
        recording: String,
        /// Who has begun it, and the name that is shown.
        by: (MemberId, String),
        /// Bytes that are kept of the room at most, what there is already included.
        most: Option<u64>,
    },
    /// A track is recorded from now on.
    Attach {
        /// Which.
        track: TrackId,
        /// Where it is published.
        worker: WorkerId,
        /// Whose it is, and the name that is shown.
        member: (MemberId, String),
        /// Where it comes from.
        source: Source,
    },
    /// A track is recorded no longer.
    Detach {
        /// Which.
        track: TrackId,
    },
    /// Somebody has said something while the room is recorded.
    Chat {
        /// Who, and the name that is shown.
        member: (MemberId, String),
        /// What.
        text: String,
    },
    /// The recording ends.
    End,
}

impl RoomRecording {
    /// Whether a track is recorded.
    pub(super) fn takes(&self, track: TrackId) -> bool {
        self.taken.contains_key(&track)
    }

    /// When a change that waits is to be told.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.is_untold().then(|| self.told.map_or(Time::ZERO, |told| told + APART))
    }

    fn is_untold(&self) -> bool {
        (self.paused, self.unattended) != (self.info.paused, self.info.unattended)
    }
}

impl From<Pause> for RecordingPause {
    fn from(pause: Pause) -> Self {
        match pause {
            Pause::Full => Self::DiskFull,
            Pause::Failed => Self::DiskFailed,
            Pause::Slow => Self::DiskSlow,
        }
    }
}

/// What a program wants of a room's recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordOrder {
    /// It begins.
    Begin {
        /// Its identity, drawn.
        recording: String,
        /// The time: milliseconds since the Unix epoch.
        at: u64,
        /// Who is recorded; empty for everybody.
        members: Vec<MemberId>,
        /// What of them is recorded; empty for everything.
        sources: Vec<Source>,
    },
    /// It ends.
    End,
}

impl Room {
    /// Begins to record the room. `at` is the time: milliseconds since the Unix epoch.
    pub(super) fn record(&mut self, seat: Seat, recording: String, at: u64, members: Vec<MemberId>, sources: Vec<Source>) -> Outcome {
        let by = self.may_record(seat)?;
        self.begin_recording(by, recording, at, (members, sources))
    }

    /// Carries out what a program wants, for somebody whose token allows it.
    pub(super) fn order_recording(&mut self, socket: SocketId, by: (MemberId, String), order: RecordOrder) {
        let outcome = match order {
            RecordOrder::Begin { .. } if self.members.is_empty() => Err(Refusal::new(ErrorCode::WrongState, "nobody is in the room")),
            RecordOrder::Begin { recording, at, members, sources } => self.begin_recording(by, recording, at, (members, sources)),
            RecordOrder::End => self.stop(),
        };
        self.reply(socket, 0, outcome);
    }

    fn begin_recording(
        &mut self, by: (MemberId, String), recording: String, at: u64, (members, mut sources): (Vec<MemberId>, Vec<Source>),
    ) -> Outcome {
        if self.recording.is_some() {
            return Err(Refusal::new(ErrorCode::WrongState, "the room is recorded already"));
        }
        if self.encrypted {
            let why = "the members encrypt end to end and the server has no key: record in a browser, which has it";
            return Err(Refusal::new(ErrorCode::Encrypted, why));
        }
        if members.len() > MOST_MEMBERS || sources.len() > Source::ALL.len() {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "the request names too many members or sources"));
        }
        if self.ways.policy() == Policy::P2p {
            let why = "the room's calls go directly between two browsers, and this server has nothing of them: choose another policy first";
            return Err(Refusal::new(ErrorCode::WrongState, why));
        }
        if sources.is_empty() {
            sources = Source::ALL.to_vec();
        }
        let most = self.rules.library_mib.map(|mib| u64::from(mib) << 20);
        let unattended = self.is_unattended();
        let info = RecordingInfo { recording: recording.clone(), by: by.0.clone(), at, members, sources, paused: None, unattended };
        let (chosen, taken) = (info.members.iter().cloned().collect(), BTreeMap::new());
        self.recording = Some(RoomRecording { info: info.clone(), chosen, taken, paused: None, unattended, told: None });
        self.tell(|_| true, Event::Recording { recording: Some(info), reason: None });
        self.ledger.note(Note::Recording(recording.clone(), by.0.clone()));
        self.effects.push(Effect::Record(RecordEffect::Begin { recording, by, most }));
        Ok(None)
    }

    pub(super) fn stop_recording(&mut self, seat: Seat) -> Outcome {
        if !self.members.get(&seat).is_some_and(may_end) {
            return Err(Refusal::forbidden("your token allows neither to record nor to moderate"));
        }
        self.stop()
    }

    fn stop(&mut self) -> Outcome {
        if self.recording.is_none() {
            return Err(Refusal::new(ErrorCode::WrongState, "the room is not recorded"));
        }
        self.end_recording(None);
        Ok(None)
    }

    /// Keeps what somebody says beside the recording, if that is of them.
    pub(super) fn record_chat(&mut self, member: &MemberId, name: &str, text: &str) {
        if self.recording.as_ref().is_some_and(|recording| recording.chosen.is_empty() || recording.chosen.contains(member)) {
            let member = (member.clone(), name.to_owned());
            self.effects.push(Effect::Record(RecordEffect::Chat { member, text: text.to_owned() }));
        }
    }

    /// The recording could not begin, or cannot go on.
    pub(super) fn fail_recording(&mut self) {
        self.ledger.note(Note::RecordingFailed);
        self.end_recording(Some(RecordingEnd::Failed));
    }

    /// As much is kept of the room as may be: if it is this recording that goes on, it ends.
    pub(super) fn recording_full(&mut self, full: &str) {
        if self.recording.as_ref().is_some_and(|recording| recording.info.recording == full) {
            self.end_recording(Some(RecordingEnd::LibraryFull));
        }
    }

    /// The disk takes what is recorded, or no longer.
    pub(super) fn pause_recording(&mut self, which: &str, paused: Option<RecordingPause>) {
        if let Some(recording) = self.recording.as_mut().filter(|recording| recording.info.recording == which) {
            recording.paused = paused;
        }
    }

    /// Tells everybody what has become of the recording, unless that was just done.
    pub(super) fn tell_of_recording(&mut self, now: Time) {
        let unattended = self.is_unattended();
        let Some(recording) = &mut self.recording else { return };
        recording.unattended = unattended;
        if recording.deadline().is_none_or(|due| now < due) {
            return;
        }
        recording.told = Some(now);
        let was = std::mem::replace(&mut recording.info.paused, recording.paused);
        recording.info.unattended = unattended;
        let info = recording.info.clone();
        if info.paused != was {
            self.ledger.note(Note::RecordingPaused(info.paused));
        }
        self.tell(|_| true, Event::Recording { recording: Some(info), reason: None });
    }

    /// Whether nobody who is there may end a recording.
    fn is_unattended(&self) -> bool {
        !self.members.values().any(may_end)
    }

    /// A recording is over that nobody has ended, or that somebody has.
    fn end_recording(&mut self, reason: Option<RecordingEnd>) {
        let Some(recording) = self.recording.take() else { return };
        self.ledger.note(Note::RecordingOver(reason));
        recording.taken.into_iter().for_each(|(track, worker)| self.untap(track, worker));
        self.effects.push(Effect::Record(RecordEffect::End));
        self.tell(|_| true, Event::Recording { recording: None, reason });
    }

    /// Follows what is published: what is to be recorded is, and nothing else. After each command: where nothing has changed, nothing is copied.
    pub(super) fn settle_recording(&mut self) {
        let Some(recording) = &self.recording else { return };
        let known = |(_, track, worker): &(&Member, &Track, WorkerId)| recording.taken.get(&track.id) == Some(worker);
        let (same, count) = self.to_be_recorded(recording).fold((true, 0), |(same, count), wanted| (same && known(&wanted), count + 1));
        if same && count == recording.taken.len() {
            return;
        }
        let wanted: BTreeMap<TrackId, WorkerId> = self.to_be_recorded(recording).map(|(_, track, worker)| (track.id, worker)).collect();
        let gone: Vec<_> = recording.taken.iter().filter(|(track, worker)| wanted.get(track) != Some(*worker)).map(|(t, w)| (*t, *w)).collect();
        let new: Vec<_> = self
            .to_be_recorded(recording)
            .filter(|wanted| !known(wanted))
            .map(|(member, track, worker)| (track.id, worker, (member.identity.clone(), member.name.clone()), track.source))
            .collect();
        for (track, worker) in gone {
            self.untap(track, worker);
            self.effects.push(Effect::Record(RecordEffect::Detach { track }));
        }
        for (track, worker, member, source) in new {
            if let Some(recording) = &mut self.recording {
                recording.taken.insert(track, worker);
            }
            self.screenshot_yields(track);
            self.effects.push(Effect::Record(RecordEffect::Attach { track, worker, member, source }));
        }
    }

    /// The tracks that a recording is of, whose they are, and where they are published.
    fn to_be_recorded<'a>(&'a self, recording: &'a RoomRecording) -> impl Iterator<Item = (&'a Member, &'a Track, WorkerId)> {
        let members = self.members.values().filter(|m| recording.chosen.is_empty() || recording.chosen.contains(&m.identity));
        members.filter_map(|member| Some((member, member.connection.as_ref()?.worker))).flat_map(|(member, worker)| {
            let tracks = member.tracks.iter().filter(|track| !track.fallback && recording.info.sources.contains(&track.source));
            tracks.map(move |track| (member, track, worker))
        })
    }

    /// The worker copies a track no longer; one that has ended takes its tap with it.
    fn untap(&mut self, track: TrackId, worker: WorkerId) {
        if let Some(recording) = &mut self.recording {
            recording.taken.remove(&track);
        }
        let there = self.tracks.get(&track).and_then(|seat| self.members.get(seat)?.connection.as_ref()).is_some_and(|c| c.worker == worker);
        if there {
            self.worker(worker, RoomCommand::Tap { track, tap: None });
        }
    }

    fn may_record(&self, seat: Seat) -> Result<(MemberId, String), Refusal> {
        match self.members.get(&seat) {
            Some(member) if member.grants.record => Ok((member.identity.clone(), member.name.clone())),
            _ => Err(Refusal::forbidden("your token does not allow to record")),
        }
    }
}

/// Whoever records, and whoever moderates: else nobody could, once the one who has begun it is gone. By HTTP nobody asks.
fn may_end(member: &Member) -> bool {
    member.http.is_none() && (member.grants.record || member.grants.moderate)
}
