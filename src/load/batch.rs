//! Receiving in batches: `recvmmsg` with what the kernel says beside the bytes, the segment size (UDP_GRO) and the time of arrival.
//!
//! `unsafe` is here because the call has no safe wrapper that keeps its buffers between calls and reads control messages;
//! every pointer handed to the kernel points into memory that `self` owns for the whole call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

/// Messages received by one call. A client's socket seldom holds more between two turns; less would cost more calls.
pub const BATCH: usize = 16;
/// Bytes of a message: the most that the kernel puts together.
const SLOT: usize = 65_536;
/// Room for the two control messages, aligned as the kernel wants it.
const CONTROL: usize = 8;
/// Kernel buffer for what comes, in bytes: half a second of 10 Mbit/s with the kernel's own overhead.
const KERNEL_BUFFER: usize = 1 << 20;

/// A UDP socket on an address of the family of `peer`, connected to it, that says when packets arrived.
///
/// # Errors
/// When the system has no socket left or there is no way to the address.
pub fn open(peer: SocketAddr, merged: bool) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Refused beyond the system's maximum (net.core.rmem_max): then the largest allowed is taken.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    let on: libc::c_int = 1;
    let set = |level: libc::c_int, name: libc::c_int| {
        // SAFETY: the option's value is one int that lives until the call returns.
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t) }
    };
    // Without it the kernel cuts each train into packets again; a kernel that has it not sends single packets anyway.
    if merged {
        set(libc::SOL_UDP, libc::UDP_GRO);
    }
    set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    socket.connect(&peer.into())?;
    Ok(socket.into())
}

/// Receive slots, used again for every batch.
pub struct Batch {
    slots: Box<[u8]>,
    controls: Box<[[u64; CONTROL]; BATCH]>,
    received: [Message; BATCH],
}

/// What is known of a received message.
#[derive(Clone, Copy, Default)]
struct Message {
    len: usize,
    segment: usize,
    /// Nanoseconds of CLOCK_REALTIME; 0 when the kernel did not say.
    arrived: u64,
}

impl Batch {
    /// Slots for one batch.
    pub fn new() -> Self {
        Self { slots: vec![0; SLOT * BATCH].into_boxed_slice(), controls: Box::new([[0; CONTROL]; BATCH]), received: [Message::default(); BATCH] }
    }

    /// Receives up to [`BATCH`] messages of a connected socket without waiting. Zero when none waits.
    ///
    /// # Errors
    /// What an earlier datagram was answered with (port unreachable), or a socket that is broken.
    pub fn receive(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        // SAFETY: all-zero values of these plain C structs are valid (null pointers, zero lengths).
        let (mut headers, mut vectors): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { (zeroed(), zeroed()) };
        let places = headers.iter_mut().zip(&mut vectors).zip(self.slots.chunks_exact_mut(SLOT)).zip(self.controls.iter_mut());
        for (((header, vector), slot), control) in places {
            *vector = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL]>();
        }
        // SAFETY: each header points to one slot, one vector and one control buffer, all alive until the call returns.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        if received < 0 {
            let error = io::Error::last_os_error();
            return if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) { Ok(0) } else { Err(error) };
        }
        for (message, header) in self.received.iter_mut().zip(&headers).take(received as usize) {
            *message = Message { len: header.msg_len as usize, segment: header.msg_len as usize, arrived: 0 };
            // SAFETY: the kernel has written msg_controllen bytes of well-formed control messages into the buffer that msg_control points to.
            unsafe { message.read_control(&header.msg_hdr) };
        }
        Ok(received as usize)
    }

    /// The datagrams of the `index`-th message of the last batch, and when it arrived (nanoseconds of CLOCK_REALTIME, 0 for unknown).
    pub fn datagrams(&mut self, index: usize) -> (impl Iterator<Item = &mut [u8]>, u64) {
        let Message { len, segment, arrived } = self.received[index];
        (self.slots[index * SLOT..index * SLOT + len].chunks_mut(segment.max(1)), arrived)
    }
}

impl Message {
    /// # Safety
    /// `header` is as `recvmmsg` left it, and its control buffer is alive.
    unsafe fn read_control(&mut self, header: &libc::msghdr) {
        // SAFETY: the macros stay within msg_controllen; what a control message holds is read unaligned, for its type.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(header);
            while !control.is_null() {
                let data = libc::CMSG_DATA(control);
                match ((*control).cmsg_level, (*control).cmsg_type) {
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        self.segment = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).unwrap_or(self.len);
                    }
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                        let at = data.cast::<libc::timespec>().read_unaligned();
                        self.arrived = at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64;
                    }
                    _ => {}
                }
                control = libc::CMSG_NXTHDR(header, control);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` datagrams of `len` bytes as one train, as a server with UDP_SEGMENT does.
    fn send_train(to: SocketAddr, from: &std::net::UdpSocket, len: usize, count: u8) {
        let bytes: Vec<u8> = (0..count).flat_map(|n| vec![n; len]).collect();
        let size = len as libc::c_int;
        // SAFETY: the option's value is one int that lives until the call returns.
        let set = unsafe { libc::setsockopt(from.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const size).cast(), 4) };
        assert_eq!(set, 0, "this kernel has no UDP_SEGMENT");
        from.send_to(&bytes, to).expect("sent");
    }

    #[test]
    fn trains_arrive_as_the_datagrams_that_they_are_of_with_the_time() {
        for merged in [true, false] {
            let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let socket = open(sender.local_addr().expect("bound"), merged).expect("a socket");
            let to = SocketAddr::try_from(rustix::net::getsockname(&socket).expect("bound")).expect("an internet address");
            send_train(to, &sender, 300, 7);
            let mut batch = Batch::new();
            let mut next = 0;
            while next < 7 {
                let received = batch.receive(&socket).expect("received");
                for index in 0..received {
                    let (datagrams, arrived) = batch.datagrams(index);
                    for datagram in datagrams {
                        assert_eq!(datagram, [next; 300]);
                        next += 1;
                    }
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
                    assert!(arrived <= now && now - arrived < 20_000_000_000, "{arrived} {now}");
                }
            }
            assert_eq!(batch.receive(&socket).expect("nothing"), 0);
        }
    }
}
