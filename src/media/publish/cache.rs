//! Recent packets of one published stream, as plaintext, shared by all its subscribers.
//!
//! Packets lie in one ring of bytes; a second ring, indexed by sequence number, says where. Nothing is
//! stored per subscriber: forwarding and retransmission both read from here.

use crate::base::Time;
use crate::media::packet::layers::FrameLayers;
use crate::media::rewrite::{PictureIds, SourceExtensions};

/// What is known of a cached packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct PacketMeta {
    /// Extended sequence number of the source.
    pub sequence: u64,
    /// The track's generation when it arrived: numbers of different generations have nothing to do with each other.
    pub generation: u32,
    /// When it arrived.
    pub arrived: Time,
    /// RTP timestamp of the source.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// Index of its codec in the publisher's plan.
    pub codec: u8,
    /// Whether a key frame begins with it.
    pub starts_key_frame: bool,
    /// Length of its RTP header, with CSRCs and extensions, in bytes.
    pub header_len: u16,
    /// Its header extensions.
    pub extensions: SourceExtensions,
    /// What it means for the choice of layers.
    pub layers: FrameLayers,
    /// The numbers in its VP8 or VP9 descriptor.
    pub pictures: PictureIds,
}

/// A packet in the cache: header, then payload in the clear and without padding.
#[derive(Clone, Copy, Debug)]
pub struct CachedPacket<'a> {
    /// What is known of it.
    pub meta: &'a PacketMeta,
    /// Its header as received.
    pub header: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// How large a cache may become, and from what it starts.
#[derive(Clone, Copy, Debug)]
pub struct CacheSize {
    /// Bytes at first (a power of two); grows by doubling while a second of packets does not fit.
    pub first_bytes: usize,
    /// Bytes at most (a power of two). More repairs losses of longer round trips, less saves memory.
    pub most_bytes: usize,
    /// Packets at first (a power of two).
    pub first_packets: usize,
    /// Packets at most (a power of two).
    pub most_packets: usize,
}

impl CacheSize {
    /// For a video layer: 256 KiB is a second at 2 Mbit/s.
    pub const VIDEO: CacheSize = CacheSize { first_bytes: 32 * 1024, most_bytes: 256 * 1024, first_packets: 64, most_packets: 1024 };
    /// For audio: 64 packets are more than a second at 20 ms.
    pub const AUDIO: CacheSize = CacheSize { first_bytes: 8 * 1024, most_bytes: 32 * 1024, first_packets: 64, most_packets: 256 };
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    meta: PacketMeta,
    /// Position in the never-ending stream of bytes that the ring is a window of.
    position: u64,
    len: u16,
}

/// Parts of the ring of bytes of which it is known when they were last written; a power of two.
const PARTS: usize = 8;

/// The cache of one stream.
#[derive(Debug)]
pub struct Cache {
    size: CacheSize,
    entries: Vec<Option<Entry>>,
    bytes: Vec<u8>,
    written: u64,
    /// When the last packet that begins in each part of the ring arrived; [`Time::ZERO`] for one that was never written.
    last_written: [Time; PARTS],
}

impl Cache {
    /// An empty cache; it takes no memory before the first packet.
    pub fn new(size: CacheSize) -> Self {
        Self { size, entries: Vec::new(), bytes: Vec::new(), written: 0, last_written: [Time::ZERO; PARTS] }
    }

    /// Copies a packet in, over the oldest ones. `packet` is header and payload, at most 65,535 bytes.
    pub fn insert(&mut self, meta: PacketMeta, packet: &[u8]) {
        self.make_room(&meta, packet.len());
        let capacity = self.bytes.len();
        if packet.len() > capacity {
            return;
        }
        let mut start = (self.written % capacity as u64) as usize;
        if start + packet.len() > capacity {
            self.written += (capacity - start) as u64;
            start = 0;
        }
        self.bytes[start..start + packet.len()].copy_from_slice(packet);
        let (slot, part) = (self.slot_of(meta.sequence), self.part_of(start));
        self.last_written[part] = meta.arrived;
        self.entries[slot] = Some(Entry { meta, position: self.written, len: packet.len() as u16 });
        self.written += packet.len() as u64;
    }

    /// The packet with this extended sequence number, if it is still here.
    pub fn get(&self, sequence: u64) -> Option<CachedPacket<'_>> {
        if self.entries.is_empty() {
            return None;
        }
        let entry = self.entries[self.slot_of(sequence)].as_ref().filter(|e| e.meta.sequence == sequence && self.holds(e))?;
        // The ring's length is a power of two.
        let start = (entry.position & (self.bytes.len() as u64 - 1)) as usize;
        let bytes = &self.bytes[start..start + usize::from(entry.len)];
        let (header, payload) = bytes.split_at_checked(usize::from(entry.meta.header_len))?;
        Some(CachedPacket { meta: &entry.meta, header, payload })
    }

    /// What is known of a packet that is still here, to be corrected, and its header.
    pub fn meta_mut(&mut self, sequence: u64) -> Option<(&mut PacketMeta, &[u8])> {
        self.get(sequence)?;
        let slot = self.slot_of(sequence);
        let entry = self.entries.get_mut(slot)?.as_mut()?;
        let start = (entry.position & (self.bytes.len() as u64 - 1)) as usize;
        let header = self.bytes.get(start..start + usize::from(entry.meta.header_len))?;
        Some((&mut entry.meta, header))
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.entries.fill(None);
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Option<Entry>>()
    }

    fn slot_of(&self, sequence: u64) -> usize {
        sequence as usize & (self.entries.len() - 1)
    }

    fn holds(&self, entry: &Entry) -> bool {
        self.written - entry.position <= self.bytes.len() as u64
    }

    /// Doubles whichever ring would lose a packet younger than a second by taking this one.
    fn make_room(&mut self, meta: &PacketMeta, len: usize) {
        if self.entries.is_empty() {
            self.entries.resize(self.size.first_packets, None);
            self.bytes.resize(self.size.first_bytes, 0);
        }
        let young = |at: Time| meta.arrived.micros_since(at) < 1_000_000;
        if self.entries.len() < self.size.most_packets
            && self.entries[self.slot_of(meta.sequence)].is_some_and(|e| e.meta.sequence != meta.sequence && young(e.meta.arrived) && self.holds(&e))
        {
            self.grow_entries();
        }
        let capacity = self.bytes.len();
        if capacity < self.size.most_bytes && self.written + len as u64 > capacity as u64 {
            let (start, part) = ((self.written % capacity as u64) as usize, capacity / PARTS);
            // What is already being written over was judged when its part was entered.
            let mut entered = start.div_ceil(part)..(start + len).div_ceil(part);
            if entered.any(|p| young(self.last_written[p % PARTS])) {
                self.grow_bytes();
            }
        }
    }

    /// The part of the ring that a position lies in.
    fn part_of(&self, start: usize) -> usize {
        start / (self.bytes.len() / PARTS)
    }

    fn grow_entries(&mut self) {
        let old = std::mem::take(&mut self.entries);
        self.entries.resize(old.len() * 2, None);
        for entry in old.into_iter().flatten() {
            let slot = self.slot_of(entry.meta.sequence);
            self.entries[slot] = Some(entry);
        }
    }

    fn grow_bytes(&mut self) {
        let old = std::mem::take(&mut self.bytes);
        let oldest = self.written.saturating_sub(old.len() as u64);
        self.bytes.resize(old.len() * 2, 0);
        let mut kept: Vec<Entry> = self.entries.iter().flatten().filter(|e| e.position >= oldest).copied().collect();
        kept.sort_unstable_by_key(|e| e.position);
        self.entries.fill(None);
        (self.written, self.last_written) = (0, [Time::ZERO; PARTS]);
        for mut entry in kept {
            let start = (entry.position % old.len() as u64) as usize;
            let target = self.written as usize;
            let len = usize::from(entry.len);
            self.bytes[target..target + len].copy_from_slice(&old[start..start + len]);
            entry.position = self.written;
            self.written += len as u64;
            let (slot, part) = (self.slot_of(entry.meta.sequence), self.part_of(target));
            self.last_written[part] = entry.meta.arrived;
            self.entries[slot] = Some(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meta(sequence: u64, arrived: Time) -> PacketMeta {
        PacketMeta {
            sequence,
            generation: 0,
            arrived,
            timestamp: 0,
            marker: false,
            codec: 0,
            starts_key_frame: false,
            header_len: 12,
            extensions: SourceExtensions::default(),
            layers: FrameLayers::whole(true, true, false),
            pictures: PictureIds::default(),
        }
    }

    fn packet(sequence: u64, len: usize) -> Vec<u8> {
        (0..len).map(|i| (sequence as usize + i) as u8).collect()
    }

    #[test]
    fn a_second_of_packets_stays_and_older_ones_give_way() {
        let mut cache = Cache::new(CacheSize::VIDEO);
        for n in 0..3_000u64 {
            // 2 Mbit/s would fill the cache in a second: this is 1.5.
            cache.insert(meta(n, Time::from_micros(n * 6_400)), &packet(n, 1_200));
        }
        for n in 2_850..3_000u64 {
            assert_eq!(cache.get(n).expect("recent").payload, &packet(n, 1_200)[12..]);
        }
        assert!(cache.get(1_000).is_none());
        assert!(cache.memory() < 400 * 1024, "{}", cache.memory());
    }

    #[test]
    fn a_slow_stream_never_grows_its_cache() {
        let mut cache = Cache::new(CacheSize::AUDIO);
        for n in 0..1_000u64 {
            cache.insert(meta(n, Time::from_millis(n * 20)), &packet(n, 100));
        }
        assert_eq!(cache.bytes.len(), CacheSize::AUDIO.first_bytes);
    }

    fn oldest_held(cache: &Cache, end: u64) -> u64 {
        (0..end).find(|n| cache.get(*n).is_some()).unwrap_or(end)
    }

    proptest! {
        #[test]
        fn a_second_stays_whatever_the_packets_are(lens in proptest::collection::vec(20usize..1_400, 600), gaps in proptest::collection::vec(8_000u64..16_000, 600)) {
            let (mut cache, mut now, mut arrived) = (Cache::new(CacheSize::VIDEO), 0, Vec::new());
            for (n, (len, gap)) in lens.iter().zip(&gaps).enumerate() {
                now += gap;
                arrived.push(now);
                cache.insert(meta(n as u64, Time::from_micros(now)), &packet(n as u64, *len));
                let oldest = arrived.partition_point(|at| now - at >= 1_000_000);
                prop_assert!(cache.get(oldest as u64).is_some(), "{oldest} of {n}");
            }
            prop_assert!((oldest_held(&cache, lens.len() as u64)..lens.len() as u64).all(|n| cache.get(n).is_some()));
        }

        #[test]
        fn what_it_returns_is_what_was_put_in(lens in proptest::collection::vec(12usize..1_400, 1..400), gap in 1u64..20_000) {
            let mut cache = Cache::new(CacheSize::VIDEO);
            for (n, len) in lens.iter().enumerate() {
                cache.insert(meta(n as u64, Time::from_micros(n as u64 * gap)), &packet(n as u64, *len));
            }
            let mut found = 0;
            for (n, len) in lens.iter().enumerate() {
                if let Some(cached) = cache.get(n as u64) {
                    let whole = packet(n as u64, *len);
                    prop_assert_eq!(cached.header, &whole[..12]);
                    prop_assert_eq!(cached.payload, &whole[12..]);
                    found += 1;
                }
            }
            prop_assert!(found >= lens.len().min(20));
        }
    }
}
