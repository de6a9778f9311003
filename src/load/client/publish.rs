//! What a client sends: packets when they are due, the same again when asked, sender reports.

use std::time::Duration;

use super::{Desk, Light, Now, send};
use crate::base::random::Random;
use crate::base::{Ntp, Time};
use crate::contract::MediaKind;
use crate::load::board::kind_of;
use crate::load::media::{Composer, Schedule, Source};
use crate::load::stamp::Stamp;
use crate::media::packet::rtcp::{Compound, SenderInfo};

/// Sealed packets of a stream that may be sent again: a second of video. More costs 1.2 KB each for every publisher.
const HISTORY: [usize; 2] = [64, 256];

/// A stream that is sent.
pub(super) struct Outgoing {
    stream: u32,
    schedule: Schedule,
    composer: Composer,
    number: u32,
    packets: u32,
    octets: u32,
    key_frame_wanted: bool,
    /// Sealed packets by their index modulo its length.
    history: Vec<(u64, Vec<u8>)>,
}

impl Outgoing {
    pub fn new(now: Time, publisher: u32, stream: u32, ssrc: u32, source: Source, random: &mut Random) -> Self {
        let kind = kind_of(stream);
        // Publishers begin at different moments of a frame, evenly spread: all in one millisecond would be a burst that no call has.
        let share = (f64::from(publisher) * 0.618_033_988_75).fract();
        let begin = now + Duration::from_millis(33).mul_f64(share);
        Self {
            stream,
            schedule: Schedule::new(source, begin),
            composer: Composer::new(kind, ssrc, random),
            number: 0,
            packets: 0,
            octets: 0,
            // The first frame is a key frame.
            key_frame_wanted: true,
            history: vec![(u64::MAX, Vec::new()); HISTORY[usize::from(kind == MediaKind::Video)]],
        }
    }

    pub fn due(&self) -> Time {
        self.schedule.due()
    }

    pub fn ssrc(&self) -> u32 {
        self.composer.ssrc
    }

    pub fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    fn info(&self, now: Now) -> SenderInfo {
        SenderInfo {
            ntp: Ntp::from_unix(Duration::from_nanos(now.wall)),
            rtp_timestamp: self.composer.timestamp_at(now.time.since(self.schedule.begin())),
            packets: self.packets,
            octets: self.octets,
        }
    }
}

impl Light {
    /// Sends what is due.
    pub(super) fn publish(&mut self, now: Now, desk: &mut Desk) {
        let Some(crypto) = &self.crypto else { return };
        for out in self.outgoing.iter_mut().filter(|o| o.due() <= now.time) {
            if !desk.board.may_send(out.stream, out.number) {
                out.schedule.end();
                continue;
            }
            let mut drafts = std::mem::take(&mut desk.drafts);
            drafts.clear();
            if out.schedule.take(now.time, out.key_frame_wanted, &mut drafts) {
                out.key_frame_wanted = false;
            }
            for draft in &drafts {
                let stamp = Stamp { stream: out.stream, number: out.number, sent: monotonic() };
                let buffer = &mut desk.buffer[..];
                let Some(written) = out.composer.write(desk.run, draft, &stamp, buffer) else { continue };
                let sealed = crypto.rtp_out.seal_in_place(buffer, written.header, written.payload, out.composer.ssrc, written.index);
                let Some(len) = sealed else { continue };
                send(&self.socket, &desk.buffer[..len], desk);
                out.number += 1;
                out.packets = out.packets.wrapping_add(1);
                out.octets = out.octets.wrapping_add(written.payload as u32);
                let place = (written.index % out.history.len() as u64) as usize;
                if let Some((index, bytes)) = out.history.get_mut(place) {
                    *index = written.index;
                    bytes.clear();
                    bytes.extend_from_slice(&desk.buffer[..len]);
                }
            }
            desk.board.sent(out.stream, out.number);
            desk.drafts = drafts;
        }
    }

    /// Sends packets again, as they were: the server has asked for them.
    pub(super) fn repeat(&self, ssrc: u32, lost: impl Iterator<Item = u16>, desk: &Desk) {
        let Some(out) = self.outgoing.iter().find(|o| o.ssrc() == ssrc) else { return };
        let next = out.composer.index;
        for sequence in lost {
            let behind = (next as u16).wrapping_sub(sequence);
            let index = next.wrapping_sub(u64::from(behind));
            let known = out.history.get((index % out.history.len() as u64) as usize).filter(|(i, _)| *i == index);
            if let Some((_, bytes)) = known {
                send(&self.socket, bytes, desk);
            }
        }
    }

    /// Appends sender reports; whether there was anything to report.
    pub(super) fn sender_reports(&self, now: Now, compound: &mut Compound<'_>) -> bool {
        for out in &self.outgoing {
            compound.sender_report(out.ssrc(), out.info(now), &[]);
            compound.cname(out.ssrc(), "load");
        }
        !self.outgoing.is_empty()
    }
}

/// Nanoseconds of CLOCK_MONOTONIC: read anew for every packet, since the ones before it took their time.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
