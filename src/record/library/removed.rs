//! Whom moderators have removed from rooms. What the library handed to them before, tokens' lists and links alike, ends with it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sign::Holder;

/// The name of the file.
const NAME: &str = ".removed.json";
/// Removals that are remembered at most; past it the earliest is forgotten.
const REMEMBERED: usize = 10_000;
/// Seconds that one is remembered: as long as a shared link may be good, a year.
const REMEMBERED_FOR: u64 = 31_536_000;
/// Seconds that a token of theirs is refused: as long as any other link that they were handed might have lasted.
const REFUSED_FOR: u64 = 12 * 3_600;

/// Who was removed from which room, and when (seconds since the Unix epoch). A restart forgets nothing.
#[derive(Debug)]
pub(super) struct Removed {
    path: PathBuf,
    table: Mutex<Table>,
    /// Held by whoever writes the file: what is written last is the newest.
    writing: Mutex<()>,
}

type Table = BTreeMap<(String, String), u64>;

impl Removed {
    /// As this folder's file has it; nobody where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written: whoever deletes it lets everybody in again.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let kept: Vec<(String, String, u64)> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let what = format!("{} is not as it was written ({error}): delete it, and whoever was removed may look again", path.display());
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let table = kept.into_iter().map(|(room, member, at)| ((room, member), at)).collect();
        Ok(Self { path, table: Mutex::new(table), writing: Mutex::new(()) })
    }

    /// Somebody was removed at `now`.
    pub fn add(&self, room: &str, member: &str, now: u64) {
        let mut table = self.table();
        table.retain(|_, at| now < at.saturating_add(REMEMBERED_FOR));
        if table.len() >= REMEMBERED
            && let Some(first) = table.iter().min_by_key(|(_, at)| **at).map(|(who, _)| who.clone())
        {
            table.remove(&first);
        }
        table.insert((room.to_owned(), member.to_owned()), now);
    }

    /// Whether this member's token opens nothing of the room at `now`.
    pub fn is_refused(&self, room: &str, member: &str, now: u64) -> bool {
        self.when(room, member).is_some_and(|at| now < at.saturating_add(REFUSED_FOR))
    }

    /// Whether a link was handed to somebody who has been removed since.
    pub fn ends(&self, room: &str, Holder { member, issued }: &Holder) -> bool {
        self.when(room, member).is_some_and(|at| *issued <= at)
    }

    /// Keeps it over a restart. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be written: then it holds until the node ends.
    pub fn keep(&self) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<_> = self.table().iter().map(|((room, member), at)| (room.clone(), member.clone(), *at)).collect();
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.sync_all()?;
        rename(new, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn when(&self, room: &str, member: &str) -> Option<u64> {
        let table = self.table();
        // Most nodes remove nobody: then no name is copied to be looked for.
        (!table.is_empty()).then(|| table.get(&(room.to_owned(), member.to_owned())).copied())?
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is one step: what a panic has left is consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("althing-removed-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn holder(member: &str, issued: u64) -> Holder {
        Holder { member: member.into(), issued }
    }

    #[test]
    fn whoever_was_removed_is_refused_in_that_room_and_what_they_had_before_ends() {
        let folder = folder("ends");
        let removed = Removed::open(&folder).expect("a folder");
        assert!(!removed.is_refused("hall", "eve", 100) && !removed.ends("hall", &holder("eve", 50)));
        removed.add("hall", "eve", 100);
        assert!(removed.is_refused("hall", "eve", 100) && removed.is_refused("hall", "eve", 100 + REFUSED_FOR - 1));
        assert!(!removed.is_refused("hall", "eve", 100 + REFUSED_FOR));
        assert!(!removed.is_refused("attic", "eve", 100) && !removed.is_refused("hall", "bob", 100));
        assert!(removed.ends("hall", &holder("eve", 100)) && !removed.ends("hall", &holder("eve", 101)), "what they are handed later is good");
        assert!(!removed.ends("attic", &holder("eve", 50)) && !removed.ends("hall", &holder("bob", 50)));
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn it_is_kept_over_a_restart_and_bounded() {
        let folder = folder("kept");
        let removed = Removed::open(&folder).expect("a folder");
        removed.add("hall", "eve", 100);
        removed.keep().expect("written");
        assert!(Removed::open(&folder).expect("what was written").is_refused("hall", "eve", 101));
        for n in 0..REMEMBERED {
            removed.add("hall", &n.to_string(), 200);
        }
        assert_eq!(removed.table().len(), REMEMBERED);
        assert!(!removed.is_refused("hall", "eve", 201) && removed.is_refused("hall", "0", 201), "the earliest is forgotten");
        removed.add("hall", "late", 200 + REMEMBERED_FOR);
        assert_eq!(removed.table().len(), 1, "what ends no link any more is forgotten");
        std::fs::write(folder.join(NAME), b"{").expect("written");
        assert!(Removed::open(&folder).is_err(), "nobody is let in because a file is broken");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
