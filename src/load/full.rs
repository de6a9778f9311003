//! A full client: a whole peer connection of the `webrtc` crate, which repairs, reports and gives feedback as a browser does.

mod codec;
mod key_frame;
mod socket;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use rtc_shared::marshal::Unmarshal;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngine,
    SettingEngineBuilder, Slot, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::board::{Board, kind_of};
use super::client::latencies;
use super::media::{Composer, Draft, MOST_PACKET, Schedule, Source};
use super::member::{Crew, lock};
use super::presence::{Failure, Presence};
use super::stamp::Stamp;
use super::tally::{Arrival, Count, Incoming};
use crate::base::Time;
use crate::base::random::Random;
use crate::contract::MediaKind;
use crate::wire::{PublishLine, Source as TrackSource};
use codec::{codec_of, engine};
use key_frame::{Asked, KeyFrameRequests};
use socket::WideSockets;

/// Where our interceptor stands: outside those of the crate, which end below.
const OUTERMOST: usize = 14_000;
/// How long a connection may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a full client has counted.
pub struct Heard {
    run: u32,
    board: Arc<Board>,
    presence: Arc<Presence>,
    ear: Mutex<Ear>,
}

struct Ear {
    streams: BTreeMap<u32, Incoming>,
    latency: Histogram<u64>,
    foreign: u64,
}

impl Heard {
    fn new(crew: &Crew, presence: &Arc<Presence>) -> Self {
        let ear = Mutex::new(Ear { streams: BTreeMap::new(), latency: latencies(), foreign: 0 });
        Self { run: crew.run, board: crew.board.clone(), presence: presence.clone(), ear }
    }

    /// What was counted by stream, the latencies in nanoseconds, and how many packets were not of this run.
    pub fn findings(&self) -> (Vec<(u32, Count)>, Histogram<u64>, u64) {
        let ear = lock(&self.ear);
        let counts = ear.streams.values().flat_map(|i| i.counts().iter().copied()).collect();
        (counts, ear.latency.clone(), ear.foreign)
    }

    fn take(&self, payload: &[u8]) {
        self.board.received.fetch_add(1, Ordering::Relaxed);
        let mut ear = lock(&self.ear);
        let Some(stamp) = Stamp::read(self.run, payload) else {
            ear.foreign += 1;
            return;
        };
        let now = monotonic();
        // Here the publisher's own numbers are known of every packet: they take the place of the sequence numbers.
        let incoming = ear.streams.entry(stamp.stream).or_insert_with(|| Incoming::new(0, 0));
        let extended = Incoming::extended_of(stamp.number);
        let arrival = incoming.note(extended, now / 1_000);
        let news = incoming.learn(extended, &stamp);
        incoming.count(&self.board, extended, arrival);
        if matches!(arrival, Arrival::Next | Arrival::Late) && self.board.counts(stamp.stream, u64::from(stamp.number)) {
            ear.latency.saturating_record(now.saturating_sub(stamp.sent));
        }
        if news {
            self.presence.note_stream();
        }
    }
}

/// The peer connection of a full client.
pub struct Connection {
    peer: Arc<dyn PeerConnection>,
    presence: Arc<Presence>,
    heard: Arc<Heard>,
    asked: Asked,
    kinds: Vec<RtpCodecKind>,
    pairs: u32,
    sends: Vec<(Sending, Source)>,
    state: tokio::sync::watch::Receiver<RTCPeerConnectionState>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Sending {
    stream: u32,
    ssrc: u32,
    track: Arc<TrackLocalStaticRTP>,
}

impl Connection {
    /// A connection that sends `sends` (stream, SSRC, source) and has made no offer yet.
    pub async fn new(crew: &Arc<Crew>, presence: &Arc<Presence>, sends: Vec<(u32, u32, Source)>, pairs: u32) -> Result<Self, Failure> {
        Self::build(crew, presence, sends, pairs).await.map_err(|e| Failure::new("no peer connection", e))
    }

    async fn build(
        crew: &Arc<Crew>, presence: &Arc<Presence>, sends: Vec<(u32, u32, Source)>, _: u32,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let address = own_address(crew);
        let heard = Arc::new(Heard::new(crew, presence));
        let asked = Asked::default();
        let (state_sender, state) = tokio::sync::watch::channel(RTCPeerConnectionState::New);
        let mut engine = engine()?;
        let requests = KeyFrameRequests::new(crew.board.clone(), asked.clone());
        let registry = register_default_interceptors(Registry::new(), &mut engine)?.with(Slot::from(OUTERMOST), requests);
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings(address))
            .with_handler(Arc::new(Handler { heard: heard.clone(), presence: presence.clone(), state: state_sender }))
            .with_runtime(Arc::new(WideSockets))
            .with_udp_addrs(vec![SocketAddr::new(address, 0)])
            .build()
            .await?;
        let kinds = crew.plan.kinds().into_iter().map(kind).collect();
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        let mut connection = Self { peer, presence: presence.clone(), heard, asked, kinds, pairs: 0, sends: Vec::new(), state, tasks: Vec::new() };
        for (stream, ssrc, source) in sends {
            let sending = Sending::new(stream, ssrc);
            let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..RTCRtpTransceiverInit::default() };
            connection.peer.add_transceiver_from_track(sending.track.clone() as Arc<dyn TrackLocal>, Some(init)).await?;
            connection.sends.push((sending, source));
        }
        Ok(connection)
    }

    /// What it counts.
    pub fn heard(&self) -> Arc<Heard> {
        self.heard.clone()
    }

    /// Makes an offer with so many receiving pairs.
    pub async fn offer(&mut self, pairs: u32) -> Result<(String, Vec<PublishLine>), Failure> {
        self.offered(pairs).await.map_err(|e| Failure::new("no offer", e))
    }

    async fn offered(&mut self, pairs: u32) -> Result<(String, Vec<PublishLine>), webrtc::error::Error> {
        while self.pairs < pairs {
            for kind in &self.kinds {
                let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..RTCRtpTransceiverInit::default() };
                self.peer.add_transceiver_from_kind(*kind, Some(init)).await?;
            }
            self.pairs += 1;
        }
        let offer = self.peer.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.peer.set_local_description(offer).await?;
        let lines = publish_lines(&sdp);
        Ok((sdp, lines))
    }

    /// Applies an answer; after the first one waits until the connection is up, and begins to send.
    pub async fn take_answer(&mut self, sdp: String) -> Result<(), Failure> {
        let wrong = |e: webrtc::error::Error| Failure::new("an answer that we do not understand", e);
        self.peer.set_remote_description(RTCSessionDescription::answer(sdp).map_err(wrong)?).await.map_err(wrong)?;
        if *self.state.borrow() == RTCPeerConnectionState::Connected {
            return Ok(());
        }
        let over = |s: &RTCPeerConnectionState| matches!(s, RTCPeerConnectionState::Connected | RTCPeerConnectionState::Failed);
        let state = tokio::time::timeout(PATIENCE, self.state.wait_for(over)).await.map(|s| s.map(|s| *s));
        if !matches!(state, Ok(Ok(RTCPeerConnectionState::Connected))) {
            return Err(Failure::new("not connected in time", format!("after {} s", PATIENCE.as_secs())));
        }
        self.presence.note_up();
        self.heard.board.connected.fetch_add(1, Ordering::Relaxed);
        let publisher = self.presence.place.publisher().unwrap_or(0);
        for (sending, source) in std::mem::take(&mut self.sends) {
            let sender = Sender { sending, source, publisher, run: self.heard.run, board: self.heard.board.clone(), asked: self.asked.clone() };
            self.tasks.push(tokio::spawn(sender.run()));
        }
        Ok(())
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let _ = self.peer.close().await;
    }
}

impl Sending {
    fn new(stream: u32, ssrc: u32) -> Self {
        let kind = kind(kind_of(stream));
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..RTCRtpCodingParameters::default() },
            active: true,
            codec: codec_of(kind).rtp_codec,
            ..RTCRtpEncodingParameters::default()
        };
        let track = MediaStreamTrack::new("load".to_owned(), format!("{kind}"), format!("{kind}"), kind, vec![encoding]);
        Self { stream, ssrc, track: Arc::new(TrackLocalStaticRTP::new(track)) }
    }
}

/// Sends a stream.
struct Sender {
    sending: Sending,
    source: Source,
    publisher: u32,
    run: u32,
    board: Arc<Board>,
    asked: Asked,
}

impl Sender {
    async fn run(self) {
        let Self { sending, source, publisher, run, board, asked } = self;
        let Sending { stream, ssrc, track } = sending;
        let epoch = Instant::now();
        // As light publishers: evenly spread over a frame.
        let begin = Time::ZERO + Duration::from_millis(33).mul_f64((f64::from(publisher) * 0.618_033_988_75).fract());
        let mut schedule = Schedule::new(source, begin);
        let mut composer = Composer::new(kind_of(stream), ssrc, &mut Random::new(u64::from(ssrc) ^ u64::from(run) << 32));
        let (mut drafts, mut number, mut answered, mut buffer) = (Vec::new(), 0, u32::MAX, [0; MOST_PACKET]);
        while schedule.due() != Time::NEVER {
            sleep_until(epoch + Duration::from_micros(schedule.due().as_micros())).await;
            if !board.may_send(stream, number) {
                return;
            }
            let now = Time::ZERO + Duration::from_micros(epoch.elapsed().as_micros() as u64);
            let requests = asked.of(ssrc);
            drafts.clear();
            if schedule.take(now, requests != answered, &mut drafts) {
                answered = requests;
            }
            for draft in &drafts {
                let stamp = Stamp { stream, number, sent: monotonic() };
                let sent = match packet(&mut composer, run, draft, &stamp, &mut buffer) {
                    Some(packet) => write(&track, packet, draft).await,
                    None => false,
                };
                if !sent {
                    board.unsent.fetch_add(1, Ordering::Relaxed);
                }
                number += 1;
            }
            board.sent(stream, number);
        }
    }
}

/// The packet without its header extensions: the crate writes them, under the ids that it has negotiated.
fn packet(composer: &mut Composer, run: u32, draft: &Draft, stamp: &Stamp, buffer: &mut [u8]) -> Option<rtc::rtp::Packet> {
    let written = composer.write(run, &Draft { level: None, ..*draft }, stamp, buffer)?;
    rtc::rtp::Packet::unmarshal(&mut Bytes::copy_from_slice(&buffer[..written.header + written.payload])).ok()
}

async fn write(track: &TrackLocalStaticRTP, packet: rtc::rtp::Packet, draft: &Draft) -> bool {
    use rtc::rtp::extension::HeaderExtension;
    use rtc::rtp::extension::audio_level_extension::AudioLevelExtension;
    match draft.level {
        Some(level) => {
            let level = HeaderExtension::AudioLevel(AudioLevelExtension { level: level.level, voice: level.voice });
            track.write_rtp_with_extensions(packet, &[level]).await.is_ok()
        }
        None => track.write_rtp(packet).await.is_ok(),
    }
}

struct Handler {
    heard: Arc<Heard>,
    presence: Arc<Presence>,
    state: tokio::sync::watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Failed {
            self.presence.fail(Failure::new("the connection failed", ""));
        }
        let _ = self.state.send(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let heard = self.heard.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    heard.take(&packet.payload);
                }
            }
        });
    }
}

fn settings(address: IpAddr) -> SettingEngine {
    SettingEngineBuilder::new()
        .with_include_loopback_candidate(address.is_loopback())
        // A namespace without a default route has no multicast, and the crate takes that for a failure.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        // Browsers' window: what is repaired late is not a replay.
        .with_srtp_replay_protection_window(1_024)
        .build()
}

/// Our address towards the server: the one that the system would send to it from.
fn own_address(crew: &Crew) -> IpAddr {
    let host = crew.plan.host();
    let towards = |host: (String, u16)| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").or_else(|_| std::net::UdpSocket::bind("[::]:0")).ok()?;
        socket.connect(host).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    host.and_then(towards).unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// The sending m-lines of an offer.
fn publish_lines(sdp: &str) -> Vec<PublishLine> {
    let sections = sdp.split("\r\nm=").skip(1);
    let sending = sections.filter(|s| s.lines().any(|l| l == "a=sendonly" || l == "a=sendrecv"));
    let line = |section: &str| {
        let mid = section.lines().find_map(|l| l.strip_prefix("a=mid:"))?.to_owned();
        let source = if section.starts_with("audio") { TrackSource::Microphone } else { TrackSource::Camera };
        Some(PublishLine { mid, source, muted: false, fallback: false })
    };
    sending.filter_map(line).collect()
}

fn kind(kind: MediaKind) -> RtpCodecKind {
    match kind {
        MediaKind::Audio => RtpCodecKind::Audio,
        MediaKind::Video => RtpCodecKind::Video,
    }
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
