//! What a subscriber sees of one slot: frames are put together and decoded by what their descriptors say, as libwebrtc does, and by
//! their stamps it is known whether that was right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing::base::Time;
use althing::base::seq::timestamp_after;
use althing::media::packet::dependency::{self, Structure};
use althing::media::packet::{vp8, vp9};

use crate::finder::{Assembled, Finder, Found, Said};
use crate::opened::Packet;
use crate::stamp::{Stamp, StreamId};

/// A stream's frame.
pub type FrameId = (StreamId, u32);

/// A picture that was shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub at: Time,
    pub timestamp: u32,
    pub stream: StreamId,
    pub spatial: u8,
    pub temporal: u8,
}

#[derive(Clone, Debug)]
struct Frame {
    found: (i64, Vec<i64>),
    /// When it was complete.
    at: Time,
    timestamp: u32,
    marker: bool,
    /// The number of its last packet.
    last: u64,
    stamp: Stamp,
}

#[derive(Clone, Debug)]
struct Held {
    timestamp: u32,
    marker: bool,
    begins: bool,
    ends: bool,
    key: bool,
    /// None: padding.
    content: Option<(Said, Stamp)>,
}

/// A frame number is never reached by one codec's frames when another codec's begin.
const ANOTHER_CODEC: i64 = 1 << 40;
/// Packets that are kept for frames that are not complete.
const KEPT: u64 = 4_000;

#[derive(Default)]
pub struct Decoder {
    /// A picture is shown so long after its first frame was complete: what was sent before it may come after it.
    pub hold: Duration,
    packets: BTreeMap<u64, Held>,
    structure: Option<Structure>,
    /// Packets whose structure is still to come.
    unread: Vec<Packet>,
    payload_type: u8,
    /// The newest timestamp that has come.
    newest: Option<u32>,
    finder: Finder,
    base: i64,
    waiting: Vec<(Assembled, Frame)>,
    buffer: BTreeMap<i64, Frame>,
    decoded: BTreeSet<i64>,
    last_decoded: i64,
    /// Everything that was shown, one entry a picture.
    pub shown: Vec<Shown>,
    /// By stamps: frames whose packets have come, those of them that can be decoded, and those that were.
    complete: BTreeMap<FrameId, Stamp>,
    come: BTreeMap<FrameId, u8>,
    decodable: BTreeSet<FrameId>,
    undecodable: Vec<FrameId>,
    seen: BTreeSet<FrameId>,
    /// Frames that came after later ones had been shown.
    passed: BTreeSet<FrameId>,
    /// Frames that the descriptors let through although something that they refer to was not decoded.
    pub wrong: Vec<String>,
    /// When the last packet with content came.
    pub last_packet: Option<Time>,
}

impl Decoder {
    /// A packet has come, for the first time.
    pub fn take(&mut self, now: Time, packet: &Packet) {
        let number = packet.number;
        let Some(stamp) = packet.stamp else {
            let held = Held { timestamp: packet.timestamp, marker: false, begins: false, ends: false, key: false, content: None };
            self.packets.insert(number, held);
            self.finder.padding(number);
            self.assemble(now, number + 1);
            return self.retry(now);
        };
        self.last_packet = Some(now);
        self.note(stamp);
        let is_newer = self.newest.is_none_or(|newest| timestamp_after(packet.timestamp, newest));
        if packet.payload_type != self.payload_type {
            if !is_newer {
                // What is late of the codec before is of no use to the decoder of the next one.
                self.passed.insert((stamp.stream, stamp.frame));
                return;
            }
            self.payload_type = packet.payload_type;
            self.finder = Finder::default();
            self.passed.extend(self.waiting.drain(..).map(|(_, frame)| (frame.stamp.stream, frame.stamp.frame)));
            self.structure = None;
            self.base += ANOTHER_CODEC;
        }
        if is_newer {
            self.newest = Some(packet.timestamp);
        }
        let brings_structure =
            packet.dependency.as_deref().and_then(Structure::attached).inspect(|attached| self.structure = Some(attached.clone())).is_some();
        self.place(now, packet, stamp);
        if brings_structure {
            for unread in std::mem::take(&mut self.unread) {
                self.place(now, &unread, unread.stamp.expect("it has one"));
            }
        }
        if let Some(oldest) = number.checked_sub(KEPT)
            && self.packets.first_key_value().is_some_and(|(first, _)| *first < oldest)
        {
            self.packets = self.packets.split_off(&oldest);
        }
        self.retry(now);
    }

    fn place(&mut self, now: Time, packet: &Packet, stamp: Stamp) {
        let Some(held) = self.read(packet, stamp) else {
            self.unread.push(packet.clone());
            let over = self.unread.len().saturating_sub(100);
            self.unread.drain(..over);
            return;
        };
        self.packets.insert(packet.number, held);
        self.assemble(now, packet.number);
        self.assemble(now, packet.number + 1);
    }

    /// What of the complete frames was never shown although it could be, and was not passed by. Nothing of the last moments counts.
    pub fn waits_in_vain(&self) -> Vec<Stamp> {
        let newest = self.buffer.last_key_value().map(|(_, frame)| frame.timestamp).or(self.shown.last().map(|shown| shown.timestamp));
        let is_new = |id: &FrameId| {
            self.buffer
                .values()
                .chain(self.waiting.iter().map(|(_, f)| f))
                .any(|f| (f.stamp.stream, f.stamp.frame) == *id && newest.is_some_and(|n| n.wrapping_sub(f.timestamp) < 18_000))
        };
        let vain = self.decodable.iter().filter(|id| !self.seen.contains(*id) && !self.passed.contains(*id) && !is_new(id));
        vain.map(|id| self.complete[id]).collect()
    }

    /// Complete frames that refer to something that did not come.
    pub fn undecodable(&self) -> &[FrameId] {
        &self.undecodable
    }

    fn note(&mut self, stamp: Stamp) {
        let id = (stamp.stream, stamp.frame);
        let come = self.come.entry(id).or_default();
        *come += 1;
        if *come < stamp.of {
            return;
        }
        self.complete.insert(id, stamp);
        self.undecodable.push(id);
        // What comes late may make others decodable.
        loop {
            let before = self.undecodable.len();
            let (complete, decodable) = (&self.complete, &mut self.decodable);
            self.undecodable.retain(|id| {
                let fine = complete[id].references().iter().all(|reference| decodable.contains(&(id.0, *reference)));
                if fine {
                    decodable.insert(*id);
                }
                !fine
            });
            if self.undecodable.len() == before {
                return;
            }
        }
    }

    fn read(&self, packet: &Packet, stamp: Stamp) -> Option<Held> {
        let payload = &packet.payload;
        let (said, begins, ends, key) = match (packet.payload_type, &packet.dependency) {
            (96, _) => {
                let said = vp8::Descriptor::parse(payload)?;
                (Said::Vp8(said), said.start_of_frame, packet.marker, said.key_frame)
            }
            (98, _) => {
                let said = vp9::Descriptor::parse(payload)?;
                let key = !said.predicted && said.layer.is_none_or(|layer| !layer.inter_layer);
                (Said::Vp9(said), said.start_of_frame, said.end_of_frame, key)
            }
            (_, Some(bytes)) => {
                let said = dependency::Descriptor::parse(bytes, self.structure.as_ref())?;
                (Said::Described(said), said.layers.begins(), said.layers.ends(), said.references == 0)
            }
            (_, None) => {
                let key = althing::media::packet::h264::starts_key_frame(payload);
                (Said::Nothing, key, packet.marker, key)
            }
        };
        Some(Held { timestamp: packet.timestamp, marker: packet.marker, begins, ends, key, content: Some((said, stamp)) })
    }

    /// Puts the frame together that a packet belongs to, if it is complete.
    fn assemble(&mut self, now: Time, number: u64) {
        let Some(held) = self.packets.get(&number).filter(|held| held.content.is_some()) else { return };
        let timestamp = held.timestamp;
        let same = |held: &&Held| held.timestamp == timestamp && held.content.is_some();
        let mut first = number;
        // Without a descriptor a frame begins where the one before it, or padding, has ended.
        while !self.packets[&first].begins {
            match first.checked_sub(1).and_then(|before| self.packets.get(&before)) {
                Some(before) if same(&before) && !before.ends => first -= 1,
                Some(_) if matches!(self.packets[&first].content, Some((Said::Nothing, _))) => break,
                _ => return,
            }
        }
        let mut last = number;
        while !self.packets[&last].ends {
            if self.packets.get(&(last + 1)).filter(same).is_none_or(|after| after.begins) {
                return;
            }
            last += 1;
        }
        let (head, tail) = (&self.packets[&first], &self.packets[&last]);
        let Some((said, stamp)) = head.content.clone() else { return };
        let (key, marker) = (head.key, tail.marker);
        let numbers = self.finder.numbers(&said);
        let assembled = Assembled { first, last, key, said, numbers };
        let frame = Frame { found: (0, vec![]), at: now, timestamp, marker, last, stamp };
        // Its packets have done their duty; their places stay, for those that follow without descriptors.
        for place in first..=last {
            if let Some(held) = self.packets.get_mut(&place) {
                (held.content, held.ends) = (None, true);
            }
        }
        self.waiting.push((assembled, frame));
        self.decode(now);
    }

    /// Whatever waits for its references is looked at again, until nothing comes of it.
    fn retry(&mut self, now: Time) {
        while !self.waiting.is_empty() {
            let mut handed = false;
            for (assembled, mut frame) in std::mem::take(&mut self.waiting) {
                match self.finder.find(&assembled) {
                    Found::Frame(id, references) => {
                        handed = true;
                        frame.found = (self.base + id, references.into_iter().map(|reference| self.base + reference).collect());
                        self.insert(frame);
                    }
                    Found::Wait => self.waiting.push((assembled, frame)),
                    Found::Drop => {
                        self.passed.insert((frame.stamp.stream, frame.stamp.frame));
                    }
                }
            }
            if !handed {
                break;
            }
        }
        let over = self.waiting.len().saturating_sub(100);
        self.waiting.drain(..over);
        self.decode(now);
    }

    fn insert(&mut self, frame: Frame) {
        if frame.found.0 <= self.last_decoded && !self.decoded.is_empty() {
            self.passed.insert((frame.stamp.stream, frame.stamp.frame));
        } else {
            self.buffer.insert(frame.found.0, frame);
        }
    }

    /// When a picture may be due to be shown.
    pub fn next_at(&self) -> Time {
        if self.hold.is_zero() { Time::NEVER } else { self.next_unit().map_or(Time::NEVER, |(_, due)| due) }
    }

    /// The time has come for a picture, perhaps.
    pub fn tick(&mut self, now: Time) {
        self.decode(now);
    }

    /// Shows every picture whose last frame is there and whose references are decoded or in it, the oldest first.
    fn decode(&mut self, now: Time) {
        while let Some((unit, _)) = self.next_unit().filter(|(_, due)| *due <= now) {
            let last = *unit.last().expect("it has a frame");
            let newest = self.buffer[&last].last;
            let later = self.buffer.split_off(&(last + 1));
            for (id, frame) in std::mem::replace(&mut self.buffer, later) {
                let name = (frame.stamp.stream, frame.stamp.frame);
                if !unit.contains(&id) {
                    self.passed.insert(name);
                    continue;
                }
                let missing = frame.stamp.references().iter().find(|reference| !self.seen.contains(&(name.0, **reference)));
                if let Some(missing) = missing {
                    self.wrong.push(format!("at {now:?}: {:?} was shown without frame {missing}", frame.stamp));
                }
                self.seen.insert(name);
                self.decoded.insert(id);
                let (timestamp, Stamp { stream, spatial, temporal, .. }) = (frame.timestamp, frame.stamp);
                let shown = Shown { at: now, timestamp, stream, spatial, temporal };
                match self.shown.last_mut().filter(|before| before.timestamp == timestamp && before.at == now) {
                    Some(before) => *before = shown,
                    None => self.shown.push(shown),
                }
            }
            self.last_decoded = last;
            // Whatever waits for its references and was sent before is not waited for any more.
            let (waiting, passed) = (&mut self.waiting, &mut self.passed);
            waiting.retain(|(assembled, frame)| {
                let passes = assembled.first < newest;
                if passes {
                    passed.insert((frame.stamp.stream, frame.stamp.frame));
                }
                !passes
            });
            let oldest = last - 2_000;
            if self.decoded.first().is_some_and(|first| *first < oldest - 500) {
                self.decoded = self.decoded.split_off(&oldest);
            }
        }
    }

    /// The next picture that can be shown, and when.
    fn next_unit(&self) -> Option<(Vec<i64>, Time)> {
        let mut unit: Vec<i64> = Vec::new();
        let mut timestamp = None;
        for (id, frame) in &self.buffer {
            if timestamp != Some(frame.timestamp) {
                unit.clear();
                timestamp = Some(frame.timestamp);
            }
            unit.push(*id);
            let known = |reference: &i64| self.decoded.contains(reference) || unit.contains(reference);
            if frame.marker && unit.iter().all(|id| self.buffer[id].found.1.iter().all(known)) {
                let first = unit.iter().map(|id| self.buffer[id].at).min().unwrap_or_default();
                return Some((unit, first + self.hold));
            }
        }
        None
    }
}
