//! THE LOOP: every packet of this tick to every subscriber that wants it, one subscriber after the other.
//!
//! ```text
//! ready subscribers ─► each packet of the tick, in order of arrival ─► its leg ─► rewrite ─► seal ─► arena
//! ```
//!
//! Subscriber-outer, packet-inner: a subscriber's packets lie side by side in the arena. The loop stops when
//! the arena is full and goes on where it was.

use std::time::Duration;

use slab::Slab;

use super::leg::{Leg, Moment, Source};
use super::way::Way;
use crate::base::outgoing::Outgoing;
use crate::base::{BitSet, Time};
use crate::contract::{Counter, Counters};
use crate::media::peer::{Downlink, Peer};
use crate::media::publish::encoding::Encoding;
use crate::media::publish::track::Track;

/// Packets that are served together: what one subscriber gets of them lies side by side. Larger ticks go window by window.
const WINDOW: usize = 32;

/// From so many subscribers on their memory is asked for ahead: the state of fewer stays in the second level of the cache.
const FETCH_FROM: usize = 100;
/// Also of fewer, when nothing was given out for so long: whatever else ran meanwhile has used the cache.
const COLD_AFTER: Duration = Duration::from_millis(1);
/// What has waited for so long is not shown any more, and will soon be gone from the cache.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// What a forward reads of a subscriber, each found by way of the one before it.
const FETCHES: [fn(&Peer, usize); 4] = [|peer, _| peer.fetch(), Peer::fetch_routes, Peer::fetch_downlink, Peer::fetch_leg];
/// The index of no track.
const NO_TRACK: usize = usize::MAX;

/// One thing that this tick brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickItem {
    /// Index of the track in the room.
    pub track: usize,
    /// The number of the encoding.
    pub encoding: u8,
    /// Extended sequence number of the source.
    pub sequence: u64,
    /// The encoding's generation when it arrived.
    pub generation: u32,
    /// What it stands for.
    pub what: What,
}

/// What an item stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A packet that has come.
    Packet,
    /// Padding only: nothing to forward, a number to skip.
    Skipped,
    /// A packet that came before the beginning of its key frame: for those who have waited for that.
    Early,
}

/// What the tick brought, and how far it has been given out.
#[derive(Debug, Default)]
pub struct Tick {
    items: Vec<TickItem>,
    /// Whoever is to get any of them.
    ready: BitSet,
    /// Of those, who has not got all of the present window.
    unserved: BitSet,
    /// Where the present window begins.
    from: usize,
    /// Where it ends; where it begins when nobody has been served of it.
    until: usize,
    /// How far the first of the unserved has been served, from there.
    next: usize,
    /// When anything was given out last.
    given_out: Time,
    /// Whose pictures have waited, and may be sent now.
    due: BitSet,
    /// For whom something waits since anything was given out.
    waiting: BitSet,
    /// For whom another source, or another encoding, has begun since.
    begun: BitSet,
}

impl Tick {
    /// A packet is in its encoding's cache, or a number is to be skipped.
    pub fn push(&mut self, item: TickItem, receivers: &BitSet) {
        if !receivers.is_empty() {
            self.items.push(item);
            self.ready.union_with(receivers);
        }
    }

    /// The beginning of a key frame is in its encoding's cache: whoever begins with it gets what came before and belongs after it.
    pub fn push_early(&mut self, beginning: TickItem, encoding: &Encoding) {
        let mut at = beginning.sequence;
        while let Some(sequence) = encoding.next_early(beginning.sequence, at) {
            self.push(TickItem { sequence, what: What::Early, ..beginning }, &encoding.receivers);
            at = sequence;
        }
    }

    /// Whether everything has been given out.
    pub fn is_done(&self) -> bool {
        self.items.is_empty() && self.due.is_empty()
    }

    /// What has waited for a peer may be sent now.
    pub fn resume(&mut self, peer: usize) {
        self.due.insert(peer);
    }

    /// Takes out a peer for whom something waits.
    pub fn next_waiting(&mut self) -> Option<usize> {
        let peer = self.waiting.first()?;
        self.waiting.remove(peer);
        Some(peer)
    }

    /// Takes out a peer for whom another source, or another encoding, has begun.
    pub fn next_begun(&mut self) -> Option<usize> {
        let peer = self.begun.first()?;
        self.begun.remove(peer);
        Some(peer)
    }

    /// A peer is gone: its index must not be served.
    pub fn forget(&mut self, peer: usize) {
        if self.unserved.first() == Some(peer) {
            // How far it was served says nothing about the next one.
            self.next = 0;
        }
        self.unserved.remove(peer);
        self.ready.remove(peer);
        self.due.remove(peer);
        self.waiting.remove(peer);
        self.begun.remove(peer);
    }

    /// A track is gone: its index may soon be another's. Its items stay in their places, and nothing is found for them.
    pub fn forget_track(&mut self, track: usize) {
        self.items.iter_mut().filter(|item| item.track == track).for_each(|item| item.track = NO_TRACK);
    }

    /// Gives out until everything is given out, or the arena is full.
    pub fn give_out(&mut self, moment: &Moment, peers: &mut Slab<Peer>, tracks: &Slab<Track>, out: &mut Outgoing, counters: &mut Counters) {
        let cold = moment.now().since(self.given_out) > COLD_AFTER;
        self.given_out = moment.now();
        while let Some(subscriber) = self.due.first() {
            if let Some(mut way) = peers.get_mut(subscriber).and_then(Peer::downlink) {
                let all = send_waiting(moment, &mut way, tracks, out, counters);
                if way.has_begun() {
                    self.begun.insert(subscriber);
                }
                if !all {
                    return;
                }
            }
            self.waiting.insert(subscriber);
            self.due.remove(subscriber);
        }
        while self.from < self.items.len() {
            if self.until == self.from {
                self.until = self.items.len().min(self.from + WINDOW);
                self.unserved.clone_from(&self.ready);
            }
            // Looked up once for all subscribers.
            let window: [Option<Found<'_>>; WINDOW] = std::array::from_fn(|i| self.items.get(self.from + i).and_then(|item| item.find(tracks)));
            let len = self.until - self.from;
            let track = self.items.get(self.from).map_or(NO_TRACK, |item| item.track);
            let far = cold || self.ready.len() >= FETCH_FROM;
            if far {
                self.fetch_first(track, peers);
            }
            while let Some(subscriber) = self.unserved.first() {
                if far {
                    self.fetch_ahead(subscriber, track, peers);
                }
                if let Some(mut way) = peers.get_mut(subscriber).and_then(Peer::downlink) {
                    while self.next < len && out.has_room() {
                        if let Some(Some(found)) = window.get(self.next)
                            && !serve(moment, &mut way, found, out, counters)
                        {
                            self.waiting.insert(subscriber);
                        }
                        self.next += 1;
                    }
                    if way.has_begun() {
                        self.begun.insert(subscriber);
                    }
                    if self.next < len {
                        return;
                    }
                }
                self.next = 0;
                self.unserved.remove(subscriber);
            }
            self.from = self.until;
        }
        (self.from, self.until) = (0, 0);
        self.ready.clear();
        self.items.clear();
    }
}

impl Tick {
    /// Asks for the memory of the first subscribers, of all at once: one after the other each would wait for a pointer at a time.
    fn fetch_first(&self, track: usize, peers: &Slab<Peer>) {
        for fetch in FETCHES {
            let mut subscriber = self.unserved.first();
            for _ in FETCHES {
                let Some(index) = subscriber else { break };
                if let Some(peer) = peers.get(index) {
                    fetch(peer, track);
                }
                subscriber = self.unserved.next_from(index + 1);
            }
        }
    }

    /// Asks for the memory of the next four subscribers while this one is served, each a pointer further: with a thousand of them
    /// it has left the first two levels of the cache since the last packet.
    fn fetch_ahead(&self, subscriber: usize, track: usize, peers: &Slab<Peer>) {
        let mut after = subscriber;
        for fetch in FETCHES.into_iter().rev() {
            let Some(next) = self.unserved.next_from(after + 1) else { return };
            if let Some(peer) = peers.get(next) {
                fetch(peer, track);
            }
            after = next;
        }
    }
}

/// What is there of an item.
enum Found<'a> {
    Packet(TickItem, Source<'a>),
    /// A number that is skipped.
    Skipped(TickItem),
}

impl TickItem {
    /// None when its packet is no longer there: another stream may have taken the number since, and has an item of its own.
    fn find(self, tracks: &Slab<Track>) -> Option<Found<'_>> {
        let track = tracks.get(self.track)?;
        let encoding = track.encoding(self.encoding)?;
        if self.what == What::Skipped {
            return Some(Found::Skipped(self));
        }
        let packet = encoding.cache.get(self.sequence).filter(|p| p.meta.generation == self.generation)?;
        Some(Found::Packet(self, Source { track, number: self.encoding, encoding, packet }))
    }
}

impl Found<'_> {
    const fn item(&self) -> TickItem {
        match self {
            Found::Packet(item, _) | Found::Skipped(item) => *item,
        }
    }

    /// Bytes of it in the cache.
    const fn len(&self) -> usize {
        match self {
            Found::Packet(_, source) => source.packet.header.len() + source.packet.payload.len(),
            Found::Skipped(_) => 0,
        }
    }
}

/// Sends something, or lets it wait; false when it waits.
fn serve(moment: &Moment, downlink: &mut Downlink<'_>, found: &Found<'_>, out: &mut Outgoing, counters: &mut Counters) -> bool {
    let now = moment.now();
    let may_send = downlink.queue.is_empty() && downlink.may_send(now);
    let Some((leg, way)) = downlink.leg_of(found.item().track) else { return true };
    if let Found::Packet(TickItem { what: What::Early, encoding, .. }, source) = found
        && leg.selection_of(found.item().track).has_seen(*encoding, source.packet.meta)
    {
        return true;
    }
    if may_send || !leg.is_paced() {
        forward(moment, leg, way, found, out, counters);
        return true;
    }
    counters.add(Counter::Paced);
    if !downlink.queue.push(now, found.item(), found.len()) {
        counters.add(Counter::DropPaced);
        downlink.give_up(now);
    }
    downlink.tell_waiting(now);
    false
}

/// Sends what waits for a subscriber as far as it may be sent now; false when the arena is full.
fn send_waiting(moment: &Moment, downlink: &mut Downlink<'_>, tracks: &Slab<Track>, out: &mut Outgoing, counters: &mut Counters) -> bool {
    if downlink.queue.oldest(moment.now()) > LONGEST_WAIT {
        counters.add(Counter::DropPaced);
        downlink.give_up(moment.now());
    }
    while let Some(item) = downlink.queue.first().filter(|_| downlink.may_send(moment.now())) {
        if !out.has_room() {
            return false;
        }
        if let Some(found) = item.find(tracks)
            && let Some((leg, way)) = downlink.leg_of(item.track)
        {
            forward(moment, leg, way, &found, out, counters);
        }
        downlink.queue.pop();
    }
    downlink.tell_waiting(moment.now());
    true
}

fn forward(moment: &Moment, leg: &mut Leg, way: &mut Way<'_>, found: &Found<'_>, out: &mut Outgoing, counters: &mut Counters) {
    let item = found.item();
    let Found::Packet(_, source) = found else {
        return leg.skip(item.track, item.encoding, item.generation, item.sequence);
    };
    if item.what == What::Early && !leg.selection_of(item.track).awaits_number(item.encoding, source.packet.meta) {
        return;
    }
    match leg.forward(moment, item.track, source, way, out) {
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
            tick.push(TickItem { track, encoding: 0, sequence, generation: 0, what: What::Packet }, &all);
        }
        tick
    }

    #[test]
    fn whoever_comes_after_a_peer_that_leaves_while_it_is_served_is_served_from_the_beginning() {
        let mut tick = tick();
        tick.unserved.clone_from(&tick.ready);
        tick.next = 2;
        tick.forget(3);
        assert_eq!((tick.next, tick.unserved.first()), (2, Some(0)), "another peer's leaving does not disturb it");
        tick.forget(0);
        assert_eq!((tick.next, tick.unserved.first()), (0, Some(5)));
        tick.forget(5);
        assert!(tick.ready.is_empty());
    }

    #[test]
    fn a_track_that_ends_while_a_peer_is_served_takes_nothing_else_from_it() {
        let mut tick = tick();
        tick.next = 3;
        tick.forget_track(1);
        assert_eq!(tick.items.get(tick.next).map(|i| (i.track, i.sequence)), Some((2, 21)));
        assert!(tick.items[0].find(&Slab::new()).is_none());
    }
}
