//! The task that owns a room: commands in, effects out, timers.
//!
//! | mailbox | capacity | when full |
//! |---|---|---|
//! | members' commands | [`MAILBOX`] | the sender waits: its own socket is read no further |
//! | a worker's events | [`MEDIA`] | the event is dropped and counted: a room that is so far behind has failed |
//! | messages of data channels | [`DATA`] for each worker | never: a worker waits until as many are dealt with |

mod effects;
mod letter;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::command::{Command, Effect, SocketId};
use super::directory::{Handle, Surroundings};
use super::fate;
use super::room::Room;
use crate::base::{Time, WorkerId};
use crate::contract::{self, RoomCommand};
use crate::control::egress::Instruction;
use crate::control::events::{Book, Reason};
use crate::control::signaling::{End, Outbox};
use crate::control::trace::{Journey, Step};
use crate::control::whip::Place;
use crate::record::{Fate, Recording};
use crate::wire::ByeReason;

pub use letter::{Answered, Letter, Look};

/// Commands that may wait for a room: a few for each of 500 members that come at once.
pub const MAILBOX: usize = 1_024;
/// Events of workers that may wait for a room.
pub const MEDIA: usize = 1_024;
/// Messages of data channels that may wait for a room, of each worker: no worker hands up more before they are dealt with.
pub const DATA: usize = 128;

/// The room's task.
pub(super) struct Actor {
    pub room: Room,
    pub handle: Handle,
    pub letters: mpsc::Receiver<Letter>,
    pub media: mpsc::Receiver<contract::Event>,
    pub data: mpsc::Receiver<contract::Event>,
    pub around: Arc<Surroundings>,
    outboxes: HashMap<SocketId, Outbox>,
    /// Of joins that are followed and not over.
    journeys: HashMap<SocketId, Journey>,
    /// Of sessions by HTTP.
    places: HashMap<SocketId, Place>,
    /// Connections on each worker.
    placed: HashMap<WorkerId, usize>,
    /// The recording of the room, while there is one; it ends when this is dropped.
    recording: Option<Recording>,
    /// What becomes of those whose files are not whole yet.
    fates: BTreeMap<String, watch::Receiver<Fate>>,
    /// The tasks of what is sent elsewhere; they end when these are dropped.
    egresses: HashMap<String, mpsc::Sender<Instruction>>,
    /// Where what happens is written, if anybody wants to know.
    book: Option<Book>,
    /// Who waits for the answer to the command that is carried out.
    asking: Option<(SocketId, Answered)>,
}

/// A room's mailboxes, to be read.
pub(super) struct Mail {
    pub letters: mpsc::Receiver<Letter>,
    pub media: mpsc::Receiver<contract::Event>,
    pub data: mpsc::Receiver<contract::Event>,
}

/// The room is over, or its worker does not take its commands.
struct Over;

impl Actor {
    pub fn new(room: Room, handle: Handle, mail: Mail, around: Arc<Surroundings>) -> Self {
        let Mail { letters, media, data } = mail;
        let book = around.events.as_ref().map(|events| events.book(handle.name.clone()));
        Self {
            room,
            handle,
            letters,
            media,
            data,
            around,
            outboxes: HashMap::new(),
            journeys: HashMap::new(),
            places: HashMap::new(),
            placed: HashMap::new(),
            recording: None,
            fates: BTreeMap::new(),
            egresses: HashMap::new(),
            book,
            asking: None,
        }
    }

    pub async fn run(mut self) {
        tracing::info!(room = %self.handle.name, id = %self.handle.id, "room opened");
        // A room that a service has made says so before anybody comes.
        let mut open = self.around.events.is_none() || self.apply(Command::Timeout, "timeout").await.is_ok();
        while open {
            open = self.turn().await.is_ok();
        }
        tracing::info!(room = %self.handle.name, id = %self.handle.id, "room closed");
        // `Drop` does the rest, as it does after a panic.
    }

    async fn turn(&mut self) -> Result<(), Over> {
        let deadline = self.around.instant(self.room.deadline());
        tokio::select! {
            biased;
            Some(event) = self.media.recv() => self.apply(Command::Media(event), "media").await,
            letter = self.letters.recv() => match letter {
                Some(Letter::Command(command, name)) => self.apply(command, name).await,
                Some(Letter::Journals(asked)) => {
                    // Whoever asked may have hung up.
                    let _ = asked.send(self.room.journals());
                    Ok(())
                }
                Some(Letter::Look(look)) => {
                    look.at(&self.room);
                    Ok(())
                }
                Some(Letter::Account(asked)) => {
                    let _ = asked.send(self.room.account(self.handle.id, self.around.began()));
                    Ok(())
                }
                Some(Letter::Present(asked)) => {
                    let _ = asked.send(self.room.at_present());
                    Ok(())
                }
                Some(Letter::Enter { command, socket, outbox, journey, entered }) => self.enter(command, (socket, outbox, journey), entered).await,
                Some(Letter::SendOut { command, socket, task: (egress, task), answered }) => {
                    self.asking = Some((socket, answered));
                    self.egresses.insert(egress, task);
                    self.apply(command, "egress_by_api").await
                }
                Some(Letter::Ask { command, name, socket, place, answered }) => {
                    if let Some((place, journey)) = place {
                        self.places.insert(socket, place);
                        self.journeys.extend(journey.is_followed().then_some((socket, journey)));
                    }
                    self.asking = Some((socket, answered));
                    self.apply(command, name).await
                }
                None => Err(Over),
            },
            () = sleep_until(deadline.into()) => self.apply(Command::Timeout, "timeout").await,
            // Last, so that whoever sends much data keeps nobody from joining.
            Some(event) = self.data.recv() => self.apply(Command::Media(event), "data").await,
        }
    }

    async fn enter(
        &mut self, command: Command, (socket, outbox, journey): (SocketId, Outbox, Journey), entered: oneshot::Sender<Option<String>>,
    ) -> Result<(), Over> {
        let name = if matches!(command, Command::Join { .. }) { "join" } else { "resume" };
        self.outboxes.insert(socket, outbox);
        let went = self.apply(command, name).await;
        let user = self.room.identity_at(socket).map(|identity| self.handle.relay_user(identity));
        if user.is_none() {
            self.outboxes.remove(&socket);
        } else if name == "join" && journey.is_followed() {
            journey.passed(Step::Room, SystemTime::now());
            self.journeys.insert(socket, journey);
        }
        let _ = entered.send(user);
        went
    }

    async fn apply(&mut self, command: Command, name: &'static str) -> Result<(), Over> {
        let (before, fallbacks, via) = (self.room.len(), self.room.fallbacks(), self.room.via());
        if let Command::RecordingOver { recording, .. } = &command {
            self.fates.remove(recording);
        }
        if let Command::Media(event) = &command
            && !self.journeys.is_empty()
        {
            self.follow_journey(event);
        }
        let egresses = self.room.egress_counts();
        let mut effects = self.room.apply(command, self.around.now());
        let (mut slow, mut unrecorded) = (Vec::new(), false);
        loop {
            for effect in effects.drain(..) {
                if let Effect::Record(what) = effect {
                    unrecorded |= !self.record(what).await?;
                    continue;
                }
                if let Effect::Screenshot(wish) = effect {
                    self.take_picture(*wish).await?;
                    continue;
                }
                self.carry_out(effect, name, &mut slow).await?;
            }
            if std::mem::take(&mut unrecorded) {
                effects = self.room.apply(Command::RecordingFailed, self.around.now());
                continue;
            }
            let Some(socket) = slow.pop() else { break };
            self.around.metrics.slow_members.inc();
            effects = self.room.apply(Command::SocketLost { socket, bye: Some(ByeReason::TooSlow) }, self.around.now());
        }
        self.around.metrics.members.add(self.room.len() as i64 - before as i64);
        self.around.metrics.fallbacks_changed(fallbacks, self.room.fallbacks());
        self.around.metrics.way_changed(via, self.room.via());
        self.around.metrics.egresses_changed(egresses, self.room.egress_counts());
        // A task whose session was refused has nothing to do.
        if self.egresses.len() > egresses.iter().sum::<usize>() {
            self.egresses.retain(|egress, _| self.room.has_egress(egress));
        }
        self.handle.library_mib.store(self.room.library_mib().unwrap_or(u32::MAX), Ordering::Relaxed);
        let room = &self.room;
        // Every member's socket has its outbox (or its place, for one that came by HTTP): as many of both, and there is none to drop.
        if self.outboxes.len() + self.places.len() != room.sockets() {
            self.outboxes.retain(|socket, _| room.has_socket(*socket));
            self.journeys.retain(|socket, _| room.has_socket(*socket));
            self.places.retain(|socket, _| room.has_socket(*socket));
        }
        Ok(())
    }

    /// What workers say of a connection that a join waits for.
    fn follow_journey(&mut self, event: &contract::Event) {
        let now = SystemTime::now();
        match event {
            contract::Event::Connected { peer, reached, .. } => {
                let Some(journey) = self.room.socket_of(*peer).and_then(|socket| self.journeys.get(&socket)) else { return };
                let ago = self.around.now().since(*reached);
                journey.passed(Step::Ice, now.checked_sub(ago).unwrap_or(now));
                journey.passed(Step::Dtls, now);
                // Who publishes nothing has come with that.
                if !self.room.publishes_by(*peer) {
                    self.room.socket_of(*peer).map(|socket| self.journeys.remove(&socket));
                }
            }
            contract::Event::TrackStarted { track, .. } => {
                let Some(socket) = self.room.socket_of_track(*track) else { return };
                if let Some(journey) = self.journeys.remove(&socket) {
                    journey.passed(Step::FirstPacket, now);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Actor {
    /// However the room ends: it is found no more, its worker forgets it, and whoever was inside is told.
    fn drop(&mut self) {
        self.around.forget(&self.handle);
        self.around.keep(|| self.room.account_at_the_end(self.handle.id, self.around.began()));
        self.around.metrics.members.sub(self.room.len() as i64);
        self.around.metrics.fallbacks_changed(self.room.fallbacks(), [0; 2]);
        self.around.metrics.way_changed(self.room.via(), None);
        self.around.metrics.egresses_changed(self.room.egress_counts(), [0; 4]);
        // Its recording ends with it, and the last word on it comes when that is whole.
        self.recording = None;
        let remains = self.room.close_books(self.around.now(), Reason::Failed);
        if let Some(book) = self.book.take() {
            fate::write(book, remains, std::mem::take(&mut self.fates), &self.around.unsettled);
        }
        self.placed.entry(self.handle.worker).or_default();
        for (worker, connections) in &self.placed {
            self.around.placement.take_back(*worker, *connections);
            if let Some(worker) = self.around.worker(*worker) {
                let _ = worker.send(contract::Command { room: self.handle.id, what: RoomCommand::Close });
            }
        }
        for outbox in self.outboxes.values() {
            outbox.finish(End::failed());
        }
    }
}

impl Surroundings {
    /// The rooms' clock.
    pub(super) fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(86_400 * 365);
        self.epoch + Duration::from_micros(time.as_micros()).min(self.epoch.elapsed() + far)
    }
}
