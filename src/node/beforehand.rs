//! What settings need of this machine, looked at before anything starts, and without a change: files that are read, directories that are written
//! to, authorities that other servers are known by.

use std::io;
use std::path::{Path, absolute};

use rustix::fs::{Access, access};

use super::StartError;
use crate::config::{CertificateSource, Config, InvalidSetting, S3Config, TlsConfig};
use crate::tls::{self, TlsError};

/// What of it is not there, in the order of the settings.
pub async fn look(config: &Config) -> Vec<InvalidSetting> {
    let mut wrong = match &config.tls {
        Some(tls) => certificate(tls).await,
        None => Vec::new(),
    };
    let kept = config.recording.as_ref().map(|recording| &recording.folder).or(config.library.as_ref().map(|library| &library.folder));
    let folders = [("events.folder", config.events.as_ref().map(|events| &events.folder)), ("recording.folder", kept)];
    wrong.extend(folders.into_iter().filter_map(|(name, folder)| folder_of(name, folder?)));
    wrong.extend(trust(config, tls::trusts_anybody).err());
    wrong
}

async fn certificate(config: &TlsConfig) -> Vec<InvalidSetting> {
    let unusable = |name: &str, error: &TlsError| InvalidSetting { name: name.to_owned(), why: error.to_string() };
    match &config.source {
        CertificateSource::Files { cert, key } => {
            let files = [("tls.cert", cert), ("tls.key", key)];
            let missing: Vec<_> = files
                .into_iter()
                .filter_map(|(name, path)| Some(unusable(name, &TlsError::unreadable(path, &readable(path).err()?, name))))
                .collect();
            // They may be there, and not belong together.
            if missing.is_empty() {
                tls::look(config, &[]).await.err().map(|error| unusable("tls.cert", &error)).into_iter().collect()
            } else {
                missing
            }
        }
        CertificateSource::Acme(acme) => {
            let of = acme.directory_ca.as_deref().and_then(|path| Some((path, readable(path).err()?)));
            let unread = of.map(|(path, error)| unusable("tls.directory_ca", &TlsError::unreadable(path, &error, "tls.directory_ca")));
            unread.into_iter().chain(folder_of("tls.cache", &acme.cache)).collect()
        }
        CertificateSource::Development { cache } => folder_of("tls.cache", cache).into_iter().collect(),
    }
}

fn readable(path: &Path) -> io::Result<()> {
    std::fs::File::open(path).map(drop)
}

fn folder_of(name: &str, folder: &Path) -> Option<InvalidSetting> {
    let error = writable(folder).err()?;
    let why = format!("{} cannot be written to: {error}: let the user that runs althing write there, or name another directory", folder.display());
    Some(InvalidSetting { name: name.to_owned(), why })
}

/// Whether this user may write there; in the nearest directory above where there is none yet.
fn writable(folder: &Path) -> io::Result<()> {
    let folder = absolute(folder)?;
    let there = folder.ancestors().find(|path| path.exists()).ok_or(io::ErrorKind::NotFound)?;
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(there, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Settings that have this node speak TLS with servers elsewhere. An authority that is asked for certificates sees to itself.
pub fn spoken_to(config: &Config) -> Vec<&'static str> {
    let hooks = config.events.as_ref().is_some_and(|events| events.webhooks.urls.iter().any(|url| url.scheme() == "https"));
    let bucket = config.s3.as_ref().is_some_and(S3Config::speaks_tls);
    let traces = config.otel.as_ref().is_some_and(|url| url.scheme() == "https");
    let all = [("webhooks.urls", hooks), ("s3.endpoint", bucket), ("whip_out.allow_hosts", config.whip_out.is_some()), ("otel.endpoint", traces)];
    all.into_iter().filter(|(_, speaks)| *speaks).map(|(name, _)| name).collect()
}

/// Whether this system knows the authorities of servers elsewhere, where any are spoken to.
///
/// # Errors
/// The first setting that cannot work without.
pub fn trust(config: &Config, trusts: impl FnOnce() -> bool) -> Result<(), InvalidSetting> {
    let needing = spoken_to(config);
    let Some(first) = needing.first().filter(|_| !trusts()) else { return Ok(()) };
    let why = format!("this system has no certificates of authorities, so no server elsewhere can be known ({}): {INSTALL}", needing.join(", "));
    Err(InvalidSetting { name: (*first).to_owned(), why })
}

/// What to do where there are none.
pub const INSTALL: &str = "install the package ca-certificates, or name a file with them in the environment variable SSL_CERT_FILE";

impl From<InvalidSetting> for StartError {
    fn from(InvalidSetting { name, why }: InvalidSetting) -> Self {
        Self { what: format!("the setting `{name}` cannot work"), advice: why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, TlsMode};

    fn config(change: impl FnOnce(&mut Settings)) -> Config {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect("it can work")
    }

    #[test]
    fn whoever_speaks_tls_elsewhere_needs_authorities_and_nobody_else() {
        let quiet = config(|s| {
            s.events.enabled = true;
            s.events.folder = "/srv/events".into();
            s.webhooks.urls = vec!["http://127.0.0.1:9/hook".into()];
            s.webhooks.secret = crate::config::Key::Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        });
        assert_eq!(trust(&quiet, || panic!("nobody asks")), Ok(()));
        let hooks = config(|s| {
            s.events.enabled = true;
            s.events.folder = "/srv/events".into();
            s.webhooks.urls = vec!["https://a.example/hook".into()];
            s.webhooks.secret = crate::config::Key::Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
            s.whip_out.allow_hosts = vec!["live.example".into()];
        });
        let wrong = trust(&hooks, || false).expect_err("nobody is trusted");
        assert_eq!(wrong.name, "webhooks.urls");
        assert!(wrong.why.contains("whip_out.allow_hosts") && wrong.why.contains("ca-certificates"), "{}", wrong.why);
        assert_eq!(trust(&hooks, || true), Ok(()));
    }

    #[tokio::test]
    async fn a_directory_below_a_file_and_files_that_are_not_there_are_said() {
        let folder = std::env::temp_dir().join(format!("althing-beforehand-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let taken = folder.join("taken");
        std::fs::write(&taken, "").expect("written");
        let wrong = config(|s| {
            s.tls.mode = TlsMode::Acme;
            s.tls.domains = vec!["meet.example.org".into()];
            (s.tls.cache, s.tls.directory_ca) = (taken.join("tls"), folder.join("nobody.pem"));
            (s.recording.enabled, s.recording.folder) = (true, taken.join("recordings"));
            (s.events.enabled, s.events.folder) = (true, folder.join("made/later"));
        });
        let found = look(&wrong).await;
        let names: Vec<_> = found.iter().map(|wrong| wrong.name.as_str()).collect();
        assert_eq!(names, ["tls.directory_ca", "tls.cache", "recording.folder"], "{found:?}");
        assert!(found[0].why.contains("nobody.pem") && found[2].why.contains("taken/recordings"), "{found:?}");
        assert!(!folder.join("made").exists(), "nothing is made");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
