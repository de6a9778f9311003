//! Data channels: one SCTP association (RFC 8831) over a peer's DTLS, and the channels on it.
//!
//! The peer begins it, and the library (rtc-sctp) is given only what the [`gate`] admits, each chunk as a packet of its own. Streams
//! [`RELIABLE`] and [`LOSSY`] are channels without being opened, from the first message on the reliable one on (an empty one will do);
//! others are opened by DCEP. A reliable channel that sends more than it may is not read for a while: its sender waits. A lossy one loses
//! what is too much.

#![allow(clippy::disallowed_types, reason = "the SCTP crate takes its configuration as Arc")]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

mod association;
mod channels;
mod chunk;
mod gate;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_sctp::{PayloadProtocolIdentifier, ReliabilityType};

use crate::base::{Bucket, Time};
use crate::contract::{Counter, Counters, DataEnd, DataPlan};
use association::{Association, Happened};
use channels::{Channel, best};
use chunk::{Chunk, chunks, kind, tag, u32_at};
use gate::{Gate, PROBES, Verdict};

pub use channels::{LOSSY, MOST_CHANNELS, RELIABLE};
pub use gate::MOST_STREAMS;

/// Bytes that may wait on the channel of lossy messages: more is old when it arrives.
const LOSSY_QUEUE: usize = 64 * 1_024;
/// How much faster than ours the library's clock runs. It waits a second for an acknowledgement at least (RFC 9260 section 16), whatever the
/// round trip; browsers' own wait 0.2 s or less, and a way that loses a tenth carries no 40 KB/s with a second.
const PACE: u32 = 5;
/// Packets that wait to be sent. A whole queue of messages in packets of a kilobyte.
const MOST_OUTGOING: usize = 1_024;
/// Bytes of an association of the library's with nothing in it; it does not say, this was measured.
const ASSOCIATION: usize = 3 * 1_024;

/// What has happened on the channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SctpEvent {
    /// The peer can be reached: it has a channel.
    Opened,
    /// It cannot any more. Said once, and only after [`SctpEvent::Opened`].
    Ended(DataEnd),
    /// A message.
    Message {
        /// Its bytes.
        message: Vec<u8>,
        /// Whether it came on a reliable channel.
        reliable: bool,
    },
}

/// The data channels of one peer.
pub struct SctpTransport {
    epoch: Instant,
    plan: DataPlan,
    association: Option<Association>,
    gate: Gate,
    /// What the last INIT said (its tag, its first TSN), and what it was answered, until the association is there.
    init: Option<([u32; 2], Option<Bytes>)>,
    channels: Vec<Channel>,
    /// The next chunk, as a packet, where there was no room for it. Its sender repeats it after ever longer waits and sends nothing else, so
    /// that it would not notice for long that there is room again.
    waiting: Option<Vec<u8>>,
    /// Ports and tag of the peer's packets.
    head: [u8; 8],
    /// Bytes that were queued on channels that have closed since; the library may hold them still.
    orphaned: usize,
    messages: Bucket,
    bytes: Bucket,
    events: VecDeque<SctpEvent>,
    outgoing: VecDeque<Bytes>,
    told_open: bool,
    over: bool,
    /// It waits for its turn in the worker's list.
    pub listed: bool,
    /// When it has something to do, as of its last turn.
    pub due: Option<Time>,
}

impl SctpTransport {
    /// Data channels that the peer has not begun. `epoch` is the moment of [`Time::ZERO`].
    pub fn new(plan: DataPlan, epoch: Instant) -> Self {
        let limits = plan.limits;
        Self {
            epoch,
            plan,
            association: None,
            gate: Gate::new(),
            init: None,
            channels: Vec::new(),
            waiting: None,
            head: [0; 8],
            orphaned: 0,
            messages: Bucket::new(at_once(limits.messages_per_second)),
            bytes: Bucket::new(at_once(limits.bytes_per_second)),
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            told_open: false,
            over: false,
            listed: false,
            due: None,
        }
    }

    /// What was negotiated anew.
    pub fn set_plan(&mut self, plan: DataPlan) {
        self.plan = plan;
    }

    /// Memory held, in bytes, as far as it is known.
    pub fn memory(&self) -> usize {
        let association = self.association.as_ref().map_or(0, |_| ASSOCIATION + self.queued() + self.gate.memory());
        size_of::<Self>() + association + self.waiting.as_ref().map_or(0, Vec::len) + self.outgoing.iter().map(Bytes::len).sum::<usize>()
    }

    /// Takes an SCTP packet of the peer's. `room` messages may be handed up at most; as many fewer remain.
    pub fn handle_packet(&mut self, now: Time, packet: &[u8], room: &mut u32, counters: &mut Counters) {
        let Some(chunks) = chunks(packet) else { return counters.add(Counter::DataDropMalformed) };
        for chunk in chunks {
            if self.over {
                return counters.add(Counter::DataDropUnexpected);
            }
            let Some(chunk) = chunk else { return counters.add(Counter::DataDropMalformed) };
            let established = self.association.as_ref().is_some_and(Association::is_established);
            let has_unread = self.channels.iter().any(|channel| channel.unread);
            match self.gate.admit(now, &chunk, established, has_unread) {
                Verdict::Feed if chunk.kind == kind::INIT => self.begin(now, packet, &chunk, counters),
                Verdict::Feed => {
                    let kept = self.feed(now, packet, &chunk);
                    self.check(kept, counters);
                }
                Verdict::Skip => {}
                Verdict::Wait => self.waiting = Some(chunk::alone(packet, &chunk)),
                Verdict::Drop(reason) => counters.add(reason),
                Verdict::Stop(reason) => return counters.add(reason),
                Verdict::End => self.end(now, DataEnd::Misuse, counters),
            }
            self.take_in(now, room, counters);
        }
    }

    /// Puts a message on the channel that suits it best. A peer for whom too much waits loses a lossy one; that a reliable one would be
    /// lost ends its channels.
    pub fn send(&mut self, now: Time, message: &Bytes, reliable: bool, counters: &mut Counters) {
        let (queued, instant) = (self.queued(), self.instant(now));
        let (Some(association), Some(channel)) = (&mut self.association, best(&mut self.channels, reliable)) else {
            return counters.add(Counter::DataDropNoChannel);
        };
        if message.len() > self.plan.peer_takes as usize {
            return counters.add(Counter::DataDropTooLong);
        }
        let is_full = queued + message.len() > self.plan.limits.queue_bytes as usize;
        if is_full || (!reliable && channel.queued + message.len() > LOSSY_QUEUE) {
            counters.add(Counter::DataDropFull);
            if reliable {
                self.end(now, DataEnd::TooSlow, counters);
            }
            return;
        }
        if association.write(instant, channel.stream, message, PayloadProtocolIdentifier::Binary) {
            channel.queued += message.len();
            counters.add(Counter::DataOut);
            counters.add_many(Counter::DataBytesOut, message.len() as u64);
        } else {
            counters.add(Counter::DataDropNoChannel);
        }
    }

    /// Does what is due: retransmissions, acknowledgements, and reading what had to wait. As [`Self::handle_packet`] for `room`.
    pub fn handle_timeout(&mut self, now: Time, room: &mut u32, counters: &mut Counters) {
        let instant = self.instant(now);
        if let Some(association) = &mut self.association
            && association.deadline().is_some_and(|at| at <= instant)
        {
            let kept = guarded(|| association.handle_timeout(instant));
            self.check(kept, counters);
        }
        self.take_in(now, room, counters);
        self.read_on(now, room, counters);
        self.tell_window(now, room, counters);
    }

    /// When [`Self::handle_timeout`] has something to do. Reading that waits for `room` has no moment.
    pub fn poll_timeout(&mut self, now: Time) -> Option<Time> {
        let library = self.association.as_ref().and_then(Association::deadline).map(|at| self.time(at));
        let limits = self.plan.limits;
        let unread = self.channels.iter().any(|channel| channel.unread);
        let shut = unread && !self.may_read(now);
        let reading = shut.then(|| self.messages.opens_at(limits.messages_per_second).max(self.bytes.opens_at(limits.bytes_per_second)));
        [library, reading].into_iter().flatten().min()
    }

    /// Whether something waits to be read.
    pub fn has_unread(&self) -> bool {
        self.channels.iter().any(|channel| channel.unread)
    }

    /// What has happened, once each.
    pub fn poll_event(&mut self) -> Option<SctpEvent> {
        self.events.pop_front()
    }

    /// The next SCTP packet for the peer.
    pub fn poll_transmit(&mut self, now: Time, counters: &mut Counters) -> Option<Bytes> {
        if self.outgoing.is_empty() {
            self.collect(now, counters);
        }
        self.outgoing.pop_front()
    }

    /// The connection below is gone: so are the channels.
    pub fn close(&mut self) {
        self.forget(DataEnd::Closed);
    }

    /// An INIT: repeated, it gets the same answer; another one begins anew, for the library knows no other way to answer a second one. Once
    /// the association is there, an INIT is a late repetition (RFC 9260 section 5.2.2 would restart: nobody does over DTLS).
    fn begin(&mut self, now: Time, packet: &[u8], chunk: &Chunk<'_>, counters: &mut Counters) {
        let (Some(theirs), Some(first)) = (u32_at(chunk.value, 0), u32_at(chunk.value, 12)) else {
            return counters.add(Counter::DataDropMalformed);
        };
        if tag(packet) != Some(0) || self.association.as_ref().is_some_and(Association::is_established) {
            return counters.add(Counter::DataDropUnexpected);
        }
        if let Some((known, answer)) = &self.init
            && *known == [theirs, first]
        {
            return self.outgoing.extend(answer.clone());
        }
        self.gate.begin(first);
        let instant = self.instant(now);
        let message_bytes = self.plan.limits.longest();
        let alone = chunk::alone(packet, chunk);
        match catch_unwind(AssertUnwindSafe(|| Association::accept(instant, message_bytes, alone))) {
            Ok(association) => self.association = association,
            Err(_) => return self.check(false, counters),
        }
        let mut answer = None;
        if let Some(association) = &mut self.association {
            answer = guarded_or(None, || association.transmit(instant).into_iter().next()).map(|packet| chunk::telling_less(packet, PROBES as u32));
        }
        self.outgoing.clear();
        self.outgoing.extend(answer.clone());
        self.init = Some(([theirs, first], answer));
    }

    /// Whether the library got through it.
    fn feed(&mut self, now: Time, packet: &[u8], chunk: &Chunk<'_>) -> bool {
        let (instant, alone) = (self.instant(now), chunk::alone(packet, chunk));
        let Some(association) = &mut self.association else { return true };
        self.head = packet.first_chunk().copied().unwrap_or_default();
        guarded(|| association.feed(instant, alone))
    }

    /// What has come of what was fed.
    fn take_in(&mut self, now: Time, room: &mut u32, counters: &mut Counters) {
        while let Some(happened) = self.association.as_mut().and_then(Association::poll) {
            match happened {
                Happened::Established => self.init = None,
                Happened::Readable(stream) => self.read(now, stream, room, counters),
                Happened::Released(stream, bytes) => {
                    if let Some(channel) = self.channel(stream) {
                        channel.queued = channel.queued.saturating_sub(bytes);
                    }
                }
                Happened::Reset(stream) => self.lose(now, stream, counters),
                Happened::Ended => self.forget(DataEnd::Closed),
            }
        }
    }

    /// Reads a stream as far as its peer may send.
    fn read(&mut self, now: Time, stream: u16, room: &mut u32, counters: &mut Counters) {
        loop {
            let may_read = self.may_read(now) && *room > 0;
            let channel = self.channels.iter_mut().find(|channel| channel.stream == stream);
            let is_reliable = channel.as_ref().is_none_or(|channel| channel.is_reliable());
            if let Some(channel) = channel {
                channel.unread = is_reliable && !may_read;
                if channel.unread {
                    return;
                }
            }
            let longest = self.plan.limits.longest() as usize;
            let read = self.association.as_mut().and_then(|association| guarded_or(None, || association.read(stream, longest)));
            let Some(read) = read else { return };
            self.gate.was_read(read.pieces, read.bytes);
            let Some(message) = read.message else {
                counters.add(Counter::DataDropTooLong);
                continue;
            };
            match read.kind {
                PayloadProtocolIdentifier::Dcep => self.negotiate(now, stream, &message, counters),
                PayloadProtocolIdentifier::Unknown => counters.add(Counter::DataDropUnexpected),
                kind => {
                    if self.channel(stream).is_none() && !self.open_known(stream) {
                        counters.add(Counter::DataDropNoChannel);
                        continue;
                    }
                    let is_empty = matches!(kind, PayloadProtocolIdentifier::StringEmpty | PayloadProtocolIdentifier::BinaryEmpty);
                    if !is_empty {
                        self.hand_up(message.into(), is_reliable && stream != LOSSY, may_read, room, counters);
                    }
                }
            }
        }
    }

    fn hand_up(&mut self, message: Vec<u8>, reliable: bool, may_read: bool, room: &mut u32, counters: &mut Counters) {
        if !may_read {
            return counters.add(Counter::DataDropRate);
        }
        self.messages.spend(1);
        self.bytes.spend(message.len());
        *room -= 1;
        counters.add(Counter::DataIn);
        counters.add_many(Counter::DataBytesIn, message.len() as u64);
        self.events.push_back(SctpEvent::Message { message, reliable });
    }

    /// Reads what had to wait, as far as it may now.
    fn read_on(&mut self, now: Time, room: &mut u32, counters: &mut Counters) {
        let waiting: Vec<u16> = self.channels.iter().filter(|channel| channel.unread).map(|channel| channel.stream).collect();
        for stream in waiting {
            self.read(now, stream, room, counters);
        }
    }

    /// Tells a peer that has been kept waiting that there is room again.
    fn tell_window(&mut self, now: Time, room: &mut u32, counters: &mut Counters) {
        let (instant, head) = (self.instant(now), self.head);
        let Some(tsn) = self.gate.owes_window() else { return };
        if let Some(packet) = self.waiting.take() {
            self.handle_packet(now, &packet, room, counters);
        }
        let Some(association) = &mut self.association else { return };
        let kept = guarded(|| association.feed(instant, chunk::known_again(head, tsn)));
        self.check(kept, counters);
    }

    /// DCEP (RFC 8832). We open no channel: an acknowledgement is nobody's.
    fn negotiate(&mut self, now: Time, stream: u16, message: &[u8], counters: &mut Counters) {
        let opened = guarded_or(None, || Channel::opened(stream, message));
        let Some((channel, answer)) = opened.filter(|_| self.channel(stream).is_none()) else {
            return counters.add(Counter::DataDropUnexpected);
        };
        let instant = self.instant(now);
        if self.channels.len() >= MOST_CHANNELS {
            counters.add(Counter::DataDropUnexpected);
            if let Some(association) = &mut self.association {
                association.reset(instant, stream);
            }
            return;
        }
        self.open(channel);
        if let Some(association) = &mut self.association {
            association.write(instant, stream, &answer, PayloadProtocolIdentifier::Dcep);
        }
        if let Some(channel) = self.channel(stream) {
            channel.queued += answer.len();
        }
    }

    /// The pair of channels that need no opening.
    fn open_known(&mut self, stream: u16) -> bool {
        if stream != RELIABLE && stream != LOSSY || self.channels.len() + 2 > MOST_CHANNELS {
            return false;
        }
        for known in [RELIABLE, LOSSY] {
            if self.channel(known).is_none() {
                self.open(Channel::known(known));
            }
        }
        true
    }

    fn open(&mut self, channel: Channel) {
        if let Some(association) = &mut self.association {
            let limit = match channel.reliability {
                // Milliseconds of the library's clock.
                ReliabilityType::Timed => channel.limit.saturating_mul(PACE),
                _ => channel.limit,
            };
            association.configure(channel.stream, channel.ordered, channel.reliability, limit);
        }
        self.channels.push(channel);
        if !std::mem::replace(&mut self.told_open, true) {
            self.events.push_back(SctpEvent::Opened);
        }
    }

    /// The peer has closed a channel.
    fn lose(&mut self, now: Time, stream: u16, counters: &mut Counters) {
        let Some(at) = self.channels.iter().position(|channel| channel.stream == stream) else { return };
        self.orphaned += self.channels.remove(at).queued;
        if self.orphaned > self.plan.limits.queue_bytes as usize {
            self.end(now, DataEnd::Misuse, counters);
        } else if self.channels.is_empty() {
            self.tell_end(DataEnd::Closed);
        }
    }

    fn channel(&mut self, stream: u16) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.stream == stream)
    }

    fn queued(&self) -> usize {
        self.orphaned + self.channels.iter().map(|channel| channel.queued).sum::<usize>()
    }

    fn may_read(&mut self, now: Time) -> bool {
        let limits = self.plan.limits;
        self.messages.is_open(now, limits.messages_per_second, at_once(limits.messages_per_second))
            && self.bytes.is_open(now, limits.bytes_per_second, at_once(limits.bytes_per_second))
    }

    /// Moves what the library wants to send to the queue.
    fn collect(&mut self, now: Time, counters: &mut Counters) {
        let instant = self.instant(now);
        let Some(association) = &mut self.association else { return };
        let Ok(packets) = catch_unwind(AssertUnwindSafe(|| association.transmit(instant))) else { return self.check(false, counters) };
        packets.iter().for_each(|packet| self.gate.sends(packet));
        let room = MOST_OUTGOING.saturating_sub(self.outgoing.len());
        self.outgoing.extend(packets.into_iter().take(room).map(|packet| chunk::telling_less(packet, PROBES as u32)));
    }

    /// Ends the association; the peer is told.
    fn end(&mut self, now: Time, why: DataEnd, counters: &mut Counters) {
        let instant = self.instant(now);
        if let Some(association) = &mut self.association {
            let farewell = guarded_or(Vec::new(), || association.abort(instant));
            self.outgoing.clear();
            self.outgoing.extend(farewell);
        }
        counters.add(if why == DataEnd::TooSlow { Counter::DataTooSlow } else { Counter::DataMisuse });
        self.forget(why);
    }

    /// The library has failed on what it was fed.
    fn check(&mut self, kept: bool, counters: &mut Counters) {
        if !kept {
            counters.add(Counter::DataMisuse);
            self.forget(DataEnd::Misuse);
        }
    }

    fn forget(&mut self, why: DataEnd) {
        self.over = true;
        self.association = None;
        self.channels.clear();
        self.init = None;
        self.waiting = None;
        self.gate = Gate::new();
        self.orphaned = 0;
        self.tell_end(why);
    }

    fn tell_end(&mut self, why: DataEnd) {
        if std::mem::replace(&mut self.told_open, false) {
            self.events.push_back(SctpEvent::Ended(why));
        }
    }

    /// What the library's clock shows.
    fn instant(&self, now: Time) -> Instant {
        self.epoch.checked_add(Duration::from_micros(now.as_micros()).saturating_mul(PACE)).unwrap_or(self.epoch)
    }

    /// When its clock shows that.
    fn time(&self, at: Instant) -> Time {
        let shown = at.saturating_duration_since(self.epoch).as_micros().div_ceil(u128::from(PACE));
        Time::from_micros(u64::try_from(shown).unwrap_or(u64::MAX))
    }
}

/// As much at once as in two seconds.
const fn at_once(per_second: u32) -> u32 {
    per_second.saturating_mul(2)
}

/// Whether the library got through it. A fault of its own on a peer's bytes costs that peer's channels, and nobody else anything.
fn guarded(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_ok()
}

fn guarded_or<T>(otherwise: T, act: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(otherwise)
}

#[cfg(test)]
pub(in crate::media) mod tests;
