//! The threads: each takes what is next in its lane, has it made of files that are brought here for that, and puts it in its place.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clip::{self, Clip};
use super::mixdown::{Mixdown, Watch};
use super::program::Program;
use super::queue::Ticket;
use super::{Inner, Lane, MixedDown, Order, Unmade, WORK, Work};
use crate::record::manifest::Manifest;
use crate::record::store::Failed;

impl Inner {
    pub(super) fn run(&self, lane: &Lane) {
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
        if matches!(work, Work::Thumbnail(_) | Work::Waveform(_)) && self.bring(&ticket.to, |_| Ok(()))? {
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
                self.bring_all(ticket, &mixdown.folder, ends)?;
                let work = Folder(self.root.join(WORK).join(self.number().to_string()));
                let (progress, held) = (|part| ticket.progress(part), |is| ticket.hold(is));
                let film = mixdown.make(program, &work.0, &Watch { progress: &progress, held: &held, ends: &ends })?;
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
        self.bring(&clip.path, |_| Ok(()))?;
        let real = clip.path.canonicalize().map_err(|_| Unmade::Gone)?;
        if real.starts_with(&self.root) && real.is_file() { Ok(clip) } else { Err(Unmade::Gone) }
    }

    /// What of an item is not here is brought back, if the bucket has it; whether the file is here then. `came` hears of each piece, and ends it by
    /// [`io::ErrorKind::Interrupted`].
    fn bring(&self, path: &Path, came: impl Fn(u64) -> io::Result<()>) -> Result<bool, Unmade> {
        let Some((store, id)) = self.store_of(path) else { return Ok(path.is_file()) };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        store.bring_here(id, name, came).map_err(|failed| match failed {
            Failed::Bucket(_) => Unmade::Away,
            Failed::Disk(error) if error.kind() == io::ErrorKind::Interrupted => Unmade::Cancelled,
            Failed::Disk(error) if error.kind() == io::ErrorKind::StorageFull => Unmade::Full,
            Failed::Disk(error) => Unmade::Failed(error.to_string()),
        })
    }

    /// All files of a recording are brought back, and it is said how far that is: of a long one it may take as long as the film itself.
    fn bring_all(&self, ticket: &Ticket, folder: &Path, ends: impl Fn() -> bool) -> Result<(), Unmade> {
        let manifest = Manifest::read(folder).map_err(|_| Unmade::Gone)?;
        let names = || manifest.files.iter().map(|entry| entry.name.as_str());
        let away = self.store_of(&ticket.to).map_or(0, |(store, id)| store.away(id, names()));
        let here = Cell::new(0);
        let came = |bytes: u64| {
            here.set(here.get() + bytes);
            ticket.fetching(here.get() as f32 / away.max(1) as f32);
            if ends() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
        };
        if away > 0 {
            ticket.fetching(0.0);
        }
        for name in names() {
            if ends() {
                return Err(Unmade::Cancelled);
            }
            self.bring(&folder.join(name), came)?;
        }
        ticket.progress(0.0);
        Ok(())
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
pub(super) fn has_room(folder: &Path, minimum_free: u64) -> Result<(), Unmade> {
    match rustix::fs::statvfs(folder) {
        Ok(space) if space.f_bavail.saturating_mul(space.f_frsize) < minimum_free => Err(Unmade::Full),
        _ => Ok(()),
    }
}
