//! The state of a room and what every message needs: who is there, telling them, filling their slots.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::awaited::Awaited;
use super::chat::ChatLog;
use super::choice::Choice;
use super::command::{Command, Effect, MOST_TRACKS, SocketId};
use super::door::Door;
use super::egress::Egresses;
use super::fallback::Fallbacks;
use super::gestures::RoomGestures;
use super::ledger::{Ledger, Note};
use super::member::{Connection, Member, Presence, Seat, Track, number};
use super::names::RoomName;
use super::past::Past;
use super::recording::RoomRecording;
use super::screenshot::Screenshots;
use super::settings::RoomSettings;
use super::slots::Shown;
use super::spread::Listeners;
use super::way::Ways;
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{self, DataLimits, MediaKind, RoomCommand, View};
use crate::control::Refusal;
use crate::wire::{ByeReason, Event, LeaveReason, MemberId, OkResult, Policy, SlotPair, Source};

/// What a room holds its members to.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Members at most.
    pub members: usize,
    /// How long it lives on when empty.
    pub grace: Duration,
    /// How long a lost session may be resumed.
    pub resume: Duration,
    /// Chat messages kept.
    pub history: usize,
    /// Bytes of a chat text.
    pub chat_bytes: usize,
    /// m-lines of a connection.
    pub mlines: usize,
    /// Connections on the home worker from which on others go elsewhere, too.
    pub spread_from: usize,
    /// Clients may come by TCP, to the same addresses.
    pub tcp: bool,
    /// Groups that a member is shown at most.
    pub last_n: usize,
    /// Voices that are forwarded at a time.
    pub voices: u8,
    /// How media travels when nobody has said otherwise.
    pub policy: Policy,
    /// How long two who remain stay on the server.
    pub return_after: Duration,
    /// What members are held to that send data.
    pub data: DataLimits,
    /// Whether offers may have data channels.
    pub data_channels: bool,
    /// Tracks that a member publishes at most at a time, fallbacks not counted.
    pub tracks: usize,
    /// Kilobits a second that a member publishes at most, all its tracks together; none: as much as it wants.
    pub publish_kbps: Option<u32>,
    /// Mebibytes that are kept of the room; none: as much as there is room for.
    pub library_mib: Option<u32>,
    /// Bytes of a member's metadata and attributes together, and of a room's metadata.
    pub metadata_bytes: usize,
}

/// Where a room's media is.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The home of the room: its connections go there while they are few.
    pub worker: WorkerId,
    /// The SHA-256 of the node's certificate, as `AB:CD:…`.
    pub fingerprint: String,
    /// Tells this room's direct connections from those of all other rooms, before a restart too.
    pub salt: String,
}

/// A room.
pub struct Room {
    pub(super) name: RoomName,
    /// What the node lets rooms do.
    pub(super) node_rules: Rules,
    /// What this room was given beyond.
    pub(super) settings: RoomSettings,
    /// What follows from both.
    pub(super) rules: Rules,
    pub(super) ground: Ground,
    pub(super) members: BTreeMap<Seat, Member>,
    pub(super) identities: BTreeMap<MemberId, Seat>,
    pub(super) sockets: BTreeMap<SocketId, Seat>,
    pub(super) peers: BTreeMap<PeerId, Seat>,
    pub(super) tracks: BTreeMap<TrackId, Seat>,
    pub(super) speakers: Vec<Seat>,
    pub(super) chat: ChatLog,
    pub(super) locked: bool,
    /// Who was inside when it was locked: they may come again, by a reload too.
    pub(super) insiders: BTreeSet<MemberId>,
    /// Identities that a moderator has removed.
    pub(super) kicked: BTreeSet<MemberId>,
    /// What a moderator has muted: it stays so when it is published again, or its member comes again.
    pub(super) silenced: BTreeSet<(MemberId, Source)>,
    /// Tracks that are not for everybody, and for whom they are.
    pub(super) restricted: BTreeMap<TrackId, BTreeSet<MemberId>>,
    pub(super) empty_since: Option<Time>,
    /// When the node ends, once it has said so.
    pub(super) ends_at: Option<Time>,
    next_seat: u32,
    pub(super) listeners: Listeners,
    pub(super) choice: Choice,
    pub(super) fallbacks: Fallbacks,
    pub(super) ways: Ways,
    pub(super) awaited: Awaited,
    pub(super) recording: Option<RoomRecording>,
    pub(super) screenshots: Screenshots,
    pub(super) egresses: Egresses,
    /// Who waits outside while it is locked.
    pub(super) door: Door,
    pub(super) gestures: RoomGestures,
    /// Its members encrypt their media end to end: the first one has decided.
    pub(super) encrypted: bool,
    pub(super) ledger: Ledger,
    /// Who has left, and what happened to them.
    pub(super) past: Past,
    pub(super) effects: Vec<Effect>,
}

/// What a request comes to.
pub(super) type Outcome = Result<Option<OkResult>, Refusal>;

impl Room {
    /// An empty room.
    pub fn new(name: RoomName, rules: Rules, ground: Ground, now: Time) -> Self {
        Self {
            name,
            chat: ChatLog::new(rules.history),
            ways: Ways::new(rules.policy),
            node_rules: rules.clone(),
            settings: RoomSettings::default(),
            rules,
            ground,
            members: BTreeMap::new(),
            identities: BTreeMap::new(),
            sockets: BTreeMap::new(),
            peers: BTreeMap::new(),
            tracks: BTreeMap::new(),
            speakers: Vec::new(),
            locked: false,
            insiders: BTreeSet::new(),
            kicked: BTreeSet::new(),
            silenced: BTreeSet::new(),
            restricted: BTreeMap::new(),
            empty_since: Some(now),
            ends_at: None,
            next_seat: 0,
            listeners: Listeners::default(),
            choice: Choice::default(),
            past: Past::new(now),
            fallbacks: Fallbacks::default(),
            awaited: Awaited::default(),
            recording: None,
            screenshots: Screenshots::default(),
            egresses: Egresses::default(),
            door: Door::default(),
            gestures: RoomGestures::default(),
            encrypted: false,
            ledger: Ledger::default(),
            effects: Vec::new(),
        }
    }

    /// Carries out a command. The effects are to be carried out in their order.
    pub fn apply(&mut self, command: Command, now: Time) -> Vec<Effect> {
        self.past.set_now(now);
        match command {
            // Nothing in the room follows from it, and it may come often.
            Command::Media(contract::Event::Data { worker, peer, message, reliable, .. }) => {
                self.pass_on(worker, peer, &message, reliable);
                return std::mem::take(&mut self.effects);
            }
            Command::Join { socket, id, admission, draws, introduction } => {
                let outcome = self.join(socket, admission, draws, introduction, now);
                self.reply(socket, id, outcome);
                self.announce_join(socket);
                self.warn_of_end(now, Some(socket));
            }
            Command::Resume { socket, id, secret, seq } => {
                self.resume(socket, id, &secret, seq);
                self.warn_of_end(now, Some(socket));
            }
            Command::Request { socket, id, what } => self.request(socket, id, what, now),
            Command::Attach(attach) => self.attach(*attach, now),
            Command::Detach { socket, secret } => self.detach(socket, &secret),
            Command::Trickle(trickle) => self.trickle(*trickle),
            Command::Order { socket, by, order } => self.order_recording(socket, by, order),
            Command::OrderEgress { socket, order } => self.order_egress(socket, order),
            Command::Egress { egress, report } => self.egress_reports(&egress, report, now),
            Command::Administer { socket, order } => self.administer(socket, order, now),
            Command::SocketLost { socket, bye } => self.socket_lost(socket, bye, now),
            Command::Media(event) => {
                self.follow_connection(&event, now);
                self.follow_egress(&event, now);
                self.keep_journal(now, &event);
                self.media(event);
                self.end_unconnected();
            }
            Command::RecordingFailed => self.fail_recording(),
            Command::RecordingFull { recording } => self.recording_full(&recording),
            Command::RecordingOver { recording, whole } => self.ledger.note(Note::RecordingWhole(recording, whole)),
            Command::ScreenshotSeen { number } => self.screenshot_seen(number),
            Command::ScreenshotOver { number, result } => self.screenshot_over(number, result),
            Command::Timeout => {
                self.remove_lost(now);
                self.give_up_awaited(now);
                self.end_overdue(now);
                self.forget_knocks(now);
            }
            Command::Drain { until } => {
                self.ends_at = Some(until);
                self.warn_of_end(now, None);
            }
            Command::ShutDown => self.end(ByeReason::ShuttingDown),
        }
        self.settle_awaited(now);
        self.settle_way(now);
        self.settle_listener();
        self.settle_voices();
        self.settle_fallbacks(now);
        self.settle_recording();
        self.settle_egress(now);
        self.settle_door(now);
        self.note_emptiness(now);
        self.settle_ledger(now);
        std::mem::take(&mut self.effects)
    }

    /// When [`Command::Timeout`] is due.
    pub fn deadline(&self) -> Time {
        let lost = self.members.values().filter_map(|m| match m.presence {
            Presence::Away { since } => Some(since + self.rules.resume),
            Presence::Here(_) => None,
        });
        let empty = self.empty_since.map(|since| since + self.rules.grace);
        let http = self.members.values().filter_map(|m| m.http.as_ref()?.deadline());
        lost.chain(empty)
            .chain(http)
            .chain(self.fallbacks.deadline())
            .chain(self.ways.deadline())
            .chain(self.awaited.deadline())
            .chain(self.door.deadline())
            .chain(self.egresses.deadline())
            .min()
            .unwrap_or(Time::NEVER)
    }

    /// Who is at a socket.
    pub fn identity_at(&self, socket: SocketId) -> Option<&MemberId> {
        Some(&self.members.get(self.sockets.get(&socket)?)?.identity)
    }

    /// The socket of whoever has this connection.
    pub fn socket_of(&self, peer: PeerId) -> Option<SocketId> {
        self.members.get(self.peers.get(&peer)?)?.socket()
    }

    /// The socket of whoever publishes a track.
    pub fn socket_of_track(&self, track: TrackId) -> Option<SocketId> {
        self.members.get(self.tracks.get(&track)?)?.socket()
    }

    /// Whether a socket is a member's.
    pub fn has_socket(&self, socket: SocketId) -> bool {
        self.sockets.contains_key(&socket)
    }

    /// How many members' sockets are here.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn reply(&mut self, socket: SocketId, id: u32, result: Outcome) {
        self.effects.push(Effect::Reply { socket, id, result });
    }

    /// Tells all members that are here and for whom `whom` holds.
    pub(super) fn tell(&mut self, whom: impl Fn(Seat) -> bool, event: Event) {
        let here = self.members.iter_mut().filter(|(seat, _)| whom(**seat));
        let to: Vec<_> = here.filter_map(|(_, m)| Some((m.ear()?, m.next_seq()))).collect();
        if !to.is_empty() {
            self.effects.push(Effect::Tell { to, event });
        }
    }

    pub(super) fn worker(&mut self, worker: WorkerId, command: RoomCommand) {
        self.effects.push(Effect::Worker(worker, command));
    }

    /// Ends a member's session at its socket, if it has one.
    pub(super) fn bye(&mut self, seat: Seat, reason: ByeReason) {
        let Some(member) = self.members.get_mut(&seat) else { return };
        let Some(socket) = member.socket() else { return };
        let seq = member.next_seq();
        self.sockets.remove(&socket);
        self.effects.push(Effect::Bye { socket, seq, reason });
    }

    /// A place for a newcomer.
    pub(super) fn new_seat(&mut self) -> Seat {
        self.next_seat = self.next_seat.wrapping_add(1);
        Seat(self.next_seat)
    }

    /// Takes a member out, with all it has, and tells the others.
    pub(super) fn remove(&mut self, seat: Seat, reason: LeaveReason) {
        if reason == LeaveReason::Lost {
            self.remember_direct(seat);
        }
        let Some(mut member) = self.members.remove(&seat) else { return };
        self.past.keep(&mut member);
        self.identities.remove(&member.identity);
        self.choice.forget(seat);
        self.fallbacks.forget_seat(seat);
        if let Some(socket) = member.socket() {
            self.sockets.remove(&socket);
        }
        for track in &member.tracks {
            self.forget_track(track.id);
        }
        if let Some(connection) = member.connection {
            self.peers.remove(&connection.peer);
            self.worker(connection.worker, RoomCommand::RemovePeer { peer: connection.peer });
            self.leave_worker(connection.worker);
            member.tracks.iter().for_each(|track| self.withdraw(track.id, connection.worker));
        }
        self.ledger.note(Note::Left(seat, reason.into()));
        self.tell(|_| true, Event::MemberLeft { member: member.identity, reason });
        self.retain_speakers();
        self.fill_after(seat);
    }

    /// Ends a track that its member has no longer, and tells the others.
    pub(super) fn end_track(&mut self, seat: Seat, track: &Track) {
        self.forget_track(track.id);
        let Some(member) = self.members.get(&seat).filter(|_| !track.fallback).map(|m| m.identity.clone()) else { return };
        self.tell(|s| s != seat, Event::TrackEnded { member, track: number(track.id) });
    }

    fn forget_track(&mut self, track: TrackId) {
        self.ledger.note(Note::Ended(track));
        self.tracks.remove(&track);
        self.restricted.remove(&track);
        self.fallbacks.forget(track);
        for member in self.members.values_mut() {
            member.unwanted.remove(&track);
            member.views.remove(&track);
            member.pins.remove(&track);
        }
    }

    /// Tells who speaks, when somebody who spoke is gone.
    fn retain_speakers(&mut self) {
        let speakers = self.speakers.iter().copied().filter(|s| self.members.contains_key(s)).collect();
        self.set_speakers(speakers);
    }

    pub(super) fn set_speakers(&mut self, speakers: Vec<Seat>) {
        if speakers != self.speakers {
            self.speakers = speakers;
            let members = self.speaker_ids();
            self.tell(|_| true, Event::Speakers { members });
            self.follow_speakers();
        }
    }

    pub(super) fn speaker_ids(&self) -> Vec<MemberId> {
        self.speakers.iter().filter_map(|s| Some(self.members.get(s)?.identity.clone())).collect()
    }

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
