//! A peer that has authenticated and means harm.

use std::time::{Duration, Instant};

use rtc_sctp::PayloadProtocolIdentifier::Binary;

use super::world::{World, plan};
use super::*;
use crate::base::random::Random;
use crate::media::transport::sctp::chunk::{HEADER, alone, kind};

/// What an association may hold at most, whatever its peer does.
const MOST: usize = 2 * 1_024 * 1_024;

/// A chunk.
fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend_from_slice(&(value.len() as u16 + 4).to_be_bytes());
    chunk.extend_from_slice(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn data(tsn: u32, stream: u16, ssn: u16, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let head = [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &ssn.to_be_bytes(), &53u32.to_be_bytes()].concat();
    chunk(kind::DATA, flags, &[&head[..], bytes].concat())
}

/// A world in which the client has said its last, and the TSN that comes next.
struct Attack {
    world: World,
    head: [u8; 8],
    tsn: u32,
}

impl Attack {
    fn new() -> Self {
        let mut world = World::greeted(3, 0, plan());
        world.say(RELIABLE, Binary, b"x");
        world.run(Duration::from_secs(1));
        world.events.clear();
        // Its last packet is an acknowledgement or data; the TSN of the latter is what is looked for.
        world.say(RELIABLE, Binary, b"y");
        world.run(Duration::from_millis(1));
        let tsn = u32_at(&world.last, HEADER + 4).unwrap() + 1;
        let head = *world.last.first_chunk().unwrap();
        world.run(Duration::from_secs(1));
        world.events.clear();
        Self { world, head, tsn }
    }

    fn packet(&self, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = self.head.to_vec();
        packet.extend_from_slice(&[0; 4]);
        packet.extend(chunks.concat());
        let sum = crc32c::crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&sum);
        packet
    }

    fn say(&mut self, chunks: &[Vec<u8>]) {
        let packet = self.packet(chunks);
        self.world.inject(&packet);
        assert!(self.world.server.memory() < MOST, "{}", self.world.server.memory());
    }

    /// Says it a thousand times a second.
    fn flood(&mut self, count: u32, mut what: impl FnMut(u32) -> Vec<u8>) {
        for n in 0..count {
            self.say(&[what(n)]);
            self.world.run(Duration::from_millis(1));
        }
    }

    fn still_works(&mut self) {
        assert_eq!(self.world.count(Counter::DataMisuse), 0);
        self.world.read.clear();
        self.world.send(b"still here", true);
        self.world.run(Duration::from_secs(3));
        assert_eq!(self.world.read, [(RELIABLE, b"still here".to_vec())]);
    }
}

#[test]
fn pieces_of_messages_that_never_end_are_bounded() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    // In order, so that nothing is ever missing: only the end.
    attack.flood(10_000, |n| data(tsn.wrapping_add(n), RELIABLE, 7, u8::from(n == 0) << 1, &[0]));
    assert_eq!(attack.world.count(Counter::DataMisuse), 1, "what could never be made room for ends it");
    assert_eq!(attack.world.events, [SctpEvent::Ended(DataEnd::Misuse)]);
}

#[test]
fn a_message_that_never_ends_does_not_get_past_the_window() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    attack.flood(3_000, |n| data(tsn.wrapping_add(n), RELIABLE, 7, u8::from(n == 0) << 1, &[0; 1_100]));
    assert_eq!(attack.world.count(Counter::DataMisuse), 1);
}

#[test]
fn whole_messages_behind_one_that_never_comes_are_bounded() {
    let mut attack = Attack::new();
    let (tsn, ssn) = (attack.tsn, 1_000);
    attack.flood(10_000, |n| data(tsn.wrapping_add(n), RELIABLE, ssn + n as u16, 3, &[0]));
    assert_eq!(attack.world.events, [SctpEvent::Ended(DataEnd::Misuse)]);
}

#[test]
fn what_lies_behind_a_gap_is_bounded_though_it_is_read() {
    let mut attack = Attack::new();
    let tsn = attack.tsn + 1;
    attack.flood(3_000, |n| data(tsn.wrapping_add(n), LOSSY, 0, 7, &[0; 1_000]));
    assert!(attack.world.count(Counter::DataDropWindow) > 2_800, "{}", attack.world.count(Counter::DataDropWindow));
    attack.still_works();
}

#[test]
fn gaps_are_bounded_and_acknowledgements_stay_short() {
    let mut attack = Attack::new();
    let tsn = attack.tsn + 1;
    attack.flood(2_000, |n| data(tsn.wrapping_add(2 * n), LOSSY, 0, 7, &[0]));
    assert!(attack.world.count(Counter::DataDropWindow) > 1_800);
    let packets: Vec<_> = std::iter::from_fn(|| attack.world.server.poll_transmit(attack.world.now, &mut attack.world.counters)).collect();
    assert!(packets.iter().all(|packet| packet.len() < 1_200));
    attack.still_works();
}

#[test]
fn jumps_of_the_tsn_cost_nothing() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    let begin = Instant::now();
    for jump in [2_100u32, 100_000, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX - 2] {
        attack.say(&[data(tsn.wrapping_add(jump), RELIABLE, 0, 3, b"far")]);
        attack.say(&[chunk(kind::FORWARD_TSN, 0, &tsn.wrapping_add(jump.saturating_mul(2)).to_be_bytes())]);
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    attack.still_works();
}

#[test]
fn a_forward_tsn_without_end_ends_nothing() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    // Each is as far as may be; the next begins where the one before has come to.
    attack.flood(100, |n| chunk(kind::FORWARD_TSN, 0, &tsn.wrapping_add((n + 1) * 4_000).to_be_bytes()));
    attack.still_works();
}

#[test]
fn empty_chunks_and_streams_that_were_not_agreed_are_dropped() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    attack.flood(300, |n| data(tsn, MOST_STREAMS + n as u16, 0, 3, b"x"));
    attack.flood(300, |n| data(tsn.wrapping_add(n), RELIABLE, 0, 3, b""));
    assert_eq!((attack.world.count(Counter::DataDropUnexpected), attack.world.count(Counter::DataDropMalformed)), (300, 300));
    attack.still_works();
}

#[test]
fn resets_that_wait_for_ever_are_bounded() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    attack.flood(2_000, |n| {
        let body = [&n.to_be_bytes()[..], &[0; 4], &tsn.wrapping_add(1_000_000).to_be_bytes(), &9u16.to_be_bytes()].concat();
        chunk(kind::RE_CONFIG, 0, &[&13u16.to_be_bytes()[..], &(4 + body.len() as u16).to_be_bytes(), &body].concat())
    });
    assert_eq!(attack.world.count(Counter::DataDropUnexpected), 1_996);
    attack.still_works();
}

#[test]
fn resets_whose_answers_are_never_answered_are_bounded() {
    let mut attack = Attack::new();
    let tsn = attack.tsn;
    for n in 0..200u32 {
        // A stream is used and reset, and our own reset of it is not answered.
        let body = [&(5_000 + n).to_be_bytes()[..], &[0; 4], &tsn.wrapping_add(n).to_be_bytes(), &(2 + (n % 60) as u16).to_be_bytes()].concat();
        let reset = chunk(kind::RE_CONFIG, 0, &[&13u16.to_be_bytes()[..], &(4 + body.len() as u16).to_be_bytes(), &body].concat());
        attack.say(&[data(tsn.wrapping_add(n), 2 + (n % 60) as u16, 0, 3, b"x"), reset]);
    }
    assert_eq!(attack.world.events.last(), Some(&SctpEvent::Ended(DataEnd::Misuse)));
}

#[test]
fn inits_without_end_leave_one_association_and_late_ones_change_nothing() {
    let mut world = World::new(1, 0, plan());
    let init = |tag: u32| {
        let value = [&tag.to_be_bytes()[..], &65_536u32.to_be_bytes(), &64u16.to_be_bytes(), &64u16.to_be_bytes(), &tag.to_be_bytes()].concat();
        let packet = [&[0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0][..], &chunk(kind::INIT, 0, &value)].concat();
        alone(&packet, &chunks_of(&packet))
    };
    for tag in 1..10_000u32 {
        world.inject(&init(tag));
    }
    assert!(world.server.memory() < 64 * 1_024, "{}", world.server.memory());
    assert!(world.count(Counter::DataDropChunks) > 5_000);
    let mut attack = Attack::new();
    attack.world.inject(&init(77));
    assert_eq!(attack.world.count(Counter::DataDropUnexpected), 1);
    attack.still_works();
}

/// The one chunk of a packet whose checksum is not there yet.
fn chunks_of(packet: &[u8]) -> Chunk<'_> {
    let sum = crc32c::crc32c(packet).to_le_bytes();
    let whole: &'static [u8] = Box::leak([&packet[..8], &sum, &packet[12..]].concat().into_boxed_slice());
    chunk::chunks(whole).unwrap().next().unwrap().unwrap()
}

#[test]
fn errors_and_unknown_chunks_change_nothing() {
    let mut attack = Attack::new();
    for kind in [2, 5, 9, 11, 12, 13, 15, 63, 64, 127, 128, 132, 193, 194, 255] {
        attack.say(&[chunk(kind, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]);
    }
    attack.still_works();
}

#[test]
fn acknowledgements_of_what_was_not_sent_end_only_their_own_association() {
    let mut attack = Attack::new();
    let mut random = Random::new(5);
    for _ in 0..200 {
        let blocks = 1 + random.next_u32() % 300;
        let mut value = [&random.next_u32().to_be_bytes()[..], &65_536u32.to_be_bytes(), &(blocks as u16).to_be_bytes(), &[0, 0]].concat();
        (0..blocks).for_each(|_| value.extend_from_slice(&random.next_u32().to_be_bytes()));
        attack.say(&[chunk(kind::SACK, 0, &value)]);
    }
    assert!(attack.world.count(Counter::DataDropMalformed) > 150);
}

/// Chunks of all kinds with random content, and good ones in which some bytes are wrong.
fn noise(random: &mut Random, tsn: u32, own: u32) -> Vec<u8> {
    const KINDS: [u8; 18] = [0, 0, 0, 0, 1, 3, 3, 4, 6, 7, 8, 10, 14, 130, 130, 192, 192, 77];
    let kind = KINDS[(random.next_u32() % KINDS.len() as u32) as usize];
    let mut value: Vec<u8> = (0..random.next_u32() % 60).map(|_| random.next_u32() as u8).collect();
    // Numbers that are nearly right go further than others.
    if !random.next_u32().is_multiple_of(4) && value.len() >= 16 {
        let near = (if kind == kind::SACK { own } else { tsn }).wrapping_add(random.next_u32() % 8).wrapping_sub(2);
        value[..4].copy_from_slice(&near.to_be_bytes());
        match kind {
            kind::DATA => value[4..8].copy_from_slice(&[0, random.next_u32() as u8 % 4, 0, random.next_u32() as u8 % 4]),
            kind::SACK => {
                value.truncate(16);
                value[8..12].copy_from_slice(&[0, 1, 0, 0]);
            }
            kind::RE_CONFIG => {
                value.truncate(16);
                value[..4].copy_from_slice(&[0, [13, 16, 14][random.next_u32() as usize % 3], 0, 16]);
                value[12..16].copy_from_slice(&near.to_be_bytes());
            }
            _ => {}
        }
    }
    let mut chunk = chunk(kind, random.next_u32() as u8 & 15, &value);
    if random.next_u32().is_multiple_of(8) {
        let at = random.next_u32() as usize % chunk.len();
        chunk[at] = random.next_u32() as u8;
    }
    chunk
}

#[test]
fn random_chunks_under_a_right_tag_panic_nobody_and_hold_little() {
    let (mut ended, mut faults) = (0, 0);
    for seed in 0..300u64 {
        let mut attack = Attack::new();
        let mut random = Random::new(seed);
        let tsn = attack.tsn;
        for n in 0..150u32 {
            let chunks: Vec<_> = (0..1 + random.next_u32() % 3).map(|_| noise(&mut random, tsn.wrapping_add(n / 4), 0)).collect();
            // ABORT and SHUTDOWN end it early: mostly without.
            let chunks: Vec<_> = chunks.into_iter().filter(|c| !matches!(c[0], 6..=8) || n > 140).collect();
            if !chunks.is_empty() {
                attack.say(&chunks);
            }
            attack.world.run(Duration::from_millis(3));
        }
        attack.world.run(Duration::from_secs(2));
        ended += u64::from(attack.world.events.iter().any(|e| matches!(e, SctpEvent::Ended(_))));
        faults += attack.world.count(Counter::DataMisuse);
    }
    assert!(ended < 300, "some go on");
    eprintln!("{ended} associations ended, {faults} of them for misuse");
}
