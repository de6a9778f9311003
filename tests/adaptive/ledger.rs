//! The book of what publishers have sent: each frame, what it refers to, and which of its packets have reached the server.

use std::collections::BTreeMap;

use althing::base::Time;

use crate::stamp::{Stamp, StreamId};

/// What all publishers have sent.
#[derive(Default)]
pub struct Ledger {
    pub streams: BTreeMap<StreamId, Course>,
}

/// What one stream has sent.
#[derive(Default)]
pub struct Course {
    /// The number of the first packet.
    first: u64,
    /// When each packet reached the server, by its number less the first one's; [`Time::NEVER`]: it did not.
    arrived: Vec<Time>,
    /// Frames by their index: the first packet's number, and the frame's stamp.
    frames: Vec<(u64, Stamp)>,
    /// The frame of each packet.
    frame_of: Vec<u32>,
}

impl Ledger {
    /// A packet was made. Packets are made in the order of their numbers.
    pub fn made(&mut self, stamp: &Stamp) {
        let course = self.streams.entry(stamp.stream).or_default();
        if course.arrived.is_empty() {
            course.first = stamp.number;
        }
        course.arrived.push(Time::NEVER);
        course.frame_of.push(stamp.frame);
        if stamp.packet == 0 {
            course.frames.push((stamp.number, *stamp));
        }
    }

    /// A packet, or a repeat of it, has reached the server.
    pub fn arrived(&mut self, now: Time, (stream, number): (StreamId, u64)) {
        let course = self.streams.get_mut(&stream).expect("it was made");
        let at = &mut course.arrived[(number - course.first) as usize];
        *at = now.min(*at);
    }

    /// How many packets have reached the server, each counted once.
    pub fn arrivals(&self) -> u64 {
        self.streams.values().flat_map(|course| &course.arrived).filter(|at| **at != Time::NEVER).count() as u64
    }

    pub fn course(&self, stream: StreamId) -> &Course {
        &self.streams[&stream]
    }
}

impl Course {
    /// When a packet reached the server; [`Time::NEVER`] if it did not.
    pub fn arrival(&self, number: u64) -> Time {
        number.checked_sub(self.first).and_then(|at| self.arrived.get(at as usize)).copied().unwrap_or(Time::NEVER)
    }

    /// The number of a frame's first packet, and what is known of the frame.
    pub fn frame(&self, index: u32) -> &(u64, Stamp) {
        &self.frames[index as usize]
    }

    /// The frame that a packet belongs to.
    pub fn frame_of(&self, number: u64) -> Option<&Stamp> {
        let frame = *self.frame_of.get(number.checked_sub(self.first)? as usize)?;
        Some(&self.frame(frame).1)
    }

    /// The numbers of a frame's packets.
    pub fn packets(&self, index: u32) -> std::ops::Range<u64> {
        let (first, stamp) = self.frame(index);
        *first..*first + u64::from(stamp.of)
    }
}
