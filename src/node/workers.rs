//! Starting the media workers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::StartError;
use super::addresses::Addresses;
use crate::base::WorkerId;
use crate::config::MediaConfig;
use crate::port::{EventSender, Inbox, ReportSlot, WorkerHandle, inbox};

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
}

/// Starts all workers.
pub fn start(config: &MediaConfig, addresses: &Addresses, events: &EventSender, epoch: Instant) -> Result<Fleet, StartError> {
    let fingerprint = certificate();
    let mut workers = Vec::new();
    for number in 0..config.workers {
        let id = WorkerId(number);
        let port = if config.port == 0 { 0 } else { config.port.saturating_add(number) };
        let at = |ips: &[IpAddr]| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let (handle, mailbox) = inbox().map_err(|e| failed(port, &e))?;
        let report = ReportSlot::default();
        spawn(id, at(&addresses.bound), epoch, mailbox, events.clone(), report.clone()).map_err(|e| failed(port, &e))?;
        workers.push(Worker { id, inbox: handle, report, candidates: at(&addresses.announced) });
    }
    Ok(Fleet { workers, fingerprint })
}

fn failed(port: u16, error: &io::Error) -> StartError {
    StartError {
        what: format!("cannot start media on UDP port {port}: {error}"),
        advice: "choose other ports with `--set media.port=PORT`, or other addresses with `--set media.bind=ADDRESS`".into(),
    }
}

/// The SHA-256 of the certificate that the workers show.
fn certificate() -> String {
    let bytes = crate::control::draw::bytes::<32>();
    bytes.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

/// The seam to the media plane: a thread that takes its commands and forwards nothing.
fn spawn(id: WorkerId, _addresses: Vec<SocketAddr>, _epoch: Instant, inbox: Inbox, _events: EventSender, _report: ReportSlot) -> io::Result<()> {
    let take = move || {
        loop {
            let _ = poll(&mut [PollFd::from_borrowed_fd(inbox.wake_fd(), PollFlags::IN)], None);
            inbox.clear_wake();
            loop {
                match inbox.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    };
    std::thread::Builder::new().name(format!("media-{id}")).spawn(take).map(|_| ())
}
