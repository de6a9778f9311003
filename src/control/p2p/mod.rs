//! What two clients need to be connected with each other: where STUN and TURN are, and with which credentials.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::base::address::one_of_each_family;
use crate::config::{IceConfig, Secret};
use crate::wire::{IceServer, MemberId};

/// The ICE servers that clients are told.
pub struct IceServers {
    /// The own STUN service, where it is told.
    stun: Option<ArcSwap<Vec<String>>>,
    /// Relays and other servers, with the secret that is shared with them.
    urls: Vec<String>,
    secret: ArcSwapOption<Secret>,
    lifetime: Duration,
    own_relay: Option<OwnRelay>,
}

/// The relay inside this node.
pub struct OwnRelay {
    /// Where clients find it, most preferred first.
    pub addresses: Vec<SocketAddr>,
    /// Its URL behind TLS.
    pub sealed: Option<String>,
    /// The secret of its credentials.
    pub secret: [u8; 32],
}

impl IceServers {
    /// By these settings; the own STUN service is at these addresses.
    pub fn new(config: &IceConfig, own: &[SocketAddr], own_relay: Option<OwnRelay>) -> Self {
        Self {
            own_relay,
            stun: config.stun.then(|| ArcSwap::from_pointee(stun_urls(own))),
            urls: config.urls.clone(),
            secret: ArcSwapOption::from_pointee(config.secret.clone()),
            lifetime: config.credential_lifetime,
        }
    }

    /// The own STUN service is at these addresses from now on.
    pub fn found_at(&self, own: &[SocketAddr]) {
        if let Some(stun) = &self.stun {
            stun.store(Arc::new(stun_urls(own)));
        }
    }

    /// Credentials are made with this secret from now on. Those that were given out are good for as long as the relays know the one before.
    pub fn take_up(&self, secret: Option<&Secret>) {
        self.secret.store(secret.cloned().map(Arc::new));
    }

    /// Whether all relays that clients are told of are this server's own.
    pub fn relays_itself(&self) -> bool {
        self.own_relay.is_some() && (self.secret.load().is_none() || !self.urls.iter().any(|url| url.starts_with("turn")))
    }

    /// How long credentials are good for.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The servers for a user, with credentials of its own for the relays among them: the user name is when they expire, and whose they
    /// are; the password is its HMAC-SHA-1 with the shared secret (the REST scheme of coturn, `use-auth-secret`).
    pub fn of(&self, user: &str, now: Duration) -> Vec<IceServer> {
        let mut servers = Vec::new();
        if let Some(stun) = self.stun.as_ref().map(|stun| stun.load()).filter(|stun| !stun.is_empty()) {
            servers.push(IceServer { urls: stun.to_vec(), username: None, credential: None });
        }
        let (relays, others): (Vec<String>, Vec<String>) = self.urls.iter().cloned().partition(|url| url.starts_with("turn"));
        if !others.is_empty() {
            servers.push(IceServer { urls: others, username: None, credential: None });
        }
        if let (Some(secret), false) = (self.secret.load().as_ref(), relays.is_empty()) {
            servers.push(self.with_credentials(relays, secret.as_bytes(), user, now));
        }
        if let Some(relay) = &self.own_relay {
            let plain = one_of_each_family(&relay.addresses, SocketAddr::ip)
                .into_iter()
                .flat_map(|at| ["udp", "tcp"].map(|transport| format!("turn:{at}?transport={transport}")));
            let urls = plain.chain(relay.sealed.clone()).collect();
            servers.push(self.with_credentials(urls, &relay.secret, user, now));
        }
        servers
    }

    fn with_credentials(&self, urls: Vec<String>, secret: &[u8], user: &str, now: Duration) -> IceServer {
        let username = format!("{}:{user}", now.saturating_add(self.lifetime).as_secs());
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        let credential = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        IceServer { urls, username: Some(username), credential: Some(credential) }
    }
}

/// What a member is called at relays: in all of its sessions the same, so that what is bounded for a user is bounded for all of them, and a kick
/// takes back the credentials of each. It leads back to nobody without `key`, which is drawn for the room.
pub fn user_of(key: &str, member: &MemberId) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), member.0.as_bytes());
    tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn stun_urls(own: &[SocketAddr]) -> Vec<String> {
    one_of_each_family(own, SocketAddr::ip).iter().map(|at| format!("stun:{at}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(urls: &[&str]) -> IceConfig {
        IceConfig {
            stun: true,
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            secret: Secret::new("north-north-north-north-north-north"),
            credential_lifetime: Duration::from_secs(3_600),
        }
    }

    fn at(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn a_relays_credentials_are_the_hmac_of_their_user_name() {
        let servers = IceServers::new(
            &config(&["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:443", "stun:other.example.org"]),
            &[],
            None,
        );
        let [others, relays] = &servers.of("ada", Duration::from_secs(1_700_000_000))[..] else { panic!("two entries") };
        assert_eq!((others.urls.len(), &others.username, &others.credential), (1, &None, &None));
        assert_eq!(relays.urls.len(), 2);
        assert_eq!(relays.username.as_deref(), Some("1700003600:ada"));
        // printf '1700003600:ada' | openssl dgst -sha1 -hmac north-north-north-north-north-north -binary | base64
        assert_eq!(relays.credential.as_deref(), Some("ozkUr+hgWHEaERg70z2g38QeZVU="));
    }

    #[test]
    fn the_own_stun_service_is_told_at_one_address_of_each_family_that_reaches_far() {
        let own = at(&["10.0.0.7:40000", "192.0.2.7:40000", "127.0.0.1:40000", "[::1]:40000", "[2001:db8::7]:40000"]);
        let told = |config: &IceConfig, own: &[SocketAddr]| IceServers::new(config, own, None).of("ada", Duration::ZERO);
        assert_eq!(told(&config(&[]), &own)[0].urls, ["stun:192.0.2.7:40000", "stun:[2001:db8::7]:40000"]);
        assert_eq!(told(&config(&[]), &at(&["127.0.0.1:40000"]))[0].urls, ["stun:127.0.0.1:40000"], "where there is no other");
        assert_eq!(told(&IceConfig { stun: false, ..config(&[]) }, &own), []);
        let servers = IceServers::new(&config(&[]), &own, None);
        servers.found_at(&at(&["10.0.0.7:40000", "203.0.113.9:40000"]));
        assert_eq!(servers.of("ada", Duration::ZERO)[0].urls, ["stun:203.0.113.9:40000"], "who asks later is told the newer one");
    }

    #[test]
    fn the_own_relay_is_told_with_credentials_of_its_own() {
        let relay = OwnRelay {
            addresses: at(&["10.0.0.7:3478", "192.0.2.7:3478", "[2001:db8::7]:3478"]),
            sealed: Some("turns:example.org:5349?transport=tcp".into()),
            secret: [7; 32],
        };
        let servers = IceServers::new(&IceConfig { stun: false, ..config(&["turn:turn.example.org"]) }, &[], Some(relay)).of("ada", Duration::ZERO);
        assert_eq!(servers.len(), 2);
        assert_eq!(
            servers[1].urls,
            [
                "turn:192.0.2.7:3478?transport=udp",
                "turn:192.0.2.7:3478?transport=tcp",
                "turn:[2001:db8::7]:3478?transport=udp",
                "turn:[2001:db8::7]:3478?transport=tcp",
                "turns:example.org:5349?transport=tcp",
            ]
        );
        assert_eq!(servers[0].username, servers[1].username);
        assert_ne!(servers[0].credential, servers[1].credential);
    }

    #[test]
    fn another_secret_is_used_for_whoever_asks_later() {
        let servers = IceServers::new(&IceConfig { stun: false, ..config(&["turn:turn.example.org"]) }, &[], None);
        let credential = |servers: &IceServers| servers.of("ada", Duration::ZERO)[0].credential.clone();
        let before = credential(&servers);
        servers.take_up(Secret::new("south-south-south-south-south-south").as_ref());
        assert_ne!(credential(&servers), before);
        servers.take_up(config(&[]).secret.as_ref());
        assert_eq!(credential(&servers), before);
    }

    #[test]
    fn without_a_secret_no_relay_is_told() {
        let config = IceConfig { secret: None, ..config(&["turn:turn.example.org"]) };
        assert_eq!(IceServers::new(&config, &[], None).of("ada", Duration::ZERO), []);
    }

    #[test]
    fn a_member_is_always_called_the_same_and_differently_in_each_room() {
        let [ada, ben] = ["ada", "ben"].map(|name| MemberId(name.into()));
        assert_eq!(user_of("key", &ada), user_of("key", &ada));
        assert_ne!(user_of("key", &ada), user_of("key", &ben));
        assert_ne!(user_of("key", &ada), user_of("another", &ada));
        assert_eq!(user_of("key", &ada).len(), 16);
    }
}
