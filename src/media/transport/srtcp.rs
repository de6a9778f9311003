//! SRTCP: sealing and opening RTCP compounds (RFC 3711 section 3.4, RFC 7714 section 9).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use super::keys::{GCM_TAG, SHA1_80_TAG, SessionKeys, Use};
use super::replay::ReplayWindow;
use super::srtp::SrtpError;
use crate::contract::{SrtpKeys, SrtpProfile};

/// SSRCs of senders whose replay windows a receiver holds. More costs 48 bytes each; fewer makes a peer with many
/// streams forget the oldest. Only authentic packets count: a stranger cannot fill it.
pub const MAX_SENDERS: usize = 256;

/// The fixed part of an RTCP packet that is never encrypted: the first word and the sender's SSRC.
const HEADER: usize = 8;
/// The word of the E flag and the index.
const TRAILER: usize = 4;
/// The packet is encrypted (RFC 3711 section 3.4).
const E_FLAG: u32 = 1 << 31;

/// Seals RTCP compounds for one peer.
pub struct SrtcpSender {
    keys: SessionKeys,
    /// Index of the next packet; one counter serves every SSRC, so no index comes twice under any of them.
    next: u32,
}

impl SrtcpSender {
    /// Expands the keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self { keys: SessionKeys::derive(profile, key, salt, Use::Rtcp)?, next: 0 })
    }

    /// Expands the sending half of `keys`.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_keys(keys: &SrtpKeys) -> Result<Self, SrtpError> {
        Self::new(keys.profile, &keys.send_key, &keys.send_salt)
    }

    /// Bytes that sealing adds to a compound: 20 or 14.
    pub const fn overhead(&self) -> usize {
        self.keys.tag_len() + TRAILER
    }

    /// The index that the next packet will have; what another process needs to go on with the same keys.
    pub const fn next_index(&self) -> u32 {
        self.next
    }

    /// Goes on at an index (of 31 bits) that no packet has had yet.
    pub const fn resume_at(&mut self, next: u32) {
        self.next = next;
    }

    /// Seals the compound in `buffer[..len]` in place and returns its new length; `None` when the buffer is too small,
    /// the compound shorter than its fixed header, or the key's 2^31 indices are used up.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let index = (self.next < E_FLAG).then_some(self.next)?;
        let sealed = len.checked_add(self.overhead())?;
        let (packet, rest) = buffer.get_mut(..sealed)?.split_at_mut_checked(len)?;
        let (header, text) = packet.split_first_chunk_mut::<HEADER>()?;
        let ssrc = sender_ssrc(header);
        let trailer = (E_FLAG | index).to_be_bytes();
        match &self.keys {
            SessionKeys::Gcm(keys) => {
                let (tag, word) = rest.split_at_mut_checked(GCM_TAG)?;
                keys.seal_in_place(ssrc, u64::from(index), &associated_data(header, trailer), text, tag)?;
                word.copy_from_slice(&trailer);
            }
            SessionKeys::CmSha1(keys) => {
                keys.apply(ssrc, u64::from(index), text)?;
                let (word, tag) = rest.split_at_mut_checked(TRAILER)?;
                word.copy_from_slice(&trailer);
                tag.copy_from_slice(&keys.tag(packet, &trailer)?);
            }
        }
        self.next += 1;
        Some(sealed)
    }
}

/// Opens the RTCP compounds of one peer.
pub struct SrtcpReceiver {
    keys: SessionKeys,
    /// Ordered by SSRC.
    senders: Vec<Sender>,
    /// Packets accepted so far: the clock of [`Sender::used`].
    accepted: u64,
}

/// What is known of one SSRC.
struct Sender {
    ssrc: u32,
    used: u64,
    window: ReplayWindow<2>,
}

impl SrtcpReceiver {
    /// Expands the keys.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self { keys: SessionKeys::derive(profile, key, salt, Use::Rtcp)?, senders: Vec::new(), accepted: 0 })
    }

    /// Asks for the memory of the expanded keys, which lie apart from `self`.
    pub fn fetch(&self) {
        self.keys.fetch();
    }

    /// Expands the receiving half of `keys`.
    ///
    /// # Errors
    /// [`SrtpError::KeyLength`].
    pub fn from_keys(keys: &SrtpKeys) -> Result<Self, SrtpError> {
        Self::new(keys.profile, &keys.receive_key, &keys.receive_salt)
    }

    /// SSRCs whose replay windows are held, at most [`MAX_SENDERS`].
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    /// Opens a compound in place and returns the length that it has in plain, header included.
    /// After a failure nothing has changed, but `packet` is not to be used.
    ///
    /// # Errors
    /// [`SrtpError::Short`], [`SrtpError::Replay`], or [`SrtpError::Authentication`] (also when the E flag is not set).
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let (header, word) = self.frame(packet).ok_or(SrtpError::Short)?;
        let index = word.checked_sub(E_FLAG).ok_or(SrtpError::Authentication)?;
        let ssrc = sender_ssrc(&header);
        let place = self.senders.binary_search_by_key(&ssrc, |sender| sender.ssrc);
        if let Some(known) = place.ok().and_then(|at| self.senders.get(at)) {
            known.window.check(u64::from(index)).map_err(|_| SrtpError::Replay)?;
        }
        let len = self.open(packet, header, word, ssrc, index).ok_or(SrtpError::Authentication)?;
        self.accept(ssrc, index);
        Ok(len)
    }

    /// The plain header and the word of the E flag and the index.
    fn frame(&self, packet: &[u8]) -> Option<([u8; HEADER], u32)> {
        let body = packet.len().checked_sub(HEADER + TRAILER + self.keys.tag_len())?;
        let word_at = match self.keys {
            SessionKeys::Gcm(_) => HEADER + body + GCM_TAG,
            SessionKeys::CmSha1(_) => HEADER + body,
        };
        let word = packet.get(word_at..)?.first_chunk()?;
        Some((*packet.first_chunk()?, u32::from_be_bytes(*word)))
    }

    fn open(&self, packet: &mut [u8], header: [u8; HEADER], word: u32, ssrc: u32, index: u32) -> Option<usize> {
        match &self.keys {
            SessionKeys::Gcm(keys) => {
                let (packet, trailer) = packet.split_last_chunk_mut::<TRAILER>()?;
                let text = packet.get_mut(HEADER..)?;
                keys.open_in_place(ssrc, u64::from(index), &associated_data(&header, *trailer), text).map(|len| HEADER + len)
            }
            SessionKeys::CmSha1(keys) => {
                let (message, tag) = packet.split_last_chunk_mut::<SHA1_80_TAG>()?;
                let (packet, _) = message.split_last_chunk_mut::<TRAILER>()?;
                if !keys.verify(packet, &word.to_be_bytes(), tag) {
                    return None;
                }
                keys.apply(ssrc, u64::from(index), packet.get_mut(HEADER..)?)?;
                Some(packet.len())
            }
        }
    }

    fn accept(&mut self, ssrc: u32, index: u32) {
        self.accepted += 1;
        if let Some(known) = self.senders.binary_search_by_key(&ssrc, |sender| sender.ssrc).ok().and_then(|at| self.senders.get_mut(at)) {
            known.used = self.accepted;
            known.window.accept(u64::from(index));
            return;
        }
        if self.senders.len() >= MAX_SENDERS {
            self.forget_the_longest_unused();
        }
        let mut window = ReplayWindow::default();
        window.accept(u64::from(index));
        let at = self.senders.partition_point(|sender| sender.ssrc < ssrc);
        self.senders.insert(at, Sender { ssrc, used: self.accepted, window });
    }

    /// A peer that renames its streams all day is not cut off for it; reports of a stream it has given up, which alone
    /// could then be replayed, belong to no m-line any more.
    fn forget_the_longest_unused(&mut self) {
        if let Some((at, _)) = self.senders.iter().enumerate().min_by_key(|(_, sender)| sender.used) {
            self.senders.remove(at);
        }
    }
}

/// The SSRC of the compound's first packet.
fn sender_ssrc(header: &[u8; HEADER]) -> u32 {
    let [_, _, _, _, a, b, c, d] = *header;
    u32::from_be_bytes([a, b, c, d])
}

/// RFC 7714 section 9.2: the header and the word of the E flag and the index.
fn associated_data(header: &[u8; HEADER], trailer: [u8; TRAILER]) -> [u8; HEADER + TRAILER] {
    let mut data = [0; HEADER + TRAILER];
    for (to, from) in data.iter_mut().zip(header.iter().chain(&trailer)) {
        *to = *from;
    }
    data
}

#[cfg(test)]
mod tests;
