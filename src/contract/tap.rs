//! What a worker copies for recordings: packets of published tracks in the clear, and what is needed to place them in time.
//!
//! A copy is a head of fixed form and the payload, in one frame of the worker's tap ring (`port/tap.rs`).

use super::plan::Codec;
use crate::base::read::Reader;
use crate::base::{TapId, Time};

/// Bytes of the longest head.
pub const HEAD: usize = 48;

const PACKET: u8 = 1;
const SKIPPED: u8 = 2;
const CLOCK: u8 = 3;

const MARKER: u8 = 1;
const STARTS_KEY_FRAME: u8 = 2;

/// A codec, as far as a recording tells codecs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TapCodec {
    /// Opus (RFC 7587).
    Opus,
    /// Redundant audio over Opus (RFC 2198).
    Red,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 (RFC 6184).
    H264,
    /// AV1 (the AV1 RTP payload format).
    Av1,
}

/// The numbers of a packet: of one encoding and generation they count up, and none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapPlace {
    /// Whose tap.
    pub tap: TapId,
    /// The number of the encoding.
    pub encoding: u8,
    /// Rises when the encoding begins anew: numbers and timestamps of different generations have nothing to do with each other.
    pub generation: u32,
    /// Extended sequence number.
    pub sequence: u64,
}

/// What is known of a packet beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapPacket {
    /// Its place.
    pub place: TapPlace,
    /// RTP timestamp.
    pub timestamp: u32,
    /// When it arrived, on the node's monotonic clock.
    pub arrived: Time,
    /// Its codec.
    pub codec: TapCodec,
    /// The marker bit.
    pub marker: bool,
    /// Whether a key frame begins with it.
    pub starts_key_frame: bool,
}

/// A point on the line of RTP time against the node's monotonic clock, from the publisher's sender reports (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapClock {
    /// Whose tap.
    pub tap: TapId,
    /// The number of the encoding.
    pub encoding: u8,
    /// Its generation.
    pub generation: u32,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// Microseconds of the node's monotonic clock at which that was captured. One offset serves all of a publisher's streams, so that
    /// they stay in step.
    pub captured: i64,
}

/// One thing that a worker has left in its tap ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tapped<'a> {
    /// A packet, with its payload.
    Packet(TapPacket, &'a [u8]),
    /// A number that will never come: it was padding.
    Skipped(TapPlace),
    /// How timestamps lie in time.
    Clock(TapClock),
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub struct TapHead {
    bytes: [u8; HEAD],
    len: usize,
}

impl From<Codec> for TapCodec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Opus => TapCodec::Opus,
            Codec::Red { .. } => TapCodec::Red,
            Codec::Vp8 => TapCodec::Vp8,
            Codec::Vp9 { .. } => TapCodec::Vp9,
            Codec::H264 { .. } => TapCodec::H264,
            Codec::Av1 { .. } => TapCodec::Av1,
        }
    }
}

impl TapCodec {
    const ALL: [TapCodec; 6] = [TapCodec::Opus, TapCodec::Red, TapCodec::Vp8, TapCodec::Vp9, TapCodec::H264, TapCodec::Av1];

    /// Whether it carries sound.
    pub const fn is_audio(self) -> bool {
        matches!(self, TapCodec::Opus | TapCodec::Red)
    }

    /// Ticks of its RTP clock in a second.
    pub const fn clock_rate(self) -> u32 {
        if self.is_audio() { 48_000 } else { 90_000 }
    }
}

impl TapHead {
    /// Of a packet; its payload follows it.
    pub fn packet(packet: &TapPacket) -> Self {
        let mut head = Self::new(PACKET);
        head.place(packet.place);
        head.put(packet.timestamp.to_ne_bytes());
        head.put(packet.arrived.as_micros().to_ne_bytes());
        head.put([packet.codec as u8, (u8::from(packet.marker) * MARKER) | (u8::from(packet.starts_key_frame) * STARTS_KEY_FRAME)]);
        head
    }

    /// Of a number that will never come.
    pub fn skipped(place: TapPlace) -> Self {
        let mut head = Self::new(SKIPPED);
        head.place(place);
        head
    }

    /// Of a clock line.
    pub fn clock(clock: &TapClock) -> Self {
        let mut head = Self::new(CLOCK);
        head.put(clock.tap.0.to_ne_bytes());
        head.put([clock.encoding]);
        head.put(clock.generation.to_ne_bytes());
        head.put(clock.timestamp.to_ne_bytes());
        head.put(clock.captured.to_ne_bytes());
        head
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn new(kind: u8) -> Self {
        let mut bytes = [0; HEAD];
        bytes[0] = kind;
        Self { bytes, len: 1 }
    }

    fn place(&mut self, place: TapPlace) {
        self.put(place.tap.0.to_ne_bytes());
        self.put([place.encoding]);
        self.put(place.generation.to_ne_bytes());
        self.put(place.sequence.to_ne_bytes());
    }

    fn put<const N: usize>(&mut self, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + N) {
            place.copy_from_slice(&value);
            self.len += N;
        }
    }
}

impl<'a> Tapped<'a> {
    /// Reads a frame; `None` when it is none that this version writes.
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(frame);
        Some(match rest.take()? {
            [PACKET] => {
                let place = rest.place()?;
                let (timestamp, arrived) = (u32::from_ne_bytes(rest.take()?), Time::from_micros(u64::from_ne_bytes(rest.take()?)));
                let [codec, flags] = rest.take()?;
                let codec = *TapCodec::ALL.get(usize::from(codec))?;
                let (marker, starts_key_frame) = (flags & MARKER != 0, flags & STARTS_KEY_FRAME != 0);
                Tapped::Packet(TapPacket { place, timestamp, arrived, codec, marker, starts_key_frame }, rest.0)
            }
            [SKIPPED] => Tapped::Skipped(rest.place()?),
            [CLOCK] => Tapped::Clock(TapClock {
                tap: TapId(u64::from_ne_bytes(rest.take()?)),
                encoding: u8::from_ne_bytes(rest.take()?),
                generation: u32::from_ne_bytes(rest.take()?),
                timestamp: u32::from_ne_bytes(rest.take()?),
                captured: i64::from_ne_bytes(rest.take()?),
            }),
            _ => return None,
        })
    }

    /// Whose tap.
    pub const fn tap(&self) -> TapId {
        match self {
            Tapped::Packet(packet, _) => packet.place.tap,
            Tapped::Skipped(place) => place.tap,
            Tapped::Clock(clock) => clock.tap,
        }
    }
}

impl Reader<'_> {
    fn place(&mut self) -> Option<TapPlace> {
        Some(TapPlace {
            tap: TapId(u64::from_ne_bytes(self.take()?)),
            encoding: u8::from_ne_bytes(self.take()?),
            generation: u32::from_ne_bytes(self.take()?),
            sequence: u64::from_ne_bytes(self.take()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place() -> TapPlace {
        TapPlace { tap: TapId(u64::MAX - 1), encoding: 2, generation: 7, sequence: 1 << 40 }
    }

    #[test]
    fn what_is_written_is_read_back_and_cut_short_is_nothing() {
        let packet = |codec| TapPacket {
            place: place(),
            timestamp: 0xdead_beef,
            arrived: Time::from_millis(12_345),
            codec,
            marker: true,
            starts_key_frame: codec == TapCodec::Av1,
        };
        for codec in TapCodec::ALL {
            let head = TapHead::packet(&packet(codec));
            let frame = [head.bytes(), b"payload"].concat();
            assert_eq!(Tapped::read(&frame), Some(Tapped::Packet(packet(codec), b"payload")));
            assert!((0..head.bytes().len()).all(|cut| Tapped::read(&frame[..cut]).is_none()));
        }
        let clock = TapClock { tap: TapId(3), encoding: 1, generation: 4, timestamp: 5, captured: -6 };
        for (head, read) in [(TapHead::skipped(place()), Tapped::Skipped(place())), (TapHead::clock(&clock), Tapped::Clock(clock))] {
            assert_eq!(Tapped::read(head.bytes()), Some(read));
            assert!((0..head.bytes().len()).all(|cut| Tapped::read(&head.bytes()[..cut]).is_none()));
        }
    }

    proptest! {
        #[test]
        fn any_frame_is_read_or_refused(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Tapped::read(&frame).map(|tapped| tapped.tap());
        }
    }
}
