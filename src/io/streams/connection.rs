//! One stream: what has come and is not yet a message, and what the kernel has not taken yet.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::{read, write};
use rustls::ServerConnection;
use socket2::SockRef;

use super::framing::{Framing, Front, LONGEST};
use super::watch;
use crate::base::Time;

/// Bytes that the kernel may hold for a stream: more is later, not better. 100 ms at 20 Mbit/s.
const KERNEL_BUFFER: usize = 256 * 1_024;
/// Bytes that wait here at most; of media only so many as the next moment can take.
const MOST_PENDING: usize = 256 * 1_024;
const MOST_PENDING_MEDIA: usize = 32 * 1_024;

/// A stream.
pub struct Connection {
    socket: OwnedFd,
    pub remote: SocketAddr,
    pub framing: Framing,
    /// When it was last known to somebody.
    pub known: Time,
    wake: u64,
    /// The beginning of a message.
    begun: Vec<u8>,
    /// What is still to be written, from `written` on.
    pending: Vec<u8>,
    written: usize,
    awaits_room: bool,
    tls: Option<Box<ServerConnection>>,
}

/// Room for what is read, used again for every stream.
pub struct Scratch {
    /// As it comes, where it comes sealed.
    sealed: Box<[u8]>,
    /// As it is.
    plain: Box<[u8]>,
}

impl Default for Scratch {
    fn default() -> Self {
        let room = || vec![0; 64 * 1_024].into_boxed_slice();
        Self { sealed: room(), plain: room() }
    }
}

impl Connection {
    /// A stream that has just been accepted.
    pub fn new(socket: OwnedFd, remote: SocketAddr, framing: Framing, wake: u64, now: Time, tls: Option<Box<ServerConnection>>) -> Self {
        let options = SockRef::from(&socket);
        // Where the system refuses, the stream is slower and works.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_send_buffer_size(KERNEL_BUFFER);
        Self { remote, framing, known: now, wake, begun: Vec::new(), pending: Vec::new(), written: 0, awaits_room: false, tls, socket }
    }

    /// Whether its handshake is still to come to its end: reading on is dear.
    pub fn is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Reads once and hands over every message that is complete; false when the stream is over.
    pub fn read(&mut self, scratch: &mut Scratch, mut take: impl FnMut(&mut [u8])) -> bool {
        let begun = self.begun.len();
        let space = if self.tls.is_some() { Some(&mut scratch.sealed[..]) } else { scratch.plain.get_mut(begun..) };
        let Some(space) = space else { return false };
        let came = match read(&self.socket, space) {
            Ok(0) => return false,
            Ok(came) => came,
            Err(error) => return matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        };
        match self.tls.take() {
            None => self.take_apart(&mut scratch.plain, came, &mut take),
            Some(mut tls) => {
                let goes_on = self.open(&mut tls, &scratch.sealed[..came], &mut scratch.plain, &mut take);
                // What the other end is to be told, if only that its handshake has failed.
                while tls.wants_write() && tls.write_tls(&mut self.pending).is_ok() {}
                self.tls = Some(tls);
                goes_on
            }
        }
    }

    /// Hands over what another listener has opened before; false when the stream is over.
    pub fn go_on(&mut self, scratch: &mut Scratch, mut take: impl FnMut(&mut [u8])) -> bool {
        let Some(mut tls) = self.tls.take() else { return true };
        let goes_on = self.take_opened(&mut tls, &mut scratch.plain, &mut take);
        self.tls = Some(tls);
        goes_on
    }

    /// Opens what has come sealed; false when the stream is over.
    fn open(&mut self, tls: &mut ServerConnection, mut sealed: &[u8], plain: &mut [u8], take: &mut impl FnMut(&mut [u8])) -> bool {
        while !sealed.is_empty() {
            if tls.read_tls(&mut sealed).is_err() || tls.process_new_packets().is_err() || !self.take_opened(tls, plain, take) {
                return false;
            }
        }
        true
    }

    fn take_opened(&mut self, tls: &mut ServerConnection, plain: &mut [u8], take: &mut impl FnMut(&mut [u8])) -> bool {
        loop {
            let Some(space) = plain.get_mut(self.begun.len()..) else { return false };
            match tls.reader().read(space) {
                Ok(0) => return false,
                Ok(came) if self.take_apart(plain, came, take) => {}
                Ok(_) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    /// Hands over the messages in `plain`, where `came` bytes stand after the place for what has begun.
    fn take_apart(&mut self, plain: &mut [u8], came: usize, take: &mut impl FnMut(&mut [u8])) -> bool {
        let begun = self.begun.len();
        plain[..begun].copy_from_slice(&self.begun);
        self.begun.clear();
        let mut rest = &mut plain[..begun + came];
        loop {
            match self.framing.front(rest) {
                Front::Message { start, end, whole } => {
                    let (message, after) = rest.split_at_mut(whole);
                    take(&mut message[start..end]);
                    rest = after;
                }
                Front::Partial if rest.len() <= LONGEST + 4 => {
                    self.begun.extend_from_slice(rest);
                    return true;
                }
                Front::Partial | Front::Garbage => return false,
            }
        }
    }

    /// Writes a message, or keeps it until there is room; false when it is dropped, because too much waits already.
    pub fn write(&mut self, message: &[u8], droppable: bool, wakes: &OwnedFd) -> bool {
        let waiting = self.pending.len() - self.written;
        if waiting + message.len() + 4 > if droppable { MOST_PENDING_MEDIA } else { MOST_PENDING } {
            return false;
        }
        let (prefix, before, after) = self.framing.around(message);
        let parts = [&prefix[..before], message, &[0; 3][..after]];
        match &mut self.tls {
            None => parts.iter().for_each(|part| self.pending.extend_from_slice(part)),
            Some(tls) => {
                let taken = parts.iter().try_for_each(|part| tls.writer().write_all(part));
                while tls.wants_write() && tls.write_tls(&mut self.pending).is_ok() {}
                if taken.is_err() {
                    return false;
                }
            }
        }
        // A stream that has broken is found out when it is read.
        let _ = self.flush(wakes);
        true
    }

    /// Writes what waits; false when the stream has broken.
    pub fn flush(&mut self, wakes: &OwnedFd) -> bool {
        while self.written < self.pending.len() {
            match write(&self.socket, &self.pending[self.written..]) {
                Ok(taken) => self.written += taken,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => {
                    tracing::trace!(%error, "a stream has broken");
                    return false;
                }
            }
        }
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        } else if self.written > MOST_PENDING / 2 {
            self.pending.drain(..self.written);
            self.written = 0;
        }
        let awaits_room = !self.pending.is_empty();
        if awaits_room != self.awaits_room {
            self.awaits_room = awaits_room;
            watch(wakes, &self.socket, self.wake, awaits_room);
        }
        true
    }
}
