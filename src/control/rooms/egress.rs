//! What of a room is sent to servers elsewhere, by WHIP. Everybody is told first, and for as long as it goes on.
//!
//! A session is of one member: its microphone and camera, or its screen with its sound. It is nobody's seat: a connection on the worker where that
//! member publishes, whose two m-lines are pointed at its tracks. The room says what is to be done next, and a task beside it
//! ([`crate::control::egress`]) speaks HTTP:
//!
//! ```text
//! Waiting ─ something is published ─► Drawing ─ numbers are drawn ─► Offered ─ the answer ─► Connecting ─ DTLS ─► Live
//!    ▲                                                                  │                       │                 │
//!    └── it is due again ── Retrying ◄── not answered, not connected, lost ◄────────────────────┴─────────────────┘
//! ```

mod end;
mod negotiation;

use super::command::{Effect, OfferDraws, SocketId};
use super::ledger::Note;
use super::room::{Outcome, Room};
use crate::base::{PeerId, Time, TrackId, WorkerId};
use crate::contract::{DisconnectReason, Event as Media, Limit, MediaKind};
use crate::control::Refusal;
use crate::control::egress::{Instruction, Outlets, Trouble};
use crate::control::events::Reason;
use crate::sdp::{Proposal, RemoteAnswer};
use crate::wire::{EgressInfo, ErrorCode, Event, Policy};

/// What a room sends elsewhere.
#[derive(Default)]
pub(super) struct Egresses {
    sessions: Vec<Session>,
    /// What everybody was told last.
    told: Vec<String>,
}

/// A session is to begin, or to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EgressOrder {
    /// It begins.
    Begin {
        /// What everybody is told of it.
        info: EgressInfo,
        /// Sessions of this room at a time at most.
        of_room: usize,
        /// How often it is tried in a row.
        tries: u32,
    },
    /// It ends.
    End {
        /// Its identity.
        egress: String,
    },
}

/// What a session's task says.
pub enum EgressReport {
    /// What was to be drawn.
    Drawn(Box<EgressDraws>),
    /// What the other server has said to the offer.
    Answered(Result<Box<RemoteAnswer>, Trouble>),
}

// By hand: draws have our ICE password in them.
impl std::fmt::Debug for EgressReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drawn(_) => f.write_str("Drawn(…)"),
            Self::Answered(result) => write!(f, "Answered({:?})", result.as_ref().map(|_| ())),
        }
    }
}

/// Drawn for an offer of ours.
pub struct EgressDraws {
    /// What any offer needs.
    pub offer: OfferDraws,
    /// Decides who controls, should both want to (RFC 8445 section 5.2).
    pub tie_breaker: u64,
    /// The sockets of the node for connections that it begins.
    pub outlets: std::sync::Arc<Outlets>,
    /// Which of them this session has.
    pub slot: u16,
}

struct Session {
    info: EgressInfo,
    state: State,
    /// How often it is tried in a row at most.
    most: u32,
    /// How often it was tried in a row.
    tries: u32,
    /// Why the last try was in vain.
    trouble: Option<Trouble>,
    link: Option<Link>,
}

enum State {
    /// There is nothing to send yet.
    Waiting,
    Drawing,
    Offered(Box<Offered>),
    Connecting {
        until: Time,
    },
    Live {
        since: Time,
    },
    Retrying {
        at: Time,
    },
    Failed,
}

/// An offer that is under way.
struct Offered {
    proposal: Proposal,
    worker: WorkerId,
    draws: EgressDraws,
}

/// Its connection on a worker.
struct Link {
    peer: PeerId,
    worker: WorkerId,
    /// Its m-lines, and what each is pointed at.
    lines: Vec<(MediaKind, u8, Option<TrackId>)>,
}

/// How a session stands, seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressSeen {
    /// What it is.
    pub info: EgressInfo,
    /// `waiting`, `connecting`, `live`, `retrying` or `failed`.
    pub state: &'static str,
    /// How often it was tried in a row.
    pub tries: u32,
    /// Why the last try was in vain.
    pub trouble: Option<Trouble>,
}

impl Egresses {
    /// Whether anything is sent, or is to be.
    pub fn is_active(&self) -> bool {
        self.active().next().is_some()
    }

    /// What everybody is told.
    pub fn infos(&self) -> Vec<EgressInfo> {
        self.active().map(|session| session.info.clone()).collect()
    }

    /// All sessions, those included that have failed, the oldest first.
    pub fn seen(&self) -> Vec<EgressSeen> {
        let seen = |s: &Session| EgressSeen { info: s.info.clone(), state: s.state.name(), tries: s.tries, trouble: s.trouble };
        self.sessions.iter().map(seen).collect()
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Time> {
        let at = |session: &Session| match session.state {
            State::Connecting { until } => Some(until),
            State::Retrying { at } => Some(at),
            _ => None,
        };
        self.sessions.iter().filter_map(at).min()
    }

    fn active(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| !matches!(session.state, State::Failed))
    }

    fn of_peer(&mut self, peer: PeerId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.link.as_ref().is_some_and(|link| link.peer == peer))
    }
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Drawing | State::Offered(_) | State::Connecting { .. } => "connecting",
            State::Live { .. } => "live",
            State::Retrying { .. } => "retrying",
            State::Failed => "failed",
        }
    }
}

impl Room {
    /// Carries out what somebody wants whose token allows it.
    pub(super) fn order_egress(&mut self, socket: SocketId, order: EgressOrder) {
        let outcome = match order {
            EgressOrder::Begin { info, of_room, tries } => self.begin_egress(info, of_room, tries),
            EgressOrder::End { egress } => self.end_egress(&egress),
        };
        self.reply(socket, 0, outcome);
    }

    fn begin_egress(&mut self, info: EgressInfo, of_room: usize, most: u32) -> Outcome {
        if !self.identities.contains_key(&info.member) {
            return Err(Refusal::new(ErrorCode::NotFound, "there is no such member (any more)"));
        }
        if self.encrypted {
            let why = "the members encrypt end to end and the server has no key: whoever is elsewhere could not see anything";
            return Err(Refusal::new(ErrorCode::Encrypted, why));
        }
        if self.ways.policy() == Policy::P2p {
            let why = "the room's calls go directly between two browsers, and this server has nothing of them: choose another policy first";
            return Err(Refusal::new(ErrorCode::WrongState, why));
        }
        if self.egresses.active().count() >= of_room {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a room is sent elsewhere {of_room} times at most")));
        }
        self.ledger.note(Note::Egress(info.egress.clone(), info.member.clone(), info.host.clone(), info.by.clone()));
        self.egresses.sessions.push(Session { info, state: State::Waiting, most, tries: 0, trouble: None, link: None });
        self.tell_egress();
        Ok(None)
    }

    fn end_egress(&mut self, egress: &str) -> Outcome {
        let found = self.egresses.sessions.iter().position(|session| session.info.egress == egress);
        let Some(index) = found else { return Err(Refusal::new(ErrorCode::NotFound, "there is no such session (any more)")) };
        self.remove_egress(index, Reason::Ended);
        Ok(None)
    }

    /// A session's task says something; one that is over has nobody to say it to.
    pub(super) fn egress_reports(&mut self, egress: &str, report: EgressReport, now: Time) {
        let Some(index) = self.egresses.sessions.iter().position(|session| session.info.egress == egress) else { return };
        match report {
            EgressReport::Drawn(draws) => self.offer_egress(index, *draws),
            EgressReport::Answered(Ok(answer)) => self.take_answer(index, &answer, now),
            EgressReport::Answered(Err(trouble)) => {
                if matches!(self.egresses.sessions.get(index), Some(Session { state: State::Offered(_), .. })) {
                    self.egress_in_vain(index, trouble, now);
                }
            }
        }
    }

    /// Notes what a worker says of a session's connection.
    pub(super) fn follow_egress(&mut self, event: &Media, now: Time) {
        match event {
            Media::Connected { peer, .. } => {
                if let Some(session) = self.egresses.of_peer(*peer) {
                    session.state = State::Live { since: now };
                    session.trouble = None;
                }
            }
            Media::Disconnected { peer, reason, .. } => {
                let trouble = match reason {
                    DisconnectReason::ConsentLost => Trouble::Lost,
                    DisconnectReason::HandshakeFailed => Trouble::Handshake,
                    DisconnectReason::Closed => Trouble::Closed,
                    DisconnectReason::NoWay => Trouble::NoWay,
                };
                self.egress_of_peer_in_vain(*peer, trouble, now);
            }
            Media::Quality { peer, tracks, .. } if tracks.iter().any(|sent| sent.limit == Some(Limit::Codec)) => {
                self.egress_of_peer_in_vain(*peer, Trouble::Codec, now);
            }
            Media::RoomFailed { .. } => {
                for index in 0..self.egresses.sessions.len() {
                    // The worker has forgotten it.
                    if self.egresses.sessions.get_mut(index).and_then(|session| session.link.take()).is_some() {
                        self.egress_in_vain(index, Trouble::Failed, now);
                    }
                }
            }
            _ => {}
        }
    }

    /// Follows who is there and what they publish, and the clock.
    pub(super) fn settle_egress(&mut self, now: Time) {
        let mut index = 0;
        while let Some(session) = self.egresses.sessions.get(index) {
            if !matches!(session.state, State::Failed) && !self.identities.contains_key(&session.info.member) {
                self.remove_egress(index, Reason::Left);
                continue;
            }
            self.settle_one_egress(index, now);
            index += 1;
        }
    }

    fn settle_one_egress(&mut self, index: usize, now: Time) {
        let Some(session) = self.egresses.sessions.get(index) else { return };
        let present = self.present(&session.info);
        let something = present.as_ref().is_some_and(|present| !present.tracks.is_empty());
        match &session.state {
            State::Waiting if something => self.begin_try(index),
            State::Retrying { at } if *at <= now && something => self.begin_try(index),
            State::Retrying { at } if *at <= now => self.set_egress(index, State::Waiting),
            State::Connecting { until } if *until <= now => self.egress_in_vain(index, Trouble::NoWay, now),
            State::Connecting { .. } | State::Live { .. } => {
                let Some(link) = &session.link else { return };
                let fits = present.as_ref().is_some_and(|present| {
                    let brought = |kind| link.lines.iter().any(|(known, ..)| *known == kind);
                    present.connection.worker == link.worker && present.tracks.iter().all(|(_, plan)| brought(plan.kind))
                });
                if !fits {
                    // It is elsewhere now, or sends what was not proposed: that takes another offer, and no blame.
                    return self.renew_egress(index);
                }
                let wanted: Vec<_> = link.lines.iter().map(|(kind, ..)| present.as_ref().and_then(|present| present.of(*kind))).collect();
                self.point_egress(index, &wanted);
            }
            _ => {}
        }
    }

    fn set_egress(&mut self, index: usize, state: State) {
        if let Some(session) = self.egresses.sessions.get_mut(index) {
            session.state = state;
        }
    }

    fn instruct(&mut self, index: usize, what: Instruction) {
        if let Some(session) = self.egresses.sessions.get(index) {
            self.effects.push(Effect::Egress { egress: session.info.egress.clone(), what });
        }
    }

    /// Tells everybody what is sent elsewhere, when that has changed.
    fn tell_egress(&mut self) {
        let sessions = self.egresses.infos();
        let ids: Vec<String> = sessions.iter().map(|info| info.egress.clone()).collect();
        if ids != self.egresses.told {
            self.egresses.told = ids;
            self.tell(|_| true, Event::Egress { sessions });
        }
    }

    /// What is sent elsewhere, those included that have failed, the oldest first.
    pub fn egress_seen(&self) -> Vec<EgressSeen> {
        self.egresses.seen()
    }

    /// Whether a session of this identity goes on.
    pub fn has_egress(&self, egress: &str) -> bool {
        self.egresses.active().any(|session| session.info.egress == egress)
    }

    /// How many sessions wait, are being connected, are live, and are tried again later.
    pub fn egress_counts(&self) -> [usize; 4] {
        let count = |name| self.egresses.sessions.iter().filter(|session| session.state.name() == name).count();
        EGRESS_STATES.map(count)
    }
}

/// The states of sessions that go on, as they are written.
pub const EGRESS_STATES: [&str; 4] = ["waiting", "connecting", "live", "retrying"];
