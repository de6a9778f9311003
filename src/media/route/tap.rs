//! A recorder's leg: what is copied of a track, and where a copy begins. It has no slot, no way and no estimate: it takes the best
//! form there is.

use crate::base::{Ntp, TapId};
use crate::contract::tap::TapHead;
use crate::contract::{MOST_ENCODINGS, MediaKind, TapClock, TapCodec, TapPacket, TapPlace};
use crate::media::publish::cache::{CachedPacket, PacketMeta};
use crate::media::publish::track::ClockLine;
use crate::media::select::{Aim, Choice, Step, Switch, Ways};

/// Takes what is copied for recordings.
pub trait TapSink {
    /// Takes a head and a payload; false when there is no room for them, and they are lost.
    fn take(&mut self, head: &[u8], payload: &[u8]) -> bool;
}

/// A tap of a track.
#[derive(Debug)]
pub struct Tap {
    id: TapId,
    switch: Switch,
    /// The clock lines that the recorder knows, by encoding.
    told: [Option<Line>; MOST_ENCODINGS],
}

/// A line of NTP against RTP, its offset to our clock, and the generation that it was told for.
type Line = (u32, ClockLine, i64);

impl Tap {
    /// A tap that has not begun.
    pub fn new(id: TapId, kind: MediaKind) -> Self {
        let mut switch = Switch::default();
        switch.point(kind == MediaKind::Video);
        Self { id, switch, told: [None; MOST_ENCODINGS] }
    }

    /// A bit for each encoding whose packets it has to see.
    pub fn encodings(&self) -> u8 {
        self.switch.encodings()
    }

    /// What it is to get.
    pub const fn aimed(&self) -> Aim {
        self.switch.aimed()
    }

    /// Aims it at something else.
    pub const fn aim(&mut self, aim: Aim) {
        self.switch.aim(aim);
    }

    /// What it gets.
    pub fn present(&self) -> Option<Choice> {
        self.switch.present()
    }

    /// The encodings whose key frame it waits for.
    pub fn awaits(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        self.switch.awaits()
    }

    /// What becomes of a packet of encoding `number`; none when the encoding is no concern of its.
    pub fn step(&mut self, number: u8, meta: &PacketMeta, ways: Ways<'_>) -> Option<Step> {
        let step = (self.encodings() >> number & 1 == 1).then(|| self.switch.step(number, meta, ways))?;
        matches!(step, Step::Begin | Step::Forward | Step::Leave).then_some(step)
    }

    /// Whether this is a packet of what is copied now, newer than all that it has seen of it.
    pub fn awaits_number(&self, number: u8, meta: &PacketMeta) -> bool {
        self.switch.awaits_number(number, meta)
    }

    /// Whether what it gets is this encoding in this generation.
    pub fn is_on(&self, number: u8, generation: u32) -> bool {
        self.switch.is_on(number, generation)
    }

    /// Copies a packet: one copy, from the cache into the ring.
    pub fn give(&self, sink: &mut impl TapSink, encoding: u8, codec: TapCodec, packet: CachedPacket<'_>) -> bool {
        let meta = packet.meta;
        let place = TapPlace { tap: self.id, encoding, generation: meta.generation, sequence: meta.sequence };
        let head = TapPacket {
            place,
            timestamp: meta.timestamp,
            arrived: meta.arrived,
            codec,
            marker: meta.marker,
            starts_key_frame: meta.starts_key_frame,
        };
        sink.take(TapHead::packet(&head).bytes(), packet.payload)
    }

    /// Says that a number will never come.
    pub fn give_skipped(&self, sink: &mut impl TapSink, encoding: u8, generation: u32, sequence: u64) -> bool {
        sink.take(TapHead::skipped(TapPlace { tap: self.id, encoding, generation, sequence }).bytes(), &[])
    }

    /// Says how timestamps lie in time, if that has changed; `zero` is the wall clock at the beginning of our time.
    pub fn give_clock(&mut self, sink: &mut impl TapSink, (encoding, generation): (u8, u32), clock: Option<(ClockLine, i64)>, zero: Ntp) -> bool {
        let Some(told) = self.told.get_mut(usize::from(encoding)) else { return true };
        let Some((line, offset)) = clock.filter(|(line, offset)| *told != Some((generation, *line, *offset))) else { return true };
        let captured = line.ntp.plus_micros(offset).micros_since(zero);
        let clock = TapClock { tap: self.id, encoding, generation, timestamp: line.timestamp, captured };
        let sent = sink.take(TapHead::clock(&clock).bytes(), &[]);
        if sent {
            *told = Some((generation, line, offset));
        }
        sent
    }
}
