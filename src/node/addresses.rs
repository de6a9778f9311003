//! Where media is sent and received, and what clients are told about it.

use std::net::IpAddr;

use crate::config::MediaConfig;

/// The addresses of a node's media.
#[derive(Clone, PartialEq, Debug)]
pub struct Addresses {
    /// To bind, one socket each.
    pub bound: Vec<IpAddr>,
    /// To announce, most preferred first.
    pub announced: Vec<IpAddr>,
    /// Of those bound, how a STUN server saw them at the start: bound, then seen. All of the latter are announced, too.
    pub seen: Vec<(IpAddr, IpAddr)>,
}

impl Addresses {
    /// The same, with what a STUN server saw: last among the announced, for whoever is near need not come by the NAT.
    pub fn with_seen(mut self, seen: Vec<(IpAddr, IpAddr)>) -> Self {
        let news: Vec<_> = seen.into_iter().filter(|(_, seen)| !self.announced.contains(seen)).collect();
        for (bound, seen) in news {
            if !self.announced.contains(&seen) {
                self.announced.push(seen);
            }
            self.seen.push((bound, seen));
        }
        self
    }
}

/// The addresses by these settings; `Err` says what to set.
pub fn of_media(config: &MediaConfig, development: bool) -> Result<Addresses, String> {
    let found = if config.bind.is_empty() { interfaces()? } else { Vec::new() };
    choose(config, found, development).ok_or_else(|| "no interface has an address; name one with `--set media.bind=ADDRESS`".to_owned())
}

/// What this machine may be reached by: its interfaces' addresses, and those that clients are told. Where the interfaces cannot be listed,
/// the others have to do.
pub fn of_machine(config: &MediaConfig) -> Vec<IpAddr> {
    let mut all = interfaces().unwrap_or_default();
    all.extend(&config.announce);
    all
}

/// What interfaces have; none where they cannot be listed.
pub fn of_interfaces() -> Vec<IpAddr> {
    interfaces().unwrap_or_default()
}

fn interfaces() -> Result<Vec<IpAddr>, String> {
    let all =
        if_addrs::get_if_addrs().map_err(|e| format!("the interfaces cannot be listed ({e}); name an address with `--set media.bind=ADDRESS`"))?;
    Ok(all.into_iter().filter(|i| i.is_oper_up()).map(|i| i.ip()).collect())
}

fn choose(config: &MediaConfig, found: Vec<IpAddr>, development: bool) -> Option<Addresses> {
    let mut bound: Vec<IpAddr> = if config.bind.is_empty() {
        let usable: Vec<IpAddr> = found.into_iter().filter(|a| !is_link_local(a)).collect();
        let others = usable.iter().any(|a| !a.is_loopback());
        usable.into_iter().filter(|a| development || !others || !a.is_loopback()).collect()
    } else {
        config.bind.clone()
    };
    // Loopback last: a client elsewhere tries it in vain. IPv4 first among the others: that is what most can reach.
    bound.sort_by_key(|a| (a.is_loopback(), a.is_ipv6(), *a));
    bound.dedup();
    let announced = if config.announce.is_empty() { bound.clone() } else { config.announce.clone() };
    (!bound.is_empty()).then_some(Addresses { bound, announced, seen: Vec::new() })
}

/// A link-local address means nothing without its interface, which a candidate cannot name.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|t| t.parse().expect("an address")).collect()
    }

    fn chosen(found: &[&str], development: bool, change: impl FnOnce(&mut MediaConfig)) -> Option<Addresses> {
        let mut media = Config::default().media;
        change(&mut media);
        choose(&media, addresses(found), development)
    }

    #[test]
    fn loopback_is_used_where_there_is_no_other_or_in_development() {
        let both = ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7", "fe80::7"];
        assert_eq!(chosen(&both, false, |_| ()).map(|a| a.bound), Some(addresses(&["192.0.2.7", "2001:db8::7"])));
        assert_eq!(chosen(&both, true, |_| ()).map(|a| a.bound), Some(addresses(&["192.0.2.7", "2001:db8::7", "127.0.0.1", "::1"])));
        assert_eq!(chosen(&["127.0.0.1", "fe80::7"], false, |_| ()).map(|a| a.bound), Some(addresses(&["127.0.0.1"])));
        assert_eq!(chosen(&[], false, |_| ()), None);
    }

    #[test]
    fn settings_win() {
        let found = chosen(&["192.0.2.7"], false, |m| (m.bind, m.announce) = (addresses(&["10.0.0.1"]), addresses(&["203.0.113.9"])));
        assert_eq!(found, Some(Addresses { bound: addresses(&["10.0.0.1"]), announced: addresses(&["203.0.113.9"]), seen: Vec::new() }));
    }

    #[test]
    fn what_a_stun_server_saw_is_announced_beside_the_others_and_once() {
        let of = |bound: &[&str]| Addresses { bound: addresses(bound), announced: addresses(bound), seen: Vec::new() };
        let pair = |bound: &str, seen: &str| (bound.parse().expect("an address"), seen.parse().expect("an address"));
        let seen = of(&["10.0.0.1", "10.0.0.2"]).with_seen(vec![pair("10.0.0.1", "203.0.113.9"), pair("10.0.0.2", "203.0.113.9")]);
        assert_eq!(seen.announced, addresses(&["10.0.0.1", "10.0.0.2", "203.0.113.9"]));
        assert_eq!(seen.seen, [pair("10.0.0.1", "203.0.113.9"), pair("10.0.0.2", "203.0.113.9")]);
        let public = of(&["198.51.99.7"]);
        assert_eq!(public.clone().with_seen(vec![pair("198.51.99.7", "198.51.99.7")]), public, "where there is no NAT nothing changes");
    }
}
