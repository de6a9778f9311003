//! Nonces that need no memory: when one was issued, and a MAC over that and whom it was issued to (RFC 8489 section 9.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::base::Time;

/// Length in characters. With it an answer of 401 is 68 bytes, 2.43 times the shortest request that gets one.
pub const NONCE_LEN: usize = 24;
/// How long one is good for: more lets a captured request be repeated for longer, less costs a client a round trip more often.
const GOOD_FOR: Duration = Duration::from_secs(1_800);
/// Bytes of the MAC that are kept.
const MAC: usize = 14;

/// What issues nonces and knows its own.
pub struct Nonces(hmac::Key);

impl Nonces {
    /// With a key that all workers of a node share.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A nonce for a client.
    pub fn issue(&self, now: Time, client: SocketAddr) -> [u8; NONCE_LEN] {
        self.of((now.as_micros() / 1_000_000) as u32, client)
    }

    /// Whether it was issued to this client, and not too long ago.
    pub fn is_good(&self, now: Time, client: SocketAddr, nonce: &[u8]) -> bool {
        let mut bytes = [0; 18];
        if !matches!(BASE64_STANDARD.decode_slice(nonce, &mut bytes), Ok(18)) {
            return false;
        }
        let [a, b, c, d, ..] = bytes;
        let issued = u32::from_be_bytes([a, b, c, d]);
        let at = Time::from_millis(u64::from(issued) * 1_000);
        at <= now && now.since(at) <= GOOD_FOR && aws_lc_rs::constant_time::verify_slices_are_equal(&self.of(issued, client), nonce).is_ok()
    }

    fn of(&self, issued: u32, client: SocketAddr) -> [u8; NONCE_LEN] {
        let IpAddr::V6(ip) = to_v6(client.ip()) else { return [0; NONCE_LEN] };
        let mut mac = hmac::Context::with_key(&self.0);
        mac.update(&issued.to_be_bytes());
        mac.update(&ip.octets());
        mac.update(&client.port().to_be_bytes());
        let tag = mac.sign();
        let mut bytes = [0; 18];
        let (head, tail) = bytes.split_at_mut(18 - MAC);
        head.copy_from_slice(&issued.to_be_bytes());
        tail.copy_from_slice(tag.as_ref().get(..MAC).unwrap_or(&[0; MAC]));
        let mut text = [0; NONCE_LEN];
        let _ = BASE64_STANDARD.encode_slice(bytes, &mut text);
        text
    }
}

fn to_v6(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time_only() {
        let nonces = Nonces::new(&[7; 32]);
        let [ada, ben] = ["192.0.2.1:5000", "192.0.2.1:5001"].map(|text| text.parse::<SocketAddr>().expect("an address"));
        let now = Time::from_millis(10_000);
        let nonce = nonces.issue(now, ada);
        assert!(nonces.is_good(now, ada, &nonce) && nonces.is_good(now + GOOD_FOR, ada, &nonce));
        assert!(!nonces.is_good(now, ben, &nonce), "another's");
        assert!(!nonces.is_good(now + GOOD_FOR + Duration::from_secs(1), ada, &nonce), "too old");
        assert!(!nonces.is_good(Time::ZERO, ada, &nonce), "of the future");
        assert!(!Nonces::new(&[8; 32]).is_good(now, ada, &nonce), "another node's");
        for place in 0..NONCE_LEN {
            let mut other = nonce;
            other[place] ^= 1;
            assert!(!nonces.is_good(now, ada, &other), "changed at {place}");
        }
        for wrong in [&b""[..], b"AAAA", &[0xFF; 24], &[b'A'; 24], &[b'A'; 500]] {
            assert!(!nonces.is_good(now, ada, wrong));
        }
    }
}
