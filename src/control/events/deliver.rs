//! Delivery: what lasts in the log is posted to a receiver, at least once, each room's events in their order. Rooms do not wait for each other.
//!
//! A room has one event under way at a time; it is tried again, ever more seldom, until it is taken or too old. Up to where everything was
//! delivered is kept in a file, and of rooms that take nothing up to where theirs was; what is beyond is delivered again after a restart.

mod window;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use self::window::{Letter, Standing, Window};
use super::log::Shared;
use super::read::{Kept, Reader};
use super::sign::signatures;
use crate::config::{WebhookConfig, WebhookSecret};
use crate::control::auth::unix_time;
use crate::control::{draw, outward};

/// Events that are held and not delivered yet, about two megabytes, and rooms that have any. More: rooms go on where more others do not.
const WINDOW: usize = 4_096;
/// How often it is kept what was delivered.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// It is not said more often that a receiver takes nothing.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// What waits is not tried again sooner than this, whoever is back.
const BREATH: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read, so that its connection serves again.
const ANSWER: usize = 64 << 10;

/// One receiver.
pub struct Receiver {
    /// What is read for the first time.
    reader: Reader,
    /// What is read again, for rooms that have given their events back.
    again: Option<Reader>,
    /// Whose turn it is, when both have something.
    first_is_next: bool,
    shared: Arc<Shared>,
    /// Its place in what is shared.
    index: usize,
    sender: Sender,
    file: PathBuf,
    kept: Option<Standing>,
    window: Window,
    under_way: JoinSet<(Errand, Outcome)>,
}

/// An event on its way.
struct Errand {
    room: String,
    letter: Letter,
    /// After which it is tried again.
    wait: Duration,
    /// It was refused before.
    again: bool,
    returns: watch::Receiver<u64>,
}

enum Outcome {
    /// Taken, or given up.
    Over,
    Refused,
}

/// How something is sent.
#[derive(Clone)]
struct Sender {
    client: Client,
    url: Url,
    config: Arc<WebhookConfig>,
    secrets: Secrets,
    at_once: Arc<Semaphore>,
    shared: Arc<Shared>,
    mood: Arc<Mutex<Mood>>,
    /// How often the receiver was there again after it had been away: rooms that wait for their next attempt need not wait longer.
    returns: Arc<watch::Sender<u64>>,
}

/// How a receiver does, as the log has it.
#[derive(Default)]
struct Mood {
    /// It was said that it takes nothing.
    failing: bool,
    /// When that was said last.
    said: Option<Instant>,
    /// It could not be connected to, and has taken nothing since.
    away: bool,
}

/// What requests are signed with at present, the newest first.
pub(super) type Secrets = Arc<ArcSwap<Vec<WebhookSecret>>>;

/// What delivery has to know of an event.
#[derive(Deserialize)]
struct Address {
    id: String,
    room: String,
    at: u64,
}

/// Why something was not taken.
struct Untaken(&'static str);

impl Receiver {
    /// A receiver of a log, which goes on where it was; one that is new begins with what happens from now on.
    ///
    /// # Errors
    /// When the HTTP client cannot be made, or it cannot be read where this receiver is.
    pub(super) fn new(shared: Arc<Shared>, (config, secrets): (Arc<WebhookConfig>, Secrets), url: Url) -> io::Result<Self> {
        let builder = Client::builder()
            // Nobody but the one who is configured gets them.
            .redirect(Policy::none())
            .no_proxy()
            .timeout(config.timeout)
            .connect_timeout(config.timeout)
            .pool_max_idle_per_host(config.at_once);
        let client = outward::client(builder, url.scheme() == "https").map_err(io::Error::other)?;
        let file = shared.folder.join(format!("delivered-{}", name(&url)));
        let lasting = *shared.lasting.borrow();
        let mut stood = match std::fs::read_to_string(&file) {
            // Better twice than not at all.
            Ok(text) => Standing::from_text(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing { through: lasting, ..Standing::default() },
            Err(error) => return Err(error),
        };
        stood.through = stood.through.min(lasting);
        let index = {
            let mut delivered = shared.delivered.lock().unwrap_or_else(PoisonError::into_inner);
            delivered.push(stood.least());
            delivered.len() - 1
        };
        let at_once = Arc::new(Semaphore::new(config.at_once));
        let mut receiver = Self {
            reader: Reader::new(shared.clone(), stood.through),
            again: None,
            first_is_next: true,
            sender: Sender { client, url, config, secrets, at_once, shared: shared.clone(), mood: Arc::default(), returns: Arc::default() },
            shared,
            index,
            file,
            kept: None,
            window: Window::new(WINDOW, &stood),
            under_way: JoinSet::new(),
        };
        // One that is new should be known from now on, and not from a restart on; on a disk that is full it is tried again.
        receiver.look();
        Ok(receiver)
    }

    /// Delivers until the node ends. Then what can be delivered within `farewell` is; the rest is delivered when it begins again.
    pub async fn run(mut self, mut closing: watch::Receiver<bool>, farewell: Duration) {
        let mut lasting = self.shared.lasting.subscribe();
        let mut tick = interval(KEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until: Option<Instant> = None;
        loop {
            let last = *lasting.borrow_and_update();
            let goes_on = self.read(last).await;
            let all = self.window.is_empty() && self.reader.through() >= last;
            if until.is_some_and(|until| all || until <= Instant::now()) {
                break;
            }
            tokio::select! {
                // A delivery that panics would be one that nobody waits for: its room stays where it is until the node begins again.
                Some(done) = self.under_way.join_next() => if let Ok((errand, outcome)) = done {
                    self.came_back(errand, &outcome);
                },
                () = yield_now(), if goes_on => {}
                Ok(()) = lasting.changed(), if !goes_on => {}
                _ = tick.tick() => self.look(),
                Ok(_) = closing.wait_for(|closing| *closing), if until.is_none() => until = Some(Instant::now() + farewell),
            }
        }
        self.look();
        if !self.window.is_empty() {
            tracing::warn!(events = self.window.waiting(), "events are not delivered yet: they will be when the node begins again");
        }
    }

    /// Takes some of what has come into the log, or of what rooms have given back: in turns. Whether there was any.
    async fn read(&mut self, last: u64) -> bool {
        let space = if self.reader.through() < last { self.window.space() } else { 0 };
        let again = self.window.passes() && self.window.has_space_again();
        if space == 0 && !again {
            return false;
        }
        self.first_is_next = space > 0 && (self.first_is_next || !again);
        // A segment is read in chunks from the page cache; where it is not there the other tasks go on.
        let read = tokio::task::block_in_place(|| if self.first_is_next { self.read_first(space) } else { self.read_again() });
        self.first_is_next = !self.first_is_next;
        match read {
            Ok(any) => any,
            Err(error) => {
                tracing::error!(%error, "events cannot be read");
                sleep(KEEP_EVERY).await;
                false
            }
        }
    }

    fn read_first(&mut self, space: usize) -> io::Result<bool> {
        let kept = self.reader.read(space)?;
        let any = !kept.is_empty();
        for Kept { place, json } in kept {
            if let Some((room, letter)) = opened(place, json) {
                let next = self.window.take(&room, letter);
                self.send(room, next);
            }
        }
        Ok(any)
    }

    fn read_again(&mut self) -> io::Result<bool> {
        let through = self.reader.through();
        let Some(again) = self.again.as_mut() else {
            self.again = self.window.begin_pass().map(|from| Reader::new(self.shared.clone(), from - 1));
            return Ok(true);
        };
        let kept = again.read(usize::MAX)?;
        let is_over = kept.is_empty() || again.through() >= through;
        // What is beyond is read for the first time.
        for Kept { place, json } in kept.into_iter().filter(|kept| kept.place <= through) {
            if let Some((room, letter)) = opened(place, json) {
                let next = self.window.take_again(&room, letter);
                self.send(room, next);
            }
        }
        if is_over {
            self.window.end_pass();
            self.again = None;
        }
        Ok(true)
    }

    /// Has a room's next event sent, if it is its turn.
    fn send(&mut self, room: String, letter: Option<Letter>) {
        let Some(letter) = letter else { return };
        let errand = Errand { room, letter, wait: self.sender.config.retry, again: false, returns: self.sender.returns.subscribe() };
        self.under_way.spawn(self.sender.clone().send(errand));
    }

    fn came_back(&mut self, errand: Errand, outcome: &Outcome) {
        match outcome {
            Outcome::Over => {
                let next = self.window.taken(&errand.room);
                self.send(errand.room, next);
            }
            Outcome::Refused => {
                self.window.refused(&errand.room);
                self.under_way.spawn(self.sender.clone().send(errand));
            }
        }
    }

    /// Keeps what was delivered, and says how much waits.
    fn look(&mut self) {
        if let Err(error) = self.keep() {
            tracing::warn!(%error, "it cannot be kept what was delivered: after a restart it is delivered again");
        }
        let unread = self.shared.lasting.borrow().saturating_sub(self.reader.through());
        let oldest = self.window.oldest().map_or(0, |at| now().saturating_sub(at));
        self.shared.metrics.waiting(self.index, unread + self.window.waiting(), oldest);
    }

    fn keep(&mut self) -> io::Result<()> {
        let standing = self.window.standing(self.reader.through());
        if self.kept.as_ref() == Some(&standing) {
            return Ok(());
        }
        if let Some(delivered) = self.shared.delivered.lock().unwrap_or_else(PoisonError::into_inner).get_mut(self.index) {
            *delivered = standing.least();
        }
        let beside = self.file.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(standing.to_text().as_bytes())?;
        // Otherwise a file that is empty may take the place of a good one.
        file.sync_data()?;
        std::fs::rename(beside, &self.file)?;
        self.kept = Some(standing);
        Ok(())
    }
}

impl Sender {
    /// Tries once; what was refused before, after a while.
    async fn send(self, mut errand: Errand) -> (Errand, Outcome) {
        if errand.again {
            let (least, whole) = (jittered(self.config.retry.min(BREATH), draw::number()), jittered(errand.wait, draw::number()));
            sleep(least.min(whole)).await;
            // Its sender is held here.
            let _ = timeout(whole.saturating_sub(least), errand.returns.changed()).await;
            errand.wait = (errand.wait * 2).min(self.config.retry_most);
        }
        errand.returns.mark_unchanged();
        let letter = &errand.letter;
        let Err(Untaken(why)) = self.attempt(letter).await else { return (errand, Outcome::Over) };
        if now().saturating_sub(letter.at) > u64::try_from(self.config.give_up.as_millis()).unwrap_or(u64::MAX) {
            tracing::error!(id = letter.id, why, "an event is given up: nobody has taken it");
            self.shared.metrics.given_up.inc();
            return (errand, Outcome::Over);
        }
        tracing::debug!(id = letter.id, why, "an event is tried again");
        errand.again = true;
        (errand, Outcome::Refused)
    }

    async fn attempt(&self, letter: &Letter) -> Result<(), Untaken> {
        // Never closed.
        let _one = self.at_once.acquire().await;
        let timestamp = unix_time().as_secs();
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("althing/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &letter.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures(&self.secrets.load(), &letter.id, timestamp, &letter.body))
            .body(letter.body.clone());
        let answer = request.send().await;
        // One that answers, be it never so late, may dislike one room's events alone: that says nothing about others.
        let is_away = answer.as_ref().is_err_and(reqwest::Error::is_connect);
        let (result, status) = match answer {
            Ok(answer) => {
                let status = answer.status();
                read_out(answer).await;
                (verdict(status), status.as_u16())
            }
            Err(error) if error.is_timeout() => (Err(Untaken("timeout")), 0),
            Err(_) => (Err(Untaken("unreachable")), 0),
        };
        self.shared.metrics.attempted(result.as_ref().map_or_else(|untaken| untaken.0, |()| "delivered"));
        self.note(is_away, &result, status);
        result
    }

    /// Has the other rooms try again when the receiver is back. Says once that it takes nothing, and once that it does again: of its URL the host
    /// alone, the rest may be a secret.
    fn note(&self, is_away: bool, result: &Result<(), Untaken>, status: u16) {
        let host = self.url.host_str().unwrap_or_default();
        let mut mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        mood.away |= is_away;
        if result.is_ok() && std::mem::take(&mut mood.away) {
            self.returns.send_modify(|returns| *returns += 1);
        }
        match result {
            Ok(()) if mood.failing => {
                mood.failing = false;
                tracing::info!(host, "a receiver takes events again");
            }
            Err(Untaken(why)) if !mood.failing && mood.said.is_none_or(|said| said.elapsed() > SAY_EVERY) => {
                (mood.failing, mood.said) = (true, Some(Instant::now()));
                tracing::warn!(host, why, status, "a receiver does not take events: they are kept, and sent again until it does");
            }
            _ => {}
        }
    }
}

/// An event as it was read: its room, and what is sent of it. It was written by this program.
fn opened(place: u64, json: Vec<u8>) -> Option<(String, Letter)> {
    let Address { id, room, at } = serde_json::from_slice(&json).ok()?;
    Some((room, Letter { place, id, at, body: json }))
}

fn verdict(status: StatusCode) -> Result<(), Untaken> {
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Untaken("redirect")),
        400..=499 => Err(Untaken("refused")),
        _ => Err(Untaken("error")),
    }
}

/// An answer that is short is read out: its connection serves again.
async fn read_out(mut answer: reqwest::Response) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes += chunk.len();
        if bytes > ANSWER {
            break;
        }
    }
}

/// Between half of it and one and a half: receivers that were down are not met by everybody at once.
fn jittered(wait: Duration, drawn: u64) -> Duration {
    wait / 2 + wait.mul_f64((drawn % 1_024) as f64 / 1_024.0)
}

/// A URL may have a secret in it, and is a bad name for a file.
fn name(url: &Url) -> String {
    let hash = digest::digest(&digest::SHA256, url.as_str().as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_around_what_they_should_be() {
        let wait = Duration::from_secs(8);
        assert_eq!(jittered(wait, 0), Duration::from_secs(4));
        assert!(jittered(wait, 1_023) < Duration::from_secs(12) && jittered(wait, 1_023) > Duration::from_millis(11_900));
    }

    #[test]
    fn only_what_is_said_to_be_taken_is() {
        let why = |status: u16| verdict(StatusCode::from_u16(status).expect("a status")).err().map(|untaken| untaken.0);
        assert_eq!([200, 204].map(why), [None; 2]);
        assert_eq!(
            [301, 307, 400, 410, 429, 500, 503].map(why).map(Option::unwrap),
            ["redirect", "redirect", "refused", "refused", "refused", "error", "error"]
        );
    }
}
