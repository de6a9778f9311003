//! Feedback towards publishers on when their packets arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::bytes::Put;
use crate::base::Time;
use crate::base::seq::SeqUnwrapper;

/// Arrivals that are kept, in packets. More would cost 4 bytes each for every publisher; this is what one sends at 100 Mbit/s
/// within a report's 100 ms.
pub const CAPACITY: usize = 1_024;

/// How far behind the highest number the ring reaches.
const REACH: u64 = CAPACITY as u64 - 1;
const WORDS: usize = CAPACITY / 64;
const FIXED_LEN: usize = 8;
const CHUNK_LEN: usize = 2;
const MAX_RUN: usize = 0x1fff;
const ONE_BIT_SYMBOLS: usize = 14;
const TWO_BIT_SYMBOLS: usize = 7;
/// A symbol that stands for a packet which has not arrived.
const LOST: i32 = i32::MIN;

/// When packets with transport-wide sequence numbers arrived, until that has been reported.
///
/// A packet that arrives after its number was reported as lost is reported again, with everything after it. Times are held in
/// units of 250 µs on the circle of 32 bits, which is exactly the circle of the 24 bits of 64 ms on the wire.
pub struct Arrivals {
    ticks: Box<[u32; CAPACITY]>,
    arrived: [u64; WORDS],
    sequences: SeqUnwrapper,
    /// The first number to report; beyond the highest when there is nothing to report.
    next: u64,
    feedback_count: u8,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrivals {
    /// Nothing has arrived.
    pub fn new() -> Self {
        Self { ticks: Box::new([0; CAPACITY]), arrived: [0; WORDS], sequences: SeqUnwrapper::default(), next: 0, feedback_count: 0 }
    }

    /// Memory held beside its own size, in bytes.
    pub const fn memory(&self) -> usize {
        size_of::<[u32; CAPACITY]>()
    }

    /// Notes that the packet with this transport-wide number arrived. A repeated one, or one that is [`CAPACITY`] behind, changes
    /// nothing.
    pub fn record(&mut self, sequence: u16, at: Time) {
        let before = self.sequences.highest();
        let number = self.sequences.unwrap(sequence);
        match before {
            None => self.next = number,
            Some(highest) if number > highest => self.advance(highest, number),
            Some(highest) if highest.wrapping_sub(number) > REACH || self.has(number) => return,
            // It was reported as lost: begin with it again.
            Some(_) => self.next = self.next.min(number),
        }
        self.set(number, ticks_of(at));
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.sequences.highest().is_none_or(|highest| self.next > highest)
    }

    /// Writes the next feedback's control information (without padding) and returns its length.
    ///
    /// One feedback may not hold everything: because of the room in `out`, or because two arrivals are more than 8 s apart. Call
    /// until `None`: nothing is left, or `out` has less than 16 bytes.
    pub fn write_fci(&mut self, out: &mut [u8]) -> Option<usize> {
        let highest = self.sequences.highest().filter(|highest| self.next <= *highest)?;
        let mut symbols = [LOST; CAPACITY];
        let (reference, known) = self.collect(highest, &mut symbols);
        let layout = Layout::of(symbols.get(..known)?, out)?;
        let (fixed, _) = out.split_first_chunk_mut::<FIXED_LEN>()?;
        let mut put = Put::new(fixed);
        put.u16(self.next as u16);
        put.u16(u16::try_from(layout.packets).ok()?);
        put.u32(reference << 8 | u32::from(self.feedback_count));
        write_deltas(symbols.get(..layout.packets)?, out.get_mut(layout.chunks_end..layout.end)?);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.next = self.next.wrapping_add(layout.packets as u64);
        Some(layout.end)
    }

    /// Turns arrivals into symbols, [`LOST`] or ticks since the one before, as far as they can stand in one feedback. Returns the
    /// reference time in 64 ms and the number of symbols, of which the last is an arrival.
    fn collect(&self, highest: u64, symbols: &mut [i32; CAPACITY]) -> (u32, usize) {
        let mut reference = None;
        let mut previous = 0_u32;
        let mut known = 0_usize;
        for (index, (number, symbol)) in (self.next..=highest).zip(symbols).enumerate() {
            if !self.has(number) {
                continue;
            }
            let tick = self.tick(number);
            if reference.is_none() {
                reference = Some(tick >> 8);
                previous = tick & !0xff;
            }
            let delta = tick.wrapping_sub(previous).cast_signed();
            if i16::try_from(delta).is_err() {
                break;
            }
            *symbol = delta;
            previous = tick;
            known = index.wrapping_add(1);
        }
        (reference.unwrap_or(0), known)
    }

    /// Forgets what the ring held in the places of the numbers that `number` brings in.
    fn advance(&mut self, highest: u64, number: u64) {
        if number.wrapping_sub(highest) > REACH {
            self.arrived = [0; WORDS];
        } else {
            for between in highest.wrapping_add(1)..number {
                self.clear(between);
            }
        }
        self.next = self.next.max(number.saturating_sub(REACH));
    }

    fn tick(&self, number: u64) -> u32 {
        self.ticks.get(slot(number)).copied().unwrap_or(0)
    }

    fn has(&self, number: u64) -> bool {
        self.arrived.get(slot(number) / 64).is_some_and(|word| word & bit(number) != 0)
    }

    fn set(&mut self, number: u64, tick: u32) {
        if let (Some(word), Some(place)) = (self.arrived.get_mut(slot(number) / 64), self.ticks.get_mut(slot(number))) {
            *word |= bit(number);
            *place = tick;
        }
    }

    fn clear(&mut self, number: u64) {
        if let Some(word) = self.arrived.get_mut(slot(number) / 64) {
            *word &= !bit(number);
        }
    }
}

const fn slot(number: u64) -> usize {
    number as usize % CAPACITY
}

const fn bit(number: u64) -> u64 {
    1_u64.wrapping_shl(number as u32)
}

const fn ticks_of(at: Time) -> u32 {
    (at.as_micros() / 250) as u32
}

/// How far a feedback reaches, its chunks already written.
struct Layout {
    packets: usize,
    chunks_end: usize,
    end: usize,
}

impl Layout {
    /// Writes chunks for as many symbols as `out` holds together with their deltas; `None` when not even one arrival does.
    fn of(symbols: &[i32], out: &mut [u8]) -> Option<Self> {
        let mut layout = Self { packets: 0, chunks_end: FIXED_LEN, end: FIXED_LEN };
        let mut deltas = 0_usize;
        let (mut written, mut chunks_end) = (0_usize, FIXED_LEN);
        while let Some(rest) = symbols.get(written..).filter(|rest| !rest.is_empty()) {
            let after_chunk = chunks_end.wrapping_add(CHUNK_LEN);
            let chunk = Chunk::of(rest);
            // Only an arrival may end a feedback: a trailing loss may still be on its way.
            let mut delta_bytes = deltas;
            let mut fitting = None;
            for (index, symbol) in rest.iter().take(chunk.packets).enumerate() {
                delta_bytes = delta_bytes.wrapping_add(delta_len(*symbol));
                if after_chunk.wrapping_add(delta_bytes) > out.len() {
                    break;
                }
                if *symbol != LOST {
                    fitting = Some((index.wrapping_add(1), delta_bytes));
                }
            }
            let full = after_chunk.wrapping_add(delta_bytes) > out.len();
            let packets = if full { fitting.map_or(0, |(packets, _)| packets) } else { chunk.packets };
            if packets == 0 {
                break;
            }
            let chunk = if full { Chunk::of(rest.get(..packets)?) } else { chunk };
            *out.get_mut(chunks_end..)?.first_chunk_mut()? = chunk.bits.to_be_bytes();
            if let Some((packets, delta_bytes)) = fitting {
                layout = Self { packets: written.wrapping_add(packets), chunks_end: after_chunk, end: after_chunk.wrapping_add(delta_bytes) };
            }
            if full {
                break;
            }
            (written, chunks_end, deltas) = (written.wrapping_add(chunk.packets), after_chunk, delta_bytes);
        }
        (layout.packets > 0).then_some(layout)
    }
}

/// One packet status chunk (section 3.1.3 and 3.1.4).
struct Chunk {
    bits: u16,
    packets: usize,
}

impl Chunk {
    /// The chunk that stands for most of the first symbols; a shorter row of symbols never needs more chunks than a longer one.
    fn of(symbols: &[i32]) -> Self {
        let first = symbols.first().map_or(0, |symbol| status(*symbol));
        let run = symbols.iter().take(MAX_RUN).take_while(|symbol| status(**symbol) == first).count();
        let window = symbols.get(..ONE_BIT_SYMBOLS).unwrap_or(symbols);
        let small = window.iter().all(|symbol| status(*symbol) < 2);
        let reach = if small { window.len() } else { window.len().min(TWO_BIT_SYMBOLS) };
        if run >= reach {
            return Self { bits: first << 13 | run as u16, packets: run };
        }
        let width = if small { 1 } else { 2 };
        let list = window.iter().take(reach).fold(0, |list, symbol| list << width | status(*symbol));
        // Symbols fill the 14 bits from the left.
        let unused = 14_u32.wrapping_sub((reach as u32).wrapping_mul(width));
        let form: u16 = if small { 0x8000 } else { 0xc000 };
        Self { bits: form | list.wrapping_shl(unused), packets: reach }
    }
}

/// 0: not received, 1: received with a delta of one byte, 2: with one of two bytes.
const fn status(symbol: i32) -> u16 {
    match symbol {
        LOST => 0,
        0..=255 => 1,
        _ => 2,
    }
}

const fn delta_len(symbol: i32) -> usize {
    status(symbol) as usize
}

fn write_deltas(symbols: &[i32], out: &mut [u8]) {
    let mut put = Put::new(out);
    for symbol in symbols {
        match status(*symbol) {
            1 => put.bytes(&[*symbol as u8]),
            2 => put.u16(*symbol as i16 as u16),
            _ => true,
        };
    }
}

#[cfg(test)]
mod tests;
