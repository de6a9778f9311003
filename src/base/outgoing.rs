//! The outgoing arena: datagrams written side by side, sent together, then forgotten.

use super::Path;

/// The largest datagram that is ever written.
pub const MAX_DATAGRAM: usize = 1500;

/// One datagram in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// From which local socket, to which address.
    pub path: Path,
    /// Where it begins in [`Outgoing::bytes`].
    pub start: usize,
    /// Its length in bytes.
    pub len: usize,
}

/// A fixed arena of bytes and the list of datagrams in it. It never grows.
#[derive(Debug)]
pub struct Outgoing {
    bytes: Box<[u8]>,
    used: usize,
    datagrams: Vec<Datagram>,
    most: usize,
    /// What is in it may be dropped when a socket is full: forwarded media, which the cache can repair.
    droppable: bool,
}

impl Outgoing {
    /// The arena that a worker sends from. It is filled and sent several times in a large tick: smaller makes batches of too few
    /// messages, larger is no longer in the first levels of the cache when the kernel copies it.
    pub fn for_a_tick() -> Self {
        Self::new(96 * 1_024, 128)
    }

    /// The arena that replies wait in (STUN, DTLS, RTCP, retransmissions): it holds those to any one batch.
    pub fn for_replies() -> Self {
        Self::new(512 * 1_024, 1_024)
    }

    /// An arena for `datagrams` datagrams in `bytes` bytes.
    pub fn new(bytes: usize, datagrams: usize) -> Self {
        Self { bytes: vec![0; bytes].into_boxed_slice(), used: 0, datagrams: Vec::with_capacity(datagrams), most: datagrams, droppable: false }
    }

    /// Whether what is in it may be dropped when a socket is full.
    pub const fn is_droppable(&self) -> bool {
        self.droppable
    }

    /// Says whether what is written from now on may be dropped; only while it is empty.
    pub fn set_droppable(&mut self, droppable: bool) {
        debug_assert!(self.is_empty());
        self.droppable = droppable;
    }

    /// Moves datagrams over from the front of `other`, in their order, as many as have room. The rest of `other` moves up.
    pub fn take_from(&mut self, other: &mut Outgoing) {
        let moved = other.datagrams.iter().take_while(|d| self.push(d.path, &other.bytes[d.start..d.start + d.len])).count();
        other.datagrams.drain(..moved);
        if other.datagrams.is_empty() {
            other.used = 0;
        }
    }

    /// Whether one more datagram of any size fits.
    pub fn has_room(&self) -> bool {
        self.datagrams.len() < self.most && self.bytes.len() - self.used >= MAX_DATAGRAM
    }

    /// Space for the next datagram, at least [`MAX_DATAGRAM`] bytes; `None` when full. What is written counts once committed.
    pub fn slot(&mut self) -> Option<&mut [u8]> {
        if !self.has_room() {
            return None;
        }
        self.bytes.get_mut(self.used..self.used + MAX_DATAGRAM)
    }

    /// Makes the first `len` bytes of [`Self::slot`] a datagram.
    pub fn commit(&mut self, path: Path, len: usize) {
        debug_assert!(len <= MAX_DATAGRAM && self.has_room());
        self.datagrams.push(Datagram { path, start: self.used, len });
        self.used += len;
    }

    /// Copies a datagram in; false when there is no room for it.
    pub fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        let Some(target) = self.slot().and_then(|slot| slot.get_mut(..datagram.len())) else { return false };
        target.copy_from_slice(datagram);
        self.commit(path, datagram.len());
        true
    }

    /// The datagrams, in the order they were written.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    /// The bytes that the datagrams lie in.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// The bytes of one datagram.
    pub fn payload(&self, datagram: &Datagram) -> &[u8] {
        &self.bytes[datagram.start..datagram.start + datagram.len]
    }

    /// Memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.len() + self.datagrams.capacity() * size_of::<Datagram>()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Forgets all datagrams.
    pub fn clear(&mut self) {
        self.used = 0;
        self.datagrams.clear();
    }
}
