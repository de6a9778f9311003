//! After a crash: what is not whole at the end of a file is cut off, and the file is completed as if it had ended there. After a power
//! cut that may be more than its end: a disk writes in its own order, so that a piece may be missing before one that is there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::seal::holds;
use super::file::{Container, Cue, mp4, webm};
use super::manifest::{FileEntry, FileState, Manifest, State};
use crate::metrics::RecordMetrics;

/// Bytes of the longest beginning of a file.
const MOST_HEAD: u64 = 256 << 10;
/// Bytes of the longest piece: half a second.
const MOST_PIECE: u64 = 64 << 20;
/// So many pieces that hold in a row, two minutes of them, and those before were made to last long ago. All of a long file would take a
/// disk minutes to read.
const ENOUGH: usize = 240;

/// What is whole of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let there = match container {
        Container::Webm => webm::scan(len, read)?,
        Container::Mp4 => mp4::scan(len, read)?,
    };
    let mut whole = there.keep_sealed(read)?;
    let Some(last) = whole.cues.last_mut().filter(|_| whole.head <= MOST_HEAD) else { return Err(io::ErrorKind::InvalidData.into()) };
    last.until = container.end_of(&read(last.position, usize::try_from(whole.len - last.position).unwrap_or(0))?, last);
    whole.length = whole.cues.iter().map(|cue| cue.until).max().unwrap_or(0);
    Ok(whole)
}

impl Whole {
    /// Leaves out what comes after a piece that does not hold.
    fn keep_sealed(mut self, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        let ends: Vec<u64> = self.cues.iter().skip(1).map(|next| next.position).chain([self.len]).collect();
        let (mut keep, mut holding) = (self.cues.len(), 0);
        for (place, (cue, end)) in self.cues.iter().zip(&ends).enumerate().rev() {
            let len = (end - cue.position).min(MOST_PIECE);
            if holds(&read(cue.position, usize::try_from(len).unwrap_or(0))?) {
                holding += 1;
            } else {
                (keep, holding) = (place, 0);
            }
            if holding == ENOUGH {
                break;
            }
        }
        if let Some(bad) = self.cues.get(keep) {
            self.len = bad.position;
            self.cues.truncate(keep);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contract::TapCodec;
    use crate::record::file::{Picture, Writer};

    /// A key frame of H.264: parameter sets of 320 × 180, and a slice.
    const SETS: [&[u8]; 3] = [
        &[0x67, 0x42, 0xc0, 0x0b, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 0, 0x20, 0xf1, 0x42, 0xa4, 0x80],
        &[0x68, 0xcb, 0x83, 0xcb, 0x20],
        &[0x65, 0x88, 0x84, 0x00, 0x33],
    ];

    fn key_frame(codec: TapCodec) -> Vec<u8> {
        match codec {
            TapCodec::H264 => SETS.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect(),
            _ => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00],
        }
    }

    /// A file of so many pieces of half a second: its first bytes, its pieces, and where each begins.
    fn written(codec: TapCodec, pieces: i64) -> (Vec<u8>, Vec<u8>, Vec<Cue>) {
        let first = key_frame(codec);
        let (mut writer, head) = Writer::new(Some(&Picture { codec, size: Some((320, 180)), first: first.clone() }), true);
        let (mut bytes, mut cues) = (head.clone(), Vec::new());
        for at in (0..pieces * 500_000).step_by(20_000) {
            writer.sound(at, &[0xf8; 90]);
            if at % 100_000 == 0 {
                let key = at % 1_000_000 == 0;
                writer.picture(at, key, &if key { first.clone() } else { vec![7; 5_000] });
            }
            if at % 500_000 == 480_000 {
                if at + 20_000 == pieces * 500_000 {
                    writer.finish(at + 20_000);
                }
                let piece = writer.cut().expect("a piece");
                cues.push(Cue { position: bytes.len() as u64, at: piece.at, until: piece.until, key: piece.key });
                bytes.extend(piece.bytes);
            }
        }
        (head, bytes, cues)
    }

    struct OnDisk(std::path::PathBuf);

    impl OnDisk {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("althing-{name}-{}", std::process::id()));
            std::fs::write(&path, bytes).expect("written");
            Self(path)
        }

        fn scan(&self, container: Container) -> io::Result<Whole> {
            scan(&File::open(&self.0).expect("it is there"), container)
        }
    }

    impl Drop for OnDisk {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn entry(container: Container) -> FileEntry {
        let (name, member) = (String::new(), String::new());
        let (video, audio, size, state) = (None, None, None, FileState::Writing);
        FileEntry { name, member, screen: false, container, video, audio, size, at: 0, length: 0, bytes: 0, lost: 0, state }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What a power cut leaves: blocks that never came are zeros, in any order, and the length is right all the same.
        #[test]
        fn a_block_that_never_came_ends_the_file_before_its_piece(h264 in any::<bool>(), missing in proptest::collection::vec(0.0f64..1.0, 1..4)) {
            let codec = if h264 { TapCodec::H264 } else { TapCodec::Vp8 };
            let container = Container::of(Some(codec));
            let (head, mut bytes, cues) = written(codec, 12);
            let blocks: Vec<usize> = missing.iter().map(|part| head.len().next_multiple_of(4_096) + ((bytes.len() - head.len()) as f64 * part) as usize / 4_096 * 4_096).filter(|at| *at < bytes.len()).collect();
            for at in &blocks {
                bytes.iter_mut().skip(*at).take(4_096).for_each(|byte| *byte = 0);
            }
            let bad = blocks.iter().min().copied().unwrap_or(bytes.len()) as u64;
            let ends: Vec<u64> = cues.iter().skip(1).map(|cue| cue.position).chain([bytes.len() as u64]).collect();
            let whole = ends.iter().take_while(|end| **end <= bad).count();
            let disk = OnDisk::new("torn", &bytes);
            match disk.scan(container) {
                Ok(found) => {
                    prop_assert_eq!(found.cues.len(), whole);
                    prop_assert_eq!((found.len, found.length), (ends[whole - 1], cues[whole - 1].until));
                }
                Err(error) => prop_assert_eq!((error.kind(), whole), (io::ErrorKind::InvalidData, 0)),
            }
        }

        /// The power may be cut again while a file is repaired: what was written half then is written anew.
        #[test]
        fn a_repair_that_was_cut_short_is_done_again(h264 in any::<bool>(), blocks in any::<u8>()) {
            let codec = if h264 { TapCodec::H264 } else { TapCodec::Vp8 };
            let container = Container::of(Some(codec));
            let (_, bytes, cues) = written(codec, 6);
            let disk = OnDisk::new("again", &bytes);
            file(&disk.0, &mut entry(container)).expect("repaired");
            let repaired = std::fs::read(&disk.0).expect("read");
            prop_assert!(repaired != bytes);
            // Of the blocks that the repair has written, some are as they were.
            let mut mixed = repaired.clone();
            for block in (0..mixed.len().div_ceil(4_096)).filter(|block| blocks >> (block % 8) & 1 == 1) {
                for at in block * 4_096..mixed.len().min((block + 1) * 4_096) {
                    mixed[at] = bytes.get(at).copied().unwrap_or(0);
                }
            }
            std::fs::write(&disk.0, &mixed).expect("written");
            let mut again = entry(container);
            file(&disk.0, &mut again).expect("repaired again");
            prop_assert_eq!((again.length, again.bytes), (3_000_000, repaired.len() as u64));
            prop_assert!(std::fs::read(&disk.0).expect("read") == repaired);
            let places = |cues: &[Cue]| cues.iter().map(|cue| (cue.position, cue.at, cue.key)).collect::<Vec<_>>();
            prop_assert_eq!(places(&disk.scan(container).expect("whole").cues), places(&cues));
        }
    }
}
