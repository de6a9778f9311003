//! One stream: what has come and is not yet a message, and what the kernel has not taken yet.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::{read, write};
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
}

impl Connection {
    /// A stream that has just been accepted.
    pub fn new(socket: OwnedFd, remote: SocketAddr, framing: Framing, wake: u64, now: Time) -> Self {
        let options = SockRef::from(&socket);
        // Where the system refuses, the stream is slower and works.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_send_buffer_size(KERNEL_BUFFER);
        Self { remote, framing, known: now, wake, begun: Vec::new(), pending: Vec::new(), written: 0, awaits_room: false, socket }
    }

    /// Reads once and hands over every message that is complete; false when the stream is over.
    pub fn read(&mut self, scratch: &mut [u8], mut take: impl FnMut(&mut [u8])) -> bool {
        // What has begun stands before what comes.
        let begun = self.begun.len();
        let Some(space) = scratch.get_mut(begun..) else { return false };
        let came = match read(&self.socket, space) {
            Ok(0) => return false,
            Ok(came) => came,
            Err(error) => return matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        };
        scratch[..begun].copy_from_slice(&self.begun);
        self.begun.clear();
        let mut rest = &mut scratch[..begun + came];
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
        self.pending.extend_from_slice(&prefix[..before]);
        self.pending.extend_from_slice(message);
        self.pending.extend_from_slice(&[0; 3][..after]);
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
                    tracing::trace!(remote = %self.remote, %error, "a stream has broken");
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
