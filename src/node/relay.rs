//! The relay of a node: what its workers share of it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use super::StartError;
use super::addresses::Addresses;
use crate::base::address::{DenyList, one_of_each_family};
use crate::config::{MediaConfig, TurnConfig};
use crate::control::draw;
use crate::io::{RelaySetup, udp};
use crate::port::RelayUsers;
use crate::tls::Certificates;
use crate::turn::RelayConfig;
use crate::turn::reach::Reach;

/// Answers a second to those whom nobody knows, for a source prefix, of all workers together: a street of browsers behind one address begins its
/// calls within it. Workers share the relay's port, and which of them is asked depends on the source's port: each has its part.
const STRANGERS: u32 = 100;

/// The relay inside a node.
pub struct OwnRelay {
    /// Its settings.
    pub config: TurnConfig,
    /// The secret of its credentials, drawn at start: they are good for this run of the program, as its allocations are.
    pub secret: [u8; 32],
    nonce_key: [u8; 32],
    /// Port and certificate for streams behind TLS, whoever listens there.
    tls: Option<(u16, Certificates)>,
    users: Arc<RelayUsers>,
}

impl OwnRelay {
    /// By these settings.
    pub fn new(config: TurnConfig, certificates: Option<&Certificates>, users: Arc<RelayUsers>) -> Self {
        let tls = config.tls_port.zip(certificates.cloned());
        Self { config, secret: draw::bytes(), nonce_key: draw::bytes(), tls, users }
    }

    /// What a worker's part of it is made of.
    pub fn setup(&self, addresses: &Addresses, port: u16, media: &MediaConfig, seed: u64) -> RelaySetup {
        RelaySetup {
            fronts: addresses.bound.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            tls: self.own_tls().cloned(),
            addresses: relayed(addresses),
            ports: self.config.ports.clone(),
            users: self.users.clone(),
            gather: self.config.gather,
            relay: RelayConfig {
                secrets: vec![self.secret.to_vec()],
                nonce_key: self.nonce_key,
                reach: self.reach(addresses, media),
                most: self.config.allocations.div_ceil(usize::from(media.workers)),
                bytes_per_second: self.config.bytes_per_second,
                strangers: STRANGERS.div_ceil(u32::from(media.workers)),
                seed,
            },
        }
    }

    fn reach(&self, addresses: &Addresses, media: &MediaConfig) -> Reach {
        // Where interfaces cannot be listed, what is bound is known.
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip());
        let own = interfaces.chain(addresses.bound.iter().copied()).chain(addresses.announced.iter().copied()).collect();
        let last = if media.single_port { media.port } else { media.port.saturating_add(media.workers - 1) };
        Reach::new(DenyList::new(own, self.config.allow_peers.clone()), pairs(addresses), media.port..=last, self.config.ports.clone())
    }

    /// Port and certificate where it listens itself.
    fn own_tls(&self) -> Option<&(u16, Certificates)> {
        self.tls.as_ref().filter(|_| !self.config.beside_pages)
    }

    /// Whether the listener of the pages has streams for it.
    pub const fn is_beside_pages(&self) -> bool {
        self.config.beside_pages && self.tls.is_some()
    }

    /// The URL of the relay behind TLS, where a name for it is known: `named` is what the certificate is for.
    pub fn sealed_url(&self, named: Option<&str>) -> Option<String> {
        let (port, _) = self.tls.as_ref()?;
        let host = self.config.host.as_deref().or(named)?;
        Some(format!("turns:{host}:{port}?transport=tcp"))
    }

    /// Looks whether its ports can be had, by UDP and by TCP. Workers share them, which another program's socket does not allow; and a second
    /// node would take half of what is for the first.
    ///
    /// # Errors
    /// What cannot be had, and what to do.
    pub fn try_ports(&self, addresses: &Addresses) -> Result<(), StartError> {
        let sealed = self.own_tls().into_iter().map(|(port, _)| (*port, "turn.tls_port"));
        for (port, setting) in std::iter::once((self.config.port, "turn.port")).chain(sealed).filter(|(port, _)| *port != 0) {
            for at in addresses.bound.iter().map(|ip| SocketAddr::new(*ip, port)) {
                let datagrams = if setting == "turn.port" { udp::bind(at).map(drop) } else { Ok(()) };
                datagrams.map_err(|error| failed("UDP", at, setting, &error))?;
                TcpListener::bind(at).map_err(|error| failed("TCP", at, setting, &error))?;
            }
        }
        Ok(())
    }
}

fn failed(transport: &str, at: SocketAddr, setting: &str, error: &io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address: name others with `--set media.bind=ADDRESS`".to_owned(),
        _ => format!("another relay may have it: choose another with `--set {setting}=PORT`, or no relay with `--set turn.enabled=false`"),
    };
    StartError { what: format!("cannot start the relay on {transport} {at}: {error}"), advice }
}

/// The addresses that allocations are bound to: of each family that behind the announced address that reaches furthest.
fn relayed(addresses: &Addresses) -> Vec<IpAddr> {
    one_of_each_family(&pairs(addresses), |(announced, _)| *announced).into_iter().map(|(_, bound)| bound).collect()
}

/// Announced addresses, and where each is bound.
fn pairs(addresses: &Addresses) -> Vec<(IpAddr, IpAddr)> {
    let bound = |announced: &IpAddr| {
        let same = addresses.bound.iter().find(|bound| *bound == announced);
        same.or_else(|| addresses.bound.iter().find(|bound| bound.is_ipv6() == announced.is_ipv6())).copied()
    };
    // First what was seen from outside: there are the peers, and what is bound behind it has to be called so.
    let mut pairs: Vec<_> = addresses.seen.iter().map(|(bound, seen)| (*seen, *bound)).collect();
    let others = addresses.announced.iter().filter(|announced| !addresses.seen.iter().any(|(_, seen)| seen == *announced));
    pairs.extend(others.filter_map(|announced| Some((*announced, bound(announced)?))));
    pairs.extend(addresses.bound.iter().filter(|ip| !pairs.iter().any(|(_, bound)| bound == *ip)).map(|ip| (*ip, *ip)).collect::<Vec<_>>());
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_nat_the_announced_address_is_bound_at_the_first_of_its_family() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let addresses = Addresses {
            bound: vec![ip("10.0.0.1"), ip("10.0.0.2"), ip("2001:db8::1")],
            announced: vec![ip("203.0.113.9"), ip("10.0.0.2")],
            seen: Vec::new(),
        };
        let expected = [("203.0.113.9", "10.0.0.1"), ("10.0.0.2", "10.0.0.2"), ("2001:db8::1", "2001:db8::1")];
        assert_eq!(pairs(&addresses), expected.map(|(announced, bound)| (ip(announced), ip(bound))));
        assert_eq!(relayed(&addresses), [ip("10.0.0.1"), ip("2001:db8::1")]);
        let public = vec![ip("10.0.0.1"), ip("198.51.99.7")];
        assert_eq!(relayed(&Addresses { bound: public.clone(), announced: public, seen: Vec::new() }), [ip("198.51.99.7")], "peers are out there");
    }

    #[test]
    fn what_cannot_be_bound_is_refused_with_what_helps() {
        let advice = |kind: io::ErrorKind| failed("UDP", SocketAddr::from(([192, 0, 2, 1], 3_478)), "turn.port", &kind.into()).advice;
        assert!(advice(io::ErrorKind::AddrNotAvailable).contains("media.bind"));
        assert!(advice(io::ErrorKind::AddrInUse).contains("turn.port"));
    }

    #[test]
    fn what_a_stun_server_saw_is_the_address_of_that_which_is_bound_behind_it() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let bound = vec![ip("10.0.0.1"), ip("10.0.0.2")];
        let addresses = Addresses { announced: bound.clone(), bound, seen: Vec::new() }.with_seen(vec![(ip("10.0.0.2"), ip("203.0.113.9"))]);
        let expected = [("203.0.113.9", "10.0.0.2"), ("10.0.0.1", "10.0.0.1"), ("10.0.0.2", "10.0.0.2")];
        assert_eq!(pairs(&addresses), expected.map(|(announced, bound)| (ip(announced), ip(bound))));
        assert_eq!(relayed(&addresses), [ip("10.0.0.2")]);
    }
}
