//! From a datagram to its peer: by its first byte (RFC 7983), then by ICE user name or 5-tuple.

use slotmap::DefaultKey;

use super::transport::Path;
use crate::base::map::{Seed, SeededMap};

/// What a datagram is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// STUN: 0–3.
    Stun,
    /// DTLS: 20–63.
    Dtls,
    /// RTP: 128–191.
    Rtp,
    /// RTCP: 128–191 with a second byte of 192–223 (RFC 5761 section 4).
    Rtcp,
}

impl Protocol {
    /// Tells by the first two bytes; `None` for anything else (RFC 7983 section 7).
    pub const fn of(datagram: &[u8]) -> Option<Protocol> {
        match datagram {
            [0..=3, ..] => Some(Protocol::Stun),
            [20..=63, ..] => Some(Protocol::Dtls),
            [128..=191, 192..=223, ..] => Some(Protocol::Rtcp),
            [128..=191, _, ..] => Some(Protocol::Rtp),
            _ => None,
        }
    }
}

/// Where a peer lives: its room, and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAt {
    /// The room's key in the engine.
    pub room: DefaultKey,
    /// The peer's index in the room.
    pub peer: usize,
}

/// Which peer a user name or a path belongs to. Entries come from commands and authenticated checks only.
#[derive(Debug)]
pub struct Demux {
    users: SeededMap<String, PeerAt>,
    paths: SeededMap<Path, PeerAt>,
    /// Where answers to our own checks come from.
    checks: SeededMap<Path, PeerAt>,
}

impl Demux {
    /// An empty table; the seed keeps outsiders from aiming at one bucket.
    pub fn new(seed: Seed) -> Self {
        Self { users: seed.map(), paths: seed.map(), checks: seed.map() }
    }

    /// Checks with this local user name fragment belong to the peer from now on.
    pub fn add_user(&mut self, ufrag: &str, at: PeerAt) {
        self.users.insert(ufrag.to_owned(), at);
    }

    /// Forgets a user name fragment.
    pub fn remove_user(&mut self, ufrag: &str) {
        self.users.remove(ufrag);
    }

    /// Whom a user name fragment belongs to.
    pub fn user(&self, ufrag: &str) -> Option<PeerAt> {
        self.users.get(ufrag).copied()
    }

    /// What comes on this path is the peer's from now on.
    pub fn add_path(&mut self, path: Path, at: PeerAt) {
        self.paths.insert(path, at);
    }

    /// Whom a path belongs to.
    pub fn path(&self, path: &Path) -> Option<PeerAt> {
        self.paths.get(path).copied()
    }

    /// Forgets a path of a peer; one that is another's by now stays.
    pub fn remove_path(&mut self, path: &Path, at: PeerAt) {
        if self.paths.get(path) == Some(&at) {
            self.paths.remove(path);
        }
    }

    /// Answers to checks come on this path for the peer from now on.
    pub fn add_check(&mut self, path: Path, at: PeerAt) {
        self.checks.insert(path, at);
    }

    /// Whose check is answered on this path.
    pub fn check(&self, path: &Path) -> Option<PeerAt> {
        self.checks.get(path).copied()
    }

    /// Forgets a path that a peer checks; one that is another's by now stays.
    pub fn remove_check(&mut self, path: &Path, at: PeerAt) {
        if self.checks.get(path) == Some(&at) {
            self.checks.remove(path);
        }
    }

    /// Forgets everything about a room whose own lists cannot be trusted any more: looks through the whole table.
    pub fn remove_room(&mut self, room: DefaultKey) {
        self.users.retain(|_, at| at.room != room);
        self.paths.retain(|_, at| at.room != room);
        self.checks.retain(|_, at| at.room != room);
    }

    /// Entries held: user names, paths.
    pub fn len(&self) -> (usize, usize) {
        (self.users.len(), self.paths.len())
    }
}
