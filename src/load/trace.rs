//! Recorded traces: when packets of which size came, to be sent again with the same gaps.
//!
//! Text, one packet a line, fields separated by blanks or commas; `#` begins a comment:
//!
//! ```text
//! # µs since the first packet   bytes of the RTP packet   marker (0 or 1)   kind (audio or video)
//! 0      1187  0  video
//! 212    640   1  video
//! 5310   132   0  audio
//! ```
//!
//! Offsets never fall. A trace is repeated from its beginning when it ends. Packets too small for a stamp are sent with one.

use std::path::Path;

use crate::contract::MediaKind;

/// The largest packet that is sent: a datagram with SRTP's tag on it still fits 1,500 bytes with IPv6 and UDP headers.
pub const MOST_BYTES: usize = 1_400;
/// The longest trace, in packets: an hour of a large video.
const MOST_PACKETS: usize = 4_000_000;
/// Until the first packet comes again after the last one, in microseconds.
const REST: u64 = 33_000;

/// One packet of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Microseconds since the trace's first packet.
    pub at: u64,
    /// Bytes of the RTP packet, header included.
    pub bytes: usize,
    /// The marker bit: in video, the frame's last packet.
    pub marker: bool,
}

/// A trace, by kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Packets of sound.
    pub audio: Vec<Recorded>,
    /// Packets of a picture.
    pub video: Vec<Recorded>,
    /// Microseconds after which it begins again.
    pub length: u64,
}

impl Trace {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is wrong; the text says which and how.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("the trace {} cannot be read: {e}", path.display()))?;
        Self::read(&text).map_err(|e| format!("the trace {}: {e}", path.display()))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut trace = Self::default();
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut fields = line.split([' ', '\t', ',']).filter(|f| !f.is_empty());
            let Some(first) = fields.next() else { continue };
            let wrong = |what: &str| format!("line {}: {what}", index + 1);
            let at: u64 = first.parse().map_err(|_| wrong("the first field is not a number of microseconds"))?;
            let bytes: usize = fields.next().and_then(|f| f.parse().ok()).ok_or_else(|| wrong("the second field is not a number of bytes"))?;
            let marker = match fields.next() {
                Some("0") => false,
                Some("1") => true,
                _ => return Err(wrong("the third field is not 0 or 1")),
            };
            let packets = match fields.next() {
                Some("audio") => &mut trace.audio,
                Some("video") => &mut trace.video,
                _ => return Err(wrong("the fourth field is not `audio` or `video`")),
            };
            if at < last {
                return Err(wrong("the time goes back"));
            }
            if bytes > MOST_BYTES {
                return Err(wrong(&format!("a packet has at most {MOST_BYTES} bytes")));
            }
            if packets.len() >= MOST_PACKETS {
                return Err(wrong(&format!("a trace has at most {MOST_PACKETS} packets of a kind")));
            }
            last = at;
            packets.push(Recorded { at, bytes, marker });
        }
        if trace.audio.is_empty() && trace.video.is_empty() {
            return Err("it has no packets".to_owned());
        }
        trace.length = last + REST;
        Ok(trace)
    }

    /// The packets of a kind.
    pub fn of(&self, kind: MediaKind) -> &[Recorded] {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_by_kind_with_comments_and_commas() {
        let trace = Trace::read("# a trace\n0 1187 0 video\n212,640,1,video # the frame's end\n\n5310\t132 0 audio\n").expect("a trace");
        assert_eq!(trace.video, [Recorded { at: 0, bytes: 1_187, marker: false }, Recorded { at: 212, bytes: 640, marker: true }]);
        assert_eq!(trace.audio, [Recorded { at: 5_310, bytes: 132, marker: false }]);
        assert_eq!(trace.length, 5_310 + REST);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, what) in [
            ("", "no packets"),
            ("0 100 0 video\nx 100 0 video", "line 2: the first field"),
            ("0 many 0 video", "line 1: the second field"),
            ("0 100 2 video", "line 1: the third field"),
            ("0 100 0 picture", "line 1: the fourth field"),
            ("0 100 0", "line 1: the fourth field"),
            ("5 100 0 video\n4 100 0 video", "line 2: the time"),
            ("0 1401 0 video", "at most 1400"),
        ] {
            let error = Trace::read(text).expect_err(text);
            assert!(error.contains(what), "{text}: {error}");
        }
        assert!(Trace::load(Path::new("/nowhere")).is_err_and(|e| e.contains("/nowhere")));
    }
}
