//! Our certificate: one for the whole process, ECDSA with P-256.

use super::DtlsError;
use crate::contract::{Fingerprint, HashFunction};
use aws_lc_rs::digest;
use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::crypto::Certificate;
use std::fmt::{self, Write};
use std::sync::Arc;

/// A certificate with its key; clones share it. Debug output hides the key.
#[derive(Clone)]
pub struct DtlsIdentity {
    certificate: Arc<Certificate>,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl DtlsIdentity {
    /// A new self-signed certificate.
    ///
    /// # Errors
    /// [`DtlsError::Identity`].
    pub fn generate() -> Result<Self, DtlsError> {
        let provider = AwsLcRsProvider::new();
        let certificate = Certificate::generate_self_signed(vec!["althing.invalid".to_owned()], provider.crypto());
        Ok(Self { certificate: Arc::new(certificate.map_err(|_| DtlsError::Identity)?), provider: Arc::new(provider) })
    }

    /// What [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// [`DtlsError::Identity`].
    pub fn from_pem(pem: &str) -> Result<Self, DtlsError> {
        let provider = AwsLcRsProvider::new();
        let certificate = Certificate::from_pem(pem, provider.crypto()).map_err(|_| DtlsError::Identity)?;
        Ok(Self { certificate: Arc::new(certificate), provider: Arc::new(provider) })
    }

    /// The private key and the certificate. A secret.
    ///
    /// # Errors
    /// [`DtlsError::Identity`].
    pub fn to_pem(&self) -> Result<String, DtlsError> {
        self.certificate.serialize_pem().map_err(|_| DtlsError::Identity)
    }

    /// The fingerprint as `a=fingerprint:sha-256` has it: upper-case hexadecimal bytes with colons between (RFC 8122 section 5).
    pub fn fingerprint_sha256(&self) -> String {
        let mut text = String::new();
        for (at, byte) in self.fingerprint().value.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            // Writing to a string does not fail.
            let _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }

    /// The same as a value.
    pub fn fingerprint(&self) -> Fingerprint {
        let der = self.certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default();
        Fingerprint { hash: HashFunction::Sha256, value: hash_of(der, HashFunction::Sha256) }
    }

    pub(super) fn certificate(&self) -> Certificate {
        (*self.certificate).clone()
    }

    pub(super) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        self.provider.clone()
    }
}

impl fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsIdentity").field("fingerprint", &self.fingerprint_sha256()).finish_non_exhaustive()
    }
}

/// Whether a certificate (the first of a chain, DER) has this fingerprint.
pub(super) fn has_fingerprint(chain: &[Vec<u8>], fingerprint: &Fingerprint) -> bool {
    chain.first().is_some_and(|der| hash_of(der, fingerprint.hash) == fingerprint.value)
}

fn hash_of(der: &[u8], hash: HashFunction) -> Vec<u8> {
    let algorithm = match hash {
        HashFunction::Sha256 => &digest::SHA256,
        HashFunction::Sha384 => &digest::SHA384,
        HashFunction::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, der).as_ref().to_vec()
}
