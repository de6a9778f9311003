//! Who may import whom: the map of docs/ARCHITECTURE.md, kept by reading the `use` lines and paths of every file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room → rooms that it may import. A name with `::` allows only that part of a room.
const RULES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("contract", &["base"]),
    ("port", &["base", "contract"]),
    ("wire", &["base"]),
    ("config", &["base", "contract"]),
    ("metrics", &["base", "contract"]),
    ("sdp", &["base", "contract"]),
    ("media", &["base", "contract"]),
    ("turn", &["base", "contract"]),
    ("tls", &["config"]),
    ("io", &["base", "contract", "port", "config", "media", "tls", "turn"]),
    ("record", &["base", "contract", "port", "config", "metrics", "media::packet"]),
    ("control", &["base", "contract", "port", "config", "metrics", "record", "sdp", "tls", "wire"]),
    ("load", &["base", "config", "contract", "wire", "media::packet", "media::transport"]),
    ("cli", &["base", "config", "control::auth", "control::admin", "load", "node"]),
    ("node", &["base", "contract", "port", "config", "metrics", "sdp", "wire", "media", "turn", "io", "record", "control", "tls"]),
    ("main", &["cli", "node", "config"]),
];

/// What a pure machine must not use.
const PURE: &[&str] = &[
    "tokio",
    "axum",
    "dashmap",
    "prometheus",
    "libc",
    "rustix",
    "socket2",
    "rand",
    "tracing",
    "serde_json",
    "std::fs",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::mpsc",
    "std::sync::atomic",
    "std::collections::HashMap",
    "std::net::UdpSocket",
    "Instant::now",
    "SystemTime",
];

/// Room → crates (or parts of std) that must not appear in it.
const BANNED: &[(&str, &[&str])] = &[
    ("base", &["tokio", "axum", "dashmap", "prometheus", "serde", "libc", "rustix", "tracing", "bytes", "rtc_dtls", "rtc_stun", "aws_lc_rs"]),
    ("contract", &["tokio", "axum", "dashmap", "prometheus", "libc", "rustix", "tracing", "std::sync", "std::thread"]),
    ("wire", &["tokio", "axum", "dashmap", "prometheus", "libc", "rustix", "tracing"]),
    ("sdp", &["tokio", "axum", "dashmap", "prometheus", "libc", "rustix", "std::time::Instant", "std::thread"]),
    ("media", PURE),
    ("turn", PURE),
    ("tls", &["axum", "hyper", "dashmap", "prometheus"]),
    ("io", &["axum", "serde_json", "prometheus", "dashmap"]),
    ("control", &["rustix", "libc"]),
    ("record", &["axum", "hyper", "prometheus", "dashmap", "webrtc"]),
];

/// The only files that may contain `unsafe`, each with its reason at its top.
const UNSAFE: &[&str] =
    &["src/base/prefetch.rs", "src/io/udp/address.rs", "src/io/udp/options.rs", "src/io/udp/receive.rs", "src/io/udp/send.rs", "src/load/batch.rs"];

#[test]
fn rooms_import_only_what_the_map_allows() {
    let rules: BTreeMap<_, BTreeSet<_>> = RULES.iter().map(|(room, allowed)| (*room, allowed.iter().copied().collect())).collect();
    let mut broken = Vec::new();
    for (room, file, code) in sources() {
        let Some(allowed) = rules.get(room.as_str()) else {
            broken.push(format!("{}: the room `{room}` is not on the map: add it to RULES and to docs/ARCHITECTURE.md", file.display()));
            continue;
        };
        for import in imports(&code) {
            let target = import.split("::").next().unwrap_or_default();
            let known = rules.contains_key(target);
            let fine = target == room || allowed.iter().any(|a| import == *a || import.starts_with(&format!("{a}::")));
            if known && !fine {
                broken.push(format!("{}: `{room}` imports `{import}`", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn rooms_use_none_of_their_banned_crates() {
    let mut broken = Vec::new();
    for (room, file, code) in sources() {
        for banned in BANNED.iter().filter(|(r, _)| *r == room).flat_map(|(_, b)| *b) {
            let path = format!("{banned}::");
            if code.lines().any(|l| mentions(l, &path) || (banned.contains("::") && mentions(l, banned))) {
                broken.push(format!("{}: `{room}` must not use `{banned}`", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn arc_is_in_media_only_where_the_dtls_and_sctp_crates_take_it() {
    let offenders: Vec<_> = sources()
        .into_iter()
        .filter(|(room, file, code)| {
            room == "media"
                && !["transport/dtls", "transport/sctp"].iter().any(|crates| file.to_string_lossy().contains(crates))
                && code.lines().any(|l| mentions(l, "Arc<") || mentions(l, "sync::Arc"))
        })
        .map(|(_, file, _)| file)
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}

#[test]
fn unsafe_is_only_in_the_listed_files() {
    for (_, file, code) in sources() {
        let listed = UNSAFE.iter().any(|u| file.ends_with(u));
        let has = code.lines().any(|l| l.contains("unsafe {") || l.contains("unsafe fn") || l.contains("unsafe impl"));
        assert!(!has || listed, "{}: `unsafe` in a file that is not listed", file.display());
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    let long: Vec<_> = sources().into_iter().map(|(_, file, code)| (file, code.lines().count())).filter(|(_, lines)| *lines > 500).collect();
    assert!(long.is_empty(), "over 500 lines without tests: {long:?}");
}

/// Room, path and code without tests and comments of every source file.
/// `make attacks` and `make asvs` name tests; one that was renamed or moved would show nothing.
#[test]
fn tests_that_are_named_for_attacks_exist() {
    let named = fs::read_to_string("tests/attacks/classes.json").expect("the classes");
    let named: serde_json::Value = serde_json::from_str(&named).expect("JSON");
    let lists = ["classes", "asvs"].into_iter().flat_map(|list| named[list].as_array().expect("a list"));
    let tests: Vec<&str> = lists.flat_map(|one| one["tests"].as_array().expect("tests")).filter_map(|test| test.as_str()).collect();
    assert!(tests.len() > 100, "{} tests", tests.len());
    let missing: Vec<&str> = tests.into_iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "no such tests, see tests/attacks/classes.json: {missing:#?}");
}

/// Whether a test (`protocol:access::a_name`, `e2e:file`) is in a file of its module.
fn exists(test: &str) -> bool {
    let (target, path) = test.split_once(':').expect("a target and a path");
    if target == "e2e" {
        return fs::read_dir("web/e2e/tests").expect("tests of the page").flatten().any(|f| f.file_name().to_string_lossy().starts_with(path));
    }
    let (module, function) = path.rsplit_once("::").unwrap_or(("", path));
    let folder = if target == "lib" { "src".into() } else { format!("tests/{target}") };
    let mut files = Vec::new();
    if Path::new(&folder).is_dir() {
        collect(Path::new(&folder), &mut files);
    }
    let root = PathBuf::from(format!("{folder}.rs"));
    files.extend(root.is_file().then_some(root));
    files.into_iter().any(|file| {
        let within = file.with_extension("");
        let own = within.strip_prefix(&folder).unwrap_or(Path::new("")).to_string_lossy().replace('/', "::");
        let own = own.trim_end_matches("::mod").trim_start_matches("main").trim_start_matches("mod").to_owned();
        module.starts_with(&own) && fs::read_to_string(&file).expect("a file").contains(&format!("fn {function}("))
    })
}

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files
        .into_iter()
        .filter(|f| !f.ends_with("tests.rs") && !f.ends_with("lib.rs") && !f.components().any(|c| c.as_os_str() == "tests"))
        .map(|file| {
            let first = file.strip_prefix(&root).expect("under src").components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&file).expect("readable");
            let before_tests = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = before_tests.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (room, file, code)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Everything after `crate::` (or `althing::`) in the code, braces taken apart.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "althing::"] {
        for (at, _) in code.match_indices(root) {
            expand("", &code[at + root.len()..], &mut found);
        }
    }
    found
}

fn expand(prefix: &str, rest: &str, found: &mut Vec<String>) {
    if let Some(inner) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    expand(prefix, inner[start..at].trim(), found);
                    return;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(prefix, inner[start..at].trim(), found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return;
    }
    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}::{name}") };
    match rest[name.len()..].strip_prefix("::") {
        Some(after) if path.split("::").count() < 3 => expand(&path, after, found),
        _ => found.push(path),
    }
}

fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}
