//! The publishers: real SRTP from sockets of their own, as fast as it is taken or with the times of a trace.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing::contract::SrtpProfile;
use althing::media::transport::SrtpSender;

use super::measure::Case;

/// Every publisher's master key and salt.
pub const KEY: [u8; 16] = [7; 16];
/// Every publisher's master salt.
pub const SALT: [u8; 12] = [9; 12];
/// Ids and payload types of the publishers.
pub const TRANSPORT_CC: u8 = 3;
pub const AUDIO_LEVEL: u8 = 1;
pub const VP8: u8 = 96;
pub const OPUS: u8 = 111;
/// The SSRC of a publisher's stream.
pub const fn ssrc(publisher: usize, audio: bool) -> u32 {
    0x2000_0000 + publisher as u32 * 2 + audio as u32
}
/// Key frames come until this packet: nobody can ask for one.
const KEYS_UNTIL: u64 = 1_000;
/// Packets that may wait for the forwarder, so that it never does.
const AHEAD: u64 = 256;

/// Recordings of what Chromium sent, by name.
pub const TRACES: [(&str, &str); 2] = [
    // 1.7 Mbit/s at 15 frames a second.
    ("chromium-vp8", include_str!("../traces/chromium-vp8.txt")),
    // An encoder that had little CPU: 160 kbit/s.
    ("chromium-vp8-thin", include_str!("../traces/chromium-vp8-thin.txt")),
];

/// What the publishers send.
#[derive(Clone)]
pub enum Feed {
    /// Packets of one size (header included, the tag not) as fast as they are taken, so many at a time.
    Flood { bytes: usize, audio: bool, at_a_time: usize },
    /// A recording, each publisher shifted against the others, over and over.
    Trace(Arc<Vec<Recorded>>),
}

/// A packet of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub at: Duration,
    /// Bytes of the RTP packet.
    pub bytes: usize,
    pub marker: bool,
    pub audio: bool,
}

/// Reads a recording: a line a packet, µs, bytes, marker, kind; `#` begins a comment.
pub fn read_trace(text: &str) -> Vec<Recorded> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default()).filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [at, bytes, marker, kind] = fields[..] else { panic!("a line of a trace has four fields: {line}") };
            Recorded {
                at: Duration::from_micros(at.parse().expect("microseconds")),
                bytes: bytes.parse::<usize>().expect("bytes").max(40),
                marker: marker == "1",
                audio: kind == "audio",
            }
        })
        .collect()
}

/// What a publisher sends.
pub struct Source {
    number: usize,
    /// The next index of video and audio.
    next: [u64; 2],
    timestamp: [u32; 2],
    transport_cc: u16,
}

struct Publisher {
    socket: UdpSocket,
    source: Source,
}

/// The publishers of a case.
pub struct Feeder {
    publishers: Vec<Publisher>,
    feed: Feed,
    sender: SrtpSender,
    /// When the packets of a trace were sent, in nanoseconds since 1970, by index from 1.
    sent: Vec<u64>,
}

impl Feeder {
    pub fn new(case: &Case) -> Self {
        let publisher = |number| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.set_nonblocking(true).expect("non-blocking");
            Publisher { socket, source: Source::new(number) }
        };
        Self {
            publishers: (0..case.publishers).map(publisher).collect(),
            feed: case.feed.clone(),
            sender: SrtpSender::new(SrtpProfile::AeadAes128Gcm, &KEY, &SALT).expect("keys"),
            sent: vec![0],
        }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.publishers.iter().map(|p| p.socket.local_addr().expect("bound")).collect()
    }

    /// Sends until it is stopped; when each packet of a trace went out.
    pub fn feed(mut self, to: SocketAddr, received: &AtomicU64, stop: &AtomicBool) -> Vec<u64> {
        match self.feed.clone() {
            Feed::Flood { bytes, audio, at_a_time } => self.flood(to, bytes, audio, at_a_time, received, stop),
            Feed::Trace(trace) => self.replay(to, &trace, stop),
        }
        self.sent
    }

    fn flood(&mut self, to: SocketAddr, bytes: usize, audio: bool, at_a_time: usize, received: &AtomicU64, stop: &AtomicBool) {
        let mut sent = 0;
        while !stop.load(Ordering::Acquire) {
            if sent - received.load(Ordering::Acquire).min(sent) > AHEAD {
                std::thread::sleep(Duration::from_micros(50));
                continue;
            }
            for n in 0..at_a_time {
                let publisher = sent as usize % self.publishers.len();
                self.send(to, publisher, bytes, audio, n + 1 == at_a_time);
                sent += 1;
            }
        }
    }

    fn replay(&mut self, to: SocketAddr, trace: &[Recorded], stop: &AtomicBool) {
        let length = trace.last().map_or(Duration::ZERO, |last| last.at) + Duration::from_millis(33);
        let shift = length / self.publishers.len() as u32;
        // (when, publisher, packet), in the order of time, for one round.
        let mut round: Vec<(Duration, usize, Recorded)> = Vec::new();
        for publisher in 0..self.publishers.len() {
            let at = |r: &Recorded| (r.at + shift * publisher as u32).as_nanos() % length.as_nanos();
            round.extend(trace.iter().map(|r| (Duration::from_nanos(at(r) as u64), publisher, *r)));
        }
        round.sort_by_key(|(at, publisher, _)| (*at, *publisher));
        let begin = Instant::now();
        for turn in 0.. {
            for (at, publisher, packet) in &round {
                let due = begin + length * turn + *at;
                while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|rest| *rest > Duration::from_micros(60)) {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    std::thread::sleep(rest.min(Duration::from_millis(20)) - Duration::from_micros(50));
                }
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
                self.sent.push(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64));
                self.send(to, *publisher, packet.bytes, packet.audio, packet.marker);
            }
        }
    }

    fn send(&mut self, to: SocketAddr, publisher: usize, bytes: usize, audio: bool, marker: bool) {
        let publisher = &mut self.publishers[publisher];
        let (packet, len) = publisher.source.packet(&self.sender, bytes, audio, marker);
        // A full socket drops it: then it was never sent.
        let _ = publisher.socket.send_to(&packet[..len], to);
    }
}

impl Source {
    pub fn new(number: usize) -> Self {
        Self { number, next: [1; 2], timestamp: [0; 2], transport_cc: 0 }
    }

    /// Its next packet, sealed, and how long it is.
    pub fn packet(&mut self, sender: &SrtpSender, bytes: usize, audio: bool, marker: bool) -> ([u8; 1_600], usize) {
        let kind = usize::from(audio);
        let (index, timestamp) = (self.next[kind], self.timestamp[kind]);
        self.next[kind] += 1;
        if marker || audio {
            self.timestamp[kind] = timestamp.wrapping_add(if audio { 960 } else { 3_000 });
        }
        let ssrc = ssrc(self.number, audio);
        let mut packet = [0x42; 1_600];
        packet[..2].copy_from_slice(&[0x90, if audio { OPUS } else { VP8 } | if marker { 0x80 } else { 0 }]);
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let [t0, t1] = self.transport_cc.to_be_bytes();
        self.transport_cc = self.transport_cc.wrapping_add(1);
        let header = if audio {
            packet[12..24].copy_from_slice(&[0xBE, 0xDE, 0, 2, TRANSPORT_CC << 4 | 1, t0, t1, AUDIO_LEVEL << 4, 20, 0, 0, 0]);
            24
        } else {
            packet[12..20].copy_from_slice(&[0xBE, 0xDE, 0, 1, TRANSPORT_CC << 4 | 1, t0, t1, 0]);
            // A VP8 descriptor with a 15-bit picture id; the first packet begins a key frame, and some more for those who change to it.
            let key = index % 8 == 1 && index < KEYS_UNTIL;
            let start = if key { 0x90 } else { 0x80 };
            packet[20..25].copy_from_slice(&[start, 0x80, 0x80 | (index >> 8 & 0x7F) as u8, index as u8, u8::from(!key)]);
            20
        };
        let len = sender.seal_in_place(&mut packet, header, bytes.saturating_sub(header).max(6), ssrc, index).expect("sealed");
        (packet, len)
    }
}
