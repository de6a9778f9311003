//! A certificate that nobody has vouched for, made here for this machine's names and addresses: browsers warn once, and then a phone gets its
//! camera.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType, date_time_ymd};

use super::error::TlsError;
use super::files;
use super::identity::{Identity, Name, Source};

/// As long as browsers take any certificate for (398 days).
const VALID_SECONDS: i64 = 397 * DAY;
/// It is made anew a day before it expires: a day's meeting is not cut by it.
const SPARE_SECONDS: i64 = DAY;
/// Clocks of phones are not exact.
const BEFORE_SECONDS: i64 = DAY;
const DAY: i64 = 86_400;

/// The development certificate, and where it is kept.
pub struct Kept {
    path: PathBuf,
    names: BTreeSet<Name>,
}

/// What this machine is reached by: localhost, its host name, its addresses. Link-local addresses of IPv6 are none that a browser can open.
pub fn names(addresses: &[IpAddr]) -> BTreeSet<Name> {
    let usable = |address: &&IpAddr| !address.is_unspecified() && !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut names: BTreeSet<Name> = loopback.iter().chain(addresses).filter(usable).map(|address| Name::Address(*address)).collect();
    names.insert(Name::Dns("localhost".to_owned()));
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if !host.is_empty() && host.len() <= 200 && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        if !host.contains('.') {
            // What multicast DNS calls it (RFC 6762 section 3).
            names.insert(Name::Dns(format!("{host}.local")));
        }
        names.insert(Name::Dns(host));
    }
    names
}

impl Kept {
    pub fn new(cache: &Path, names: BTreeSet<Name>) -> Self {
        Self { path: cache.join("development.pem"), names }
    }

    /// The one that is kept, so that a warning that was accepted stays accepted; another where it expires or is not for all names.
    ///
    /// # Errors
    /// When it cannot be made or kept.
    pub fn read_or_make(&self, now: i64) -> Result<Identity, TlsError> {
        self.kept(now).map_or_else(|| self.make(now), Ok)
    }

    /// The one that is kept and would be used again, if there is one.
    pub fn kept(&self, now: i64) -> Option<Identity> {
        self.read(now).filter(|identity| self.is_good(identity, now))
    }

    fn read(&self, now: i64) -> Option<Identity> {
        let text = files::read(&self.path).ok()?;
        self.parse(&text, now).ok()
    }

    fn parse(&self, text: &[u8], now: i64) -> Result<Identity, TlsError> {
        let named = || Source { path: &self.path, setting: "tls.cache" };
        Identity::from_pem((text, named()), (text, named()), now)
    }

    fn is_good(&self, identity: &Identity, now: i64) -> bool {
        identity.not_after - now > SPARE_SECONDS && self.names.iter().all(|name| identity.names.contains(name))
    }

    fn make(&self, now: i64) -> Result<Identity, TlsError> {
        let failed = |error: rcgen::Error| TlsError::new(format!("no development certificate can be made: {error}"), "use tls.mode = \"files\"");
        let mut params = CertificateParams::default();
        let start = date_time_ymd(1970, 1, 1);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Althing in development");
        params.not_before = start + Duration::from_secs((now - BEFORE_SECONDS).unsigned_abs());
        params.not_after = start + Duration::from_secs((now + VALID_SECONDS).unsigned_abs());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in &self.names {
            params.subject_alt_names.push(match name {
                Name::Dns(name) => SanType::DnsName(name.as_str().try_into().map_err(failed)?),
                Name::Address(address) => SanType::IpAddress(*address),
            });
        }
        let key = KeyPair::generate().map_err(failed)?;
        let text = params.self_signed(&key).map_err(failed)?.pem() + &key.serialize_pem();
        super::store::keep(&self.path, text.as_bytes()).map_err(|error| TlsError::unwritable(&self.path, &error))?;
        tracing::info!(path = %self.path.display(), "a new development certificate: browsers warn until it is accepted");
        self.parse(text.as_bytes(), now)
    }
}
