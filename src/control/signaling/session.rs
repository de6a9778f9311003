//! What a socket may ask for, and when: before `hello`, before `join`, in a room, in a lobby. Pure.

use crate::control::Refusal;
use crate::wire::{ErrorCode, OkResult, Request, VERSION};

/// Candidates that a session may send: a client with many interfaces and relays has a few dozen.
const CANDIDATES: u32 = 256;
/// Bytes of a candidate or of a mid with it.
const CANDIDATE_BYTES: usize = 1_024;

/// Where a socket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Before `hello`.
    #[default]
    New,
    /// Before `join`, `resume` or `enter`, or after `leave`.
    Greeted,
    /// In a room.
    Joined,
    /// In a lobby.
    Reachable,
}

/// A socket's session.
#[derive(Default)]
pub struct Session {
    phase: Phase,
    candidates: u32,
}

/// What is to be done about a request.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Answer it.
    Answer(Result<Option<OkResult>, Refusal>),
    /// Welcome the client.
    Welcome,
    /// Enter a room: `join` or `resume`.
    Enter(Request),
    /// Enter a lobby.
    EnterLobby(Request),
    /// Tell where STUN and TURN are.
    IceServers,
    /// Hand it to the room.
    Room(Request),
    /// Hand it to the lobby.
    Lobby(Request),
    /// Leave the room or the lobby.
    Leave,
}

impl Session {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// It is in a room now.
    pub fn entered(&mut self) {
        self.phase = Phase::Joined;
        self.candidates = 0;
    }

    /// It is in a lobby now.
    pub fn reachable(&mut self) {
        self.phase = Phase::Reachable;
    }

    /// Takes a request in.
    pub fn step(&mut self, request: Request) -> Step {
        match (self.phase, request) {
            (_, Request::Ping {}) => Step::Answer(Ok(None)),
            (Phase::New, Request::Hello { versions, .. }) => self.hello(&versions),
            (Phase::New, _) => wrong("say hello first"),
            (_, Request::Hello { .. }) => wrong("hello is said once"),
            (Phase::Greeted, enter @ (Request::Join { .. } | Request::Resume { .. })) => Step::Enter(enter),
            (Phase::Greeted, enter @ Request::Enter { .. }) => Step::EnterLobby(enter),
            (Phase::Greeted, _) => wrong("join a room or enter a lobby first"),
            (Phase::Joined | Phase::Reachable, Request::Leave {}) => {
                self.phase = Phase::Greeted;
                Step::Leave
            }
            (Phase::Reachable, request) if is_of_lobbies(&request) => Step::Lobby(request),
            (Phase::Reachable, Request::Kick { member }) => Step::Lobby(Request::Kick { member }),
            (Phase::Reachable, _) => wrong("this socket is in a lobby: leave it first, or open another socket"),
            (Phase::Joined, Request::Enter { .. }) => wrong("leave the room first, or open another socket"),
            (Phase::Joined, request) if is_of_lobbies(&request) => wrong("enter a lobby on another socket first"),
            (Phase::Joined, Request::Join { .. } | Request::Resume { .. }) => wrong("leave the room first"),
            (Phase::Joined, Request::Candidate { candidate, mid }) => Step::Answer(self.candidate(&candidate, &mid).map(|()| None)),
            (Phase::Joined, Request::IceServers {}) => Step::IceServers,
            (Phase::Joined, request) => Step::Room(request),
        }
    }

    fn hello(&mut self, versions: &[u32]) -> Step {
        if !versions.contains(&VERSION) {
            let refusal = Refusal::new(ErrorCode::UnsupportedVersion, format!("this server speaks version {VERSION} of the protocol"));
            return Step::Answer(Err(refusal));
        }
        self.phase = Phase::Greeted;
        Step::Welcome
    }

    /// ICE-lite sends nothing to candidates: they are checked and let go.
    fn candidate(&mut self, candidate: &str, mid: &str) -> Result<(), Refusal> {
        self.candidates += 1;
        if self.candidates > CANDIDATES || candidate.len() > CANDIDATE_BYTES || mid.len() > CANDIDATE_BYTES {
            return Err(Refusal::new(ErrorCode::LimitExceeded, "too many candidates, or too long a one"));
        }
        Ok(())
    }
}

/// Whether a request is about calling a person.
fn is_of_lobbies(request: &Request) -> bool {
    matches!(request, Request::Call { .. } | Request::Accept { .. } | Request::Reject { .. } | Request::Cancel { .. } | Request::HangUp { .. })
}

fn wrong(why: &'static str) -> Step {
    Step::Answer(Err(Refusal::new(ErrorCode::WrongState, why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CallId, MemberId};

    fn hello() -> Request {
        Request::Hello { versions: vec![VERSION], features: vec![] }
    }

    fn join() -> Request {
        Request::join("r", "", None)
    }

    fn code(step: Step) -> Option<ErrorCode> {
        match step {
            Step::Answer(Err(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn a_session_goes_from_hello_to_join_to_leave_and_may_join_again() {
        let mut session = Session::default();
        assert_eq!(session.step(hello()), Step::Welcome);
        assert!(matches!(session.step(join()), Step::Enter(_)));
        session.entered();
        assert!(matches!(session.step(Request::Lock { locked: true }), Step::Room(_)));
        assert_eq!(session.step(Request::Leave {}), Step::Leave);
        assert!(matches!(session.step(join()), Step::Enter(_)));
    }

    #[test]
    fn what_is_not_allowed_now_is_refused_and_changes_nothing() {
        let mut session = Session::default();
        for request in [join(), Request::Leave {}, Request::Lock { locked: true }] {
            assert_eq!(code(session.step(request)), Some(ErrorCode::WrongState));
        }
        session.step(hello());
        for request in [hello(), Request::Leave {}, Request::Lock { locked: true }] {
            assert_eq!(code(session.step(request)), Some(ErrorCode::WrongState));
        }
        session.entered();
        for request in [hello(), join(), Request::Resume { resume: String::new(), seq: 0 }] {
            assert_eq!(code(session.step(request)), Some(ErrorCode::WrongState));
        }
        assert_eq!(session.phase(), Phase::Joined);
    }

    #[test]
    fn a_session_is_in_a_room_or_in_a_lobby_and_never_in_both() {
        let enter = || Request::Enter { lobby: "l".into(), name: String::new(), token: None, me: None, call: None };
        let accept = || Request::Accept { call: CallId("c".into()) };
        let mut session = Session::default();
        assert_eq!(code(session.step(enter())), Some(ErrorCode::WrongState));
        session.step(hello());
        assert_eq!(code(session.step(accept())), Some(ErrorCode::WrongState));
        assert!(matches!(session.step(enter()), Step::EnterLobby(_)));
        session.reachable();
        assert!(matches!(session.step(accept()), Step::Lobby(_)));
        assert!(matches!(session.step(Request::Kick { member: MemberId("m".into()) }), Step::Lobby(_)));
        for request in [hello(), join(), enter(), Request::Lock { locked: true }, Request::IceServers {}] {
            assert_eq!(code(session.step(request)), Some(ErrorCode::WrongState));
        }
        assert_eq!(session.step(Request::Leave {}), Step::Leave);
        assert!(matches!(session.step(join()), Step::Enter(_)));
        session.entered();
        for request in [enter(), accept()] {
            assert_eq!(code(session.step(request)), Some(ErrorCode::WrongState));
        }
    }

    #[test]
    fn an_unknown_version_is_refused_and_another_may_be_tried() {
        let mut session = Session::default();
        assert_eq!(code(session.step(Request::Hello { versions: vec![VERSION + 1], features: vec![] })), Some(ErrorCode::UnsupportedVersion));
        assert_eq!(session.step(hello()), Step::Welcome);
    }

    #[test]
    fn a_ping_is_answered_at_any_time() {
        assert_eq!(Session::default().step(Request::Ping {}), Step::Answer(Ok(None)));
    }

    #[test]
    fn candidates_are_bounded_in_length_and_number() {
        let mut session = Session::default();
        session.step(hello());
        session.entered();
        let candidate = |bytes| Request::Candidate { candidate: "x".repeat(bytes), mid: "0".into() };
        assert_eq!(code(session.step(candidate(2_000))), Some(ErrorCode::LimitExceeded));
        for _ in 1..CANDIDATES {
            assert_eq!(session.step(candidate(20)), Step::Answer(Ok(None)));
        }
        assert_eq!(code(session.step(candidate(20))), Some(ErrorCode::LimitExceeded));
    }
}
