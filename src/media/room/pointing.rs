//! Which track goes to which slot: subscriptions begin, move and end.

use super::Room;
use crate::base::{PeerId, Time, TrackId};
use crate::contract::{MediaKind, ReceivePlan, View};
use crate::media::engine::Shared;
use crate::media::packet::layers::Layer;
use crate::media::select::{Aim, Choice};

impl Room {
    /// Points a slot's m-line at a track that is shown like this and named so in its packets, or at nothing.
    pub(super) fn point(
        &mut self, now: Time, (id, mline): (PeerId, u8), source: Option<(TrackId, View, Option<u32>)>, shared: &mut Shared,
    ) -> Option<()> {
        let subscriber = self.peer_index(id)?;
        let leg = self.peers[subscriber].legs.iter().position(|l| l.mline() == mline)?;
        self.select_soon(now, subscriber);
        let Some((source, view, name)) = source else {
            self.detach(now, subscriber, leg, shared);
            return Some(());
        };
        let index = self.track_index(source)?;
        self.peers[subscriber].legs[leg].show(view);
        if self.peers[subscriber].legs[leg].source() == Some(index) {
            return Some(());
        }
        let plan = self.source_plan(index)?.clone();
        let goes_on = &self.peers[subscriber].legs[leg];
        if goes_on.before() == Some(index) && goes_on.sending() == Some(index) {
            self.leave(now, (subscriber, leg), shared);
            self.peers[subscriber].legs[leg].take_back();
            return Some(());
        }
        self.keep_or_leave(now, (subscriber, leg), shared);
        // One subscriber gets a track once: it moves here from wherever it was.
        if let Some(other) = self.peers[subscriber].leg_of(index) {
            if self.peers[subscriber].legs[other].source() == Some(index) {
                self.leave(now, (subscriber, other), shared);
            } else {
                self.leave_before(now, (subscriber, other), shared);
            }
        }
        self.attach(now, (subscriber, leg), index, &plan, shared);
        self.peers[subscriber].legs[leg].call(name);
        Some(())
    }

    fn attach(&mut self, now: Time, (subscriber, leg): (usize, usize), index: usize, plan: &ReceivePlan, shared: &mut Shared) {
        let track = &mut self.tracks[index];
        let kind = track.kind;
        track.subscribers.insert(subscriber);
        let peer = &mut self.peers[subscriber];
        peer.route(index, Some(leg));
        peer.legs[leg].point(now, Some((index, track, plan)));
        if kind == MediaKind::Audio {
            self.aim(now, (subscriber, leg), index, Aim::at(Choice { encoding: 0, layer: Layer::TOP }), shared);
        }
        self.peer_due(subscriber);
        self.relay_changed(index);
    }

    /// A leg shows and plays nothing any more.
    pub(super) fn detach(&mut self, now: Time, subscriber: usize, leg: usize, shared: &mut Shared) {
        self.leave_before(now, (subscriber, leg), shared);
        self.leave(now, (subscriber, leg), shared);
    }

    /// A leg gets nothing more of the track that it is pointed at.
    fn leave(&mut self, now: Time, (subscriber, leg): (usize, usize), shared: &mut Shared) {
        let Some(track) = self.peers[subscriber].legs[leg].source() else { return };
        self.peers[subscriber].legs[leg].point(now, None);
        self.unsubscribe(now, subscriber, track, shared);
    }

    /// A leg gets nothing more of the track that it went on with.
    pub(super) fn leave_before(&mut self, now: Time, (subscriber, leg): (usize, usize), shared: &mut Shared) {
        let Some(track) = self.peers[subscriber].legs[leg].before() else { return };
        self.peers[subscriber].legs[leg].forget_before();
        self.unsubscribe(now, subscriber, track, shared);
    }

    /// A leg that is to be pointed at another track goes on with its picture until that begins, if it has one, and has left it else.
    fn keep_or_leave(&mut self, now: Time, (subscriber, leg): (usize, usize), shared: &mut Shared) {
        if self.peers[subscriber].legs[leg].is_done_with_before(now) {
            self.leave_before(now, (subscriber, leg), shared);
        }
        let goes_on = &mut self.peers[subscriber].legs[leg];
        let (Some(index), present) = (goes_on.source(), goes_on.selection().present()) else { return };
        let Some(present) = present.filter(|_| goes_on.keep(now)) else { return self.leave(now, (subscriber, leg), shared) };
        for (number, encoding) in (0..).zip(&mut self.tracks[index].encodings) {
            if number != present.encoding {
                encoding.lose_receiver(subscriber);
            }
        }
        self.receivers_changed(now, index, shared);
    }

    fn unsubscribe(&mut self, now: Time, subscriber: usize, track: usize, shared: &mut Shared) {
        let peer = &mut self.peers[subscriber];
        peer.route(track, None);
        peer.queue.forget_track(track);
        let left = &mut self.tracks[track];
        left.subscribers.remove(subscriber);
        left.encodings.iter_mut().for_each(|encoding| encoding.receivers.remove(subscriber));
        self.receivers_changed(now, track, shared);
    }
}
