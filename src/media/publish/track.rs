//! A published track: its encodings, and what belongs to all of them.

use super::encoding::Encoding;
use super::level::SpeechLevel;
use crate::base::{BitSet, Ntp, Time, TrackId, WorkerId};
use crate::contract::{MediaKind, ReceivePlan};
use crate::media::route::relay::{Export, Import};
use crate::media::route::tap::Tap;

/// The publisher of an imported track: no index that a room gives.
pub const ELSEWHERE: usize = usize::MAX;

/// A published track.
#[derive(Debug)]
pub struct Track {
    /// Its identity.
    pub id: TrackId,
    /// Its publisher's index in the room; [`ELSEWHERE`] when it is imported.
    pub publisher: usize,
    /// The publisher's m-line.
    pub mline: u8,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// A moderator has stopped it.
    pub muted: bool,
    /// It is a voice, and at present not one of those that are forwarded.
    pub unheard: bool,
    /// It is a voice: only the loudest are forwarded when there are many.
    pub voice: bool,
    /// Whether a packet has come.
    pub started: bool,
    /// Its encodings by their number: 1 to [`crate::contract::MOST_ENCODINGS`].
    pub encodings: Vec<Encoding>,
    /// Subscribers, by their index in the room.
    pub subscribers: BitSet,
    /// How loud it is.
    pub level: SpeechLevel,
    /// What [`Self::captured_at`] needs to turn its encodings' clock lines into our time.
    pub clock_offset: Option<i64>,
    /// The encodings that are being sent, a bit for each, when they were last looked at.
    pub sent: u8,
    /// The encodings that its publisher was told that somebody wants, once it was told.
    pub demand_told: Option<u8>,
    /// When it is told of those that nobody wants any more.
    pub demand_off_at: Option<Time>,
    /// Other workers that have subscribers for it.
    pub exports: Vec<Export>,
    /// The recorder's leg, while it is recorded.
    pub tap: Option<Box<Tap>>,
    /// How it comes from another worker, and its m-line there.
    pub import: Option<Box<(Import, ReceivePlan)>>,
}

/// A point on the line of NTP against RTP time, and its slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLine {
    /// The publisher's NTP time.
    pub ntp: Ntp,
    /// The RTP timestamp of that moment.
    pub timestamp: u32,
    /// Hz.
    pub clock_rate: u32,
}

impl ClockLine {
    /// The RTP timestamp of a moment in the publisher's NTP time.
    pub fn at(&self, ntp: Ntp) -> u32 {
        let ticks = i128::from(ntp.micros_since(self.ntp)) * i128::from(self.clock_rate) / 1_000_000;
        self.timestamp.wrapping_add(ticks as u32)
    }

    /// Microseconds from this point to an RTP timestamp near it; negative before it.
    pub fn micros_to(&self, timestamp: u32) -> i64 {
        let ticks = i64::from(timestamp.wrapping_sub(self.timestamp) as i32);
        ticks * 1_000_000 / i64::from(self.clock_rate.max(1))
    }
}

impl Track {
    /// A track of so many encodings that has not begun.
    pub fn new(id: TrackId, publisher: usize, mline: u8, kind: MediaKind, encodings: usize) -> Self {
        Self {
            id,
            publisher,
            mline,
            kind,
            muted: false,
            unheard: false,
            voice: false,
            started: false,
            encodings: (0..encodings).map(|_| Encoding::new(kind)).collect(),
            subscribers: BitSet::default(),
            level: SpeechLevel::default(),
            clock_offset: None,
            sent: 0,
            demand_told: None,
            demand_off_at: None,
            exports: Vec::new(),
            tap: None,
            import: None,
        }
    }

    /// A track that is published on another worker.
    pub fn imported(id: TrackId, from: WorkerId, source: ReceivePlan) -> Self {
        let track = Self::new(id, ELSEWHERE, source.mline, source.kind, source.encodings());
        Self { import: Some(Box::new((Import::new(from), source))), ..track }
    }

    /// Its m-line was negotiated anew: encodings may have come to it.
    pub fn grow(&mut self, encodings: usize) {
        let kind = self.kind;
        self.encodings.extend((self.encodings.len()..encodings).map(|_| Encoding::new(kind)));
    }

    /// An encoding by its number.
    pub fn encoding(&self, number: u8) -> Option<&Encoding> {
        self.encodings.get(usize::from(number))
    }

    /// An encoding by its number.
    pub fn encoding_mut(&mut self, number: u8) -> Option<&mut Encoding> {
        self.encodings.get_mut(usize::from(number))
    }

    /// When its publisher is to be asked for a key frame, if one is wanted and there is somebody to ask.
    pub fn next_ask(&self) -> Option<Time> {
        let may_ask = |e: &&Encoding| self.import.is_some() || e.ssrc.is_some() && !self.muted;
        self.encodings.iter().filter(may_ask).filter_map(|e| e.keys.next_ask()).min()
    }

    /// Whether anything of it has come.
    pub fn has_begun(&self) -> bool {
        self.encodings.iter().any(|e| e.last_packet != Time::ZERO)
    }

    /// A bit for each encoding that anybody here or elsewhere gets or is to get, a recorder too.
    pub fn wanted(&self) -> u8 {
        let elsewhere = self.exports.iter().fold(0, |wanted, export| wanted | export.wanted);
        self.wanted_here() | elsewhere | self.tapped()
    }

    /// A bit for each encoding that a recorder gets or is to get.
    pub fn tapped(&self) -> u8 {
        self.tap.as_deref().map_or(0, Tap::encodings)
    }

    /// A bit for each encoding that anybody here gets or is to get.
    pub fn wanted_here(&self) -> u8 {
        (0..).zip(&self.encodings).filter(|(_, e)| !e.receivers.is_empty()).fold(0, |wanted, (n, _)| wanted | 1 << n)
    }

    /// Whether an encoding is being sent.
    pub fn is_sent(&self, now: Time, number: u8) -> bool {
        // What nobody wants is switched off, which says nothing of the way.
        let others = (0..).zip(&self.encodings).filter(|(n, e)| *n != number && e.wanted_since != Time::ZERO);
        let others = others.map(|(_, e)| e.last_packet).max().unwrap_or(Time::ZERO);
        self.encoding(number).is_some_and(|e| e.is_sent(now, others))
    }

    /// When a timestamp was captured, in our time. `wall_now` is our wall clock at `now`.
    ///
    /// Before the publisher's first sender report, and wherever its clock makes no sense, that is `now`.
    pub fn captured_at(&self, now: Time, wall_now: Ntp, encoding: u8, timestamp: u32) -> Time {
        let clock = self.encoding(encoding).and_then(|e| e.clock);
        let (Some(line), Some(offset)) = (clock, self.clock_offset) else { return now };
        let captured = line.ntp.plus_micros(line.micros_to(timestamp)).plus_micros(offset);
        let age = wall_now.micros_since(captured);
        if !(0..2_000_000).contains(&age) {
            return now;
        }
        Time::from_micros(now.as_micros().saturating_sub(age as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_line_goes_both_ways_over_a_wrap() {
        let line = ClockLine { ntp: Ntp::from_unix(std::time::Duration::from_secs(1_000)), timestamp: u32::MAX - 100, clock_rate: 90_000 };
        assert_eq!(line.at(line.ntp.plus_micros(10_000)), 799);
        assert_eq!(line.micros_to(799), 10_000);
        assert_eq!(line.at(line.ntp.plus_micros(-10_000)), u32::MAX - 1_000);
    }

    #[test]
    fn a_publisher_whose_clock_makes_no_sense_is_taken_at_arrival() {
        let mut track = Track::new(TrackId(1), 0, 0, MediaKind::Video, 1);
        let wall = Ntp::from_unix(std::time::Duration::from_secs(1_000));
        let now = Time::from_millis(10_000);
        assert_eq!(track.captured_at(now, wall, 0, 0), now);
        track.encodings[0].clock = Some(ClockLine { ntp: wall, timestamp: 0, clock_rate: 90_000 });
        track.clock_offset = Some(0);
        assert_eq!(track.captured_at(now, wall.plus_micros(100_000), 0, 0), Time::from_millis(9_900));
        assert_eq!(track.captured_at(now, wall.plus_micros(-50_000), 0, 0), now, "in the future");
        assert_eq!(track.captured_at(now, wall.plus_micros(5_000_000), 0, 0), now, "too long ago");
    }
}
