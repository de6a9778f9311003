//! Servers of `ice.urls`: whether clients that need them would be helped.

use std::net::SocketAddr;

use super::Finding;

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
