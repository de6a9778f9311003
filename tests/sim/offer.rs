//! What a simulated client offers, as a browser would write it, and what it reads of the answer.

use std::collections::BTreeMap;

use althing::contract::MediaKind;

use crate::client::{Client, H264, H264_RTX, LEVEL_ID, MID_ID, OPUS, TWCC_ID, VP8_RTX};
use crate::member::Codecs;

/// An offer: microphone and camera, a spare m-line of video where there is one, then pairs of receiving m-lines.
pub fn offer(client: &Client, codecs: &Codecs, pairs: u32) -> String {
    let sending = if codecs.spare { 3 } else { 2 };
    let mids: Vec<String> = (0..sending + pairs * 2).map(|mid| mid.to_string()).collect();
    let mut sdp = format!("v=0\r\no=- {} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", 1_000 + client.index, mids.join(" "));
    sdp += "a=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n";
    for mid in 0..sending + pairs * 2 {
        let is_audio = if mid < sending { mid == 0 } else { (mid - sending).is_multiple_of(2) };
        let kind = if is_audio { MediaKind::Audio } else { MediaKind::Video };
        sdp += &media(kind, if mid < sending { &codecs.sends } else { &codecs.receives });
        sdp += &format!("a=mid:{mid}\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=ice-ufrag:{}\r\n", client.ice.remote_ufrag);
        sdp += &format!("a=ice-pwd:{}\r\na=ice-options:trickle\r\na=setup:actpass\r\n", client.ice.remote_pwd);
        sdp += &format!("a=fingerprint:sha-256 {}\r\n", vec![format!("{:02X}", client.index + 1); 32].join(":"));
        if mid >= sending {
            sdp += "a=recvonly\r\n";
            continue;
        }
        sdp += "a=sendonly\r\na=msid:stream track\r\n";
        // Chromium declares its SSRCs; others are known by their MID.
        if client.index.is_multiple_of(2) {
            let ssrc = client.media_ssrc(mid as u8);
            if kind == MediaKind::Video {
                sdp += &format!("a=ssrc-group:FID {ssrc} {}\r\na=ssrc:{} cname:c\r\n", ssrc + 8, ssrc + 8);
            }
            sdp += &format!("a=ssrc:{ssrc} cname:c\r\n");
        }
    }
    sdp
}

fn media(kind: MediaKind, video: &[u8]) -> String {
    let own = match kind {
        MediaKind::Audio => {
            format!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\n")
        }
        MediaKind::Video => {
            let rtx = |codec: u8| if codec == H264 { H264_RTX } else { VP8_RTX };
            let payloads: Vec<String> = video.iter().flat_map(|codec| [codec.to_string(), rtx(*codec).to_string()]).collect();
            let mut text = format!("m=video 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\n", payloads.join(" "));
            for codec in video {
                text += &format!("a=rtpmap:{codec} {}/90000\r\n", if *codec == H264 { "H264" } else { "VP8" });
                text += &format!("a=rtcp-fb:{codec} nack\r\na=rtcp-fb:{codec} nack pli\r\na=rtcp-fb:{codec} transport-cc\r\n");
                text += &format!("a=rtpmap:{0} rtx/90000\r\na=fmtp:{0} apt={codec}\r\n", rtx(*codec));
            }
            if video.contains(&H264) {
                text += &format!("a=fmtp:{H264} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n");
            }
            text
        }
    };
    own + &format!(
        "a=extmap:{LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:{MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=extmap:{TWCC_ID} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    )
}

/// The SSRCs that an answer announces for each mid: media, RTX.
pub fn announced(answer: &str) -> BTreeMap<String, (u32, Option<u32>)> {
    let mut found = BTreeMap::new();
    for section in answer.split("\r\nm=").skip(1) {
        let value = |prefix: &str| section.lines().find_map(|l| l.strip_prefix(prefix));
        let number = |text: &str| text.split(' ').next().and_then(|n| n.parse().ok());
        let group: Option<Vec<u32>> = value("a=ssrc-group:FID ").map(|g| g.split(' ').filter_map(|n| n.parse().ok()).collect());
        let media = group.as_ref().and_then(|g| g.first().copied()).or_else(|| value("a=ssrc:").and_then(number));
        if let (Some(mid), Some(media)) = (value("a=mid:"), media) {
            found.insert(mid.to_owned(), (media, group.and_then(|g| g.get(1).copied())));
        }
    }
    found
}
