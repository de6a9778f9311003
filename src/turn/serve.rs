//! Requests: allocations are made, refreshed and ended, permissions and channels given (RFC 8656 sections 7 to 12).

use std::net::SocketAddr;
use std::time::Duration;

use rtc_stun::message::{METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH, Setter};
use rtc_stun::xoraddr::XorMappedAddress;
use rtc_turn::proto::PROTO_UDP;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::relayaddr::RelayedAddress;

use super::allocation::{Allocation, Unfit};
use super::credentials::{self, UserKey};
use super::frame::CHANNELS;
use super::request::{MAX_ANSWER_LEN, Refusal, Request};
use super::{Denied, Hands, Relay};
use crate::base::stun::StunView;
use crate::base::{Path, Time};
use crate::contract::Counter;

/// How long an allocation lasts when nothing else is asked for, and at most (RFC 8656 section 7.2).
const LIFETIME: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(3_600);
/// An answer to a stranger is at most so many times as long as what was asked, in tenths.
const STRANGERS_TENTHS: usize = 25;

/// Who sends a request: verified.
struct User {
    name: String,
    key: UserKey,
}

/// What a request gets.
enum Answer {
    /// A success response with nothing in it.
    Done,
    /// A new or known allocation.
    Allocated { relayed: SocketAddr, lifetime: Duration },
    /// It lasts so long from now on.
    Refreshed(Duration),
}

impl Relay {
    pub(super) fn serve(&mut self, now: Time, path: Path, datagram: &[u8], view: StunView<'_>, hands: &mut impl Hands) {
        let request = Request::new(datagram, view);
        if request.method() == METHOD_BINDING {
            return self.tell_mapped(now, path, &request);
        }
        let user = match self.authenticate(now, hands.wall(), &path, &request) {
            Ok(user) => user,
            Err(refusal) => return self.challenge(now, path, &request, refusal),
        };
        let done = self.carry_out(now, path, &request, &user, hands);
        let mut answer = [0; MAX_ANSWER_LEN];
        let len = match done {
            Ok(Answer::Done) => request.success(&[], Some(&user.key), &mut answer),
            Ok(Answer::Refreshed(lifetime)) => request.success(&[&Lifetime(lifetime)], Some(&user.key), &mut answer),
            Ok(Answer::Allocated { relayed, lifetime }) => {
                let relayed = RelayedAddress { ip: relayed.ip(), port: relayed.port() };
                let content: [&dyn Setter; 3] = [&relayed, &Lifetime(lifetime), &mapped(path)];
                request.success(&content, Some(&user.key), &mut answer)
            }
            Err(refusal) => {
                self.counters.add(counter_of(refusal));
                request.refuse(refusal, Some(&user.key), &mut answer)
            }
        };
        self.answer(path, answer.get(..len).unwrap_or_default());
    }

    fn answer(&mut self, path: Path, answer: &[u8]) {
        if !answer.is_empty() && !self.to_clients.push(path, answer) {
            self.counters.add(Counter::TurnDropFull);
        }
    }

    /// The STUN service, here as on the media port.
    fn tell_mapped(&mut self, now: Time, path: Path, request: &Request<'_>) {
        let mut answer = [0; MAX_ANSWER_LEN];
        let len = if request.unknown().is_empty() { request.success(&[&mapped(path)], None, &mut answer) } else { 0 };
        if self.strangers.allows(now, path.remote.ip()) {
            self.answer(path, answer.get(..len).unwrap_or_default());
        } else {
            self.counters.add(Counter::TurnLimited);
        }
    }

    /// Answers somebody whom nobody knows (yet): never with more than 2.5 times what was asked, and not too many of one prefix.
    fn challenge(&mut self, now: Time, path: Path, request: &Request<'_>, refusal: Refusal) {
        let mut answer = [0; MAX_ANSWER_LEN];
        let len = match refusal {
            Refusal::BAD => request.refuse(refusal, None, &mut answer),
            _ => request.challenge(refusal, &self.nonces.issue(now, path.remote), &mut answer),
        };
        if len * 10 > request.len() * STRANGERS_TENTHS || !self.strangers.allows(now, path.remote.ip()) {
            return self.counters.add(Counter::TurnLimited);
        }
        self.counters.add(counter_of(refusal));
        self.answer(path, answer.get(..len).unwrap_or_default());
    }

    fn authenticate(&self, now: Time, wall: Duration, path: &Path, request: &Request<'_>) -> Result<User, Refusal> {
        let shown = request.shown()?.ok_or(Refusal::UNAUTHORIZED)?;
        if !self.nonces.is_good(now, path.remote, shown.nonce) {
            return Err(Refusal::STALE_NONCE);
        }
        let (_, until) = credentials::parse(shown.username).ok_or(Refusal::UNAUTHORIZED)?;
        // Whoever has an allocation may go on with it (a call must not end in the middle of it); new ones need credentials that are good.
        let known = self.of(path).filter(|allocation| allocation.username == shown.username);
        if until <= wall && known.is_none() {
            return Err(Refusal::UNAUTHORIZED);
        }
        let signed = |key: &UserKey| request.is_signed_with(key);
        let key = match known {
            Some(allocation) => Some(allocation.key.clone()).filter(signed),
            None => self.secrets.keys(shown.username).find(signed),
        };
        Ok(User { name: shown.username.to_owned(), key: key.ok_or(Refusal::UNAUTHORIZED)? })
    }

    fn of(&self, path: &Path) -> Option<&Allocation> {
        self.slots.get(*self.clients.get(path)?)?.as_ref()
    }

    fn carry_out(&mut self, now: Time, path: Path, request: &Request<'_>, user: &User, hands: &mut impl Hands) -> Result<Answer, Refusal> {
        if !request.unknown().is_empty() {
            return Err(Refusal::UNKNOWN_ATTRIBUTE);
        }
        if request.method() == METHOD_ALLOCATE {
            return self.allocate(now, path, request, user, hands);
        }
        let slot = *self.clients.get(&path).ok_or(Refusal::MISMATCH)?;
        let allocation = self.slots.get_mut(slot).and_then(Option::as_mut).ok_or(Refusal::MISMATCH)?;
        if allocation.username != user.name {
            return Err(Refusal::WRONG_CREDENTIALS);
        }
        match request.method() {
            METHOD_REFRESH => self.refresh(now, slot, request, hands),
            METHOD_CREATE_PERMISSION => self.permit(now, slot, request),
            METHOD_CHANNEL_BIND => self.bind(now, slot, request),
            // Connect and ConnectionBind (RFC 6062): peers are reached by UDP only.
            _ => Err(Refusal::BAD),
        }
    }

    fn allocate(&mut self, now: Time, path: Path, request: &Request<'_>, user: &User, hands: &mut impl Hands) -> Result<Answer, Refusal> {
        if let Some(known) = self.of(&path) {
            let again = known.transaction == request.transaction() && known.username == user.name;
            let (relayed, lifetime) = (known.relayed, known.expires.since(now));
            return if again { Ok(Answer::Allocated { relayed, lifetime }) } else { Err(Refusal::MISMATCH) };
        }
        if request.transport()? != PROTO_UDP.0 {
            return Err(Refusal::TRANSPORT_UNSUPPORTED);
        }
        let (ipv6, even) = (request.ipv6()?.unwrap_or(false), request.even_port()?);
        if self.clients.len() >= self.most {
            return Err(Refusal::CAPACITY);
        }
        let (whose, _) = credentials::parse(&user.name).ok_or(Refusal::UNAUTHORIZED)?;
        hands.claim(whose).map_err(|denied| match denied {
            Denied::Quota => Refusal::QUOTA,
            Denied::Revoked => Refusal::REVOKED,
        })?;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        let Some(bound) = hands.open(slot, ipv6, even) else {
            hands.release(whose);
            if slot < self.slots.len() {
                self.free.push(slot);
            }
            return Err(if ipv6 { Refusal::FAMILY_UNSUPPORTED } else { Refusal::CAPACITY });
        };
        let (relayed, lifetime) = (self.reach.outward(bound), lifetime(request));
        let identity = (user.name.clone(), user.key.clone());
        let allocation = Allocation::new(path, [relayed, bound], identity, request.transaction(), now + lifetime, self.bytes_per_second);
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(allocation);
        }
        self.clients.insert(path, slot);
        self.bound.insert(bound, slot);
        self.counters.add(Counter::TurnAllocated);
        Ok(Answer::Allocated { relayed, lifetime })
    }

    fn refresh(&mut self, now: Time, slot: usize, request: &Request<'_>, hands: &mut impl Hands) -> Result<Answer, Refusal> {
        let allocation = self.slots.get_mut(slot).and_then(Option::as_mut).ok_or(Refusal::MISMATCH)?;
        if request.ipv6()?.is_some_and(|ipv6| ipv6 != allocation.bound.is_ipv6()) {
            return Err(Refusal::PEER_FAMILY);
        }
        if request.lifetime() == Some(Duration::ZERO) {
            self.end(slot, hands);
            return Ok(Answer::Refreshed(Duration::ZERO));
        }
        let lifetime = lifetime(request);
        allocation.expires = now + lifetime;
        Ok(Answer::Refreshed(lifetime))
    }

    /// All of them, or none.
    fn permit(&mut self, now: Time, slot: usize, request: &Request<'_>) -> Result<Answer, Refusal> {
        let peers = request.peers()?.into_iter().map(|peer| self.reach.admit(peer).ok_or(Refusal::FORBIDDEN)).collect::<Result<Vec<_>, _>>()?;
        let allocation = self.slots.get_mut(slot).and_then(Option::as_mut).ok_or(Refusal::MISMATCH)?;
        if peers.iter().any(|peer| peer.is_ipv6() != allocation.bound.is_ipv6()) {
            return Err(Refusal::PEER_FAMILY);
        }
        if !allocation.has_room_for(now, &peers) {
            return Err(Refusal::CAPACITY);
        }
        peers.iter().try_for_each(|peer| allocation.permit(now, peer.ip())).map_err(|_| Refusal::CAPACITY)?;
        Ok(Answer::Done)
    }

    fn bind(&mut self, now: Time, slot: usize, request: &Request<'_>) -> Result<Answer, Refusal> {
        let number = request.channel().filter(|number| CHANNELS.contains(number)).ok_or(Refusal::BAD)?;
        let [peer] = request.peers()?[..] else { return Err(Refusal::BAD) };
        let peer = self.reach.admit(peer).ok_or(Refusal::FORBIDDEN)?;
        let allocation = self.slots.get_mut(slot).and_then(Option::as_mut).ok_or(Refusal::MISMATCH)?;
        if peer.is_ipv6() != allocation.bound.is_ipv6() {
            return Err(Refusal::PEER_FAMILY);
        }
        match allocation.bind(now, number, peer) {
            Ok(()) => Ok(Answer::Done),
            Err(Unfit::Taken) => Err(Refusal::BAD),
            Err(Unfit::Full) => Err(Refusal::CAPACITY),
        }
    }
}

fn lifetime(request: &Request<'_>) -> Duration {
    request.lifetime().unwrap_or(LIFETIME).clamp(LIFETIME, LONGEST)
}

/// Where a client is seen to be.
fn mapped(path: Path) -> XorMappedAddress {
    XorMappedAddress { ip: path.remote.ip().to_canonical(), port: path.remote.port() }
}

fn counter_of(refusal: Refusal) -> Counter {
    match refusal {
        Refusal::UNAUTHORIZED | Refusal::REVOKED => Counter::TurnUnauthorized,
        Refusal::STALE_NONCE => Counter::TurnStaleNonce,
        Refusal::FORBIDDEN => Counter::TurnForbidden,
        Refusal::QUOTA => Counter::TurnQuota,
        Refusal::CAPACITY => Counter::TurnFull,
        _ => Counter::TurnBadRequest,
    }
}
