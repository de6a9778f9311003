//! The relay behind TLS at the port of the pages: networks that let nothing but port 443 through let it through, too.
//!
//! Only the handshake is made here. What is relayed goes through a worker from its first byte on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::port::{SealedStream, WorkerHandle};

/// The workers, each with its part of the relay.
#[derive(Clone)]
pub struct Beside {
    workers: Arc<[WorkerHandle]>,
    next: Arc<AtomicUsize>,
}

impl Beside {
    /// With these workers.
    pub fn new(workers: Vec<WorkerHandle>) -> Self {
        Self { workers: workers.into(), next: Arc::default() }
    }

    /// Whether this is how a request to a relay begins: methods of STUN and TURN are below 0x80 and a request's class is zero, so that the first
    /// byte is (RFC 8489 section 5). Requests by HTTP begin with a letter.
    pub const fn begins_with(first: u8) -> bool {
        first == 0
    }

    /// Gives a stream to the next worker, with what has been read of it; none where that has too many waiting, and the stream is closed.
    pub fn hand_over(&self, stream: TlsStream<TcpStream>, from: SocketAddr) -> Option<()> {
        let (socket, tls) = stream.into_inner();
        let remote = SocketAddr::new(from.ip().to_canonical(), from.port());
        let stream = SealedStream { socket: socket.into_std().ok()?.into(), remote, tls: Box::new(tls) };
        let worker = self.workers.get(self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len().max(1))?;
        worker.hand_over(stream).ok()
    }
}
