//! Why there is no certificate, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a certificate cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct TlsError {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

impl TlsError {
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }

    /// A file that cannot be read, of this setting.
    pub fn unreadable(path: &Path, error: &io::Error, setting: &str) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no such file: correct {setting}"),
            io::ErrorKind::PermissionDenied => format!("let the user that runs althing read it, or correct {setting}"),
            _ => format!("correct {setting}"),
        };
        Self::new(format!("cannot read {}: {error}", path.display()), advice)
    }

    /// A directory or file that certificates cannot be kept in.
    pub fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::new(
            format!("cannot keep certificates in {}: {error}", path.display()),
            "name a directory that the user who runs althing may write to with `--set tls.cache=DIRECTORY`",
        )
    }
}
