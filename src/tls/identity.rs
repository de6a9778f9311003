//! A certificate with its private key, checked: what can be shown to clients.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::error::TlsError;
use super::provider;

const DAY: i64 = 86_400;

/// A certificate with its private key.
#[derive(Debug)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Names and addresses that it is for.
    pub names: Vec<Name>,
}

/// Whom a certificate is for (RFC 5280 section 4.2.1.6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Name {
    /// A host's name, in lower case.
    Dns(String),
    /// A host's address.
    Address(IpAddr),
}

/// How a file is called in what is said about it: its path, and the setting that names it.
pub struct Source<'a> {
    pub path: &'a Path,
    pub setting: &'a str,
}

impl Identity {
    /// From PEM: a certificate first, those that vouch for it after it; one private key.
    ///
    /// # Errors
    /// When there is no certificate, no key, they do not belong together, or it is not the time for it.
    pub fn from_pem((cert, cert_at): (&[u8], Source<'_>), (key, key_at): (&[u8], Source<'_>), now: i64) -> Result<Self, TlsError> {
        let chain = chain(cert, &cert_at)?;
        let key = private_key(key, &key_at)?;
        let own = chain.first().map(|own| details(own)).transpose();
        let own = own.map_err(|why| TlsError::new(format!("{} holds no certificate that can be read: {why}", cert_at.path.display()), WRITE_PEM))?;
        let Some((not_before, not_after, names)) = own else { return Err(empty(&cert_at)) };
        if now < not_before {
            let what = format!("the certificate in {} is not valid for another {}", cert_at.path.display(), duration(not_before - now));
            return Err(TlsError::new(what, "is the clock of this machine right? Else use one that has begun"));
        }
        if now > not_after {
            let what = format!("the certificate in {} expired {} ago", cert_at.path.display(), duration(now - not_after));
            return Err(TlsError::new(what, "renew it, or correct the clock of this machine"));
        }
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::new(
                format!("the private key in {} is not that of the certificate in {}", key_at.path.display(), cert_at.path.display()),
                "put the key there that the certificate was made for (the certificate that the server shows comes first in its file)",
            ),
            other => TlsError::new(
                format!("the private key in {} cannot be used: {other}", key_at.path.display()),
                "use an ECDSA key (P-256, P-384), an Ed25519 key, or an RSA key of 2048 bits or more",
            ),
        })?;
        Ok(Self { key: Arc::new(certified), not_after, names })
    }

    /// What shows it to every client.
    pub fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)))
    }

    /// What is shown first: the certificate itself.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// Whole days until it expires.
    pub fn days_left(&self, now: i64) -> i64 {
        (self.not_after - now) / DAY
    }
}

const WRITE_PEM: &str = "put a certificate there in PEM (-----BEGIN CERTIFICATE-----)";

fn empty(at: &Source<'_>) -> TlsError {
    TlsError::new(format!("there is no certificate in {} ({})", at.path.display(), at.setting), WRITE_PEM)
}

fn chain(text: &[u8], at: &Source<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| {
        let why = match error {
            pem::Error::MissingSectionEnd { .. } => "it ends in the middle of a certificate".to_owned(),
            // The crate writes the line out as numbers.
            pem::Error::IllegalSectionStart { .. } => "a line that begins a certificate is cut off".to_owned(),
            error => error.to_string(),
        };
        TlsError::new(format!("what is in {} is no PEM: {why}", at.path.display()), WRITE_PEM)
    })?;
    if chain.is_empty() { Err(empty(at)) } else { Ok(chain) }
}

fn private_key(text: &[u8], at: &Source<'_>) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let advice = if text.windows(9).any(|bytes| bytes == b"ENCRYPTED") {
            "it is encrypted, and nobody is here to type its password: write it anew without one (openssl pkey -in KEY -out NEW)"
        } else {
            "put the private key there in PEM (-----BEGIN PRIVATE KEY-----)"
        };
        let why = if matches!(error, pem::Error::NoItemsFound) { String::new() } else { format!(": {error}") };
        TlsError::new(format!("there is no private key in {} ({}){why}", at.path.display(), at.setting), advice)
    })
}

/// From when and until when a certificate is valid, and for whom.
pub fn details(certificate: &[u8]) -> Result<(i64, i64, Vec<Name>), String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    let extension = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = extension.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp(), names))
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(name) => Some(Name::Dns(name.to_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(Name::Address)
        }
        _ => None,
    }
}

fn duration(seconds: i64) -> String {
    match seconds {
        seconds if seconds >= 2 * DAY => format!("{} days", seconds / DAY),
        seconds if seconds >= 7_200 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} minutes", seconds / 60 + 1),
    }
}
