//! Lists: what is in them, and what goes by itself.

use std::time::Duration;

use althing::config::LibraryConfig;
use reqwest::Method;
use reqwest::header::CONTENT_DISPOSITION;
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::nodes::library;
use crate::scene::{Asking, header, ids, node, now, text, until};

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
async fn what_is_too_old_or_too_much_goes_by_itself() {
    let folder = Folder::new("library-retention");
    let hour = 3_600_000;
    folder.keep("ancient", "hall", now() - 50 * hour, &[1_000]);
    folder.keep("old", "hall", now() - 20 * hour, &[1_000]);
    folder.keep("recent", "attic", now() - 2 * hour, &[1_000]);
    folder.keep("new", "hall", now() - hour, &[1_000]);
    let before = node(&folder.0, |_| ()).await;
    let asking = Asking::of(&before);
    let item = asking.get("/api/v1/library/ancient").await;
    let (_, share) = asking.json(Method::POST, "/api/v1/library/ancient/share", json!({ "seconds": 3_600 })).await;
    let links = [text(&item["files"][0], "url"), text(&item, "zip"), &format!("/api/v1{}", text(&share, "url"))].map(str::to_owned);
    for link in &links {
        assert_eq!(asking.status(Method::GET, link).await, 200, "{link}");
    }
    before.shut_down().await;
    let node = node(&folder.0, |config| {
        let keep = (Some(Duration::from_secs(48 * 3_600)), Some(2_500));
        config.library = Some(LibraryConfig { keep: keep.0, keep_bytes: keep.1, ..library(&folder.0) });
    })
    .await;
    let asking = Asking::of(&node);
    until("the surplus goes", async || (!folder.0.join("old").exists()).then_some(())).await;
    assert!(!folder.0.join("ancient").exists() && folder.0.join("recent").exists());
    assert_eq!(ids(&asking.get("/api/v1/library?room=hall").await), ["new"]);
    for link in &links {
        let answer = asking.send(Method::GET, link).await;
        let status = answer.status().as_u16();
        let problem: Value = serde_json::from_slice(&answer.bytes().await.expect("bytes")).expect("a problem");
        assert_eq!((status, text(&problem, "code")), (404, "not_found"), "{link}");
    }
    let metrics = reqwest::get(format!("http://{}/metrics", node.admin)).await.expect("an answer").text().await.expect("text");
    for line in ["althing_library_deleted_total{reason=\"age\"} 1", "althing_library_deleted_total{reason=\"size\"} 1", "althing_library_items 2"] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
    node.shut_down().await;
}
