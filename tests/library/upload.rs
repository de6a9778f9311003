//! Uploads: over broken connections, bounded, and dropped.

use std::fs;
use std::time::Duration;

use althing::config::{Config, LibraryConfig, UploadConfig};
use althing::control::auth::LibraryGrant;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::folder::Folder;
use crate::nodes::library;
use crate::scene::{Asking, header, ids, node, noise, text, token, until, uploads, with_keys};

/// A picture, as far as anybody here looks.
fn picture(bytes: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.extend(noise(7, bytes - 8));
    picture
}

pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
    pairs.join(",")
}

impl Asking {
    pub fn tus(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(Method::from_bytes(method.as_bytes()).expect("a method"), path).header("Tus-Resumable", "1.0.0")
    }

    pub async fn begin(&self, bytes: usize, pairs: &[(&str, &str)]) -> Response {
        let request = self.tus("POST", "/api/v1/library/uploads").header("Upload-Length", bytes).header("Upload-Metadata", metadata(pairs));
        request.send().await.expect("an answer")
    }

    pub async fn piece(&self, place: &str, offset: usize, bytes: &[u8]) -> Response {
        let request = self.tus("PATCH", place).header("Upload-Offset", offset).header(CONTENT_TYPE, "application/offset+octet-stream");
        request.body(bytes.to_vec()).send().await.expect("an answer")
    }

    pub async fn offset(&self, place: &str) -> usize {
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
