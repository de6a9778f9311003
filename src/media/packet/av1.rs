//! The AV1 aggregation header (RTP Payload Format For AV1, section 4.4).

const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;

/// Whether the payload is the first packet of a coded video sequence (N), which a key frame begins.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    // N in a packet that continues an OBU (Z) contradicts itself.
    matches!(payload, [header, _, ..] if header & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_of_a_coded_video_sequence_begins_a_key_frame() {
        // W = 1: one OBU element, a sequence header.
        assert!(starts_key_frame(&[0x18, 0x0a, 0x0b]));
        // Y: the last element goes on in the next packet.
        assert!(starts_key_frame(&[0x68, 0x0b, 0x0a]));
    }

    #[test]
    fn other_packets_do_not() {
        assert!(!starts_key_frame(&[0x10, 0x32]));
        assert!(!starts_key_frame(&[0x98, 0x32]));
        assert!(!starts_key_frame(&[0x18]));
        assert!(!starts_key_frame(&[]));
    }
}
