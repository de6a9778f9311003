//! Who sends more than was agreed: told first, and then what takes most goes no further.

use super::Room;
use crate::base::{Bitrate, PeerId, Time};
use crate::contract::{Counter, Event};
use crate::media::engine::Shared;
use crate::media::publish::allowance::{Allowance, Word};

impl Room {
    /// What a peer may send from now on. What it has sent so far stays counted: nobody begins anew by negotiating.
    pub(super) fn allow(&mut self, now: Time, id: PeerId, publish: Option<Bitrate>) -> Option<()> {
        let index = self.peer_index(id)?;
        let peer = &mut self.peers[index];
        match (publish, &mut peer.allowance) {
            (None, _) => peer.allowance = None,
            (Some(publish), Some(allowance)) => allowance.agree(publish),
            (Some(publish), None) => peer.allowance = Some(Box::new(Allowance::new(now, publish))),
        }
        peer.measure();
        Some(())
    }

    /// After each packet: mostly there is nothing to say.
    pub(super) fn hold_to_allowance(&mut self, now: Time, index: usize, shared: &mut Shared) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        let Some(allowance) = &mut peer.allowance else { return };
        let Some(word) = allowance.take_word() else { return };
        let (most, sent) = (allowance.most(), allowance.sent(now));
        // What is not published goes to nobody as it is.
        let Some(mline) = most.filter(|mline| peer.published[usize::from(*mline)].is_some()) else { return };
        let Some(track) = peer.published[usize::from(mline)].and_then(|track| self.tracks.get(usize::from(track))).map(|track| track.id) else {
            return;
        };
        let ended = word == Word::TooMuch;
        if ended {
            // Control ends it when it hears of it; until then nobody gets anything of it.
            self.mute(track, true);
        }
        shared.counters.add(if ended { Counter::ExcessEnded } else { Counter::ExcessTold });
        shared.events.push_back(Event::Excess { room: self.id, peer: self.peers[index].id, track, sent, ended });
    }
}
