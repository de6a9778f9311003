//! Files: bytes for what a take writes. Each is written forwards, in pieces that stand for themselves, so that it can be read whatever
//! happens; in the end an index and its length are put in place.

pub mod config;
pub mod mp4;
pub mod seal;
pub mod webm;

use serde::{Deserialize, Serialize};

use super::leg::Frame;
use crate::contract::TapCodec;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// WebM: VP8, VP9, AV1 and Opus.
    Webm,
    /// Fragmented MP4 (ISO/IEC 14496-12): H.264 and Opus.
    Mp4,
}

/// What is shown in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its codec.
    pub codec: TapCodec,
    /// Width and height in pixels at the beginning.
    pub size: Option<(u16, u16)>,
    /// The first key frame: what a decoder needs to know beforehand is in it.
    pub first: Vec<u8>,
}

/// A file begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// What kind it is.
    pub container: Container,
    /// The codec of its picture, if it has one.
    pub picture: Option<TapCodec>,
    /// Width and height in pixels at the beginning.
    pub size: Option<(u16, u16)>,
    /// Whether it has sound.
    pub sound: bool,
    /// Its time zero: microseconds on the node's clock.
    pub at: i64,
    /// Its first bytes.
    pub header: Vec<u8>,
}

/// A piece of a file, to be appended: whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it begins, in microseconds from the file's time zero.
    pub at: i64,
    /// Where it ends, about.
    pub until: i64,
    /// Whether its first picture is a key frame (or the file has only sound).
    pub key: bool,
}

/// A file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// How long it is, in microseconds.
    pub length: i64,
    /// Pictures, pieces of sound and pieces of the file that are missing, as far as that is known.
    pub lost: u64,
}

/// Where a piece lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Its first byte.
    pub position: u64,
    /// Where it begins, in microseconds from the file's time zero.
    pub at: i64,
    /// Where it ends, about.
    pub until: i64,
    /// Whether one can begin there.
    pub key: bool,
}

/// What makes a file complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Bytes to be put over others: where, and what.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// Bytes to be appended.
    pub tail: Vec<u8>,
}

/// Writes a file of either kind.
pub enum Writer {
    /// WebM.
    Webm(webm::WebmWriter),
    /// MP4.
    Mp4(Box<mp4::Mp4Writer>),
}

impl Container {
    /// The container for a picture's codec; sound alone is WebM.
    pub const fn of(picture: Option<TapCodec>) -> Self {
        match picture {
            Some(TapCodec::H264) => Container::Mp4,
            _ => Container::Webm,
        }
    }

    /// The ending of its files' names.
    pub const fn extension(self) -> &'static str {
        match self {
            Container::Webm => "webm",
            Container::Mp4 => "mp4",
        }
    }

    /// Its media type.
    pub const fn media_type(self, picture: bool) -> &'static str {
        match (self, picture) {
            (Container::Webm, true) => "video/webm",
            (Container::Webm, false) => "audio/webm",
            (Container::Mp4, _) => "video/mp4",
        }
    }

    /// Where a piece ends whose cue is this, about: microseconds from the file's time zero.
    pub fn end_of(self, piece: &[u8], cue: &Cue) -> i64 {
        match self {
            Container::Webm => webm::end_of(piece, cue.at),
            Container::Mp4 => cue.until,
        }
    }

    /// What makes a file complete whose pieces lie like this; `head` is its beginning, as long as it is before the first piece.
    pub fn complete(self, head: &[u8], cues: &[Cue], len: u64, length: i64) -> Completion {
        match self {
            Container::Webm => webm::complete(head, cues, len, length),
            Container::Mp4 => mp4::complete(head, cues, len, length),
        }
    }
}

impl Picture {
    /// What is known of the picture that begins with this key frame.
    pub fn of(frame: &Frame) -> Self {
        Self { codec: frame.codec, size: frame.size, first: frame.data.clone() }
    }
}

impl Writer {
    /// A file with this picture and with sound or not; the second value is its first bytes.
    pub fn new(picture: Option<&Picture>, sound: bool) -> (Self, Vec<u8>) {
        match Container::of(picture.map(|p| p.codec)) {
            Container::Webm => {
                let (writer, header) = webm::WebmWriter::new(picture, sound);
                (Writer::Webm(writer), header)
            }
            Container::Mp4 => {
                let (writer, header) = mp4::Mp4Writer::new(picture, sound);
                (Writer::Mp4(Box::new(writer)), header)
            }
        }
    }

    /// A picture at `at` (microseconds).
    pub fn picture(&mut self, at: i64, key: bool, data: &[u8]) {
        match self {
            Writer::Webm(webm) => webm.picture(at, key, data),
            Writer::Mp4(mp4) => mp4.picture(at, key, data),
        }
    }

    /// A piece of sound at `at` (microseconds).
    pub fn sound(&mut self, at: i64, data: &[u8]) {
        match self {
            Writer::Webm(webm) => webm.sound(at, data),
            Writer::Mp4(mp4) => mp4.sound(at, data),
        }
    }

    /// Nothing more comes: the last picture lasts until `end` (microseconds).
    pub fn finish(&mut self, end: i64) {
        if let Writer::Mp4(mp4) = self {
            mp4.finish(end);
        }
    }

    /// What has been collected, as a piece.
    pub fn cut(&mut self) -> Option<Piece> {
        match self {
            Writer::Webm(webm) => webm.cut(),
            Writer::Mp4(mp4) => mp4.cut(),
        }
    }
}
