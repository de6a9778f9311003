//! `althing config`: what is set, and whether it works.

use clap::Subcommand;
use schemars::schema_for;

use super::Common;
use super::failure::{CONFIG, Failure, SOFTWARE, SYSTEM};
use crate::config::{Key, Settings};
use crate::node::beforehand::look;

#[derive(Subcommand)]
pub enum Verb {
    /// Print all settings as they are in force; secrets are left out
    Print,
    /// Check the settings, with the files and directories that they name, and say what is wrong
    Check,
    /// Print the JSON Schema of the settings, for editors and for charts
    Schema,
}

pub fn run(verb: &Verb, common: &Common) -> Result<(), Failure> {
    match verb {
        Verb::Print => print!("{}", printed(common.settings()?).map_err(Failure::with(SOFTWARE))?),
        Verb::Check => {
            let config = common.checked()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::with(SYSTEM))?;
            let wrong = runtime.block_on(look(&config));
            if !wrong.is_empty() {
                let lines: Vec<_> = wrong.iter().map(ToString::to_string).collect();
                return Err(Failure::new(lines.join("\nalthing: "), CONFIG));
            }
            println!("the settings are fine");
        }
        Verb::Schema => println!("{:#}", schema_for!(Settings).to_value()),
    }
    Ok(())
}

fn printed(mut settings: Settings) -> Result<String, String> {
    let Settings { auth, ice, s3, webhooks, otel, .. } = &mut settings;
    let others = [&mut ice.secret, &mut s3.access_key, &mut s3.secret_key, &mut webhooks.secret, &mut webhooks.old_secret];
    for key in auth.keys.values_mut().chain(others) {
        if matches!(key, Key::Secret(text) if !text.is_empty()) {
            *key = Key::Secret("(hidden)".to_owned());
        }
    }
    webhooks.urls.iter_mut().for_each(|url| *url = origin(url));
    if !otel.endpoint.is_empty() {
        otel.endpoint = origin(&otel.endpoint);
    }
    toml::to_string(&settings).map_err(|e| e.to_string())
}

/// Of a URL, what is no secret for certain: its path may be one, as may a password in it.
fn origin(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(parsed) if parsed.origin().ascii_serialization().trim_end_matches('/') == url.trim_end_matches('/') => url.to_owned(),
        Ok(parsed) => format!("{}/(hidden)", parsed.origin().ascii_serialization()),
        Err(_) => "(hidden)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Overrides, SECRETS, load};

    #[test]
    fn secrets_are_not_printed() {
        let names = SECRETS.into_iter().chain(["auth.keys.main"]).map(str::to_owned);
        let given: Overrides = names.map(|name| (name, "0123456789abcdef-0123456789abcdef".to_owned())).collect();
        let text = printed(load(None, BTreeMap::new(), &given).expect("settings")).expect("text");
        assert!(!text.contains("0123456789"), "{text}");
        assert_eq!(text.matches("(hidden)").count(), given.len(), "{text}");
    }

    #[test]
    fn of_urls_only_the_origin_is_printed() {
        let mut settings = Settings::default();
        settings.webhooks.urls =
            ["https://bot:word@a.example:8443/hook?token=word", "https://b.example/word", "https://c.example/"].map(str::to_owned).into();
        settings.otel.endpoint = "http://me:word@localhost:4318/v1/traces".into();
        let text = printed(settings).expect("text");
        assert!(!text.contains("word"), "{text}");
        for shown in ["https://a.example:8443/(hidden)", "https://b.example/(hidden)", "\"https://c.example/\"", "http://localhost:4318/(hidden)"] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
    }
}
