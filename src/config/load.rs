//! Reading the settings: file, then environment, then command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Source, Value, ValueKind};

use super::schema::Settings;

/// Variables of the environment that begin with this are settings: `ALTHING_HTTP__LISTEN` is `http.listen`.
const PREFIX: &str = "ALTHING";
/// Variables with the prefix that are not settings.
const OTHER_VARIABLES: [&str; 1] = ["config"];
/// Settings that are lists: in the environment and on the command line their items are separated by commas.
const LISTS: [&str; 10] = [
    "http.origins",
    "admin.hosts",
    "tls.domains",
    "media.bind",
    "media.announce",
    "ice.urls",
    "turn.allow_peers",
    "webhooks.urls",
    "whip_out.allow_hosts",
    "whip_out.allow_networks",
];
/// Settings that are text, or a table that says in which file the text is.
pub const SECRETS: [&str; 5] = ["ice.secret", "s3.access_key", "s3.secret_key", "webhooks.secret", "webhooks.old_secret"];
/// Settings that are one of a few words, and these.
const CHOICES: [(&str, &str); 3] = [("rooms.policy", "auto, p2p or sfu"), ("tls.mode", "off, files, acme or dev"), ("log.format", "text or json")];
/// Below this anything goes: the names are the operator's.
const FREE: &str = "auth.keys.";

/// Settings from the command line: full name → value, as text.
pub type Overrides = BTreeMap<String, String>;

/// Why the settings could not be read.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A name that does not exist.
    Unknown {
        /// The name.
        name: String,
        /// Where it was written.
        place: String,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
    /// A value that is not of its setting's kind.
    Value(String),
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "cannot read the settings in {}: {why}", path.display()),
            Self::Unknown { name, place, nearest: Some(nearest) } => write!(f, "{place}: there is no setting `{name}`; did you mean `{nearest}`?"),
            Self::Unknown { name, place, nearest: None } => write!(f, "{place}: there is no setting `{name}`; `althing config print` lists them all"),
            Self::Value(why) => write!(f, "{why}"),
        }
    }
}

/// Reads the settings.
///
/// # Errors
/// When the file cannot be read, a name does not exist, or a value is of the wrong kind.
pub fn load(file: Option<&Path>, environment: BTreeMap<String, String>, overrides: &Overrides) -> Result<Settings, LoadError> {
    let known = known_names();
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        let source = read_file(path)?;
        check_names(&known, &source, &path.display().to_string())?;
        builder = builder.add_source(source);
    }
    let empty = |(name, value): &(&String, &String)| value.is_empty() && name.to_lowercase().starts_with("althing_auth__keys__");
    if let Some((name, _)) = environment.iter().find(empty) {
        return Err(LoadError::Value(format!("environment: {name} is empty: give it a secret, or unset it")));
    }
    // What is empty there is not set: whoever starts containers hands over what may be left out like that.
    let source = variables(secrets_in_files(environment)?.into_iter().filter(|(_, value)| !value.is_empty()).collect())?;
    check_names(&known, &source, "environment")?;
    builder = builder.add_source(source);
    // The command line has the environment's form: text, lists separated by commas, or written as in a file.
    let source = variables(overrides.iter().map(|(k, v)| (format!("{PREFIX}_{}", k.replace('.', "__")), v.clone())).collect())?;
    check_names(&known, &source, "command line")?;
    let built = builder.add_source(source).build().map_err(|e| LoadError::Value(e.to_string()))?;
    built.try_deserialize().map_err(|e| LoadError::Value(said(&e.to_string(), overrides)))
}

/// What is wrong with a value, in words that somebody who has not read this program knows.
fn said(error: &str, overrides: &Overrides) -> String {
    let of = |name: &str| error.contains(&format!("`{name}`"));
    if let Some((name, choices)) = CHOICES.iter().find(|(name, _)| error.contains("variant") && of(name)) {
        return format!("the setting `{name}` cannot work: it is {choices}");
    }
    for (kind, form) in [("invalid socket address syntax", "an address and a port, like 0.0.0.0:8080"), ("invalid IP address syntax", "an address")] {
        if error.contains(kind) {
            return error.replace(kind, &format!("write {form}, not a name,"));
        }
    }
    if overrides.keys().any(|name| of(name)) { error.replace("in the environment", "on the command line") } else { error.to_owned() }
}

fn read_file(path: &Path) -> Result<config::File<config::FileSourceString, FileFormat>, LoadError> {
    let text = std::fs::read_to_string(path).map_err(|e| LoadError::File { path: path.into(), why: e.to_string() })?;
    let source = File::from_str(&text, FileFormat::Toml);
    source.collect().map_err(|e| LoadError::File { path: path.into(), why: e.to_string() })?;
    Ok(source)
}

/// With `ALTHING_ICE__SECRET_FILE=path` as what it stands for: `ice.secret = { secret_file = "path" }`. Containers and systemd hand over
/// secrets as files.
fn secrets_in_files(environment: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, LoadError> {
    let (mut plain, mut in_files) = (environment, Vec::new());
    plain.retain(|name, value| match of_secret(name) {
        Some(secret) => {
            in_files.push((name.clone(), secret.to_owned(), std::mem::take(value)));
            false
        }
        None => true,
    });
    for (name, secret, path) in in_files {
        if plain.get(&secret).is_some_and(|value| !value.is_empty()) {
            return Err(LoadError::Value(format!("environment: {secret} and {name} are both set: leave one of them")));
        }
        if path.is_empty() {
            return Err(LoadError::Value(format!("environment: {name} is empty: name a file, or unset it")));
        }
        plain.insert(format!("{secret}__SECRET_FILE"), path);
    }
    Ok(plain)
}

/// The variable of the secret in whose place this one names a file.
fn of_secret(name: &str) -> Option<&str> {
    let secret = name.get(..name.len().checked_sub("_file".len())?)?;
    if !name.get(secret.len()..)?.eq_ignore_ascii_case("_file") {
        return None;
    }
    let setting = secret.to_lowercase().strip_prefix("althing_")?.replace("__", ".");
    let is_key = setting.strip_prefix(FREE).is_some_and(|id| !id.is_empty() && !id.contains('.'));
    (is_key || SECRETS.contains(&setting.as_str())).then_some(secret)
}

/// A source of `ALTHING_SECTION__KEY=value` pairs; other variables are left alone. What is empty is an empty text, or an empty list.
fn variables(all: BTreeMap<String, String>) -> Result<config::Config, LoadError> {
    let ours = all.into_iter().filter_map(|(name, value)| {
        let rest = name.to_lowercase();
        let rest = rest.strip_prefix("althing_").filter(|rest| !OTHER_VARIABLES.contains(rest))?;
        Some((rest.replace("__", "."), name, separated(value)))
    });
    let (empty, full): (Vec<_>, Vec<_>) = ours.partition(|(_, _, value)| value.is_empty());
    let source = Environment::with_prefix(PREFIX).prefix_separator("_").separator("__").list_separator(",");
    let source = LISTS.into_iter().fold(source.try_parsing(true), |source, list| source.with_list_parse_key(list));
    let source = source.source(Some(full.into_iter().map(|(_, name, value)| (name, value)).collect()));
    let none = |name: &str| if LISTS.contains(&name) { Value::from(Vec::<String>::new()) } else { Value::from("") };
    let mut builder = config::Config::builder().add_source(source);
    for (name, ..) in empty {
        builder = builder.set_override(&name, none(&name)).map_err(|e| LoadError::Value(e.to_string()))?;
    }
    builder.build().map_err(|e| LoadError::Value(e.to_string()))
}

/// A list that is written as in a file, as the environment has it: its items, separated by commas.
fn separated(text: String) -> String {
    if !text.trim_start().starts_with('[') {
        return text;
    }
    let list = toml::from_str::<BTreeMap<String, Vec<String>>>(&format!("list = {text}"));
    list.ok().and_then(|mut table| table.remove("list")).map_or(text, |items| items.join(","))
}

fn check_names(known: &BTreeSet<String>, source: &dyn Source, place: &str) -> Result<(), LoadError> {
    let mut written = BTreeSet::new();
    let values = source.collect().map_err(|e| LoadError::Value(e.to_string()))?;
    for (key, value) in &values {
        leaves(key, value, &mut written);
    }
    for name in written {
        let parent = known.iter().any(|k| k.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
        if !known.contains(&name) && !name.starts_with(FREE) && !in_file(&name) && !parent && name != FREE.trim_end_matches('.') {
            let nearest = nearest(known, &name);
            return Err(LoadError::Unknown { name, place: place.to_owned(), nearest });
        }
    }
    Ok(())
}

/// Whether it says in which file a secret is.
fn in_file(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.strip_prefix(secret) == Some(".secret_file"))
}

/// The full names of everything below a value.
fn leaves(name: &str, value: &Value, into: &mut BTreeSet<String>) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => table.iter().for_each(|(key, value)| leaves(&format!("{name}.{key}"), value, into)),
        _ => {
            into.insert(name.to_owned());
        }
    }
}

/// The full names of all settings.
fn known_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let defaults = toml::Table::try_from(Settings::default()).unwrap_or_default();
    for (section, settings) in &defaults {
        names.extend(settings.as_table().into_iter().flatten().map(|(key, _)| format!("{section}.{key}")));
    }
    names
}

fn nearest(known: &BTreeSet<String>, name: &str) -> Option<String> {
    let last = |n: &str| n.rsplit('.').next().unwrap_or_default().to_owned();
    let alike = |k: &&String| k.split('.').next() == name.split('.').next() && strsim::jaro(&last(k), &last(name)) > 0.9;
    if let Some(near) = known.iter().find(alike) {
        return Some(near.clone());
    }
    // The same key in another section is the likelier mistake than a key that is spelt only somewhat alike.
    if let Some(same) = known.iter().find(|k| last(k) == last(name)) {
        return Some(same.clone());
    }
    let best = known.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)))?;
    (strsim::jaro(best, name) > 0.7).then(|| best.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn file(text: &str) -> (PathBuf, impl Drop) {
        struct Remove(PathBuf);
        impl Drop for Remove {
            fn drop(&mut self) {
                let _ = std::fs::remove_file(&self.0);
            }
        }
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("althing-settings-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        (path.clone(), Remove(path))
    }

    #[test]
    fn nothing_at_all_gives_the_defaults() {
        assert_eq!(load(None, pairs(&[("HOME", "/root")]), &Overrides::new()).expect("defaults"), Settings::default());
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let (path, _remove) = file("[http]\nlisten = '127.0.0.1:1'\n[media]\nport = 1\nworkers = 3\n");
        let env = pairs(&[("ALTHING_HTTP__LISTEN", "127.0.0.1:2"), ("ALTHING_MEDIA__PORT", "2")]);
        let settings = load(Some(&path), env, &pairs(&[("media.port", "3")])).expect("settings");
        assert_eq!((settings.media.workers, settings.media.port), (3, 3));
        assert_eq!(settings.http.listen.port(), 2);
    }

    #[test]
    fn lists_in_the_environment_are_separated_by_commas() {
        let env = pairs(&[("ALTHING_MEDIA__ANNOUNCE", "192.0.2.1,2001:db8::1"), ("ALTHING_LOG__FORMAT", "json")]);
        let settings = load(None, env, &Overrides::new()).expect("settings");
        assert_eq!(settings.media.announce.len(), 2);
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn lists_may_be_written_as_in_a_file_too() {
        let given = pairs(&[("media.announce", r#"["192.0.2.1", "2001:db8::1"]"#), ("tls.domains", "['meet.example.org']")]);
        let settings = load(None, BTreeMap::new(), &given).expect("settings");
        assert_eq!((settings.media.announce.len(), settings.tls.domains), (2, vec!["meet.example.org".to_owned()]));
        let given = pairs(&[("http.listen", "[::1]:8080"), ("media.announce", "[]")]);
        let settings = load(None, BTreeMap::new(), &given).expect("an address is no list");
        assert_eq!((settings.http.listen.to_string().as_str(), settings.media.announce.len()), ("[::1]:8080", 0));
        assert!(load(None, BTreeMap::new(), &pairs(&[("media.announce", "[192.0.2.1")])).is_err());
    }

    #[test]
    fn a_word_that_is_none_of_a_few_is_refused_with_these() {
        for (name, choices) in CHOICES {
            let text = load(None, BTreeMap::new(), &pairs(&[(name, "direct")])).expect_err("refused").to_string();
            assert!(text.contains(name) && text.contains(choices), "{text}");
            for word in choices.split([',', ' ']).filter(|word| !["", "or"].contains(word)) {
                load(None, BTreeMap::new(), &pairs(&[(name, word)])).expect("one of these");
            }
        }
    }

    #[test]
    fn a_secret_of_digits_is_refused_with_what_to_write() {
        for name in ["auth.keys.main", "ice.secret"] {
            let text = load(None, BTreeMap::new(), &pairs(&[(name, &"0".repeat(40))])).expect_err("refused").to_string();
            assert!(text.contains("not of digits alone") && text.contains(name), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one_wherever_it_is_written() {
        let (path, _remove) = file("[http]\nlissten = '127.0.0.1:1'\n");
        let errors = [
            load(Some(&path), BTreeMap::new(), &Overrides::new()),
            load(None, pairs(&[("ALTHING_HTTP__LISSTEN", "127.0.0.1:1")]), &Overrides::new()),
            load(None, BTreeMap::new(), &pairs(&[("http.lissten", "x")])),
        ];
        for error in errors {
            let text = error.expect_err("refused").to_string();
            assert!(text.contains("`http.lissten`; did you mean `http.listen`?"), "{text}");
        }
        let text = load(None, pairs(&[("ALTHING_HTTP__WORKERS", "2")]), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("`media.workers`"), "{text}");
        let (path, _remove) = file("[auth]\nkey = { main = 'x' }\n");
        let text = load(Some(&path), BTreeMap::new(), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("did you mean `auth.keys`?"), "{text}");
        let text = load(None, pairs(&[("ALTHING_QQQ", "2")]), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("althing config print"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_its_setting() {
        let text = load(None, pairs(&[("ALTHING_MEDIA__WORKERS", "many")]), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("workers") && text.contains("in the environment"), "{text}");
        let text = load(None, BTreeMap::new(), &pairs(&[("media.workers", "many")])).expect_err("refused").to_string();
        assert!(text.contains("workers") && text.contains("on the command line"), "{text}");
        for (name, wrong) in [("http.listen", "localhost:8080"), ("admin.listen", "9090"), ("media.bind", "eth0")] {
            let text = load(None, BTreeMap::new(), &pairs(&[(name, wrong)])).expect_err("refused").to_string();
            assert!(text.contains(name) && text.contains("an address"), "{text}");
        }
    }

    #[test]
    fn what_is_empty_on_the_command_line_is_empty_and_in_the_environment_is_not_set() {
        let (path, _remove) = file("[http]\norigins = ['https://a.example']\n[media]\nstun_server = 'stun.example.org:3478'\n");
        let read = |environment: &[(&str, &str)], given: &[(&str, &str)]| {
            let settings = load(Some(&path), pairs(environment), &pairs(given)).expect("settings");
            (settings.http.origins.len(), settings.media.stun_server)
        };
        let written = (1, "stun.example.org:3478".to_owned());
        assert_eq!(read(&[("ALTHING_HTTP__ORIGINS", ""), ("ALTHING_MEDIA__STUN_SERVER", "")], &[]), written);
        assert_eq!(read(&[("ALTHING_HTTP__ORIGINS", "[]")], &[]).0, 0);
        for none in ["", "[]"] {
            assert_eq!(read(&[], &[("http.origins", none), ("media.stun_server", "")]), (0, String::new()));
        }
        assert!(load(None, BTreeMap::new(), &pairs(&[("media.workers", "")])).is_err(), "nothing is no number");
        let open = load(None, BTreeMap::new(), &pairs(&[("auth.keys.main", "")])).expect("text").check();
        assert!(open.expect_err("an empty key does not open the server").to_string().contains("auth.keys.main"));
    }

    #[test]
    fn every_secret_is_known_as_one() {
        let schema = schemars::schema_for!(Settings).to_value();
        let mut secrets = BTreeSet::new();
        for (section, settings) in schema["properties"].as_object().expect("sections") {
            let reference = settings["$ref"].as_str().expect("a section has its own");
            let settings = &schema["$defs"][reference.rsplit('/').next().expect("a name")];
            for (name, setting) in settings["properties"].as_object().expect("settings") {
                if setting["$ref"] == "#/$defs/Key" {
                    secrets.insert(format!("{section}.{name}"));
                }
            }
        }
        assert_eq!(secrets, SECRETS.iter().map(|name| (*name).to_owned()).collect());
    }

    #[test]
    fn a_key_is_said_once() {
        let (path, _remove) = file("[auth.keys]\nmain = { secret_file = '/etc/althing/main', public_key_file = '/etc/althing/main.pub' }\n");
        let text = load(Some(&path), BTreeMap::new(), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("auth.keys.main"), "{text}");
    }

    #[test]
    fn keys_may_be_secrets_or_files() {
        let (path, _remove) = file("[auth.keys]\nmain = 'a secret'\nold = { secret_file = '/etc/althing/old' }\n");
        let settings = load(Some(&path), BTreeMap::new(), &Overrides::new()).expect("settings");
        assert_eq!(settings.auth.keys.len(), 2);
    }

    #[test]
    fn the_secret_of_relays_may_be_in_a_file_too() {
        let (path, _remove) = file("[ice]\nurls = ['turn:a', 'turns:b']\nsecret = { secret_file = '/etc/althing/turn' }\n");
        let settings = load(Some(&path), BTreeMap::new(), &Overrides::new()).expect("settings");
        assert_eq!(settings.ice.secret, crate::config::Key::File { secret_file: "/etc/althing/turn".into() });
        assert_eq!(settings.ice.urls.len(), 2);
        let environment = pairs(&[("ALTHING_ICE__URLS", "turn:a,turns:b"), ("ALTHING_ICE__SECRET", "0123456789abcdef0123456789abcdef")]);
        assert_eq!(load(None, environment, &Overrides::new()).expect("settings").ice.urls, ["turn:a", "turns:b"]);
        let (path, _remove) = file("[ice]\nsecret = { file = '/etc/althing/turn' }\n");
        assert!(load(Some(&path), BTreeMap::new(), &Overrides::new()).is_err());
    }

    #[test]
    fn the_environment_may_name_files_with_secrets() {
        let in_file = |path: &str| crate::config::Key::File { secret_file: path.into() };
        let (path, _remove) = file("[ice]\nsecret = 'one of the file'\n[auth.keys]\nold = 'another'\n");
        let environment = pairs(&[("ALTHING_ICE__SECRET_FILE", "/run/secrets/turn"), ("ALTHING_AUTH__KEYS__MAIN_FILE", "/run/secrets/main")]);
        let settings = load(Some(&path), environment, &Overrides::new()).expect("settings");
        assert_eq!(settings.ice.secret, in_file("/run/secrets/turn"));
        assert_eq!(settings.auth.keys.get("main"), Some(&in_file("/run/secrets/main")));
        assert_eq!(settings.auth.keys.len(), 2);
        let refused = |all: &[(&str, &str)]| load(None, pairs(all), &Overrides::new()).expect_err("refused").to_string();
        assert!(refused(&[("ALTHING_ICE__SECRET_FILE", "/a"), ("ALTHING_ICE__SECRET", "b")]).contains("both"));
        assert!(refused(&[("ALTHING_ICE__SECRET_FILE", "")]).contains("ALTHING_ICE__SECRET_FILE"));
        // Only secrets are read from files.
        assert!(refused(&[("ALTHING_HTTP__LISTEN_FILE", "/a")]).contains("http.listen"));
    }

    #[test]
    fn an_empty_key_in_the_environment_is_refused_and_does_not_open_the_server() {
        let text = load(None, pairs(&[("ALTHING_AUTH__KEYS__MAIN", "")]), &Overrides::new()).expect_err("refused").to_string();
        assert!(text.contains("ALTHING_AUTH__KEYS__MAIN"), "{text}");
    }
}
