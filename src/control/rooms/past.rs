//! What is known of a call as a whole: of those who are there and of those who have left. Who had bad pictures, when, and on which leg.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;

use super::journal::MemberJournal;
use super::member::Member;
use super::room::Room;
use super::troubles::{Leg, Shown, Sign, Trouble, Worst};
use crate::base::{RoomId, Time};
use crate::wire::MemberId;

/// What is kept of those who have left, counted in entries of their journals: about a megabyte of text.
const MOST: usize = 8_192;

/// So much more may be lost of a picture at a subscriber than on the way from its publisher, and still be the same loss, measured at other times:
/// a look at one way may have what the look at the other has not had yet.
const ECHO_PER_CENT: u64 = 10;
/// How long a look at a way is about, in milliseconds, at most.
const LOOK_MS: u64 = 6_000;

/// Of what is bad in a call at present, so much is said in a list.
pub(super) const MOST_PRESENT: usize = 8;

/// How a call does at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtPresent {
    /// Who is there.
    pub members: usize,
    /// How many times are bad for somebody, and last.
    pub count: usize,
    /// The newest of them.
    pub troubles: Vec<Finding>,
}

/// What a room remembers of those who have left.
#[derive(Debug)]
pub(super) struct Past {
    began: Time,
    now: Time,
    members: VecDeque<MemberJournal>,
    size: usize,
    dropped: u64,
}

/// What happened in a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallAccount {
    /// Of what follows.
    version: u8,
    /// The call: a room from its first member to its last.
    pub id: u64,
    /// The room's name.
    pub room: String,
    /// The wall clock at 0 of all that ends in `_ms`, in milliseconds since 1970.
    pub epoch_unix_ms: u64,
    pub began_ms: u64,
    /// None while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// Members who have left and of whom nothing is kept any more.
    dropped_members: u64,
    /// Who had bad pictures or sound, when, and on which leg; the first first.
    pub troubles: Vec<Finding>,
    pub members: Vec<MemberJournal>,
}

/// A time in which somebody had bad pictures or sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub from_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// Who had it. Of an uplink: whoever was sent it meanwhile, none if nobody was.
    pub had_by: Vec<MemberId>,
    /// On which part of the way.
    pub leg: Leg,
    /// Whose part it is.
    pub leg_of: MemberId,
    pub sign: Sign,
    /// What it was; none: everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    pub worst: Worst,
    #[serde(skip)]
    lost_ms: u64,
}

impl Past {
    pub fn new(now: Time) -> Self {
        Self { began: now, now, members: VecDeque::new(), size: 0, dropped: 0 }
    }

    pub const fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    pub const fn now(&self) -> Time {
        self.now
    }

    /// A member leaves: what happened to it stays, for a while.
    pub fn keep(&mut self, member: &mut Member) {
        member.journal.troubles.end(self.now);
        let journal = member.journal.of(member.identity.clone(), member.name.clone(), Some(self.now));
        self.size += journal.size();
        self.members.push_back(journal);
        while self.size > MOST {
            let Some(gone) = self.members.pop_front() else { break };
            self.size -= gone.size();
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl Room {
    /// What has happened in it so far. `epoch` is the wall clock at [`Time::ZERO`], in milliseconds since 1970.
    pub fn account(&self, id: RoomId, epoch: u64) -> CallAccount {
        let members: Vec<_> = self.past.members.iter().cloned().chain(self.journals()).collect();
        let mut troubles: Vec<_> = members.iter().flat_map(|m| m.troubles.iter().map(|t| finding(&m.member, t))).collect();
        leave_out_echoes(&mut troubles, self.past.now.as_micros() / 1_000);
        troubles.sort_by_key(|trouble| trouble.from_ms);
        CallAccount {
            version: 1,
            id: id.0,
            room: self.name.as_str().to_owned(),
            epoch_unix_ms: epoch,
            began_ms: self.past.began.as_micros() / 1_000,
            ended_ms: None,
            dropped_members: self.past.dropped,
            troubles,
            members,
        }
    }

    /// What is bad at present, for whom there is somebody: the newest of it, [`MOST_PRESENT`] at most; and how many members there are.
    pub fn at_present(&self) -> AtPresent {
        let now = self.past.now;
        let of_member = |member: &Member| member.journal.troubles.present(now).map(|trouble| finding(&member.identity, trouble)).collect::<Vec<_>>();
        let mut troubles: Vec<_> = self.members.values().flat_map(of_member).collect();
        leave_out_echoes(&mut troubles, now.as_micros() / 1_000);
        troubles.retain(|trouble| !trouble.had_by.is_empty());
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.from_ms));
        let count = troubles.len();
        troubles.truncate(MOST_PRESENT);
        AtPresent { members: self.members.len(), count, troubles }
    }

    /// The same when it is over. Whoever was still there has left now.
    pub fn account_at_the_end(&mut self, id: RoomId, epoch: u64) -> CallAccount {
        for mut member in std::mem::take(&mut self.members).into_values() {
            self.past.keep(&mut member);
        }
        CallAccount { ended_ms: Some(self.past.now.as_micros() / 1_000), ..self.account(id, epoch) }
    }
}

impl Finding {
    /// What never came to the server is missing at every subscriber, who reports it as loss: it is no fault of that leg.
    fn is_echo_of(&self, other: &Finding, now: u64) -> bool {
        let span = |found: &Finding| found.to_ms.unwrap_or(now).saturating_sub(found.from_ms);
        let worst = |found: &Finding| found.worst.loss_per_cent.unwrap_or(0);
        let track = |found: &Finding| found.shown.as_ref().map(|shown| shown.track);
        let legs = (self.leg, self.sign, other.leg, other.sign) == (Leg::Downlink, Sign::Loss, Leg::Uplink, Sign::Loss);
        // Of a longer time no more than what may have been lost meanwhile, a look before and one behind it.
        let shared = other.lost_ms * (span(self) + 2 * LOOK_MS).min(span(other)) / span(other).max(1);
        // What fills a look at one way fills half of one at the other at least.
        let alike = worst(self) <= 2 * worst(other) && self.lost_ms <= shared + span(self) * ECHO_PER_CENT / 100;
        legs && track(self) == track(other) && alike && self.mostly_within(other, now)
    }

    /// Whether at least half of it lies within another one; `now` is where those end that last.
    fn mostly_within(&self, other: &Finding, now: u64) -> bool {
        let (ends, other_ends) = (self.to_ms.unwrap_or(now), other.to_ms.unwrap_or(now));
        let overlap = ends.min(other_ends).saturating_sub(self.from_ms.max(other.from_ms));
        overlap * 2 >= ends.saturating_sub(self.from_ms)
    }
}

impl CallAccount {
    /// As it is given out.
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

fn leave_out_echoes(troubles: &mut Vec<Finding>, now: u64) {
    let echoes: Vec<_> = troubles.iter().map(|found| troubles.iter().any(|other| found.is_echo_of(other, now))).collect();
    let mut is_echo = echoes.into_iter();
    troubles.retain(|_| !is_echo.next().unwrap_or(false));
}

fn finding(member: &MemberId, trouble: &Trouble) -> Finding {
    let Trouble { from_ms, to_ms, leg, sign, ref shown, worst, lost_ms, ref seen_by } = *trouble;
    let had_by = if leg == Leg::Uplink { seen_by.clone() } else { vec![member.clone()] };
    Finding { from_ms, to_ms, had_by, leg, leg_of: member.clone(), sign, shown: shown.clone(), worst, lost_ms }
}
