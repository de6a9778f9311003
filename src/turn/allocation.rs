//! An allocation (RFC 8656 section 5): whose it is, whom it may exchange data with, and how much.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::credentials::UserKey;
use crate::base::{Path, Time};

/// How long a permission lasts (RFC 8656 section 9).
pub const PERMISSION: Duration = Duration::from_secs(300);
/// How long a channel lasts (RFC 8656 section 12).
pub const CHANNEL: Duration = Duration::from_secs(600);
/// Permissions, and channels, of one allocation: a browser needs one for each address of whoever it calls.
pub const MOST: usize = 64;

/// Why something cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// The number has another peer, or the peer another number.
    Taken,
    /// There are as many as there may be.
    Full,
}

/// An allocation.
pub struct Allocation {
    /// Whose.
    pub client: Path,
    /// The address that peers see, as clients call it.
    pub relayed: SocketAddr,
    /// The same as it is bound.
    pub bound: SocketAddr,
    /// The user name it was made with, and its key.
    pub username: String,
    /// The key of the user name.
    pub key: UserKey,
    /// The transaction that made it: a request that is repeated gets the same answer.
    pub transaction: [u8; 12],
    /// When it ends, unless it is refreshed.
    pub expires: Time,
    permissions: Vec<(IpAddr, Time)>,
    channels: Vec<Channel>,
    allowance: Option<Allowance>,
}

#[derive(Clone, Copy)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    until: Time,
}

/// Bytes that an allocation may relay: as many at once as in a second.
#[derive(Clone, Copy)]
struct Allowance {
    bytes_per_second: u64,
    left: u64,
    at: Time,
}

impl Allocation {
    /// A new one; `bytes_per_second`: how much it may relay, both ways together.
    pub fn new(
        client: Path, [relayed, bound]: [SocketAddr; 2], user: (String, UserKey), transaction: [u8; 12], expires: Time, bytes_per_second: Option<u64>,
    ) -> Self {
        let allowance = bytes_per_second.map(|bytes_per_second| Allowance { bytes_per_second, left: bytes_per_second, at: Time::ZERO });
        let (username, key) = user;
        Self { client, relayed, bound, username, key, transaction, expires, permissions: Vec::new(), channels: Vec::new(), allowance }
    }

    /// Lets a peer send, and be sent to, from now on.
    pub fn permit(&mut self, now: Time, peer: IpAddr) -> Result<(), Unfit> {
        let until = now + PERMISSION;
        if let Some(known) = self.permissions.iter_mut().find(|(ip, _)| *ip == peer) {
            known.1 = until;
            return Ok(());
        }
        self.permissions.retain(|(_, until)| *until > now);
        if self.permissions.len() >= MOST {
            return Err(Unfit::Full);
        }
        self.permissions.push((peer, until));
        Ok(())
    }

    /// Whether there is room for so many more permissions, those of `peers` that are there already not counted.
    pub fn has_room_for(&self, now: Time, peers: &[SocketAddr]) -> bool {
        let lasting = self.permissions.iter().filter(|(_, until)| *until > now).count();
        let new = peers.iter().filter(|peer| !self.permits(now, peer.ip())).count();
        lasting + new <= MOST
    }

    /// Whether a peer may send and be sent to.
    pub fn permits(&self, now: Time, peer: IpAddr) -> bool {
        self.permissions.iter().any(|(ip, until)| *ip == peer && *until > now)
    }

    /// Binds a channel, or refreshes it; a permission comes with it (RFC 8656 section 12.2).
    pub fn bind(&mut self, now: Time, number: u16, peer: SocketAddr) -> Result<(), Unfit> {
        // A number is free for another peer five minutes after its channel has ended, and the other way round.
        self.channels.retain(|channel| channel.until + PERMISSION > now);
        match self.channels.iter().position(|channel| channel.number == number || channel.peer == peer) {
            Some(at) if self.channels.get(at).is_some_and(|channel| (channel.number, channel.peer) != (number, peer)) => return Err(Unfit::Taken),
            None if self.channels.len() >= MOST => return Err(Unfit::Full),
            found => {
                self.permit(now, peer.ip())?;
                let until = now + CHANNEL;
                match found.and_then(|at| self.channels.get_mut(at)) {
                    Some(channel) => channel.until = until,
                    None => self.channels.push(Channel { number, peer, until }),
                }
            }
        }
        Ok(())
    }

    /// Whom a channel leads to.
    pub fn peer_of(&self, now: Time, number: u16) -> Option<SocketAddr> {
        self.channels.iter().find(|channel| channel.number == number && channel.until > now).map(|channel| channel.peer)
    }

    /// The channel that leads to a peer.
    pub fn channel_of(&self, now: Time, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|channel| channel.peer == peer && channel.until > now).map(|channel| channel.number)
    }

    /// Whether so many more bytes may be relayed now.
    pub fn affords(&mut self, now: Time, bytes: usize) -> bool {
        let Some(allowance) = &mut self.allowance else { return true };
        let more = u128::from(now.micros_since(allowance.at)) * u128::from(allowance.bytes_per_second) / 1_000_000;
        if more > 0 {
            allowance.left = allowance.left.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)).min(allowance.bytes_per_second);
            allowance.at = now;
        }
        let left = allowance.left.checked_sub(bytes as u64);
        allowance.left = left.unwrap_or(allowance.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn allocation(bytes_per_second: Option<u64>) -> Allocation {
        let client = Path { local: 0, remote: at("192.0.2.1:5000") };
        Allocation::new(client, [at("198.51.100.1:50000"); 2], (String::new(), Vec::new()), [0; 12], Time::NEVER, bytes_per_second)
    }

    #[test]
    fn a_permission_is_for_an_address_with_any_port_and_ends() {
        let mut allocation = allocation(None);
        let [ada, ben] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().expect("an address"));
        assert!(!allocation.permits(Time::ZERO, ada));
        allocation.permit(Time::ZERO, ada).expect("room");
        assert!(allocation.permits(Time::from_millis(299_999), ada) && !allocation.permits(Time::from_millis(300_000), ada));
        assert!(!allocation.permits(Time::ZERO, ben));
        allocation.permit(Time::from_millis(299_000), ada).expect("refreshed");
        assert!(allocation.permits(Time::from_millis(598_000), ada));
    }

    #[test]
    fn a_channel_has_one_peer_and_a_peer_one_channel() {
        let mut allocation = allocation(None);
        let now = Time::ZERO;
        assert_eq!(allocation.bind(now, 0x4000, at("192.0.2.1:1")), Ok(()));
        assert_eq!(allocation.bind(now, 0x4000, at("192.0.2.1:1")), Ok(()), "refreshed");
        assert_eq!(allocation.bind(now, 0x4000, at("192.0.2.1:2")), Err(Unfit::Taken));
        assert_eq!(allocation.bind(now, 0x4001, at("192.0.2.1:1")), Err(Unfit::Taken));
        assert_eq!(allocation.bind(now, 0x4001, at("192.0.2.1:2")), Ok(()));
        assert_eq!((allocation.peer_of(now, 0x4001), allocation.channel_of(now, at("192.0.2.1:1"))), (Some(at("192.0.2.1:2")), Some(0x4000)));
        let ended = Time::ZERO + CHANNEL;
        assert_eq!((allocation.peer_of(ended, 0x4001), allocation.channel_of(ended, at("192.0.2.1:1"))), (None, None));
        assert_eq!(allocation.bind(ended, 0x4000, at("192.0.2.9:1")), Err(Unfit::Taken), "not yet");
        assert_eq!(allocation.bind(ended + PERMISSION, 0x4000, at("192.0.2.9:1")), Ok(()));
    }

    #[test]
    fn there_are_only_so_many_of_each() {
        let mut allocation = allocation(None);
        for n in 0..MOST as u16 {
            assert_eq!(allocation.bind(Time::ZERO, 0x4000 + n, SocketAddr::from(([9, 9, 9, n as u8], 1))), Ok(()));
        }
        assert_eq!(allocation.bind(Time::ZERO, 0x4FFF, at("9.9.8.1:1")), Err(Unfit::Full));
        assert_eq!(allocation.permit(Time::ZERO, at("9.9.8.1:1").ip()), Err(Unfit::Full));
        assert!(!allocation.has_room_for(Time::ZERO, &[at("9.9.8.1:1")]) && allocation.has_room_for(Time::ZERO, &[at("9.9.9.1:1")]));
        assert_eq!(allocation.permit(Time::ZERO + PERMISSION, at("9.9.8.1:1").ip()), Ok(()), "the others have ended");
    }

    #[test]
    fn an_allowance_lets_through_as_much_as_it_says() {
        let mut allocation = allocation(Some(10_000));
        let through = |allocation: &mut Allocation, now| (0..100).filter(|_| allocation.affords(now, 1_000)).count();
        assert_eq!(through(&mut allocation, Time::from_millis(1)), 10);
        assert_eq!(through(&mut allocation, Time::from_millis(501)), 5);
        assert_eq!(through(&mut allocation, Time::from_millis(60_000)), 10);
    }
}
