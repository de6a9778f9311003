//! The log: segments in a folder, and the one thread that appends to them. What has come since the last time is written with one write and made
//! last with one fsync(2); only then anybody reads it.
//!
//! A disk that refuses is tried again each second. Meanwhile events wait in memory, as many as [`QUEUE`]; what comes beyond is lost and counted,
//! and whoever is told the others sees that by the numbers.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::event::{Draft, Event};
use super::segment::{self, Frame, Head, Next};
use super::standing::Standing;
use crate::config::EventsConfig;
use crate::control::auth::unix_time;
use crate::control::draw;
use crate::metrics::EventMetrics;

/// Events that wait for the disk: half a minute of a node on which five hundred things happen each second.
const QUEUE: usize = 16_384;
/// Events that are written at once.
const BATCH: usize = 1_024;
/// Bytes from which on a segment is followed by another, if it is not mostly head. Smaller: more heads; larger: more goes at once when the oldest goes.
const SEGMENT: u64 = 4 << 20;
/// A disk that has refused is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// How often a sign of life is left while anything is open: what a killed node has open ends at the last one.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether anything is too old.
const LOOK_EVERY: Duration = Duration::from_secs(60);

enum Job {
    Write(Box<Draft>),
    /// Says so when all before it lasts.
    Flush(oneshot::Sender<()>),
}

/// The way into the log, and what is known of it everywhere.
pub struct Log {
    jobs: SyncSender<Job>,
    pub(super) shared: Arc<Shared>,
}

/// What writer and readers share.
pub(super) struct Shared {
    pub folder: PathBuf,
    pub metrics: EventMetrics,
    segments: Mutex<Vec<Segment>>,
    /// The place of the last event that lasts; 0: there was none yet.
    pub lasting: watch::Sender<u64>,
    /// Up to where each receiver has had everything.
    pub delivered: Mutex<Vec<u64>>,
    /// Held for as long as anybody uses the log.
    _lock: File,
}

/// What is known of a segment without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub first: u64,
    bytes: u64,
    /// When its last event was written, in milliseconds since the Unix epoch.
    last_at: u64,
}

impl Log {
    /// Opens the log of a folder, which is made if it is not there. What was being written when the machine stopped is cut off; what a node
    /// has left open is closed.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written to, or another node has it.
    pub fn open(config: &EventsConfig, metrics: EventMetrics) -> io::Result<Self> {
        make_folder(&config.folder)?;
        let lock = lock(&config.folder)?;
        let found = find(&config.folder)?;
        let last = found.next.saturating_sub(1);
        let shared = Arc::new(Shared {
            folder: config.folder.clone(),
            metrics,
            segments: Mutex::new(found.segments),
            lasting: watch::Sender::new(last),
            delivered: Mutex::default(),
            _lock: lock,
        });
        let mut writer = Writer {
            shared: shared.clone(),
            node: config.node.clone(),
            keep: config.keep,
            keep_bytes: config.keep_bytes,
            log: found.log.unwrap_or_else(draw::hex::<6>),
            next: found.next.max(1),
            standing: found.standing,
            open: None,
            held: Vec::new(),
            spoken: found.spoken,
            alive: None,
            looked: Instant::now(),
        };
        writer.close_what_is_open();
        let (jobs, mail) = sync_channel(QUEUE);
        std::thread::Builder::new().name("events".into()).spawn(move || writer.run(&mail))?;
        Ok(Self { jobs, shared })
    }

    /// Something has happened.
    pub fn write(&self, draft: Draft) {
        match self.jobs.try_send(Job::Write(Box::new(draft))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.shared.metrics.lost("queue", 1),
        }
    }

    /// Waits until all that was written lasts, or for so long.
    pub async fn flush(&self, within: Duration) -> bool {
        let (lasts, seen) = oneshot::channel();
        let mut job = Job::Flush(lasts);
        let waited = tokio::time::timeout(within, async {
            while let Err(TrySendError::Full(back)) = self.jobs.try_send(job) {
                job = back;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            seen.await
        });
        matches!(waited.await, Ok(Ok(())))
    }
}

impl Shared {
    pub fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where every receiver has had everything; as far as it goes where there is none.
    fn delivered_everywhere(&self) -> u64 {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).iter().min().copied().unwrap_or(u64::MAX)
    }
}

/// The thread that appends.
struct Writer {
    shared: Arc<Shared>,
    node: String,
    keep: Duration,
    keep_bytes: u64,
    log: String,
    next: u64,
    standing: Standing,
    /// The segment that is appended to, its length, and that of its head.
    open: Option<(File, u64, u64)>,
    /// What could not be written yet.
    held: Vec<Event>,
    /// When a sign of life was last left, in milliseconds since the Unix epoch.
    spoken: u64,
    alive: Option<Instant>,
    looked: Instant,
}

impl Writer {
    fn close_what_is_open(&mut self) {
        let drafts = self.standing.close(self.spoken);
        if !drafts.is_empty() {
            tracing::warn!(events = drafts.len(), "a node before this one ended without a word: what it had open is closed (node_lost)");
        }
        self.held = drafts.into_iter().map(|draft| self.event(draft)).collect();
        // A node whose disk is full begins all the same: what is held is written before anything else.
        let lasts = self.append();
        self.note(lasts);
    }

    fn note(&self, lasts: io::Result<()>) {
        if let Err(error) = &lasts
            && !self.shared.metrics.refuses()
        {
            tracing::error!(%error, "events cannot be written to {}: they wait in memory", self.shared.folder.display());
        }
        self.shared.metrics.disk(lasts.is_ok());
    }

    fn run(mut self, mail: &Receiver<Job>) {
        let mut flushed = Vec::new();
        loop {
            let over = self.collect(mail, &mut flushed);
            let lasts = self.append();
            let written = lasts.is_ok();
            self.note(lasts);
            if written {
                for waits in flushed.drain(..) {
                    // Whoever waited may have given up.
                    let _ = waits.send(());
                }
            }
            self.speak();
            if self.looked.elapsed() >= LOOK_EVERY {
                self.looked = Instant::now();
                self.forget();
            }
            if written && over {
                break;
            }
        }
    }

    /// Takes what has come, unless what came before is not written yet; true when nothing will come any more.
    fn collect(&mut self, mail: &Receiver<Job>, flushed: &mut Vec<oneshot::Sender<()>>) -> bool {
        if !self.held.is_empty() {
            std::thread::sleep(RETRY);
            return false;
        }
        let mut next = mail.recv_timeout(RETRY);
        loop {
            match next {
                Ok(Job::Write(draft)) => self.held.push(self.event(*draft)),
                Ok(Job::Flush(waits)) => flushed.push(waits),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
            if self.held.len() >= BATCH {
                return false;
            }
            next = mail.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
    }

    /// Gives a draft its identity. Its place is given when it is written.
    fn event(&self, draft: Draft) -> Event {
        let Draft { room, session, seq, at, what } = draft;
        Event { id: String::new(), what, at, node: self.node.clone(), room: room.as_str().to_owned(), session, seq }
    }

    /// Writes what is held, whole or not at all.
    fn append(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (place, event) in (self.next..).zip(&mut self.held) {
            event.id = format!("evt_{}_{place}", self.log);
            segment::put_event(&mut bytes, &serde_json::to_vec(event)?)?;
        }
        if self.open.as_ref().is_none_or(|(_, length, head)| *length >= SEGMENT.max(4 * head)) {
            self.begin_segment()?;
        }
        let Some((file, length, _)) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // After an fsync that has failed nobody knows what the file has: it ends where it was well, and another one begins.
            let _ = file.set_len(*length);
            self.open = None;
            return Err(error);
        }
        *length += bytes.len() as u64;
        self.written(bytes.len() as u64);
        Ok(())
    }

    fn written(&mut self, bytes: u64) {
        let events = std::mem::take(&mut self.held);
        self.next += events.len() as u64;
        events.iter().for_each(|event| self.standing.follow(event));
        let last_at = events.last().map_or(0, |event| event.at);
        if let Some(segment) = self.shared.segments().last_mut() {
            segment.bytes += bytes;
            segment.last_at = last_at;
        }
        self.shared.metrics.written(events.len() as u64);
        self.shared.lasting.send_replace(self.next - 1);
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        segment::put_head(&mut head, &Head { log: self.log.clone(), standing: self.standing.clone() })?;
        let path = segment::path(&self.shared.folder, self.next);
        // One of this name has no event that lasts: the disk refused when it was begun.
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&head)?;
        file.sync_data()?;
        File::open(&self.shared.folder)?.sync_all()?;
        let length = head.len() as u64;
        self.open = Some((file, length, length));
        {
            let mut segments = self.shared.segments();
            segments.retain(|segment| segment.first != self.next);
            segments.push(Segment { first: self.next, bytes: length, last_at: now() });
        }
        self.forget();
        Ok(())
    }

    /// Deletes what is kept long enough and was delivered, and the oldest when there is too much of it.
    fn forget(&mut self) {
        let oldest = now().saturating_sub(u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX));
        let delivered = self.shared.delivered_everywhere();
        let mut segments = self.shared.segments();
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        // The newest one stays: it says what is open.
        while let [first, second, ..] = *segments.as_slice() {
            let too_old = first.last_at < oldest && second.first <= delivered.saturating_add(1);
            if !too_old && bytes <= self.keep_bytes {
                break;
            }
            let undelivered = second.first.saturating_sub(first.first.max(delivered.saturating_add(1)));
            if undelivered > 0 {
                tracing::error!(events = undelivered, "events that were not delivered are deleted: there are more than events.keep_mib");
                self.shared.metrics.lost("space", undelivered);
            }
            if let Err(error) = std::fs::remove_file(segment::path(&self.shared.folder, first.first)) {
                tracing::warn!(%error, "old events cannot be deleted");
            }
            bytes = bytes.saturating_sub(first.bytes);
            segments.remove(0);
        }
        self.shared.metrics.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Leaves a sign of life, when it is time.
    fn speak(&mut self) {
        if self.standing.is_empty() || self.alive.is_some_and(|last| last.elapsed() < ALIVE_EVERY) {
            return;
        }
        self.alive = Some(Instant::now());
        // One that is lost makes a bill shorter, and nothing else.
        let _ = std::fs::write(self.shared.folder.join(ALIVE), now().to_string());
    }
}

/// The file with the last sign of life: milliseconds since the Unix epoch.
const ALIVE: &str = "alive";

/// What is in a folder.
struct Found {
    segments: Vec<Segment>,
    log: Option<String>,
    next: u64,
    standing: Standing,
    spoken: u64,
}

fn find(folder: &Path) -> io::Result<Found> {
    let mut firsts: Vec<u64> = std::fs::read_dir(folder)?.filter_map(|entry| segment::first_of(entry.ok()?.file_name().to_str()?)).collect();
    firsts.sort_unstable();
    let mut found = Found { segments: Vec::new(), log: None, next: 1, standing: Standing::default(), spoken: 0 };
    // The newest whose head is whole says what is open; one without was being begun, and has nothing.
    while let Some(last) = firsts.last().copied() {
        if found.read_newest(folder, last)? {
            break;
        }
        std::fs::remove_file(segment::path(folder, last))?;
        firsts.pop();
    }
    for first in firsts.iter().rev().skip(1).rev() {
        let about = std::fs::metadata(segment::path(folder, *first))?;
        found.segments.push(Segment { first: *first, bytes: about.len(), last_at: modified(&about) });
    }
    found.segments.sort_unstable_by_key(|segment| segment.first);
    let alive = std::fs::read_to_string(folder.join(ALIVE)).ok().and_then(|text| text.parse().ok());
    found.spoken = found.spoken.max(alive.unwrap_or(0));
    Ok(found)
}

impl Found {
    /// Reads the newest segment, and cuts off what is torn; false when even its head is.
    fn read_newest(&mut self, folder: &Path, first: u64) -> io::Result<bool> {
        let path = segment::path(folder, first);
        let bytes = std::fs::read(&path)?;
        let Next::Frame(Frame::Head(head), mut offset) = segment::next(&bytes, 0) else { return Ok(false) };
        let Ok(Head { log, standing }) = serde_json::from_slice(head) else { return Ok(false) };
        (self.log, self.standing, self.next) = (Some(log), standing, first);
        loop {
            match segment::next(&bytes, offset) {
                Next::Frame(Frame::Event(json), end) => {
                    if let Ok(event) = serde_json::from_slice::<Event>(json) {
                        self.standing.follow(&event);
                        self.spoken = self.spoken.max(event.at);
                    }
                    self.next += 1;
                    offset = end;
                }
                Next::End => break,
                Next::Frame(Frame::Head(_), _) | Next::Torn => {
                    tracing::warn!(bytes = bytes.len() - offset, "the end of {} is torn and cut off", path.display());
                    let file = OpenOptions::new().write(true).open(&path)?;
                    file.set_len(offset as u64)?;
                    file.sync_all()?;
                    break;
                }
            }
        }
        let about = std::fs::metadata(&path)?;
        self.segments.push(Segment { first, bytes: about.len(), last_at: modified(&about) });
        Ok(true)
    }
}

fn modified(about: &std::fs::Metadata) -> u64 {
    let since = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

/// Who was in which room is for whoever runs the node, and for no other user of the machine.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(".lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another node keeps its events in this directory")),
    }
}
