//! What all threads of a run share: what is being done now, and which numbers of each stream count.
//!
//! A publisher marks the first number that counts before it sends it, and the first that counts no more before it sends
//! that. So a receiver knows of each packet whether it counts, and "lost" never means "joined late" or "still on its way".

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::contract::MediaKind;

/// What is being done now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Packets flow and do not count.
    WarmUp,
    /// Packets count.
    Count,
    /// Packets flow and do not count again: a loss at the end of what counts shows only in what follows it.
    Tail,
    /// Nothing is sent any more.
    Stop,
}

/// Not marked yet.
const UNMARKED: u64 = u64::MAX;

/// The shared state of a run.
#[derive(Debug)]
pub struct Board {
    phase: AtomicU8,
    streams: Box<[Marks]>,
    /// Key frames that the publishers were asked for.
    pub key_frames_asked: AtomicU64,
    /// Packets that our own sockets did not take.
    pub unsent: AtomicU64,
    /// Packets that came to anybody, whether they count or not.
    pub received: AtomicU64,
    /// Connections that are up.
    pub connected: AtomicU32,
}

#[derive(Debug)]
struct Marks {
    first: AtomicU64,
    end: AtomicU64,
    next: AtomicU64,
}

/// The stream of a publisher's sound or picture.
pub const fn stream(publisher: u32, kind: MediaKind) -> u32 {
    publisher * 2 + matches!(kind, MediaKind::Video) as u32
}

/// The kind of a stream.
pub const fn kind_of(stream: u32) -> MediaKind {
    if stream.is_multiple_of(2) { MediaKind::Audio } else { MediaKind::Video }
}

impl Board {
    /// A board for so many publishers.
    pub fn new(publishers: u32) -> Self {
        let marks = || Marks { first: AtomicU64::new(UNMARKED), end: AtomicU64::new(UNMARKED), next: AtomicU64::new(0) };
        Self {
            phase: AtomicU8::new(Phase::WarmUp as u8),
            streams: (0..publishers * 2).map(|_| marks()).collect(),
            key_frames_asked: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            connected: AtomicU32::new(0),
        }
    }

    /// What is being done now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::WarmUp,
            1 => Phase::Count,
            2 => Phase::Tail,
            _ => Phase::Stop,
        }
    }

    /// Says what is being done from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// A publisher is about to send a frame whose first packet has number `next`; whether it may.
    pub fn may_send(&self, stream: u32, next: u32) -> bool {
        let Some(marks) = self.streams.get(stream as usize) else { return false };
        let phase = self.phase();
        if phase >= Phase::Count && marks.first.load(Ordering::Relaxed) == UNMARKED {
            marks.first.store(u64::from(next), Ordering::Release);
        }
        if phase >= Phase::Tail && marks.end.load(Ordering::Relaxed) == UNMARKED {
            marks.end.store(u64::from(next), Ordering::Release);
        }
        phase != Phase::Stop
    }

    /// A publisher has sent all packets before number `next`.
    pub fn sent(&self, stream: u32, next: u32) {
        if let Some(marks) = self.streams.get(stream as usize) {
            marks.next.store(u64::from(next), Ordering::Release);
        }
    }

    /// Whether a packet counts.
    pub fn counts(&self, stream: u32, number: u64) -> bool {
        let Some(marks) = self.streams.get(stream as usize) else { return false };
        let first = marks.first.load(Ordering::Acquire);
        first <= number && number < marks.end.load(Ordering::Acquire)
    }

    /// How many packets of a stream count. Final once the phase is past [`Phase::Count`] for a frame's time.
    pub fn offered(&self, stream: u32) -> u64 {
        let Some(marks) = self.streams.get(stream as usize) else { return 0 };
        let (first, end) = (marks.first.load(Ordering::Acquire), marks.end.load(Ordering::Acquire));
        // A publisher that was cut off sent no later packet that could mark the end.
        let end = if end == UNMARKED { marks.next.load(Ordering::Acquire) } else { end };
        if first == UNMARKED { 0 } else { end.saturating_sub(first) }
    }

    /// Packets that all publishers have sent so far.
    pub fn sent_in_all(&self) -> u64 {
        self.streams.iter().map(|m| m.next.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_packets_between_the_marks_count() {
        let board = Board::new(1);
        let audio = stream(0, MediaKind::Audio);
        assert!(board.may_send(audio, 10) && !board.counts(audio, 10));
        assert_eq!(board.offered(audio), 0);
        board.set_phase(Phase::Count);
        assert!(!board.counts(audio, 12), "nothing counts before the publisher has marked it");
        assert!(board.may_send(audio, 12) && board.may_send(audio, 13));
        board.sent(audio, 14);
        assert_eq!((board.counts(audio, 11), board.counts(audio, 12), board.counts(audio, 13)), (false, true, true));
        assert_eq!(board.offered(audio), 2);
        board.set_phase(Phase::Tail);
        assert!(board.may_send(audio, 14) && board.may_send(audio, 15));
        board.sent(audio, 16);
        assert_eq!((board.counts(audio, 13), board.counts(audio, 14), board.offered(audio)), (true, false, 2));
        board.set_phase(Phase::Stop);
        assert!(!board.may_send(audio, 16));
    }

    #[test]
    fn a_publisher_that_is_cut_off_has_offered_what_it_sent() {
        let board = Board::new(2);
        let video = stream(1, MediaKind::Video);
        board.set_phase(Phase::Count);
        board.may_send(video, 5);
        board.sent(video, 9);
        board.set_phase(Phase::Stop);
        assert_eq!((board.offered(video), board.offered(stream(0, MediaKind::Video)), board.offered(99)), (4, 0, 0));
        assert_eq!(kind_of(video), MediaKind::Video);
    }
}
