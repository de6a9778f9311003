//! The record layer, as far as it is readable without keys (RFC 6347 section 4.1).

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

/// Content types (RFC 5246 section 6.2.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Bytes before a record's body.
pub(super) const RECORD_HEADER: usize = 13;
/// Bytes before the body of a fragment of a handshake message.
pub(super) const MESSAGE_HEADER: usize = 12;

/// A record in a datagram.
pub(super) struct Record<'a> {
    pub kind: u8,
    pub epoch: u16,
    /// 48 bits.
    pub sequence: u64,
    pub body: &'a [u8],
    /// Header and body.
    pub bytes: &'a [u8],
}

/// The records of a datagram, up to the first that is cut off.
pub(super) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let mut reader = Reader(rest);
        let kind = reader.u8()?;
        let _version = reader.u16()?;
        let epoch = reader.u16()?;
        let sequence = reader.number(6)?;
        let body = reader.prefixed(2)?;
        let bytes = rest.get(..RECORD_HEADER + body.len())?;
        rest = reader.0;
        Some(Record { kind, epoch, sequence, body, bytes })
    })
}

impl<'a> Record<'a> {
    /// The fragments of handshake messages in it, up to the first thing that is none.
    pub fn fragments(&self) -> impl Iterator<Item = Fragment<'a>> + use<'a> {
        let mut reader = Reader(self.body);
        std::iter::from_fn(move || Fragment::read(&mut reader))
    }

    /// How many there are, if there is nothing else in it.
    pub fn count_fragments(&self) -> Option<usize> {
        let (count, len) = self.fragments().fold((0, 0), |(count, len), fragment| (count + 1, len + MESSAGE_HEADER + fragment.body.len()));
        (len == self.body.len()).then_some(count)
    }
}

/// A part, or the whole, of a handshake message (RFC 6347 section 4.2.2).
pub(super) struct Fragment<'a> {
    pub kind: u8,
    /// Length of the whole message.
    pub total: usize,
    /// `message_seq`: for a ClientHello 0 for the first, 1 for the one with the cookie.
    pub message: u16,
    /// Where in the message it belongs.
    pub offset: usize,
    pub body: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let kind = reader.u8()?;
        let total = reader.number(3)? as usize;
        let message = reader.u16()?;
        let offset = reader.number(3)? as usize;
        let body = reader.prefixed(3)?;
        (offset + body.len() <= total).then_some(Self { kind, total, message, offset, body })
    }
}

/// Gives each record of epoch 0 in a datagram of ours the next number. Nothing authenticates those numbers, but the
/// peer drops a number that it has seen: so records that go out again need new ones.
pub(super) fn renumber(datagram: &mut [u8], next: &mut u64) {
    let lengths: Vec<(usize, u16)> = records(datagram).map(|record| (record.bytes.len(), record.epoch)).collect();
    let mut rest = datagram;
    for (len, epoch) in lengths {
        let Some((record, after)) = std::mem::take(&mut rest).split_at_mut_checked(len) else { return };
        if let Some(place) = record.get_mut(5..11).filter(|_| epoch == 0) {
            let [_, _, number @ ..] = next.to_be_bytes();
            place.copy_from_slice(&number);
            *next += 1;
        }
        rest = after;
    }
}

/// Reads big-endian numbers and length-prefixed bytes from the front.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.number(1).map(|number| number as u8)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.number(2).map(|number| number as u16)
    }

    pub fn prefixed(&mut self, len: usize) -> Option<&'a [u8]> {
        let len = self.number(len)?;
        self.take(len as usize)
    }
}
