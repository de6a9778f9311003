//! What is built comes from the registries, at the versions that were looked at: each dependency with its checksum in the lock files, nothing from a
//! branch, a folder elsewhere or a link.

use std::fs;

use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("the file")
}

#[test]
fn every_crate_is_of_the_registry_and_has_its_checksum() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages");
    assert!(packages.len() > 100);
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        if name == "althing" {
            continue;
        }
        let source = package.get("source").and_then(toml::Value::as_str);
        assert_eq!(source, Some("registry+https://github.com/rust-lang/crates.io-index"), "{name}");
        assert!(package.get("checksum").and_then(toml::Value::as_str).is_some_and(|sum| sum.len() == 64), "{name} has a checksum");
    }
    for line in read("Cargo.toml").lines() {
        assert!(!line.contains("git =") && !line.contains("path = \"../"), "{line}");
    }
}

#[test]
fn every_package_of_the_page_is_of_the_registry_and_has_its_checksum() {
    let lock: Value = serde_json::from_str(&read("web/package-lock.json")).expect("JSON");
    let packages = lock["packages"].as_object().expect("packages");
    let foreign = packages.iter().filter(|(path, package)| path.contains("node_modules/") && package["link"] != true);
    let mut seen = 0;
    for (path, package) in foreign {
        // Without an address it is the registry that npm is set up with.
        assert!(package["resolved"].as_str().is_none_or(|at| at.starts_with("https://registry.npmjs.org/")), "{path}: {}", package["resolved"]);
        assert!(package["integrity"].as_str().is_some_and(|sum| sum.starts_with("sha512-")), "{path} has a checksum");
        seen += 1;
    }
    assert!(seen > 50);
}

/// `make` builds what is locked, and nothing newer.
#[test]
fn builds_take_what_is_locked() {
    for line in read("Makefile").lines().filter(|line| line.contains("cargo ")) {
        let builds = ["build", "test", "bench", "clippy", "doc"].iter().any(|verb| line.contains(&format!("cargo {verb}")));
        assert!(!builds || line.trim_start().starts_with('#') || line.contains("--locked"), "{line}");
    }
    for line in read("deploy/Dockerfile").lines().filter(|line| line.contains("cargo build") || line.contains("npm ")) {
        assert!(line.contains("--locked") || line.contains("npm ci") || line.contains("npm run"), "{line}");
    }
}

/// Each key that there is has its line in the policy: where it is, who reads it, when it changes.
#[test]
fn the_key_policy_is_written_down() {
    let page = read("docs/SECURITY.md");
    let (_, policy) = page.split_once("\n## Keys\n").expect("a policy");
    let rows: Vec<&str> = policy.split("\n## ").next().expect("a section").lines().filter(|line| line.starts_with("| ")).collect();
    for key in ["DTLS certificate", "SRTP", "TLS", "tokens", "relay", "links", "end-to-end"] {
        let row = rows.iter().find(|row| row.split('|').nth(1).is_some_and(|what| what.contains(key)));
        assert!(row.is_some_and(|row| row.split('|').filter(|cell| !cell.trim().is_empty()).count() == 4), "{key}");
    }
}

/// Who wants no traces has nothing of them: neither in the program nor in what has to be looked at.
#[test]
fn traces_are_in_no_ordinary_build() {
    let tree = |features: &[&str]| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"]).args(features);
        let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(!tree(&[]).contains("opentelemetry"));
    assert!(tree(&["--features", "otel"]).contains("opentelemetry-otlp"), "that it would be seen");
    assert!(!tree(&["--features", "otel"]).lines().any(|line| line.starts_with("tonic v")), "one HTTP stack");
}
