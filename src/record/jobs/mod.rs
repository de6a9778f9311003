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
pub mod mixdown;
pub mod peaks;
pub mod program;
pub mod queue;
pub mod scenes;

use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::file::Container;
use super::manifest::Manifest;
use super::store::{Failed, Lease, Store};
use crate::config::JobsConfig;
use crate::metrics::JobMetrics;
use clip::{Clip, Format};
use mixdown::{Film, Mixdown, Watch};
use program::Program;
use queue::{Queue, Ticket};

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
    /// So much of it is done, from 0 to 1.
    Running(f32),
    /// What came of it is in its place.
    Done,
    /// Nothing came of it.
    Failed(Unmade),
}

/// Why something is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// There is no FFmpeg: the setting `jobs.ffmpeg` names none that can be started.
    NoProgram,
    /// The FFmpeg that there is cannot write this.
    NoEncoder,
    /// There is nothing of this in the file: no picture, or no sound.
    Nothing,
    /// The file is gone, or is not one of ours.
    Gone,
    /// Too many others wait.
    Busy,
    /// Somebody has taken it back, or the node ends.
    Cancelled,
    /// It took too long, and was ended.
    TooLong,
    /// The disk has less room than it is to keep.
    Full,
    /// What it is made of is in the bucket alone, and that refuses.
    Away,
    /// It went wrong; what was said about it, which may name files.
    Failed(String),
}

impl Unmade {
    /// Its name in answers.
    pub const fn code(&self) -> &'static str {
        match self {
            Unmade::NoProgram => "no_ffmpeg",
            Unmade::NoEncoder => "no_encoder",
            Unmade::Nothing => "nothing_to_show",
            Unmade::Gone => "not_found",
            Unmade::Busy => "busy",
            Unmade::Cancelled => "cancelled",
            Unmade::TooLong => "too_long",
            Unmade::Full => "disk_full",
            Unmade::Away => "storage_unavailable",
            Unmade::Failed(_) => "failed",
        }
    }

    /// A sentence for whoever asked.
    pub const fn detail(&self) -> &'static str {
        match self {
            Unmade::NoProgram => "this server has no FFmpeg, which decodes pictures and sound: install it, or set jobs.ffmpeg",
            Unmade::NoEncoder => "the FFmpeg of this server cannot write this kind of file: choose the other one",
            Unmade::Nothing => "there is no picture, or no sound, to make it of",
            Unmade::Gone => "the file is not there",
            Unmade::Busy => "too many wait already: try again later",
            Unmade::Cancelled => "it was taken back",
            Unmade::TooLong => "it took too long, and was ended",
            Unmade::Full => "the disk of this server has too little room left",
            Unmade::Away => "what it is made of is in another place, which does not answer: try again later",
            Unmade::Failed(_) => "the file could not be decoded",
        }
    }
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

    fn run(&self, lane: &Lane) {
        // So that it is known before anybody asks.
        let _ = self.program();
        while let Some((ticket, order)) = self.next(lane) {
            let (begun, work) = (Instant::now(), &order.work);
            let made = self.make(&ticket, work);
            let result = match &made {
                Ok(()) => "done",
                Err(Unmade::Cancelled) => "cancelled",
                Err(Unmade::TooLong) => "too_long",
                Err(_) => "failed",
            };
            if let Err(why @ (Unmade::Failed(_) | Unmade::TooLong)) = &made {
                tracing::warn!(kind = work.kind(), file = %ticket.to.display(), why = ?why, "nothing was made of a recording");
            }
            self.metrics.ended(work.kind(), result, begun.elapsed());
            if let Work::Mixdown(mixdown) = work {
                self.say(mixdown, &made, begun.elapsed());
            }
            lane.lock().over(made, Instant::now());
        }
    }

    /// What was taken back, or deleted meanwhile, is nobody's business.
    fn say(&self, mixdown: &Mixdown, made: &Result<(), Unmade>, took: Duration) {
        let Some(told) = self.told.get() else { return };
        let Ok(Manifest { id: recording, room, .. }) = Manifest::read(&mixdown.folder) else { return };
        let file = mixdown.film.file_name();
        let made = match made {
            Err(Unmade::Cancelled) => return,
            Err(why) => Err(why.clone()),
            Ok(()) => Ok(mixdown.folder.join(file).metadata().map_or(0, |data| data.len())),
        };
        // One is made at a time: whoever does not keep up with that has stopped.
        if told.try_send(MixedDown { room, recording, file, made, took }).is_err() {
            tracing::error!("a mixdown came to its end, and nobody heard of it");
        }
    }

    fn next(&self, lane: &Lane) -> Option<(Ticket, Order)> {
        let mut queue = lane.lock();
        loop {
            if self.closed.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(next) = queue.begin_next() {
                return Some(next);
            }
            queue = lane.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn make(&self, ticket: &Ticket, work: &Work) -> Result<(), Unmade> {
        if matches!(work, Work::Thumbnail(_) | Work::Waveform(_)) && self.bring(&ticket.to)? {
            return Ok(());
        }
        let program = &self.program()?;
        let ends = || ticket.is_cancelled() || self.closed.load(Ordering::Relaxed);
        has_room(&self.root, self.minimum_free)?;
        match work {
            Work::Thumbnail(clip) => self.keep(ticket, &self.ours(clip)?.thumbnail(program, ends)?),
            Work::Waveform(clip) => self.keep(ticket, &self.ours(clip)?.waveform(program, ends)?),
            Work::Screenshot(format, file) => self.keep(ticket, &clip::key_frame(program, *format, file, ends)?),
            Work::Mixdown(mixdown) => {
                self.bring_all(&mixdown.folder, ends)?;
                let work = Folder(self.root.join(WORK).join(self.number().to_string()));
                let progress = |part| ticket.progress(part);
                let film = mixdown.make(program, &work.0, &Watch { progress: &progress, ends: &ends })?;
                // A recording that was deleted meanwhile has no folder.
                std::fs::rename(film, &ticket.to).map_err(|_| Unmade::Gone)
            }
        }
    }

    /// The program; one that is not there is looked for again, for it may be installed meanwhile.
    fn program(&self) -> Result<Program, Unmade> {
        let name = self.config.ffmpeg.as_deref().ok_or(Unmade::NoProgram)?;
        let mut known = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            match Program::find(name, self.config.idle, self.config.memory) {
                Ok(found) => {
                    self.missed.store(false, Ordering::Relaxed);
                    *known = Some(found);
                }
                Err(error) if !self.missed.swap(true, Ordering::Relaxed) => {
                    tracing::warn!(ffmpeg = name, %error, "there is no FFmpeg: no thumbnails, waveforms, screenshots and mixdowns (jobs.ffmpeg)");
                }
                Err(_) => {}
            }
        }
        known.clone().ok_or(Unmade::NoProgram)
    }

    /// A file that is in our folder, whatever way it was named.
    fn ours<'a>(&self, clip: &'a Clip) -> Result<&'a Clip, Unmade> {
        self.bring(&clip.path)?;
        let real = clip.path.canonicalize().map_err(|_| Unmade::Gone)?;
        if real.starts_with(&self.root) && real.is_file() { Ok(clip) } else { Err(Unmade::Gone) }
    }

    /// What of an item is not here is brought back, if the bucket has it; whether the file is here then.
    fn bring(&self, path: &Path) -> Result<bool, Unmade> {
        let Some((store, id)) = self.store_of(path) else { return Ok(path.is_file()) };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        store.bring_here(id, name).map_err(|failed| match failed {
            Failed::Bucket(_) => Unmade::Away,
            Failed::Disk(error) if error.kind() == io::ErrorKind::StorageFull => Unmade::Full,
            Failed::Disk(error) => Unmade::Failed(error.to_string()),
        })
    }

    fn bring_all(&self, folder: &Path, ends: impl Fn() -> bool) -> Result<(), Unmade> {
        let manifest = Manifest::read(folder).map_err(|_| Unmade::Gone)?;
        for entry in &manifest.files {
            if ends() {
                return Err(Unmade::Cancelled);
            }
            self.bring(&folder.join(&entry.name))?;
        }
        Ok(())
    }

    fn lease(&self, to: &Path) -> Option<Lease> {
        self.store_of(to).map(|(store, id)| store.lease(id))
    }

    /// The bucket, and the item that a file is of; none of what is in no item's folder.
    fn store_of<'a>(&self, path: &'a Path) -> Option<(&Store, &'a str)> {
        let id = path.parent()?.file_name()?.to_str().filter(|id| *id != WORK)?;
        Some((self.store.get()?, id))
    }

    /// Puts bytes where they belong: whole, or not at all.
    fn keep(&self, ticket: &Ticket, bytes: &[u8]) -> Result<(), Unmade> {
        let new = self.root.join(WORK).join(format!("{}.new", self.number()));
        let written = write_new(&new, bytes).and_then(|()| std::fs::rename(&new, &ticket.to));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&new);
            if error.kind() == io::ErrorKind::NotFound { Unmade::Gone } else { Unmade::Failed(error.to_string()) }
        })
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, bytes)
}

/// A folder that is gone with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether the disk has so many bytes free, which recordings need.
fn has_room(folder: &Path, minimum_free: u64) -> Result<(), Unmade> {
    match rustix::fs::statvfs(folder) {
        Ok(space) if space.f_bavail.saturating_mul(space.f_frsize) < minimum_free => Err(Unmade::Full),
        _ => Ok(()),
    }
}
