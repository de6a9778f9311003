//! The thread that writes: recordings and their files as far as the disk has them, and whether it has room.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{DiskState, Job};
use crate::config::RecordingConfig;
use crate::record::file::Piece;
use crate::record::health::Hand;
use crate::record::library::{ChatLine, Library, Said};
use crate::record::manifest::{FileEntry, Manifest, State};
use crate::record::open_file::OpenFile;
use crate::record::take::FileId;
use crate::record::{Fate, folder, repair};

/// A disk that refuses is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// People that a manifest names: more than any room has at a time, and whoever joins anew all the time would make it endless.
const MOST_PEOPLE: usize = 4_096;

/// The thread that writes.
pub(super) struct Writer {
    folder: PathBuf,
    minimum_free: u64,
    quota: u64,
    used: u64,
    library: Option<Library>,
    state: Arc<DiskState>,
    recordings: BTreeMap<String, OnDisk>,
    files: BTreeMap<FileId, OpenFile>,
    looked_at: Instant,
}

/// A recording, as far as the disk has it.
struct OnDisk {
    manifest: Manifest,
    folder: PathBuf,
    /// Whether its folder is made.
    made: bool,
    /// What the manifest on the disk does not say yet.
    unsaid: bool,
    said: Said,
    /// When it was closed.
    closed: Option<u64>,
    open: usize,
    /// Bytes that may still be kept of its room.
    left: Option<u64>,
    told: watch::Sender<Fate>,
}

impl Writer {
    pub(super) fn new(config: &RecordingConfig, library: Option<Library>, state: Arc<DiskState>) -> Self {
        Self {
            folder: config.folder.clone(),
            minimum_free: config.minimum_free,
            quota: config.quota,
            used: 0,
            library,
            state,
            recordings: BTreeMap::new(),
            files: BTreeMap::new(),
            looked_at: Instant::now(),
        }
    }

    pub(super) fn run(mut self, mail: &Receiver<Job>) {
        let (state, library) = (self.state.clone(), &self.library);
        repair::all(&self.folder, &state.metrics, |manifest| library.iter().for_each(|library| library.put(manifest)));
        self.used = folder::used(&self.folder);
        self.look();
        loop {
            match mail.recv_timeout(RETRY) {
                Ok(job) => state.health.during(Hand::Write, || self.take(job)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.looked_at.elapsed() >= RETRY {
                state.health.during(Hand::Write, || self.look());
            }
        }
        self.look();
        state.health.close();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Open(manifest, most, told) => self.open(*manifest, most, told),
            Job::Meet(recording, person) => {
                if let Some(known) = self.recordings.get_mut(&recording)
                    && known.manifest.members.len() < MOST_PEOPLE
                    && !known.manifest.members.contains(&person)
                {
                    known.manifest.members.push(person);
                    // The manifest says so with the file that follows.
                    known.unsaid = true;
                }
            }
            Job::Say(recording, line) => {
                self.attempt(|writer| writer.keep_said(&recording, &line));
            }
            Job::Begin(id, entry, recording, header) => self.begin(id, *entry, recording, header),
            Job::Append(id, piece) => {
                let waits = self.state.waiting.fetch_sub(piece.bytes.len(), Ordering::Relaxed) - piece.bytes.len();
                if waits < self.state.most_waiting / 2 {
                    self.state.health.crowd(false);
                }
                self.attempt(|writer| writer.append(id, &piece));
            }
            Job::Finish(id, end) => {
                if let Some(file) = self.files.get_mut(&id).filter(|file| file.end.is_none()) {
                    file.end = Some(end);
                    self.complete(id);
                }
            }
            Job::Close { recording, at } => {
                if let Some(known) = self.recordings.get_mut(&recording) {
                    known.closed = Some(at);
                }
                self.say(&recording);
            }
        }
    }

    /// Writes something, which is lost where that fails. A disk that refuses is not asked again for each piece, but by [`Self::look`].
    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if !self.state.health.refuses() {
            let Err(error) = write(self) else { return };
            self.refused(&error);
        }
        self.state.metrics.lost("disk");
    }

    fn open(&mut self, manifest: Manifest, most: Option<u64>, told: watch::Sender<Fate>) {
        let id = manifest.id.clone();
        let folder = self.folder.join(&id);
        let kept = self.library.as_ref().map_or(0, |library| library.bytes_of(&manifest.room));
        let left = most.map(|most| most.saturating_sub(kept));
        let known = OnDisk { manifest, folder, made: false, unsaid: true, said: Said::default(), closed: None, open: 0, left, told };
        self.recordings.insert(id.clone(), known);
        self.say(&id);
    }

    fn keep_said(&mut self, recording: &str, line: &ChatLine) -> io::Result<()> {
        let Some(known) = self.recordings.get_mut(recording) else { return Ok(()) };
        match known.said.append(&known.folder, line)? {
            Some(bytes) => self.used += bytes,
            None => self.state.metrics.lost("chat"),
        }
        self.state.health.written();
        Ok(())
    }

    fn begin(&mut self, id: FileId, mut entry: FileEntry, recording: String, header: Vec<u8>) {
        let Some(known) = self.recordings.get_mut(&recording) else { return };
        let place = known.manifest.files.len();
        // Drawn here: nothing that anybody has written becomes a part of a path.
        entry.name = format!("{:04}.{}", place + 1, entry.container.extension());
        let (container, path) = (entry.container, known.folder.join(&entry.name));
        known.manifest.files.push(entry);
        known.open += 1;
        known.unsaid = true;
        self.files.insert(id, OpenFile::new(recording.clone(), place, container, path, header));
        self.say(&recording);
    }

    /// Appends a piece, whole or not at all.
    fn append(&mut self, id: FileId, piece: &Piece) -> io::Result<()> {
        let health = &self.state.health;
        let Some(file) = self.files.get_mut(&id).filter(|_| id >= health.ended_before()) else { return Ok(()) };
        let known = self.recordings.get_mut(&file.recording);
        if let Some(known) = known.filter(|known| known.left.is_some_and(|left| left < piece.bytes.len() as u64)) {
            // Once: the recording then ends, and what comes until then is of no use.
            known.left = Some(0);
            known.told.send_if_modified(|fate| std::mem::replace(fate, Fate::RoomFull) == Fate::GoesOn);
            self.state.metrics.lost("room");
            return Ok(());
        }
        let before = file.len;
        let written = file.append(piece, health.done(), || health.written());
        let more = file.len - before;
        if let Some(left) = self.recordings.get_mut(&file.recording).and_then(|known| known.left.as_mut()) {
            *left = left.saturating_sub(more);
        }
        self.used += more;
        self.state.metrics.bytes.inc_by(more);
        written
    }

    fn refused(&self, error: &io::Error) {
        self.state.metrics.disk_error("write");
        self.state.health.refuse(error);
    }

    /// Puts index and length into a file that has ended; tried again later when the disk refuses.
    fn complete(&mut self, id: FileId) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let state = match file.complete(self.state.health.done()) {
            Ok(state) => state,
            Err(error) => return self.refused(&error),
        };
        let Some(file) = self.files.remove(&id) else { return };
        let Some(end) = file.end else { return };
        let Some(known) = self.recordings.get_mut(&file.recording) else { return };
        if let Some(entry) = known.manifest.files.get_mut(file.entry) {
            (entry.length, entry.bytes, entry.lost, entry.state) = (end.length, file.bytes, end.lost, state);
        }
        known.open = known.open.saturating_sub(1);
        known.unsaid = true;
        self.say(&file.recording);
    }

    /// Writes the manifest of a recording, if there is anything new; one that has ended is forgotten.
    fn say(&mut self, recording: &str) {
        let Some(known) = self.recordings.get_mut(recording) else { return };
        if let Some(at) = known.closed.filter(|_| known.open == 0 && known.manifest.state == State::Recording) {
            (known.manifest.state, known.manifest.ended, known.unsaid) = (State::Finished, Some(at), true);
        }
        if known.unsaid {
            match known.write() {
                Ok(()) => {
                    known.unsaid = false;
                    self.library.iter().for_each(|library| library.put(&known.manifest));
                }
                Err(error) => return self.refused(&error),
            }
            self.state.health.written();
        }
        if known.manifest.state != State::Recording {
            known.told.send_replace(Fate::Whole { files: known.manifest.files.len(), bytes: known.manifest.bytes() });
            self.recordings.remove(recording);
            self.state.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Looks whether there is room, and tries what was refused.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        let free = folder::free(&self.folder).unwrap_or(u64::MAX);
        self.state.metrics.free.set(i64::try_from(free).unwrap_or(i64::MAX));
        if let Err(error) = self.has_room(free).and_then(|()| self.recovered()) {
            return self.state.health.refuse(&error);
        }
        self.state.health.go_on();
        let ended: Vec<FileId> = self.files.iter().filter(|(_, file)| file.end.is_some()).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.complete(id));
        let unsaid: Vec<String> =
            self.recordings.iter().filter(|(_, known)| known.unsaid || known.closed.is_some()).map(|(id, _)| id.clone()).collect();
        unsaid.iter().for_each(|id| self.say(id));
    }

    fn has_room(&mut self, free: u64) -> io::Result<()> {
        if free < self.minimum_free {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has less than recording.minimum_free_mib left"));
        }
        if self.quota > 0 && self.used >= self.quota {
            self.used = folder::used(&self.folder);
            if self.used >= self.quota {
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "recordings take as much as recording.quota_mib allows"));
            }
        }
        Ok(())
    }

    /// Of a disk that has refused something: looks what is left, and whether it takes something again.
    fn recovered(&mut self) -> io::Result<()> {
        let state = self.state.clone();
        if !state.health.refuses() {
            return Ok(());
        }
        if state.health.has_failed() {
            let mut open = Vec::new();
            for (id, file) in self.files.range_mut(..state.health.ended_before()) {
                file.cut_short(state.health.done());
                open.push(*id);
            }
            open.into_iter().for_each(|id| self.complete(id));
            state.health.mended()?;
        }
        folder::probe(&self.folder)
    }
}

impl OnDisk {
    fn write(&mut self) -> io::Result<()> {
        if !self.made {
            match folder::create_private(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.made = true,
            }
        }
        self.manifest.write(&self.folder)
    }
}
