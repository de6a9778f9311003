//! SCTP packets and their chunks as bytes (RFC 9260 section 3): as much as the gate has to know of them.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};

/// Bytes of the common header.
pub(super) const HEADER: usize = 12;
/// Bytes of a chunk's header.
const CHUNK_HEADER: usize = 4;

/// Chunk types (RFC 9260 section 3.2, RFC 3758, RFC 6525).
pub(super) mod kind {
    pub const DATA: u8 = 0;
    pub const INIT: u8 = 1;
    pub const INIT_ACK: u8 = 2;
    pub const SACK: u8 = 3;
    pub const HEARTBEAT: u8 = 4;
    pub const ABORT: u8 = 6;
    pub const SHUTDOWN: u8 = 7;
    pub const SHUTDOWN_ACK: u8 = 8;
    pub const COOKIE_ECHO: u8 = 10;
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    pub const RE_CONFIG: u8 = 130;
    pub const FORWARD_TSN: u8 = 192;
}

/// A chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    pub kind: u8,
    pub value: &'a [u8],
    /// All of it, without padding.
    bytes: &'a [u8],
}

/// The chunks of a packet whose checksum is right; `None` in place of one that cannot be read, which is the last.
pub(super) fn chunks(packet: &[u8]) -> Option<impl Iterator<Item = Option<Chunk<'_>>>> {
    let (header, mut rest) = packet.split_at_checked(HEADER)?;
    let (head, stated) = header.split_at_checked(8)?;
    // RFC 9260 section 6.8: computed with zeros in its place.
    let computed = crc32c_append(crc32c_append(crc32c(head), &[0; 4]), rest);
    if stated != computed.to_le_bytes() || rest.is_empty() {
        return None;
    }
    Some(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((chunk, after)) = next(rest) else {
            rest = &[];
            return Some(None);
        };
        rest = after;
        Some(Some(chunk))
    }))
}

fn next(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let len = usize::from(u16_at(bytes, 2)?);
    let chunk = bytes.get(..len).filter(|_| len >= CHUNK_HEADER)?;
    // The last chunk's padding may be missing.
    let after = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((Chunk { kind: *chunk.first()?, value: chunk.get(CHUNK_HEADER..)?, bytes: chunk }, after))
}

/// A packet of one chunk, with the ports and the tag of `packet`: what the library keeps of it is as long as the chunk.
pub(super) fn alone(packet: &[u8], chunk: &Chunk<'_>) -> Vec<u8> {
    let mut alone = Vec::with_capacity(HEADER + chunk.bytes.len().next_multiple_of(4));
    alone.extend_from_slice(packet.get(..8).unwrap_or_default());
    alone.extend_from_slice(&[0; 4]);
    alone.extend_from_slice(chunk.bytes);
    alone.resize(alone.len().next_multiple_of(4), 0);
    let checksum = crc32c(&alone).to_le_bytes();
    if let Some(place) = alone.get_mut(8..HEADER) {
        place.copy_from_slice(&checksum);
    }
    alone
}

/// The packet as it is, but for the receive window that an INIT ACK or a SACK tells: it is so much less (both have it at one place).
pub(super) fn telling_less(packet: Bytes, less: u32) -> Bytes {
    let window = HEADER + 8;
    let tells = packet.get(HEADER).is_some_and(|kind| matches!(*kind, kind::INIT_ACK | kind::SACK));
    let (true, Some(told)) = (tells, u32_at(&packet, window)) else { return packet };
    let mut packet = packet.to_vec();
    let places = [(window, told.saturating_sub(less).to_be_bytes()), (8, [0; 4])];
    for (at, bytes) in places {
        packet.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = byte);
    }
    let checksum = crc32c(&packet).to_le_bytes();
    packet.iter_mut().skip(8).zip(checksum).for_each(|(place, byte)| *place = byte);
    Bytes::from(packet)
}

/// A packet with a chunk of data that has come before, to be acknowledged at once (its I bit, RFC 7053).
pub(super) fn known_again(head: [u8; 8], tsn: u32) -> Vec<u8> {
    let mut chunk = [kind::DATA, 0b1011, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    chunk[4..8].copy_from_slice(&tsn.to_be_bytes());
    alone(&head, &Chunk { kind: kind::DATA, value: &chunk[4..], bytes: &chunk })
}

/// The verification tag of a packet.
pub(super) fn tag(packet: &[u8]) -> Option<u32> {
    u32_at(packet, 4)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}
