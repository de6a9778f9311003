//! What a client does with what comes: count it, open some of it, report, ask again.

use std::time::Duration;

use super::{Crypto, Desk, Light, Now, send};
use crate::base::Time;
use crate::load::media::{TRANSPORT_CC_ID, VP8, VP8_RTX};
use crate::load::stamp::Stamp;
use crate::load::tally::{Arrival, Incoming};
use crate::media::packet::rtcp::{self, Compound, MAX_COUNT, ReportBlock, Rtcp};
use crate::media::packet::rtp::{RtpHeader, padding_len};
use crate::media::packet::twcc::Arrivals;
use crate::media::packet::{ext, vp8};

/// Streams that a client follows; what comes under more SSRCs is foreign.
const MOST_STREAMS: usize = 256;
/// Transport-wide feedback is given so often.
const FEEDBACK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a compound before it is sealed.
const COMPOUND: usize = 1_150;

impl Light {
    /// A media packet. Most are only counted, by their clear headers.
    pub(super) fn handle_rtp(&mut self, now: Now, arrived: u64, packet: &mut [u8], desk: &mut Desk) {
        desk.board.received.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (Ok(header), Some(crypto)) = (RtpHeader::parse(packet), &self.crypto) else {
            desk.foreign += 1;
            return;
        };
        let came = Time::from_micros(now.time.as_micros().saturating_sub(waited(now, arrived) / 1_000));
        note_arrival(&mut self.arrivals, &mut self.feedback_due, came, &header, packet);
        if header.payload_type == VP8_RTX {
            return self.handle_repair(now, &header, packet, desk);
        }
        let at = match self.incoming.iter().position(|i| i.ssrc == header.ssrc) {
            Some(at) => at,
            None => {
                // A stream begins with a packet that is authentic.
                let incoming = Incoming::new(header.ssrc, header.sequence);
                if self.incoming.len() >= MOST_STREAMS || !is_authentic(crypto, &header, &incoming, packet) {
                    desk.foreign += 1;
                    return;
                }
                self.incoming.push(incoming);
                self.incoming.len() - 1
            }
        };
        let Some(incoming) = self.incoming.get_mut(at) else { return };
        let extended = incoming.extended(header.sequence);
        let arrival = incoming.note(extended, now.time.as_micros());
        let rate = if header.payload_type == VP8 { 90 } else { 48 };
        incoming.time(header.timestamp, (came.as_micros() * rate / 1_000) as u32);
        let mut picture_lost = None;
        if incoming.wants_opening(desk.open_one_in) && arrival != Arrival::TooOld {
            match open(crypto, &header, extended, packet).map(|payload| (Stamp::read(desk.run, payload), vp8::starts_key_frame(payload))) {
                Some((Some(stamp), key_frame)) => {
                    if incoming.learn(extended, &stamp) {
                        self.presence.note_stream();
                        picture_lost = (header.payload_type == VP8 && !key_frame).then_some(header.ssrc);
                    }
                    if matches!(arrival, Arrival::Next | Arrival::Late) && desk.board.counts(stamp.stream, u64::from(stamp.number)) {
                        let latency = latency(now, arrived, stamp.sent);
                        desk.latency.saturating_record(latency);
                    }
                }
                _ => desk.foreign += 1,
            }
        }
        incoming.count(&desk.board, extended, arrival);
        if let Some(ssrc) = picture_lost {
            let own = self.own_ssrc;
            self.send_rtcp(desk, |compound| _ = compound.picture_loss(own, ssrc));
        }
    }

    /// A packet that repairs another (RFC 4588): the number of that one, then its payload. Its stamp says of which stream it is.
    fn handle_repair(&mut self, now: Now, header: &RtpHeader, packet: &mut [u8], desk: &mut Desk) {
        let Some(crypto) = &self.crypto else { return };
        let at = match self.repairs.iter().position(|r| r.ssrc == header.ssrc) {
            Some(at) => at,
            None if self.repairs.len() < MOST_STREAMS => {
                self.repairs.push(Incoming::new(header.ssrc, header.sequence));
                self.repairs.len() - 1
            }
            None => return,
        };
        let Some(repairs) = self.repairs.get_mut(at) else { return };
        let extended = repairs.extended(header.sequence);
        let opened = open(crypto, header, extended, packet);
        if opened.is_some_and(<[u8]>::is_empty) {
            // Padding, which probes the link.
            repairs.note(extended, now.time.as_micros());
            return;
        }
        let repaired = opened.and_then(|payload| {
            let (number, payload) = payload.split_first_chunk()?;
            Some((u16::from_be_bytes(*number), Stamp::read(desk.run, payload)?))
        });
        let Some((sequence, stamp)) = repaired else {
            desk.foreign += 1;
            return;
        };
        repairs.note(extended, now.time.as_micros());
        if let Some(incoming) = self.incoming.iter_mut().find(|i| i.is_of(stamp.stream)) {
            let extended = incoming.extended(sequence);
            let arrival = incoming.note(extended, now.time.as_micros());
            // One that came already was repeated to probe the link.
            if arrival != Arrival::Duplicate {
                incoming.count(&desk.board, extended, arrival);
            }
        }
    }

    /// Says when packets with transport-wide numbers came.
    pub(super) fn give_feedback(&mut self, desk: &mut Desk) {
        let Some(mut arrivals) = self.arrivals.take() else { return };
        let (own, media) = (self.own_ssrc, self.incoming.first().map_or(0, |i| i.ssrc));
        let mut fci = [0; COMPOUND - 64];
        while let Some(len) = arrivals.write_fci(&mut fci) {
            self.send_rtcp(desk, |compound| _ = compound.transport_feedback(own, media, &fci[..len]));
        }
        self.arrivals = Some(arrivals);
    }

    /// Reports of the server: what it sends and what it wants.
    pub(super) fn handle_rtcp(&mut self, now: Now, packet: &mut [u8], desk: &mut Desk) {
        let Some(crypto) = &mut self.crypto else { return };
        let Ok(len) = crypto.rtcp_in.open_rtcp(packet) else {
            desk.foreign += 1;
            return;
        };
        for report in rtcp::packets(&packet[..len]).flatten() {
            match report {
                Rtcp::SenderReport { ssrc, ntp, .. } => self.note_sender_report(now.time, ssrc, ntp.middle()),
                Rtcp::PictureLoss { media, .. } => self.key_frame_wanted(media, desk),
                Rtcp::FullIntraRequest { entries, .. } => entries.for_each(|(media, _)| self.key_frame_wanted(media, desk)),
                Rtcp::Nack { media, lost, .. } => self.repeat(media, lost, desk),
                _ => {}
            }
        }
    }

    /// Says what was received and what was sent.
    pub(super) fn report(&mut self, now: Now, desk: &mut Desk) {
        let mut blocks = [ReportBlock::default(); MAX_COUNT];
        let mut count = 0;
        for (block, incoming) in blocks.iter_mut().zip(&mut self.incoming) {
            let (reception, ssrc) = (incoming.report(), incoming.ssrc);
            let heard = self.reported.iter().find(|(s, _, _)| *s == ssrc);
            *block = ReportBlock {
                ssrc,
                fraction_lost: reception.fraction_lost,
                cumulative_lost: reception.cumulative_lost,
                highest: reception.highest,
                jitter: reception.jitter,
                last_sr: heard.map_or(0, |(_, middle, _)| *middle),
                delay: heard.map_or(0, |(_, _, at)| (now.time.micros_since(*at) * 65_536 / 1_000_000) as u32),
            };
            count += 1;
        }
        let mut plain = [0; COMPOUND];
        let mut compound = Compound::new(&mut plain);
        let sends = self.sender_reports(now, &mut compound);
        if count > 0 || !sends {
            compound.receiver_report(self.own_ssrc, &blocks[..count]);
            compound.cname(self.own_ssrc, "load");
        }
        let len = compound.len();
        self.seal_and_send(desk, &plain[..len]);
    }

    /// Asks for what is missing.
    pub(super) fn ask_again(&mut self, now: Now, desk: &mut Desk) {
        for at in 0..self.incoming.len() {
            let Some(incoming) = self.incoming.get_mut(at) else { return };
            let lost = incoming.take_due(now.time.as_micros());
            if !lost.is_empty() {
                let (own, ssrc) = (self.own_ssrc, incoming.ssrc);
                self.send_rtcp(desk, |compound| _ = compound.nack(own, ssrc, &mut lost.into_iter()));
            }
        }
    }

    fn note_sender_report(&mut self, now: Time, ssrc: u32, middle: u32) {
        let known = self.reported.iter().position(|(s, _, _)| *s == ssrc);
        if let Some(known) = known.and_then(|at| self.reported.get_mut(at)) {
            *known = (ssrc, middle, now);
        } else if self.reported.len() < MOST_STREAMS {
            self.reported.push((ssrc, middle, now));
        }
    }

    fn key_frame_wanted(&mut self, ssrc: u32, desk: &Desk) {
        if let Some(out) = self.outgoing.iter_mut().find(|o| o.ssrc() == ssrc) {
            out.want_key_frame();
            desk.board.key_frames_asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn send_rtcp(&mut self, desk: &mut Desk, write: impl FnOnce(&mut Compound<'_>)) {
        let mut plain = [0; COMPOUND];
        let mut compound = Compound::new(&mut plain);
        write(&mut compound);
        let len = compound.len();
        self.seal_and_send(desk, &plain[..len]);
    }

    fn seal_and_send(&mut self, desk: &mut Desk, plain: &[u8]) {
        let Some(crypto) = self.crypto.as_mut().filter(|_| !plain.is_empty()) else { return };
        desk.buffer[..plain.len()].copy_from_slice(plain);
        if let Some(len) = crypto.rtcp_out.seal_rtcp(&mut desk.buffer[..], plain.len()) {
            send(&self.socket, &desk.buffer[..len], desk);
        }
    }
}

/// Notes a packet's transport-wide number, where there is one and somebody wants to know.
fn note_arrival(arrivals: &mut Option<Arrivals>, due: &mut Time, came: Time, header: &RtpHeader, packet: &[u8]) {
    let (Some(arrivals), Some(block)) = (arrivals, header.extension) else { return };
    let Some(bytes) = packet.get(block.start..block.end) else { return };
    let element = ext::elements(block.form, bytes).find(|e| e.id == TRANSPORT_CC_ID);
    if let Some(sequence) = element.and_then(|e| ext::transport_cc(bytes.get(e.start..e.end)?)) {
        arrivals.record(sequence, came);
        *due = (*due).min(came + FEEDBACK_EVERY);
    }
}

/// Opens a packet in place; its payload without padding.
fn open<'a>(crypto: &Crypto, header: &RtpHeader, extended: u64, packet: &'a mut [u8]) -> Option<&'a [u8]> {
    let rollover = Incoming::rollover(extended)?;
    let len = crypto.rtp_in.open_rtp((header.header_len, header.ssrc, header.sequence), rollover, packet).ok()?;
    let payload = packet.get(header.header_len..)?.get(..len)?;
    let padding = if header.padding { padding_len(payload)? } else { 0 };
    payload.get(..len - padding)
}

/// Whether a packet can be opened; it is left as it was.
fn is_authentic(crypto: &Crypto, header: &RtpHeader, incoming: &Incoming, packet: &[u8]) -> bool {
    open(crypto, header, incoming.extended(header.sequence), &mut packet.to_vec()).is_some()
}

/// From sending to the arrival at our socket, in nanoseconds; to now where the kernel does not say when that was.
fn latency(now: Now, arrived: u64, sent: u64) -> u64 {
    now.monotonic.saturating_sub(waited(now, arrived)).saturating_sub(sent)
}

/// How long a packet has lain in our socket, in nanoseconds; 0 where the kernel does not say when it came.
fn waited(now: Now, arrived: u64) -> u64 {
    if arrived == 0 { 0 } else { now.wall.saturating_sub(arrived) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_leaves_out_what_a_packet_waited_for_us() {
        let now = Now { time: Time::ZERO, monotonic: 10_000, wall: 1_000_000 };
        assert_eq!(latency(now, 0, 4_000), 6_000);
        assert_eq!(latency(now, 999_000, 4_000), 5_000);
        assert_eq!(latency(now, 1_000_500, 4_000), 6_000, "a clock that was set back counts as no waiting");
    }
}
