//! What is found out about the ways at the pace of reports: packets and bytes by kind, loss, jitter, round trips, estimates, and
//! what control is told of a peer that does not do well. Nothing of it is looked at for a packet.

use std::time::Duration;

use slab::Slab;

use super::Room;
use crate::base::Time;
use crate::contract::health::{Flow, Health};
use crate::contract::{Counter, Counters, Distributions, Event, LinkState, Measure, MediaKind};
use crate::media::engine::Shared;
use crate::media::pace::Link;
use crate::media::packet::rtcp::ReportBlock;
use crate::media::peer::Peer;
use crate::media::publish::stream::{Stream, StreamKind};
use crate::media::publish::track::Track;
use crate::media::route::leg::{Leg, Told};

/// So often it is looked whether a peer does well. Less says more precisely when it did not, more hides what lasts a moment.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A peer that does well is told of so often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A receiver report about one of the streams that come from a peer goes out.
pub fn measure_received(stream: &mut Stream, kind: MediaKind, clock_rate: u32, block: &ReportBlock, packets: u64, distributions: &mut Distributions) {
    let jitter = micros(block.jitter, clock_rate);
    let (loss, spread) = match kind {
        MediaKind::Audio => (Measure::LossReceivedAudio, Measure::JitterReceivedAudio),
        MediaKind::Video => (Measure::LossReceivedVideo, Measure::JitterReceivedVideo),
    };
    distributions.observe(spread, jitter.into());
    if packets > 0 {
        distributions.observe(loss, millionths(block.fraction_lost));
        let expected = packets * 256 / (256 - u64::from(block.fraction_lost)).max(1);
        stream.tally.expected += expected;
        stream.tally.lost += expected - packets;
    }
    stream.tally.jitter = stream.tally.jitter.max(jitter);
}

/// A subscriber has reported about a leg.
pub fn measure_sent(leg: &mut Leg, block: &ReportBlock, distributions: &mut Distributions) {
    let jitter = micros(block.jitter, leg.clock_rate());
    let (loss, spread) = match leg.kind() {
        MediaKind::Audio => (Measure::LossSentAudio, Measure::JitterSentAudio),
        MediaKind::Video => (Measure::LossSentVideo, Measure::JitterSentVideo),
    };
    distributions.observe(spread, jitter.into());
    distributions.observe(loss, millionths(block.fraction_lost));
    let told = &mut leg.told;
    told.reports = told.reports.saturating_add(1);
    told.lost = told.lost.saturating_add(block.fraction_lost.into());
    told.jitter = told.jitter.max(jitter);
}

/// Counts what came from a peer, and went out to it, since that was counted last.
pub fn settle(peer: &mut Peer, counters: &mut Counters) {
    for stream in peer.streams.iter_mut().filter(|s| s.kind != StreamKind::Unwanted) {
        let (packets, bytes) = stream.reception.uncounted();
        let kind = peer.plan.receive.iter().find(|l| l.mline == stream.mline).map_or(MediaKind::Video, |l| l.kind);
        count(counters, kind, [Counter::AudioPacketsIn, Counter::VideoPacketsIn], packets);
        count(counters, kind, [Counter::AudioBytesIn, Counter::VideoBytesIn], bytes);
    }
    peer.legs.iter_mut().for_each(|leg| settle_leg(leg, counters));
}

/// Counts what went out by a leg since that was counted last.
pub fn settle_leg(leg: &mut Leg, counters: &mut Counters) {
    let (packets, bytes) = leg.uncounted();
    count(counters, leg.kind(), [Counter::AudioPacketsOut, Counter::VideoPacketsOut], packets);
    count(counters, leg.kind(), [Counter::AudioBytesOut, Counter::VideoBytesOut], bytes);
}

fn count(counters: &mut Counters, kind: MediaKind, [audio, video]: [Counter; 2], n: u64) {
    counters.add_many(if kind == MediaKind::Audio { audio } else { video }, n);
}

impl Room {
    /// Counts what came and went since that was counted last: the room ends.
    pub fn settle(&mut self, shared: &mut Shared) {
        self.peers.iter_mut().for_each(|(_, peer)| settle(peer, &mut shared.counters));
    }

    /// A peer's reports are due: what has been counted of it is taken over, and every few seconds control is told how it does.
    pub(super) fn watch(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        settle(peer, &mut shared.counters);
        if peer.srtp.is_none() {
            return;
        }
        if let Some(round_trip) = peer.rtt {
            shared.distributions.observe(Measure::RoundTrip, round_trip.into());
        }
        if let Some(link) = peer.link.as_deref() {
            shared.distributions.observe(Measure::Estimate, link.estimate().as_bps() / 8);
        }
        note_waits(now, peer, &self.tracks);
        let since = now.since(peer.watch.looked_at);
        if since < LOOK_EVERY {
            return;
        }
        peer.watch.looked_at = now;
        let over_ms = u32::try_from(since.as_millis()).unwrap_or(u32::MAX);
        let received = received(peer, &self.tracks);
        let sent = sent(now, peer, &self.tracks);
        let health =
            Health { over_ms, round_trip_ms: peer.rtt.map(|micros| micros / 1_000), link: peer.link.as_deref().map(link_state), received, sent };
        let noticeable = health.is_noticeable();
        if noticeable || peer.watch.was_noticeable || now.since(peer.watch.told_at) >= TELL_EVERY {
            (peer.watch.told_at, peer.watch.was_noticeable) = (now, noticeable);
            shared.events.push_back(Event::Health { room: self.id, peer: peer.id, health: Box::new(health) });
        }
    }
}

/// What is known of a link, as control is told it.
pub fn link_state(link: &Link) -> LinkState {
    LinkState {
        estimate: link.estimate(),
        why: link.why().name(),
        loss_per_cent: (link.loss() * 100.0) as u8,
        round_trip_ms: link.round_trip().as_millis().min(u128::from(u32::MAX)) as u32,
    }
}

/// Since when a subscriber's pictures wait for a key frame.
fn note_waits(now: Time, peer: &mut Peer, tracks: &Slab<Track>) {
    for leg in &mut peer.legs {
        let begun = leg.source().and_then(|track| tracks.get(track)).is_some_and(|track| track.has_begun() && !track.muted);
        let shown = leg.selection();
        let waits = begun && leg.is_paced() && shown.aimed().wanted.is_some() && shown.present().is_none();
        leg.told.waits_since = waits.then(|| leg.told.waits_since.unwrap_or(now));
    }
}

/// A share, in thousandths. A subscriber may report as often as it likes: in 32 bits a thousand times what it adds up to has no room.
fn per_mille(part: u64, of: u64) -> u16 {
    (part * 1_000).checked_div(of).unwrap_or(0).min(1_000) as u16
}

fn received(peer: &mut Peer, tracks: &Slab<Track>) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for (mline, track) in (0u8..).zip(peer.published) {
        let Some(track) = track.and_then(|track| tracks.get(usize::from(track))) else { continue };
        let (mut worst, mut came) = (Flow { track: track.id, loss_per_mille: 0, jitter_ms: 0, silent: false, waits_ms: 0 }, 0);
        for stream in peer.streams.iter_mut().filter(|s| s.mline == mline && s.kind == StreamKind::Media) {
            let tally = std::mem::take(&mut stream.tally);
            // What is beyond the blocks of a report has come, too.
            came += tally.expected + stream.reception.unreported();
            worst.loss_per_mille = worst.loss_per_mille.max(per_mille(tally.lost, tally.expected));
            worst.jitter_ms = worst.jitter_ms.max(tally.jitter / 1_000);
        }
        // Sound may pause: nobody speaks, and the encoder sends nothing (DTX).
        worst.silent = came == 0 && track.kind == MediaKind::Video && track.has_begun() && track.wanted() != 0 && !track.muted;
        if worst.is_noticeable() {
            flows.push(worst);
        }
    }
    flows
}

fn sent(now: Time, peer: &mut Peer, tracks: &Slab<Track>) -> Vec<Flow> {
    let mut flows = Vec::new();
    for leg in &mut peer.legs {
        let Told { reports, lost, jitter, waits_since } = leg.told;
        leg.told = Told { waits_since, ..Told::default() };
        let Some(track) = leg.source().and_then(|track| tracks.get(track)) else { continue };
        let flow = Flow {
            track: track.id,
            loss_per_mille: per_mille(lost.into(), u64::from(reports) * 256),
            jitter_ms: jitter / 1_000,
            silent: false,
            waits_ms: waits_since.map_or(0, |since| u32::try_from(now.since(since).as_millis()).unwrap_or(u32::MAX)),
        };
        if flow.is_noticeable() {
            flows.push(flow);
        }
    }
    flows
}

/// Ticks of a clock as microseconds.
fn micros(ticks: u32, clock_rate: u32) -> u32 {
    u32::try_from(u64::from(ticks) * 1_000_000 / u64::from(clock_rate.max(1))).unwrap_or(u32::MAX)
}

/// 256ths as millionths.
fn millionths(fraction: u8) -> u64 {
    u64::from(fraction) * 1_000_000 / 256
}

#[cfg(test)]
mod tests {
    use super::per_mille;

    #[test]
    fn shares_are_right_however_often_something_is_reported() {
        assert_eq!((per_mille(0, 0), per_mille(128, 256), per_mille(3, 2)), (0, 500, 1_000));
        assert_eq!(per_mille(65_535 * 255, 65_535 * 256), 996);
        assert_eq!(per_mille(u32::MAX.into(), u32::MAX.into()), 1_000);
    }
}
