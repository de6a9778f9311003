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

/// Begins to log, once in a process.
///
/// # Errors
/// When `log.level` is not a level or a list of directives.
pub fn begin(settings: &LogSettings) -> Result<(), InvalidSetting> {
    let subscriber = subscriber(settings, io::stderr)?;
    // It fails only when a log has begun already, and then there is one.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// A log by these settings, into `writer`.
///
/// # Errors
/// As [`begin`].
pub fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, InvalidSetting>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A word alone would be taken for a module, and silence all others: `inof` has to be refused.
    let odd = |d: &&str| !d.is_empty() && !d.contains(['=', ':', '[']) && d.parse::<LevelFilter>().is_err();
    if let Some(odd) = settings.level.split(',').map(str::trim).find(odd) {
        let why = format!("`{odd}` is no level: choose error, warn, info, debug or trace, or directives like info,althing::control=debug");
        return Err(InvalidSetting { name: "log.level".to_owned(), why });
    }
    let filter = EnvFilter::try_new(&settings.level).map_err(|e| InvalidSetting {
        name: "log.level".to_owned(),
        why: format!("{e}: choose error, warn, info, debug or trace, or directives like info,althing::control=debug"),
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(writer).with_ansi(io::stderr().is_terminal());
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().finish()),
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
