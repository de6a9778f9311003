//! WebM (the subset of Matroska, RFC 9559, that browsers play): VP8, VP9, AV1 and Opus.
//!
//! ```text
//! EBML │ Segment (size unknown) │ room for the SeekHead │ Info │ room for the length │ Tracks │ Cluster … │ in the end: Cues
//! ```
//!
//! A cluster is written when it is whole, so that whatever was written can be read. In the end the index is appended, and the rooms and
//! the segment's size are filled in.

use std::io;

use mkv_element::io::blocking_impl::{ReadFrom, WriteTo};
use mkv_element::prelude::{
    Audio, Channels, Cluster, CodecId, CodecPrivate, CueClusterPosition, CuePoint, CueTime, CueTrack, CueTrackPositions, Cues, DocType,
    DocTypeReadVersion, DocTypeVersion, Duration, Ebml, EbmlMaxIdLength, EbmlMaxSizeLength, EbmlReadVersion, EbmlVersion, Element, FlagLacing,
    Header, Info, MuxingApp, PixelHeight, PixelWidth, SamplingFrequency, Seek, SeekHead, SeekId, SeekPosition, SeekPreRoll, Segment, SimpleBlock,
    Timestamp, TimestampScale, TrackEntry, TrackNumber, TrackType, TrackUid, Tracks, VInt64, Video, Void, WritingApp,
};

use super::seal::{SEAL, seal};
use super::{Completion, Cue, Picture, Piece, config};
use crate::contract::TapCodec;
use crate::record::repair::Whole;

/// Tracks' numbers.
const PICTURE: u64 = 1;
const SOUND: u64 = 2;
/// A segment's size that is not known yet, and as long as one that is (RFC 8794 section 6.2).
const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// Bytes that are kept for the SeekHead: three entries of up to 22 bytes.
const SEEK_ROOM: usize = 96;
/// Bytes of the length: an id of two, a size of one, a number of eight.
const LENGTH_ROOM: usize = 11;
/// Microseconds in a tick.
const TICK: i64 = 1_000;
/// Microseconds between places of the index at least: there is no need of more.
const CUES_APART: i64 = 1_000_000;
/// Bytes of the longest header of an element.
const LONGEST_HEADER: usize = 12;
/// Microseconds of sound in a block, for the end of a file that was not ended.
const SOUND_SPAN: i64 = 20_000;

/// Writes a WebM file.
#[derive(Debug)]
pub struct WebmWriter {
    has_picture: bool,
    blocks: Vec<(i64, Vec<u8>)>,
    key: bool,
}

impl WebmWriter {
    /// A file with this picture and with sound or not; the second value is its first bytes.
    pub fn new(picture: Option<&Picture>, sound: bool) -> (Self, Vec<u8>) {
        let ebml = master(
            Ebml::ID,
            &[
                leaf(&EbmlVersion(1)),
                leaf(&EbmlReadVersion(1)),
                leaf(&EbmlMaxIdLength(4)),
                leaf(&EbmlMaxSizeLength(8)),
                leaf(&DocType("webm".into())),
                leaf(&DocTypeVersion(4)),
                leaf(&DocTypeReadVersion(2)),
            ],
        );
        let mut tracks = Vec::new();
        tracks.extend(picture.map(picture_entry));
        tracks.extend(sound.then(sound_entry));
        let header = [ebml, segment(UNKNOWN_SIZE), void(SEEK_ROOM), info(None), void(LENGTH_ROOM), master(Tracks::ID, &tracks)].concat();
        (Self { has_picture: picture.is_some(), blocks: Vec::new(), key: false }, header)
    }

    /// A picture at `at` (microseconds).
    pub fn picture(&mut self, at: i64, key: bool, data: &[u8]) {
        self.key |= key && self.blocks.is_empty();
        self.blocks.push((at, block(PICTURE, key, data)));
    }

    /// A piece of sound at `at` (microseconds).
    pub fn sound(&mut self, at: i64, data: &[u8]) {
        self.key |= !self.has_picture;
        self.blocks.push((at, block(SOUND, true, data)));
    }

    /// What has been collected, as a cluster.
    pub fn cut(&mut self) -> Option<Piece> {
        let at = self.blocks.iter().map(|(at, _)| *at).min()?;
        let until = self.blocks.iter().map(|(at, _)| *at).max()? + SOUND_SPAN;
        let base = at / TICK;
        let mut parts = vec![leaf(&Timestamp(u64::try_from(base).unwrap_or(0)))];
        for (at, mut block) in self.blocks.drain(..) {
            let relative = i16::try_from(at / TICK - base).unwrap_or(i16::MAX);
            if let Some(place) = block.get_mut(1..3) {
                place.copy_from_slice(&relative.to_be_bytes());
            }
            parts.push(leaf(&SimpleBlock(block.into())));
        }
        parts.push(void(SEAL + 2));
        let mut bytes = master(Cluster::ID, &parts);
        seal(&mut bytes);
        Some(Piece { bytes, at, until, key: std::mem::take(&mut self.key) })
    }
}

/// A block without its time: the track, the time, flags, the frame (RFC 9559 section 10.2).
fn block(track: u64, key: bool, data: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(data.len() + 4);
    block.extend_from_slice(&[0x80 | track as u8, 0, 0, u8::from(key) << 7]);
    block.extend_from_slice(data);
    block
}

fn picture_entry(picture: &Picture) -> Vec<u8> {
    let (id, private) = match picture.codec {
        TapCodec::Vp9 => ("V_VP9", None),
        TapCodec::Av1 => ("V_AV1", config::av1(&picture.first)),
        _ => ("V_VP8", None),
    };
    let (width, height) = picture.size.unwrap_or((640, 360));
    let video = master(Video::ID, &[leaf(&PixelWidth(width.into())), leaf(&PixelHeight(height.into()))]);
    entry(PICTURE, 1, id, [private.map(|p| leaf(&CodecPrivate(p.into()))).unwrap_or_default(), video])
}

fn sound_entry() -> Vec<u8> {
    // RFC 7845 section 5.1: version 1, two channels, nothing to skip, 48 kHz, no gain, mapping family 0.
    let head = [&b"OpusHead"[..], &[1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]].concat();
    let audio = master(Audio::ID, &[leaf(&SamplingFrequency(48_000.0)), leaf(&Channels(2))]);
    // What a decoder needs to hear before what it says is right (RFC 7845 section 4.6).
    let roll = leaf(&SeekPreRoll(80_000_000));
    entry(SOUND, 2, "A_OPUS", [[leaf(&CodecPrivate(head.into())), roll].concat(), audio])
}

fn entry(number: u64, kind: u64, codec: &str, rest: [Vec<u8>; 2]) -> Vec<u8> {
    let [private, settings] = rest;
    let parts = [
        leaf(&TrackNumber(number)),
        leaf(&TrackUid(number)),
        leaf(&TrackType(kind)),
        leaf(&FlagLacing(0)),
        leaf(&CodecId(codec.into())),
        private,
        settings,
    ];
    master(TrackEntry::ID, &parts)
}

fn info(length: Option<i64>) -> Vec<u8> {
    // Always as long as its room: a number that fits four bytes would be written in four.
    let length = length.map(|length| master(Duration::ID, &[(length as f64 / TICK as f64).to_be_bytes().to_vec()])).unwrap_or_default();
    let app = concat!("althing ", env!("CARGO_PKG_VERSION"));
    master(Info::ID, &[leaf(&TimestampScale(1_000_000)), leaf(&MuxingApp(app.into())), leaf(&WritingApp(app.into())), length])
}

fn segment(size: [u8; 8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An id is written as it is: encoding it into memory does not fail.
    let _ = Segment::ID.write_to(&mut bytes);
    bytes.extend_from_slice(&size);
    bytes
}

/// An element of `len` bytes that says nothing.
fn void(len: usize) -> Vec<u8> {
    master(Void::ID, &[vec![0; len.saturating_sub(2)]])
}

fn leaf(element: &impl Element) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Encoding into memory does not fail.
    let _ = element.write_to(&mut bytes);
    bytes
}

fn master(id: VInt64, parts: &[Vec<u8>]) -> Vec<u8> {
    let len: usize = parts.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(len + LONGEST_HEADER);
    let _ = Header { id, size: VInt64::new(len as u64) }.write_to(&mut bytes);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Where the parts of a file's beginning lie.
#[derive(Debug, Default)]
struct Layout {
    /// The first byte of the segment's content; its size is in the eight bytes before.
    content: u64,
    seek: Option<u64>,
    info: Option<u64>,
    tracks: Option<u64>,
    end: u64,
}

/// Reads the beginning of a file up to its tracks.
fn layout(head: &[u8]) -> Option<Layout> {
    let mut layout = Layout::default();
    let mut at = 0;
    loop {
        let (id, content, size) = header(head.get(at..)?)?;
        if id == Segment::ID {
            at += content;
            layout.content = at as u64;
            continue;
        }
        match id {
            id if (id == Void::ID || id == SeekHead::ID) && layout.seek.is_none() && layout.content > 0 => layout.seek = Some(at as u64),
            id if id == Info::ID => layout.info = Some(at as u64),
            id if id == Tracks::ID => {
                layout.tracks = Some(at as u64);
                layout.end = (at + content + usize::try_from(size).ok()?) as u64;
                return Some(layout);
            }
            _ => {}
        }
        at = at.checked_add(content)?.checked_add(usize::try_from(size).ok()?)?;
    }
}

/// An element's id, the length of its header, and of its content.
fn header(bytes: &[u8]) -> Option<(VInt64, usize, u64)> {
    let mut rest = bytes.get(..bytes.len().min(LONGEST_HEADER))?;
    let before = rest.len();
    let header = Header::read_from(&mut rest).ok()?;
    Some((header.id, before - rest.len(), *header.size))
}

/// What makes a file complete: `len` is where its last cluster ends, `length` how long it is in microseconds.
pub fn complete(head: &[u8], cues: &[Cue], len: u64, length: i64) -> Completion {
    let Some(layout) = layout(head) else { return Completion::default() };
    let keys = cues.iter().any(|cue| cue.key);
    let mut points = Vec::new();
    let mut last = i64::MIN / 2;
    for cue in cues.iter().filter(|cue| cue.key || !keys) {
        if cue.at - last < CUES_APART {
            continue;
        }
        last = cue.at;
        let track = if keys { PICTURE } else { SOUND };
        let position =
            master(CueTrackPositions::ID, &[leaf(&CueTrack(track)), leaf(&CueClusterPosition(cue.position.saturating_sub(layout.content)))]);
        points.push(master(CuePoint::ID, &[leaf(&CueTime(u64::try_from(cue.at / TICK).unwrap_or(0))), position]));
    }
    let tail = master(Cues::ID, &points);
    let mut patches = Vec::new();
    let seek = |id: VInt64, at: Option<u64>| {
        let mut bytes = Vec::new();
        let _ = id.write_to(&mut bytes);
        at.map(|at| master(Seek::ID, &[leaf(&SeekId(bytes.into())), leaf(&SeekPosition(at.saturating_sub(layout.content)))])).unwrap_or_default()
    };
    let seeks = master(SeekHead::ID, &[seek(Info::ID, layout.info), seek(Tracks::ID, layout.tracks), seek(Cues::ID, Some(len))]);
    if let Some(at) = layout.seek.filter(|_| seeks.len() + 2 <= SEEK_ROOM) {
        let room = void(SEEK_ROOM - seeks.len());
        patches.push((at, [seeks, room].concat()));
    }
    let info_len = info(None).len();
    let whole = info(Some(length));
    if let Some(at) = layout.info.filter(|at| whole.len() == info_len + LENGTH_ROOM && layout.tracks == Some(at + whole.len() as u64)) {
        patches.push((at, whole));
    }
    let size = (len + tail.len() as u64).saturating_sub(layout.content) | 1 << 56;
    patches.push((layout.content - 8, size.to_be_bytes().to_vec()));
    Completion { patches, tail }
}

/// What is there of a file of `len` bytes, as far as its clusters' beginnings tell.
///
/// # Errors
/// Those of reading; `InvalidData` when not even its beginning is there.
pub fn scan(len: u64, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Whole> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let layout = layout(&read(0, 64 << 10)?).filter(|layout| layout.end <= len).ok_or_else(invalid)?;
    let mut whole = Whole { head: layout.end, len: layout.end, ..Whole::default() };
    let mut at = layout.end;
    while let Some((id, content, size)) = header(&read(at, LONGEST_HEADER)?) {
        let end = at.checked_add(content as u64).and_then(|at| at.checked_add(size)).ok_or_else(invalid)?;
        if id != Cluster::ID || end > len {
            break;
        }
        let first = read(at + content as u64, 64)?;
        // Of a cluster that the disk had not got to, there may be zeros.
        let Some((time, key)) = beginning(&first) else { break };
        whole.cues.push(Cue { position: at, at: time, until: time, key });
        (whole.len, at) = (end, end);
    }
    Ok(whole)
}

/// The time of a cluster's content, and whether it begins with the key frame of a picture.
fn beginning(content: &[u8]) -> Option<(i64, bool)> {
    let mut rest = content;
    let time = Timestamp::read_from(&mut rest).ok()?;
    let (_, at, _) = header(rest)?;
    let block = rest.get(at..)?;
    let key = block.first() == Some(&(0x80 | PICTURE as u8)) && block.get(3).is_some_and(|flags| flags & 0x80 != 0);
    Some((i64::try_from(*time).ok()? * TICK, key))
}

/// Where the last block of a cluster ends, about: microseconds from the file's time zero.
pub fn end_of(cluster: &[u8], begins: i64) -> i64 {
    let Some((_, mut at, _)) = header(cluster) else { return begins };
    let mut end = begins;
    while let Some((id, content, size)) = cluster.get(at..).and_then(header) {
        let body = at + content;
        if id == SimpleBlock::ID
            && let Some(&[high, low]) = cluster.get(body + 1..body + 3)
        {
            end = end.max(begins + i64::from(i16::from_be_bytes([high, low])) * TICK + SOUND_SPAN);
        }
        at = body.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    }
    end
}
