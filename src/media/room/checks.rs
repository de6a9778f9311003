//! The way to a peer that this node has begun the connection with: checks out, answers in, and the peer's own checks.

use super::Room;
use crate::base::{PeerId, Time};
use crate::contract::{Counter, DisconnectReason, Event};
use crate::media::demux::PeerAt;
use crate::media::engine::{Shared, stun_drop};
use crate::media::transport::Path;
use crate::media::transport::ice::checks::{IceChecks, MAX_CHECK_LEN, SILENT};

impl Room {
    /// Begins to look for the way to a peer.
    pub(super) fn check_ice(&mut self, now: Time, id: PeerId, pairs: Vec<Path>, tie_breaker: u64, shared: &mut Shared) -> Option<()> {
        let index = self.peer_index(id)?;
        let at = PeerAt { room: self.key, peer: index };
        let peer = self.peers.get_mut(index).filter(|peer| peer.checks.is_none())?;
        let checks = IceChecks::new(now, peer.ice.credentials().clone(), tie_breaker, pairs);
        checks.paths().for_each(|path| shared.demux.add_check(path, at));
        peer.checks = Some(Box::new(checks));
        self.peer_due(index);
        Some(())
    }

    /// Sends the checks that are due.
    pub(super) fn check_turn(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(checks) = &mut peer.checks else { return };
        if !checks.is_over() && peer.ice.is_silent(now, SILENT) {
            checks.end();
            for path in peer.ice.paths() {
                shared.demux.remove_path(&path, PeerAt { room: self.key, peer: index });
            }
            peer.ice.give_up();
            return shared.events.push_back(Event::Disconnected { room: self.id, peer: peer.id, reason: DisconnectReason::ConsentLost });
        }
        let mut check = [0; MAX_CHECK_LEN];
        while let Some((path, len)) = checks.poll(now, &mut shared.random, &mut check) {
            shared.counters.add(Counter::ChecksOut);
            shared.reply(path, check.get(..len).unwrap_or_default());
        }
        if checks.poll_failed() {
            shared.events.push_back(Event::Disconnected { room: self.id, peer: peer.id, reason: DisconnectReason::NoWay });
        }
    }

    /// An answer to a check, from where one was sent.
    pub fn handle_check_answer(&mut self, now: Time, index: usize, path: Path, datagram: &[u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(checks) = &mut peer.checks else { return };
        let Ok(checked) = checks.handle_answer(now, path, datagram, &mut peer.ice) else { return shared.counters.add(Counter::ChecksDropped) };
        shared.counters.add(Counter::ChecksAnswered);
        let at = PeerAt { room: self.key, peer: index };
        if let Some(gone) = checked.forgotten {
            shared.demux.remove_path(&gone, at);
        }
        if checked.validated {
            shared.demux.add_path(path, at);
            peer.watch.reached(now, &mut shared.distributions);
        }
        if checked.nominated {
            self.begin_handshake(now, index, shared);
        }
        self.peer_due(index);
    }

    /// A check of the peer's, which is a full agent, too.
    pub(super) fn handle_check(&mut self, now: Time, index: usize, path: Path, datagram: &[u8], shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(checks) = &mut peer.checks else { return };
        let mut response = [0; 256];
        let (answer, learned) = match checks.handle_request(now, path, datagram, &mut peer.ice, &mut response) {
            Ok(answer) => answer,
            Err(reason) => return shared.counters.add(stun_drop(reason)),
        };
        shared.counters.add(if answer.role_conflict { Counter::StunRoleConflict } else { Counter::StunAnswered });
        shared.reply(path, response.get(..answer.len).unwrap_or_default());
        if let Some(learned) = learned {
            shared.demux.add_check(learned, PeerAt { room: self.key, peer: index });
        }
        if answer.nominated {
            self.begin_handshake(now, index, shared);
        }
        self.peer_due(index);
    }
}
