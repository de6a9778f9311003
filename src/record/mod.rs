//! Recordings: one more leg on each track. No browser, no transcoding: packets become files as they are.
//!
//! ```text
//! worker ─tap ring─► thread ─► take: leg (reorder, frame, timeline) ─► file (webm, mp4) ─► disk ─► folder/ID/0001.webm, manifest.json
//! ```
//!
//! `take` and what is below it is pure: it is told the time and the bytes, and leaves pieces on a shelf.

mod disk;
pub mod file;
mod folder;
pub mod frame;
pub mod glimpse;
mod health;
pub mod hls;
pub mod jobs;
pub mod leg;
pub mod library;
pub mod manifest;
mod open_file;
pub mod reorder;
pub mod repair;
pub mod store;
pub mod take;
mod thread;
pub mod timeline;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{oneshot, watch};

use crate::base::{RoomId, TapId, Time, TrackId, WorkerId};
use crate::config::RecordingConfig;
use crate::metrics::RecordMetrics;
use crate::port::{Bell, TapReader, WorkerHandle};

use disk::Disk;
use glimpse::KeyFrame;
use library::{ChatLine, Library};
use manifest::{Kind, Manifest, Person, SCHEMA, State};
use thread::{About, Attach, Look, MOST_MAIL, Mail, RecordThread};

pub use health::Pause;

/// A stopped recording's takes have so long to come to their ends before its manifest is closed without them.
const FAREWELL: Duration = Duration::from_secs(5);

/// The node's recorder: cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    disk: Disk,
    /// The thread of each worker, by its number.
    threads: Vec<(SyncSender<Mail>, Bell)>,
    epoch: Instant,
    most: usize,
    now: AtomicUsize,
    taps: AtomicU64,
    metrics: RecordMetrics,
}

/// A worker, as the recorder needs it.
pub struct WorkerTap {
    /// Where key frames are asked for.
    pub inbox: WorkerHandle,
    /// What it copies.
    pub ring: TapReader,
    /// What wakes whoever reads the ring.
    pub bell: Bell,
}

/// Why nothing can be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many rooms as may be are recorded already.
    TooMany,
    /// The disk is full, or refuses.
    Disk,
}

/// A recording that begins.
pub struct Beginning {
    /// Its identity, drawn: the name of its folder.
    pub id: String,
    /// The room's name.
    pub room: String,
    /// Who has begun it.
    pub by: Person,
    /// Bytes that are kept of the room at most, what there is already included.
    pub most: Option<u64>,
}

/// How far a recording is, for whoever has begun it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on, or its files are being completed.
    GoesOn,
    /// As much is kept of the room as may be: nothing more of it is kept.
    RoomFull,
    /// It has ended, and its files and its manifest are whole on the disk.
    Whole {
        /// How many files it has.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
}

/// A track that is to be recorded.
pub struct Wanted {
    /// The worker that it is published on.
    pub worker: WorkerId,
    /// The room.
    pub room: RoomId,
    /// The track.
    pub track: TrackId,
    /// Whose it is.
    pub member: String,
    /// Whether it is of the member's screen.
    pub screen: bool,
    /// Whether it is sound.
    pub audio: bool,
}

/// A recording that goes on; dropping it ends it.
pub struct Recording {
    inner: Arc<Inner>,
    about: Arc<About>,
    taps: BTreeMap<TrackId, (WorkerId, TapId)>,
    fate: watch::Receiver<Fate>,
}

impl Recorder {
    /// Starts the threads: one for each worker, and those of the disk. The library, where there is one, is told what becomes of recordings.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, or the system gives no more threads.
    pub fn start(
        config: &RecordingConfig, workers: Vec<WorkerTap>, epoch: Instant, library: Option<Library>, metrics: RecordMetrics,
    ) -> io::Result<Self> {
        let disk = Disk::start(config, library, metrics.clone())?;
        let mut threads = Vec::new();
        for (number, WorkerTap { inbox, ring, bell }) in workers.into_iter().enumerate() {
            let (sender, mail) = sync_channel(MOST_MAIL);
            threads.push((sender, bell.clone()));
            let thread = RecordThread {
                mail,
                ring,
                bell,
                worker: inbox,
                disk: disk.clone(),
                epoch,
                key_every: config.key_every,
                takes: BTreeMap::new(),
                taps: BTreeMap::new(),
                glimpses: BTreeMap::new(),
            };
            std::thread::Builder::new().name(format!("record-{number}")).spawn(move || thread.run())?;
        }
        let inner = Inner { disk, threads, epoch, most: config.recordings, now: AtomicUsize::new(0), taps: AtomicU64::new(0), metrics };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether another recording may begin.
    ///
    /// # Errors
    /// Why not.
    pub fn may_begin(&self) -> Result<(), Refused> {
        if self.0.disk.is_stalled() {
            return Err(Refused::Disk);
        }
        if self.0.now.load(Ordering::Relaxed) >= self.0.most {
            return Err(Refused::TooMany);
        }
        Ok(())
    }

    /// A key frame of a track, for a picture of it: its worker is to tag its packets like this from now on, until the second value is there or is
    /// known not to come (after [`glimpse::PATIENCE`]). With `recorded`, the tap of a recording of it, nothing new is tagged. None when the
    /// recorder is overloaded.
    pub fn glimpse(&self, worker: WorkerId, room: RoomId, track: TrackId, recorded: Option<TapId>) -> Option<(TapId, oneshot::Receiver<KeyFrame>)> {
        let tap = recorded.unwrap_or_else(|| TapId(self.0.taps.fetch_add(1, Ordering::Relaxed) + 1));
        let (answer, seen) = oneshot::channel();
        self.0.send(worker, Mail::Glimpse(Box::new(Look { tap, room, track, answer })))?;
        Some((tap, seen))
    }

    /// Waits until every recording that was ended is whole on the disk, for as long as that may take.
    pub async fn settled(&self) {
        let until = Instant::now() + FAREWELL;
        while !self.0.disk.is_settled() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Begins a recording: its manifest is written, and nothing of it is recorded yet.
    ///
    /// # Errors
    /// As [`Self::may_begin`].
    pub fn begin(&self, beginning: Beginning) -> Result<Recording, Refused> {
        self.may_begin()?;
        if self.0.now.fetch_add(1, Ordering::Relaxed) >= self.0.most {
            self.0.now.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::TooMany);
        }
        self.0.metrics.recordings.inc();
        let about = Arc::new(About { id: beginning.id, began: Time::ZERO + self.0.epoch.elapsed(), files: AtomicUsize::new(0) });
        let (told, fate) = watch::channel(Fate::GoesOn);
        let recording = Recording { inner: self.0.clone(), about, taps: BTreeMap::new(), fate };
        let manifest = Manifest {
            schema: SCHEMA,
            id: recording.about.id.clone(),
            room: beginning.room,
            kind: Kind::Recording,
            title: None,
            by: beginning.by,
            state: State::Recording,
            began: unix_millis(),
            ended: None,
            members: Vec::new(),
            files: Vec::new(),
            upload: None,
        };
        if !self.0.disk.open(manifest, beginning.most, told) {
            return Err(Refused::Disk);
        }
        Ok(recording)
    }
}

impl Recording {
    /// Its identity.
    pub fn id(&self) -> &str {
        &self.about.id
    }

    /// How far it is, also when this is gone. Its sender goes without a word where the files could not be completed.
    pub fn fate(&self) -> watch::Receiver<Fate> {
        self.fate.clone()
    }

    /// Why nothing of it is written at present, or not all.
    pub fn paused(&self) -> watch::Receiver<Option<Pause>> {
        self.inner.disk.paused()
    }

    /// A track is recorded from now on; what the worker is to tag its packets with, or none when the recorder is overloaded.
    pub fn attach(&mut self, wanted: Wanted, person: Person) -> Option<TapId> {
        let Wanted { worker, room, track, member, screen, audio } = wanted;
        let tap = TapId(self.inner.taps.fetch_add(1, Ordering::Relaxed) + 1);
        self.inner.disk.meet(&self.about.id, person);
        let attach = Attach { tap, recording: self.about.clone(), room, track, member, screen, audio };
        self.inner.send(worker, Mail::Attach(Box::new(attach)))?;
        self.taps.insert(track, (worker, tap));
        Some(tap)
    }

    /// What a track's packets are tagged with, if it is recorded.
    pub fn tap_of(&self, track: TrackId) -> Option<TapId> {
        self.taps.get(&track).map(|(_, tap)| *tap)
    }

    /// Something is said in the room.
    pub fn say(&self, person: Person, text: String) {
        let at = (Time::ZERO + self.inner.epoch.elapsed()).as_micros().saturating_sub(self.about.began.as_micros());
        let line = ChatLine { at: i64::try_from(at).unwrap_or(i64::MAX), member: person.member, name: person.name, text };
        self.inner.disk.say(&self.about.id, line);
    }

    /// A track is recorded no longer.
    pub fn detach(&mut self, track: TrackId) {
        if let Some((worker, tap)) = self.taps.remove(&track) {
            self.inner.send(worker, Mail::Detach(tap));
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.inner.now.fetch_sub(1, Ordering::Relaxed);
        self.inner.metrics.recordings.dec();
        let (inner, about) = (self.inner.clone(), self.about.clone());
        let (sender, ended) = sync_channel(inner.threads.len().max(1));
        let told =
            (0..).map(WorkerId).take(inner.threads.len()).filter_map(|worker| inner.send(worker, Mail::End(about.clone(), sender.clone()))).count();
        drop(sender);
        // Whoever ends a recording does not wait for its files; the manifest is closed after them.
        let closing = std::thread::Builder::new().name("record-end".into()).spawn(move || {
            let until = Instant::now() + FAREWELL;
            for _ in 0..told {
                if ended.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                    break;
                }
            }
            inner.disk.close(&about.id, unix_millis());
        });
        if let Err(error) = closing {
            tracing::error!(%error, "a recording's manifest is closed at the next start");
        }
    }
}

impl Inner {
    fn send(&self, worker: WorkerId, mail: Mail) -> Option<()> {
        let (sender, bell) = self.threads.get(usize::from(worker.0))?;
        sender.try_send(mail).ok()?;
        bell.ring_if_asleep();
        Some(())
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
