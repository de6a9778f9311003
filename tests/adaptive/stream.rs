//! One stream of a publisher: an encoding of its picture, or its sound. Frames in, packets in the clear out.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use althing::base::Time;
use althing::base::random::Random;

use crate::coding::{Coder, Mode, share};
use crate::ledger::Ledger;
use crate::stamp::{SOUND, Stamp, StreamId};

/// Bytes of a payload at most.
const PAYLOAD: usize = 1_100;
/// The payload type of Opus.
pub const OPUS: u8 = 111;
/// Packets that are kept for repeats.
const KEPT: usize = 1_500;
/// Between two pictures, in microseconds: 30 a second.
pub const PICTURE: Duration = Duration::from_micros(33_333);

/// A packet in the clear, without its header.
#[derive(Debug)]
pub struct Plain {
    pub stamp: Stamp,
    pub payload_type: u8,
    pub marker: bool,
    pub dependency: Option<Vec<u8>>,
    pub payload: Vec<u8>,
}

/// A stream, and what its publisher knows of it.
pub struct Stream {
    pub id: StreamId,
    pub ssrc: u32,
    /// Its `rid`, where there are several.
    pub rid: Option<&'static str>,
    pub kbps: u64,
    /// None: sound.
    pub coder: Option<Coder>,
    /// Whether the server wants it.
    pub wanted: bool,
    /// Whether its publisher leaves it out for reasons of its own.
    pub withheld: bool,
    pub key_due: bool,
    pub key_requests: u64,
    /// The numbers of the next packet, and of the next repeat.
    next: u64,
    pub next_repeat: u64,
    pub timestamp: u32,
    pub next_at: Time,
    sent: BTreeMap<u64, Rc<Plain>>,
    random: Random,
    /// Packets and bytes of payload so far.
    pub packets: u32,
    pub octets: u32,
    pub spoken: bool,
}

impl Stream {
    pub fn picture(client: u16, encoding: u8, mode: Mode, (rid, size, kbps): (Option<&'static str>, (u16, u16), u64), random: &mut Random) -> Self {
        let mut random = Random::new(random.next_u64());
        let coder = Coder::new(mode, size, random.next_u32() as u16);
        Self { coder: Some(coder), rid, kbps, ..Self::new(StreamId { client, encoding }, random) }
    }

    pub fn sound(client: u16, random: &mut Random) -> Self {
        Self::new(StreamId { client, encoding: SOUND }, Random::new(random.next_u64()))
    }

    fn new(id: StreamId, mut random: Random) -> Self {
        let place = if id.encoding == SOUND { 0 } else { 1 + u32::from(id.encoding) };
        // Shortly before all numbers wrap.
        let next = 65_000 + u64::from(random.next_u32() % 500);
        Self {
            id,
            ssrc: 0x2000_0000 + u32::from(id.client) * 64 + place * 2,
            rid: None,
            kbps: 40,
            coder: None,
            wanted: true,
            withheld: false,
            key_due: true,
            key_requests: 0,
            next,
            next_repeat: 100,
            timestamp: u32::MAX - random.next_u32() % 200_000,
            next_at: Time::ZERO,
            sent: BTreeMap::new(),
            random,
            packets: 0,
            octets: 0,
            spoken: true,
        }
    }

    pub const fn is_on(&self) -> bool {
        self.wanted && !self.withheld
    }

    /// Says whether the server wants it; what begins again begins with a key frame.
    pub fn want(&mut self, wanted: bool) {
        self.key_due |= wanted && !self.wanted;
        self.wanted = wanted;
    }

    pub fn withhold(&mut self, withheld: bool) {
        self.key_due |= self.withheld && !withheld;
        self.withheld = withheld;
    }

    pub fn clock_rate(&self) -> u32 {
        if self.coder.is_some() { 90_000 } else { 48_000 }
    }

    /// Its next frame or picture, if it is on, in packets.
    pub fn tick(&mut self, ledger: &mut Ledger) -> Vec<Rc<Plain>> {
        let (every, step) = if self.coder.is_some() { (PICTURE, 3_000) } else { (Duration::from_millis(20), 960) };
        self.next_at = self.next_at + every;
        self.timestamp = self.timestamp.wrapping_add(step);
        if !self.is_on() {
            return vec![];
        }
        let mut made = Vec::new();
        match &mut self.coder {
            None => {
                let stamp = Stamp::new(self.id, self.packets, (0, 0), &[], self.timestamp);
                made.push(Plain { stamp, payload_type: OPUS, marker: false, dependency: None, payload: vec![0xF8; 60] });
            }
            Some(coder) => {
                let payload_type = coder.mode.payload_type();
                let key = std::mem::take(&mut self.key_due);
                for frame in coder.picture(key) {
                    // On average as many bytes as the rate says, more or less a fifth.
                    let varied = 800 + u64::from(self.random.next_u32() % 400);
                    let bytes = (self.kbps * 1_000 / 8 / 30 * share(&frame) / 1_000 * varied / 1_000).max(60) as usize;
                    let count = bytes.div_ceil(PAYLOAD);
                    let mut stamp = Stamp::new(self.id, frame.index, (frame.spatial, frame.temporal), &frame.references, self.timestamp);
                    for packet in 0..count {
                        let (first, last) = (packet == 0, packet + 1 == count);
                        (stamp.packet, stamp.of) = (packet as u8, count as u8);
                        let mut payload = frame.head(first, last);
                        payload.resize(payload.len().max((bytes / count).saturating_sub(41)), 0xAB);
                        let (marker, dependency) = (last && frame.ends_picture, frame.dependency(first, last));
                        made.push(Plain { stamp, payload_type, marker, dependency, payload });
                    }
                }
            }
        }
        let made = made.into_iter().map(|plain| self.number(plain, ledger)).collect();
        while self.sent.len() > KEPT {
            self.sent.pop_first();
        }
        made
    }

    fn number(&mut self, mut plain: Plain, ledger: &mut Ledger) -> Rc<Plain> {
        plain.stamp.number = self.next;
        plain.stamp.append(&mut plain.payload);
        ledger.made(&plain.stamp);
        self.next += 1;
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(plain.payload.len() as u32);
        let plain = Rc::new(plain);
        self.sent.insert(plain.stamp.number, Rc::clone(&plain));
        plain
    }

    /// The newest packet with this number on the wire.
    pub fn sent(&self, sequence: u16) -> Option<Rc<Plain>> {
        let behind = (self.next as u16).wrapping_sub(sequence);
        self.sent.get(&self.next.checked_sub(behind.into())?).cloned()
    }
}
