//! The log. What a level means:
//!
//! - error: the operator has to do something;
//! - warn: something is not as it should be, and the node copes;
//! - info: the node and its rooms begin and end; nothing for a packet, a message or a member;
//! - debug: what a developer of a client wants to know;
//! - trace: everything.
//!
//! Secrets and tokens are in no level; addresses of clients and session descriptions in none above debug.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{InvalidSetting, LogFormat, LogSettings};

/// The log of this process.
pub struct Log(SetFilter);

type SetFilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

impl Log {
    /// Begins to log, once in a process.
    ///
    /// # Errors
    /// When `log.level` is not a level or a list of directives.
    pub fn begin(settings: &LogSettings) -> Result<Self, InvalidSetting> {
        let (subscriber, set) = build(settings, io::stderr)?;
        // It fails only when a log has begun already, and then there is one.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(Self(set))
    }

    /// From now on, what `level` says is logged.
    ///
    /// # Errors
    /// As [`Log::begin`].
    pub fn set_level(&self, level: &str) -> Result<(), InvalidSetting> {
        let filter = filter(level)?;
        if (self.0)(filter) { Ok(()) } else { Err(InvalidSetting { name: "log.level".to_owned(), why: "there is no log any more".to_owned() }) }
    }
}

/// Whether `level` could be logged.
///
/// # Errors
/// As [`Log::begin`].
pub fn check_level(level: &str) -> Result<(), InvalidSetting> {
    filter(level).map(drop)
}

/// A log by these settings, into `writer`.
///
/// # Errors
/// As [`Log::begin`].
pub fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, InvalidSetting>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(build(settings, writer)?.0)
}

fn build<W>(settings: &LogSettings, writer: W) -> Result<(Box<dyn Subscriber + Send + Sync>, SetFilter), InvalidSetting>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = fmt().with_env_filter(filter(&settings.level)?).with_writer(writer).with_ansi(io::stderr().is_terminal());
    Ok(match settings.format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| handle.reload(filter).is_ok()))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| handle.reload(filter).is_ok()))
        }
    })
}

fn filter(level: &str) -> Result<EnvFilter, InvalidSetting> {
    // A word alone would be taken for a module, and silence all others: `inof` has to be refused.
    let odd = |d: &&str| !d.is_empty() && !d.contains(['=', ':', '[']) && d.parse::<LevelFilter>().is_err();
    if let Some(odd) = level.split(',').map(str::trim).find(odd) {
        let why = format!("`{odd}` is no level: choose error, warn, info, debug or trace, or directives like info,althing::control=debug");
        return Err(InvalidSetting { name: "log.level".to_owned(), why });
    }
    // That crate tells of each request that it tries again, at info; what comes of them is said once, by `record::store`.
    let level = if level.trim().is_empty() { level.to_owned() } else { format!("object_store=warn,{level}") };
    EnvFilter::try_new(level).map_err(|e| InvalidSetting {
        name: "log.level".to_owned(),
        why: format!("{e}: choose error, warn, info, debug or trace, or directives like info,althing::control=debug"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused_by_name() {
        for level in ["info,althing=loud", "inof"] {
            let settings = LogSettings { level: level.into(), ..LogSettings::default() };
            assert_eq!(subscriber(&settings, io::sink).err().map(|e| e.name), Some("log.level".to_owned()), "{level}");
        }
    }
}
