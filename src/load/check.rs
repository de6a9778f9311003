//! ICE as the controlling side (RFC 8445): checks to one candidate after the other, consent afterwards (RFC 7675).

use std::net::SocketAddr;
use std::time::Duration;

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;

use super::offer::Answer;
use crate::base::Time;

/// The first wait for an answer; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_millis(1_600);
/// Checks to one candidate before the next has its turn.
const TRIES: u32 = 3;
/// Without any answer for so long there is no way.
const GIVE_UP: Duration = Duration::from_secs(15);
/// Between checks that renew consent (RFC 7675 section 5.1).
const CONSENT: Duration = Duration::from_secs(5);
/// Without any answer for so long the server is gone (RFC 7675 section 5.1).
const CONSENT_LIFETIME: Duration = Duration::from_secs(30);
/// `ICE-CONTROLLING` (RFC 8445 section 7.1.3), which the crate does not name.
const ATTR_ICE_CONTROLLING: AttrType = AttrType(0x802a);
/// The priority of a peer-reflexive candidate (RFC 8445 section 5.1.2.1): type preference 110.
const PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 255;

/// The checks of one client.
#[derive(Clone, Debug)]
pub struct Checks {
    username: String,
    /// The server's password.
    pwd: String,
    /// Ours.
    own_pwd: String,
    candidates: Vec<SocketAddr>,
    at: usize,
    tie_breaker: u64,
    transaction: TransactionId,
    /// Checks sent to this candidate without an answer.
    sent: u32,
    /// When the next check is due.
    due: Time,
    begun: Time,
    answered: Option<Time>,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// Send this to [`Checks::candidate`].
    Send(Vec<u8>),
    /// There is no way to the server, or no way any more.
    Failed,
}

impl Checks {
    /// Checks towards an answer's candidates, begun now. `address` of the server, when it is known, is tried first.
    pub fn new(now: Time, answer: &Answer, ufrag: &str, pwd: &str, address: Option<std::net::IpAddr>) -> Self {
        let mut candidates = answer.candidates.clone();
        candidates.sort_by_key(|c| Some(c.ip()) != address);
        let tie_breaker = TransactionId::new().0.first_chunk().copied().map_or(1, u64::from_be_bytes);
        Self {
            username: format!("{}:{ufrag}", answer.ufrag),
            pwd: answer.pwd.clone(),
            own_pwd: pwd.to_owned(),
            candidates,
            at: 0,
            tie_breaker,
            transaction: TransactionId::default(),
            sent: 0,
            due: now,
            begun: now,
            answered: None,
        }
    }

    /// Where the checks go, and later everything.
    pub fn candidate(&self) -> Option<SocketAddr> {
        self.candidates.get(self.at).copied()
    }

    /// Leaves out the present candidate: nothing can be sent there.
    pub fn skip(&mut self, now: Time) {
        (self.at, self.sent, self.due) = ((self.at + 1) % self.candidates.len().max(1), 0, now + Duration::from_millis(50));
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn due(&self) -> Time {
        self.due
    }

    /// The next check, if it is due.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Check> {
        if now < self.due {
            return None;
        }
        let patience = if self.answered.is_some() { CONSENT_LIFETIME } else { GIVE_UP };
        if now.since(self.answered.unwrap_or(self.begun)) >= patience {
            return Some(Check::Failed);
        }
        if self.answered.is_some() {
            self.due = now + CONSENT;
        } else {
            if self.sent >= TRIES && self.candidates.len() > 1 {
                (self.at, self.sent) = ((self.at + 1) % self.candidates.len(), 0);
            }
            self.due = now + FIRST_WAIT.saturating_mul(1 << self.sent.min(6)).min(LONGEST_WAIT);
        }
        // Every repetition is the same transaction; with an answer a new one begins.
        if self.sent == 0 || self.answered.is_some() {
            self.transaction = TransactionId::new();
        }
        self.sent += 1;
        self.request().map(Check::Send)
    }

    /// Takes a STUN message. Returns whether it is the first answer to a check, and what is to be sent back.
    pub fn handle_message(&mut self, now: Time, datagram: &[u8], from: Option<SocketAddr>) -> (bool, Option<Vec<u8>>) {
        let mut message = Message::new();
        if message.unmarshal_binary(datagram).is_err() {
            return (false, None);
        }
        let request = message.typ == BINDING_REQUEST;
        if !self.is_authentic(&mut message, request) {
            return (false, None);
        }
        match message.typ {
            BINDING_SUCCESS if message.transaction_id == self.transaction => {
                let first = self.answered.is_none();
                self.answered = Some(now);
                self.due = now + CONSENT;
                (first, None)
            }
            BINDING_REQUEST => (false, from.and_then(|from| self.response(&message, from))),
            _ => (false, None),
        }
    }

    fn is_authentic(&self, message: &mut Message, request: bool) -> bool {
        let pwd = if request { &self.own_pwd } else { &self.pwd };
        MessageIntegrity::check(message, pwd.as_bytes(), &AwsLcRsCrypto).is_ok()
    }

    fn request(&self) -> Option<Vec<u8>> {
        let mut message = Message { typ: BINDING_REQUEST, transaction_id: self.transaction, ..Message::new() };
        message.write_header();
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        seal(message, &self.pwd)
    }

    /// The answer to a check of the server's: one that is no ICE-lite agent checks too.
    fn response(&self, request: &Message, from: SocketAddr) -> Option<Vec<u8>> {
        let mut message = Message { typ: BINDING_SUCCESS, transaction_id: request.transaction_id, ..Message::new() };
        message.write_header();
        XorMappedAddress { ip: from.ip(), port: from.port() }.add_to(&mut message).ok()?;
        seal(message, &self.own_pwd)
    }
}

fn seal(mut message: Message, pwd: &str) -> Option<Vec<u8>> {
    MessageIntegrity::new_short_term_integrity_with_provider(pwd.to_owned(), &AwsLcRsCrypto).add_to(&mut message).ok()?;
    FINGERPRINT.add_to(&mut message).ok()?;
    Some(message.raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{DtlsRole, Fingerprint, HashFunction, IceCredentials};
    use crate::media::transport::ice::MAX_ANSWER_LEN;
    use crate::media::transport::{IceLite, Path};

    fn answer() -> Answer {
        Answer {
            ufrag: "srvr".into(),
            pwd: "the server's password, long".into(),
            fingerprint: Fingerprint { hash: HashFunction::Sha256, value: vec![0; 32] },
            role: DtlsRole::Client,
            candidates: vec!["192.0.2.1:1".parse().expect("address"), "192.0.2.2:2".parse().expect("address")],
        }
    }

    fn server() -> IceLite {
        IceLite::new(IceCredentials {
            local_ufrag: "srvr".into(),
            local_pwd: "the server's password, long".into(),
            remote_ufrag: "mine".into(),
            remote_pwd: "my own password, long enough".into(),
        })
    }

    fn checks() -> Checks {
        Checks::new(Time::ZERO, &answer(), "mine", "my own password, long enough", None)
    }

    fn sent(checks: &mut Checks, millis: u64) -> Vec<u8> {
        match checks.handle_timeout(Time::from_millis(millis)) {
            Some(Check::Send(bytes)) => bytes,
            other => panic!("{other:?} at {millis} ms"),
        }
    }

    #[test]
    fn our_own_server_answers_and_nominates_and_consent_goes_on() {
        let (mut checks, mut server) = (checks(), server());
        let path = Path { local: 0, remote: "198.51.100.7:7".parse().expect("address") };
        for (millis, first) in [(0, true), (5_000, false), (10_000, false)] {
            let request = sent(&mut checks, millis);
            let mut out = [0; MAX_ANSWER_LEN];
            let answered = server.handle_request(Time::from_millis(millis), path, &request, &mut out).expect("authentic");
            assert_eq!(answered.nominated, first);
            assert_eq!(checks.handle_message(Time::from_millis(millis), &out[..answered.len], None), (first, None));
        }
        assert_eq!(checks.due(), Time::from_millis(15_000));
    }

    #[test]
    fn an_answer_with_another_password_or_transaction_is_none() {
        let mut checks = checks();
        let request = sent(&mut checks, 0);
        let mut other = IceLite::new(IceCredentials { local_pwd: "the server's password, long".into(), ..credentials("srvr") });
        let mut out = [0; MAX_ANSWER_LEN];
        let len = other.handle_request(Time::ZERO, Path { local: 0, remote: "198.51.100.7:7".parse().expect("address") }, &request, &mut out);
        let len = len.expect("authentic").len;
        out[len - 12] ^= 1;
        assert_eq!(checks.handle_message(Time::ZERO, &out[..len], None), (false, None));
        out[len - 12] ^= 1;
        out[9] ^= 1;
        assert_eq!(checks.handle_message(Time::ZERO, &out[..len], None), (false, None));
        out[9] ^= 1;
        assert_eq!(checks.handle_message(Time::ZERO, &out[..len], None), (true, None));
    }

    fn credentials(ufrag: &str) -> IceCredentials {
        IceCredentials { local_ufrag: ufrag.into(), local_pwd: String::new(), remote_ufrag: "mine".into(), remote_pwd: String::new() }
    }

    #[test]
    fn a_candidate_that_is_silent_makes_way_for_the_next_and_all_silent_is_failure() {
        let mut checks = checks();
        let mut seen = Vec::new();
        let mut millis = 0;
        loop {
            match checks.handle_timeout(Time::from_millis(millis)) {
                Some(Check::Send(_)) => seen.push(checks.candidate().map_or(0, |c| c.port())),
                Some(Check::Failed) => break,
                None => {}
            }
            millis += 10;
        }
        assert_eq!(seen[..8], [1, 1, 1, 2, 2, 2, 1, 1]);
        assert!((15_000..17_000).contains(&millis), "{millis}");
    }

    #[test]
    fn the_known_address_of_the_server_is_tried_first() {
        let checks = Checks::new(Time::ZERO, &answer(), "mine", "my own password, long enough", "192.0.2.2".parse().ok());
        assert_eq!(checks.candidate().map(|c| c.port()), Some(2));
    }

    #[test]
    fn a_server_that_checks_too_is_answered() {
        let mut ours = checks();
        let theirs = Answer { ufrag: "mine".into(), pwd: "my own password, long enough".into(), ..answer() };
        let mut server = Checks::new(Time::ZERO, &theirs, "srvr", "the server's password, long", None);
        let request = sent(&mut server, 0);
        let (first, response) = ours.handle_message(Time::ZERO, &request, "192.0.2.1:1".parse().ok());
        assert!(!first);
        assert_eq!(server.handle_message(Time::ZERO, &response.expect("an answer"), None), (true, None));
    }
}
