//! What is open by what was said so far: whatever is when a node has gone without a word is closed by the next one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{Draft, Event, Kind, Reason, What};
use crate::control::rooms::RoomName;
use crate::wire::{MemberId, Source, TrackNumber};

/// Sessions that are open at most: more than a node has rooms. One too many is not closed should the node be lost.
const MOST: usize = 100_000;

/// What is open.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    sessions: BTreeMap<String, Session>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Session {
    room: String,
    seq: u64,
    since: u64,
    visits: BTreeMap<u32, (MemberId, u64)>,
    tracks: BTreeMap<u64, Published>,
    /// Those that go on, and those whose files are being completed.
    #[serde(default)]
    recordings: BTreeMap<String, u64>,
    /// A file of an earlier version has none.
    #[serde(default)]
    egresses: BTreeMap<String, u64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Published {
    visit: u32,
    kind: Kind,
    source: Source,
    since: u64,
}

impl Standing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Follows what is said.
    pub fn follow(&mut self, event: &Event) {
        let at = event.at;
        if !self.sessions.contains_key(&event.session) {
            // What comes late, of a session that is over, opens none.
            if !matches!(event.what, What::RoomCreated {}) || self.sessions.len() >= MOST {
                return;
            }
            let (visits, tracks) = Default::default();
            let session =
                Session { room: event.room.clone(), seq: 0, since: at, visits, tracks, recordings: BTreeMap::new(), egresses: BTreeMap::new() };
            self.sessions.insert(event.session.clone(), session);
        }
        if matches!(event.what, What::RoomClosed { .. }) {
            self.sessions.remove(&event.session);
            return;
        }
        let Some(session) = self.sessions.get_mut(&event.session) else { return };
        session.seq = session.seq.max(event.seq);
        match &event.what {
            What::MemberJoined { visit, member, .. } => drop(session.visits.insert(*visit, (member.clone(), at))),
            What::MemberLeft { visit, .. } => drop(session.visits.remove(visit)),
            What::TrackPublished { visit, track, kind, source, .. } => {
                session.tracks.insert(track.0, Published { visit: *visit, kind: *kind, source: *source, since: at });
            }
            What::TrackEnded { track, .. } => drop(session.tracks.remove(&track.0)),
            What::RecordingStarted { recording, .. } => drop(session.recordings.insert(recording.clone(), at)),
            What::RecordingFinished { recording, .. } | What::RecordingFailed { recording, .. } => drop(session.recordings.remove(recording)),
            What::EgressStarted { egress, .. } => drop(session.egresses.insert(egress.clone(), at)),
            What::EgressEnded { egress, .. } => drop(session.egresses.remove(egress)),
            What::RoomCreated {}
            | What::RoomClosed { .. }
            | What::RecordingPaused { .. }
            | What::RecordingResumed { .. }
            | What::ScreenshotTaken { .. }
            | What::MixdownFinished { .. }
            | What::MixdownFailed { .. } => {}
        }
    }

    /// What is to be said so that nothing is open any more: all of it ended at `at`, in milliseconds since the Unix epoch.
    pub fn close(&self, at: u64) -> Vec<Draft> {
        self.sessions.iter().flat_map(|(id, session)| session.close(id, at)).collect()
    }
}

impl Session {
    fn close(&self, id: &str, at: u64) -> Vec<Draft> {
        // A name that was written by this program is one; another one is not closed.
        let Ok(room) = RoomName::new(&self.room) else { return Vec::new() };
        let reason = Reason::NodeLost;
        let seconds = |since: u64| at.saturating_sub(since) as f64 / 1_000.0;
        let mut what = Vec::new();
        for (track, published) in &self.tracks {
            let Published { visit, kind, source, since } = *published;
            let Some((member, _)) = self.visits.get(&visit) else { continue };
            let (member, track) = (member.clone(), TrackNumber(*track));
            what.push(What::TrackEnded { visit, member, track, kind, source, seconds: seconds(since), muted_seconds: None });
        }
        for (visit, (member, since)) in &self.visits {
            what.push(What::MemberLeft { visit: *visit, member: member.clone(), reason, seconds: seconds(*since) });
        }
        for (recording, since) in &self.recordings {
            what.push(What::RecordingFailed { recording: recording.clone(), seconds: seconds(*since), reason });
        }
        for (egress, since) in &self.egresses {
            what.push(What::EgressEnded { egress: egress.clone(), seconds: seconds(*since), reason });
        }
        what.push(What::RoomClosed { reason, seconds: seconds(self.since) });
        let numbered = (self.seq.saturating_add(1)..).zip(what);
        numbered.map(|(seq, what)| Draft { room: room.clone(), session: id.to_owned(), seq, at, what }).collect()
    }
}
