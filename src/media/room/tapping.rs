//! Recordings: which tracks are copied for them, in which form, and the copying.

use super::Room;
use super::selection::best_aim;
use crate::base::{TapId, Time, TrackId};
use crate::contract::{Counter, MediaKind, TapCodec, View};
use crate::media::engine::Shared;
use crate::media::packet::layers::Layer;
use crate::media::publish::cache::PacketMeta;
use crate::media::publish::encoding::Encoding;
use crate::media::route::fanout::{TickItem, What};
use crate::media::route::tap::{Tap, TapSink};
use crate::media::select::{Aim, Choice, Step, ladder};

impl Room {
    /// A track is copied from now on, or no longer.
    pub(super) fn tap(&mut self, now: Time, id: TrackId, tap: Option<TapId>, shared: &mut Shared) -> Option<()> {
        let index = self.track_index(id)?;
        let track = self.tracks.get_mut(index).filter(|track| track.import.is_none())?;
        track.tap = tap.map(|tap| Box::new(Tap::new(tap, track.kind)));
        self.tapped.retain(|item| item.track != index);
        self.aim_tap(now, index, shared);
        self.receivers_changed(now, index, shared);
        Some(())
    }

    /// A recording needs a key frame.
    pub(super) fn tap_key_frame(&mut self, id: TrackId) -> Option<()> {
        let index = self.track_index(id)?;
        let track = self.tracks.get_mut(index).filter(|track| track.kind == MediaKind::Video)?;
        let tap = track.tap.as_deref()?;
        let present = tap.present().map(|present| present.encoding);
        let wanted = present.into_iter().chain(tap.awaits()).fold(0, |bits, number| bits | 1 << number);
        for (_, encoding) in (0..).zip(&mut track.encodings).filter(|(number, _)| wanted >> number & 1 == 1) {
            encoding.keys.want();
        }
        self.key_frame_due(index);
        Some(())
    }

    /// Aims a track's tap at the best that its publisher sends: as a leg whose way carries everything.
    pub(super) fn aim_tap(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        let Some(tap) = track.tap.as_deref() else { return };
        let whole = Aim::at(Choice { encoding: 0, layer: Layer::TOP });
        let aim = if track.kind == MediaKind::Video && track.encodings.len() > 1 {
            let flows = tap.present().is_some_and(|present| track.is_sent(now, present.encoding));
            self.scratch.rungs.clear();
            let ladder = ladder(now, track, View::LARGE, &mut self.scratch.rungs);
            best_aim(&self.scratch.rungs, ladder, (tap.present(), flows))
        } else {
            whole
        };
        let (changed, fresh) = (aim != tap.aimed(), tap.present().is_none());
        let Some(tap) = track.tap.as_deref_mut() else { return };
        if changed {
            tap.aim(aim);
        }
        if changed || fresh {
            let awaited = tap.awaits();
            for number in awaited.filter(|_| track.kind == MediaKind::Video) {
                if let Some(encoding) = track.encodings.get_mut(usize::from(number)) {
                    encoding.keys.want();
                }
            }
            self.key_frame_due(index);
        }
        if changed {
            self.demand_changed(now, index, shared);
        }
    }

    /// Notes a packet that has just come for its track's tap, if that takes it.
    pub(super) fn note_tapped(tapped: &mut Vec<TickItem>, tap: &mut Option<Box<Tap>>, encoding: &Encoding, item: TickItem, meta: &PacketMeta) {
        let Some(tap) = tap.as_deref_mut() else { return };
        let Some(step) = tap.step(item.encoding, meta, encoding.ways()) else { return };
        tapped.push(if step == Step::Leave { TickItem { what: What::Skipped, ..item } } else { item });
        if !meta.starts_key_frame {
            return;
        }
        // What came before the beginning of its key frame, and could not be read or taken without it.
        let mut at = item.sequence;
        while let Some(sequence) = encoding.next_early(item.sequence, at) {
            at = sequence;
            let Some(early) = encoding.cache.get(sequence).filter(|early| tap.awaits_number(item.encoding, early.meta)) else { continue };
            if tap.step(item.encoding, early.meta, encoding.ways()).is_some() {
                tapped.push(TickItem { sequence, ..item });
            }
        }
    }

    /// Whether anything waits for [`Self::give_taps`].
    pub fn has_tapped(&self) -> bool {
        !self.tapped.is_empty()
    }

    /// Copies what has come and is recorded, each packet once.
    pub fn give_taps(&mut self, sink: &mut impl TapSink, shared: &mut Shared) {
        let zero = shared.wall(Time::ZERO);
        for item in self.tapped.drain(..) {
            let Some(track) = self.tracks.get_mut(item.track) else { continue };
            let Some(encoding) = track.encodings.get(usize::from(item.encoding)) else { continue };
            let Some(tap) = track.tap.as_deref_mut() else { continue };
            if item.what == What::Skipped {
                tap.give_skipped(sink, item.encoding, item.generation, item.sequence);
                continue;
            }
            let Some(packet) = encoding.cache.get(item.sequence).filter(|p| p.meta.generation == item.generation) else { continue };
            let plan = self.peers.get(track.publisher).and_then(|peer| peer.receive_plan(track.mline));
            let Some(codec) = plan.and_then(|plan| plan.codecs.get(usize::from(packet.meta.codec))) else { continue };
            let clock = encoding.clock.zip(track.clock_offset);
            let told = tap.give_clock(sink, (item.encoding, item.generation), clock, zero);
            let sent = told && tap.give(sink, item.encoding, TapCodec::from(codec.codec), packet);
            shared.counters.add(if sent { Counter::TapOut } else { Counter::TapDropFull });
        }
    }
}
