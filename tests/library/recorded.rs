//! Recordings that a program begins, that a full library ends, and what is said of them.

use std::fs;
use std::time::Duration;

use althing::config::LibraryConfig;
use althing::control::auth::{AdminGrant, TokenGrants};
use althing::node::Node;
use althing::record::manifest::{FileEntry, FileState, Manifest, State};
use althing::wire::{ErrorCode, Event, RecordingEnd, Request, VERSION};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::client::{Participant, Phase, Refusal, Settings, Signaling};
use crate::folder::Folder;
use crate::nodes::{self, HERE, library};
use crate::scene::{Asking, counted, join, newest, node, text, token, until, uploads, with_keys};

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
    assert_eq!(refused.downcast_ref::<Refusal>().map(|refusal| refusal.code), Some(ErrorCode::LibraryFull));
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
    let node = node(&folder.0, |config| config.events = Some(nodes::events(&log.0))).await;
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
