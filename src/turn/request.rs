//! Requests whose sender is known, and answers (RFC 8489 section 9.2, RFC 8656).

use std::net::SocketAddr;
use std::time::Duration;

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_DONT_FRAGMENT, ATTR_EVEN_PORT, ATTR_FINGERPRINT, ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY,
    ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN,
    ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use rtc_stun::error_code::{ErrorCode, ErrorCodeAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Message, MessageClass, MessageType, Method, Setter};
use rtc_stun::textattrs::{Nonce, Realm};
use rtc_stun::uattrs::UnknownAttributes;

use super::credentials::{REALM, UserKey};
use crate::base::stun::StunView;

/// The longest answer, in bytes.
pub const MAX_ANSWER_LEN: usize = 256;
/// Unknown attributes named in an answer; a client that sends more learns of the first ones.
const MAX_UNKNOWN: usize = 8;
/// Peers of one CreatePermission request at most.
const MAX_PEERS: usize = 16;

/// Attributes that may not be ignored and that are understood.
const UNDERSTOOD: [AttrType; 15] = [
    ATTR_USERNAME,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_CHANNEL_NUMBER,
    ATTR_LIFETIME,
    ATTR_XOR_PEER_ADDRESS,
    ATTR_DATA,
    ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_EVEN_PORT,
    ATTR_REQUESTED_TRANSPORT,
    ATTR_DONT_FRAGMENT,
    ATTR_RESERVATION_TOKEN,
    ATTR_FINGERPRINT,
];

/// Why a request is refused: a code of RFC 8489 or 8656, and a phrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal(pub u16, pub &'static str);

impl Refusal {
    pub const BAD: Self = Self(400, "Bad Request");
    pub const UNAUTHORIZED: Self = Self(401, "");
    pub const STALE_NONCE: Self = Self(438, "");
    pub const FORBIDDEN: Self = Self(403, "Forbidden: not an address of the public internet");
    /// Whoever they were given to has been removed from its room.
    pub const REVOKED: Self = Self(403, "Forbidden: these credentials were taken back");
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420, "Unknown Attribute");
    pub const MISMATCH: Self = Self(437, "Allocation Mismatch");
    pub const FAMILY_UNSUPPORTED: Self = Self(440, "Address Family not Supported");
    pub const WRONG_CREDENTIALS: Self = Self(441, "Wrong Credentials");
    pub const TRANSPORT_UNSUPPORTED: Self = Self(442, "Unsupported Transport Protocol: UDP only");
    pub const PEER_FAMILY: Self = Self(443, "Peer Address Family Mismatch");
    pub const QUOTA: Self = Self(486, "Allocation Quota Reached");
    pub const CAPACITY: Self = Self(508, "Insufficient Capacity");
}

/// A request, as it lies in its datagram.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    datagram: &'a [u8],
    view: StunView<'a>,
}

/// What a request shows about its sender; nothing of it is verified.
pub struct Shown<'a> {
    pub username: &'a str,
    pub nonce: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request; `view` is that of the datagram.
    pub const fn new(datagram: &'a [u8], view: StunView<'a>) -> Self {
        Self { datagram, view }
    }

    /// Its length in bytes.
    pub const fn len(&self) -> usize {
        self.datagram.len()
    }

    /// What it asks for.
    pub fn method(&self) -> Method {
        let mut kind = MessageType::default();
        kind.read_value(self.view.kind);
        kind.method
    }

    /// The transaction id.
    pub const fn transaction(&self) -> [u8; 12] {
        *self.view.transaction
    }

    /// Who it says that it is from; none when it does not say.
    ///
    /// # Errors
    /// 400 when it has an integrity and something that belongs to it is missing.
    pub fn shown(&self) -> Result<Option<Shown<'a>>, Refusal> {
        if self.view.find(ATTR_MESSAGE_INTEGRITY.0).is_none() {
            return Ok(None);
        }
        let text = |kind: AttrType| self.view.find(kind.0).and_then(|value| str::from_utf8(value).ok());
        match (text(ATTR_USERNAME), text(ATTR_REALM), self.view.find(ATTR_NONCE.0)) {
            (Some(username), Some(realm), Some(nonce)) if realm == REALM => Ok(Some(Shown { username, nonce })),
            (Some(_), Some(_), Some(_)) => Ok(None),
            _ => Err(Refusal::BAD),
        }
    }

    /// Whether its integrity is that of a key, over all of it that counts.
    pub fn is_signed_with(&self, key: &UserKey) -> bool {
        let mut message = Message::new();
        let fits = self.view.find(ATTR_MESSAGE_INTEGRITY.0).is_some_and(|value| value.len() == 20);
        fits && message.unmarshal_binary(self.datagram).is_ok() && MessageIntegrity::check(&mut message, key, &AwsLcRsCrypto).is_ok()
    }

    /// The attributes that the integrity covers.
    fn covered(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        self.view.attributes().take_while(|(kind, _)| *kind != ATTR_MESSAGE_INTEGRITY.0)
    }

    fn covered_value(&self, wanted: AttrType) -> Option<&'a [u8]> {
        self.covered().find(|(kind, _)| *kind == wanted.0).map(|(_, value)| value)
    }

    /// Attributes that may not be ignored and are not understood.
    pub fn unknown(&self) -> Vec<AttrType> {
        let unknown = self.covered().map(|(kind, _)| AttrType(kind)).filter(|kind| kind.0 < 0x8000 && !UNDERSTOOD.contains(kind));
        unknown.take(MAX_UNKNOWN).collect()
    }

    /// REQUESTED-TRANSPORT: the protocol number of IP.
    ///
    /// # Errors
    /// 400 when it is missing or of another length.
    pub fn transport(&self) -> Result<u8, Refusal> {
        match self.covered_value(ATTR_REQUESTED_TRANSPORT) {
            Some([protocol, _, _, _]) => Ok(*protocol),
            _ => Err(Refusal::BAD),
        }
    }

    /// Whether IPv6 is asked for; none when no family is named.
    ///
    /// # Errors
    /// 440 for a family that there is not.
    pub fn ipv6(&self) -> Result<Option<bool>, Refusal> {
        match self.covered_value(ATTR_REQUESTED_ADDRESS_FAMILY) {
            None => Ok(None),
            Some([1, ..]) => Ok(Some(false)),
            Some([2, ..]) => Ok(Some(true)),
            Some(_) => Err(Refusal::FAMILY_UNSUPPORTED),
        }
    }

    /// EVEN-PORT: whether one is asked for.
    ///
    /// # Errors
    /// 508 when the next one is to be reserved, too, or a reservation is made use of: nothing is reserved.
    pub fn even_port(&self) -> Result<bool, Refusal> {
        match self.covered_value(ATTR_EVEN_PORT) {
            _ if self.covered_value(ATTR_RESERVATION_TOKEN).is_some() => Err(Refusal::CAPACITY),
            Some([flags, ..]) if flags & 0x80 != 0 => Err(Refusal::CAPACITY),
            found => Ok(found.is_some()),
        }
    }

    /// LIFETIME, as it is asked for.
    pub fn lifetime(&self) -> Option<Duration> {
        let seconds = self.covered_value(ATTR_LIFETIME)?.try_into().ok().map(u32::from_be_bytes)?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// CHANNEL-NUMBER.
    pub fn channel(&self) -> Option<u16> {
        self.covered_value(ATTR_CHANNEL_NUMBER)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Every XOR-PEER-ADDRESS.
    ///
    /// # Errors
    /// 400 when there is none, one cannot be read, or there are too many.
    pub fn peers(&self) -> Result<Vec<SocketAddr>, Refusal> {
        let values = self.covered().filter(|(kind, _)| *kind == ATTR_XOR_PEER_ADDRESS.0).take(MAX_PEERS + 1);
        let peers = values.map(|(_, value)| self.view.xor_address(value).ok_or(Refusal::BAD)).collect::<Result<Vec<_>, _>>()?;
        if peers.is_empty() || peers.len() > MAX_PEERS { Err(Refusal::BAD) } else { Ok(peers) }
    }

    /// Writes a success response; its length.
    pub fn success(&self, content: &[&dyn Setter], key: Option<&UserKey>, out: &mut [u8]) -> usize {
        self.write(CLASS_SUCCESS_RESPONSE, content, key, out)
    }

    /// Writes a refusal; its length.
    pub fn refuse(&self, refusal: Refusal, key: Option<&UserKey>, out: &mut [u8]) -> usize {
        let code = code_of(refusal);
        let unknown = UnknownAttributes(if refusal == Refusal::UNKNOWN_ATTRIBUTE { self.unknown() } else { Vec::new() });
        if unknown.0.is_empty() {
            self.write(CLASS_ERROR_RESPONSE, &[&code], key, out)
        } else {
            self.write(CLASS_ERROR_RESPONSE, &[&code, &unknown], key, out)
        }
    }

    /// Writes what a stranger gets: what to sign, and with which nonce; its length.
    pub fn challenge(&self, refusal: Refusal, nonce: &[u8], out: &mut [u8]) -> usize {
        let nonce = Nonce::new(ATTR_NONCE, String::from_utf8_lossy(nonce).into_owned());
        let realm = Realm::new(ATTR_REALM, REALM.to_owned());
        self.write(CLASS_ERROR_RESPONSE, &[&code_of(refusal), &realm, &nonce], None, out)
    }

    fn write(&self, class: MessageClass, content: &[&dyn Setter], key: Option<&UserKey>, out: &mut [u8]) -> usize {
        let transaction_id = rtc_stun::message::TransactionId(self.transaction());
        let mut answer = Message { typ: MessageType::new(self.method(), class), transaction_id, ..Message::new() };
        answer.write_header();
        let integrity = key.map(|key| MessageIntegrity::new_raw_integrity_with_provider(key.clone(), &AwsLcRsCrypto));
        let integrity = integrity.as_ref().map(|integrity| integrity as &dyn Setter);
        let fingerprint = self.view.find(ATTR_FINGERPRINT.0).map(|_| &FINGERPRINT as &dyn Setter);
        let written = content.iter().copied().chain(integrity).chain(fingerprint).try_for_each(|setter| setter.add_to(&mut answer));
        match (written, out.get_mut(..answer.raw.len())) {
            (Ok(()), Some(place)) => {
                place.copy_from_slice(&answer.raw);
                answer.raw.len()
            }
            _ => 0,
        }
    }
}

fn code_of(Refusal(code, reason): Refusal) -> ErrorCodeAttribute {
    ErrorCodeAttribute { code: ErrorCode(code), reason: reason.as_bytes().to_vec() }
}
