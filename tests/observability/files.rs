//! Alerts and dashboards as they are committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::node::promtool;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The committed dashboards, by their files' names.
pub fn boards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).expect("text")).expect("JSON"))
    };
    files.iter().map(read).collect()
}

/// Each panel of a dashboard that asks something.
pub fn panels(board: &Value) -> Vec<&Value> {
    let all = board["panels"].as_array().expect("panels");
    all.iter().flat_map(|panel| panel["panels"].as_array().into_iter().flatten().chain([panel])).filter(|panel| panel["type"] != "row").collect()
}

/// What a panel asks.
pub fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().expect("queries").iter().map(|target| target["expr"].as_str().expect("a query")).collect()
}

/// The names of metrics of ours in a text.
pub fn metrics_in(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("althing_") && word.len() > 8);
    names.map(str::to_owned).collect()
}

fn alerts() -> Vec<String> {
    file("deploy/prometheus/alerts.yml").lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn alerts_are_rules_that_fire_and_stay_silent_as_their_tests_say() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let (good, said) = promtool(&arguments, None);
        assert!(good, "{said}");
    }
    let (good, said) = promtool(&["check", "config", "prometheus.yml"], None);
    assert!(good, "{said}");
}

#[test]
fn every_alert_has_both_tests_and_a_section_that_says_what_to_do() {
    let (rules, tests, manual) = (file("deploy/prometheus/alerts.yml"), file("deploy/prometheus/alerts.test.yml"), file("docs/OPERATIONS.md"));
    let alerts = alerts();
    assert!(alerts.len() >= 15, "{alerts:?}");
    for alert in alerts {
        for what in ["fires", "stays silent"] {
            assert!(tests.lines().any(|line| line.trim() == format!("- name: {alert} {what}")), "no test in which {alert} {what}");
        }
        let anchor = format!("runbook: docs/OPERATIONS.md#{}", alert.to_lowercase());
        assert!(rules.lines().any(|line| line.trim() == anchor), "{alert} leads to no section");
        assert!(manual.lines().any(|line| line == format!("#### {alert}")), "docs/OPERATIONS.md has no section {alert}");
    }
    for section in manual.lines().filter_map(|line| line.strip_prefix("#### Althing")) {
        assert!(rules.contains(&format!("- alert: Althing{section}\n")), "there is no alert Althing{section} any more");
    }
}

#[test]
fn dashboards_are_whole_and_ask_for_no_single_room_or_member() {
    let boards = boards();
    let names: Vec<_> = boards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["events", "joins", "overview", "quality", "recording", "turn", "workers"]);
    for (name, board) in &boards {
        assert_eq!(board["uid"], format!("althing-{name}"));
        assert!(board["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "{name}");
        let variables: Vec<_> = board["templating"]["list"].as_array().expect("variables").iter().map(|variable| &variable["name"]).collect();
        assert_eq!(variables, ["datasource", "node"]);
        let ids: BTreeSet<_> = panels(board).iter().map(|panel| panel["id"].to_string()).collect();
        assert!(ids.len() == panels(board).len() || ids.len() == 1, "{name}: ids that stand twice");
        for panel in panels(board) {
            let title = panel["title"].as_str().expect("a title");
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {title} does not say what it shows");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title} has no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            for query in queries(panel) {
                assert!(!query.contains("room=") && !query.contains("member="), "{name}: {title}");
                assert!(query.contains("instance=~\"$node\""), "{name}: {title} does not ask for the chosen node");
            }
        }
    }
}
