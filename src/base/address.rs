//! Addresses as one thing in many spellings, and which of them nobody outside may make this node send to.
//!
//! Whatever is named by a stranger (a relay's peer, a webhook, an ingest URL) is looked at once, in its canonical form, against one list.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks that are not on the public internet (IANA's registries of special-purpose addresses, RFC 6890), and a few that once were not.
const INTERNAL: [&str; 28] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    // NAT64 within one network, discard, IETF protocols (Teredo and ORCHID among them), documentation, segment routing.
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    // Unique local, link-local, site-local (deprecated), multicast.
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// From how far away an address can be reached, by its looks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// From its own machine.
    Loopback,
    /// From its own network: RFC 1918, shared space of providers (RFC 6598), link-local, unique local.
    Private,
    /// From everywhere.
    Public,
}

impl Reach {
    /// Of this address.
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() || matches!(v4.octets(), [100, 64..=127, ..]) => Self::Private,
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Private,
            _ => Self::Public,
        }
    }
}

/// One of each family, IPv4 first: that which can be reached from furthest away; of several the first.
pub fn one_of_each_family<T: Copy>(all: &[T], ip: impl Fn(&T) -> IpAddr) -> Vec<T> {
    let furthest = |is_ipv6: bool| all.iter().filter(|one| ip(one).is_ipv6() == is_ipv6).min_by_key(|one| Reverse(Reach::of(ip(one))));
    [false, true].into_iter().filter_map(furthest).copied().collect()
}

/// The form in which an address is looked at and sent to: an IPv4 address in the clothes of IPv6 is the IPv4 address.
pub const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The IPv4 address that a gateway would send to for this IPv6 address: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291, deprecated).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => Some(of(g, h)),
        (0x2002, high) => Some(of(high, c)),
        (0, 0) if [c, d, e, f] == [0; 4] => Some(of(g, h)),
        _ => None,
    }
}

/// Where nobody outside may make this node send to.
#[derive(Clone, Debug)]
pub struct DenyList {
    internal: Vec<IpNet>,
    own: Vec<IpAddr>,
    allowed: Vec<IpNet>,
}

impl DenyList {
    /// Everything internal and this node's `own` addresses, but for what an operator allows.
    pub fn new(own: Vec<IpAddr>, allowed: Vec<IpNet>) -> Self {
        let internal = INTERNAL.iter().filter_map(|net| net.parse().ok()).collect();
        Self { internal, own: own.into_iter().map(canonical).collect(), allowed }
    }

    /// Whether nothing may be sent there. What is allowed is allowed in its canonical form, not in the clothes of a gateway.
    pub fn denies(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        if self.allowed.iter().any(|net| net.contains(&address)) {
            return false;
        }
        let is_internal = |address: IpAddr| self.own.contains(&address) || self.internal.iter().any(|net| net.contains(&address));
        is_internal(address) || matches!(address, IpAddr::V6(v6) if embedded(v6).is_some_and(|v4| is_internal(v4.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allowed: &[&str]) -> DenyList {
        DenyList::new(vec![ip("198.51.99.7"), ip("2a00::7")], allowed.iter().map(|net| net.parse().expect("a network")).collect())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
    }

    /// Internal IPv4 addresses, one or two of each kind.
    const INSIDE: [&str; 24] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.254",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
    ];

    #[test]
    fn of_each_family_the_address_that_reaches_furthest_is_chosen() {
        let all = ["10.0.0.5", "9.9.9.9", "8.8.8.8", "::1", "fd00::1"].map(ip);
        assert_eq!(one_of_each_family(&all, |ip| *ip), [ip("9.9.9.9"), ip("fd00::1")]);
        assert_eq!(one_of_each_family(&all[..1], |ip| *ip), [ip("10.0.0.5")]);
    }

    #[test]
    fn every_internal_range_is_known() {
        assert_eq!(list(&[]).internal.len(), INTERNAL.len(), "each line is a network");
    }

    #[test]
    fn internal_addresses_are_denied_in_every_spelling() {
        let list = list(&[]);
        let mut forms = 0;
        for text in INSIDE {
            let IpAddr::V4(v4) = ip(text) else { panic!("IPv4") };
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let spellings = [
                IpAddr::V4(v4),
                v4.to_ipv6_mapped().into(),
                v4.to_ipv6_compatible().into(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into(),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0x2002, high, low, 0xffff, 1, 2, 3, 4).into(),
            ];
            for spelling in spellings {
                assert!(list.denies(spelling), "{text} as {spelling}");
                forms += 1;
            }
        }
        for text in [
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b:1::1",
            "64:ff9b:1:ffff::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456:789a::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(list.denies(ip(text)), "{text}");
            forms += 1;
        }
        assert!(forms >= 60, "{forms} forms");
    }

    #[test]
    fn the_nodes_own_addresses_are_denied_though_they_are_public() {
        for text in ["198.51.99.7", "::ffff:198.51.99.7", "64:ff9b::198.51.99.7", "2002:c633:6307::1", "2a00::7"] {
            assert!(list(&[]).denies(ip(text)), "{text}");
        }
        assert!(!list(&[]).denies(ip("198.51.99.8")));
    }

    #[test]
    fn public_addresses_are_not_denied_in_any_spelling() {
        let list = list(&[]);
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "11.0.0.1",
        ] {
            let IpAddr::V4(v4) = ip(text) else { panic!("IPv4") };
            for spelling in [IpAddr::V4(v4), v4.to_ipv6_mapped().into()] {
                assert!(!list.denies(spelling), "{text} as {spelling}");
            }
        }
        for text in ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "64:ff9b::8.8.8.8", "2002:808:808::1", "2400::1"] {
            assert!(!list.denies(ip(text)), "{text}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_as_itself_and_nothing_beside_it() {
        let list = list(&["10.1.0.0/16", "fd00:1::/32"]);
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7"] {
            assert!(!list.denies(ip(text)), "{text}");
        }
        for text in ["10.2.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::1", "::10.1.2.3", "fd00:2::7", "127.0.0.1"] {
            assert!(list.denies(ip(text)), "{text}");
        }
    }
}
