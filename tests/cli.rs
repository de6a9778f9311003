//! The command line, as a shell or a supervisor sees it: the binary itself, its exit codes, what it prints.

#[path = "nodes/port.rs"]
mod port;
#[path = "nodes/process.rs"]
mod process;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::Running;

const ALTHING: &str = env!("CARGO_BIN_EXE_althing");
const SECRET: &str = "north-north-north-north-north-north";

/// Without what this shell has set.
fn althing(arguments: &[&str]) -> Command {
    let mut command = Command::new(ALTHING);
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("ALTHING_"));
    ours.for_each(|name| {
        command.env_remove(name);
    });
    command.args(arguments);
    command
}

fn said(arguments: &[&str]) -> (Option<i32>, String, String) {
    told(althing(arguments).output().expect("it runs"))
}

fn told(Output { status, stdout, stderr }: Output) -> (Option<i32>, String, String) {
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

fn refused(arguments: &[&str], code: i32, why: &str) {
    let (status, out, err) = said(arguments);
    assert_eq!((status, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
    assert!(err.contains(why), "{arguments:?}: {err}");
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("althing-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("a path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_wrong_line_is_64_and_help_is_not() {
    refused(&["--lissten", "x"], 64, "--listen");
    refused(&["docter"], 64, "doctor");
    refused(&["--set", "http.listen"], 64, "NAME=VALUE");
    refused(&["load", "--publishers", "0"], 64, "nobody would join");
    refused(&["token", "create", "--room", "r", "--identity", "ada"], 64, "no keys are set");
    for asked in [&["--help"][..], &["--version"], &["help", "load"], &["token", "create", "--help"]] {
        let (status, out, err) = said(asked);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{asked:?}");
        assert!(!out.is_empty());
    }
    assert!(said(&["--help"]).1.contains("78  the settings cannot work"), "exit codes are a part of the help");
}

#[test]
fn settings_that_cannot_work_are_78_in_every_command_and_named() {
    let folder = Folder::new("settings");
    let spelt = folder.file("spelt.toml", "[http]\nlissten = '127.0.0.1:1'\n");
    for verb in [&["run"][..], &["config", "check"], &["config", "print"], &["load"], &["healthcheck"]] {
        refused(&[verb, &["--config", &spelt]].concat(), 78, "`http.lissten`; did you mean `http.listen`?");
        refused(&[verb, &["--set", "media.prot=1"]].concat(), 78, "`media.prot`; did you mean `media.port`?");
        refused(&[verb, &["--config", "/nowhere.toml"]].concat(), 78, "/nowhere.toml");
    }
    refused(&["config", "check", "--set", "rooms.voices=0"], 78, "rooms.voices");
    refused(&["config", "check", "--set", "media.port=many"], 78, "media.port");
    refused(&["config", "check", "--log", "loud"], 78, "log.level");
}

#[test]
fn files_and_directories_that_cannot_be_used_are_said_by_config_check() {
    let folder = Folder::new("named");
    let (nobody, taken) = (folder.0.join("nobody.pem").display().to_string(), folder.file("taken", "no certificate"));
    let below = format!("{taken}/below");
    let check = |sets: &[String]| {
        let line: Vec<&str> = ["config", "check"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
        said(&line)
    };
    let files = |cert: &str, key: &str| ["tls.mode=files".to_owned(), format!("tls.cert={cert}"), format!("tls.key={key}")].to_vec();
    let acme = |cache: &str| ["tls.mode=acme", "tls.domains=meet.example.org", &format!("tls.cache={cache}")].map(str::to_owned).to_vec();
    for (sets, names, path) in [
        (files(&nobody, &nobody), &["tls.cert", "tls.key"][..], &nobody),
        (files(&taken, &nobody), &["tls.key"], &nobody),
        (files(&taken, &taken), &["tls.cert"], &taken),
        (acme(&below), &["tls.cache"], &below),
        (vec!["recording.enabled=true".into(), format!("recording.folder={below}")], &["recording.folder"], &below),
        (vec!["events.enabled=true".into(), format!("events.folder={below}")], &["events.folder"], &below),
    ] {
        let (status, out, err) = check(&sets);
        assert_eq!((status, out.as_str()), (Some(78), ""), "{sets:?}: {err}");
        assert_eq!(err.lines().count(), names.len(), "{err}");
        for name in names {
            assert!(err.contains(&format!("`{name}` cannot work: ")) && err.contains(path.as_str()), "{sets:?}: {err}");
        }
    }
    let keys = folder.file("keys.toml", &format!("[auth.keys]\nmain = {{ secret_file = '{nobody}' }}\n"));
    refused(&["config", "check", "--config", &keys], 78, &nobody);
    assert_eq!(check(&acme(&folder.0.join("made/later").display().to_string())).0, Some(0), "what is not there yet is made");
    assert!(!folder.0.join("made").exists(), "not by a check");
}

#[test]
fn a_load_without_a_token_or_an_address_says_what_is_missing() {
    refused(&["load", "--url", "http://127.0.0.1:1/ws"], 64, "--url");
    refused(&["load", "--url", "127.0.0.1:8080"], 64, "ws://");
    refused(&["load", "--whip", "127.0.0.1/{member}"], 64, "--whip");
    let (port, admin) = (port::free_port(), port::free_port());
    let listen = format!("127.0.0.1:{port}");
    let line = node_line(admin, &[&format!("auth.keys.main={SECRET}")]);
    let node = althing(&["run", "--log", "error", "--listen", &listen]).args(line).stdout(Stdio::null()).spawn();
    let _node = Running(node.expect("it starts"));
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(&listen).is_err() {
        assert!(Instant::now() < end, "not ready in time");
        thread::sleep(Duration::from_millis(50));
    }
    let (url, whip) = (format!("ws://{listen}/ws"), format!("http://{listen}/whip/{{room}}/{{member}}"));
    refused(&["load", "--quiet", "--url", &url], 77, "--token");
    refused(&["load", "--quiet", "--url", &url, "--token", "nonsense"], 77, "token_invalid");
    refused(&["load", "--quiet", "--whip", &whip], 77, "--token");
    refused(&["load", "--quiet", "--url", &format!("ws://{listen}/elsewhere")], 69, "no signaling front there");
}

/// The settings of a node on this machine alone, with its private listener at this port, and some more.
fn node_line(admin: u16, more: &[&str]) -> Vec<String> {
    let private = format!("admin.listen=127.0.0.1:{admin}");
    let sets = [private.as_str(), "media.port=0", "media.bind=127.0.0.1", "media.workers=1", "turn.enabled=false"];
    sets.iter().chain(more).flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect()
}

/// What a process sees that is to find no certificates of authorities.
const NOBODY: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nonexistent/certificates.pem"), ("SSL_CERT_DIR", "/nonexistent")];

#[test]
fn without_authorities_nothing_that_needs_them_starts_and_the_rest_does() {
    let folder = Folder::new("authorities");
    let set = |sets: &[&str]| sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]).collect::<Vec<_>>();
    let events = format!("events.folder={}", folder.0.join("events").display());
    let recordings = format!("recording.folder={}", folder.0.join("recordings").display());
    let common =
        ["admin.listen=127.0.0.1:0", "media.port=0", "media.bind=127.0.0.1", "media.workers=1", "turn.enabled=false", "http.listen=127.0.0.1:0"];
    let hook = |url: &'static str| ["events.enabled=true", &events, url, "webhooks.secret=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"].map(str::to_owned);
    let bucket = |endpoint: &str| {
        let keys = ["s3.bucket=calls", "s3.access_key=me", "s3.secret_key=word"].map(str::to_owned);
        let endpoint = format!("s3.endpoint={endpoint}");
        ["recording.enabled=true".to_owned(), recordings.clone(), "recording.store=s3".into(), endpoint].into_iter().chain(keys).collect::<Vec<_>>()
    };
    for (sets, name) in [
        (hook("webhooks.urls=https://hooks.example/").to_vec(), "webhooks.urls"),
        (vec!["whip_out.allow_hosts=live.example.org".to_owned()], "whip_out.allow_hosts"),
        (bucket("https://s3.example"), "s3.endpoint"),
    ] {
        let sets = sets.iter().map(String::as_str).chain(common).collect::<Vec<_>>();
        for (verb, code) in [(&["run"][..], 69), (&["config", "check"], 78)] {
            let (status, _, err) = told(althing(verb).args(set(&sets)).envs(NOBODY).output().expect("it runs"));
            assert_eq!(status, Some(code), "{verb:?} {name}: {err}");
            assert!(err.contains(name) && err.contains("ca-certificates") && !err.contains("fault of the program"), "{verb:?}: {err}");
        }
        let (status, out, _) = told(althing(&["doctor"]).args(set(&sets)).envs(NOBODY).output().expect("it runs"));
        assert_eq!(status, Some(1), "{out}");
        assert!(out.contains("no certificates of authorities") && out.contains("SSL_CERT_FILE"), "{out}");
    }
    // Who speaks no TLS needs nobody.
    for sets in [hook("webhooks.urls=http://127.0.0.1:9/").to_vec(), bucket("http://127.0.0.1:9")] {
        let sets = sets.iter().map(String::as_str).chain(common).collect::<Vec<_>>();
        let checked = told(althing(&["config", "check"]).args(set(&sets)).envs(NOBODY).output().expect("it runs"));
        assert_eq!(checked.0, Some(0), "{sets:?}: {}", checked.2);
        let mut node = Running(althing(&["run"]).args(set(&sets)).envs(NOBODY).stdout(Stdio::null()).spawn().expect("it starts"));
        thread::sleep(Duration::from_secs(2));
        assert!(node.0.try_wait().expect("a process").is_none(), "{sets:?}: it runs");
        Command::new("kill").args(["-TERM", &node.0.id().to_string()]).status().expect("kill");
        assert_eq!(node.0.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file_and_secrets_come_from_files() {
    let folder = Folder::new("order");
    let config = folder
        .file("althing.toml", "[media]\nport = 1\nworkers = 3\n[rooms]\nvoices = 4\n[auth.keys]\nmain = 'of-the-file-of-the-file-of-the-file'\n");
    let secret = folder.file("main.key", &format!("{SECRET}\n"));
    let environment = [
        ("ALTHING_CONFIG", config.as_str()),
        ("ALTHING_MEDIA__PORT", "2"),
        ("ALTHING_ROOMS__VOICES", "6"),
        ("ALTHING_AUTH__KEYS__MAIN_FILE", &secret),
    ];
    let (status, out, err) = told(althing(&["config", "print", "--set", "media.port=3"]).envs(environment).output().expect("it runs"));
    assert_eq!(status, Some(0), "{err}");
    for line in ["port = 3", "voices = 6", "workers = 3", &format!("secret_file = \"{secret}\"")] {
        assert!(out.lines().any(|l| l.contains(line)), "{line} in {out}");
    }
    assert!(!out.contains("of-the-file"), "{out}");
    // What it signs with the key of that file another node of the same file takes: the second part is the claims.
    let create = ["token", "create", "--room", "hall", "--identity", "ada"];
    let (status, token, err) = told(althing(&create).envs(environment).output().expect("it runs"));
    assert_eq!((status, token.trim().split('.').count()), (Some(0), 3), "{err}");
    let plain = told(althing(&[&create[..], &["--set", &format!("auth.keys.main={SECRET}")]].concat()).output().expect("it runs"));
    let claims = |token: &str| token.split('.').next().map(str::to_owned);
    assert_eq!(claims(&token), claims(&plain.1), "the same key, the same header");
    let both = told(althing(&["config", "check"]).envs(environment).env("ALTHING_AUTH__KEYS__MAIN", SECRET).output().expect("it runs"));
    assert_eq!(both.0, Some(78));
    assert!(both.2.contains("both set"), "{}", both.2);
}

#[test]
fn a_port_that_is_taken_is_69_and_a_node_tells_how_it_is() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let admin = port::free_port();
    let line = |admin: u16| [node_line(admin, &[]), ["--listen", "127.0.0.1:0", "--log", "error"].map(str::to_owned).to_vec()].concat();
    let (status, _, err) = told(althing(&["run"]).args(line(taken.local_addr().expect("an address").port())).output().expect("it runs"));
    assert_eq!(status, Some(69), "{err}");
    assert!(err.contains("admin.listen"), "{err}");

    let ask = |more: &[&str]| told(althing(&[&["healthcheck"], more].concat()).args(line(admin)).output().expect("it runs"));
    let (status, _, err) = ask(&[]);
    assert_eq!(status, Some(1), "nobody is there: {err}");
    assert!(err.contains(&format!("127.0.0.1:{admin}")), "{err}");
    let mut node = Running(althing(&["run"]).args(line(admin)).stdout(Stdio::null()).spawn().expect("it starts"));
    let end = Instant::now() + Duration::from_secs(20);
    while ask(&["--ready"]).0 != Some(0) {
        assert!(Instant::now() < end, "not ready in time");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask(&[]), (Some(0), String::new(), String::new()));
    let rooms = |more: &[&str]| told(althing(&[&["rooms"], more].concat()).args(line(admin)).output().expect("it runs"));
    assert_eq!(rooms(&[]), (Some(0), String::new(), String::new()), "nobody has come yet");
    assert_eq!(rooms(&["--json"]).1, "[]\n");
    // Another one on the same port that is no node of ours.
    let stranger = taken.local_addr().expect("an address").to_string();
    thread::spawn(move || taken.incoming().flatten().for_each(drop));
    assert_eq!(ask(&["--admin", &stranger]).0, Some(1));
    Command::new("kill").args(["-TERM", &node.0.id().to_string()]).status().expect("kill");
    assert_eq!(node.0.wait().expect("it ends").code(), Some(0), "told to end, it ends well");
    assert_eq!(ask(&[]).0, Some(1));
    let (status, _, err) = rooms(&[]);
    assert_eq!(status, Some(69), "{err}");
}

#[test]
fn the_schema_takes_the_default_file_and_refuses_what_the_program_refuses() {
    let (status, text, _) = said(&["config", "schema"]);
    assert_eq!(status, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let section = |name: &str| {
        let reference =
            schema["properties"][name]["$ref"].as_str().or_else(|| schema["properties"][name]["allOf"][0]["$ref"].as_str()).expect("a reference");
        schema["$defs"][reference.rsplit('/').next().expect("a name")].clone()
    };
    let written: toml::Table =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml")).expect("the file").parse().expect("TOML");
    for (name, settings) in &written {
        let section = section(name);
        assert_eq!(section["additionalProperties"], serde_json::Value::Bool(false), "{name}");
        for key in settings.as_table().expect("a section").keys() {
            assert!(section["properties"][key]["description"].is_string(), "{name}.{key} is described");
        }
    }
    assert_eq!(section("media")["properties"]["port"]["maximum"], 65_535);
    assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
}

#[test]
fn shells_take_the_completions_and_man_takes_the_manual() {
    let folder = Folder::new("papers");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (status, script, err) = said(&["completions", shell]);
        assert_eq!((status, err.as_str()), (Some(0), ""));
        assert!(script.contains("healthcheck") && script.contains("announce"), "{shell}");
    }
    refused(&["completions", "sh"], 64, "bash");
    let script = folder.file("althing.bash", &said(&["completions", "bash"]).1);
    let complete = format!("source {script}; COMP_WORDS=(althing hea); COMP_CWORD=1; _althing althing hea ''; echo \"${{COMPREPLY[@]}}\"");
    let (status, out, err) = told(Command::new("bash").args(["-c", &complete]).output().expect("bash"));
    assert_eq!((status, out.trim()), (Some(0), "healthcheck"), "{err}");

    let (status, page, _) = said(&["man"]);
    assert_eq!(status, Some(0));
    assert!(page.contains(".TH") && page.contains("EX") && page.contains("the settings cannot work"), "{page}");
    let pages = folder.0.join("man");
    assert_eq!(said(&["man", "--dir", pages.to_str().expect("a path")]).0, Some(0));
    let names: Vec<_> = fs::read_dir(&pages).expect("pages").map(|entry| entry.expect("a page").file_name().into_string().expect("a name")).collect();
    for name in ["althing.1", "althing-run.1", "althing-load.1", "althing-token-create.1", "althing-config-check.1"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    let taken = folder.file("taken", "");
    refused(&["man", "--dir", &taken], 73, "cannot be written");
}
