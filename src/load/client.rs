//! A light client: real ICE, DTLS and SRTP on one socket, with no more work per packet than counting it needs.
//!
//! A machine without waiting: it is told the time and the bytes by its [thread](super::thread). [`publish`] has what it sends,
//! [`receive`] what it does with what comes.

mod publish;
mod receive;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::batch;
use super::board::Board;
use super::check::{Check, Checks};
use super::media::{Draft, Source};
use super::offer::Answer;
use super::presence::{Failure, Presence};
use super::tally::{Count, Incoming};
use crate::base::Time;
use crate::base::random::Random;
use crate::contract::SrtpKeys;
use crate::media::packet::rtp::is_rtcp;
use crate::media::packet::twcc::Arrivals;
use crate::media::transport::{DtlsEvent, DtlsIdentity, DtlsTransport, SrtcpReceiver, SrtcpSender, SrtpReceiver, SrtpSender};
use publish::Outgoing;

/// Between reports (RFC 3550 section 6.2 allows less with feedback profiles).
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What the clients of a thread share.
pub struct Desk {
    /// Tells the packets of this run.
    pub run: u32,
    /// What is being done.
    pub board: Arc<Board>,
    /// One packet in so many is opened.
    pub open_one_in: u32,
    /// Whether lost packets are asked for again.
    pub nack: bool,
    /// One-way latencies of opened packets that count, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Packets that are not of this run, or could not be opened.
    pub foreign: u64,
    /// The moment of [`Time::ZERO`].
    pub epoch: Instant,
    /// A sealed packet on its way.
    buffer: Box<[u8; 2_048]>,
    drafts: Vec<Draft>,
}

/// The longest latency that is told from longer ones, in nanoseconds.
const LONGEST_LATENCY: u64 = 60_000_000_000;

impl Desk {
    /// A desk for one thread.
    pub fn new(run: u32, board: Arc<Board>, open_one_in: u32, nack: bool, epoch: Instant) -> Self {
        let latency = latencies();
        Self { run, board, open_one_in, nack, latency, foreign: 0, epoch, buffer: Box::new([0; 2_048]), drafts: Vec::new() }
    }
}

/// An empty histogram of latencies in nanoseconds, with three digits.
pub fn latencies() -> Histogram<u64> {
    let mut latency = Histogram::new_with_bounds(1_000, LONGEST_LATENCY, 3).unwrap_or_else(|_| unreachable!("the bounds are constant and right"));
    latency.auto(false);
    latency
}

/// Now, as a thread tells it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers.
    pub time: Time,
    /// Nanoseconds of CLOCK_MONOTONIC, for stamps.
    pub monotonic: u64,
    /// Nanoseconds of CLOCK_REALTIME, which the kernel's times of arrival are in, and sender reports.
    pub wall: u64,
}

/// What a client is made of.
pub struct Joining {
    /// Whose progress it is.
    pub presence: Arc<Presence>,
    /// The server's answer.
    pub answer: Answer,
    /// Our ICE credentials: user name fragment, password.
    pub ice: (String, String),
    /// The address of the server, when signaling knows it.
    pub server: Option<IpAddr>,
    /// What it sends: stream, SSRC, where it comes from.
    pub sends: Vec<(u32, u32, Source)>,
    /// Whether the kernel may hand over trains of packets.
    pub merged: bool,
    /// Whether what comes is reported transport-wide.
    pub transport_cc: bool,
    /// Numbers that need no secrecy.
    pub seed: u64,
}

/// A light client.
pub struct Light {
    presence: Arc<Presence>,
    socket: OwnedFd,
    checks: Checks,
    dtls: DtlsTransport,
    state: State,
    crypto: Option<Crypto>,
    random: Random,
    own_ssrc: u32,
    incoming: Vec<Incoming>,
    /// Of each sender report: SSRC, the middle of its NTP time, when it came.
    reported: Vec<(u32, u32, Time)>,
    sends: Vec<(u32, u32, Source)>,
    outgoing: Vec<Outgoing>,
    report_due: Time,
    /// Streams of repairs.
    repairs: Vec<Incoming>,
    /// What is to be reported transport-wide.
    arrivals: Option<Arrivals>,
    feedback_due: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Checking,
    Handshaking,
    Up,
    Over,
}

struct Crypto {
    rtp_in: SrtpReceiver,
    rtp_out: SrtpSender,
    rtcp_in: SrtcpReceiver,
    rtcp_out: SrtcpSender,
}

impl Crypto {
    fn new(keys: &SrtpKeys) -> Option<Self> {
        Some(Self {
            rtp_in: SrtpReceiver::from_keys(keys).ok()?,
            rtp_out: SrtpSender::from_keys(keys).ok()?,
            rtcp_in: SrtcpReceiver::from_keys(keys).ok()?,
            rtcp_out: SrtcpSender::from_keys(keys).ok()?,
        })
    }
}

impl Light {
    /// A client that begins to look for its server.
    ///
    /// # Errors
    /// When there is no socket left, or no way to any candidate.
    pub fn new(now: Time, joining: Joining, identity: &DtlsIdentity, epoch: Instant) -> Result<Self, Failure> {
        let Joining { presence, answer, ice, server, sends, merged, transport_cc, seed } = joining;
        let checks = Checks::new(now, &answer, &ice.0, &ice.1, server);
        let candidate = checks.candidate().ok_or_else(|| Failure::new("no candidate", ""))?;
        let socket = batch::open(candidate, merged).map_err(|e| Failure::new("no UDP socket", format!("{candidate}: {e}")))?;
        let mut random = Random::new(seed);
        Ok(Self {
            presence,
            socket,
            checks,
            dtls: DtlsTransport::new(identity, answer.role, answer.fingerprint, epoch),
            state: State::Checking,
            crypto: None,
            own_ssrc: random.next_u32() | 1,
            random,
            incoming: Vec::new(),
            reported: Vec::new(),
            sends,
            outgoing: Vec::new(),
            report_due: Time::NEVER,
            repairs: Vec::new(),
            arrivals: transport_cc.then(Arrivals::new),
            feedback_due: Time::NEVER,
        })
    }

    /// Its socket.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Its participant.
    pub fn index(&self) -> usize {
        self.presence.place.index
    }

    /// What it counted, by stream.
    pub fn counts(&self) -> Vec<(u32, Count)> {
        let mut counts: Vec<(u32, Count)> = Vec::new();
        for (stream, count) in self.incoming.iter().flat_map(|i| i.counts()) {
            match counts.iter_mut().find(|(s, _)| s == stream) {
                Some((_, sum)) => sum.add(*count),
                None => counts.push((*stream, *count)),
            }
        }
        counts
    }

    /// Takes a datagram that arrived at `arrived` (nanoseconds of CLOCK_REALTIME; 0 for unknown).
    pub fn handle_datagram(&mut self, now: Now, arrived: u64, datagram: &mut [u8], desk: &mut Desk) {
        match datagram.first() {
            Some(0..=3) => self.handle_stun(now, datagram, desk),
            Some(20..=63) => {
                // What is dropped is no news: failure is an event.
                let _ = self.dtls.handle_datagram(now.time, datagram);
                self.after_dtls(now, desk);
            }
            Some(128..=191) if is_rtcp(datagram) => self.handle_rtcp(now, datagram, desk),
            Some(128..=191) => self.handle_rtp(now, arrived, datagram, desk),
            _ => desk.foreign += 1,
        }
    }

    /// When there is something to do without a datagram; `nack`: whether lost packets are asked for again.
    pub fn poll_timeout(&self, nack: bool) -> Time {
        let timers = match self.state {
            State::Over => return Time::NEVER,
            State::Checking => Time::NEVER,
            State::Handshaking => self.dtls.poll_timeout().unwrap_or(Time::NEVER),
            State::Up => {
                let sends = self.outgoing.iter().map(Outgoing::due).min().unwrap_or(Time::NEVER);
                let asks = self.incoming.iter().filter(|_| nack).filter_map(Incoming::next_ask).min().map_or(Time::NEVER, Time::from_micros);
                self.report_due.min(sends).min(asks).min(self.feedback_due)
            }
        };
        self.checks.due().min(timers)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, desk: &mut Desk) {
        if self.state == State::Over {
            return;
        }
        match self.checks.handle_timeout(now.time) {
            Some(Check::Send(check)) => self.send_check(now, &check, desk),
            Some(Check::Failed) if self.state == State::Checking => {
                return self.fail("no answer to ICE checks", "none of the answer's candidates was reached over UDP");
            }
            Some(Check::Failed) => return self.fail("consent lost", "the server has not answered ICE checks for 30 s"),
            None => {}
        }
        if self.state == State::Handshaking {
            self.dtls.handle_timeout(now.time);
            self.after_dtls(now, desk);
        }
        if self.state == State::Up {
            self.publish(now, desk);
            if desk.nack {
                self.ask_again(now, desk);
            }
            if self.feedback_due <= now.time {
                self.feedback_due = Time::NEVER;
                self.give_feedback(desk);
            }
            if self.report_due <= now.time {
                self.report_due = now.time + REPORT_EVERY;
                self.report(now, desk);
            }
        }
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Now, desk: &mut Desk) {
        self.dtls.close(now.time);
        self.transmit_dtls(desk);
        self.state = State::Over;
    }

    fn handle_stun(&mut self, now: Now, datagram: &[u8], desk: &mut Desk) {
        let (first, response) = self.checks.handle_message(now.time, datagram, self.checks.candidate());
        if let Some(response) = response {
            send(&self.socket, &response, desk);
        }
        if first && self.state == State::Checking {
            self.state = State::Handshaking;
            self.dtls.start(now.time);
            self.after_dtls(now, desk);
        }
    }

    /// The socket follows the checks: it is connected to the candidate whose turn it is.
    fn send_check(&mut self, now: Now, check: &[u8], desk: &mut Desk) {
        if self.state == State::Checking {
            let connected = self.checks.candidate().is_some_and(|candidate| rustix::net::connect(&self.socket, &candidate).is_ok());
            if !connected {
                // Another family, or no route: the next one may do.
                return self.checks.skip(now.time);
            }
        }
        send(&self.socket, check, desk);
    }

    fn after_dtls(&mut self, now: Now, desk: &mut Desk) {
        self.transmit_dtls(desk);
        while let Some(event) = self.dtls.poll_event() {
            match event {
                DtlsEvent::Established(keys) => self.begin(now, &keys, desk),
                DtlsEvent::Closed if self.state != State::Over => self.fail("closed by the server", "the server closed the DTLS connection"),
                DtlsEvent::Failed => self.fail("DTLS failed", "the DTLS handshake failed"),
                DtlsEvent::Closed => {}
            }
        }
    }

    fn transmit_dtls(&mut self, desk: &mut Desk) {
        while let Some(datagram) = self.dtls.poll_transmit() {
            send(&self.socket, &datagram, desk);
        }
    }

    fn begin(&mut self, now: Now, keys: &SrtpKeys, desk: &mut Desk) {
        self.crypto = Crypto::new(keys);
        if self.crypto.is_none() {
            return self.fail("DTLS failed", "the handshake gave keys of a wrong length");
        }
        self.state = State::Up;
        self.presence.note_up();
        desk.board.connected.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Reports of many clients should not fall on one moment.
        self.report_due = now.time + REPORT_EVERY.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX));
        let publisher = self.presence.place.publisher().unwrap_or(0);
        for (stream, ssrc, source) in std::mem::take(&mut self.sends) {
            self.outgoing.push(Outgoing::new(now.time, publisher, stream, ssrc, source, &mut self.random));
        }
    }

    fn fail(&mut self, reason: &str, detail: &str) {
        self.state = State::Over;
        self.presence.fail(Failure::new(reason, detail));
    }
}

/// Sends on a connected socket. What it does not take is counted: a load tester whose own sockets are full measures itself.
fn send(socket: &OwnedFd, datagram: &[u8], desk: &Desk) {
    for _ in 0..2 {
        match rustix::net::send(socket, datagram, SendFlags::DONTWAIT) {
            // The answer to an earlier datagram (port unreachable): this one has not been tried yet.
            Err(Errno::CONNREFUSED) => {}
            Ok(_) => return,
            Err(_) => break,
        }
    }
    desk.board.unsent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}
