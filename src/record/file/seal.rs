//! The sum at the end of each piece. After a power cut a file may be as long as it was written and hold zeros where the disk had not got
//! to: only a sum tells. Players pass over it: it lies in what both containers have for bytes that say nothing.

/// What a sum begins with.
const MARK: [u8; 4] = *b"sum1";
/// Bytes of it: the mark, and the CRC-32C of all of the piece before it.
pub const SEAL: usize = 8;

/// Puts the sum over what is before it into the last [`SEAL`] bytes of a piece.
pub fn seal(piece: &mut [u8]) {
    let at = piece.len().saturating_sub(SEAL);
    let (before, room) = piece.split_at_mut(at);
    let sum = crc32c::crc32c(before);
    if let Some((mark, place)) = room.split_first_chunk_mut::<4>() {
        *mark = MARK;
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// Whether a piece is as it was when it was sealed.
pub fn holds(piece: &[u8]) -> bool {
    let Some((before, seal)) = piece.split_last_chunk::<SEAL>() else { return false };
    let sum = crc32c::crc32c(before).to_be_bytes();
    seal.starts_with(&MARK) && seal.ends_with(&sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_which_a_block_is_missing_does_not_hold() {
        let mut piece: Vec<u8> = (0..10_000).map(|n| (n % 251 + 1) as u8).collect();
        seal(&mut piece);
        assert!(holds(&piece));
        for block in (0..piece.len()).step_by(4_096) {
            let mut torn = piece.clone();
            torn.iter_mut().skip(block).take(4_096).for_each(|byte| *byte = 0);
            assert!(!holds(&torn), "{block}");
        }
        assert!(!holds(&piece[..7]) && !holds(&piece[..9_000]) && !holds(&[]));
    }
}
