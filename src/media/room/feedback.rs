//! What a peer reports: RTCP in. As a publisher it sends sender reports, as a subscriber NACK, PLI and receiver reports.

use std::time::Duration;

use slab::Slab;

use super::Room;
use super::health::measure_sent;
use super::timers::REPORT_EARLIER;
use crate::base::{Ntp, Time};
use crate::contract::{Counter, Counters, MediaKind};
use crate::media::engine::Shared;
use crate::media::pace::Link;
use crate::media::pace::feedback::Feedback;
use crate::media::pace::sent::Kind;
use crate::media::packet::rtcp::{self, ReportBlock, Rtcp, XrBlock, XrBlocks};
use crate::media::peer::Peer;
use crate::media::publish::receive::srtp_drop;
use crate::media::publish::stream::StreamKind;
use crate::media::publish::track::{ClockLine, Track};
use crate::media::route::leg::{Moment, Source};
use crate::media::route::origins::Origin;
use crate::media::route::way::Way;
use crate::media::transport::Path;

/// Packets that one RTCP compound may make us send again: 1,500 bytes of NACK could ask for 6,000.
const MOST_RETRANSMISSIONS: usize = 128;
/// What a subscriber gets is worked out so often at most, while its link says nothing alarming.
const SELECT_EVERY: Duration = Duration::from_millis(100);
/// From this share of lost datagrams on, repairs are sent twice, and without being asked for.
const LOSSY: f64 = 0.05;
/// Below this share they are not any more.
const LOSSY_NO_MORE: f64 = 0.02;
/// A publisher whose NTP clock jumps by more than this has set it: its offset is taken anew.
const CLOCK_JUMP_MICROS: i64 = 1_000_000;

impl Room {
    /// An SRTCP compound from a validated path.
    pub fn handle_rtcp(&mut self, now: Time, index: usize, path: Path, datagram: &mut [u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.fetch_uplink();
        let Some(srtp) = &mut peer.srtp else { return shared.counters.add(Counter::DropNoKeys) };
        let len = match srtp.rtcp_receiver.open_rtcp(datagram) {
            Ok(len) => len,
            Err(error) => return shared.counters.add(srtp_drop(error)),
        };
        peer.ice.heard(now, path);
        shared.counters.add(Counter::RtcpIn);
        let mut budget = MOST_RETRANSMISSIONS;
        for packet in rtcp::packets(&datagram[..len]) {
            match packet {
                Ok(packet) => self.handle_report(now, index, packet, &mut budget, shared),
                Err(_) => shared.counters.add(Counter::DropMalformed),
            }
        }
    }

    fn handle_report(&mut self, now: Time, index: usize, packet: Rtcp<'_>, budget: &mut usize, shared: &mut Shared) {
        match packet {
            Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, blocks, .. } => {
                self.publisher_reports(now, index, ssrc, ntp, rtp_timestamp, shared);
                self.subscriber_reports(now, index, blocks.into_iter(), shared);
            }
            Rtcp::ReceiverReport { blocks, .. } => self.subscriber_reports(now, index, blocks.into_iter(), shared),
            Rtcp::Nack { media, lost, .. } => self.send_again(now, index, media, lost.into_iter(), budget, shared),
            Rtcp::PictureLoss { media, .. } => self.picture_lost(now, index, media, &mut shared.counters),
            Rtcp::FullIntraRequest { entries, .. } => {
                entries.into_iter().for_each(|(media, _)| self.picture_lost(now, index, media, &mut shared.counters))
            }
            Rtcp::TransportFeedback { fci, .. } => {
                self.hear_again(now, index);
                if self.link_reports(now, index, |link| link.feedback(now, fci)) {
                    self.repair_unasked(now, index, fci, budget, shared);
                } else {
                    shared.counters.add(Counter::DropFeedback);
                }
            }
            Rtcp::Remb { bitrate, .. } => {
                self.hear_again(now, index);
                self.link_reports(now, index, |link| {
                    link.remb(now, bitrate);
                    true
                });
            }
            Rtcp::ExtendedReport { ssrc, blocks } => self.asked_for_round_trip(now, index, ssrc, blocks),
            Rtcp::SourceDescription | Rtcp::Bye { .. } | Rtcp::Other { .. } => {}
        }
    }

    /// A pure receiver sends no sender reports, and learns its round trip from when we say that its own word came (RFC 3611 section
    /// 4.4 and 4.5): with the next report.
    fn asked_for_round_trip(&mut self, now: Time, index: usize, ssrc: u32, blocks: XrBlocks<'_>) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        for block in blocks {
            if let XrBlock::ReceiverReferenceTime(ntp) = block {
                peer.reference_time = Some((ssrc, ntp, now));
            }
        }
    }

    /// A subscriber that was given up because it said nothing does say something: its way is found out from the beginning.
    fn hear_again(&mut self, now: Time, index: usize) {
        if let Some(peer) = self.peers.get_mut(index)
            && peer.measure_link(now)
        {
            self.select_soon(now, index);
        }
    }

    /// A subscriber says what it receives: what it is to get follows from that, though not from every single word. Whether it was a
    /// report that can be used.
    fn link_reports(&mut self, now: Time, index: usize, report: impl FnOnce(&mut Link) -> bool) -> bool {
        let Some(peer) = self.peers.get_mut(index) else { return false };
        let Some(link) = peer.link.as_deref_mut() else { return true };
        if !report(link) {
            return false;
        }
        let (estimate, before) = (link.estimate().as_bps(), peer.selected_for.as_bps());
        // The same again would come out the same: layers are looked at each second in any case.
        if estimate.abs_diff(before) * 50 > before {
            let due = if link.is_overusing() { now } else { peer.selected_at + SELECT_EVERY };
            peer.select_due = peer.select_due.min(due);
        }
        // Nothing of it is due by the report alone, most of the time: no turn is taken for each, unless its own report is near.
        let due = link.next_due(now);
        let due = if peer.queue.is_empty() { due } else { Some(due.map_or(now, |due| due.min(now))) };
        peer.link_due = due;
        let own = if peer.report_due <= now + REPORT_EARLIER { now } else { Time::NEVER };
        self.peers_due.sooner(index, due.unwrap_or(Time::NEVER).min(peer.select_due).min(own));
        true
    }

    /// A sender report: the publisher's line of NTP against RTP.
    fn publisher_reports(&mut self, now: Time, index: usize, ssrc: u32, ntp: Ntp, timestamp: u32, shared: &mut Shared) {
        let wall = shared.wall(now);
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Ok(place) = peer.streams.binary_search_by_key(&ssrc, |s| s.ssrc) else { return };
        peer.streams[place].reception.sender_report(now, ntp);
        if peer.streams[place].kind != StreamKind::Media {
            return;
        }
        let offset = wall.micros_since(ntp);
        // One offset serves all of a publisher's streams for good: their lines must not move against each other.
        if peer.clock_offset.is_none_or(|known| (known - offset).abs() > CLOCK_JUMP_MICROS) {
            peer.clock_offset = Some(offset);
        }
        let (mline, encoding) = (peer.streams[place].mline, peer.streams[place].encoding);
        let Some(clock_rate) = peer.receive_plan(mline).and_then(|p| p.codecs.first()).map(|c| c.clock_rate) else { return };
        let clock_offset = peer.clock_offset;
        if let Some(track) = peer.published[usize::from(mline)].and_then(|t| self.tracks.get_mut(usize::from(t)))
            && let Some(known) = track.encoding_mut(encoding).filter(|e| e.ssrc == Some(ssrc))
        {
            known.clock = Some(ClockLine { ntp, timestamp, clock_rate });
            track.clock_offset = clock_offset;
            Self::tell_clock(track, encoding, shared);
        }
    }

    /// Receiver report blocks about what we send: round trip time, and which SSRCs have been noticed.
    fn subscriber_reports(&mut self, now: Time, index: usize, blocks: impl Iterator<Item = ReportBlock>, shared: &mut Shared) {
        let middle = shared.wall(now).middle();
        let Some(peer) = self.peers.get_mut(index) else { return };
        for block in blocks {
            let Some(leg) = peer.leg_by_ssrc(block.ssrc) else { continue };
            // Padding may come as RTX long before any media: a report about that says nothing of the other SSRC.
            if peer.legs[leg].ssrc() == block.ssrc {
                peer.legs[leg].acknowledge();
                measure_sent(&mut peer.legs[leg], &block, &mut shared.distributions);
            }
            let round_trip = round_trip_micros(middle, &block);
            peer.rtt = round_trip.or(peer.rtt);
            if let Some(link) = &mut peer.link {
                // Of sound so little is sent that one packet is a tenth.
                let lost = if peer.legs[leg].is_paced() { block.fraction_lost } else { 0 };
                link.receiver_report(now, lost, round_trip.map(|micros| Duration::from_micros(micros.into())));
            }
        }
    }

    fn send_again(&mut self, now: Time, index: usize, media: u32, lost: impl Iterator<Item = u16>, budget: &mut usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(leg) = peer.leg_by_ssrc(media) else { return };
        for sequence in lost {
            shared.counters.add(Counter::NackIn);
            if *budget == 0 || !peer.legs[leg].takes_nacks() {
                continue;
            }
            *budget -= 1;
            if let Some(origins) = &mut peer.origins {
                origins.repair(Origin { ssrc: media, sequence });
            }
            if send_one_again(now, peer, leg, sequence, &self.tracks, shared).is_none() {
                shared.counters.add(Counter::NackMissed);
            }
        }
    }

    /// A subscriber has lost the picture, or never had one.
    fn picture_lost(&mut self, now: Time, index: usize, media: u32, counters: &mut Counters) {
        counters.add(Counter::KeyFrameRequestIn);
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(leg) = peer.leg_by_ssrc(media).and_then(|leg| peer.legs.get_mut(leg)) else { return };
        let Some(source) = leg.sending() else { return };
        // What it waits for is asked for already, and its beginning ends that.
        let Some(present) = leg.selection_of(source).present() else { return self.want_key_frames_for(index) };
        let track = &mut self.tracks[source];
        if track.kind == MediaKind::Video
            && let Some(encoding) = track.encoding_mut(present.encoding)
            && !encoding.keys.is_wanted()
        {
            if !leg.may_lose(now) {
                return counters.add(Counter::KeyFrameRequestHeld);
            }
            encoding.keys.want();
            self.key_frame_due(source);
        }
    }

    /// Where much is lost, what transport-wide feedback says is missing is sent again at once: the NACK may be lost too.
    fn repair_unasked(&mut self, now: Time, index: usize, fci: &[u8], budget: &mut usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(loss) = peer.link.as_deref().filter(|link| !link.estimator().reorders()).map(Link::loss) else { return peer.origins = None };
        match &peer.origins {
            None if loss > LOSSY => peer.origins = Some(Box::default()),
            Some(_) if loss < LOSSY_NO_MORE => peer.origins = None,
            _ => {}
        }
        let Some(feedback) = Feedback::parse(fci).filter(|_| peer.origins.is_some()) else { return };
        for status in feedback.statuses().filter(|status| status.arrival.is_none()) {
            let Some(origin) = peer.origins.as_deref_mut().and_then(|origins| origins.take(status.number)) else { continue };
            let Some(leg) = peer.leg_by_ssrc(origin.ssrc).filter(|leg| peer.legs[*leg].takes_nacks()) else { continue };
            if *budget == 0 {
                return;
            }
            *budget -= 1;
            let _ = send_one_again(now, peer, leg, origin.sequence, &self.tracks, shared);
        }
    }
}

fn send_one_again(now: Time, peer: &mut Peer, leg: usize, sequence: u16, tracks: &Slab<Track>, shared: &mut Shared) -> Option<()> {
    // What was too much is not sent again: its encoding is being left.
    let leaves = peer.link.as_deref().is_some_and(Link::is_overusing);
    // Where much is lost, so are repairs: asking again takes a round trip, a second copy a fraction of the rate.
    let twice = peer.link.as_deref().is_some_and(|link| link.loss() > LOSSY);
    let mut downlink = peer.downlink()?;
    let (leg, way) = downlink.leg(leg)?;
    let index = leg.sending()?;
    let track = tracks.get(index)?;
    if leaves && leg.selection_of(index).is_leaving() {
        return None;
    }
    let number = leg.selection_of(index).present()?.encoding;
    let encoding = track.encoding(number)?;
    let packet = encoding.cache.get(leg.source_of(sequence)?)?;
    let source = Source { track, number, encoding, packet };
    let moment = Moment::new(now, shared.wall(now));
    let bytes = source.packet.header.len() + source.packet.payload.len();
    let may_repair = |way: &mut Way<'_>| way.link.as_deref_mut().is_none_or(|link| link.pacer().may_repair(now, bytes));
    if !may_repair(way) {
        return None;
    }
    leg.retransmit(&moment, index, &source, Kind::Repair, way, &mut shared.replies)?;
    if twice && may_repair(way) {
        leg.retransmit(&moment, index, &source, Kind::Repair, way, &mut shared.replies)?;
    }
    shared.counters.add(Counter::RtpRetransmitted);
    Some(())
}

/// RFC 3550 section 6.4.1: arrival − LSR − DLSR, all in units of 1/65,536 s.
fn round_trip_micros(now_middle: u32, block: &ReportBlock) -> Option<u32> {
    if block.last_sr == 0 {
        return None;
    }
    let units = now_middle.wrapping_sub(block.last_sr).wrapping_sub(block.delay);
    (units < 10 * 65_536).then(|| (u64::from(units) * 1_000_000 / 65_536) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_time_is_what_the_report_leaves_over() {
        let block = ReportBlock { ssrc: 1, fraction_lost: 0, cumulative_lost: 0, highest: 0, jitter: 0, last_sr: 0x1_0000, delay: 0x8000 };
        assert_eq!(round_trip_micros(0x1_0000 + 0x8000 + 6_554, &block), Some(100_006));
        assert_eq!(round_trip_micros(0, &ReportBlock { last_sr: 0, ..block }), None);
        assert_eq!(round_trip_micros(0, &block), None, "a report from the future is no measurement");
    }
}
