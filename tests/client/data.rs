//! A peer connection with nothing but the two data channels.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use super::Result;
use super::socket::WideSockets;

/// A connection, and what comes on its channels.
pub struct DataConnection {
    peer: Arc<dyn PeerConnection>,
    reliable: Arc<dyn DataChannel>,
    lossy: Arc<dyn DataChannel>,
    /// Messages that came: their bytes, and whether on the reliable channel.
    pub messages: mpsc::UnboundedReceiver<(Vec<u8>, bool)>,
    /// Channels that are open.
    pub open: watch::Receiver<u32>,
}

struct Handler;

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, _: RTCPeerConnectionState) {}
}

impl DataConnection {
    /// A connection from a port of this address; it has not begun.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub async fn new(address: std::net::IpAddr) -> Result<Self> {
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(address.is_loopback())
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .build();
        let peer = PeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .with_handler(Arc::new(Handler))
            .with_runtime(Arc::new(WideSockets))
            .with_udp_addrs(vec![SocketAddr::from((address, 0))])
            .build()
            .await?;
        let known = |id, ordered, max_retransmits| {
            Some(RTCDataChannelInit { ordered, max_retransmits, negotiated: Some(id), ..RTCDataChannelInit::default() })
        };
        let reliable = peer.create_data_channel("reliable", known(0, true, None)).await?;
        let lossy = peer.create_data_channel("lossy", known(1, false, Some(0))).await?;
        let (message_tx, messages) = mpsc::unbounded_channel();
        let (open_tx, open) = watch::channel(0);
        let open_tx = Arc::new(open_tx);
        for (channel, is_reliable) in [(Arc::clone(&reliable), true), (Arc::clone(&lossy), false)] {
            let (message_tx, open_tx) = (message_tx.clone(), Arc::clone(&open_tx));
            tokio::spawn(async move {
                while let Some(event) = channel.poll().await {
                    match event {
                        DataChannelEvent::OnOpen => open_tx.send_modify(|open| *open += 1),
                        DataChannelEvent::OnMessage(message) => drop(message_tx.send((message.data.to_vec(), is_reliable))),
                        DataChannelEvent::OnClose => return,
                        _ => {}
                    }
                }
            });
        }
        Ok(Self { peer: Arc::new(peer), reliable, lossy, messages, open })
    }

    /// Makes an offer and applies it here.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn offer(&self) -> Result<String> {
        let offer = self.peer.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.peer.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Applies the server's answer.
    ///
    /// # Errors
    /// When the crate does not understand it.
    pub async fn take_answer(&self, sdp: String) -> Result<()> {
        Ok(self.peer.set_remote_description(RTCSessionDescription::answer(sdp)?).await?)
    }

    /// Waits until both channels are open, and says so to the server.
    ///
    /// # Errors
    /// When they are closed, or the greeting cannot be sent.
    pub async fn greet(&mut self) -> Result<()> {
        self.open.wait_for(|open| *open == 2).await?;
        Ok(self.reliable.send_text("").await?)
    }

    /// Sends a message as it goes over the wire.
    ///
    /// # Errors
    /// When the channel is closed.
    pub async fn send(&self, message: &[u8], reliable: bool) -> Result<()> {
        let channel = if reliable { &self.reliable } else { &self.lossy };
        Ok(channel.send(BytesMut::from(message)).await?)
    }

    /// Closes the connection.
    pub async fn close(&self) {
        let _ = self.peer.close().await;
    }
}
