//! Sending in batches: `sendmmsg` from the outgoing arena, equal datagrams to one address as one run (UDP_SEGMENT).
//!
//! `unsafe` is here because the call has no safe wrapper that takes many messages from one arena; every pointer handed to
//! the kernel points into the arena or to the stack of the function that makes the call.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::{address, options};
use crate::base::outgoing::{Datagram, Outgoing};
use crate::contract::{Counter, Counters};

/// Messages sent by one call.
const SEND_BATCH: usize = 64;
/// Datagrams of one run at most. Past eight a run saves little more (541, 296, 189 ns each at 2, 4, 8), and it leaves as one burst.
const MOST_SEGMENTS: usize = 16;
/// Bytes of one run at most: what fits into one IP packet.
const MOST_RUN_BYTES: usize = 65_000;
/// After so many runs that the kernel has refused, a socket sends one by one.
const MOST_REFUSALS: u32 = 8;

/// Sends arenas; knows of each socket whether it takes runs.
pub struct Sender {
    ways: Vec<Way>,
}

struct Way {
    segments: bool,
    refusals: u32,
}

impl Way {
    fn of(socket: &OwnedFd) -> Self {
        Self { segments: super::segments(socket), refusals: 0 }
    }
}

/// Sockets by their number.
pub trait Sockets {
    /// The socket of this number, if it is open.
    fn socket(&self, number: usize) -> Option<&OwnedFd>;
}

impl Sockets for [OwnedFd] {
    fn socket(&self, number: usize) -> Option<&OwnedFd> {
        self.get(number)
    }
}

impl Sockets for [Option<OwnedFd>] {
    fn socket(&self, number: usize) -> Option<&OwnedFd> {
        self.get(number)?.as_ref()
    }
}

/// How one message ended.
enum Fate {
    Sent(usize),
    /// The socket is full.
    Full,
    /// Nothing in the message is wrong but that it is a run.
    Refused {
        for_good: bool,
    },
    /// Longer than the path to its destination allows.
    TooLong,
    /// This destination cannot be reached.
    Failed,
}

impl Sender {
    /// A sender for these sockets, numbered as they are. Asks each of them whether it takes runs.
    pub fn new(sockets: &[OwnedFd]) -> Self {
        Self { ways: sockets.iter().map(Way::of).collect() }
    }

    /// A socket has been opened and has this number: asks it whether it takes runs.
    pub fn learn(&mut self, number: usize, socket: &OwnedFd) {
        if self.ways.len() <= number {
            self.ways.resize_with(number + 1, || Way { segments: false, refusals: 0 });
        }
        self.ways[number] = Way::of(socket);
    }

    /// The same without runs: a bench shows what they save.
    pub fn without_runs(mut self) -> Self {
        self.ways.iter_mut().for_each(|way| way.segments = false);
        self
    }

    /// Whether the socket takes runs.
    pub fn takes_runs(&self, local: u32) -> bool {
        self.ways.get(local as usize).is_some_and(|way| way.segments)
    }

    /// Sends every datagram of the arena.
    ///
    /// What a full socket refuses is dropped where the arena says that it may be (media is late or lost, never queued: the newest goes),
    /// else copied into `held` to be offered again. Both are counted, and so is what cannot be sent at all.
    pub fn send(&mut self, sockets: &(impl Sockets + ?Sized), out: &Outgoing, held: &mut Outgoing, counters: &mut Counters) {
        let mut rest = out.datagrams();
        while let Some(first) = rest.first() {
            let local = first.path.local;
            let same = rest.iter().take_while(|d| d.path.local == local).count();
            let (batch, after) = rest.split_at(same);
            let number = local as usize;
            if let (Some(socket), Some(way)) = (sockets.socket(number), self.ways.get_mut(number)) {
                let done = send_all(socket, way, batch, out, counters);
                keep_or_drop(&batch[done..], out, held, counters);
            }
            rest = after;
        }
    }
}

/// Sends until the socket is full; how many datagrams it has taken (or can never take).
fn send_all(socket: &OwnedFd, way: &mut Way, datagrams: &[Datagram], out: &Outgoing, counters: &mut Counters) -> usize {
    let mut batch = Batch::new();
    let mut done = 0;
    // While a refused run is sent one by one: where it ends.
    let mut singly_until = 0_usize;
    while done < datagrams.len() {
        batch.fill(&datagrams[done..], out, way.segments.then(|| singly_until.saturating_sub(done)));
        let mut message = 0;
        while message < batch.len {
            counters.add(Counter::SendCalls);
            match batch.send(socket.as_raw_fd(), message) {
                Fate::Sent(sent) => {
                    let (datagrams_sent, bytes) = batch.count(message, sent, &datagrams[done..]);
                    counters.add_many(Counter::DatagramsOut, datagrams_sent);
                    counters.add_many(Counter::BytesOut, bytes);
                    counters.add_many(Counter::MessagesOut, sent as u64);
                    message += sent;
                }
                Fate::Full => return done + batch.begins(message),
                Fate::Refused { for_good } => {
                    counters.add(Counter::RunRefused);
                    way.refusals += 1;
                    way.segments &= !for_good && way.refusals < MOST_REFUSALS;
                    singly_until = done + batch.begins(message + 1);
                    break;
                }
                // The way there is narrower than usual (a tunnel): the kernel shall cut it in pieces.
                Fate::TooLong => {
                    let ipv6 = datagrams[done + batch.begins(message)].path.remote.is_ipv6();
                    options::never_fragment(socket, ipv6, false);
                    let again = batch.send_one(socket.as_raw_fd(), message);
                    options::never_fragment(socket, ipv6, true);
                    let one = &datagrams[done + batch.begins(message)];
                    if again {
                        counters.add(Counter::Fragmented);
                        counters.add(Counter::DatagramsOut);
                        counters.add(Counter::MessagesOut);
                        counters.add_many(Counter::BytesOut, one.len as u64);
                    } else {
                        counters.add(Counter::DropSocketError);
                    }
                    message += 1;
                }
                // One destination that cannot be reached must not stop the others.
                Fate::Failed => {
                    counters.add_many(Counter::DropSocketError, (batch.begins(message + 1) - batch.begins(message)) as u64);
                    message += 1;
                }
            }
        }
        done += batch.begins(message);
    }
    done
}

fn keep_or_drop(refused: &[Datagram], out: &Outgoing, held: &mut Outgoing, counters: &mut Counters) {
    for datagram in refused {
        if out.is_droppable() {
            counters.add(Counter::DropSocketFull);
        } else if held.push(datagram.path, out.payload(datagram)) {
            counters.add(Counter::HeldSocketFull);
        } else {
            counters.add(Counter::DropReply);
        }
    }
}

/// Whether `next` may follow in the run that `first` begins, whose last datagram is `last`.
fn extends(first: &Datagram, last: &Datagram, next: &Datagram, count: usize) -> bool {
    // All but the last are of one length; the last may be shorter.
    last.len == first.len
        && next.len <= first.len
        && count < MOST_SEGMENTS
        && first.len * count + next.len <= MOST_RUN_BYTES
        && next.path.remote == first.path.remote
}

/// The control message that makes a message a run: the length of its datagrams.
#[repr(C)]
struct Segments {
    header: libc::cmsghdr,
    length: u16,
    padding: [u8; 6],
}

/// The messages of one call, and what they point to. Only the first `len` places are ever read.
struct Batch {
    headers: [MaybeUninit<libc::mmsghdr>; SEND_BATCH],
    vectors: [MaybeUninit<libc::iovec>; SEND_BATCH],
    addresses: [MaybeUninit<libc::sockaddr_in6>; SEND_BATCH],
    controls: [MaybeUninit<Segments>; SEND_BATCH],
    /// With which datagram each message begins, and the last one ends.
    begins: [u32; SEND_BATCH + 1],
    len: usize,
}

impl Batch {
    fn new() -> Self {
        Self {
            headers: [const { MaybeUninit::uninit() }; SEND_BATCH],
            vectors: [const { MaybeUninit::uninit() }; SEND_BATCH],
            addresses: [const { MaybeUninit::uninit() }; SEND_BATCH],
            controls: [const { MaybeUninit::uninit() }; SEND_BATCH],
            begins: [0; SEND_BATCH + 1],
            len: 0,
        }
    }

    /// Takes datagrams from the front, in runs after the first `singly` of them; `None`: no runs at all.
    fn fill(&mut self, datagrams: &[Datagram], out: &Outgoing, singly: Option<usize>) {
        self.len = 0;
        let mut at = 0;
        while let Some(first) = datagrams.get(at).filter(|_| self.len < SEND_BATCH) {
            let mut count = 1;
            if singly.is_some_and(|until| at >= until) {
                while datagrams.get(at + count).is_some_and(|next| extends(first, &datagrams[at + count - 1], next, count)) {
                    count += 1;
                }
            }
            let last = &datagrams[at + count - 1];
            self.write(first, &out.bytes()[first.start..last.start + last.len], count > 1);
            at += count;
            self.begins[self.len] = at as u32;
        }
    }

    fn write(&mut self, first: &Datagram, bytes: &[u8], run: bool) {
        let index = self.len;
        let name = &mut self.addresses[index];
        let name_length = address::write(first.path.remote, name);
        let vector = self.vectors[index].write(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        // SAFETY: an all-zero mmsghdr is a valid value of that plain C struct.
        let header = &mut self.headers[index].write(unsafe { zeroed() }).msg_hdr;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = name_length;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        if run {
            // SAFETY: an all-zero cmsghdr is a valid value of that plain C struct.
            let mut announcement: libc::cmsghdr = unsafe { zeroed() };
            // SAFETY: CMSG_LEN only computes.
            announcement.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as _;
            announcement.cmsg_level = libc::SOL_UDP;
            announcement.cmsg_type = libc::UDP_SEGMENT;
            let control = self.controls[index].write(Segments { header: announcement, length: first.len as u16, padding: [0; 6] });
            header.msg_control = (&raw mut *control).cast();
            header.msg_controllen = size_of::<Segments>();
        }
        self.len += 1;
        self.begins[self.len] = self.begins[index];
    }

    /// The datagram that a message begins with, counted from the first of the batch.
    fn begins(&self, message: usize) -> usize {
        self.begins[message] as usize
    }

    /// Datagrams and bytes of `count` messages from `message` on.
    fn count(&self, message: usize, count: usize, datagrams: &[Datagram]) -> (u64, u64) {
        let sent = &datagrams[self.begins(message)..self.begins(message + count)];
        (sent.len() as u64, sent.iter().map(|d| d.len as u64).sum())
    }

    fn send(&mut self, socket: RawFd, from: usize) -> Fate {
        let rest = self.headers[from..self.len].as_mut_ptr().cast::<libc::mmsghdr>();
        // SAFETY: the headers from `from` to `len` were written by `fill` and point to vectors, addresses, controls of `self` and to arena
        // bytes, which all outlive the call and have not moved since; the kernel only reads what they point to.
        let sent = unsafe { libc::sendmmsg(socket, rest, (self.len - from) as u32, libc::MSG_DONTWAIT) };
        if sent > 0 {
            return Fate::Sent(sent as usize);
        }
        let error = io::Error::last_os_error();
        let run = self.begins(from + 1) - self.begins(from) > 1;
        match error.raw_os_error() {
            Some(libc::EINTR) => Fate::Sent(0),
            Some(libc::EAGAIN | libc::ENOBUFS) => Fate::Full,
            // No checksum offload on the way out, or a kernel without it: never again. Too long for the path: this one singly.
            Some(libc::EIO | libc::ENOPROTOOPT | libc::EOPNOTSUPP) if run => Fate::Refused { for_good: true },
            Some(libc::EINVAL | libc::EMSGSIZE) if run => Fate::Refused { for_good: false },
            Some(libc::EMSGSIZE) => Fate::TooLong,
            _ => Fate::Failed,
        }
    }

    /// Sends one message alone; whether it was taken.
    fn send_one(&mut self, socket: RawFd, message: usize) -> bool {
        // SAFETY: as in `send`.
        unsafe { libc::sendmmsg(socket, self.headers[message..self.len].as_mut_ptr().cast(), 1, libc::MSG_DONTWAIT) == 1 }
    }
}
