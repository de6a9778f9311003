//! A peer that has authenticated and says ten thousand chunks of each kind that means harm: what is held for it is measured.

use std::time::Instant;

use althing::base::Time;
use althing::base::random::Random;
use althing::contract::{Counter, Counters, DataLimits, DataPlan};
use althing::media::transport::{SctpEvent, SctpTransport};

use crate::heap::held;
use crate::report::Report;

/// Chunks of each kind.
const CHUNKS: u32 = 10_000;
/// What may be held for one peer, in bytes.
const MOST: f64 = 1_024.0 * 1_024.0;

const DATA: u8 = 0;
const INIT: u8 = 1;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
pub const COOKIE_ECHO: u8 = 10;
const RE_CONFIG: u8 = 130;
pub const FORWARD_TSN: u8 = 192;

struct Peer {
    server: SctpTransport,
    counters: Counters,
    now: Time,
    tag: u32,
    tsn: u32,
    random: Random,
    opened: bool,
}

pub fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = [&[0x13, 0x88, 0x13, 0x88][..], &tag.to_be_bytes(), &[0; 4], &chunks.concat()].concat();
    let sum = crc32c::crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

pub fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = [&[kind, flags][..], &(value.len() as u16 + 4).to_be_bytes(), value].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

pub fn data(tsn: u32, stream: u16, ssn: u16, flags: u8, bytes: &[u8]) -> Vec<u8> {
    chunk(DATA, flags, &[&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &ssn.to_be_bytes(), &53u32.to_be_bytes(), bytes].concat())
}

pub fn init(tag: u32) -> Vec<u8> {
    // With the extension that FORWARD TSN is.
    let extensions = [0x80, 0x08, 0, 6, 192, 130, 0, 0];
    chunk(INIT, 0, &[&tag.to_be_bytes()[..], &65_536u32.to_be_bytes(), &[0, 64, 0, 64], &1u32.to_be_bytes(), &extensions].concat())
}

impl Peer {
    /// An association with open channels.
    fn new(seed: u64) -> Self {
        let plan = DataPlan { peer_takes: 65_536, limits: DataLimits::default() };
        let server = SctpTransport::new(plan, Instant::now());
        let mut peer =
            Self { server, counters: Counters::default(), now: Time::from_millis(1), tag: 0, tsn: 1, random: Random::new(seed), opened: false };
        let answer = peer.say(&[init(7)]);
        let answer = answer.first().expect("an INIT ACK");
        peer.tag = u32::from_be_bytes(*answer[16..].first_chunk().expect("a tag"));
        let parameters = &answer[32..];
        assert_eq!(parameters[..2], [0, 7], "the cookie comes first");
        let cookie = &parameters[4..usize::from(u16::from_be_bytes([parameters[2], parameters[3]]))];
        peer.say(&[chunk(COOKIE_ECHO, 0, cookie)]);
        let hello = peer.next_data(0, 0, 3, b"\0");
        peer.say(&[hello]);
        assert!(peer.opened, "the channels are open");
        peer
    }

    fn next_data(&mut self, stream: u16, ssn: u16, flags: u8, bytes: &[u8]) -> Vec<u8> {
        self.tsn += 1;
        data(self.tsn - 1, stream, ssn, flags, bytes)
    }

    fn say(&mut self, chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut room = u32::MAX;
        self.server.handle_packet(self.now, &packet(self.tag, chunks), &mut room, &mut self.counters);
        let answers = std::iter::from_fn(|| self.server.poll_transmit(self.now, &mut self.counters)).map(|p| p.to_vec()).collect();
        while let Some(event) = self.server.poll_event() {
            self.opened |= event == SctpEvent::Opened;
        }
        answers
    }

    fn pass(&mut self, micros: u64) {
        self.now = Time::from_micros(self.now.as_micros() + micros);
        let mut room = u32::MAX;
        if self.server.poll_timeout(self.now).is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now, &mut room, &mut self.counters);
        }
    }
}

type Attack = fn(&mut Peer, u32) -> Vec<u8>;

/// The nth chunk of each kind of attack.
const ATTACKS: &[(&str, Attack)] = &[
    ("unfinished", |p, n| p.next_data(0, 9, u8::from(n == 0) << 1, &[0])),
    ("endless", |p, n| p.next_data(0, 9, u8::from(n == 0) << 1, &[0; 1_100])),
    ("missing_message", |p, n| p.next_data(0, 9 + n as u16, 3, &[0])),
    ("unordered_pieces", |p, n| {
        p.tsn += 1;
        p.next_data(1, 0, [6, 4, 5][n as usize % 3], &[0; 200])
    }),
    ("gap", |p, n| data(p.tsn.wrapping_add(n + 1), 1, 0, 7, &[0; 1_000])),
    ("gaps", |p, n| data(p.tsn.wrapping_add(2 * n + 1), 1, 0, 7, &[0])),
    ("jumps", |p, _| data(p.random.next_u32(), 0, 0, 3, &[0; 100])),
    ("streams", |p, n| p.next_data(n as u16, 0, 2, &[0; 10])),
    ("forward", |p, n| {
        p.tsn += 4_000;
        chunk(FORWARD_TSN, 0, &[&p.tsn.to_be_bytes()[..], &[0, n as u8 % 64, 0, n as u8]].concat())
    }),
    ("forward_far", |p, _| chunk(FORWARD_TSN, 0, &p.random.next_u32().to_be_bytes())),
    ("resets", |p, n| {
        let body = [&n.to_be_bytes()[..], &[0; 4], &p.tsn.wrapping_add(n % 3 * 1_000).to_be_bytes(), &[0, n as u8 % 64]].concat();
        chunk(RE_CONFIG, 0, &[&[0, 13][..], &(body.len() as u16 + 4).to_be_bytes(), &body].concat())
    }),
    ("acknowledgements", |p, n| {
        let mut value = [&p.random.next_u32().to_be_bytes()[..], &[0, 1, 0, 0], &[0, 100, 0, 0]].concat();
        (0..100u16)
            .for_each(|block| value.extend_from_slice(&[(block * 3 + 1).to_be_bytes(), (block * 3 + n as u16 % 3 + 1).to_be_bytes()].concat()));
        chunk(SACK, 0, &value)
    }),
    ("heartbeats", |_, n| chunk(HEARTBEAT, 0, &[&[0, 1, 2, 4][..], &[n as u8; 512]].concat())),
    ("inits", |_, n| init(n + 100)),
    ("noise", |p, _| {
        let kind = [0, 0, 0, 3, 4, 9, 10, 14, 64, 130, 130, 192, 192, 255][p.random.next_u32() as usize % 14];
        let mut value: Vec<u8> = (0..p.random.next_u32() % 80).map(|_| p.random.next_u32() as u8).collect();
        if let Some(tsn) = value.first_chunk_mut() {
            *tsn = p.tsn.wrapping_add(p.random.next_u32() % 16).to_be_bytes();
        }
        chunk(kind, p.random.next_u32() as u8 & 7, &value)
    }),
];

/// Says each ten thousand times; none may panic, and what is held stays small.
pub fn run(report: &mut Report) {
    // A panic of the library's would be caught: here it is to be seen.
    let panics = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = panics.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        println!("{panic}");
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }));
    let mut all_most = 0;
    for (name, attack) in ATTACKS {
        let begin = held();
        let (mut most, begun) = (0, Instant::now());
        let mut peer = Peer::new(1);
        // At a thousand a second, so that their number is not what is refused.
        for n in 0..CHUNKS {
            let chunk = attack(&mut peer, n);
            peer.say(&[chunk]);
            peer.pass(1_000);
            most = most.max(held() - begin);
        }
        let micros = begun.elapsed().as_micros() as f64 / f64::from(CHUNKS);
        let misuse = peer.counters.get(Counter::DataMisuse);
        report.say(&format!("{name}: {most} bytes at most, {micros:.1} µs a chunk{}", if misuse > 0 { ", ended" } else { "" }));
        all_most = all_most.max(most);
    }
    std::panic::set_hook(before);
    report.at_least("hostile.chunks", f64::from(CHUNKS) * ATTACKS.len() as f64, "chunks", 10_000.0);
    report.at_most("hostile.held", all_most as f64, "bytes of the heap for one peer", MOST);
    report.exactly("hostile.panics", panics.load(std::sync::atomic::Ordering::Relaxed) as f64, "panics", 0.0);
}
