//! A room on a worker: all its state in one value, so that it can be dropped as one.
//!
//! Split by pace: commands here (negotiation), `checks` (ways that this node looks for itself), `pointing` (which track goes where), `packets` (each
//! datagram), `allowance` (who sends more than it may), `feedback` (what receivers report),
//! `timers` (what is due by the clock), `health` (how it all does), `selection` (what each subscriber gets), `pacing` (when), `voices` (who is heard), `relay`
//! (what other workers have to do with it), `tapping` (what is copied for recordings), `data` (data channels, after all of that).

mod allowance;
mod checks;
mod data;
mod feedback;
mod health;
mod pacing;
mod packets;
mod pointing;
mod relay;
mod selection;
mod tapping;
mod timers;
mod voices;

use std::collections::BTreeMap;
use std::time::Duration;

use slab::Slab;
use slotmap::DefaultKey;

use super::demux::{Demux, PeerAt};
use super::engine::Shared;
use super::peer::{MOST_MLINES, Peer};
use super::publish::track::Track;
use super::route::fanout::{Tick, TickItem};
use super::route::leg::Moment;
use super::schedule::Schedule;
use super::select::voices::Voices;
use super::transport::DtlsTransport;
use crate::base::outgoing::Outgoing;
use crate::base::{BitSet, PeerId, RoomId, Time, TrackId, WorkerId};
use crate::contract::{Counter, IceCredentials, MediaKind, MediaPlan, Quality, RoomCommand, SecurityPlan, TransportPlan, WorkerReport};
use relay::Elsewhere;
use selection::Scratch;

/// Pictures that wait are looked at so often at most: what leaves together costs one call.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A room on a worker.
pub struct Room {
    id: RoomId,
    key: DefaultKey,
    peers: Slab<Peer>,
    tracks: Slab<Track>,
    peer_of: BTreeMap<PeerId, usize>,
    track_of: BTreeMap<TrackId, usize>,
    tick: Tick,
    /// When each peer has something to do.
    peers_due: Schedule,
    /// When each track's publisher is to be asked for a key frame.
    tracks_due: Schedule,
    /// Whether it is in the engine's list of rooms that have something to give out.
    pub(super) busy: bool,
    /// Who speaks, as control was last told.
    speakers: Vec<(TrackId, u8)>,
    /// Space for finding that out anew.
    louder: Vec<(TrackId, u8)>,
    /// Tracks whose packets have said a level lately.
    heard: BitSet,
    speakers_due: Time,
    /// Who speaks has to be said whatever was said before.
    untold: bool,
    /// The worker that hears all voices, when it is another one.
    listener: Option<WorkerId>,
    /// What other workers hear, each that has ever said anything.
    elsewhere: Vec<Elsewhere>,
    /// How many voices are forwarded; [`u8::MAX`]: all.
    most_voices: u8,
    /// The listener was told last that somebody is loud here.
    was_loud: bool,
    /// Which, when they are chosen here.
    voices: Voices,
    /// What this tick brought for other workers.
    crossing: Vec<TickItem>,
    /// What this tick brought for recordings.
    tapped: Vec<TickItem>,
    /// When what crosses of a track is to be looked at: ours that others want, theirs that we want.
    relays_due: Schedule,
    /// When a track's encodings are to be looked at: which are sent, which are wanted.
    looks_due: Schedule,
    scratch: Scratch,
    /// Space for a list of what a subscriber is sent.
    qualities: Vec<Quality>,
    /// Whether it is in the engine's list of rooms with something for other workers.
    pub(super) crosses: bool,
    /// Messages from data channels that control may be handed, beside those that it has not dealt with.
    data_room: u32,
    /// Whether it is in the engine's list of rooms with something for recordings.
    pub(super) taps: bool,
}

impl Room {
    /// An empty room.
    pub fn new(id: RoomId, key: DefaultKey) -> Self {
        Self {
            id,
            key,
            peers: Slab::new(),
            tracks: Slab::new(),
            peer_of: BTreeMap::new(),
            track_of: BTreeMap::new(),
            tick: Tick::default(),
            peers_due: Schedule::default(),
            tracks_due: Schedule::default(),
            busy: false,
            speakers: Vec::new(),
            louder: Vec::new(),
            heard: BitSet::default(),
            speakers_due: Time::NEVER,
            untold: false,
            listener: None,
            elsewhere: Vec::new(),
            most_voices: u8::MAX,
            was_loud: false,
            voices: Voices::default(),
            crossing: Vec::new(),
            tapped: Vec::new(),
            relays_due: Schedule::default(),
            looks_due: Schedule::default(),
            scratch: Scratch::default(),
            qualities: Vec::new(),
            crosses: false,
            data_room: data::MOST_IN_CONTROL,
            taps: false,
        }
    }

    /// Its identity.
    pub const fn id(&self) -> RoomId {
        self.id
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// When something is due.
    pub fn deadline(&self) -> Time {
        self.peers_due.next().min(self.tracks_due.next()).min(self.speakers_due).min(self.relays_due.next()).min(self.looks_due.next())
    }

    /// Takes the addresses of all its peers out of the table: the room ends.
    pub fn forget_addresses(&self, demux: &mut Demux) {
        for (index, peer) in &self.peers {
            forget_addresses(PeerAt { room: self.key, peer: index }, peer, demux);
        }
    }

    /// Whether packets wait to be given out.
    pub fn has_output(&self) -> bool {
        !self.tick.is_done()
    }

    /// Adds what it holds: peers, tracks, legs that have a source, memory. Looks at each peer and track once, and at no leg.
    pub fn add_to(&self, report: &mut WorkerReport) {
        report.rooms += 1;
        report.peers += self.peers.len() as u64;
        for (_, track) in &self.tracks {
            match track.import {
                None => report.tracks += 1,
                Some(_) => report.imports += u64::from(!track.subscribers.is_empty()),
            }
            // A subscriber gets a track once.
            report.legs += track.subscribers.len() as u64;
            report.memory.caches += track.encodings.iter().map(|e| e.cache.memory() as u64).sum::<u64>();
        }
        for (_, peer) in &self.peers {
            let held = peer.memory();
            report.memory.peers += u64::from(held.rest);
            report.memory.legs += u64::from(held.legs);
            report.memory.handshakes += u64::from(held.handshake);
        }
    }

    /// Carries out a command. One that names something unknown is counted and changes nothing.
    pub fn handle_command(&mut self, now: Time, command: RoomCommand, shared: &mut Shared) {
        let known = match command {
            RoomCommand::AddPeer { peer, transport } => self.add_peer(now, peer, *transport, shared),
            RoomCommand::Negotiate { peer, media } => self.negotiate(now, peer, *media, shared),
            RoomCommand::RestartIce { peer, ice } => self.restart_ice(peer, ice, shared),
            RoomCommand::CheckIce { peer, pairs, tie_breaker } => self.check_ice(now, peer, pairs, tie_breaker, shared),
            RoomCommand::RemovePeer { peer } => self.remove_peer(now, peer, shared),
            RoomCommand::Publish { peer, mline, track, voice } => self.publish(now, (peer, mline), track, voice),
            RoomCommand::Voices { most } => {
                self.limit_voices(now, most);
                Some(())
            }
            RoomCommand::Import { track, from, source } => self.import(track, from, *source),
            RoomCommand::Allow { peer, publish } => self.allow(now, peer, publish),
            RoomCommand::Unpublish { track } => {
                self.refuse(track, shared);
                self.unpublish(now, track)
            }
            RoomCommand::Mute { track, muted } => self.mute(track, muted),
            RoomCommand::Point { peer, mline, source, view, name } => {
                self.point(now, (peer, mline), source.map(|source| (source, view, name)), shared)
            }
            RoomCommand::Tap { track, tap } => self.tap(now, track, tap, shared),
            RoomCommand::TapKeyFrame { track } => self.tap_key_frame(track),
            RoomCommand::Listener { worker } => {
                self.listen(now, worker, shared.worker);
                Some(())
            }
            RoomCommand::Data { to, message, reliable } => {
                self.send_data(now, &to, message, reliable, shared);
                Some(())
            }
            RoomCommand::DataTaken { messages } => {
                self.data_taken(messages, shared);
                Some(())
            }
            RoomCommand::Close => Some(()),
            #[cfg(feature = "fault-hooks")]
            RoomCommand::Panic => panic!("a fault on purpose"),
        };
        if known.is_none() {
            shared.counters.add(Counter::CommandUnknown);
        }
    }

    /// Writes what waits to be sent into the arena; true when all of it is written.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Outgoing, shared: &mut Shared) -> bool {
        self.tick.give_out(&Moment::new(now, shared.wall(now)), &mut self.peers, &self.tracks, out, &mut shared.counters);
        while let Some(waiting) = self.tick.next_waiting() {
            let Some(peer) = self.peers.get_mut(waiting) else { continue };
            let wish = Some(peer.wish_due).filter(|at| *at <= now);
            // It waits still, or what waited was given up and begins anew.
            if let Some(at) = peer.pace_later().into_iter().chain(wish).min() {
                self.peers_due.sooner(waiting, at.max(now + SHORTEST_WAIT));
            }
        }
        while let Some(begun) = self.tick.next_begun() {
            self.report_begun(now, begun, shared);
        }
        self.tick.is_done()
    }

    fn add_peer(&mut self, now: Time, id: PeerId, transport: TransportPlan, shared: &mut Shared) -> Option<()> {
        if self.peer_index(id).is_some() {
            return None;
        }
        let dtls = match &transport.security {
            SecurityPlan::Dtls { role, fingerprint } => {
                Some(Box::new(DtlsTransport::new(&shared.identity, *role, fingerprint.clone(), shared.epoch)))
            }
            SecurityPlan::Keys(_) => None,
        };
        let index = self.peers.insert(Peer::new(now, id, transport, dtls));
        self.peer_of.insert(id, index);
        self.peers[index].report_due = timers::first_report(now, id);
        self.peers[index].measure();
        let at = PeerAt { room: self.key, peer: index };
        for ufrag in self.peers[index].ice.local_ufrags() {
            shared.demux.add_user(ufrag, at);
        }
        self.peer_due(index);
        Some(())
    }

    fn negotiate(&mut self, now: Time, id: PeerId, plan: MediaPlan, shared: &mut Shared) -> Option<()> {
        let index = self.peer_index(id)?;
        let changed = self.peers[index].plan.receive != plan.receive;
        for leg in 0..self.peers[index].legs.len() {
            // A slot's m-line is gone, or has been taken for another one: what went there does no longer.
            let (mline, ssrc) = (self.peers[index].legs[leg].mline(), self.peers[index].legs[leg].ssrc());
            if !plan.send.iter().any(|l| (l.mline, l.ssrc) == (mline, ssrc)) {
                self.detach(now, index, leg, shared);
            }
        }
        // Legs may go with it, and streams be bound anew.
        health::settle(&mut self.peers[index], &mut shared.counters);
        self.take_data_plan(index, plan.data, shared);
        self.peers[index].negotiate(now, plan, &mut shared.random);
        if changed {
            self.recompile_subscribers_of(index);
        }
        self.recompile_legs_of(index);
        self.peers[index].measure();
        Some(())
    }

    fn restart_ice(&mut self, id: PeerId, ice: IceCredentials, shared: &mut Shared) -> Option<()> {
        let index = self.peer_index(id)?;
        let at = PeerAt { room: self.key, peer: index };
        shared.demux.add_user(&ice.local_ufrag, at);
        let peer = &mut self.peers[index];
        peer.ice.restart(ice);
        for gone in peer.ice.take_retired() {
            shared.demux.remove_user(&gone.local_ufrag);
        }
        Some(())
    }

    fn remove_peer(&mut self, now: Time, id: PeerId, shared: &mut Shared) -> Option<()> {
        let index = self.peer_index(id)?;
        for mline in 0..MOST_MLINES {
            if let Some(track) = self.peers[index].published[mline].and_then(|t| self.tracks.get(usize::from(t))).map(|t| t.id) {
                self.unpublish(now, track);
            }
        }
        for leg in 0..self.peers[index].legs.len() {
            self.detach(now, index, leg, shared);
        }
        let mut peer = self.peers.remove(index);
        health::settle(&mut peer, &mut shared.counters);
        self.peer_of.remove(&id);
        self.peers_due.remove(index);
        self.tick.forget(index);
        if let Some(dtls) = &mut peer.dtls {
            dtls.close(now);
            send_dtls(dtls, peer.ice.selected(), shared);
        }
        forget_addresses(PeerAt { room: self.key, peer: index }, &peer, &mut shared.demux);
        Some(())
    }

    fn publish(&mut self, now: Time, (id, mline): (PeerId, u8), track: TrackId, voice: bool) -> Option<()> {
        let publisher = self.peer_index(id)?;
        let plan = self.peers[publisher].receive_plan(mline)?;
        let (kind, encodings) = (plan.kind, plan.encodings());
        if usize::from(mline) >= MOST_MLINES || self.track_index(track).is_some() {
            return None;
        }
        if let Some(before) = self.peers[publisher].published[usize::from(mline)] {
            let before = self.tracks.get(usize::from(before))?.id;
            self.unpublish(now, before)?;
        }
        let voice = voice && kind == MediaKind::Audio;
        // One voice more than are forwarded is heard when it is chosen.
        let unheard = voice && self.most_voices != u8::MAX;
        let index = self.tracks.insert(Track { voice, unheard, ..Track::new(track, publisher, mline, kind, encodings) });
        self.track_of.insert(track, index);
        self.peers[publisher].published[usize::from(mline)] = u16::try_from(index).ok();
        Some(())
    }

    fn unpublish(&mut self, now: Time, track: TrackId) -> Option<()> {
        let index = self.track_of.remove(&track)?;
        let track = self.tracks.remove(index);
        self.tracks_due.remove(index);
        self.relays_due.remove(index);
        self.looks_due.remove(index);
        self.heard.remove(index);
        self.voices.forget(track.id);
        if self.speakers.iter().any(|(speaker, _)| *speaker == track.id) {
            self.speakers_due = Time::ZERO;
        }
        for subscriber in track.subscribers.iter() {
            let Some(peer) = self.peers.get_mut(subscriber) else { continue };
            if let Some(leg) = peer.leg_of(index) {
                if peer.legs[leg].source() == Some(index) {
                    peer.legs[leg].point(Time::ZERO, None);
                } else {
                    peer.legs[leg].forget_before();
                }
                peer.route(index, None);
                peer.queue.forget_track(index);
            }
            self.select_soon(now, subscriber);
        }
        self.tick.forget_track(index);
        self.crossing.retain(|item| item.track != index);
        self.tapped.retain(|item| item.track != index);
        if let Some(peer) = self.peers.get_mut(track.publisher) {
            peer.published[usize::from(track.mline)] = None;
            let fed = |ssrc| track.encodings.iter().any(|e| e.ssrc == Some(ssrc));
            peer.streams.iter_mut().filter(|s| fed(s.ssrc)).for_each(|stream| stream.holes.clear());
        }
        Some(())
    }

    fn mute(&mut self, track: TrackId, muted: bool) -> Option<()> {
        let index = self.track_index(track)?;
        let track = &mut self.tracks[index];
        if track.muted != muted {
            track.muted = muted;
            track.level.silence();
            let tapped = track.tapped();
            for (number, encoding) in (0..).zip(&mut track.encodings) {
                encoding.begin_anew();
                if !muted && track.kind == MediaKind::Video && (!encoding.receivers.is_empty() || tapped >> number & 1 == 1) {
                    // What was dropped meanwhile cannot be decoded without: begin anew with a key frame.
                    encoding.keys.want();
                }
            }
        }
        self.key_frame_due(index);
        Some(())
    }

    fn recompile_subscribers_of(&mut self, publisher: usize) {
        for mline in 0..MOST_MLINES {
            let Some(index) = self.peers[publisher].published[mline].map(usize::from) else { continue };
            let Some(track) = self.tracks.get_mut(index) else { continue };
            let Some(plan) = self.peers[publisher].receive_plan(track.mline).cloned() else { continue };
            track.grow(plan.encodings());
            let track = &self.tracks[index];
            for subscriber in track.subscribers.iter() {
                let Some(peer) = self.peers.get_mut(subscriber) else { continue };
                if let Some(leg) = peer.leg_of(index) {
                    peer.legs[leg].compile_again(index, &plan);
                }
            }
        }
    }

    fn recompile_legs_of(&mut self, subscriber: usize) {
        for leg in 0..self.peers[subscriber].legs.len() {
            let goes_on = &self.peers[subscriber].legs[leg];
            for track in [goes_on.before(), goes_on.source()].into_iter().flatten() {
                let Some(plan) = self.source_plan(track).cloned() else { continue };
                self.peers[subscriber].legs[leg].compile_again(track, &plan);
            }
        }
    }

    /// Where a peer is sent to: for tests.
    #[cfg(test)]
    pub(super) fn way_to(&self, peer: usize) -> Option<super::transport::Path> {
        self.peers.get(peer)?.path()
    }

    /// Gives a peer data channels, while control has as much in hand as it may: for tests.
    #[cfg(test)]
    pub(super) fn give_data(&mut self, peer: usize, data: super::transport::SctpTransport) {
        self.data_room = 0;
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.data = Some(Box::new(data));
        }
    }

    /// Breaks the state as no command can: the first slot of the first peer shows a track that is not there.
    #[cfg(test)]
    pub(super) fn corrupt(&mut self) {
        let track = Track::new(TrackId(0), 0, 0, MediaKind::Video, 1);
        let peer = &mut self.peers[0];
        let plan = peer.plan.receive[0].clone();
        peer.legs[0].point(Time::ZERO, Some((999, &track, &plan)));
    }

    fn peer_index(&self, id: PeerId) -> Option<usize> {
        self.peer_of.get(&id).copied()
    }

    fn track_index(&self, id: TrackId) -> Option<usize> {
        self.track_of.get(&id).copied()
    }

    /// Something about a peer has changed that its next moment may follow from.
    fn peer_due(&mut self, index: usize) {
        if let Some(peer) = self.peers.get(index) {
            self.peers_due.sooner(index, peer.next_due());
        }
    }

    /// A key frame of a track may be wanted, or may be asked for now.
    fn key_frame_due(&mut self, track: usize) {
        if let Some(at) = self.tracks.get(track).and_then(Track::next_ask) {
            self.tracks_due.sooner(track, at);
        }
    }
}

fn forget_addresses(at: PeerAt, peer: &Peer, demux: &mut Demux) {
    for ufrag in peer.ice.local_ufrags() {
        demux.remove_user(ufrag);
    }
    for path in peer.ice.paths() {
        demux.remove_path(&path, at);
    }
    for path in peer.checks.iter().flat_map(|checks| checks.paths()) {
        demux.remove_check(&path, at);
    }
}

/// Hands what DTLS wants to send to the outgoing replies.
fn send_dtls(dtls: &mut DtlsTransport, path: Option<super::transport::Path>, shared: &mut Shared) {
    while let Some(datagram) = dtls.poll_transmit() {
        if let Some(path) = path {
            shared.reply(path, &datagram);
        }
    }
}
