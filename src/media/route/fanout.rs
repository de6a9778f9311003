//! THE LOOP: every packet of this tick to every subscriber that wants it, one subscriber after the other.
//!
//! ```text
//! ready subscribers ─► each packet of the tick, in order of arrival ─► its leg ─► rewrite ─► seal ─► arena
//! ```
//!
//! Subscriber-outer, packet-inner: a subscriber's packets lie side by side in the arena. The loop stops when
//! the arena is full and goes on where it was.

use slab::Slab;

use crate::base::{BitSet, Ntp, Time};
use crate::contract::{Counter, Counters};
use crate::media::outgoing::Outgoing;
use crate::media::peer::Peer;
use crate::media::publish::track::Track;

/// One thing that this tick brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickItem {
    /// Index of the track in the room.
    pub track: usize,
    /// Extended sequence number of the source.
    pub sequence: u64,
    /// The track's generation when it arrived.
    pub generation: u32,
    /// Whether it was padding only: nothing to forward, a number to skip.
    pub skipped: bool,
}

/// What the tick brought, and how far it has been given out.
#[derive(Debug, Default)]
pub struct Tick {
    items: Vec<TickItem>,
    ready: BitSet,
    next: usize,
}

impl Tick {
    /// A packet is in its track's cache, or a number is to be skipped.
    pub fn push(&mut self, item: TickItem, subscribers: &BitSet) {
        if !subscribers.is_empty() {
            self.items.push(item);
            self.ready.union_with(subscribers);
        }
    }

    /// Whether everything has been given out.
    pub fn is_done(&self) -> bool {
        self.items.is_empty()
    }

    /// A peer is gone: its index must not be served.
    pub fn forget(&mut self, peer: usize) {
        if self.ready.first() == Some(peer) {
            // How far it was served says nothing about the next one.
            self.next = 0;
        }
        self.ready.remove(peer);
    }

    /// A track is gone: its index may soon be another's.
    pub fn forget_track(&mut self, track: usize) {
        // A cursor in the middle stays on its item.
        self.next -= self.items.iter().take(self.next).filter(|item| item.track == track).count();
        self.items.retain(|item| item.track != track);
    }

    /// Gives out until everything is given out, or the arena is full.
    pub fn give_out(&mut self, now: Time, wall: Ntp, peers: &mut Slab<Peer>, tracks: &Slab<Track>, out: &mut Outgoing, counters: &mut Counters) {
        while let Some(subscriber) = self.ready.first() {
            if let Some(peer) = peers.get_mut(subscriber) {
                while let Some(item) = self.items.get(self.next) {
                    if !out.has_room() {
                        return;
                    }
                    forward(now, wall, peer, tracks, *item, out, counters);
                    self.next += 1;
                }
            }
            self.next = 0;
            self.ready.remove(subscriber);
        }
        self.items.clear();
    }
}

fn forward(now: Time, wall: Ntp, peer: &mut Peer, tracks: &Slab<Track>, item: TickItem, out: &mut Outgoing, counters: &mut Counters) {
    let Some(leg) = peer.leg_of(item.track) else { return };
    let Some(track) = tracks.get(item.track) else { return };
    let Some((leg, way)) = peer.leg_and_way(leg) else { return };
    if item.skipped {
        return leg.skip(item.generation, item.sequence);
    }
    // Another stream may have taken the number since: that packet has an item of its own.
    let Some(packet) = track.cache.get(item.sequence).filter(|p| p.meta.generation == item.generation) else { return };
    match leg.forward(now, wall, track, packet, way, out) {
        Ok(()) => counters.add(Counter::RtpForwarded),
        Err(reason) => counters.add(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick() -> Tick {
        let mut tick = Tick::default();
        let mut all = BitSet::default();
        [0, 3, 5].into_iter().for_each(|peer| all.insert(peer));
        for (track, sequence) in [(1, 10), (2, 20), (1, 11), (2, 21)] {
            tick.push(TickItem { track, sequence, generation: 0, skipped: false }, &all);
        }
        tick
    }

    #[test]
    fn whoever_comes_after_a_peer_that_leaves_while_it_is_served_is_served_from_the_beginning() {
        let mut tick = tick();
        tick.next = 2;
        tick.forget(3);
        assert_eq!((tick.next, tick.ready.first()), (2, Some(0)), "another peer's leaving does not disturb it");
        tick.forget(0);
        assert_eq!((tick.next, tick.ready.first()), (0, Some(5)));
    }

    #[test]
    fn a_track_that_ends_while_a_peer_is_served_takes_nothing_else_from_it() {
        let mut tick = tick();
        tick.next = 3;
        tick.forget_track(1);
        assert_eq!(tick.items.get(tick.next).map(|i| i.sequence), Some(21));
    }
}
