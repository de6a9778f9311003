//! Playing from anywhere, saving, and as long as that takes.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use althing::wire::Request;
use reqwest::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::client::Phase;
use crate::folder::Folder;
use crate::scene::{Asking, Dice, header, join, newest, node, text, until};

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
pub async fn plays(asking: &Asking, files: &[Value], on_disk: &[Vec<u8>], seed: u64) {
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
    for longer in [(whole.len() + 1).to_string(), u64::MAX.to_string(), format!("{}0", u64::MAX)] {
        let end = asked(&[(RANGE, &format!("bytes=-{longer}"))]).await;
        assert_eq!((end.status(), end.bytes().await.expect("bytes").len()), (StatusCode::PARTIAL_CONTENT, whole.len()), "the last {longer}");
    }
    assert_eq!(asked(&[(RANGE, "Bytes=0-1")]).await.status(), StatusCode::PARTIAL_CONTENT, "a unit is a unit however it is written");
    for odd in ["bytes=", "bytes=-", "bytes=9-5", "lines=1-2", "bytes=a-b", "bytes=-0", "bytes=18446744073709551616-"] {
        let answer = asked(&[(RANGE, odd)]).await;
        assert!(matches!(answer.status().as_u16(), 200 | 416), "{odd}: {}", answer.status());
    }
}

/// Saves a file and all of them, and looks whether they are what was recorded.
pub async fn saved(asking: &Asking, item: &Value, on_disk: &[Vec<u8>]) {
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
        let output =
            Command::new("unzip").env("TZ", "UTC").args(arguments).arg(&archive).current_dir(&unpacked.0).output().expect("unzip is installed");
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
        // The format says nothing of a time zone: `unzip` takes UTC for the one that it is told.
        let written = fs::metadata(unpacked.0.join(name)).and_then(|about| about.modified()).expect("a time");
        let began = Duration::from_millis(item["began"].as_u64().expect("a time")) + Duration::from_micros(file["at"].as_u64().expect("a place"));
        let late = began.saturating_sub(written.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970"));
        assert!(late <= Duration::from_secs(2), "{name} is dated {written:?}, {late:?} before it began");
        assert!(SystemTime::UNIX_EPOCH + began >= written, "{name} is dated {written:?}, after it began");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_began_later_than_its_recording_is_dated_so_in_the_archive() {
    let folder = Folder::new("library-dated");
    let mut manifest = folder.keep("r1", "hall", 1_795_820_399_000, &[1_000, 2_000]);
    manifest.files[1].at = 90_000_000;
    manifest.write(&folder.0.join("r1")).expect("written");
    let on_disk: Vec<Vec<u8>> = manifest.files.iter().map(|file| fs::read(folder.0.join("r1").join(&file.name)).expect("the file")).collect();
    let node = node(&folder.0, |_| ()).await;
    let asking = Asking::of(&node);
    saved(&asking, &asking.get("/api/v1/library/r1").await, &on_disk).await;
    node.shut_down().await;
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
