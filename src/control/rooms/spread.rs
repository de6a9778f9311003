//! A room over several workers: where a connection goes, and what each worker is told of the tracks on the others.
//!
//! A worker has a room while any of its connections is there. It is told of every track that is published on another one
//! before it is told to show any, and of each track's end.

use std::collections::{BTreeMap, BTreeSet};

use super::member::Connection;
use super::room::Room;
use crate::base::{TrackId, WorkerId};
use crate::contract::{Mid, ReceivePlan, RoomCommand};

/// What workers have been told about who listens for all.
#[derive(Debug, Default)]
pub(super) struct Listeners(BTreeMap<WorkerId, WorkerId>);

impl Room {
    /// Where a new connection goes: home while the room is small there, else to the better of two that were drawn. Of two alike it is
    /// the one that the room is on already: on one more worker, packets cross once more. `workers`: how many there are.
    pub(super) fn place(&self, [best, alike]: [WorkerId; 2], workers: usize) -> WorkerId {
        let home = self.ground.worker;
        let at_home = self.connections().filter(|c| c.worker == home).count();
        if at_home < self.rules.spread_from {
            return home;
        }
        let on = self.on_workers();
        let drawn = if !on.contains(&best) && on.contains(&alike) { alike } else { best };
        if usize::from(drawn.0) < workers { drawn } else { home }
    }

    /// The workers that the room is on.
    pub(super) fn on_workers(&self) -> BTreeSet<WorkerId> {
        self.connections().map(|c| c.worker).collect()
    }

    /// A connection has come to a worker: the first one there makes it learn of all that is published elsewhere.
    pub(super) fn introduce(&mut self, worker: WorkerId) {
        let published = self.members.values().filter_map(|m| Some((m.connection.as_ref()?, &m.tracks)));
        let elsewhere = published.filter(|(connection, _)| connection.worker != worker);
        let imports: Vec<_> = elsewhere.flat_map(|(c, tracks)| tracks.iter().filter_map(|t| import(t.id, t.mid, c))).collect();
        imports.into_iter().for_each(|import| self.worker(worker, import));
    }

    /// A track has begun, or its m-line was negotiated anew: the other workers learn of it.
    pub(super) fn export(&mut self, track: TrackId, mid: Mid, publisher: WorkerId) {
        let connection = self.tracks.get(&track).and_then(|seat| self.members.get(seat)?.connection.as_ref());
        let Some(import) = connection.and_then(|c| import(track, mid, c)) else { return };
        for worker in self.on_workers().into_iter().filter(|w| *w != publisher) {
            self.worker(worker, import.clone());
        }
    }

    /// A track has ended: the workers but its publisher's learn of it here.
    pub(super) fn withdraw(&mut self, track: TrackId, publisher: WorkerId) {
        for worker in self.on_workers().into_iter().filter(|w| *w != publisher) {
            self.worker(worker, RoomCommand::Unpublish { track });
        }
    }

    /// A connection has ended. A worker without any has forgotten the room, and who listens: it is told anew when the next one comes.
    pub(super) fn leave_worker(&mut self, worker: WorkerId) {
        if !self.on_workers().contains(&worker) {
            self.listeners.0.remove(&worker);
            self.choice.forget_worker(worker);
        }
    }

    /// One worker listens for all: the home of the room, or the first that it is on. A worker that is not told listens itself.
    pub(super) fn settle_listener(&mut self) {
        let workers = self.on_workers();
        self.listeners.0.retain(|worker, _| workers.contains(worker));
        let Some(listener) = workers.get(&self.ground.worker).or_else(|| workers.first()).copied() else { return };
        for worker in workers {
            if self.listeners.0.get(&worker).copied().unwrap_or(worker) != listener {
                self.listeners.0.insert(worker, listener);
                self.worker(worker, RoomCommand::Listener { worker: listener });
            }
        }
    }

    /// Ends the room on all its workers.
    pub(super) fn close_all(&mut self) {
        let mut workers = self.on_workers();
        workers.insert(self.ground.worker);
        self.listeners.0.clear();
        workers.iter().for_each(|worker| self.choice.forget_worker(*worker));
        workers.into_iter().for_each(|worker| self.worker(worker, RoomCommand::Close));
    }

    fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.members.values().filter_map(|m| m.connection.as_ref())
    }
}

fn import(track: TrackId, mid: Mid, publisher: &Connection) -> Option<RoomCommand> {
    let source: ReceivePlan = publisher.receive.iter().find(|line| line.mid == mid)?.clone();
    Some(RoomCommand::Import { track, from: publisher.worker, source: Box::new(source) })
}
