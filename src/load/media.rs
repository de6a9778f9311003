//! The packets of a publisher: their times, sizes and headers, with nothing in them but a stamp.
//!
//! A [`Source`] says when the next packets are due and what they look like. [`Composer`] writes them as RTP.

use std::sync::Arc;
use std::time::Duration;

use super::shape::{AudioPattern, VideoShape};
use super::stamp::Stamp;
use super::trace::Trace;
use crate::base::Time;
use crate::base::random::Random;
use crate::contract::MediaKind;
use crate::media::packet::ext::{AudioLevel, ExtensionWriter};
use crate::media::packet::rtp::ExtensionForm;

/// Payload type of VP8 in our offers.
pub const VP8: u8 = 96;
/// Payload type of Opus in our offers.
pub const OPUS: u8 = 111;
/// Payload type of VP8's repairs in our offers (RFC 4588).
pub const VP8_RTX: u8 = 97;
/// Id of the transport-wide sequence number's header extension in our offers.
pub const TRANSPORT_CC_ID: u8 = 3;
/// Id of the audio level's header extension in our offers.
pub const LEVEL_ID: u8 = 1;
/// The longest packet before it is sealed, in bytes.
#[cfg(any(test, feature = "full-clients"))]
pub const MOST_PACKET: usize = 1_440;

const RTP_HEADER: usize = 12;
/// Bytes of a video packet, RTP header included: what browsers keep to, roughly.
const VIDEO_PACKET: usize = 1_112;
/// A key frame has so many times the bytes of another.
const KEY_FRAME_TIMES: usize = 4;
/// From sound packet to sound packet.
const AUDIO_PERIOD: Duration = Duration::from_millis(20);
/// Payload bytes of a loud packet: 40 kbit/s.
const TALKING: usize = 100;
/// Payload bytes of a quiet one.
const SILENT: usize = 30;
/// Code 0 of configuration 15: one hybrid full-band frame of 20 ms, mono (RFC 6716 section 3.1).
const OPUS_TOC: u8 = 15 << 3;
/// A publisher that falls further behind than this (the machine slept) does not send everything late.
const FURTHEST_BEHIND: Duration = Duration::from_millis(500);

/// A packet to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Payload bytes.
    pub payload: usize,
    /// The marker bit.
    pub marker: bool,
    /// Whether it begins a frame.
    pub start: bool,
    /// Whether it is of a key frame.
    pub key: bool,
    /// RTP timestamp units since the stream's beginning.
    pub timestamp: u32,
    /// The loudness, of sound.
    pub level: Option<AudioLevel>,
}

/// Where the packets of a stream come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A video of a steady rate.
    Video {
        /// Its shape.
        shape: VideoShape,
        /// Varies the sizes of frames.
        random: Random,
    },
    /// Sound.
    Audio {
        /// When it is loud.
        pattern: AudioPattern,
        /// Whose it is.
        publisher: u32,
    },
    /// A recorded trace, over and over.
    Trace {
        /// The trace.
        trace: Arc<Trace>,
        /// Which of its packets.
        kind: MediaKind,
        /// The next packet.
        at: usize,
        /// Repetitions so far.
        turn: u64,
        /// Whether the next packet begins a frame, and the timestamp of the present one.
        frame: (bool, u32),
    },
}

/// A stream's clock and source.
#[derive(Clone, Debug)]
pub struct Schedule {
    source: Source,
    begin: Time,
    due: Time,
    frames: u64,
}

impl Schedule {
    /// A stream that begins at `begin`.
    pub fn new(source: Source, begin: Time) -> Self {
        let mut schedule = Self { source, begin, due: begin, frames: 0 };
        schedule.due = schedule.next_due();
        schedule
    }

    /// When the next packets are due.
    pub fn due(&self) -> Time {
        self.due
    }

    /// Writes the drafts of all that is due at this moment into `out`. `key`: a frame that begins now is a key frame; whether one began.
    pub fn take(&mut self, now: Time, key: bool, out: &mut Vec<Draft>) -> bool {
        if now < self.due {
            return false;
        }
        if now.since(self.due) > FURTHEST_BEHIND {
            // The clock of what is sent goes on from here: timestamps stay true to the time.
            self.begin = self.begin + now.since(self.due);
        }
        let since = self.due.since(self.begin);
        let began = match &mut self.source {
            Source::Video { shape, random } => {
                frame(shape, random, self.frames, key, out);
                true
            }
            Source::Audio { pattern, publisher } => {
                out.push(sound(pattern, *publisher, since, self.frames));
                true
            }
            Source::Trace { trace, kind, at, turn, frame } => recorded(trace, *kind, at, *turn, frame, self.frames == 0 || key, out),
        };
        self.frames += 1;
        self.due = self.next_due();
        began
    }

    /// Nothing is due any more.
    pub fn end(&mut self) {
        self.due = Time::NEVER;
    }

    /// The moment at which the stream's timestamps begin.
    pub fn begin(&self) -> Time {
        self.begin
    }

    fn next_due(&mut self) -> Time {
        match &mut self.source {
            // Multiplied, not added up: the period of 30 a second is no whole number of microseconds.
            Source::Video { shape, .. } => self.begin + Duration::from_nanos(self.frames * 1_000_000_000 / u64::from(shape.frames)),
            Source::Audio { .. } => self.begin + Duration::from_micros(self.frames * AUDIO_PERIOD.as_micros() as u64),
            Source::Trace { trace, kind, at, turn, .. } => {
                let packets = trace.of(*kind);
                if *at >= packets.len() {
                    (*at, *turn) = (0, *turn + 1);
                }
                match packets.get(*at) {
                    Some(packet) => self.begin + Duration::from_micros(*turn * trace.length + packet.at),
                    None => Time::NEVER,
                }
            }
        }
    }
}

/// One frame, cut into packets of nearly equal size.
fn frame(shape: &VideoShape, random: &mut Random, number: u64, key: bool, out: &mut Vec<Draft>) {
    // Sizes vary by a quarter around the mean, as an encoder's do; the rate stays.
    let spread = f64::from(random.next_u32()) / f64::from(u32::MAX) * 0.5 + 0.75;
    let bytes = shape.frame_bytes() as f64 * spread * if key { KEY_FRAME_TIMES as f64 } else { 1.0 };
    let count = ((bytes / VIDEO_PACKET as f64).ceil() as usize).max(1);
    let payload = (bytes as usize / count).saturating_sub(RTP_HEADER).max(least(true, key));
    let timestamp = (number * 90_000 / u64::from(shape.frames)) as u32;
    out.extend((0..count).map(|i| Draft { payload, marker: i + 1 == count, start: i == 0, key, timestamp, level: None }));
}

fn sound(pattern: &AudioPattern, publisher: u32, since: Duration, number: u64) -> Draft {
    let voice = pattern.talks(publisher, since);
    // Voices differ, and move a little from packet to packet.
    let level = if voice { 18 + (publisher % 8) as u8 * 2 + (number % 5) as u8 } else { 90 + (number % 7) as u8 };
    Draft {
        payload: if voice { TALKING } else { SILENT },
        marker: false,
        start: true,
        key: false,
        timestamp: (number * 960) as u32,
        level: Some(AudioLevel { voice, level }),
    }
}

fn recorded(trace: &Trace, kind: MediaKind, at: &mut usize, turn: u64, frame: &mut (bool, u32), key: bool, out: &mut Vec<Draft>) -> bool {
    let Some(packet) = trace.of(kind).get(*at) else { return false };
    *at += 1;
    let micros = turn * trace.length + packet.at;
    let rate = if kind == MediaKind::Video { 90 } else { 48 };
    let starts = kind == MediaKind::Audio || *at == 1 || frame.0;
    if starts {
        frame.1 = (micros * rate / 1_000) as u32;
    }
    frame.0 = packet.marker;
    let key = key && starts && kind == MediaKind::Video;
    let payload = packet.bytes.saturating_sub(RTP_HEADER).max(least(kind == MediaKind::Video, key));
    let level = (kind == MediaKind::Audio).then_some(AudioLevel { voice: packet.bytes > 60, level: if packet.bytes > 60 { 25 } else { 90 } });
    out.push(Draft { payload, marker: packet.marker, start: starts, key, timestamp: frame.1, level });
    starts
}

/// Payload bytes that a packet has at least: what has to be said, and the stamp.
const fn least(video: bool, key: bool) -> usize {
    let codec = match (video, key) {
        (true, true) => 14,
        (true, false) => 7,
        (false, _) => 1,
    };
    codec + Stamp::LEN
}

/// Writes RTP packets of one stream.
#[derive(Clone, Debug)]
pub struct Composer {
    /// The SSRC.
    pub ssrc: u32,
    /// The index of the next packet: rollover counter and sequence number.
    pub index: u64,
    first_timestamp: u32,
    kind: MediaKind,
    picture: u16,
}

/// Where an RTP packet lies in the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Bytes before the payload.
    pub header: usize,
    /// Bytes of the payload.
    pub payload: usize,
    /// Its index.
    pub index: u64,
    /// Its RTP timestamp.
    pub timestamp: u32,
}

impl Composer {
    /// A stream with this SSRC.
    pub fn new(kind: MediaKind, ssrc: u32, random: &mut Random) -> Self {
        // The first number is below 2^15, so that the rollover counter begins at 0 on both sides (RFC 3711 section 3.3.1).
        let index = u64::from(random.next_u32() & 0x3fff) + 1;
        Self { ssrc, index, first_timestamp: random.next_u32(), kind, picture: random.next_u32() as u16 & 0x7fff }
    }

    /// The payload type.
    pub fn payload_type(&self) -> u8 {
        if self.kind == MediaKind::Video { VP8 } else { OPUS }
    }

    /// Writes the next packet in plain; `None` when `out` is too small for it.
    pub fn write(&mut self, run: u32, draft: &Draft, stamp: &Stamp, out: &mut [u8]) -> Option<Written> {
        let timestamp = self.first_timestamp.wrapping_add(draft.timestamp);
        let index = self.index;
        let header = out.get_mut(..RTP_HEADER)?;
        header[0] = 0x80 | u8::from(draft.level.is_some()) << 4;
        header[1] = u8::from(draft.marker) << 7 | self.payload_type();
        header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let mut header_len = RTP_HEADER;
        if let Some(level) = draft.level {
            let mut extension = ExtensionWriter::new(out.get_mut(RTP_HEADER..)?, ExtensionForm::OneByte);
            extension.add(LEVEL_ID, &level.bytes());
            header_len += extension.finish()?;
        }
        if self.kind == MediaKind::Video && draft.start {
            self.picture = (self.picture + 1) & 0x7fff;
        }
        let payload = out.get_mut(header_len..header_len + draft.payload)?;
        payload.fill(0);
        match self.kind {
            MediaKind::Audio => *payload.first_mut()? = OPUS_TOC,
            MediaKind::Video => vp8(payload, self.picture, draft)?,
        }
        stamp.write(run, payload).then_some(())?;
        self.index += 1;
        Some(Written { header: header_len, payload: draft.payload, index, timestamp })
    }

    /// The RTP timestamp of a moment so long after the stream's beginning, for sender reports.
    pub fn timestamp_at(&self, since: Duration) -> u32 {
        let rate = if self.kind == MediaKind::Video { 90_000 } else { 48_000 };
        self.first_timestamp.wrapping_add((since.as_micros() * rate / 1_000_000) as u32)
    }
}

/// VP8's payload descriptor (RFC 7741 section 4.2: X; I with 15 bits of picture id) and, at a frame's start, VP8's own header (RFC 6386
/// section 9.1; a key frame has its start code and 640 × 360).
fn vp8(payload: &mut [u8], picture: u16, draft: &Draft) -> Option<()> {
    let descriptor = payload.first_chunk_mut::<4>()?;
    let [high, low] = (0x8000 | picture).to_be_bytes();
    *descriptor = [if draft.start { 0x90 } else { 0x80 }, 0x80, high, low];
    if draft.start {
        let first_partition = 1_000_u32;
        let tag = u32::from(!draft.key) | 1 << 4 | first_partition << 5;
        payload.get_mut(4..7)?.copy_from_slice(&tag.to_le_bytes()[..3]);
        if draft.key {
            payload.get_mut(7..14)?.copy_from_slice(&[0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
