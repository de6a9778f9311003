//! Other implementations as judges: `rtc-sdp` reads every answer, a whole peer connection takes ours.

use std::io::Cursor;
use std::time::Instant;

use althing::contract::Codec;
use althing::sdp::{Answer, Session};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc_sdp::SessionDescription;

use super::support::{answer, first_answer, names, session};

#[test]
fn every_answer_is_read_and_written_again_alike() {
    for name in names() {
        let answer = first_answer(&name);
        let description = SessionDescription::unmarshal(&mut Cursor::new(answer.sdp.as_bytes())).unwrap();
        assert_eq!(description.media_descriptions.len(), answer.sdp.matches("\r\nm=").count(), "{name}");
        // The grammar drops the blank before the value of msid-semantic.
        assert_eq!(description.marshal().replace("msid-semantic:WMS", "msid-semantic: WMS"), answer.sdp, "{name}");
    }
}

fn peer() -> RTCPeerConnection {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    RTCPeerConnectionBuilder::new().with_media_engine(engine).build(Instant::now()).unwrap()
}

fn publish(peer: &mut RTCPeerConnection, kind: RtpCodecKind, ssrc: u32) {
    let (mime_type, clock_rate, channels) = match kind {
        RtpCodecKind::Audio => ("audio/opus", 48_000, 2),
        _ => ("video/VP8", 90_000, 0),
    };
    let codec = RTCRtpCodec { mime_type: mime_type.to_owned(), clock_rate, channels, ..Default::default() };
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    let track = MediaStreamTrack::new("stream".to_owned(), format!("track{ssrc}"), "label".to_owned(), kind, vec![encoding]);
    peer.add_track(track).unwrap();
}

fn receive(peer: &mut RTCPeerConnection, kind: RtpCodecKind) {
    let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, streams: Vec::new(), send_encodings: Vec::new() };
    peer.add_transceiver_from_kind(kind, Some(init)).unwrap();
}

fn exchange(peer: &mut RTCPeerConnection, session: &mut Session, n: u64) -> Answer {
    let offer = peer.create_offer(None).unwrap();
    peer.set_local_description(Instant::now(), offer.clone()).unwrap();
    let answer = answer(session, &offer.sdp, n).unwrap();
    peer.set_remote_description(Instant::now(), RTCSessionDescription::answer(answer.sdp.clone()).unwrap()).unwrap();
    answer
}

#[test]
fn a_webrtc_rs_peer_takes_our_answers_to_join_growth_and_restart() {
    let (mut peer, mut session) = (peer(), session());
    publish(&mut peer, RtpCodecKind::Audio, 1_111);
    publish(&mut peer, RtpCodecKind::Video, 2_222);
    receive(&mut peer, RtpCodecKind::Audio);
    receive(&mut peer, RtpCodecKind::Video);
    let first = exchange(&mut peer, &mut session, 1);
    assert_eq!(first.publishable.len(), 2);
    assert_eq!(first.media.receive[1].codecs.iter().map(|c| c.codec).collect::<Vec<_>>(), [Codec::Vp8]);

    receive(&mut peer, RtpCodecKind::Audio);
    receive(&mut peer, RtpCodecKind::Video);
    let grown = exchange(&mut peer, &mut session, 2);
    assert_eq!(grown.pairs.len(), first.pairs.len() + 1);
    // It offers fewer codecs the second time; what identifies a slot stays.
    let slots = |a: &Answer| a.media.send.iter().map(|s| (s.mline, s.mid, s.ssrc, s.rtx_ssrc)).collect::<Vec<_>>();
    assert_eq!(&slots(&grown)[..first.media.send.len()], slots(&first));

    peer.restart_ice();
    let restarted = exchange(&mut peer, &mut session, 3);
    assert!(restarted.restart.is_some());
    assert_eq!(slots(&restarted), slots(&grown));
}
