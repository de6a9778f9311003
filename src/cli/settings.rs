//! `althing config`: what is set, and whether it works.

use clap::Subcommand;

use super::Common;
use crate::config::{Key, Settings};

#[derive(Subcommand)]
pub enum Verb {
    /// Print all settings as they are in force; secrets are left out
    Print,
    /// Check the settings and say what is wrong
    Check,
}

pub fn run(verb: &Verb, common: &Common) -> Result<(), String> {
    let settings = common.settings()?;
    match verb {
        Verb::Print => print!("{}", printed(settings)?),
        Verb::Check => {
            settings.check().map_err(|e| e.to_string())?;
            println!("the settings are fine");
        }
    }
    Ok(())
}

fn printed(mut settings: Settings) -> Result<String, String> {
    let Settings { auth, ice, s3, .. } = &mut settings;
    for key in auth.keys.values_mut().chain([&mut ice.secret, &mut s3.access_key, &mut s3.secret_key]) {
        if matches!(key, Key::Secret(text) if !text.is_empty()) {
            *key = Key::Secret("(hidden)".to_owned());
        }
    }
    toml::to_string(&settings).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut settings = Settings::default();
        let secret = || Key::Secret("0123456789abcdef0123456789abcdef".into());
        settings.auth.keys.insert("main".into(), secret());
        (settings.ice.secret, settings.s3.access_key, settings.s3.secret_key) = (secret(), secret(), secret());
        let text = printed(settings).expect("text");
        assert!(!text.contains("0123456789"), "{text}");
        assert!(text.contains("main"), "{text}");
    }
}
