//! What a publisher sends, as it is written on the command line.

use std::str::FromStr;
use std::time::Duration;

/// A video of a steady rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VideoShape {
    /// Bits a second, RTP headers included, key frames' extra size excluded.
    pub bitrate: u64,
    /// Frames a second.
    pub frames: u32,
}

impl FromStr for VideoShape {
    type Err = String;

    /// `1500k@30`, `2.5M@25`, `800k` (30 frames a second).
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not RATE@FRAMES, like 1500k@30 or 2.5M@25");
        let (rate, frames) = text.split_once('@').unwrap_or((text, "30"));
        let (number, unit) = match rate.strip_suffix(['k', 'K']) {
            Some(number) => (number, 1e3),
            None => rate.strip_suffix(['m', 'M']).map_or((rate, 1.0), |number| (number, 1e6)),
        };
        let bitrate = number.parse::<f64>().map_err(|_| wrong())? * unit;
        let frames: u32 = frames.parse().map_err(|_| wrong())?;
        if !(10_000.0..=1e9).contains(&bitrate) || !(1..=240).contains(&frames) {
            return Err(format!("`{text}` is out of range: 10k to 1000M, 1 to 240 frames a second"));
        }
        Ok(Self { bitrate: bitrate as u64, frames })
    }
}

impl VideoShape {
    /// From frame to frame.
    pub fn period(&self) -> Duration {
        Duration::from_secs(1) / self.frames
    }

    /// Bytes of a frame, RTP headers included.
    pub fn frame_bytes(&self) -> usize {
        usize::try_from(self.bitrate / 8 / u64::from(self.frames)).unwrap_or(usize::MAX)
    }
}

/// When a publisher talks: 50 packets a second all the time, loud ones while it talks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioPattern {
    /// Talks for so long,
    pub talk: Duration,
    /// then is silent for so long.
    pub silence: Duration,
}

impl FromStr for AudioPattern {
    type Err = String;

    /// `4/12` (seconds of talk and of silence), `always`, `silent`.
    fn from_str(text: &str) -> Result<Self, String> {
        let second = Duration::from_secs(1);
        match text {
            "always" => return Ok(Self { talk: second, silence: Duration::ZERO }),
            "silent" => return Ok(Self { talk: Duration::ZERO, silence: second }),
            _ => {}
        }
        let wrong = || format!("`{text}` is not TALK/SILENCE in seconds, like 4/12, nor `always`, nor `silent`");
        let (talk, silence) = text.split_once('/').ok_or_else(wrong)?;
        let span = |text: &str| text.parse::<f64>().ok().filter(|s| (0.0..=3_600.0).contains(s)).map(Duration::from_secs_f64);
        let (Some(talk), Some(silence)) = (span(talk), span(silence)) else { return Err(wrong()) };
        if talk + silence < Duration::from_millis(100) {
            return Err(wrong());
        }
        Ok(Self { talk, silence })
    }
}

impl AudioPattern {
    /// Whether a publisher talks `since` it began; publishers begin at different places of the pattern, evenly spread.
    pub fn talks(&self, publisher: u32, since: Duration) -> bool {
        let whole = (self.talk + self.silence).as_secs_f64();
        // Multiples of the golden section lie evenly on the circle, however many there are.
        let begin = (f64::from(publisher) * 0.618_033_988_75).fract() * whole;
        (since.as_secs_f64() + begin) % whole < self.talk.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_are_read_with_their_units() {
        let read = |text: &str| text.parse::<VideoShape>().map(|v| (v.bitrate, v.frames)).ok();
        assert_eq!(
            ["1500k@30", "2.5M@25", "800000", "64K@5"].map(read),
            [Some((1_500_000, 30)), Some((2_500_000, 25)), Some((800_000, 30)), Some((64_000, 5))]
        );
        assert!(["", "@", "fast", "1500k@", "1500k@0", "1500k@300", "1k@30", "nan@30", "-1M@30", "9999M@1"].iter().all(|t| read(t).is_none()));
        assert_eq!(VideoShape { bitrate: 1_500_000, frames: 30 }.frame_bytes(), 6_250);
    }

    #[test]
    fn audio_patterns_are_read() {
        let read = |text: &str| text.parse::<AudioPattern>().map(|a| (a.talk.as_secs_f64(), a.silence.as_secs_f64())).ok();
        assert_eq!(["4/12", "0.5/0", "always", "silent"].map(read), [Some((4.0, 12.0)), Some((0.5, 0.0)), Some((1.0, 0.0)), Some((0.0, 1.0))]);
        assert!(["", "4", "/", "4/x", "0/0", "-1/5", "1/9999999"].iter().all(|t| read(t).is_none()));
    }

    #[test]
    fn at_any_moment_a_quarter_of_many_publishers_talks() {
        let pattern: AudioPattern = "4/12".parse().expect("a pattern");
        for seconds in [0, 3, 7, 100] {
            let talking = (0..200).filter(|p| pattern.talks(*p, Duration::from_secs(seconds))).count();
            assert!((45..=55).contains(&talking), "{talking} of 200 at {seconds} s");
        }
        let always: AudioPattern = "always".parse().expect("a pattern");
        let silent: AudioPattern = "silent".parse().expect("a pattern");
        assert!((0..50).all(|n| always.talks(n, Duration::from_millis(u64::from(n) * 77)) && !silent.talks(n, Duration::from_millis(u64::from(n)))));
    }
}
