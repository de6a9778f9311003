//! Whom the relay may send to: the public internet, what an operator allows, and the media and relay ports of its own node.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::base::address::{DenyList, canonical};

/// Whom the relay may send to.
#[derive(Clone, Debug)]
pub struct Reach {
    denied: DenyList,
    /// The node's addresses: as clients are told, and as they are bound (behind a one-to-one NAT another).
    own: Vec<(IpAddr, IpAddr)>,
    ports: [RangeInclusive<u16>; 2],
}

impl Reach {
    /// `own`: pairs of announced and bound addresses, at which nothing but these ports may be reached.
    pub const fn new(denied: DenyList, own: Vec<(IpAddr, IpAddr)>, media: RangeInclusive<u16>, relay: RangeInclusive<u16>) -> Self {
        Self { denied, own, ports: [media, relay] }
    }

    /// The peer in its canonical form; none when nothing may be sent there.
    pub fn admit(&self, peer: SocketAddr) -> Option<SocketAddr> {
        let peer = SocketAddr::new(canonical(peer.ip()), peer.port());
        let is_own = self.own.iter().any(|(announced, bound)| [announced, bound].contains(&&peer.ip()));
        let admitted = if is_own { self.ports.iter().any(|ports| ports.contains(&peer.port())) } else { !self.denied.denies(peer.ip()) };
        (admitted && peer.port() != 0).then_some(peer)
    }

    /// Where an announced address of this node is bound: what is for it does not leave the machine, whatever NAT is before it.
    pub fn inward(&self, peer: SocketAddr) -> SocketAddr {
        let found = self.own.iter().find(|(announced, _)| *announced == peer.ip());
        SocketAddr::new(found.map_or(peer.ip(), |(_, bound)| *bound), peer.port())
    }

    /// The other way round: what clients call a bound address of this node.
    pub fn outward(&self, from: SocketAddr) -> SocketAddr {
        let ip = canonical(from.ip());
        let found = self.own.iter().find(|(_, bound)| *bound == ip);
        SocketAddr::new(found.map_or(ip, |(announced, _)| *announced), from.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn reach() -> Reach {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let denied = DenyList::new(vec![ip("10.0.0.5"), ip("8.8.4.4")], Vec::new());
        Reach::new(denied, vec![(ip("8.8.4.4"), ip("10.0.0.5"))], 40_000..=40_001, 49_152..=65_535)
    }

    #[test]
    fn of_the_own_node_only_media_and_relays_are_reached() {
        let reach = reach();
        for text in ["8.8.4.4:40000", "8.8.4.4:40001", "10.0.0.5:40000", "8.8.4.4:50000", "9.9.9.9:53", "[::ffff:8.8.4.4]:40000"] {
            assert!(reach.admit(at(text)).is_some(), "{text}");
        }
        for text in ["8.8.4.4:8080", "8.8.4.4:40002", "10.0.0.5:9090", "10.0.0.6:40000", "9.9.9.9:0", "[64:ff9b::808:404]:40000", "127.0.0.1:40000"] {
            assert_eq!(reach.admit(at(text)), None, "{text}");
        }
    }

    #[test]
    fn behind_a_nat_the_way_to_oneself_stays_inside() {
        let reach = reach();
        assert_eq!(reach.inward(at("8.8.4.4:40000")), at("10.0.0.5:40000"));
        assert_eq!(reach.outward(at("10.0.0.5:50000")), at("8.8.4.4:50000"));
        assert_eq!(reach.inward(at("9.9.9.9:53")), at("9.9.9.9:53"));
        assert_eq!(reach.outward(at("[::ffff:9.9.9.9]:53")), at("9.9.9.9:53"));
    }
}
