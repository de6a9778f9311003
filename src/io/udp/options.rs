//! Socket options that no library knows.
//!
//! `unsafe` is here for `setsockopt` alone.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use socket2::Socket;

/// Sets an option that takes a number.
///
/// # Errors
/// What the system says: the option is unknown, or a privilege is missing.
pub fn set(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to a number that outlives the call, and the length is its own.
    let done = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes both kernel buffers `bytes` large: beyond the system's maximum (net.core.rmem_max, wmem_max) where the process may, else as
/// large as that allows.
pub fn large_buffers(socket: &Socket, bytes: usize) {
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes as libc::c_int).is_err() {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    if set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes as libc::c_int).is_err() {
        let _ = socket.set_send_buffer_size(bytes);
    }
}

/// Whether the kernel may cut a datagram in pieces that is longer than the path to its destination allows.
///
/// Where it may not, it need not number datagrams either, which is dear (6 % of a forward to a thousand addresses); the packets on
/// the wire are the same.
pub fn never_fragment(socket: &impl AsFd, ipv6: bool, never: bool) {
    let (level, option) = if ipv6 { (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER) } else { (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER) };
    // Both families have the same values. A kernel without the option goes on as it is.
    let _ = set(socket, level, option, if never { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_WANT });
}
