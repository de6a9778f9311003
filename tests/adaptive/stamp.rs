//! What every payload says about itself, in its last bytes: so that whoever receives it can judge exactly what it is worth.

/// Who sends which stream: a client, and an encoding of its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    pub client: u16,
    pub encoding: u8,
}

/// The encoding that stands for sound.
pub const SOUND: u8 = u8::MAX;

/// A packet of a frame. A *frame* is one picture of one spatial layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub stream: StreamId,
    /// The packet's number at its publisher, which never wraps.
    pub number: u64,
    /// The frame's index in its stream: no two frames have one.
    pub frame: u32,
    pub packet: u8,
    pub of: u8,
    pub spatial: u8,
    pub temporal: u8,
    /// Whether the frame refers to no other.
    pub key: bool,
    /// The publisher's timestamp.
    pub timestamp: u32,
    references: [u32; MOST_REFERENCES],
    count: u8,
}

const MOST_REFERENCES: usize = 3;
const LEN: usize = 41;
const MAGIC: u8 = 0xA7;

impl Stamp {
    /// A stamp of a frame that refers to these.
    pub fn new(stream: StreamId, frame: u32, (spatial, temporal): (u8, u8), references: &[u32], timestamp: u32) -> Self {
        let mut all = [0; MOST_REFERENCES];
        all[..references.len()].copy_from_slice(references);
        let (key, count) = (references.is_empty(), references.len() as u8);
        Self { stream, number: 0, frame, packet: 0, of: 1, spatial, temporal, key, timestamp, references: all, count }
    }

    /// The frames that this one refers to, by their index.
    pub fn references(&self) -> &[u32] {
        &self.references[..usize::from(self.count)]
    }

    /// Appends it to a payload.
    pub fn append(&self, payload: &mut Vec<u8>) {
        payload.extend(self.stream.client.to_be_bytes());
        payload.push(self.stream.encoding);
        payload.extend(self.number.to_be_bytes());
        payload.extend(self.frame.to_be_bytes());
        payload.extend(self.timestamp.to_be_bytes());
        payload.extend([self.packet, self.of, self.spatial, self.temporal, u8::from(self.key), self.count]);
        self.references.iter().for_each(|reference| payload.extend(reference.to_be_bytes()));
        payload.extend([0; 3]);
        payload.push(MAGIC);
    }

    /// Reads it from a payload's end.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.last_chunk::<LEN>().filter(|bytes| bytes[LEN - 1] == MAGIC)?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self {
            stream: StreamId { client: u16::from_be_bytes([bytes[0], bytes[1]]), encoding: bytes[2] },
            number: u64::from(word(3)) << 32 | u64::from(word(7)),
            frame: word(11),
            timestamp: word(15),
            packet: bytes[19],
            of: bytes[20],
            spatial: bytes[21],
            temporal: bytes[22],
            key: bytes[23] == 1,
            count: bytes[24].min(MOST_REFERENCES as u8),
            references: [word(25), word(29), word(33)],
        })
    }
}

#[test]
fn a_stamp_is_read_as_it_was_written() {
    let mut stamp = Stamp::new(StreamId { client: 7, encoding: 2 }, 70_000, (2, 1), &[69_997, 69_999], 0xFFFF_FFF0);
    (stamp.number, stamp.packet, stamp.of) = (1 << 33, 3, 9);
    let mut payload = vec![1, 2, 3];
    stamp.append(&mut payload);
    assert_eq!((Stamp::read(&payload), payload.len()), (Some(stamp), 3 + LEN));
    assert_eq!(Stamp::read(&payload[..payload.len() - 1]), None);
}
