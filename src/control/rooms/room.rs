//! The state of a room and what every message needs: who is there, what follows each command, and telling them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::awaited::Awaited;
use super::chat::ChatLog;
use super::choice::Choice;
use super::command::{Command, Effect, SocketId};
use super::door::Door;
use super::egress::Egresses;
use super::fallback::Fallbacks;
use super::gestures::RoomGestures;
use super::ledger::{Ledger, Note};
use super::member::{Member, Presence, Seat, Track, number};
use super::names::RoomName;
use super::past::Past;
use super::recording::RoomRecording;
use super::screenshot::Screenshots;
use super::settings::RoomSettings;
use super::spread::Listeners;
use super::way::Ways;
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{self, DataLimits, RoomCommand};
use crate::control::Refusal;
use crate::wire::{ByeReason, Event, LeaveReason, MemberId, OkResult, Policy, Source};

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
            Command::RecordingPaused { recording, paused } => self.pause_recording(&recording, paused),
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
        self.tell_of_recording(now);
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
            .chain(self.recording.as_ref().and_then(RoomRecording::deadline))
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

    /// Whether whoever has this connection publishes anything.
    pub fn publishes_by(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).and_then(|seat| self.members.get(seat)).is_some_and(|member| !member.tracks.is_empty())
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
}
