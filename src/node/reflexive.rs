//! How a STUN server sees the media ports (RFC 8489): behind a one-to-one NAT that is what clients have to be told.
//!
//! Asked twice: before the workers start, from ports that they will bind, because the relay keeps the addresses that it starts with; and every
//! few minutes from the media sockets themselves, whose answers the workers hand on. New connections are told what was seen last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::future::join_all;
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId};
use tokio::net::lookup_host;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::addresses::Addresses;
use super::workers::Worker;
use crate::config::StunServer;
use crate::contract::Mapped;
use crate::control::admin::doctor::ask;

/// A start waits no longer for a STUN server.
const AT_START: Duration = Duration::from_millis(2_500);
/// Times that a question is sent: less takes one lost datagram for silence, more keeps a round open for longer.
const TRIES: usize = 4;
/// Answers that may wait: more than sockets are asked from cannot be of one round.
pub const ANSWERS: usize = 1_024;

/// How a STUN server that does not answer is told of.
const ADVICE: &str =
    "clients are told the other addresses only; check media.stun_server, and that UDP may leave this machine (`althing doctor` says more)";

/// How the bound addresses are seen, asked from `port` (or any, where it is 0): pairs of both. What does not answer in time is left out.
pub async fn at_start(server: &StunServer, bound: &[IpAddr], port: u16) -> Vec<(IpAddr, IpAddr)> {
    let asked = async {
        let servers = resolve(server).await.unwrap_or_default();
        let questions = bound.iter().filter_map(|ip| Some((*ip, suited(*ip, &servers)?)));
        join_all(questions.map(async |(ip, server)| {
            let seen = ask::seen_from(SocketAddr::new(ip, port), server).await.ok().flatten()?;
            is_one_host(seen).then_some((ip, seen.ip()))
        }))
        .await
    };
    timeout(AT_START, asked).await.unwrap_or_default().into_iter().flatten().collect()
}

/// Waits of a watch.
#[derive(Clone, Copy)]
pub struct Times {
    /// From one round of questions to the next.
    pub again: Duration,
    /// The same, after a round without an answer.
    pub retry: Duration,
    /// A question that is not answered is sent once more after this.
    pub resend: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { again: Duration::from_secs(180), retry: Duration::from_secs(30), resend: Duration::from_millis(500) }
    }
}

/// The media sockets of all workers, and what is known of how they are seen.
pub struct Watch {
    server: StunServer,
    /// How the transactions begin: workers hand on nothing else.
    begin: [u8; 8],
    asked: u32,
    /// By where each is bound: workers that share a port are asked for once.
    sockets: BTreeMap<SocketAddr, OwnedFd>,
    /// Of each worker, what it is told to be without being seen, and where it is bound.
    workers: Vec<(Vec<SocketAddr>, Vec<SocketAddr>)>,
    seen: BTreeMap<SocketAddr, SocketAddr>,
    /// The last round had no answer.
    silent: bool,
}

impl Watch {
    /// Of these workers, whose sockets it takes; `addresses` are those of the start.
    pub fn new(server: StunServer, begin: [u8; 8], workers: &mut [Worker], addresses: &Addresses) -> Self {
        let from_start =
            |at: &SocketAddr| addresses.seen.iter().find(|(bound, _)| *bound == at.ip()).map(|(_, seen)| (*at, SocketAddr::new(*seen, at.port())));
        let named: BTreeSet<IpAddr> = addresses.seen.iter().map(|(_, seen)| *seen).collect();
        let mut watch = Self { server, begin, asked: 0, sockets: BTreeMap::new(), workers: Vec::new(), seen: BTreeMap::new(), silent: false };
        for worker in workers {
            let told = worker.candidates.iter().filter(|at| !named.contains(&at.ip())).copied().collect();
            let bound: Vec<_> = worker.sockets.iter().map(|(at, _)| *at).collect();
            watch.seen.extend(bound.iter().filter_map(from_start));
            watch.workers.push((told, bound));
            watch.sockets.extend(worker.sockets.drain(..));
        }
        watch
    }

    /// Asks until the node ends; tells where each worker is found whenever that has changed.
    pub async fn run(
        mut self, mut answers: mpsc::Receiver<Mapped>, times: Times, tell: impl Fn(Vec<Vec<SocketAddr>>), mut closing: watch::Receiver<bool>,
    ) {
        loop {
            let before = self.candidates();
            let answered = self.ask(&mut answers, times.resend).await;
            let now = self.candidates();
            if now != before {
                tracing::info!(server = %self.server, media = ?now, "the media ports are seen otherwise from outside: new connections are told so");
                tell(now);
            }
            let pause = if answered { times.again } else { times.retry };
            if timeout(pause, closing.wait_for(|closing| *closing)).await.is_ok() {
                return;
            }
        }
    }

    /// Where each worker is found: what was seen comes last.
    fn candidates(&self) -> Vec<Vec<SocketAddr>> {
        let of = |(told, bound): &(Vec<SocketAddr>, Vec<SocketAddr>)| {
            let mut all = told.clone();
            for seen in bound.iter().filter_map(|at| self.seen.get(at)) {
                if !all.contains(seen) {
                    all.push(*seen);
                }
            }
            all
        };
        self.workers.iter().map(of).collect()
    }

    /// One round of questions; whether any was answered. What is not answered is taken for what it was.
    async fn ask(&mut self, answers: &mut mpsc::Receiver<Mapped>, resend: Duration) -> bool {
        let servers = match resolve(&self.server).await {
            Ok(servers) => servers,
            Err(error) => return self.fail(&format!("its name is not known: {error}")),
        };
        let mut open: BTreeMap<[u8; 12], (SocketAddr, SocketAddr)> = BTreeMap::new();
        for bound in self.sockets.keys() {
            if let Some(server) = suited(bound.ip(), &servers) {
                self.asked = self.asked.wrapping_add(1);
                let [a, b, c, d, e, f, g, h] = self.begin;
                let [i, j, k, l] = self.asked.to_be_bytes();
                open.insert([a, b, c, d, e, f, g, h, i, j, k, l], (*bound, server));
            }
        }
        if open.is_empty() {
            return self.fail("no media address is of its family");
        }
        let mut answered = false;
        for _ in 0..TRIES {
            for (transaction, (bound, server)) in &open {
                // What cannot be sent now may be sent the next time.
                let _ = self.sockets.get(bound).map(|socket| crate::io::udp::send_now(socket, *server, &question(*transaction)));
            }
            let until = Instant::now() + resend;
            while !open.is_empty() {
                let Ok(answer) = timeout_at(until, answers.recv()).await else { break };
                let Some(answer) = answer else { return answered };
                let asked = open.get(&answer.transaction).copied().filter(|(_, server)| *server == answer.server);
                let Some((bound, _)) = asked.filter(|_| is_one_host(answer.address)) else { continue };
                open.remove(&answer.transaction);
                self.take(bound, answer.address);
                answered = true;
            }
        }
        if !answered {
            return self.fail("it does not answer");
        }
        if std::mem::take(&mut self.silent) {
            tracing::info!(server = %self.server, "the STUN server answers again");
        }
        true
    }

    fn take(&mut self, bound: SocketAddr, seen: SocketAddr) {
        let before = self.seen.insert(bound, seen);
        if before != Some(seen) && seen.port() != bound.port() {
            tracing::warn!(
                %bound, %seen,
                "the NAT has another port for media than this machine: it is no one-to-one NAT, and clients get in only where it lets everybody in (have it forward the media ports)"
            );
        }
        if before.is_some_and(|before| before.ip() != seen.ip()) {
            tracing::warn!(%bound, %seen, "the address seen from outside has changed: the relay goes on with the one before until this node is started anew");
        }
    }

    /// Says once why nothing is known.
    fn fail(&mut self, why: &str) -> bool {
        if !std::mem::replace(&mut self.silent, true) {
            tracing::warn!(server = %self.server, "the STUN server does not say how this node is seen from outside: {why} ({ADVICE})");
        }
        false
    }
}

async fn resolve(server: &StunServer) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((server.host.as_str(), server.port)).await?.collect())
}

/// The server to ask from an address: of its family, and none out there from loopback.
fn suited(bound: IpAddr, servers: &[SocketAddr]) -> Option<SocketAddr> {
    servers.iter().find(|server| server.is_ipv4() == bound.is_ipv4() && server.ip().is_loopback() == bound.is_loopback()).copied()
}

/// Whether clients can be told so: a server may say anything.
fn is_one_host(seen: SocketAddr) -> bool {
    seen.port() != 0 && !seen.ip().is_unspecified() && !seen.ip().is_multicast()
}

/// A Binding request with nothing in it.
fn question(transaction: [u8; 12]) -> Vec<u8> {
    let mut message = Message { typ: BINDING_REQUEST, transaction_id: TransactionId(transaction), ..Message::new() };
    message.write_header();
    message.raw
}

#[cfg(test)]
mod tests;
