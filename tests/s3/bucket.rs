//! The library of a real node with a bucket beside its folder, of a server that speaks S3.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use althing::config::{Config, Secret};
use althing::node::Node;
use althing::wire::Request;
use reqwest::header::{CONTENT_TYPE, ETAG};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::client::Phase;
use crate::folder::Folder;
use crate::played::{plays, saved};
use crate::process::Process;
use crate::scene::{Asking, header, ids, join, newest, node, text, until};
use crate::way::{Server, Way};

/// A node whose library has that bucket, and files on the disk for so long once they are there.
async fn with_bucket(folder: &Path, server: &Server, way: &Way, keep_local: Duration) -> Node {
    let s3 = althing::config::S3Config { keep_local, ..server.config(way.at) };
    // Files stay as long as something is made of them, which a busy machine would put off.
    let now = |config: &mut Config| (config.s3, config.jobs.idle) = (Some(s3), false);
    node(folder, now).await
}

async fn metric(node: &Node, name: &str) -> u64 {
    let text = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    let line = text.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
}

/// Until an item's files have left the disk.
async fn gone(folder: &Folder, item: &Value) {
    let files = item["files"].as_array().expect("files");
    patiently("its files have left the disk", async || {
        files.iter().all(|file| !folder.0.join(text(item, "id")).join(text(file, "name")).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_goes_to_the_bucket_is_played_from_there_and_outlives_the_folder() {
    let (folder, mut server) = (Folder::new("bucket-played"), Server::start());
    let way = Way::to(server.at).await;
    // Two parts, and a few bytes.
    folder.keep("r1", "hall", 1_000, &[9 << 20, 700]);
    let big: Vec<Vec<u8>> = ["0001.webm", "0002.webm"].iter().map(|name| fs::read(folder.0.join("r1").join(name)).expect("a file")).collect();
    let first = with_bucket(&folder.0, &server, &way, Duration::from_secs(6)).await;
    let asking = Asking::of(&first);
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(first.http, "hall", 1, &phases).await, join(first.http, "hall", 2, &phases).await];
    people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    sleep(Duration::from_secs(2)).await;
    people[0].signaling().ask(Request::Chat { text: "said meanwhile".into(), key: None, echo: false }).await.expect("said");
    sleep(Duration::from_secs(2)).await;
    people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    let item = until("it is finished", async || Some(newest(&asking, "hall").await).filter(|item| item["state"] == "finished")).await;
    let id = text(&item, "id").to_owned();
    let files = item["files"].as_array().expect("files").clone();
    let on_disk: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.0.join(&id).join(text(file, "name"))).expect("the file")).collect();
    let tag = header(&asking.send(Method::HEAD, text(&files[0], "url")).await, ETAG);
    phase.send(Phase::Stop).expect("they listen");
    drop(people);
    let old = asking.get("/api/v1/library/r1").await;
    gone(&folder, &item).await;
    gone(&folder, &old).await;
    assert!(folder.0.join(&id).join("manifest.json").exists(), "what lists are made of stays");
    assert_eq!(server.uploads(), 0);
    for (name, bytes) in ["0001.webm", "0002.webm"].iter().zip(&big) {
        assert!(server.objects().contains(&(format!("meet/hall/r1/{name}"), bytes.len() as u64)), "{name}");
    }
    // From the bucket, with the tag that it had here.
    assert_eq!(header(&asking.send(Method::HEAD, text(&files[0], "url")).await, ETAG), tag);
    plays(&asking, old["files"].as_array().expect("files"), &big, 0x53_0001).await;
    plays(&asking, &files, &on_disk, 0x53_0002).await;
    saved(&asking, &item, &on_disk).await;
    assert!(metric(&first, "althing_store_read_bytes_total").await > 9 << 20);
    // What is said of it is there, too.
    assert_eq!(asking.json(Method::PATCH, &format!("/api/v1/library/{id}"), json!({ "title": "Budget" })).await.0, 200);
    until("everything is copied", async || (metric(&first, "althing_store_waiting").await == 0).then_some(())).await;
    first.shut_down().await;

    // Another machine, with the bucket alone.
    let other = Folder::new("bucket-rebuilt");
    let second = with_bucket(&other.0, &server, &way, Duration::ZERO).await;
    let asking = Asking::of(&second);
    let list =
        until("the library is there again", async || Some(asking.get("/api/v1/library?room=hall").await).filter(|list| ids(list).len() == 2)).await;
    assert_eq!(ids(&list), [id.as_str(), "r1"]);
    let item = list["items"][0].clone();
    assert_eq!((text(&item, "title"), item["bytes"].as_u64()), ("Budget", Some(on_disk.iter().map(|bytes| bytes.len() as u64).sum())));
    plays(&asking, item["files"].as_array().expect("files"), &on_disk, 0x53_0003).await;
    saved(&asking, &item, &on_disk).await;
    assert_eq!(text(&asking.get(text(&item, "chat")).await[0], "text"), "said meanwhile");
    // What is made of it is made of files that are brought back for that, goes to the bucket, and is there for the next one.
    let thumbnail = patiently("the thumbnail is made", async || {
        Some(asking.send(Method::GET, text(&item, "thumbnail")).await).filter(|answer| answer.status() != 503)
    });
    let thumbnail = thumbnail.await;
    assert_eq!((thumbnail.status(), header(&thumbnail, CONTENT_TYPE)), (StatusCode::OK, "image/jpeg".into()));
    let mixdown = format!("/api/v1/library/{id}/mixdown");
    assert_eq!(asking.json(Method::POST, &mixdown, json!({ "film": "webm" })).await.0, 202);
    let film = patiently("the film is made", async || Some(asking.get(&mixdown).await[0].clone()).filter(|film| film["state"] == "done")).await;
    let whole = asking.send(Method::GET, text(&film, "url")).await.bytes().await.expect("bytes");
    assert_eq!(film["bytes"].as_u64(), Some(whole.len() as u64));
    patiently("the film has left the disk", async || (!other.0.join(&id).join("mixdown.webm").exists()).then_some(())).await;
    gone(&other, &item).await;
    assert!(asking.send(Method::GET, text(&film, "url")).await.bytes().await.expect("bytes") == whole, "from the bucket");
    assert!(server.has(&format!("meet/hall/{id}/thumbnail.jpg")));
    assert_eq!(asking.status(Method::DELETE, &format!("{mixdown}?film=webm")).await, 204);
    assert_eq!(asking.get(&mixdown).await, json!([]));
    until("the film is gone there", async || (!server.has(&format!("meet/hall/{id}/mixdown.webm"))).then_some(())).await;
    // Deleted, with the way cut; the next start finishes it.
    way.set_open(false);
    assert_eq!(asking.status(Method::DELETE, &format!("/api/v1/library/{id}")).await, 204);
    assert_eq!(asking.status(Method::GET, text(&item["files"][0], "url")).await, 404);
    second.shut_down().await;
    way.set_open(true);
    assert!(server.has(&format!("meet/hall/{id}/manifest.json")));
    let third = with_bucket(&other.0, &server, &way, Duration::ZERO).await;
    until("it is deleted there", async || (!server.objects().iter().any(|(name, _)| name.contains(&id))).then_some(())).await;
    until("and here", async || (!other.0.join(format!(".deleted-{id}")).exists()).then_some(())).await;
    assert_eq!(ids(&Asking::of(&third).get("/api/v1/library?room=hall").await), ["r1"]);
    third.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_says_that_its_recording_is_fetched_from_the_bucket_and_how_much_of_it_and_is_taken_back_meanwhile() {
    let (folder, server) = (Folder::new("bucket-film"), Server::start());
    let way = Way::to(server.at).await;
    folder.keep("r1", "hall", 1_000, &[6 << 20, 2 << 20]);
    let node = with_bucket(&folder.0, &server, &way, Duration::ZERO).await;
    let asking = Asking::of(&node);
    gone(&folder, &asking.get("/api/v1/library/r1").await).await;
    way.slow_down(256 << 10);
    let mixdown = "/api/v1/library/r1/mixdown";
    assert_eq!(asking.json(Method::POST, mixdown, json!({ "film": "mp4" })).await.0, 202);
    let mut said = Vec::new();
    patiently("a quarter of it is here", async || {
        let film = asking.get(mixdown).await[0].clone();
        let now = (text(&film, "state").to_owned(), film["progress"].as_f64());
        if said.last() != Some(&now) {
            said.push(now);
        }
        film["progress"].as_f64().filter(|part| *part >= 0.25)
    })
    .await;
    // Its turn may have come a moment before.
    let fetching: Vec<f64> = said.iter().filter(|(state, _)| state == "fetching").filter_map(|(_, part)| *part).collect();
    assert!(
        said.iter().all(|(state, part)| state == "fetching" || *part == Some(0.0) || part.is_none()),
        "nothing is made of what is not here: {said:?}"
    );
    assert!(fetching.len() > 1 && fetching.is_sorted() && fetching.iter().all(|part| *part < 0.5), "{said:?}");
    assert_eq!(asking.status(Method::DELETE, &format!("{mixdown}?film=mp4")).await, 204);
    let begun = Instant::now();
    until("it is gone", async || (asking.get(mixdown).await == json!([])).then_some(())).await;
    // The next piece would take four seconds more, and the first file eight.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let left: Vec<_> = fs::read_dir(folder.0.join("r1")).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".webm")), "nothing half is left: {left:?}");
    node.shut_down().await;
}

async fn patiently<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_harms_nothing_and_has_everything_afterwards() {
    let (folder, mut server) = (Folder::new("bucket-away"), Server::start());
    let way = Way::to(server.at).await;
    folder.keep("r1", "hall", 1_000, &[300_000]);
    folder.keep("r2", "hall", 2_000, &[9 << 20]);
    let node = with_bucket(&folder.0, &server, &way, Duration::from_secs(5)).await;
    let asking = Asking::of(&node);
    until("both are there", async || (server.has("meet/hall/r1/manifest.json") && server.has("meet/hall/r2/manifest.json")).then_some(())).await;
    // What the bucket has lost before it left the disk does not leave.
    let whole = fs::read(folder.0.join("r2/0001.webm")).expect("it is here");
    server.drop_object("meet/hall/r2/0001.webm");
    let [old, lost] = [asking.get("/api/v1/library/r1").await, asking.get("/api/v1/library/r2").await];
    gone(&folder, &old).await;
    gone(&folder, &lost).await;
    assert!(server.has("meet/hall/r2/0001.webm"), "it was put there again");
    assert!(asking.send(Method::GET, text(&lost["files"][0], "url")).await.bytes().await.expect("bytes")[..] == whole[..]);
    way.set_open(false);
    let away = asking.send(Method::GET, text(&old["files"][0], "url")).await;
    assert!(away.bytes().await.is_err(), "it breaks off, and is not taken for whole");
    let (phase, phases) = watch::channel(Phase::Count);
    let people = [join(node.http, "attic", 1, &phases).await, join(node.http, "attic", 2, &phases).await];
    people[0].signaling().ask(Request::Record { members: vec![], sources: vec![] }).await.expect("it is recorded");
    sleep(Duration::from_secs(3)).await;
    people[0].signaling().ask(Request::StopRecording {}).await.expect("ended");
    let item = until("it is finished", async || Some(newest(&asking, "attic").await).filter(|item| item["state"] == "finished")).await;
    let files = item["files"].as_array().expect("files");
    let lost: u64 = files.iter().map(|file| file["lost"].as_u64().expect("a number")).sum();
    assert_eq!((files.len(), lost), (2, 0));
    assert_eq!(metric(&node, "althing_recording_stalled").await, 0);
    until("it is tried", async || (metric(&node, "althing_store_failures_total{what=\"bucket\"}").await > 1).then_some(())).await;
    assert!(metric(&node, "althing_store_waiting").await > 0);
    let played = asking.send(Method::GET, text(&files[0], "url")).await;
    assert_eq!((played.status(), played.bytes().await.expect("bytes").len() as u64), (StatusCode::OK, files[0]["bytes"].as_u64().expect("bytes")));
    phase.send(Phase::Stop).expect("they listen");
    way.set_open(true);
    patiently("it is copied", async || (metric(&node, "althing_store_waiting").await == 0).then_some(())).await;
    gone(&folder, &item).await;
    node.shut_down().await;
}

/// The program itself, as an operator starts it.
fn program(verb: &[&str], folder: &Path, server: &Server, at: SocketAddr, secret: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_althing"));
    command.args(verb).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in [
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("ADMIN__LISTEN", "127.0.0.1:0"),
        ("MEDIA__PORT", "0"),
        ("MEDIA__BIND", "127.0.0.1"),
        ("MEDIA__WORKERS", "1"),
        ("TURN__ENABLED", "false"),
        ("RECORDING__ENABLED", "true"),
        ("RECORDING__MINIMUM_FREE_MIB", "0"),
        ("RECORDING__FOLDER", folder.to_str().expect("UTF-8")),
        ("RECORDING__STORE", "s3"),
        ("S3__ENDPOINT", &format!("http://{at}")),
        ("S3__BUCKET", &server.bucket),
        ("S3__PREFIX", "meet/hall"),
        ("S3__ACCESS_KEY", &server.access_key),
        ("S3__SECRET_KEY", secret),
        ("S3__KEEP_LOCAL_HOURS", "0"),
        ("JOBS__FFMPEG", ""),
    ] {
        command.env(format!("ALTHING_{name}"), value);
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_copies_copies_all_of_it_the_next_time() {
    let (folder, mut server) = (Folder::new("bucket-killed"), Server::start());
    let way = Way::to(server.at).await;
    folder.keep("r1", "hall", 1_000, &[40 << 20]);
    let whole = fs::read(folder.0.join("r1/0001.webm")).expect("the file");
    way.slow_down(20 << 20);
    let mut first = Process::spawn(&mut program(&[], &folder.0, &server, way.at, &server.secret_key));
    until("half of it is there", async || (way.there.load(Ordering::Relaxed) > 15 << 20).then_some(())).await;
    first.kill();
    assert_eq!(server.uploads(), 1, "it was in the middle of it");
    assert!(!server.has("meet/hall/r1/0001.webm") && folder.0.join("r1/0001.webm").exists());
    way.slow_down(u64::MAX);
    let second = with_bucket(&folder.0, &server, &way, Duration::ZERO).await;
    patiently("it has left the disk", async || (!folder.0.join("r1/0001.webm").exists()).then_some(())).await;
    assert_eq!(server.uploads(), 0, "nothing half is left there");
    let asking = Asking::of(&second);
    let item = asking.get("/api/v1/library/r1").await;
    assert!(asking.send(Method::GET, text(&item["files"][0], "url")).await.bytes().await.expect("bytes")[..] == whole[..]);
    second.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_said_in_plain_words_and_no_secret_is() {
    let (folder, server) = (Folder::new("bucket-key"), Server::start());
    folder.keep("r1", "hall", 1_000, &[1_000]);
    let wrong = "a-secret-that-nobody-should-ever-read";
    let doctor = |secret: &str| {
        let said = program(&["doctor"], &folder.0, &server, server.at, secret).output().expect("it ran");
        String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
    };
    let said = doctor(wrong);
    assert!(said.contains("PROBLEM  The bucket calls cannot be used: the signature is wrong: check s3.secret_key"), "{said}");
    assert!(!said.contains(wrong) && !said.contains("SignatureProvided"), "{said}");
    let said = doctor(&server.secret_key);
    assert!(said.contains("The bucket calls can be written to, read, listed and cleared."), "{said}");
    assert!(!said.contains(&server.secret_key));
    let mut config = server.config(server.at);
    let try_out = async |config: &althing::config::S3Config| althing::record::store::try_out(config).await.expect_err("trouble").to_string();
    config.access_key = Secret::of_others("nobody").expect("text");
    assert!(try_out(&config).await.contains("check s3.access_key"));
    let config = althing::config::S3Config { bucket: "no-such-bucket".into(), ..server.config(server.at) };
    assert!(try_out(&config).await.contains("there is no bucket `no-such-bucket`"));
    let config = althing::config::S3Config { endpoint: Some("http://127.0.0.1:9".into()), ..server.config(server.at) };
    assert!(try_out(&config).await.contains("does not answer"));
    // A node says it once, and goes on.
    let mut node = Process::spawn(&mut program(&[], &folder.0, &server, server.at, wrong));
    sleep(Duration::from_secs(8)).await;
    assert!(node.is_running());
    node.kill();
    let log = node.log();
    let lines = log.lines().filter(|line| line.contains("cannot be copied to the bucket")).count();
    assert!(lines == 1 && log.contains("check s3.secret_key"), "{log}");
    assert!(!log.contains(wrong), "{log}");
    assert!(folder.0.join("r1/0001.webm").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_bucket_is_replaced_by_a_hangup_and_what_waited_is_copied() {
    let (folder, mut server) = (Folder::new("bucket-rotated"), Server::start());
    let way = Way::to(server.at).await;
    folder.keep("r1", "hall", 1_000, &[1_000]);
    let file = folder.0.with_extension("secret");
    fs::write(&file, "the key that was taken back").expect("written");
    let mut command = program(&[], &folder.0, &server, way.at, "");
    command.env_remove("ALTHING_S3__SECRET_KEY").env("ALTHING_S3__SECRET_KEY_FILE", &file).env("ALTHING_S3__KEEP_LOCAL_HOURS", "1");
    let node = Process::spawn(&mut command);
    assert!(node.read("cannot be copied to the bucket").contains("check s3.secret_key"));
    fs::write(&file, "").expect("written");
    node.signal("HUP");
    assert!(node.read("the settings are as before").contains("s3.secret_key"));
    assert!(!server.has("meet/hall/r1/manifest.json"));
    fs::write(&file, &server.secret_key).expect("written");
    node.signal("HUP");
    node.read("keys and secrets are");
    node.read("copied to the bucket again");
    until("it is there", async || server.has("meet/hall/r1/manifest.json").then_some(())).await;
    fs::remove_file(&file).expect("removed");
}
