//! The checks of a full agent (RFC 8445 sections 6 and 7): where this node begins a connection itself, nobody else looks for the way.
//!
//! It begins in the controlling role, nominates the first pair that answers, and goes on asking there for consent (RFC 7675). What it finds out
//! it says to the connection's [`IceLite`], which holds paths and consent for both kinds of agents.

use std::time::Duration;

use super::stun::{self, CheckAnswer, CheckRequest, Request, Role, StunDrop};
use super::{IceAnswer, IceLite, Path};
use crate::base::Time;
use crate::base::random::Random;
use crate::contract::IceCredentials;

/// Pairs that are checked at most, those that the other side's checks come on included. Browsers take 100 for all components and streams together.
pub const MAX_PAIRS: usize = 32;
/// The longest check, in bytes: user names have at most 513.
pub const MAX_CHECK_LEN: usize = 640;

/// A new pair is checked so often (Ta, RFC 8445 section 14.2).
const PACE: Duration = Duration::from_millis(50);
/// The first wait before a check is repeated (RTO, RFC 8445 section 14.3).
const FIRST_REPEAT: Duration = Duration::from_millis(500);
/// The longest one. RFC 8489 section 6.2.1 lets it double for half a minute; by then whoever has ordered the call thinks it is broken.
const LONGEST_REPEAT: Duration = Duration::from_secs(2);
/// How often a check is sent: the last one is waited for until 9.5 s after the first.
const TRIES: u8 = 6;
/// Consent is asked for every four to six seconds (RFC 7675 section 5.1): the least of it, and what is drawn on top.
const CONSENT_LEAST: Duration = Duration::from_secs(4);
const CONSENT_SPREAD_MICROS: u64 = 2_000_000;
/// A server that has said nothing at all for so long is gone: no answer to two checks at least, and none of the reports that whoever is sent media
/// sends every few seconds. More keeps those waiting who watch there (consent lasts for 30 s); less takes a bad minute of the network for the end.
pub const SILENT: Duration = Duration::from_secs(12);
/// How often a role may change: two agents that agree need one change.
const MOST_CHANGES: u8 = 4;
/// The priority of a peer-reflexive candidate of ours (RFC 8445 section 7.1.1): a type preference of 110.
const PRIORITY: u32 = 110 << 24 | 0xFFFF << 8 | 255;

/// The checks of one connection.
pub struct IceChecks {
    credentials: IceCredentials,
    role: Role,
    tie_breaker: u64,
    changes: u8,
    pairs: Vec<Pair>,
    /// The pair that is to be used.
    chosen: Option<usize>,
    nominated: bool,
    /// When the next pair may be checked.
    next: Time,
    /// When consent is asked for.
    consent_at: Time,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Checking,
    /// No pair is left, and nobody has been told.
    Failed,
    Over,
}

struct Pair {
    path: Path,
    state: PairState,
    asked: Option<Asked>,
    /// The other side has nominated it, being in the controlling role.
    theirs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PairState {
    Waiting,
    Valid,
    Failed,
}

/// A check that is not answered yet.
struct Asked {
    id: [u8; 12],
    nominates: bool,
    /// How often it is still sent.
    left: u8,
    wait: Duration,
    at: Time,
}

/// What an answer to a check led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// This is the first answer on this path.
    pub validated: bool,
    /// The selected path has changed to this one.
    pub nominated: bool,
    /// A path that had to make way for this one.
    pub forgotten: Option<Path>,
}

impl IceChecks {
    /// Checks of these pairs, best first; what is beyond [`MAX_PAIRS`] is not checked. The first one is due at once.
    pub fn new(now: Time, credentials: IceCredentials, tie_breaker: u64, pairs: impl IntoIterator<Item = Path>) -> Self {
        let mut checks = Self {
            credentials,
            role: Role::Controlling,
            tie_breaker,
            changes: 0,
            pairs: Vec::new(),
            chosen: None,
            nominated: false,
            next: now,
            consent_at: Time::NEVER,
            state: State::Checking,
        };
        for path in pairs {
            checks.learn(path);
        }
        checks
    }

    /// The paths that are checked: answers come from them.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.pairs.iter().map(|pair| pair.path)
    }

    /// When [`Self::poll`] has something to say.
    pub fn next_due(&self) -> Time {
        match self.state {
            State::Checking => {}
            State::Failed => return Time::ZERO,
            State::Over => return Time::NEVER,
        }
        let asked = self.pairs.iter().filter_map(|pair| pair.asked.as_ref()).map(|asked| asked.at).min().unwrap_or(Time::NEVER);
        let waits = self.chosen.is_none() && self.pairs.iter().any(Pair::is_fresh);
        asked.min(if waits { self.next } else { Time::NEVER }).min(self.consent_at)
    }

    /// The next check that is due, written to `out` (of [`MAX_CHECK_LEN`] bytes): where it goes, and its length.
    pub fn poll(&mut self, now: Time, random: &mut Random, out: &mut [u8]) -> Option<(Path, usize)> {
        if self.state != State::Checking {
            return None;
        }
        self.begin_checks(now, random);
        let Self { pairs, credentials, role, tie_breaker, .. } = self;
        for pair in pairs.iter_mut() {
            let Some(asked) = pair.asked.as_mut().filter(|asked| asked.at <= now && asked.left > 0) else { continue };
            asked.left -= 1;
            asked.at = now + asked.wait;
            asked.wait = asked.wait.saturating_mul(2).min(LONGEST_REPEAT);
            let check = CheckRequest { id: asked.id, role: *role, tie_breaker: *tie_breaker, nominates: asked.nominates, priority: PRIORITY };
            return Some((pair.path, check.write(credentials, out)));
        }
        self.give_up(now);
        None
    }

    /// Whether no pair has answered and none is left; said once.
    pub fn poll_failed(&mut self) -> bool {
        let failed = self.state == State::Failed;
        if failed {
            self.state = State::Over;
        }
        failed
    }

    /// Whether no check goes out any more.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// No check goes out any more: the other side is lost.
    pub fn end(&mut self) {
        self.state = State::Over;
    }

    /// Takes the answer to a check.
    ///
    /// # Errors
    /// [`StunDrop`]: it answers none of the checks that are under way, or somebody else has written it; nothing has changed.
    pub fn handle_answer(&mut self, now: Time, path: Path, datagram: &[u8], ice: &mut IceLite) -> Result<Checked, StunDrop> {
        let id = stun::answered(datagram).ok_or(StunDrop::Malformed)?;
        let is_asked = |pair: &Pair| pair.path == path && pair.asked.as_ref().is_some_and(|asked| asked.id == id);
        let index = self.pairs.iter().position(is_asked).ok_or(StunDrop::UnknownUser)?;
        let answer = stun::read_answer(datagram, &self.credentials.remote_pwd)?;
        let Some(pair) = self.pairs.get_mut(index) else { return Err(StunDrop::UnknownUser) };
        let Some(asked) = pair.asked.take() else { return Err(StunDrop::UnknownUser) };
        match answer {
            CheckAnswer::Success => Ok(self.answered(now, index, asked.nominates, ice)),
            CheckAnswer::RoleConflict if self.changes < MOST_CHANGES => {
                self.take_role(self.role.other());
                self.ask(now, index, Asked::new(now, false));
                Ok(Checked::default())
            }
            CheckAnswer::RoleConflict | CheckAnswer::Refused => {
                pair.state = PairState::Failed;
                self.leave(index);
                Ok(Checked::default())
            }
        }
    }

    /// Answers the other side's check, and checks the same way in turn (RFC 8445 section 7.3.1.4). Which path is new, if there is room for it.
    ///
    /// # Errors
    /// [`StunDrop`]: nothing has changed and nothing is to be sent.
    pub fn handle_request(
        &mut self, now: Time, path: Path, datagram: &[u8], ice: &mut IceLite, out: &mut [u8],
    ) -> Result<(IceAnswer, Option<Path>), StunDrop> {
        let named = stun::username(datagram)?;
        if named != (self.credentials.local_ufrag.as_str(), self.credentials.remote_ufrag.as_str()) {
            return Err(StunDrop::UnknownUser);
        }
        let request = Request::authenticate(datagram, &self.credentials.local_pwd)?;
        let password = self.credentials.local_pwd.clone();
        if let Some((_, theirs)) = request.role.filter(|(role, _)| *role == self.role) {
            // RFC 8445 section 7.3.1.1: the larger tie-breaker controls; whoever has it and is not in that role already changes.
            let we_control = self.tie_breaker >= theirs;
            if we_control == (self.role == Role::Controlling) || self.changes >= MOST_CHANGES {
                return Ok((IceAnswer { len: request.role_conflict(&password, out), role_conflict: true, ..IceAnswer::default() }, None));
            }
            self.take_role(self.role.other());
        }
        if request.has_unknown_attributes() {
            return Ok((IceAnswer { len: request.unknown_attributes(&password, out), ..IceAnswer::default() }, None));
        }
        let mut answer = IceAnswer { len: request.success(&password, path.remote, out), ..IceAnswer::default() };
        let known = self.pairs.iter().any(|pair| pair.path == path);
        if let Some(index) = self.learn(path) {
            let controlled = self.role == Role::Controlled;
            if let Some(pair) = self.pairs.get_mut(index) {
                pair.theirs |= request.use_candidate && controlled;
                if pair.state == PairState::Failed {
                    pair.state = PairState::Waiting;
                }
                let asks = pair.state == PairState::Waiting && pair.asked.is_none();
                if asks && self.state == State::Checking {
                    self.ask(now, index, Asked::new(now, false));
                }
            }
            answer.nominated = self.follow(now, index, ice);
        }
        Ok((answer, (!known && self.pairs.iter().any(|pair| pair.path == path)).then_some(path)))
    }

    /// A check was answered: there is consent, and a way.
    fn answered(&mut self, now: Time, index: usize, nominates: bool, ice: &mut IceLite) -> Checked {
        let Some(pair) = self.pairs.get_mut(index) else { return Checked::default() };
        pair.state = PairState::Valid;
        let path = pair.path;
        let (validated, forgotten) = ice.confirm(now, path);
        let mut checked = Checked { validated, nominated: false, forgotten };
        if self.role == Role::Controlled {
            checked.nominated = self.follow(now, index, ice);
        } else if self.chosen.is_none() {
            // The first one that answers is the nearest.
            self.chosen = Some(index);
            self.ask(now, index, Asked::new(now, true));
        } else if nominates && self.chosen == Some(index) {
            checked.nominated = self.settle(now, index, ice);
        }
        checked
    }

    /// Uses a pair that works and that the other side, in the controlling role, has nominated.
    fn follow(&mut self, now: Time, index: usize, ice: &mut IceLite) -> bool {
        let nominated = self.pairs.get(index).is_some_and(|pair| pair.theirs && pair.state == PairState::Valid);
        if self.role != Role::Controlled || !nominated || (self.nominated && self.chosen == Some(index)) {
            return false;
        }
        self.chosen = Some(index);
        self.settle(now, index, ice)
    }

    fn settle(&mut self, now: Time, index: usize, ice: &mut IceLite) -> bool {
        let Some(path) = self.pairs.get(index).map(|pair| pair.path) else { return false };
        self.nominated = true;
        self.consent_at = now + CONSENT_LEAST;
        // What is still asked elsewhere is of no interest any more.
        self.pairs.iter_mut().enumerate().filter(|(other, _)| *other != index).for_each(|(_, pair)| pair.asked = None);
        ice.select(now, path)
    }

    /// Begins what is due by the clock: the next pair, or the next question for consent.
    fn begin_checks(&mut self, now: Time, random: &mut Random) {
        if self.chosen.is_none()
            && self.next <= now
            && let Some(index) = self.pairs.iter().position(Pair::is_fresh)
        {
            self.next = now + PACE;
            self.ask(now, index, Asked::new(now, false));
        }
        if self.consent_at <= now
            && let Some(index) = self.chosen
        {
            self.consent_at = now + CONSENT_LEAST + Duration::from_micros(random.next_u64() % CONSENT_SPREAD_MICROS);
            // Never repeated: the next one is another (RFC 7675 section 5.1).
            self.ask(now, index, Asked { left: 1, ..Asked::new(now, false) });
        }
        // Nobody else can write an answer without the number: it is drawn where the check is first sent.
        for asked in self.pairs.iter_mut().filter_map(|pair| pair.asked.as_mut()).filter(|asked| asked.id == [0; 12]) {
            let (high, low) = (random.next_u64().to_be_bytes(), random.next_u32().to_be_bytes());
            asked.id = std::array::from_fn(|i| high.get(i).or_else(|| low.get(i.saturating_sub(8))).copied().unwrap_or_default());
        }
    }

    /// Gives up checks that nobody has answered, and the whole when no pair is left.
    fn give_up(&mut self, now: Time) {
        for index in 0..self.pairs.len() {
            let nominated = self.nominated;
            let Some(pair) = self.pairs.get_mut(index) else { return };
            if pair.asked.as_ref().is_some_and(|asked| asked.left == 0 && asked.at <= now) {
                pair.asked = None;
                // One question for consent that is lost says nothing: consent ends of itself.
                if !nominated {
                    pair.state = PairState::Failed;
                    self.leave(index);
                }
            }
        }
        let left = |pair: &Pair| pair.state != PairState::Failed;
        if !self.pairs.iter().any(left) {
            self.state = State::Failed;
        }
    }

    /// A pair is of no use: the others have their turn.
    fn leave(&mut self, index: usize) {
        if self.chosen == Some(index) && !self.nominated {
            self.chosen = None;
        }
    }

    fn take_role(&mut self, role: Role) {
        self.role = role;
        self.changes = self.changes.saturating_add(1);
        if !self.nominated {
            self.chosen = None;
        }
    }

    fn ask(&mut self, now: Time, index: usize, asked: Asked) {
        if let Some(pair) = self.pairs.get_mut(index) {
            // A new question has a number of its own.
            pair.asked = Some(Asked { id: [0; 12], at: now, ..asked });
        }
    }

    /// The place of a pair, which is added when it is new and there is room.
    fn learn(&mut self, path: Path) -> Option<usize> {
        if let Some(known) = self.pairs.iter().position(|pair| pair.path == path) {
            return Some(known);
        }
        if self.pairs.len() >= MAX_PAIRS {
            return None;
        }
        self.pairs.push(Pair { path, state: PairState::Waiting, asked: None, theirs: false });
        Some(self.pairs.len() - 1)
    }
}

impl Pair {
    fn is_fresh(&self) -> bool {
        self.state == PairState::Waiting && self.asked.is_none()
    }
}

impl Asked {
    fn new(now: Time, nominates: bool) -> Self {
        Self { id: [0; 12], nominates, left: TRIES, wait: FIRST_REPEAT, at: now }
    }
}

#[cfg(test)]
mod tests;
