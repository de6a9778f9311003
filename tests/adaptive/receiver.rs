//! What a participant does with what it is sent: opens it, asks for what is missing, reports what came when, and watches pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing::base::{Bitrate, Ntp, Time};
use althing::media::packet::rtcp::{Compound, ReportBlock};
use althing::media::packet::twcc::Arrivals;

use crate::decoder::Decoder;
use crate::opened::Packet;

/// How it reports what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Transport-wide, so often.
    Transport(Duration),
    /// It estimates its link itself and says so, in bit/s.
    Estimates(u64),
}

/// A missing packet is asked for so often at most.
const MOST_REQUESTS: u32 = 10;
/// And not after so long.
const GIVE_UP: Duration = Duration::from_secs(1);
/// Without a picture for so long after it would have been shown, although packets come, a key frame is asked for.
const STARVED_AFTER: Duration = Duration::from_millis(200);
/// Missing packets beyond this are not asked for one by one.
const MOST_MISSING: u64 = 1_000;

#[derive(Clone, Copy)]
struct Missing {
    since: Time,
    ask_at: Time,
    requests: u32,
}

/// One slot's half: a picture, or sound.
#[derive(Default)]
pub struct Slot {
    pub decoder: Decoder,
    pub packets: u64,
    /// Those of them that had been sent before.
    pub repeats: u64,
    missing: BTreeMap<u64, Missing>,
    highest: Option<u64>,
    first: u64,
    come: BTreeSet<u64>,
    /// Packets that came twice: once more than asked for.
    pub twice: u64,
    /// How long each packet was missing that was sent again, in microseconds.
    pub recovered: Vec<(Time, u32)>,
    /// When it was noticed that a packet is missing that never came.
    pub given_up: Vec<Time>,
    /// Since when packets come and no picture is shown.
    starved: Option<Time>,
    asked_for_key: Time,
    pub key_requests: u64,
    /// The middle of the last sender report's time, and when it came.
    sender_report: Option<(u32, Time)>,
    /// When each sender report came.
    pub told: Vec<Time>,
    reported: (u64, u64),
    pub last_sound: Option<Time>,
}

/// All slots of a participant.
pub struct Receiver {
    pub slots: BTreeMap<u32, Slot>,
    pub feedback: Feedback,
    arrivals: Arrivals,
    /// The round trip, as it knows it.
    pub round_trip: Duration,
    /// It waits so long for what may only be late.
    pub patience: Duration,
    /// It shows pictures so long after they have come.
    pub hold: Duration,
    next_shown: Time,
    next_feedback: Time,
    next_report: Time,
    next_nack: Time,
    /// What was asked for and has not come: media SSRC and number.
    pub asked: BTreeSet<(u32, u64)>,
    /// When it said what it has received.
    pub fed_back: Vec<Time>,
}

impl Receiver {
    pub fn new(feedback: Feedback, round_trip: Duration) -> Self {
        Self {
            slots: BTreeMap::new(),
            feedback,
            arrivals: Arrivals::new(),
            round_trip,
            patience: Duration::from_millis(5),
            hold: Duration::ZERO,
            next_shown: Time::NEVER,
            next_feedback: Time::ZERO,
            next_report: Time::from_millis(500),
            next_nack: Time::ZERO,
            asked: BTreeSet::new(),
            fed_back: Vec::new(),
        }
    }

    pub fn next_at(&self) -> Time {
        self.next_feedback.min(self.next_report).min(self.next_nack).min(self.next_shown)
    }

    pub fn take(&mut self, now: Time, packet: &Packet) {
        if let (Some(number), Feedback::Transport(_)) = (packet.transport, self.feedback) {
            self.arrivals.record(number, now);
        }
        // A repeat of nothing only fills.
        if packet.repeat && packet.stamp.is_none() {
            return;
        }
        let slot = self.slots.entry(packet.ssrc).or_default();
        slot.decoder.hold = self.hold;
        slot.packets += 1;
        slot.repeats += u64::from(packet.repeat);
        let number = packet.number;
        if !slot.come.insert(number) {
            slot.twice += 1;
            return;
        }
        while slot.come.len() > 6_000 {
            slot.come.pop_first();
        }
        if let Some(missing) = slot.missing.remove(&number) {
            self.asked.remove(&(packet.ssrc, number));
            if packet.repeat {
                slot.recovered.push((missing.since, now.micros_since(missing.since) as u32));
            }
        }
        match slot.highest {
            None => (slot.highest, slot.first) = (Some(number), number),
            Some(highest) if number > highest => {
                if !packet.is_sound() && number - highest <= MOST_MISSING {
                    let missing = Missing { since: now, ask_at: now + self.patience, requests: 0 };
                    slot.missing.extend((highest + 1..number).map(|number| (number, missing)));
                    if number > highest + 1 {
                        self.next_nack = self.next_nack.min(missing.ask_at);
                    }
                }
                slot.highest = Some(number);
            }
            Some(_) => {}
        }
        if packet.is_sound() {
            slot.last_sound = Some(now);
            return;
        }
        let shown = slot.decoder.shown.len();
        slot.decoder.take(now, packet);
        self.next_shown = self.next_shown.min(slot.decoder.next_at());
        if slot.decoder.shown.len() > shown {
            slot.starved = None;
        } else if packet.stamp.is_some() {
            slot.starved.get_or_insert(now);
        }
    }

    pub fn sender_report(&mut self, now: Time, ssrc: u32, ntp: Ntp) {
        if let Some(slot) = self.slots.get_mut(&ssrc) {
            slot.sender_report = Some((ntp.middle(), now));
            slot.told.push(now);
        }
    }

    /// Writes what is due into compounds, in the name of `own`.
    pub fn tick(&mut self, now: Time, own: u32, out: &mut Vec<Vec<u8>>) {
        if self.next_shown <= now {
            for slot in self.slots.values_mut() {
                let shown = slot.decoder.shown.len();
                slot.decoder.tick(now);
                if slot.decoder.shown.len() > shown {
                    slot.starved = None;
                }
            }
            self.next_shown = self.slots.values().map(|slot| slot.decoder.next_at()).min().unwrap_or(Time::NEVER);
        }
        if self.next_nack <= now {
            self.ask(now, own, out);
        }
        if self.next_feedback <= now {
            self.feed_back(now, own, out);
        }
        if self.next_report <= now {
            self.next_report = now + Duration::from_secs(1);
            self.report(now, own, out);
        }
    }

    fn ask(&mut self, now: Time, own: u32, out: &mut Vec<Vec<u8>>) {
        let mut next = Time::NEVER;
        for (ssrc, slot) in &mut self.slots {
            let mut due = Vec::new();
            let (given_up, asked) = (&mut slot.given_up, &mut self.asked);
            slot.missing.retain(|number, missing| {
                if now.since(missing.since) >= GIVE_UP || missing.requests >= MOST_REQUESTS && missing.ask_at <= now {
                    given_up.push(missing.since);
                    asked.remove(&(*ssrc, *number));
                    return false;
                }
                if missing.ask_at <= now {
                    missing.requests += 1;
                    missing.ask_at = now + self.round_trip + Duration::from_millis(10);
                    due.push(*number as u16);
                    asked.insert((*ssrc, *number));
                }
                next = next.min(missing.ask_at);
                true
            });
            let mut due = due.into_iter();
            while due.len() > 0 {
                out.push(written(|compound| compound.nack(own, *ssrc, &mut due)));
            }
        }
        self.next_nack = next;
    }

    fn feed_back(&mut self, now: Time, own: u32, out: &mut Vec<Vec<u8>>) {
        let media = self.slots.first_key_value().map_or(0, |(ssrc, _)| *ssrc);
        match self.feedback {
            Feedback::Transport(every) => {
                self.next_feedback = now + every;
                let mut fci = [0; 1_100];
                while let Some(len) = self.arrivals.write_fci(&mut fci) {
                    self.fed_back.push(now);
                    out.push(written(|compound| compound.transport_feedback(own, media, &fci[..len])));
                }
            }
            Feedback::Estimates(bps) => {
                self.next_feedback = now + Duration::from_millis(100);
                let ssrcs: Vec<u32> = self.slots.keys().copied().take(20).collect();
                out.push(written(|compound| compound.remb(own, Bitrate::bps(bps), &ssrcs)));
            }
        }
        for (ssrc, slot) in &mut self.slots {
            let starved = slot.starved.is_some_and(|since| now.since(since) > STARVED_AFTER + self.hold);
            if starved && now.since(slot.asked_for_key) > STARVED_AFTER + self.hold + self.round_trip {
                (slot.asked_for_key, slot.key_requests) = (now, slot.key_requests + 1);
                out.push(written(|compound| compound.picture_loss(own, *ssrc)));
            }
        }
    }

    fn report(&mut self, now: Time, own: u32, out: &mut Vec<Vec<u8>>) {
        let mut blocks = Vec::new();
        for (ssrc, slot) in &mut self.slots {
            let Some(highest) = slot.highest else { continue };
            let (expected, come) = (highest - slot.first + 1, slot.packets);
            let (expected_now, come_now) = (expected - slot.reported.0, come - slot.reported.1);
            slot.reported = (expected, come);
            let lost = expected_now.saturating_sub(come_now);
            blocks.push(ReportBlock {
                ssrc: *ssrc,
                fraction_lost: (lost * 256 / expected_now.max(1)).min(255) as u8,
                cumulative_lost: expected.saturating_sub(come) as i32,
                highest: highest as u32,
                jitter: 0,
                last_sr: slot.sender_report.map_or(0, |(middle, _)| middle),
                delay: slot.sender_report.map_or(0, |(_, at)| (now.micros_since(at) * 65_536 / 1_000_000) as u32),
            });
        }
        for blocks in blocks.chunks(31) {
            out.push(written(|compound| compound.receiver_report(own, blocks)));
        }
    }
}

/// A compound in the clear. What does not fit is left for the next one.
pub fn written(write: impl FnOnce(&mut Compound<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; 1_200];
    let mut compound = Compound::new(&mut buffer);
    write(&mut compound);
    let len = compound.len();
    buffer[..len].to_vec()
}
