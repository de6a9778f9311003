//! What is known of the disk: whether it takes what it is given, whether it is late, and what of it outlasts a power cut.
//!
//! Who is told that something could not be written has lost it: the pages are given up, and the next call succeeds (fsync(2)). So a round
//! that fails ends every file that is open; the thread that writes keeps of each what is known to last, and no more is written until the
//! disk has taken something again.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::take::FileId;
use crate::metrics::RecordMetrics;

/// Everything is made to last so often, with one call for all files: what a power cut loses at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A call that takes longer is an alarm: what is recorded waits in memory.
const LATE: Duration = Duration::from_millis(700);

/// Who has things done by the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// The thread that writes.
    Write,
    /// The thread that makes it last.
    Sync,
}

/// Why nothing is written at present, or not all: what is recorded meanwhile is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The disk has no room, or no more than it is to keep free, or recordings take as much as they may.
    Full,
    /// It refuses.
    Failed,
    /// It is so slow that no more may wait for it.
    Slow,
}

/// The disk's health.
pub struct Health {
    /// Where recordings go. One at a time makes things last by it: what has been lost is told once.
    folder: Mutex<File>,
    /// It refuses, or has too little room left.
    refuses: AtomicBool,
    /// It is for want of room that it does.
    full: AtomicBool,
    /// A call takes long.
    late: AtomicBool,
    /// As much waits as may.
    crowded: AtomicBool,
    /// A round has failed, and its files are not ended yet.
    failed: AtomicBool,
    /// Something was written that would not outlast a power cut.
    dirty: AtomicBool,
    closed: AtomicBool,
    /// Rounds of making everything last that have begun, and the last one that was done.
    begun: AtomicU64,
    done: AtomicU64,
    /// The next file's number; files with a lower one than the other were ended by the disk.
    next: AtomicU64,
    ended: AtomicU64,
    /// Since when a hand waits for the disk: microseconds from the beginning; 0 when it does not.
    busy: [AtomicU64; 2],
    beginning: Instant,
    /// What is lost by it at present, for whoever is recorded.
    paused: watch::Sender<Option<Pause>>,
    metrics: RecordMetrics,
}

impl Health {
    /// A disk of which nothing is known.
    pub fn new(folder: File, metrics: RecordMetrics) -> Self {
        Self {
            folder: Mutex::new(folder),
            refuses: AtomicBool::new(false),
            full: AtomicBool::new(false),
            late: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            next: AtomicU64::new(1),
            ended: AtomicU64::new(0),
            busy: [AtomicU64::new(0), AtomicU64::new(0)],
            beginning: Instant::now(),
            paused: watch::Sender::new(None),
            metrics,
        }
    }

    /// Makes everything last, round after round, until [`Self::close`].
    pub fn keep_lasting(&self) {
        while !self.closed.load(Ordering::Relaxed) {
            let since = self.beginning.elapsed().as_micros() % SYNC_EVERY.as_micros();
            std::thread::sleep(SYNC_EVERY - Duration::from_micros(u64::try_from(since).unwrap_or(0)));
            // After a failure whoever writes looks what is left first.
            if !self.failed.load(Ordering::Acquire) && self.dirty.swap(false, Ordering::AcqRel) {
                self.during(Hand::Sync, || self.round());
            }
        }
    }

    /// Makes everything last that was written before.
    fn round(&self) {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let round = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let begun = Instant::now();
        match rustix::fs::syncfs(&*folder) {
            Ok(()) => self.done.store(round, Ordering::Release),
            Err(error) => self.fail(&error.into()),
        }
        self.metrics.synced(begun.elapsed());
    }

    /// Something that was written is lost: every file that is open ends.
    fn fail(&self, error: &io::Error) {
        self.metrics.disk_error("sync");
        self.refuse(error);
        self.ended.store(self.next.load(Ordering::Acquire), Ordering::Release);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether what was written may be lost, and nobody has looked after it: asks the disk, if nobody has been told.
    pub fn has_failed(&self) -> bool {
        if !self.failed.load(Ordering::Acquire) {
            self.round();
        }
        self.failed.load(Ordering::Acquire)
    }

    /// All files that were open when a round failed have been ended: goes on if the disk makes things last again.
    ///
    /// # Errors
    /// When it does not.
    pub fn mended(&self) -> io::Result<()> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        // What ending them has lost on the way is told first, and was done again.
        let _ = rustix::fs::syncfs(&*folder);
        rustix::fs::syncfs(&*folder)?;
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// The disk has refused something.
    pub fn refuse(&self, error: &io::Error) {
        self.full.store(matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded), Ordering::Relaxed);
        if !self.refuses.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "recordings cannot be written: they go on when the disk takes them again");
        }
        self.publish();
    }

    /// It takes things again.
    pub fn go_on(&self) {
        if self.refuses.swap(false, Ordering::AcqRel) {
            tracing::info!("recordings are written again");
        }
        self.publish();
    }

    /// Whether it refuses at present.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    /// As much waits as may, or less again.
    pub fn crowd(&self, is: bool) {
        if self.crowded.swap(is, Ordering::Relaxed) != is {
            self.publish();
        }
    }

    /// Has something done by the disk.
    pub fn during<T>(&self, hand: Hand, act: impl FnOnce() -> T) -> T {
        let since = u64::try_from(self.beginning.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.busy[hand as usize].store(since, Ordering::Relaxed);
        let done = act();
        self.busy[hand as usize].store(0, Ordering::Relaxed);
        if self.late.swap(false, Ordering::Relaxed) {
            self.publish();
        }
        done
    }

    /// Raises the alarm when the disk is late; whoever waits for it cannot.
    pub fn watch(&self) {
        let now = self.beginning.elapsed();
        let waits = |since: &AtomicU64| match since.load(Ordering::Relaxed) {
            0 => false,
            since => now.saturating_sub(Duration::from_micros(since)) > LATE,
        };
        if self.busy.iter().any(waits) && !self.late.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk is late: what is recorded waits in memory");
            self.publish();
        }
    }

    /// Why nothing is written at present, or not all. A disk that is late alone loses nothing yet.
    pub fn paused(&self) -> watch::Receiver<Option<Pause>> {
        self.paused.subscribe()
    }

    fn publish(&self) {
        // Looked at inside: of several at once the last one has the newest.
        self.paused.send_if_modified(|known| {
            let now = self.pause();
            std::mem::replace(known, now) != now
        });
        let alarm = [&self.refuses, &self.late, &self.crowded].into_iter().any(|reason| reason.load(Ordering::Relaxed));
        self.metrics.stalled.set(i64::from(alarm));
    }

    fn pause(&self) -> Option<Pause> {
        match (self.refuses(), self.full.load(Ordering::Relaxed)) {
            (true, true) => Some(Pause::Full),
            (true, false) => Some(Pause::Failed),
            (false, _) => self.crowded.load(Ordering::Relaxed).then_some(Pause::Slow),
        }
    }

    /// Another file's number.
    pub fn next_file(&self) -> FileId {
        FileId(self.next.fetch_add(1, Ordering::AcqRel))
    }

    /// Files with lower numbers have been ended by the disk.
    pub fn ended_before(&self) -> FileId {
        FileId(self.ended.load(Ordering::Acquire))
    }

    /// Something was written; it lasts when a later round than this one is done.
    pub fn written(&self) -> u64 {
        self.dirty.store(true, Ordering::Release);
        self.begun.load(Ordering::Acquire)
    }

    /// The last round that was done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Nothing more is written.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}
