//! Receiving in batches: `recvmmsg` into fixed slots, runs of datagrams that the kernel has put together (UDP_GRO) taken apart.
//!
//! `unsafe` is here because the call has no safe wrapper that keeps its buffers between calls; every pointer handed to
//! the kernel points into memory that `self` owns for the whole call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use super::address;

/// Messages received by one call. More delays the first of a burst, less costs a system call more often.
pub const RECEIVE_BATCH: usize = 32;
/// Bytes of a slot without GRO: larger than any datagram of a 1,500-byte network.
const SLOT: usize = 2_048;
/// Bytes of a slot with GRO: the longest run, and a little that keeps slots from falling into the same lines of the cache.
const RUN_SLOT: usize = 65_536 + 2_048 + 64;
/// Datagrams of one batch at most: the kernel puts at most 64 together.
const MOST_DATAGRAMS: usize = RECEIVE_BATCH * 64;

/// Receive slots, used again for every batch.
pub struct Receiver {
    slot: usize,
    slots: Box<[u8]>,
    sources: [libc::sockaddr_in6; RECEIVE_BATCH],
    datagrams: Vec<Received>,
    batch: usize,
}

/// A datagram of the last batch.
#[derive(Clone, Copy)]
struct Received {
    message: u32,
    start: u32,
    /// In bytes; `None` when it was longer than its slot.
    len: Option<u32>,
}

/// Space for the one control message that we ask for: the length of a run's datagrams.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

impl Receiver {
    /// Slots for one batch. `runs`: whether any of the sockets has GRO on.
    pub fn new(runs: bool) -> Self {
        let slot = if runs { RUN_SLOT } else { SLOT };
        // SAFETY: an all-zero sockaddr_in6 is a valid value of that plain C struct.
        let empty: libc::sockaddr_in6 = unsafe { zeroed() };
        Self {
            slot,
            slots: vec![0; slot * RECEIVE_BATCH].into_boxed_slice(),
            sources: [empty; RECEIVE_BATCH],
            datagrams: Vec::with_capacity(if runs { MOST_DATAGRAMS } else { RECEIVE_BATCH }),
            batch: RECEIVE_BATCH,
        }
    }

    /// The same with smaller batches: benches look at ticks of one packet.
    pub fn with_batch(mut self, messages: usize) -> Self {
        self.batch = messages.clamp(1, RECEIVE_BATCH);
        self
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.slots.len() + size_of_val(&self.sources) + self.datagrams.capacity() * size_of::<Received>()
    }

    /// Messages of a full batch.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// Receives what waits, up to a batch, without waiting; returns how many datagrams.
    ///
    /// # Errors
    /// What the socket says; often about a datagram that was sent before.
    pub fn receive(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        self.receive_at_most(self.batch, socket)
    }

    /// The same with fewer messages: each costs a little to prepare, also where nothing waits.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn receive_at_most(&mut self, messages: usize, socket: &OwnedFd) -> io::Result<usize> {
        let messages = messages.min(RECEIVE_BATCH);
        self.datagrams.clear();
        let mut vectors: [MaybeUninit<libc::iovec>; RECEIVE_BATCH] = [const { MaybeUninit::uninit() }; RECEIVE_BATCH];
        let mut headers: [MaybeUninit<libc::mmsghdr>; RECEIVE_BATCH] = [const { MaybeUninit::uninit() }; RECEIVE_BATCH];
        let mut controls: [MaybeUninit<Control>; RECEIVE_BATCH] = [const { MaybeUninit::uninit() }; RECEIVE_BATCH];
        for index in 0..messages {
            let vector = vectors[index].write(libc::iovec { iov_base: self.slots[index * self.slot..].as_mut_ptr().cast(), iov_len: self.slot });
            // SAFETY: an all-zero mmsghdr is a valid value of that plain C struct (null pointers, zero lengths).
            let header = headers[index].write(unsafe { zeroed() });
            header.msg_hdr.msg_name = (&raw mut self.sources[index]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = controls[index].as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        // SAFETY: each of the first `messages` headers points to one slot, one address and one control buffer, all alive until the call returns.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), messages as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        if received < 0 {
            let error = io::Error::last_os_error();
            return if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) { Ok(0) } else { Err(error) };
        }
        for (index, header) in headers.iter().enumerate().take(received as usize) {
            // SAFETY: the first `messages` headers were written above, and the kernel has filled in the first `received` of them.
            let header = unsafe { header.assume_init_ref() };
            self.take_apart(index, header);
        }
        Ok(self.datagrams.len())
    }

    /// The `index`-th datagram of the last batch and its source; `None` when it was longer than a slot.
    pub fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let Received { message, start, len } = *self.datagrams.get(index)?;
        let (message, start, len) = (message as usize, start as usize, len? as usize);
        let from = address::read(&self.sources[message])?;
        let begin = message * self.slot + start;
        Some((from, &mut self.slots[begin..begin + len]))
    }

    fn take_apart(&mut self, index: usize, header: &libc::mmsghdr) {
        let message = index as u32;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return self.datagrams.push(Received { message, start: 0, len: None });
        }
        let whole = header.msg_len;
        let step = segment_length(&header.msg_hdr).filter(|step| *step > 0).unwrap_or(whole.max(1));
        let mut start = 0;
        // An empty datagram is one, too.
        loop {
            if self.datagrams.len() == self.datagrams.capacity() {
                return;
            }
            self.datagrams.push(Received { message, start, len: Some(step.min(whole - start)) });
            start += step;
            if start >= whole {
                return;
            }
        }
    }
}

/// The length of each datagram in a run that the kernel has put together.
fn segment_length(header: &libc::msghdr) -> Option<u32> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the kernel has filled the control buffer, which is still alive, and set its length; these functions walk it by the book.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while !next.is_null() {
            if (*next).cmsg_level == libc::SOL_UDP && (*next).cmsg_type == libc::UDP_GRO {
                let length = libc::CMSG_DATA(next).cast::<libc::c_int>().read_unaligned();
                return u32::try_from(length).ok();
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    None
}
