//! Whether a voice speaks, from the levels in its packets (RFC 6464).
//!
//! Encoders other than browsers' often send none (GStreamer, FFmpeg). Such a voice is taken for a quiet speaker while its packets hold sound: whoever
//! says to be louder goes before it, and it goes before silence.

use crate::base::Time;

/// Louder than this (−dBov) is speech. Less misses quiet voices, more takes typing for speech.
const SPEECH: u32 = 50;
/// Speech must last so long to count, in microseconds.
const ATTACK: u64 = 120_000;
/// Silence must last so long to count: pauses between words are shorter.
const RELEASE: u64 = 800_000;
/// A voice whose packets stop coming (mute, DTX) is silent after this.
const STALE: u64 = 1_000_000;

/// A packet that holds sound and says no level counts as this loud, in −dBov: 14 dB less than speech usually is (ITU-T P.56). Less loud and it is
/// heard next to nobody, louder and it takes the place of those who do speak, as it does whether it speaks or not.
const UNSAID: u8 = 40;
/// Payloads of so many bytes hold no sound: an Opus encoder has nothing to say of silence (DTX).
const NO_SOUND: usize = 2;
/// What comes after a pause of so many microseconds does not either: it only refreshes the noise of a silence (each 400 ms), or speech goes on behind
/// it. Longer than a frame may be (120 ms), or all of such a stream would be silence.
const PAUSE: u64 = 200_000;

/// The level of one audio track.
#[derive(Clone, Copy, Debug)]
pub struct SpeechLevel {
    /// Smoothed level in sixteenths of a −dBov.
    smooth_x16: u32,
    speaking: bool,
    /// Since when the level has been on the other side of the threshold.
    turning: Option<Time>,
    heard: Time,
    /// When a packet said a level itself last.
    said: Option<Time>,
}

impl Default for SpeechLevel {
    fn default() -> Self {
        Self { smooth_x16: 127 * 16, speaking: false, turning: None, heard: Time::ZERO, said: None }
    }
}

impl SpeechLevel {
    /// A packet said `level`: −dBov, 0 (loudest) to 127 (silence).
    pub fn heard(&mut self, now: Time, level: u8) {
        self.said = Some(now);
        self.take(now, level);
    }

    /// A packet with so many bytes of sound said no level. Where others do, it says nothing; whether it did.
    pub fn heard_without(&mut self, now: Time, bytes: usize) -> bool {
        if self.said.is_some_and(|said| now.micros_since(said) < STALE) {
            return false;
        }
        let is_sound = bytes > NO_SOUND && now.micros_since(self.heard) < PAUSE;
        self.take(now, if is_sound { UNSAID } else { 127 });
        true
    }

    fn take(&mut self, now: Time, level: u8) {
        let level = u32::from(level.min(127)) * 16;
        // Rising fast (a quarter) and falling slowly (a sixteenth) keeps the loudness of a word, not of its gaps.
        let share = if level < self.smooth_x16 { 4 } else { 16 };
        self.smooth_x16 = (self.smooth_x16 * (share - 1) + level) / share;
        self.heard = now;
        let loud = self.smooth_x16 < SPEECH * 16;
        if loud == self.speaking {
            self.turning = None;
            return;
        }
        let since = *self.turning.get_or_insert(now);
        if now.micros_since(since) >= if loud { ATTACK } else { RELEASE } {
            self.speaking = loud;
            self.turning = None;
        }
    }

    /// The smoothed level in −dBov while it speaks.
    pub fn speaking(&self, now: Time) -> Option<u8> {
        (self.speaking && now.micros_since(self.heard) < STALE).then_some((self.smooth_x16 / 16) as u8)
    }

    /// Whether it is loud now, be it a word or a click: the smoothed level in −dBov if so.
    pub fn loud(&self, now: Time) -> Option<u8> {
        (self.smooth_x16 < SPEECH * 16 && now.micros_since(self.heard) < STALE).then_some((self.smooth_x16 / 16) as u8)
    }

    /// Whether packets have said a level lately: only then may who speaks change.
    pub fn is_heard(&self, now: Time) -> bool {
        now.micros_since(self.heard) < STALE
    }

    /// Silence, at once (the track was muted or has ended).
    pub fn silence(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(level: &mut SpeechLevel, from: u64, to: u64, value: u8) {
        for ms in (from..to).step_by(20) {
            level.heard(Time::from_millis(ms), value);
        }
    }

    #[test]
    fn a_click_is_not_speech_but_a_word_is() {
        let mut level = SpeechLevel::default();
        feed(&mut level, 0, 1_000, 90);
        feed(&mut level, 1_000, 1_040, 10);
        feed(&mut level, 1_040, 2_000, 90);
        assert_eq!(level.speaking(Time::from_millis(2_000)), None);
        feed(&mut level, 2_000, 2_400, 20);
        assert!(level.speaking(Time::from_millis(2_400)).is_some_and(|l| l < 40));
    }

    #[test]
    fn a_pause_between_words_does_not_end_it_but_silence_does() {
        let mut level = SpeechLevel::default();
        feed(&mut level, 0, 600, 20);
        feed(&mut level, 600, 1_000, 100);
        assert!(level.speaking(Time::from_millis(1_000)).is_some());
        feed(&mut level, 1_000, 3_000, 100);
        assert_eq!(level.speaking(Time::from_millis(3_000)), None);
    }

    #[test]
    fn who_says_no_level_is_a_quiet_speaker_while_there_is_sound() {
        let mut level = SpeechLevel::default();
        let feed = |level: &mut SpeechLevel, from: u64, to: u64, every: usize, bytes: usize| {
            (from..to).step_by(every).for_each(|ms| assert!(level.heard_without(Time::from_millis(ms), bytes)));
        };
        feed(&mut level, 1_000, 1_100, 20, 90);
        assert_eq!(level.loud(Time::from_millis(1_100)), None, "a click is none");
        feed(&mut level, 1_100, 3_000, 20, 90);
        let at = Time::from_millis(3_000);
        assert!(level.loud(at).is_some_and(|l| (40..44).contains(&l)) && level.loud(at) == level.speaking(at), "{level:?}");
        // Nothing but the noise of a silence: twice and a half a second, or in each packet.
        for (every, bytes) in [(400, 12), (20, 1)] {
            let mut level = level;
            feed(&mut level, 3_400, 6_000, every, bytes);
            assert_eq!((level.loud(Time::from_millis(6_000)), level.speaking(Time::from_millis(6_000))), (None, None), "{every} ms, {bytes} bytes");
        }
        // Frames may be as long as 120 ms.
        feed(&mut level, 3_000, 6_000, 120, 300);
        assert!(level.speaking(Time::from_millis(6_000)).is_some());
    }

    #[test]
    fn where_levels_are_said_a_packet_without_one_says_nothing() {
        let mut level = SpeechLevel::default();
        for ms in (1_000..3_000).step_by(20) {
            level.heard(Time::from_millis(ms), 127);
            assert!(!level.heard_without(Time::from_millis(ms + 10), 90));
        }
        assert_eq!(level.loud(Time::from_millis(3_000)), None);
        assert!(level.heard_without(Time::from_millis(3_990), 90), "it has stopped saying any");
    }

    #[test]
    fn a_voice_whose_packets_stop_is_silent() {
        let mut level = SpeechLevel::default();
        feed(&mut level, 0, 600, 20);
        assert!(level.speaking(Time::from_millis(600)).is_some());
        assert_eq!(level.speaking(Time::from_millis(1_700)), None);
    }
}
