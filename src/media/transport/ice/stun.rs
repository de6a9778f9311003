//! Binding requests and their answers (RFC 8489), as ICE uses them (RFC 8445 section 7).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_MAPPED_ADDRESS, ATTR_MESSAGE_INTEGRITY,
    ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE, ATTR_PASSWORD_ALGORITHM, ATTR_PRIORITY, ATTR_REALM, ATTR_UNKNOWN_ATTRIBUTES, ATTR_USE_CANDIDATE,
    ATTR_USER_HASH, ATTR_USERNAME, ATTR_XORMAPPED_ADDRESS, AttrType,
};
use rtc_stun::error_code::{CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCodeAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, MessageType, Setter, TransactionId};
use rtc_stun::uattrs::UnknownAttributes;
use rtc_stun::xoraddr::XorMappedAddress;
use std::net::SocketAddr;

use crate::base::stun::{Attributes, StunView};
use crate::contract::IceCredentials;

/// The longest answer that [`super::IceLite::handle_request`] writes, in bytes.
pub const MAX_ANSWER_LEN: usize = 128;

/// Unknown attributes named in an answer; a peer that sends more learns of the first ones.
const MAX_UNKNOWN: usize = 8;

/// The first attribute type that may be ignored when unknown (RFC 8489 section 14).
const OPTIONAL: u16 = 0x8000;

/// Attribute types below [`OPTIONAL`] that are understood, if only to be ignored.
const UNDERSTOOD: [AttrType; 13] = [
    ATTR_MAPPED_ADDRESS,
    ATTR_USERNAME,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_ERROR_CODE,
    ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_MESSAGE_INTEGRITY_SHA256,
    ATTR_PASSWORD_ALGORITHM,
    ATTR_USER_HASH,
    ATTR_XORMAPPED_ADDRESS,
    ATTR_PRIORITY,
    ATTR_USE_CANDIDATE,
];

/// Why a datagram that looks like STUN is dropped without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StunDrop {
    /// It cannot be read, is not a Binding request, or its fingerprint is wrong.
    Malformed,
    /// Its user name is not one of ours.
    UnknownUser,
    /// Its user name is ours, but MESSAGE-INTEGRITY is missing or wrong.
    BadIntegrity,
}

/// The local part of the USERNAME of a Binding request: whose check this is. Nothing is verified, nothing allocated.
///
/// # Errors
/// [`StunDrop::Malformed`].
pub fn peek_username(datagram: &[u8]) -> Result<&str, StunDrop> {
    username(datagram).map(|(local, _)| local)
}

/// Both parts of the USERNAME of a Binding request (RFC 8445 section 7.2.2): ours, then the peer's.
pub(super) fn username(datagram: &[u8]) -> Result<(&str, &str), StunDrop> {
    let value = attributes(datagram)?.find(|(kind, _)| *kind == ATTR_USERNAME.0).ok_or(StunDrop::Malformed)?.1;
    str::from_utf8(value).ok().and_then(|text| text.split_once(':')).ok_or(StunDrop::Malformed)
}

/// Answers a Binding request without USERNAME: where it came from (RFC 8489 section 5), and nothing else, so that it is at most 1.6 times
/// as long as the request (2.2 times over IPv6). The bytes written to `out`; 0 when it is too short.
///
/// # Errors
/// [`StunDrop::Malformed`] also when something in the request may not be ignored.
pub fn answer_stranger(datagram: &[u8], remote: SocketAddr, out: &mut [u8]) -> Result<usize, StunDrop> {
    if attributes(datagram)?.any(|(kind, _)| kind < OPTIONAL) {
        return Err(StunDrop::Malformed);
    }
    let mut request = Message::new();
    request.unmarshal_binary(datagram).map_err(|_| StunDrop::Malformed)?;
    let request = Request { message: request, unknown: Vec::new(), use_candidate: false, role: None };
    let mapped = XorMappedAddress { ip: remote.ip().to_canonical(), port: remote.port() };
    Ok(request.write(BINDING_SUCCESS, std::iter::once(&mapped as &dyn Setter), out))
}

/// Whether a Binding request is well-formed and has no USERNAME: it is for the STUN service, not a check.
pub fn is_strangers(datagram: &[u8]) -> bool {
    attributes(datagram).is_ok_and(|mut all| all.all(|(kind, _)| kind != ATTR_USERNAME.0))
}

/// What a successful answer to a Binding request says (RFC 8489 section 7.3.3): the transaction that it answers, and the address seen.
pub fn mapped_address(datagram: &[u8]) -> Option<([u8; 12], SocketAddr)> {
    let answer = StunView::of(datagram).filter(|view| view.kind == BINDING_SUCCESS.value())?;
    let address = answer.xor_address(answer.find(ATTR_XORMAPPED_ADDRESS.0)?)?;
    Some((*answer.transaction, address))
}

/// A Binding request whose integrity holds.
pub(super) struct Request {
    message: Message,
    unknown: Vec<AttrType>,
    /// USE-CANDIDATE: the peer nominates this pair.
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED: the role that the peer takes, with its tie-breaker.
    pub role: Option<(Role, u64)>,
}

/// Who decides which pair is used (RFC 8445 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// This agent.
    Controlling,
    /// The other one.
    Controlled,
}

impl Role {
    pub const fn other(self) -> Self {
        match self {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        }
    }
}

impl Request {
    /// Reads a request and checks FINGERPRINT, when there is one, and MESSAGE-INTEGRITY.
    pub fn authenticate(datagram: &[u8], password: &str) -> Result<Self, StunDrop> {
        let last = attributes(datagram)?.last();
        // Looked for before the message is copied: whoever knows a user name alone costs us this walk only.
        if !attributes(datagram)?.any(|(kind, value)| kind == ATTR_MESSAGE_INTEGRITY.0 && value.len() == 20) {
            return Err(StunDrop::BadIntegrity);
        }
        let mut message = Message::new();
        message.unmarshal_binary(datagram).map_err(|_| StunDrop::Malformed)?;
        if last.is_some_and(|(kind, _)| kind == ATTR_FINGERPRINT.0) {
            FINGERPRINT.check(&message).map_err(|_| StunDrop::Malformed)?;
        }
        MessageIntegrity::check(&mut message, password.as_bytes(), &AwsLcRsCrypto).map_err(|_| StunDrop::BadIntegrity)?;
        Ok(Self::read(message))
    }

    /// What stands after MESSAGE-INTEGRITY is not covered by it and does not count (RFC 8489 section 14.5).
    fn read(message: Message) -> Self {
        let mut request = Self { message: Message::default(), unknown: Vec::new(), use_candidate: false, role: None };
        let tie_breaker = |value: &[u8]| value.try_into().map_or(0, u64::from_be_bytes);
        for attribute in message.attributes.0.iter().take_while(|attribute| attribute.typ != ATTR_MESSAGE_INTEGRITY) {
            match attribute.typ {
                ATTR_USE_CANDIDATE => request.use_candidate = true,
                ATTR_ICE_CONTROLLED => request.role = Some((Role::Controlled, tie_breaker(&attribute.value))),
                ATTR_ICE_CONTROLLING => request.role = Some((Role::Controlling, tie_breaker(&attribute.value))),
                kind if kind.0 < OPTIONAL && !UNDERSTOOD.contains(&kind) && request.unknown.len() < MAX_UNKNOWN => request.unknown.push(kind),
                _ => {}
            }
        }
        request.message = message;
        request
    }

    /// Whether there are attributes that may not be ignored and are not understood.
    pub fn has_unknown_attributes(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Writes a success response; `remote` is where the request came from.
    pub fn success(&self, password: &str, remote: SocketAddr, out: &mut [u8]) -> usize {
        let mapped = XorMappedAddress { ip: remote.ip().to_canonical(), port: remote.port() };
        self.answer(BINDING_SUCCESS, &[&mapped], password, out)
    }

    /// Writes a 487 (Role Conflict).
    pub fn role_conflict(&self, password: &str, out: &mut [u8]) -> usize {
        self.answer(BINDING_ERROR, &[&CODE_ROLE_CONFLICT], password, out)
    }

    /// Writes a 420 (Unknown Attribute) that names them.
    pub fn unknown_attributes(&self, password: &str, out: &mut [u8]) -> usize {
        self.answer(BINDING_ERROR, &[&CODE_UNKNOWN_ATTRIBUTE, &UnknownAttributes(self.unknown.clone())], password, out)
    }

    fn answer(&self, kind: MessageType, content: &[&dyn Setter], password: &str, out: &mut [u8]) -> usize {
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(password.to_owned(), &AwsLcRsCrypto);
        self.write(kind, content.iter().copied().chain([&integrity as &dyn Setter, &FINGERPRINT]), out)
    }

    fn write<'a>(&self, kind: MessageType, content: impl Iterator<Item = &'a dyn Setter>, out: &mut [u8]) -> usize {
        let mut answer = Message { typ: kind, transaction_id: self.message.transaction_id, ..Message::new() };
        answer.write_header();
        finish(answer, content, out)
    }
}

/// Adds the rest to a message and copies it out: its length, 0 when it does not fit.
fn finish<'a>(mut message: Message, mut content: impl Iterator<Item = &'a dyn Setter>, out: &mut [u8]) -> usize {
    let written = content.try_for_each(|setter| setter.add_to(&mut message));
    match (written, out.get_mut(..message.raw.len())) {
        (Ok(()), Some(place)) => {
            place.copy_from_slice(&message.raw);
            message.raw.len()
        }
        _ => 0,
    }
}

/// A check of ours (RFC 8445 section 7.1).
pub(super) struct CheckRequest {
    pub id: [u8; 12],
    pub role: Role,
    pub tie_breaker: u64,
    /// USE-CANDIDATE.
    pub nominates: bool,
    /// What the candidate would have that the other side learns of by this check.
    pub priority: u32,
}

impl CheckRequest {
    /// Writes it; 0 when `out` is too short.
    pub fn write(&self, credentials: &IceCredentials, out: &mut [u8]) -> usize {
        let mut check = Message { typ: BINDING_REQUEST, transaction_id: TransactionId(self.id), ..Message::new() };
        check.write_header();
        check.add(ATTR_USERNAME, format!("{}:{}", credentials.remote_ufrag, credentials.local_ufrag).as_bytes());
        check.add(ATTR_PRIORITY, &self.priority.to_be_bytes());
        let role = if self.role == Role::Controlling { ATTR_ICE_CONTROLLING } else { ATTR_ICE_CONTROLLED };
        check.add(role, &self.tie_breaker.to_be_bytes());
        if self.nominates {
            check.add(ATTR_USE_CANDIDATE, &[]);
        }
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(credentials.remote_pwd.clone(), &AwsLcRsCrypto);
        finish(check, [&integrity as &dyn Setter, &FINGERPRINT].into_iter(), out)
    }
}

/// What a check is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CheckAnswer {
    Success,
    /// 487: both sides take the same role.
    RoleConflict,
    /// Any other error.
    Refused,
}

/// The transaction of an answer to a Binding request; none when it is something else. Nothing is verified.
pub(super) fn answered(datagram: &[u8]) -> Option<[u8; 12]> {
    let view = StunView::of(datagram)?;
    [BINDING_SUCCESS, BINDING_ERROR].iter().any(|kind| kind.value() == view.kind).then_some(*view.transaction)
}

/// Whether a datagram answers a Binding request, by its looks.
pub fn is_answer(datagram: &[u8]) -> bool {
    answered(datagram).is_some()
}

/// Reads an answer whose integrity holds.
///
/// # Errors
/// [`StunDrop::BadIntegrity`] also when it has none: an error that anybody could have written changes nothing, and the check is repeated.
pub(super) fn read_answer(datagram: &[u8], password: &str) -> Result<CheckAnswer, StunDrop> {
    let mut message = Message::new();
    message.unmarshal_binary(datagram).map_err(|_| StunDrop::Malformed)?;
    if message.attributes.0.last().is_some_and(|last| last.typ == ATTR_FINGERPRINT) {
        FINGERPRINT.check(&message).map_err(|_| StunDrop::Malformed)?;
    }
    MessageIntegrity::check(&mut message, password.as_bytes(), &AwsLcRsCrypto).map_err(|_| StunDrop::BadIntegrity)?;
    if message.typ == BINDING_SUCCESS {
        return Ok(CheckAnswer::Success);
    }
    let mut error = ErrorCodeAttribute::default();
    error.get_from(&message).map_err(|_| StunDrop::Malformed)?;
    Ok(if error.code == CODE_ROLE_CONFLICT { CheckAnswer::RoleConflict } else { CheckAnswer::Refused })
}

/// The attributes of a Binding request that is well-formed to its end, as type and value.
fn attributes(datagram: &[u8]) -> Result<Attributes<'_>, StunDrop> {
    let view = StunView::of(datagram).filter(|view| view.kind == BINDING_REQUEST.value());
    view.map(|view| view.attributes()).ok_or(StunDrop::Malformed)
}
