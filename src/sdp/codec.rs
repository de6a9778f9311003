//! Payload types: which of them Althing forwards, and what an answer says about each.
//!
//! Attributes are kept by payload type until the section has been read whole, because Firefox writes `a=fmtp` and `a=rtcp-fb` before
//! `a=rtpmap`, and feedback for payload types that are not there.

use super::error::{OfferError, malformed};
use crate::contract::plan::H264Profile;
use crate::contract::{Codec, CodecPlan, Feedback};

/// A payload type that we accept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OfferedCodec {
    /// What the packet path needs.
    pub plan: CodecPlan,
    /// The value of `a=fmtp` in the answer; empty for none.
    pub parameters: String,
}

impl OfferedCodec {
    /// The value of `a=rtpmap` after the payload type.
    pub fn encoding(&self) -> &'static str {
        match self.plan.codec {
            Codec::Opus => "opus/48000/2",
            Codec::Red { .. } => "red/48000/2",
            Codec::Vp8 => "VP8/90000",
            Codec::Vp9 { .. } => "VP9/90000",
            Codec::H264 { .. } => "H264/90000",
            Codec::Av1 { .. } => "AV1/90000",
        }
    }
}

/// The attributes of a section that belong to payload types, as they are read.
pub(super) struct PayloadTypes<'a> {
    rtpmap: [Option<&'a str>; 128],
    fmtp: [Option<&'a str>; 128],
    feedback: [Feedback; 128],
    feedback_for_all: Feedback,
}

impl<'a> PayloadTypes<'a> {
    pub fn new() -> Self {
        Self { rtpmap: [None; 128], fmtp: [None; 128], feedback: [Feedback::default(); 128], feedback_for_all: Feedback::default() }
    }

    /// Takes the value of one `a=rtpmap`.
    pub fn rtpmap(&mut self, value: &'a str) -> Result<(), OfferError> {
        let (payload_type, encoding) = split(value).ok_or_else(|| malformed("a=rtpmap without a payload type"))?;
        match self.rtpmap.get_mut(payload_type) {
            Some(Some(before)) if *before != encoding => Err(OfferError::Duplicate { what: "payload type", value: payload_type.to_string() }),
            Some(place) => {
                *place = Some(encoding);
                Ok(())
            }
            None => Err(malformed("a=rtpmap with a payload type over 127")),
        }
    }

    /// Takes the value of one `a=fmtp`; the first for a payload type counts.
    pub fn fmtp(&mut self, value: &'a str) {
        if let Some((payload_type, parameters)) = split(value)
            && let Some(place) = self.fmtp.get_mut(payload_type)
        {
            place.get_or_insert(parameters);
        }
    }

    /// Takes the value of one `a=rtcp-fb`; kinds of feedback that we do not know are left out.
    pub fn rtcp_fb(&mut self, value: &str) {
        let Some((payload_type, kind)) = value.split_once(' ') else { return };
        let feedback = match payload_type {
            "*" => Some(&mut self.feedback_for_all),
            number => number.parse().ok().and_then(|n: usize| self.feedback.get_mut(n)),
        };
        let Some(feedback) = feedback else { return };
        match kind.trim() {
            "nack" => feedback.nack = true,
            "nack pli" => feedback.pli = true,
            "ccm fir" => feedback.fir = true,
            "transport-cc" => feedback.transport_cc = true,
            "goog-remb" => feedback.remb = true,
            _ => {}
        }
    }

    /// The accepted codecs among `formats` (the payload types of the m-line, in its order).
    pub fn bind(&self, formats: &[u8], audio: bool) -> Vec<OfferedCodec> {
        let mut codecs: Vec<_> = formats.iter().filter_map(|&pt| self.media_codec(pt, audio)).collect();
        // A RED whose primary is not an accepted Opus protects nothing that we know.
        let opus: Vec<u8> = codecs.iter().filter(|c| c.plan.codec == Codec::Opus).map(|c| c.plan.payload_type).collect();
        codecs.retain(|c| !matches!(c.plan.codec, Codec::Red { primary } if !opus.contains(&primary)));
        for &pt in formats {
            self.bind_rtx(pt, &mut codecs);
        }
        codecs
    }

    fn media_codec(&self, payload_type: u8, audio: bool) -> Option<OfferedCodec> {
        if !usable_with_rtcp_mux(payload_type) {
            return None;
        }
        let (name, rate) = self.encoding(payload_type)?;
        let fmtp = Parameters(self.fmtp.get(usize::from(payload_type)).copied().flatten().unwrap_or_default());
        let (codec, clock_rate, parameters) = match (audio, name.as_str(), rate) {
            (true, "opus", "48000/2") => (Codec::Opus, 48_000, opus_parameters(&fmtp)),
            (true, "red", "48000/2") => red(&fmtp)?,
            (false, "vp8", "90000") => (Codec::Vp8, 90_000, String::new()),
            (false, "vp9", "90000") => vp9(&fmtp)?,
            (false, "h264", "90000") => h264(&fmtp)?,
            (false, "av1", "90000") => av1(&fmtp)?,
            _ => return None,
        };
        let feedback = self.feedback_of(payload_type);
        Some(OfferedCodec { plan: CodecPlan { payload_type, codec, clock_rate, rtx: None, feedback }, parameters })
    }

    /// Gives `payload_type`, if it is RTX, to the codec that it repairs (RFC 4588 section 8.6).
    fn bind_rtx(&self, payload_type: u8, codecs: &mut [OfferedCodec]) {
        let Some((name, rate)) = self.encoding(payload_type) else { return };
        if name != "rtx" || !usable_with_rtcp_mux(payload_type) {
            return;
        }
        let fmtp = Parameters(self.fmtp.get(usize::from(payload_type)).copied().flatten().unwrap_or_default());
        let Some(apt) = fmtp.number("apt") else { return };
        if let Some(codec) = codecs.iter_mut().find(|c| u32::from(c.plan.payload_type) == apt)
            && rate.parse() == Ok(codec.plan.clock_rate)
        {
            codec.plan.rtx.get_or_insert(payload_type);
        }
    }

    /// The encoding's name in lower case, and its clock rate (with the channels, when there are some).
    fn encoding(&self, payload_type: u8) -> Option<(String, &'a str)> {
        let (name, rate) = self.rtpmap.get(usize::from(payload_type)).copied().flatten()?.trim().split_once('/')?;
        Some((name.to_ascii_lowercase(), rate))
    }

    fn feedback_of(&self, payload_type: u8) -> Feedback {
        let own = self.feedback.get(usize::from(payload_type)).copied().unwrap_or_default();
        let all = self.feedback_for_all;
        Feedback {
            nack: own.nack || all.nack,
            pli: own.pli || all.pli,
            fir: own.fir || all.fir,
            transport_cc: own.transport_cc || all.transport_cc,
            remb: own.remb || all.remb,
        }
    }
}

/// Payload types 64–95 look like RTCP on a shared port (RFC 5761 section 4).
fn usable_with_rtcp_mux(payload_type: u8) -> bool {
    !(64..=95).contains(&payload_type)
}

/// `<payload type> <rest>`.
fn split(value: &str) -> Option<(usize, &str)> {
    let (payload_type, rest) = value.split_once(' ')?;
    Some((payload_type.parse().ok()?, rest.trim()))
}

/// The value of an `a=fmtp` after the payload type.
struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.split(';').filter_map(|p| p.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }

    /// The named parameters that are there and are numbers, to be said again in the answer. Nothing else of the offer's text is repeated.
    fn numbers(&self, names: &[&str]) -> String {
        let kept: Vec<_> = names.iter().filter_map(|name| Some(format!("{name}={}", self.number(name)?))).collect();
        kept.join(";")
    }
}

/// What the offerer likes to receive is also what we ask it to send (RFC 7587 section 7.1: each side declares for itself).
fn opus_parameters(fmtp: &Parameters<'_>) -> String {
    fmtp.numbers(&["minptime", "useinbandfec", "stereo", "usedtx"])
}

/// `a=fmtp:63 111/111`: every block has the payload type of Opus (RFC 2198 section 5).
fn red(fmtp: &Parameters<'_>) -> Option<(Codec, u32, String)> {
    let mut blocks = fmtp.0.split('/').map(|pt| pt.trim().parse::<u8>().ok());
    let primary = blocks.next()??;
    let count = blocks.clone().count().checked_add(1)?;
    // Chromium writes two, and no one more than a handful: longer lists are not repeated in an answer.
    if count > 8 || !blocks.all(|pt| pt == Some(primary)) {
        return None;
    }
    Some((Codec::Red { primary }, 48_000, vec![primary.to_string(); count].join("/")))
}

fn vp9(fmtp: &Parameters<'_>) -> Option<(Codec, u32, String)> {
    let profile = small(fmtp, "profile-id", 3)?;
    Some((Codec::Vp9 { profile }, 90_000, fmtp.numbers(&["profile-id"])))
}

fn av1(fmtp: &Parameters<'_>) -> Option<(Codec, u32, String)> {
    let profile = small(fmtp, "profile", 2)?;
    Some((Codec::Av1 { profile }, 90_000, fmtp.numbers(&["level-idx", "profile", "tier"])))
}

fn h264(fmtp: &Parameters<'_>) -> Option<(Codec, u32, String)> {
    let packetization_mode = small(fmtp, "packetization-mode", 1)?;
    let level_id = match fmtp.get("profile-level-id") {
        Some(hex) if hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Some(hex),
        Some(_) => return None,
        None => None,
    };
    // Without the parameter, baseline at level 1 is to be inferred (RFC 6184 section 8.1).
    let profile = h264_profile(u32::from_str_radix(level_id.unwrap_or("42000a"), 16).ok()?)?;
    let mut parameters = fmtp.numbers(&["level-asymmetry-allowed", "packetization-mode"]);
    if let Some(hex) = level_id {
        let separator = if parameters.is_empty() { "" } else { ";" };
        parameters = format!("{parameters}{separator}profile-level-id={hex}");
    }
    Some((Codec::H264 { profile, packetization_mode }, 90_000, parameters))
}

/// RFC 6184 section 8.1, table 5: `profile_idc`, then the constraint flags from `constraint_set0_flag` (the highest bit) down.
fn h264_profile(profile_level_id: u32) -> Option<H264Profile> {
    let (idc, flags) = ((profile_level_id >> 16) & 0xff, (profile_level_id >> 8) & 0xff);
    match (idc, flags) {
        (0x42, f) if f & 0x4f == 0x40 => Some(H264Profile::ConstrainedBaseline),
        (0x4d, f) if f & 0x8f == 0x80 => Some(H264Profile::ConstrainedBaseline),
        (0x58, f) if f & 0xcf == 0xc0 => Some(H264Profile::ConstrainedBaseline),
        (0x42, f) if f & 0x4f == 0x00 => Some(H264Profile::Baseline),
        (0x58, f) if f & 0xcf == 0x80 => Some(H264Profile::Baseline),
        (0x4d, f) if f & 0xaf == 0x00 => Some(H264Profile::Main),
        (0x64, 0x00) => Some(H264Profile::High),
        (0x64, 0x0c) => Some(H264Profile::ConstrainedHigh),
        (0xf4, 0x00) => Some(H264Profile::PredictiveHigh444),
        _ => None,
    }
}

/// A parameter between 0 (also when it is not there) and `most`; `None` when it is something else.
fn small(fmtp: &Parameters<'_>, name: &str, most: u8) -> Option<u8> {
    match fmtp.get(name) {
        None => Some(0),
        Some(text) => text.parse().ok().filter(|n| *n <= most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(lines: &[&str], formats: &[u8], audio: bool) -> Vec<OfferedCodec> {
        let mut types = PayloadTypes::new();
        for line in lines {
            match line.split_once(':').unwrap() {
                ("rtpmap", value) => types.rtpmap(value).unwrap(),
                ("fmtp", value) => types.fmtp(value),
                (_, value) => types.rtcp_fb(value),
            }
        }
        types.bind(formats, audio)
    }

    #[test]
    fn parameters_and_feedback_before_the_rtpmap_are_bound_and_those_of_absent_payload_types_are_not() {
        let lines = ["fmtp:97 apt=96", "rtcp-fb:96 nack", "rtcp-fb:* nack pli", "rtcp-fb:120 nack", "rtpmap:96 VP8/90000", "rtpmap:97 rtx/90000"];
        let codecs = bound(&lines, &[96, 97], false);
        assert_eq!(codecs.len(), 1);
        assert_eq!(codecs[0].plan.rtx, Some(97));
        assert_eq!(codecs[0].plan.feedback, Feedback { nack: true, pli: true, ..Feedback::default() });
    }

    #[test]
    fn payload_types_that_collide_with_rtcp_are_left_out() {
        assert!(bound(&["rtpmap:72 VP8/90000"], &[72], false).is_empty());
    }

    #[test]
    fn red_is_accepted_over_an_accepted_opus_only() {
        let red_first = bound(&["rtpmap:63 red/48000/2", "fmtp:63 111/111", "rtpmap:111 opus/48000/2"], &[63, 111], true);
        assert_eq!(red_first.iter().map(|c| c.plan.codec).collect::<Vec<_>>(), [Codec::Red { primary: 111 }, Codec::Opus]);
        assert_eq!(red_first[0].parameters, "111/111");
        for fmtp in ["63 111/0", "63 0/0", "63 x", "63 "] {
            let codecs = bound(&["rtpmap:63 red/48000/2", &format!("fmtp:{fmtp}"), "rtpmap:111 opus/48000/2"], &[111, 63], true);
            assert_eq!(codecs.iter().map(|c| c.plan.codec).collect::<Vec<_>>(), [Codec::Opus], "{fmtp}");
        }
    }

    #[test]
    fn h264_profiles_are_told_apart_by_their_constraint_flags() {
        let table = [
            ("42e01f", Some(H264Profile::ConstrainedBaseline)),
            ("42c00b", Some(H264Profile::ConstrainedBaseline)),
            ("4d801f", Some(H264Profile::ConstrainedBaseline)),
            ("58c01f", Some(H264Profile::ConstrainedBaseline)),
            ("42001f", Some(H264Profile::Baseline)),
            ("58a01f", Some(H264Profile::Baseline)),
            ("4d001f", Some(H264Profile::Main)),
            ("4D401F", Some(H264Profile::Main)),
            ("64001f", Some(H264Profile::High)),
            ("640c1f", Some(H264Profile::ConstrainedHigh)),
            ("f4001f", Some(H264Profile::PredictiveHigh444)),
            ("58001f", None),
            ("6e001f", None),
        ];
        for (hex, profile) in table {
            let codecs = bound(&["rtpmap:96 H264/90000", &format!("fmtp:96 profile-level-id={hex};packetization-mode=1")], &[96], false);
            let expected = profile.map(|profile| Codec::H264 { profile, packetization_mode: 1 });
            assert_eq!(codecs.first().map(|c| c.plan.codec), expected, "{hex}");
            if let Some(codec) = codecs.first() {
                assert_eq!(codec.parameters, format!("packetization-mode=1;profile-level-id={hex}"));
            }
        }
    }

    #[test]
    fn parameters_out_of_range_leave_the_payload_type_out() {
        for fmtp in ["profile-level-id=42e01", "profile-level-id=42e0zz", "packetization-mode=2", "packetization-mode=x"] {
            assert!(bound(&["rtpmap:96 H264/90000", &format!("fmtp:96 {fmtp}")], &[96], false).is_empty(), "{fmtp}");
        }
        assert!(bound(&["rtpmap:96 VP9/90000", "fmtp:96 profile-id=4"], &[96], false).is_empty());
        assert!(bound(&["rtpmap:96 AV1/90000", "fmtp:96 profile=3"], &[96], false).is_empty());
    }

    #[test]
    fn only_numbers_of_known_parameters_are_repeated() {
        let codecs = bound(&["rtpmap:111 OPUS/48000/2", "fmtp:111 minptime=10; useinbandfec=1;stereo=a\rb;x=1"], &[111], true);
        assert_eq!(codecs[0].parameters, "minptime=10;useinbandfec=1");
    }
}
