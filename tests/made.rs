//! What a real node makes of what it keeps, by HTTP: thumbnails, waveforms, mixdowns, playlists; and pictures of a call.

mod client;
#[path = "client/folder.rs"]
mod folder;
mod nodes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use althing::config::{Config, JobsConfig, RecordingConfig};
use althing::contract::TapCodec;
use althing::node::Node;
use althing::record::file::{Picture, Writer};
use althing::wire::{OkResult, Request, Source};
use client::{Participant, Phase, Settings};
use folder::Folder;
use nodes::HERE;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, RANGE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

impl Folder {
    /// Puts a recording there whose one file is this.
    fn say(&self, id: &str, state: &str, file: &Value) -> PathBuf {
        let (folder, by) = (self.0.join(id), json!({ "member": "ada", "name": "Ada" }));
        fs::create_dir_all(&folder).expect("a folder");
        let manifest = json!({ "schema": 1, "id": id, "room": "hall", "by": by, "state": state, "began": 1_000, "members": [by], "files": [file] });
        fs::write(folder.join("new"), manifest.to_string()).expect("written");
        fs::rename(folder.join("new"), folder.join("manifest.json")).expect("renamed");
        folder
    }
}

fn file(name: &str, state: &str, length: i64) -> Value {
    json!({
        "name": name, "member": "ada", "screen": false, "container": name.rsplit('.').next(), "video": "vp8", "audio": "opus", "at": 0,
        "length": length, "bytes": 1, "lost": 0, "state": state
    })
}

fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(args).output().expect("the tests need ffmpeg");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn somebody(path: &Path) {
    let quick = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", "-t", "2"];
    ffmpeg(
        &[&["-f", "lavfi", "-i", "color=red:s=640x360:r=10", "-f", "lavfi", "-i", "sine=f=500"], &quick[..], &[&path.display().to_string()]].concat(),
    );
}

async fn node(folder: &Path, change: impl FnOnce(&mut Config)) -> Node {
    nodes::start(|config| {
        config.media.workers = 1;
        config.jobs = JobsConfig { idle: false, height: 360, ..JobsConfig::default() };
        config.library = Some(nodes::library(folder));
        change(config);
    })
    .await
}

async fn get(node: &Node, path: &str) -> Response {
    reqwest::get(format!("http://{}{path}", node.http)).await.expect("an answer")
}

/// What is made now, as soon as it is there.
async fn made(node: &Node, path: &str) -> Response {
    until("it is made", async || Some(get(node, path).await).filter(|answer| answer.status() != StatusCode::SERVICE_UNAVAILABLE)).await
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.expect("bytes")).expect("JSON")
}

async fn item(node: &Node, id: &str) -> Value {
    json_of(get(node, &format!("/api/v1/library/{id}")).await).await
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not in {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_shown_heard_and_mixed_down_by_links() {
    let folder = Folder::new("made-links");
    let place = folder.say("r1", "finished", &file("0001.webm", "complete", 2_000_000));
    somebody(&place.join("0001.webm"));
    let (log, broken) = (Folder::new("made-links-log"), folder.say("r2", "finished", &file("0001.webm", "complete", 2_000_000)));
    std::fs::write(broken.join("0001.webm"), [7; 5_000]).expect("written");
    let node = node(&folder.0, |config| config.events = Some(nodes::events(&log.0))).await;
    let told = item(&node, "r1").await;
    let thumbnail = made(&node, text(&told, "thumbnail")).await;
    assert_eq!((thumbnail.status(), &thumbnail.headers()[CONTENT_TYPE]), (StatusCode::OK, &"image/jpeg".parse().expect("a type")));
    assert!(thumbnail.bytes().await.expect("bytes").starts_with(&[0xff, 0xd8, 0xff]));
    let waveform = json_of(made(&node, text(&told["files"][0], "waveform")).await).await;
    assert!((150..=210).contains(&waveform["peaks"].as_array().expect("peaks").len()), "{waveform}");
    let altered = text(&told, "thumbnail").replace("signature=", "signature=A");
    assert_eq!(get(&node, &altered).await.status(), StatusCode::FORBIDDEN);

    let (client, url) = (reqwest::Client::new(), format!("http://{}/api/v1/library/r1/mixdown", node.http));
    assert_eq!(client.post(&url).body(r#"{"film":"avi"}"#).send().await.expect("an answer").status(), StatusCode::BAD_REQUEST);
    let begun = client.post(&url).body(r#"{"film":"mp4"}"#).send().await.expect("an answer");
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let film = until("it is made", async || {
        let list = json_of(client.get(&url).send().await.expect("an answer")).await;
        assert_ne!(list[0]["state"], "failed", "{list}");
        (list[0]["state"] == "done").then(|| list[0].clone())
    });
    let film = film.await;
    assert_eq!(item(&node, "r1").await["mixdowns"][0]["film"], "mp4");
    let begun = client.post(url.replace("/r1/", "/r2/")).body(r#"{"film":"mp4"}"#).send().await.expect("an answer");
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let said = until("both are said", async || {
        let page = json_of(reqwest::get(format!("http://{}/api/v1/events", node.admin)).await.expect("an answer")).await;
        page["events"].as_array().filter(|events| events.len() == 2).cloned()
    });
    let said = said.await;
    let bytes = std::fs::metadata(place.join(text(&said[0]["data"], "file"))).expect("the film").len();
    let told: Vec<_> = said.iter().map(|event| (text(event, "type"), text(&event["data"], "recording"), &event["data"]["bytes"])).collect();
    assert_eq!(told, [("mixdown.finished", "r1", &Value::from(bytes)), ("mixdown.failed", "r2", &Value::Null)], "{said:?}");
    assert!(said.iter().all(|event| event["seq"] == 1) && said[0]["session"] != said[1]["session"], "each is a session of its own: {said:?}");
    let address = format!("http://{}{}", node.http, text(&film, "url"));
    let part = client.get(&address).header(RANGE, "bytes=4-7").send().await.expect("an answer");
    assert_eq!((part.status(), &part.headers()[CONTENT_TYPE]), (StatusCode::PARTIAL_CONTENT, &"video/mp4".parse().expect("a type")));
    assert_eq!(&part.bytes().await.expect("bytes")[..], b"ftyp");
    let saved = get(&node, text(&film, "download")).await;
    assert!(saved.headers()[CONTENT_DISPOSITION].to_str().expect("ASCII").contains("hall.mp4"));
    assert_eq!(Some(saved.bytes().await.expect("bytes").len() as u64), film["bytes"].as_u64());
    let gone = client.delete(format!("{url}?film=mp4")).send().await.expect("an answer");
    assert_eq!((gone.status(), get(&node, text(&film, "url")).await.status()), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
    // Deleted while it is made: nothing is left of it.
    client.post(&url).body(r#"{"film":"webm"}"#).send().await.expect("an answer");
    let deleted = client.delete(format!("http://{}/api/v1/library/r1", node.http)).send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let left = || fs::read_dir(folder.0.join(".jobs")).expect("the folder").count();
    until("nothing is left", async || (left() == 0 && !place.exists()).then_some(())).await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_long_in_the_making_keeps_nobody_waiting_and_is_there_later() {
    let folder = Folder::new("made-slow");
    let place = folder.say("r1", "finished", &file("0001.webm", "complete", 2_000_000));
    somebody(&place.join("0001.webm"));
    let tools = Folder::new("made-slow-tools");
    let slow = tools.0.join("ffmpeg");
    fs::write(&slow, "#!/bin/sh\ncase \"$*\" in *-i*) sleep 5;; esac\nexec ffmpeg \"$@\"\n").expect("written");
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).expect("may be run");
    let node = node(&folder.0, |config| config.jobs.ffmpeg = Some(slow.display().to_string())).await;
    let told = item(&node, "r1").await;
    for path in [text(&told, "thumbnail"), text(&told["files"][0], "waveform")] {
        let begun = Instant::now();
        let refused = get(&node, path).await;
        assert_eq!((refused.status(), refused.headers().contains_key(RETRY_AFTER)), (StatusCode::SERVICE_UNAVAILABLE, true));
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert_eq!(json_of(refused).await["code"], "busy");
        assert_eq!(made(&node, path).await.status(), StatusCode::OK);
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ffmpeg_whoever_asks_is_told() {
    let folder = Folder::new("made-without");
    let place = folder.say("r1", "finished", &file("0001.webm", "complete", 2_000_000));
    somebody(&place.join("0001.webm"));
    let node = node(&folder.0, |config| config.jobs.ffmpeg = None).await;
    let told = item(&node, "r1").await;
    assert!(told.get("thumbnail").is_none() && told["files"][0].get("waveform").is_none(), "{told}");
    let mixdown = reqwest::Client::new().post(format!("http://{}/api/v1/library/r1/mixdown", node.http)).body(r#"{"film":"mp4"}"#);
    let refused = mixdown.send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert_eq!(json_of(refused).await["code"], "no_ffmpeg");
    node.shut_down().await;
}

/// Pictures of H.264 as the recorder has them: each with the lengths of its units, and whether it is a key frame.
fn h264(seconds: u32) -> Vec<(bool, Vec<u8>)> {
    let source = format!("testsrc=s=320x180:r=10:d={seconds}");
    let encode = ["-c:v", "libx264", "-profile:v", "baseline", "-g", "30", "-x264-params", "aud=1", "-f", "h264", "pipe:1"];
    let stream = ffmpeg(&[&["-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p"], &encode[..]].concat());
    let starts: Vec<usize> = (0..stream.len() - 3).filter(|n| stream[*n..].starts_with(&[0, 0, 1])).map(|n| n + 3).collect();
    let mut pictures: Vec<(bool, Vec<u8>)> = Vec::new();
    for (n, from) in starts.iter().enumerate() {
        let to = starts.get(n + 1).map_or(stream.len(), |next| next - 3);
        let unit = stream[*from..to].strip_suffix(&[0]).unwrap_or(&stream[*from..to]);
        match unit[0] & 0x1f {
            9 => pictures.push((false, Vec::new())),
            kind => {
                let (key, picture) = pictures.last_mut().expect("a delimiter comes first");
                *key |= kind == 5;
                picture.extend((unit.len() as u32).to_be_bytes());
                picture.extend(unit);
            }
        }
    }
    pictures
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_h264_is_streamed_while_it_goes_on_and_afterwards() {
    let folder = Folder::new("made-stream");
    let pictures = h264(12);
    let picture = Picture { codec: TapCodec::H264, size: Some((320, 180)), first: pictures[0].1.clone() };
    let (mut writer, header) = Writer::new(Some(&picture), false);
    let place = folder.say("r1", "recording", &file("0001.mp4", "writing", 0));
    fs::write(place.join("0001.mp4"), &header).expect("written");
    let node = node(&folder.0, |_| ()).await;
    let told = item(&node, "r1").await;
    let playlist = text(&told["files"][0], "playlist").to_owned();
    let mut before = 0;
    for (n, (key, data)) in pictures.iter().enumerate() {
        writer.picture(n as i64 * 100_000, *key, data);
        if n % 5 == 4 {
            append(&place, &writer.cut().expect("a piece").bytes);
        }
        if n % 30 == 29 {
            let list = get(&node, &playlist).await.text().await.expect("text");
            let segments = list.lines().filter(|line| line.starts_with("#EXTINF:")).count();
            assert!(segments > before && !list.contains("#EXT-X-ENDLIST") && list.contains("#EXT-X-PLAYLIST-TYPE:EVENT"), "{list}");
            before = segments;
        }
    }
    writer.finish(12_000_000);
    append(&place, &writer.cut().expect("the last piece").bytes);
    folder.say("r1", "finished", &file("0001.mp4", "complete", 12_000_000));
    let list = get(&node, &playlist).await;
    assert_eq!(list.headers()[CONTENT_TYPE], "application/vnd.apple.mpegurl");
    assert!(list.text().await.expect("text").ends_with("#EXT-X-ENDLIST\n"));
    // As a player has it: FFmpeg, over HTTP.
    let url = format!("http://{}{playlist}", node.http);
    let counted = tokio::task::spawn_blocking(move || {
        let entries = ["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,width:format=duration", "-of", "json", &url];
        let output = Command::new("ffprobe").args(entries).output().expect("the tests need ffprobe");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    });
    let counted = counted.await.expect("it runs");
    assert_eq!((&counted["streams"][0]["nb_read_frames"], &counted["streams"][0]["width"]), (&json!("120"), &json!(320)), "{counted}");
    let length: f64 = text(&counted["format"], "duration").parse().expect("seconds");
    assert!((length - 12.0).abs() < 0.1, "{length}");
    node.shut_down().await;
}

fn append(place: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).open(place.join("0001.mp4")).expect("the file");
    file.write_all(bytes).expect("written");
}

/// What these members send is no picture of anything, but has the head of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_taken_of_a_call_and_of_one_that_is_recorded_and_the_recording_goes_on() {
    let folder = Folder::new("made-picture");
    let key_every = Duration::from_secs(60);
    let node = node(&folder.0, |config| config.recording = Some(RecordingConfig { key_every, ..nodes::recording(&folder.0) })).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let join = |number| {
        let url = format!("ws://{}/ws", node.http);
        let settings = Settings { url, room: "hall".into(), number, token: None, address: HERE, pairs: 2 };
        let phases = phases.clone();
        async move { Participant::join(&settings, phases).await.expect("joined and connected") }
    };
    let people = [join(1).await, join(2).await];
    let ask = async |request| people[0].signaling().ask(request).await.expect("it is done");
    let picture = || Request::Screenshot { member: people[1].member.clone(), source: Source::Camera };
    for recorded in [false, true] {
        if recorded {
            ask(Request::Record { members: vec![], sources: vec![] }).await;
            sleep(Duration::from_secs(2)).await;
        }
        let Some(OkResult::Screenshot { item: id }) = ask(picture()).await else { panic!("a picture") };
        let told = item(&node, &id).await;
        assert_eq!((text(&told, "kind"), text(&told, "room"), text(&told["by"], "member")), ("screenshot", "hall", people[0].member.0.as_str()));
        let png = get(&node, text(&told["files"][0], "url")).await.bytes().await.expect("bytes");
        // The signature, the length and the name of the first chunk, and then width and height (PNG, third edition, section 11.2.1).
        assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 2, 128, 0, 0, 1, 104][..]), "640 × 360");
    }
    sleep(Duration::from_secs(2)).await;
    ask(Request::StopRecording {}).await;
    let list = "/api/v1/library?room=hall&kind=recording";
    let kept = until("the recording is whole", async || {
        let kept = json_of(get(&node, list).await).await["items"][0].clone();
        (kept["state"] == "finished").then_some(kept)
    });
    let files = kept.await["files"].as_array().expect("files").clone();
    assert!(files.len() == 2 && files.iter().all(|file| file["lost"] == 0 && file["length"].as_i64() > Some(3_000_000)), "{files:?}");
    phase.send(Phase::Stop).expect("they listen");
    node.shut_down().await;
}
