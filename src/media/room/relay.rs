//! A room that lives on several workers: imported tracks, who wants them, packets that cross, and who is heard by all.

use std::time::Duration;

use super::Room;
use crate::base::{Time, TrackId, WorkerId};
use crate::contract::{Counter, MediaKind, ReceivePlan};
use crate::media::engine::Shared;
use crate::media::publish::cache::PacketMeta;
use crate::media::publish::holes::MOST_HOLES;
use crate::media::publish::track::{ClockLine, Track};
use crate::media::route::fanout::{TickItem, What};
use crate::media::route::relay::{self, Continuity, Export, Handle, Note, RelaySink, Voices};

/// A demand that nothing has come of is repeated after this, and after twice as long each time up to [`REFRESH`].
const RETRY: Duration = Duration::from_millis(500);
/// A demand is repeated so often while packets flow. Less costs messages, more lets packets cross for longer that nobody wants.
const REFRESH: Duration = Duration::from_secs(2);
/// A demand that is not repeated for so long has ended: three repetitions were lost.
const EXPIRY: Duration = Duration::from_millis(6_500);
/// What another worker heard counts for so long: two of its reports were lost.
const VOICES_STALE: Duration = Duration::from_millis(700);

/// Voices that another worker hears.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pub worker: WorkerId,
    /// When it said so.
    pub at: Time,
    /// Those that speak.
    pub speaking: Voices,
    /// Those that are loud, be it with a word or not.
    pub loud: Voices,
}

impl Elsewhere {
    /// Whether it is too old to count.
    pub fn is_stale(&self, now: Time) -> bool {
        now.since(self.at) >= VOICES_STALE
    }

    /// Whether nothing is heard there.
    pub const fn is_silent(&self) -> bool {
        self.speaking.is_empty() && self.loud.is_empty()
    }
}

impl Room {
    /// A track of another worker, which may be pointed at from now on.
    pub(super) fn import(&mut self, id: TrackId, from: WorkerId, source: ReceivePlan) -> Option<()> {
        let Some(index) = self.track_index(id) else {
            let index = self.tracks.insert(Track::imported(id, from, source));
            self.track_of.insert(id, index);
            return Some(());
        };
        let track = &mut self.tracks[index];
        track.grow(source.encodings());
        let (import, before) = &mut **track.import.as_mut()?;
        import.wanted = if import.from == from { import.wanted } else { 0 };
        (import.from, *before) = (from, source);
        let (_, source) = &**track.import.as_ref()?;
        for subscriber in track.subscribers.iter() {
            let Some(peer) = self.peers.get_mut(subscriber) else { continue };
            if let Some(leg) = peer.leg_of(index) {
                peer.legs[leg].compile_again(index, source);
            }
        }
        self.relay_changed(index);
        Some(())
    }

    /// An imported track ends: its publisher's worker need not send it any more.
    pub(super) fn refuse(&mut self, id: TrackId, shared: &mut Shared) {
        let Some(index) = self.track_index(id) else { return };
        let note = self.demand(index, 0);
        if let Some((import, _)) = self.tracks[index].import.as_deref()
            && import.wanted != 0
            && let Some(note) = note
        {
            shared.say(import.from, note);
        }
    }

    /// The room ends here: nobody need send its tracks any more.
    pub fn refuse_all(&self, shared: &mut Shared) {
        for (index, track) in &self.tracks {
            if let Some((import, _)) = track.import.as_deref().filter(|(import, _)| import.wanted != 0)
                && let Some(note) = self.demand(index, 0)
            {
                shared.say(import.from, note);
            }
        }
    }

    fn demand(&self, index: usize, wanted: u8) -> Option<Note> {
        let track = self.tracks.get(index)?.id;
        let handle = Handle { room: self.key, index: index as u32, track };
        Some(Note::Demand { room: self.id, track, wanted, handle })
    }

    /// The m-line that a track comes from, here or elsewhere, as it was negotiated.
    pub(super) fn source_plan(&self, index: usize) -> Option<&ReceivePlan> {
        let track = self.tracks.get(index)?;
        match track.import.as_deref() {
            Some((_, source)) => Some(source),
            None => self.peers.get(track.publisher)?.receive_plan(track.mline),
        }
    }

    /// Who wants an imported track may have changed: it is looked at in this turn.
    pub(super) fn relay_changed(&mut self, index: usize) {
        if self.tracks.get(index).is_some_and(|t| t.import.is_some()) {
            self.relays_due.set(index, Time::ZERO);
        }
    }

    /// Says what is wanted of other workers and forgets what they want no longer, where it is time to.
    pub(super) fn relays(&mut self, now: Time, shared: &mut Shared) {
        while let Some(index) = self.relays_due.pop(now) {
            let wanted = self.tracks.get(index).map_or(0, Track::wanted_here);
            let note = self.demand(index, wanted);
            let Some(track) = self.tracks.get_mut(index) else { continue };
            track.exports.retain(|export| export.until > now);
            let mut next = track.exports.iter().map(|export| export.until).fold(Time::NEVER, Time::min);
            if let Some((import, _)) = track.import.as_deref_mut() {
                if (wanted != import.wanted || wanted != 0 && import.demand_due <= now)
                    && let Some(note) = note
                {
                    shared.say(import.from, note);
                    shared.counters.add(Counter::RelayDemand);
                    import.wanted = wanted;
                    let pause = if import.unanswered == 0 { REFRESH } else { (RETRY * (1 << import.unanswered.min(3)) / 2).min(REFRESH) };
                    import.demand_due = now + pause;
                    import.unanswered = import.unanswered.saturating_add(1);
                }
                if wanted != 0 {
                    next = next.min(import.demand_due);
                }
            }
            self.relays_due.set(index, next);
            self.demand_changed(now, index, shared);
        }
    }

    /// Another worker wants encodings of a track of ours, or does no longer.
    pub fn handle_demand(&mut self, now: Time, from: WorkerId, id: TrackId, wanted: u8, handle: Handle, shared: &mut Shared) {
        // Before the track is published here, or after it has ended: the demand is repeated.
        let Some(index) = self.track_index(id) else { return shared.counters.add(Counter::RelayDropStale) };
        let track = &mut self.tracks[index];
        if track.import.is_some() {
            return shared.counters.add(Counter::RelayDropStale);
        }
        let before = track.exports.iter().position(|export| export.worker == from).map(|before| track.exports.swap_remove(before));
        let fresh = wanted & !before.map_or(0, |export| export.wanted);
        if wanted != 0 {
            let export = Export { worker: from, handle, wanted, until: now + EXPIRY };
            track.exports.push(export);
            self.relays_due.sooner(index, export.until);
        }
        let track = &self.tracks[index];
        for (number, encoding) in (0..).zip(&track.encodings).filter(|(number, _)| fresh >> number & 1 == 1) {
            if let (Some(line), Some(offset)) = (encoding.clock, track.clock_offset) {
                shared.say(from, Note::Clock { handle, encoding: number, clock: Some((line, offset)) });
            }
        }
        self.demand_changed(now, index, shared);
    }

    /// Somebody on another worker needs a key frame.
    pub fn handle_key_frame(&mut self, id: TrackId, encoding: u8, shared: &mut Shared) {
        let Some(index) = self.track_index(id) else { return shared.counters.add(Counter::RelayDropStale) };
        if self.tracks[index].kind == MediaKind::Video
            && let Some(encoding) = self.tracks[index].encoding_mut(encoding)
        {
            encoding.keys.want();
            self.key_frame_due(index);
        }
    }

    /// Hands what has come to the workers that want it, each packet once to each.
    pub fn cross(&mut self, sink: &mut impl RelaySink, shared: &mut Shared) {
        for item in self.crossing.drain(..) {
            let Some(track) = self.tracks.get(item.track) else { continue };
            let Some(encoding) = track.encoding(item.encoding) else { continue };
            for export in track.exports.iter().filter(|export| export.wants(item.encoding)) {
                let (sent, bytes) = if item.what == What::Skipped {
                    (relay::send_skipped(sink, export.worker, export.handle, item.encoding, item.sequence, item.generation), 0)
                } else {
                    let Some(packet) = encoding.cache.get(item.sequence).filter(|p| p.meta.generation == item.generation) else { continue };
                    (relay::send_packet(sink, export.worker, export.handle, item.encoding, packet), packet.header.len() + packet.payload.len())
                };
                if !sent {
                    shared.counters.add(Counter::RelayDropFull);
                } else if item.what != What::Skipped {
                    shared.counters.add(Counter::RelayOut);
                    shared.counters.add_many(Counter::RelayBytesOut, bytes as u64);
                }
            }
        }
    }

    /// Whether anything waits for [`Self::cross`].
    pub fn has_crossing(&self) -> bool {
        !self.crossing.is_empty()
    }

    /// Other workers want this item too.
    pub(super) fn note_crossing(crossing: &mut Vec<TickItem>, exports: &[Export], item: TickItem) {
        if exports.iter().any(|export| export.wants(item.encoding)) {
            crossing.push(item);
        }
    }

    /// The publisher's clock is known, or known no longer.
    pub(super) fn tell_clock(track: &Track, encoding: u8, shared: &mut Shared) {
        let clock = track.encoding(encoding).and_then(|e| e.clock).zip(track.clock_offset);
        for export in track.exports.iter().filter(|export| export.wants(encoding)) {
            shared.say(export.worker, Note::Clock { handle: export.handle, encoding, clock });
        }
    }

    /// A packet of an imported track: into its cache, and into the tick.
    pub fn handle_relayed(
        &mut self, now: Time, from: WorkerId, (handle, number): (Handle, u8), meta: PacketMeta, packet: &[u8], shared: &mut Shared,
    ) {
        shared.counters.add(Counter::RelayIn);
        shared.counters.add_many(Counter::RelayBytesIn, packet.len() as u64);
        let Some(index) = self.follow(now, from, (handle, number), (meta.generation, meta.sequence), shared) else {
            return shared.counters.add(Counter::RelayDropStale);
        };
        let track = &mut self.tracks[index];
        track.started = true;
        let codec = track.import.as_deref().and_then(|(_, source)| source.codecs.get(usize::from(meta.codec))).map(|c| c.codec);
        if track.sent >> number & 1 == 0 && track.kind == MediaKind::Video {
            self.looks_due.sooner(index, now);
        }
        let Some(encoding) = track.encoding_mut(number) else { return };
        let (sequence, generation) = (meta.sequence, encoding.generation);
        let meta = PacketMeta { generation, arrived: now, ..meta };
        let awaited = encoding.keys.is_wanted();
        let resumed = encoding.came(now);
        encoding.take_over(&meta, packet, codec);
        encoding.cache.insert(meta, packet);
        let item = TickItem { track: index, encoding: number, sequence, generation, what: What::Packet };
        self.tick.push(item, &encoding.receivers);
        if meta.starts_key_frame && awaited {
            self.tick.push_early(item, encoding);
        }
        if resumed {
            self.key_frame_due(index);
        }
    }

    /// A number of an imported track that will never come as a packet.
    pub fn handle_skipped(&mut self, now: Time, from: WorkerId, at: (Handle, u8), (generation, sequence): (u32, u64), shared: &mut Shared) {
        let Some(index) = self.follow(now, from, at, (generation, sequence), shared) else { return };
        let Some(encoding) = self.tracks[index].encoding(at.1) else { return };
        let item = TickItem { track: index, encoding: at.1, sequence, generation: encoding.generation, what: What::Skipped };
        self.tick.push(item, &encoding.receivers);
    }

    /// The imported track that a number belongs to; none when it is not here, or nobody wants it.
    fn follow(
        &mut self, now: Time, from: WorkerId, (handle, number): (Handle, u8), (generation, sequence): (u32, u64), shared: &mut Shared,
    ) -> Option<usize> {
        let index = handle.index as usize;
        let track = self.tracks.get(index).filter(|t| t.id == handle.track)?;
        let wanted = track.wanted_here();
        let refusal = self.demand(index, wanted)?;
        let track = self.tracks.get_mut(index)?;
        let (import, _) = track.import.as_deref_mut().filter(|(import, _)| import.from == from)?;
        if wanted >> number & 1 == 0 {
            if import.refusal_due <= now {
                import.refusal_due = now + RETRY;
                shared.say(from, refusal);
                shared.counters.add(Counter::RelayDemand);
            }
            return None;
        }
        let continuity = import.follow(number, generation, sequence, MOST_HOLES as u64);
        let encoding = track.encodings.get_mut(usize::from(number))?;
        if continuity != Continuity::GoesOn {
            // As with a publisher's own jump: its subscribers begin anew, and never follow it in their numbers.
            encoding.begin_anew();
        }
        if continuity == Continuity::Broken && track.kind == MediaKind::Video {
            encoding.keys.want();
            self.key_frame_due(index);
        }
        Some(index)
    }

    /// What another worker knows of the publisher's clock.
    pub fn handle_clock(&mut self, handle: Handle, encoding: u8, clock: Option<(ClockLine, i64)>, shared: &mut Shared) {
        let track = self.tracks.get_mut(handle.index as usize).filter(|t| t.id == handle.track && t.import.is_some());
        let Some(track) = track else { return shared.counters.add(Counter::RelayDropStale) };
        let (line, offset) = clock.unzip();
        track.clock_offset = offset.or(track.clock_offset);
        if let Some(encoding) = track.encoding_mut(encoding) {
            encoding.clock = line;
        }
    }
}
