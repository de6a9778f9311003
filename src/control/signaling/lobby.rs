//! A socket whose owner waits in a lobby to call and be called.

use tokio::sync::oneshot;

use super::socket::{JOIN_TRIES, Reader};
use crate::control::calls::actor::Letter;
use crate::control::calls::{Command, LobbyRequest};
use crate::control::{Refusal, draw};
use crate::wire::{ErrorCode, Request};

impl Reader {
    /// Enters a lobby; the lobby answers, unless there is none to do it.
    pub(super) async fn enter_lobby(&mut self, id: u32, request: Request) -> Result<(), Refusal> {
        let Request::Enter { lobby, name, token, me, call } = request else { return Err(not_for_lobbies()) };
        let admission = self.front.access.admit(&lobby, &name, token.as_deref(), me.as_ref())?;
        for _ in 0..JOIN_TRIES {
            let lobby = self.front.lobbies.open(&admission.room)?;
            let (entered, outcome) = oneshot::channel();
            let command = Command::Enter { socket: self.id, id, admission: admission.clone(), call: call.clone() };
            let letter = Letter::Enter { command, socket: self.id, outbox: self.outbox.clone(), entered };
            if lobby.send(letter).await.is_ok()
                && let Ok(entered) = outcome.await
            {
                if entered {
                    self.session.reachable();
                    self.lobby = Some(lobby);
                }
                return Ok(());
            }
        }
        Err(failed())
    }

    /// Draws what the lobby has to be given.
    pub(super) fn lobby_request(&self, request: Request) -> Result<LobbyRequest, Refusal> {
        Ok(match request {
            Request::Call { to, media } => LobbyRequest::Call { to, media, draws: draw::call() },
            Request::Accept { call } => LobbyRequest::Accept { call },
            Request::Reject { call, reason } => LobbyRequest::Reject { call, reason },
            Request::Cancel { call } => LobbyRequest::Cancel { call },
            Request::HangUp { call } => LobbyRequest::HangUp { call },
            Request::Kick { member } => LobbyRequest::Kick { member },
            _ => return Err(not_for_lobbies()),
        })
    }

    pub(super) async fn hand_to_lobby(&self, id: u32, name: &'static str, what: LobbyRequest) {
        let letter = Letter::Command(Command::Request { socket: self.id, id, what }, name);
        let sent = match &self.lobby {
            Some(lobby) => lobby.send(letter).await.is_ok(),
            None => false,
        };
        if !sent {
            self.answer(id, name, &Err(failed()));
        }
    }

    /// The socket is closed: on purpose, or it is lost and its owner may come back.
    pub(super) async fn leave_lobby(&mut self, on_purpose: bool) {
        let Some(lobby) = self.lobby.take() else { return };
        let command = if on_purpose {
            Command::Request { socket: self.id, id: 0, what: LobbyRequest::Leave }
        } else {
            Command::SocketLost { socket: self.id, bye: None }
        };
        let _ = lobby.send(Letter::Command(command, "socket_closed")).await;
    }
}

fn not_for_lobbies() -> Refusal {
    Refusal::new(ErrorCode::WrongState, "not a request to a lobby")
}

fn failed() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the lobby is lost: enter it again")
}
