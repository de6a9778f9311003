//! The peer connection: what it offers, and what it does with what comes.

use std::net::IpAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use althing::wire::{PublishLine, Source};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::sync::watch;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngine, SettingEngineBuilder, Slot, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::Result;
use super::key_frame::KeyFrameRequests;
use super::media::{OPUS, VP8};
use super::socket::WideSockets;
use super::tally::Tally;

/// A peer connection that sends one video and one audio and receives slot pairs.
pub struct Connection {
    peer: Arc<dyn PeerConnection>,
    /// Where the video's packets go.
    pub video: Outgoing,
    /// Where the audio's packets go.
    pub audio: Outgoing,
    /// What came.
    pub tally: Arc<Mutex<Tally>>,
    /// How often a key frame was asked for.
    pub asked: Arc<AtomicU32>,
    /// The state of the whole connection.
    pub state: watch::Receiver<RTCPeerConnectionState>,
}

/// A track that we send.
#[derive(Clone)]
pub struct Outgoing {
    /// Its SSRC.
    pub ssrc: u32,
    /// Where its packets go.
    pub track: Arc<TrackLocalStaticRTP>,
}

impl Connection {
    /// A connection from `address`, with `pairs` receiving slot pairs. `seed` (below 10,000) makes its SSRCs its own.
    ///
    /// # Errors
    /// When the socket cannot be bound or the crate refuses a track.
    pub async fn new(address: IpAddr, seed: u16, pairs: u32) -> Result<Self> {
        let asked = Arc::new(AtomicU32::new(0));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (state_tx, state) = watch::channel(RTCPeerConnectionState::New);
        let mut engine = MediaEngine::default();
        engine.register_codec(video_codec(), RtpCodecKind::Video)?;
        engine.register_codec(audio_codec(), RtpCodecKind::Audio)?;
        // The receiver counts what comes; it repairs by NACK, and sends reports and transport-wide feedback, as a browser does.
        let registry = register_default_interceptors(Registry::new(), &mut engine)?;
        let registry = registry.with(Slot::from(14_000), KeyFrameRequests::new(Arc::clone(&asked)));
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings(address))
            .with_handler(Arc::new(Handler { tally: Arc::clone(&tally), state: state_tx }))
            .with_runtime(Arc::new(WideSockets))
            .with_udp_addrs(vec![std::net::SocketAddr::from((address, 0))])
            .build()
            .await?;
        let ssrc = u32::from(seed) * 1_000 + 1_000;
        let video = Outgoing::new(ssrc + 1, RtpCodecKind::Video, video_codec());
        let audio = Outgoing::new(ssrc + 2, RtpCodecKind::Audio, audio_codec());
        let connection = Self { peer: Arc::new(peer), video, audio, tally, asked, state };
        for track in [&connection.audio, &connection.video] {
            let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..RTCRtpTransceiverInit::default() };
            connection.peer.add_transceiver_from_track(Arc::clone(&track.track) as Arc<dyn TrackLocal>, Some(init)).await?;
        }
        connection.add_pairs(pairs).await?;
        Ok(connection)
    }

    /// Adds receiving slot pairs to the next offer.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn add_pairs(&self, pairs: u32) -> Result<()> {
        for _ in 0..pairs {
            for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
                let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..RTCRtpTransceiverInit::default() };
                self.peer.add_transceiver_from_kind(kind, Some(init)).await?;
            }
        }
        Ok(())
    }

    /// Makes an offer and applies it here; returns it with what its sending m-lines carry.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn offer(&self) -> Result<(String, Vec<PublishLine>)> {
        let offer = self.peer.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.peer.set_local_description(offer).await?;
        let lines = publish_lines(&sdp);
        Ok((sdp, lines))
    }

    /// Applies the server's answer.
    ///
    /// # Errors
    /// When the crate does not understand it.
    pub async fn take_answer(&self, sdp: String) -> Result<()> {
        Ok(self.peer.set_remote_description(RTCSessionDescription::answer(sdp)?).await?)
    }

    /// Closes the connection.
    pub async fn close(&self) {
        let _ = self.peer.close().await;
    }
}

impl Outgoing {
    fn new(ssrc: u32, kind: RtpCodecKind, codec: RTCRtpCodecParameters) -> Self {
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            active: true,
            codec: codec.rtp_codec,
            ..RTCRtpEncodingParameters::default()
        };
        let track = MediaStreamTrack::new("me".to_owned(), format!("{kind}"), format!("{kind}"), kind, vec![encoding]);
        Self { ssrc, track: Arc::new(TrackLocalStaticRTP::new(track)) }
    }
}

fn settings(address: IpAddr) -> SettingEngine {
    SettingEngineBuilder::new()
        .with_include_loopback_candidate(address.is_loopback())
        // A namespace without a default route has no multicast, and the crate takes that for a failure.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        // Browsers' window: what is repaired late is not a replay.
        .with_srtp_replay_protection_window(1024)
        .build()
}

struct Handler {
    tally: Arc<Mutex<Tally>>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.state.send(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let tally = Arc::clone(&self.tally);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    tally.lock().expect("no panic while locked").take(&packet.payload);
                }
            }
        });
    }
}

fn video_codec() -> RTCRtpCodecParameters {
    // No RTX: the crate's NACK generator does not see what an RTX packet repairs, and asks for it again and again.
    codec(MIME_TYPE_VP8, VP8, 90_000, 0, "", &[("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")])
}

fn audio_codec() -> RTCRtpCodecParameters {
    codec(MIME_TYPE_OPUS, OPUS, 48_000, 2, "minptime=10;useinbandfec=1", &[("nack", ""), ("transport-cc", "")])
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

/// The sending m-lines of an offer of ours: one audio and one video.
fn publish_lines(sdp: &str) -> Vec<PublishLine> {
    let sections = sdp.split("\r\nm=").skip(1);
    let sending = sections.filter(|s| s.lines().any(|l| l == "a=sendonly" || l == "a=sendrecv"));
    let line = |section: &str| {
        let mid = section.lines().find_map(|l| l.strip_prefix("a=mid:"))?.to_owned();
        let source = if section.starts_with("audio") { Source::Microphone } else { Source::Camera };
        Some(PublishLine { mid, source, muted: false, fallback: false })
    };
    sending.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_offer_declares_what_it_sends_and_asks_for_all_pairs() {
        let connection = Connection::new(IpAddr::from([127, 0, 0, 1]), 3, 2).await.expect("a connection");
        let (sdp, lines) = connection.offer().await.expect("an offer");
        assert_eq!(lines.iter().map(|l| l.source).collect::<Vec<_>>(), [Source::Microphone, Source::Camera]);
        assert_eq!(sdp.matches("a=recvonly").count(), 4, "{sdp}");
        assert!(sdp.contains("a=ssrc:4001") && sdp.contains("a=ssrc:4002"), "{sdp}");
        assert_eq!(sdp.matches("a=rtcp-fb:111 nack\r\n").count(), 3, "{sdp}");
        assert_eq!(sdp.matches("a=rtcp-fb:96 nack\r\n").count(), 3, "{sdp}");
        assert_eq!(sdp.matches("a=rtcp-fb:96 nack pli\r\n").count(), 3, "{sdp}");
        connection.close().await;
    }
}
