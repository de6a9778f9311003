//! UDP in batches: `recvmmsg` into fixed slots, `sendmmsg` from the outgoing arena.
//!
//! `unsafe` is here because neither call has a safe wrapper that keeps its buffers between calls; every
//! pointer handed to the kernel points into memory that `self` owns for the whole call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::contract::{Counter, Counters};
use crate::media::outgoing::{Datagram, Outgoing};

/// Datagrams received by one call. More delays the first of a burst, less costs a system call more often.
pub const RECEIVE_BATCH: usize = 32;
/// Bytes of a receive slot: larger than any datagram of a 1,500-byte network.
const SLOT: usize = 2_048;
/// Datagrams sent by one call.
const SEND_BATCH: usize = 64;
/// Kernel buffer of each direction, in bytes: 30 ms at 1 Gbit/s.
const KERNEL_BUFFER: usize = 4 << 20;

/// Binds a non-blocking UDP socket with large kernel buffers.
pub fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Refused beyond the system's maximum (net.core.rmem_max): then the largest allowed is taken.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Receive slots, used again for every batch.
pub struct Receiver {
    slots: Box<[[u8; SLOT]]>,
    addresses: Box<[libc::sockaddr_storage]>,
    lengths: [(usize, bool); RECEIVE_BATCH],
}

impl Receiver {
    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.addresses)
    }

    /// Slots for one batch.
    pub fn new() -> Self {
        // SAFETY: an all-zero sockaddr_storage is a valid value of that plain C struct.
        let empty: libc::sockaddr_storage = unsafe { zeroed() };
        Self {
            slots: vec![[0; SLOT]; RECEIVE_BATCH].into_boxed_slice(),
            addresses: vec![empty; RECEIVE_BATCH].into_boxed_slice(),
            lengths: [(0, false); RECEIVE_BATCH],
        }
    }

    /// Receives up to [`RECEIVE_BATCH`] datagrams without waiting. Zero when none waits.
    pub fn receive(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let mut vectors: [MaybeUninit<libc::iovec>; RECEIVE_BATCH] = [MaybeUninit::uninit(); RECEIVE_BATCH];
        // SAFETY: an all-zero mmsghdr is a valid value of that plain C struct (null pointers, zero lengths).
        let mut headers: [libc::mmsghdr; RECEIVE_BATCH] = unsafe { zeroed() };
        for (index, header) in headers.iter_mut().enumerate() {
            let vector = vectors[index].write(libc::iovec { iov_base: self.slots[index].as_mut_ptr().cast(), iov_len: SLOT });
            header.msg_hdr.msg_name = (&raw mut self.addresses[index]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each header points to one slot, one address and one vector, all alive until the call returns.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), RECEIVE_BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        if received < 0 {
            let error = io::Error::last_os_error();
            return if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) { Ok(0) } else { Err(error) };
        }
        for (length, header) in self.lengths.iter_mut().zip(&headers).take(received as usize) {
            *length = (header.msg_len as usize, header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0);
        }
        Ok(received as usize)
    }

    /// The `index`-th datagram of the last batch and its source; `None` when it was longer than a slot.
    pub fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let (length, truncated) = self.lengths[index];
        let from = socket_address(&self.addresses[index])?;
        (!truncated).then_some((from, &mut self.slots[index][..length]))
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends every datagram of the arena. What a socket refuses is dropped and counted: media is late or lost, never queued.
pub fn send(sockets: &[OwnedFd], out: &Outgoing, counters: &mut Counters) {
    let mut rest = out.datagrams();
    while let Some(first) = rest.first() {
        let local = first.path.local;
        let run = rest.iter().take(SEND_BATCH).take_while(|d| d.path.local == local).count();
        let (batch, after) = rest.split_at(run);
        if let Some(socket) = sockets.get(usize::from(local)) {
            send_batch(socket.as_raw_fd(), batch, out, counters);
        }
        rest = after;
    }
}

fn send_batch(socket: RawFd, batch: &[Datagram], out: &Outgoing, counters: &mut Counters) {
    // SAFETY: all-zero values of these plain C structs are valid.
    let (mut headers, mut vectors, mut addresses): ([libc::mmsghdr; SEND_BATCH], [libc::iovec; SEND_BATCH], [libc::sockaddr_in6; SEND_BATCH]) =
        unsafe { (zeroed(), zeroed(), zeroed()) };
    let mut bytes = 0;
    for (index, datagram) in batch.iter().enumerate() {
        let payload = out.payload(datagram);
        bytes += payload.len();
        vectors[index] = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        let length = write_address(datagram.path.remote, &mut addresses[index]);
        let header = &mut headers[index].msg_hdr;
        header.msg_name = (&raw mut addresses[index]).cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
    }
    let mut done = 0;
    while done < batch.len() {
        // SAFETY: headers[done..batch.len()] point to vectors, addresses and arena bytes that outlive the call; the kernel only reads them.
        let sent = unsafe { libc::sendmmsg(socket, headers.as_mut_ptr().add(done), (batch.len() - done) as u32, libc::MSG_DONTWAIT) };
        if sent > 0 {
            done += sent as usize;
            continue;
        }
        match io::Error::last_os_error().kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => {
                counters.add_many(Counter::DropSocketFull, (batch.len() - done) as u64);
                bytes -= batch[done..].iter().map(|d| d.len).sum::<usize>();
                counters.add_many(Counter::DatagramsOut, done as u64);
                counters.add_many(Counter::BytesOut, bytes as u64);
                return;
            }
            // One destination that cannot be reached must not stop the others.
            _ => {
                counters.add(Counter::DropSocketError);
                done += 1;
            }
        }
    }
    counters.add_many(Counter::DatagramsOut, batch.len() as u64);
    counters.add_many(Counter::BytesOut, bytes as u64);
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in, which is smaller and less aligned.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            Some(SocketAddrV4::new(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)), u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6, which is smaller and less aligned.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            Some(SocketAddrV6::new(Ipv6Addr::from(address.sin6_addr.s6_addr), u16::from_be(address.sin6_port), 0, address.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn write_address(address: SocketAddr, target: &mut libc::sockaddr_in6) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: sockaddr_in is smaller and less aligned than sockaddr_in6, and every bit pattern of it is valid.
            let target = unsafe { &mut *(&raw mut *target).cast::<libc::sockaddr_in>() };
            target.sin_family = libc::AF_INET as libc::sa_family_t;
            target.sin_port = v4.port().to_be();
            target.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            target.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            target.sin6_port = v6.port().to_be();
            target.sin6_addr.s6_addr = v6.ip().octets();
            target.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::transport::Path;

    fn local_address(socket: &OwnedFd) -> SocketAddr {
        rustix::net::getsockname(socket).expect("bound").try_into().expect("an internet address")
    }

    fn round_trip(address: &str) {
        let (a, b) = (bind(address.parse().expect("address")).expect("bind"), bind(address.parse().expect("address")).expect("bind"));
        let (to, from) = (local_address(&b), local_address(&a));
        let mut out = Outgoing::new(64 * 1_500, 100);
        for n in 0..40u8 {
            assert!(out.push(Path { local: 0, remote: to }, &[n; 100]));
        }
        let mut counters = Counters::default();
        send(&[a], &out, &mut counters);
        assert_eq!((counters.get(Counter::DatagramsOut), counters.get(Counter::BytesOut)), (40, 4_000));
        let mut receiver = Receiver::new();
        let mut next = 0;
        while next < 40 {
            for index in 0..receiver.receive(&b).expect("receive") {
                let (source, bytes) = receiver.datagram(index).expect("whole");
                assert_eq!((source, &bytes[..]), (from, &[next; 100][..]));
                next += 1;
            }
        }
        assert_eq!(receiver.receive(&b).expect("receive"), 0);
    }

    #[test]
    fn batches_arrive_whole_and_in_order_over_ipv4() {
        round_trip("127.0.0.1:0");
    }

    #[test]
    fn batches_arrive_whole_and_in_order_over_ipv6() {
        if bind("[::1]:0".parse().expect("address")).is_err() {
            eprintln!("SKIPPED: this machine has no IPv6 loopback");
            return;
        }
        round_trip("[::1]:0");
    }

    #[test]
    fn an_unreachable_destination_does_not_stop_the_others() {
        let (a, b) = (bind("127.0.0.1:0".parse().expect("address")).expect("bind"), bind("127.0.0.1:0".parse().expect("address")).expect("bind"));
        let mut out = Outgoing::new(64 * 1_500, 100);
        out.push(Path { local: 0, remote: "255.255.255.255:9".parse().expect("address") }, &[1; 10]);
        out.push(Path { local: 0, remote: local_address(&b) }, &[2; 10]);
        let mut counters = Counters::default();
        send(&[a], &out, &mut counters);
        assert_eq!(counters.get(Counter::DropSocketError), 1);
        let mut receiver = Receiver::new();
        assert_eq!(receiver.receive(&b).expect("receive"), 1);
    }
}
