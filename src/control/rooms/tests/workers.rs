//! What each worker knows of a room, by the commands that it was given alone. It takes them as strictly as a worker ought to: a
//! command that names something unknown is a fault of whoever gave it. After each step all workers must know the same tracks,
//! from where they really are, and the same one who listens.

use std::collections::BTreeMap;

use crate::base::{PeerId, TrackId, WorkerId};
use crate::contract::{MediaKind, MediaPlan, ReceivePlan, RoomCommand};

/// All workers that have the room.
#[derive(Default)]
pub struct Workers(BTreeMap<WorkerId, Known>);

#[derive(Default)]
struct Known {
    peers: BTreeMap<PeerId, MediaPlan>,
    tracks: BTreeMap<TrackId, Origin>,
    pointed: BTreeMap<(PeerId, u8), TrackId>,
    listener: Option<WorkerId>,
}

#[derive(Clone, PartialEq, Debug)]
enum Origin {
    Here(PeerId, u8),
    Elsewhere(WorkerId, ReceivePlan),
}

impl Known {
    /// The m-line that a track comes from, as this worker knows it.
    fn source(&self, track: TrackId) -> &ReceivePlan {
        match &self.tracks[&track] {
            Origin::Here(peer, mline) => self.peers[peer].receive.iter().find(|l| l.mline == *mline).expect("its m-line is negotiated"),
            Origin::Elsewhere(_, source) => source,
        }
    }

    fn forget_track(&mut self, track: TrackId) {
        assert!(self.tracks.remove(&track).is_some(), "{track:?} has ended, and was never there");
        self.pointed.retain(|_, shown| *shown != track);
    }

    fn plan(&mut self, peer: PeerId) -> &mut MediaPlan {
        self.peers.get_mut(&peer).unwrap_or_else(|| panic!("{peer:?} is not on this worker"))
    }

    fn take(&mut self, own: WorkerId, command: &RoomCommand) {
        match command {
            RoomCommand::AddPeer { peer, .. } => assert!(self.peers.insert(*peer, MediaPlan::default()).is_none(), "{peer:?} comes twice"),
            RoomCommand::Negotiate { peer, media } => *self.plan(*peer) = (**media).clone(),
            RoomCommand::RestartIce { peer, .. } | RoomCommand::CheckIce { peer, .. } | RoomCommand::Allow { peer, .. } => drop(self.plan(*peer)),
            RoomCommand::Voices { .. } | RoomCommand::DataTaken { .. } => {}
            RoomCommand::Data { to, .. } => assert!(to.iter().all(|peer| self.plan(*peer).data.is_some()), "{to:?} have no m-line of data channels"),
            RoomCommand::RemovePeer { peer } => {
                self.plan(*peer);
                self.peers.remove(peer);
                self.pointed.retain(|(subscriber, _), _| subscriber != peer);
                let its: Vec<TrackId> = self.tracks.iter().filter(|(_, o)| matches!(o, Origin::Here(p, _) if p == peer)).map(|(t, _)| *t).collect();
                its.into_iter().for_each(|track| self.forget_track(track));
            }
            RoomCommand::Publish { peer, mline, track, .. } => {
                assert!(self.plan(*peer).receive.iter().any(|l| l.mline == *mline), "m-line {mline} of {peer:?} carries nothing to us");
                assert!(self.tracks.insert(*track, Origin::Here(*peer, *mline)).is_none(), "{track:?} begins twice");
            }
            RoomCommand::Import { track, from, source } => {
                assert_ne!(*from, own, "{track:?} is published here");
                assert!(!matches!(self.tracks.get(track), Some(Origin::Here(..))), "{track:?} is published here");
                self.tracks.insert(*track, Origin::Elsewhere(*from, (**source).clone()));
            }
            RoomCommand::Unpublish { track } => self.forget_track(*track),
            RoomCommand::Tap { track, .. } | RoomCommand::TapKeyFrame { track } => {
                assert!(matches!(self.tracks.get(track), Some(Origin::Here(..))), "{track:?} is recorded where it is not published")
            }
            RoomCommand::Mute { track, .. } => {
                assert!(matches!(self.tracks.get(track), Some(Origin::Here(..))), "{track:?} is muted where it is not")
            }
            RoomCommand::Point { peer, mline, source, .. } => {
                let kind = self.plan(*peer).send.iter().find(|l| l.mline == *mline).map(|l| l.kind).expect("a slot");
                match source {
                    Some(track) => {
                        assert!(self.tracks.contains_key(track), "{peer:?} is pointed at {track:?}, of which its worker has not heard");
                        assert_eq!(self.source(*track).kind, kind);
                        self.pointed.insert((*peer, *mline), *track);
                    }
                    None => drop(self.pointed.remove(&(*peer, *mline))),
                }
            }
            RoomCommand::Listener { worker } => self.listener = Some(*worker),
            RoomCommand::Close => {}
            #[cfg(feature = "fault-hooks")]
            RoomCommand::Panic => {}
        }
    }
}

impl Workers {
    /// A worker is given a command. Without any peer it forgets the room.
    pub fn take(&mut self, worker: WorkerId, command: &RoomCommand) {
        if *command == RoomCommand::Close {
            self.0.remove(&worker);
            return;
        }
        assert!(self.0.contains_key(&worker) || matches!(command, RoomCommand::AddPeer { .. }), "{worker} does not have the room: {command:?}");
        let known = self.0.entry(worker).or_default();
        known.take(worker, command);
        if known.peers.is_empty() {
            self.0.remove(&worker);
        }
    }

    /// How many workers have the room.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many connections are on a worker.
    pub fn peers(&self, worker: WorkerId) -> usize {
        self.0.get(&worker).map_or(0, |known| known.peers.len())
    }

    /// The pictures that a connection is pointed at, wherever it is, by the m-line.
    pub fn pictures(&self, peer: PeerId) -> Vec<TrackId> {
        let is_one = |known: &Known, track: TrackId| known.source(track).kind == MediaKind::Video;
        let of = |known: &Known| known.pointed.iter().filter(|((p, _), t)| *p == peer && is_one(known, **t)).map(|(_, t)| *t).collect::<Vec<_>>();
        self.0.values().flat_map(of).collect()
    }

    /// Tracks that are shown on another worker than their publisher's.
    pub fn crossing(&self) -> usize {
        let crosses = |known: &Known| known.pointed.values().filter(|t| matches!(known.tracks[t], Origin::Elsewhere(..))).count();
        self.0.values().map(crosses).sum()
    }

    /// All know the same tracks, from where they are, and who listens.
    pub fn agree(&self) {
        let mut published: BTreeMap<TrackId, (WorkerId, &ReceivePlan)> = BTreeMap::new();
        for (worker, known) in &self.0 {
            for track in known.tracks.iter().filter(|(_, origin)| matches!(origin, Origin::Here(..))).map(|(track, _)| *track) {
                assert!(published.insert(track, (*worker, known.source(track))).is_none(), "{track:?} is published twice");
            }
        }
        for (worker, known) in &self.0 {
            let believed: BTreeMap<TrackId, (WorkerId, &ReceivePlan)> = known
                .tracks
                .iter()
                .map(|(track, origin)| (*track, (if let Origin::Elsewhere(from, _) = origin { *from } else { *worker }, known.source(*track))))
                .collect();
            assert_eq!(believed, published, "what {worker} knows");
        }
        let mut listeners: Vec<WorkerId> = self.0.iter().map(|(worker, known)| known.listener.unwrap_or(*worker)).collect();
        listeners.dedup();
        assert!(listeners.len() <= 1, "who listens: {listeners:?}");
        assert!(listeners.iter().all(|l| self.0.contains_key(l)), "who listens has left");
    }
}
