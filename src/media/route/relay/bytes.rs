//! The messages as bytes, for a ring between two threads of one process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use slotmap::{DefaultKey, Key, KeyData};

use super::{Handle, Message, Note, RelaySink, Voices, VoicesAre};
use crate::base::read::Reader;
use crate::base::{Ntp, RoomId, Time, TrackId, WorkerId};
use crate::media::packet::layers::FrameLayers;
use crate::media::publish::cache::{CachedPacket, PacketMeta};
use crate::media::publish::track::ClockLine;
use crate::media::rewrite::{PictureIds, SourceExtensions};
use crate::media::transport::Path;

/// Bytes of the longest message without its packet.
const HEAD: usize = 128;

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
