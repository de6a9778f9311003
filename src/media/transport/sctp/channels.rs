//! Which streams are data channels, and how each of them delivers (RFC 8831, RFC 8832).

use bytes::Bytes;
use rtc_datachannel::data_channel::{DataChannel, DataChannelConfig};
use rtc_datachannel::message::message_channel_open::ChannelType;
use rtc_sctp::{PayloadProtocolIdentifier, ReliabilityType};
use sansio::Protocol;

/// Channels of a peer.
pub const MOST_CHANNELS: usize = 16;

/// The stream of the reliable channel that both sides know without opening it.
pub const RELIABLE: u16 = 0;
/// The stream of the lossy one: unordered, and nothing is sent twice.
pub const LOSSY: u16 = 1;

/// An open channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub stream: u16,
    pub ordered: bool,
    pub reliability: ReliabilityType,
    /// Retransmissions, or milliseconds, by `reliability`.
    pub limit: u32,
    /// Bytes handed to the library that it has not let go.
    pub queued: usize,
    /// Something on it waits to be read until the peer may send more.
    pub unread: bool,
}

impl Channel {
    /// The two that need no opening.
    pub fn known(stream: u16) -> Self {
        let (ordered, reliability) = if stream == LOSSY { (false, ReliabilityType::Rexmit) } else { (true, ReliabilityType::Reliable) };
        Self { stream, ordered, reliability, limit: 0, queued: 0, unread: false }
    }

    /// As a DATA_CHANNEL_OPEN asks for, and what is to be answered.
    pub fn opened(stream: u16, message: &[u8]) -> Option<(Self, Bytes)> {
        let mut channel = DataChannel::accept(DataChannelConfig::default(), 0, stream, PayloadProtocolIdentifier::Dcep, message).ok()?;
        let answer = channel.poll_write()?.payload.freeze();
        let (kind, limit) = (channel.config().channel_type, channel.config().reliability_parameter);
        let (unordered, reliability) = DataChannel::get_reliability_params(kind);
        let limit = if matches!(kind, ChannelType::Reliable | ChannelType::ReliableUnordered) { 0 } else { limit };
        Some((Self { stream, ordered: !unordered, reliability, limit, queued: 0, unread: false }, answer))
    }

    pub fn is_reliable(&self) -> bool {
        self.reliability == ReliabilityType::Reliable
    }
}

/// The channel that a message goes out on: one that delivers as the message asks for, else any.
pub(super) fn best(channels: &mut [Channel], reliable: bool) -> Option<&mut Channel> {
    let worth = |channel: &Channel| match reliable {
        true => (channel.is_reliable(), channel.ordered),
        false => (!channel.is_reliable(), !channel.ordered),
    };
    // The first of equals.
    let at = (0..channels.len()).rev().max_by_key(|at| channels.get(*at).map(worth))?;
    channels.get_mut(at)
}
