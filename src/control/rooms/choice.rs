//! Who is shown and who is heard in a room that is too big for everybody: those who spoke last.
//!
//! A member is shown the groups that it has pinned, the shared screens, then whoever spoke last; who is in its slots stays there
//! until somebody else's turn has come. Of voices the workers forward the loudest, once there are more than that.

use std::collections::BTreeMap;

use super::member::{Member, Seat};
use super::room::Room;
use super::slots::Shown;
use super::whip::HttpSession;
use crate::base::{TrackId, WorkerId};
use crate::contract::RoomCommand;
use crate::wire::{Priority, Source};

/// In which order people spoke last, and what the workers were told of voices.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// The later, the higher.
    spoke: BTreeMap<Seat, u64>,
    turns: u64,
    /// How many voices each worker was told to forward; all, where it was not told.
    told: BTreeMap<WorkerId, u8>,
}

impl Choice {
    /// These speak now, the loudest first.
    pub fn heard(&mut self, speakers: &[Seat]) {
        for seat in speakers.iter().rev() {
            self.turns = self.turns.saturating_add(1);
            self.spoke.insert(*seat, self.turns);
        }
    }

    /// Somebody is gone.
    pub fn forget(&mut self, seat: Seat) {
        self.spoke.remove(&seat);
    }

    /// A worker has forgotten the room.
    pub fn forget_worker(&mut self, worker: WorkerId) {
        self.told.remove(&worker);
    }

    /// The later somebody spoke, the higher; zero: not yet.
    pub fn turn(&self, seat: Seat) -> u64 {
        self.spoke.get(&seat).copied().unwrap_or(0)
    }

    /// The places in `groups` of those that everybody is shown first: screens, then whoever spoke, the last first.
    pub fn order(&self, groups: &[Shown]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|i| groups.get(*i).map(|g| std::cmp::Reverse((g.group.screen, self.turn(g.group.seat)))));
        order
    }

    /// Of `wanted`, the `most` that a member is shown, in their order. `order` is [`Self::order`] of all groups.
    pub fn choose(&self, member: &Member, wanted: Vec<Shown>, groups: &[Shown], order: &[usize], most: usize) -> Vec<Shown> {
        if wanted.len() <= most {
            return wanted;
        }
        let is_pinned = |shown: &Shown| shown.video.is_some_and(|track| member.pins.contains(&track));
        let mut chosen = vec![false; wanted.len()];
        let mut left = most;
        let mut take = |i: usize| {
            if left > 0 && !std::mem::replace(&mut chosen[i], true) {
                left -= 1;
            }
        };
        (0..wanted.len()).filter(|i| is_pinned(&wanted[*i])).for_each(&mut take);
        let place = |group| wanted.binary_search_by_key(&group, |w| w.group).ok();
        let first = |spoke: bool| {
            let of = move |i: &&usize| groups.get(**i).is_some_and(|g| (g.group.screen || self.turn(g.group.seat) > 0) == spoke);
            order.iter().filter(of).filter_map(|i| place(groups.get(*i)?.group)).collect::<Vec<_>>()
        };
        first(true).into_iter().for_each(&mut take);
        member.slots.filled().filter_map(|(_, shown)| place(shown.group)).for_each(&mut take);
        first(false).into_iter().for_each(&mut take);
        wanted.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(shown, _)| shown).collect()
    }
}

impl Room {
    /// Somebody has begun to speak: whoever is shown others only is shown them now.
    pub(super) fn follow_speakers(&mut self) {
        let speakers = self.speakers.clone();
        self.choice.heard(&speakers);
        let groups = self.groups();
        let crowded = groups.len() > self.most_shown();
        let hears_all = |m: &Member, own: Seat| speakers.iter().all(|s| *s == own || m.slots.hold(*s));
        let is_concerned = |m: &Member, own: Seat| m.http.as_ref().map_or(crowded && !hears_all(m, own), HttpSession::follows_speakers);
        let concerned: Vec<Seat> = self.members.iter().filter(|(seat, m)| is_concerned(m, **seat)).map(|(seat, _)| *seat).collect();
        if !concerned.is_empty() {
            self.fill_each(concerned, &groups);
        }
    }

    /// Groups that a member is shown at most.
    pub(super) fn most_shown(&self) -> usize {
        self.rules.last_n.min(self.most_pairs())
    }

    /// Tells the workers how many voices to forward: all, or the loudest of too many.
    pub(super) fn settle_voices(&mut self) {
        let voices = self.members.values().flat_map(|m| &m.tracks).filter(|t| t.source == Source::Microphone).count();
        let most = if voices > usize::from(self.rules.voices) { self.rules.voices } else { u8::MAX };
        for worker in self.on_workers() {
            if self.choice.told.get(&worker).copied().unwrap_or(u8::MAX) != most {
                self.choice.told.insert(worker, most);
                self.worker(worker, RoomCommand::Voices { most });
            }
        }
    }

    /// Notes whether a member has pinned a track.
    pub(super) fn pin(&mut self, seat: Seat, track: TrackId, priority: Priority) -> bool {
        let Some(member) = self.members.get_mut(&seat) else { return false };
        if priority == Priority::High { member.pins.insert(track) } else { member.pins.remove(&track) }
    }
}
