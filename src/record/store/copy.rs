//! One item, made so in the bucket as it is here: what is new goes there, what was deleted goes there too, and what the bucket has whole
//! leaves the disk after a while. Done twice it changes nothing.

use std::fs::{File, Metadata, read_dir, remove_dir_all, remove_file};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::spawn_blocking;

use super::bucket::{Found, Trouble};
use super::ledger::{FileState, Ledger, Stored};
use super::{Store, is_large};
use crate::record::file::Container;
use crate::record::hls;
use crate::record::jobs::mixdown::Film;
use crate::record::jobs::{THUMBNAIL, waveform_of};
use crate::record::library::{CHAT, DELETED};
use crate::record::manifest::{self, FileState as Recorded, Manifest, State};
use crate::record::unix_millis;

/// Bytes of a part. More: fewer requests; less: memory, of which each item under way takes [`PARTS`] times as much.
const PART: u64 = 8 << 20;
/// Parts that are on their way at a time.
const PARTS: usize = 2;
/// Parts of an object at most (S3's bound is 10,000): of a longer file each is larger.
const MOST_PARTS: u64 = 9_000;

/// Why an item is not as it should be.
#[derive(Debug)]
pub enum Failed {
    /// The bucket does not do what is asked.
    Bucket(Trouble),
    /// The own disk does not.
    Disk(io::Error),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self::Bucket(trouble)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// What an item comes to.
enum Look {
    /// It is not here, or is still being recorded.
    Nothing,
    /// It was deleted.
    Deleted(PathBuf),
    /// It is here.
    Kept(Kept),
}

struct Kept {
    folder: PathBuf,
    ledger: Ledger,
    /// Files that are here, in the order in which they go to the bucket: the manifest last, so that whoever finds it finds all of it.
    here: Vec<(String, FileState)>,
}

/// An item is looked after; when it is to be again, in milliseconds since the Unix epoch.
pub async fn look_after(store: &Store, id: &str) -> Result<Option<u64>, Failed> {
    let (root, of) = (store.folder().to_owned(), id.to_owned());
    match blocking(move || look(&root, &of)).await? {
        Look::Nothing => Ok(None),
        Look::Deleted(folder) => delete(store, id, folder).await.map(|()| None),
        Look::Kept(kept) => keep(store, id, kept).await,
    }
}

fn look(root: &Path, id: &str) -> io::Result<Look> {
    let deleted = root.join(format!("{DELETED}{id}"));
    if deleted.is_dir() {
        return Ok(Look::Deleted(deleted));
    }
    let folder = root.join(id);
    let manifest = match Manifest::read(&folder) {
        Ok(manifest) if manifest.state != State::Recording => manifest,
        Ok(_) => return Ok(Look::Nothing),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Look::Nothing),
        Err(error) => return Err(error),
    };
    for entry in manifest.files.iter().filter(|entry| entry.container == Container::Mp4 && entry.state != Recorded::Broken) {
        // What a playlist is made of is read here as long as the file is: from the bucket it would take a request for each fragment.
        hls::keep(&folder.join(&entry.name))?;
    }
    let mut here = Vec::new();
    for name in names(&manifest, &folder) {
        match folder.join(&name).metadata() {
            Ok(metadata) if metadata.is_file() => here.push((name, FileState::of(&metadata)?)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Look::Kept(Kept { ledger: Ledger::read(&folder), folder, here }))
}

/// Whatever of an item goes to the bucket: what the manifest names, what is made of that, and what was said; then the manifest.
fn names(manifest: &Manifest, folder: &Path) -> Vec<String> {
    let files: Vec<String> =
        manifest.files.iter().map(|file| file.name.clone()).chain(manifest.upload.iter().map(|upload| upload.name.clone())).collect();
    let beside = |path: PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let made: Vec<String> =
        files.iter().flat_map(|name| [waveform_of(&folder.join(name)), hls::place_of(&folder.join(name))]).filter_map(beside).collect();
    let films = Film::ALL.into_iter().map(|film| film.file_name().to_owned());
    files.into_iter().chain(films).chain(made).chain([THUMBNAIL, CHAT, manifest::NAME].map(str::to_owned)).collect()
}

async fn delete(store: &Store, id: &str, folder: PathBuf) -> Result<(), Failed> {
    let bucket = store.bucket();
    let (emptied, ledger) = {
        let folder = folder.clone();
        blocking(move || Ok((empty(&folder), Ledger::read(&folder)))).await?
    };
    emptied?;
    for (name, upload) in &ledger.begun {
        bucket.abandon(id, name, upload).await?;
    }
    let mut names: Vec<String> = bucket.list(Some(id)).await?.into_iter().map(|listed| listed.name).collect();
    // Whoever makes an index of the bucket meanwhile does not find half of it.
    names.sort_by_key(|name| name != manifest::NAME);
    for name in &names {
        bucket.delete(id, name).await?;
    }
    store.metrics().deleted(names.len() as u64);
    blocking(move || remove_dir_all(folder)).await?;
    Ok(())
}

/// Removes what a deleted item has here, but for what says which of its objects were begun. Two may be at it, and what one has removed is no
/// trouble to the other.
pub fn empty(folder: &Path) -> io::Result<()> {
    for entry in read_dir(folder)?.flatten().filter(|entry| entry.file_name() != super::ledger::NAME) {
        match remove_file(entry.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn keep(store: &Store, id: &str, kept: Kept) -> Result<Option<u64>, Failed> {
    let Kept { folder, ledger, here } = kept;
    for (name, upload) in &ledger.begun {
        store.bucket().abandon(id, name, upload).await?;
        let name = name.clone();
        store.change(&folder, move |ledger| drop(ledger.begun.remove(&name))).await?;
    }
    for (name, _) in ledger.files.iter().filter(|(_, stored)| stored.gone) {
        store.bucket().delete(id, name).await?;
        let name = name.clone();
        store.change(&folder, move |ledger| drop(ledger.files.remove(&name))).await?;
    }
    for (name, state) in &here {
        if ledger.files.get(name).is_none_or(|stored| !stored.is_of(*state)) {
            copy(store, id, &folder, name).await?;
        }
    }
    let (mut next, now) = (None, unix_millis());
    for (name, _) in here.iter().filter(|(name, _)| is_large(name)) {
        match leave(store, id, &folder, name, now).await? {
            Some(later) if next.is_none_or(|next| later < next) => next = Some(later),
            _ => {}
        }
    }
    Ok(next)
}

/// Copies a file as it is now.
async fn copy(store: &Store, id: &str, folder: &Path, name: &str) -> Result<(), Failed> {
    let path = folder.join(name);
    let opened = {
        let path = path.clone();
        blocking(move || File::open(path).and_then(|file| Ok((FileState::of(&file.metadata()?)?, Arc::new(file))))).await
    };
    let (state, file) = match opened {
        // It was deleted since, or taken away: what there is to do then is seen the next time.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let tag = if state.bytes <= PART {
        store.bucket().put(id, name, read(file, 0, state.bytes).await?).await?
    } else {
        in_parts(store, id, folder, name, file, state.bytes).await?
    };
    let found = store.bucket().look(id, name).await?;
    if found.bytes != state.bytes || (tag.is_some() && found.tag != tag) {
        return Err(Trouble::Changed.into());
    }
    store.metrics().copied(state.bytes);
    let Found { tag, .. } = found;
    let stored = Stored { bytes: state.bytes, modified: state.modified, tag, at: unix_millis(), gone: false };
    let (name, of) = (name.to_owned(), path);
    let kept = store.change(folder, move |ledger| {
        ledger.begun.remove(&name);
        // One that somebody has deleted meanwhile is deleted there, too.
        let gone = of.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        ledger.files.insert(name, Stored { gone, ..stored });
    });
    match kept.await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        kept => Ok(kept?),
    }
}

async fn in_parts(store: &Store, id: &str, folder: &Path, name: &str, file: Arc<File>, bytes: u64) -> Result<Option<String>, Failed> {
    let parts = store.bucket().begin(id, name).await?;
    let (begun, upload) = (name.to_owned(), parts.upload.clone());
    store.change(folder, move |ledger| drop(ledger.begun.insert(begun, upload))).await?;
    let size = PART.max(bytes.div_ceil(MOST_PARTS));
    let put = stream::iter((0..bytes).step_by(usize::try_from(size).unwrap_or(usize::MAX)).enumerate()).map(|(number, from)| {
        let (file, parts) = (file.clone(), &parts);
        async move { Ok(store.bucket().put_part(parts, number, read(file, from, (from + size).min(bytes)).await?).await?) }
    });
    let done = match put.buffered(PARTS).try_collect().await {
        Ok(put) => store.bucket().complete(&parts, put).await.map_err(Failed::from),
        Err(failed) => Err(failed),
    };
    if done.is_err() && store.bucket().abandon(id, name, &parts.upload).await.is_ok() {
        let begun = name.to_owned();
        store.change(folder, move |ledger| drop(ledger.begun.remove(&begun))).await?;
    }
    done
}

/// Takes a file from the disk when it has been in the bucket for long enough, is there whole, and nobody is at it; else when to look again.
async fn leave(store: &Store, id: &str, folder: &Path, name: &str, now: u64) -> Result<Option<u64>, Failed> {
    let (path, of) = (folder.join(name), folder.to_owned());
    let known = {
        let (path, name) = (path.clone(), name.to_owned());
        blocking(move || {
            let state = path.metadata().and_then(|metadata: Metadata| FileState::of(&metadata));
            Ok(state.ok().and_then(|state| Ledger::read(&of).of(&name).filter(|stored| stored.is_of(state)).cloned()))
        })
        .await?
    };
    let Some(stored) = known else { return Ok(None) };
    let at = stored.at.saturating_add(store.keep_local());
    if at > now {
        return Ok(Some(at));
    }
    match store.bucket().look(id, name).await {
        Ok(found) if found.bytes == stored.bytes && found.tag == stored.tag => {}
        Ok(_) | Err(Trouble::Missing) => {
            tracing::warn!(item = id, file = name, "the bucket has lost a file, or has another one: it is copied again");
            let name = name.to_owned();
            store.change(folder, move |ledger| drop(ledger.files.remove(&name))).await?;
            return Ok(Some(now));
        }
        Err(trouble) => return Err(trouble.into()),
    }
    let (store, id) = (store.clone(), id.to_owned());
    // Whoever is at it says so, when that is over.
    Ok(blocking(move || store.remove_unused(&id, &path)).await.map(|_| None)?)
}

async fn read(file: Arc<File>, from: u64, to: u64) -> io::Result<Bytes> {
    let bytes = usize::try_from(to - from).map_err(io::Error::other)?;
    blocking(move || {
        let mut buffer = vec![0; bytes];
        file.read_exact_at(&mut buffer, from)?;
        Ok(Bytes::from(buffer))
    })
    .await
}

/// Does something that waits for the disk.
pub async fn blocking<T: Send + 'static>(what: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(what).await.map_err(io::Error::other)?
}
