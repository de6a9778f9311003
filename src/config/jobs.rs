//! The section `jobs`: what is made of recordings afterwards, by an FFmpeg that is installed beside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};

/// Jobs, as they are written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobSettings {
    /// The program that decodes: a name that is looked for in PATH, or a path; empty for none.
    pub ffmpeg: String,
    /// Whether it gets only what nobody else wants of the machine.
    pub idle: bool,
    /// Mixdowns that may wait.
    pub mixdowns: usize,
    /// Threads of a mixdown's encoder.
    pub threads: usize,
    /// Height of a mixdown's picture in pixels; its width is sixteen ninths of that.
    pub height: u16,
    /// Mebibytes that a program may take.
    pub memory_mib: u64,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self { ffmpeg: "ffmpeg".into(), idle: true, mixdowns: 16, threads: 1, height: 720, memory_mib: 4_096 }
    }
}

/// Jobs, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobsConfig {
    /// The program, if there shall be one.
    pub ffmpeg: Option<String>,
    /// Whether it gets only what nobody else wants of the machine.
    pub idle: bool,
    /// Mixdowns that may wait.
    pub mixdowns: usize,
    /// Threads of a mixdown's encoder.
    pub threads: usize,
    /// Height of a mixdown's picture in pixels, a multiple of 18: its width is even, too.
    pub height: u16,
    /// Bytes that a program may take.
    pub memory: u64,
}

impl JobSettings {
    /// Checks the section.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<JobsConfig, InvalidSetting> {
        at_least("jobs.mixdowns", self.mixdowns as u64, 1)?;
        at_least("jobs.threads", self.threads as u64, 1)?;
        // A decoder alone takes about 200 MiB of address space.
        at_least("jobs.memory_mib", self.memory_mib, 512)?;
        if self.mixdowns > 1_000 {
            return invalid("jobs.mixdowns", format!("it is {}: choose at most 1000, for each may take hours", self.mixdowns));
        }
        if self.threads > 64 {
            return invalid("jobs.threads", format!("it is {}: choose at most 64", self.threads));
        }
        if self.memory_mib > 1 << 20 {
            return invalid("jobs.memory_mib", format!("it is {}: choose at most a tebibyte", self.memory_mib));
        }
        if !(180..=2_160).contains(&self.height) || !self.height.is_multiple_of(18) {
            return invalid("jobs.height", format!("it is {}: choose 360, 540, 720, 1080, or another multiple of 18 up to 2160", self.height));
        }
        Ok(JobsConfig {
            ffmpeg: Some(self.ffmpeg.trim().to_owned()).filter(|program| !program.is_empty()),
            idle: self.idle,
            mixdowns: self.mixdowns,
            threads: self.threads,
            height: self.height,
            memory: self.memory_mib << 20,
        })
    }
}

impl Default for JobsConfig {
    fn default() -> Self {
        let JobSettings { ffmpeg, idle, mixdowns, threads, height, memory_mib } = JobSettings::default();
        Self { ffmpeg: Some(ffmpeg), idle, mixdowns, threads, height, memory: memory_mib << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_the_settings_come_to_and_an_empty_name_is_no_program() {
        assert_eq!(JobSettings::default().check(), Ok(JobsConfig::default()));
        let none = JobSettings { ffmpeg: " ".into(), ..JobSettings::default() };
        assert_eq!(none.check().map(|config| config.ffmpeg), Ok(None));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let refused = |change: fn(&mut JobSettings)| {
            let mut settings = JobSettings::default();
            change(&mut settings);
            settings.check().expect_err("refused").name
        };
        assert_eq!(refused(|s| s.mixdowns = 0), "jobs.mixdowns");
        assert_eq!(refused(|s| s.threads = 65), "jobs.threads");
        assert_eq!(refused(|s| s.memory_mib = 100), "jobs.memory_mib");
        assert_eq!(refused(|s| s.height = 719), "jobs.height");
    }
}
