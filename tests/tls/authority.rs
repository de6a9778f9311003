//! An authority of the test's own, and the certificates that it gives.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate with its key, both PEM.
pub struct Given {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority for a test");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// For localhost and this machine's loopback.
    pub fn give(&self) -> Given {
        self.give_until(2090)
    }

    pub fn give_until(&self, year: i32) -> Given {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Given { cert, key: key.serialize_pem() }
    }

    /// Who trusts this authority alone.
    pub fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        trusting(self.pem.as_bytes(), protocols)
    }

    /// The same, of before 2018.
    pub fn old_client(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12]);
        Arc::new(builder.with_root_certificates(roots(self.pem.as_bytes())).with_no_client_auth())
    }
}

impl Given {
    pub fn write(&self, cert: &Path, key: &Path) {
        std::fs::write(cert, &self.cert).expect("written");
        std::fs::write(key, &self.key).expect("written");
    }

    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate")
    }
}

/// Who trusts these certificates alone.
pub fn trusting(pem: &[u8], protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots(pem)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn roots(pem: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).map(|found| found.expect("PEM")));
    roots
}
