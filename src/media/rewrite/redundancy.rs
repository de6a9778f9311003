//! Redundant audio (RFC 2198) for a subscriber that takes it, made of a publisher's plain Opus: each packet repeats what the packets
//! before it had, so that a lost one is heard without asking for it.

/// The most earlier payloads that a packet repeats, a power of two. Two bridge any two losses in a row, at three times the bitrate;
/// each more costs that bitrate once again.
pub const MOST_REPEATED: usize = 2;
/// Longer payloads are sent, but not repeated: 20 ms of Opus at 80 kbit/s. More would let music at its highest rate grow beyond a
/// datagram, at a byte for each of [`MOST_REPEATED`] in every slot.
pub const LONGEST_REPEATED: usize = 200;

/// A block says in 14 bits how far its timestamp lies before the packet's: 341 ms at 48 kHz.
const OFFSETS: u32 = 1 << 14;
/// It says its length in 10 bits.
const LENGTHS: usize = 1 << 10;
const MORE: u8 = 0x80;
const HEADER_LEN: usize = 4;

const _: () = assert!(LONGEST_REPEATED < LENGTHS && MOST_REPEATED.is_power_of_two());

/// What a slot's last packets had, to be repeated in the next ones.
///
/// **Each packet is written once.** The same payload gives other bytes when it comes again, and under the same sequence number SRTP
/// would encrypt both with one keystream, which gives both away. So nothing that was written here is ever sent again: a slot that
/// writes redundancy answers no NACK, which is what redundancy is there for. A fan-out that needs the bytes twice keeps them.
///
/// Each payload is repeated in the packets right after its own and never again, also when those have no room for it.
#[derive(Clone, Debug)]
pub struct Redundancy {
    repeated: usize,
    newest: usize,
    /// A ring: the newest is at `newest`, older ones are below it. Takes no memory before the first packet.
    earlier: Option<Box<[Earlier; MOST_REPEATED]>>,
}

/// A payload that was sent.
#[derive(Clone, Copy, Debug)]
struct Earlier {
    timestamp: u32,
    /// Bytes of `payload`; 0 when there was nothing, or too much to be repeated.
    len: usize,
    payload: [u8; LONGEST_REPEATED],
}

impl Redundancy {
    /// Repeats each payload in so many packets after its own: 1 to [`MOST_REPEATED`], whatever is asked for.
    pub fn new(repeated: usize) -> Self {
        Self { repeated: repeated.clamp(1, MOST_REPEATED), newest: 0, earlier: None }
    }

    /// Writes a RED payload into `out`: what can be repeated, the oldest first, then `payload` as the primary. Returns its length in
    /// bytes.
    ///
    /// `timestamp` is the slot's own, in samples at 48 kHz; `primary_pt` is the payload type of the blocks, 0–127. An earlier payload
    /// is left out when its timestamp lies too far back (after a pause), or when `out` has no room for it and newer ones: it is best cut
    /// to what a datagram takes. A late packet, or one that comes twice, goes out alone and is not repeated.
    ///
    /// `None`, and nothing is remembered, when not even the primary fits.
    pub fn write(&mut self, timestamp: u32, payload: &[u8], primary_pt: u8, out: &mut [u8]) -> Option<usize> {
        let late = self.is_late(timestamp);
        let mut room = out.len().checked_sub(payload.len())?.checked_sub(1)?;
        let mut chosen = [None; MOST_REPEATED];
        if !late {
            for (slot, earlier) in chosen.iter_mut().rev().zip(self.newest_first()) {
                if let (Some(header), Some(rest)) = (earlier.header(timestamp, primary_pt), room.checked_sub(earlier.room())) {
                    *slot = Some((header, earlier));
                    room = rest;
                }
            }
        }
        let mut at = 0;
        for (header, _) in chosen.iter().flatten() {
            append(out, &mut at, header)?;
        }
        append(out, &mut at, &[primary_pt & !MORE])?;
        for (_, earlier) in chosen.iter().flatten() {
            append(out, &mut at, earlier.bytes())?;
        }
        append(out, &mut at, payload)?;
        if !late {
            self.remember(timestamp, payload);
        }
        Some(at)
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.earlier.as_deref().map_or(0, size_of_val)
    }

    /// Whether the packet is no newer than the last one. One further back than a block could say is not late: timestamps begin anew
    /// with it.
    fn is_late(&self, timestamp: u32) -> bool {
        self.newest_first().next().is_some_and(|last| last.timestamp.wrapping_sub(timestamp) < OFFSETS)
    }

    fn newest_first(&self) -> impl Iterator<Item = &Earlier> {
        let earlier = self.earlier.as_deref().map(<[_; _]>::as_slice).unwrap_or_default();
        (0..self.repeated).filter_map(move |age| earlier.get(place(self.newest, age)))
    }

    fn remember(&mut self, timestamp: u32, payload: &[u8]) {
        let earlier = self.earlier.get_or_insert_with(|| Box::new([Earlier::NONE; MOST_REPEATED]));
        self.newest = place(self.newest.wrapping_add(1), 0);
        if let Some(oldest) = earlier.get_mut(self.newest) {
            oldest.timestamp = timestamp;
            let kept = oldest.payload.get_mut(..payload.len());
            oldest.len = kept.map_or(0, |kept| {
                kept.copy_from_slice(payload);
                payload.len()
            });
        }
    }
}

impl Earlier {
    const NONE: Self = Self { timestamp: 0, len: 0, payload: [0; LONGEST_REPEATED] };

    fn bytes(&self) -> &[u8] {
        self.payload.get(..self.len).unwrap_or_default()
    }

    /// Bytes that it takes in a packet.
    const fn room(&self) -> usize {
        HEADER_LEN.wrapping_add(self.len)
    }

    /// Its header in a packet of this timestamp, if it can have one: payload type, 14 bits of offset, 10 bits of length.
    fn header(&self, timestamp: u32, payload_type: u8) -> Option<[u8; HEADER_LEN]> {
        let offset = timestamp.wrapping_sub(self.timestamp);
        if self.len == 0 || offset >= OFFSETS {
            return None;
        }
        let [_, a, b, c] = (offset << 10 | self.len as u32).to_be_bytes();
        Some([payload_type | MORE, a, b, c])
    }
}

/// Where in the ring what is so much older than the newest lies.
const fn place(newest: usize, age: usize) -> usize {
    newest.wrapping_sub(age) & MOST_REPEATED.wrapping_sub(1)
}

fn append(out: &mut [u8], at: &mut usize, bytes: &[u8]) -> Option<()> {
    let end = at.checked_add(bytes.len())?;
    out.get_mut(*at..end)?.copy_from_slice(bytes);
    *at = end;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::packet::red;
    use proptest::prelude::*;

    const OPUS: u8 = 111;

    /// Blocks of a RED payload, the primary last, each with how far before the packet it lies.
    fn read(payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let headers: Vec<_> = red::headers(payload).collect();
        assert!(headers.iter().all(|header| header.payload_type == OPUS) && headers.last().unwrap().primary);
        let mut at = headers.last().unwrap().offset + 1;
        let mut blocks = Vec::new();
        for header in &headers[..headers.len() - 1] {
            let word = u32::from_be_bytes(payload[header.offset..header.offset + 4].try_into().unwrap());
            let len = header.len.unwrap();
            blocks.push((word >> 10 & 0x3fff, payload[at..at + len].to_vec()));
            at += len;
        }
        assert_eq!(red::primary(payload), Some(red::Primary { payload_type: OPUS, start: at }));
        blocks.push((0, payload[at..].to_vec()));
        blocks
    }

    fn write(redundancy: &mut Redundancy, timestamp: u32, payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut out = [0xee; 1_500];
        let len = redundancy.write(timestamp, payload, OPUS, &mut out).unwrap();
        read(&out[..len])
    }

    fn block(offset: u32, payload: &[u8]) -> (u32, Vec<u8>) {
        (offset, payload.to_vec())
    }

    #[test]
    fn each_packet_repeats_the_ones_before_it() {
        let mut two = Redundancy::new(2);
        assert_eq!(write(&mut two, 1_000, b"first"), [block(0, b"first")]);
        assert_eq!(write(&mut two, 1_960, b"2nd"), [block(960, b"first"), block(0, b"2nd")]);
        assert_eq!(write(&mut two, 2_920, b"third"), [block(1_920, b"first"), block(960, b"2nd"), block(0, b"third")]);
        assert_eq!(write(&mut two, 3_880, b""), [block(1_920, b"2nd"), block(960, b"third"), block(0, b"")]);
        assert_eq!(write(&mut two, 4_840, b"5"), [block(1_920, b"third"), block(0, b"5")], "nothing is not repeated");

        let mut one = Redundancy::new(1);
        write(&mut one, 1_000, b"first");
        write(&mut one, 1_960, b"2nd");
        assert_eq!(write(&mut one, 2_920, b"third"), [block(960, b"2nd"), block(0, b"third")]);
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut redundancy = Redundancy::new(2);
        let mut out = [0; 32];
        assert_eq!(redundancy.write(960, &[1, 1, 1], OPUS, &mut out), Some(4));
        assert_eq!(out[..4], [0x6f, 1, 1, 1]);
        redundancy.write(1_920, &[2, 2], OPUS, &mut out);
        assert_eq!(redundancy.write(2_880, &[3; 4], OPUS, &mut out), Some(18));
        assert_eq!(out[..18], [0xef, 0x1e, 0x00, 0x03, 0xef, 0x0f, 0x00, 0x02, 0x6f, 1, 1, 1, 2, 2, 3, 3, 3, 3]);
    }

    #[test]
    fn timestamps_wrap() {
        let mut redundancy = Redundancy::new(2);
        write(&mut redundancy, u32::MAX - 1_000, b"a");
        write(&mut redundancy, u32::MAX - 40, b"b");
        assert_eq!(write(&mut redundancy, 919, b"c"), [block(1_920, b"a"), block(960, b"b"), block(0, b"c")]);
    }

    #[test]
    fn what_lies_before_a_pause_is_left_out() {
        let mut redundancy = Redundancy::new(2);
        write(&mut redundancy, 0, b"a");
        write(&mut redundancy, 960, b"b");
        // The newer one can still be named, the older one no longer.
        assert_eq!(write(&mut redundancy, 16_384, b"c"), [block(15_424, b"b"), block(0, b"c")]);
        assert_eq!(write(&mut redundancy, 16_384 + 16_383, b"d"), [block(16_383, b"c"), block(0, b"d")]);
        // Comfort noise each 400 ms.
        assert_eq!(write(&mut redundancy, 52_000, b"e"), [block(0, b"e")]);
    }

    #[test]
    fn late_packets_go_alone_and_are_not_repeated() {
        let mut redundancy = Redundancy::new(2);
        write(&mut redundancy, 960, b"a");
        write(&mut redundancy, 2_880, b"c");
        assert_eq!(write(&mut redundancy, 1_920, b"b"), [block(0, b"b")]);
        assert_eq!(write(&mut redundancy, 2_880, b"c"), [block(0, b"c")], "it came twice");
        assert_eq!(write(&mut redundancy, 3_840, b"d"), [block(2_880, b"a"), block(960, b"c"), block(0, b"d")]);
    }

    #[test]
    fn timestamps_that_begin_anew_are_not_late() {
        let mut redundancy = Redundancy::new(2);
        write(&mut redundancy, 1_000_000, b"a");
        assert_eq!(write(&mut redundancy, 500, b"b"), [block(0, b"b")]);
        assert_eq!(write(&mut redundancy, 1_460, b"c"), [block(960, b"b"), block(0, b"c")]);
        // A block could name what lies so far back, so it was late, but not what lies further back by one.
        write(&mut redundancy, 100_000, b"d");
        write(&mut redundancy, 100_000 - 16_383, b"e");
        assert_eq!(write(&mut redundancy, 100_960, b"f"), [block(960, b"d"), block(0, b"f")]);
        write(&mut redundancy, 100_960 - 16_384, b"g");
        assert_eq!(write(&mut redundancy, 100_960 - 15_424, b"h"), [block(960, b"g"), block(0, b"h")]);
    }

    #[test]
    fn long_payloads_are_sent_but_not_repeated() {
        let mut redundancy = Redundancy::new(2);
        let (fits, long) = ([7; LONGEST_REPEATED], [8; LONGEST_REPEATED + 1]);
        write(&mut redundancy, 960, &fits);
        assert_eq!(write(&mut redundancy, 1_920, &long), [block(960, &fits), block(0, &long)]);
        assert_eq!(write(&mut redundancy, 2_880, b"c"), [block(1_920, &fits), block(0, b"c")]);
        assert_eq!(write(&mut redundancy, 3_840, b"d"), [block(960, b"c"), block(0, b"d")], "the long one had its place");
    }

    #[test]
    fn without_room_for_all_the_newest_are_repeated() {
        let lens = [(26, Some(26), 3), (25, Some(16), 2), (16, Some(16), 2), (15, Some(6), 1), (6, Some(6), 1), (5, None, 0)];
        for (room, len, blocks) in lens {
            let mut redundancy = Redundancy::new(2);
            write(&mut redundancy, 960, &[1; 6]);
            write(&mut redundancy, 1_920, &[2; 6]);
            let mut out = [0; 32];
            assert_eq!(redundancy.write(2_880, &[3; 5], OPUS, &mut out[..room]), len, "{room}");
            if let Some(len) = len {
                assert_eq!(read(&out[..len]).len(), blocks, "{room}");
            } else {
                assert_eq!(write(&mut redundancy, 2_880, b"c").len(), 3, "what was not written has not happened");
            }
        }
    }

    #[test]
    fn memory_is_taken_with_the_first_packet() {
        let mut redundancy = Redundancy::new(9);
        assert_eq!(redundancy.memory(), 0);
        assert_eq!(redundancy.write(0, &[1], OPUS, &mut []), None);
        assert_eq!(redundancy.memory(), 0);
        write(&mut redundancy, 0, &[1]);
        assert!((1..=512).contains(&redundancy.memory()), "{}", redundancy.memory());
    }

    /// From one timestamp to the next: mostly in order, sometimes late, after a pause, or anew.
    fn step() -> impl Strategy<Value = i32> {
        prop_oneof![8 => Just(960), 1 => -2_000..2_000, 1 => 14_000..20_000, 1 => -200_000..0]
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_put_in(
            repeated in 1_usize..=MOST_REPEATED,
            start in any::<u32>(),
            packets in proptest::collection::vec((step(), proptest::collection::vec(any::<u8>(), 0..260)), 1..40),
        ) {
            let mut redundancy = Redundancy::new(repeated);
            // What came in order so far, the newest last.
            let mut before: Vec<(u32, Vec<u8>)> = Vec::new();
            let mut timestamp = start;
            for (step, payload) in packets {
                timestamp = before.last().map_or(timestamp, |last| last.0).wrapping_add_signed(step);
                let late = before.last().is_some_and(|last| last.0.wrapping_sub(timestamp) < OFFSETS);
                let mut expected: Vec<_> = before.iter().rev().take(if late { 0 } else { repeated }).rev()
                    .map(|(at, earlier)| (timestamp.wrapping_sub(*at), earlier.clone()))
                    .filter(|(offset, earlier)| *offset < OFFSETS && (1..=LONGEST_REPEATED).contains(&earlier.len()))
                    .collect();
                expected.push((0, payload.clone()));
                prop_assert_eq!(write(&mut redundancy, timestamp, &payload), expected);
                if !late {
                    before.push((timestamp, payload));
                }
            }
        }

        #[test]
        fn no_room_is_too_small_to_be_refused(
            lens in proptest::collection::vec(0_usize..300, 1..6),
            room in 0_usize..900,
            payload_type in any::<u8>(),
        ) {
            let mut redundancy = Redundancy::new(2);
            for (n, len) in (0..).zip(lens) {
                let mut out = vec![0; room];
                let written = redundancy.write(n * 960, &vec![1; len], payload_type, &mut out);
                prop_assert_eq!(written.is_some(), len < room);
                let primary = written.and_then(|written| red::primary(&out[..written]));
                prop_assert_eq!(primary.map(|p| (p.payload_type, written.unwrap() - p.start)), written.map(|_| (payload_type & 0x7f, len)));
            }
        }
    }
}
