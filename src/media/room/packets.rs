//! Each datagram: from the wire to its track's cache.

use super::voices::SPEAKERS_EVERY;
use super::{Room, send_dtls};
use crate::base::Time;
use crate::contract::{Counter, DisconnectReason, Event, Extension, MediaKind};
use crate::media::demux::PeerAt;
use crate::media::engine::{Shared, stun_drop};
use crate::media::packet::ext::AudioLevel;
use crate::media::packet::sound_len;
use crate::media::peer::{Srtp, is_data};
use crate::media::publish::receive::{Received, receive};
use crate::media::publish::track::Track;
use crate::media::route::fanout::{TickItem, What};
use crate::media::route::leg::Leg;
use crate::media::transport::{DtlsEvent, Path};

impl Room {
    /// A STUN request with one of the peer's user names.
    pub fn handle_stun(&mut self, now: Time, index: usize, path: Path, datagram: &[u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if peer.checks.is_some() {
            return self.handle_check(now, index, path, datagram, shared);
        }
        let mut response = [0; 256];
        let answer = match peer.ice.handle_request(now, path, datagram, &mut response) {
            Ok(answer) => answer,
            Err(reason) => return shared.counters.add(stun_drop(reason)),
        };
        shared.counters.add(if answer.role_conflict { Counter::StunRoleConflict } else { Counter::StunAnswered });
        shared.reply(path, &response[..answer.len]);
        let at = PeerAt { room: self.key, peer: index };
        for gone in peer.ice.take_retired() {
            shared.demux.remove_user(&gone.local_ufrag);
        }
        if let Some(gone) = answer.forgotten {
            shared.demux.remove_path(&gone, at);
        }
        // Also when it is known: another peer may have been reached on this path meanwhile.
        if peer.ice.is_validated(path) && shared.demux.path(&path) != Some(at) {
            shared.demux.add_path(path, at);
        }
        if answer.validated {
            if let Some(peer) = self.peers.get_mut(index) {
                peer.watch.reached(now, &mut shared.distributions);
            }
            self.begin_handshake(now, index, shared);
        }
        if answer.reconnected {
            self.reconnected(index, shared);
        }
        self.peer_due(index);
    }

    /// Consent is back. What was not sent meanwhile took no numbers and is not asked for: every subscription begins anew.
    fn reconnected(&mut self, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        shared.events.push_back(Event::Reconnected { room: self.id, peer: peer.id });
        for leg in &mut peer.legs {
            leg.begin_anew();
        }
        self.list_data(index, shared);
        self.want_key_frames_for(index);
    }

    /// The tracks that a peer's legs wait for are asked for when their publishers may be.
    pub(super) fn key_frames_due(&mut self, subscriber: usize) {
        let Some(peer) = self.peers.get(subscriber) else { return };
        for (track, _) in peer.legs.iter().flat_map(Leg::awaits_key_frames) {
            if let Some(at) = self.tracks.get(track).and_then(Track::next_ask) {
                self.tracks_due.sooner(track, at);
            }
        }
    }

    /// There is a way to the peer: a handshake that has not begun begins (or waits for the peer to begin it).
    pub(super) fn begin_handshake(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(dtls) = &mut peer.dtls else { return };
        if !std::mem::replace(&mut peer.handshake_started, true) {
            shared.counters.add(Counter::HandshakeStarted);
            dtls.start(now);
            self.after_dtls(now, index, shared);
        }
    }

    /// A DTLS datagram from a validated path; it waits for its turn.
    pub fn handle_dtls(&mut self, index: usize, path: Path, datagram: &[u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if !peer.ice.is_validated(path) {
            return shared.counters.add(Counter::DropUnvalidatedAddress);
        }
        // Browsers begin DTLS before they nominate: answer where it comes from until they do.
        peer.ice.prefer(path);
        if peer.dtls.is_none() || !peer.queue_dtls(datagram) || !shared.defer(PeerAt { room: self.key, peer: index }) {
            shared.counters.add(Counter::DropDtls);
        }
    }

    /// The turn of a DTLS datagram that waited; whether it was of data, which is cheap, and not of a handshake.
    pub fn handle_deferred(&mut self, now: Time, index: usize, shared: &mut Shared) -> bool {
        let Some(peer) = self.peers.get_mut(index) else { return true };
        let (Some(datagram), Some(dtls)) = (peer.next_dtls(), &mut peer.dtls) else { return true };
        if dtls.handle_datagram(now, &datagram).is_err() {
            shared.counters.add(Counter::DropDtls);
        }
        if is_data(&datagram) {
            self.take_data(now, index, shared);
            return true;
        }
        self.after_dtls(now, index, shared);
        false
    }

    /// What DTLS has to say and to send.
    pub(super) fn after_dtls(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(dtls) = &mut peer.dtls else { return };
        send_dtls(dtls, peer.ice.selected(), shared);
        while let Some(event) = dtls.poll_event() {
            let room = self.id;
            match event {
                DtlsEvent::Established(keys) => {
                    shared.counters.add(Counter::HandshakeCompleted);
                    peer.watch.secured(now, &mut shared.distributions);
                    let reached = peer.watch.reached.unwrap_or(now);
                    shared.events.push_back(Event::Connected { room, peer: peer.id, profile: keys.profile, reached });
                    peer.srtp = Srtp::new(&keys).ok().map(Box::new);
                }
                DtlsEvent::Failed => {
                    shared.counters.add(Counter::HandshakeFailed);
                    shared.events.push_back(Event::Disconnected { room, peer: peer.id, reason: DisconnectReason::HandshakeFailed });
                }
                DtlsEvent::Closed => {
                    peer.srtp = None;
                    if let Some(data) = &mut peer.data {
                        data.close();
                    }
                    shared.events.push_back(Event::Disconnected { room, peer: peer.id, reason: DisconnectReason::Closed });
                }
            }
        }
        self.list_data(index, shared);
        self.want_key_frames_for(index);
        self.peer_due(index);
    }

    /// An SRTP packet from a validated path: open, place, remember, and note it for this tick's fan-out.
    pub fn handle_rtp(&mut self, now: Time, index: usize, path: Path, datagram: &mut [u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let result = receive(now, peer, datagram, &mut shared.counters);
        if let Some(at) = peer.next_feedback() {
            self.peers_due.sooner(index, at);
        }
        if result.is_ok() {
            peer.ice.heard(now, path);
        }
        if let Err(reason) = result.and_then(|(received, packet)| self.place(now, index, &received, packet, shared)) {
            shared.counters.add(reason);
        }
        self.hold_to_allowance(now, index, shared);
    }

    /// Puts an opened packet into its track's cache and into the tick.
    fn place(&mut self, now: Time, index: usize, received: &Received, packet: &[u8], shared: &mut Shared) -> Result<(), Counter> {
        let peer = self.peers.get_mut(index).ok_or(Counter::DropUnpublished)?;
        let stream = peer.streams.get_mut(received.stream).ok_or(Counter::DropUnknownSsrc)?;
        let track_index = usize::from(peer.published[usize::from(stream.mline)].ok_or(Counter::DropUnpublished)?);
        let number = stream.encoding;
        let track = self.tracks.get_mut(track_index).ok_or(Counter::DropUnpublished)?;
        let encoding = track.encodings.get_mut(usize::from(number)).ok_or(Counter::DropEncoding)?;
        if encoding.ssrc != Some(stream.ssrc) {
            encoding.fed_by(stream.ssrc);
            Self::tell_clock(track, number, shared);
            if let Some(at) = track.next_ask() {
                self.tracks_due.sooner(track_index, at);
            }
        }
        let encoding = track.encodings.get_mut(usize::from(number)).ok_or(Counter::DropEncoding)?;
        if received.gap_too_large {
            // Its jump is not its subscribers' jump: one that misses the packet after a few such could no longer tell the rollover counter.
            encoding.begin_anew();
            let taken = !encoding.receivers.is_empty() || track.tap.as_deref().is_some_and(|tap| tap.encodings() >> number & 1 == 1);
            if track.kind == MediaKind::Video && taken {
                encoding.keys.want();
                self.tracks_due.sooner(track_index, encoding.keys.next_ask().unwrap_or(now));
            }
        }
        if encoding.came(now)
            && let Some(at) = encoding.keys.next_ask()
        {
            // A key frame was asked for in vain while nothing came.
            self.tracks_due.sooner(track_index, at);
        }
        if track.sent >> number & 1 == 0 && track.kind == MediaKind::Video {
            self.looks_due.sooner(track_index, now);
        }
        let generation = encoding.generation;
        let Some((codec_index, codec)) = received.codec else {
            // Nothing to forward, and nobody shall ask for it: subscribers close the gap.
            let item = TickItem { track: track_index, encoding: number, sequence: received.sequence, generation, what: What::Skipped };
            self.tick.push(item, &encoding.receivers);
            Self::note_crossing(&mut self.crossing, &track.exports, item);
            if track.tap.as_deref().is_some_and(|tap| tap.is_on(number, generation)) {
                self.tapped.push(item);
            }
            return Err(Counter::DropPadding);
        };
        if track.muted {
            return Err(Counter::DropUnpublished);
        }
        if !std::mem::replace(&mut track.started, true) {
            shared.events.push_back(Event::TrackStarted { room: self.id, track: track.id });
            peer.watch.sent(now, &mut shared.distributions);
        }
        let payload = packet.get(received.header.header_len..).ok_or(Counter::DropMalformed)?;
        let was_loud = track.unheard && track.level.loud(now).is_some();
        let said = if track.kind == MediaKind::Audio { received.extensions.get(Extension::AudioLevel, packet) } else { None };
        if let Some(value) = said {
            track.level.heard(now, AudioLevel::read(value).map_or(127, |l| l.level));
        }
        // A film that is shown does not speak.
        if said.is_some() || track.voice && track.level.heard_without(now, sound_len(codec, payload)) {
            self.heard.insert(track_index);
            if self.speakers_due == Time::NEVER {
                self.speakers_due = now + SPEAKERS_EVERY;
            }
        }
        if track.unheard {
            // Who says no level is not louder from packet to packet: that it is there is said once.
            if track.level.loud(now).is_some() && (said.is_some() || !was_loud) {
                // Nobody shall miss the beginning of a word.
                self.speakers_due = now;
            }
            if track.tap.is_none() {
                return Err(Counter::DropUnheard);
            }
        }
        let awaited = encoding.keys.is_wanted();
        let meta = encoding.read(now, received, (codec_index, codec), packet, payload);
        let tapped = track.tap.as_deref().is_some_and(|tap| tap.encodings() >> number & 1 == 1);
        if encoding.receivers.is_empty() && !tapped && !track.exports.iter().any(|export| export.wants(number)) {
            return Ok(());
        }
        encoding.cache.insert(meta, packet);
        if meta.layers.is_unread() {
            return Ok(());
        }
        let item = TickItem { track: track_index, encoding: number, sequence: received.sequence, generation, what: What::Packet };
        if tapped && !meta.starts_key_frame {
            Self::note_tapped(&mut self.tapped, &mut track.tap, encoding, item, &meta);
        }
        if track.unheard {
            return Err(Counter::DropUnheard);
        }
        self.tick.push(item, &encoding.receivers);
        if !meta.starts_key_frame {
            Self::note_crossing(&mut self.crossing, &track.exports, item);
            return Ok(());
        }
        let (crossing, exports) = (&mut self.crossing, &track.exports);
        Self::note_crossing(crossing, exports, item);
        let Some(encoding) = track.encodings.get_mut(usize::from(number)) else { return Ok(()) };
        let mut were_unread = false;
        encoding.read_anew(item.sequence, |sequence| {
            were_unread = true;
            Self::note_crossing(crossing, exports, TickItem { sequence, ..item });
        });
        if awaited || were_unread {
            self.tick.push_early(item, encoding);
        }
        if tapped {
            Self::note_tapped(&mut self.tapped, &mut track.tap, encoding, item, &meta);
        }
        Ok(())
    }

    /// A subscriber can be reached now: whatever it waits for is asked for.
    pub(super) fn want_key_frames_for(&mut self, subscriber: usize) {
        let Some(peer) = self.peers.get(subscriber).filter(|p| p.srtp.is_some()) else { return };
        for (track, encoding) in peer.legs.iter().flat_map(Leg::awaits_key_frames) {
            if let Some(encoding) = self.tracks.get_mut(track).and_then(|t| t.encoding_mut(encoding)) {
                encoding.keys.want();
            }
        }
        self.key_frames_due(subscriber);
    }
}
