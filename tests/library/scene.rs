//! A node with a library, what is put into it, and who asks for it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing::config::{Config, Secret, UploadConfig};
use althing::control::auth::{Claims, TokenGrants, sign};
use althing::node::Node;
use althing::record::file::Container;
use althing::record::manifest::{FileEntry, FileState, Kind, Manifest, Person, SCHEMA, State};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::client::{Participant, Phase, Settings};
use crate::folder::Folder;
use crate::nodes::{self, HERE, library};

impl Folder {
    /// Puts a finished recording there, of so many files of so many bytes.
    pub fn keep(&self, id: &str, room: &str, began: u64, files: &[usize]) -> Manifest {
        let by = Person { member: "ada".into(), name: "Ada".into() };
        let entry = |(number, bytes): (usize, &usize)| FileEntry {
            name: format!("{:04}.webm", number + 1),
            member: by.member.clone(),
            screen: number == 1,
            container: Container::Webm,
            video: Some("vp8".into()),
            audio: Some("opus".into()),
            size: Some((640, 360)),
            at: 0,
            length: 1_000_000,
            bytes: *bytes as u64,
            lost: 0,
            state: FileState::Complete,
        };
        let manifest = Manifest {
            schema: SCHEMA,
            id: id.into(),
            room: room.into(),
            kind: Kind::Recording,
            title: None,
            by: by.clone(),
            state: State::Finished,
            began,
            ended: Some(began + 1_000),
            members: vec![by.clone()],
            files: files.iter().enumerate().map(entry).collect(),
            upload: None,
        };
        let folder = self.0.join(id);
        fs::create_dir_all(&folder).expect("a folder");
        for file in &manifest.files {
            fs::write(folder.join(&file.name), noise(began, file.bytes as usize)).expect("written");
        }
        manifest.write(&folder).expect("written");
        manifest
    }
}

/// Numbers that look random, the same for each seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 17
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    (0..bytes).map(|_| dice.next() as u8).collect()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

pub fn uploads() -> UploadConfig {
    UploadConfig { bytes: 4 << 20, total: 8 << 20, at_once: 4, of_room: 2, patience: Duration::from_secs(3_600) }
}

pub async fn node(folder: &Path, change: impl FnOnce(&mut Config)) -> Node {
    nodes::start(|config| {
        config.media.workers = 1;
        (config.recording, config.library) = (Some(nodes::recording(folder)), Some(library(folder)));
        change(config);
    })
    .await
}

pub fn secret() -> Secret {
    Secret::new("a secret that is long enough for a test").expect("long enough")
}

pub fn with_keys(config: &mut Config) {
    config.auth = [("main".to_owned(), secret())].into_iter().collect();
}

pub fn token(room: &str, member: &str, change: impl FnOnce(&mut TokenGrants)) -> String {
    let mut grants = TokenGrants { room: room.into(), join: true, ..TokenGrants::default() };
    change(&mut grants);
    sign("main", &secret(), &Claims { sub: member.into(), name: None, exp: 4_000_000_000, grants, ..Claims::default() }).expect("signed")
}

/// Asks a node.
pub struct Asking {
    pub http: SocketAddr,
    pub token: Option<String>,
}

impl Asking {
    pub fn of(node: &Node) -> Self {
        Self { http: node.http, token: None }
    }

    pub fn with(node: &Node, token: String) -> Self {
        Self { http: node.http, token: Some(token) }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = reqwest::Client::new().request(method, format!("http://{}{path}", self.http));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    pub async fn status(&self, method: Method, path: &str) -> u16 {
        self.send(method, path).await.status().as_u16()
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path).await;
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn json(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.request(method, path).header(CONTENT_TYPE, "application/json").body(body.to_string()).send().await.expect("an answer");
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.expect("text")).unwrap_or_default())
    }
}

pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

pub fn header(answer: &Response, name: reqwest::header::HeaderName) -> String {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned()
}

pub fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("a list").iter().map(|item| text(item, "id")).collect()
}

pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

pub async fn join(http: SocketAddr, room: &str, number: u16, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url: format!("ws://{http}/ws"), room: room.into(), number, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

/// The newest of a room; nothing where there is none.
pub async fn newest(asking: &Asking, room: &str) -> Value {
    asking.get(&format!("/api/v1/library?room={room}&limit=1")).await["items"].get(0).cloned().unwrap_or_default()
}

/// The metric's value, with its labels.
pub async fn counted(node: &Node, metric: &str) -> u64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')).unwrap_or_else(|| panic!("{metric} is not in\n{text}"));
    line.parse().expect("a number")
}
