//! A worker's inbox: a bounded queue, and the bell that wakes the worker from its poll.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use super::{Bell, COMMANDS, STREAMS, SealedStream};
use crate::contract::Command;

/// The control plane's end: cheap to clone, never blocks.
#[derive(Clone)]
pub struct WorkerHandle {
    queue: SyncSender<Command>,
    streams: SyncSender<SealedStream>,
    bell: Bell,
    woken: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

/// The worker's end.
pub struct Inbox {
    queue: Receiver<Command>,
    streams: Receiver<SealedStream>,
    bell: Bell,
    /// The bell was rung for a command, or is about to be: who sends more need not ring again.
    woken: Arc<AtomicBool>,
    /// Somebody wants a report, even if nothing has happened.
    asked: Arc<AtomicBool>,
}

/// The worker's queue is full, or the worker is gone: the command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// A new inbox and the handle to it. Fails when the process has no file descriptor left.
pub fn inbox() -> io::Result<(WorkerHandle, Inbox)> {
    let bell = Bell::new()?;
    let (sender, receiver) = sync_channel(COMMANDS);
    let (giver, taker) = sync_channel(STREAMS);
    let woken = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicBool::new(false));
    let handle = WorkerHandle { queue: sender, streams: giver, bell: bell.clone(), woken: woken.clone(), asked: asked.clone() };
    Ok((handle, Inbox { queue: receiver, streams: taker, bell, woken, asked }))
}

impl WorkerHandle {
    /// Hands a command to the worker and wakes it.
    pub fn send(&self, command: Command) -> Result<(), Overloaded> {
        self.queue.try_send(command).map_err(|_| Overloaded)?;
        self.wake();
        Ok(())
    }

    /// Hands a stream to the worker and wakes it; where it was not taken it is closed.
    pub fn hand_over(&self, stream: SealedStream) -> Result<(), Overloaded> {
        self.streams.try_send(stream).map_err(|_| Overloaded)?;
        self.wake();
        Ok(())
    }

    /// Has the worker report soon, even if nothing has happened since: one that sleeps does not.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // A join is half a dozen commands: one system call and one turn of the worker serve them all.
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}

impl Inbox {
    /// The next command, if one waits. `Err` when every handle is gone: the worker should end.
    pub fn next(&self) -> Result<Option<Command>, Closed> {
        match self.queue.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// The next stream that waits.
    pub fn next_stream(&self) -> Option<SealedStream> {
        self.streams.try_recv().ok()
    }

    /// Whether somebody wants a report; said once.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::AcqRel)
    }

    /// What wakes the worker: for commands, and for what other workers leave in its rings.
    pub const fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The descriptor that becomes readable when a command comes.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.bell.fd()
    }

    /// Makes the descriptor unreadable again; call it before draining with [`Self::next`].
    pub fn clear_wake(&self) {
        self.bell.clear();
        // After the descriptor, before the queue: whoever finds this still set has put its command where it will be found.
        self.woken.swap(false, Ordering::AcqRel);
    }
}

/// Every handle to the worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::contract::RoomCommand;

    fn close(room: u64) -> Command {
        Command { room: RoomId(room), what: RoomCommand::Close }
    }

    #[test]
    fn commands_come_out_in_order_and_a_full_queue_says_so() {
        let (handle, inbox) = inbox().expect("eventfd");
        for room in 0..COMMANDS as u64 {
            handle.send(close(room)).expect("room in the queue");
        }
        assert_eq!(handle.send(close(0)), Err(Overloaded));
        for room in 0..COMMANDS as u64 {
            assert_eq!(inbox.next(), Ok(Some(close(room))));
        }
        assert_eq!(inbox.next(), Ok(None));
        drop(handle);
        assert_eq!(inbox.next(), Err(Closed));
    }

    #[test]
    fn a_burst_wakes_once_and_what_comes_after_wakes_again() {
        let (handle, inbox) = inbox().expect("eventfd");
        let wakes = || {
            let mut count = [0u8; 8];
            rustix::io::read(inbox.wake_fd(), &mut count).map_or(0, |_| u64::from_ne_bytes(count))
        };
        for _ in 0..2 {
            (0..5).for_each(|room| handle.send(close(room)).expect("room in the queue"));
            assert_eq!(wakes(), 1);
            inbox.clear_wake();
            (0..5).for_each(|room| assert_eq!(inbox.next(), Ok(Some(close(room)))));
            assert_eq!(inbox.next(), Ok(None));
        }
    }
}
