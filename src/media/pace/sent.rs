//! What was sent to one subscriber under transport-wide numbers, until feedback has told what became of it.
//!
//! A ring of 8 bytes a datagram, indexed by number. It begins with 2 KiB and doubles only when something that is still on its way
//! would be overwritten.

use crate::base::Time;
use crate::base::prefetch::prefetch;

/// Bytes of IPv4 and UDP headers around each datagram: what a link carries beside what we hand to the socket. (IPv6 has 20 more;
/// at 1,200 bytes that is less than the estimate's own error.)
pub const OVERHEAD: usize = 28;

/// Datagrams remembered at first: at 4 Mbit/s more than half a second.
const FIRST: usize = 256;
/// Datagrams remembered at most: 64 KiB, enough for a second at 80 Mbit/s.
const MOST: usize = 8_192;
/// Of those that a report is about, so many are asked for ahead: 24 lines of the cache.
const MOST_FETCHED: usize = 192;
/// What is on its way for longer is given up instead of growing the ring: its receiver sends no feedback.
const GIVE_UP: u64 = 3_000_000;

/// What a datagram was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Media for the first time.
    Media,
    /// Media again, because it was lost.
    Repair,
    /// To find out what the link carries, and for nothing else.
    Probe,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fate {
    /// Nothing is known about this number.
    #[default]
    Unknown,
    /// It is on its way, or the feedback about it was lost.
    Unreported,
    /// Feedback said that it had not arrived. It still may.
    Lost,
    /// It arrived.
    Received,
}

/// One datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its extended number.
    pub number: u64,
    /// When it left.
    pub at: Time,
    /// Its bytes on the wire, with [`OVERHEAD`].
    pub bytes: u32,
    /// What it was sent for.
    pub kind: Kind,
    /// What became of it.
    pub fate: Fate,
    /// How many milliseconds later than the fastest ones it arrived, up to 255.
    pub delay: u8,
}

/// What a feedback's word about one number meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It arrived, and that is new.
    Received {
        /// The datagram, with its fate before.
        sent: Sent,
        /// Whether it was passed over: later numbers had been reported, this one neither received nor lost.
        passed_over: bool,
    },
    /// It has not arrived yet, and that is new.
    Lost(Sent),
    /// That was known.
    Known,
    /// No such number was sent, or it is forgotten.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The low 32 bits of the microseconds: 71 minutes.
    micros: u32,
    /// Bytes, and in the two highest bits the kind.
    bytes_kind: u16,
    fate: Fate,
    delay: u8,
}

const BYTES: u16 = 0x3fff;
const REPAIR: u16 = 0x4000;
const PROBE: u16 = 0x8000;

impl Entry {
    const fn bytes(self) -> u64 {
        (self.bytes_kind & BYTES) as u64
    }

    fn sent(self, now: Time, number: u64) -> Sent {
        let ago = (now.as_micros() as u32).wrapping_sub(self.micros);
        let at = Time::from_micros(now.as_micros().saturating_sub(u64::from(ago)));
        let kind = match self.bytes_kind & !BYTES {
            PROBE => Kind::Probe,
            REPAIR => Kind::Repair,
            _ => Kind::Media,
        };
        Sent { number, at, bytes: self.bytes() as u32, kind, fate: self.fate, delay: self.delay }
    }
}

/// The datagrams sent last.
#[derive(Debug)]
pub struct SentHistory {
    /// A power of two of them.
    entries: Box<[Entry]>,
    /// The extended number that follows the newest.
    next: u64,
    /// Feedback has spoken of numbers up to before this one, or passed over them.
    reported: u64,
    /// Bytes of the numbers from `reported` on.
    on_the_way: u64,
}

impl Default for SentHistory {
    fn default() -> Self {
        Self::new()
    }
}

impl SentHistory {
    /// Nothing has been sent.
    pub fn new() -> Self {
        Self { entries: vec![Entry::default(); FIRST].into_boxed_slice(), next: 0, reported: 0, on_the_way: 0 }
    }

    /// Notes that a datagram of `bytes` (on the wire) left now under this number. Numbers go up; those left out were not used.
    pub fn record(&mut self, now: Time, number: u16, bytes: usize, kind: Kind) {
        if number != self.next as u16 || self.next - self.reported >= self.entries.len() as u64 {
            self.make_room(now, number);
        }
        let kind = match kind {
            Kind::Media => 0,
            Kind::Repair => REPAIR,
            Kind::Probe => PROBE,
        };
        let bytes = bytes.min(usize::from(BYTES)) as u16;
        self.put(self.next, Entry { micros: now.as_micros() as u32, bytes_kind: bytes | kind, fate: Fate::Unreported, delay: 0 });
        self.on_the_way += u64::from(bytes);
        self.next += 1;
    }

    /// Asks for the memory of the place of the next datagram.
    pub fn fetch(&self) {
        if let Some(place) = self.entries.get(self.slot(self.next)) {
            prefetch(place, 1);
        }
    }

    /// Asks for the memory of those that no feedback has spoken of, the first of them if there are many.
    pub fn fetch_reported(&self) {
        let from = self.slot(self.reported);
        let count = usize::try_from(self.next.saturating_sub(self.reported)).unwrap_or(0).min(MOST_FETCHED).min(self.entries.len() - from);
        if let Some(entries) = self.entries.get(from..from + count) {
            prefetch(entries, usize::MAX);
        }
    }

    /// Passes over the numbers before `base` that no feedback has spoken of (it may have been lost), and returns their bytes.
    pub fn pass_over(&mut self, base: u16) -> u64 {
        let before = self.on_the_way;
        if let Some(number) = self.extended(base) {
            self.report_to(number);
        }
        before - self.on_the_way
    }

    /// Notes what a feedback says about one number.
    pub fn report(&mut self, now: Time, number: u16, received: bool) -> News {
        let Some(number) = self.extended(number) else { return News::Unknown };
        let passed_over = number < self.reported;
        self.report_to(number + 1);
        let slot = self.slot(number);
        let Some(entry) = self.entries.get_mut(slot) else { return News::Unknown };
        let sent = entry.sent(now, number);
        match (entry.fate, received) {
            (Fate::Unknown, _) => News::Unknown,
            (Fate::Unreported | Fate::Lost, true) => {
                entry.fate = Fate::Received;
                News::Received { sent, passed_over: passed_over && sent.fate == Fate::Unreported }
            }
            (Fate::Unreported, false) => {
                entry.fate = Fate::Lost;
                News::Lost(sent)
            }
            (Fate::Lost, false) | (Fate::Received, _) => News::Known,
        }
    }

    /// Notes how late the datagram with this extended number arrived, in milliseconds.
    pub fn note_delay(&mut self, number: u64, delay: u8) {
        let slot = self.slot(number);
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.delay = delay;
        }
    }

    /// The datagram with this extended number, unless it is forgotten or was never sent.
    pub fn get(&self, now: Time, number: u64) -> Option<Sent> {
        if number >= self.next || number < self.oldest() {
            return None;
        }
        self.entries.get(self.slot(number)).filter(|entry| entry.fate != Fate::Unknown).map(|entry| entry.sent(now, number))
    }

    /// The lowest extended number that is still remembered.
    pub fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.entries.len() as u64)
    }

    /// The extended number that the next datagram gets.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The lowest extended number that feedback has not reached.
    pub const fn reported(&self) -> u64 {
        self.reported
    }

    /// Bytes sent after the newest number that feedback has spoken of.
    pub const fn on_the_way(&self) -> u64 {
        self.on_the_way
    }

    /// When the oldest of those left.
    pub fn waiting_since(&self, now: Time) -> Option<Time> {
        self.get(now, self.reported).map(|sent| sent.at)
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }

    /// The extended number of one that was sent and may still be remembered.
    fn extended(&self, number: u16) -> Option<u64> {
        let back = match (self.next as u16).wrapping_sub(number) {
            0 => return None,
            back => u64::from(back),
        };
        self.next.checked_sub(back).filter(|number| *number >= self.oldest())
    }

    fn report_to(&mut self, number: u64) {
        while self.reported < number {
            let slot = self.slot(self.reported);
            let bytes = self.entries.get(slot).filter(|entry| entry.fate != Fate::Unknown).map_or(0, |entry| entry.bytes());
            self.on_the_way = self.on_the_way.saturating_sub(bytes);
            self.reported += 1;
        }
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.entries.len() - 1)
    }

    fn put(&mut self, number: u64, entry: Entry) {
        let slot = self.slot(number);
        if let Some(place) = self.entries.get_mut(slot) {
            *place = entry;
        }
    }

    /// Brings `next` to `number`, with a free place for it.
    #[cold]
    fn make_room(&mut self, now: Time, number: u16) {
        if self.next == 0 {
            (self.next, self.reported) = (u64::from(number), u64::from(number));
            return;
        }
        let unused = u64::from(number.wrapping_sub(self.next as u16));
        if unused >= self.entries.len() as u64 {
            self.report_to(self.next);
            self.entries.fill(Entry::default());
            (self.next, self.reported) = (self.next + unused, self.next + unused);
            return;
        }
        for _ in 0..unused {
            self.free(now);
            self.put(self.next, Entry::default());
            self.next += 1;
        }
        self.free(now);
    }

    /// Makes the place of `next` free: by growing while what lies there is young, by giving it up otherwise.
    fn free(&mut self, now: Time) {
        let len = self.entries.len();
        if self.next - self.reported < len as u64 {
            return;
        }
        let young = self.waiting_since(now).is_some_and(|at| now.micros_since(at) < GIVE_UP);
        if len >= MOST || !young {
            return self.report_to(self.reported + 1);
        }
        let mut larger = vec![Entry::default(); len * 2].into_boxed_slice();
        for number in self.oldest()..self.next {
            if let (Some(from), Some(to)) = (self.entries.get(self.slot(number)), larger.get_mut(number as usize & (len * 2 - 1))) {
                *to = *from;
            }
        }
        self.entries = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent_one_a_millisecond(numbers: std::ops::Range<u64>) -> SentHistory {
        let mut history = SentHistory::new();
        for number in numbers {
            history.record(Time::from_millis(number), number as u16, 1_000, Kind::Media);
        }
        history
    }

    fn received(history: &mut SentHistory, now: Time, number: u16) -> Option<u64> {
        match history.report(now, number, true) {
            News::Received { sent, .. } => Some(sent.number),
            _ => None,
        }
    }

    #[test]
    fn an_entry_is_eight_bytes() {
        assert_eq!((size_of::<Entry>(), SentHistory::new().memory()), (8, 2_048));
    }

    #[test]
    fn each_arrival_is_news_once() {
        let mut history = sent_one_a_millisecond(10..20);
        let now = Time::from_millis(50);
        let sent = Sent { number: 12, at: Time::from_millis(12), bytes: 1_000, kind: Kind::Media, fate: Fate::Unreported, delay: 0 };
        assert_eq!(history.report(now, 12, true), News::Received { sent, passed_over: false });
        assert_eq!(history.report(now, 12, true), News::Known);
        assert_eq!(history.report(now, 12, false), News::Known);
        assert_eq!(history.on_the_way(), 7_000);
        assert_eq!(history.waiting_since(now), Some(Time::from_millis(13)));
    }

    #[test]
    fn what_was_reported_lost_may_arrive_and_counts_once() {
        let mut history = sent_one_a_millisecond(10..20);
        let now = Time::from_millis(50);
        assert!(matches!(history.report(now, 11, false), News::Lost(sent) if sent.number == 11));
        assert_eq!(history.report(now, 11, false), News::Known);
        assert!(matches!(history.report(now, 11, true), News::Received { sent: Sent { fate: Fate::Lost, .. }, passed_over: false }));
        assert_eq!(history.report(now, 11, true), News::Known);
    }

    #[test]
    fn what_a_lost_feedback_spoke_of_is_passed_over() {
        let mut history = sent_one_a_millisecond(10..20);
        assert_eq!(history.pass_over(15), 5_000);
        assert_eq!(history.pass_over(15), 0);
        assert_eq!(history.on_the_way(), 5_000);
        assert!(matches!(history.report(Time::from_millis(50), 12, true), News::Received { passed_over: true, .. }));
        assert_eq!(history.on_the_way(), 5_000);
    }

    #[test]
    fn numbers_never_sent_are_unknown() {
        let mut history = sent_one_a_millisecond(10..20);
        let now = Time::from_millis(50);
        assert_eq!([9, 20, 21, 40_000].map(|number| history.report(now, number, true)), [News::Unknown; 4]);
        assert_eq!(history.pass_over(20_000), 0);
        assert_eq!(SentHistory::new().report(now, 0, true), News::Unknown);
    }

    #[test]
    fn numbers_wrap_and_unused_ones_are_unknown() {
        let mut history = sent_one_a_millisecond(65_000..65_536 + 300);
        history.record(Time::from_millis(66_000), 310, 500, Kind::Probe);
        let now = Time::from_millis(66_050);
        assert_eq!(received(&mut history, now, 65_535), Some(65_535));
        assert_eq!(received(&mut history, now, 299), Some(65_536 + 299));
        assert_eq!(history.report(now, 305, true), News::Unknown);
        assert!(matches!(history.report(now, 310, true), News::Received { sent: Sent { kind: Kind::Probe, bytes: 500, .. }, .. }));
        assert_eq!(history.on_the_way(), 0);
    }

    #[test]
    fn the_ring_grows_only_while_feedback_is_awaited() {
        let mut history = SentHistory::new();
        for number in 0..100_000_u64 {
            history.record(Time::from_millis(number), number as u16, 100, Kind::Media);
            if let Some(told) = number.checked_sub(200) {
                assert_eq!(received(&mut history, Time::from_millis(number), told as u16), Some(told));
            }
        }
        assert_eq!(history.memory(), 2_048);
        for number in 100_000..200_000_u64 {
            history.record(Time::from_millis(number), number as u16, 100, Kind::Media);
        }
        assert_eq!(history.memory(), 4_096 * 8, "three seconds are waited for");
        assert_eq!(history.on_the_way(), 4_096 * 100);
    }

    #[test]
    fn a_leap_in_the_numbers_forgets_what_was_on_its_way() {
        let mut history = sent_one_a_millisecond(10..20);
        history.record(Time::from_millis(30), 30_000, 700, Kind::Repair);
        assert_eq!(history.on_the_way(), 700);
        assert_eq!(history.report(Time::from_millis(40), 15, true), News::Unknown);
        assert_eq!(received(&mut history, Time::from_millis(40), 30_000), Some(30_000));
    }

    proptest! {
        #[test]
        fn bytes_on_the_way_are_those_above_the_highest_report(steps in proptest::collection::vec((0u16..4, any::<u16>(), any::<bool>()), 0..2_000)) {
            let mut history = SentHistory::new();
            for (step, (what, number, received)) in (0_u64..).zip(steps) {
                let now = Time::from_millis(step);
                match what {
                    0 => { history.pass_over(number % 4_000); }
                    1 => { history.report(now, number % 4_000, received); }
                    gap => history.record(now, (history.next() as u16).wrapping_add((gap - 2) * (number % 3)), usize::from(number % 1_500), Kind::Media),
                }
                let counted: u64 = (history.reported()..history.next()).filter_map(|n| history.get(now, n)).map(|sent| u64::from(sent.bytes)).sum();
                prop_assert_eq!(history.on_the_way(), counted);
            }
        }
    }
}
