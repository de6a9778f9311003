//! How fast sessions may begin: by source prefix, since whoever has one address often has its neighbours too.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::base::prefix::prefix_of;

/// Prefixes that are told apart. Beyond, all newcomers share one allowance; more would cost about 50 bytes each.
const PREFIXES: usize = 4_096;
/// What newcomers share when there are too many.
const THE_REST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// An allowance for each source prefix.
pub struct Rate(RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>);

impl Rate {
    /// So many a second, and as many at once.
    pub fn new(per_second: u32) -> Self {
        Self(RateLimiter::hashmap(Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN))))
    }

    /// Whether one more may begin.
    pub fn allows(&self, from: IpAddr) -> bool {
        if self.0.len() >= PREFIXES {
            self.0.retain_recent();
        }
        let prefix = if self.0.len() < PREFIXES { prefix_of(from) } else { THE_REST };
        self.0.check_key(&prefix).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_an_allowance_and_strangers_do_not() {
        let rate = Rate::new(2);
        let (one, neighbour, stranger) = ([192, 0, 2, 1].into(), [192, 0, 2, 200].into(), [192, 0, 3, 1].into());
        assert!(rate.allows(one) && rate.allows(neighbour));
        assert!(!rate.allows(one) && !rate.allows(neighbour));
        assert!(rate.allows(stranger));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 3, 7).to_ipv6_mapped());
        assert!(rate.allows(mapped) && !rate.allows(stranger), "an IPv4 address in IPv6 clothes is the same");
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_more_memory_than_the_cap() {
        let rate = Rate::new(1_000);
        for i in 0..20_000u32 {
            rate.allows(Ipv4Addr::from_bits(0x0a00_0000 | i << 8).into());
            assert!(rate.0.len() <= PREFIXES + 1);
        }
    }
}
