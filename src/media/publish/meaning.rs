//! What a packet of video means, read once when it has come: for the choice of layers, and for the numbers in its descriptor.

use super::cache::PacketMeta;
use super::encoding::Encoding;
use super::receive::Received;
use crate::base::Time;
use crate::contract::{Codec, Extension, MediaKind};
use crate::media::packet::dependency::{self, Structure};
use crate::media::packet::layers::FrameLayers;
use crate::media::packet::size::picture_size;
use crate::media::packet::{self, vp8, vp9};
use crate::media::rewrite::PictureIds;

/// Numbers in a row without a packet, after the beginning of a key frame: nothing of it has come before.
const NONE_EARLY: u64 = 24;
/// Packets that are looked through for such, at most.
const MOST_EARLY: u64 = 128;

impl Encoding {
    /// Reads a packet that has just come: its codec by its place in the publisher's plan, header and payload. What it says about the
    /// encoding as a whole is learnt.
    pub fn read(&mut self, now: Time, received: &Received, (place, codec): (u8, Codec), packet: &[u8], payload: &[u8]) -> PacketMeta {
        let mut extensions = received.extensions;
        let (mut starts_key_frame, marker) = (packet::starts_key_frame(codec, payload), received.header.marker);
        let (mut layers, pictures) = match codec {
            Codec::Vp8 => {
                let read = vp8::Descriptor::parse(payload);
                // One is enough, and the payload's is rewritten. libwebrtc leaves its numbers out where it sends the other.
                if read.is_some_and(|d| d.picture_id.is_some() || d.temporal_id.is_some()) {
                    extensions.forget(Extension::DependencyDescriptor);
                }
                (read.map(|d| FrameLayers::from_vp8(&d, marker)), read.map(|d| ids(d.picture_id, d.tl0_picture_index, d.header_len)))
            }
            Codec::Vp9 { .. } => {
                let read = vp9::Descriptor::parse(payload);
                let tl0 = read.and_then(|d| d.tl0_picture_index);
                (read.map(|d| FrameLayers::from_vp9(&d)), read.map(|d| ids(d.picture_id, tl0, d.header_len)))
            }
            Codec::H264 { .. } | Codec::Av1 { .. } | Codec::Opus | Codec::Red { .. } => (None, None),
        };
        if let Some(bytes) = extensions.get(Extension::DependencyDescriptor, packet) {
            self.learn_structure(bytes);
            if let Some(described) = dependency::Descriptor::parse(bytes, self.structure.as_deref()) {
                layers = Some(described.layers);
                starts_key_frame |= described.key_frame;
            } else if !starts_key_frame {
                // It has overtaken the packet with the structure that it follows.
                layers = layers.or(Some(FrameLayers::unread()));
                self.has_unread = true;
            }
        }
        let is_video = codec.kind() == MediaKind::Video;
        let layers = layers.unwrap_or_else(|| FrameLayers::whole(true, marker, starts_key_frame));
        let starts_key_frame = starts_key_frame && is_video;
        if starts_key_frame {
            self.keys.began();
            self.key_frame_began(now, received.header.timestamp);
            self.size = picture_size(codec, payload).or_else(|| self.described_size()).or(self.size);
        }
        self.codec = Some(place);
        self.picture_began(now, received.header.timestamp);
        if !layers.is_unread() {
            self.rates.count(now, layers.layer, self.key_picture == Some(received.header.timestamp), packet.len());
        }
        PacketMeta {
            sequence: received.sequence,
            generation: self.generation,
            arrived: now,
            timestamp: received.header.timestamp,
            marker,
            codec: place,
            starts_key_frame,
            header_len: received.header.header_len as u16,
            extensions,
            layers,
            pictures: pictures.unwrap_or_default(),
        }
    }

    /// What overtook the beginning of its key frame, and with it the structure that it follows, is read now. Calls `found` for each.
    pub fn read_anew(&mut self, beginning: u64, mut found: impl FnMut(u64)) {
        if !self.has_unread {
            return;
        }
        self.has_unread = false;
        let mut at = beginning;
        while let Some(sequence) = self.next_early(beginning, at) {
            at = sequence;
            let structure = self.structure.as_deref();
            let Some((meta, header)) = self.cache.meta_mut(sequence).filter(|(meta, _)| meta.layers.is_unread()) else { continue };
            let described = meta.extensions.get(Extension::DependencyDescriptor, header).and_then(|b| dependency::Descriptor::parse(b, structure));
            if let Some(described) = described {
                meta.layers = described.layers;
                found(sequence);
            } else {
                self.has_unread = true;
            }
        }
    }

    /// The next number after `at` that is here, of those that may have overtaken the `beginning` of their key frame.
    pub fn next_early(&self, beginning: u64, at: u64) -> Option<u64> {
        let is_here = |sequence: &u64| self.cache.get(*sequence).is_some_and(|packet| packet.meta.generation == self.generation);
        (at + 1..=at + NONE_EARLY).find(is_here).filter(|sequence| *sequence <= beginning + MOST_EARLY)
    }

    /// Takes over what another worker has read.
    pub fn take_over(&mut self, meta: &PacketMeta, packet: &[u8], codec: Option<Codec>) {
        if let Some(bytes) = meta.extensions.get(Extension::DependencyDescriptor, packet) {
            self.learn_structure(bytes);
        }
        if meta.starts_key_frame {
            self.keys.began();
            self.key_frame_began(meta.arrived, meta.timestamp);
            let payload = packet.get(usize::from(meta.header_len)..).unwrap_or_default();
            self.size = codec.and_then(|codec| picture_size(codec, payload)).or_else(|| self.described_size()).or(self.size);
        }
        self.codec = Some(meta.codec);
        self.picture_began(meta.arrived, meta.timestamp);
        self.rates.count(meta.arrived, meta.layers.layer, self.key_picture == Some(meta.timestamp), packet.len());
    }

    /// A key frame may bring another structure; the same one again takes no new memory.
    fn learn_structure(&mut self, descriptor: &[u8]) {
        let Some(attached) = Structure::attached(descriptor) else { return };
        match &mut self.structure {
            Some(known) => **known = attached,
            None => self.structure = Some(Box::new(attached)),
        }
    }

    fn described_size(&self) -> Option<(u16, u16)> {
        let structure = self.structure.as_deref()?;
        (0..4).filter_map(|spatial| structure.resolution(spatial)).max()
    }
}

fn ids(id: Option<vp8::PictureId>, tl0: Option<(usize, u8)>, len: usize) -> PictureIds {
    // Descriptors are a few bytes long; what could not be written back is left as it is.
    let byte = |at: usize| u8::try_from(at).unwrap_or(0);
    PictureIds {
        id: id.map_or(0, |id| id.value),
        id_at: id.map_or(0, |id| byte(id.offset)),
        id_bits: id.filter(|id| id.offset < 256).map_or(0, |id| id.bits),
        tl0: tl0.map_or(0, |(_, value)| value),
        tl0_at: tl0.map_or(0, |(at, _)| byte(at)),
        len: byte(len),
    }
}
