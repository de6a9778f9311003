//! Packets as a browser would send them: a grey picture and silence, which can be decoded, and a stamp in what follows them.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rtc::rtp::{Header, Packet};

use super::tally::{Kind, Stamp};

/// Bits a second of a video, RTP headers included.
pub const VIDEO_BITRATE: u32 = 1_500_000;
/// From frame to frame: 30 a second.
pub const FRAME_PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// From audio packet to audio packet.
pub const AUDIO_PERIOD: Duration = Duration::from_millis(20);
/// VP8's payload type in our offers.
pub const VP8: u8 = 96;
/// Opus' payload type in our offers.
pub const OPUS: u8 = 111;

const RTP_HEADER: usize = 12;
const PACKET: usize = 1_200;
/// Bytes of a video's packet that get to a decoder: without RTP's header and VP8's descriptor.
pub const VIDEO_PACKET: usize = PACKET - RTP_HEADER - 4;
const FRAME: usize = VIDEO_BITRATE as usize / 8 / 30;
const AUDIO_PAYLOAD: usize = 100;
/// Code 3 of configuration 31: full-band frames of 20 ms, mono (RFC 6716 section 3.1); then one frame, and padding of so many bytes
/// (section 3.2.5); then a frame in which nothing is coded.
const SILENCE: [u8; 5] = [31 << 3 | 3, 0x41, (AUDIO_PAYLOAD - 5) as u8, 0xff, 0xfe];
/// VP8's frames of 640 × 360, grey: one to begin with, and one that changes nothing. What follows a frame's last partition is not read.
const GREY_KEY: &[u8] = include_bytes!("pictures/grey_key.vp8");
const GREY: &[u8] = include_bytes!("pictures/grey.vp8");
/// What packets are filled with: zeros would not show where something is missing.
pub const FILL: u8 = 0xa5;

/// Where a stream is: RTP's numbers and the stamp's.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    publisher: u16,
    kind: Kind,
    counted: u32,
}

impl Stream {
    /// Both numbers begin a few seconds before they wrap, so that every run has a wrap in it.
    fn new(publisher: u16, kind: Kind, ssrc: u32, payload_type: u8, ticks_a_second: u32) -> Self {
        let timestamp = u32::MAX - ticks_a_second * 5;
        Self { ssrc, payload_type, sequence: u16::MAX - 900, timestamp, publisher, kind, counted: 0 }
    }

    fn packet(&mut self, marker: bool, mut payload: BytesMut, counts: bool) -> Packet {
        let number = if counts { self.counted } else { 0 };
        Stamp { publisher: self.publisher, kind: self.kind, counts, number }.write(&mut payload);
        self.counted += u32::from(counts);
        let header = Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        Packet { header, payload: payload.freeze() }
    }
}

/// A video: 30 frames a second, VP8's payload descriptor with a picture id (RFC 7741 section 4.2), [`VIDEO_BITRATE`].
#[derive(Debug)]
pub struct Video {
    stream: Stream,
    picture: u16,
}

impl Video {
    /// A video of `publisher`'s that has not begun.
    pub fn new(publisher: u16, ssrc: u32) -> Self {
        Self { stream: Stream::new(publisher, Kind::Video, ssrc, VP8, 90_000), picture: 0x7fe0 }
    }

    /// The same with numbers that wrap late: whoever seals by itself begins below 2^15 (RFC 3711 section 3.3.1).
    pub fn from_the_beginning(publisher: u16, ssrc: u32) -> Self {
        let mut video = Self::new(publisher, ssrc);
        video.stream.sequence = 1;
        video
    }

    /// The packets of the next frame.
    pub fn frame(&mut self, key: bool, counts: bool) -> impl Iterator<Item = Packet> {
        let (full, rest) = (FRAME / PACKET, FRAME % PACKET);
        let sizes = std::iter::repeat_n(PACKET, full).chain((rest > 0).then_some(rest));
        let last = full + usize::from(rest > 0) - 1;
        self.stream.timestamp = self.stream.timestamp.wrapping_add(90_000 / 30);
        self.picture = (self.picture + 1) & 0x7fff;
        sizes.enumerate().map(move |(i, size)| {
            let payload = vp8(size - RTP_HEADER, self.picture, i == 0, key);
            self.stream.packet(i == last, payload, counts)
        })
    }

    /// How many packets counted so far.
    pub fn counted(&self) -> u32 {
        self.stream.counted
    }
}

/// An audio: 50 packets a second of 100 bytes.
#[derive(Debug)]
pub struct Audio {
    stream: Stream,
}

impl Audio {
    /// An audio of `publisher`'s that has not begun.
    pub fn new(publisher: u16, ssrc: u32) -> Self {
        Self { stream: Stream::new(publisher, Kind::Audio, ssrc, OPUS, 48_000) }
    }

    /// The same with numbers that wrap late.
    pub fn from_the_beginning(publisher: u16, ssrc: u32) -> Self {
        let mut audio = Self::new(publisher, ssrc);
        audio.stream.sequence = 1;
        audio
    }

    /// The next packet.
    pub fn packet(&mut self, counts: bool) -> Packet {
        self.stream.timestamp = self.stream.timestamp.wrapping_add(48_000 / 50);
        let mut payload = BytesMut::from(&SILENCE[..]);
        payload.resize(AUDIO_PAYLOAD, FILL);
        self.stream.packet(false, payload, counts)
    }

    /// How many packets counted so far.
    pub fn counted(&self) -> u32 {
        self.stream.counted
    }
}

/// A payload of `len` bytes: descriptor (X; I with 15 bits of picture id), at a frame's start VP8's own frame, then filling.
fn vp8(len: usize, picture: u16, start: bool, key: bool) -> BytesMut {
    let mut payload = BytesMut::with_capacity(len);
    payload.put_u8(if start { 0x90 } else { 0x80 });
    payload.put_u8(0x80);
    payload.put_u16(0x8000 | picture);
    if start {
        payload.put_slice(if key { GREY_KEY } else { GREY });
    }
    payload.resize(len, FILL);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_frames_have_the_bitrate_and_one_marker_each() {
        let mut video = Video::new(1, 2);
        let packets: Vec<Packet> = (0..30).flat_map(|_| video.frame(false, true).collect::<Vec<_>>()).collect();
        let bytes: usize = packets.iter().map(|p| RTP_HEADER + p.payload.len()).sum();
        assert_eq!(bytes * 8, VIDEO_BITRATE as usize);
        assert_eq!(packets.iter().filter(|p| p.header.marker).count(), 30);
        assert_eq!(video.counted() as usize, packets.len());
        let numbers: Vec<u32> = packets.iter().map(|p| Stamp::read(&p.payload).expect("a stamp").number).collect();
        assert_eq!(numbers, (0..video.counted()).collect::<Vec<_>>());
    }

    #[test]
    fn a_key_frame_is_told_from_others_behind_the_descriptor() {
        let mut video = Video::new(1, 2);
        let descriptors: Vec<Vec<u8>> = [true, false].map(|key| video.frame(key, true).next().expect("a packet").payload.to_vec()).to_vec();
        // The P bit of the first byte behind the descriptor is 0 in a key frame.
        assert_eq!(descriptors.iter().map(|d| d[4] & 1).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(&descriptors[0][7..10], [0x9d, 0x01, 0x2a]);
        assert_ne!(descriptors[0][2..4], descriptors[1][2..4]);
    }

    #[test]
    fn a_second_of_audio_is_fifty_packets_with_a_valid_toc() {
        let mut audio = Audio::new(1, 2);
        let first = audio.packet(true);
        let second = audio.packet(false);
        assert_eq!(first.payload[0], 0xfb);
        assert_eq!(second.header.timestamp.wrapping_sub(first.header.timestamp), 960);
        assert_eq!(audio.counted(), 1);
    }
}
