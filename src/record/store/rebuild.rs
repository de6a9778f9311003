//! Items that the bucket has and the folder has not: of another node, or of a disk that is lost. Their manifests are brought here, and
//! with them they are in the library; files follow when somebody wants them.

use std::collections::BTreeMap;
use std::fs::{File, rename};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::Store;
use super::bucket::{Found, Listed, Trouble};
use super::copy::{Failed, blocking};
use super::ledger::{Ledger, Stored};
use crate::record::folder::create_private;
use crate::record::library::{Library, is_plain, is_sound};
use crate::record::manifest::{self, Manifest, SCHEMA, State};
use crate::record::unix_millis;

/// A bucket that cannot be listed is asked again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// Manifests that are brought at a time.
const AT_ONCE: usize = 8;
/// Bytes of a manifest at most: 2,048 files and 4,096 people are less.
const MOST_BYTES: u64 = 4 << 20;

/// Fills the folder with what it lacks, as soon as the bucket can be listed.
pub async fn fill(store: &Store, library: &Library) {
    let mut told = false;
    let listed = loop {
        match store.bucket().list(None).await {
            Ok(listed) => break listed,
            Err(trouble) => {
                store.metrics().failed("list");
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(bucket = store.bucket().name(), why = %trouble, "the bucket cannot be listed: what is there alone is not in the library yet");
                }
                sleep(AGAIN).await;
            }
        }
    };
    let mut items: BTreeMap<String, BTreeMap<String, Found>> = BTreeMap::new();
    // What becomes a path here is as plain as what we write ourselves.
    for Listed { id, name, found } in listed.into_iter().filter(|listed| is_plain(&listed.id) && is_plain(&listed.name)) {
        items.entry(id).or_default().insert(name, found);
    }
    let found = stream::iter(items).map(|(id, objects)| async move {
        match one(store, library, &id, objects).await {
            Ok(new) => usize::from(new),
            Err(why) => {
                store.metrics().failed("list");
                tracing::error!(item = id, ?why, "something in the bucket cannot be brought into the library: the next start tries again");
                0
            }
        }
    });
    let new: usize = found.buffer_unordered(AT_ONCE).fold(0, async |all, new| all + new).await;
    if new > 0 {
        tracing::info!(items = new, bucket = store.bucket().name(), "the library has things again that the bucket alone had");
    }
}

/// An item of the bucket; whether it is new here.
async fn one(store: &Store, library: &Library, id: &str, objects: BTreeMap<String, Found>) -> Result<bool, Failed> {
    let folder = store.folder().join(id);
    if let Some(entry) = library.find(id) {
        if !entry.goes_on() {
            complete(store, &folder, objects).await?;
        }
        return Ok(false);
    }
    // One without a manifest is being copied by another node, or was when that ended; one that is being deleted stays so.
    let Some(found) = objects.get(manifest::NAME).filter(|found| found.bytes <= MOST_BYTES) else { return Ok(false) };
    if library.is_deleted(id) {
        return Ok(false);
    }
    let text = store.bucket().get(id, manifest::NAME, found.tag.as_deref(), 0..found.bytes).await?;
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return Err(Trouble::Other("its manifest is none".into()).into()) };
    if manifest.schema > SCHEMA || manifest.state == State::Recording || !is_sound(&manifest, &folder) {
        return Ok(false);
    }
    let modified = found.modified;
    blocking(move || {
        match create_private(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let files = objects.into_iter().map(|(name, found)| (name, stored(found))).collect();
        Ledger { files, begun: BTreeMap::new() }.write(&folder)?;
        write(&folder, &text, modified)
    })
    .await?;
    library.adopt(&manifest);
    store.touch(id);
    Ok(true)
}

/// What the bucket has of an item that is here, where neither the folder nor its ledger has it: the ledger was lost.
async fn complete(store: &Store, folder: &Path, objects: BTreeMap<String, Found>) -> io::Result<()> {
    let of = folder.to_owned();
    let missing: Vec<_> = blocking(move || {
        let ledger = Ledger::read(&of);
        Ok(objects.into_iter().filter(|(name, _)| !ledger.files.contains_key(name) && !of.join(name).exists()).collect())
    })
    .await?;
    if missing.is_empty() {
        return Ok(());
    }
    store.change(folder, move |ledger| ledger.files.extend(missing.into_iter().map(|(name, found)| (name, stored(found))))).await
}

fn stored(Found { bytes, tag, modified }: Found) -> Stored {
    Stored { bytes, modified, tag, at: unix_millis(), gone: false }
}

/// Writes a manifest with the time of the bucket's: by that it is known for the same.
fn write(folder: &Path, manifest: &[u8], modified: u64) -> io::Result<()> {
    let new = folder.join("manifest.new");
    let mut file = File::create(&new)?;
    file.write_all(manifest)?;
    file.set_modified(UNIX_EPOCH + Duration::from_nanos(modified))?;
    file.sync_data()?;
    rename(new, folder.join(manifest::NAME))
}
