//! Source prefixes: whoever has one address often has its neighbours too, so what strangers may have is limited by prefix.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Time;
use super::map::Seed;

/// The /24 of an IPv4 address, the /56 of an IPv6 address; an IPv4 address in IPv6 clothes is the IPv4 address.
pub fn prefix_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8))),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72))),
    }
}

/// Buckets: prefixes that fall into one share it. More costs 16 bytes each; fewer would let strangers use up each other's allowance.
const BUCKETS: usize = 4_096;

/// An allowance for each source prefix, in as much memory however many there are.
pub struct PrefixRate {
    seed: Seed,
    buckets: Box<[Bucket]>,
    per_second: u32,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: u32,
    at: Time,
}

impl PrefixRate {
    /// So many a second, and as many at once.
    pub fn new(seed: Seed, per_second: u32) -> Self {
        Self { seed, buckets: vec![Bucket { left: per_second, at: Time::ZERO }; BUCKETS].into_boxed_slice(), per_second }
    }

    /// Whether one more is allowed at `now`.
    pub fn allows(&mut self, now: Time, from: IpAddr) -> bool {
        let index = self.seed.hash_one(prefix_of(from)) as usize % BUCKETS;
        let Some(bucket) = self.buckets.get_mut(index) else { return false };
        let more = now.since(bucket.at).as_millis().saturating_mul(u128::from(self.per_second)) / 1_000;
        if more > 0 {
            bucket.left = bucket.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(self.per_second);
            bucket.at = now;
        }
        let allowed = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn neighbours_share_an_allowance_and_strangers_do_not() {
        let mut rate = PrefixRate::new(Seed::new(1), 2);
        let now = Time::from_millis(5);
        assert!(rate.allows(now, ip("192.0.2.1")) && rate.allows(now, ip("192.0.2.200")));
        assert!(!rate.allows(now, ip("192.0.2.1")) && !rate.allows(now, ip("::ffff:192.0.2.7")));
        assert!(rate.allows(now, ip("192.0.3.1")));
        assert!(rate.allows(now, ip("2001:db8::1")) && rate.allows(now, ip("2001:db8:0:ff::1")) && !rate.allows(now, ip("2001:db8:0:1::1")));
        assert!(rate.allows(now, ip("2001:db8:0:100::1")));
    }

    #[test]
    fn an_allowance_comes_back_with_time_and_no_more_of_it_than_there_was() {
        let mut rate = PrefixRate::new(Seed::new(1), 10);
        let taken = |rate: &mut PrefixRate, now| (0..100).filter(|_| rate.allows(now, ip("192.0.2.1"))).count();
        assert_eq!(taken(&mut rate, Time::ZERO), 10);
        assert_eq!(taken(&mut rate, Time::from_millis(99)), 0);
        assert_eq!(taken(&mut rate, Time::from_millis(500)), 5);
        assert_eq!(taken(&mut rate, Time::ZERO + Duration::from_secs(60)), 10);
    }
}
