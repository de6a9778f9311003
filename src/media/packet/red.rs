//! Redundant audio (RFC 2198): headers of earlier blocks, the primary's header, then the blocks in the same order.

use super::bytes::u16_at;

const MORE: u8 = 0x80;

/// The primary encoding: the last block, the one that the packet's timestamp belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary {
    /// Its payload type, 0–127.
    pub payload_type: u8,
    /// Offset of its first byte in the payload; it ends with the payload.
    pub start: usize,
}

/// One block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// The block's payload type, 0–127.
    pub payload_type: u8,
    /// Offset of the byte in the payload that holds it, for [`set_payload_type`].
    pub offset: usize,
    /// Whether this is the primary, which is the last.
    pub primary: bool,
    /// Bytes of the block; `None` for the primary, which takes the rest.
    pub len: Option<usize>,
}

/// The headers of all blocks, the primary's last; ends early where the payload does.
pub fn headers(payload: &[u8]) -> impl Iterator<Item = BlockHeader> {
    let mut next = Some(0_usize);
    std::iter::from_fn(move || {
        let offset = next.take()?;
        let first = *payload.get(offset)?;
        let payload_type = first & 0x7f;
        if first & MORE == 0 {
            return Some(BlockHeader { payload_type, offset, primary: true, len: None });
        }
        // 14 bits of timestamp offset, then 10 bits of length.
        let len = usize::from(u16_at(payload, offset.wrapping_add(2))? & 0x03ff);
        next = Some(offset.wrapping_add(4));
        Some(BlockHeader { payload_type, offset, primary: false, len: Some(len) })
    })
}

/// Finds the primary; `None` when the payload ends before it begins.
pub fn primary(payload: &[u8]) -> Option<Primary> {
    let mut redundant = 0_usize;
    for header in headers(payload) {
        match header.len {
            Some(len) => redundant = redundant.wrapping_add(len),
            None => {
                let start = header.offset.wrapping_add(1).wrapping_add(redundant);
                return (start <= payload.len()).then_some(Primary { payload_type: header.payload_type, start });
            }
        }
    }
    None
}

/// Writes another payload type into the header at `offset` (from [`BlockHeader::offset`]); false when there is no such byte.
pub fn set_payload_type(payload: &mut [u8], offset: usize, payload_type: u8) -> bool {
    payload.get_mut(offset).map(|byte| *byte = *byte & MORE | payload_type & 0x7f).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two redundant blocks of 3 and 2 bytes (timestamps 1,920 and 960 earlier), then a primary of 4.
    const PACKET: [u8; 18] = [0xef, 0x1e, 0x00, 0x03, 0xef, 0x0f, 0x00, 0x02, 0x6f, 1, 1, 1, 2, 2, 3, 3, 3, 3];

    #[test]
    fn the_primary_is_the_last_block() {
        assert_eq!(primary(&PACKET), Some(Primary { payload_type: 111, start: 14 }));
        assert_eq!(primary(&[0x6f, 9]), Some(Primary { payload_type: 111, start: 1 }));
    }

    #[test]
    fn every_header_is_listed_with_its_place() {
        let places: Vec<_> = headers(&PACKET).map(|h| (h.offset, h.payload_type, h.len, h.primary)).collect();
        assert_eq!(places, [(0, 111, Some(3), false), (4, 111, Some(2), false), (8, 111, None, true)]);
    }

    #[test]
    fn payload_types_are_patched_without_touching_the_rest() {
        let mut packet = PACKET;
        let offsets: Vec<_> = headers(&packet).map(|h| h.offset).collect();
        for offset in offsets {
            assert!(set_payload_type(&mut packet, offset, 96));
        }
        assert!(headers(&packet).all(|h| h.payload_type == 96));
        assert_eq!(primary(&packet), Some(Primary { payload_type: 96, start: 14 }));
        assert_eq!(packet[9..], PACKET[9..]);
        assert!(!set_payload_type(&mut packet, 18, 96));
    }

    #[test]
    fn a_payload_cut_before_its_primary_has_none() {
        for cut in 0..PACKET.len() {
            assert_eq!(primary(&PACKET[..cut]).is_some(), cut >= 14, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_gives_a_primary_inside_it(payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(primary) = primary(&payload) {
                prop_assert!(primary.start <= payload.len());
            }
            prop_assert!(headers(&payload).all(|h| h.offset < payload.len()));
        }
    }
}
