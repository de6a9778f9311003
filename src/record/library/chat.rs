//! What was said in a room while it was recorded.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CHAT, Item, LibraryError};

/// Bytes that are kept of a recording's chat: more than a room can say in a day at a message a second.
const MOST_CHAT: u64 = 16 << 20;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatLine {
    /// When it was said: microseconds from the beginning of the recording.
    pub at: i64,
    /// By whom.
    pub member: String,
    /// The name that was shown.
    pub name: String,
    /// What.
    pub text: String,
}

/// How much was said in a room that is recorded, as far as it is kept.
#[derive(Debug, Default)]
pub struct Said(u64);

impl Said {
    /// Appends a message to what is kept in a recording's folder, whole or not at all; how many bytes that is, none when it is too much.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, folder: &Path, line: &ChatLine) -> io::Result<Option<u64>> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let bytes = text.len() as u64;
        if self.0 + bytes > MOST_CHAT {
            return Ok(None);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(CHAT))?;
        if let Err(error) = file.write_all_at(&text, self.0) {
            // Where this is refused too, the next one is written over it.
            let _ = file.set_len(self.0);
            return Err(error);
        }
        self.0 += bytes;
        Ok(Some(bytes))
    }
}

impl Item {
    /// What was said meanwhile, in the order of saying. A last line that a crash has cut is left out.
    ///
    /// # Errors
    /// When nothing was kept of it, or it cannot be read.
    pub fn chat(&self) -> Result<Vec<ChatLine>, LibraryError> {
        let file = File::open(self.folder.join(CHAT))?;
        let mut lines = Vec::new();
        for line in BufReader::new(file.take(MOST_CHAT)).lines() {
            match line {
                Ok(line) => lines.extend(serde_json::from_str::<ChatLine>(&line)),
                Err(error) if error.kind() == ErrorKind::InvalidData => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::record::manifest::tests::recording;
    use crate::record::store::ledger::Ledger;

    #[test]
    fn what_was_said_is_kept_to_a_bound_and_a_line_that_a_crash_has_cut_is_left_out() {
        let folder = std::env::temp_dir().join(format!("althing-chat-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let line = |text: &str| ChatLine { at: 7, member: "ada".into(), name: "Ada".into(), text: text.into() };
        let mut said = Said::default();
        assert!(said.append(&folder, &line("one\ntwo")).is_ok_and(|bytes| bytes.is_some()));
        assert!(said.append(&folder, &line("三")).is_ok_and(|bytes| bytes.is_some()));
        let item = Item { manifest: recording("r1", "hall", 1, 0), folder: folder.clone(), beside: BTreeSet::new(), stored: Ledger::default() };
        assert_eq!(item.chat().expect("kept"), [line("one\ntwo"), line("三")]);
        let path = folder.join(CHAT);
        let whole = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &whole[..whole.len() - 4]).expect("cut");
        assert_eq!(item.chat().expect("kept"), [line("one\ntwo")], "in the middle of a character");
        let mut full = Said(MOST_CHAT - 10);
        assert_eq!(full.append(&folder, &line("more")).expect("no error"), None);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
