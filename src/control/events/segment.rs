//! One file of the log: a head, then events, each a frame of its own.
//!
//! ```text
//! frame = length (4 bytes, little endian) · CRC-32C of the rest (4) · kind (1) · JSON
//! ```
//!
//! An event's place is not written: it is that of the file's first one, which is its name, and how many are before it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::standing::Standing;

/// Bytes before a frame's kind.
const FRONT: usize = 8;
/// Bytes of a frame at most: the head of a node with as many members as sockets, many times over.
const MOST: usize = 256 << 20;

const HEAD: u8 = 0;
const EVENT: u8 = 1;

/// What a segment begins with: with it, those before it are not needed to know what is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Drawn when the log was begun: tells its events from those of every other one.
    pub log: String,
    /// What was open before its first event.
    pub standing: Standing,
}

/// A frame that is whole.
#[derive(PartialEq, Debug)]
pub enum Frame<'a> {
    /// The head.
    Head(&'a [u8]),
    /// An event, as it is delivered.
    Event(&'a [u8]),
}

/// What is at an offset.
#[derive(PartialEq, Debug)]
pub enum Next<'a> {
    /// A frame, and where the next one begins.
    Frame(Frame<'a>, usize),
    /// The end.
    End,
    /// Something that is no whole frame: what was being written when the machine stopped, or what the disk has spoilt.
    Torn,
}

/// The path of the segment whose first event has this place.
pub fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.events"))
}

/// The place of the first event of the segment with this name, if it is one's.
pub fn first_of(name: &str) -> Option<u64> {
    name.strip_suffix(".events").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// Appends a head.
///
/// # Errors
/// When it cannot be written as JSON, or is too long.
pub fn put_head(into: &mut Vec<u8>, head: &Head) -> io::Result<()> {
    put(into, HEAD, &serde_json::to_vec(head)?)
}

/// Appends an event that is written already.
///
/// # Errors
/// When it is too long.
pub fn put_event(into: &mut Vec<u8>, json: &[u8]) -> io::Result<()> {
    put(into, EVENT, json)
}

fn put(into: &mut Vec<u8>, kind: u8, json: &[u8]) -> io::Result<()> {
    let length = Some(json.len() + 1).filter(|length| *length <= MOST).and_then(|length| u32::try_from(length).ok());
    let length = length.ok_or(io::ErrorKind::FileTooLarge)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), json);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&crc.to_le_bytes());
    into.push(kind);
    into.extend_from_slice(json);
    Ok(())
}

/// Reads what is at `offset`.
pub fn next(bytes: &[u8], offset: usize) -> Next<'_> {
    let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else { return Next::End };
    frame(rest).map_or(Next::Torn, |(frame, length)| Next::Frame(frame, offset + length))
}

fn frame(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MOST)?;
    let body = rest.get(..length)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let frame = match body.split_first()? {
        (&HEAD, json) => Frame::Head(json),
        (&EVENT, json) => Frame::Event(json),
        _ => return None,
    };
    Some((frame, FRONT + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_and_what_is_torn_or_spoilt_is_not() {
        let mut bytes = Vec::new();
        put_event(&mut bytes, b"one").expect("short");
        let second = bytes.len();
        put_event(&mut bytes, b"two").expect("short");
        assert_eq!(next(&bytes, 0), Next::Frame(Frame::Event(b"one"), second));
        assert_eq!(next(&bytes, second), Next::Frame(Frame::Event(b"two"), bytes.len()));
        assert_eq!(next(&bytes, bytes.len()), Next::End);
        for cut in second + 1..bytes.len() {
            assert_eq!(next(&bytes[..cut], second), Next::Torn, "cut at {cut}");
        }
        for place in second..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[place] ^= 0x10;
            assert_eq!(next(&spoilt, second), Next::Torn, "spoilt at {place}");
        }
        assert_eq!(next(&[0; 64], 0), Next::Torn, "what a file system leaves of a write that was not made");
    }

    #[test]
    fn a_segment_is_named_after_its_first_event() {
        let path = path(Path::new("/f"), 42);
        assert_eq!(path.file_name().and_then(|name| name.to_str()).and_then(first_of), Some(42));
        assert_eq!([first_of("42.events"), first_of("lock"), first_of("0000000000000000004x.events")], [None; 3]);
    }
}
