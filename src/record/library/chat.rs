//! What was said in a room while it was recorded.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};

use serde::{Deserialize, Serialize};

use super::{CHAT, Item, LibraryError};

/// Bytes that are kept of a recording's chat: more than a room can say in a day at a message a second.
pub const MOST_CHAT: u64 = 16 << 20;

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
