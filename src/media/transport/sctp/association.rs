//! One association of the `rtc-sctp` library's, as the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_sctp::{
    AssociationHandle, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier, ReliabilityType, ServerConfig,
    StreamEvent, TimerConfig, TransportConfig,
};
use rtc_shared::TransportProtocol;

use super::gate::{MOST_STREAMS, PROBES, RECEIVE_BUFFER};

/// The library wants an address for each association; ours has one, wherever its packets really come from.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);
/// Times that a chunk is sent again because nothing was said of it, before the peer is taken for gone: 48 s of our clock.
const TRIES: usize = 8;
/// Times that the library is asked for packets in one turn: it gives all it has at once.
const ROUNDS: usize = 4;

/// An association.
pub(super) struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: rtc_sctp::Association,
    ended: bool,
}

/// What has happened to it.
pub(super) enum Happened {
    Established,
    /// There is a message on a stream.
    Readable(u16),
    /// So many bytes of a stream are sent, or given up.
    Released(u16, usize),
    /// The peer has reset a stream.
    Reset(u16),
    /// It is over.
    Ended,
}

/// A message that was read.
pub(super) struct Read {
    pub kind: PayloadProtocolIdentifier,
    pub pieces: usize,
    pub bytes: usize,
    /// None when it is too long.
    pub message: Option<BytesMut>,
}

impl Association {
    /// Answers an INIT.
    pub fn accept(now: Instant, message_bytes: u32, init: Vec<u8>) -> Option<Self> {
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size((RECEIVE_BUFFER + PROBES) as u32)
            .with_max_message_size(message_bytes)
            .with_max_num_inbound_streams(MOST_STREAMS)
            .with_max_num_outbound_streams(MOST_STREAMS)
            .with_timer_config(TimerConfig { max_t3_rtx_retrans: TRIES, ..TimerConfig::default() });
        let config = Some(Arc::new(ServerConfig::new(transport)));
        let mut endpoint = Endpoint::new(PEER, TransportProtocol::UDP, Arc::new(EndpointConfig::new()), config);
        match endpoint.handle(now, PEER, None, Bytes::from(init)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => Some(Self { endpoint, handle, association, ended: false }),
            _ => None,
        }
    }

    pub fn is_established(&self) -> bool {
        !self.association.is_handshaking()
    }

    /// Takes a packet with the association's tag; others find nobody.
    pub fn feed(&mut self, now: Instant, packet: Vec<u8>) {
        if let Some((handle, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, PEER, None, Bytes::from(packet))
            && handle == self.handle
        {
            self.association.handle_event(event);
        }
    }

    pub fn poll(&mut self) -> Option<Happened> {
        while let Some(event) = self.association.poll() {
            match event {
                Event::Connected => return Some(Happened::Established),
                Event::Stream(StreamEvent::Readable { id }) => return Some(Happened::Readable(id)),
                Event::Stream(StreamEvent::BufferedAmountReleased { id, n_bytes }) => return Some(Happened::Released(id, n_bytes)),
                Event::AssociationLost { id, .. } => return Some(Happened::Reset(id)),
                _ => {}
            }
        }
        // It keeps these for whoever asks, which nobody does.
        while self.association.accept_stream().is_some() {}
        while self.association.poll_endpoint_event().is_some() {}
        let ended = self.is_established() && (self.association.is_closed() || self.association.is_drained());
        (ended && !std::mem::replace(&mut self.ended, true)).then_some(Happened::Ended)
    }

    pub fn read(&mut self, stream: u16, longest: usize) -> Option<Read> {
        let chunks = self.association.stream(stream).ok()?.read().ok()??;
        let bytes = chunks.len();
        Some(Read { kind: chunks.ppi, pieces: chunks.chunks.len(), bytes, message: chunks.to_payload(longest).ok() })
    }

    /// Whether it was taken.
    pub fn write(&mut self, now: Instant, stream: u16, message: &Bytes, kind: PayloadProtocolIdentifier) -> bool {
        self.association.stream(stream).is_ok_and(|mut stream| stream.write_chunk_with_ppi(now, message, kind).is_ok())
    }

    /// How a stream delivers what we send on it.
    pub fn configure(&mut self, stream: u16, ordered: bool, reliability: ReliabilityType, limit: u32) {
        let opened = match self.association.stream(stream) {
            Ok(mut stream) => stream.set_reliability_params(!ordered, reliability, limit),
            Err(_) => self
                .association
                .open_stream(stream, PayloadProtocolIdentifier::Binary)
                .and_then(|mut stream| stream.set_reliability_params(!ordered, reliability, limit)),
        };
        // The only error would be that the stream is not there, and it is.
        debug_assert!(opened.is_ok());
    }

    /// Closes a channel (RFC 8831 section 6.7).
    pub fn reset(&mut self, now: Instant, stream: u16) {
        if let Ok(mut stream) = self.association.stream(stream) {
            // An association that is just ending resets nothing.
            let _ = stream.close(now);
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
    }

    /// All that it wants to send now.
    pub fn transmit(&mut self, now: Instant) -> Vec<Bytes> {
        let rounds = (0..ROUNDS).map_while(|_| self.association.poll_transmit(now));
        rounds.flat_map(|transmit| if let Payload::RawEncode(packets) = transmit.message { packets } else { Vec::new() }).collect()
    }

    /// Ends it (RFC 9260 section 9.1): the packet that says so.
    pub fn abort(&mut self, now: Instant) -> Vec<Bytes> {
        let _ = self.association.abort();
        self.transmit(now)
    }
}
