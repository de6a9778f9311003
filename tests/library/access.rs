//! Who gets at what: strangers, who has a link, whoever was removed.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use althing::control::auth::{AdminGrant, LibraryGrant, TokenGrants};
use althing::record::library::{Purpose, Signer};
use althing::wire::{MemberId, Request, VERSION};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::client::Signaling;
use crate::folder::Folder;
use crate::scene::{Asking, header, node, now, text, token, until, with_keys};
use crate::upload::metadata;

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
