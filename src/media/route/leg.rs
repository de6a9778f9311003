//! A leg: one subscription, the one owner of everything that a subscriber's stream needs.
//!
//! A leg lives as long as its m-line (one half of a slot pair). Its SSRC, its numbers and its clock go on
//! when it is pointed at another track.

mod written;

use std::time::Duration;

use super::before::Before;
use super::origins::Origin;
use super::outlet::{Form, Outlet};
use super::terms::{repeats_exactly, target_extensions};
use super::way::Way;
use crate::base::bucket::Bucket;
use crate::base::outgoing::Outgoing;
use crate::base::random::Random;
use crate::base::seq::timestamp_after;
use crate::base::{Ntp, Time};
use crate::contract::{CodecPlan, Counter, Extension, Limit, MediaKind, ReceivePlan, SendPlan, View};
use crate::media::pace::sent::Kind;
use crate::media::packet::rtcp::SenderInfo;
use crate::media::packet::{ext, opus};
use crate::media::publish::cache::CachedPacket;
use crate::media::publish::encoding::Encoding;
use crate::media::publish::track::Track;
use crate::media::rewrite::{Continuity, HeaderRewrite, PictureMap, Redundancy, SequenceMap, TimestampMap, WallMap};
use crate::media::select::{Aim, Choice, Step, Switch, Ways};

/// Codecs of one publisher's m-line that a leg tells apart.
pub const MOST_CODECS: usize = 16;
/// The padding bit in a header's first byte.
pub(super) const PADDING: u8 = 0x20;
/// Bytes of the longest RED payload that is made: with all headers it fits a datagram.
const MOST_RED: usize = 1_200;
/// A publisher that has sent no sender report for so long is put on a line of arrival times.
const LINE_OF_ARRIVAL_AFTER: Duration = Duration::from_secs(6);
/// Sender reports that a leg sends beside the regular ones each second, because what it sends has begun, and how many at once: a publisher whose
/// stream begins anew with each packet makes no more of them. Less leaves those of a slot that is pointed somewhere else again and again to the
/// regular ones.
const REPORTS: (u32, u32) = (2, 5);
/// Lines of NTP against RTP that lie so many milliseconds apart are the same: lips that are 40 ms apart are not seen to be.
const SAME_LINE_MS: u32 = 2;
/// Key frames that one subscription may make its publisher send at once, because its picture was lost, and how often in so many seconds from then on: one
/// every two. Everybody who watches pays for each. A receiver that repairs its losses stays within this at 10 % of loss, and for eighty seconds if it
/// asks every second.
const LOSSES: (u32, u32) = (1, 80);
const LOSS: usize = 2;

/// One subscription. The fields are in the order in which forwarding needs them, by how often they are touched.
#[derive(Debug)]
#[repr(C)]
pub struct Leg {
    // touched by every packet
    pub(super) source: Option<usize>,
    /// The contributing source that its packets name.
    pub(super) name: Option<u32>,
    pub(super) ssrc: u32,
    pub(super) switch: Switch,
    pub(super) counts_transport: bool,
    /// What [`repeats_exactly`] says of the plan.
    pub(super) repeats_exactly: bool,
    pub(super) acknowledged: bool,
    timestamp: TimestampMap,
    picture: PictureMap,
    /// Frame numbers of dependency descriptors.
    frames: Continuity,
    pub(super) last_timestamp: u32,
    last_source_timestamp: u32,
    frame: u32,
    packets: u32,
    octets: u32,
    pub(super) header: HeaderRewrite,
    pub(super) outlets: [Option<Outlet>; MOST_CODECS],
    pub(super) sequence: SequenceMap,
    // touched by retransmission
    pub(super) rtx_next: u64,
    /// The source's number of the packet that filled a probe last.
    pub(super) repeated: u64,
    /// Numbers before this went out with another header and are not sent again.
    pub(super) repeats_from: u64,
    /// What the last packets of sound had, for a subscriber that is to hear them twice.
    redundancy: Redundancy,
    // touched by changes of source
    pub(super) before: Option<Box<Before>>,
    // touched by reports
    /// Of its packets and octets, what [`Self::uncounted`] has given out.
    counted: (u32, u32),
    /// What its subscriber has said of it lately.
    pub(in crate::media) told: Told,
    wall: WallMap,
    pointed_at: Time,
    /// When what it sends has begun, and whether no sender report has gone out since.
    begun: Time,
    unreported: bool,
    /// What is left of [`REPORTS`].
    reports: Bucket,
    /// The line of the last one, of the source that it is pointed at.
    line: Option<(Ntp, u32)>,
    /// What is left of [`LOSSES`].
    losses: Bucket,
    /// How its picture is shown.
    view: View,
    /// The form of its picture that it was given last.
    given: Option<Choice>,
    /// Why its picture is not better.
    limit: Option<Limit>,
    // touched by negotiation
    pub(super) plan: SendPlan,
}

/// What every forward of a tick is told of the time.
pub struct Moment {
    pub(super) now: Time,
    wall: Ntp,
    pub(super) abs_send_time: u32,
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

/// A packet of a track, and where it belongs there.
pub struct Source<'a> {
    /// The track.
    pub track: &'a Track,
    /// The number of the encoding.
    pub number: u8,
    /// The encoding.
    pub encoding: &'a Encoding,
    /// The packet.
    pub packet: CachedPacket<'a>,
}

/// What a subscriber has said of a leg since that was looked at last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// How often it has said anything.
    pub reports: u16,
    /// In 256ths, what was lost each time, added up.
    pub lost: u32,
    /// The most jitter, in microseconds.
    pub jitter: u32,
    /// Since when it waits for a key frame; of what it is to get.
    pub waits_since: Option<Time>,
}

impl Leg {
    /// A leg for an m-line; it forwards nothing before it is pointed at a track.
    pub fn new(now: Time, plan: SendPlan, random: &mut Random) -> Self {
        // First numbers below 2^15, so that the rollover counter begins at 0 on both sides (RFC 3711 section 3.3.1).
        let first = |random: &mut Random| u64::from(random.next_u32() & 0x3FFF) + 1;
        let clock_rate = plan.codecs.first().map_or(90_000, |c| c.clock_rate);
        Self {
            source: None,
            name: None,
            before: None,
            switch: Switch::default(),
            view: View::LARGE,
            given: None,
            limit: None,
            outlets: [None; MOST_CODECS],
            header: HeaderRewrite::compile(&target_extensions(&plan), Some(plan.mid)),
            counts_transport: target_extensions(&plan).id(Extension::TransportCc).is_some(),
            sequence: SequenceMap::new(first(random)),
            timestamp: TimestampMap::default(),
            picture: PictureMap::default(),
            frames: Continuity::new(16),
            last_timestamp: 0,
            last_source_timestamp: 0,
            frame: 0,
            rtx_next: first(random),
            repeats_from: 0,
            repeated: 0,
            redundancy: Redundancy::new(1),
            wall: WallMap { base: now, base_ts: random.next_u32(), clock_rate },
            packets: 0,
            octets: 0,
            counted: (0, 0),
            told: Told::default(),
            repeats_exactly: repeats_exactly(&plan),
            acknowledged: false,
            ssrc: plan.ssrc,
            pointed_at: now,
            begun: now,
            unreported: false,
            reports: Bucket::new(REPORTS.1),
            line: None,
            losses: Bucket::new(LOSSES.1),
            plan,
        }
    }

    /// Which contributing source the packets of its source name (RFC 3550 section 5.1).
    pub const fn call(&mut self, name: Option<u32>) {
        self.name = name;
    }

    /// Points the leg at a track (its index in the room and its publisher's plan), or at nothing. It gets nothing before it is aimed.
    pub fn point(&mut self, now: Time, source: Option<(usize, &Track, &ReceivePlan)>) {
        self.source = source.map(|(index, _, _)| index);
        self.switch.point(source.is_some_and(|(_, track, _)| track.kind == MediaKind::Video));
        (self.pointed_at, self.line) = (now, None);
        (self.given, self.limit) = (None, None);
        if let Some((_, _, plan)) = source {
            self.compile(plan);
        }
    }

    /// What it is to get of its track from now on. Whoever aims keeps [`Encoding::receivers`] true.
    pub fn aim(&mut self, aim: Aim) {
        self.switch.aim(aim);
    }

    /// Looks whether what it is to get takes a key frame of the encoding that it gets already.
    pub fn look_ahead(&mut self, ways: Ways<'_>) {
        self.switch.look_ahead(ways);
    }

    /// Whether its packets have transport-wide numbers.
    pub const fn counts_transport(&self) -> bool {
        self.counts_transport
    }

    /// How its picture is shown from now on.
    pub const fn show(&mut self, view: View) {
        self.view = view;
    }

    /// How its picture is shown.
    pub const fn view(&self) -> View {
        self.view
    }

    /// The form of its picture that it is given from now on, and why that is not better than it is.
    pub const fn explain(&mut self, given: Option<Choice>, limit: Option<Limit>) {
        (self.given, self.limit) = (given, limit);
    }

    /// The form of its picture that it was given last.
    pub const fn given(&self) -> Option<Choice> {
        self.given
    }

    /// Why its picture is not better than it is.
    pub const fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// What it gets of its track, and what it is to get.
    pub const fn selection(&self) -> &Switch {
        &self.switch
    }

    /// What comes next has nothing to do with what went out: it takes the next number, and a picture begins with a key frame.
    pub const fn begin_anew(&mut self) {
        self.switch.begin_anew();
    }

    /// The index of the track it is pointed at.
    pub const fn source(&self) -> Option<usize> {
        self.source
    }

    /// The encodings of its track whose key frame it waits for.
    pub fn awaits_key_frames(&self) -> impl Iterator<Item = (usize, u8)> + use<> {
        let encodings = self.switch.awaits();
        self.source.into_iter().flat_map(move |track| encodings.clone().map(move |encoding| (track, encoding)))
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

    /// A number of a track's encoding that will never come as media (padding): what follows closes the gap.
    pub fn skip(&mut self, track: usize, encoding: u8, generation: u32, sequence: u64) {
        self.with(track, |leg| {
            if leg.switch.is_on(encoding, generation) {
                leg.sequence.skip(sequence);
            }
        });
    }

    /// Forwards one packet of a track that comes to it into the arena, or says why not.
    pub fn forward(&mut self, moment: &Moment, track: usize, source: &Source<'_>, way: &mut Way<'_>, out: &mut Outgoing) -> Result<(), Counter> {
        if self.source == Some(track) {
            return self.forward_present(moment, source, way, out);
        }
        // Of the source before only what has begun goes on.
        let goes_on = self.selection_of(track).is_on(source.number, source.packet.meta.generation);
        let forwarded = if goes_on { self.with(track, |leg| leg.forward_present(moment, source, way, out)) } else { None };
        forwarded.unwrap_or(Err(Counter::DropOtherEncoding))
    }

    fn forward_present(&mut self, moment: &Moment, source: &Source<'_>, way: &mut Way<'_>, out: &mut Outgoing) -> Result<(), Counter> {
        let packet = &source.packet;
        let outlet = self.outlets.get(usize::from(packet.meta.codec)).copied().flatten().ok_or(Counter::DropUndecodable)?;
        match self.switch.step(source.number, packet.meta, source.encoding.ways()) {
            Step::Forward => {}
            Step::Begin => self.begin(moment, source, way),
            Step::Leave => return self.leave(moment, source, outlet, way, out),
            Step::Other => return Err(Counter::DropOtherEncoding),
            Step::AwaitKeyFrame => return Err(Counter::DropAwaitingKeyFrame),
        }
        if !outlet.form.fits(packet.payload) {
            self.sequence.skip(packet.meta.sequence);
            return Err(Counter::DropUndecodable);
        }
        let sequence = self.sequence.map(packet.meta.sequence).ok_or(Counter::DropTooOld)?;
        self.follow_time(packet);
        let slot = out.slot().ok_or(Counter::DropSocketFull)?;
        let number = self.counts_transport.then_some(*way.transport_cc);
        let header_len = self.write_header(moment, source, outlet.payload_type, self.ssrc, sequence, way, slot).ok_or(Counter::DropMalformed)?;
        let (len, payload_len) = self.seal(packet, outlet.form, way.sender, sequence, header_len, slot).ok_or(Counter::DropMalformed)?;
        out.commit(way.path, len);
        way.sent(moment.now, number, len, Kind::Media);
        if let (Some(origins), Some(number)) = (&mut way.origins, number) {
            origins.note(number, Origin { ssrc: self.ssrc, sequence: sequence as u16 });
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
        Ok(())
    }

    /// Leaves a packet out, and closes the gap. One that comes after later ones were sent has its place already: what goes out in it
    /// is padding, so that the receiver does not ask for it.
    fn leave(&mut self, moment: &Moment, source: &Source<'_>, outlet: Outlet, way: &mut Way<'_>, out: &mut Outgoing) -> Result<(), Counter> {
        let packet = &source.packet;
        if outlet.form == (Form::Numbered { closes: true }) {
            self.picture.leave(&packet.meta.pictures);
        }
        if self.sequence.skip(packet.meta.sequence) {
            return Err(Counter::DropLayer);
        }
        let sequence = self.sequence.map(packet.meta.sequence).ok_or(Counter::DropTooOld)?;
        let slot = out.slot().ok_or(Counter::DropSocketFull)?;
        let number = self.counts_transport.then_some(*way.transport_cc);
        let header_len = self.write_header(moment, source, outlet.payload_type, self.ssrc, sequence, way, slot).ok_or(Counter::DropMalformed)?;
        let (header, padding) = slot.split_at_mut_checked(header_len).ok_or(Counter::DropMalformed)?;
        // Padding of one byte; it ends nothing.
        let ([first, second, ..], [length, ..]) = (header, padding) else { return Err(Counter::DropMalformed) };
        (*first, *second, *length) = (*first | PADDING, *second & 0x7f, 1);
        let len = way.sender.seal_in_place(slot, header_len, 1, self.ssrc, sequence).ok_or(Counter::DropMalformed)?;
        out.commit(way.path, len);
        way.sent(moment.now, number, len, Kind::Media);
        self.packets = self.packets.wrapping_add(1);
        Err(Counter::DropLayer)
    }

    /// Packets and bytes of payload sent since the last call.
    pub const fn uncounted(&mut self) -> (u64, u64) {
        let (packets, octets) = self.counted;
        self.counted = (self.packets, self.octets);
        (self.packets.wrapping_sub(packets) as u64, self.octets.wrapping_sub(octets) as u64)
    }

    /// What it carries.
    pub const fn kind(&self) -> MediaKind {
        self.plan.kind
    }

    /// Ticks of its clock in a second.
    pub const fn clock_rate(&self) -> u32 {
        self.wall.clock_rate
    }

    /// Asks for the memory that [`Self::forward`] reads beside its own.
    pub fn fetch(&self) {
        self.sequence.fetch();
    }

    /// Memory held beside its own size, in bytes.
    pub fn memory(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |_| size_of::<Before>());
        self.sequence.memory() + self.picture.memory() + self.redundancy.memory() + self.plan.codecs.capacity() * size_of::<CodecPlan>() + before
    }

    /// Whether its packets wait for their turn: pictures do, sound does not.
    pub const fn is_paced(&self) -> bool {
        matches!(self.plan.kind, MediaKind::Video)
    }

    /// What a sender report says: NTP now, the RTP timestamp of that moment, packets and octets sent.
    ///
    /// The timestamp lies on the publisher's own line of NTP against RTP (shared by its audio and video, so that
    /// lips stay in sync); nothing is reported before that line is known, or a few seconds have passed without it.
    pub fn sender_report(&self, now: Time, wall: Ntp, track: &Track) -> Option<SenderInfo> {
        if self.packets == 0 {
            return None;
        }
        let clock = track.encoding(self.selection_of(self.sending()?).present()?.encoding)?.clock;
        let rtp_timestamp = match (clock, track.clock_offset) {
            (Some(line), Some(offset)) => self.timestamp.map(line.at(wall.plus_micros(-offset))),
            // It does report, and of this stream it soon will: the reports of what went before hold until then.
            (None, Some(_)) if now.since(self.begun) <= LINE_OF_ARRIVAL_AFTER => return None,
            _ if now.since(self.pointed_at) > LINE_OF_ARRIVAL_AFTER => self.wall.at(now),
            _ => return None,
        };
        Some(SenderInfo { ntp: wall, rtp_timestamp, packets: self.packets, octets: self.octets })
    }

    /// A sender report goes out.
    pub const fn note_report(&mut self, info: &SenderInfo) {
        (self.line, self.unreported) = (Some((info.ntp, info.rtp_timestamp)), false);
    }

    /// Whether the last one of the same source, though of another encoding, says the same as this one would: then it tells a receiver nothing, and
    /// what leaves beside a key frame makes a queue longer.
    pub fn holds(&self, info: &SenderInfo) -> bool {
        self.line.is_some_and(|(ntp, timestamp)| {
            let passed = i128::from(info.ntp.micros_since(ntp)) * i128::from(self.wall.clock_rate) / 1_000_000;
            let apart = info.rtp_timestamp.wrapping_sub(timestamp).wrapping_sub(passed as u32).cast_signed();
            apart.unsigned_abs() <= self.wall.clock_rate / 1_000 * SAME_LINE_MS
        })
    }

    /// Whether what it sends has begun since its last sender report.
    pub const fn is_unreported(&self) -> bool {
        self.unreported
    }

    /// Whether a sender report may go out before the next regular one; if so, that counts.
    pub fn may_report(&mut self, now: Time) -> bool {
        self.reports.take(now, REPORTS, 1)
    }

    /// Whether its publisher may be asked for a key frame because its picture was lost; if so, that counts.
    pub fn may_lose(&mut self, now: Time) -> bool {
        self.losses.take(now, LOSSES, LOSS)
    }

    /// The first packet of a source: its numbers continue those of the one before (docs/adr/0005-timestamps-and-lips.md).
    fn begin(&mut self, moment: &Moment, source: &Source<'_>, way: &mut Way<'_>) {
        self.leave_before();
        (self.begun, self.unreported, way.begun) = (moment.now, true, true);
        let (packet, meta) = (&source.packet, source.packet.meta);
        let wall = self.wall.at(source.track.captured_at(moment.now, moment.wall, source.number, meta.timestamp));
        if self.packets == 0 {
            self.timestamp.start(meta.timestamp, wall);
        } else if source.track.kind == MediaKind::Audio {
            let frame = opus::frame_samples_48k(packet.payload).filter(|_| self.frame == 0).unwrap_or(self.frame).max(1);
            self.timestamp.audio_switch(meta.timestamp, wall, self.last_timestamp, frame);
        } else {
            self.timestamp.video_switch(meta.timestamp, wall, self.last_timestamp);
        }
        if self.packets > 0 {
            self.picture.switch();
            self.frames.switch();
        }
        self.sequence.switch(meta.sequence);
        self.last_source_timestamp = meta.timestamp;
        self.last_timestamp = self.timestamp.map(meta.timestamp);
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
}
