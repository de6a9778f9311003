//! What a worker says: a connection is up or down, somebody speaks, the room's media is lost.

use super::fallback::Fallbacks;
use super::ledger::Note;
use super::member::Seat;
use super::room::Room;
use super::slots::Slots;
use crate::base::{PeerId, TrackId};
use crate::contract::Event as Media;
use crate::wire::{Event, Source};

impl Room {
    pub(super) fn media(&mut self, event: Media) {
        match event {
            Media::Connected { peer, .. } | Media::Reconnected { peer, .. } => {
                self.has_come(peer);
                self.tell_media(peer, true);
            }
            Media::Disconnected { peer, .. } => self.tell_media(peer, false),
            Media::Speakers { speaking, .. } => self.speaking(&speaking),
            Media::Demand { track, encodings, .. } => self.demanded(track, encodings),
            Media::Quality { peer, tracks, .. } => {
                if let Some(seat) = self.peers.get(&peer).copied() {
                    self.note_undecodable(seat, &tracks);
                    self.sent(seat, &tracks);
                }
            }
            Media::DataChannel { peer, end, .. } => self.data_channel(peer, end),
            Media::Excess { track, sent, ended, .. } => self.exceeded(track, sent, ended),
            Media::Health { .. } | Media::TrackStarted { .. } | Media::Data { .. } | Media::Mapped(_) => {}
            Media::RoomFailed { .. } => self.restart(),
        }
    }

    fn tell_media(&mut self, peer: PeerId, connected: bool) {
        // An event of a connection that has been replaced meanwhile says nothing about the new one.
        if let Some(seat) = self.peers.get(&peer).copied() {
            self.tell(|s| s == seat, Event::Media { connected });
        }
    }

    /// Who speaks is who is loud at a microphone: a film that is shown does not speak.
    fn speaking(&mut self, tracks: &[(TrackId, u8)]) {
        let mut speakers: Vec<Seat> = Vec::new();
        for (track, _) in tracks {
            let Some(seat) = self.tracks.get(track).copied() else { continue };
            let microphone = self.members.get(&seat).and_then(|m| m.track(*track)).is_some_and(|t| t.source == Source::Microphone);
            if microphone && !speakers.contains(&seat) {
                speakers.push(seat);
            }
        }
        self.set_speakers(speakers);
    }

    /// The worker has dropped the room: every connection, track and slot is gone, and each member begins again.
    fn restart(&mut self) {
        // Commands that were under way may have begun the room again there, with half of its state.
        self.close_all();
        for member in self.members.values_mut() {
            member.connection = None;
            member.tracks.clear();
            member.unwanted.clear();
            member.views.clear();
            member.pins.clear();
            member.quality.clear();
            member.slots = Slots::default();
        }
        self.peers.clear();
        std::mem::take(&mut self.tracks).into_keys().for_each(|track| self.ledger.note(Note::Ended(track)));
        self.restricted.clear();
        self.fallbacks = Fallbacks::default();
        self.set_speakers(Vec::new());
        self.tell(|_| true, Event::Restart {});
    }
}
