//! Whoever receives on loopback: one socket for all subscribers, read by a thread of its own, and one for a subscriber in the
//! middle, of whose packets the kernel notes when they came.
#![allow(unsafe_code, reason = "it asks the kernel for the time of arrival, which no safe wrapper returns")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A socket that is read, and nothing done with it.
pub struct Sink {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Reads until it is dropped.
    pub fn begin() -> Self {
        let socket = bind("0.0.0.0:40000".parse().expect("an address"));
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            super::measure::pin(0);
            let mut bytes = [0; 2_048];
            while !stopped.load(Ordering::Relaxed) {
                let _ = socket.recv(&mut bytes);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One subscriber's socket: sequence numbers and times of arrival, kept by the kernel until they are read.
pub struct Watch {
    socket: UdpSocket,
}

impl Watch {
    /// At a subscriber's address.
    pub fn at(address: SocketAddr) -> Self {
        let socket = bind(address);
        socket.set_nonblocking(true).expect("non-blocking");
        let on: libc::c_int = 1;
        // SAFETY: the pointer is to a number that outlives the call.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, (&raw const on).cast(), 4) };
        Self { socket }
    }

    /// All that waits: sequence number, and nanoseconds since 1970 at arrival.
    pub fn take(&self) -> Vec<(u16, u64)> {
        let mut all = Vec::new();
        let (mut bytes, mut control) = ([0_u8; 2_048], [0_u64; 16]);
        loop {
            let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            // SAFETY: an all-zero msghdr is valid; what it points to outlives the call, and the control walk goes by the book.
            unsafe {
                let mut message: libc::msghdr = zeroed();
                message.msg_iov = &raw mut vector;
                message.msg_iovlen = 1;
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = size_of_val(&control);
                if libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) < 0 {
                    assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::WouldBlock);
                    return all;
                }
                let mut next = libc::CMSG_FIRSTHDR(&raw const message);
                while !next.is_null() {
                    if (*next).cmsg_type == libc::SCM_TIMESTAMPNS {
                        let mut at: libc::timespec = zeroed();
                        ptr::copy_nonoverlapping(libc::CMSG_DATA(next), (&raw mut at).cast(), size_of::<libc::timespec>());
                        let is_rtp = bytes[0] & 0xC0 == 0x80 && !(192..=223).contains(&bytes[1]);
                        if is_rtp {
                            all.push((u16::from_be_bytes([bytes[2], bytes[3]]), at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64));
                        }
                    }
                    next = libc::CMSG_NXTHDR(&raw const message, next);
                }
            }
        }
    }
}

/// A socket with a large buffer that may stand beside another on its port.
fn bind(address: SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    let size: libc::c_int = 32 << 20;
    // SAFETY: the pointer is to a number that outlives the call.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const size).cast(), 4) };
    socket.bind(&address.into()).expect("the address is free");
    socket.into()
}

/// Of these values, the one below which `share` of them lie.
pub fn percentile(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    let at = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(at).map_or(f64::NAN, |value| *value as f64)
}
