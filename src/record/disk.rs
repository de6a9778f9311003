//! The hands: one thread that writes what takes leave for it ([`writer`]), and one that makes it last. Nobody waits for either: what finds no room
//! is refused, and a disk that refuses is tried again each second.

mod writer;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::watch;

use super::Fate;
use super::file::{Begin, End, Piece};
use super::folder;
use super::health::{Health, Pause};
use super::library::{ChatLine, Library};
use super::manifest::{FileEntry, FileState, Manifest, Person, codec_name};
use super::take::{Fate as PieceFate, FileId};
use crate::config::RecordingConfig;
use crate::metrics::RecordMetrics;
use writer::Writer;

/// Things that may wait for the disk, beside the bytes of pieces that the setting bounds.
const MOST_JOBS: usize = 16_384;

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
        folder::make(&config.folder)?;
        // A library in the same folder has the lock already.
        let lock = if library.is_none() { Some(folder::lock(&config.folder)?) } else { None };
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

    /// Why nothing is written at present, or not all.
    pub fn paused(&self) -> watch::Receiver<Option<Pause>> {
        self.state.health.paused()
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::record::file::Container;
    use crate::record::manifest::State;
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
