//! What the log says when a member's connection does not come up: what `althing doctor` and the member itself say.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::names::RoomName;
use crate::control::admin::doctor::addresses::of_announced;
use crate::control::admin::doctor::{Finding, Verdict};

/// The log says it no more often than this: strangers can make as many connections as they like that never come up.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// When it was last said, and how often it has happened since.
pub struct Unreached {
    epoch: Instant,
    /// Milliseconds since then, plus one.
    said: AtomicU64,
    unsaid: AtomicU64,
}

impl Unreached {
    /// Nothing has been said yet.
    pub fn new() -> Self {
        Self { epoch: Instant::now(), said: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// A connection has not come up in a room that is reached at these addresses.
    pub fn say(&self, room: &RoomName, announced: &BTreeSet<SocketAddr>, tcp: bool) {
        let since = self.unsaid.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.epoch.elapsed().as_millis() as u64 + 1;
        let said = self.said.load(Ordering::Relaxed);
        let due = said == 0 || now >= said + AT_MOST_EVERY.as_millis() as u64;
        // Of two rooms at once, one says it.
        if !due || self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        self.unsaid.fetch_sub(since, Ordering::Relaxed);
        let Finding { code, what, next, .. } = why(announced, tcp);
        let next = next.unwrap_or_default();
        tracing::warn!(%room, times = since, code, "a member's connection has not come up within 15 s: {what} ({next}; `althing doctor` says more)");
    }
}

/// The most likely reason, as far as this end can tell.
fn why(announced: &BTreeSet<SocketAddr>, tcp: bool) -> Finding {
    let addresses: Vec<IpAddr> = announced.iter().map(SocketAddr::ip).collect::<BTreeSet<_>>().into_iter().collect();
    let looks = of_announced(&addresses, false);
    if looks.verdict != Verdict::Ok {
        return looks;
    }
    let list = |items: Vec<String>| items.join(", ");
    let ports = list(announced.iter().map(|at| at.port().to_string()).collect::<BTreeSet<_>>().into_iter().collect());
    let by = if tcp { "UDP and TCP" } else { "UDP" };
    let to = list(addresses.iter().map(ToString::to_string).collect());
    Finding::problem(
        "ports_blocked",
        format!("{by} port {ports} may be blocked on the way to {to}."),
        "open them in this machine's firewall, in the cloud's, and in every NAT on the way",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addresses: &[&str]) -> BTreeSet<SocketAddr> {
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn the_reason_is_what_the_doctor_and_the_member_say() {
        assert_eq!(why(&at(&["127.0.0.1:40000"]), true).code, "announced_loopback");
        assert_eq!(why(&at(&["10.0.0.7:40000", "10.0.0.7:40001"]), true).code, "announced_private");
        let blocked = why(&at(&["198.51.99.7:40000", "198.51.99.7:40001"]), true);
        assert_eq!(blocked.code, "ports_blocked");
        assert_eq!(blocked.what, "UDP and TCP port 40000, 40001 may be blocked on the way to 198.51.99.7.");
        assert!(why(&at(&["198.51.99.7:40000"]), false).what.starts_with("UDP port"));
    }

    #[test]
    fn strangers_do_not_fill_the_log() {
        let (unreached, room) = (Unreached::new(), RoomName::new("room").expect("a name"));
        for _ in 0..3 {
            unreached.say(&room, &at(&["198.51.99.7:40000"]), true);
        }
        assert_eq!(unreached.unsaid.load(Ordering::Relaxed), 2, "the first was said, and two wait for their minute");
    }
}
