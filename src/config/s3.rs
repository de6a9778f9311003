//! The section `s3`: the bucket that what is kept is copied to, where `recording.store` says so.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};
use super::keys::Secret;
use super::library::LibraryConfig;
use super::recording::{RecordingSettings, StoreKind};
use super::schema::Key;

/// The bucket, as it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// Where the service is, as a URL; empty for that of AWS in `region`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// The identity of the key, or in which file it is.
    pub access_key: Key,
    /// Its secret, or in which file it is.
    pub secret_key: Key,
    /// Whether the bucket is a part of the URL's path (else of its host's name).
    pub path_style: bool,
    /// Hours that files stay on the own disk once the bucket has them.
    pub keep_local_hours: u64,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".into(),
            bucket: String::new(),
            prefix: String::new(),
            access_key: Key::Secret(String::new()),
            secret_key: Key::Secret(String::new()),
            path_style: true,
            keep_local_hours: 24,
        }
    }
}

/// The bucket, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct S3Config {
    /// Where the service is; none for that of AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// What the names of all objects begin with; neither begins nor ends with a slash.
    pub prefix: String,
    /// The identity of the key.
    pub access_key: Secret,
    /// Its secret.
    pub secret_key: Secret,
    /// Whether the bucket is a part of the URL's path.
    pub path_style: bool,
    /// How long files stay on the own disk once the bucket has them.
    pub keep_local: Duration,
}

impl S3Config {
    /// Whether the service is spoken to over TLS.
    pub fn speaks_tls(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.starts_with("https:"))
    }
}

impl S3Settings {
    /// Checks the section; none where nothing goes to a bucket.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self, recording: &RecordingSettings, library: Option<&LibraryConfig>) -> Result<Option<S3Config>, InvalidSetting> {
        if self.keep_local_hours > 24 * 3_650 {
            return invalid("s3.keep_local_hours", format!("it is {}: choose at most ten years", self.keep_local_hours));
        }
        if recording.store == StoreKind::File {
            return Ok(None);
        }
        if library.is_none() {
            return invalid(
                "recording.store",
                "only what is in a library goes to a bucket: set library.enabled, and recording.enabled or library.uploads".into(),
            );
        }
        at_least("s3.bucket", self.bucket.len() as u64, 3)?;
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.bucket.len() > 63 || !self.bucket.chars().all(in_name) {
            return invalid("s3.bucket", format!("`{}` is no name of a bucket: 3 to 63 letters, digits, dots and hyphens", self.bucket));
        }
        if self.region.is_empty() || !self.region.chars().all(in_name) {
            return invalid("s3.region", format!("`{}` is no region: for services that have none write \"us-east-1\"", self.region));
        }
        let prefix = self.prefix.trim_matches('/');
        if prefix.len() > 512 || (!prefix.is_empty() && !prefix.split('/').all(|part| is_plain(part, in_name))) {
            return invalid(
                "s3.prefix",
                format!("`{}` cannot begin names: write letters, digits, dots, hyphens and slashes, like \"meetings/hall\"", self.prefix),
            );
        }
        Ok(Some(S3Config {
            endpoint: self.endpoint()?,
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            prefix: prefix.to_owned(),
            access_key: self.access_key.text("s3.access_key")?,
            secret_key: self.secret_key.text("s3.secret_key")?,
            path_style: self.path_style,
            keep_local: Duration::from_secs(self.keep_local_hours * 3_600),
        }))
    }

    fn endpoint(&self) -> Result<Option<String>, InvalidSetting> {
        let endpoint = self.endpoint.trim_end_matches('/');
        if endpoint.is_empty() {
            return Ok(None);
        }
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        match host {
            // A name and a password in it would be shown where the endpoint is.
            Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) && !host.contains(char::is_whitespace) => {
                Ok(Some(endpoint.to_owned()))
            }
            _ => invalid("s3.endpoint", "it is no address of a service: write scheme, host and port, like \"https://s3.example.org\"".into()),
        }
    }
}

fn is_plain(part: &str, in_name: impl Fn(char) -> bool) -> bool {
    !part.is_empty() && part.chars().all(in_name) && part.chars().any(|c| c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LibrarySettings, Settings};

    fn settings() -> Settings {
        let recording = RecordingSettings { enabled: true, folder: "/srv/kept".into(), store: StoreKind::S3, ..RecordingSettings::default() };
        let (access_key, secret_key) = (Key::Secret("id".into()), Key::Secret("a secret".into()));
        let s3 = S3Settings { bucket: "calls".into(), prefix: "/meet/".into(), access_key, secret_key, ..S3Settings::default() };
        Settings { recording, s3, ..Settings::default() }
    }

    #[test]
    fn a_bucket_is_looked_at_only_where_it_is_asked_for() {
        let mut with = settings();
        with.s3.endpoint = "https://s3.example.org/".into();
        let config = with.clone().check().expect("it can work").s3.expect("a bucket");
        assert_eq!((config.endpoint.as_deref(), config.prefix.as_str(), config.bucket.as_str()), (Some("https://s3.example.org"), "meet", "calls"));
        assert_eq!((config.access_key.as_str(), config.secret_key.as_str(), config.keep_local), ("id", "a secret", Duration::from_secs(86_400)));
        assert!(!format!("{config:?}").contains("a secret"));
        with.recording.store = StoreKind::File;
        assert_eq!(with.check().expect("it can work").s3, None);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut Settings)| {
            let mut settings = settings();
            change(&mut settings);
            settings.check().expect_err("refused").name
        };
        assert_eq!(refused(|s| s.s3.bucket = String::new()), "s3.bucket");
        assert_eq!(refused(|s| s.s3.bucket = "a bucket".into()), "s3.bucket");
        assert_eq!(refused(|s| s.s3.region = String::new()), "s3.region");
        assert_eq!(refused(|s| s.s3.prefix = "a/../b".into()), "s3.prefix");
        assert_eq!(refused(|s| s.s3.prefix = "a//b".into()), "s3.prefix");
        assert_eq!(refused(|s| s.s3.endpoint = "s3.example.org".into()), "s3.endpoint");
        assert_eq!(refused(|s| s.s3.endpoint = "https://me:word@s3.example.org".into()), "s3.endpoint");
        assert_eq!(refused(|s| s.s3.access_key = Key::Secret(String::new())), "s3.access_key");
        assert_eq!(refused(|s| s.s3.secret_key = Key::File { secret_file: "/nonexistent/secret".into() }), "s3.secret_key");
        assert_eq!(refused(|s| s.s3.keep_local_hours = u64::MAX), "s3.keep_local_hours");
        assert_eq!(refused(|s| s.library = LibrarySettings { enabled: false, ..LibrarySettings::default() }), "recording.store");
    }
}
