//! Who speaks, and whose voice is forwarded: found out once for a room, by the worker that listens for all.

use std::time::Duration;

use super::Room;
use super::relay::Elsewhere;
use crate::base::{Time, WorkerId};
use crate::contract::Event;
use crate::media::engine::Shared;
use crate::media::publish::level::SpeechLevel;
use crate::media::route::relay::{MOST_VOICES, Note, Voices, VoicesAre};

/// Who speaks is looked at so often. Less flickers, more lags behind the voice.
pub(super) const SPEAKERS_EVERY: Duration = Duration::from_millis(200);
/// While so many events wait for control, nobody is told who speaks.
const MOST_WAITING_EVENTS: usize = 1_024;

impl Room {
    /// Looks at who is heard, where it is time to.
    pub(super) fn speak(&mut self, now: Time, shared: &mut Shared) {
        if self.speakers_due > now {
            return;
        }
        self.choose_voices(now, shared);
        let kept_back = self.tell_speakers(now, shared);
        let others_speak = self.listener.is_none() && self.elsewhere.iter().any(|e| !e.is_stale(now) && !e.is_silent());
        let again = kept_back || others_speak || !self.heard.is_empty();
        self.speakers_due = if again { now + SPEAKERS_EVERY } else { Time::NEVER };
    }

    /// Tells control, or the worker that listens for all, when who speaks has changed. Whether that had to be put off.
    fn tell_speakers(&mut self, now: Time, shared: &mut Shared) -> bool {
        let mut speaking = std::mem::take(&mut self.louder);
        speaking.clear();
        self.gather(now, SpeechLevel::speaking, &mut speaking);
        if self.listener.is_none() {
            speaking.extend(self.elsewhere.iter().filter(|e| !e.is_stale(now)).flat_map(|e| e.speaking.iter()));
        }
        speaking.sort_unstable_by_key(|(id, level)| (*level, *id));
        speaking.truncate(MOST_VOICES);
        let mut kept_back = false;
        if let Some(listener) = self.listener {
            // Levels are for the listener to compare, so they are said again and again; silence is said once.
            if !speaking.is_empty() || !self.speakers.is_empty() {
                self.speakers.clone_from(&speaking);
                shared.say(listener, Note::Voices { room: self.id, are: VoicesAre::Speaking, voices: Voices::new(&speaking) });
            }
        } else {
            // Levels, and so the order, move all the time: only who speaks is news.
            let same = speaking.len() == self.speakers.len() && speaking.iter().all(|(id, _)| self.speakers.iter().any(|(known, _)| known == id));
            // Control that does not listen is told when it does: the list of speakers is kept back, never queued without end.
            kept_back = (!same || self.untold) && shared.events.len() >= MOST_WAITING_EVENTS;
            if (!same || self.untold) && !kept_back {
                self.untold = false;
                self.speakers.clone_from(&speaking);
                shared.events.push_back(Event::Speakers { room: self.id, speaking: speaking.clone() });
            }
        }
        self.louder = speaking;
        kept_back
    }

    /// Lists tracks of which packets have said a level lately, as far as `level` gives one.
    fn gather(&mut self, now: Time, level: fn(&SpeechLevel, Time) -> Option<u8>, list: &mut Vec<(crate::base::TrackId, u8)>) {
        let mut from = 0;
        while let Some(index) = self.heard.next_from(from) {
            let track = self.tracks.get(index).filter(|t| t.level.is_heard(now));
            if track.is_none() {
                self.heard.remove(index);
            }
            list.extend(track.and_then(|t| Some((t.id, level(&t.level, now)?))));
            from = index + 1;
        }
    }

    /// How many voices are forwarded from now on.
    pub(super) fn limit_voices(&mut self, now: Time, most: u8) {
        self.most_voices = most;
        if most == u8::MAX {
            self.forward_voices(|_| true);
        } else {
            // The listener has to know of this worker, to tell it who is chosen, although nobody may have spoken here yet.
            self.was_loud = true;
            self.speakers_due = self.speakers_due.min(now);
        }
    }

    /// Chooses the voices that are forwarded, when there are too many; the listener does for all workers.
    fn choose_voices(&mut self, now: Time, shared: &mut Shared) {
        if self.most_voices == u8::MAX {
            return;
        }
        let mut loud = std::mem::take(&mut self.louder);
        loud.clear();
        self.gather(now, SpeechLevel::loud, &mut loud);
        loud.retain(|(id, _)| self.track_of.get(id).and_then(|index| self.tracks.get(*index)).is_some_and(|t| t.voice));
        if let Some(listener) = self.listener {
            loud.sort_unstable_by_key(|(id, level)| (*level, *id));
            if !loud.is_empty() || std::mem::take(&mut self.was_loud) {
                self.was_loud = !loud.is_empty();
                shared.say(listener, Note::Voices { room: self.id, are: VoicesAre::Loud, voices: Voices::new(&loud) });
            }
        } else {
            loud.extend(self.elsewhere.iter().filter(|e| !e.is_stale(now)).flat_map(|e| e.loud.iter()));
            loud.sort_unstable_by_key(|(id, level)| (*level, *id));
            let changed = self.voices.hear(now, &loud, usize::from(self.most_voices).min(MOST_VOICES));
            let chosen: Voices = self.voices.iter().map(|track| (track, 0)).collect();
            for other in self.elsewhere.iter().filter(|e| changed || !e.loud.is_empty()) {
                shared.say(other.worker, Note::Voices { room: self.id, are: VoicesAre::Forwarded, voices: chosen });
            }
            self.forward_voices(|track| chosen.iter().any(|(chosen, _)| chosen == track));
        }
        self.louder = loud;
    }

    /// Forwards the voices for which `chosen` holds. One that has not been forwarded for a while begins anew: its numbers have a gap.
    fn forward_voices(&mut self, chosen: impl Fn(crate::base::TrackId) -> bool) {
        for (_, track) in &mut self.tracks {
            if track.voice && track.import.is_none() {
                let unheard = !chosen(track.id);
                if track.unheard && !unheard {
                    track.encodings.iter_mut().for_each(|encoding| encoding.begin_anew());
                }
                track.unheard = unheard;
            }
        }
    }

    /// What another worker hears, or has chosen for all.
    pub fn handle_voices(&mut self, now: Time, from: WorkerId, are: VoicesAre, voices: Voices) {
        if are == VoicesAre::Forwarded {
            if self.listener == Some(from) && self.most_voices != u8::MAX {
                self.forward_voices(|track| voices.iter().any(|(chosen, _)| chosen == track));
            }
            return;
        }
        let place = self.elsewhere.iter().position(|e| e.worker == from).unwrap_or_else(|| {
            self.elsewhere.push(Elsewhere { worker: from, at: now, speaking: Voices::default(), loud: Voices::default() });
            self.elsewhere.len() - 1
        });
        let heard = &mut self.elsewhere[place];
        heard.at = now;
        match are {
            VoicesAre::Loud => heard.loud = voices,
            VoicesAre::Speaking | VoicesAre::Forwarded => heard.speaking = voices,
        }
        self.speakers_due = self.speakers_due.min(now);
    }

    /// The worker that hears all voices.
    pub(super) fn listen(&mut self, now: Time, worker: WorkerId, own: WorkerId) {
        let listens = worker == own;
        self.listener = (!listens).then_some(worker);
        // Whoever said who speaks before may have said something else.
        self.untold = listens;
        self.was_loud = true;
        self.speakers_due = self.speakers_due.min(now);
    }
}
