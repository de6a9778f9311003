//! Streams that another listener has accepted and a worker goes on with: their handshake is done, what comes next is the relay's.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustls::ServerConnection;

/// Streams that may wait for one worker: a handshake is dear, and a worker takes half as many in one turn.
pub const STREAMS: usize = 64;

/// A stream sealed by TLS, whose first bytes may have been opened already: they are still to be read from `tls`.
pub struct SealedStream {
    /// The socket, which does not block.
    pub socket: OwnedFd,
    /// The other end, in canonical form.
    pub remote: SocketAddr,
    /// The connection, after its handshake.
    pub tls: Box<ServerConnection>,
}
