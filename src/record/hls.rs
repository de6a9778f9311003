//! HTTP Live Streaming (RFC 8216) of a fragmented MP4 file, while it is being written and afterwards: a playlist of ranges of that one file.
//! Nothing is copied and nothing is cut.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::file::mp4;
use super::repair::Whole;

/// Microseconds after which a segment ends with the next fragment. Less: whoever follows live is nearer to it, and asks more often; players stay
/// about three segments behind.
const SEGMENT: i64 = 2_000_000;
/// Seconds that no segment is longer than, where fragments are as long as they are meant to be: half a second.
const TARGET: i64 = 3;

/// Files of which it is remembered how much is whole; the longest takes 700 KB. Others are read from their beginning again.
const MOST_KNOWN: usize = 32;

/// How much of files is whole, as far as it was asked for lately.
#[derive(Debug, Default)]
pub struct Fragments(Mutex<VecDeque<(PathBuf, Whole)>>);

impl Fragments {
    /// How much of a file is whole by now. Waits for the disk.
    ///
    /// # Errors
    /// Those of reading; `InvalidData` when not even its beginning is there.
    pub fn of(&self, path: &Path) -> io::Result<Whole> {
        let known = |all: &mut VecDeque<(PathBuf, Whole)>| {
            let at = all.iter().position(|(known, _)| known == path)?;
            all.remove(at).map(|(_, whole)| whole)
        };
        let before = known(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default();
        let file = match File::open(path) {
            // It is in the bucket; what is whole of it was written down before it left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(serde_json::from_slice(&std::fs::read(place_of(path))?)?),
            opened => opened?,
        };
        let len = file.metadata()?.len();
        // A file that is shorter than it was is another one.
        let before = if before.len <= len { before } else { Whole::default() };
        let whole = mp4::go_on(before, len, |at, bytes| {
            let mut buffer = vec![0; bytes.min(usize::try_from(len.saturating_sub(at)).unwrap_or(0))];
            file.read_exact_at(&mut buffer, at).map(|()| buffer)
        })?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((path.to_owned(), whole.clone()));
        if all.len() > MOST_KNOWN {
            all.pop_front();
        }
        if whole.cues.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { Ok(whole) }
    }
}

/// Where it is written down what is whole of a file.
pub fn place_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".fragments.json");
    path.with_file_name(name)
}

/// Writes down what is whole of a file that is complete, once: its playlist can be made without it then. A file that is not here, or that has
/// nothing whole, is left alone.
///
/// # Errors
/// When the disk refuses.
pub fn keep(path: &Path) -> io::Result<()> {
    let place = place_of(path);
    if place.exists() {
        return Ok(());
    }
    let whole = match Fragments::default().of(path) {
        Ok(whole) => whole,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => return Ok(()),
        Err(error) => return Err(error),
    };
    let new = path.with_extension("fragments.new");
    std::fs::write(&new, serde_json::to_vec(&whole)?)?;
    std::fs::rename(new, place)
}

/// A segment: a range of bytes, and how long it is in microseconds.
struct Segment {
    from: u64,
    to: u64,
    length: i64,
}

/// The playlist of a file of which so much is whole. `uri` is where its bytes are; `ended` whether nothing more comes.
pub fn playlist(whole: &Whole, uri: &str, ended: bool) -> String {
    let segments = segments(whole, ended);
    let longest = segments.iter().map(|segment| (segment.length + 500_000) / 1_000_000).max().unwrap_or(0).max(TARGET);
    let kind = if ended { "VOD" } else { "EVENT" };
    let mut list = format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-PLAYLIST-TYPE:{kind}\n");
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Nothing can go wrong with writing into a text.
        let _ = list.write_fmt(line);
    };
    put(format_args!("#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"{}@0\"\n", whole.head));
    for Segment { from, to, length } in segments {
        put(format_args!("#EXTINF:{}.{:06},\n#EXT-X-BYTERANGE:{}@{from}\n{uri}\n", length / 1_000_000, length % 1_000_000, to - from));
    }
    if ended {
        list.push_str("#EXT-X-ENDLIST\n");
    }
    list
}

/// Fragments together until they are long enough, or a key frame begins the next one. What is not long enough at the end waits for more.
fn segments(whole: &Whole, ended: bool) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let ends = whole.cues.iter().skip(1).map(|next| (next.position, next.at)).chain([(whole.len, whole.length)]);
    let mut open: Option<(u64, i64)> = None;
    for (cue, (to, until)) in whole.cues.iter().zip(ends) {
        if let Some((from, at)) = open
            && cue.key
            && cue.at > at
        {
            segments.push(Segment { from, to: cue.position, length: cue.at - at });
            open = None;
        }
        let (from, at) = *open.get_or_insert((cue.position, cue.at));
        if until - at >= SEGMENT {
            segments.push(Segment { from, to, length: until - at });
            open = None;
        }
    }
    if let Some((from, at)) = open.filter(|_| ended) {
        segments.push(Segment { from, to: whole.len, length: (whole.length - at).max(0) });
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::file::Cue;

    fn whole(fragments: u64, keys: &[u64]) -> Whole {
        let cue = |n: u64| Cue { position: 1_000 + n * 100, at: n as i64 * 500_000, until: (n + 1) as i64 * 500_000, key: keys.contains(&n) };
        let cues = (0..fragments).map(cue).collect();
        Whole { head: 1_000, cues, len: 1_000 + fragments * 100, length: fragments as i64 * 500_000 }
    }

    #[test]
    fn segments_are_two_seconds_long_and_begin_with_key_frames_where_there_are_any() {
        insta::assert_snapshot!(playlist(&whole(12, &[0, 6]), "../0001.mp4?a=1", false));
    }

    #[test]
    fn while_it_is_written_only_whole_segments_are_listed_and_none_ever_changes() {
        let mut before = String::new();
        for fragments in 0..60 {
            let list = playlist(&whole(fragments, &[0, 20, 33, 34, 47]), "x", false);
            let listed = &list[..list.rfind("#EXTINF").map_or(0, |at| list[at..].find("x\n").map_or(list.len(), |end| at + end + 2))];
            assert!(list.starts_with(&before), "{before}\nbecame\n{list}");
            before = if listed.is_empty() { String::new() } else { listed.to_owned() };
        }
        let (all, file) = (playlist(&whole(60, &[0]), "x", true), whole(60, &[0]));
        let bytes: u64 = all.lines().filter_map(|l| l.strip_prefix("#EXT-X-BYTERANGE:")?.split('@').next()?.parse::<u64>().ok()).sum();
        assert_eq!(bytes, file.len - file.head, "every byte is in a segment, once");
        assert!(all.ends_with("#EXT-X-ENDLIST\n"));
    }
}
