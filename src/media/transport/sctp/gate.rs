//! What of a peer's SCTP reaches the library, chunk by chunk.
//!
//! The library (rtc-sctp 0.21) bounds the bytes of user data that it holds by its receive window, and nothing else: not the number of
//! pieces, nor of streams, nor how far ahead of a gap it goes, nor how far a FORWARD TSN may reach (it walks there one by one), nor how
//! many resets wait; a message that never ends gets past the window; an ERROR or an unknown chunk ends the association. So what it
//! holds is counted here from what goes in, from what is read, and from what its own SACKs say.

use std::collections::VecDeque;

use super::chunk::{Chunk, chunks, kind, u16_at, u32_at};
use crate::base::{Bucket, Time};
use crate::contract::Counter;

/// Bytes of messages that are not complete, or not their turn: the receive window that is announced. Two of the longest messages;
/// more lets a peer hold more of our memory, less slows long ways.
pub(super) const RECEIVE_BUFFER: usize = 128 * 1_024;
/// Bytes beyond it that are taken all the same and not announced: whoever is told that there is no room asks with one chunk after the other.
pub(super) const PROBES: usize = 64 * 1_024;
/// Streams each way, so their numbers are below this. A browser opens every other one: half as many channels.
pub const MOST_STREAMS: u16 = 64;
/// How far beyond the first missing TSN one may be. As many small messages as a peer may send in ten seconds.
const MOST_AHEAD: usize = 2_048;
/// Bytes of chunks that lie beyond a missing one: they are kept until it comes, though they may have been read.
const AHEAD_BYTES: usize = RECEIVE_BUFFER;
/// Runs of chunks with gaps between: each takes four bytes of every SACK.
const MOST_RUNS: usize = 128;
/// Pieces of messages that are not complete, or not their turn; twice as many where each is the next one. Each costs up to 640 bytes beside
/// its own.
const MOST_HELD: usize = 512;
/// How far a FORWARD TSN may reach (RFC 3758): the library walks there step by step.
const FARTHEST_FORWARD: usize = 4_096;
/// Stream resets (RFC 6525) that wait for their TSN; one is what the RFC has under way.
const MOST_RESETS: usize = 4;
/// Our own resets that the peer has not answered: each is repeated, all at once.
const MOST_UNANSWERED: usize = 16;
/// Bytes of a HEARTBEAT or a COOKIE ECHO, which are answered with as much or compared.
const MOST_ECHOED: usize = 512;
/// Bytes of an INIT: browsers' have less than a hundred.
const LONGEST_INIT: usize = 1_024;
/// Chunks a second, and as many at once. Half a MiB a second comes in five hundred.
const CHUNKS: (u32, u32) = (2_000, 4_000);

/// What is to be done with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The library gets it.
    Feed,
    /// It is of no use, and does no harm.
    Skip,
    /// It is the next one, and there is no room for it until something has been read.
    Wait,
    /// It is dropped, and the reason counted.
    Drop(Counter),
    /// It and the rest of its packet are dropped.
    Stop(Counter),
    /// The association ends: what it holds cannot be bounded otherwise.
    End,
}

/// The gate of one association.
#[derive(Debug)]
pub(super) struct Gate {
    chunks: Bucket,
    /// The last TSN up to which everything has come, as our SACKs say.
    acked: u32,
    /// Of each TSN after it, the bytes of its chunk; 0 where it is missing.
    ahead: VecDeque<u16>,
    ahead_bytes: usize,
    /// Pieces that have gone in and were not read.
    held: usize,
    held_bytes: usize,
    /// How much room our last SACK said there is.
    window: usize,
    /// Resets that wait: their number, and the TSN that they wait for.
    resets: Vec<(u32, u32)>,
    /// Numbers of our own resets.
    unanswered: Vec<u32>,
}

impl Gate {
    pub const fn new() -> Self {
        Self {
            chunks: Bucket::new(CHUNKS.1),
            acked: 0,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            held: 0,
            held_bytes: 0,
            window: RECEIVE_BUFFER,
            resets: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// An association begins anew: the chunks' rate goes on.
    pub fn begin(&mut self, initial_tsn: u32) {
        *self = Self { chunks: self.chunks, acked: initial_tsn.wrapping_sub(1), ..Self::new() };
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.ahead.capacity() * size_of::<u16>() + self.held_bytes.max(self.ahead_bytes) + self.held * PIECE
    }

    /// Looks at a chunk. INITs are the transport's own affair: here it is whether they are short and not too many. `has_unread`: there is
    /// something to be read, so that room will come without anything more arriving.
    pub fn admit(&mut self, now: Time, chunk: &Chunk<'_>, established: bool, has_unread: bool) -> Verdict {
        if !self.chunks.take(now, CHUNKS, 1) {
            return Verdict::Stop(Counter::DataDropChunks);
        }
        let malformed = Verdict::Drop(Counter::DataDropMalformed);
        match chunk.kind {
            kind::INIT if chunk.value.len() > LONGEST_INIT => malformed,
            kind::COOKIE_ECHO | kind::HEARTBEAT if chunk.value.len() > MOST_ECHOED => malformed,
            kind::INIT | kind::COOKIE_ECHO | kind::ABORT => Verdict::Feed,
            // RFC 9260 section 3.2: the highest bits of an unknown type say whether the rest of the packet is of use.
            other if !is_known(other) => match other & 0x80 {
                0 => Verdict::Stop(Counter::DataDropUnexpected),
                _ => Verdict::Skip,
            },
            _ if !established => Verdict::Drop(Counter::DataDropUnexpected),
            kind::DATA => self.admit_data(chunk.value, has_unread).unwrap_or(malformed),
            kind::SACK => admit_sack(chunk.value).unwrap_or(malformed),
            kind::FORWARD_TSN => self.admit_forward(chunk.value).unwrap_or(malformed),
            kind::RE_CONFIG => self.admit_reset(chunk.value).unwrap_or(malformed),
            kind::HEARTBEAT | kind::SHUTDOWN | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => Verdict::Feed,
            // INIT ACK and COOKIE ACK: we begin no association. HEARTBEAT ACK, ERROR: they ask for nothing, and the library ends on them.
            _ => Verdict::Skip,
        }
    }

    fn admit_data(&mut self, value: &[u8], has_unread: bool) -> Option<Verdict> {
        let (tsn, stream, data) = (u32_at(value, 0)?, u16_at(value, 4)?, value.get(12..)?);
        let len = u16::try_from(data.len()).ok().filter(|len| *len > 0)?;
        if stream >= MOST_STREAMS {
            return Some(Verdict::Drop(Counter::DataDropUnexpected));
        }
        let Some(place) = self.place(tsn) else { return Some(Verdict::Feed) };
        if self.ahead.get(place).is_some_and(|known| *known > 0) {
            // Known: it is acknowledged once more.
            return Some(Verdict::Feed);
        }
        let fills = self.ahead.iter().take(place).all(|known| *known > 0) && place <= self.ahead.len();
        let bytes = usize::from(len);
        if fills && !has_unread {
            // Whatever is held waits for this one, so there is no other way to make room.
            if self.held >= 2 * MOST_HELD || self.held_bytes + bytes > 2 * RECEIVE_BUFFER {
                return Some(Verdict::End);
            }
        } else if fills && (self.held >= MOST_HELD || self.held_bytes + bytes > RECEIVE_BUFFER + PROBES) {
            return Some(Verdict::Wait);
        } else if place >= MOST_AHEAD || self.held >= MOST_HELD || self.held_bytes + bytes > RECEIVE_BUFFER + PROBES || self.is_ahead(place, bytes) {
            return Some(Verdict::Drop(Counter::DataDropWindow));
        }
        if self.ahead.len() <= place {
            self.ahead.resize(place + 1, 0);
        }
        *self.ahead.get_mut(place)? = len;
        self.ahead_bytes += bytes;
        self.held += 1;
        self.held_bytes += bytes;
        Some(Verdict::Feed)
    }

    /// Whether a chunk there would be too much beyond what is missing.
    fn is_ahead(&self, place: usize, bytes: usize) -> bool {
        place > 0 && (self.ahead_bytes + bytes > AHEAD_BYTES || self.is_torn(place))
    }

    /// Whether a chunk there would be one run more than a SACK is to name.
    fn is_torn(&self, place: usize) -> bool {
        let is_known = |at: usize| self.ahead.get(at).is_some_and(|known| *known > 0);
        if place.checked_sub(1).is_some_and(is_known) || is_known(place + 1) {
            return false;
        }
        let begins = self.ahead.iter().zip(std::iter::once(&0).chain(&self.ahead)).filter(|(known, before)| **known > 0 && **before == 0);
        begins.count() >= MOST_RUNS
    }

    /// Where a TSN lies after the last one that is acknowledged; none for that one and all before it.
    fn place(&self, tsn: u32) -> Option<usize> {
        let after = tsn.wrapping_sub(self.acked);
        (1..1 << 31).contains(&after).then(|| after as usize - 1)
    }

    fn admit_forward(&self, value: &[u8]) -> Option<Verdict> {
        let (to, streams) = (u32_at(value, 0)?, value.len().checked_sub(4)? / 4);
        let too_far = self.place(to).is_some_and(|place| place >= FARTHEST_FORWARD) || streams > usize::from(MOST_STREAMS);
        Some(if too_far { Verdict::Drop(Counter::DataDropWindow) } else { Verdict::Feed })
    }

    /// A request to reset streams (parameter 13: its number, its answer's, the sender's last TSN, streams), or the answer to one of
    /// ours (parameter 16).
    fn admit_reset(&mut self, value: &[u8]) -> Option<Verdict> {
        if self.unanswered.len() > MOST_UNANSWERED {
            return Some(Verdict::End);
        }
        let mut at = 0;
        while at < value.len() {
            let (parameter, len) = (u16_at(value, at)?, usize::from(u16_at(value, at + 2)?));
            let body = value.get(at + 4..at + len)?;
            match parameter {
                13 => {
                    let (number, last, streams) = (u32_at(body, 0)?, u32_at(body, 8)?, body.get(12..)?.len() / 2);
                    self.resets.retain(|(_, waits_for)| last_of(*waits_for, self.acked));
                    let is_known = self.resets.iter().any(|(known, _)| *known == number);
                    let waits = last_of(last, self.acked) && !is_known;
                    if streams > usize::from(MOST_STREAMS) || (waits && self.resets.len() >= MOST_RESETS) {
                        return Some(Verdict::Drop(Counter::DataDropUnexpected));
                    }
                    if waits {
                        self.resets.push((number, last));
                    }
                }
                16 => {
                    let number = u32_at(body, 0)?;
                    self.unanswered.retain(|ours| *ours != number);
                }
                _ => return Some(Verdict::Drop(Counter::DataDropUnexpected)),
            }
            at += len.next_multiple_of(4);
        }
        Some(Verdict::Feed)
    }

    /// A message was read, of so many pieces and bytes.
    pub fn was_read(&mut self, pieces: usize, bytes: usize) {
        self.held = self.held.saturating_sub(pieces);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    /// The last TSN that is acknowledged, when the peer does not know of much room that there is by now: the library tells it only with the
    /// next acknowledgement, and a peer that has been told of none asks after seconds.
    pub fn owes_window(&self) -> Option<u32> {
        let room = RECEIVE_BUFFER.saturating_sub(self.held_bytes);
        (self.window < RECEIVE_BUFFER / 2 && room >= self.window + RECEIVE_BUFFER / 4).then_some(self.acked)
    }

    /// Looks at what the library sends: it says what has arrived and how much room there is.
    pub fn sends(&mut self, packet: &[u8]) {
        for chunk in chunks(packet).into_iter().flatten().flatten() {
            match chunk.kind {
                kind::SACK => self.sends_sack(chunk.value),
                // A request of ours: its number comes after the parameter's own header.
                kind::RE_CONFIG if u16_at(chunk.value, 0) == Some(13) => {
                    self.unanswered.extend(u32_at(chunk.value, 4).filter(|number| !self.unanswered.contains(number)))
                }
                _ => {}
            }
        }
    }

    fn sends_sack(&mut self, value: &[u8]) {
        let (Some(acked), Some(window)) = (u32_at(value, 0), u32_at(value, 4)) else { return };
        if let Some(place) = self.place(acked) {
            let arrived = self.ahead.drain(..self.ahead.len().min(place + 1));
            self.ahead_bytes = self.ahead_bytes.saturating_sub(arrived.map(usize::from).sum());
            self.acked = acked;
        }
        self.window = (window as usize).saturating_sub(PROBES);
        // A piece has a byte at least. What was given up by a FORWARD TSN is noticed here.
        if let Some(held) = (RECEIVE_BUFFER + PROBES).checked_sub(window as usize).filter(|_| window > 0) {
            self.held = self.held.min(held);
            self.held_bytes = self.held_bytes.min(held);
        }
    }
}

/// What the library needs for a piece beside its bytes: it is in two of its lists.
const PIECE: usize = 640;

/// Whether a reset that waits for this TSN still waits.
const fn last_of(tsn: u32, acked: u32) -> bool {
    let after = tsn.wrapping_sub(acked);
    after > 0 && after < 1 << 31
}

const fn is_known(kind: u8) -> bool {
    matches!(kind, 0..=11 | 14 | 130 | 192)
}

/// RFC 9260 section 3.3.4: blocks rise and do not touch. The library goes through each TSN of each block.
fn admit_sack(value: &[u8]) -> Option<Verdict> {
    let (blocks, repeats) = (usize::from(u16_at(value, 8)?), usize::from(u16_at(value, 10)?));
    if value.len() != 12 + 4 * (blocks + repeats) {
        return None;
    }
    let mut end = 0;
    for block in 0..blocks {
        let (begins, ends) = (u16_at(value, 12 + 4 * block)?, u16_at(value, 14 + 4 * block)?);
        if begins <= end || ends < begins {
            return None;
        }
        end = ends;
    }
    Some(Verdict::Feed)
}
