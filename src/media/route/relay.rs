//! What workers say to each other about a room that lives on several: packets, and who wants them.
//!
//! ```text
//! importer ─► exporter   Demand (a track is wanted, and where its packets are to be put), KeyFrame
//! exporter ─► importer   Packet, Skipped, Clock
//! all      ─► listener   Voices
//! ```
//!
//! All of it is soft state: a message that is lost is said again, so that a full ring costs staleness and nothing else.
//! Rooms and tracks are named by identity, packets by the [`Handle`] that the importer gave: nothing is hashed for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use slotmap::{DefaultKey, Key, KeyData};

use crate::base::read::Reader;
use crate::base::{Ntp, RoomId, Time, TrackId, WorkerId};
use crate::contract::MOST_ENCODINGS;
use crate::media::packet::layers::FrameLayers;
use crate::media::publish::cache::{CachedPacket, PacketMeta};
use crate::media::publish::track::ClockLine;
use crate::media::rewrite::{PictureIds, SourceExtensions};
use crate::media::transport::Path;

/// Voices that one message names: as many as are ever said to speak.
pub const MOST_VOICES: usize = 10;
/// Bytes of the longest message without its packet.
const HEAD: usize = 128;

/// Takes messages for other workers.
pub trait RelaySink {
    /// Takes a message for a worker, in three parts; false when there is no room for it, and it is lost. What may be spared is
    /// refused earlier than the rest.
    fn send(&mut self, to: WorkerId, parts: [&[u8]; 3], spare: bool) -> bool;
}

/// Where an importer keeps a track: what its packets are addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The room's key in the importer's engine.
    pub room: DefaultKey,
    /// The track's index in that room.
    pub index: u32,
    /// The track: the index may be another's by now.
    pub track: TrackId,
}

/// What a room says to another worker, packets excepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// Whether the sender has subscribers for a track.
    Demand {
        /// The room.
        room: RoomId,
        /// The track.
        track: TrackId,
        /// A bit for each encoding that is wanted; 0 when it is wanted no longer.
        wanted: u8,
        /// Where its packets are to be put.
        handle: Handle,
    },
    /// Somebody at the sender needs a key frame.
    KeyFrame {
        /// The room.
        room: RoomId,
        /// The track.
        track: TrackId,
        /// The number of the encoding.
        encoding: u8,
    },
    /// An encoding's line of NTP against RTP, and its offset to our wall clock; none when it is not known any more.
    Clock {
        /// Whose.
        handle: Handle,
        /// The number of the encoding.
        encoding: u8,
        /// The line and the offset in microseconds.
        clock: Option<(ClockLine, i64)>,
    },
    /// Voices at the sender, loudest first, or those that it has chosen as the listener.
    Voices {
        /// The room.
        room: RoomId,
        /// What they are.
        are: VoicesAre,
        /// Audio level in −dBov of each.
        voices: Voices,
    },
    /// What comes on this path is the sender's: one of its checks has passed there (one port for all workers).
    PathIs {
        /// The path.
        path: Path,
        /// What the sender calls the peer.
        peer: u64,
    },
}

/// What a list of voices is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VoicesAre {
    /// Those that speak at the sender.
    Speaking,
    /// Those that are loud at the sender, be it with a word or not.
    Loud,
    /// Those that are to be forwarded; their levels say nothing.
    Forwarded,
}

/// Who speaks, and how loud (−dBov).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voices {
    count: u8,
    list: [(TrackId, u8); MOST_VOICES],
}

impl Voices {
    /// The first [`MOST_VOICES`] of a list.
    pub fn new(speaking: &[(TrackId, u8)]) -> Self {
        let mut voices = Self::default();
        for (place, voice) in voices.list.iter_mut().zip(speaking) {
            *place = *voice;
            voices.count += 1;
        }
        voices
    }

    /// Each track with its level.
    pub fn iter(&self) -> impl Iterator<Item = (TrackId, u8)> + '_ {
        self.list.iter().take(self.count.into()).copied()
    }

    /// Whether nobody speaks.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<(TrackId, u8)> for Voices {
    fn from_iter<I: IntoIterator<Item = (TrackId, u8)>>(voices: I) -> Self {
        let mut list = Self::default();
        for (place, voice) in list.list.iter_mut().zip(voices) {
            *place = voice;
            list.count += 1;
        }
        list
    }
}

/// A message as it is read.
#[derive(Debug)]
pub enum Message<'a> {
    /// A packet of a track.
    Packet {
        /// Where it belongs.
        handle: Handle,
        /// The number of its encoding.
        encoding: u8,
        /// What is known of it; [`PacketMeta::arrived`] is for the reader to say.
        meta: PacketMeta,
        /// Header and payload.
        packet: &'a [u8],
    },
    /// A number of a track that will never come as a packet.
    Skipped {
        /// Where it belongs.
        handle: Handle,
        /// The number of its encoding.
        encoding: u8,
        /// The number.
        sequence: u64,
        /// The generation that it belongs to.
        generation: u32,
    },
    /// Anything else.
    Note(Note),
    /// A datagram of one of the reader's peers that arrived at the sender (one port for all workers).
    Stray {
        /// How it came.
        path: Path,
        /// The datagram.
        datagram: &'a [u8],
    },
}

const PACKET: u8 = 1;
const SKIPPED: u8 = 2;
const DEMAND: u8 = 3;
const KEY_FRAME: u8 = 4;
const CLOCK: u8 = 5;
const VOICES: u8 = 6;
const PATH_IS: u8 = 7;
const STRAY: u8 = 8;

const MARKER: u8 = 1;
const STARTS_KEY_FRAME: u8 = 2;

/// Hands a packet over: one copy, from the cache into the ring.
pub fn send_packet(sink: &mut impl RelaySink, to: WorkerId, handle: Handle, encoding: u8, packet: CachedPacket<'_>) -> bool {
    let meta = packet.meta;
    let flags = (u8::from(meta.marker) * MARKER) | (u8::from(meta.starts_key_frame) * STARTS_KEY_FRAME);
    let mut head = Writer::new(PACKET);
    head.handle(handle);
    head.put([encoding]);
    head.put(meta.sequence.to_ne_bytes());
    head.put(meta.generation.to_ne_bytes());
    head.put(meta.timestamp.to_ne_bytes());
    head.put([flags, meta.codec]);
    head.put(meta.header_len.to_ne_bytes());
    head.put(meta.extensions.to_bytes());
    head.put(meta.layers.to_bytes());
    head.put(meta.pictures.to_bytes());
    sink.send(to, [head.bytes(), packet.header, packet.payload], false)
}

/// Hands over that a number is to be skipped.
pub fn send_skipped(sink: &mut impl RelaySink, to: WorkerId, handle: Handle, encoding: u8, sequence: u64, generation: u32) -> bool {
    let mut head = Writer::new(SKIPPED);
    head.handle(handle);
    head.put([encoding]);
    head.put(sequence.to_ne_bytes());
    head.put(generation.to_ne_bytes());
    sink.send(to, [head.bytes(), &[], &[]], false)
}

/// Hands over what a room says.
pub fn send_note(sink: &mut impl RelaySink, to: WorkerId, note: &Note) -> bool {
    let mut head;
    match note {
        Note::Demand { room, track, wanted, handle } => {
            head = Writer::new(DEMAND);
            head.put(room.0.to_ne_bytes());
            head.put(track.0.to_ne_bytes());
            head.put([*wanted]);
            head.handle(*handle);
        }
        Note::KeyFrame { room, track, encoding } => {
            head = Writer::new(KEY_FRAME);
            head.put(room.0.to_ne_bytes());
            head.put(track.0.to_ne_bytes());
            head.put([*encoding]);
        }
        Note::Clock { handle, encoding, clock } => {
            head = Writer::new(CLOCK);
            head.handle(*handle);
            head.put([*encoding]);
            head.put([u8::from(clock.is_some())]);
            let (line, offset) = clock.unwrap_or((ClockLine { ntp: Ntp(0), timestamp: 0, clock_rate: 0 }, 0));
            head.put(line.ntp.0.to_ne_bytes());
            head.put(line.timestamp.to_ne_bytes());
            head.put(line.clock_rate.to_ne_bytes());
            head.put(offset.to_ne_bytes());
        }
        Note::Voices { room, are, voices } => {
            head = Writer::new(VOICES);
            head.put([*are as u8]);
            head.put(room.0.to_ne_bytes());
            for (track, level) in voices.iter() {
                head.put(track.0.to_ne_bytes());
                head.put([level]);
            }
        }
        Note::PathIs { path, peer } => {
            head = Writer::new(PATH_IS);
            head.path(*path);
            head.put(peer.to_ne_bytes());
        }
    }
    sink.send(to, [head.bytes(), &[], &[]], false)
}

/// Hands a datagram over that is another worker's; one of an outsider may be spared.
pub fn send_stray(sink: &mut impl RelaySink, to: WorkerId, path: Path, datagram: &[u8], spare: bool) -> bool {
    let mut head = Writer::new(STRAY);
    head.path(path);
    sink.send(to, [head.bytes(), datagram, &[]], spare)
}

impl<'a> Message<'a> {
    /// Reads a message; `None` when it is none that this version writes.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(message);
        let [kind] = reader.take()?;
        Some(match kind {
            PACKET => {
                let handle = reader.handle()?;
                let [encoding] = reader.take()?;
                let (sequence, generation) = (u64::from_ne_bytes(reader.take()?), u32::from_ne_bytes(reader.take()?));
                let timestamp = u32::from_ne_bytes(reader.take()?);
                let [flags, codec] = reader.take()?;
                let header_len = u16::from_ne_bytes(reader.take()?);
                let extensions = SourceExtensions::from_bytes(&reader.take()?);
                let layers = FrameLayers::from_bytes(reader.take()?);
                let pictures = PictureIds::from_bytes(reader.take()?);
                let packet = reader.0.get(..).filter(|packet| packet.len() >= usize::from(header_len))?;
                let meta = PacketMeta {
                    sequence,
                    generation,
                    arrived: Time::ZERO,
                    timestamp,
                    marker: flags & MARKER != 0,
                    codec,
                    starts_key_frame: flags & STARTS_KEY_FRAME != 0,
                    header_len,
                    extensions,
                    layers,
                    pictures,
                };
                Message::Packet { handle, encoding, meta, packet }
            }
            SKIPPED => Message::Skipped {
                handle: reader.handle()?,
                encoding: reader.byte()?,
                sequence: u64::from_ne_bytes(reader.take()?),
                generation: u32::from_ne_bytes(reader.take()?),
            },
            STRAY => Message::Stray { path: reader.path()?, datagram: reader.0 },
            other => Message::Note(reader.note(other)?),
        })
    }
}

/// Writes the head of a message.
struct Writer {
    bytes: [u8; HEAD],
    len: usize,
}

impl Writer {
    fn new(kind: u8) -> Self {
        let mut bytes = [0; HEAD];
        bytes[0] = kind;
        Self { bytes, len: 1 }
    }

    fn put<const N: usize>(&mut self, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + N) {
            place.copy_from_slice(&value);
            self.len += N;
        }
    }

    fn handle(&mut self, handle: Handle) {
        self.put(handle.room.data().as_ffi().to_ne_bytes());
        self.put(handle.index.to_ne_bytes());
        self.put(handle.track.0.to_ne_bytes());
    }

    fn path(&mut self, path: Path) {
        self.put(path.local.to_be_bytes());
        self.put(path.remote.port().to_ne_bytes());
        match path.remote {
            SocketAddr::V4(v4) => {
                self.put([4]);
                self.put(v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                self.put([6]);
                self.put(v6.ip().octets());
                self.put(v6.scope_id().to_ne_bytes());
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Reads what a [`Writer`] wrote.
impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn room(&mut self) -> Option<RoomId> {
        Some(RoomId(u64::from_ne_bytes(self.take()?)))
    }

    fn track(&mut self) -> Option<TrackId> {
        Some(TrackId(u64::from_ne_bytes(self.take()?)))
    }

    fn handle(&mut self) -> Option<Handle> {
        let room = DefaultKey::from(KeyData::from_ffi(u64::from_ne_bytes(self.take()?)));
        Some(Handle { room, index: u32::from_ne_bytes(self.take()?), track: self.track()? })
    }

    fn path(&mut self) -> Option<Path> {
        let local = u32::from_be_bytes(self.take()?);
        let port = u16::from_ne_bytes(self.take()?);
        let remote = match self.take()? {
            [4] => SocketAddr::new(IpAddr::V4(Ipv4Addr::from(self.take::<4>()?)), port),
            _ => {
                let ip = Ipv6Addr::from(self.take::<16>()?);
                SocketAddr::V6(SocketAddrV6::new(ip, port, 0, u32::from_ne_bytes(self.take()?)))
            }
        };
        Some(Path { local, remote })
    }

    fn note(&mut self, kind: u8) -> Option<Note> {
        Some(match kind {
            DEMAND => Note::Demand { room: self.room()?, track: self.track()?, wanted: self.byte()?, handle: self.handle()? },
            KEY_FRAME => Note::KeyFrame { room: self.room()?, track: self.track()?, encoding: self.byte()? },
            CLOCK => {
                let handle = self.handle()?;
                let encoding = self.byte()?;
                let known = self.take()? == [1];
                let ntp = Ntp(u64::from_ne_bytes(self.take()?));
                let line = ClockLine { ntp, timestamp: u32::from_ne_bytes(self.take()?), clock_rate: u32::from_ne_bytes(self.take()?) };
                let offset = i64::from_ne_bytes(self.take()?);
                Note::Clock { handle, encoding, clock: known.then_some((line, offset)) }
            }
            VOICES => {
                let are = match self.byte()? {
                    0 => VoicesAre::Speaking,
                    1 => VoicesAre::Loud,
                    _ => VoicesAre::Forwarded,
                };
                let room = self.room()?;
                let mut voices = Voices::default();
                for place in &mut voices.list {
                    let (Some(track), Some([level])) = (self.track(), self.take()) else { break };
                    *place = (track, level);
                    voices.count += 1;
                }
                Note::Voices { room, are, voices }
            }
            PATH_IS => Note::PathIs { path: self.path()?, peer: u64::from_ne_bytes(self.take()?) },
            _ => return None,
        })
    }
}

/// A worker that has subscribers for one of our tracks.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// The worker.
    pub worker: WorkerId,
    /// Where it wants the packets.
    pub handle: Handle,
    /// A bit for each encoding that it wants.
    pub wanted: u8,
    /// Unless it says again that it wants them, they end then.
    pub until: Time,
}

impl Export {
    /// Whether it wants an encoding.
    pub const fn wants(&self, encoding: u8) -> bool {
        self.wanted >> encoding & 1 == 1
    }
}

/// What an imported track is beside a track.
#[derive(Clone, Debug)]
pub struct Import {
    /// The worker of its publisher.
    pub from: WorkerId,
    /// The encodings of which that worker was told that somebody here wants them, a bit for each.
    pub wanted: u8,
    /// When to say so again.
    pub demand_due: Time,
    /// Demands since anything came.
    pub unanswered: u32,
    /// When to say again that nobody wants what comes nevertheless.
    pub refusal_due: Time,
    /// Of each encoding, its generation and its highest number.
    encodings: [Option<(u32, u64)>; MOST_ENCODINGS],
}

/// What a packet means for its import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// It goes on.
    GoesOn,
    /// The publisher's track has begun a new generation.
    NewGeneration,
    /// More is missing than is ever repaired.
    Broken,
}

impl Import {
    /// An import that nobody has asked for yet.
    pub const fn new(from: WorkerId) -> Self {
        Self { from, wanted: 0, demand_due: Time::ZERO, unanswered: 0, refusal_due: Time::ZERO, encodings: [None; MOST_ENCODINGS] }
    }

    /// A number of one of the publisher's streams has come. A gap of more than `most` breaks the stream.
    pub fn follow(&mut self, encoding: u8, generation: u32, sequence: u64, most: u64) -> Continuity {
        self.unanswered = 0;
        let Some(known) = self.encodings.get_mut(usize::from(encoding)) else { return Continuity::GoesOn };
        let before = known.replace((generation, sequence));
        match before {
            None => Continuity::GoesOn,
            Some((before, _)) if before != generation => Continuity::NewGeneration,
            Some((_, highest)) => {
                *known = Some((generation, highest.max(sequence)));
                if sequence > highest + most + 1 { Continuity::Broken } else { Continuity::GoesOn }
            }
        }
    }
}

#[cfg(test)]
mod tests;
