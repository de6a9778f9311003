//! Everything random and everything counted that the control plane hands out. Pure code is given drawn values.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;

use crate::base::{PeerId, RoomId, TrackId, WorkerId};
use crate::control::calls::CallDraws;
use crate::control::rooms::{Candidates, JoinDraws, MOST_TRACKS, OfferDraws, RoomName, SocketId};
use crate::wire::CallId;

/// The node's counters of identities: none is ever given twice.
#[derive(Default)]
pub struct Numbers {
    rooms: AtomicU64,
    peers: AtomicU64,
    tracks: AtomicU64,
    sockets: AtomicU64,
}

impl Numbers {
    /// A room's.
    pub fn room(&self) -> RoomId {
        RoomId(next(&self.rooms, 1))
    }

    /// A connection's.
    pub fn peer(&self) -> PeerId {
        PeerId(next(&self.peers, 1))
    }

    /// The first of `n` tracks'.
    pub fn tracks(&self, n: u64) -> TrackId {
        TrackId(next(&self.tracks, n))
    }

    /// A socket's.
    pub fn socket(&self) -> SocketId {
        SocketId(next(&self.sockets, 1))
    }
}

/// Numbers begin at 1.
fn next(counter: &AtomicU64, n: u64) -> u64 {
    counter.fetch_add(n, Ordering::Relaxed) + 1
}

/// What a join into this room needs. The room's number makes the secret lead back to it.
pub fn join(room: RoomId) -> JoinDraws {
    JoinDraws { resume: format!("{:x}.{}", room.0, hex::<24>()) }
}

/// What an offer needs.
pub fn offer(numbers: &Numbers, elsewhere: [WorkerId; 2], candidates: Candidates) -> OfferDraws {
    let peer = numbers.peer();
    OfferDraws {
        peer,
        tracks: numbers.tracks(MOST_TRACKS),
        // The number makes it unique within the node, the rest unguessable.
        ufrag: format!("{:x}{}", peer.0, hex::<6>()),
        pwd: hex::<16>(),
        ssrc_seed: number(),
        session: number() >> 2,
        elsewhere,
        candidates,
    }
}

/// What a call of a person needs: a name, and a room that nobody finds who is not told.
///
/// # Panics
/// Never: such a name is one of a room.
pub fn call() -> CallDraws {
    let room = RoomName::new(&format!("call-{}", hex::<16>())).expect("the name of a room");
    CallDraws { call: CallId(hex::<16>()), room }
}

/// Random bytes from the system's generator.
///
/// # Panics
/// When the system has no randomness: nothing here can be done safely without.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A random number.
pub fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// `2 * N` random hexadecimal digits.
pub fn hex<const N: usize>() -> String {
    bytes::<N>().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_twice_and_blocks_do_not_overlap() {
        let numbers = Numbers::default();
        assert_eq!((numbers.tracks(4), numbers.tracks(1), numbers.tracks(4)), (TrackId(1), TrackId(5), TrackId(6)));
        assert_ne!(numbers.room(), numbers.room());
    }

    #[test]
    fn random_text_has_the_length_asked_for() {
        assert_eq!(hex::<24>().len(), 48);
        assert_ne!(hex::<24>(), hex::<24>());
    }
}
