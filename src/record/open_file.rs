//! A file that is being written: where its pieces lie, and which of them outlast a power cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use super::file::{Container, Cue, End, Piece};
use super::manifest::FileState;

/// A file on its way.
pub struct OpenFile {
    /// The recording that it belongs to.
    pub recording: String,
    /// The place of its entry in the manifest.
    pub entry: usize,
    /// It has ended, and is not complete yet.
    pub end: Option<End>,
    /// Where its last piece ends.
    pub len: u64,
    container: Container,
    path: PathBuf,
    /// Its first bytes, which every file can be completed with.
    header: Vec<u8>,
    file: Option<File>,
    cues: Vec<Cue>,
    /// Of each piece that is not known to last, the round of making things last that had begun when it was written.
    rounds: Vec<u64>,
    /// The disk has lost something of it: it says so once.
    doubtful: bool,
    /// Bytes of it, once it is complete.
    pub bytes: u64,
}

impl OpenFile {
    /// A file that will be at this path, beginning with these bytes.
    pub fn new(recording: String, entry: usize, container: Container, path: PathBuf, header: Vec<u8>) -> Self {
        let (cues, rounds) = (Vec::new(), Vec::new());
        Self { recording, entry, end: None, len: 0, container, path, header, file: None, cues, rounds, doubtful: false, bytes: 0 }
    }

    /// Appends a piece, whole or not at all. `written` is called behind it, and tells the round that had begun then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, piece: &Piece, done: u64, written: impl Fn() -> u64) -> io::Result<()> {
        let known = self.rounds.iter().take_while(|round| **round < done).count();
        self.rounds.drain(..known);
        self.made()?;
        let Some(file) = &self.file else { return Ok(()) };
        let result = file.write_all_at(&piece.bytes, self.len);
        let round = written();
        if let Err(error) = result {
            // Where this is refused too, the next piece is written over it.
            let _ = file.set_len(self.len);
            return Err(error);
        }
        self.cues.push(Cue { position: self.len, at: piece.at, until: piece.until, key: piece.key });
        self.rounds.push(round);
        self.len += piece.bytes.len() as u64;
        Ok(())
    }

    /// Makes the file with its first bytes, if that is not done.
    fn made(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
            file.write_all_at(&self.header, 0)?;
            (self.file, self.len) = (Some(file), self.header.len() as u64);
        }
        Ok(())
    }

    /// Something that was written somewhere is lost, and the last round that was done is this one: ends with what is known to last.
    pub fn cut_short(&mut self, done: u64) {
        self.end.get_or_insert(End { length: until(&self.cues), lost: 1 });
        self.doubtful |= self.file.as_ref().is_some_and(|file| file.sync_data().is_err());
        self.keep_lasting(done);
        self.rounds.clear();
    }

    /// Leaves out the pieces that are not known to last, if any may be lost.
    fn keep_lasting(&mut self, done: u64) {
        if !std::mem::take(&mut self.doubtful) {
            return;
        }
        let keep = self.cues.len() - self.rounds.drain(..).filter(|round| *round >= done).count();
        if let Some(first) = self.cues.get(keep) {
            self.len = first.position;
            let lost = self.cues.drain(keep..).count() as u64;
            self.end = self.end.map(|end| End { length: until(&self.cues), lost: end.lost + lost });
        }
    }

    /// Puts index and length into a file that has ended, and makes it last; `done` is the last round that was.
    ///
    /// # Errors
    /// When the disk refuses; it may be tried again.
    pub fn complete(&mut self, done: u64) -> io::Result<FileState> {
        self.keep_lasting(done);
        let (Some(file), Some(end)) = (self.file.as_ref().filter(|_| !self.cues.is_empty()), self.end) else { return Ok(FileState::Broken) };
        let completion = self.container.complete(&self.header, &self.cues, self.len, end.length);
        // What an earlier try has left.
        file.set_len(self.len)?;
        file.write_all_at(&completion.tail, self.len)?;
        for (at, bytes) in &completion.patches {
            file.write_all_at(bytes, *at)?;
        }
        // A manifest that calls a file complete must not be on the disk before it is: nobody would repair it.
        if let Err(error) = file.sync_data() {
            self.doubtful = true;
            return Err(error);
        }
        self.rounds.clear();
        self.bytes = self.len + completion.tail.len() as u64;
        Ok(FileState::Complete)
    }
}

/// Where the last piece ends.
fn until(cues: &[Cue]) -> i64 {
    cues.iter().map(|cue| cue.until).max().unwrap_or(0)
}
