//! A published track: one encoding, its cache, and what its publisher is asked for.

use super::cache::{Cache, CacheSize};
use super::key_frame::KeyFrames;
use super::level::SpeechLevel;
use crate::base::{BitSet, Ntp, Time, TrackId, WorkerId};
use crate::contract::{MediaKind, ReceivePlan};
use crate::media::route::relay::{Export, Import};

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
    /// Whether a packet has come.
    pub started: bool,
    /// The SSRC that feeds it.
    pub ssrc: Option<u32>,
    /// Rises when another SSRC feeds it, after a gap too large to repair, and when it is muted or not: subscribers begin anew.
    pub generation: u32,
    /// Its recent packets.
    pub cache: Cache,
    /// Subscribers, by their index in the room.
    pub subscribers: BitSet,
    /// Its key frames, wanted and asked for.
    pub keys: KeyFrames,
    /// How loud it is.
    pub level: SpeechLevel,
    /// Its publisher's line of NTP against RTP, from sender reports.
    pub clock: Option<ClockLine>,
    /// What [`Self::captured_at`] needs to turn that line into our time.
    pub clock_offset: Option<i64>,
    /// Other workers that have subscribers for it.
    pub exports: Vec<Export>,
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
    /// A track that has not begun.
    pub fn new(id: TrackId, publisher: usize, mline: u8, kind: MediaKind) -> Self {
        let size = if kind == MediaKind::Audio { CacheSize::AUDIO } else { CacheSize::VIDEO };
        Self {
            id,
            publisher,
            mline,
            kind,
            muted: false,
            started: false,
            ssrc: None,
            generation: 0,
            cache: Cache::new(size),
            subscribers: BitSet::default(),
            keys: KeyFrames::default(),
            level: SpeechLevel::default(),
            clock: None,
            clock_offset: None,
            exports: Vec::new(),
            import: None,
        }
    }

    /// A track that is published on another worker.
    pub fn imported(id: TrackId, from: WorkerId, source: ReceivePlan) -> Self {
        let track = Self::new(id, ELSEWHERE, source.mline, source.kind);
        Self { import: Some(Box::new((Import::new(from), source))), ..track }
    }

    /// Packets come from `ssrc` now; another one than before is a new generation.
    pub fn fed_by(&mut self, ssrc: u32) {
        if self.ssrc == Some(ssrc) {
            return;
        }
        if self.ssrc.is_some() {
            self.generation = self.generation.wrapping_add(1);
            self.cache.clear();
            self.clock = None;
        }
        self.ssrc = Some(ssrc);
    }

    /// When its publisher is to be asked for a key frame, if one is wanted and there is somebody to ask.
    pub fn next_ask(&self) -> Option<Time> {
        self.keys.next_ask().filter(|_| self.import.is_some() || self.ssrc.is_some() && !self.muted)
    }

    /// When a timestamp was captured, in our time. `wall_now` is our wall clock at `now`.
    ///
    /// Before the publisher's first sender report, and wherever its clock makes no sense, that is `now`.
    pub fn captured_at(&self, now: Time, wall_now: Ntp, timestamp: u32) -> Time {
        let (Some(line), Some(offset)) = (self.clock, self.clock_offset) else { return now };
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
    fn another_ssrc_is_a_new_generation() {
        let mut track = Track::new(TrackId(1), 0, 0, MediaKind::Video);
        track.fed_by(1);
        track.fed_by(1);
        assert_eq!(track.generation, 0);
        track.fed_by(2);
        assert_eq!(track.generation, 1);
    }

    #[test]
    fn a_publisher_whose_clock_makes_no_sense_is_taken_at_arrival() {
        let mut track = Track::new(TrackId(1), 0, 0, MediaKind::Video);
        let wall = Ntp::from_unix(std::time::Duration::from_secs(1_000));
        let now = Time::from_millis(10_000);
        assert_eq!(track.captured_at(now, wall, 0), now);
        track.clock = Some(ClockLine { ntp: wall, timestamp: 0, clock_rate: 90_000 });
        track.clock_offset = Some(0);
        assert_eq!(track.captured_at(now, wall.plus_micros(100_000), 0), Time::from_millis(9_900));
        assert_eq!(track.captured_at(now, wall.plus_micros(-50_000), 0), now, "in the future");
        assert_eq!(track.captured_at(now, wall.plus_micros(5_000_000), 0), now, "too long ago");
    }
}
