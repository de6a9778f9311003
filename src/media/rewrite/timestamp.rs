//! Timestamps that go on without a seam when a slot is pointed at another source.

use crate::base::Time;
use crate::base::seq::timestamp_after;

/// Maps a source's RTP timestamps to a slot's by adding a constant, modulo 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampMap {
    offset: u32,
}

impl TimestampMap {
    /// From now on `in_ts` becomes `out_ts`.
    pub fn start(&mut self, in_ts: u32, out_ts: u32) {
        self.offset = out_ts.wrapping_sub(in_ts);
    }

    /// The slot's timestamp for a source's.
    pub const fn map(&self, in_ts: u32) -> u32 {
        in_ts.wrapping_add(self.offset)
    }

    /// What is added: a sender report's timestamp moves by the same.
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// Begins with another video source and returns the timestamp that `in_ts` becomes: the wall clock's, but always after the
    /// last one sent.
    pub fn video_switch(&mut self, in_ts: u32, wall_ts: u32, last_out: u32) -> u32 {
        let out = if timestamp_after(wall_ts, last_out) { wall_ts } else { last_out.wrapping_add(1) };
        self.start(in_ts, out);
        out
    }

    /// Begins with another audio source and returns the timestamp that `in_ts` becomes: the point nearest to the wall clock on
    /// the grid of frames (of `frame` samples) that the last one sent lies on, at least one frame after it.
    ///
    /// Off the grid, or far from the wall clock, a receiver conceals several times as much as on it.
    pub fn audio_switch(&mut self, in_ts: u32, wall_ts: u32, last_out: u32, frame: u32) -> u32 {
        let frame = frame.max(1);
        let ahead = wall_ts.wrapping_sub(last_out).cast_signed().max(0).cast_unsigned();
        let frames = ahead.wrapping_add(frame / 2).checked_div(frame).unwrap_or(1).max(1);
        let out = last_out.wrapping_add(frames.wrapping_mul(frame));
        self.start(in_ts, out);
        out
    }
}

/// The one line that ties a slot's timestamps to the clock: sender reports are read off it, and switches aim at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallMap {
    /// A moment.
    pub base: Time,
    /// The timestamp at that moment.
    pub base_ts: u32,
    /// Units a second, in Hz.
    pub clock_rate: u32,
}

impl WallMap {
    /// The timestamp at a moment (before or after the base), rounded down.
    pub fn at(&self, now: Time) -> u32 {
        let micros = i128::from(now.as_micros()).wrapping_sub(i128::from(self.base.as_micros()));
        let units = micros.wrapping_mul(i128::from(self.clock_rate)).div_euclid(1_000_000);
        self.base_ts.wrapping_add(units as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_started_map_adds_a_constant_around_the_wrap() {
        let mut map = TimestampMap::default();
        map.start(100, u32::MAX);
        assert_eq!((map.map(100), map.map(101), map.map(99)), (u32::MAX, 0, u32::MAX - 1));
        assert_eq!(map.offset(), u32::MAX - 100);
    }

    #[test]
    fn a_video_switch_takes_the_wall_clock_when_it_is_ahead() {
        let mut map = TimestampMap::default();
        assert_eq!(map.video_switch(5, 9_000, 3_000), 9_000);
        assert_eq!(map.map(3_005), 12_000);
    }

    #[test]
    fn a_video_switch_never_goes_back() {
        let mut map = TimestampMap::default();
        assert_eq!(map.video_switch(5, 2_999, 3_000), 3_001);
        assert_eq!(map.video_switch(5, 3_000, 3_000), 3_001);
        assert_eq!(map.video_switch(5, 10, u32::MAX), 10);
        assert_eq!(map.video_switch(5, u32::MAX, u32::MAX), 0);
    }

    #[test]
    fn an_audio_switch_stays_on_the_grid() {
        let mut map = TimestampMap::default();
        for (wall, frames) in [(0, 1), (-50_000, 1), (960, 1), (1_439, 1), (1_440, 2), (2_000, 2), (48_000, 50)] {
            let out = map.audio_switch(77, 10_000_u32.wrapping_add_signed(wall), 10_000, 960);
            assert_eq!(out, 10_000 + frames * 960, "{wall}");
            assert_eq!(map.map(77), out);
        }
        assert_eq!(map.audio_switch(0, 100, 100, 0), 101, "a frame of no samples counts as one");
    }

    #[test]
    fn the_wall_line_runs_both_ways_from_its_base() {
        let wall = WallMap { base: Time::from_millis(10_000), base_ts: 90, clock_rate: 90_000 };
        assert_eq!(wall.at(Time::from_millis(10_000)), 90);
        assert_eq!(wall.at(Time::from_millis(11_000)), 90_090);
        assert_eq!(wall.at(Time::from_millis(9_999)), 0);
        assert_eq!(wall.at(Time::from_millis(9_998)), 90_u32.wrapping_sub(180));
    }

    proptest! {
        #[test]
        fn video_always_moves_ahead((in_ts, wall, last) in any::<(u32, u32, u32)>()) {
            let mut map = TimestampMap::default();
            let out = map.video_switch(in_ts, wall, last);
            prop_assert!(timestamp_after(out, last));
            prop_assert_eq!(map.map(in_ts), out);
        }

        #[test]
        fn audio_moves_ahead_by_whole_frames_to_within_half_a_frame((in_ts, last) in any::<(u32, u32)>(), ahead in -100_000i32..10_000_000, frame in 120u32..5_761) {
            let mut map = TimestampMap::default();
            let wall = last.wrapping_add_signed(ahead);
            let out = map.audio_switch(in_ts, wall, last, frame);
            let moved = out.wrapping_sub(last);
            prop_assert!(moved >= frame && moved % frame == 0);
            prop_assert!(moved == frame || (i64::from(moved) - i64::from(ahead)).unsigned_abs() * 2 <= u64::from(frame));
        }

        #[test]
        fn the_wall_line_neither_drifts_nor_jumps(base in any::<u32>(), base_ts in any::<u32>(), hours in 0u64..100_000) {
            let wall = WallMap { base: Time::from_micros(base.into()), base_ts, clock_rate: 48_000 };
            let now = u64::from(base) + hours * 3_600_000_000;
            prop_assert_eq!(wall.at(Time::from_micros(now)), base_ts.wrapping_add((hours * 3_600 * 48_000) as u32));
            prop_assert!(wall.at(Time::from_micros(now + 20_000)).wrapping_sub(wall.at(Time::from_micros(now))) == 960);
        }
    }
}
