//! The task that owns a lobby: commands in, effects out, timers. Its mailbox holds [`MAILBOX`] letters; whoever sends one more
//! waits, and its socket is read no further.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::command::{Admit, Command, Effect};
use super::directory::{Handle, Surroundings};
use super::lobby::Lobby;
use crate::base::Time;
use crate::control::rooms::SocketId;
use crate::control::signaling::{End, Outbox, encode};
use crate::wire::{ByeReason, Event};

/// Letters that may wait for a lobby: one for each of 500 people that come at once.
pub const MAILBOX: usize = 512;

/// What a lobby is sent.
pub enum Letter {
    /// From a socket that wants in.
    Enter {
        /// `Enter`.
        command: Command,
        /// The socket.
        socket: SocketId,
        /// Where its answers and events go.
        outbox: Outbox,
        /// Whether it is in; dropped when the lobby has ended meanwhile.
        entered: oneshot::Sender<bool>,
    },
    /// From a socket that is in, with the request's name.
    Command(Command, &'static str),
}

/// The lobby's task.
pub(super) struct Actor {
    pub lobby: Lobby,
    pub handle: Handle,
    pub letters: mpsc::Receiver<Letter>,
    pub around: Arc<Surroundings>,
    pub outboxes: HashMap<SocketId, Outbox>,
}

/// The lobby is over.
struct Over;

impl Actor {
    pub async fn run(mut self) {
        tracing::info!(lobby = %self.handle.name, "lobby opened");
        while self.turn().await.is_ok() {}
        tracing::info!(lobby = %self.handle.name, "lobby closed");
        // `Drop` does the rest, as it does after a panic.
    }

    async fn turn(&mut self) -> Result<(), Over> {
        let deadline = self.around.instant(self.lobby.deadline());
        tokio::select! {
            letter = self.letters.recv() => match letter {
                Some(Letter::Command(command, name)) => self.apply(command, name),
                Some(Letter::Enter { command, socket, outbox, entered }) => self.enter(command, socket, outbox, entered),
                None => Err(Over),
            },
            () = sleep_until(deadline.into()) => self.apply(Command::Timeout, "timeout"),
        }
    }

    fn enter(&mut self, command: Command, socket: SocketId, outbox: Outbox, entered: oneshot::Sender<bool>) -> Result<(), Over> {
        self.outboxes.insert(socket, outbox);
        let went = self.apply(command, "enter");
        let is_in = self.lobby.has_socket(socket);
        if !is_in {
            self.outboxes.remove(&socket);
        }
        let _ = entered.send(is_in);
        went
    }

    fn apply(&mut self, command: Command, name: &'static str) -> Result<(), Over> {
        let before = self.lobby.len();
        let mut effects = self.lobby.apply(command, self.around.now());
        let mut slow = Vec::new();
        let mut went = Ok(());
        loop {
            for effect in effects.drain(..) {
                went = went.and(self.carry_out(effect, name, &mut slow));
            }
            let Some(socket) = slow.pop() else { break };
            self.around.metrics.slow_members.inc();
            effects = self.lobby.apply(Command::SocketLost { socket, bye: Some(ByeReason::TooSlow) }, self.around.now());
        }
        self.around.metrics.reachable.add(self.lobby.len() as i64 - before as i64);
        let lobby = &self.lobby;
        if self.outboxes.len() != lobby.sockets() {
            self.outboxes.retain(|socket, _| lobby.has_socket(*socket));
        }
        went
    }

    fn carry_out(&mut self, effect: Effect, name: &'static str, slow: &mut Vec<SocketId>) -> Result<(), Over> {
        match effect {
            Effect::Reply { socket, id, result } => {
                self.around.metrics.answered(name, result.as_ref().err().map(|r| r.code.name()));
                self.push(socket, encode::reply(id, &result), slow);
            }
            Effect::Tell { to, event } => {
                let body = encode::event_body(&event);
                for (socket, seq) in to {
                    self.push(socket, encode::event(seq, &body), slow);
                }
            }
            Effect::Admit(admit) => {
                let (socket, seq) = (admit.socket, admit.seq);
                let event = self.accepted(*admit);
                self.push(socket, encode::event(seq, &encode::event_body(&event)), slow);
            }
            Effect::Bye { socket, seq, reason } => {
                let last = encode::event(seq, &encode::event_body(&Event::Bye { reason }));
                if let Some(outbox) = self.outboxes.remove(&socket) {
                    outbox.finish(End::bye(last, reason));
                }
            }
            Effect::Count(outcome) => self.around.metrics.rang(outcome.name()),
            Effect::Closed => return Err(Over),
        }
        Ok(())
    }

    /// The event that lets an end into the call's room.
    fn accepted(&self, admit: Admit) -> Event {
        let Admit { admission, call, with, name, media, .. } = admit;
        let token = self.around.access.admit_to_call(&admission);
        Event::Accepted { call, with, name, media, room: admission.room.as_str().to_owned(), token }
    }

    fn push(&self, socket: SocketId, text: String, slow: &mut Vec<SocketId>) {
        if let Some(outbox) = self.outboxes.get(&socket)
            && outbox.push(text).is_err()
            && !slow.contains(&socket)
        {
            slow.push(socket);
        }
    }
}

impl Drop for Actor {
    /// However the lobby ends: it is found no more, and whoever was inside is told.
    fn drop(&mut self) {
        self.around.forget(&self.handle);
        self.around.metrics.reachable.sub(self.lobby.len() as i64);
        for outbox in self.outboxes.values() {
            outbox.finish(End::failed());
        }
    }
}

impl Surroundings {
    /// The lobby's clock.
    pub(super) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(86_400 * 365);
        self.epoch + Duration::from_micros(time.as_micros()).min(self.epoch.elapsed() + far)
    }
}
