//! Where datagrams come from and go to.

use std::net::SocketAddr;

/// A way between us and a peer: one of our sockets and the peer's address as that socket sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The number of the local socket.
    pub local: u32,
    /// The peer's address.
    pub remote: SocketAddr,
}
