//! A client's requests to a relay, as far as it takes to send on a channel: an allocation, and a channel to one peer (RFC 8656). It has no socket.

use std::net::SocketAddr;

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{CLASS_REQUEST, Getter, METHOD_ALLOCATE, METHOD_CHANNEL_BIND, Message, MessageType, Method, Setter, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::peeraddr::PeerAddress;
use rtc_turn::proto::relayaddr::RelayedAddress;
use rtc_turn::proto::reqtrans::RequestedTransport;

/// The result of whatever may go wrong.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The channel that is bound.
pub const CHANNEL: u16 = 0x4000;
/// Requests are sent so many times before a client gives up.
const TRIES: u8 = 20;

/// Credentials, and what the relay has said of its nonce.
pub struct Session {
    username: String,
    password: String,
    /// Realm and nonce.
    challenge: Option<(String, String)>,
    serial: u8,
}

impl Session {
    /// Nothing has been asked yet.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned(), challenge: None, serial: 0 }
    }

    /// Makes an allocation and binds [`CHANNEL`] to `peer`; the address that the peer sends to. `exchange` sends a request and returns what comes back, if anything does in time.
    ///
    /// # Errors
    /// What the relay refuses, and when it does not answer.
    pub fn allocate(&mut self, peer: SocketAddr, mut exchange: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<SocketAddr> {
        let answer = self.ask(METHOD_ALLOCATE, &[&RequestedTransport { protocol: PROTO_UDP }], &mut exchange)?;
        let mut relayed = RelayedAddress::default();
        relayed.get_from(&answer)?;
        self.ask(METHOD_CHANNEL_BIND, &[&ChannelNumber(CHANNEL), &PeerAddress { ip: peer.ip(), port: peer.port() }], &mut exchange)?;
        Ok(SocketAddr::new(relayed.ip, relayed.port))
    }

    fn ask(&mut self, method: Method, content: &[&dyn Setter], exchange: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<Message> {
        for _ in 0..TRIES {
            self.serial = self.serial.wrapping_add(1);
            // A relay answers so many strangers a second and no more: ask again.
            let Some(bytes) = exchange(&self.request(method, content)?) else { continue };
            let mut answer = Message::new();
            answer.unmarshal_binary(&bytes)?;
            if answer.transaction_id != self.transaction() {
                continue;
            }
            let mut refused = ErrorCodeAttribute::default();
            if refused.get_from(&answer).is_err() {
                return Ok(answer);
            }
            if !matches!(refused.code.0, 401 | 438) {
                return Err(format!("the relay refuses {method}: {refused}").into());
            }
            let text = |kind| TextAttribute::get_from_as(&answer, kind).map(|text| text.text);
            self.challenge = Some((text(ATTR_REALM)?, text(ATTR_NONCE)?));
        }
        Err(format!("the relay does not grant {method}").into())
    }

    fn transaction(&self) -> TransactionId {
        TransactionId([self.serial; 12])
    }

    fn request(&self, method: Method, content: &[&dyn Setter]) -> Result<Vec<u8>> {
        let mut message = Message { typ: MessageType::new(method, CLASS_REQUEST), transaction_id: self.transaction(), ..Message::new() };
        message.write_header();
        content.iter().try_for_each(|setter| setter.add_to(&mut message))?;
        if let Some((realm, nonce)) = &self.challenge {
            for (kind, text) in [(ATTR_USERNAME, &self.username), (ATTR_REALM, realm), (ATTR_NONCE, nonce)] {
                TextAttribute::new(kind, text.clone()).add_to(&mut message)?;
            }
            let key = MessageIntegrity::long_term_integrity_key(self.username.clone(), realm.clone(), self.password.clone(), &AwsLcRsCrypto)?;
            MessageIntegrity::new_raw_integrity_with_provider(key, &AwsLcRsCrypto).add_to(&mut message)?;
        }
        Ok(message.raw)
    }
}
