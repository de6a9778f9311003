//! Where lobbies are found: by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::mpsc;

use super::actor::{Actor, Letter, MAILBOX};
use super::command::Command;
use super::lobby::{Lobby, Rules};
use crate::control::Refusal;
use crate::control::auth::Access;
use crate::control::rooms::RoomName;
use crate::metrics::ControlMetrics;
use crate::wire::ErrorCode;

/// All lobbies of the node.
#[derive(Clone)]
pub struct Lobbies(Arc<Surroundings>);

/// A way to a lobby.
#[derive(Clone)]
pub struct Handle {
    /// Its name.
    pub name: RoomName,
    number: u64,
    letters: mpsc::Sender<Letter>,
}

/// What surrounds every lobby.
pub(super) struct Surroundings {
    by_name: DashMap<RoomName, Handle>,
    count: AtomicUsize,
    numbers: AtomicU64,
    /// No new lobbies: the node ends.
    closing: AtomicBool,
    most: usize,
    rules: Rules,
    pub access: Access,
    pub epoch: Instant,
    pub metrics: ControlMetrics,
}

impl Lobbies {
    /// No lobbies yet, and never more than `most`. `epoch` is when the node's clock began; `access` says who may join a call's room.
    pub fn new(most: usize, rules: Rules, access: Access, epoch: Instant, metrics: ControlMetrics) -> Self {
        Self(Arc::new(Surroundings {
            by_name: DashMap::new(),
            count: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            most,
            rules,
            access,
            epoch,
            metrics,
        }))
    }

    /// The lobby of this name; opened when there is none.
    ///
    /// # Errors
    /// `Full` when there are as many lobbies as there may be, `Draining` when the node ends.
    pub fn open(&self, name: &RoomName) -> Result<Handle, Refusal> {
        let entry = self.0.by_name.entry(name.clone());
        if let Entry::Occupied(lobby) = &entry
            && !lobby.get().letters.is_closed()
        {
            return Ok(lobby.get().clone());
        }
        if self.0.closing.load(Ordering::Relaxed) {
            return Err(Refusal::new(ErrorCode::Draining, "the server is shutting down: try again in a moment"));
        }
        if self.0.count.fetch_add(1, Ordering::Relaxed) >= self.0.most {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::new(ErrorCode::Full, "the server has no place for another lobby: try again later"));
        }
        let (letters, letters_end) = mpsc::channel(MAILBOX);
        let handle = Handle { name: name.clone(), number: self.0.numbers.fetch_add(1, Ordering::Relaxed), letters };
        let lobby = Lobby::new(name.clone(), self.0.rules.clone(), self.0.now());
        entry.insert(handle.clone());
        let actor = Actor { lobby, handle: handle.clone(), letters: letters_end, around: self.0.clone(), outboxes: HashMap::new() };
        tokio::spawn(actor.run());
        Ok(handle)
    }

    /// Ends all lobbies, telling whoever is inside; none begins any more.
    pub async fn shut_down(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
        let lobbies: Vec<Handle> = self.0.by_name.iter().map(|lobby| lobby.clone()).collect();
        for lobby in lobbies {
            let _ = lobby.send(Letter::Command(Command::ShutDown, "shut_down")).await;
        }
    }
}

impl Handle {
    /// Sends a letter, waiting while the mailbox is full.
    ///
    /// # Errors
    /// When the lobby is over; nothing has come of the letter.
    pub async fn send(&self, letter: Letter) -> Result<(), LobbyOver> {
        self.letters.send(letter).await.map_err(|_| LobbyOver)
    }
}

/// The lobby is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LobbyOver;

impl Surroundings {
    /// Called by the lobby's task when it ends.
    pub(super) fn forget(&self, lobby: &Handle) {
        self.by_name.remove_if(&lobby.name, |_, found| found.number == lobby.number);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
