//! A WHIP server that is not ours: a whole peer connection of the `webrtc` crate for each session, which checks, encrypts and
//! counts as it does for anybody. It is no ICE-lite agent, so that it also tries ours.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use rtc::ice::mdns::MulticastDnsMode;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCSessionDescription, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

/// What the server has seen.
#[derive(Clone, Default)]
pub struct Foreign {
    /// Packets that came.
    pub packets: Arc<AtomicU64>,
    /// Sessions ended by DELETE.
    pub ended: Arc<AtomicU64>,
    sessions: Arc<Mutex<Vec<Arc<dyn PeerConnection>>>>,
}

/// Starts it; its address.
pub async fn serve() -> (SocketAddr, Foreign) {
    let foreign = Foreign::default();
    let router = Router::new().route("/publish/{room}/{member}", post(begin)).route("/session/{member}", delete(end)).with_state(foreign.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, foreign)
}

async fn begin(State(foreign): State<Foreign>, Path((_, member)): Path<(String, String)>, headers: HeaderMap, offer: String) -> impl IntoResponse {
    if headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) != Some("Bearer open sesame") {
        return (StatusCode::UNAUTHORIZED, [(header::LOCATION, String::new())], "who are you?".to_owned());
    }
    let answer = answered(&foreign, offer).await.expect("an answer");
    (StatusCode::CREATED, [(header::LOCATION, format!("/session/{member}"))], answer)
}

async fn end(State(foreign): State<Foreign>) {
    foreign.ended.fetch_add(1, Ordering::Relaxed);
}

async fn answered(foreign: &Foreign, offer: String) -> Result<String, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?;
    let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).with_multicast_dns_mode(MulticastDnsMode::Disabled).build();
    let peer = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(Counting(foreign.packets.clone())))
        .with_udp_addrs(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        .build()
        .await?;
    let peer: Arc<dyn PeerConnection> = Arc::new(peer);
    peer.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
    let answer = peer.create_answer(None).await?;
    peer.set_local_description(answer).await?;
    foreign.sessions.lock().expect("no panic while locked").push(peer.clone());
    // WHIP does not trickle: the answer waits for its candidates.
    loop {
        match peer.local_description().await {
            Some(local) if local.sdp.contains("a=candidate") => return Ok(local.sdp),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

struct Counting(Arc<AtomicU64>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Counting {
    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let packets = self.0.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(_) = event {
                    packets.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}
