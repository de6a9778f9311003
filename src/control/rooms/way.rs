//! How a room's media travels: directly between two members who can, else through the server.
//!
//! Whoever comes third moves the call to the server, and so does a member's wish or a direct connection that cannot be had. When two
//! remain, the call returns after a while. Both ends keep the way before until the new one carries everything (make before break),
//! so that nothing here waits for them.

use std::time::Duration;

use super::journal::What;
use super::member::{Member, Seat};
use super::room::Room;
use crate::base::Time;
use crate::wire::{CandidateType, DirectProtocol, DirectState, Event, Policy, Way};

/// Where a room's media travels now, and what that follows from.
#[derive(Debug, Default)]
pub(super) struct Ways {
    policy: Policy,
    at: At,
    /// Direct connections named so far.
    named: u64,
    /// Whose wish it was that the call goes through the server.
    moved_by: Option<Seat>,
    /// What the ends have said of the direct connection, for counting.
    said: Said,
    /// These two could not be connected, or are not any more.
    failed: Option<Failed>,
    /// When two who remain on the server are connected directly again.
    return_at: Option<Time>,
    /// No direct connection is begun before: whoever lets them fail would make the other end begin them without limit.
    not_before: Option<Time>,
}

/// Two who could not be connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failed {
    ends: [Seat; 2],
    /// When it is tried again: where they were connected before.
    again_at: Option<Time>,
}

/// A connection that was there and was lost is tried again after this: a machine that slept, or a network, is back by then or is not coming. Less
/// begins connections that fail as well, each 15 s of checks at both ends; more keeps on the server what need not be there.
const AGAIN: Duration = Duration::from_secs(60);

/// Between two direct connections that somebody asks for.
const APART: Duration = Duration::from_secs(2);

/// What the ends have said of a direct connection.
#[derive(Debug, Default)]
struct Said {
    session: String,
    up: Option<(Seat, DirectState)>,
    counted: bool,
    failed: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Nobody,
    Server,
    Direct {
        session: String,
        ends: [Seat; 2],
    },
}

impl Ways {
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    pub const fn policy(&self) -> Policy {
        self.policy
    }

    pub fn deadline(&self) -> Option<Time> {
        let again_at = self.failed.and_then(|failed| failed.again_at);
        self.return_at.into_iter().chain(self.not_before).chain(again_at).min()
    }

    /// Whether it is an end of the direct connection.
    pub fn is_end(&self, seat: Seat) -> bool {
        matches!(&self.at, At::Direct { ends, .. } if ends.contains(&seat))
    }

    /// The other end of this direct connection.
    pub fn other_end(&self, seat: Seat, session: &str) -> Option<Seat> {
        match &self.at {
            At::Direct { session: at, ends: [a, b] } if at == session => (*a == seat).then_some(*b).or((*b == seat).then_some(*a)),
            _ => None,
        }
    }

    /// What is to be counted now that an end has said this: a connection once, when both ends have it, as the end sees it that is less direct; one that
    /// cannot be had, once. Ends repeat themselves, and change from one pair of candidates to another.
    pub fn count(&mut self, seat: Seat, session: &str, state: DirectState) -> Option<DirectState> {
        if self.said.session != session {
            self.said = Said { session: session.to_owned(), ..Said::default() };
        }
        let said = &mut self.said;
        match state {
            DirectState::Failed {} => (!std::mem::replace(&mut said.failed, true)).then_some(state),
            DirectState::Up { .. } => match said.up {
                Some((other, before)) if other != seat => {
                    let less_direct = if rank(state) > rank(before) { state } else { before };
                    (!std::mem::replace(&mut said.counted, true)).then_some(less_direct)
                }
                _ => {
                    said.up = Some((seat, state));
                    None
                }
            },
        }
    }

    /// Whether it was this member's wish that the call goes through the server.
    pub fn is_moved_by(&self, seat: Seat) -> bool {
        self.moved_by == Some(seat)
    }

    /// A direct connection of these ends cannot be had.
    pub fn fail(&mut self, seat: Seat, session: &str, now: Time) {
        let ends = match &self.at {
            At::Direct { session: at, ends } if at == session && ends.contains(&seat) => *ends,
            _ => return,
        };
        match self.policy {
            // There is no other way: it is tried anew.
            Policy::P2p => (self.at, self.not_before) = (At::Nobody, Some(now + APART)),
            Policy::Auto | Policy::Sfu => {
                let was_there = self.said.session == session && self.said.counted;
                self.failed = Some(Failed { ends, again_at: was_there.then(|| now + AGAIN) });
            }
        }
    }

    /// Somebody wishes for another policy. What has failed is tried again.
    pub fn set_policy(&mut self, policy: Policy, by: Option<Seat>, now: Time) {
        self.moved_by = by.filter(|_| policy == Policy::Sfu);
        self.policy = policy;
        self.not_before = Some(now + APART);
        self.failed = None;
    }
}

impl Room {
    /// Whether this many members can be there, this one among them.
    pub(super) fn direct_room_takes(&self, is_able: bool, others: usize) -> bool {
        self.ways.policy != Policy::P2p || (is_able && others < 2)
    }

    /// How a member's media travels.
    pub(super) fn way_of(&self, seat: Seat) -> Way {
        match &self.ways.at {
            At::Nobody => Way::Nobody {},
            At::Server => Way::Server {},
            At::Direct { session, ends } => {
                let other = self.ways.other_end(seat, session).and_then(|other| self.members.get(&other));
                let Some(other) = other else { return Way::Nobody {} };
                // Whoever came later has heard of the other first, and offers.
                Way::Direct { session: session.clone(), member: other.identity.clone(), polite: seat == ends[0] }
            }
        }
    }

    /// Follows what has happened: who is there, what was wished for, what has failed, what is due.
    pub(super) fn settle_way(&mut self, now: Time) {
        let at = self.next_way(now);
        if at == self.ways.at {
            return;
        }
        self.ways.return_at = None;
        self.ways.at = at;
        let via = self.via();
        let seats: Vec<Seat> = self.members.iter().filter(|(_, m)| m.direct.is_some()).map(|(seat, _)| *seat).collect();
        for seat in seats {
            let way = self.way_of(seat);
            self.tell(|s| s == seat, Event::Way { way });
            if let Some(member) = self.members.get_mut(&seat) {
                member.journal.note(now, What::Way { via });
            }
        }
    }

    /// How the room's media travels, for counting.
    pub fn via(&self) -> Option<&'static str> {
        match self.ways.at {
            At::Nobody => None,
            At::Server => Some("server"),
            At::Direct { .. } => Some("direct"),
        }
    }

    fn next_way(&mut self, now: Time) -> At {
        self.ways.not_before = self.ways.not_before.filter(|at| now < *at);
        // What goes directly nobody but its receiver holds back.
        let able = |m: &Member| m.may_be_direct() && m.audiences.is_empty() && !self.silenced.iter().any(|(who, _)| *who == m.identity);
        let (first, second, more) = {
            let mut seats = self.members.keys().copied();
            (seats.next(), seats.next(), seats.next().is_some())
        };
        let Some(first) = first else { return At::Nobody };
        let ends = second.filter(|_| !more).map(|second| [first, second]);
        self.ways.failed = self.ways.failed.filter(|failed| Some(failed.ends) == ends && failed.again_at.is_none_or(|at| now < at));
        if more
            || self.ways.policy == Policy::Sfu
            || self.recording.is_some()
            || self.egresses.is_active()
            || !self.members.values().all(able)
            || self.ways.failed.is_some() && self.ways.policy == Policy::Auto
        {
            self.ways.return_at = None;
            return At::Server;
        }
        let Some(ends) = ends else {
            // Alone, one keeps what one has.
            self.ways.return_at = None;
            let connected = self.members.get(&first).is_some_and(|m| m.connection.is_some());
            return if self.ways.at == At::Server && connected { At::Server } else { At::Nobody };
        };
        match &self.ways.at {
            At::Direct { ends: at, .. } if *at == ends => self.ways.at.clone(),
            At::Server if self.ways.policy == Policy::Auto && self.carries(ends) => {
                let due = *self.ways.return_at.get_or_insert(now + self.rules.return_after);
                if now >= due { self.direct(ends) } else { At::Server }
            }
            at if self.ways.not_before.is_some() => at.clone(),
            _ => self.direct(ends),
        }
    }

    /// Whoever is lost to the server may have its connection with the other end all the same: both go on with it when it comes again.
    pub(super) fn remember_direct(&mut self, lost: Seat) {
        let At::Direct { session, ends } = &self.ways.at else { return };
        let other = ends.iter().find(|end| **end != lost).filter(|_| ends.contains(&lost));
        if let Some(ability) = other.and_then(|other| self.members.get_mut(other)?.direct.as_mut()) {
            ability.held = Some(session.clone());
        }
    }

    /// Whether the server carries media between these two.
    fn carries(&self, ends: [Seat; 2]) -> bool {
        ends.iter().all(|seat| self.members.get(seat).is_some_and(|m| m.connection.is_some()))
    }

    /// A direct connection between these: the one that both hold, or a new one.
    fn direct(&mut self, ends: [Seat; 2]) -> At {
        let mut held = ends.map(|seat| self.members.get_mut(&seat).and_then(|m| m.direct.as_mut()?.held.take()));
        // Whoever was connected when the other end joined anew holds the connection as well.
        if let At::Direct { session, ends: before } = &self.ways.at {
            for (end, held) in ends.iter().zip(&mut held) {
                if before.contains(end) {
                    held.get_or_insert_with(|| session.clone());
                }
            }
        }
        let session = match &mut held {
            [Some(a), Some(b)] if a == b => std::mem::take(a),
            _ => {
                self.ways.named = self.ways.named.wrapping_add(1);
                format!("{}.{}", self.ground.salt, self.ways.named)
            }
        };
        At::Direct { session, ends }
    }
}

/// How little direct a connection is.
fn rank(state: DirectState) -> usize {
    labels(state).map_or(0, |[pair, _]| 1 + ["host", "reflexive", "relay"].iter().position(|known| *known == pair).unwrap_or_default())
}

/// The less direct of a pair's two candidates, and what carries it: for counting. That the other end is peer reflexive says nothing of it: a check that
/// overtakes its candidate looks so as well. What it is it says itself, as its own candidate.
pub(super) fn labels(state: DirectState) -> Option<[&'static str; 2]> {
    let DirectState::Up { local, remote, protocol } = state else { return None };
    let pair = match (local, remote) {
        (CandidateType::Relay, _) | (_, CandidateType::Relay) => "relay",
        (CandidateType::Host, CandidateType::Host | CandidateType::Prflx) => "host",
        _ => "reflexive",
    };
    let protocol = match protocol {
        DirectProtocol::Udp => "udp",
        DirectProtocol::Tcp => "tcp",
        DirectProtocol::Tls => "tls",
    };
    Some([pair, protocol])
}

/// Bytes that an end may send to the other one at once, and each second: descriptions and candidates of a few negotiations.
const AT_ONCE: u32 = 256 * 1_024;
const A_SECOND: u32 = 32 * 1_024;

/// How much an end may still say by way of the server: the other one's socket has to take it all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: u32,
    at: Time,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { left: AT_ONCE, at: Time::ZERO }
    }
}

impl Allowance {
    /// Takes so many bytes, if they are left.
    pub fn take(&mut self, bytes: usize, now: Time) -> bool {
        let span = now.since(self.at).min(Duration::from_secs(60));
        let more = u64::from(A_SECOND).saturating_mul(u64::try_from(span.as_millis()).unwrap_or(0)) / 1_000;
        // Fractions of a byte would be lost to many small messages.
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(AT_ONCE)).min(AT_ONCE);
            self.at = now;
        }
        let Some(left) = u32::try_from(bytes).ok().and_then(|bytes| self.left.checked_sub(bytes)) else { return false };
        self.left = left;
        true
    }
}
