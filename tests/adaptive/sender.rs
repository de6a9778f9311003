//! What a participant publishes: sound, and a picture in one or more encodings, paced as browsers pace; repeats of what was lost.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use althing::base::random::Random;
use althing::base::{Ntp, Time};
use althing::contract::{Extension, ExtensionMap};
use althing::media::packet::rtcp::SenderInfo;
use althing::media::peer::Srtp;

use crate::coding::Mode;
use crate::ledger::Ledger;
use crate::link::{Class, Datagram};
use crate::stamp::SOUND;
use crate::stream::{PICTURE, Plain, Stream};

/// Packets leave in bursts so far apart.
const BURST: Duration = Duration::from_millis(5);
/// Encodings of a simulcast: their rids, sizes and rates. One alone is the last.
pub const ENCODINGS: [(&str, (u16, u16), u64); 3] = [("q", (320, 180), 150), ("h", (640, 360), 500), ("f", (1_280, 720), 1_500)];

pub fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    map.two_byte_allowed = true;
    let ids = [
        (Extension::AudioLevel, 1),
        (Extension::TransportCc, 3),
        (Extension::Mid, 4),
        (Extension::RtpStreamId, 10),
        (Extension::RepairedRtpStreamId, 11),
        (Extension::DependencyDescriptor, 12),
    ];
    ids.into_iter().for_each(|(extension, id)| map.set(extension, id));
    map
}

/// What a participant publishes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Publishes {
    pub mode: Mode,
    /// Of a simulcast; 1 to 3.
    pub encodings: u8,
    pub sound: bool,
    pub picture: bool,
}

impl Publishes {
    pub const fn picture(mode: Mode, encodings: u8) -> Self {
        Self { mode, encodings, sound: true, picture: true }
    }

    pub const NOTHING: Self = Self { mode: Mode::Vp8, encodings: 1, sound: false, picture: false };

    /// The encodings that its m-line offers.
    pub fn rids(&self) -> &'static [(&'static str, (u16, u16), u64)] {
        if self.encodings < 2 { &[] } else { &ENCODINGS[ENCODINGS.len() - usize::from(self.encodings)..] }
    }
}

pub struct Sender {
    pub streams: Vec<Stream>,
    waiting: VecDeque<(usize, Rc<Plain>, bool)>,
    next_burst: Time,
    /// Bytes that may leave in each burst.
    burst: usize,
    transport: u16,
    wall_offset: i64,
    pub repeated: u64,
}

impl Sender {
    pub fn new(client: u16, publishes: Publishes, random: &mut Random) -> Self {
        let mut streams = Vec::new();
        if publishes.sound {
            streams.push(Stream::sound(client, random));
        }
        if publishes.picture {
            let alone = [("", (1_280, 720), if publishes.mode.spatial_layers() > 1 { 2_150 } else { 1_500 })];
            let encodings = if publishes.encodings < 2 { &alone[..] } else { publishes.rids() };
            for (number, (rid, size, kbps)) in (0..).zip(encodings) {
                let rid = (!rid.is_empty()).then_some(*rid);
                streams.push(Stream::picture(client, number, publishes.mode, (rid, *size, *kbps), random));
            }
        }
        let phase = Duration::from_micros(u64::from(random.next_u32() % 20_000));
        streams.iter_mut().for_each(|stream| stream.next_at = Time::ZERO + phase);
        // Two and a half times what is sent on average, as browsers do.
        let bytes = streams.iter().map(|s| s.kbps).sum::<u64>() * 1_000 / 8 * BURST.as_millis() as u64 / 1_000 * 5 / 2;
        let wall_offset = i64::from(random.next_u32() % 3_600_000) * 1_000;
        Self { streams, waiting: VecDeque::new(), next_burst: Time::NEVER, burst: bytes as usize, transport: 0, wall_offset, repeated: 0 }
    }

    /// Begins at `now`.
    pub fn begin(&mut self, now: Time) {
        self.streams.iter_mut().for_each(|stream| stream.next_at = now + Duration::from_micros(stream.next_at.as_micros()));
    }

    pub fn encoding(&mut self, encoding: u8) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id.encoding == encoding)
    }

    /// The server says which encodings anybody wants.
    pub fn demand(&mut self, encodings: u8) {
        for stream in self.streams.iter_mut().filter(|stream| stream.id.encoding != SOUND) {
            stream.want(encodings >> stream.id.encoding & 1 == 1);
        }
    }

    pub fn next_at(&self) -> Time {
        self.streams.iter().map(|s| s.next_at).min().unwrap_or(Time::NEVER).min(self.next_burst)
    }

    /// Everything that leaves by itself.
    pub fn tick(&mut self, now: Time, srtp: &Srtp, ledger: &mut Ledger, out: &mut Vec<Datagram>) {
        for index in 0..self.streams.len() {
            while self.streams[index].next_at <= now {
                let packets = self.streams[index].tick(ledger);
                if self.streams[index].coder.is_none() {
                    packets.iter().for_each(|plain| out.push(self.seal(srtp, index, plain, false)));
                    continue;
                }
                self.waiting.extend(packets.into_iter().map(|plain| (index, plain, false)));
            }
        }
        if self.next_burst <= now || self.next_burst == Time::NEVER {
            let mut left = self.burst;
            while let Some((index, plain, repeat)) = self.waiting.pop_front() {
                out.push(self.seal(srtp, index, &plain, repeat));
                left = left.saturating_sub(plain.payload.len());
                if left == 0 {
                    break;
                }
            }
            self.next_burst = if self.waiting.is_empty() { Time::NEVER } else { now + BURST };
        }
    }

    /// Answers a NACK, ahead of what waits.
    pub fn send_again(&mut self, now: Time, ssrc: u32, sequence: u16) {
        let Some(index) = self.streams.iter().position(|s| s.ssrc == ssrc && s.coder.is_some()) else { return };
        if let Some(plain) = self.streams[index].sent(sequence) {
            self.repeated += 1;
            self.waiting.push_front((index, plain, true));
            self.next_burst = self.next_burst.min(now + Duration::from_millis(1));
        }
    }

    pub fn picture_lost(&mut self, ssrc: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == ssrc) {
            stream.key_due = true;
            stream.key_requests += 1;
        }
    }

    /// What its sender reports say, of each stream that is on.
    pub fn reports(&self, now: Time) -> Vec<(u32, SenderInfo)> {
        let ntp = Ntp::from_unix(Duration::from_secs(1_700_000_000)).plus_micros(now.as_micros() as i64 + self.wall_offset);
        let on = self.streams.iter().filter(|s| s.is_on() && s.packets > 10);
        on.map(|stream| {
            let every = if stream.coder.is_some() { PICTURE } else { Duration::from_millis(20) };
            let age = every.as_micros() as u64 - stream.next_at.micros_since(now).min(every.as_micros() as u64);
            let rtp_timestamp = stream.timestamp.wrapping_add((age * u64::from(stream.clock_rate()) / 1_000_000) as u32);
            (stream.ssrc, SenderInfo { ntp, rtp_timestamp, packets: stream.packets, octets: stream.octets })
        })
        .collect()
    }

    fn seal(&mut self, srtp: &Srtp, index: usize, plain: &Plain, repeat: bool) -> Datagram {
        let transport = self.transport;
        self.transport = transport.wrapping_add(1);
        let stream = &mut self.streams[index];
        let is_sound = stream.coder.is_none();
        let mid: &[u8] = if is_sound { b"0" } else { b"1" };
        let transport = transport.to_be_bytes();
        let mut values: Vec<(u8, &[u8])> = vec![(3, &transport), (4, mid)];
        if is_sound {
            values.push((1, if stream.spoken { &[0x80 | 20] } else { &[127] }));
        }
        if let Some(rid) = stream.rid {
            values.push((if repeat { 11 } else { 10 }, rid.as_bytes()));
        }
        values.extend(plain.dependency.as_deref().map(|bytes| (12, bytes)));
        let (ssrc, number) = if repeat { (stream.ssrc + 1, stream.next_repeat) } else { (stream.ssrc, plain.stamp.number) };
        stream.next_repeat += u64::from(repeat);
        let payload_type = plain.payload_type + u8::from(repeat);
        let mut packet = header(payload_type, plain.marker, number as u16, plain.stamp.timestamp, ssrc, &values);
        let header_len = packet.len();
        if repeat {
            packet.extend((plain.stamp.number as u16).to_be_bytes());
        }
        packet.extend(&plain.payload);
        let payload_len = packet.len() - header_len;
        packet.extend([0; 16]);
        let len = srtp.sender.seal_in_place(&mut packet, header_len, payload_len, ssrc, number).expect("room for the tag");
        packet.truncate(len);
        let class = if repeat {
            Class::Repair
        } else if is_sound {
            Class::Sound
        } else {
            Class::Picture
        };
        Datagram { bytes: packet, class, carries: Some((plain.stamp.stream, plain.stamp.number)) }
    }
}

/// An RTP header with extensions: in the one-byte form where it holds them all (RFC 8285).
fn header(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32, values: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0x90, payload_type | if marker { 0x80 } else { 0 }];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    let short = values.iter().all(|(_, value)| value.len() <= 16);
    let mut block = Vec::new();
    for (id, value) in values {
        if short {
            block.push(id << 4 | (value.len() as u8 - 1))
        } else {
            block.extend([*id, value.len() as u8])
        }
        block.extend(*value);
    }
    block.resize(block.len().next_multiple_of(4), 0);
    bytes.extend(if short { [0xBE, 0xDE] } else { [0x10, 0x00] });
    bytes.extend((block.len() as u16 / 4).to_be_bytes());
    bytes.extend(block);
    bytes
}
