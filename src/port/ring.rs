//! Rings between workers: one for each ordered pair, bytes in frames, one writer and one reader.
//!
//! A full ring refuses the frame and the writer counts it: nobody ever waits for another worker. A reader that sleeps
//! says so; a writer then rings its bell once, at the end of its turn.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};

/// Bytes of a ring: 800 packets of 1,200 bytes, 40 ms of 200 Mbit/s. A worker that does not read for so long has lost the packets' time anyway.
pub const RING: usize = 1 << 20;
/// Bytes of all rings together: with more than eight workers each ring is smaller.
const ALL_RINGS: usize = 64 << 20;
/// Bytes of the smallest ring: three batches of received datagrams.
const SMALLEST_RING: usize = 128 << 10;
/// Bytes before a frame: its length.
const LENGTH: usize = 4;
/// Bytes of the longest frame: a datagram of a receive slot and what is said about it.
pub const FRAME: usize = 2_560;

/// Wakes a worker that sleeps.
#[derive(Clone)]
pub struct Bell(Arc<BellState>);

struct BellState {
    /// The worker sleeps, or is about to: whoever leaves something for it has to ring.
    asleep: AtomicBool,
    wake: OwnedFd,
}

impl Bell {
    /// A bell that nobody has rung. Fails when the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(BellState { asleep: AtomicBool::new(false), wake })))
    }

    /// Rings, whether the worker sleeps or not.
    pub fn ring(&self) {
        // An eventfd write fails only when its counter is full, and then the worker is awake anyway.
        let _ = rustix::io::write(&self.0.wake, &1u64.to_ne_bytes());
    }

    /// Rings if the worker sleeps; call it after leaving something for it.
    pub fn ring_if_asleep(&self) {
        // Pairs with the fence in `fall_asleep`: either the sleeper sees what was left, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    /// The worker is about to sleep; it must look once more for what was left before it does.
    pub fn fall_asleep(&self) {
        self.0.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake: nobody needs to ring.
    pub fn wake_up(&self) {
        self.0.asleep.store(false, Ordering::Relaxed);
    }

    /// The descriptor that becomes readable when it rings.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }

    /// Makes the descriptor unreadable again; call it before looking for what was left.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0.wake, &mut [0u8; 8]);
    }
}

/// One worker's ends of the rings.
pub struct Rings {
    to: Vec<Option<Outlet>>,
    from: Vec<Option<Inlet>>,
    own: Bell,
}

struct Outlet {
    ring: Producer<u8>,
    bell: Bell,
    /// Something was left since the bell was last thought of.
    left: bool,
}

struct Inlet {
    ring: Consumer<u8>,
    /// Space for a frame that lies around the ring's end.
    whole: Box<[u8]>,
}

/// Rings between workers with these bells; each worker's ends, in the workers' order.
pub fn rings(bells: &[Bell]) -> Vec<Rings> {
    let pairs = bells.len() * bells.len().saturating_sub(1);
    let bytes = (ALL_RINGS / pairs.max(1)).clamp(SMALLEST_RING, RING);
    rings_of(bells, bytes)
}

fn rings_of(bells: &[Bell], bytes: usize) -> Vec<Rings> {
    let empty = |own: &Bell| Rings { to: Vec::new(), from: Vec::new(), own: own.clone() };
    let mut all: Vec<Rings> = bells.iter().map(empty).collect();
    for from in 0..bells.len() {
        for (to, bell) in bells.iter().enumerate() {
            let (outlet, inlet) = if from == to {
                (None, None)
            } else {
                let (producer, consumer) = RingBuffer::new(bytes);
                let outlet = Outlet { ring: producer, bell: bell.clone(), left: false };
                (Some(outlet), Some(Inlet { ring: consumer, whole: vec![0; FRAME].into_boxed_slice() }))
            };
            all[from].to.push(outlet);
            all[to].from.push(inlet);
        }
    }
    all
}

/// A ring of its own from one bell's owner to another's: the writer's end, and the reader's.
pub(super) fn ring_to(writer: &Bell, reader: &Bell, bytes: usize) -> (Rings, Rings) {
    let (producer, consumer) = RingBuffer::new(bytes);
    let to = vec![Some(Outlet { ring: producer, bell: reader.clone(), left: false })];
    let from = vec![Some(Inlet { ring: consumer, whole: vec![0; FRAME].into_boxed_slice() })];
    (Rings { to, from: Vec::new(), own: writer.clone() }, Rings { to: Vec::new(), from, own: reader.clone() })
}

impl Rings {
    /// The worker's own bell.
    pub const fn bell(&self) -> &Bell {
        &self.own
    }

    /// How many workers there are, this one included.
    pub const fn workers(&self) -> usize {
        self.to.len()
    }

    /// Leaves a frame, put together from its parts, for a worker; false when there is no room, or no such worker.
    ///
    /// A frame that may be spared is refused once half of the ring is taken: what outsiders can cause never crowds out the rest.
    pub fn send(&mut self, to: usize, parts: &[&[u8]], spare: bool) -> bool {
        let Some(outlet) = self.to.get_mut(to).and_then(Option::as_mut) else { return false };
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let reserve = if spare { outlet.ring.buffer().capacity() / 2 } else { 0 };
        if len > FRAME || outlet.ring.slots() < LENGTH + len + reserve {
            return false;
        }
        // There is room for all of it, and the reader takes nothing before all of it is there.
        let mut whole = outlet.ring.push_entire_slice(&(len as u32).to_ne_bytes()).is_ok();
        for part in parts {
            whole &= outlet.ring.push_entire_slice(part).is_ok();
        }
        outlet.left = true;
        whole
    }

    /// Rings for every worker that something was left for; once a turn.
    pub fn ring_bells(&mut self) {
        for outlet in self.to.iter_mut().flatten().filter(|o| o.left) {
            outlet.left = false;
            outlet.bell.ring_if_asleep();
        }
    }

    /// Whether any worker has left something.
    pub fn is_empty(&self) -> bool {
        self.from.iter().flatten().all(|inlet| inlet.ring.slots() < LENGTH)
    }

    /// Takes the next frame that a worker has left, if a whole one is there.
    pub fn receive<T>(&mut self, from: usize, take: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let Inlet { ring, whole } = self.from.get_mut(from)?.as_mut()?;
        let mut length = [0; LENGTH];
        copy(&ring.read_chunk(LENGTH).ok()?, 0, &mut length);
        let len = u32::from_ne_bytes(length) as usize;
        let chunk = ring.read_chunk(LENGTH + len).ok()?;
        let taken = match chunk.as_slices().0.get(LENGTH..LENGTH + len) {
            Some(frame) => take(frame),
            None => {
                let whole = whole.get_mut(..len)?;
                copy(&chunk, LENGTH, whole);
                take(whole)
            }
        };
        chunk.commit_all();
        Some(taken)
    }
}

/// Copies what lies from `start` on in a chunk, which may be in two pieces.
fn copy(chunk: &rtrb::chunks::ReadChunk<'_, u8>, start: usize, target: &mut [u8]) {
    let (first, second) = chunk.as_slices();
    let bytes = first.iter().chain(second).skip(start);
    target.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(bytes: usize) -> (Rings, Rings) {
        let bells = [Bell::new().expect("eventfd"), Bell::new().expect("eventfd")];
        let mut all = rings_of(&bells, bytes);
        let second = all.pop().expect("two");
        (all.pop().expect("two"), second)
    }

    #[test]
    fn frames_come_out_whole_and_in_order_around_the_end_of_the_ring() {
        let (mut a, mut b) = two(1_000);
        for n in 0..500u32 {
            let body = vec![n as u8; n as usize % 300];
            assert!(a.send(1, &[&n.to_ne_bytes(), &body], false));
            let got = b.receive(0, <[u8]>::to_vec).expect("a frame");
            assert_eq!((&got[..4], &got[4..]), (&n.to_ne_bytes()[..], &body[..]));
            assert_eq!(b.receive(0, |_| ()), None);
        }
        assert!(b.is_empty());
    }

    #[test]
    fn a_full_ring_refuses_and_what_may_be_spared_leaves_half_of_it() {
        let (mut a, mut b) = two(1_000);
        let spared = (0..100).take_while(|_| a.send(1, &[&[1; 96]], true)).count();
        let all = spared + (0..100).take_while(|_| a.send(1, &[&[2; 96]], false)).count();
        assert_eq!((spared, all), (5, 10));
        assert!(!a.send(1, &[&[3; 96]], false), "no room");
        assert!(!a.send(0, &[&[3; 9]], false) && !a.send(7, &[&[3; 9]], false), "no ring to oneself, none to nobody");
        assert_eq!(std::iter::from_fn(|| b.receive(0, |f| f.len())).count(), 10);
        assert!(a.send(1, &[&[3; 96]], false));
    }

    #[test]
    fn a_sleeper_is_woken_once_and_one_who_is_awake_not_at_all() {
        let (mut a, b) = two(1_000);
        let rung = |b: &Rings| rustix::io::read(b.bell().fd(), &mut [0u8; 8]).is_ok();
        a.send(1, &[&[1]], false);
        a.ring_bells();
        assert!(!rung(&b), "awake");
        b.bell().fall_asleep();
        a.ring_bells();
        assert!(!rung(&b), "nothing new was left");
        a.send(1, &[&[1]], false);
        a.send(1, &[&[1]], false);
        a.ring_bells();
        assert!(rung(&b) && !rung(&b));
        a.send(1, &[&[1]], false);
        a.ring_bells();
        assert!(!rung(&b), "it has been woken, and will look");
    }

    /// Two threads, a million frames, a reader that sleeps whenever it finds nothing: a lost wake-up would be a wait for ever.
    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        let (mut a, mut b) = two(64 << 10);
        const FRAMES: u64 = 200_000;
        let reader = std::thread::spawn(move || {
            let mut next = 0u64;
            while next < FRAMES {
                while let Some(n) = b.receive(0, |f| u64::from_ne_bytes(f.try_into().expect("eight bytes"))) {
                    assert_eq!(n, next);
                    next += 1;
                }
                b.bell().fall_asleep();
                if b.is_empty() && next < FRAMES {
                    let mut fds = [rustix::event::PollFd::from_borrowed_fd(b.bell().fd(), rustix::event::PollFlags::IN)];
                    let patience = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
                    let woken = rustix::event::poll(&mut fds, Some(&patience)).expect("poll");
                    assert_eq!(woken, 1, "a wake-up was lost after {next} frames");
                }
                b.bell().wake_up();
                b.bell().clear();
            }
        });
        for n in 0..FRAMES {
            while !a.send(1, &[&n.to_ne_bytes()], false) {
                a.ring_bells();
                std::thread::yield_now();
            }
            if n % 7 == 0 || n + 1 == FRAMES {
                a.ring_bells();
            }
        }
        reader.join().expect("the reader");
    }
}
