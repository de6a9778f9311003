//! What was sent, what came.

/// Sound or picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Audio, Kind::Video];
}

/// What a packet says about itself, in the last [`Stamp::LEN`] bytes of its payload: behind everything that a server may rewrite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Who sent it.
    pub publisher: u16,
    /// What it is of.
    pub kind: Kind,
    /// Whether it counts (else it belongs to the warm-up or to the tail).
    pub counts: bool,
    /// Its number among those that count; 0 for the others.
    pub number: u32,
}

impl Stamp {
    /// Bytes of a stamp.
    pub const LEN: usize = 12;
    const MAGIC: [u8; 4] = [0xa1, 0x7b, 0x1c, 0x95];

    /// Writes it at the end of `payload`, which is at least [`Self::LEN`] bytes long.
    pub fn write(&self, payload: &mut [u8]) {
        let at = payload.len() - Self::LEN;
        let (magic, rest) = payload[at..].split_at_mut(4);
        magic.copy_from_slice(&Self::MAGIC);
        rest[..2].copy_from_slice(&self.publisher.to_be_bytes());
        rest[2] = u8::from(self.kind == Kind::Video);
        rest[3] = u8::from(self.counts);
        rest[4..].copy_from_slice(&self.number.to_be_bytes());
    }

    /// Reads it from the end of `payload`; `None` when there is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let [magic @ .., p0, p1, kind, counts, n0, n1, n2, n3] = payload.last_chunk::<{ Self::LEN }>()?;
        (*magic == Self::MAGIC).then(|| Self {
            publisher: u16::from_be_bytes([*p0, *p1]),
            kind: if *kind == 1 { Kind::Video } else { Kind::Audio },
            counts: *counts == 1,
            number: u32::from_be_bytes([*n0, *n1, *n2, *n3]),
        })
    }
}

/// What came of one publisher's sound or picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Packets that came, those that do not count included.
    pub heard: u64,
    /// Different packets that count.
    pub unique: u64,
    /// Packets that count and had come before.
    pub duplicates: u64,
    /// Packets that count and came after one with a higher number.
    pub reordered: u64,
    /// The highest number that came.
    pub last: Option<u32>,
}

/// What one receiver has counted, by publisher and kind.
#[derive(Default, Debug)]
pub struct Tally {
    streams: Vec<Stream>,
    /// Packets without a stamp.
    pub foreign: u64,
}

#[derive(Clone, Default, Debug)]
struct Stream {
    count: Count,
    seen: Vec<u64>,
}

impl Tally {
    /// Counts one payload.
    pub fn take(&mut self, payload: &[u8]) {
        let Some(stamp) = Stamp::read(payload) else {
            self.foreign += 1;
            return;
        };
        let index = index(stamp.publisher, stamp.kind);
        if self.streams.len() <= index {
            self.streams.resize(index + 1, Stream::default());
        }
        self.streams[index].take(stamp);
    }

    /// What came of `publisher`'s `kind`.
    pub fn count(&self, publisher: u16, kind: Kind) -> Count {
        self.streams.get(index(publisher, kind)).map_or_else(Count::default, |s| s.count)
    }

    /// The numbers below `offered` that have not come.
    pub fn missing(&self, publisher: u16, kind: Kind, offered: u32) -> Vec<u32> {
        let stream = self.streams.get(index(publisher, kind));
        (0..offered).filter(|n| !stream.is_some_and(|s| s.has(*n))).collect()
    }
}

impl Stream {
    fn take(&mut self, stamp: Stamp) {
        self.count.heard += 1;
        if !stamp.counts {
            return;
        }
        if self.has(stamp.number) {
            self.count.duplicates += 1;
            return;
        }
        let word = stamp.number as usize / 64;
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (stamp.number % 64);
        self.count.unique += 1;
        self.count.reordered += u64::from(self.count.last.is_some_and(|last| stamp.number < last));
        self.count.last = self.count.last.max(Some(stamp.number));
    }

    fn has(&self, number: u32) -> bool {
        self.seen.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

fn index(publisher: u16, kind: Kind) -> usize {
    usize::from(publisher) * 2 + usize::from(kind == Kind::Video)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(publisher: u16, kind: Kind, counts: bool, number: u32) -> Vec<u8> {
        let mut payload = vec![0; 40];
        Stamp { publisher, kind, counts, number }.write(&mut payload);
        payload
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_only_at_the_end() {
        let stamp = Stamp { publisher: 7, kind: Kind::Video, counts: true, number: 0x1234_5678 };
        let mut bytes = vec![0; 30];
        stamp.write(&mut bytes);
        assert_eq!(Stamp::read(&bytes), Some(stamp));
        assert_eq!(Stamp::read(&bytes[..29]), None);
        assert_eq!(Stamp::read(&bytes[19..]), None);
    }

    #[test]
    fn lost_doubled_and_late_packets_are_told_apart() {
        let mut tally = Tally::default();
        for number in [0, 1, 3, 2, 2, 200] {
            tally.take(&payload(1, Kind::Video, true, number));
        }
        tally.take(&payload(1, Kind::Video, false, 0));
        tally.take(&[1; 50]);
        let expected = Count { heard: 7, unique: 5, duplicates: 1, reordered: 1, last: Some(200) };
        assert_eq!(tally.count(1, Kind::Video), expected);
        assert_eq!(tally.missing(1, Kind::Video, 6), [4, 5]);
        assert_eq!(tally.count(1, Kind::Audio), Count::default());
        assert_eq!(tally.missing(9, Kind::Audio, 2), [0, 1]);
        assert_eq!(tally.foreign, 1);
    }
}
