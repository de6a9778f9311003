//! The section `turn`: the relay inside this server.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};

/// Microseconds that a relay may gather for at most: what a frame of sound is late by is not heard below this.
const MOST_GATHERED: u64 = 5_000;

/// The relay, as it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TurnSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Port at which clients are heard; 0 lets the system choose (tests).
    pub port: u16,
    /// TCP port at which clients are heard behind TLS, where this server has a certificate; 0 for none.
    pub tls_port: u16,
    /// Name of this server in `turns:` URLs, for which its certificate is; empty for the first one of `tls.domains` (ACME) or of the certificate (files).
    pub host: String,
    /// First UDP port of allocations.
    pub first_port: u16,
    /// Last UDP port of allocations.
    pub last_port: u16,
    /// Allocations of one user at a time.
    pub user_allocations: usize,
    /// Allocations at a time.
    pub allocations: usize,
    /// Kilobits a second that an allocation may relay, both ways together; 0 for no limit.
    pub allocation_kbps: u64,
    /// Microseconds that what comes is gathered for while a worker has nothing but the relay's to do; 0: not at all.
    pub gather_micros: u64,
    /// Networks that are not on the public internet and may be relayed to all the same.
    pub allow_peers: Vec<String>,
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            port: 3_478,
            tls_port: 5_349,
            host: String::new(),
            first_port: 49_152,
            last_port: 65_535,
            user_allocations: 40,
            allocations: 4_096,
            allocation_kbps: 0,
            gather_micros: 1000,
            allow_peers: Vec::new(),
        }
    }
}

/// The relay, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct TurnConfig {
    /// Port at which clients are heard.
    pub port: u16,
    /// TCP port at which clients are heard behind TLS.
    pub tls_port: Option<u16>,
    /// That is the port of the pages, whose listener tells apart who wants what.
    pub beside_pages: bool,
    /// Name of this server in `turns:` URLs.
    pub host: Option<String>,
    /// UDP ports of allocations.
    pub ports: RangeInclusive<u16>,
    /// Allocations of one user at a time.
    pub user_allocations: usize,
    /// Allocations at a time.
    pub allocations: usize,
    /// Bytes a second that an allocation may relay, both ways together.
    pub bytes_per_second: Option<u64>,
    /// How long what comes is gathered while a worker has nothing but the relay's to do.
    pub gather: Duration,
    /// Networks that are not on the public internet and may be relayed to all the same.
    pub allow_peers: Vec<IpNet>,
}

impl TurnSettings {
    /// Checks the settings; none: there is no relay. `pages` is the port of the pages' listener.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self, media: RangeInclusive<u16>, pages: u16) -> Result<Option<TurnConfig>, InvalidSetting> {
        if !self.enabled {
            return Ok(None);
        }
        at_least("turn.user_allocations", self.user_allocations as u64, 1)?;
        at_least("turn.allocations", self.allocations as u64, 1)?;
        at_least("turn.first_port", self.first_port.into(), 1_024)?;
        if self.gather_micros > MOST_GATHERED {
            return invalid("turn.gather_micros", format!("a call would hear it: choose at most {MOST_GATHERED}"));
        }
        if self.last_port < self.first_port {
            return invalid("turn.last_port", format!("it is below turn.first_port: choose {} or more", self.first_port));
        }
        let ports = self.first_port..=self.last_port;
        let overlaps = media.start() <= ports.end() && ports.start() <= media.end();
        if overlaps {
            return invalid("turn.first_port", format!("media has ports among these ({}–{}): choose others", media.start(), media.end()));
        }
        if media.contains(&self.port) && self.port != 0 {
            return invalid("turn.port", format!("media has it ({}–{}): choose another", media.start(), media.end()));
        }
        if self.host.contains(|c: char| c.is_whitespace() || "/:?".contains(c)) {
            return invalid("turn.host", format!("`{}` is no name of a server: write turn.example.org", self.host));
        }
        if self.port != 0 && self.port == self.tls_port {
            return invalid("turn.tls_port", "it is turn.port: choose another, or 0 for none".into());
        }
        if ports.contains(&self.port) {
            return invalid("turn.port", format!("allocations may get this port: choose one that is not in {}–{}", self.first_port, self.last_port));
        }
        Ok(Some(TurnConfig {
            port: self.port,
            tls_port: (self.tls_port != 0).then_some(self.tls_port),
            beside_pages: self.tls_port != 0 && self.tls_port == pages,
            host: (!self.host.is_empty()).then(|| self.host.clone()),
            ports,
            user_allocations: self.user_allocations,
            allocations: self.allocations,
            bytes_per_second: (self.allocation_kbps > 0).then(|| self.allocation_kbps.saturating_mul(125)),
            gather: Duration::from_micros(self.gather_micros),
            allow_peers: self.allow_peers.iter().map(|text| network(text)).collect::<Result<_, _>>()?,
        }))
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, InvalidSetting> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    match text.parse::<IpNet>().or_else(|_| alone()) {
        Ok(net) => Ok(net),
        Err(_) => invalid("turn.allow_peers", format!("`{text}` is no network: write 10.1.0.0/16, fd00::/8, or one address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut TurnSettings)) -> String {
        let mut settings = TurnSettings::default();
        change(&mut settings);
        settings.check(40_000..=40_007, 8_080).expect_err("refused").name
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        assert_eq!(refused(|s| s.user_allocations = 0), "turn.user_allocations");
        assert_eq!(refused(|s| s.allocations = 0), "turn.allocations");
        assert_eq!(refused(|s| s.first_port = 80), "turn.first_port");
        assert_eq!(refused(|s| s.last_port = 1_024), "turn.last_port");
        assert_eq!(refused(|s| s.first_port = 39_000), "turn.first_port");
        assert_eq!(refused(|s| s.port = 50_000), "turn.port");
        assert_eq!(refused(|s| s.port = 40_007), "turn.port");
        assert_eq!(refused(|s| s.host = "https://x".into()), "turn.host");
        assert_eq!(refused(|s| s.tls_port = s.port), "turn.tls_port");
        assert_eq!(refused(|s| s.gather_micros = 5_001), "turn.gather_micros");
        assert_eq!(refused(|s| s.allow_peers = vec!["everybody".into()]), "turn.allow_peers");
    }

    #[test]
    fn the_port_of_the_pages_is_shared_with_them() {
        let beside =
            |tls_port, pages| TurnSettings { tls_port, ..TurnSettings::default() }.check(0..=0, pages).map(|c| c.is_some_and(|c| c.beside_pages));
        assert_eq!((beside(443, 443), beside(443, 8_443), beside(0, 0)), (Ok(true), Ok(false), Ok(false)));
    }

    #[test]
    fn an_address_alone_is_a_network_of_one() {
        let settings = TurnSettings { allow_peers: vec!["10.1.0.0/16".into(), "fd00::7".into()], allocation_kbps: 800, ..TurnSettings::default() };
        let config = settings.check(40_000..=40_000, 0).expect("fine").expect("enabled");
        assert_eq!(config.allow_peers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.0/16", "fd00::7/128"]);
        assert_eq!(config.bytes_per_second, Some(100_000));
        assert_eq!(TurnSettings { enabled: false, ..settings }.check(0..=0, 0), Ok(None));
    }
}
