//! The folder of recordings: made for whoever runs the node alone, held by one node, measured, and tried out.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// What a disk that has refused is tried with before anything is recorded again.
const PROBE: usize = 64 << 10;

/// Makes it, where it is not there, and what it is in.
pub fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_dir_all(parent)?;
    }
    create_private(folder)
}

/// What was said in a call is for whoever runs the node, and for no other user of the machine.
pub fn create_private(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

/// Holds it for as long as the file is open; one that another node holds is refused.
pub fn lock(folder: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(".lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another node records into this directory")),
    }
}

/// Bytes that its disk has left for such as us.
pub fn free(folder: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Bytes of all files in a folder and in the folders in it.
pub fn used(folder: &Path) -> u64 {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| entry.metadata().map_or(0, |data| if data.is_file() { data.len() } else { 0 });
    entries(folder).map(|entry| if entry.path().is_dir() { entries(&entry.path()).map(bytes).sum() } else { bytes(entry) }).sum()
}

/// Writes something, makes it last, and takes it away.
pub fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(".probe");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let done = file.write_all(&[0; PROBE]).and_then(|()| file.sync_all());
    std::fs::remove_file(path).and(done)
}
