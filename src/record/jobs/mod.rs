//! What is made of recordings afterwards: thumbnails, waveforms, pictures of key frames, mixdowns. All that needs decoding is done by an
//! FFmpeg that is installed beside; this process never decodes anything.
//!
//! ```text
//! whoever asks ─► queue (one for each kind of patience) ─► a thread ─► ffmpeg ─► a new file ─rename─► its place
//! ```
//!
//! | queue | what | waits for |
//! |---|---|---|
//! | pictures | key frames of a call, thumbnails | a second |
//! | sounds | waveforms | a minute |
//! | films | mixdowns | hours |
//!
//! Each has one child at a time, which gets what nobody else wants of the machine: a picture waits for no film.

pub mod clip;
mod making;
pub mod mixdown;
pub mod peaks;
pub mod program;
pub mod queue;
pub mod scenes;
mod unmade;

use std::fmt;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::file::Container;
use super::manifest::Manifest;
use super::store::{Lease, Store};
use crate::config::JobsConfig;
use crate::metrics::JobMetrics;
use clip::{Clip, Format};
use mixdown::{Film, Mixdown};
use program::Program;
use queue::{Queue, Ticket};

pub use unmade::Unmade;

/// Where what is not whole yet is, in the folder of recordings: it is renamed from there to where it belongs.
pub const WORK: &str = ".jobs";
/// The name of an item's thumbnail.
pub const THUMBNAIL: &str = "thumbnail.jpg";
/// Pictures, and sounds, that may wait. More: whoever looks through a long library is answered late rather than told to come again.
const MOST_SMALL: usize = 256;

/// The node's jobs: cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    config: JobsConfig,
    root: PathBuf,
    minimum_free: u64,
    pictures: Lane,
    sounds: Lane,
    films: Lane,
    /// Looked for when it is first needed: a program on a cold disk takes seconds to answer.
    program: Mutex<Option<Program>>,
    /// That there is none was said.
    missed: AtomicBool,
    closed: AtomicBool,
    /// Where files are that are not here, if anywhere.
    store: OnceLock<Store>,
    numbers: AtomicU64,
    metrics: JobMetrics,
    /// Who hears of mixdowns, if anybody does.
    told: OnceLock<mpsc::Sender<MixedDown>>,
}

/// A queue, and its thread's bed.
struct Lane {
    queue: Mutex<Queue<Order>>,
    bell: Condvar,
}

/// What is to be done; what it is made of stays on this disk meanwhile.
struct Order {
    work: Work,
    _lease: Option<Lease>,
}

/// What is to be done.
#[derive(Clone, Debug)]
enum Work {
    Thumbnail(Clip),
    Waveform(Clip),
    Screenshot(Format, Vec<u8>),
    Mixdown(Box<Mixdown>),
}

/// A mixdown that has come to its end.
#[derive(Clone, Debug)]
pub struct MixedDown {
    /// The room's name.
    pub room: String,
    /// The recording's identity.
    pub recording: String,
    /// The film's file name.
    pub file: &'static str,
    /// The film's bytes, or why there is none.
    pub made: Result<u64, Unmade>,
    /// How long that took.
    pub took: Duration,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// Others are before it.
    Waiting,
    /// What it is made of is brought here from a bucket: so much of that is here, from 0 to 1. Nothing is made yet.
    Fetching(f32),
    /// So much of it is done, from 0 to 1.
    Running(f32),
    /// So much of it is done, and the machine has next to no time for more.
    Held(f32),
    /// What came of it is in its place.
    Done,
    /// Nothing came of it.
    Failed(Unmade),
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Work {
    const fn kind(&self) -> &'static str {
        match self {
            Work::Thumbnail(_) => "thumbnail",
            Work::Waveform(_) => "waveform",
            Work::Screenshot(..) => "screenshot",
            Work::Mixdown(_) => "mixdown",
        }
    }
}

/// One of the lanes.
type LaneOf = fn(&Inner) -> &Lane;

impl Jobs {
    /// Starts the threads. `root` is the folder of recordings, whose disk keeps `minimum_free` bytes free; what a crash has left of jobs is removed.
    ///
    /// # Errors
    /// When the system gives no more threads, or the folder cannot be written to.
    pub fn start(config: &JobsConfig, root: &Path, minimum_free: u64, metrics: JobMetrics) -> io::Result<Self> {
        let work = root.join(WORK);
        match std::fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&work)?,
        }
        let lane = |most| Lane { queue: Mutex::new(Queue::new(most)), bell: Condvar::new() };
        let inner = Arc::new(Inner {
            root: root.canonicalize()?,
            minimum_free,
            pictures: lane(MOST_SMALL),
            sounds: lane(MOST_SMALL),
            films: lane(config.mixdowns),
            config: config.clone(),
            program: Mutex::new(None),
            missed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            store: OnceLock::new(),
            numbers: AtomicU64::new(0),
            metrics,
            told: OnceLock::new(),
        });
        let lanes: [(&str, LaneOf); 3] =
            [("job-pictures", |inner| &inner.pictures), ("job-sounds", |inner| &inner.sounds), ("job-films", |inner| &inner.films)];
        for (name, lane) in lanes {
            let inner = inner.clone();
            std::thread::Builder::new().name(name.into()).spawn(move || inner.run(lane(&inner)))?;
        }
        Ok(Self(inner))
    }

    /// Has files that are not here brought back from a bucket from now on.
    pub fn bring_from(&self, store: Store) {
        // Once, by whoever starts them.
        let _ = self.0.store.set(store);
    }

    /// Has mixdowns that are done, or could not be, told from now on.
    pub fn tell(&self, whom: mpsc::Sender<MixedDown>) {
        // Once, by whoever starts them.
        let _ = self.0.told.set(whom);
    }

    /// Whether there is a program, as far as that is known.
    pub fn may_work(&self) -> bool {
        self.0.config.ffmpeg.is_some() && !self.0.missed.load(Ordering::Relaxed)
    }

    /// A small JPEG of what is seen in a file, at `to`: as it is, or made now.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn thumbnail(&self, clip: Clip, to: &Path) -> Result<(), Unmade> {
        self.made(&self.0.pictures, to, || Work::Thumbnail(clip)).await
    }

    /// How loud a file is when, as JSON, at `to`: as it is, or made now.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn waveform(&self, clip: Clip, to: &Path) -> Result<(), Unmade> {
        self.made(&self.0.sounds, to, || Work::Waveform(clip)).await
    }

    /// A PNG of a key frame, which is in a file of its own; where it is then. Whoever asked takes it away from there.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn screenshot(&self, container: Container, file: Vec<u8>) -> Result<PathBuf, Unmade> {
        let to = self.0.root.join(WORK).join(format!("{}.png", self.0.number()));
        self.made(&self.0.pictures, &to, || Work::Screenshot(Format::of(container), file)).await?;
        Ok(to)
    }

    /// Begins to mix a recording down, or to wait for that.
    ///
    /// # Errors
    /// [`Unmade::Busy`].
    pub fn mix_down(&self, folder: &Path, film: Film) -> Result<(), Unmade> {
        let JobsConfig { height, threads, .. } = self.0.config;
        let mixdown = Mixdown { folder: folder.to_owned(), film, height, threads, minimum_free: self.0.minimum_free };
        self.0.push(&self.0.films, &folder.join(film.file_name()), || Work::Mixdown(Box::new(mixdown))).map(drop)
    }

    /// How far a mixdown is, and how many wait before it. None when there is none and none is made; a file that is there is [`JobState::Done`].
    pub fn mixdown(&self, folder: &Path, film: Film) -> Option<(JobState, usize)> {
        let to = folder.join(film.file_name());
        let known = self.0.films.lock().state(&to, Instant::now());
        match known {
            None | Some((JobState::Failed(_), _)) if to.is_file() => Some((JobState::Done, 0)),
            known => known,
        }
    }

    /// Takes a mixdown back that is not done yet; false when there is none.
    pub fn cancel_mixdown(&self, folder: &Path, film: Film) -> bool {
        let (known, work) = self.0.films.lock().cancel(&folder.join(film.file_name()), Instant::now());
        work.iter().for_each(|order| self.0.metrics.ended(order.work.kind(), "cancelled", Duration::ZERO));
        known
    }

    /// Something is complete: its thumbnail and its waveforms are made before anybody asks for them. Where too many wait, they are made when
    /// somebody does.
    pub fn prepare(&self, folder: &Path, manifest: &Manifest) {
        if let Some(clip) = Clip::best(folder, manifest) {
            let _ = self.0.push(&self.0.pictures, &thumbnail_of(folder), || Work::Thumbnail(clip));
        }
        for clip in Clip::heard(folder, manifest) {
            let _ = self.0.push(&self.0.sounds, &waveform_of(&clip.path), || Work::Waveform(clip.clone()));
        }
    }

    /// Ends everything: the node does.
    pub fn end(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        for lane in [&self.0.pictures, &self.0.sounds, &self.0.films] {
            let waiting = lane.lock().end(Instant::now());
            waiting.iter().for_each(|order| self.0.metrics.ended(order.work.kind(), "cancelled", Duration::ZERO));
            lane.bell.notify_all();
        }
    }

    async fn made(&self, lane: &Lane, to: &Path, work: impl FnOnce() -> Work) -> Result<(), Unmade> {
        if to.is_file() {
            return Ok(());
        }
        if let Some(why) = lane.lock().why_not(to, Instant::now()) {
            return Err(why);
        }
        self.0.push(lane, to, work)?.over().await
    }
}

/// Where the thumbnail of an item is.
pub fn thumbnail_of(folder: &Path) -> PathBuf {
    folder.join(THUMBNAIL)
}

/// Where the waveform of a file is.
pub fn waveform_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".peaks.json");
    file.with_file_name(name)
}

impl Lane {
    /// A thread that failed has left the queue whole: nothing is done with it but in one step.
    fn lock(&self) -> MutexGuard<'_, Queue<Order>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&self, lane: &Lane, to: &Path, work: impl FnOnce() -> Work) -> Result<Ticket, Unmade> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Unmade::Cancelled);
        }
        let work = work();
        let kind = work.kind();
        match lane.lock().push(to, || Order { work, _lease: self.lease(to) }) {
            Ok((ticket, new)) => {
                if new {
                    self.metrics.came(kind);
                    lane.bell.notify_one();
                }
                Ok(ticket)
            }
            Err(why) => {
                self.metrics.refused(kind);
                Err(why)
            }
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn lease(&self, to: &Path) -> Option<Lease> {
        self.store_of(to).map(|(store, id)| store.lease(id))
    }

    /// The bucket, and the item that a file is of; none of what is in no item's folder.
    fn store_of<'a>(&self, path: &'a Path) -> Option<(&Store, &'a str)> {
        let id = path.parent()?.file_name()?.to_str().filter(|id| *id != WORK)?;
        Some((self.store.get()?, id))
    }
}
