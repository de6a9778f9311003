//! Starting the media workers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::StartError;
use super::addresses::Addresses;
use super::relay::OwnRelay;
use crate::base::WorkerId;
use crate::config::MediaConfig;
use crate::control::draw;
use crate::control::rooms::Directory;
use crate::io::streams::MOST_OF_PREFIX;
use crate::io::udp::{self, RECEIVE_BATCH};
use crate::io::{Started, WorkerConfig, spawn};
use crate::media::transport::DtlsIdentity;
use crate::port::{Bell, EventSender, ReportSlot, StreamPrefixes, TapWriter, WorkerHandle, inbox, rings, tap};
use crate::record::WorkerTap;

/// Workers report every second: more often there is nothing new.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// The workers, and the certificate that all of them show.
pub struct Fleet {
    pub workers: Vec<Worker>,
    /// The SHA-256 of the certificate, as `AB:CD:…`.
    pub fingerprint: String,
}

/// A running worker.
pub struct Worker {
    pub id: WorkerId,
    pub inbox: WorkerHandle,
    pub report: ReportSlot,
    /// Where clients find it, most preferred first.
    pub candidates: Vec<SocketAddr>,
    /// Where clients find its relay.
    pub relay: Vec<SocketAddr>,
    /// Its ports for connections that this node begins.
    pub outlets: Vec<u16>,
    /// Its sockets once more, with where each is bound: for questions to STUN servers.
    pub sockets: Vec<(SocketAddr, OwnedFd)>,
    /// What it copies for recordings, where there are any.
    pub tap: Option<WorkerTap>,
}

/// Starts all workers.
pub fn start(
    config: &MediaConfig, (relay, records, outlets): (Option<&OwnRelay>, bool, u16), addresses: &Addresses, events: &EventSender, epoch: Instant,
    questions: Option<[u8; 8]>,
) -> Result<Fleet, StartError> {
    let identity = DtlsIdentity::generate().map_err(|e| StartError {
        what: format!("cannot make a certificate for media: {e:?}"),
        advice: "this is a fault of the program; please report it".into(),
    })?;
    let fingerprint = identity.fingerprint_sha256();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut workers = Vec::new();
    let mailboxes: Vec<_> = (0..config.workers).map(|_| inbox()).collect::<Result<_, _>>().map_err(|e| failed(config.port, &e))?;
    let bells: Vec<_> = mailboxes.iter().map(|(_, mailbox)| mailbox.bell().clone()).collect();
    if config.single_port && config.port != 0 {
        // A shared port is also shared with another process: a second node would take away half of the first one's datagrams.
        for ip in &addresses.bound {
            udp::bind(SocketAddr::new(*ip, config.port)).map_err(|e| failed(config.port, &e))?;
        }
    }
    let prefixes = Arc::new(StreamPrefixes::new(MOST_OF_PREFIX));
    let mut shared_port = config.port;
    let mut relay_port = relay.map_or(0, |relay| relay.config.port);
    relay.map_or(Ok(()), |relay| relay.try_ports(addresses))?;
    for ((number, (handle, mailbox)), rings) in (0..).zip(mailboxes).zip(rings(&bells)) {
        let id = WorkerId(number);
        let port = match (config.single_port, config.port) {
            (true, _) => shared_port,
            (false, 0) => 0,
            (false, first) => first.saturating_add(number),
        };
        let report = ReportSlot::default();
        let (writer, tap) = if records { tap_of(&handle).map(|(w, t)| (Some(w), Some(t))).map_err(|e| failed(port, &e))? } else { (None, None) };
        let worker = WorkerConfig {
            id,
            addresses: addresses.bound.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            core: Some(usize::from(number) % cores),
            identity: identity.clone(),
            epoch,
            seed: seed(),
            batch: RECEIVE_BATCH,
            rings,
            tap: writer,
            shared_port: config.single_port,
            tcp: config.takes_tcp(),
            prefixes: prefixes.clone(),
            relay: relay.map(|relay| relay.setup(addresses, relay_port, config, seed())),
            outlets,
            questions,
        };
        let Started { port, relay: relayed, outlets, sockets } =
            spawn(worker, mailbox, events.clone(), report.clone()).map_err(|e| failed(port, &e))?;
        shared_port = port;
        relay_port = relayed.unwrap_or(0);
        let at = |port: u16| addresses.announced.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let sockets = addresses.bound.iter().map(|ip| SocketAddr::new(*ip, port)).zip(sockets).collect();
        let relay = relayed.map_or(Vec::new(), at);
        workers.push(Worker { id, inbox: handle, report, candidates: at(port), relay, outlets, sockets, tap });
    }
    Ok(Fleet { workers, fingerprint })
}

/// A tap ring for a worker with this inbox: the worker's end, and the recorder's.
fn tap_of(inbox: &WorkerHandle) -> io::Result<(TapWriter, WorkerTap)> {
    let bell = Bell::new()?;
    let (writer, ring) = tap(&bell)?;
    Ok((writer, WorkerTap { inbox: inbox.clone(), ring, bell }))
}

/// Tells the rooms how busy the workers are, until the node ends.
pub async fn measure(workers: Vec<(WorkerId, ReportSlot)>, rooms: Directory, mut closing: watch::Receiver<bool>) {
    let used = |report: &ReportSlot| report.latest().busy_micros;
    let (mut before, mut at) = (workers.iter().map(|(_, report)| used(report)).collect::<Vec<_>>(), Instant::now());
    while timeout(MEASURE_EVERY, closing.wait_for(|c| *c)).await.is_err() {
        let span = std::mem::replace(&mut at, Instant::now()).elapsed().as_micros().max(1) as u64;
        for ((worker, report), before) in workers.iter().zip(&mut before) {
            let now = used(report);
            rooms.measured(*worker, now.saturating_sub(std::mem::replace(before, now)) * 1_000 / span);
        }
    }
}

fn failed(port: u16, error: &io::Error) -> StartError {
    StartError {
        what: format!("cannot start media on port {port}: {error}"),
        advice: "another program may have it, by UDP or TCP: choose other ports with `--set media.port=PORT`, or other addresses with `--set media.bind=ADDRESS`".into(),
    }
}

/// The seed of a worker's hashing: drawn anew at each start, so that nobody outside can aim at a bucket.
fn seed() -> u64 {
    u64::from_ne_bytes(draw::bytes())
}
