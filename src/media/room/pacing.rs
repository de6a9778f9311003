//! What goes out to a subscriber by the clock of its link: pictures that had to wait, and probes.

use std::time::Duration;

use slab::Slab;

use super::Room;
use crate::base::Time;
use crate::contract::Counter;
use crate::media::engine::Shared;
use crate::media::peer::Peer;
use crate::media::publish::track::Track;
use crate::media::route::leg::{Leg, Moment};

/// A probe that nothing can fill at present is tried again after this.
const PROBE_RETRY: Duration = Duration::from_millis(100);
/// Packets of a probe that are sent in one turn.
const MOST_PROBES: usize = 32;

impl Room {
    /// What waits may be sent, a probe is due, reports have stopped.
    pub(super) fn pace(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.link_due.is_none_or(|at| at > now) {
            return;
        }
        let Some(link) = peer.link.as_deref_mut() else { return peer.link_due = None };
        let mut next = None;
        if link.is_unanswered(now) {
            // It negotiated reports and sends none: nothing can be found out about its link, as before there were such.
            peer.link = None;
            shared.counters.add(Counter::LinksUnanswered);
            return self.select_soon(now, index);
        }
        // Where nothing is to be shown there is nothing to find out.
        let shows = |leg: &Leg| {
            leg.is_paced() && leg.source().and_then(|track| self.tracks.get(track)).is_some_and(|track| track.import.is_some() || track.has_begun())
        };
        if peer.legs.iter().any(shows) {
            link.handle_timeout(now);
            next = send_probes(now, peer, &self.tracks, shared);
        }
        let Some(link) = peer.link.as_deref_mut() else { return };
        if !peer.queue.is_empty() {
            let at = link.pacer().next_at();
            if at <= now {
                self.tick.resume(index);
            }
            next = Some(next.map_or(at, |next: Time| next.min(at)));
        }
        peer.link_due = next;
    }
}

/// Sends what is due of a probe; when to go on.
fn send_probes(now: Time, peer: &mut Peer, tracks: &Slab<Track>, shared: &mut Shared) -> Option<Time> {
    for _ in 0..MOST_PROBES {
        let Some(bytes) = peer.link.as_deref_mut().and_then(|link| link.poll_probe(now)) else { break };
        if fill_probe(now, peer, tracks, bytes, shared).is_none() {
            return Some(now + PROBE_RETRY);
        }
    }
    peer.link.as_deref().and_then(|link| link.next_due(now))
}

/// Sends a packet of a probe: one that went out lately, once more, or padding while there is none.
fn fill_probe(now: Time, peer: &mut Peer, tracks: &Slab<Track>, bytes: usize, shared: &mut Shared) -> Option<()> {
    let moment = Moment::new(now, shared.wall(now));
    let mut downlink = peer.downlink()?;
    for place in downlink.places() {
        let Some((leg, way)) = downlink.leg(place) else { break };
        let Some(track) = leg.source().filter(|_| leg.is_paced() && leg.counts_transport()).and_then(|track| tracks.get(track)) else { continue };
        if leg.repeat(&moment, track, bytes, way, &mut shared.replies).is_some() {
            shared.counters.add(Counter::Probes);
            return Some(());
        }
    }
    for place in downlink.places() {
        let (leg, way) = downlink.leg(place)?;
        if leg.counts_transport() && leg.pad(&moment, bytes, way, &mut shared.replies).is_some() {
            shared.counters.add(Counter::Probes);
            return Some(());
        }
    }
    None
}
