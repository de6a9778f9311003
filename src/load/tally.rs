//! What came of one SSRC: counted from the clear headers alone, tied to the publisher's numbers by the packets that are opened.
//!
//! A server numbers what it forwards anew, but keeps the distances. So one opened packet says which of the publisher's numbers
//! stands behind every sequence number around it, until the server lets another publisher go on in the same stream; the
//! packets that are opened now and then notice that.

use super::board::Board;
use super::stamp::Stamp;

/// Packets for which a repetition is noticed: 27 s of 150 packets a second, in half a kilobyte.
const WINDOW: u64 = 4_096;
/// Missing packets that are remembered, for asking and for telling repaired ones from late ones.
const MOST_HOLES: usize = 128;
/// One turn of the sequence number.
const TURN: u64 = 1 << 16;

/// What came of one stream at one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Different packets that count.
    pub unique: u64,
    /// Packets that count and had come before.
    pub duplicates: u64,
    /// Packets that count and came after one with a higher number, without having been asked for.
    pub reordered: u64,
    /// Packets that count and came after they had been asked for again.
    pub repaired: u64,
}

impl Count {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.unique += other.unique;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.repaired += other.repaired;
    }
}

/// How a packet came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// After all others.
    Next,
    /// Behind a later one.
    Late,
    /// Behind a later one, after it was asked for.
    Repaired,
    /// Again.
    Duplicate,
    /// So late that nobody knows whether it had come before.
    TooOld,
}

/// One received SSRC.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The SSRC.
    pub ssrc: u32,
    /// The extended number of its first packet.
    first: u64,
    highest: u64,
    received: u64,
    seen: Box<[u64; WINDOW as usize / 64]>,
    holes: Vec<Hole>,
    anchor: Option<Anchor>,
    unopened: u32,
    counts: Vec<(u32, Count)>,
    reported: (u64, u64),
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    number: u64,
    /// When it was noticed, in microseconds.
    noticed: u64,
    asked: u8,
    next_ask: u64,
}

/// Which of a publisher's numbers an extended sequence number stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Anchor {
    stream: u32,
    shift: i64,
}

/// Interarrival jitter (RFC 3550 appendix A.8).
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    transit: Option<u32>,
    /// In sixteenths of a unit of the clock rate.
    value: u32,
}

/// What a report block needs (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reception {
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning.
    pub cumulative_lost: i32,
    /// The highest number, wraps counted.
    pub highest: u32,
    /// Jitter in units of the clock rate.
    pub jitter: u32,
}

/// A packet is asked for when it is missing for so long: reordering is not loss.
const FIRST_ASK: u64 = 20_000;
/// Between repeated requests.
const ASK_AGAIN: u64 = 100_000;
/// Requests for one packet.
const MOST_ASKS: u8 = 5;

impl Incoming {
    /// A stream whose first packet has `sequence`.
    pub fn new(ssrc: u32, sequence: u16) -> Self {
        let first = TURN + u64::from(sequence);
        Self {
            ssrc,
            first,
            highest: first,
            received: 0,
            seen: Box::new([0; WINDOW as usize / 64]),
            holes: Vec::new(),
            anchor: None,
            unopened: 0,
            counts: Vec::new(),
            reported: (0, 0),
            jitter: Jitter::default(),
        }
    }

    /// The extended number that a packet most probably has. The first one lies in the second turn of 2^16, so that there are numbers before it.
    pub fn extended(&self, sequence: u16) -> u64 {
        let delta = sequence.wrapping_sub(self.highest as u16).cast_signed();
        self.highest.saturating_add_signed(i64::from(delta))
    }

    /// The rollover counter of an extended number (RFC 3711 section 3.3.1); `None` before the beginning.
    pub fn rollover(extended: u64) -> Option<u32> {
        extended.checked_sub(TURN).map(|index| (index >> 16) as u32)
    }

    /// The extended number of a packet that is known by its stamp alone.
    #[cfg(feature = "full-clients")]
    pub fn extended_of(number: u32) -> u64 {
        TURN + u64::from(number)
    }

    /// Notes a packet that came at `micros`.
    pub fn note(&mut self, extended: u64, micros: u64) -> Arrival {
        let arrival = if self.received == 0 || extended > self.highest {
            self.advance(extended, micros);
            Arrival::Next
        } else if self.highest - extended >= WINDOW {
            return Arrival::TooOld;
        } else if self.has(extended) {
            return Arrival::Duplicate;
        } else {
            match self.holes.iter().position(|h| h.number == extended).map(|at| self.holes.remove(at)) {
                Some(hole) if hole.asked > 0 => Arrival::Repaired,
                _ => Arrival::Late,
            }
        };
        self.seen[word(extended)] |= bit(extended);
        self.first = self.first.min(extended);
        self.received += 1;
        arrival
    }

    /// Whether this packet should be opened: one in `every`, and all until the stream is known.
    pub fn wants_opening(&mut self, every: u32) -> bool {
        self.unopened += 1;
        self.anchor.is_none() || self.unopened >= every
    }

    /// Whether its packets are of a publisher's stream, as far as is known.
    pub fn is_of(&self, stream: u32) -> bool {
        self.anchor.is_some_and(|anchor| anchor.stream == stream)
    }

    /// What an opened packet says. Returns whether the stream was not known before.
    pub fn learn(&mut self, extended: u64, stamp: &Stamp) -> bool {
        self.unopened = 0;
        let shift = i64::from(stamp.number).wrapping_sub(extended.cast_signed());
        let anchor = Anchor { stream: stamp.stream, shift };
        let news = self.anchor.is_none_or(|a| a.stream != anchor.stream);
        self.anchor = Some(anchor);
        news && !self.counts.iter().any(|(stream, _)| *stream == anchor.stream)
    }

    /// Counts a packet.
    pub fn count(&mut self, board: &Board, extended: u64, arrival: Arrival) {
        let Some(Anchor { stream, shift }) = self.anchor else { return };
        let at = match self.counts.iter().position(|(s, _)| *s == stream) {
            Some(at) => at,
            None => {
                self.counts.push((stream, Count::default()));
                self.counts.len() - 1
            }
        };
        if !extended.checked_add_signed(shift).is_some_and(|number| board.counts(stream, number)) {
            return;
        }
        let count = &mut self.counts[at].1;
        match arrival {
            Arrival::TooOld => {}
            Arrival::Duplicate => count.duplicates += 1,
            Arrival::Next => count.unique += 1,
            Arrival::Late => {
                count.unique += 1;
                count.reordered += 1;
            }
            Arrival::Repaired => {
                count.unique += 1;
                count.repaired += 1;
            }
        }
    }

    /// What was counted, by stream.
    pub fn counts(&self) -> &[(u32, Count)] {
        &self.counts
    }

    /// Notes when a packet's moment of sampling was, for the jitter. Both in units of the clock rate.
    pub fn time(&mut self, timestamp: u32, arrived: u32) {
        let transit = arrived.wrapping_sub(timestamp);
        if let Some(before) = self.jitter.transit {
            let moved = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            self.jitter.value = self.jitter.value.wrapping_add(moved).wrapping_sub((self.jitter.value + 8) >> 4);
        }
        self.jitter.transit = Some(transit);
    }

    /// The next report about it.
    pub fn report(&mut self) -> Reception {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) = self.reported;
        let (expected_now, received_now) = (expected - expected_before.min(expected), self.received - received_before);
        self.reported = (expected, self.received);
        let lost = expected_now.saturating_sub(received_now);
        let fraction = (lost * 256).checked_div(expected_now).unwrap_or(0).min(255);
        let cumulative = i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(self.received).unwrap_or(0);
        Reception {
            fraction_lost: fraction as u8,
            cumulative_lost: cumulative.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: (self.highest - TURN) as u32,
            jitter: self.jitter.value >> 4,
        }
    }

    /// Sequence numbers to ask for now, in rising order.
    pub fn take_due(&mut self, micros: u64) -> Vec<u16> {
        let mut asked = Vec::new();
        for hole in self.holes.iter_mut().filter(|h| h.next_ask <= micros && h.asked < MOST_ASKS) {
            hole.asked += 1;
            hole.next_ask = micros + ASK_AGAIN;
            asked.push(hole.number as u16);
        }
        // What was never repaired stays a while, so that a late repetition is told from a reordered packet.
        self.holes.retain(|h| micros.saturating_sub(h.noticed) < 2_000_000);
        asked
    }

    /// When [`Self::take_due`] has something to say, in microseconds.
    pub fn next_ask(&self) -> Option<u64> {
        self.holes.iter().filter(|h| h.asked < MOST_ASKS).map(|h| h.next_ask).min()
    }

    fn advance(&mut self, to: u64, micros: u64) {
        if self.received == 0 {
            self.highest = to;
            return;
        }
        let from = self.highest + 1;
        if to - from >= WINDOW {
            self.seen.fill(0);
            self.holes.clear();
        } else {
            for missing in from..to {
                self.seen[word(missing)] &= !bit(missing);
                if self.holes.len() == MOST_HOLES {
                    self.holes.remove(0);
                }
                self.holes.push(Hole { number: missing, noticed: micros, asked: 0, next_ask: micros + FIRST_ASK });
            }
        }
        self.highest = to;
    }

    fn has(&self, extended: u64) -> bool {
        self.seen[word(extended)] & bit(extended) != 0
    }
}

const fn word(number: u64) -> usize {
    (number % WINDOW / 64) as usize
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests;
