//! The library of a real node: lists, playing, downloading, sharing, deleting, uploads, and what strangers get.

#[path = "s3/bucket.rs"]
mod bucket;
mod client;
#[path = "client/folder.rs"]
mod folder;
#[path = "s3/way.rs"]
mod way;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing::config::{Config, EventsConfig, LibraryConfig, RecordingConfig, Secret, UploadConfig, WebhookConfig};
use althing::control::auth::{AdminGrant, Claims, LibraryGrant, TokenGrants, sign};
use althing::node::Node;
use althing::record::file::Container;
use althing::record::library::{Purpose, Signer};
use althing::record::manifest::{FileEntry, FileState, Kind, Manifest, Person, SCHEMA, State};
use althing::wire::{ErrorCode, Event, MemberId, RecordingEnd, Request, VERSION};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Participant, Phase, Settings, Signaling};
use folder::Folder;
use reqwest::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, LOCATION, RANGE,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Folder {
    /// Puts a finished recording there, of so many files of so many bytes.
    fn keep(&self, id: &str, room: &str, began: u64, files: &[usize]) -> Manifest {
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
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 17
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    (0..bytes).map(|_| dice.next() as u8).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn library(folder: &Path) -> LibraryConfig {
    LibraryConfig { folder: folder.to_owned(), minimum_free: 0, keep: None, keep_bytes: None, room_mib: None, uploads: None }
}

fn uploads() -> UploadConfig {
    UploadConfig { bytes: 4 << 20, total: 8 << 20, at_once: 4, of_room: 2, patience: Duration::from_secs(3_600) }
}

async fn node(folder: &Path, change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.admin = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.media.port = 0;
    config.turn = None;
    config.media.bind = vec![HERE];
    config.media.workers = 1;
    config.recording = Some(RecordingConfig {
        folder: folder.to_owned(),
        recordings: 2,
        minimum_free: 0,
        quota: 0,
        queue_bytes: 64 << 20,
        key_every: Duration::from_secs(10),
    });
    config.library = Some(library(folder));
    change(&mut config);
    Node::start(config).await.expect("the node starts")
}

fn secret() -> Secret {
    Secret::new("a secret that is long enough for a test").expect("long enough")
}

fn with_keys(config: &mut Config) {
    config.auth = [("main".to_owned(), secret())].into_iter().collect();
}

fn token(room: &str, member: &str, change: impl FnOnce(&mut TokenGrants)) -> String {
    let mut grants = TokenGrants { room: room.into(), join: true, ..TokenGrants::default() };
    change(&mut grants);
    sign("main", &secret(), &Claims { sub: member.into(), name: None, exp: 4_000_000_000, grants, ..Claims::default() }).expect("signed")
}

/// Asks a node.
struct Asking {
    http: SocketAddr,
    token: Option<String>,
}

impl Asking {
    fn of(node: &Node) -> Self {
        Self { http: node.http, token: None }
    }

    fn with(node: &Node, token: String) -> Self {
        Self { http: node.http, token: Some(token) }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = reqwest::Client::new().request(method, format!("http://{}{path}", self.http));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.expect("an answer")
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        self.send(method, path).await.status().as_u16()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path).await;
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let answer = self.request(method, path).header(CONTENT_TYPE, "application/json").body(body.to_string()).send().await.expect("an answer");
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.expect("text")).unwrap_or_default())
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn header(answer: &Response, name: reqwest::header::HeaderName) -> String {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned()
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("a list").iter().map(|item| text(item, "id")).collect()
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn join(http: SocketAddr, room: &str, number: u16, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url: format!("ws://{http}/ws"), room: room.into(), number, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

/// The newest of a room; nothing where there is none.
async fn newest(asking: &Asking, room: &str) -> Value {
    asking.get(&format!("/api/v1/library?room={room}&limit=1")).await["items"].get(0).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_listed_played_from_anywhere_and_downloaded() {
    let folder = Folder::new("library-played");
    let node = node(&folder.0, |_| ()).await;
    let asking = Asking::of(&node);
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(node.http, "hall", 1, &phases).await, join(node.http, "hall", 2, &phases).await];
    let begun = Instant::now();
    people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    let running = until("it is listed while it goes on", async || Some(newest(&asking, "hall").await).filter(|item| !item.is_null())).await;
    assert_eq!(text(&running, "state"), "recording");
    let id = text(&running, "id").to_owned();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(asking.status(Method::DELETE, &format!("/api/v1/library/{id}")).await, 409, "it goes on");
    assert_eq!(asking.json(Method::PATCH, &format!("/api/v1/library/{id}"), json!({ "title": "x" })).await.0, 409);
    // What there is of it can be played already.
    let running = asking.get(&format!("/api/v1/library/{id}?room=hall")).await;
    let part = asking.send(Method::GET, text(&running["files"][0], "url")).await;
    assert_eq!(part.status(), StatusCode::OK);
    let part = part.bytes().await.expect("bytes");
    assert!(part.len() > 100_000, "{} bytes", part.len());
    people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    let lasted = begun.elapsed().as_micros() as i64;
    let item = until("it is finished", async || Some(newest(&asking, "hall").await).filter(|item| item["state"] == "finished")).await;
    let files = item["files"].as_array().expect("files");
    assert_eq!((files.len(), text(&item, "room"), text(&item, "title"), text(&item, "kind")), (2, "hall", "hall", "recording"));
    let length = item["length"].as_i64().expect("a number");
    assert!((lasted - length).abs() < 1_000_000, "{length} of {lasted} µs: {item}");
    assert_eq!(text(&files[0], "type"), "video/webm");
    let on_disk: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.0.join(&id).join(text(file, "name"))).expect("the file")).collect();
    plays(&asking, files, &on_disk, 0x00a1_7716).await;
    saved(&asking, &item, &on_disk).await;
    phase.send(Phase::Stop).expect("they listen");
    node.shut_down().await;
}

/// Plays a hundred times from anywhere, each with a seed of its own.
async fn plays(asking: &Asking, files: &[Value], on_disk: &[Vec<u8>], seed: u64) {
    let (mut ranges, mut slowest) = (0, Duration::ZERO);
    for play in 0..100 {
        let mut dice = Dice(seed + play);
        let which = dice.below(files.len() as u64) as usize;
        let (url, whole) = (text(&files[which], "url"), &on_disk[which]);
        let len = whole.len() as u64;
        for _ in 0..1 + dice.below(4) {
            let first = dice.below(len);
            let last = first + dice.below(len - first);
            let (range, first, last) = match dice.below(4) {
                0 => (format!("bytes={first}-"), first, len - 1),
                1 => (format!("bytes=-{}", len - first), first, len - 1),
                2 => (format!("bytes={first}-{}", len + 1_000), first, len - 1),
                _ => (format!("bytes={first}-{last}"), first, last),
            };
            let begun = Instant::now();
            let answer = asking.request(Method::GET, url).header(RANGE, &range).send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range} of {len}, seed {}", seed + play);
            assert_eq!(header(&answer, CONTENT_RANGE), format!("bytes {first}-{last}/{len}"), "{range}, seed {}", seed + play);
            let bytes = answer.bytes().await.expect("bytes");
            (ranges, slowest) = (ranges + 1, slowest.max(begun.elapsed()));
            assert!(bytes[..] == whole[first as usize..=last as usize], "{range} of {len} has other bytes, seed {}", seed + play);
        }
    }
    // Read by tests/prove/library.mjs.
    println!("100 plays, {ranges} ranges with the right bytes, the slowest after {} ms", slowest.as_millis());
    let (url, whole) = (text(&files[0], "url"), &on_disk[0]);
    let head = asking.send(Method::HEAD, url).await;
    assert_eq!(
        (head.status(), header(&head, CONTENT_LENGTH), header(&head, ACCEPT_RANGES)),
        (StatusCode::OK, whole.len().to_string(), "bytes".into())
    );
    let tag = header(&head, ETAG);
    let asked = async |pairs: &[(reqwest::header::HeaderName, &str)]| {
        let request = pairs.iter().fold(asking.request(Method::GET, url), |request, (name, value)| request.header(name, *value));
        request.send().await.expect("an answer")
    };
    let all = asked(&[]).await;
    assert_eq!((header(&all, CACHE_CONTROL), header(&all, CONTENT_TYPE)), ("private, no-store".into(), "video/webm".into()));
    assert!(header(&all, CONTENT_SECURITY_POLICY).contains("sandbox") && all.headers()["x-content-type-options"] == "nosniff");
    assert!(all.bytes().await.expect("bytes")[..] == whole[..]);
    assert_eq!(asked(&[(IF_NONE_MATCH, &tag)]).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(asked(&[(RANGE, "bytes=5-9"), (IF_RANGE, &tag)]).await.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(asked(&[(RANGE, "bytes=5-9"), (IF_RANGE, "\"before\"")]).await.status(), StatusCode::OK, "all of another state of it");
    let beyond = asked(&[(RANGE, &format!("bytes={}-", whole.len()))]).await;
    assert_eq!((beyond.status(), header(&beyond, CONTENT_RANGE)), (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{}", whole.len())));
    let several = asked(&[(RANGE, "bytes=0-1,4-5")]).await;
    assert_eq!((several.status(), several.bytes().await.expect("bytes").len()), (StatusCode::OK, whole.len()));
    for odd in ["bytes=", "bytes=-", "bytes=9-5", "lines=1-2", "bytes=a-b", "bytes=-0", "bytes=18446744073709551616-"] {
        let answer = asked(&[(RANGE, odd)]).await;
        assert!(matches!(answer.status().as_u16(), 200 | 416), "{odd}: {}", answer.status());
    }
}

/// Saves a file and all of them, and looks whether they are what was recorded.
async fn saved(asking: &Asking, item: &Value, on_disk: &[Vec<u8>]) {
    let files = item["files"].as_array().expect("files");
    let answer = asking.send(Method::GET, text(&files[0], "download")).await;
    let title = format!("attachment; filename=\"{} - ", text(item, "title"));
    assert!(header(&answer, CONTENT_DISPOSITION).starts_with(&title), "{}", header(&answer, CONTENT_DISPOSITION));
    let answer = asking.send(Method::GET, text(item, "zip")).await;
    assert_eq!((answer.status(), header(&answer, CONTENT_TYPE)), (StatusCode::OK, "application/zip".into()));
    let unpacked = Folder::new("library-unzip");
    let archive = unpacked.0.join("all.zip");
    let announced = header(&answer, CONTENT_LENGTH).parse::<usize>().expect("as many bytes as will come");
    assert_eq!(header(&asking.send(Method::HEAD, text(item, "zip")).await, CONTENT_LENGTH), announced.to_string());
    let bytes = answer.bytes().await.expect("bytes");
    assert_eq!(bytes.len(), announced);
    fs::write(&archive, bytes).expect("written");
    let unzip = |arguments: &[&str]| {
        let output = Command::new("unzip").args(arguments).arg(&archive).current_dir(&unpacked.0).output().expect("unzip is installed");
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    };
    unzip(&["-t"]);
    unzip(&["-q"]);
    let mut found: Vec<_> =
        fs::read_dir(&unpacked.0).expect("files").flatten().map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    found.sort();
    let beside = 2 + usize::from(item["chat"].is_string());
    assert_eq!(found.len(), files.len() + beside, "each file, the manifest, the archive, and what was said: {found:?}");
    for (file, bytes) in files.iter().zip(on_disk) {
        let name = found.iter().find(|name| name.ends_with(text(file, "name"))).expect("it is there");
        assert!(fs::read(unpacked.0.join(name)).expect("readable") == *bytes, "{name} has other bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_listed_page_by_page_renamed_and_deleted() {
    let folder = Folder::new("library-pages");
    for number in 0..25u64 {
        folder.keep(&format!("r{number}"), "hall", 1_000 + number / 2, &[10]);
    }
    folder.keep("other", "attic", 5_000, &[10]);
    let node = node(&folder.0, |_| ()).await;
    let asking = Asking::of(&node);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = asking.get(&format!("/api/v1/library?room=hall&limit=7{after}")).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (25, 25));
    assert_eq!((seen[0].as_str(), seen[24].as_str()), ("r24", "r0"), "the newest first");
    assert_eq!(ids(&asking.get("/api/v1/library?room=hall&kind=screenshot").await).len(), 0);
    for bad in ["", "?limit=5", "?room=hall&limit=0", "?room=hall&limit=101", "?room=hall&after=x", "?room=hall&kind=x", "?room=.%2f."] {
        assert!((400..500).contains(&asking.status(Method::GET, &format!("/api/v1/library{bad}")).await), "{bad}");
    }
    let (status, renamed) = asking.json(Method::PATCH, "/api/v1/library/r3", json!({ "title": " 预算 <b> " })).await;
    assert_eq!((status, text(&renamed, "title")), (200, "预算 <b>"));
    let saved = asking.send(Method::GET, text(&renamed["files"][0], "download")).await;
    assert!(header(&saved, CONTENT_DISPOSITION).contains("filename*=UTF-8''%E9%A2%84%E7%AE%97%20_b_"), "{}", header(&saved, CONTENT_DISPOSITION));
    for bad in [json!({ "title": "a\nb" }), json!({ "title": "x".repeat(201) }), json!({}), json!({ "title": "x".repeat(10_000) })] {
        assert_eq!(asking.json(Method::PATCH, "/api/v1/library/r3", bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(asking.status(Method::DELETE, "/api/v1/library/r3").await, 204);
    assert_eq!(asking.status(Method::GET, "/api/v1/library/r3").await, 404);
    assert_eq!(asking.status(Method::GET, text(&renamed["files"][0], "url")).await, 404, "its links lead nowhere");
    assert!(!folder.0.join("r3").exists());
    assert_eq!(asking.status(Method::DELETE, "/api/v1/library/r3").await, 404);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_nothing() {
    let folder = Folder::new("library-strangers");
    folder.keep("r1", "hall", 1_000, &[1_000, 500]);
    folder.keep("r2", "attic", 1_000, &[700]);
    fs::write(folder.0.join("r1/extra.txt"), "not named by the manifest").expect("written");
    let node = node(&folder.0, with_keys).await;
    let may = |grant: LibraryGrant| move |grants: &mut TokenGrants| grants.library = Some(grant);
    let nobody = Asking::of(&node);
    let viewer = Asking::with(&node, token("hall", "eve", may(LibraryGrant::View)));
    let manager = Asking::with(&node, token("hall", "mia", may(LibraryGrant::Manage)));
    let recorder = Asking::with(&node, token("hall", "rec", |grants| grants.record = true));
    let member = Asking::with(&node, token("hall", "joe", |grants| (grants.moderate, grants.chat) = (true, true)));
    let muted = Asking::with(&node, token("hall", "rec", |grants| (grants.record, grants.library) = (true, Some(LibraryGrant::None))));
    let neighbour = Asking::with(&node, token("attic", "bob", may(LibraryGrant::Manage)));
    let service = |room: &str, admin| Asking::with(&node, token(room, "bot", |grants| (grants.join, grants.admin) = (false, admin)));
    let [whole, own, other] =
        [("", AdminGrant::Node), ("hall", AdminGrant::Room), ("attic", AdminGrant::Room)].map(|(room, admin)| service(room, admin));
    let mut tokens = 0;
    for (who, list, delete) in [
        (&nobody, 401, 401),
        (&viewer, 200, 403),
        (&recorder, 200, 404),
        (&member, 403, 403),
        (&muted, 403, 403),
        (&neighbour, 403, 403),
        (&whole, 200, 404),
        (&own, 200, 404),
        (&other, 403, 403),
    ] {
        assert_eq!(who.status(Method::GET, "/api/v1/library?room=hall").await, list, "{:?}", who.token);
        tokens += usize::from(list != 200) + if delete == 404 { 0 } else { 3 };
        // What may be deleted is asked for by a name that there is not; what may not, by one that there is.
        let id = if delete == 404 { "r9" } else { "r1" };
        assert_eq!(who.status(Method::DELETE, &format!("/api/v1/library/{id}")).await, delete, "{:?}", who.token);
        assert_eq!(who.json(Method::PATCH, &format!("/api/v1/library/{id}"), json!({ "title": "x" })).await.0, delete, "{:?}", who.token);
        assert_eq!(who.json(Method::POST, &format!("/api/v1/library/{id}/share"), json!({ "seconds": 9 })).await.0, delete, "{:?}", who.token);
    }
    assert_eq!(viewer.status(Method::GET, "/api/v1/library/r2").await, 403, "another room's");
    assert_eq!(manager.status(Method::GET, "/api/v1/library/r2?room=hall").await, 404, "another room's, said to be this one's");
    let item = viewer.get("/api/v1/library/r1").await;
    let good = text(&item["files"][0], "url").to_owned();
    assert_eq!(nobody.status(Method::GET, &good).await, 200, "a link needs no token");
    let (place, rest) = good.split_once('?').expect("a query");
    let signature = rest.split_once("signature=").expect("signed").1;
    let expires: u64 = rest.trim_start_matches("expires=").split('&').next().expect("a number").parse().expect("a number");
    let flipped = format!("{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let links = [
        (place.to_owned(), 403),
        (format!("{place}?expires={expires}"), 403),
        (format!("{place}?expires={expires}&signature="), 403),
        (format!("{place}?expires={expires}&signature={flipped}"), 403),
        (format!("{place}?expires={}&signature={signature}", expires + 1), 403),
        (format!("{place}?expires=x&signature={signature}"), 400),
        (good.replace("0001", "0002"), 403),
        (good.replace("/r1/", "/r2/"), 403),
        (good.replace("/files/0001.webm", "/zip"), 403),
        (good.replace("/files/0001.webm", "/chat"), 403),
        (good.replace("/r1/files/0001.webm", "/shared/r1"), 403),
    ];
    for (link, status) in &links {
        assert_eq!(nobody.status(Method::GET, link).await, *status, "{link}");
    }
    let signer = Signer::open(&folder.0).expect("the key");
    let signed = |id: &str, name: &str, expires: u64| {
        let signature = signer.sign(Purpose::File, id, name, expires, None);
        format!("expires={expires}&signature={signature}")
    };
    let old = signed("r1", "0001.webm", now() / 1_000 - 1);
    let expired = nobody.send(Method::GET, &format!("/api/v1/library/r1/files/0001.webm?{old}")).await;
    assert_eq!(expired.status(), StatusCode::GONE);
    assert_eq!(header(&expired, CONTENT_TYPE), "application/problem+json");
    assert!(expired.text().await.expect("text").contains("\"code\":\"link_expired\""));
    // Even with a good signature nothing but what a manifest names becomes a path: raw requests, since clients tidy them up.
    let later = now() / 1_000 + 100;
    let paths = [
        ("r1", "extra.txt", "r1/files/extra.txt"),
        ("r1", "manifest.json", "r1/files/manifest.json"),
        ("r1", "../r2/0001.webm", "r1/files/..%2fr2%2f0001.webm"),
        ("r1", "../../../../../../etc/passwd", "r1/files/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"),
        ("r1", "/etc/passwd", "r1/files/%2fetc%2fpasswd"),
        ("r1", "0001.webm\0", "r1/files/0001.webm%00"),
        ("r1", "..", "r1/files/.."),
        ("r1", "..", "r1/files/%2e%2e"),
        ("r1", ".", "r1/files/%2E"),
        ("..", ".links.key", "../files/.links.key"),
        ("..", ".links.key", "%2e%2e/files/.links.key"),
        (".", ".links.key", "./files/.links.key"),
        (".", ".links.key", "%2e/files/%2elinks.key"),
        ("../r1", "0001.webm", "..%2fr1/files/0001.webm"),
        ("r1/../r2", "0001.webm", "r1%2f..%2fr2/files/0001.webm"),
        ("r1\0", "0001.webm", "r1%00/files/0001.webm"),
        ("r1", "0001.webm/", "r1/files/0001.webm%2f"),
        ("r1", "\u{fffd}", "r1/files/%ff%fe"),
    ];
    for (id, name, written) in paths {
        let path = format!("/api/v1/library/{written}?{}", signed(id, name, later));
        let answer = raw(node.http, &path).await;
        let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!((400..500).contains(&status), "{path}: {answer}");
        assert!(!answer.contains("root:") && !answer.contains("\"schema\""), "{path}: {answer}");
    }
    let sound = format!("/api/v1/library/r1/files/0001.webm?{}", signed("r1", "0001.webm", later));
    assert!(raw(node.http, &sound).await.starts_with("HTTP/1.1 200"), "a good one is taken the same way");
    // Read by tests/prove/library.mjs.
    println!("{} tokens, {} links and {} paths refused", tokens, links.len() + 1, paths.len());
    let foreign = nobody.request(Method::GET, &good).header("Origin", "https://evil.example").send().await.expect("an answer");
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "a page of a stranger");
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        assert_eq!(nobody.status(method.clone(), &good).await, 405, "{method}");
    }
    assert!(folder.0.join("r1/0001.webm").exists() && folder.0.join("r2/0001.webm").exists());
    node.shut_down().await;
}

/// A request by hand; as much of the answer as is text.
async fn raw(http: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(http).await.expect("connected");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_shared_link_sees_that_one_thing_until_it_expires_or_is_deleted() {
    let folder = Folder::new("library-shared");
    folder.keep("r1", "hall", 1_000, &[1_000]);
    folder.keep("r2", "hall", 1_000, &[1_000]);
    let node = node(&folder.0, with_keys).await;
    let manager = Asking::with(&node, token("hall", "mia", |grants| grants.library = Some(LibraryGrant::Manage)));
    let guest = Asking::of(&node);
    let (status, share) = manager.json(Method::POST, "/api/v1/library/r1/share", json!({ "seconds": 3_600 })).await;
    assert_eq!(status, 200);
    let page = text(&share, "url");
    assert!(page.starts_with("/library/shared/r1?"), "{page}");
    let api = format!("/api/v1{page}");
    let item = guest.get(&api).await;
    let url = text(&item["files"][0], "url").to_owned();
    assert_eq!(guest.send(Method::GET, &url).await.bytes().await.expect("bytes").len(), 1_000);
    assert!(url.contains(&format!("expires={}", share["expires"])), "no link of it is good for longer: {url}");
    assert_eq!(guest.status(Method::GET, &api.replace("/shared/r1", "/shared/r2")).await, 403);
    for seconds in [json!(0), json!(31_536_001u64), json!(-1), json!("x")] {
        assert_eq!(manager.json(Method::POST, "/api/v1/library/r1/share", json!({ "seconds": seconds })).await.0, 400);
    }
    let (_, brief) = manager.json(Method::POST, "/api/v1/library/r1/share", json!({ "seconds": 1 })).await;
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(guest.status(Method::GET, &format!("/api/v1{}", text(&brief, "url"))).await, 410);
    assert_eq!(manager.status(Method::DELETE, "/api/v1/library/r1").await, 204);
    assert_eq!(guest.status(Method::GET, &api).await, 404);
    assert_eq!(guest.status(Method::GET, &url).await, 404);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_from_a_room_has_nothing_of_its_library_any_more() {
    let folder = Folder::new("library-removed");
    folder.keep("r1", "hall", 1_000, &[1_000]);
    folder.keep("r2", "attic", 1_000, &[1_000]);
    let node = node(&folder.0, with_keys).await;
    let enter = async |member: &str, change: fn(&mut TokenGrants)| {
        let token = token("hall", member, change);
        let (socket, events) = Signaling::open(&format!("ws://{}/ws", node.http)).await.expect("a socket");
        socket.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
        socket.ask(Request::join("hall", member, Some(token.clone()))).await.expect("joined");
        ((socket, events), Asking::with(&node, token))
    };
    let all: fn(&mut TokenGrants) = |grants| (grants.moderate, grants.library) = (true, Some(LibraryGrant::Manage));
    let (moderator, mia) = enter("mia", all).await;
    let (_socket, eve) = enter("eve", all).await;
    let guest = Asking::of(&node);
    let links = async |who: &Asking| {
        let item = who.get("/api/v1/library/r1").await;
        let (_, share) = who.json(Method::POST, "/api/v1/library/r1/share", json!({ "seconds": 31_536_000 })).await;
        let shared = format!("/api/v1{}", text(&share, "url"));
        let by_it = guest.get(&shared).await;
        [text(&item["files"][0], "url"), text(&item["files"][0], "download"), text(&item, "zip"), &shared, text(&by_it["files"][0], "url")]
            .map(str::to_owned)
    };
    let (hers, others) = (links(&eve).await, links(&mia).await);
    let piece = [("room", "hall"), ("type", "image/png")];
    let upload = async || {
        let request = eve.request(Method::POST, "/api/v1/library/uploads").header("Tus-Resumable", "1.0.0").header("Upload-Length", "9");
        request.header("Upload-Metadata", metadata(&piece)).send().await.expect("an answer").status().as_u16()
    };
    for link in hers.iter().chain(&others) {
        assert_eq!(guest.status(Method::GET, link).await, 200, "{link}");
    }
    moderator.0.ask(Request::Kick { member: MemberId("eve".into()) }).await.expect("removed");
    until("she may see nothing", async || (eve.status(Method::GET, "/api/v1/library?room=hall").await == 403).then_some(())).await;
    let refused = eve.send(Method::GET, "/api/v1/library/r1").await.text().await.expect("text");
    assert!(refused.contains("\"code\":\"kicked\""), "{refused}");
    assert_eq!(eve.status(Method::DELETE, "/api/v1/library/r1").await, 403);
    assert_eq!(eve.status(Method::POST, "/api/v1/rooms/hall/recording").await, 403);
    assert_eq!(upload().await, 403);
    for link in &hers {
        let answer = guest.send(Method::GET, link).await;
        assert_eq!(answer.status(), StatusCode::GONE, "{link}");
        assert!(answer.text().await.expect("text").contains("\"code\":\"link_ended\""), "{link}");
        let (link, signature) = link.split_once("signature=").expect("signed");
        let (mac, _) = signature.split_once('.').expect("it names her");
        for other in
            [format!("{link}signature={mac}"), format!("{link}signature={mac}.{}.mia", now() / 1_000), format!("{link}signature={mac}.0.eve")]
        {
            assert_eq!(guest.status(Method::GET, &other).await, 403, "{other}");
        }
    }
    for link in &others {
        assert_eq!(guest.status(Method::GET, link).await, 200, "what was handed to somebody else is as good as before: {link}");
    }
    let elsewhere = Asking::with(&node, token("attic", "eve", |grants| grants.library = Some(LibraryGrant::View)));
    assert_eq!(elsewhere.status(Method::GET, "/api/v1/library?room=attic").await, 200, "another room");
    assert_eq!(mia.status(Method::GET, "/api/v1/library?room=hall").await, 200);
    until("it is written down", async || folder.0.join(".removed.json").exists().then_some(())).await;
    node.shut_down().await;

    let node = self::node(&folder.0, with_keys).await;
    let (eve, guest) = (Asking::with(&node, eve.token.expect("hers")), Asking::of(&node));
    assert_eq!(eve.status(Method::GET, "/api/v1/library?room=hall").await, 403, "a restart lets nobody in again");
    assert_eq!((guest.status(Method::GET, &hers[0]).await, guest.status(Method::GET, &others[0]).await), (410, 200));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_or_too_much_goes_by_itself() {
    let folder = Folder::new("library-retention");
    let hour = 3_600_000;
    folder.keep("ancient", "hall", now() - 50 * hour, &[1_000]);
    folder.keep("old", "hall", now() - 20 * hour, &[1_000]);
    folder.keep("recent", "attic", now() - 2 * hour, &[1_000]);
    folder.keep("new", "hall", now() - hour, &[1_000]);
    let node = node(&folder.0, |config| {
        let keep = (Some(Duration::from_secs(48 * 3_600)), Some(2_500));
        config.library = Some(LibraryConfig { keep: keep.0, keep_bytes: keep.1, ..library(&folder.0) });
    })
    .await;
    let asking = Asking::of(&node);
    until("the surplus goes", async || (!folder.0.join("old").exists()).then_some(())).await;
    assert!(!folder.0.join("ancient").exists() && folder.0.join("recent").exists());
    assert_eq!(ids(&asking.get("/api/v1/library?room=hall").await), ["new"]);
    let metrics = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    for line in ["althing_library_deleted_total{reason=\"age\"} 1", "althing_library_deleted_total{reason=\"size\"} 1", "althing_library_items 2"] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    node.shut_down().await;
}

/// A picture, as far as anybody here looks.
fn picture(bytes: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.extend(noise(7, bytes - 8));
    picture
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
    pairs.join(",")
}

impl Asking {
    fn tus(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(Method::from_bytes(method.as_bytes()).expect("a method"), path).header("Tus-Resumable", "1.0.0")
    }

    async fn begin(&self, bytes: usize, pairs: &[(&str, &str)]) -> Response {
        let request = self.tus("POST", "/api/v1/library/uploads").header("Upload-Length", bytes).header("Upload-Metadata", metadata(pairs));
        request.send().await.expect("an answer")
    }

    async fn piece(&self, place: &str, offset: usize, bytes: &[u8]) -> Response {
        let request = self.tus("PATCH", place).header("Upload-Offset", offset).header(CONTENT_TYPE, "application/offset+octet-stream");
        request.body(bytes.to_vec()).send().await.expect("an answer")
    }

    async fn offset(&self, place: &str) -> usize {
        let answer = self.tus("HEAD", place).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers()["upload-offset"].to_str().expect("ASCII").parse().expect("a number")
    }
}

const SCREENSHOT: [(&str, &str); 4] = [("room", "hall"), ("kind", "screenshot"), ("type", "image/png"), ("name", "会议 1.png")];

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_broken_connections_and_a_restart() {
    let folder = Folder::new("library-resumed");
    let begun = |config: &mut Config| {
        with_keys(config);
        config.library = Some(LibraryConfig { uploads: Some(uploads()), ..library(&folder.0) });
    };
    let manager = || token("hall", "mia", |grants| grants.library = Some(LibraryGrant::Manage));
    let first = node(&folder.0, begun).await;
    let asking = Asking::with(&first, manager());
    let picture = picture(1_500_000);
    let options = asking.send(Method::OPTIONS, "/api/v1/library/uploads").await;
    assert_eq!((&options.headers()["tus-version"], &options.headers()["tus-max-size"]), (&"1.0.0".parse().unwrap(), &"4194304".parse().unwrap()));
    let answer = asking.begin(picture.len(), &SCREENSHOT).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let place = header(&answer, LOCATION);
    assert_eq!(asking.piece(&place, 0, &picture[..400_000]).await.status(), StatusCode::NO_CONTENT);
    // A connection that breaks off in the middle of a piece.
    let mut broken = TcpStream::connect(first.http).await.expect("connected");
    let head = format!(
        "PATCH {place} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\nupload-offset: 400000\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: 1100000\r\n\r\n",
        manager()
    );
    broken.write_all(head.as_bytes()).await.expect("sent");
    broken.write_all(&picture[400_000..900_000]).await.expect("sent");
    until("another connection has to wait", async || {
        (asking.piece(&place, 400_000, &picture[400_000..]).await.status() == StatusCode::LOCKED).then_some(())
    })
    .await;
    drop(broken);
    until("what came is kept", async || (asking.offset(&place).await == 900_000).then_some(())).await;
    assert_eq!(asking.piece(&place, 400_000, &picture[400_000..]).await.status(), StatusCode::CONFLICT, "it goes on elsewhere");
    let stranger = Asking::with(&first, token("hall", "eve", |grants| grants.library = Some(LibraryGrant::Manage)));
    assert_eq!(stranger.piece(&place, 900_000, &picture[900_000..]).await.status(), StatusCode::FORBIDDEN);
    first.shut_down().await;
    let second = node(&folder.0, begun).await;
    let asking = Asking::with(&second, manager());
    assert_eq!(asking.offset(&place).await, 900_000);
    assert!(ids(&asking.get("/api/v1/library?room=hall").await).is_empty(), "it is whole or not at all");
    let answer = asking.piece(&place, 900_000, &picture[900_000..]).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let id = answer.headers()["althing-item"].to_str().expect("ASCII").to_owned();
    let item = asking.get(&format!("/api/v1/library/{id}")).await;
    assert_eq!((text(&item, "kind"), text(&item["by"], "member"), text(&item["files"][0], "type")), ("screenshot", "mia", "image/png"));
    let kept = asking.send(Method::GET, text(&item["files"][0], "download")).await;
    assert!(header(&kept, CONTENT_DISPOSITION).contains("UTF-8''%E4%BC%9A%E8%AE%AE%201.png"), "{}", header(&kept, CONTENT_DISPOSITION));
    assert!(kept.bytes().await.expect("bytes")[..] == picture[..], "the bytes that were sent");
    // Whoever has not heard of the end asks, and is told.
    let again = asking.tus("HEAD", &place).send().await.expect("an answer");
    assert_eq!((&again.headers()["althing-item"], asking.offset(&place).await), (&id.parse().unwrap(), picture.len()));
    second.shut_down().await;
    let third = node(&folder.0, begun).await;
    assert_eq!(ids(&Asking::with(&third, manager()).get("/api/v1/library?room=hall&kind=screenshot").await), [id.as_str()]);
    third.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_bounded_and_are_what_they_are_said_to_be() {
    let folder = Folder::new("library-bounded");
    let small = |config: &mut Config| {
        config.library = Some(LibraryConfig { uploads: Some(UploadConfig { total: 5 << 20, ..uploads() }), ..library(&folder.0) })
    };
    let node = node(&folder.0, small).await;
    let asking = Asking::of(&node);
    let begin = async |bytes: usize, room: &str, kind: &str, media_type: &str| {
        asking.begin(bytes, &[("room", room), ("kind", kind), ("type", media_type), ("name", "../../x")]).await
    };
    for (bytes, room, kind, media_type, status) in [
        (10, "hall", "screenshot", "image/svg+xml", 415),
        (10, "hall", "screenshot", "text/html", 415),
        (10, "hall", "recording", "video/webm", 400),
        (10, "hall", "audio", "video/webm", 400),
        (10, "", "audio", "audio/webm", 400),
        (10, "a/b", "audio", "audio/webm", 404),
        (0, "hall", "audio", "audio/webm", 400),
        ((4 << 20) + 1, "hall", "video", "video/webm", 413),
    ] {
        assert_eq!(begin(bytes, room, kind, media_type).await.status().as_u16(), status, "{bytes} {room} {kind} {media_type}");
    }
    let old = asking.request(Method::POST, "/api/v1/library/uploads").send().await.expect("an answer");
    assert_eq!((old.status(), header(&old, "tus-version".parse().unwrap())), (StatusCode::PRECONDITION_FAILED, "1.0.0".into()));
    // What is not what it is said to be is no item, and is gone.
    let answer = begin(30, "hall", "video", "video/webm;codecs=\"vp8,opus\"").await;
    let place = header(&answer, LOCATION);
    assert_eq!(asking.piece(&place, 0, &[b'<'; 31]).await.status(), StatusCode::PAYLOAD_TOO_LARGE, "more than was announced");
    assert_eq!(asking.offset(&place).await, 0);
    assert_eq!(asking.piece(&place, 0, &[b'<'; 30]).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(asking.tus("HEAD", &place).send().await.expect("an answer").status(), StatusCode::NOT_FOUND);
    assert!(ids(&asking.get("/api/v1/library?room=hall").await).is_empty());
    // Of one room, of all, and in bytes.
    let places = [
        header(&begin(2 << 20, "hall", "video", "video/webm").await, LOCATION),
        header(&begin(2 << 20, "hall", "video", "video/webm").await, LOCATION),
    ];
    assert_eq!(begin(10, "hall", "video", "video/webm").await.status(), StatusCode::SERVICE_UNAVAILABLE, "two of this room are under way");
    assert_eq!(begin(2 << 20, "attic", "video", "video/webm").await.status(), StatusCode::INSUFFICIENT_STORAGE, "six MiB of five");
    assert_eq!(asking.tus("DELETE", &places[0]).send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(asking.tus("DELETE", &places[0]).send().await.expect("an answer").status(), StatusCode::NOT_FOUND);
    for number in 0..3 {
        assert_eq!(begin(10, &format!("room{number}"), "video", "video/webm").await.status(), StatusCode::CREATED);
    }
    assert_eq!(begin(10, "room4", "video", "video/webm").await.status(), StatusCode::SERVICE_UNAVAILABLE, "four are under way");
    let left: Vec<_> = fs::read_dir(folder.0.join(".uploads")).expect("the folder").flatten().collect();
    assert_eq!(left.len(), 4, "what was ended or refused leaves nothing");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_nobody_goes_on_with_are_dropped_and_nothing_is_taken_where_it_is_off() {
    let folder = Folder::new("library-stale");
    let with = |patience| {
        let folder = folder.0.clone();
        move |config: &mut Config| config.library = Some(LibraryConfig { uploads: Some(UploadConfig { patience, ..uploads() }), ..library(&folder) })
    };
    let first = node(&folder.0, with(Duration::from_secs(3_600))).await;
    let place = header(&Asking::of(&first).begin(100, &SCREENSHOT).await, LOCATION);
    first.shut_down().await;
    sleep(Duration::from_millis(50)).await;
    let second = node(&folder.0, with(Duration::from_millis(1))).await;
    let asking = Asking::of(&second);
    until("it is dropped", async || (asking.tus("HEAD", &place).send().await.expect("an answer").status() == StatusCode::NOT_FOUND).then_some(()))
        .await;
    assert_eq!(fs::read_dir(folder.0.join(".uploads")).expect("the folder").count(), 0);
    second.shut_down().await;
    let third = node(&folder.0, |_| ()).await;
    assert_eq!(Asking::of(&third).begin(100, &SCREENSHOT).await.status(), StatusCode::NOT_FOUND);
    third.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_lasts_as_long_as_somebody_takes_it() {
    let folder = Folder::new("library-slow");
    // More than sockets and buffers between hold.
    folder.keep("r1", "hall", 1_000, &[48 << 20]);
    let node = node(&folder.0, |config| config.http.header = Duration::from_millis(500)).await;
    let item = Asking::of(&node).get("/api/v1/library/r1").await;
    let whole = fs::read(folder.0.join("r1/0001.webm")).expect("the file");
    let request = format!("GET {} HTTP/1.1\r\nhost: test\r\n\r\n", text(&item["files"][0], "url"));
    let mut stream = TcpStream::connect(node.http).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    // Five seconds, where an idle connection has one and a half.
    let (mut answer, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    while answer.len() < whole.len() {
        let bytes = stream.read(&mut piece).await.expect("it goes on");
        assert!(bytes > 0, "it ended after {} of {} bytes", answer.len(), whole.len());
        answer.extend_from_slice(&piece[..bytes]);
        sleep(Duration::from_millis(100 * bytes as u64 / (1 << 20))).await;
    }
    assert!(answer.ends_with(&whole[whole.len() - 1_000..]));
    // One that nobody reads is not held for ever.
    let mut stream = TcpStream::connect(node.http).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    sleep(Duration::from_secs(4)).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    assert!(answer.len() < whole.len(), "{read:?}, {} of {} bytes", answer.len(), whole.len());
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_begins_and_ends_a_recording_and_what_is_said_meanwhile_is_beside_it() {
    let folder = Folder::new("library-ordered");
    let node = node(&folder.0, with_keys).await;
    let grants = |grants: &mut TokenGrants| (grants.subscribe, grants.chat, grants.publish) = (true, true, althing::wire::Source::ALL.to_vec());
    // One that administers the node has no room of its own.
    let program = Asking::with(&node, token("", "bot", |grants| (grants.join, grants.admin) = (false, AdminGrant::Node)));
    let recorder = Asking::with(&node, token("hall", "rec", |grants| grants.record = true));
    let order = async |method: Method, body: Value| program.json(method, "/api/v1/rooms/hall/recording", body).await;
    assert_eq!(order(Method::POST, json!({})).await.0, 409, "nobody is there");
    let (phase, phases) = watch::channel(Phase::Count);
    let settings = |number: u16| Settings {
        url: format!("ws://{}/ws", node.http),
        room: "hall".into(),
        number,
        token: Some(token("hall", &format!("p{number}"), grants)),
        address: HERE,
        pairs: 2,
    };
    let one = Participant::join(&settings(1), phases.clone()).await.expect("joined");
    let two = Participant::join(&settings(2), phases.clone()).await.expect("joined");
    let member = Asking::with(&node, token("hall", "p1", grants));
    assert_eq!(member.status(Method::POST, "/api/v1/rooms/hall/recording").await, 403);
    assert_eq!(Asking::of(&node).status(Method::POST, "/api/v1/rooms/hall/recording").await, 401);
    assert_eq!(recorder.status(Method::POST, "/api/v1/rooms/attic/recording").await, 403);
    assert_eq!(recorder.status(Method::DELETE, "/api/v1/rooms/hall/recording").await, 409);
    let say = async |who: &Participant, text: &str| {
        who.signaling().ask(Request::Chat { text: text.into(), key: None, echo: false }).await.expect("said");
    };
    say(&one, "before").await;
    let (status, begun) = order(Method::POST, json!({ "members": [one.member.0], "sources": ["microphone"] })).await;
    assert_eq!(status, 201, "{begun}");
    assert_eq!(order(Method::POST, json!({})).await.0, 409, "it is recorded already");
    for bad in [json!({ "sources": ["kitchen"] }), json!({ "whom": [] }), json!("everybody")] {
        assert_eq!(order(Method::POST, bad).await.0, 400);
    }
    sleep(Duration::from_millis(1_000)).await;
    say(&one, "first\n\"second\" 第三").await;
    say(&two, "of somebody who is not recorded").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(order(Method::DELETE, Value::Null).await.0, 204);
    assert_eq!(order(Method::DELETE, Value::Null).await.0, 409);
    say(&one, "after").await;
    let item = until("it is finished", async || Some(newest(&program, "hall").await).filter(|item| item["state"] == "finished")).await;
    assert_eq!((text(&item, "id"), text(&item["by"], "member")), (text(&begun, "id"), "bot"));
    assert_eq!((item["files"].as_array().map(Vec::len), text(&item["files"][0], "type")), (Some(1), "audio/webm"));
    let said = Asking::of(&node).get(text(&item, "chat")).await;
    let said = said.as_array().expect("a list");
    assert_eq!((said.len(), text(&said[0], "text"), text(&said[0], "member")), (1, "first\n\"second\" 第三", one.member.0.as_str()));
    assert!((900_000..5_000_000).contains(&said[0]["at"].as_i64().expect("a number")), "{}", said[0]);
    phase.send(Phase::Stop).expect("they listen");
    node.shut_down().await;
}

/// The metric's value, with its labels.
async fn counted(node: &Node, metric: &str) -> u64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')).unwrap_or_else(|| panic!("{metric} is not in\n{text}"));
    line.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_library_is_full_takes_nothing_more_and_its_recording_ends_with_the_reason() {
    let folder = Folder::new("library-room-full");
    folder.keep("r1", "hall", 1_000, &[700 << 10]);
    let node = node(&folder.0, |config| {
        config.library = Some(LibraryConfig { room_mib: Some(1), uploads: Some(uploads()), ..library(&folder.0) });
    })
    .await;
    let asking = Asking::of(&node);
    let upload = async |room: &str, bytes: usize| {
        let picture = [("room", room), ("kind", "screenshot"), ("type", "image/png"), ("name", "one.png")];
        let answer = asking.begin(bytes, &picture).await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let (status, said) = upload("hall", 400 << 10).await;
    assert!(status == 507 && said.contains("\"code\":\"library_full\""), "{status} {said}");
    assert_eq!(upload("attic", 400 << 10).await.0, 201, "another room has space of its own");
    assert_eq!(counted(&node, "althing_limits_reached_total{limit=\"kept\"}").await, 1);

    let (_phase, phases) = watch::channel(Phase::Count);
    let people = [join(node.http, "hall", 1, &phases).await, join(node.http, "hall", 2, &phases).await];
    let (witness, mut heard) = Signaling::open(&format!("ws://{}/ws", node.http)).await.expect("open");
    witness.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
    witness.ask(Request::join("hall", "witness", None)).await.expect("joined");
    people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("there is some space left");
    let ended = timeout(Duration::from_secs(60), async {
        loop {
            if let Event::Recording { recording: None, reason } = heard.recv().await.expect("the socket is open") {
                break reason;
            }
        }
    });
    assert_eq!(ended.await.expect("it ends by itself"), Some(RecordingEnd::LibraryFull));
    let item = until("it is finished", async || Some(newest(&asking, "hall").await).filter(|item| item["state"] == "finished")).await;
    let kept: u64 = item["files"].as_array().expect("files").iter().map(|file| file["bytes"].as_u64().expect("bytes")).sum();
    assert!((100 << 10..=324 << 10).contains(&kept), "what there is space for is kept, and no more: {kept}");
    assert!(item["files"].as_array().expect("files").iter().all(|file| file["state"] == "complete"), "{item}");

    folder.keep("r2", "hall", 2_000, &[400 << 10]);
    node.shut_down().await;
    let node = self::node(&folder.0, |config| config.library = Some(LibraryConfig { room_mib: Some(1), ..library(&folder.0) })).await;
    let one = join(node.http, "hall", 1, &phases).await;
    let refused = one.signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect_err("it is full");
    assert_eq!(refused.downcast_ref::<client::Refusal>().map(|refusal| refusal.code), Some(ErrorCode::LibraryFull));
    assert_eq!(Asking::of(&node).status(Method::POST, "/api/v1/rooms/hall/recording").await, 507);
    drop(people);
    node.shut_down().await;
}

/// What the node has said of a room so far.
async fn said(node: &Node, room: &str) -> Vec<Value> {
    let answer = reqwest::get(format!("http://{}/api/v1/events?room={room}&limit=1000", node.admin)).await.expect("an answer");
    let page: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    page["events"].as_array().expect("events").clone()
}

/// That a recording is whole when it is said to be: what there is then, in files and bytes.
fn is_whole(folder: &Folder, event: &Value) {
    let id = text(&event["data"], "recording");
    let manifest = Manifest::read(&folder.0.join(id)).expect("a manifest");
    assert_eq!(manifest.state, State::Finished, "{event}");
    let on_disk = |file: &FileEntry| fs::metadata(folder.0.join(id).join(&file.name)).expect("a file").len();
    assert!(manifest.files.iter().all(|file| file.state == FileState::Complete && file.bytes == on_disk(file)), "{event}");
    let bytes: u64 = manifest.files.iter().map(on_disk).sum();
    assert_eq!((event["data"]["files"].as_u64(), event["data"]["bytes"].as_u64()), (Some(manifest.files.len() as u64), Some(bytes)), "{event}");
    assert!(bytes > 10_000, "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_said_to_be_finished_when_its_files_are_whole_and_the_room_has_its_last_word_after_that() {
    let (folder, log) = (Folder::new("library-said"), Folder::new("library-said-log"));
    let node = node(&folder.0, |config| {
        config.events = Some(EventsConfig {
            folder: log.0.clone(),
            node: "n1".into(),
            keep: Duration::from_secs(86_400),
            keep_bytes: 1 << 20,
            webhooks: nobody_is_told(),
        });
    })
    .await;
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(node.http, "hall", 1, &phases).await, join(node.http, "hall", 2, &phases).await];
    let ask = |request| people[0].signaling().ask(request);
    let finished = async |which: usize| {
        let is_it = |event: &Value| event["type"] == "recording.finished";
        let found = until("it is said", async || said(&node, "hall").await.into_iter().filter(is_it).nth(which)).await;
        is_whole(&folder, &found);
    };
    ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    sleep(Duration::from_millis(1_500)).await;
    ask(Request::StopRecording {}).await.expect("ended");
    finished(0).await;
    ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    sleep(Duration::from_millis(1_500)).await;
    let end = reqwest::Client::new().delete(format!("http://{}/api/v1/rooms/hall", node.http)).send().await.expect("an answer");
    assert!(end.status().is_success(), "{}", end.status());
    finished(1).await;
    let kinds = until("the room is over", async || {
        let kinds: Vec<String> = said(&node, "hall").await.iter().map(|event| text(event, "type").to_owned()).collect();
        kinds.last().is_some_and(|kind| kind == "room.closed").then_some(kinds)
    })
    .await;
    let of_recordings: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("recording") || kind.starts_with("room")).collect();
    assert_eq!(
        of_recordings,
        ["room.created", "recording.started", "recording.finished", "recording.started", "recording.finished", "room.closed"],
        "{kinds:?}"
    );
    let numbers: Vec<u64> = said(&node, "hall").await.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "without gaps");
    phase.send(Phase::Stop).expect("they listen");
    node.shut_down().await;
}

fn nobody_is_told() -> WebhookConfig {
    WebhookConfig {
        urls: Vec::new(),
        secrets: Vec::new(),
        timeout: Duration::from_secs(5),
        at_once: 1,
        retry: Duration::from_secs(1),
        retry_most: Duration::from_secs(1),
        give_up: Duration::from_secs(60),
    }
}
