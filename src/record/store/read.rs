//! What is not on the disk any more: read from the bucket as it is asked for, or brought back.

use std::fs::{OpenOptions, remove_file, rename};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::copy::{Failed, blocking};
use super::ledger::{Ledger, Stored};
use super::{Store, Trouble};
use crate::record::folder::free;

/// Bytes that are asked for at a time. More: fewer requests; less: memory, and whoever seeks waits for less that it does not want.
pub const CHUNK: u64 = 1 << 20;
/// Pieces on their way at a time: the next one is there when the one before has been sent.
const AHEAD: usize = 2;

/// While nothing comes, whoever waits for a file is asked so often whether they still do.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A place for one who reads; without one, too many do.
pub struct Reading {
    store: Store,
    _place: OwnedSemaphorePermit,
}

/// As many read from the bucket as may.
#[derive(Debug)]
pub struct Busy;

impl Store {
    /// Lets somebody read.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn reading(&self) -> Result<Reading, Busy> {
        match self.0.readers.clone().try_acquire_owned() {
            Ok(place) => Ok(Reading { store: self.clone(), _place: place }),
            Err(_) => {
                self.metrics().failed("busy");
                Err(Busy)
            }
        }
    }

    /// Brings a file of an item back to where it was; false when the bucket has none. The one who wants it has a [`super::Lease`].
    ///
    /// # Errors
    /// When the bucket or the disk refuses, or the disk has too little room.
    pub async fn bring(&self, id: &str, name: &str) -> Result<bool, Failed> {
        self.bring_watched(id, name, |_| Ok(())).await
    }

    async fn bring_watched(&self, id: &str, name: &str, came: impl Fn(u64) -> io::Result<()>) -> Result<bool, Failed> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let folder = self.folder().join(id);
        let (known, place) = (folder.clone(), folder.join(name));
        let ledger = blocking(move || Ok(if place.is_file() { None } else { Some(Ledger::read(&known)) })).await?;
        let Some(ledger) = ledger else { return Ok(true) };
        let Some(stored) = ledger.of(name).cloned() else { return Ok(false) };
        let part = folder.join(format!(".{name}.{}", NUMBERS.fetch_add(1, Ordering::Relaxed)));
        let brought = self.fetch((id, name), &stored, (&part, &folder.join(name)), came).await;
        if brought.is_err() {
            let _ = blocking(move || remove_file(part)).await;
        }
        brought.map(|()| true)
    }

    async fn fetch(
        &self, (id, name): (&str, &str), stored: &Stored, (part, place): (&Path, &Path), came: impl Fn(u64) -> io::Result<()>,
    ) -> Result<(), Failed> {
        let (root, new, room) = (self.folder().to_owned(), part.to_owned(), self.0.minimum_free.saturating_add(stored.bytes));
        let file = blocking(move || {
            if free(&root)? < room {
                return Err(io::Error::new(ErrorKind::StorageFull, "the disk has less than recording.minimum_free_mib left"));
            }
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)
        });
        let file = Arc::new(file.await?);
        let mut pieces = std::pin::pin!(self.pieces(id, name, stored, 0..stored.bytes));
        let mut at = 0;
        loop {
            let Ok(piece) = timeout(LOOK_EVERY, pieces.next()).await else {
                came(0)?;
                continue;
            };
            let Some(piece) = piece else { break };
            let (piece, file) = (piece?, file.clone());
            let (from, bytes) = (at, piece.len() as u64);
            at += bytes;
            blocking(move || file.write_all_at(&piece, from)).await?;
            came(bytes)?;
        }
        let (part, place, modified) = (part.to_owned(), place.to_owned(), stored.modified);
        // By its time it is known for what the bucket has.
        blocking(move || file.set_modified(UNIX_EPOCH + Duration::from_nanos(modified)).and_then(|()| rename(part, place))).await?;
        Ok(())
    }

    /// As [`Self::bring`], from a thread that may wait. `came` takes how many bytes each piece has that is here, and none
    /// while nothing comes; an error of its own ends it.
    ///
    /// # Errors
    /// As [`Self::bring`].
    pub fn bring_here(&self, id: &str, name: &str, came: impl Fn(u64) -> io::Result<()>) -> Result<bool, Failed> {
        self.0.runtime.block_on(self.bring_watched(id, name, came))
    }

    /// How many bytes of these files of an item are in the bucket alone. Waits for the disk.
    pub fn away<'a>(&self, id: &str, names: impl IntoIterator<Item = &'a str>) -> u64 {
        let folder = self.folder().join(id);
        let ledger = Ledger::read(&folder);
        let away = |name: &&str| !folder.join(name).is_file();
        names.into_iter().filter(away).filter_map(|name| ledger.of(name)).map(|stored| stored.bytes).sum()
    }

    fn pieces(&self, id: &str, name: &str, stored: &Stored, range: Range<u64>) -> impl Stream<Item = Result<Bytes, Trouble>> + Send + use<> {
        let of = Arc::new((self.clone(), id.to_owned(), name.to_owned(), stored.tag.clone()));
        let starts = range.clone().step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX));
        let get = move |from: u64| {
            let (of, to) = (of.clone(), (from + CHUNK).min(range.end));
            async move {
                let (store, id, name, tag) = &*of;
                let got = store.bucket().get(id, name, tag.as_deref(), from..to).await;
                match &got {
                    Ok(bytes) => store.metrics().read.inc_by(bytes.len() as u64),
                    Err(_) => store.metrics().failed("read"),
                }
                got
            }
        };
        stream::iter(starts).map(get).buffered(AHEAD)
    }
}

impl Reading {
    /// Bytes of a file of an item, as the bucket has it. The stream ends with an error where it cannot go on.
    pub fn bytes(self, id: &str, name: &str, stored: &Stored, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let pieces = self.store.pieces(id, name, stored, range);
        let what = format!("{id}/{name}");
        pieces.map(move |piece| {
            // The place is free when the stream is gone.
            let _place = &self;
            piece.map_err(|trouble| {
                tracing::error!(file = what, why = %trouble, "what is played or downloaded cannot be read from the bucket");
                io::Error::other(trouble.to_string())
            })
        })
    }
}

/// Removes what was being brought back when the node ended.
pub fn drop_halves(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let half = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, number)| number.parse::<u64>().is_ok());
        if half {
            remove_file(entry.path())?;
        }
    }
    Ok(())
}
