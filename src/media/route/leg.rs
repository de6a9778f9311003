//! A leg: one subscription, the one owner of everything that a subscriber's stream needs.
//!
//! A leg lives as long as its m-line (one half of a slot pair). Its SSRC, its numbers and its clock go on
//! when it is pointed at another track.

use std::time::Duration;

use crate::base::random::Random;
use crate::base::seq::timestamp_after;
use crate::base::{Ntp, Time};
use crate::contract::{Codec, CodecPlan, Counter, Extension, ExtensionMap, MediaKind, ReceivePlan, SendPlan};
use crate::media::outgoing::Outgoing;
use crate::media::packet::rtcp::SenderInfo;
use crate::media::packet::{ext, opus, red};
use crate::media::publish::cache::CachedPacket;
use crate::media::publish::track::Track;
use crate::media::rewrite::{HeaderRewrite, OutFields, PictureMap, SequenceMap, TimestampMap, WallMap};
use crate::media::transport::{Path, SrtpSender};

/// Codecs of one publisher's m-line that a leg tells apart.
pub const MOST_CODECS: usize = 16;
/// A publisher that has sent no sender report for so long is put on a line of arrival times.
const LINE_OF_ARRIVAL_AFTER: Duration = Duration::from_secs(6);
/// Bytes of an RTX packet's payload before the original one: the original sequence number (RFC 4588 section 4).
const OSN: usize = 2;

/// How packets of one of the publisher's codecs go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outlet {
    payload_type: u8,
    rtx: Option<u8>,
    form: Form,
}

/// What has to be done to the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    AsIs,
    Vp8,
    /// RED whose blocks have another payload type at this subscriber.
    RedBlocks {
        primary: u8,
    },
    /// RED for a subscriber without RED: only the primary block goes out.
    RedPrimary,
}

/// One subscription. The fields are in the order in which forwarding needs them, by how often they are touched.
#[derive(Debug)]
#[repr(C)]
pub struct Leg {
    // touched by every packet
    source: Option<usize>,
    generation: u32,
    ssrc: u32,
    awaiting_key_frame: bool,
    begun: bool,
    counts_transport: bool,
    /// What [`repeats_exactly`] says of the plan.
    repeats_exactly: bool,
    acknowledged: bool,
    timestamp: TimestampMap,
    picture: PictureMap,
    last_timestamp: u32,
    last_source_timestamp: u32,
    frame: u32,
    packets: u32,
    octets: u32,
    header: HeaderRewrite,
    outlets: [Option<Outlet>; MOST_CODECS],
    sequence: SequenceMap,
    // touched by retransmission
    rtx_next: u64,
    /// Numbers before this went out with another header and are not sent again.
    repeats_from: u64,
    // touched by reports
    wall: WallMap,
    pointed_at: Time,
    // touched by negotiation
    plan: SendPlan,
}

/// What every forward of a tick is told of the time.
pub struct Moment {
    now: Time,
    wall: Ntp,
    abs_send_time: u32,
}

impl Moment {
    /// The clock.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// `wall` is the wall clock at `now`.
    pub fn new(now: Time, wall: Ntp) -> Self {
        Self { now, wall, abs_send_time: ext::abs_send_time_of(now) }
    }
}

/// What a subscriber's connection lends to its legs.
pub struct Way<'a> {
    /// Seals packets.
    pub sender: &'a SrtpSender,
    /// Where the subscriber is.
    pub path: Path,
    /// The subscriber's next transport-wide sequence number.
    pub transport_cc: &'a mut u16,
}

impl Leg {
    /// A leg for an m-line; it forwards nothing before it is pointed at a track.
    pub fn new(now: Time, plan: SendPlan, random: &mut Random) -> Self {
        // First numbers below 2^15, so that the rollover counter begins at 0 on both sides (RFC 3711 section 3.3.1).
        let first = |random: &mut Random| u64::from(random.next_u32() & 0x3FFF) + 1;
        let clock_rate = plan.codecs.first().map_or(90_000, |c| c.clock_rate);
        Self {
            source: None,
            generation: 0,
            awaiting_key_frame: false,
            begun: false,
            outlets: [None; MOST_CODECS],
            header: HeaderRewrite::compile(&target_extensions(&plan), Some(plan.mid)),
            counts_transport: target_extensions(&plan).id(Extension::TransportCc).is_some(),
            sequence: SequenceMap::new(first(random)),
            timestamp: TimestampMap::default(),
            picture: PictureMap::default(),
            last_timestamp: 0,
            last_source_timestamp: 0,
            frame: 0,
            rtx_next: first(random),
            repeats_from: 0,
            wall: WallMap { base: now, base_ts: random.next_u32(), clock_rate },
            packets: 0,
            octets: 0,
            repeats_exactly: repeats_exactly(&plan),
            acknowledged: false,
            ssrc: plan.ssrc,
            pointed_at: now,
            plan,
        }
    }

    /// A renegotiated m-line. The SSRC never changes.
    pub fn renegotiate(&mut self, plan: SendPlan) {
        if plan == self.plan {
            return;
        }
        self.forget_repeats();
        self.header = HeaderRewrite::compile(&target_extensions(&plan), Some(plan.mid));
        self.counts_transport = target_extensions(&plan).id(Extension::TransportCc).is_some();
        self.repeats_exactly = repeats_exactly(&plan);
        self.plan = plan;
    }

    /// Points the leg at a track (its index in the room and its publisher's plan), or at nothing.
    pub fn point(&mut self, now: Time, source: Option<(usize, &Track, &ReceivePlan)>) {
        self.source = source.map(|(index, _, _)| index);
        self.begun = false;
        self.pointed_at = now;
        if let Some((_, track, plan)) = source {
            self.generation = track.generation;
            self.awaiting_key_frame = track.kind == MediaKind::Video;
            self.compile(plan);
        }
    }

    /// Compiles payload types and header extensions for a publisher's plan.
    pub fn compile(&mut self, source: &ReceivePlan) {
        let mut outlets = [None; MOST_CODECS];
        for (outlet, sent) in outlets.iter_mut().zip(&source.codecs) {
            *outlet = outlet_for(sent, &self.plan.codecs);
        }
        if outlets != self.outlets {
            self.forget_repeats();
        }
        self.outlets = outlets;
    }

    /// What comes next has nothing to do with what went out: it takes the next number, and a picture begins with a key frame.
    pub const fn begin_anew(&mut self, kind: MediaKind) {
        self.begun = false;
        self.awaiting_key_frame = matches!(kind, MediaKind::Video);
    }

    /// The index of the track it is pointed at.
    pub const fn source(&self) -> Option<usize> {
        self.source
    }

    /// Whether it waits for a key frame.
    pub const fn awaits_key_frame(&self) -> bool {
        self.source.is_some() && self.awaiting_key_frame
    }

    /// The m-line it belongs to.
    pub const fn mline(&self) -> u8 {
        self.plan.mline
    }

    /// Its media SSRC.
    pub const fn ssrc(&self) -> u32 {
        self.plan.ssrc
    }

    /// Its RTX SSRC.
    pub const fn rtx_ssrc(&self) -> Option<u32> {
        self.plan.rtx_ssrc
    }

    /// The subscriber's receiver reports name it: it needs no MID any more (RFC 9143 section 16).
    pub fn acknowledge(&mut self) {
        self.acknowledged = true;
    }

    /// A number of its source that will never come as media (padding): what follows closes the gap.
    pub fn skip(&mut self, generation: u32, sequence: u64) {
        if self.begun && self.generation == generation {
            self.sequence.skip(sequence);
        }
    }

    /// Forwards one packet of its track into the arena, or says why not.
    pub fn forward(
        &mut self, moment: &Moment, track: &Track, packet: CachedPacket<'_>, way: &mut Way<'_>, out: &mut Outgoing,
    ) -> Result<(), Counter> {
        let outlet = self.outlets.get(usize::from(packet.meta.codec)).copied().flatten().ok_or(Counter::DropUndecodable)?;
        if self.generation != packet.meta.generation {
            self.generation = packet.meta.generation;
            self.begin_anew(track.kind);
        }
        if self.awaiting_key_frame && !packet.meta.starts_key_frame {
            return Err(Counter::DropAwaitingKeyFrame);
        }
        if !self.begun {
            self.begin(moment, track, &packet);
        }
        let sequence = self.sequence.map(packet.meta.sequence).ok_or(Counter::DropTooOld)?;
        self.follow_time(&packet);
        let slot = out.slot().ok_or(Counter::DropSocketFull)?;
        let header_len =
            self.write_header(moment, &packet, outlet.payload_type, self.ssrc, sequence, way.transport_cc, slot).ok_or(Counter::DropMalformed)?;
        let (len, payload_len) = self.seal(&packet, outlet.form, way.sender, sequence, header_len, slot).ok_or(Counter::DropMalformed)?;
        out.commit(way.path, len);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
        Ok(())
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        self.sequence.memory() + self.plan.codecs.capacity() * size_of::<CodecPlan>()
    }

    /// The source's number of an outgoing sequence number, for a NACK.
    pub fn source_of(&self, sequence: u16) -> Option<u64> {
        self.sequence.source_of(sequence)
    }

    /// Sends a packet again: as RTX where negotiated (RFC 4588), else the very same packet.
    pub fn retransmit(&mut self, moment: &Moment, packet: CachedPacket<'_>, way: &mut Way<'_>, out: &mut Outgoing) -> Option<()> {
        // Before the present source has begun, numbers lead to the one before; its packets may be in the cache under the same numbers.
        if !self.begun || self.generation != packet.meta.generation {
            return None;
        }
        let outlet = self.outlets.get(usize::from(packet.meta.codec)).copied().flatten()?;
        let sequence = self.sequence.map(packet.meta.sequence)?;
        let slot = out.slot()?;
        let len = match (outlet.rtx, self.plan.rtx_ssrc) {
            (Some(payload_type), Some(ssrc)) => {
                let index = self.rtx_next;
                let header_len = self.write_header(moment, &packet, payload_type, ssrc, index, way.transport_cc, slot)?;
                slot.get_mut(header_len..header_len + OSN)?.copy_from_slice(&(sequence as u16).to_be_bytes());
                let payload_len = self.copy_payload(&packet, outlet.form, slot.get_mut(header_len + OSN..)?)?;
                self.rtx_next += 1;
                way.sender.seal_in_place(slot, header_len, OSN + payload_len, ssrc, index)?
            }
            _ if sequence < self.repeats_from || !self.repeats_exactly => return None,
            _ => {
                let header_len = self.write_header(moment, &packet, outlet.payload_type, self.plan.ssrc, sequence, way.transport_cc, slot)?;
                self.seal(&packet, outlet.form, way.sender, sequence, header_len, slot)?.0
            }
        };
        out.commit(way.path, len);
        Some(())
    }

    /// Whether any codec here may be asked for again.
    pub fn takes_nacks(&self) -> bool {
        self.plan.codecs.iter().any(|c| c.feedback.nack)
    }

    /// What a sender report says: NTP now, the RTP timestamp of that moment, packets and octets sent.
    ///
    /// The timestamp lies on the publisher's own line of NTP against RTP (shared by its audio and video, so that
    /// lips stay in sync); nothing is reported before that line is known, or a few seconds have passed without it.
    pub fn sender_report(&self, now: Time, wall: Ntp, track: &Track) -> Option<SenderInfo> {
        if !self.begun || self.packets == 0 {
            return None;
        }
        let rtp_timestamp = match (track.clock, track.clock_offset) {
            (Some(line), Some(offset)) => self.timestamp.map(line.at(wall.plus_micros(-offset))),
            _ if now.since(self.pointed_at) > LINE_OF_ARRIVAL_AFTER => self.wall.at(now),
            _ => return None,
        };
        Some(SenderInfo { ntp: wall, rtp_timestamp, packets: self.packets, octets: self.octets })
    }

    /// The first packet of a source: its numbers continue those of the one before (docs/adr/0005-timestamps-and-lips.md).
    fn begin(&mut self, moment: &Moment, track: &Track, packet: &CachedPacket<'_>) {
        let meta = packet.meta;
        let wall = self.wall.at(track.captured_at(moment.now, moment.wall, meta.timestamp));
        if self.packets == 0 {
            self.timestamp.start(meta.timestamp, wall);
        } else if track.kind == MediaKind::Audio {
            let frame = opus::frame_samples_48k(packet.payload).filter(|_| self.frame == 0).unwrap_or(self.frame).max(1);
            self.timestamp.audio_switch(meta.timestamp, wall, self.last_timestamp, frame);
        } else {
            self.timestamp.video_switch(meta.timestamp, wall, self.last_timestamp);
        }
        if self.packets > 0 {
            self.picture.switch();
        }
        self.sequence.switch(meta.sequence);
        self.last_source_timestamp = meta.timestamp;
        self.last_timestamp = self.timestamp.map(meta.timestamp);
        (self.begun, self.awaiting_key_frame) = (true, false);
    }

    fn follow_time(&mut self, packet: &CachedPacket<'_>) {
        let source = packet.meta.timestamp;
        if timestamp_after(source, self.last_source_timestamp) {
            let step = source.wrapping_sub(self.last_source_timestamp);
            // Up to 120 ms of audio is a frame; more is a pause (DTX).
            if step <= 5_760 {
                self.frame = step;
            }
            self.last_source_timestamp = source;
            self.last_timestamp = self.timestamp.map(source);
        }
    }

    fn write_header(
        &self, moment: &Moment, packet: &CachedPacket<'_>, payload_type: u8, ssrc: u32, sequence: u64, transport_cc: &mut u16, out: &mut [u8],
    ) -> Option<usize> {
        let fields = OutFields {
            payload_type,
            marker: packet.meta.marker,
            sequence: sequence as u16,
            timestamp: self.timestamp.map(packet.meta.timestamp),
            ssrc,
            csrc: None,
            transport_cc: Some(*transport_cc),
            abs_send_time: Some(moment.abs_send_time),
            mid: !self.acknowledged || self.repeats_exactly,
        };
        let len = self.header.write(packet.header, &packet.meta.extensions, out, &fields)?;
        if self.counts_transport {
            *transport_cc = transport_cc.wrapping_add(1);
        }
        Some(len)
    }

    /// Seals header and payload; the length of the datagram and of the payload.
    fn seal(
        &mut self, packet: &CachedPacket<'_>, form: Form, sender: &SrtpSender, sequence: u64, header_len: usize, slot: &mut [u8],
    ) -> Option<(usize, usize)> {
        let shared = match form {
            Form::AsIs => Some(packet.payload),
            Form::Vp8 => (!self.picture_differs(packet)).then_some(packet.payload),
            Form::RedPrimary => packet.payload.get(red::primary(packet.payload)?.start..),
            Form::RedBlocks { .. } => None,
        };
        if let Some(payload) = shared {
            let len = sender.seal_scatter(slot, header_len, payload, self.ssrc, sequence)?;
            return Some((len, payload.len()));
        }
        let payload_len = self.copy_payload(packet, form, slot.get_mut(header_len..)?)?;
        let len = sender.seal_in_place(slot, header_len, payload_len, self.ssrc, sequence)?;
        Some((len, payload_len))
    }

    /// Follows a VP8 packet's picture id; whether it has to be written anew.
    fn picture_differs(&mut self, packet: &CachedPacket<'_>) -> bool {
        let Some(descriptor) = &packet.meta.vp8 else { return false };
        let mut scratch = [0; MAX_DESCRIPTOR];
        let Some(bytes) = scratch.get_mut(..descriptor.header_len.min(MAX_DESCRIPTOR)) else { return false };
        bytes.copy_from_slice(&packet.payload[..bytes.len()]);
        self.picture.rewrite(descriptor, bytes)
    }

    /// Copies the payload and changes what is this subscriber's own; its length.
    fn copy_payload(&mut self, packet: &CachedPacket<'_>, form: Form, target: &mut [u8]) -> Option<usize> {
        let payload = match form {
            Form::RedPrimary => packet.payload.get(red::primary(packet.payload)?.start..)?,
            Form::AsIs | Form::Vp8 | Form::RedBlocks { .. } => packet.payload,
        };
        let target = target.get_mut(..payload.len())?;
        target.copy_from_slice(payload);
        match form {
            Form::Vp8 => {
                if let Some(descriptor) = &packet.meta.vp8 {
                    self.picture.rewrite(descriptor, target);
                }
            }
            Form::RedBlocks { primary } => {
                for block in red::headers(payload) {
                    red::set_payload_type(target, block.offset, primary);
                }
            }
            Form::AsIs | Form::RedPrimary => {}
        }
        Some(payload.len())
    }

    /// What went out so far had another header: sent again, it would not be the same to the bit.
    fn forget_repeats(&mut self) {
        self.repeats_from = self.sequence.highest_out().map_or(0, |h| h + 1);
    }
}

/// Whether a packet that is asked for is sent again as it was: then nothing in it may change from sending to sending,
/// or one SRTP index would protect two packets (and a GCM nonce used twice gives the key away).
fn repeats_exactly(plan: &SendPlan) -> bool {
    plan.codecs.iter().any(|c| c.feedback.nack && c.rtx.is_none())
}

fn target_extensions(plan: &SendPlan) -> ExtensionMap {
    let mut target = plan.extensions;
    if repeats_exactly(plan) {
        target.set(Extension::TransportCc, 0);
        target.set(Extension::AbsSendTime, 0);
    }
    target
}

/// The longest VP8 payload descriptor with its extensions.
const MAX_DESCRIPTOR: usize = 6;

/// How a codec that is sent goes to a subscriber with these codecs.
fn outlet_for(sent: &CodecPlan, received: &[CodecPlan]) -> Option<Outlet> {
    let decoder = received.iter().find(|c| c.codec.decodes(sent.codec));
    let form = match (sent.codec, decoder.map(|d| d.codec)) {
        (Codec::Vp8, Some(_)) => Form::Vp8,
        (Codec::Red { primary: theirs }, Some(Codec::Red { primary: ours })) if theirs != ours => Form::RedBlocks { primary: ours },
        (Codec::Red { .. }, None) => Form::RedPrimary,
        _ => Form::AsIs,
    };
    let decoder = if form == Form::RedPrimary { received.iter().find(|c| c.codec == Codec::Opus) } else { decoder }?;
    Some(Outlet { payload_type: decoder.payload_type, rtx: decoder.rtx, form })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Feedback;

    fn plan(payload_type: u8, codec: Codec) -> CodecPlan {
        CodecPlan { payload_type, codec, clock_rate: 48_000, rtx: None, feedback: Feedback::default() }
    }

    #[test]
    fn red_is_stripped_for_a_subscriber_without_it_and_its_blocks_renumbered_for_one_with_other_numbers() {
        let sent = plan(63, Codec::Red { primary: 111 });
        assert_eq!(outlet_for(&sent, &[plan(109, Codec::Opus)]), Some(Outlet { payload_type: 109, rtx: None, form: Form::RedPrimary }));
        let red = [plan(109, Codec::Opus), plan(64, Codec::Red { primary: 109 })];
        assert_eq!(outlet_for(&sent, &red), Some(Outlet { payload_type: 64, rtx: None, form: Form::RedBlocks { primary: 109 } }));
        let same = [plan(111, Codec::Opus), plan(63, Codec::Red { primary: 111 })];
        assert_eq!(outlet_for(&sent, &same), Some(Outlet { payload_type: 63, rtx: None, form: Form::AsIs }));
    }

    #[test]
    fn a_codec_that_the_subscriber_lacks_has_no_outlet() {
        assert_eq!(outlet_for(&plan(98, Codec::Vp9 { profile: 2 }), &[plan(98, Codec::Vp9 { profile: 0 })]), None);
    }
}
