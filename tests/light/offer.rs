//! Chromium's offer, as its page makes it, with other credentials and any number of slot pairs.

use althing::wire::{PublishLine, Source};

/// Two sending m-lines and four pairs of receiving ones, 29 KB.
const CHROMIUM: &str = include_str!("../sdp/offers/chromium-join.sdp");

/// The SSRCs of the sending m-lines in Chromium's offer.
pub const AUDIO_SSRC: u32 = 1_360_987_107;
/// Of the video.
pub const VIDEO_SSRC: u32 = 2_789_191_533;

/// The offer; `fingerprint` is the SHA-256 of our certificate.
pub fn offer(ufrag: &str, pwd: &str, fingerprint: &str, pairs: u32, version: u32) -> String {
    let (session, sections) = CHROMIUM.split_once("\r\nm=").expect("it has m-lines");
    let sections: Vec<&str> = sections.split("\r\nm=").map(|s| s.trim_end()).collect();
    let (sending, receiving) = sections.split_at(2);
    let pairs = (0..pairs as usize).flat_map(|_| [receiving[0], receiving[1]]);
    let sections: Vec<&str> = sending.iter().copied().chain(pairs).collect();
    let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push_str("\r\n");
    };
    for known in session.lines() {
        match known {
            _ if known.starts_with("a=group:BUNDLE") => line(&format!("a=group:BUNDLE {}", mids.join(" "))),
            _ if known.starts_with("o=") => line(&format!("o=- 7889628166628980364 {} IN IP4 127.0.0.1", version + 2)),
            _ => line(known),
        }
    }
    for (mid, section) in sections.iter().enumerate() {
        for (at, known) in section.lines().enumerate() {
            match known.split_once(':') {
                _ if at == 0 => line(&format!("m={known}")),
                // It does not say what it receives, and so must not promise it.
                _ if mid >= 2 && (known.ends_with(" transport-cc") || known.ends_with(" goog-remb")) => {}
                Some(("a=mid", _)) => line(&format!("a=mid:{mid}")),
                Some(("a=ice-ufrag", _)) => line(&format!("a=ice-ufrag:{ufrag}")),
                Some(("a=ice-pwd", _)) => line(&format!("a=ice-pwd:{pwd}")),
                Some(("a=fingerprint", _)) => line(&format!("a=fingerprint:sha-256 {fingerprint}")),
                _ => line(known),
            }
        }
    }
    text
}

/// What its sending m-lines carry.
pub fn publish() -> Vec<PublishLine> {
    [("0", Source::Microphone), ("1", Source::Camera)]
        .map(|(mid, source)| PublishLine { mid: mid.into(), source, muted: false, fallback: false })
        .into()
}
