//! `config/default.toml` is the documentation of every setting: it holds all of them, with their true defaults.

use std::collections::BTreeMap;
use std::path::Path;

use althing::config::{Config, Overrides, Settings, load};

fn default_file() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml"))
}

#[test]
fn the_default_file_says_what_the_program_does() {
    let settings = load(Some(default_file()), BTreeMap::new(), &Overrides::new()).expect("the default file can be read");
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.check(), Ok(Config::default()));
}

#[test]
fn the_default_file_has_every_setting_and_explains_it() {
    let text = std::fs::read_to_string(default_file()).expect("the default file");
    let written: toml::Table = text.parse().expect("TOML");
    let all = toml::Table::try_from(Settings::default()).expect("settings are a table");
    for (section, settings) in &all {
        for key in settings.as_table().expect("a section is a table").keys() {
            assert!(written.get(section).and_then(|s| s.get(key)).is_some(), "config/default.toml lacks {section}.{key}");
            let line = text.lines().position(|l| l.starts_with(&format!("{key} ="))).expect("a line of its own");
            assert!(text.lines().nth(line - 1).is_some_and(|above| above.starts_with('#')), "{section}.{key} has no explanation");
        }
    }
}
