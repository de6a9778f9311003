//! A certificate that somebody else keeps up to date: certbot, cert-manager, an operator.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::TlsError;
use super::identity::{Identity, Source};

/// More is no certificate: the longest chains have 20 KB.
const MOST_BYTES: u64 = 1024 * 1024;

/// The two files, and how they were when they were last read.
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
    seen: [Option<Stamp>; 2],
}

/// What differs when a file was written or replaced: modification time, length, inode. Links are followed, as certbot and Kubernetes
/// replace what they lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Files {
    pub fn new(cert: &Path, key: &Path) -> Self {
        Self { cert: cert.to_owned(), key: key.to_owned(), seen: [None; 2] }
    }

    /// Whether they are others than those that were last read, or there is one less or more.
    pub fn changed(&self) -> bool {
        self.stamps() != self.seen
    }

    /// What they hold now.
    ///
    /// # Errors
    /// When that cannot be used.
    pub fn read(&mut self, now: i64) -> Result<Identity, TlsError> {
        // Before they are read: what is written meanwhile is a change.
        self.seen = self.stamps();
        let cert = read(&self.cert).map_err(|error| TlsError::unreadable(&self.cert, &error, "tls.cert"))?;
        let key = read(&self.key).map_err(|error| TlsError::unreadable(&self.key, &error, "tls.key"))?;
        let named = |path, setting| Source { path, setting };
        Identity::from_pem((&cert, named(&self.cert, "tls.cert")), (&key, named(&self.key, "tls.key")), now)
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [stamp(&self.cert), stamp(&self.key)]
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { modified: (found.mtime(), found.mtime_nsec()), bytes: found.size(), inode: found.ino() })
}

/// A file of a size that a certificate or a key may have.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if found.size() > MOST_BYTES {
        return Err(io::Error::other(format!("it has {} bytes, which is no certificate and no key", found.size())));
    }
    fs::read(path)
}
