//! A client (the library's own) and the transport, with a way between them that delays and loses, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_datachannel::data_channel::{DataChannel, DataChannelConfig};
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload, PayloadProtocolIdentifier,
    ReliabilityType, StreamEvent, TransportConfig,
};
use rtc_shared::TransportProtocol;
use sansio::Protocol;

use crate::base::Time;
use crate::base::random::Random;
use crate::contract::{Counter, Counters, DataLimits, DataPlan};
use crate::media::transport::sctp::{LOSSY, RELIABLE, SctpEvent, SctpTransport};

pub const DELAY: Duration = Duration::from_millis(20);

pub struct World {
    pub now: Time,
    epoch: Instant,
    pub server: SctpTransport,
    pub counters: Counters,
    /// Messages that the server may still hand up.
    pub room: u32,
    pub events: Vec<SctpEvent>,
    endpoint: Endpoint,
    handle: AssociationHandle,
    client: Association,
    /// What the client has read: stream, bytes.
    pub read: Vec<(u16, Vec<u8>)>,
    pub reset: Vec<u16>,
    under_way: BTreeMap<(Time, u64), (bool, Bytes)>,
    sent: u64,
    random: Random,
    /// Packets lost of a hundred, each way.
    pub loss: u64,
    /// The last packet that the client sent: for tests that say more in its name.
    pub last: Bytes,
}

pub fn plan() -> DataPlan {
    DataPlan { peer_takes: 64 * 1_024, limits: DataLimits { messages_per_second: 100_000, bytes_per_second: 100_000_000, ..DataLimits::default() } }
}

impl World {
    pub fn new(seed: u64, loss: u64, plan: DataPlan) -> Self {
        let epoch = Instant::now();
        let address = "127.0.0.1:5000".parse().unwrap();
        let mut endpoint = Endpoint::new(address, TransportProtocol::UDP, Arc::new(EndpointConfig::new()), None);
        let config = ClientConfig::new(TransportConfig::default().with_max_message_size(64 * 1_024));
        let (handle, client) = endpoint.connect(epoch, config, address).unwrap();
        Self {
            now: Time::ZERO,
            epoch,
            server: SctpTransport::new(plan, epoch),
            counters: Counters::default(),
            room: u32::MAX,
            events: Vec::new(),
            endpoint,
            handle,
            client,
            read: Vec::new(),
            reset: Vec::new(),
            under_way: BTreeMap::new(),
            sent: 0,
            random: Random::new(seed),
            loss,
            last: Bytes::new(),
        }
    }

    /// Connected, with the pair of channels that need no opening.
    pub fn greeted(seed: u64, loss: u64, plan: DataPlan) -> Self {
        let mut world = Self::new(seed, loss, plan);
        world.greet();
        world
    }

    pub fn greet(&mut self) {
        self.run(Duration::from_secs(if self.loss == 0 { 1 } else { 30 }));
        assert!(!self.client.is_handshaking(), "connected");
        for (stream, unordered, kind) in [(RELIABLE, false, ReliabilityType::Reliable), (LOSSY, true, ReliabilityType::Rexmit)] {
            let mut stream = self.client.open_stream(stream, PayloadProtocolIdentifier::Binary).unwrap();
            stream.set_reliability_params(unordered, kind, 0).unwrap();
        }
        self.say(RELIABLE, PayloadProtocolIdentifier::BinaryEmpty, b"\0");
        self.run(Duration::from_secs(if self.loss == 0 { 1 } else { 30 }));
        assert_eq!(self.events, [SctpEvent::Opened]);
        self.events.clear();
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_micros(self.now.as_micros())
    }

    pub fn say(&mut self, stream: u16, kind: PayloadProtocolIdentifier, bytes: &[u8]) {
        let now = self.instant();
        self.client.stream(stream).unwrap().write_with_ppi(now, bytes, kind).unwrap();
    }

    /// The client opens a channel by DCEP.
    pub fn open(&mut self, stream: u16, config: DataChannelConfig) {
        let mut channel = DataChannel::dial(config, 0, stream).unwrap();
        let open = channel.poll_write().unwrap().payload;
        self.client.open_stream(stream, PayloadProtocolIdentifier::Binary).unwrap();
        self.say(stream, PayloadProtocolIdentifier::Dcep, &open);
    }

    pub fn close(&mut self, stream: u16) {
        let now = self.instant();
        self.client.stream(stream).unwrap().close(now).unwrap();
    }

    pub fn send(&mut self, message: &[u8], reliable: bool) {
        self.server.send(self.now, &Bytes::copy_from_slice(message), reliable, &mut self.counters);
    }

    /// Says anything to the server in the client's name, and takes what it answers.
    pub fn inject(&mut self, packet: &[u8]) {
        self.server.handle_packet(self.now, packet, &mut self.room, &mut self.counters);
        self.exchange();
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.server.handle_timeout(self.now, &mut self.room, &mut self.counters);
        loop {
            self.exchange();
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let client = self.client.poll_timeout().map(|at| Time::from_micros((at - self.epoch).as_micros() as u64));
            let server = self.server.poll_timeout(self.now);
            let next = [arrival, client, server].into_iter().flatten().min().unwrap_or(end).max(self.now);
            if next >= end {
                self.now = end;
                return;
            }
            // A clock that stands still would be an endless loop.
            self.now = next.max(self.now + Duration::from_micros(u64::from(next == self.now)));
            while let Some(entry) = self.under_way.first_entry().filter(|e| e.key().0 <= self.now) {
                let (to_server, packet) = entry.remove();
                match to_server {
                    true => self.server.handle_packet(self.now, &packet, &mut self.room, &mut self.counters),
                    false => self.take(packet),
                }
            }
            self.server.handle_timeout(self.now, &mut self.room, &mut self.counters);
            let now = self.instant();
            self.client.handle_timeout(now);
        }
    }

    fn take(&mut self, packet: Bytes) {
        let now = self.instant();
        let address = self.client.remote_addr();
        if let Some((handle, DatagramEvent::AssociationEvent(event))) = self.endpoint.handle(now, address, None, packet)
            && handle == self.handle
        {
            self.client.handle_event(event);
        }
    }

    fn exchange(&mut self) {
        while let Some(event) = self.client.poll() {
            match event {
                Event::Stream(StreamEvent::Readable { id }) => {
                    while let Some(chunks) = self.client.stream(id).ok().and_then(|mut s| s.read().unwrap()) {
                        self.read.push((id, chunks.to_payload(1 << 20).unwrap().to_vec()));
                    }
                }
                Event::AssociationLost { id, .. } => self.reset.push(id),
                _ => {}
            }
        }
        while let Some(packet) = self.server.poll_transmit(self.now, &mut self.counters) {
            self.post(false, packet);
        }
        let now = self.instant();
        while let Some(transmit) = self.client.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.message else { continue };
            for packet in packets {
                self.last = packet.clone();
                self.post(true, packet);
            }
        }
        self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn post(&mut self, to_server: bool, packet: Bytes) {
        if self.random.next_u64() % 100 < self.loss {
            return;
        }
        self.sent += 1;
        self.under_way.insert((self.now + DELAY, self.sent), (to_server, packet));
    }

    /// The messages that the server has handed up.
    pub fn messages(&self, reliable: bool) -> Vec<&[u8]> {
        let of = |event| match event {
            &SctpEvent::Message { ref message, reliable: is } if is == reliable => Some(&message[..]),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}
