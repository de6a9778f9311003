//! The bare forwarder: receive, open, for each subscriber rewrite, seal and send, and nothing else. No room, no cache, no
//! repair, no feedback, no report: what is left is what no forwarder can go below on this machine.
#![allow(unsafe_code, reason = "it calls the kernel directly, so that nothing of Althing's own I/O is in the figure")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use althing::contract::SrtpProfile;
use althing::media::transport::{ReceiveStream, SrtpReceiver};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::feed::{KEY, SALT, TRANSPORT_CC};
use super::measure::{Case, Forwarder, Tally};

const BATCH: usize = 32;
const SLOT: usize = 2_048;
const MESSAGES: usize = 64;
const MOST_RUN: usize = 16;
const TAG: usize = 16;
/// The id that subscribers have for the transport-wide number.
const THEIRS: u8 = 5;

/// What is left out, to see what it costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Without {
    /// Nothing: the limit.
    Nothing,
    /// A copy in place of the cipher.
    Crypto,
    /// Nothing is sent.
    Send,
}

struct Publisher {
    port: u16,
    /// Of video and of audio.
    streams: [ReceiveStream; 2],
}

/// What a subscriber needs, side by side.
struct Subscriber {
    key: LessSafeKey,
    address: libc::sockaddr_in,
    ssrc: u32,
    offset: u16,
    transport_cc: u16,
    /// The publisher that it is itself: it gets nothing of that.
    own: Option<u16>,
}

#[derive(Clone, Copy)]
struct Packet {
    slot: usize,
    header: usize,
    end: usize,
    sequence: u16,
    publisher: usize,
}

#[derive(Clone, Copy)]
struct Run {
    subscriber: usize,
    start: usize,
    len: usize,
    segment: usize,
    open: bool,
    count: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: libc::cmsghdr,
    segment: u16,
    padding: [u8; 6],
}

/// The forwarder.
pub struct Bare {
    socket: UdpSocket,
    without: Without,
    batch: usize,
    receiver: SrtpReceiver,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    slots: Vec<u8>,
    sources: Box<[libc::sockaddr_in]>,
    incoming: Vec<libc::mmsghdr>,
    /// The headers point into it.
    _vectors: Box<[libc::iovec]>,
    arena: Vec<u8>,
    used: usize,
    runs: Vec<Run>,
    outgoing: Vec<libc::mmsghdr>,
    out_vectors: Vec<libc::iovec>,
    controls: Vec<Control>,
    tally: Tally,
}

impl Bare {
    /// Ready to forward what comes from `publishers` (in their order) to the case's subscribers.
    pub fn new(case: &Case, publishers: &[SocketAddr], without: Without) -> Self {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            let size: libc::c_int = 32 << 20;
            // SAFETY: the pointer is to a number that outlives the call.
            unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const size).cast(), 4) };
        }
        // No number for each datagram: see `never_fragment` in Althing's own sockets.
        let never: libc::c_int = libc::IP_PMTUDISC_DO;
        // SAFETY: as above.
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, (&raw const never).cast(), 4) };
        let mut slots = vec![0; BATCH * SLOT];
        // SAFETY: all-zero values of these plain C structs are valid.
        let (mut sources, mut control): (Box<[libc::sockaddr_in]>, Control) = unsafe { (vec![zeroed(); BATCH].into(), zeroed()) };
        control.header.cmsg_level = libc::SOL_UDP;
        control.header.cmsg_type = libc::UDP_SEGMENT;
        // SAFETY: CMSG_LEN only computes.
        control.header.cmsg_len = unsafe { libc::CMSG_LEN(2) } as usize;
        let mut vectors: Box<[libc::iovec]> =
            slots.chunks_mut(SLOT).map(|slot| libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT }).collect();
        let incoming = sources.iter_mut().zip(&mut vectors).map(|(source, vector)| message(source, vector)).collect();
        Self {
            socket,
            without,
            batch: case.batch.min(BATCH),
            receiver: SrtpReceiver::new(SrtpProfile::AeadAes128Gcm, &KEY, &SALT).expect("keys"),
            publishers: publishers.iter().map(|p| Publisher { port: p.port(), streams: Default::default() }).collect(),
            subscribers: (0..case.subscribers).map(|i| Subscriber::new(i, case)).collect(),
            slots,
            sources,
            incoming,
            _vectors: vectors,
            arena: vec![0; MESSAGES * 1_500 + 65_536],
            used: 0,
            runs: Vec::with_capacity(MESSAGES),
            // SAFETY: an all-zero mmsghdr is valid.
            outgoing: vec![unsafe { zeroed() }; MESSAGES],
            out_vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; MESSAGES],
            controls: vec![control; MESSAGES],
            tally: Tally::default(),
        }
    }

    fn receive(&mut self) -> usize {
        // SAFETY: the headers point to slots, addresses and vectors that live as long as `self` and have not moved.
        let n =
            unsafe { libc::recvmmsg(self.socket.as_raw_fd(), self.incoming.as_mut_ptr(), self.batch as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
        usize::try_from(n).unwrap_or(0)
    }

    fn open(&mut self, message: usize) -> Option<Packet> {
        let port = u16::from_be(self.sources[message].sin_port);
        let publisher = self.publishers.iter().position(|p| p.port == port)?;
        let slot = message * SLOT;
        let bytes = &mut self.slots[slot..slot + self.incoming[message].msg_len as usize];
        let words = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        let header = 16 + words * 4;
        let (sequence, ssrc) = (u16::from_be_bytes([bytes[2], bytes[3]]), u32::from_be_bytes(bytes[8..12].try_into().ok()?));
        let stream = &mut self.publishers[publisher].streams[ssrc as usize & 1];
        let opened = if self.without == Without::Crypto {
            bytes.len() - header - TAG
        } else {
            self.receiver.open(stream, bytes, header, sequence, ssrc).ok()?.payload_len
        };
        Some(Packet { slot, header, end: header + opened, sequence, publisher })
    }

    fn forward(&mut self, to: usize, packet: &Packet) {
        let len = packet.end + TAG;
        let extends =
            self.runs.last().is_some_and(|r| r.subscriber == to && r.open && r.count < MOST_RUN && len <= r.segment && r.len + len < 65_000);
        if (self.runs.len() == MESSAGES && !extends) || self.used + SLOT > self.arena.len() {
            self.flush();
        }
        let subscriber = &mut self.subscribers[to];
        let source = &self.slots[packet.slot..packet.slot + packet.end];
        let out = &mut self.arena[self.used..self.used + len];
        let sequence = packet.sequence.wrapping_add(subscriber.offset);
        out[..packet.header].copy_from_slice(&source[..packet.header]);
        out[2..4].copy_from_slice(&sequence.to_be_bytes());
        out[8..12].copy_from_slice(&subscriber.ssrc.to_be_bytes());
        out[16] = THEIRS << 4 | (out[16] & 15);
        out[17..19].copy_from_slice(&subscriber.transport_cc.to_be_bytes());
        subscriber.transport_cc = subscriber.transport_cc.wrapping_add(1);
        let (header, rest) = out.split_at_mut(packet.header);
        let plain = &source[packet.header..];
        let (cipher, tag) = rest.split_at_mut(plain.len());
        if self.without == Without::Crypto {
            cipher.copy_from_slice(plain);
        } else {
            let mut nonce = [0x5A; 12];
            nonce[2..6].copy_from_slice(&subscriber.ssrc.to_be_bytes());
            nonce[10..].copy_from_slice(&sequence.to_be_bytes());
            let nonce = Nonce::assume_unique_for_key(nonce);
            subscriber.key.seal_out_of_place_scatter(nonce, Aad::from(&*header), plain, cipher, &[], tag).expect("sealed");
        }
        let start = self.used;
        self.used += len;
        self.tally.forwarded += 1;
        match self.runs.last_mut().filter(|_| extends) {
            Some(run) => {
                run.len += len;
                run.count += 1;
                run.open = len == run.segment;
            }
            None => self.runs.push(Run { subscriber: to, start, len, segment: len, open: true, count: 1 }),
        }
    }

    fn flush(&mut self) {
        let count = self.runs.len();
        self.used = 0;
        if self.without == Without::Send {
            self.runs.clear();
        }
        for (i, run) in self.runs.iter().enumerate() {
            self.out_vectors[i] = libc::iovec { iov_base: self.arena[run.start..].as_mut_ptr().cast(), iov_len: run.len };
            self.outgoing[i] = message(&mut self.subscribers[run.subscriber].address, &mut self.out_vectors[i]);
            if run.count > 1 {
                self.controls[i].segment = run.segment as u16;
                self.outgoing[i].msg_hdr.msg_control = (&raw mut self.controls[i]).cast();
                self.outgoing[i].msg_hdr.msg_controllen = size_of::<Control>();
            }
        }
        let mut done = 0;
        while done < self.runs.len() {
            // SAFETY: the first `count` headers point to addresses, vectors, controls and arena bytes of `self`, which outlive the call.
            let sent = unsafe { libc::sendmmsg(self.socket.as_raw_fd(), self.outgoing.as_mut_ptr().add(done), (count - done) as u32, 0) };
            match usize::try_from(sent) {
                Ok(sent) => done += sent,
                Err(_) => assert!(io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock, "send: {}", io::Error::last_os_error()),
            }
        }
        self.tally.messages += self.runs.len() as u64;
        self.runs.clear();
    }
}

// SAFETY: the raw pointers in it are to its own heap memory, which moves with it, and are used by whoever owns it.
unsafe impl Send for Bare {}

impl Forwarder for Bare {
    fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |a| a.port())
    }

    fn turn(&mut self) {
        let received = self.receive();
        if received == 0 {
            let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one descriptor, alive for the call.
            unsafe { libc::poll(&raw mut poll, 1, 20) };
            return;
        }
        let mut packets = [None; BATCH];
        for (message, packet) in packets.iter_mut().enumerate().take(received) {
            *packet = self.open(message);
        }
        for subscriber in 0..self.subscribers.len() {
            let own = self.subscribers[subscriber].own;
            for packet in packets[..received].iter().flatten() {
                if own != Some(packet.publisher as u16) {
                    self.forward(subscriber, packet);
                }
            }
        }
        self.flush();
        self.tally.received += received as u64;
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

impl Subscriber {
    fn new(index: usize, case: &Case) -> Self {
        let SocketAddr::V4(to) = case.network.address(index) else { unreachable!("the case is about IPv4") };
        let mut key = [7; 16];
        key[..8].copy_from_slice(&(index as u64).to_be_bytes());
        Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key")),
            address: address(to),
            ssrc: 0x1000_0000 + index as u32,
            offset: index as u16,
            transport_cc: 0,
            own: case.is_room().then_some(index as u16),
        }
    }
}

fn address(to: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn message(address: &mut libc::sockaddr_in, vector: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: an all-zero mmsghdr is valid.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    message.msg_hdr.msg_name = (&raw mut *address).cast();
    message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    message.msg_hdr.msg_iov = vector;
    message.msg_hdr.msg_iovlen = 1;
    message
}

const _: () = assert!(TRANSPORT_CC != THEIRS, "ids are translated");
