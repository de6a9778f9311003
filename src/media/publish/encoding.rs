//! One encoding of a published track: its stream, its cache, what its publisher is asked for.
//!
//! A track without simulcast has one; the encodings of a simulcast are streams of their own, with numbers and clocks of their own.

use std::time::Duration;

use super::cache::{Cache, CacheSize};
use super::key_frame::KeyFrames;
use super::rate::LayerRates;
use super::track::ClockLine;
use crate::base::seq::timestamp_after;
use crate::base::{BitSet, Time};
use crate::contract::MediaKind;
use crate::media::packet::dependency::Structure;
use crate::media::select::Ways;

/// An encoding that pauses for longer than this, while a smaller one goes on, is not sent any more. Less takes the pauses of a slow
/// encoder for an end, more lets a picture stand still for so long.
const SILENT_AFTER: Duration = Duration::from_millis(300);
/// Alone it may pause for longer: a shared screen on which nothing moves.
const ENDED_AFTER: Duration = Duration::from_secs(3);

/// An encoding of a track.
#[derive(Debug)]
pub struct Encoding {
    /// The SSRC that feeds it.
    pub ssrc: Option<u32>,
    /// Rises when another SSRC feeds it, after a gap too large to repair, and when the track is muted or not: subscribers begin anew.
    pub generation: u32,
    /// Its recent packets.
    pub cache: Cache,
    /// Subscribers that get it or are to get it, by their index in the room.
    pub receivers: BitSet,
    /// Its key frames, wanted and asked for.
    pub keys: KeyFrames,
    /// Its line of NTP against RTP, from sender reports.
    pub clock: Option<ClockLine>,
    /// What its layers take.
    pub rates: LayerRates,
    /// The codec of its last packet, by its place in the publisher's plan.
    pub codec: Option<u8>,
    /// Width and height in pixels, from its last key frame.
    pub size: Option<(u16, u16)>,
    /// What its dependency descriptors refer to, from its last key frame.
    pub structure: Option<Box<Structure>>,
    /// When its last packet came.
    pub last_packet: Time,
    /// The timestamp of its last picture and when that came, and how far pictures lie apart.
    picture: (u32, Time),
    /// The timestamp of its last key frame.
    pub(super) key_picture: Option<u32>,
    /// Whether packets have come whose structure has not.
    pub(super) has_unread: bool,
    apart: Duration,
    /// Since when somebody has wanted it; [`Time::ZERO`] while nobody does.
    pub wanted_since: Time,
}

impl Encoding {
    /// A subscriber gets nothing more of it. Where nobody is left nobody waits for its key frame: others ask for themselves.
    pub fn lose_receiver(&mut self, subscriber: usize) {
        self.receivers.remove(subscriber);
        if self.receivers.is_empty() {
            self.keys.began();
        }
    }

    /// One that has not begun.
    pub fn new(kind: MediaKind) -> Self {
        let size = if kind == MediaKind::Audio { CacheSize::AUDIO } else { CacheSize::VIDEO };
        Self {
            ssrc: None,
            generation: 0,
            cache: Cache::new(size),
            receivers: BitSet::default(),
            keys: KeyFrames::default(),
            clock: None,
            rates: LayerRates::default(),
            codec: None,
            size: None,
            structure: None,
            last_packet: Time::ZERO,
            picture: (0, Time::ZERO),
            key_picture: None,
            has_unread: false,
            apart: Duration::ZERO,
            wanted_since: Time::ZERO,
        }
    }

    /// Packets come from `ssrc` now; another one than before is a new generation.
    pub fn fed_by(&mut self, ssrc: u32) {
        if self.ssrc == Some(ssrc) {
            return;
        }
        if self.ssrc.is_some() {
            self.begin_anew();
            self.cache.clear();
            self.clock = None;
            // Its clock begins anywhere: pictures of the one before would be taken for newer ones, for hours.
            (self.picture, self.apart) = ((0, Time::ZERO), Duration::ZERO);
        }
        self.ssrc = Some(ssrc);
    }

    /// A packet of it has come; whether none had for a while.
    pub fn came(&mut self, now: Time) -> bool {
        let resumed = now.since(self.last_packet) > SILENT_AFTER;
        self.last_packet = now;
        self.keys.came(now, resumed);
        resumed
    }

    /// What comes next has nothing to do with what came before.
    pub const fn begin_anew(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// How one gets from layer to layer.
    pub fn ways(&self) -> Ways<'_> {
        Ways(self.structure.as_deref())
    }

    /// A key frame of it has begun, or another size within one.
    pub(super) fn key_frame_began(&mut self, now: Time, timestamp: u32) {
        if self.key_picture.replace(timestamp) != Some(timestamp) {
            self.rates.key_frame(now);
        }
    }

    /// A picture of it has begun: how far pictures lie apart is what a silence is judged by.
    pub fn picture_began(&mut self, now: Time, timestamp: u32) {
        if timestamp_after(timestamp, self.picture.0) || self.picture.1 == Time::ZERO {
            let passed = now.since(self.picture.1).min(ENDED_AFTER);
            self.apart = if self.picture.1 == Time::ZERO { Duration::ZERO } else { (self.apart * 7 + passed) / 8 };
            self.picture = (timestamp, now);
        }
    }

    /// Whether it is being sent: something came lately, or `others`, the last packet of the track's other encodings that are wanted,
    /// paused too.
    pub fn is_sent(&self, now: Time, others: Time) -> bool {
        let silence = now.since(self.last_packet);
        // Alone, or after the others have ended, it has nothing to be held against but its own pace.
        let alone = others == Time::ZERO || self.last_packet.since(others) > SILENT_AFTER || now.since(others) > ENDED_AFTER;
        let usual = if alone { (self.apart * 6).clamp(SILENT_AFTER, ENDED_AFTER) } else { ENDED_AFTER };
        self.last_packet != Time::ZERO && (silence < SILENT_AFTER || others.since(self.last_packet) < SILENT_AFTER && silence < usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_ssrc_is_a_new_generation() {
        let mut encoding = Encoding::new(MediaKind::Video);
        encoding.fed_by(1);
        encoding.fed_by(1);
        assert_eq!(encoding.generation, 0);
        encoding.fed_by(2);
        assert_eq!(encoding.generation, 1);
    }

    #[test]
    fn how_far_pictures_lie_apart_is_learnt_anew_of_another_ssrc() {
        let mut encoding = Encoding::new(MediaKind::Video);
        encoding.fed_by(1);
        for n in 0..100 {
            encoding.picture_began(Time::from_millis(n * 33), 3_000_000_000 + n as u32 * 3_000);
        }
        // A slow screen, whose clock begins before that of the one before it.
        encoding.fed_by(2);
        for n in 0..10 {
            encoding.last_packet = Time::from_millis(4_000 + n * 1_000);
            encoding.picture_began(encoding.last_packet, 1_000_000_000 + n as u32 * 90_000);
        }
        assert!(encoding.is_sent(Time::from_millis(13_900), Time::ZERO));
    }

    #[test]
    fn one_that_stops_while_others_go_on_is_not_sent_any_more_and_one_that_pauses_with_all_others_is() {
        let at = Time::from_millis;
        let mut encoding = Encoding::new(MediaKind::Video);
        assert!(!encoding.is_sent(at(10), Time::ZERO), "it has not begun");
        encoding.last_packet = at(1_000);
        assert!(encoding.is_sent(at(1_200), at(1_200)));
        assert!(!encoding.is_sent(at(1_400), at(1_390)));
        assert!(encoding.is_sent(at(3_000), at(1_010)), "nothing moves");
        assert!(!encoding.is_sent(at(5_000), at(1_010)));
        assert!(!encoding.is_sent(at(1_400), at(600)), "the others had ended before");
    }
}
