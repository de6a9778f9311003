//! Where one message ends on a stream and the next one begins.

/// How messages lie on a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Each after its length in two bytes (RFC 4571 section 2, which ICE-TCP uses: RFC 6544 section 10.1).
    Ice,
    /// As they are: their own headers say how long they are, ChannelData is padded to four bytes (RFC 8656 section 12.5).
    Turn,
}

/// What is at the front of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// Not yet a whole message.
    Partial,
    /// A message: where it begins, where it ends, and how many bytes it takes with all that belongs to it.
    Message { start: usize, end: usize, whole: usize },
    /// Nothing that may be here: the stream cannot be read any further.
    Garbage,
}

/// The longest message: what fits into a datagram.
pub const LONGEST: usize = 2_048;

impl Framing {
    /// What is at the front of `bytes`.
    pub fn front(self, bytes: &[u8]) -> Front {
        let &[a, b, ..] = bytes else { return Front::Partial };
        let (start, end, whole) = match (self, a >> 6) {
            (Self::Ice, _) => {
                let len = usize::from(u16::from_be_bytes([a, b]));
                (2, 2 + len, 2 + len)
            }
            (Self::Turn, kind) => {
                let &[_, _, c, d, ..] = bytes else { return Front::Partial };
                let len = usize::from(u16::from_be_bytes([c, d]));
                match kind {
                    // A STUN message is a multiple of four bytes long.
                    0 if len % 4 == 0 => (0, 20 + len, 20 + len),
                    1 => (0, 4 + len, 4 + len.next_multiple_of(4)),
                    _ => return Front::Garbage,
                }
            }
        };
        match whole {
            _ if end - start > LONGEST => Front::Garbage,
            whole if whole > bytes.len() => Front::Partial,
            whole => Front::Message { start, end, whole },
        }
    }

    /// What goes before a message, and after it.
    pub fn around(self, message: &[u8]) -> ([u8; 2], usize, usize) {
        let prefix = (message.len() as u16).to_be_bytes();
        match self {
            Self::Ice => (prefix, 2, 0),
            Self::Turn => (prefix, 0, message.len().next_multiple_of(4) - message.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(framing: Framing, message: &[u8]) -> Vec<u8> {
        let (prefix, before, after) = framing.around(message);
        [&prefix[..before], message, &[0; 3][..after]].concat()
    }

    fn message(framing: Framing, kind: bool, len: usize) -> Vec<u8> {
        match (framing, kind) {
            (Framing::Ice, _) => vec![9; len],
            (Framing::Turn, true) => [&[0x40, 0x01][..], &(len as u16).to_be_bytes(), &vec![9; len]].concat(),
            (Framing::Turn, false) => {
                let len = len / 4 * 4;
                [&[0x00, 0x03][..], &(len as u16).to_be_bytes(), &[7; 16], &vec![9; len]].concat()
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out_wherever_the_stream_is_cut(ice: bool, lens in prop::collection::vec((any::<bool>(), 0..1_500_usize), 1..8), step in 1..700_usize) {
            let framing = if ice { Framing::Ice } else { Framing::Turn };
            let messages: Vec<_> = lens.iter().map(|(kind, len)| message(framing, *kind, *len)).collect();
            let stream: Vec<u8> = messages.iter().flat_map(|message| framed(framing, message)).collect();
            let (mut pending, mut found) = (Vec::new(), Vec::new());
            for piece in stream.chunks(step) {
                pending.extend_from_slice(piece);
                while let Front::Message { start, end, whole } = framing.front(&pending) {
                    found.push(pending[start..end].to_vec());
                    pending.drain(..whole);
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(pending.is_empty());
        }

        #[test]
        fn whatever_comes_a_message_lies_within_it(ice: bool, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let framing = if ice { Framing::Ice } else { Framing::Turn };
            if let Front::Message { start, end, whole } = framing.front(&bytes) {
                prop_assert!(start <= end && end <= whole && whole <= bytes.len() && whole > 0);
            }
        }
    }

    #[test]
    fn what_cannot_be_is_garbage_at_once() {
        assert_eq!(Framing::Turn.front(&[0x80, 0, 0, 0]), Front::Garbage);
        assert_eq!(Framing::Turn.front(&[0x16, 3, 1, 2]), Front::Garbage, "a ClientHello where no TLS is");
        assert_eq!(Framing::Turn.front(b"GET / HTTP/1.1"), Front::Garbage);
        assert_eq!(Framing::Ice.front(b"GET / HTTP/1.1"), Front::Garbage, "18,245 bytes");
        assert_eq!(Framing::Turn.front(&[0, 1, 0, 3]), Front::Garbage);
        assert_eq!(Framing::Ice.front(&[0]), Front::Partial);
    }
}
