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

/// What the chart takes as `config` is what the program takes. `UPDATE_SCHEMA=1 cargo test --test config` writes it.
#[test]
fn the_chart_knows_every_setting() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/althing/values.schema.json"));
    let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the chart's schema")).expect("JSON");
    let mut settings = schemars::schema_for!(Settings).to_value();
    let mut expected = written.clone();
    let settings = settings.as_object_mut().expect("a schema");
    expected["$defs"] = settings.remove("$defs").expect("each section has its own");
    settings.remove("$schema");
    expected["properties"]["config"] = settings.clone().into();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, format!("{expected:#}\n")).expect("written");
    } else {
        assert!(written == expected, "values.schema.json is not that of the settings: UPDATE_SCHEMA=1 cargo test --test config");
    }
}
