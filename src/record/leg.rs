//! One track's way into a file: packets → order → pictures → time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;

use super::frame::{MOST_BYTES, depacketise};
use super::reorder::{Next, Reorder};
use super::timeline::Timeline;
use crate::base::Time;
use crate::contract::{Codec, H264Profile, TapClock, TapCodec, TapPacket, TapPlace};
use crate::media::packet::opus::frame_samples_48k;
use crate::media::packet::size::picture_size;

/// Without a picture to go on with, a key frame is wished for so often.
const WISH_EVERY: Duration = Duration::from_secs(1);
/// Microseconds of sound in a packet that does not say how long it is.
const USUAL_SOUND: i64 = 20_000;

/// A picture, or a piece of sound, as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it was captured: microseconds on the node's clock.
    pub at: i64,
    /// How long it lasts, in microseconds; 0 for pictures, which last until the next one.
    pub span: i64,
    /// Whether it can be begun with.
    pub key: bool,
    /// Its codec; sound is [`TapCodec::Opus`].
    pub codec: TapCodec,
    /// Width and height in pixels, where it is known.
    pub size: Option<(u16, u16)>,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A track on its way into a file.
#[derive(Debug)]
pub struct Leg {
    audio: bool,
    /// The encoding and its generation.
    stream: Option<(u8, u32)>,
    order: Reorder<(TapPacket, Bytes)>,
    picture: Picture,
    timeline: Timeline,
    /// The last reports, of streams that have not begun too.
    clocks: VecDeque<TapClock>,
    /// Pictures are left out until a key frame.
    awaits_key: bool,
    size: Option<(u16, u16)>,
    wanted: bool,
    /// What was captured before is nobody's to keep: microseconds on the node's clock.
    floor: i64,
    key_every: Duration,
    key_at: Time,
    wished_at: Time,
    /// A packet of it was more than the depacketiser could take: nothing more is taken.
    refused: bool,
    frames: VecDeque<Frame>,
    /// When something came last.
    pub heard: Time,
    /// Pictures and pieces of sound that were lost, as far as that is known.
    pub lost: u64,
}

/// The packets of a picture that is not whole yet.
#[derive(Debug, Default)]
struct Picture {
    packets: Vec<Bytes>,
    bytes: usize,
    first: Option<TapPacket>,
    key: bool,
    size: Option<(u16, u16)>,
}

/// Reports that are kept: of a simulcast's three encodings, and of those that fed them before.
const CLOCKS: usize = 6;

impl Leg {
    /// A leg for sound or pictures. What was captured before `floor` (microseconds) is left out; a key frame is wished for when the last one
    /// is `key_every` old.
    pub fn new(audio: bool, floor: i64, key_every: Duration, now: Time) -> Self {
        Self {
            audio,
            stream: None,
            order: Reorder::default(),
            picture: Picture::default(),
            timeline: Timeline::new(90_000),
            clocks: VecDeque::new(),
            awaits_key: !audio,
            size: None,
            wanted: false,
            floor,
            key_every,
            key_at: now,
            wished_at: now,
            refused: false,
            frames: VecDeque::new(),
            heard: Time::ZERO,
            lost: 0,
        }
    }

    /// Whether it carries sound.
    pub const fn is_audio(&self) -> bool {
        self.audio
    }

    /// A packet.
    pub fn packet(&mut self, now: Time, packet: TapPacket, payload: &[u8]) {
        if self.refused || packet.codec.is_audio() != self.audio || !self.follow(now, packet.place) {
            return;
        }
        self.heard = now;
        self.order.insert(now, packet.place.sequence, Some((packet, Bytes::copy_from_slice(payload))));
        self.drain(now);
    }

    /// A number that will never come.
    pub fn skipped(&mut self, now: Time, place: TapPlace) {
        if self.stream == Some((place.encoding, place.generation)) {
            self.order.insert(now, place.sequence, None);
            self.drain(now);
        }
    }

    /// How timestamps lie in time.
    pub fn clock(&mut self, clock: TapClock) {
        let of = (clock.encoding, clock.generation);
        self.clocks.retain(|known| (known.encoding, known.generation) != of);
        self.clocks.truncate(CLOCKS - 1);
        self.clocks.push_front(clock);
        if self.stream == Some(of) {
            self.timeline.report(clock.timestamp, clock.captured);
        }
    }

    /// What has become whole, in order.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Gives up what has been waited for long enough.
    pub fn drain(&mut self, now: Time) {
        while let Some(next) = self.order.next(now) {
            self.take(now, next);
        }
    }

    /// When [`Self::drain`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.order.deadline()
    }

    /// Nothing more comes: what is there is given out.
    pub fn end(&mut self, now: Time) {
        while let Some(next) = self.order.flush() {
            self.take(now, next);
        }
        self.finish_picture(now);
    }

    /// The file has lost something: pictures go on with a key frame.
    pub fn begin_anew(&mut self) {
        self.awaits_key = !self.audio;
    }

    /// A key frame is wished for as soon as it may be.
    pub const fn want_key_frame(&mut self) {
        self.wanted = true;
    }

    /// Whether to ask for a key frame now: to go on, or because the last one is old.
    pub fn wishes_key_frame(&mut self, now: Time) -> bool {
        let old = now.since(self.key_at) >= self.key_every;
        let wishes = !self.audio && !self.refused && (self.awaits_key || self.wanted || old) && now.since(self.wished_at) >= WISH_EVERY;
        if wishes {
            self.wished_at = now;
        }
        wishes
    }

    /// Another stream than before begins anew; false for one that has ended.
    fn follow(&mut self, now: Time, place: TapPlace) -> bool {
        let of = (place.encoding, place.generation);
        if self.stream == Some(of) {
            return true;
        }
        if self.stream.is_some_and(|(encoding, generation)| encoding == place.encoding && place.generation.wrapping_sub(generation) > u32::MAX / 2) {
            return false;
        }
        self.end(now);
        self.stream = Some(of);
        self.order = Reorder::default();
        self.begin_anew();
        self.timeline = Timeline::new(if self.audio { 48_000 } else { 90_000 });
        if let Some(clock) = self.clocks.iter().find(|clock| (clock.encoding, clock.generation) == of) {
            self.timeline.report(clock.timestamp, clock.captured);
        }
        true
    }

    fn take(&mut self, now: Time, next: Next<(TapPacket, Bytes)>) {
        let Next::Packet((packet, payload)) = next else {
            self.lost = self.lost.saturating_add(1);
            self.picture = Picture::default();
            if !std::mem::replace(&mut self.awaits_key, !self.audio) {
                // Without a second's delay: what is missing has been waited for already.
                self.wished_at = Time::ZERO;
            }
            return;
        };
        if self.audio {
            return self.sound(&packet, payload);
        }
        if self.picture.first.is_some_and(|first| first.timestamp != packet.timestamp) {
            self.finish_picture(now);
        }
        if packet.starts_key_frame {
            self.awaits_key = false;
        }
        if self.awaits_key {
            return;
        }
        let picture = &mut self.picture;
        picture.first.get_or_insert(packet);
        picture.key |= packet.starts_key_frame;
        if packet.starts_key_frame {
            picture.size = picture_size(codec_of(packet.codec), &payload).or(picture.size);
        }
        picture.bytes += payload.len();
        if picture.bytes > MOST_BYTES {
            (self.picture, self.awaits_key) = (Picture::default(), true);
            return;
        }
        picture.packets.push(payload);
        if packet.marker {
            self.finish_picture(now);
        }
    }

    fn sound(&mut self, packet: &TapPacket, payload: Bytes) {
        let Some(data) = self.depacketise(packet.codec, &[payload]) else { return };
        let span = frame_samples_48k(&data).map_or(USUAL_SOUND, |samples| i64::from(samples) * 1_000 / 48);
        let at = self.timeline.time_of(packet.timestamp, packet.arrived);
        if at < self.floor {
            return;
        }
        self.frames.push_back(Frame { at, span, key: true, codec: TapCodec::Opus, size: None, data });
    }

    fn finish_picture(&mut self, now: Time) {
        let Picture { packets, first, key, size, .. } = std::mem::take(&mut self.picture);
        let Some(first) = first else { return };
        let Some(data) = self.depacketise(first.codec, &packets) else {
            self.lost = self.lost.saturating_add(1);
            self.awaits_key = true;
            return;
        };
        let at = self.timeline.time_of(first.timestamp, first.arrived);
        if at < self.floor {
            self.awaits_key = true;
            return;
        }
        if key {
            (self.key_at, self.wanted) = (now, false);
            self.size = size.or(self.size);
        }
        self.frames.push_back(Frame { at, span: 0, key, codec: first.codec, size: self.size, data });
    }

    /// A fault in a library is this track's, whose publisher has caused it, and no other's.
    fn depacketise(&mut self, codec: TapCodec, packets: &[Bytes]) -> Option<Vec<u8>> {
        let done = catch_unwind(AssertUnwindSafe(|| depacketise(codec, packets)));
        self.refused |= done.is_err();
        done.ok().flatten()
    }
}

/// Of profiles nothing depends here.
const fn codec_of(codec: TapCodec) -> Codec {
    match codec {
        TapCodec::Opus => Codec::Opus,
        TapCodec::Red => Codec::Red { primary: 0 },
        TapCodec::Vp8 => Codec::Vp8,
        TapCodec::Vp9 => Codec::Vp9 { profile: 0 },
        TapCodec::H264 => Codec::H264 { profile: H264Profile::ConstrainedBaseline, packetization_mode: 1 },
        TapCodec::Av1 => Codec::Av1 { profile: 0 },
    }
}
