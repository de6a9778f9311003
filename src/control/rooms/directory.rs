//! Where rooms are found: by name for those who join, by identity for those who resume and for workers' events.

mod calls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::mpsc;

use super::actor::{Actor, DATA, Letter, MAILBOX, MEDIA, Mail};
use super::command::{Command, OfferDraws};
use super::kept::Kept;
use super::names::RoomName;
use super::past::CallAccount;
use super::placement::Placement;
use super::room::{Ground, Room, Rules};
use super::settings::{RoomSettings, least};
use super::unreached::Unreached;
use crate::base::{RoomId, Time, WorkerId};
use crate::config::KeptConfig;
use crate::contract;
use crate::control::auth::unix_time;
use crate::control::draw::{self, Numbers};
use crate::control::events::Events;
use crate::control::p2p::user_of;
use crate::control::{Limit, Refusal};
use crate::metrics::ControlMetrics;
use crate::port::{RelayUsers, WorkerHandle};
use crate::record::jobs::{Jobs, Unmade};
use crate::record::library::Library;
use crate::record::{Recorder, Refused};
use crate::wire::{ErrorCode, MemberId, Policy};

/// Calls that are listed at a time.
pub const MOST_LISTED: usize = 500;

/// All rooms of the node.
#[derive(Clone)]
pub struct Directory(Arc<Surroundings>);

/// A way to a room.
#[derive(Clone)]
pub struct Handle {
    /// The room.
    pub id: RoomId,
    /// Its name.
    pub name: RoomName,
    /// Its worker.
    pub worker: WorkerId,
    /// When it began: milliseconds since the Unix epoch.
    pub created: u64,
    letters: mpsc::Sender<Letter>,
    media: mpsc::Sender<contract::Event>,
    data: mpsc::Sender<contract::Event>,
    /// Mebibytes that are kept of it; `u32::MAX` where nothing is said.
    pub(super) library_mib: Arc<AtomicU32>,
    /// When it began.
    since: Time,
    /// Drawn for this room: what its members are called at relays leads back to nobody.
    relay_key: Arc<str>,
}

/// A worker, as rooms need it.
pub struct WorkerAccess {
    /// Where its commands go.
    pub inbox: WorkerHandle,
    /// Where clients find it.
    pub candidates: Vec<SocketAddr>,
}

/// What surrounds every room.
pub struct Surroundings {
    by_name: DashMap<RoomName, Handle>,
    by_id: DashMap<RoomId, Handle>,
    count: AtomicUsize,
    /// No new rooms: the node ends.
    closing: AtomicBool,
    most: usize,
    rules: Rules,
    fingerprint: String,
    workers: Vec<WorkerHandle>,
    candidates: ArcSwap<Vec<Vec<SocketAddr>>>,
    pub(super) placement: Placement,
    pub(super) epoch: Instant,
    /// Identities for all that lives in rooms.
    pub numbers: Numbers,
    /// What is counted.
    pub metrics: ControlMetrics,
    /// The users of the relay: whoever is kicked is sent away there, too.
    pub relay_users: Arc<RelayUsers>,
    unreached: Unreached,
    /// What records rooms, if anything does.
    pub recorder: Option<Recorder>,
    /// Where what is made of rooms is kept, if anywhere.
    pub library: Option<Library>,
    /// Where what happens in rooms is said, if anywhere.
    pub events: Option<Events>,
    kept: Kept,
    /// Rooms that are over, and on which the last word waits for their recordings.
    pub(super) unsettled: Arc<AtomicUsize>,
}

/// What a directory needs.
pub struct Settlement {
    /// Rooms at most.
    pub most: usize,
    /// What rooms hold their members to.
    pub rules: Rules,
    /// The SHA-256 of the node's certificate, as `AB:CD:…`.
    pub fingerprint: String,
    /// The workers, by number.
    pub workers: Vec<WorkerAccess>,
    /// When the node's clock began.
    pub epoch: Instant,
    /// What is counted.
    pub metrics: ControlMetrics,
    /// The users of the relay.
    pub relay_users: Arc<RelayUsers>,
    /// What records rooms, if anything does.
    pub recorder: Option<Recorder>,
    /// Where what is made of rooms is kept, if anywhere.
    pub library: Option<Library>,
    /// Where what happens in rooms is said, if anywhere.
    pub events: Option<Events>,
    /// What is kept of calls that are over.
    pub kept: KeptConfig,
}

impl Directory {
    /// A directory without rooms.
    pub fn new(settlement: Settlement) -> Self {
        let Settlement { most, rules, fingerprint, workers, epoch, metrics, relay_users, recorder, library, kept, events } = settlement;
        Self(Arc::new(Surroundings {
            by_name: DashMap::new(),
            by_id: DashMap::new(),
            count: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            most,
            rules,
            fingerprint,
            placement: Placement::new(workers.len()),
            candidates: ArcSwap::from_pointee(workers.iter().map(|w| w.candidates.clone()).collect()),
            workers: workers.into_iter().map(|w| w.inbox).collect(),
            epoch,
            relay_users,
            recorder,
            library,
            events,
            kept: Kept::new(kept),
            unsettled: Arc::default(),
            numbers: Numbers::default(),
            metrics,
            unreached: Unreached::new(),
        }))
    }

    /// The room of this name; opened when there is none, and given this then.
    ///
    /// # Errors
    /// `Full` when there are as many rooms as there may be, `Draining` when the node ends.
    pub fn open(&self, name: &RoomName, given: &RoomSettings) -> Result<Handle, Refusal> {
        self.find_or_begin(name, given).map(|(room, _)| room)
    }

    /// Opens a room before anybody has come.
    ///
    /// # Errors
    /// `WrongState` when there is one of this name, `Forbidden` when its media may not travel so here, `Full` and `Draining` as [`Self::open`].
    pub fn create(&self, name: &RoomName, given: &RoomSettings) -> Result<Handle, Refusal> {
        if self.0.rules.policy == Policy::Sfu && given.policy.is_some_and(|policy| policy != Policy::Sfu) {
            return Err(Refusal::forbidden("this server carries all media, so that no member learns another one's addresses (rooms.policy)"));
        }
        match self.find_or_begin(name, given)? {
            (room, true) => Ok(room),
            (_, false) => Err(Refusal::new(ErrorCode::WrongState, "there is a room of this name already")),
        }
    }

    /// The room of this name, and whether it is a new one.
    fn find_or_begin(&self, name: &RoomName, given: &RoomSettings) -> Result<(Handle, bool), Refusal> {
        let entry = self.0.by_name.entry(name.clone());
        if let Entry::Occupied(room) = &entry
            && !room.get().is_over()
        {
            return Ok((room.get().clone(), false));
        }
        given.check(self.0.rules.metadata_bytes)?;
        if self.0.closing.load(Ordering::Relaxed) {
            return Err(Refusal::new(ErrorCode::Draining, "the server is shutting down: try again in a moment"));
        }
        if self.0.count.fetch_add(1, Ordering::Relaxed) >= self.0.most {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
            self.0.metrics.limited(Limit::Rooms.name());
            return Err(Refusal::limited(Limit::Rooms, ErrorCode::Full, "the server has no place for another room: try again later"));
        }
        let (handle, actor) = self.begin(name.clone(), given);
        self.0.by_id.insert(handle.id, handle.clone());
        entry.insert(handle.clone());
        self.0.metrics.rooms.inc();
        tokio::spawn(actor.run());
        Ok((handle, true))
    }

    /// The room of this identity.
    pub fn find(&self, id: RoomId) -> Option<Handle> {
        self.0.by_id.get(&id).map(|room| room.clone())
    }

    /// The room of this name, if there is one at present.
    pub fn named(&self, name: &RoomName) -> Option<Handle> {
        self.0.by_name.get(name).map(|room| room.clone())
    }

    /// Rooms that began after this one, in the order of their beginning, so many of them at most.
    pub fn begun_after(&self, room: RoomId, most: usize) -> Vec<Handle> {
        let mut later: Vec<RoomId> = self.0.by_id.iter().map(|found| *found.key()).filter(|id| *id > room).collect();
        later.sort_unstable();
        later.truncate(most);
        later.into_iter().filter_map(|id| self.find(id)).collect()
    }

    /// The rooms' clock.
    pub fn now(&self) -> Time {
        self.0.now()
    }

    /// The room of a session: its secret begins with the room's number.
    pub fn of_secret(&self, secret: &str) -> Option<Handle> {
        let (room, _) = secret.split_once('.')?;
        self.find(RoomId(u64::from_str_radix(room, 16).ok()?))
    }

    /// Makes the dispatch of a room fail on its home worker; false when there is no such room.
    #[cfg(feature = "fault-hooks")]
    pub fn break_room(&self, name: &str) -> bool {
        let Some(room) = RoomName::new(name).ok().and_then(|name| self.0.by_name.get(&name).map(|room| room.clone())) else { return false };
        let command = contract::Command { room: room.id, what: contract::RoomCommand::Panic };
        self.0.worker(room.worker).is_some_and(|worker| worker.send(command).is_ok())
    }

    /// Tells all members that the node ends after so long; no room begins any more, and those that are empty are over.
    pub async fn drain(&self, within: Duration) {
        self.0.closing.store(true, Ordering::Relaxed);
        let until = self.now() + within;
        self.tell_all(|| Command::Drain { until }, "drain").await;
    }

    /// How many rooms there are.
    pub fn count(&self) -> usize {
        self.0.by_id.len()
    }

    /// Whether the last word was said on every room that is over.
    pub fn is_settled(&self) -> bool {
        self.count() == 0 && self.0.unsettled.load(Ordering::Relaxed) == 0
    }

    /// Ends all rooms, telling their members; no room begins any more.
    pub async fn shut_down(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
        self.tell_all(|| Command::ShutDown, "shut_down").await;
    }

    async fn tell_all(&self, command: impl Fn() -> Command, name: &'static str) {
        let rooms: Vec<Handle> = self.0.by_id.iter().map(|room| room.clone()).collect();
        for room in rooms {
            let _ = room.send(Letter::Command(command(), name)).await;
        }
    }

    /// Where what happens in rooms is said, if anywhere.
    pub fn events(&self) -> Option<Events> {
        self.0.events.clone()
    }

    /// Whether rooms may be recorded.
    pub fn records(&self) -> bool {
        self.0.recorder.is_some()
    }

    /// Whether this room may be recorded at present.
    ///
    /// # Errors
    /// `RecordingUnavailable`, with the reason, or `LibraryFull`.
    pub fn may_record(&self, room: &RoomName) -> Result<(), Refusal> {
        let why = match self.0.recorder.as_ref().map(Recorder::may_begin) {
            Some(Ok(())) => return self.may_keep(room),
            Some(Err(Refused::TooMany)) => "as many rooms as may be are recorded already: try again later",
            Some(Err(Refused::Disk)) => "the disk for recordings is full, or refuses: whoever runs this server can make room",
            None => "recording is switched off on this server",
        };
        Err(Refusal::new(ErrorCode::RecordingUnavailable, why))
    }

    /// Bytes that are kept of a room at most: as many as the node keeps of each, or fewer where the room that is open was given that.
    pub fn kept_of(&self, room: &RoomName) -> Option<u64> {
        let given = self.named(room).map(|room| room.library_mib.load(Ordering::Relaxed)).filter(|mib| *mib != u32::MAX);
        least(self.0.rules.library_mib, given).map(|mib| u64::from(mib) << 20)
    }

    /// Whether anything may be added to what is kept of a room.
    ///
    /// # Errors
    /// `LibraryFull`.
    pub fn may_keep(&self, room: &RoomName) -> Result<(), Refusal> {
        match (self.kept_of(room), &self.0.library) {
            (Some(most), Some(library)) if library.bytes_of(room.as_str()) >= most => {
                self.0.metrics.limited(Limit::Kept.name());
                Err(Refusal::library_full())
            }
            _ => Ok(()),
        }
    }

    /// Whether the server can take pictures of what members show.
    ///
    /// # Errors
    /// `ScreenshotUnavailable`, with the reason.
    pub fn may_take_pictures(&self) -> Result<(), Refusal> {
        let jobs = self.0.library.as_ref().map(Library::jobs);
        let why = match (&self.0.recorder, jobs) {
            (None, _) => "recording is switched off on this server, and with it pictures",
            (_, None) => "nothing is kept on this server (library.enabled)",
            (_, Some(jobs)) if !jobs.is_some_and(Jobs::may_work) => Unmade::NoProgram.detail(),
            _ => return Ok(()),
        };
        Err(Refusal::new(ErrorCode::ScreenshotUnavailable, why))
    }

    /// Identities for all that lives in rooms.
    pub fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// What an offer needs.
    pub fn draw_offer(&self) -> OfferDraws {
        draw::offer(&self.0.numbers, self.0.placement.choose(draw::number()), self.0.candidates.load_full())
    }

    /// Workers are found there from now on: connections that begin are told so.
    pub fn found_at(&self, candidates: Vec<Vec<SocketAddr>>) {
        self.0.candidates.store(Arc::new(candidates));
    }

    /// A worker has used so many thousandths of a core lately: what is new goes to the others.
    pub fn measured(&self, worker: WorkerId, busy: u64) {
        self.0.placement.measured(worker, busy);
    }

    /// What is counted.
    pub fn metrics(&self) -> &ControlMetrics {
        &self.0.metrics
    }

    fn begin(&self, name: RoomName, given: &RoomSettings) -> (Handle, Actor) {
        let (id, [worker, _]) = (self.0.numbers.room(), self.0.placement.choose(draw::number()));
        self.0.placement.give(worker);
        let ground = Ground { worker, fingerprint: self.0.fingerprint.clone(), salt: draw::hex::<8>() };
        let since = self.now();
        let mut room = Room::new(name.clone(), self.0.rules.clone(), ground, since);
        if *given != RoomSettings::default() {
            room.furnish(given.clone());
        }
        let room = if self.0.events.is_some() { room.with_ledger(since) } else { room };
        let (letters, letters_end) = mpsc::channel(MAILBOX);
        let (media, media_end) = mpsc::channel(MEDIA);
        let (data, data_end) = mpsc::channel(DATA * self.0.workers.len().max(1));
        let created = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        let relay_key = draw::hex::<16>().into();
        let library_mib = Arc::new(AtomicU32::new(u32::MAX));
        let handle = Handle { id, name, worker, created, library_mib, since, relay_key, letters, media, data };
        let mail = Mail { letters: letters_end, media: media_end, data: data_end };
        (handle.clone(), Actor::new(room, handle, mail, self.0.clone()))
    }
}

impl Handle {
    /// A time of the rooms as milliseconds since the Unix epoch: the same one whenever it is asked for.
    pub fn unix_millis(&self, at: Time) -> u64 {
        self.created.saturating_add(at.micros_since(self.since) / 1_000)
    }

    /// Sends a letter, waiting while the mailbox is full.
    ///
    /// # Errors
    /// When the room is over; nothing has come of the letter.
    pub async fn send(&self, letter: Letter) -> Result<(), RoomOver> {
        self.letters.send(letter).await.map_err(|_| RoomOver)
    }

    /// Hands over a worker's event.
    ///
    /// # Errors
    /// When the room is over, or too far behind.
    pub fn media(&self, event: contract::Event) -> Result<(), RoomOver> {
        let mailbox = if matches!(event, contract::Event::Data { .. }) { &self.data } else { &self.media };
        mailbox.try_send(event).map_err(|_| RoomOver)
    }

    /// What a member of the room is called at relays.
    pub fn relay_user(&self, member: &MemberId) -> String {
        user_of(&self.relay_key, member)
    }

    /// Waits until the room is over, and found no more.
    pub async fn over(&self) {
        self.letters.closed().await;
    }

    /// Whether the room takes no more letters.
    pub fn is_over(&self) -> bool {
        self.letters.is_closed()
    }
}

/// The room is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomOver;

impl Surroundings {
    pub(super) fn worker(&self, worker: WorkerId) -> Option<&WorkerHandle> {
        self.workers.get(usize::from(worker.0))
    }

    /// A connection has not come up in a room.
    pub(super) fn unreached(&self, room: &RoomName) {
        self.metrics.unreached.inc();
        let announced = self.candidates.load().iter().flatten().copied().collect();
        self.unreached.say(room, &announced, self.rules.tcp);
    }

    /// The wall clock when the node's clock began, in milliseconds since 1970.
    pub(super) fn began(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.saturating_sub(self.epoch.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }

    /// Keeps what is known of a call that is over; looked at where nobody waits for it.
    pub(super) fn keep(self: &Arc<Self>, account: impl FnOnce() -> CallAccount) {
        if !self.kept.keeps() {
            return;
        }
        let (around, account) = (self.clone(), account());
        let put = move || around.kept.put(&account, &around.metrics);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(put)),
            Err(_) => put(),
        }
    }

    /// Called by the room's task when it ends.
    pub(super) fn forget(&self, room: &Handle) {
        self.by_name.remove_if(&room.name, |_, found| found.id == room.id);
        self.by_id.remove(&room.id);
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.placement.take_back(room.worker, 1);
        self.metrics.rooms.dec();
    }
}
