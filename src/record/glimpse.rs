//! One key frame of a track, for a picture of it: a tap that ends with the first one. Beside a recording it looks at what that takes.

use std::time::Duration;

use tokio::sync::oneshot;

use super::file::{Container, Picture, Writer};
use super::leg::Leg;
use crate::base::{RoomId, Time, TrackId};
use crate::contract::Tapped;

/// Whoever asked is told that there is none after so long: a publisher that is asked each second has answered by then, or will not.
pub const PATIENCE: Duration = Duration::from_secs(6);
/// How long a picture is that stands alone in a file, in microseconds: any length is as good.
const SHOWN: i64 = 40_000;

/// A key frame in a file of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyFrame {
    /// What kind of file.
    pub container: Container,
    /// Its bytes.
    pub file: Vec<u8>,
}

/// A look at a track that has not seen anything yet.
pub struct Glimpse {
    leg: Leg,
    /// The room.
    pub room: RoomId,
    /// The track.
    pub track: TrackId,
    until: Time,
    answer: Option<oneshot::Sender<KeyFrame>>,
}

impl Glimpse {
    /// Begins to look.
    pub fn new(now: Time, room: RoomId, track: TrackId, answer: oneshot::Sender<KeyFrame>) -> Self {
        let floor = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        // What is captured before somebody asked is nobody's to keep. A leg leaves out all pictures before a key frame.
        let leg = Leg::new(false, floor, PATIENCE, now);
        Self { leg, room, track, until: now + PATIENCE, answer: Some(answer) }
    }

    /// Takes something that a worker has copied of its track.
    pub fn take(&mut self, now: Time, tapped: Tapped<'_>) {
        match tapped {
            Tapped::Packet(packet, payload) => self.leg.packet(now, packet, payload),
            Tapped::Skipped(place) => self.leg.skipped(now, place),
            Tapped::Clock(clock) => self.leg.clock(clock),
        }
        while let Some(frame) = self.leg.next_frame() {
            if frame.key
                && let Some(answer) = self.answer.take()
            {
                let picture = Picture::of(&frame);
                let (mut writer, mut file) = Writer::new(Some(&picture), false);
                writer.picture(0, true, &frame.data);
                writer.finish(SHOWN);
                file.extend(writer.cut().into_iter().flat_map(|piece| piece.bytes));
                // Whoever asked may be gone.
                let _ = answer.send(KeyFrame { container: Container::of(Some(frame.codec)), file });
            }
        }
    }

    /// Whether a key frame is to be asked for now.
    pub fn wishes(&mut self, now: Time) -> bool {
        self.leg.drain(now);
        self.leg.wishes_key_frame(now)
    }

    /// Whether it has seen something, or nobody waits for it any more.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.until || self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bytes::Bytes;
    use rtc_rtp::codec::{h264::H264Payloader, vp8::Vp8Payloader};
    use rtc_rtp::packetizer::Payloader;

    use super::*;
    use crate::base::TapId;
    use crate::contract::{TapCodec, TapPacket, TapPlace};

    fn ffmpeg(args: &[&str]) -> Vec<u8> {
        let picture = ["-v", "error", "-f", "lavfi", "-i", "color=c=red:s=640x360", "-frames:v", "1", "-pix_fmt", "yuv420p"];
        let output = Command::new("ffmpeg").args(picture).args(args).arg("pipe:1").output().expect("the tests need ffmpeg");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn show(glimpse: &mut Glimpse, codec: TapCodec, packets: &[Bytes], key: bool, (first, timestamp): (u64, u32)) {
        for (n, payload) in (0..).zip(packets) {
            let place = TapPlace { tap: TapId(1), encoding: 0, generation: 1, sequence: first + n };
            let (marker, starts_key_frame) = (n + 1 == packets.len() as u64, key && n == 0);
            let packet = TapPacket { place, timestamp, arrived: Time::from_millis(1_010), codec, marker, starts_key_frame };
            glimpse.take(Time::from_millis(1_010), Tapped::Packet(packet, payload));
        }
    }

    fn seen(codec: TapCodec, packets: &[Bytes]) -> KeyFrame {
        let (answer, mut seen) = oneshot::channel();
        let mut glimpse = Glimpse::new(Time::from_millis(1_000), RoomId(1), TrackId(1), answer);
        // Of a picture that nothing is known of before, there is nothing to see.
        show(&mut glimpse, codec, packets, false, (1, 3_000));
        assert!(seen.try_recv().is_err() && !glimpse.is_over(Time::from_millis(1_100)));
        assert!(!glimpse.wishes(Time::from_millis(1_900)) && glimpse.wishes(Time::from_millis(2_000)), "it is asked for each second");
        show(&mut glimpse, codec, packets, true, (1 + packets.len() as u64, 6_000));
        assert!(glimpse.is_over(Time::from_millis(1_100)));
        seen.try_recv().expect("a key frame")
    }

    /// Decoded to one point, of a file of this kind: red, green, blue.
    fn point(key_frame: &KeyFrame) -> Vec<u8> {
        let place = std::env::temp_dir().join(format!("althing-glimpse-{}.{}", std::process::id(), key_frame.container.extension()));
        std::fs::write(&place, &key_frame.file).expect("written");
        let decoded = Command::new("ffmpeg")
            .args(["-v", "error", "-i", &place.display().to_string(), "-vf", "scale=1:1", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"])
            .output()
            .expect("the tests need ffmpeg");
        std::fs::remove_file(place).expect("removed");
        assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
        decoded.stdout
    }

    #[test]
    fn the_first_key_frame_is_given_out_as_a_file_that_can_be_decoded() {
        let ivf = ffmpeg(&["-c:v", "libvpx", "-f", "ivf"]);
        // A head of 32 bytes, and one of 12 before the picture.
        let vp8 = Vp8Payloader::default().payload(1_200, &Bytes::from(ivf[44..].to_vec())).expect("packets");
        let h264 = ffmpeg(&["-c:v", "libx264", "-profile:v", "baseline", "-f", "h264"]);
        let h264 = H264Payloader::default().payload(1_200, &Bytes::from(h264)).expect("packets");
        for (codec, packets, container) in [(TapCodec::Vp8, vp8, Container::Webm), (TapCodec::H264, h264, Container::Mp4)] {
            let key_frame = seen(codec, &packets);
            assert_eq!(key_frame.container, container);
            let [red, green, blue] = point(&key_frame)[..] else { panic!("one point") };
            assert!(red > 220 && green < 30 && blue < 30, "{codec:?}: {red} {green} {blue}");
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (answer, seen) = oneshot::channel();
        let glimpse = Glimpse::new(Time::from_millis(1_000), RoomId(1), TrackId(1), answer);
        assert!(!glimpse.is_over(Time::from_millis(6_999)) && glimpse.is_over(Time::from_millis(7_000)));
        drop(seen);
        assert!(glimpse.is_over(Time::from_millis(1_001)), "whoever asked is gone");
    }
}
