//! DTLS-SRTP (RFC 5764): a handshake with one peer, and the SRTP keys that come of it.
//!
//! As the server we hold back until the whole ClientHello is there, read which SRTP profiles it lists, and begin the
//! handshake with the one that we want, since the library would follow the client's order.

#![allow(clippy::disallowed_types, reason = "the DTLS crate takes its configuration and its callbacks as Arc")]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

mod endpoint;
mod hello;
mod identity;
mod record;

use crate::base::Time;
use crate::contract::{DtlsRole, Fingerprint, SrtpKeys, SrtpProfile};
use bytes::BytesMut;
use endpoint::RtcEndpoint;
use hello::HelloAssembler;
use record::Record;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use identity::DtlsIdentity;

/// A handshake that takes longer has failed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest ClientHello that is put together, in bytes. Browsers send about 1,500.
pub const MAX_HELLO_LEN: usize = 8 * 1024;

/// Bytes that a peer may send us in one handshake, repeats included; what comes after is dropped. The library keeps what
/// it cannot use yet, so this bounds its memory.
pub const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;

/// Bytes of handshake that a peer may repeat after the end; enough for its last flight six times over.
pub const MAX_REPEATED_BYTES: usize = 16 * 1024;

/// Fragments of handshake messages that the library is given in one handshake, ClientHellos excepted (they are put
/// together here). At each arrival it walks over all that it has for each next one, so the work grows with their cube:
/// more would let a peer that sends single bytes buy seconds of our time, fewer would fail lossy paths with small MTUs.
pub const MAX_FRAGMENTS: usize = 512;

/// Datagrams that wait to be sent; the oldest make way. The longest flight of ours has five.
const MAX_OUTGOING: usize = 32;

/// The first wait before a flight is repeated: a little above most round trips.
const FIRST_REPEAT: Duration = Duration::from_millis(250);

/// The longest wait before a flight is repeated. RFC 6347 section 4.2.4.1 would let it grow to a minute, but somebody
/// is waiting to be let in, and a flight is one or two datagrams.
const LONGEST_REPEAT: Duration = Duration::from_secs(1);

/// Why a datagram was dropped. None of these ends the handshake: failure is an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtlsError {
    /// There is no record in it that could be one of ours.
    Malformed,
    /// The peer has sent more than [`MAX_HANDSHAKE_BYTES`], or repeats its last flight without end.
    TooMuch,
    /// It holds application data, and none is negotiated, or the handshake is not done.
    ApplicationData,
    /// The connection has failed or is closed, or (as the client) has not begun.
    NotOpen,
    /// The certificate could not be made or read.
    Identity,
}

/// What became of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DtlsEvent {
    /// The handshake is done and the peer's certificate has the right fingerprint.
    Established(SrtpKeys),
    /// The peer has closed the connection.
    Closed,
    /// The handshake failed: a wrong certificate, no common profile, an alert, or it took too long.
    Failed,
}

/// One DTLS association, as a library offers it. A failed step is an error and is final.
pub trait Dtls: Send {
    /// Takes a datagram of well-formed records.
    ///
    /// # Errors
    /// [`Fault`] when the association has failed.
    fn handle_datagram(&mut self, now: Time, datagram: &[u8]) -> Result<Step, Fault>;
    /// A datagram to be sent.
    fn poll_transmit(&mut self) -> Option<BytesMut>;
    /// Application data that a datagram held.
    fn poll_data(&mut self) -> Option<BytesMut>;
    /// A datagram with application data; none when the handshake is not done.
    fn seal(&mut self, now: Time, data: &[u8]) -> Option<BytesMut>;
    /// Says goodbye (`close_notify`).
    fn close(&mut self, now: Time);
}

/// How far an association has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// No further than before.
    Pending,
    /// The handshake is done.
    Done(SrtpKeys),
    /// The peer has said goodbye.
    Closed,
}

/// The association has failed; there is nothing to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault;

/// The DTLS connection of one peer.
pub struct DtlsTransport {
    identity: DtlsIdentity,
    role: DtlsRole,
    remote: Fingerprint,
    epoch: Instant,
    state: State,
    association: Option<Box<dyn Dtls>>,
    hello: HelloAssembler,
    events: VecDeque<DtlsEvent>,
    outgoing: VecDeque<BytesMut>,
    /// Bytes taken from the peer since the handshake began, or since it ended.
    taken: usize,
    /// Plain fragments given to the library since then.
    fragments: usize,
    repeat: Repeat,
    /// Number of the next record of epoch 0 that we send.
    next_record: u64,
    deadline: Option<Time>,
    takes_data: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Handshaking,
    Established,
    Over,
}

/// Our last flight and when it goes out again.
#[derive(Default)]
struct Repeat {
    flight: Vec<BytesMut>,
    wait: Duration,
    at: Option<Time>,
}

impl DtlsTransport {
    /// A connection that has not begun. `remote` is the fingerprint from signaling; `epoch` is the moment of [`Time::ZERO`].
    pub fn new(identity: &DtlsIdentity, role: DtlsRole, remote: Fingerprint, epoch: Instant) -> Self {
        Self {
            identity: identity.clone(),
            role,
            remote,
            epoch,
            state: State::Handshaking,
            association: None,
            hello: HelloAssembler::default(),
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            taken: 0,
            fragments: 0,
            repeat: Repeat::default(),
            next_record: 0,
            deadline: None,
            takes_data: false,
        }
    }

    /// Begins, when there is a path to the peer: as the client we send the ClientHello, as the server we wait for it.
    /// From now on the handshake has [`HANDSHAKE_TIMEOUT`]. A second call does nothing.
    pub fn start(&mut self, now: Time) {
        if self.state != State::Handshaking {
            return;
        }
        self.deadline.get_or_insert(now + HANDSHAKE_TIMEOUT);
        if self.role == DtlsRole::Client && self.association.is_none() {
            match RtcEndpoint::client(&self.identity, &self.remote, self.epoch, now) {
                Ok(association) => self.association = Some(Box::new(association)),
                Err(Fault) => self.fail(),
            }
            self.collect(now);
        }
    }

    /// Takes a datagram of the peer's. Whoever calls has made sure that it came on a validated path.
    ///
    /// # Errors
    /// [`DtlsError`]: the datagram was dropped, and this is why.
    pub fn handle_datagram(&mut self, now: Time, datagram: &[u8]) -> Result<(), DtlsError> {
        match self.state {
            State::Over => Err(DtlsError::NotOpen),
            State::Established => self.handle_late(now, datagram),
            State::Handshaking if self.role == DtlsRole::Client && self.association.is_none() => Err(DtlsError::NotOpen),
            State::Handshaking => {
                self.start(now);
                self.handle_handshake(now, datagram)
            }
        }
    }

    /// Application data is negotiated: from now on it is taken.
    pub fn take_data(&mut self) {
        self.takes_data = true;
    }

    /// Application data of the peer's, in the order of its datagrams.
    pub fn poll_data(&mut self) -> Option<BytesMut> {
        self.association.as_mut()?.poll_data()
    }

    /// A datagram with application data, to be sent at once; none when the connection is not there.
    pub fn seal(&mut self, now: Time, data: &[u8]) -> Option<BytesMut> {
        self.association.as_mut().filter(|_| self.state == State::Established)?.seal(now, data)
    }

    /// Whether the library has state for this connection.
    pub fn has_association(&self) -> bool {
        self.association.is_some()
    }

    /// What has happened, once each.
    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    /// The next datagram to be sent on the selected path.
    pub fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.outgoing.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.state != State::Handshaking {
            return None;
        }
        self.repeat.at.into_iter().chain(self.deadline).min()
    }

    /// Tells the time: repeats our last flight, or gives the handshake up.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.state != State::Handshaking {
            return;
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.fail();
        } else if self.repeat.at.is_some_and(|at| now >= at) {
            self.repeat_flight(now);
        }
    }

    /// Ends the connection; the peer is told if there is a handshake or more. There will be no event.
    pub fn close(&mut self, now: Time) {
        if let Some(association) = &mut self.association {
            association.close(now);
        }
        self.collect(now);
        self.end();
    }

    fn handle_handshake(&mut self, now: Time, datagram: &[u8]) -> Result<(), DtlsError> {
        self.take(datagram.len(), MAX_HANDSHAKE_BYTES)?;
        let mut usable = BytesMut::new();
        let mut result = Err(DtlsError::Malformed);
        for record in record::records(datagram) {
            match self.sort(&record) {
                Sorted::Hello => self.handle_hello(now, &record),
                Sorted::Feed => usable.extend_from_slice(record.bytes),
                Sorted::Drop(why) => {
                    result = result.or(Err(why));
                    continue;
                }
            }
            result = Ok(());
        }
        self.feed(now, &usable);
        result
    }

    /// What to do with a record before the end of the handshake. What the library would answer with a fatal alert of
    /// its own, though anyone could have sent it, never gets there.
    fn sort(&mut self, record: &Record<'_>) -> Sorted {
        let plain = record.epoch == 0;
        match record.kind {
            record::APPLICATION_DATA => Sorted::Drop(DtlsError::ApplicationData),
            _ if record.epoch > 1 || record.body.is_empty() => Sorted::Drop(DtlsError::Malformed),
            record::HANDSHAKE if plain && self.role == DtlsRole::Server && hello::is_client_hello(record) => Sorted::Hello,
            _ if self.association.is_none() => Sorted::Drop(DtlsError::Malformed),
            record::HANDSHAKE if plain => self.take_fragments(record).map_or_else(Sorted::Drop, |()| Sorted::Feed),
            record::HANDSHAKE => Sorted::Feed,
            record::CHANGE_CIPHER_SPEC if !plain || record.body == [1] => Sorted::Feed,
            // A warning other than close_notify changes nothing, but the library would take it for the end.
            record::ALERT if !plain || matches!(record.body, [2, _] | [1, 0]) => Sorted::Feed,
            _ => Sorted::Drop(DtlsError::Malformed),
        }
    }

    /// Puts ClientHellos together, whatever the order and the overlap of their fragments, and hands them on whole. The
    /// first one that is complete decides the profile; the second one (RFC 6347 section 4.2.1) has the cookie.
    fn handle_hello(&mut self, now: Time, record: &Record<'_>) {
        for fragment in record.fragments() {
            let Some(complete) = self.hello.add(&fragment, record.sequence) else { continue };
            if self.association.is_none() {
                self.accept(hello::choose_profile(hello::body_of(&complete)));
            }
            self.feed(now, &complete);
        }
    }

    fn accept(&mut self, profile: Option<SrtpProfile>) {
        let server = |profile| RtcEndpoint::server(&self.identity, &self.remote, self.epoch, profile).ok();
        match profile.and_then(server) {
            Some(association) => self.association = Some(Box::new(association)),
            None => self.fail(),
        }
    }

    /// After the end of the handshake: the peer's repeats of its last flight (ours was lost) and its goodbye.
    fn handle_late(&mut self, now: Time, datagram: &[u8]) -> Result<(), DtlsError> {
        let mut usable = BytesMut::new();
        let mut result = Err(DtlsError::Malformed);
        for record in record::records(datagram).filter(|record| record.epoch <= 1 && !record.body.is_empty()) {
            let taken = match record.kind {
                record::ALERT if record.epoch == 1 => Ok(()),
                record::HANDSHAKE if record.epoch == 0 => {
                    self.take(record.bytes.len(), MAX_REPEATED_BYTES).and_then(|()| self.take_fragments(&record))
                }
                record::HANDSHAKE | record::CHANGE_CIPHER_SPEC => self.take(record.bytes.len(), MAX_REPEATED_BYTES),
                record::APPLICATION_DATA if self.takes_data && record.epoch == 1 => Ok(()),
                record::APPLICATION_DATA => Err(DtlsError::ApplicationData),
                _ => Err(DtlsError::Malformed),
            };
            if taken.is_ok() {
                usable.extend_from_slice(record.bytes);
            }
            result = result.or(taken);
        }
        self.feed(now, &usable);
        result
    }

    fn take(&mut self, len: usize, limit: usize) -> Result<(), DtlsError> {
        let taken = self.taken.saturating_add(len);
        if taken > limit {
            return Err(DtlsError::TooMuch);
        }
        self.taken = taken;
        Ok(())
    }

    fn take_fragments(&mut self, record: &Record<'_>) -> Result<(), DtlsError> {
        let fragments = self.fragments + record.count_fragments().ok_or(DtlsError::Malformed)?;
        if fragments > MAX_FRAGMENTS {
            return Err(DtlsError::TooMuch);
        }
        self.fragments = fragments;
        Ok(())
    }

    fn feed(&mut self, now: Time, records: &[u8]) {
        let Some(association) = self.association.as_mut().filter(|_| !records.is_empty()) else { return };
        let step = association.handle_datagram(now, records);
        self.collect(now);
        match step {
            Ok(Step::Pending) => {}
            Ok(Step::Done(keys)) => self.establish(keys),
            Ok(Step::Closed) => self.close_by_peer(),
            Err(Fault) => self.fail(),
        }
    }

    fn establish(&mut self, keys: SrtpKeys) {
        self.state = State::Established;
        self.taken = 0;
        self.fragments = 0;
        self.repeat = Repeat::default();
        self.hello = HelloAssembler::default();
        self.events.push_back(DtlsEvent::Established(keys));
    }

    fn close_by_peer(&mut self) {
        let event = if self.state == State::Established { DtlsEvent::Closed } else { DtlsEvent::Failed };
        self.end();
        self.events.push_back(event);
    }

    fn fail(&mut self) {
        if self.state != State::Over {
            self.end();
            self.events.push_back(DtlsEvent::Failed);
        }
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.association = None;
        self.hello = HelloAssembler::default();
        self.repeat = Repeat::default();
    }

    /// Moves what the library wants to send to the queue; during the handshake it is kept as our last flight.
    fn collect(&mut self, now: Time) {
        let Some(association) = &mut self.association else { return };
        let sent: Vec<BytesMut> = std::iter::from_fn(|| association.poll_transmit()).take(MAX_OUTGOING).collect();
        if sent.is_empty() {
            return;
        }
        if self.state == State::Handshaking {
            // A HelloVerifyRequest is never repeated: the client repeats its ClientHello (RFC 6347 section 4.2.1).
            let at = (!sent.iter().any(|datagram| hello::is_verify_request(datagram))).then(|| now + FIRST_REPEAT);
            self.repeat = Repeat { flight: sent.clone(), wait: FIRST_REPEAT, at };
        }
        self.enqueue(sent);
    }

    /// Sends our last flight again. The library would do so too, but stops its clock as soon as anything of the answer
    /// has come: if the rest is lost, and on the other side likewise, both would wait for ever.
    fn repeat_flight(&mut self, now: Time) {
        self.repeat.wait = self.repeat.wait.saturating_mul(2).min(LONGEST_REPEAT);
        self.repeat.at = Some(now + self.repeat.wait);
        let again = self.repeat.flight.clone();
        self.enqueue(again);
    }

    fn enqueue(&mut self, mut datagrams: Vec<BytesMut>) {
        for datagram in &mut datagrams {
            record::renumber(datagram, &mut self.next_record);
        }
        self.outgoing.extend(datagrams);
        let excess = self.outgoing.len().saturating_sub(MAX_OUTGOING);
        self.outgoing.drain(..excess);
    }
}

/// What a record is for.
enum Sorted {
    Hello,
    Feed,
    Drop(DtlsError),
}

#[cfg(test)]
mod tests;
