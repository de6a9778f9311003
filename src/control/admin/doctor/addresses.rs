//! Announced addresses: who can reach them.

use std::net::{IpAddr, SocketAddr};

use super::{Finding, listed};
use crate::base::address::Reach;

/// How this machine is seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen {
    /// A STUN server saw this address.
    As(IpAddr),
    /// This server did not answer.
    Unanswered(String),
}

/// What is announced, from its own looks alone: all that a node knows when it starts.
///
/// `elsewhere`: clients are known to come from the public internet.
pub fn of_announced(announced: &[IpAddr], elsewhere: bool) -> Finding {
    let furthest = announced.iter().map(|ip| Reach::of(*ip)).max();
    let list = listed(announced);
    let (code, what, next) = match furthest {
        Some(Reach::Public) => return Finding::ok("announced", format!("Clients are told to send media to {list}.")),
        Some(Reach::Private) => (
            "announced_private",
            format!("The server announces only addresses of a private network ({list}): clients elsewhere cannot reach them."),
            "set media.announce to the public address that leads here (`--announce ADDRESS`); where all clients are on that network, all is well",
        ),
        Some(Reach::Loopback) => (
            "announced_loopback",
            format!("The server announces only addresses of this machine itself ({list}): no client on another machine can reach them."),
            "connect an interface, or set media.announce to the address that leads here (`--announce ADDRESS`)",
        ),
        None => (
            "announced_none",
            "The server has no address to announce: media has nowhere to go.".to_owned(),
            "name an address of this machine with `--set media.bind=ADDRESS`",
        ),
    };
    if elsewhere || furthest.is_none() { Finding::problem(code, what, next) } else { Finding::warning(code, what, next) }
}

/// The same beside how this machine is seen from outside.
pub fn of_seen(announced: &[IpAddr], seen: Option<&Seen>, elsewhere: bool) -> Vec<Finding> {
    let looks = of_announced(announced, elsewhere);
    let address = match seen {
        None => return vec![looks],
        Some(Seen::Unanswered(server)) => {
            let silent = Finding::warning(
                "stun_unanswered",
                format!("The STUN server {server} did not answer: it is not known how this machine is seen from outside."),
                "check its name and port, and that UDP may leave this machine; or ask another with `--stun HOST:PORT`",
            );
            return vec![looks, silent];
        }
        Some(Seen::As(address)) => *address,
    };
    let list = listed(announced);
    if announced.contains(&address) {
        return vec![looks, Finding::ok("announced_seen", format!("From outside this machine is seen as {address}, which is announced."))];
    }
    if !announced.iter().any(|ip| ip.is_ipv4() == address.is_ipv4() && Reach::of(*ip) == Reach::Public) {
        let what =
            format!("This machine is behind a NAT: from outside it is seen as {address}, and clients are told {list}, which they cannot reach.");
        let next =
            format!("announce {address} (`--announce {address}`, or media.announce), and have the NAT forward the media ports to this machine");
        return vec![Finding::problem("announced_other_than_seen", what, next)];
    }
    let what = format!("From outside this machine is seen as {address}, and clients are told {list}.");
    let next =
        format!("if {address} leads here, announce it, too (media.announce); if not, all is well: what leaves takes another way than what comes");
    vec![looks, Finding::warning("announced_other_than_seen", what, next)]
}

/// Announced media addresses that no interface has, and that our own node did not answer at.
pub fn of_detours(silent: &[SocketAddr]) -> Option<Finding> {
    let next = "many NATs do not lead their own network back in (hairpinning), so that this may be well: try it from outside";
    let what = || format!("{} is announced, no interface has it, and nothing answered there from here.", listed(silent));
    (!silent.is_empty()).then(|| Finding::warning("announced_not_here", what(), next))
}
