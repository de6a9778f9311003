//! What the bucket has of an item, as far as that was seen: a file beside the item's own, on this disk alone. Lost, it is made anew from a
//! list of the bucket; what the bucket has already is put there again then, and nothing is lost.

use std::collections::BTreeMap;
use std::fs::{File, rename};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// The name of the file.
pub const NAME: &str = ".stored.json";

/// What the bucket has of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Its objects, by the names of files.
    #[serde(default)]
    pub files: BTreeMap<String, Stored>,
    /// Files that go there in parts, and the service's names for that: one that is not whole after a crash is given up by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<String, String>,
}

/// An object, and the file that it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes.
    pub bytes: u64,
    /// When the file was last written: nanoseconds since the Unix epoch.
    pub modified: u64,
    /// What the service calls this content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// When it was seen there: milliseconds since the Unix epoch.
    pub at: u64,
    /// It is to be deleted there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Ledger {
    /// Reads that of a folder; an empty one where there is none that can be read.
    pub fn read(folder: &Path) -> Self {
        let text = std::fs::read(folder.join(NAME)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes it into a folder: the old one is there until the new one is whole, and lasts.
    ///
    /// # Errors
    /// When the disk refuses, or there is no such folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(".stored.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        // Files are taken from the disk by what it says.
        file.sync_data()?;
        rename(new, folder.join(NAME))
    }

    /// What the bucket has of a file, unless that is to go.
    pub fn of(&self, name: &str) -> Option<&Stored> {
        self.files.get(name).filter(|stored| !stored.gone)
    }

    /// Names of whatever the bucket has.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|(_, stored)| !stored.gone).map(|(name, _)| name)
    }
}

impl Stored {
    /// Whether it is what the file is now.
    pub fn is_of(&self, state: FileState) -> bool {
        !self.gone && (self.bytes, self.modified) == (state.bytes, state.modified)
    }
}

/// A file as it is: how long, and when it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Bytes.
    pub bytes: u64,
    /// Nanoseconds since the Unix epoch.
    pub modified: u64,
}

impl FileState {
    /// Of these metadata.
    ///
    /// # Errors
    /// When the system does not say when files were written.
    pub fn of(metadata: &std::fs::Metadata) -> io::Result<Self> {
        let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { bytes: metadata.len(), modified: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_to_go_is_not_there() {
        let folder = std::env::temp_dir().join(format!("althing-ledger-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        assert_eq!(Ledger::read(&folder), Ledger::default());
        let stored = |gone| Stored { bytes: 5, modified: 7, tag: Some("\"a\"".into()), at: 9, gone };
        let files = [("kept".to_owned(), stored(false)), ("gone".to_owned(), stored(true))].into();
        let ledger = Ledger { files, begun: [("big".to_owned(), "upload 1".to_owned())].into() };
        ledger.write(&folder).expect("written");
        assert_eq!(Ledger::read(&folder), ledger);
        assert_eq!((ledger.names().collect::<Vec<_>>(), ledger.of("gone")), (vec![&"kept".to_owned()], None));
        assert!(stored(false).is_of(FileState { bytes: 5, modified: 7 }) && !stored(true).is_of(FileState { bytes: 5, modified: 7 }));
        assert!(!stored(false).is_of(FileState { bytes: 5, modified: 8 }));
        std::fs::write(folder.join(NAME), "{ cut").expect("written");
        assert_eq!(Ledger::read(&folder), Ledger::default());
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
