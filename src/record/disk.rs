//! The hands: one thread that writes what takes leave for it, and one that makes it last. Nobody waits for either: what finds no room
//! is refused, and a disk that refuses is tried again each second.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::Fate;
use super::file::{Begin, End, Piece};
use super::health::{Hand, Health};
use super::library::{ChatLine, Library, Said};
use super::manifest::{FileEntry, FileState, Manifest, Person, State, codec_name};
use super::open_file::OpenFile;
use super::repair;
use super::take::{Fate as PieceFate, FileId};
use crate::config::RecordingConfig;
use crate::metrics::RecordMetrics;
use tokio::sync::watch;

/// A disk that refuses is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// What a disk that has refused is tried with before anything is recorded again.
const PROBE: usize = 64 << 10;
/// Things that may wait for the disk, beside the bytes of pieces that the setting bounds.
const MOST_JOBS: usize = 16_384;

/// People that a manifest names: more than any room has at a time, and whoever joins anew all the time would make it endless.
const MOST_PEOPLE: usize = 4_096;

/// What the disk is to do.
enum Job {
    Open(Box<Manifest>, Option<u64>, watch::Sender<Fate>),
    Meet(String, Person),
    Say(String, ChatLine),
    Begin(FileId, Box<FileEntry>, String, Vec<u8>),
    Append(FileId, Piece),
    Finish(FileId, End),
    Close { recording: String, at: u64 },
}

/// The way to the disk.
#[derive(Clone)]
pub struct Disk {
    jobs: SyncSender<Job>,
    state: Arc<DiskState>,
}

/// What is known of the disk everywhere.
pub struct DiskState {
    /// Bytes of pieces that wait.
    waiting: AtomicUsize,
    most_waiting: usize,
    /// Recordings whose manifest is not final yet.
    open: AtomicUsize,
    /// Held for as long as the threads run: two nodes in one folder would repair each other's files.
    _lock: Option<File>,
    health: Health,
    metrics: RecordMetrics,
}

impl Disk {
    /// Starts the threads. The folder is made when it is not there; what a crash has left in it is repaired first.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or the system gives no more threads.
    pub fn start(config: &RecordingConfig, library: Option<Library>, metrics: RecordMetrics) -> io::Result<Self> {
        make_folder(&config.folder)?;
        // A library in the same folder has the lock already.
        let lock = if library.is_none() { Some(lock(&config.folder)?) } else { None };
        let (jobs, mail) = sync_channel(MOST_JOBS);
        let state = Arc::new(DiskState {
            waiting: AtomicUsize::new(0),
            most_waiting: config.queue_bytes,
            open: AtomicUsize::new(0),
            _lock: lock,
            health: Health::new(File::open(&config.folder)?, metrics.clone()),
            metrics,
        });
        let lasting = state.clone();
        std::thread::Builder::new().name("record-sync".into()).spawn(move || lasting.health.keep_lasting())?;
        let writer = Writer::new(config, library, state.clone());
        std::thread::Builder::new().name("record-disk".into()).spawn(move || writer.run(&mail))?;
        Ok(Self { jobs, state })
    }

    /// Whether it refuses at present.
    pub fn is_stalled(&self) -> bool {
        self.state.health.refuses()
    }

    /// Raises the alarm when the disk keeps its threads waiting.
    pub fn watch(&self) {
        self.state.health.watch();
    }

    /// Whether every recording has come to its end.
    pub fn is_settled(&self) -> bool {
        self.state.open.load(Ordering::Relaxed) == 0
    }

    /// A recording begins, of whose room `most` bytes are kept; whoever has begun it is told what becomes of it.
    pub fn open(&self, manifest: Manifest, most: Option<u64>, told: watch::Sender<Fate>) -> bool {
        self.state.open.fetch_add(1, Ordering::Relaxed);
        let sent = self.send(Job::Open(Box::new(manifest), most, told));
        if !sent {
            self.state.open.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    /// A member is recorded.
    pub fn meet(&self, recording: &str, person: Person) {
        self.send(Job::Meet(recording.to_owned(), person));
    }

    /// Something is said in a room that is recorded.
    pub fn say(&self, recording: &str, line: ChatLine) {
        if !self.send(Job::Say(recording.to_owned(), line)) {
            self.state.metrics.lost("jobs");
        }
    }

    /// A file of a recording begins; none while the disk refuses.
    pub fn begin(&self, recording: &str, (member, screen): (&str, bool), at: i64, begin: Begin) -> Option<FileId> {
        if self.is_stalled() {
            return None;
        }
        let id = self.state.health.next_file();
        let entry = FileEntry {
            name: String::new(),
            member: member.to_owned(),
            screen,
            container: begin.container,
            video: begin.picture.map(|codec| codec_name(codec).to_owned()),
            audio: begin.sound.then(|| "opus".to_owned()),
            size: begin.size,
            at,
            length: 0,
            bytes: 0,
            lost: 0,
            state: FileState::Writing,
        };
        self.send(Job::Begin(id, Box::new(entry), recording.to_owned(), begin.header)).then_some(id)
    }

    /// A file that is one too many of its recording: it is not begun.
    pub fn refuse_file(&self) {
        self.state.metrics.lost("files");
    }

    /// A piece of a file; lost when the disk refuses, or too much waits for it.
    pub fn append(&self, file: FileId, piece: Piece) -> PieceFate {
        if file < self.state.health.ended_before() {
            return PieceFate::Ended;
        }
        let bytes = piece.bytes.len();
        let fits = self.state.waiting.load(Ordering::Relaxed) + bytes <= self.state.most_waiting;
        if !fits {
            self.state.health.crowd(true);
        }
        let sent = fits && !self.is_stalled() && {
            self.state.waiting.fetch_add(bytes, Ordering::Relaxed);
            let sent = self.send(Job::Append(file, piece));
            if !sent {
                self.state.waiting.fetch_sub(bytes, Ordering::Relaxed);
            }
            sent
        };
        if sent {
            return PieceFate::Taken;
        }
        self.state.metrics.lost("queue");
        PieceFate::Lost
    }

    /// A file ends.
    pub fn finish(&self, file: FileId, end: End) {
        self.send(Job::Finish(file, end));
    }

    /// A recording ends (milliseconds since the Unix epoch), after its files.
    pub fn close(&self, recording: &str, at: u64) {
        self.send(Job::Close { recording: recording.to_owned(), at });
    }

    fn send(&self, job: Job) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.state.metrics.lost("jobs");
                false
            }
        }
    }
}

/// The thread that writes.
struct Writer {
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
    fn new(config: &RecordingConfig, library: Option<Library>, state: Arc<DiskState>) -> Self {
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

    fn run(mut self, mail: &Receiver<Job>) {
        let (state, library) = (self.state.clone(), &self.library);
        repair::all(&self.folder, &state.metrics, |manifest| library.iter().for_each(|library| library.put(manifest)));
        self.used = used(&self.folder);
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
                if let Err(error) = self.keep_said(&recording, &line) {
                    self.refused(&error);
                    self.state.metrics.lost("disk");
                }
            }
            Job::Begin(id, entry, recording, header) => self.begin(id, *entry, recording, header),
            Job::Append(id, piece) => {
                let waits = self.state.waiting.fetch_sub(piece.bytes.len(), Ordering::Relaxed) - piece.bytes.len();
                if waits < self.state.most_waiting / 2 {
                    self.state.health.crowd(false);
                }
                if let Err(error) = self.append(id, &piece) {
                    self.refused(&error);
                    self.state.metrics.lost("disk");
                }
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
        if self.state.health.refuses() {
            return Err(io::ErrorKind::StorageFull.into());
        }
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
        if health.refuses() {
            return Err(io::ErrorKind::StorageFull.into());
        }
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
        let free = free(&self.folder).unwrap_or(u64::MAX);
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
            self.used = used(&self.folder);
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
        probe(&self.folder)
    }
}

impl OnDisk {
    fn write(&mut self) -> io::Result<()> {
        if !self.made {
            match create_dir_private(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.made = true,
            }
        }
        self.manifest.write(&self.folder)
    }
}

/// Writes something, makes it last, and takes it away.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(".probe");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let done = file.write_all(&[0; PROBE]).and_then(|()| file.sync_all());
    std::fs::remove_file(path).and(done)
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_dir_all(parent)?;
    }
    create_dir_private(folder)
}

pub(super) fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(".lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another node records into this directory")),
    }
}

/// What was said in a call is for whoever runs the node, and for no other user of the machine.
pub(super) fn create_dir_private(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

pub(super) fn free(folder: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Bytes of all files in a folder and in the folders in it.
fn used(folder: &Path) -> u64 {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| entry.metadata().map_or(0, |data| if data.is_file() { data.len() } else { 0 });
    entries(folder).map(|entry| if entry.path().is_dir() { entries(&entry.path()).map(bytes).sum() } else { bytes(entry) }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::file::Container;
    use crate::record::manifest::tests::recording;

    fn manifest() -> Manifest {
        let (members, files) = (Vec::new(), Vec::new());
        Manifest { state: State::Recording, ended: None, members, files, ..recording("r1", "r", 1, 0) }
    }

    /// What a disk that is too slow cannot take is refused at once, and the files that there are come to their ends.
    #[test]
    fn a_slow_disk_keeps_nobody_waiting() {
        let folder = std::env::temp_dir().join(format!("althing-slow-{}", std::process::id()));
        let config = RecordingConfig {
            folder: folder.clone(),
            recordings: 1,
            minimum_free: 0,
            quota: 0,
            queue_bytes: 1_000,
            key_every: Duration::from_secs(1),
        };
        let metrics = RecordMetrics::register(&prometheus_registry()).expect("metrics");
        let disk = Disk::start(&config, None, metrics).expect("it starts");
        assert!(disk.open(manifest(), None, watch::channel(Fate::GoesOn).0));
        let begin = Begin { container: Container::Webm, picture: None, size: None, sound: true, at: 0, header: vec![1, 2, 3] };
        let file = disk.begin("r1", ("ada", false), 0, begin).expect("it begins");
        let piece = |bytes| Piece { bytes: vec![0; bytes], at: 0, until: 1, key: true };
        assert_eq!(disk.append(file, piece(1_001)), PieceFate::Lost, "more than may wait");
        assert_eq!(disk.append(file, piece(600)), PieceFate::Taken);
        disk.finish(file, End { length: 1, lost: 1 });
        disk.close("r1", 2);
        let begun = Instant::now();
        while !disk.is_settled() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it comes to its end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let manifest = Manifest::read(&folder.join("r1")).expect("a manifest");
        assert_eq!((manifest.state, manifest.files.len(), manifest.files[0].name.as_str()), (State::Finished, 1, "0001.webm"));
        assert!(
            disk.begin(
                "../r1",
                ("ada", false),
                0,
                Begin { container: Container::Webm, picture: None, size: None, sound: true, at: 0, header: vec![] }
            )
            .is_some()
        );
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 2, "a recording that nobody has begun has no file: the lock, and r1");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    fn prometheus_registry() -> prometheus::Registry {
        prometheus::Registry::new()
    }
}
