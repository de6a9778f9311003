//! The section `library`: what is kept, for how long, and who may add to it.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};
use super::recording::RecordingSettings;

/// The library, as it is written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LibrarySettings {
    /// Whether there is one, where there is anything to keep: `recording.enabled` or `library.uploads`.
    pub enabled: bool,
    /// Days that something is kept; 0 for ever.
    pub keep_days: u32,
    /// Gibibytes that are kept; beyond, the oldest goes. 0 for no limit.
    pub keep_gib: u64,
    /// Mebibytes that are kept of a room; beyond, nothing is added. 0 for no limit.
    pub room_mib: u32,
    /// Whether members may add screenshots and recordings that their browsers made.
    pub uploads: bool,
    /// Mebibytes of an upload.
    pub upload_mib: u64,
    /// Mebibytes of all uploads together, finished or not.
    pub uploads_mib: u64,
    /// Uploads that are not finished, at a time.
    pub uploads_at_once: usize,
    /// Of these, of one room.
    pub uploads_of_room: usize,
    /// Hours after which an upload that is not finished is dropped.
    pub upload_hours: u64,
}

impl Default for LibrarySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_days: 0,
            keep_gib: 0,
            room_mib: 0,
            uploads: false,
            upload_mib: 2_048,
            uploads_mib: 20_480,
            uploads_at_once: 64,
            uploads_of_room: 8,
            upload_hours: 24,
        }
    }
}

/// The library, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct LibraryConfig {
    /// Directory that things are kept in: that of recordings.
    pub folder: PathBuf,
    /// Bytes that the disk keeps free.
    pub minimum_free: u64,
    /// How long something is kept; none for ever.
    pub keep: Option<Duration>,
    /// Bytes that are kept; none for no limit.
    pub keep_bytes: Option<u64>,
    /// Mebibytes that are kept of a room; none for no limit.
    pub room_mib: Option<u32>,
    /// What members may add, if they may.
    pub uploads: Option<UploadConfig>,
}

/// What members may add.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadConfig {
    /// Bytes of an upload.
    pub bytes: u64,
    /// Bytes of all uploads together, finished or not.
    pub total: u64,
    /// Uploads that are not finished, at a time.
    pub at_once: usize,
    /// Of these, of one room.
    pub of_room: usize,
    /// After which one that is not finished is dropped.
    pub patience: Duration,
}

impl LibrarySettings {
    /// Checks the section; none where there is nothing to keep.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self, recording: &RecordingSettings) -> Result<Option<LibraryConfig>, InvalidSetting> {
        at_least("library.upload_mib", self.upload_mib, 1)?;
        at_least("library.uploads_mib", self.uploads_mib, self.upload_mib)?;
        at_least("library.uploads_at_once", self.uploads_at_once as u64, 1)?;
        at_least("library.uploads_of_room", self.uploads_of_room as u64, 1)?;
        at_least("library.upload_hours", self.upload_hours, 1)?;
        for (name, value, most) in [
            ("library.keep_gib", self.keep_gib, 1 << 20),
            ("library.upload_mib", self.upload_mib, 1 << 30),
            ("library.uploads_mib", self.uploads_mib, 1 << 30),
            ("library.uploads_at_once", self.uploads_at_once as u64, 10_000),
            ("library.upload_hours", self.upload_hours, 24 * 365),
        ] {
            if value > most {
                return invalid(name, format!("it is {value}: choose at most {most}"));
            }
        }
        if !self.enabled || !(recording.enabled || self.uploads) {
            return Ok(None);
        }
        let uploads = UploadConfig {
            bytes: self.upload_mib << 20,
            total: self.uploads_mib << 20,
            at_once: self.uploads_at_once,
            of_room: self.uploads_of_room,
            patience: Duration::from_secs(self.upload_hours * 3_600),
        };
        Ok(Some(LibraryConfig {
            folder: recording.directory()?,
            minimum_free: recording.minimum_free_mib << 20,
            keep: (self.keep_days > 0).then(|| Duration::from_secs(u64::from(self.keep_days) * 86_400)),
            keep_bytes: (self.keep_gib > 0).then_some(self.keep_gib << 30),
            room_mib: (self.room_mib > 0).then_some(self.room_mib),
            uploads: self.uploads.then_some(uploads),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_library_where_there_is_something_to_keep() {
        let off = RecordingSettings { folder: "/srv/kept".into(), ..RecordingSettings::default() };
        let on = RecordingSettings { enabled: true, ..off.clone() };
        assert_eq!(LibrarySettings::default().check(&off), Ok(None));
        assert_eq!(LibrarySettings { enabled: false, ..LibrarySettings::default() }.check(&on), Ok(None));
        let config = LibrarySettings::default().check(&on).expect("it can work").expect("it is on");
        assert_eq!((config.folder, config.keep, config.keep_bytes, config.uploads), ("/srv/kept".into(), None, None, None));
        let settings = LibrarySettings { uploads: true, keep_days: 2, keep_gib: 3, ..LibrarySettings::default() };
        let config = settings.check(&off).expect("it can work").expect("uploads are kept");
        assert_eq!((config.keep, config.keep_bytes), (Some(Duration::from_secs(172_800)), Some(3 << 30)));
        assert!(config.uploads.is_some_and(|uploads| uploads.bytes == 2 << 30));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut LibrarySettings)| {
            let mut settings = LibrarySettings::default();
            change(&mut settings);
            settings.check(&RecordingSettings::default()).expect_err("refused").name
        };
        assert_eq!(refused(|s| s.upload_mib = 0), "library.upload_mib");
        assert_eq!(refused(|s| s.uploads_mib = 100), "library.uploads_mib");
        assert_eq!(refused(|s| s.keep_gib = u64::MAX), "library.keep_gib");
        assert_eq!(refused(|s| s.uploads_at_once = 0), "library.uploads_at_once");
        assert_eq!(refused(|s| s.upload_hours = u64::MAX), "library.upload_hours");
    }
}
