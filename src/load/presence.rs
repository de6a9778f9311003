//! A participant as the run sees it: what it is to do, and how far it has come. Its thread and its signaling write, the run reads.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a participant is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It publishes, under this number, and may receive the others.
    Publisher(u32),
    /// It only receives.
    Subscriber,
}

/// Who joins which room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its index among all participants of the run.
    pub index: usize,
    /// The room's index.
    pub room: u32,
    /// The room's name.
    pub room_name: String,
    /// The name to join with.
    pub name: String,
    /// What it is.
    pub role: Role,
}

impl Place {
    /// Its publisher number, if it is one.
    pub fn publisher(&self) -> Option<u32> {
        match self.role {
            Role::Publisher(number) => Some(number),
            Role::Subscriber => None,
        }
    }
}

/// Why a participant is not there: a word for the table, and all that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// In a few words, the same for all of the same kind.
    pub reason: String,
    /// In full.
    pub detail: String,
}

impl Failure {
    /// A failure whose detail says more than its reason.
    pub fn new(reason: impl Into<String>, detail: impl ToString) -> Self {
        Self { reason: reason.into(), detail: detail.to_string() }
    }

    /// Whether a token was missing, or was not taken.
    pub fn is_of_tokens(&self) -> bool {
        let codes = ["token_missing", "token_invalid", "token_expired", "token_wrong_room", "HTTP 401"];
        self.reason.strip_prefix("refused: ").is_some_and(|code| codes.contains(&code))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.detail.is_empty() { write!(f, "{}", self.reason) } else { write!(f, "{}: {}", self.reason, self.detail) }
    }
}

/// How far a participant has come.
#[derive(Debug)]
pub struct Presence {
    /// Who it is.
    pub place: Place,
    epoch: Instant,
    started: AtomicU64,
    up: AtomicU64,
    heard: AtomicU64,
    streams: AtomicU32,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    failure: Option<Failure>,
    /// Streams that the server says are in its slots.
    placed: BTreeSet<u32>,
    /// Offers made.
    offers: u32,
}

/// Not yet.
const NEVER: u64 = u64::MAX;

impl Presence {
    /// Somebody who has not begun to join.
    pub fn new(place: Place) -> Self {
        let never = || AtomicU64::new(NEVER);
        let told = Mutex::default();
        Self { place, epoch: Instant::now(), started: never(), up: never(), heard: never(), streams: AtomicU32::new(0), told }
    }

    /// It begins to join.
    pub fn note_start(&self) {
        self.note(&self.started);
    }

    /// Its connection is up.
    pub fn note_up(&self) {
        self.note(&self.up);
    }

    /// It receives a stream that it had not received before.
    pub fn note_stream(&self) {
        self.note(&self.heard);
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not, or no longer, there. The first reason stays.
    pub fn fail(&self, failure: Failure) {
        self.told(|told| _ = told.failure.get_or_insert(failure));
    }

    /// Which streams the server says that it is sent.
    pub fn set_placed(&self, streams: BTreeSet<u32>) {
        self.told(|told| told.placed = streams);
    }

    /// An offer was made.
    pub fn note_offer(&self) {
        self.told(|told| told.offers += 1);
    }

    /// Whether its connection is up, and nothing has failed.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire) != NEVER && self.failure().is_none()
    }

    /// Why it is not there.
    pub fn failure(&self) -> Option<Failure> {
        self.told(|told| told.failure.clone())
    }

    /// The streams that it is sent.
    pub fn placed(&self) -> BTreeSet<u32> {
        self.told(|told| told.placed.clone())
    }

    /// Offers beyond the first.
    pub fn renegotiations(&self) -> u32 {
        self.told(|told| told.offers.saturating_sub(1))
    }

    /// Streams that it has received something of.
    pub fn streams(&self) -> u32 {
        self.streams.load(Ordering::Acquire)
    }

    /// From the beginning until its connection was up, and until the first packet came.
    pub fn times(&self) -> (Option<Duration>, Option<Duration>) {
        let started = self.started.load(Ordering::Acquire);
        let since = |moment: &AtomicU64| {
            let at = moment.load(Ordering::Acquire);
            (at != NEVER && started != NEVER).then(|| Duration::from_micros(at.saturating_sub(started)))
        };
        (since(&self.up), since(&self.heard))
    }

    fn note(&self, moment: &AtomicU64) {
        let now = self.epoch.elapsed().as_micros() as u64;
        // Only the first time counts.
        let _ = moment.compare_exchange(NEVER, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}
