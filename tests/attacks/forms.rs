//! Addresses that nobody outside may have the relay send to, in every spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IPv4 addresses that are not on the public internet: one or two of each range.
const INSIDE: [&str; 22] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "127.255.255.255",
];

/// IPv6 addresses that are not, beside those that are IPv4 addresses in other clothes.
const INSIDE_V6: [&str; 18] = [
    "::",
    "::1",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff::808:808",
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
];

/// All forms, at a port; `control`: ports of the node's own address at which nothing may be reached; `allowed`: an address that may be reached
/// as itself, but not through a gateway, nor at port 0.
pub fn all(port: u16, control: &[SocketAddr], allowed: Ipv4Addr) -> Vec<SocketAddr> {
    let inside = INSIDE.iter().map(|text| text.parse::<Ipv4Addr>().expect("an address"));
    let interfaces: Vec<IpAddr> = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect();
    let own = interfaces.iter().filter_map(|ip| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None });
    let mut ips: Vec<IpAddr> = inside.chain(own).flat_map(|v4| [v4.into(), v4.to_ipv6_mapped().into()].into_iter().chain(gateways(v4))).collect();
    ips.extend(gateways(allowed));
    ips.extend(INSIDE_V6.iter().map(|text| text.parse::<IpAddr>().expect("an address")));
    ips.extend(interfaces.iter().filter(|ip| ip.is_ipv6()));
    let mut forms: Vec<_> = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    for at in control {
        forms.push(*at);
        if let IpAddr::V4(v4) = at.ip() {
            forms.extend([v4.to_ipv6_mapped().into()].into_iter().chain(gateways(v4)).map(|ip: IpAddr| SocketAddr::new(ip, at.port())));
        }
    }
    forms.extend([IpAddr::V4(allowed), allowed.to_ipv6_mapped().into(), [8, 8, 8, 8].into()].map(|ip| SocketAddr::new(ip, 0)));
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// What a gateway would make this IPv4 address of: IPv4-compatible, NAT64, 6to4.
fn gateways(v4: Ipv4Addr) -> [IpAddr; 4] {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    [
        v4.to_ipv6_compatible().into(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into(),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into(),
        Ipv6Addr::new(0x2002, high, low, 0xffff, 1, 2, 3, 4).into(),
    ]
}
