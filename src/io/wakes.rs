//! What wakes a worker: the sockets that it sends from by `poll`, everything else by an epoll set.
//!
//! A socket in an epoll set pays for it with each message that it sends: when the message has left, the kernel tells the set that there
//! is room again, under a lock (at least 120 ns of 2,200 ns, to a device that drops everything). With `poll` it is watched only while the worker
//! sleeps.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

/// The number of the inbox among the wakes; the worker's sockets have theirs from 0.
pub const INBOX: u64 = u64::MAX;
/// The relay's sockets at which clients are heard have theirs from here on,
pub const FRONTS: u64 = 1 << 32;
/// and allocations from here on.
pub const ALLOCATIONS: u64 = 1 << 33;

/// Sockets of a worker that are polled at most, and the relay's: the others are in the set. More makes each sleep longer to begin.
const MOST_POLLED: usize = 8;
/// The set and the inbox.
const OWN: usize = 2;
/// Of those in the set, so many wakes are taken at once.
const MOST_WAKES: usize = 64;

/// What a worker sleeps on.
pub struct Wakes {
    set: OwnedFd,
}

/// The numbers of what has something to take.
pub struct Ready {
    numbers: [u64; OWN + 2 * MOST_POLLED + MOST_WAKES],
    len: usize,
}

impl Wakes {
    /// Nothing wakes it but what [`Self::wait`] is given.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { set: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// The set: for what receives more than it sends, and for what there are many of.
    pub const fn set(&self) -> &OwnedFd {
        &self.set
    }

    /// Those of `sockets` that [`Self::wait`] does not poll are in the set from now on, numbered from `first` like the others.
    ///
    /// # Errors
    /// When the system has no memory for them.
    pub fn add_rest(&self, sockets: &[OwnedFd], first: u64) -> io::Result<()> {
        for (number, socket) in (first..).zip(sockets).skip(MOST_POLLED) {
            epoll::add(&self.set, socket, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    /// Sleeps until something can be taken, or for so long (`None`: for ever). A signal ends it as well, with nothing ready.
    pub fn wait(&self, inbox: BorrowedFd<'_>, sockets: &[OwnedFd], fronts: &[OwnedFd], timeout: Option<&Timespec>) -> Ready {
        let (sockets, fronts) = (&sockets[..sockets.len().min(MOST_POLLED)], &fronts[..fronts.len().min(MOST_POLLED)]);
        let used = OWN + sockets.len() + fronts.len();
        let mut polled: [PollFd<'_>; OWN + 2 * MOST_POLLED] = std::array::from_fn(|_| PollFd::new(&self.set, PollFlags::IN));
        polled[1] = PollFd::from_borrowed_fd(inbox, PollFlags::IN);
        for (place, socket) in polled[OWN..].iter_mut().zip(sockets.iter().chain(fronts)) {
            *place = PollFd::new(socket, PollFlags::IN);
        }
        let mut ready = Ready { numbers: [0; _], len: 0 };
        if poll(&mut polled[..used], timeout).is_err() {
            return ready;
        }
        let numbers = [INBOX].into_iter().chain((0..).take(sockets.len())).chain((FRONTS..).take(fronts.len()));
        for (polled, number) in polled[1..used].iter().zip(numbers) {
            if !polled.revents().is_empty() {
                ready.push(number);
            }
        }
        if !polled[0].revents().is_empty() {
            let mut woken = [const { MaybeUninit::uninit() }; MOST_WAKES];
            let (woken, _) = epoll::wait(&self.set, &mut woken, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or((&mut [], &mut []));
            woken.iter().for_each(|wake| ready.push(wake.data.u64()));
        }
        ready
    }
}

impl Ready {
    /// The numbers, the worker's own first.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers[..self.len]
    }

    fn push(&mut self, number: u64) {
        self.numbers[self.len] = number;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

    fn sockets(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap().into()).collect()
    }

    fn send_to(socket: &OwnedFd) {
        let to = std::net::SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", to).unwrap();
    }

    #[test]
    fn each_socket_wakes_with_its_number_whether_it_is_polled_or_in_the_set() {
        let (wakes, own, fronts) = (Wakes::new().unwrap(), sockets(MOST_POLLED + 2), sockets(MOST_POLLED + 1));
        wakes.add_rest(&own, 0).unwrap();
        wakes.add_rest(&fronts, FRONTS).unwrap();
        let inbox = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        assert!(wakes.wait(inbox.as_fd(), &own, &fronts, Some(&NO_TIME)).numbers().is_empty());
        rustix::io::write(&inbox, &1u64.to_ne_bytes()).unwrap();
        own.iter().chain(&fronts).for_each(send_to);
        let mut numbers = wakes.wait(inbox.as_fd(), &own, &fronts, None).numbers().to_vec();
        assert_eq!(numbers[..2], [INBOX, 0], "what there is always comes first");
        numbers.sort_unstable();
        let all = (0..own.len() as u64).chain(FRONTS..FRONTS + fronts.len() as u64).chain([INBOX]);
        assert_eq!(numbers, all.collect::<Vec<_>>());
    }

    #[test]
    fn it_sleeps_for_so_long_and_no_longer() {
        let (wakes, own) = (Wakes::new().unwrap(), sockets(1));
        let inbox = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let begun = std::time::Instant::now();
        let ready = wakes.wait(inbox.as_fd(), &own, &[], Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
        assert!(ready.numbers().is_empty() && begun.elapsed() >= std::time::Duration::from_millis(20));
    }
}
