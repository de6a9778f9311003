//! A publisher whose packets come to a take, and the files that it leaves in memory.

use std::cell::Cell;

use mkv_element::ClusterBlock;
use mkv_element::io::blocking_impl::ReadFrom;
use mkv_element::prelude::Cluster;

use super::super::*;
use crate::contract::{TapPacket, TapPlace};
use crate::record::file::Cue;

pub const CAMERA: TapId = TapId(1);
pub const MICROPHONE: TapId = TapId(2);
pub const KEY_EVERY: Duration = Duration::from_secs(10);

/// A file in memory.
#[derive(Debug)]
pub struct Memory {
    pub begin: Begin,
    pub bytes: Vec<u8>,
    pub cues: Vec<Cue>,
    pub end: Option<End>,
}

/// A shelf in memory, which may refuse.
#[derive(Default)]
pub struct Shelved {
    pub files: Vec<Memory>,
    pub refuses: bool,
    /// Files before this one were ended by the disk.
    pub ended: u64,
}

impl Shelf for Shelved {
    fn begin(&mut self, begin: Begin) -> Option<FileId> {
        if self.refuses {
            return None;
        }
        let bytes = begin.header.clone();
        self.files.push(Memory { begin, bytes, cues: Vec::new(), end: None });
        Some(FileId(self.files.len() as u64 - 1))
    }

    fn append(&mut self, file: FileId, piece: Piece) -> Fate {
        if file.0 < self.ended {
            return Fate::Ended;
        }
        if self.refuses {
            return Fate::Lost;
        }
        let file = &mut self.files[file.0 as usize];
        file.cues.push(Cue { position: file.bytes.len() as u64, at: piece.at, until: piece.until, key: piece.key });
        file.bytes.extend(piece.bytes);
        Fate::Taken
    }

    fn finish(&mut self, file: FileId, end: End) {
        self.files[file.0 as usize].end = Some(end);
    }
}

impl Memory {
    /// Each block: its track, when it begins (milliseconds), whether it is a key frame.
    pub fn blocks(&self) -> Vec<(u64, i64, bool)> {
        let mut all = Vec::new();
        for cue in &self.cues {
            let cluster = Cluster::read_from(&mut &self.bytes[cue.position as usize..]).expect("a cluster");
            for block in &cluster.blocks {
                let ClusterBlock::Simple(block) = block else { panic!("a simple block") };
                let relative = i16::from_be_bytes([block[1], block[2]]);
                all.push((u64::from(block[0] & 0x7f), *cluster.timestamp as i64 + i64::from(relative), block[3] & 0x80 != 0));
            }
        }
        all
    }

    pub fn of(&self, track: u64) -> Vec<i64> {
        self.blocks().iter().filter(|block| block.0 == track).map(|block| block.1).collect()
    }

    pub fn millis(&self) -> i64 {
        self.end.expect("it has ended").length / 1_000
    }
}

/// A publisher: what it sends comes to a take.
pub struct Scene {
    pub take: Take,
    pub shelf: Shelved,
    pub now: u64,
    pub sequence: [u64; 2],
    pub wishes: Cell<u32>,
}

impl Scene {
    pub fn new() -> Self {
        let mut take = Take::new(at(1_000), KEY_EVERY);
        take.attach(at(1_000), CAMERA, false);
        take.attach(at(1_000), MICROPHONE, true);
        Self { take, shelf: Shelved::default(), now: 1_000, sequence: [100, 5_000], wishes: Cell::new(0) }
    }

    pub fn place(&self, tap: TapId, generation: u32) -> TapPlace {
        TapPlace { tap, encoding: 0, generation, sequence: self.sequence[usize::from(tap == MICROPHONE)] }
    }

    pub fn give(&mut self, packet: TapPacket, payload: &[u8]) {
        self.take.take(at(self.now), Tapped::Packet(packet, payload));
    }

    /// A picture of one packet.
    pub fn picture(&mut self, codec: TapCodec, key: bool) {
        let place = self.place(CAMERA, 0);
        self.sequence[0] += 1;
        let packet = TapPacket { place, timestamp: (self.now * 90) as u32, arrived: at(self.now), codec, marker: true, starts_key_frame: key };
        let payload = match (codec, key) {
            // A key frame of 320x180.
            (TapCodec::Vp8, true) => vec![0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00],
            (TapCodec::Vp8, false) => vec![0x10, 0x11, 0, 0, 9],
            (_, key) => vec![0x88 | u8::from(!key) << 6, 5, 0x80],
        };
        self.give(packet, &payload);
    }

    pub fn sound(&mut self) {
        let place = self.place(MICROPHONE, 0);
        self.sequence[1] += 1;
        let packet = TapPacket {
            place,
            timestamp: (self.now * 48) as u32,
            arrived: at(self.now),
            codec: TapCodec::Opus,
            marker: false,
            starts_key_frame: false,
        };
        self.give(packet, &[0xf8, 1, 2, 3]);
    }

    pub fn turn(&mut self) {
        self.take.advance(at(self.now), &mut self.shelf);
        self.take.wishes(at(self.now), |_| self.wishes.set(self.wishes.get() + 1));
    }

    /// Sound every 20 ms and a picture every 40, where they are sent at all.
    pub fn run(&mut self, ms: u64, mut sends: impl FnMut(&mut Self, u64)) {
        let until = self.now + ms;
        while self.now < until {
            let now = self.now;
            sends(self, now);
            if self.now.is_multiple_of(100) {
                self.turn();
            }
            self.now += 20;
        }
    }

    pub fn talk(&mut self, ms: u64) {
        let begun = self.now;
        self.run(ms, |scene, now| {
            scene.sound();
            if now.is_multiple_of(40) {
                scene.picture(TapCodec::Vp8, now == begun);
            }
        });
    }

    pub fn end(&mut self) {
        self.take.end(at(self.now), &mut self.shelf);
    }

    pub fn only(&self) -> &Memory {
        assert_eq!(self.shelf.files.len(), 1, "one file");
        &self.shelf.files[0]
    }
}

pub fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

pub fn gaps(times: &[i64]) -> i64 {
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}
