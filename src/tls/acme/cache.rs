//! What outlives a restart: the account's key, and the certificate with its key. An authority limits how often it gives another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_acme::{AccountCache, CertCache};

use crate::tls::{NONE, identity, now, store};

/// A directory, and when the certificate expires that has last gone in or come out.
#[derive(Clone)]
pub struct Cache {
    directory: Arc<PathBuf>,
    not_after: Arc<AtomicI64>,
}

impl Cache {
    pub fn new(directory: &Path) -> Self {
        Self { directory: Arc::new(directory.to_owned()), not_after: Arc::new(AtomicI64::new(NONE)) }
    }

    /// Seconds since 1970.
    pub fn not_after(&self) -> Option<i64> {
        Some(self.not_after.load(Ordering::Relaxed)).filter(|at| *at != NONE)
    }

    /// Whoever asks another authority, or for other names, begins anew: the name of a file tells them apart.
    fn file(&self, kind: &str, of: &[String], directory: &str) -> PathBuf {
        let mut digest = Context::new(&SHA256);
        for part in of.iter().map(String::as_str).chain([directory]) {
            digest.update(part.as_bytes());
            digest.update(&[0]);
        }
        let hash: String = digest.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("acme-{kind}-{hash}"))
    }

    /// Notes when it expires. `None`: it is no certificate, or has expired.
    fn note(&self, pem: &[u8]) -> Option<()> {
        let own = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        let (_, not_after, _) = identity::details(&own).ok()?;
        (not_after > now()).then(|| self.not_after.store(not_after, Ordering::Relaxed))
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl CertCache for Cache {
    type EC = io::Error;

    async fn load_cert(&self, domains: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.file("certificate", domains, directory);
        // One that is broken or has expired is as good as none.
        Ok(read(&path)?.filter(|pem| self.note(pem).is_some()))
    }

    async fn store_cert(&self, domains: &[String], directory: &str, pem: &[u8]) -> io::Result<()> {
        let _ = self.note(pem);
        store::keep(&self.file("certificate", domains, directory), pem)
    }
}

#[async_trait]
impl AccountCache for Cache {
    type EA = io::Error;

    async fn load_account(&self, contact: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.file("account", contact, directory))
    }

    async fn store_account(&self, contact: &[String], directory: &str, key: &[u8]) -> io::Result<()> {
        store::keep(&self.file("account", contact, directory), key)
    }
}
