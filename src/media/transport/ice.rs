//! ICE-lite: we answer checks and never send any (RFC 8445 section 2.5; STUN is RFC 8489; consent follows RFC 7675). Where this node begins a
//! connection itself, [`checks`] send them.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

pub mod checks;
mod stun;

use super::Path;
use crate::base::Time;
use crate::contract::IceCredentials;
use std::time::Duration;

pub use stun::{MAX_ANSWER_LEN, StunDrop, answer_stranger, is_answer, is_strangers, mapped_address, peek_username};

/// How long we go on sending after the last authenticated check (RFC 7675 section 5.1).
pub const CONSENT_LIFETIME: Duration = Duration::from_secs(30);

/// A nominated path from which nothing has come for so long is left for another one that is checked. Less follows whoever merely says little: a
/// browser that neither sends nor is sent anything checks its pair every 2.5 s. More is a longer freeze for who has changed networks.
pub const DESERTED: Duration = Duration::from_millis(1_500);

/// Validated paths remembered of one peer. More costs 40 bytes each; fewer could forget a path that a peer with many
/// network interfaces is about to nominate.
pub const MAX_PATHS: usize = 16;

/// Credentials of earlier ICE generations that still answer while the newest has no nominated pair.
const MAX_EARLIER: usize = 3;

/// What an authenticated request led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IceAnswer {
    /// Bytes written to `out`, to be sent back on the same path; 0 when `out` is shorter than [`MAX_ANSWER_LEN`].
    pub len: usize,
    /// This is the first successful check from this path.
    pub validated: bool,
    /// The selected path has changed to this one.
    pub nominated: bool,
    /// Consent had been lost and is back.
    pub reconnected: bool,
    /// The peer claims our role, the controlled one; it was answered 487 (RFC 8445 section 7.3.1.1), nothing else happened.
    pub role_conflict: bool,
    /// A path that had to make way for this one: it is validated no more.
    pub forgotten: Option<Path>,
}

/// No authenticated check has come within the consent lifetime: nothing may be sent until one comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsentLost;

/// The ICE-lite agent of one peer. What a forward asks for comes first.
#[repr(C)]
pub struct IceLite {
    consent: Consent,
    nominated: Option<Path>,
    preferred: Option<Path>,
    /// Paths with a successful check.
    validated: Vec<Validated>,
    /// When something authenticated last came on the nominated path.
    heard: Time,
    current: IceCredentials,
    /// Of generations before the current one, oldest first.
    earlier: Vec<IceCredentials>,
    /// Credentials that answer no more and have not been taken away yet.
    retired: Vec<IceCredentials>,
    lifetime: Duration,
}

struct Validated {
    path: Path,
    last_check: Time,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    Never,
    Until(Time),
    Lost,
}

impl IceLite {
    /// An agent that has heard nothing yet.
    pub fn new(credentials: IceCredentials) -> Self {
        Self {
            current: credentials,
            earlier: Vec::new(),
            retired: Vec::new(),
            validated: Vec::new(),
            nominated: None,
            preferred: None,
            heard: Time::ZERO,
            lifetime: CONSENT_LIFETIME,
            consent: Consent::Never,
        }
    }

    /// The same with another consent lifetime than [`CONSENT_LIFETIME`].
    pub fn with_consent_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Begins a new ICE generation (RFC 8445 section 2.4). The credentials before it keep answering until a pair is
    /// nominated with the new ones.
    pub fn restart(&mut self, credentials: IceCredentials) {
        let before = std::mem::replace(&mut self.current, credentials);
        if self.earlier.len() >= MAX_EARLIER {
            // The oldest is the one that works at present: a restart upon a restart was never answered.
            self.retired.push(self.earlier.remove(1));
        }
        self.earlier.push(before);
    }

    /// The newest credentials of both sides.
    pub const fn credentials(&self) -> &IceCredentials {
        &self.current
    }

    /// The user name fragments that are ours at present, the newest first.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.generations().map(|credentials| credentials.local_ufrag.as_str())
    }

    /// Credentials that answer no more, each once: their user name fragments are free.
    pub fn take_retired(&mut self) -> Vec<IceCredentials> {
        std::mem::take(&mut self.retired)
    }

    /// Paths with a successful check.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.validated.iter().map(|known| known.path)
    }

    /// Answers a Binding request that came on `path`. `out` should have [`MAX_ANSWER_LEN`] bytes.
    ///
    /// # Errors
    /// [`StunDrop`]: nothing has changed and nothing is to be sent.
    pub fn handle_request(&mut self, now: Time, path: Path, datagram: &[u8], out: &mut [u8]) -> Result<IceAnswer, StunDrop> {
        let username = stun::username(datagram)?;
        let (credentials, newest) = self.credentials_for(username)?;
        let request = stun::Request::authenticate(datagram, &credentials.local_pwd)?;
        let password = &credentials.local_pwd;
        if request.role.is_some_and(|(role, _)| role == stun::Role::Controlled) {
            let len = request.role_conflict(password, out);
            return Ok(IceAnswer { len, role_conflict: true, ..IceAnswer::default() });
        }
        if request.has_unknown_attributes() {
            return Ok(IceAnswer { len: request.unknown_attributes(password, out), ..IceAnswer::default() });
        }
        let len = request.success(password, path.remote, out);
        let reconnected = self.consent == Consent::Lost;
        self.consent = Consent::Until(now + self.lifetime);
        let (validated, forgotten) = self.validate(now, path);
        let nominated = if request.use_candidate { self.nominate(path, newest) } else { newest && self.follow(now, path) };
        self.heard(now, path);
        Ok(IceAnswer { len, validated, nominated, reconnected, role_conflict: false, forgotten })
    }

    /// A check of ours was answered on this path: there is consent to send (RFC 7675 section 5.1). Whether it is the path's first answer, and which
    /// path made way for it.
    fn confirm(&mut self, now: Time, path: Path) -> (bool, Option<Path>) {
        self.consent = Consent::Until(now + self.lifetime);
        self.heard(now, path);
        self.validate(now, path)
    }

    /// Goes over to a path that works; true if another was selected before.
    fn select(&mut self, now: Time, path: Path) -> bool {
        let changed = self.nominate(path, true);
        self.heard(now, path);
        changed
    }

    /// Whether a check from this path was successful (and consent not lost since): DTLS and media may come from it.
    pub fn is_validated(&self, path: Path) -> bool {
        self.validated.iter().any(|known| known.path == path)
    }

    /// The path to send on: the nominated one, else the preferred one, else the one last validated.
    pub fn selected(&self) -> Option<Path> {
        self.nominated.or(self.preferred).or_else(|| self.validated.iter().max_by_key(|known| known.last_check).map(|known| known.path))
    }

    /// Says that something authenticated has come on a path: a nominated one is not deserted then.
    pub fn heard(&mut self, now: Time, path: Path) {
        if self.nominated == Some(path) {
            self.heard = now;
        }
    }

    /// Whether nothing authenticated has come on the nominated path for so long.
    pub fn is_silent(&self, now: Time, span: Duration) -> bool {
        self.nominated.is_some() && now.since(self.heard) >= span
    }

    /// Says that DTLS or media arrived on a path; it is selected until one is nominated. Chromium sends DTLS before it
    /// nominates. A path that is not validated is ignored.
    pub fn prefer(&mut self, path: Path) {
        if self.is_validated(path) {
            self.preferred = Some(path);
        }
    }

    /// When consent ends unless another check comes; `None` before the first and after it has ended.
    pub const fn consent_deadline(&self) -> Option<Time> {
        match self.consent {
            Consent::Until(deadline) => Some(deadline),
            Consent::Never | Consent::Lost => None,
        }
    }

    /// Tells the time. Returns [`ConsentLost`] once when consent has ended; every path must then be validated anew.
    pub fn handle_timeout(&mut self, now: Time) -> Option<ConsentLost> {
        let deadline = self.consent_deadline()?;
        if now < deadline {
            return None;
        }
        self.give_up();
        Some(ConsentLost)
    }

    /// Nothing may be sent from now on, until a path is validated anew.
    pub fn give_up(&mut self) {
        self.consent = Consent::Lost;
        self.validated.clear();
        self.nominated = None;
        self.preferred = None;
    }

    /// Whether there is consent to send.
    pub const fn may_send(&self) -> bool {
        matches!(self.consent, Consent::Until(_))
    }

    fn generations(&self) -> impl Iterator<Item = &IceCredentials> {
        std::iter::once(&self.current).chain(self.earlier.iter().rev())
    }

    /// The credentials that a USERNAME names, and whether they are the newest.
    fn credentials_for(&self, username: (&str, &str)) -> Result<(&IceCredentials, bool), StunDrop> {
        let found = self.generations().enumerate().find(|(_, known)| (known.local_ufrag.as_str(), known.remote_ufrag.as_str()) == username);
        found.map(|(age, known)| (known, age == 0)).ok_or(StunDrop::UnknownUser)
    }

    /// Remembers a successful check; whether it is the path's first, and which path made way for it.
    fn validate(&mut self, now: Time, path: Path) -> (bool, Option<Path>) {
        if let Some(known) = self.validated.iter_mut().find(|known| known.path == path) {
            known.last_check = now;
            return (false, None);
        }
        let forgotten = if self.validated.len() >= MAX_PATHS { self.forget_one() } else { None };
        self.validated.push(Validated { path, last_check: now });
        (true, forgotten)
    }

    /// Forgets the path that was checked longest ago, never the one in use.
    fn forget_one(&mut self) -> Option<Path> {
        let in_use = self.nominated.or(self.preferred);
        let candidates = self.validated.iter().enumerate().filter(|(_, known)| Some(known.path) != in_use);
        let (at, _) = candidates.min_by_key(|(_, known)| known.last_check)?;
        Some(self.validated.remove(at).path)
    }

    /// Goes over to a path that the peer checks while it has left the nominated one: its interface is gone, and it has yet to nominate. A full
    /// agent would do so of itself; one that is lite has no checks of its own to see it by (RFC 8445 section 6.1.1).
    fn follow(&mut self, now: Time, path: Path) -> bool {
        let deserted = self.nominated.is_some_and(|nominated| nominated != path) && now.since(self.heard) >= DESERTED;
        deserted && self.nominated.replace(path) != Some(path)
    }

    /// Nominates a path; true if another was selected before.
    fn nominate(&mut self, path: Path, newest: bool) -> bool {
        if newest {
            self.retired.append(&mut self.earlier);
        }
        self.nominated.replace(path) != Some(path)
    }
}

#[cfg(test)]
mod tests;
