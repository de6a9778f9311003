//! `althing healthcheck`: for containers and supervisors, which have no other program to ask a node with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use clap::Args;

use super::failure::{Failure, SYSTEM};
use crate::config::Config;
use crate::control::admin::doctor::ask;

#[derive(Args)]
pub struct Health {
    /// Ask whether it takes calls, too: it does not before all listeners are there, and when it ends
    #[arg(long)]
    ready: bool,
    /// Another node's private listener, instead of admin.listen
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<SocketAddr>,
}

/// Asks a node how it is. The exit code: 0 it is well, 1 it is not, or not there.
pub fn run(asked: &Health, config: &Config) -> Result<ExitCode, Failure> {
    let admin = asked.admin.unwrap_or_else(|| reachable(config.admin));
    let path = if asked.ready { "/readyz" } else { "/healthz" };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::with(SYSTEM))?;
    match runtime.block_on(ask::text(&format!("http://{admin}{path}"))) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(why) => {
            eprintln!("althing: {admin}{path}: {why}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Where a listener is reached from this machine: one that takes connections to all addresses, at the loopback address.
pub fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_addresses_is_reached_at_the_loopback_address() {
        let reached = |listens: &str| reachable(listens.parse().expect("an address")).to_string();
        assert_eq!(["0.0.0.0:9090", "[::]:9", "192.0.2.1:9"].map(reached), ["127.0.0.1:9090", "[::1]:9", "192.0.2.1:9"]);
    }
}
