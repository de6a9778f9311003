//! What the workers' relays know together: how many allocations each user has, who has been sent away, and where allocations are bound.
//!
//! Users are looked at when an allocation is made, refreshed or swept, never for data; ports, without a lock, for data between two allocations.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Users that have been sent away and are remembered at most. Each was a member of a room; past it the first to be forgotten is whose
/// credentials end first.
const REMEMBERED: usize = 10_000;

/// The users of a node's relay.
pub struct RelayUsers {
    most: usize,
    /// How long credentials are good for, and so how long one that was sent away must be remembered.
    lifetime: Duration,
    any_revoked: AtomicBool,
    table: Mutex<Table>,
    /// A bit for each port, of IPv4 and of IPv6: an allocation is bound there.
    ports: [Box<[AtomicU64]>; 2],
}

#[derive(Default)]
struct Table {
    allocations: HashMap<String, usize>,
    revoked: HashMap<String, Instant>,
}

impl RelayUsers {
    /// With so many allocations for each, and credentials that last so long.
    pub fn new(most: usize, lifetime: Duration) -> Self {
        Self { most, lifetime, any_revoked: AtomicBool::new(false), table: Mutex::default(), ports: [no_ports(), no_ports()] }
    }

    /// One more allocation for a user; false when it has as many as it may.
    pub fn claim(&self, user: &str) -> bool {
        let mut table = self.table();
        if let Some(count) = table.allocations.get_mut(user) {
            let free = *count < self.most;
            *count += usize::from(free);
            return free;
        }
        if self.most > 0 {
            table.allocations.insert(user.to_owned(), 1);
        }
        self.most > 0
    }

    /// One allocation less.
    pub fn release(&self, user: &str) {
        let mut table = self.table();
        if let Some(count) = table.allocations.get_mut(user) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.allocations.remove(user);
            }
        }
    }

    /// Sends a user away: its credentials are good for nothing from now on.
    pub fn revoke(&self, user: &str) {
        let now = Instant::now();
        let mut table = self.table();
        table.revoked.retain(|_, until| *until > now);
        if table.revoked.len() >= REMEMBERED
            && let Some(first) = table.revoked.iter().min_by_key(|(_, until)| **until).map(|(user, _)| user.clone())
        {
            table.revoked.remove(&first);
        }
        table.revoked.insert(user.to_owned(), now + self.lifetime);
        self.any_revoked.store(true, Ordering::Release);
    }

    /// Whether a user has been sent away.
    pub fn is_revoked(&self, user: &str) -> bool {
        self.any_revoked.load(Ordering::Acquire) && self.table().revoked.get(user).is_some_and(|until| *until > Instant::now())
    }

    /// An allocation is bound there from now on, or no longer.
    pub fn set_bound(&self, at: SocketAddr, bound: bool) {
        if let Some((ports, bit)) = self.port(at) {
            if bound {
                ports.fetch_or(bit, Ordering::Release)
            } else {
                ports.fetch_and(!bit, Ordering::Release)
            };
        }
    }

    /// Whether an allocation is bound there.
    pub fn is_bound(&self, at: SocketAddr) -> bool {
        self.port(at).is_some_and(|(ports, bit)| ports.load(Ordering::Acquire) & bit != 0)
    }

    fn port(&self, at: SocketAddr) -> Option<(&AtomicU64, u64)> {
        let [four, six] = &self.ports;
        let ports = if at.is_ipv6() { six } else { four };
        Some((ports.get(usize::from(at.port() / 64))?, 1 << (at.port() % 64)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each change is one step: what a panic has left is consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bit for each of 65,536.
fn no_ports() -> Box<[AtomicU64]> {
    (0..1_024).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_as_many_as_it_may_and_no_trace_is_left_of_it() {
        let users = RelayUsers::new(2, Duration::from_secs(60));
        assert!(users.claim("ada") && users.claim("ada") && !users.claim("ada") && users.claim("ben"));
        users.release("ada");
        assert!(users.claim("ada") && !users.claim("ada"));
        for user in ["ada", "ada", "ben", "nobody"] {
            users.release(user);
        }
        assert!(users.table().allocations.is_empty());
        assert!(!RelayUsers::new(0, Duration::ZERO).claim("ada"));
    }

    #[test]
    fn whoever_is_sent_away_stays_away_as_long_as_the_credentials_would_last() {
        let users = RelayUsers::new(2, Duration::from_secs(60));
        assert!(!users.is_revoked("ada"));
        users.revoke("ada");
        assert!(users.is_revoked("ada") && !users.is_revoked("ben"));
        let brief = RelayUsers::new(2, Duration::ZERO);
        brief.revoke("ada");
        assert!(!brief.is_revoked("ada"));
        for n in 0..REMEMBERED + 5 {
            users.revoke(&n.to_string());
        }
        assert_eq!(users.table().revoked.len(), REMEMBERED);
    }

    #[test]
    fn a_port_is_bound_until_it_is_let_go_and_of_one_family() {
        let users = RelayUsers::new(1, Duration::ZERO);
        let [four, next, six] = ["192.0.2.1:50001", "192.0.2.1:50002", "[::1]:50001"].map(|text| text.parse().expect("an address"));
        users.set_bound(four, true);
        users.set_bound(next, true);
        assert!(users.is_bound(four) && users.is_bound(next) && !users.is_bound(six));
        users.set_bound(four, false);
        assert!(!users.is_bound(four) && users.is_bound(next));
    }
}
