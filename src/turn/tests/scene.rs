//! A relay with clients and peers around it, and no socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_REQUEST, Getter, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, Message, MessageType, Method, Setter, TransactionId,
};
use rtc_stun::textattrs::TextAttribute;
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::data::Data;
use rtc_turn::proto::peeraddr::PeerAddress;
use rtc_turn::proto::relayaddr::RelayedAddress;
use rtc_turn::proto::reqtrans::RequestedTransport;

use crate::base::address::DenyList;
use crate::turn::credentials::REALM;
use crate::turn::*;

pub const SECRET: &[u8] = b"north-north-north-north-north-north";
pub const PORTS: RangeInclusive<u16> = 50_000..=50_099;
/// The time of day when the clock begins.
pub const WALL: u64 = 1_700_000_000;
/// Answers a second to strangers of one network.
pub const STRANGERS: u32 = 100;
/// A peer on the public internet.
pub const PEER: &str = "8.8.8.8:4000";

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Sockets that are numbers, and a count for each user.
#[derive(Default)]
pub struct Ports {
    pub open: BTreeMap<usize, SocketAddr>,
    pub next: u16,
    pub users: BTreeMap<String, usize>,
    pub revoked: Vec<String>,
    /// Allocations of other workers.
    pub elsewhere: Vec<SocketAddr>,
    /// Since the Unix epoch.
    pub wall: Duration,
}

impl Hands for Ports {
    fn open(&mut self, slot: usize, ipv6: bool, even: bool) -> Option<SocketAddr> {
        self.next += if even && (PORTS.start() + self.next).is_multiple_of(2) { 0 } else { 1 };
        let port = PORTS.start() + self.next;
        if ipv6 || !PORTS.contains(&port) {
            return None;
        }
        let bound = SocketAddr::new(ip("10.0.0.5"), port);
        assert_eq!(self.open.insert(slot, bound), None, "a slot that is open is not opened");
        Some(bound)
    }

    fn close(&mut self, slot: usize) {
        assert!(self.open.remove(&slot).is_some(), "only what is open is closed");
    }

    fn claim(&mut self, user: &str) -> Result<(), Denied> {
        if self.is_revoked(user) {
            return Err(Denied::Revoked);
        }
        let count = self.users.entry(user.to_owned()).or_default();
        *count += 1;
        if *count > 12 {
            *count -= 1;
            return Err(Denied::Quota);
        }
        Ok(())
    }

    fn release(&mut self, user: &str) {
        *self.users.get_mut(user).expect("claimed before") -= 1;
    }

    fn is_revoked(&self, user: &str) -> bool {
        self.revoked.iter().any(|revoked| revoked == user)
    }

    fn is_relayed(&self, bound: SocketAddr) -> bool {
        self.open.values().chain(&self.elsewhere).any(|open| *open == bound)
    }

    fn wall(&self) -> Duration {
        self.wall
    }
}

pub struct Net {
    pub relay: Relay,
    pub ports: Ports,
    pub now: Time,
    /// By how much the time of day was set back since the beginning.
    pub set_back: Duration,
}

/// What came out at last: to whom, and what.
pub type Sent = Vec<(Path, Vec<u8>)>;

impl Net {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut RelayConfig)) -> Self {
        let denied = DenyList::new(vec![ip("10.0.0.5"), ip("8.8.4.4")], Vec::new());
        let mut config = RelayConfig {
            secrets: vec![b"newest".to_vec(), SECRET.to_vec()],
            nonce_key: [7; 32],
            reach: Reach::new(denied, vec![(ip("8.8.4.4"), ip("10.0.0.5"))], 40_000..=40_001, PORTS),
            most: 64,
            bytes_per_second: None,
            strangers: STRANGERS,
            seed: 1,
        };
        change(&mut config);
        Self { relay: Relay::new(config), ports: Ports::default(), now: Time::from_millis(5_000), set_back: Duration::ZERO }
    }

    pub fn send(&mut self, client: &Client, bytes: &[u8]) -> (Sent, Sent) {
        self.ports.wall = (Duration::from_secs(WALL) + self.now.since(Time::ZERO)).saturating_sub(self.set_back);
        self.relay.handle_client(self.now, client.path, bytes, &mut self.ports);
        self.drain()
    }

    pub fn receive(&mut self, slot: usize, from: &str, bytes: &[u8]) -> (Sent, Sent) {
        self.relay.handle_peer(self.now, slot, at(from), bytes);
        self.drain()
    }

    pub fn drain(&mut self) -> (Sent, Sent) {
        let of = |arena: &Outgoing| arena.datagrams().iter().map(|datagram| (datagram.path, arena.payload(datagram).to_vec())).collect();
        let sent = (of(&self.relay.to_clients), of(&self.relay.to_peers));
        self.relay.sent();
        sent
    }

    /// A request, with credentials after a challenge; what it is answered.
    pub fn ask(&mut self, client: &mut Client, method: Method, content: &[&dyn Setter]) -> Result<Message, u16> {
        for _ in 0..2 {
            let request = client.request(method, content);
            let (answers, peers) = self.send(client, &request);
            assert!(peers.is_empty(), "a request sends nothing to peers");
            let [(path, answer)] = &answers[..] else { panic!("one answer, not {answers:?}") };
            assert_eq!(*path, client.path);
            let mut message = Message::new();
            message.unmarshal_binary(answer).expect("well-formed");
            let Some(code) = code(&message) else {
                MessageIntegrity::check(&mut message, &client.key(), &AwsLcRsCrypto).expect("signed");
                return Ok(message);
            };
            match code {
                401 | 438 if client.challenged(&message) => {}
                code => return Err(code),
            }
        }
        Err(401)
    }

    pub fn allocate(&mut self, client: &mut Client) -> Result<SocketAddr, u16> {
        let answer = self.ask(client, METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }])?;
        let mut relayed = RelayedAddress::default();
        relayed.get_from(&answer).expect("a relayed address");
        Ok(SocketAddr::new(relayed.ip, relayed.port))
    }

    pub fn permit(&mut self, client: &mut Client, peer: &str) -> Result<(), u16> {
        self.ask(client, METHOD_CREATE_PERMISSION, &[&peer_address(peer)]).map(|_| ())
    }

    pub fn bind(&mut self, client: &mut Client, number: u16, peer: &str) -> Result<(), u16> {
        self.ask(client, METHOD_CHANNEL_BIND, &[&ChannelNumber(number), &peer_address(peer)]).map(|_| ())
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.relay.counters.get(counter)
    }
}

pub fn peer_address(text: &str) -> PeerAddress {
    PeerAddress { ip: at(text).ip(), port: at(text).port() }
}

pub fn code(message: &Message) -> Option<u16> {
    let mut code = ErrorCodeAttribute::default();
    code.get_from(message).ok().map(|()| code.code.0)
}

pub struct Client {
    pub path: Path,
    pub username: String,
    pub secret: Vec<u8>,
    pub nonce: Option<String>,
    pub transaction: [u8; 12],
}

impl Client {
    pub fn new(remote: &str, user: &str) -> Self {
        let path = Path { local: 3, remote: at(remote) };
        Self { path, username: format!("{}:{user}", WALL + 3_600), secret: SECRET.to_vec(), nonce: None, transaction: [0; 12] }
    }

    pub fn key(&self) -> Vec<u8> {
        let password =
            BASE64_STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret), self.username.as_bytes()));
        MessageIntegrity::long_term_integrity_key(self.username.clone(), REALM.to_owned(), password, &AwsLcRsCrypto).expect("a key")
    }

    /// Takes the nonce of a challenge; whether it is a new one.
    pub fn challenged(&mut self, message: &Message) -> bool {
        let nonce = TextAttribute::get_from_as(message, ATTR_NONCE).expect("a nonce").text;
        self.nonce.replace(nonce.clone()) != Some(nonce)
    }

    pub fn request(&mut self, method: Method, content: &[&dyn Setter]) -> Vec<u8> {
        self.transaction[0] = self.transaction[0].wrapping_add(1);
        self.again(method, content)
    }

    pub fn again(&self, method: Method, content: &[&dyn Setter]) -> Vec<u8> {
        let mut message = Message { typ: MessageType::new(method, CLASS_REQUEST), transaction_id: TransactionId(self.transaction), ..Message::new() };
        message.write_header();
        content.iter().for_each(|setter| setter.add_to(&mut message).expect("content"));
        if let Some(nonce) = &self.nonce {
            for (kind, text) in [(ATTR_USERNAME, &self.username), (ATTR_REALM, &REALM.to_owned()), (ATTR_NONCE, nonce)] {
                TextAttribute::new(kind, text.clone()).add_to(&mut message).expect("text");
            }
            MessageIntegrity::new_raw_integrity_with_provider(self.key(), &AwsLcRsCrypto).add_to(&mut message).expect("integrity");
        }
        message.raw
    }
}

pub fn send_indication(peer: &str, data: &[u8]) -> Vec<u8> {
    let mut message = Message::new();
    message
        .build(&[Box::new(rtc_turn::proto::send_indication()) as Box<dyn Setter>, Box::new(peer_address(peer)), Box::new(Data(data.to_vec()))])
        .expect("a message");
    message.raw
}

pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let mut out = [0; 1_500];
    let len = frame::write_channel_data(number, data, &mut out).expect("it fits");
    out[..len].to_vec()
}
