//! What a ClientHello says, whatever its fragments went through (RFC 6347 section 4.2.3, RFC 5246 section 7.4.1.2,
//! RFC 5764 section 4.1.1). Total: bytes that make no sense end the walk.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use super::MAX_HELLO_LEN;
use super::record::{Fragment, HANDSHAKE, MESSAGE_HEADER, RECORD_HEADER, Reader, Record, records};
use crate::contract::SrtpProfile;
use bytes::{BufMut, BytesMut};

/// `client_hello` (RFC 5246 section 7.4).
const CLIENT_HELLO: u8 = 1;
/// `hello_verify_request` (RFC 6347 section 4.3.2).
const HELLO_VERIFY_REQUEST: u8 = 3;
/// `message_seq` of the last ClientHello, the one with the cookie.
const LAST_HELLO: u16 = 1;
/// `use_srtp` (RFC 5764 section 4.1.1).
const USE_SRTP: u16 = 14;

/// Whether the first handshake message of a record is (a part of) a ClientHello.
pub(super) fn is_client_hello(record: &Record<'_>) -> bool {
    record.kind == HANDSHAKE && record.body.first() == Some(&CLIENT_HELLO)
}

/// Puts one ClientHello together at a time: at most [`MAX_HELLO_LEN`] bytes and a bit for each.
#[derive(Default)]
pub(super) struct HelloAssembler {
    message: u16,
    bytes: Vec<u8>,
    /// Which bytes are there.
    have: Vec<u64>,
    missing: usize,
}

impl HelloAssembler {
    /// Adds a fragment; when it was the last one missing, returns the ClientHello in one record with that number.
    /// A fragment of the next message, or of another length, begins anew; one of a message before is late and ignored.
    pub fn add(&mut self, fragment: &Fragment<'_>, record_sequence: u64) -> Option<BytesMut> {
        let end = fragment.offset.checked_add(fragment.body.len())?;
        let fits = fragment.total > 0 && fragment.total <= MAX_HELLO_LEN && end <= fragment.total;
        let expected = fragment.kind == CLIENT_HELLO && fragment.message >= self.message && fragment.message <= LAST_HELLO;
        (fits && expected).then_some(())?;
        if self.missing == 0 || self.message != fragment.message || self.bytes.len() != fragment.total {
            self.begin(fragment);
        }
        self.bytes.get_mut(fragment.offset..end)?.copy_from_slice(fragment.body);
        for at in fragment.offset..end {
            self.mark(at);
        }
        (self.missing == 0).then(|| self.record(record_sequence))
    }

    fn begin(&mut self, fragment: &Fragment<'_>) {
        self.message = fragment.message;
        self.bytes = vec![0; fragment.total];
        self.have = vec![0; fragment.total.div_ceil(64)];
        self.missing = fragment.total;
    }

    fn mark(&mut self, at: usize) {
        let bit = 1 << (at % 64);
        if let Some(word) = self.have.get_mut(at / 64).filter(|word| **word & bit == 0) {
            *word |= bit;
            self.missing -= 1;
        }
    }

    /// The whole message as one fragment in one record: the transcript of a handshake knows messages, not fragments
    /// (RFC 6347 section 4.2.6).
    fn record(&mut self, sequence: u64) -> BytesMut {
        let message = std::mem::take(&mut self.bytes);
        self.have = Vec::new();
        let total = message.len() as u64;
        let mut record = BytesMut::with_capacity(RECORD_HEADER + MESSAGE_HEADER + message.len());
        record.put_u8(HANDSHAKE);
        record.put_u16(0xfefd);
        record.put_u16(0);
        record.put_uint(sequence, 6);
        record.put_u16((MESSAGE_HEADER + message.len()) as u16);
        record.put_u8(CLIENT_HELLO);
        record.put_uint(total, 3);
        record.put_u16(self.message);
        record.put_uint(0, 3);
        record.put_uint(total, 3);
        record.extend_from_slice(&message);
        record
    }
}

/// Whether a datagram of ours is a HelloVerifyRequest.
pub(super) fn is_verify_request(datagram: &[u8]) -> bool {
    records(datagram).any(|record| record.kind == HANDSHAKE && record.epoch == 0 && record.body.first() == Some(&HELLO_VERIFY_REQUEST))
}

/// The ClientHello inside a record that [`HelloAssembler::add`] made.
pub(super) fn body_of(record: &[u8]) -> &[u8] {
    record.get(RECORD_HEADER + MESSAGE_HEADER..).unwrap_or_default()
}

/// The profile to use with a client that sent this ClientHello: GCM wherever it stands in the list, with
/// 128 bits rather than 256, else HMAC-SHA1 with 80 bits. `None` when it lists none of them, or is malformed.
pub(super) fn choose_profile(client_hello: &[u8]) -> Option<SrtpProfile> {
    let profiles = srtp_profiles(client_hello)?;
    let lists = |id: u16| profiles.chunks_exact(2).any(|profile| profile == id.to_be_bytes());
    match () {
        () if lists(0x0007) => Some(SrtpProfile::AeadAes128Gcm),
        () if lists(0x0008) => Some(SrtpProfile::AeadAes256Gcm),
        () if lists(0x0001) => Some(SrtpProfile::AesCm128HmacSha1_80),
        () => None,
    }
}

/// The list in `use_srtp`, two bytes each.
fn srtp_profiles(client_hello: &[u8]) -> Option<&[u8]> {
    let mut hello = Reader(client_hello);
    let _version_and_random = hello.take(2 + 32)?;
    let _session_id = hello.prefixed(1)?;
    let _cookie = hello.prefixed(1)?;
    let _cipher_suites = hello.prefixed(2)?;
    let _compression_methods = hello.prefixed(1)?;
    let mut extensions = Reader(hello.prefixed(2)?);
    loop {
        let kind = extensions.u16()?;
        let value = extensions.prefixed(2)?;
        if kind == USE_SRTP {
            return Reader(value).prefixed(2);
        }
    }
}

#[cfg(test)]
mod tests;
