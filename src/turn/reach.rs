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
        let admitted =
            if self.is_own(peer.ip()) { self.ports.iter().any(|ports| ports.contains(&peer.port())) } else { !self.denied.denies(peer.ip()) };
        (admitted && peer.port() != 0).then_some(peer)
    }

    /// Whether an address is one of this node's that only allocations may have: what is sent there is for one of them, or for nobody. Another program
    /// may have got a port of that range.
    pub fn is_for_relays(&self, at: SocketAddr) -> bool {
        let [media, _] = &self.ports;
        self.is_own(at.ip()) && !media.contains(&at.port())
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        self.own.iter().any(|(announced, bound)| [announced, bound].contains(&&ip))
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
    fn of_the_own_addresses_all_but_media_is_for_relays() {
        let reach = reach();
        for (text, is) in [("8.8.4.4:40000", false), ("8.8.4.4:50000", true), ("10.0.0.5:50000", true), ("9.9.9.9:50000", false)] {
            assert_eq!(reach.is_for_relays(at(text)), is, "{text}");
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
