//! What full clients offer.

use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8};
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind};
use webrtc::peer_connection::MediaEngine;

use crate::load::media::{OPUS, VP8};

/// Codecs and header extensions.
pub(super) fn engine() -> Result<MediaEngine, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        engine.register_codec(codec_of(kind), kind)?;
    }
    let level = RTCRtpHeaderExtensionCapability { uri: "urn:ietf:params:rtp-hdrext:ssrc-audio-level".to_owned() };
    engine.register_header_extension(level, RtpCodecKind::Audio, None)?;
    Ok(engine)
}

/// The codec of a kind.
pub(super) fn codec_of(kind: RtpCodecKind) -> RTCRtpCodecParameters {
    match kind {
        // No RTX: the crate's NACK generator does not see what an RTX packet repairs, and asks for it again and again.
        RtpCodecKind::Video => codec(MIME_TYPE_VP8, VP8, 90_000, 0, "", &[("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")]),
        _ => codec(MIME_TYPE_OPUS, OPUS, 48_000, 2, "minptime=10;useinbandfec=1", &[("nack", ""), ("transport-cc", "")]),
    }
}

fn codec(mime: &str, payload_type: u8, clock_rate: u32, channels: u16, fmtp: &str, feedback: &[(&str, &str)]) -> RTCRtpCodecParameters {
    let feedback = feedback.iter().map(|(typ, parameter)| RTCPFeedback { typ: (*typ).to_owned(), parameter: (*parameter).to_owned() });
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate,
            channels,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: feedback.collect(),
        },
        payload_type,
    }
}
