//! A worker's turn, as far as it is about the relay and about streams.

use std::time::Duration;

use super::Worker;
use crate::base::Time;
use crate::io::relay::RelaySockets;
use crate::io::streams::Framing;
use crate::port::STREAMS;

/// Streams of another listener's taken in one turn.
const STREAMS_A_TURN: usize = STREAMS / 2;

impl Worker {
    /// A relay's packets come one by one, at many sockets: where there was nothing else, what follows is waited for together. A wake costs more
    /// than a packet does.
    pub(super) fn gather(&self) {
        let span = self.relay.as_ref().map_or(Duration::ZERO, RelaySockets::gather);
        if self.gathers && !span.is_zero() {
            let due = self.until_next_turn().map_or(span, |due| span.min(Duration::new(due.tv_sec as u64, due.tv_nsec as u32)));
            std::thread::sleep(due);
        }
    }

    /// Takes what waits at a socket of the relay's; whether that was all.
    pub(super) fn serve_relay(&mut self, wake: u64) -> bool {
        self.unreported = true;
        self.relay.as_mut().is_none_or(|relay| relay.serve(self.clock.now(), wake, &mut self.receiver, &mut self.streams))
    }

    /// Takes what waits at a stream; whoever is behind one that has ended is let go.
    pub(super) fn serve_stream(&mut self, wake: u64) {
        let now = self.clock.now();
        if let Some(relay) = &mut self.relay {
            // A stream brings up to a whole read at once, which wants all the room.
            relay.give_out(&mut self.streams);
        }
        let (engine, relay) = (&mut self.engine, &mut self.relay);
        self.streams.serve(now, wake, |path, framing, message| match (framing, &mut *relay) {
            (Framing::Ice, _) => engine.handle_read(now, path, message),
            (Framing::Turn, Some(relay)) => relay.take_from_client(now, path, message),
            (Framing::Turn, None) => {}
        });
        self.let_go_of_ended();
        self.unreported = true;
    }

    /// Takes note of streams that have ended, whether there is a relay that knows them or not: nobody else forgets them.
    fn let_go_of_ended(&mut self) {
        while let Some((path, _)) = self.streams.poll_ended() {
            if let Some(relay) = &mut self.relay {
                relay.let_go(&path);
            }
        }
    }

    pub(super) fn handle_timeouts(&mut self, now: Time) {
        let before = self.held();
        if let Some(relay) = &mut self.relay {
            relay.handle_timeout(now, &mut self.streams);
        }
        let (engine, relay) = (&self.engine, &self.relay);
        self.streams.handle_timeout(now, |path, framing| match framing {
            Framing::Ice => engine.knows(path),
            Framing::Turn => relay.as_ref().is_some_and(|relay| relay.knows(path)),
        });
        self.let_go_of_ended();
        self.unreported |= self.held() != before;
    }

    /// Streams and allocations at present.
    fn held(&self) -> (usize, usize) {
        (self.streams.len(), self.relay.as_ref().map_or(0, RelaySockets::allocations))
    }

    /// Goes on with streams that were accepted beside the pages.
    pub(super) fn take_streams(&mut self, now: Time) {
        for taken in 1..=STREAMS_A_TURN {
            let Some(stream) = self.inbox.next_stream() else { return };
            let relay = &mut self.relay;
            self.streams.adopt(now, stream, |path, message| {
                if let Some(relay) = relay {
                    relay.take_from_client(now, path, message);
                }
            });
            if let Some(relay) = &mut self.relay {
                relay.give_out(&mut self.streams);
            }
            self.let_go_of_ended();
            self.unreported = true;
            self.more_commands |= taken == STREAMS_A_TURN;
        }
    }
}
