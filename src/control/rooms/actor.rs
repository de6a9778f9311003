//! The task that owns a room: commands in, effects out, timers.
//!
//! | mailbox | capacity | when full |
//! |---|---|---|
//! | members' commands | [`MAILBOX`] | the sender waits: its own socket is read no further |
//! | a worker's events | [`MEDIA`] | the event is dropped and counted: a room that is so far behind has failed |
//! | messages of data channels | [`DATA`] for each worker | never: a worker waits until as many are dealt with |

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, sleep_until};

use super::command::{Command, Effect, SocketId};
use super::directory::{Handle, Surroundings};
use super::egress::EgressSeen;
use super::fate;
use super::journal::MemberJournal;
use super::past::CallAccount;
use super::picture;
use super::recording::RecordEffect;
use super::room::Room;
use super::screenshot::Wish;
use super::seen::{MemberSeen, RoomSeen, TrackSeen};
use super::way::labels;
use crate::base::{Time, WorkerId};
use crate::contract::{self, RoomCommand};
use crate::control::Refusal;
use crate::control::egress::Instruction;
use crate::control::events::{Book, Reason};
use crate::control::signaling::{End, Outbox, encode};
use crate::control::trace::{Journey, Step};
use crate::control::whip::Place;
use crate::record::manifest::Person;
use crate::record::{Beginning, Fate, Recording, Wanted};
use crate::wire::{self, ByeReason, MemberId, OkResult};

/// Commands that may wait for a room: a few for each of 500 members that come at once.
pub const MAILBOX: usize = 1_024;
/// Events of workers that may wait for a room.
pub const MEDIA: usize = 1_024;
/// Messages of data channels that may wait for a room, of each worker: no worker hands up more before they are dealt with.
pub const DATA: usize = 128;
/// A worker whose inbox stays full for so long is taken for stuck, and the room is given up.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// Where the answer to an HTTP handler goes.
pub type Answered = oneshot::Sender<Result<Option<OkResult>, Refusal>>;

/// What a room is sent.
pub enum Letter {
    /// From a socket that wants to become a member's.
    Enter {
        /// `Join` or `Resume`.
        command: Command,
        /// The socket.
        socket: SocketId,
        /// Where its answers and events go.
        outbox: Outbox,
        /// Of its join, if that is followed.
        journey: Journey,
        /// What it is called at relays if it has become one; dropped when the room has ended meanwhile.
        entered: oneshot::Sender<Option<String>>,
    },
    /// From an HTTP handler, with the request's name.
    Ask {
        /// `Attach`, `Trickle`, `Detach`, `Order` or `Administer`.
        command: Command,
        /// The request's name.
        name: &'static str,
        /// The socket that the command names.
        socket: SocketId,
        /// The session's place, kept as long as the session.
        place: Option<Place>,
        /// Where the answer goes; dropped when the room has ended meanwhile.
        answered: Answered,
    },
    /// From an HTTP handler that has something of the room sent elsewhere.
    SendOut {
        /// `OrderEgress`.
        command: Command,
        /// The socket that the command names.
        socket: SocketId,
        /// The session's identity, and where its task reads what is to be done.
        task: (String, mpsc::Sender<Instruction>),
        /// Where the answer goes; dropped when the room has ended meanwhile.
        answered: Answered,
    },
    /// From a member's socket, with the request's name.
    Command(Command, &'static str),
    /// From the admin listener, which wants to know what happened.
    Journals(oneshot::Sender<Vec<MemberJournal>>),
    /// The same with those who have left.
    Account(oneshot::Sender<CallAccount>),
    /// From an HTTP handler, which wants to see something.
    Look(Look),
}

/// What somebody wants to see of a room, and where it goes.
pub enum Look {
    /// The room.
    Room(oneshot::Sender<RoomSeen>),
    /// Members behind this seat, in the order of their coming, so many of them at most.
    Members(u32, usize, oneshot::Sender<Vec<MemberSeen>>),
    /// One member.
    Member(MemberId, oneshot::Sender<Option<MemberSeen>>),
    /// What is sent elsewhere.
    Egress(oneshot::Sender<Vec<EgressSeen>>),
    /// Tracks with higher numbers than this, in their order, so many of them at most.
    Tracks(u64, usize, oneshot::Sender<Vec<TrackSeen>>),
}

impl Look {
    /// Shows it. Whoever asked may have hung up.
    fn at(self, room: &Room) {
        match self {
            Look::Room(to) => drop(to.send(room.seen())),
            Look::Members(after, most, to) => drop(to.send(room.members_seen(after, most))),
            Look::Member(member, to) => drop(to.send(room.member_seen(&member))),
            Look::Egress(to) => drop(to.send(room.egress_seen())),
            Look::Tracks(after, most, to) => drop(to.send(room.tracks_seen(after, most))),
        }
    }
}

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
                Some(Letter::Enter { command, socket, outbox, journey, entered }) => self.enter(command, (socket, outbox, journey), entered).await,
                Some(Letter::SendOut { command, socket, task: (egress, task), answered }) => {
                    self.asking = Some((socket, answered));
                    self.egresses.insert(egress, task);
                    self.apply(command, "egress_by_api").await
                }
                Some(Letter::Ask { command, name, socket, place, answered }) => {
                    self.places.extend(place.map(|place| (socket, place)));
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

    async fn carry_out(&mut self, effect: Effect, name: &'static str, slow: &mut Vec<SocketId>) -> Result<(), Over> {
        match effect {
            Effect::Reply { socket, id, result } => {
                self.around.metrics.answered(name, result.as_ref().err().map(|r| r.code.name()));
                if let Some(limit) = result.as_ref().err().and_then(|refusal| refusal.limit) {
                    self.around.metrics.limited(limit.name());
                }
                let is_good = result.is_ok();
                match self.asking.take_if(|(who, _)| *who == socket) {
                    // Whoever asked by HTTP may have hung up: its session then ends because nobody connects.
                    Some((_, answered)) => drop(answered.send(result)),
                    None => self.push(socket, encode::reply(id, &result), slow),
                }
                if let Some(journey) = self.journeys.get(&socket).filter(|_| name == "offer" && is_good) {
                    journey.passed(Step::Answer, SystemTime::now());
                }
            }
            Effect::Tell { to, event } => {
                let body = encode::event_body(&event);
                for (socket, seq) in to {
                    self.push(socket, encode::event(seq, &body), slow);
                }
            }
            Effect::Bye { socket, seq, reason } => {
                let last = encode::event(seq, &encode::event_body(&wire::Event::Bye { reason }));
                if let Some(outbox) = self.outboxes.remove(&socket) {
                    outbox.finish(End::bye(last, reason));
                }
            }
            Effect::Worker(worker, command) => self.command(worker, command).await?,
            Effect::Record(_) | Effect::Screenshot(_) => {}
            Effect::Egress { egress, what } => self.instruct(egress, what),
            Effect::Direct(state) => self.around.metrics.direct(labels(state)),
            Effect::Unreached => self.around.unreached(&self.handle.name),
            // Nobody has asked, so nobody is answered.
            Effect::DataRefused(code) => self.around.metrics.answered("data_channel", Some(code.name())),
            Effect::SentAway { member } => {
                self.around.relay_users.revoke(&self.handle.relay_user(&member));
                if let Some(library) = &self.around.library {
                    library.send_away(self.handle.name.as_str(), &member.0);
                }
            }
            Effect::Happened(what) => {
                if let Some(book) = &mut self.book {
                    book.write(*what);
                }
            }
            Effect::Closed => return Err(Over),
        }
        Ok(())
    }

    /// Has the task of a session do something.
    fn instruct(&mut self, egress: String, what: Instruction) {
        let over = what == Instruction::Over;
        if let Some(task) = self.egresses.get(&egress)
            && task.try_send(what).is_err()
        {
            tracing::error!(room = %self.handle.name, "the task of a session with another server has failed");
        }
        if over {
            self.egresses.remove(&egress);
        }
    }

    /// Has something recorded; false when that cannot be, and the recording is over.
    async fn record(&mut self, what: RecordEffect) -> Result<bool, Over> {
        match what {
            RecordEffect::Begin { recording, by, most } => {
                let by = Person { member: by.0.0, name: by.1 };
                let beginning = Beginning { id: recording.clone(), room: self.handle.name.as_str().to_owned(), by, most };
                self.recording = self.around.recorder.as_ref().and_then(|recorder| recorder.begin(beginning).ok());
                if let Some(begun) = &self.recording {
                    tokio::spawn(fate::follow(self.handle.clone(), recording.clone(), begun.fate()));
                    self.fates.insert(recording, begun.fate());
                }
                return Ok(self.recording.is_some());
            }
            RecordEffect::Attach { track, worker, member, source } => {
                let Some(recording) = &mut self.recording else { return Ok(true) };
                let person = Person { member: member.0.0, name: member.1 };
                let wanted = Wanted {
                    worker,
                    room: self.handle.id,
                    track,
                    member: person.member.clone(),
                    screen: source.is_screen(),
                    audio: source.is_audio(),
                };
                let Some(tap) = recording.attach(wanted, person) else { return Ok(false) };
                self.command(worker, RoomCommand::Tap { track, tap: Some(tap) }).await?;
            }
            RecordEffect::Detach { track } => {
                if let Some(recording) = &mut self.recording {
                    recording.detach(track);
                }
            }
            RecordEffect::Chat { member, text } => {
                if let Some(recording) = &self.recording {
                    recording.say(Person { member: member.0.0, name: member.1 }, text);
                }
            }
            RecordEffect::End => self.recording = None,
        }
        Ok(true)
    }

    /// Has a picture taken; the room hears of it later.
    async fn take_picture(&mut self, wish: Wish) -> Result<(), Over> {
        let Wish { number, track, worker, recorded, .. } = wish;
        let recorded = recorded.then(|| self.recording.as_ref()?.tap_of(track));
        let begun = match (&self.around.recorder, &self.around.library, recorded) {
            // It is to be recorded, and is not: the recorder is overloaded.
            (_, _, Some(None)) => None,
            (Some(recorder), Some(library), tap) => {
                recorder.glimpse(worker, self.handle.id, track, tap.flatten()).map(|(tap, seen)| (tap, seen, library.clone()))
            }
            _ => None,
        };
        let handle = self.handle.clone();
        let Some((tap, seen, library)) = begun else {
            let result = Err(picture::unavailable("the recorder has too much to do: try again later"));
            tokio::spawn(async move { handle.send(Letter::Command(Command::ScreenshotOver { number, result }, "screenshot")).await });
            return Ok(());
        };
        if recorded.is_none() {
            self.command(worker, RoomCommand::Tap { track, tap: Some(tap) }).await?;
        }
        tokio::spawn(picture::take(handle, library, wish, seen));
        Ok(())
    }

    fn push(&self, socket: SocketId, text: String, slow: &mut Vec<SocketId>) {
        if let Some(outbox) = self.outboxes.get(&socket)
            && outbox.push(text).is_err()
            && !slow.contains(&socket)
        {
            slow.push(socket);
        }
    }

    /// Commands are never lost: their order is the room's state on the worker. So a full inbox is waited for.
    async fn command(&mut self, worker: WorkerId, what: RoomCommand) -> Result<(), Over> {
        self.note_placement(worker, &what);
        let Some(worker) = self.around.worker(worker) else { return Err(Over) };
        let command = contract::Command { room: self.handle.id, what };
        let since = Instant::now();
        while worker.send(command.clone()).is_err() {
            if since.elapsed() > WORKER_PATIENCE {
                tracing::error!(room = %self.handle.name, "the worker takes no commands: the room is given up");
                return Err(Over);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Actor {
    /// What workers say of a connection that a join waits for.
    fn follow_journey(&mut self, event: &contract::Event) {
        let now = SystemTime::now();
        match event {
            contract::Event::Connected { peer, reached, .. } => {
                let Some(journey) = self.room.socket_of(*peer).and_then(|socket| self.journeys.get(&socket)) else { return };
                let ago = self.around.now().since(*reached);
                journey.passed(Step::Ice, now.checked_sub(ago).unwrap_or(now));
                journey.passed(Step::Dtls, now);
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

    /// How many connections each worker has of this room, and all workers of all rooms.
    fn note_placement(&mut self, worker: WorkerId, what: &RoomCommand) {
        let placed = self.placed.entry(worker).or_default();
        match what {
            RoomCommand::AddPeer { .. } => {
                *placed += 1;
                self.around.placement.give(worker);
            }
            RoomCommand::RemovePeer { .. } if *placed > 0 => {
                *placed -= 1;
                self.around.placement.take_back(worker, 1);
            }
            RoomCommand::Close => self.around.placement.take_back(worker, std::mem::take(placed)),
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
