//! Asking a publisher for key frames: many wishes, few requests.

use std::time::Duration;

use crate::base::Time;

/// Between two requests at least. Less spends the publisher's bitrate on key frames, more keeps newcomers waiting.
const INTERVAL: Duration = Duration::from_millis(300);
/// A request whose key frame has not begun to arrive is repeated after this.
const REPEAT: Duration = Duration::from_millis(600);

/// Whether a key frame is wanted, and when it was asked for.
#[derive(Debug, Default)]
pub struct KeyFrames {
    wanted: bool,
    /// A wish that came after the last request went out: the key frame that is under way may begin too early for it.
    asked_at: Option<Time>,
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
            self.asked_at = Some(now);
        }
        due
    }

    /// When to ask next, if a key frame is wanted.
    pub fn next_ask(&self) -> Option<Time> {
        self.wanted.then(|| self.asked_at.map_or(Time::ZERO, |at| at + INTERVAL))
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
}
