//! What is due by the clock: consent, DTLS retransmissions, NACK, transport-wide feedback, key frames, reports, speakers.

use std::time::Duration;

use super::Room;
use super::health::measure_received;
use crate::base::outgoing::MAX_DATAGRAM;
use crate::base::{Bitrate, Ntp, PeerId, Time};
use crate::contract::{CNAME, Counter, DisconnectReason, Event};
use crate::media::demux::PeerAt;
use crate::media::engine::Shared;
use crate::media::packet::rtcp::{Compound, MAX_COUNT, ReportBlock};
use crate::media::peer::Peer;
use crate::media::publish::key_frame::KeyFrames;
use crate::media::publish::stream::StreamKind;
use crate::media::route::leg::Leg;
use crate::media::route::relay::Note;

/// Sender and receiver reports go out so often (RFC 3550 section 6.2 allows less with feedback profiles).
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Peers report in so many different moments of a second: one that has many peers wakes no oftener for reports, and none
/// of its turns has more than their hundredth part.
const REPORT_PHASES: u64 = 100;
/// A peer that has a turn anyway reports so much sooner: a turn of its own costs as much as a dozen forwards (50 µs, 4 µs).
pub(super) const REPORT_EARLIER: Duration = Duration::from_millis(100);
/// Nothing is worth a turn sooner than this after the last one.
const SHORTEST_TURN: Duration = Duration::from_millis(1);
/// Bytes of an RTCP compound before it is sealed: fits the smallest path.
const COMPOUND: usize = 1_150;
/// Bytes of a sender report with its CNAME.
const SENDER_REPORT: usize = 28 + 20;
/// What publishers without transport-wide feedback may send (REMB).
const REMB: Bitrate = Bitrate::kbps(5_000);
/// A missing packet is asked for again after this while no round trip has been measured.
const RETRY_UNKNOWN: Duration = Duration::from_millis(80);

/// When a peer that comes now reports for the first time: at its own phase of the second, the same for good.
pub(super) fn first_report(now: Time, id: PeerId) -> Time {
    let second = REPORT_EVERY.as_micros() as u64;
    // 37 and 100 have no common factor: peers that come one after the other lie far apart.
    let phase = id.0.wrapping_mul(37) % REPORT_PHASES * (second / REPORT_PHASES);
    let since = (now.as_micros() + second - phase) % second;
    now + Duration::from_micros(second - since)
}

impl Room {
    /// Does what is due: of each peer and each track, when its own moment has come.
    pub fn handle_timeout(&mut self, now: Time, shared: &mut Shared) {
        while let Some(index) = self.peers_due.pop(now) {
            self.peer_turn(now, index, shared);
            if let Some(peer) = self.peers.get(index) {
                // Whatever was due has been done: the next turn is later, or one mistake here would be an endless loop.
                self.peers_due.set(index, peer.next_due().max(now + SHORTEST_TURN));
            }
        }
        while let Some(track) = self.tracks_due.pop(now) {
            self.key_frame_turn(now, track, shared);
        }
        self.look_at_encodings(now, shared);
        self.speak(now, shared);
        self.relays(now, shared);
    }

    fn peer_turn(&mut self, now: Time, index: usize, shared: &mut Shared) {
        self.check_turn(now, index, shared);
        self.secure(now, index, shared);
        let reports = self.peers.get(index).is_some_and(|peer| peer.report_due <= now + REPORT_EARLIER);
        if let Some(peer) = self.peers.get_mut(index).filter(|_| reports) {
            if peer.wish_due == Time::NEVER {
                // Its tracks may have begun meanwhile: looked at together with the reports, which wake it anyway.
                peer.wish_due = now;
            }
            if peer.link.is_some() {
                // What pictures take changes without anybody saying so.
                peer.select_due = now;
            }
        }
        if self.peers.get(index).is_some_and(|peer| peer.select_due <= now) {
            self.select(now, index, shared);
        }
        self.pace(now, index, shared);
        self.ask_for_key_frames(now, index);
        let Some(peer) = self.peers.get_mut(index) else { return };
        nack(now, peer, shared);
        feedback(now, peer, shared);
        if reports {
            self.report(now, index, shared);
        }
    }

    /// Consent and DTLS timers.
    fn secure(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.ice.consent_deadline().is_some_and(|at| at <= now) {
            for path in peer.ice.paths() {
                shared.demux.remove_path(&path, PeerAt { room: self.key, peer: index });
            }
        }
        if peer.ice.handle_timeout(now).is_some() {
            if let Some(checks) = &mut peer.checks {
                checks.end();
            }
            shared.events.push_back(Event::Disconnected { room: self.id, peer: peer.id, reason: DisconnectReason::ConsentLost });
        }
        if let Some(dtls) = &mut peer.dtls
            && dtls.poll_timeout().is_some_and(|at| at <= now)
        {
            dtls.handle_timeout(now);
            self.after_dtls(now, index, shared);
        }
        self.data_due(now, index, shared);
    }

    /// Legs that still wait for a key frame wish for it again.
    fn ask_for_key_frames(&mut self, now: Time, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.srtp.is_none() || peer.wish_due > now {
            return;
        }
        let mut has_begun = false;
        for (track, number) in peer.legs.iter().flat_map(Leg::awaits_key_frames) {
            let Some(track) = self.tracks.get_mut(track) else { continue };
            let imported = track.import.is_some();
            if let Some(encoding) = track.encoding_mut(number) {
                encoding.keys.want();
                has_begun |= encoding.ssrc.is_some() || imported;
            }
        }
        // A track from which nothing has ever come is asked when it begins: until then nobody need wake for it.
        peer.wish_due = if has_begun { now + KeyFrames::repeat() } else { Time::NEVER };
        self.key_frames_due(index);
    }

    /// Asks a track's publisher (or the worker that it is on) for the key frames that are due, each of its encoding.
    fn key_frame_turn(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(track) = self.tracks.get_mut(index) else { return };
        for (number, encoding) in (0..).zip(&mut track.encodings) {
            if let Some((import, _)) = track.import.as_deref() {
                if encoding.keys.ask(now) {
                    shared.say(import.from, Note::KeyFrame { room: self.id, track: track.id, encoding: number });
                }
                continue;
            }
            let (Some(ssrc), false) = (encoding.ssrc, track.muted) else { continue };
            let Some(peer) = self.peers.get_mut(track.publisher) else { return };
            if encoding.keys.ask(now) {
                let fir = !peer.receive_plan(track.mline).is_some_and(|p| p.codecs.iter().any(|c| c.feedback.pli));
                let number = peer.next_fir(fir);
                shared.counters.add(Counter::KeyFrameRequestOut);
                send_rtcp(
                    peer,
                    shared,
                    |own, compound| if fir { compound.full_intra_request(own, ssrc, number) } else { compound.picture_loss(own, ssrc) },
                );
            }
        }
        if let Some(at) = track.next_ask() {
            self.tracks_due.set(index, at.max(now + SHORTEST_TURN));
        }
    }

    /// Sender reports for every leg, receiver reports for every stream, and REMB where it is understood.
    fn report(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let wall = shared.wall(now);
        self.watch(now, index, shared);
        let Some(peer) = self.peers.get_mut(index) else { return };
        // The next one at the same phase; one that could not report for long goes on from now.
        peer.report_due = Some(peer.report_due + REPORT_EVERY).filter(|at| *at > now).unwrap_or(now + REPORT_EVERY);
        peer.measure();
        if !peer.may_report() {
            return;
        }
        let mut blocks = [ReportBlock::default(); MAX_COUNT];
        let mut ssrcs = [0; MAX_COUNT];
        let mut count = 0;
        for stream in peer.streams.iter_mut().filter(|s| s.kind != StreamKind::Unwanted).take(MAX_COUNT) {
            let packets = stream.reception.unreported();
            if let Some(block) = stream.reception.report(now, stream.ssrc) {
                if stream.kind == StreamKind::Media
                    && let Some(plan) = peer.plan.receive.iter().find(|l| l.mline == stream.mline)
                {
                    let clock_rate = plan.codecs.first().map_or(90_000, |codec| codec.clock_rate);
                    measure_received(stream, plan.kind, clock_rate, &block, packets, &mut shared.distributions);
                }
                (blocks[count], ssrcs[count]) = (block, stream.ssrc);
                count += 1;
            }
        }
        let remb = peer.wants_remb();
        if count > 0 {
            send_rtcp(peer, shared, |own, compound| {
                compound.receiver_report(own, &blocks[..count]) && compound.cname(own, CNAME) && (!remb || compound.remb(own, REMB, &ssrcs[..count]))
            });
        }
        if let Some((ssrc, ntp, at)) = self.peers.get_mut(index).and_then(|peer| peer.reference_time.take()) {
            let delay = (now.micros_since(at) * 65_536 / 1_000_000) as u32;
            send_rtcp(&mut self.peers[index], shared, |own, compound| compound.extended_report_dlrr(own, &[(ssrc, ntp.middle(), delay)]));
        }
        self.sender_reports(now, wall, index, false, shared);
    }

    /// Sender reports for the legs on which another source, or another encoding, has just begun: they leave in the same turn as its first packet.
    pub(super) fn report_begun(&mut self, now: Time, index: usize, shared: &mut Shared) {
        if self.peers.get(index).is_some_and(Peer::may_report) {
            self.sender_reports(now, shared.wall(now), index, true, shared);
        }
    }

    /// Sender reports for all legs, or for those on which something `has_begun`.
    fn sender_reports(&mut self, now: Time, wall: Ntp, index: usize, has_begun: bool, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let mut buffer = [0; MAX_DATAGRAM];
        let mut compound = Compound::new(&mut buffer[..COMPOUND]);
        for leg in 0..peer.legs.len() {
            if has_begun && !peer.legs[leg].is_unreported() {
                continue;
            }
            let Some(track) = peer.legs[leg].sending().and_then(|t| self.tracks.get(t)) else { continue };
            let Some(info) = peer.legs[leg].sender_report(now, wall, track) else { continue };
            if has_begun {
                if peer.legs[leg].holds(&info) {
                    continue;
                }
                let may = peer.legs[leg].may_report(now);
                shared.counters.add(if may { Counter::SwitchReportOut } else { Counter::SwitchReportHeld });
                if !may {
                    continue;
                }
            }
            peer.legs[leg].note_report(&info);
            let ssrc = peer.legs[leg].ssrc();
            compound.sender_report(ssrc, info, &[]);
            compound.cname(ssrc, CNAME);
            if compound.len() > COMPOUND - SENDER_REPORT {
                let len = compound.len();
                seal_and_reply(peer, shared, &mut buffer, len);
                compound = Compound::new(&mut buffer[..COMPOUND]);
            }
        }
        let len = compound.len();
        if len > 0 {
            seal_and_reply(peer, shared, &mut buffer, len);
        }
    }
}

/// Asks a publisher for what is missing.
fn nack(now: Time, peer: &mut Peer, shared: &mut Shared) {
    if peer.nack_due.is_none_or(|at| at > now) {
        return;
    }
    let retry = peer.rtt.map_or(RETRY_UNKNOWN, |rtt| Duration::from_micros(u64::from(rtt) + 10_000).max(Duration::from_millis(20)));
    let mut next = None;
    for index in 0..peer.streams.len() {
        let stream = &mut peer.streams[index];
        let (ssrc, mut lost, mut count) = (stream.ssrc, [0u16; crate::media::publish::holes::MOST_HOLES], 0);
        stream.holes.due(now, retry, |sequence| {
            if let Some(place) = lost.get_mut(count) {
                *place = sequence;
                count += 1;
            }
        });
        next = [next, stream.holes.next_due()].into_iter().flatten().min();
        if count > 0 {
            shared.counters.add_many(Counter::NackOut, count as u64);
            let mut rest = lost[..count].iter().copied();
            send_rtcp(peer, shared, |own, compound| compound.nack(own, ssrc, &mut rest));
        }
    }
    peer.nack_due = next;
}

/// Transport-wide feedback about what came from a publisher.
fn feedback(now: Time, peer: &mut Peer, shared: &mut Shared) {
    if peer.feedback_due.is_none_or(|at| at > now) {
        return;
    }
    peer.feedback_due = None;
    let media = peer.streams.first().map_or(0, |s| s.ssrc);
    let Some(mut arrivals) = peer.arrivals.take() else { return };
    let mut fci = [0; COMPOUND - 64];
    while let Some(len) = arrivals.write_fci(&mut fci) {
        send_rtcp(peer, shared, |own, compound| compound.transport_feedback(own, media, &fci[..len]));
    }
    peer.arrivals = Some(arrivals);
}

/// Writes one compound with our own SSRC for this peer, and sends it.
fn send_rtcp(peer: &mut Peer, shared: &mut Shared, write: impl FnOnce(u32, &mut Compound<'_>) -> bool) {
    let mut buffer = [0; MAX_DATAGRAM];
    let own = peer.own_ssrc();
    let mut compound = Compound::new(&mut buffer[..COMPOUND]);
    write(own, &mut compound);
    let len = compound.len();
    if len > 0 {
        seal_and_reply(peer, shared, &mut buffer, len);
    }
}

fn seal_and_reply(peer: &mut Peer, shared: &mut Shared, buffer: &mut [u8], len: usize) {
    let Some(path) = peer.path() else { return };
    let Some(len) = peer.srtp.as_mut().and_then(|s| s.rtcp_sender.seal_rtcp(buffer, len)) else { return };
    shared.reply(path, &buffer[..len]);
    shared.counters.add(Counter::RtcpOut);
}
