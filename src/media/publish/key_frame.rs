//! Asking a publisher for key frames: many wishes, few requests.

use std::time::Duration;

use crate::base::Time;

/// Between two requests at least. Less spends the publisher's bitrate on key frames, more keeps newcomers waiting.
const INTERVAL: Duration = Duration::from_millis(300);
/// A request whose key frame has not begun to arrive is repeated after this.
const REPEAT: Duration = Duration::from_millis(600);

/// So many requests are sent at that pace to a publisher of which nothing comes; each further one after twice as long. More asks for what it keeps back,
/// fewer finds out later that requests were lost.
const PATIENT: u8 = 3;
/// So often the time between them doubles at most: to 4.8 s. When something comes again it is asked for in any case.
const DOUBLINGS: u8 = 4;
/// What comes again after a silence begins with a key frame, mostly: only if it has not done so within this is it asked for.
const RESUMED: Duration = Duration::from_millis(50);

/// Whether a key frame is wanted, and when it may be asked for.
#[derive(Debug, Default)]
pub struct KeyFrames {
    wanted: bool,
    /// Not before. A wish that comes after a request went out waits for it too: the key frame that is under way may begin too early for it.
    next: Time,
    /// Requests since anything of the encoding came.
    in_vain: u8,
}

impl KeyFrames {
    /// Somebody needs a key frame.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether anybody waits for one.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// A key frame has begun: everybody who waited has it.
    pub fn began(&mut self) {
        self.wanted = false;
    }

    /// Whether to ask now; if so, the request counts as sent.
    pub fn ask(&mut self, now: Time) -> bool {
        let due = self.next_ask().is_some_and(|at| at <= now);
        if due {
            self.in_vain = self.in_vain.saturating_add(1);
            self.next = now + INTERVAL * (1 << self.in_vain.saturating_sub(PATIENT).min(DOUBLINGS));
        }
        due
    }

    /// Something of the encoding has come, `resumed` after a silence: it is being sent, and requests are worth while.
    pub fn came(&mut self, now: Time, resumed: bool) {
        self.in_vain = 0;
        if resumed {
            self.next = self.next.min(now + RESUMED);
        }
    }

    /// When to ask next, if a key frame is wanted.
    pub fn next_ask(&self) -> Option<Time> {
        self.wanted.then_some(self.next)
    }

    /// The time between repetitions while somebody keeps waiting; the caller calls [`Self::want`] again.
    pub const fn repeat() -> Duration {
        REPEAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_coalesced_and_repeated_until_a_key_frame_begins() {
        let mut keys = KeyFrames::default();
        assert!(!keys.ask(Time::ZERO));
        keys.want();
        keys.want();
        assert!(keys.ask(Time::from_millis(5)));
        assert!(!keys.ask(Time::from_millis(304)), "not again within the interval");
        assert!(keys.ask(Time::from_millis(305)), "still wanted: asked again");
        keys.began();
        assert!(!keys.ask(Time::from_millis(900)));
    }

    /// When it is asked between two moments, in ms.
    fn asked(keys: &mut KeyFrames, from: u64, to: u64) -> Vec<u64> {
        (from..to).filter(|ms| keys.ask(Time::from_millis(*ms))).collect()
    }

    #[test]
    fn what_does_not_come_is_asked_for_less_often_each_time_and_at_once_when_something_comes() {
        let mut keys = KeyFrames::default();
        keys.want();
        assert_eq!(asked(&mut keys, 0, 20_000), [0, 300, 600, 900, 1_500, 2_700, 5_100, 9_900, 14_700, 19_500]);
        keys.came(Time::from_millis(20_000), true);
        assert_eq!(asked(&mut keys, 20_000, 20_900), [20_050, 20_350, 20_650]);
    }

    #[test]
    fn of_what_comes_without_a_key_frame_that_is_asked_for_as_often_as_ever() {
        let mut keys = KeyFrames::default();
        keys.want();
        let mut all = Vec::new();
        for ms in (0..9_000).step_by(30) {
            keys.came(Time::from_millis(ms), false);
            all.extend(asked(&mut keys, ms, ms + 30));
        }
        assert_eq!(all.len(), 30);
    }
}
