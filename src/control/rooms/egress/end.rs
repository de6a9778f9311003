//! How a try and a session end: tried again later, given up, or over because somebody says so.

use std::time::Duration;

use super::{Session, State};
use crate::base::{PeerId, Time};
use crate::contract::RoomCommand;
use crate::control::egress::{Instruction, Trouble};
use crate::control::events::Reason;
use crate::control::rooms::ledger::Note;
use crate::control::rooms::room::Room;

/// The first wait after one that has failed; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A session that was live for so long begins to count its tries anew.
const STEADY: Duration = Duration::from_secs(30);
/// Sessions that have failed and can still be asked about.
const MOST_FAILED: usize = 8;

impl Room {
    pub(super) fn egress_of_peer_in_vain(&mut self, peer: PeerId, trouble: Trouble, now: Time) {
        let of_it = |session: &Session| session.link.as_ref().is_some_and(|link| link.peer == peer);
        if let Some(index) = self.egresses.sessions.iter().position(of_it) {
            self.egress_in_vain(index, trouble, now);
        }
    }

    /// A try has come to nothing: the next one is later, or there is none.
    pub(super) fn egress_in_vain(&mut self, index: usize, trouble: Trouble, now: Time) {
        self.unlink(index);
        let Some(session) = self.egresses.sessions.get_mut(index) else { return };
        session.trouble = Some(trouble);
        if matches!(session.state, State::Live { since } if now.since(since) >= STEADY) {
            session.tries = 1;
        }
        if !trouble.may_pass() || session.tries >= session.most {
            return self.fail_egress(index);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << session.tries.saturating_sub(1).min(16)).min(LONGEST_WAIT);
        session.state = State::Retrying { at: now + wait };
        self.instruct(index, Instruction::HangUp);
    }

    pub(super) fn renew_egress(&mut self, index: usize) {
        self.unlink(index);
        if let Some(session) = self.egresses.sessions.get_mut(index) {
            (session.state, session.tries) = (State::Waiting, 0);
        }
        self.instruct(index, Instruction::HangUp);
        // Settled once more when something happens: what is there to send may be offered at once.
        if let Some(session) = self.egresses.sessions.get(index)
            && self.present(&session.info).is_some_and(|present| !present.tracks.is_empty())
        {
            self.begin_try(index);
        }
    }

    /// It is given up, and can be asked about for a while.
    fn fail_egress(&mut self, index: usize) {
        self.set_egress(index, State::Failed);
        self.instruct(index, Instruction::Over);
        if let Some(session) = self.egresses.sessions.get(index) {
            self.ledger.note(Note::EgressOver(session.info.egress.clone(), Reason::Failed));
        }
        let failed = |session: &Session| matches!(session.state, State::Failed);
        if self.egresses.sessions.iter().filter(|session| failed(session)).count() > MOST_FAILED
            && let Some(oldest) = self.egresses.sessions.iter().position(failed)
        {
            self.egresses.sessions.remove(oldest);
        }
        self.tell_egress();
    }

    pub(super) fn remove_egress(&mut self, index: usize, reason: Reason) {
        self.unlink(index);
        let over = self.egresses.sessions.get(index).is_some_and(|session| matches!(session.state, State::Failed));
        if !over {
            self.instruct(index, Instruction::Over);
        }
        let session = self.egresses.sessions.remove(index);
        if !over {
            self.ledger.note(Note::EgressOver(session.info.egress, reason));
        }
        self.tell_egress();
    }

    fn unlink(&mut self, index: usize) {
        if let Some(link) = self.egresses.sessions.get_mut(index).and_then(|session| session.link.take()) {
            self.worker(link.worker, RoomCommand::RemovePeer { peer: link.peer });
        }
    }
}
