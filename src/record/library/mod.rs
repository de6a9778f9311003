//! The library: whatever is kept of rooms, found by room and time.
//!
//! A folder an item, with its manifest: that is the truth. The index is as much of it as finding needs, made anew at each start. As long as a
//! recording goes on, the thread of the disk alone writes its manifest, and tells the library; from its end on the library does.

mod chat;
mod index;
mod made;
mod removed;
mod sign;
mod upload;

use std::collections::BTreeSet;
use std::fs::{File, remove_dir_all, rename};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::folder;
use super::jobs::Jobs;
use super::jobs::mixdown::Film;
use super::manifest::{Kind, Manifest};
use super::store::ledger::Ledger;
use super::store::{Failed, Store, Trouble, drop_halves, empty};
use super::unix_millis;
use crate::config::LibraryConfig;
use crate::metrics::LibraryMetrics;
use index::Index;
use removed::Removed;
use upload::Uploads;

pub use chat::{ChatLine, Said};
pub use index::{Entry, Place};
pub use made::Picture;
pub use sign::{BadLink, Holder, Purpose, Signer};
pub use upload::{About, Continued, Progress, UploadError, media_type};

/// What was said in a room while it was recorded: a JSON object a line.
pub const CHAT: &str = "chat.jsonl";
/// What is deleted is called so until it is gone: a start finishes what was begun.
pub(super) const DELETED: &str = ".deleted-";
/// Requests that look at the disk at a time; others wait. More: a disk of many heads is used better; less: memory, 2 MiB each at most.
const AT_ONCE: usize = 32;
/// How often it is looked whether something is too old.
const UPKEEP: Duration = Duration::from_secs(60);
/// After something was added it is looked so soon whether there is too much.
const SOON: Duration = Duration::from_secs(1);

/// The node's library: cheap to clone.
#[derive(Clone, Debug)]
pub struct Library(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: LibraryConfig,
    index: Mutex<Index>,
    signer: Signer,
    removed: Removed,
    /// Held by whoever changes a manifest.
    writing: Mutex<()>,
    /// Two nodes in one folder would delete each other's files.
    lock: Mutex<Option<File>>,
    uploads: Uploads,
    jobs: OnceLock<Jobs>,
    /// The bucket beside the folder, if there is one.
    store: Option<Store>,
    /// Something was added.
    added: Notify,
    busy: Arc<Semaphore>,
    metrics: LibraryMetrics,
}

/// Something that is kept.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where it lies.
    pub folder: PathBuf,
    /// Files of it that are there, here or in the bucket, beside those that the manifest names.
    pub beside: BTreeSet<String>,
    /// What the bucket has of it.
    pub stored: Ledger,
}

/// Why something of the library cannot be had or done.
#[derive(Debug)]
pub enum LibraryError {
    /// There is none of that identity (any more).
    Unknown,
    /// It is still being recorded.
    GoesOn,
    /// The disk refuses.
    Disk(io::Error),
    /// It is in the bucket alone, and that refuses.
    Away(Trouble),
}

impl From<Failed> for LibraryError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Bucket(trouble) => Self::Away(trouble),
            Failed::Disk(error) => error.into(),
        }
    }
}

impl From<io::Error> for LibraryError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Unknown,
            _ => Self::Disk(error),
        }
    }
}

impl Library {
    /// Opens the library in its folder, which is made when it is not there, and reads all manifests in it.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or another node has it.
    pub fn open(config: &LibraryConfig, metrics: LibraryMetrics) -> io::Result<Self> {
        Self::open_with(config, None, metrics)
    }

    /// As [`Self::open`], with a bucket beside the folder.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(config: &LibraryConfig, store: Option<Store>, metrics: LibraryMetrics) -> io::Result<Self> {
        folder::make(&config.folder)?;
        let lock = folder::lock(&config.folder)?;
        let signer = Signer::open(&config.folder)?;
        let removed = Removed::open(&config.folder)?;
        let uploads = Uploads::open(&config.folder)?;
        let mut index = Index::default();
        for entry in std::fs::read_dir(&config.folder)?.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if let Some(id) = name.to_str().and_then(|name| name.strip_prefix(DELETED)) {
                match &store {
                    // It is gone when the bucket has nothing of it.
                    Some(store) => store.touch(id),
                    None => remove_dir_all(&path)?,
                }
            } else if let Some(manifest) = readable(&path).filter(|manifest| is_sound(manifest, &path)) {
                if let Some(store) = &store {
                    drop_halves(&path)?;
                    store.touch(&manifest.id);
                }
                index.put(&manifest);
            }
        }
        let inner = Inner {
            config: config.clone(),
            index: Mutex::new(index),
            signer,
            removed,
            writing: Mutex::new(()),
            lock: Mutex::new(Some(lock)),
            uploads,
            jobs: OnceLock::new(),
            store,
            added: Notify::new(),
            busy: Arc::new(Semaphore::new(AT_ONCE)),
            metrics,
        };
        let library = Self(Arc::new(inner));
        library.measure(&library.index());
        Ok(library)
    }

    /// Lets another node have the folder: nothing is changed from here any more.
    pub fn close(&self) {
        self.0.jobs.get().iter().for_each(|jobs| jobs.end());
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What it is made of.
    pub fn config(&self) -> &LibraryConfig {
        &self.0.config
    }

    /// Who signs links.
    pub fn signer(&self) -> &Signer {
        &self.0.signer
    }

    /// A moderator has removed a member from a room: what was handed to them ends at once, and a token of theirs opens nothing of it for 12 hours.
    pub fn send_away(&self, room: &str, member: &str) {
        self.0.removed.add(room, member, unix_millis() / 1_000);
        let library = self.clone();
        tokio::spawn(async move {
            if let Err(error) = library.work(|library| Ok(library.0.removed.keep()?)).await {
                tracing::error!(?error, "who was removed cannot be written down: it is known until the node ends");
            }
        });
    }

    /// Whether this member was removed from a room lately.
    pub fn is_sent_away(&self, room: &str, member: &str) -> bool {
        self.0.removed.is_refused(room, member, unix_millis() / 1_000)
    }

    /// Whether whoever a link to something was handed to has been removed from its room since.
    pub fn has_ended(&self, id: &str, holder: &Holder) -> bool {
        self.find(id).is_some_and(|entry| self.0.removed.ends(&entry.room, holder))
    }

    /// What is counted.
    pub fn metrics(&self) -> &LibraryMetrics {
        &self.0.metrics
    }

    /// A manifest is new, or says something else.
    pub fn put(&self, manifest: &Manifest) {
        let mut index = self.index();
        index.put(manifest);
        self.measure(&index);
        if index.get(&manifest.id).is_some_and(|entry| !entry.goes_on()) {
            self.0.added.notify_one();
            drop(index);
            self.0.jobs.get().iter().for_each(|jobs| jobs.prepare(&self.0.config.folder.join(&manifest.id), manifest));
            self.0.store.iter().for_each(|store| store.touch(&manifest.id));
        }
    }

    /// What is known of something.
    pub fn find(&self, id: &str) -> Option<Entry> {
        self.index().get(id).cloned()
    }

    /// Bytes of a room's files that are complete.
    pub fn bytes_of(&self, room: &str) -> u64 {
        self.index().bytes_of(room)
    }

    /// The newest of a room that are older than `after`, of one kind or of all, newest first.
    pub fn page(&self, room: &str, kind: Option<Kind>, after: Option<&Place>, limit: usize) -> Vec<Place> {
        self.index().page(room, kind, after, limit)
    }

    /// Does something that may have to wait for the disk, beside whatever else is done; at most 32 at a time.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn work<T: Send + 'static>(&self, what: impl FnOnce(&Self) -> Result<T, LibraryError> + Send + 'static) -> Result<T, LibraryError> {
        let permit = self.0.busy.clone().acquire_owned().await.map_err(|_| LibraryError::Unknown)?;
        let library = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = what(&library);
            drop(permit);
            done
        });
        done.await.map_err(|error| LibraryError::Disk(io::Error::other(error)))?
    }

    /// Reads something. Waits for the disk, as all below.
    ///
    /// # Errors
    /// When it is not there, or cannot be read.
    pub fn read(&self, id: &str) -> Result<Item, LibraryError> {
        // Only what the index knows becomes a path.
        self.find(id).ok_or(LibraryError::Unknown)?;
        let folder = self.0.config.folder.join(id);
        let manifest = Manifest::read(&folder)?;
        let mut beside: BTreeSet<_> = std::fs::read_dir(&folder)?.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let stored = self.0.store.as_ref().map(|_| Ledger::read(&folder)).unwrap_or_default();
        beside.extend(stored.names().cloned());
        Ok(Item { manifest, folder, beside, stored })
    }

    /// Changes what something says of itself.
    ///
    /// # Errors
    /// When it is not there or still being recorded, or cannot be written.
    pub fn amend(&self, id: &str, change: impl FnOnce(&mut Manifest)) -> Result<Item, LibraryError> {
        let _writing = self.writing();
        self.ended(id)?;
        let mut item = self.read(id)?;
        change(&mut item.manifest);
        item.manifest.write(&item.folder)?;
        let mut index = self.index();
        index.put(&item.manifest);
        self.measure(&index);
        drop(index);
        self.0.store.iter().for_each(|store| store.touch(id));
        Ok(item)
    }

    /// Deletes something, and counts it by this reason.
    ///
    /// # Errors
    /// When it is not there or still being recorded, or cannot be deleted.
    pub fn delete(&self, id: &str, reason: &'static str) -> Result<(), LibraryError> {
        let writing = self.writing();
        self.ended(id)?;
        let (folder, gone) = (self.0.config.folder.join(id), self.0.config.folder.join(format!("{DELETED}{id}")));
        // From one moment to the next: whatever happens, nobody finds half of it.
        rename(&folder, &gone)?;
        for (jobs, film) in self.0.jobs.get().iter().flat_map(|jobs| Film::ALL.map(|film| (jobs, film))) {
            jobs.cancel_mixdown(&folder, film);
        }
        let mut index = self.index();
        index.remove(id);
        self.measure(&index);
        drop((index, writing));
        self.0.metrics.deleted(reason);
        tracing::info!(item = id, reason, "deleted from the library");
        match &self.0.store {
            // The folder itself is there until the bucket has nothing of it any more.
            Some(store) => {
                let emptied = empty(&gone);
                store.touch(id);
                Ok(emptied?)
            }
            None => Ok(remove_dir_all(gone)?),
        }
    }

    /// Whether something of this identity was deleted, and the bucket still has something of it.
    pub(super) fn is_deleted(&self, id: &str) -> bool {
        self.0.config.folder.join(format!("{DELETED}{id}")).exists()
    }

    /// Takes in what was found in the bucket; nothing is made of it before somebody asks.
    pub(super) fn adopt(&self, manifest: &Manifest) {
        let mut index = self.index();
        index.put(manifest);
        self.measure(&index);
        drop(index);
        self.0.added.notify_one();
    }

    /// The bucket beside the folder.
    pub fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// Brings a small file of an item here, if the bucket alone has it.
    ///
    /// # Errors
    /// When the bucket or the disk refuses.
    pub async fn bring(&self, item: &Item, name: &str) -> Result<(), LibraryError> {
        match &self.0.store {
            Some(store) if item.stored.of(name).is_some() => Ok(store.bring(&item.manifest.id, name).await.map(drop)?),
            _ => Ok(()),
        }
    }

    /// Deletes something that was made of an item, here and in the bucket.
    ///
    /// # Errors
    /// When it is neither here nor there, or the disk refuses.
    pub fn unmake(&self, item: &Item, name: &str) -> Result<(), LibraryError> {
        match (std::fs::remove_file(item.folder.join(name)), &self.0.store) {
            (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound && item.stored.of(name).is_some() => {}
            (removed, _) => removed?,
        }
        Ok(self.0.store.iter().try_for_each(|store| store.forget(&item.manifest.id, name))?)
    }

    /// Deletes what is too old, and the oldest of what is too much; how many that were.
    pub fn retain(&self) -> usize {
        let LibraryConfig { keep, keep_bytes, .. } = self.0.config;
        let before = keep.map(|keep| unix_millis().saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)));
        let surplus = self.index().surplus(before, keep_bytes);
        let old = |id: &str| before.is_some_and(|before| self.find(id).is_some_and(|entry| entry.ended.unwrap_or(entry.began) < before));
        let gone = surplus.iter().filter(|id| match self.delete(id, if old(id) { "age" } else { "size" }) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(item = %id, ?error, "what is to go from the library cannot be deleted");
                false
            }
        });
        gone.count()
    }

    /// Keeps it in order until the node ends.
    pub async fn run(self, mut closing: watch::Receiver<bool>) {
        loop {
            let _ = self.work(|library| Ok((library.retain(), library.drop_stale_uploads()))).await;
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                _ = timeout(UPKEEP, self.0.added.notified()) => {}
            }
            // Several that are added at once are looked at once.
            sleep(SOON).await;
        }
    }

    /// Whether something may be changed from here.
    fn is_open(&self) -> bool {
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether something may be changed: it is there, and its recording has ended.
    fn ended(&self, id: &str) -> Result<(), LibraryError> {
        match self.find(id).filter(|_| self.is_open()) {
            Some(entry) if entry.goes_on() => Err(LibraryError::GoesOn),
            Some(_) => Ok(()),
            None => Err(LibraryError::Unknown),
        }
    }

    fn measure(&self, index: &Index) {
        let metric = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.0.metrics.items.set(metric(index.len() as u64));
        self.0.metrics.bytes.set(metric(index.bytes()));
    }

    fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.0.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    /// Where a file lies that the manifest names, and its media type.
    pub fn file(&self, name: &str) -> Option<(PathBuf, &str)> {
        let media_type = match &self.manifest.upload {
            Some(upload) if upload.name == name => upload.media_type.as_str(),
            _ => match self.manifest.files.iter().find(|file| file.name == name) {
                Some(file) => file.container.media_type(file.video.is_some()),
                None => return self.film(name),
            },
        };
        Some((self.folder.join(name), media_type))
    }

    /// Names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let upload = self.manifest.upload.iter().map(|upload| upload.name.as_str());
        upload.chain(self.manifest.files.iter().map(|file| file.name.as_str()))
    }
}

/// Whether a manifest is of its folder, and names files in that folder only. Whoever runs the node may have put it there from elsewhere.
pub(super) fn is_sound(manifest: &Manifest, folder: &Path) -> bool {
    let names = manifest.files.iter().map(|file| &file.name).chain(manifest.upload.iter().map(|upload| &upload.name));
    let sound =
        is_plain(&manifest.id) && folder.file_name().is_some_and(|name| name == manifest.id.as_str()) && names.clone().all(|name| is_plain(name));
    if !sound {
        tracing::warn!(folder = %folder.display(), "a manifest that is not of its folder is left alone");
    }
    sound
}

/// The manifest of a folder, if there is one that can be read: one that cannot is named in the log, and everything beside it stays as it is.
fn readable(folder: &Path) -> Option<Manifest> {
    match Manifest::read(folder) {
        Ok(manifest) => Some(manifest),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "a manifest cannot be read: what it is of is not in the library, and is left as it is");
            None
        }
    }
}

/// Whether a name is one part of a path, and no hidden one.
pub(super) fn is_plain(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
