//! The thread behind a worker's tap ring: it turns what the worker copies into pieces of files. It sleeps while nothing is recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::oneshot;

use super::disk::Disk;
use super::file::{Begin, End, Piece};
use super::glimpse::{Glimpse, KeyFrame};
use super::take::{Fate, FileId, Shelf, Take};
use crate::base::{RoomId, TapId, Time, TrackId};
use crate::contract::{Command, RoomCommand, Tapped};
use crate::port::{Bell, TapReader, WorkerHandle};

/// The ring is emptied so often. Less often saves wake-ups; a ring holds twenty times as long.
const EVERY: Duration = Duration::from_millis(10);
/// What has no packet of its own to be done with is done so often: gaps given up, silence, old pieces.
const ADVANCE_EVERY: Duration = Duration::from_millis(100);
/// Files of one recording. Twelve hours of a hundred members with their screens are six hundred; whoever publishes anew all the time would make
/// files, and a manifest that is written with each of them, without end.
const MOST_FILES: usize = 2_048;
/// Pictures that are taken at a time, of all rooms.
const MOST_GLIMPSES: usize = 64;
/// Things that may wait for the thread.
pub const MOST_MAIL: usize = 4_096;

/// What the thread is told.
pub enum Mail {
    /// A track is recorded from now on.
    Attach(Box<Attach>),
    /// A track is recorded no longer.
    Detach(TapId),
    /// A key frame of a track is wanted for a picture; the track is tapped for that, or is recorded anyway.
    Glimpse(Box<Look>),
    /// All that it has of a recording is ended; whoever holds the sender waits for that.
    End(Arc<About>, SyncSender<()>),
}

/// A recording, as all of its takes know it.
#[derive(Debug)]
pub struct About {
    /// Its identity.
    pub id: String,
    /// When it began, on the node's clock.
    pub began: Time,
    /// Files begun so far.
    pub files: AtomicUsize,
}

/// A track that is to be recorded.
pub struct Attach {
    /// What its packets are tagged with.
    pub tap: TapId,
    /// The recording.
    pub recording: Arc<About>,
    /// The room that it is in.
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

/// A track of which a key frame is wanted.
pub struct Look {
    /// What its packets are tagged with.
    pub tap: TapId,
    /// The room that it is in.
    pub room: RoomId,
    /// The track.
    pub track: TrackId,
    /// Where the key frame goes.
    pub answer: oneshot::Sender<KeyFrame>,
}

/// Which files a track belongs into.
type Key = (String, String, bool);

/// The thread's state.
pub struct RecordThread {
    pub(super) mail: Receiver<Mail>,
    pub(super) ring: TapReader,
    pub(super) bell: Bell,
    pub(super) worker: WorkerHandle,
    pub(super) disk: Disk,
    pub(super) epoch: Instant,
    pub(super) key_every: Duration,
    pub(super) takes: BTreeMap<Key, (Arc<About>, Take)>,
    pub(super) taps: BTreeMap<TapId, (Key, RoomId, TrackId)>,
    pub(super) glimpses: BTreeMap<TapId, Glimpse>,
}

/// The shelf of one take.
struct Place<'a> {
    disk: &'a Disk,
    about: &'a About,
    member: &'a str,
    screen: bool,
}

impl Shelf for Place<'_> {
    fn begin(&mut self, begin: Begin) -> Option<FileId> {
        if self.about.files.fetch_add(1, Ordering::Relaxed) >= MOST_FILES {
            self.disk.refuse_file();
            return None;
        }
        let at = begin.at - i64::try_from(self.about.began.as_micros()).unwrap_or(0);
        self.disk.begin(&self.about.id, (self.member, self.screen), at, begin)
    }

    fn append(&mut self, file: FileId, piece: Piece) -> Fate {
        self.disk.append(file, piece)
    }

    fn finish(&mut self, file: FileId, end: End) {
        self.disk.finish(file, end);
    }
}

impl RecordThread {
    /// Runs until every sender of its mail is gone.
    pub fn run(mut self) {
        let mut advanced = Instant::now();
        loop {
            if !self.take_mail() {
                break;
            }
            self.empty_ring();
            if advanced.elapsed() >= ADVANCE_EVERY {
                advanced = Instant::now();
                self.advance();
            }
            self.sleep();
        }
        let keys: Vec<Key> = self.takes.keys().cloned().collect();
        keys.iter().for_each(|key| self.end(key));
    }

    fn now(&self) -> Time {
        Time::ZERO + self.epoch.elapsed()
    }

    /// False when nobody will send any more.
    fn take_mail(&mut self) -> bool {
        loop {
            match self.mail.try_recv() {
                Ok(Mail::Attach(attach)) => self.attach(*attach),
                Ok(Mail::Detach(tap)) => self.detach(tap),
                Ok(Mail::Glimpse(look)) => self.glimpse(*look),
                Ok(Mail::End(about, ended)) => {
                    self.empty_ring();
                    let keys: Vec<Key> = self.takes.keys().filter(|key| key.0 == about.id).cloned().collect();
                    keys.iter().for_each(|key| self.end(key));
                    // Whoever waited may be gone.
                    let _ = ended.try_send(());
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn attach(&mut self, attach: Attach) {
        let now = self.now();
        let key = (attach.recording.id.clone(), attach.member, attach.screen);
        let (_, take) =
            self.takes.entry(key.clone()).or_insert_with(|| (attach.recording.clone(), Take::new(attach.recording.began, self.key_every)));
        take.attach(now, attach.tap, attach.audio);
        self.taps.insert(attach.tap, (key, attach.room, attach.track));
    }

    /// Whoever asks for one too many is told that none has come.
    fn glimpse(&mut self, look: Look) {
        let Look { tap, room, track, answer } = look;
        if self.glimpses.len() < MOST_GLIMPSES {
            self.glimpses.insert(tap, Glimpse::new(self.now(), room, track, answer));
            self.ask_key_frame(room, track);
        }
    }

    fn ask_key_frame(&self, room: RoomId, track: TrackId) {
        // A worker that takes no commands is asked again in a second.
        let _ = self.worker.send(Command { room, what: RoomCommand::TapKeyFrame { track } });
    }

    fn detach(&mut self, tap: TapId) {
        self.empty_ring();
        let now = self.now();
        let Some((key, ..)) = self.taps.remove(&tap) else { return };
        let over = self.with_take(&key, |take, place| {
            take.detach(now, tap, place);
            take.is_over()
        });
        if over == Some(true) {
            self.end(&key);
        }
    }

    fn end(&mut self, key: &Key) {
        let now = self.now();
        self.with_take(key, |take, place| take.end(now, place));
        self.takes.remove(key);
        self.taps.retain(|_, (of, ..)| of != key);
    }

    fn with_take<T>(&mut self, key: &Key, act: impl FnOnce(&mut Take, &mut Place<'_>) -> T) -> Option<T> {
        let (about, take) = self.takes.get_mut(key)?;
        Some(act(take, &mut Place { disk: &self.disk, about, member: &key.1, screen: key.2 }))
    }

    fn empty_ring(&mut self) {
        let now = self.now();
        let (taps, takes, glimpses) = (&self.taps, &mut self.takes, &mut self.glimpses);
        let mut take = |frame: &[u8]| {
            let tapped = Tapped::read(frame)?;
            if let Some(glimpse) = glimpses.get_mut(&tapped.tap()) {
                glimpse.take(now, tapped);
            }
            let (key, ..) = taps.get(&tapped.tap())?;
            takes.get_mut(key)?.1.take(now, tapped);
            Some(())
        };
        // A tap that has just been told to end may still bring something: that is nobody's.
        while self.ring.receive(&mut take).is_some() {}
    }

    fn advance(&mut self) {
        self.disk.watch();
        let now = self.now();
        let mut wishes = Vec::new();
        for (key, (about, take)) in &mut self.takes {
            take.advance(now, &mut Place { disk: &self.disk, about, member: &key.1, screen: key.2 });
            take.wishes(now, |tap| wishes.push(tap));
        }
        let mut wanted: Vec<_> = wishes.iter().filter_map(|tap| self.taps.get(tap)).map(|(_, room, track)| (*room, *track)).collect();
        wanted.extend(self.glimpses.values_mut().filter_map(|glimpse| glimpse.wishes(now).then_some((glimpse.room, glimpse.track))));
        wanted.into_iter().for_each(|(room, track)| self.ask_key_frame(room, track));
        self.glimpses.retain(|_, glimpse| !glimpse.is_over(now));
    }

    fn sleep(&self) {
        if !self.takes.is_empty() || !self.glimpses.is_empty() {
            return std::thread::sleep(EVERY);
        }
        self.bell.fall_asleep();
        if self.ring.is_empty() {
            let mut bell = [PollFd::from_borrowed_fd(self.bell.fd(), PollFlags::IN)];
            // Whoever sends mail rings; the limit is for the end, when nobody is left to.
            let _ = poll(&mut bell, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        }
        self.bell.wake_up();
        self.bell.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RecordingConfig;
    use crate::metrics::Metrics;
    use crate::record::file::Container;

    #[test]
    fn whoever_publishes_anew_all_the_time_makes_no_files_without_end() {
        let folder = std::env::temp_dir().join(format!("althing-many-{}", std::process::id()));
        let (key_every, minimum_free) = (Duration::from_secs(1), 0);
        let config = RecordingConfig { folder: folder.clone(), recordings: 1, minimum_free, quota: 0, queue_bytes: 1_000, key_every };
        let metrics = Metrics::new(Vec::new()).expect("metrics");
        let disk = Disk::start(&config, None, metrics.record.clone()).expect("it starts");
        let about = About { id: "r1".into(), began: Time::ZERO, files: AtomicUsize::new(MOST_FILES - 1) };
        let begin = || Begin { container: Container::Webm, picture: None, size: None, sound: true, at: 0, header: vec![] };
        let mut place = Place { disk: &disk, about: &about, member: "ada", screen: false };
        assert!(place.begin(begin()).is_some() && place.begin(begin()).is_none());
        assert!(metrics.text().expect("text").contains("lost_total{reason=\"files\"} 1"));
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
