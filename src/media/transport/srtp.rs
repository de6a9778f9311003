//! SRTP: sealing and opening RTP packets (RFC 3711, RFC 7714). Nothing here allocates once the keys are expanded.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use super::keys::{SHA1_80_TAG, SessionKeys, Use};
use super::replay::{MAX_INDEX, ReceiveStream};
use crate::contract::{SrtpKeys, SrtpProfile};

/// Why a packet could not be opened, or keys not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SrtpError {
    /// The tag does not fit; or, in SRTCP, the packet says that it is not encrypted.
    Authentication,
    /// The packet was accepted before, or is too old to tell.
    Replay,
    /// The packet is too short to be one.
    Short,
    /// A master key or salt has not the length that its profile wants.
    KeyLength,
}

/// An RTP packet that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its 48-bit index: rollover counter and sequence number.
    pub index: u64,
    /// Length of the payload (padding included) that now stands in plain after the header, in bytes.
    pub payload_len: usize,
}

/// Opens the RTP packets of one peer. Has no state but its keys: what is known of an SSRC is a [`ReceiveStream`].
pub struct SrtpReceiver {
    keys: SessionKeys,
}

impl SrtpReceiver {
    /// Expands the keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self { keys: SessionKeys::derive(profile, key, salt, Use::Rtp)? })
    }

    /// Expands the receiving half of `keys`.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_keys(keys: &SrtpKeys) -> Result<Self, SrtpError> {
        Self::new(keys.profile, &keys.receive_key, &keys.receive_salt)
    }

    /// Opens a packet in place and marks it in `stream`, which changes only on success.
    ///
    /// For an SSRC never heard of, pass a new [`ReceiveStream`] and keep it only if this succeeds: so a forged SSRC
    /// leaves nothing behind. After a failure the packet's payload is not to be used.
    ///
    /// # Errors
    /// [`SrtpError::Replay`], [`SrtpError::Short`] or [`SrtpError::Authentication`].
    pub fn open(&self, stream: &mut ReceiveStream, packet: &mut [u8], header_len: usize, seq: u16, ssrc: u32) -> Result<Opened, SrtpError> {
        let index = stream.index(seq);
        stream.check(index).map_err(|_| SrtpError::Replay)?;
        let payload_len = self.open_rtp((header_len, ssrc, seq), (index >> 16) as u32, packet)?;
        stream.accept(index);
        Ok(Opened { index, payload_len })
    }

    /// Opens a packet in place under a given rollover counter, with no replay check; returns the payload's length.
    ///
    /// # Errors
    /// [`SrtpError::Short`] or [`SrtpError::Authentication`].
    pub fn open_rtp(&self, header: (usize, u32, u16), roc: u32, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let (header_len, ssrc, seq) = header;
        let index = u64::from(roc) << 16 | u64::from(seq);
        match &self.keys {
            SessionKeys::Gcm(keys) => {
                let (header, text) = packet.split_at_mut_checked(header_len).ok_or(SrtpError::Short)?;
                if text.len() < self.keys.tag_len() {
                    return Err(SrtpError::Short);
                }
                keys.open_in_place(ssrc, index, header, text).ok_or(SrtpError::Authentication)
            }
            SessionKeys::CmSha1(keys) => {
                let (message, tag) = packet.split_last_chunk_mut::<SHA1_80_TAG>().ok_or(SrtpError::Short)?;
                if message.len() < header_len {
                    return Err(SrtpError::Short);
                }
                if !keys.verify(message, &roc.to_be_bytes(), tag) {
                    return Err(SrtpError::Authentication);
                }
                let payload = message.get_mut(header_len..).ok_or(SrtpError::Short)?;
                keys.apply(ssrc, index, payload).ok_or(SrtpError::Authentication)?;
                Ok(payload.len())
            }
        }
    }
}

/// Seals the RTP packets for one peer. Stateless: the caller must never use an index twice with one SSRC.
pub struct SrtpSender {
    keys: SessionKeys,
}

impl SrtpSender {
    /// Expands the keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self { keys: SessionKeys::derive(profile, key, salt, Use::Rtp)? })
    }

    /// Asks for the memory of the expanded keys, which lie apart from `self`.
    pub fn fetch(&self) {
        self.keys.fetch();
    }

    /// Expands the sending half of `keys`.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_keys(keys: &SrtpKeys) -> Result<Self, SrtpError> {
        Self::new(keys.profile, &keys.send_key, &keys.send_salt)
    }

    /// Bytes that sealing adds to a packet: 16 or 10.
    pub const fn overhead(&self) -> usize {
        self.keys.tag_len()
    }

    /// Seals `plain` behind the header that already stands in `out[..header_len]`; `plain` stays as it is, so that one
    /// payload serves every subscriber. `index` is the 48-bit packet index. Returns the packet's whole length;
    /// `None` when `out` is too small or `index` beyond the life of the key.
    pub fn seal_scatter(&self, out: &mut [u8], header_len: usize, plain: &[u8], ssrc: u32, index: u64) -> Option<usize> {
        match &self.keys {
            SessionKeys::Gcm(keys) if index <= MAX_INDEX => {
                let len = header_len.checked_add(plain.len())?.checked_add(self.overhead())?;
                let (header, rest) = out.get_mut(..len)?.split_at_mut_checked(header_len)?;
                let (cipher, tag) = rest.split_at_mut_checked(plain.len())?;
                keys.seal_scatter(ssrc, index, header, plain, cipher, tag)?;
                Some(len)
            }
            SessionKeys::Gcm(_) => None,
            // The copy is nothing beside the HMAC, and the safe interface has no counter mode from one buffer to another.
            SessionKeys::CmSha1(_) => {
                out.get_mut(header_len..)?.get_mut(..plain.len())?.copy_from_slice(plain);
                self.seal_in_place(out, header_len, plain.len(), ssrc, index)
            }
        }
    }

    /// Seals the payload that stands in `out` after the header. Otherwise as [`Self::seal_scatter`].
    pub fn seal_in_place(&self, out: &mut [u8], header_len: usize, payload_len: usize, ssrc: u32, index: u64) -> Option<usize> {
        if index > MAX_INDEX {
            return None;
        }
        let plain_len = header_len.checked_add(payload_len)?;
        let len = plain_len.checked_add(self.overhead())?;
        let (packet, tag) = out.get_mut(..len)?.split_at_mut_checked(plain_len)?;
        match &self.keys {
            SessionKeys::Gcm(keys) => {
                let (header, text) = packet.split_at_mut_checked(header_len)?;
                keys.seal_in_place(ssrc, index, header, text, tag)?;
            }
            SessionKeys::CmSha1(keys) => {
                keys.apply(ssrc, index, packet.get_mut(header_len..)?)?;
                let roc = (index >> 16) as u32;
                tag.copy_from_slice(&keys.tag(packet, &roc.to_be_bytes())?);
            }
        }
        Some(len)
    }
}

#[cfg(test)]
mod tests;
