//! Whose slots are filled when something has changed, with what they are filled, and how many a member is asked to have.

use super::command::{Effect, MOST_TRACKS};
use super::member::{Connection, Member, Seat, number};
use super::room::Room;
use super::slots::Shown;
use crate::base::TrackId;
use crate::contract::{MediaKind, RoomCommand, View};
use crate::wire::{Event, SlotPair};

impl Room {
    /// Fills slots after something about one member has changed: its own, and those of everybody whom it concerns. In a
    /// big room that is hardly anybody: their slots are full of others.
    pub(super) fn fill_after(&mut self, changed: Seat) {
        let groups = self.groups();
        let concerned: Vec<Seat> = self.members.iter().filter(|(s, m)| self.concerns(changed, &groups, **s, m)).map(|(s, _)| *s).collect();
        self.fill_each(concerned, &groups);
    }

    /// Fills these members' slots.
    pub(super) fn fill_each(&mut self, seats: Vec<Seat>, groups: &[Shown]) {
        let order = if groups.len() > self.most_shown() { self.choice.order(groups) } else { Vec::new() };
        for seat in seats {
            self.fill(seat, groups, &order);
        }
    }

    /// Fills everybody's slots, whomever it concerns; what that changes.
    #[cfg(test)]
    pub(super) fn fill_everybody(&mut self) -> Vec<Effect> {
        let groups = self.groups();
        self.fill_each(self.members.keys().copied().collect(), &groups);
        std::mem::take(&mut self.effects)
    }

    /// Whether a member's slots, or how many it has to have, may follow from what another one publishes now.
    fn concerns(&self, changed: Seat, groups: &[Shown], seat: Seat, member: &Member) -> bool {
        if seat == changed || member.slots.hold(changed) {
            return true;
        }
        let publishes = groups.iter().rev().any(|g| g.group.seat == changed);
        if let Some(http) = &member.http {
            return self.members.get(&changed).is_some_and(|m| http.may_show(&m.identity, publishes));
        }
        let may_ask = groups.len() > member.asked && member.asked < self.most_shown();
        let has_place = member.connection.as_ref().is_some_and(|c| member.slots.has_place(c.pairs.len()));
        publishes && (may_ask || has_place)
    }

    /// Fills one member's slots with what it wants.
    pub(super) fn fill_one(&mut self, seat: Seat) {
        let groups = self.groups();
        self.fill_each(vec![seat], &groups);
    }

    /// All that is published, in the order of its members' coming.
    pub(super) fn groups(&self) -> Vec<Shown> {
        let mut groups: Vec<Shown> = Vec::new();
        for (seat, member) in &self.members {
            for screen in [false, true] {
                let tracks = || member.tracks.iter().filter(|t| t.source.is_screen() == screen && !t.fallback);
                let of = |audio: bool| tracks().find(|t| t.source.is_audio() == audio).map(|t| t.id);
                let (audio, video) = (of(true), of(false));
                if let Some(track) = tracks().next() {
                    groups.push(Shown { group: track.group(*seat), audio, video });
                }
            }
        }
        groups
    }

    fn fill(&mut self, seat: Seat, groups: &[Shown], order: &[usize]) {
        let (pinned, most) = (self.pinned(seat, groups), self.most_shown());
        let wanted = if pinned.is_some() { Vec::new() } else { self.wanted(seat, groups) };
        let Some(member) = self.members.get_mut(&seat) else { return };
        let wanted = self.choice.choose(member, wanted, groups, order, most);
        let Some(Connection { peer, worker, pairs, .. }) = &member.connection else {
            // Without a connection there is nothing to fill; the first offer should have enough pairs.
            return self.ask(seat, wanted.len());
        };
        let before = member.slots.clone();
        let (changes, unplaced) = match pinned {
            Some(pinned) => (member.slots.pin(&pinned, pairs), 0),
            // Of more than there are pairs the first are shown at once, and there will be pairs for all.
            None => {
                let shown = self.choice.choose(member, wanted.clone(), groups, order, pairs.len());
                let (changes, unplaced) = member.slots.fill(&shown, pairs);
                (changes, unplaced.saturating_add(wanted.len().saturating_sub(shown.len())))
            }
        };
        let (peer, worker, pairs) = (*peer, *worker, pairs.clone());
        if !changes.is_empty() {
            self.fallbacks.look_again(seat);
        }
        let Some(member) = self.members.get(&seat) else { return };
        if member.slots.filled().ne(before.filled()) {
            let slots = self.slot_list(seat);
            self.tell(|s| s == seat, Event::Slots { slots });
        }
        // The worker last: its packets take a shorter way than the message.
        for change in changes {
            let pair = pairs.get(change.pair);
            let mline = pair.and_then(|p| if change.half == MediaKind::Audio { p.audio } else { p.video });
            if let Some(mline) = mline {
                let view = change.source.and_then(|track| Some(self.view_of(self.members.get(&seat)?, track))).unwrap_or(View::LARGE);
                let source = change.source.map(|track| self.fallbacks.shown(seat, track));
                let name = change.source.and_then(|track| self.name_of(seat, track));
                self.effects.push(Effect::Worker(worker, RoomCommand::Point { peer, mline: mline.index, source, view, name }));
            }
        }
        if unplaced > 0 {
            self.ask(seat, wanted.len());
        }
    }

    /// Asks a member for more pairs when it has been asked for fewer than `groups`; grown in steps, so that a room
    /// that fills does not make everybody negotiate each time.
    fn ask(&mut self, seat: Seat, groups: usize) {
        let most = self.most_pairs().min(self.most_shown().saturating_add(2));
        let Some(member) = self.members.get_mut(&seat) else { return };
        let enough = groups.saturating_add(1).next_multiple_of(4).min(most);
        if groups > member.asked && enough > member.asked {
            member.asked = enough;
            self.tell(|s| s == seat, Event::Need { pairs: enough as u32 });
        }
    }

    /// How many pairs fit beside the m-lines that a member may send on, and the one of data channels.
    pub(super) fn most_pairs(&self) -> usize {
        self.rules.mlines.saturating_sub(MOST_TRACKS as usize + usize::from(self.rules.data_channels)) / 2
    }

    /// How many pairs a newcomer's first offer should have: a few more than there are groups.
    pub(super) fn first_pairs(&self) -> usize {
        self.groups().len().min(self.most_shown()).saturating_add(2).next_multiple_of(2).max(4).min(self.most_pairs().max(1))
    }

    /// Who is in a member's slots, for the protocol.
    pub(super) fn slot_list(&self, seat: Seat) -> Vec<SlotPair> {
        let Some(member) = self.members.get(&seat) else { return Vec::new() };
        let filled = member.slots.filled().filter_map(|(pair, shown)| {
            Some(SlotPair {
                pair: pair as u32,
                member: self.members.get(&shown.group.seat)?.identity.clone(),
                screen: shown.group.screen,
                audio: shown.audio.map(number),
                video: shown.video.map(number),
            })
        });
        filled.collect()
    }

    /// What a member wants: all of the others' groups, less the tracks that it has said it does not want, and those that are not for it.
    fn wanted(&self, seat: Seat, groups: &[Shown]) -> Vec<Shown> {
        let Some(member) = self.members.get(&seat).filter(|m| m.grants.subscribe) else { return Vec::new() };
        let keep = |track: Option<TrackId>| track.filter(|t| !member.unwanted.contains(t) && self.is_for(member, *t));
        let others = groups.iter().filter(|g| g.group.seat != seat);
        others.map(|g| Shown { audio: keep(g.audio), video: keep(g.video), ..*g }).filter(|g| g.audio.is_some() || g.video.is_some()).collect()
    }
}
