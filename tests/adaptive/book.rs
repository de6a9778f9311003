//! What the server has sent to each slot, opened where it leaves: before any way could lose it. And what must be true of that.

use std::collections::{BTreeMap, BTreeSet};

use althing::base::Time;
use althing::base::seq::timestamp_after;

use crate::ledger::Ledger;
use crate::opened::Packet;
use crate::stamp::{Stamp, StreamId};

/// A number that went out.
#[derive(Clone, Debug)]
struct Entry {
    at: Time,
    /// None: padding.
    stamp: Option<Stamp>,
    timestamp: u32,
    marker: bool,
    /// Whether it left for the first time because it was asked for.
    asked: bool,
    payload: Vec<u8>,
}

/// Everything that went out to one slot.
#[derive(Default)]
pub struct Book {
    packets: BTreeMap<u64, Entry>,
    /// Repeats that do not say what was said first.
    differing: Vec<String>,
}

/// What is wrong with it: all of these are to be empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Numbers that were left out although what belongs there had come.
    pub gaps: Vec<String>,
    /// Timestamps that go backwards, or marker bits that do not end a picture, or pictures without one.
    pub pictures: Vec<String>,
    /// Frames of which only a part was sent although all of it had come.
    pub parts: Vec<String>,
    /// Frames that were sent although something they refer to was not, which had come.
    pub undecodable: Vec<String>,
    pub differing: Vec<String>,
}

impl Faults {
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A run of one source's packets.
struct Period {
    stream: StreamId,
    /// When its first packet came, and its last that left by itself: they leave in the order of their coming, at whatever pace, so
    /// what came before or after that need not have left.
    began: Time,
    left: Time,
    /// The packets by their source's numbers.
    packets: BTreeSet<u64>,
    /// The timestamp of its last packet: that picture may be cut.
    last: u32,
}

impl Book {
    /// A packet leaves. Whether its number had left before.
    pub fn sent(&mut self, now: Time, packet: &Packet) -> bool {
        let entry = Entry {
            at: now,
            stamp: packet.stamp,
            timestamp: packet.timestamp,
            marker: packet.marker,
            asked: packet.repeat,
            payload: if packet.is_sound() { vec![] } else { packet.payload.clone() },
        };
        let Some(first) = self.packets.get(&packet.number) else {
            self.packets.insert(packet.number, entry);
            return false;
        };
        if (first.stamp, first.timestamp, first.marker) != (entry.stamp, entry.timestamp, entry.marker) || first.payload != entry.payload {
            self.differing.push(format!("{now:?}: number {} was {first:?}, is {entry:?}", packet.number));
        }
        true
    }

    /// When something that passes a test first left, from a moment on.
    pub fn first_left(&self, from: Time, test: impl Fn(&Stamp) -> bool) -> Option<Time> {
        self.packets.values().filter(|entry| entry.at >= from && entry.stamp.as_ref().is_some_and(&test)).map(|entry| entry.at).min()
    }

    /// What left by itself from a moment on: when, the bytes of its payload, and what it is a part of.
    pub fn left(&self, from: Time) -> impl Iterator<Item = (Time, usize, &Stamp)> {
        let first = self.packets.values().filter(move |entry| !entry.asked && entry.at >= from);
        first.filter_map(|entry| Some((entry.at, entry.payload.len(), entry.stamp.as_ref()?)))
    }

    pub fn faults(&self, ledger: &Ledger) -> Faults {
        let periods = self.periods(ledger);
        Faults {
            gaps: self.gaps(ledger, &periods),
            pictures: self.pictures(),
            parts: periods.iter().flat_map(|period| parts(period, ledger)).collect(),
            undecodable: periods.iter().flat_map(|period| undecodable(period, ledger)).collect(),
            differing: self.differing.clone(),
        }
    }

    fn stamped(&self) -> impl Iterator<Item = (u64, &Entry, &Stamp)> {
        self.packets.iter().filter_map(|(number, entry)| Some((*number, entry, entry.stamp.as_ref()?)))
    }

    fn periods(&self, ledger: &Ledger) -> Vec<Period> {
        let mut periods: Vec<Period> = Vec::new();
        for (_, entry, stamp) in self.stamped() {
            // A source that begins anew does so with a key frame, after what it was left at.
            let begins = stamp.key && stamp.packet == 0 && stamp.spatial == 0;
            let came = ledger.course(stamp.stream).arrival(stamp.number);
            match periods.last_mut().filter(|period| period.stream == stamp.stream && !begins) {
                Some(period) => {
                    period.packets.insert(stamp.number);
                    if !entry.asked {
                        period.left = period.left.max(came);
                    }
                    period.last = stamp.timestamp;
                }
                None => periods.push(Period { stream: stamp.stream, began: came, left: came, packets: [stamp.number].into(), last: stamp.timestamp }),
            }
        }
        periods
    }

    fn gaps(&self, ledger: &Ledger, periods: &[Period]) -> Vec<String> {
        let mut gaps = Vec::new();
        let mut before: Option<(u64, &Stamp)> = None;
        let mut padding = 0;
        for (number, entry) in &self.packets {
            let Some(stamp) = &entry.stamp else {
                padding += 1;
                continue;
            };
            if let Some((last, previous)) = before.filter(|(last, _)| number - last - 1 > padding) {
                let missing = number - last - 1 - padding;
                let course = ledger.course(previous.stream);
                let Some(period) = periods.iter().find(|p| p.stream == previous.stream && p.packets.contains(&previous.number)) else { continue };
                let late = |number: &u64| period.excuses(course.arrival(*number));
                let explained = if previous.stream == stamp.stream { (previous.number + 1..stamp.number).filter(late).count() as u64 } else { 0 };
                if missing > explained {
                    let between: Vec<_> = (previous.number + 1..stamp.number.min(previous.number + 9))
                        .map(|n| (n, course.arrival(n), course.frame_of(n).map(|s| s.temporal)))
                        .collect();
                    gaps.push(format!(
                        "{:?}: {missing} numbers before {number} between {previous:?} and {stamp:?}, {explained} explained, {between:?}",
                        entry.at
                    ));
                }
            }
            (before, padding) = (Some((*number, stamp)), 0);
        }
        gaps
    }

    fn pictures(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut before: Option<(u64, &Entry, &Stamp)> = None;
        for (number, entry, stamp) in self.stamped() {
            if let Some((last, previous, from)) = before {
                let contiguous = (last + 1..number).all(|between| self.packets.contains_key(&between));
                let same = previous.timestamp == entry.timestamp;
                if !same && !timestamp_after(entry.timestamp, previous.timestamp) {
                    wrong.push(format!("{:?}: timestamp {} after {}, {from:?} {stamp:?}", entry.at, entry.timestamp, previous.timestamp));
                }
                if same && (from.stream != stamp.stream || from.timestamp != stamp.timestamp) {
                    wrong.push(format!("{:?}: two pictures with one timestamp: {from:?} {stamp:?}", entry.at));
                }
                if contiguous && same && previous.marker {
                    wrong.push(format!("{:?}: a marker within a picture: {from:?}", entry.at));
                }
                if contiguous && !same && !previous.marker && from.stream == stamp.stream && !entry_begins(stamp) {
                    wrong.push(format!("{:?}: a picture without a marker: {from:?} {stamp:?}", entry.at));
                }
            }
            before = Some((number, entry, stamp));
        }
        wrong
    }
}

impl Period {
    /// Whether something that came at `at` need not have left: it came before the period's first packet had, or after its last one,
    /// or not at all.
    fn excuses(&self, at: Time) -> bool {
        at <= self.began || at >= self.left
    }

    fn frames(&self, ledger: &Ledger) -> BTreeSet<u32> {
        let course = ledger.course(self.stream);
        self.packets.iter().filter_map(|number| course.frame_of(*number)).map(|stamp| stamp.frame).collect()
    }
}

/// A key frame may cut what was before it.
fn entry_begins(stamp: &Stamp) -> bool {
    stamp.key && stamp.packet == 0
}

fn parts(period: &Period, ledger: &Ledger) -> Vec<String> {
    let course = ledger.course(period.stream);
    let mut parts = Vec::new();
    for frame in period.frames(ledger) {
        let (_, stamp) = course.frame(frame);
        let mut missing = course.packets(frame).filter(|number| !period.packets.contains(number)).peekable();
        if stamp.timestamp == period.last || missing.peek().is_none() || missing.clone().any(|number| period.excuses(course.arrival(number))) {
            continue;
        }
        let missing: Vec<_> = missing.map(|number| (number, course.arrival(number))).collect();
        parts.push(format!("{missing:?} of {stamp:?}, sent from {:?} to {:?}", period.began, period.left));
    }
    parts
}

fn undecodable(period: &Period, ledger: &Ledger) -> Vec<String> {
    let course = ledger.course(period.stream);
    let whole = |frame: u32| course.packets(frame).all(|number| period.packets.contains(&number));
    let explained = |frame: u32| course.packets(frame).any(|number| !period.packets.contains(&number) && period.excuses(course.arrival(number)));
    let (mut good, mut excused, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for frame in period.frames(ledger) {
        let (_, stamp) = course.frame(frame);
        if !whole(frame) {
            continue;
        }
        let missing: Vec<u32> = stamp.references().iter().copied().filter(|reference| !good.contains(reference)).collect();
        if missing.is_empty() {
            good.insert(frame);
        } else if missing.iter().any(|reference| excused.contains(reference) || explained(*reference)) {
            excused.insert(frame);
        } else {
            // Whatever refers to it is not to be told again.
            excused.insert(frame);
            wrong.push(format!("{stamp:?} without {missing:?}"));
        }
    }
    wrong
}
