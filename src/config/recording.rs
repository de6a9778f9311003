//! The section `recording`: what rooms may have recorded on this server.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};

/// Recording, as it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSettings {
    /// Whether there is any.
    pub enabled: bool,
    /// Directory that recordings go to; empty for one in the user's home.
    pub folder: PathBuf,
    /// Rooms that are recorded at a time.
    pub recordings: usize,
    /// Mebibytes that the disk keeps free: with less nothing is recorded.
    pub minimum_free_mib: u64,
    /// Mebibytes that recordings may take in all; 0 for no limit.
    pub quota_mib: u64,
    /// Mebibytes that may wait for a slow disk.
    pub queue_mib: u64,
    /// Seconds after which a key frame is asked for, so that one can seek.
    pub key_frame_seconds: u64,
    /// Where what is complete goes.
    pub store: StoreKind,
}

/// Where what is complete goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// It stays in the folder.
    File,
    /// To a bucket, too: see the section `s3`.
    S3,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            folder: PathBuf::new(),
            recordings: 100,
            minimum_free_mib: 1_024,
            quota_mib: 0,
            queue_mib: 64,
            key_frame_seconds: 10,
            store: StoreKind::File,
        }
    }
}

/// Recording, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordingConfig {
    /// Directory that recordings go to.
    pub folder: PathBuf,
    /// Rooms that are recorded at a time.
    pub recordings: usize,
    /// Bytes that the disk keeps free.
    pub minimum_free: u64,
    /// Bytes that recordings may take in all; 0 for no limit.
    pub quota: u64,
    /// Bytes that may wait for a slow disk.
    pub queue_bytes: usize,
    /// When the last key frame is so old, one is asked for.
    pub key_every: Duration,
}

impl RecordingSettings {
    /// Checks the section; none when nothing is recorded.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<Option<RecordingConfig>, InvalidSetting> {
        at_least("recording.recordings", self.recordings as u64, 1)?;
        at_least("recording.queue_mib", self.queue_mib, 1)?;
        at_least("recording.key_frame_seconds", self.key_frame_seconds, 1)?;
        for (name, mib) in
            [("recording.minimum_free_mib", self.minimum_free_mib), ("recording.quota_mib", self.quota_mib), ("recording.queue_mib", self.queue_mib)]
        {
            if mib > 1 << 30 {
                return invalid(name, format!("it is {mib}: choose at most a pebibyte"));
            }
        }
        if self.key_frame_seconds > 3_600 {
            return invalid("recording.key_frame_seconds", format!("it is {}: choose at most an hour", self.key_frame_seconds));
        }
        if !self.enabled {
            return Ok(None);
        }
        Ok(Some(RecordingConfig {
            folder: self.directory()?,
            recordings: self.recordings,
            minimum_free: self.minimum_free_mib << 20,
            quota: self.quota_mib << 20,
            queue_bytes: usize::try_from(self.queue_mib << 20).unwrap_or(usize::MAX),
            key_every: Duration::from_secs(self.key_frame_seconds),
        }))
    }

    /// The directory that is set, or one in the user's home (the XDG base directory specification).
    pub(super) fn directory(&self) -> Result<PathBuf, InvalidSetting> {
        if !self.folder.as_os_str().is_empty() {
            return Ok(self.folder.clone());
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        match variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state"))) {
            Some(state) => Ok(state.join("althing/recordings")),
            None => invalid("recording.folder", "this process has no home: say where recordings go".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_is_off_until_it_is_switched_on_and_goes_where_it_is_told() {
        assert_eq!(RecordingSettings::default().check(), Ok(None));
        let set = RecordingSettings { enabled: true, folder: "/srv/recordings".into(), quota_mib: 3, ..RecordingSettings::default() };
        let config = set.check().expect("it can work").expect("it is on");
        assert_eq!((config.folder, config.quota, config.minimum_free), (PathBuf::from("/srv/recordings"), 3 << 20, 1 << 30));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut RecordingSettings)| {
            let mut settings = RecordingSettings::default();
            change(&mut settings);
            settings.check().expect_err("refused").name
        };
        assert_eq!(refused(|s| s.recordings = 0), "recording.recordings");
        assert_eq!(refused(|s| s.queue_mib = 0), "recording.queue_mib");
        assert_eq!(refused(|s| s.quota_mib = u64::MAX), "recording.quota_mib");
        assert_eq!(refused(|s| s.key_frame_seconds = 0), "recording.key_frame_seconds");
    }
}
