//! UDP in batches: sockets here, [`receive`] and [`send`] below.

mod address;
mod receive;
mod send;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub use receive::{RECEIVE_BATCH, Receiver};
pub use send::{Sender, Sockets};

/// Kernel buffer of each direction, in bytes: 30 ms at 1 Gbit/s.
const KERNEL_BUFFER: usize = 4 << 20;
/// The same of an allocation of a relay: 30 ms at 130 Mbit/s.
const RELAYED_BUFFER: usize = 512 << 10;

/// Binds a non-blocking UDP socket with large kernel buffers.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    bind_as(address, false)
}

/// The same for a port that several sockets share: the kernel deals datagrams out by their 5-tuple (SO_REUSEPORT).
///
/// # Errors
/// What the system says.
pub fn bind_shared(address: SocketAddr) -> io::Result<OwnedFd> {
    bind_as(address, true)
}

/// The same for one allocation of a relay, which has less to hold.
///
/// # Errors
/// What the system says.
pub fn bind_relayed(address: SocketAddr) -> io::Result<OwnedFd> {
    bind_with(address, false, RELAYED_BUFFER)
}

/// Kernel buffers of a media socket, in bytes: what is wanted of both directions, what the kernel gives to receive and to send.
///
/// # Errors
/// What the system says.
pub fn kernel_buffers() -> io::Result<(usize, usize, usize)> {
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let socket = SockRef::from(&socket);
    // The kernel says twice what it was asked for: half is for its own records (socket(7)).
    Ok((KERNEL_BUFFER, socket.recv_buffer_size()? / 2, socket.send_buffer_size()? / 2))
}

/// Sends one datagram at once, beside whatever else the socket sends.
///
/// # Errors
/// What the system says.
pub fn send_now(socket: &OwnedFd, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
    rustix::net::sendto(socket, datagram, rustix::net::SendFlags::DONTWAIT, &to)?;
    Ok(())
}

fn bind_as(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    bind_with(address, shared, KERNEL_BUFFER)
}

fn bind_with(address: SocketAddr, shared: bool, buffer: usize) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(shared)?;
    options::large_buffers(&socket, buffer);
    options::never_fragment(&socket, address.is_ipv6(), true);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asks the kernel to hand over runs of datagrams as one message (UDP_GRO); whether it does.
pub fn receive_runs(socket: &OwnedFd) -> bool {
    options::set(socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok()
}

/// Whether the kernel takes runs of datagrams as one message (UDP_SEGMENT) on this socket.
fn segments(socket: &OwnedFd) -> bool {
    options::set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

mod options;

#[cfg(test)]
mod tests;
