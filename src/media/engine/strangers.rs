//! STUN without a user name: answers to connections' checks, strangers' questions, and answers to this node's own.

use super::{Engine, stun_drop};
use crate::base::Time;
use crate::contract::{Counter, Event, Mapped};
use crate::media::transport::Path;
use crate::media::transport::ice;

impl Engine {
    /// Takes in STUN without a user name: the answer to a connection's check, a stranger's question, an answer to ours, or none of these.
    pub(super) fn handle_nobodys(&mut self, now: Time, path: Path, datagram: &[u8]) {
        if let Some(at) = self.shared.demux.check(&path).filter(|_| ice::is_answer(datagram)) {
            self.guarded(at.room, |room, shared| room.handle_check_answer(now, at.peer, path, datagram, shared));
            return self.settle(at.room);
        }
        if ice::is_strangers(datagram) {
            return self.answer_stranger(now, path, datagram);
        }
        match self.answer_to_us(path, datagram) {
            // No faster than strangers are answered: whoever sees a question on its way could answer it without end.
            Some(mapped) if self.strangers.allows(now, mapped.server.ip()) => self.shared.events.push_back(Event::Mapped(mapped)),
            Some(_) => self.shared.counters.add(Counter::StunServiceLimited),
            None => self.shared.counters.add(Counter::StunMalformed),
        }
    }

    /// What a STUN server says, if it answers this node: nobody else knows how our transactions begin.
    fn answer_to_us(&self, path: Path, datagram: &[u8]) -> Option<Mapped> {
        let begin = self.questions?;
        let (transaction, address) = ice::mapped_address(datagram)?;
        transaction.starts_with(&begin).then_some(Mapped { transaction, server: path.remote, address })
    }

    /// The STUN service: whoever asks is told where they are seen to be.
    fn answer_stranger(&mut self, now: Time, path: Path, datagram: &[u8]) {
        if !self.strangers.allows(now, path.remote.ip()) {
            return self.shared.counters.add(Counter::StunServiceLimited);
        }
        let mut answer = [0; ice::MAX_ANSWER_LEN];
        match ice::answer_stranger(datagram, path.remote, &mut answer) {
            Ok(len) => {
                self.shared.counters.add(Counter::StunService);
                self.shared.reply(path, answer.get(..len).unwrap_or_default());
            }
            Err(reason) => self.shared.counters.add(stun_drop(reason)),
        }
    }
}
