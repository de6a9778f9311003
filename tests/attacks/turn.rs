//! A client of the relay, by UDP and by TCP, that can also say what no client would.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use althing::base::stun::{StunView, write_xor_address};
use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_shared::error::Error;
use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_REQUEST, Getter, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message, MessageType, Method, Setter,
    TransactionId,
};
use rtc_stun::textattrs::TextAttribute;
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::data::Data;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::relayaddr::RelayedAddress;
use rtc_turn::proto::reqfamily::REQUESTED_FAMILY_IPV6;
use rtc_turn::proto::reqtrans::RequestedTransport;
use socket2::{Domain, Socket, Type};

use crate::scene::Credentials;

const REALM: &str = "althing";
/// When a request is repeated (RFC 8489 section 6.2.1), and how often.
const REPEAT: Duration = Duration::from_millis(500);
const TRIES: usize = 8;
/// What a request comes to that nobody answers.
pub const SILENCE: u16 = 0;
/// Asks for an allocation that peers are reached from by UDP.
pub const UDP: RequestedTransport = RequestedTransport { protocol: PROTO_UDP };

/// How a client's messages travel.
pub enum Wire {
    Udp(UdpSocket),
    /// With what has come and is not yet a whole message.
    Tcp(TcpStream, Vec<u8>),
}

/// A client.
pub struct Turn {
    pub wire: Wire,
    credentials: Credentials,
    key: Vec<u8>,
    pub nonce: Option<String>,
    /// What peers have sent, and by which channel or from where.
    pub data: VecDeque<(From, Vec<u8>)>,
}

/// By which channel or from where data came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    Channel(u16),
    Peer(SocketAddr),
}

/// XOR-PEER-ADDRESS as it is: nothing is made canonical.
pub struct Peer(pub SocketAddr);

impl Setter for Peer {
    fn add_to(&self, message: &mut Message) -> Result<(), Error> {
        let mut value = [0; 20];
        let len = write_xor_address(self.0, &message.transaction_id.0, &mut value);
        message.add(ATTR_XOR_PEER_ADDRESS, &value[..len]);
        Ok(())
    }
}

impl Wire {
    /// A socket at an address, with the relay at its other end.
    pub fn udp(from: IpAddr, relay: SocketAddr) -> Self {
        let socket = UdpSocket::bind((from, 0)).expect("a socket");
        socket.connect(relay).expect("connected");
        Self::Udp(socket)
    }

    /// A stream from an address to the relay.
    pub fn tcp(from: IpAddr, relay: SocketAddr) -> std::io::Result<Self> {
        stream(from, relay).map(|stream| Self::Tcp(stream, Vec::new()))
    }

    pub fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(|_| ()),
            Self::Tcp(stream, _) => stream.write_all(&[message, &[0; 3][..message.len().next_multiple_of(4) - message.len()]].concat()),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) {
        match self {
            Self::Udp(socket) => socket.set_nonblocking(nonblocking),
            Self::Tcp(stream, _) => stream.set_nonblocking(nonblocking),
        }
        .expect("set");
    }

    /// The next message within so much time; none when there is none, or the stream has ended.
    pub fn receive(&mut self, within: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + within;
        loop {
            if let Self::Tcp(_, begun) = self
                && let Some(message) = front(begun)
            {
                return Some(message);
            }
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            // A timeout is rounded up to a turn of the kernel's clock: whoever wants to wait for nothing does not wait.
            self.set_nonblocking(within.is_zero());
            let mut buffer = [0; 4_096];
            let came = match self {
                Self::Udp(socket) => {
                    socket.set_read_timeout(Some(left)).expect("set");
                    socket.recv(&mut buffer)
                }
                Self::Tcp(stream, _) => {
                    stream.set_read_timeout(Some(left)).expect("set");
                    stream.read(&mut buffer)
                }
            };
            match (came, &mut *self) {
                (Ok(len), Self::Udp(_)) => return Some(buffer[..len].to_vec()),
                (Ok(0), Self::Tcp(..)) => return None,
                (Ok(len), Self::Tcp(_, begun)) => begun.extend_from_slice(&buffer[..len]),
                (Err(error), _) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                // An answer to an earlier datagram.
                (Err(error), Self::Udp(_)) if error.kind() == ErrorKind::ConnectionRefused => {}
                (Err(_), _) => return None,
            }
        }
    }
}

/// A connected stream that goes out from an address.
pub fn stream(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_write_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket.into())
}

/// The first message of a stream, taken from it.
fn front(begun: &mut Vec<u8>) -> Option<Vec<u8>> {
    let &[kind, _, a, b, ..] = &begun[..] else { return None };
    let len = usize::from(u16::from_be_bytes([a, b]));
    let (end, whole) = if kind >> 6 == 1 { (4 + len, (4 + len).next_multiple_of(4)) } else { (20 + len, 20 + len) };
    if begun.len() < whole {
        return None;
    }
    let message = begun[..end].to_vec();
    begun.drain(..whole);
    Some(message)
}

impl Turn {
    /// A client with credentials, at this end of a wire.
    pub fn new(wire: Wire, credentials: &Credentials) -> Self {
        let key = key(&credentials.username, &credentials.password);
        Self { wire, credentials: credentials.clone(), key, nonce: None, data: VecDeque::new() }
    }

    /// By UDP from an address of the same family as the relay.
    pub fn udp(from: [u8; 4], credentials: &Credentials) -> Self {
        Self::new(Wire::udp(Ipv4Addr::from(from).into(), credentials.relay(false)), credentials)
    }

    /// By TCP.
    pub fn tcp(from: [u8; 4], credentials: &Credentials) -> Self {
        Self::new(Wire::tcp(Ipv4Addr::from(from).into(), credentials.relay(false)).expect("a stream"), credentials)
    }

    /// A request with a transaction of its own, signed once there is a nonce.
    pub fn request(&self, method: Method, content: &[&dyn Setter]) -> Vec<u8> {
        let mut message = Message { typ: MessageType::new(method, CLASS_REQUEST), transaction_id: TransactionId::new(), ..Message::new() };
        message.write_header();
        content.iter().for_each(|setter| setter.add_to(&mut message).expect("content"));
        if let Some(nonce) = &self.nonce {
            for (kind, text) in [(ATTR_USERNAME, &self.credentials.username), (ATTR_REALM, &REALM.to_owned()), (ATTR_NONCE, nonce)] {
                TextAttribute::new(kind, text.clone()).add_to(&mut message).expect("text");
            }
            MessageIntegrity::new_raw_integrity_with_provider(self.key.clone(), &AwsLcRsCrypto).add_to(&mut message).expect("integrity");
        }
        message.raw
    }

    /// The same with a FINGERPRINT, which has to be the last attribute (RFC 8489 section 14.7).
    pub fn fingerprinted(&self, method: Method, content: &[&dyn Setter]) -> Vec<u8> {
        let mut message = Message::new();
        message.unmarshal_binary(&self.request(method, content)).expect("well-formed");
        FINGERPRINT.add_to(&mut message).expect("room");
        message.raw
    }

    /// Asks for something, with credentials after a challenge, and waits for the answer.
    ///
    /// # Errors
    /// The code of the refusal; [`SILENCE`] when there is no answer.
    pub fn ask(&mut self, method: Method, content: &[&dyn Setter]) -> Result<Message, u16> {
        for _ in 0..3 {
            let request = self.request(method, content);
            let answer = self.answer(&request).ok_or(SILENCE)?;
            match code(&answer) {
                None => return Ok(answer),
                Some(401 | 438) if self.is_challenged(&answer) => {}
                Some(code) => return Err(code),
            }
        }
        Err(401)
    }

    /// Takes the nonce of a challenge; whether it is a new one.
    fn is_challenged(&mut self, answer: &Message) -> bool {
        let Ok(nonce) = TextAttribute::get_from_as(answer, ATTR_NONCE) else { return false };
        let old = self.nonce.replace(nonce.text.clone());
        old != Some(nonce.text)
    }

    /// Sends a request, again while nobody answers, and waits for its answer.
    pub fn answer(&mut self, request: &[u8]) -> Option<Message> {
        let tries = if matches!(self.wire, Wire::Udp(_)) { TRIES } else { 1 };
        for _ in 0..tries {
            self.wire.send(request).ok()?;
            let until = Instant::now() + if tries == 1 { REPEAT * TRIES as u32 } else { REPEAT };
            while let Some(message) = self.wire.receive(until.saturating_duration_since(Instant::now())) {
                if message.get(8..20) == request.get(8..20) {
                    let mut answer = Message::new();
                    answer.unmarshal_binary(&message).expect("well-formed");
                    return Some(answer);
                }
                self.take(&message);
            }
        }
        None
    }

    /// Takes data that has come, within so much time.
    pub fn next_data(&mut self, within: Duration) -> Option<(From, Vec<u8>)> {
        let until = Instant::now() + within;
        while self.data.is_empty() {
            let message = self.wire.receive(until.saturating_duration_since(Instant::now()))?;
            self.take(&message);
        }
        self.data.pop_front()
    }

    fn take(&mut self, message: &[u8]) {
        if let [a @ 0x40..=0x7F, b, _, _, data @ ..] = message {
            return self.data.push_back((From::Channel(u16::from_be_bytes([*a, *b])), data.to_vec()));
        }
        let Some(view) = StunView::of(message).filter(|view| view.kind == 0x0017) else { return };
        let peer = view.find(ATTR_XOR_PEER_ADDRESS.0).and_then(|value| view.xor_address(value)).expect("a peer");
        self.data.push_back((From::Peer(peer), view.find(0x0013).expect("data").to_vec()));
    }

    /// An allocation of a family; its address.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn allocate(&mut self, ipv6: bool) -> Result<SocketAddr, u16> {
        let content: &[&dyn Setter] = if ipv6 { &[&UDP, &REQUESTED_FAMILY_IPV6] } else { &[&UDP] };
        let answer = self.ask(METHOD_ALLOCATE, content)?;
        let mut relayed = RelayedAddress::default();
        relayed.get_from(&answer).expect("a relayed address");
        Ok(SocketAddr::new(relayed.ip, relayed.port))
    }

    pub fn refresh(&mut self, lifetime: Duration) -> Result<(), u16> {
        self.ask(METHOD_REFRESH, &[&Lifetime(lifetime)]).map(|_| ())
    }

    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        self.ask(METHOD_CREATE_PERMISSION, &[&Peer(peer)]).map(|_| ())
    }

    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Result<(), u16> {
        self.ask(METHOD_CHANNEL_BIND, &[&ChannelNumber(number), &Peer(peer)]).map(|_| ())
    }

    /// Sends data by a channel.
    pub fn send_by(&mut self, number: u16, data: &[u8]) -> std::io::Result<()> {
        self.wire.send(&channel_data(number, data))
    }

    /// Sends data to a peer.
    pub fn send_to(&mut self, peer: SocketAddr, data: &[u8]) -> std::io::Result<()> {
        self.wire.send(&send_indication(peer, data))
    }
}

/// The key of long-term credentials (RFC 8489 section 9.2.2).
pub fn key(username: &str, password: &str) -> Vec<u8> {
    MessageIntegrity::long_term_integrity_key(username.to_owned(), REALM.to_owned(), password.to_owned(), &AwsLcRsCrypto).expect("a key")
}

/// The code of a refusal.
pub fn code(message: &Message) -> Option<u16> {
    let mut code = ErrorCodeAttribute::default();
    code.get_from(message).ok().map(|()| code.code.0)
}

pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

pub fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut message = Message { typ: rtc_turn::proto::send_indication(), transaction_id: TransactionId::new(), ..Message::new() };
    message.write_header();
    Peer(peer).add_to(&mut message).expect("a peer");
    Data(data.to_vec()).add_to(&mut message).expect("data");
    message.raw
}
