//! Looks at the certificate that a node would show, and changes nothing: none is made, ordered or kept.

use std::net::IpAddr;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls_acme::CertCache;

use super::error::TlsError;
use super::{acme, dev, files, identity, now};
use crate::config::{CertificateSource, TlsConfig};

/// A certificate that would be shown.
pub struct Shown {
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    certificate: CertificateDer<'static>,
}

impl Shown {
    /// The first host's name that it is for, and no pattern.
    fn first_name(&self) -> Option<String> {
        let (_, _, names) = identity::details(&self.certificate).ok()?;
        names.into_iter().find_map(|name| match name {
            identity::Name::Dns(name) if !name.starts_with('*') => Some(name),
            _ => None,
        })
    }

    /// Itself (DER).
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whether it is for this host: a name or an address (RFC 9525).
    pub fn is_for(&self, host: &str) -> bool {
        let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(&self.certificate), ServerName::try_from(host)) else { return false };
        verify_server_name(&certificate, &name).is_ok()
    }
}

/// The certificate that there is; none: it has yet to be made or ordered. `addresses` are those that this machine is reached by.
///
/// # Errors
/// When there is one that cannot be used, or none in the files that are named.
pub async fn look(config: &TlsConfig, addresses: &[IpAddr]) -> Result<Option<Shown>, TlsError> {
    let shown = |identity: identity::Identity| Some(Shown { not_after: identity.not_after, certificate: identity.certificate()?.clone() });
    match &config.source {
        CertificateSource::Files { cert, key } => files::Files::new(cert, key).read(now()).map(shown),
        CertificateSource::Development { cache } => Ok(dev::Kept::new(cache, dev::names(addresses)).kept(now()).and_then(shown)),
        CertificateSource::Acme(acme) => {
            let kept = acme::Cache::new(&acme.cache).load_cert(&acme.domains, &acme.directory).await;
            let pem = kept.map_err(|error| TlsError::unreadable(&acme.cache, &error, "tls.cache"))?;
            Ok(pem.as_deref().and_then(from_pem))
        }
    }
}

/// The name by which clients can find what shows the certificate: the first that an authority is asked for, or that the certificate in the files is
/// for. A self-made one is for this machine's addresses.
pub async fn name(config: &TlsConfig) -> Option<String> {
    match &config.source {
        CertificateSource::Acme(acme) => acme.domains.first().cloned(),
        CertificateSource::Files { .. } => look(config, &[]).await.ok().flatten().and_then(|shown| shown.first_name()),
        CertificateSource::Development { .. } => None,
    }
}

/// Whether this system knows any authority, by which servers elsewhere are known.
pub fn trusts_anybody() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

fn from_pem(pem: &[u8]) -> Option<Shown> {
    let certificate = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, not_after, _) = identity::details(&certificate).ok()?;
    Some(Shown { not_after, certificate })
}
