//! A bucket beside the folder, where the settings name one: what is complete is copied there, and leaves the disk after a while.
//!
//! ```text
//! library, jobs ─touch(id)─► agenda ─► keeper: at most two items at a time ─► copy: the bucket becomes as the folder is
//! ```
//!
//! The folder stays what the library is made of: small things (the manifest, chat, thumbnails, waveforms) are always there, so that lists
//! and changes ask nobody. Only what is played and downloaded comes from the bucket once it is not here ([`read`]). A folder that is empty
//! is filled from the bucket ([`rebuild`]).

mod agenda;
mod bucket;
mod copy;
mod keeper;
pub mod ledger;
mod read;
mod rebuild;

use std::collections::BTreeMap;
use std::fs::remove_file;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::jobs::THUMBNAIL;
use crate::config::S3Config;
use crate::metrics::StoreMetrics;
use agenda::Agenda;
use bucket::Bucket;
use ledger::Ledger;

pub use bucket::Trouble;
pub use copy::{Failed, empty};
pub use read::{Busy, Reading, drop_halves};

/// Files that are read from the bucket at a time, by whoever plays or downloads. More: memory, [`read::CHUNK`] twice each.
const READERS: usize = 128;

/// The node's bucket: cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    folder: PathBuf,
    /// Bytes that the disk keeps free.
    minimum_free: u64,
    /// Milliseconds that files stay here once the bucket has them.
    keep_local: u64,
    agenda: Mutex<Agenda>,
    bell: Notify,
    /// Held by whoever changes a ledger.
    ledgers: Mutex<()>,
    /// Items whose files somebody is at: they stay here.
    leases: Mutex<BTreeMap<String, usize>>,
    readers: Arc<Semaphore>,
    runtime: Handle,
    metrics: StoreMetrics,
}

/// As long as it is there, an item's files are not taken from the disk.
pub struct Lease {
    store: Store,
    id: String,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("bucket", &self.0.bucket.name()).finish_non_exhaustive()
    }
}

impl Store {
    /// The bucket for this folder, whose disk keeps `minimum_free` bytes free. Nothing is asked of it yet. Needs a runtime.
    ///
    /// # Errors
    /// When the settings make no address.
    pub fn new(config: &S3Config, folder: &Path, minimum_free: u64, metrics: StoreMetrics) -> Result<Self, Trouble> {
        Ok(Self(Arc::new(Inner {
            bucket: Bucket::new(config)?,
            folder: folder.to_owned(),
            minimum_free,
            keep_local: u64::try_from(config.keep_local.as_millis()).unwrap_or(u64::MAX),
            agenda: Mutex::default(),
            bell: Notify::new(),
            ledgers: Mutex::new(()),
            leases: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            runtime: Handle::current(),
            metrics,
        })))
    }

    /// The bucket is asked with the key of these settings from now on.
    pub fn take_up(&self, config: &S3Config) {
        self.0.bucket.take_up(config);
    }

    /// There is something new of an item.
    pub fn touch(&self, id: &str) {
        self.agenda().put(id, Instant::now());
        self.0.bell.notify_one();
    }

    /// A file of an item is deleted here, and is to be there, too. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget(&self, id: &str, name: &str) -> io::Result<()> {
        self.change_now(&self.0.folder.join(id), |ledger| ledger.files.get_mut(name).iter_mut().for_each(|stored| stored.gone = true))?;
        self.touch(id);
        Ok(())
    }

    /// Files of an item stay here as long as the value that is returned.
    pub fn lease(&self, id: &str) -> Lease {
        *self.leases().entry(id.to_owned()).or_default() += 1;
        Lease { store: self.clone(), id: id.to_owned() }
    }

    /// Takes a file from the disk unless somebody is at the item; whether it has.
    fn remove_unused(&self, id: &str, path: &Path) -> io::Result<bool> {
        // Whoever comes now waits until it is gone.
        let leases = self.leases();
        if leases.contains_key(id) {
            return Ok(false);
        }
        match remove_file(path) {
            Ok(()) => self.0.metrics.left.inc(),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    async fn change(&self, folder: &Path, change: impl FnOnce(&mut Ledger) + Send + 'static) -> io::Result<()> {
        let (store, folder) = (self.clone(), folder.to_owned());
        copy::blocking(move || store.change_now(&folder, change)).await
    }

    fn change_now(&self, folder: &Path, change: impl FnOnce(&mut Ledger)) -> io::Result<()> {
        let _changing = self.0.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = Ledger::read(folder);
        change(&mut ledger);
        ledger.write(folder)
    }

    fn bucket(&self) -> &Bucket {
        &self.0.bucket
    }

    fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn keep_local(&self) -> u64 {
        self.0.keep_local
    }

    fn metrics(&self) -> &StoreMetrics {
        &self.0.metrics
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.0.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.store.leases();
        match leases.get_mut(&self.id) {
            Some(others) if *others > 1 => *others -= 1,
            _ => drop(leases.remove(&self.id)),
        }
        drop(leases);
        // Something was made, or may leave now.
        self.store.touch(&self.id);
    }
}

/// Whether a bucket can be written to, read, listed and cleared: what a node needs of it.
///
/// # Errors
/// Why it cannot.
pub async fn try_out(config: &S3Config) -> Result<(), Trouble> {
    Bucket::new(config)?.try_out().await
}

/// Whether a file is one of those that leave the disk: what is played and downloaded, not what is said of it.
fn is_large(name: &str) -> bool {
    !(name == THUMBNAIL || name.ends_with(".json") || name.ends_with(".jsonl"))
}
