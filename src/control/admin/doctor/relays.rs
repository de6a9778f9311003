//! Servers of `ice.urls`: whether clients that need them would be helped.

use std::net::SocketAddr;

use super::Finding;
use crate::config::CallPolicy;

/// What came of asking one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// STUN: it says how we are seen.
    Seen(SocketAddr),
    /// TURN: it took the credentials and gave an allocation at this address.
    Granted(SocketAddr),
    /// It answered with an error (RFC 8489 section 14.8): a code and a phrase.
    Refused(u16, String),
    /// It did not answer.
    Silent,
    /// It could not be reached: why.
    Unreachable(String),
}

/// The own relay behind TLS: the name that clients are told, and whether the certificate that is shown is for it.
pub fn of_sealed(name: Option<(&str, bool)>) -> Option<Finding> {
    match name {
        Some((_, true)) => None,
        Some((name, false)) => Some(Finding::problem(
            "relay_other_name",
            format!("The certificate is not for {name}, by which clients find the relay behind TLS: they refuse it."),
            "set turn.host to a name that the certificate is for, or get one for both",
        )),
        None => Some(Finding::warning(
            "relay_unnamed",
            "Clients are told no relay behind TLS: the certificate is for no name.",
            "set turn.host to a name that the certificate is for, or get one for a name",
        )),
    }
}

/// Rooms in which everything goes directly, and whether there is something that relays where that is impossible.
pub fn of_last_resort(policy: CallPolicy, own: bool, urls: &[String]) -> Option<Finding> {
    let none = policy == CallPolicy::P2p && !own && !urls.iter().any(|url| is_relay(url));
    none.then(|| {
        Finding::warning(
            "relay_none",
            "Calls are direct ones alone (rooms.policy = \"p2p\"), and there is no relay: where both networks let nobody in, no call comes up.",
            "set turn.enabled = true, or name a relay in ice.urls, or let the server carry such calls: rooms.policy = \"auto\"",
        )
    })
}

/// The own relay's ports, of which each allocation takes one, against the allocations that are allowed.
pub fn of_range(ports: usize, allocations: usize) -> Option<Finding> {
    (ports < allocations).then(|| {
        Finding::warning(
            "relay_ports",
            format!("The relay has {ports} ports, and {allocations} allocations are allowed (turn.allocations): once the ports are taken, calls that need it do not come up."),
            format!("widen turn.first_port–turn.last_port to {allocations} ports, and open them in the firewall, or lower turn.allocations to {ports}"),
        )
    })
}

/// A secret that is shared with relays, and whether there is one.
pub fn of_secret(given: bool, urls: &[String]) -> Option<Finding> {
    let unused = given && !urls.iter().any(|url| is_relay(url));
    unused.then(|| {
        Finding::warning(
            "relay_secret_unused",
            "ice.secret is set, and ice.urls names no relay that would take it.",
            "add the relay to ice.urls (turn:HOST or turns:HOST), or leave ice.secret out",
        )
    })
}

fn is_relay(url: &str) -> bool {
    url.starts_with("turn:") || url.starts_with("turns:")
}

/// What came of asking the server of this URL.
pub fn of_relay(url: &str, outcome: &Outcome) -> Finding {
    let help = if url.starts_with("turn") { "calls that need a relay do not come up" } else { "clients do not learn how they are seen from outside" };
    let leave_out = "or leave it out of ice.urls";
    match outcome {
        Outcome::Seen(_) => Finding::ok("relay", format!("{url} answers.")),
        Outcome::Granted(_) => Finding::ok("relay", format!("{url} takes our credentials and relays.")),
        Outcome::Refused(401 | 441, _) => Finding::problem(
            "relay_credentials",
            format!("{url} does not take our credentials: {help}."),
            "set ice.secret to the very secret of the relay (coturn: use-auth-secret, static-auth-secret), and compare both clocks",
        ),
        Outcome::Refused(code, phrase) => Finding::problem(
            "relay_refused",
            format!("{url} refuses to help ({code} {phrase}): {help}."),
            format!("look at its settings (quotas, addresses to relay from), {leave_out}"),
        ),
        Outcome::Silent => Finding::problem(
            "relay_silent",
            format!("{url} does not answer: {help}."),
            format!("start it, open its port in every firewall between, correct the URL, {leave_out}"),
        ),
        Outcome::Unreachable(why) => Finding::problem(
            "relay_unreachable",
            format!("{url} cannot be reached ({why}): {help}."),
            format!("start it, open its port in every firewall between, correct the URL, {leave_out}"),
        ),
    }
}
