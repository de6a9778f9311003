//! After a crash: what is not whole at the end of a file is cut off, and the file is completed as if it had ended there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::file::{Container, Cue, mp4, webm};
use super::manifest::{FileEntry, FileState, Manifest, State};
use crate::metrics::RecordMetrics;

/// Bytes of the longest beginning of a file.
const MOST_HEAD: u64 = 256 << 10;

/// What is whole of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Where its first piece begins.
    pub head: u64,
    /// Its pieces.
    pub cues: Vec<Cue>,
    /// Where the last whole piece ends.
    pub len: u64,
    /// How long it is, in microseconds.
    pub length: i64,
}

/// Repairs whatever in a folder of recordings was not ended, and tells what it says then. What cannot be repaired is named in the log and
/// left as it is.
pub fn all(folder: &Path, metrics: &RecordMetrics, mut tell: impl FnMut(&Manifest)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(manifest) = Manifest::read(&path) else { continue };
        if manifest.state == State::Recording {
            match recording(&path, manifest) {
                Ok(files) => {
                    metrics.repaired.inc_by(files);
                    Manifest::read(&path).iter().for_each(&mut tell);
                    tracing::warn!(recording = %entry.file_name().display(), files, "a recording was interrupted, and has been repaired");
                }
                Err(error) => tracing::error!(recording = %entry.file_name().display(), %error, "a recording was interrupted and cannot be repaired"),
            }
        }
    }
}

/// Repairs a recording in its folder; how many files were.
///
/// # Errors
/// When the disk refuses.
pub fn recording(folder: &Path, mut manifest: Manifest) -> io::Result<u64> {
    let mut repaired = 0;
    let mut ended = manifest.began;
    for entry in &mut manifest.files {
        if entry.state == FileState::Writing {
            match file(&folder.join(&entry.name), entry) {
                Ok(()) => repaired += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::InvalidData => {
                    entry.state = FileState::Broken
                }
                Err(error) => return Err(error),
            }
        }
        ended = ended.max(manifest.began.saturating_add(u64::try_from((entry.at + entry.length) / 1_000).unwrap_or(0)));
    }
    (manifest.state, manifest.ended) = (State::Interrupted, Some(ended));
    manifest.write(folder)?;
    Ok(repaired)
}

/// Repairs a file.
fn file(path: &Path, entry: &mut FileEntry) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let whole = scan(&file, entry.container)?;
    let mut head = vec![0; usize::try_from(whole.head).unwrap_or(0)];
    file.read_exact_at(&mut head, 0)?;
    file.set_len(whole.len)?;
    let completion = entry.container.complete(&head, &whole.cues, whole.len, whole.length);
    file.write_all_at(&completion.tail, whole.len)?;
    for (at, bytes) in &completion.patches {
        file.write_all_at(bytes, *at)?;
    }
    file.sync_data()?;
    entry.bytes = whole.len + completion.tail.len() as u64;
    (entry.length, entry.state) = (whole.length, FileState::Repaired);
    Ok(())
}

/// What is whole of a file.
///
/// # Errors
/// `InvalidData` when not even its beginning is.
pub fn scan(file: &File, container: Container) -> io::Result<Whole> {
    let len = file.metadata()?.len();
    let read = |at: u64, bytes: usize| {
        let mut buffer = vec![0; bytes.min(usize::try_from(len.saturating_sub(at)).unwrap_or(0))];
        file.read_exact_at(&mut buffer, at).map(|()| buffer)
    };
    let whole = match container {
        Container::Webm => webm::scan(len, read)?,
        Container::Mp4 => mp4::scan(len, read)?,
    };
    if whole.cues.is_empty() || whole.head > MOST_HEAD {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(whole)
}
