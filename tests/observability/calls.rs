//! A call with a bad way: the account of it names the right member, time and leg, while it lasts and when it is over.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use althing::config::KeptConfig;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::client::{Participant, Phase, Settings};
use crate::folder::Folder;
use crate::node::{get, json, start};
use crate::nodes::HERE;
use crate::wire::{Wire, signaling_that_names};

/// How long a way is bad: more than twice as long as the server looks at it at a time.
const BAD: Duration = Duration::from_secs(11);
/// After such a time: a look that has some of it, and a look that has not.
const GOOD: Duration = Duration::from_secs(12);
/// The server looks every five seconds: so much earlier, or later, may a time begin or end.
const BLUR_MS: u64 = 7_000;
/// Every large packet of a picture is lost, and what repairs it too; each frame's last part comes. Of less, nobody would notice anything:
/// repairs come within milliseconds here.
const ONE_IN: u64 = 1;

async fn join(url: String, number: u16, phase: &watch::Receiver<Phase>) -> Participant {
    let settings = Settings { url, room: "weak-link".into(), number, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phase.clone()).await.expect("joined and connected")
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// A time of loss, by the wall clock: who had it, whose leg it was, whose picture, from, to.
type Lossy = (Vec<String>, String, String, u64, Option<u64>);

/// Those on a leg.
fn lossy(account: &Value, leg: &str) -> Vec<Lossy> {
    let epoch = account["epoch_unix_ms"].as_u64().expect("an epoch");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = account["troubles"].as_array().expect("a list");
    all.iter()
        .filter(|found| found["leg"] == leg && found["sign"] == "loss")
        .map(|found| {
            let had_by = found["had_by"].as_array().expect("a list").iter().map(text).collect();
            let at = |key: &str| found[key].as_u64().map(|ms| epoch + ms);
            (had_by, text(&found["leg_of"]), text(&found["shown"]["member"]), at("from_ms").expect("a beginning"), at("to_ms"))
        })
        .collect()
}

fn is_about(found: u64, meant: u64) {
    assert!(found.abs_diff(meant) <= BLUR_MS, "{found} is not about {meant}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_names_who_had_bad_video_when_and_on_which_leg() {
    let folder = Folder::new("calls");
    let node = start(&folder.0, |_| ()).await;
    let wire = Wire::new(node.media[0]).await;
    let behind = signaling_that_names(&node, wire.address).await;
    let (_phase, phases) = watch::channel(Phase::Count);
    let good = join(format!("ws://{}/ws", node.http), 1, &phases).await;
    let bad = join(format!("ws://{behind}/ws"), 2, &phases).await;
    let (good_id, bad_id) = (good.member.0.clone(), bad.member.0.clone());
    sleep(Duration::from_secs(4)).await;

    let (mut times, mut meanwhile) = (Vec::new(), Vec::new());
    let well = json(node.admin, "/calls/list").await;
    assert_eq!((&well[0]["members"], &well[0]["troubles"], well[0]["at_present"].is_null()), (&2.into(), &0.into(), true), "{well}");
    for way in [&wire.to_clients, &wire.to_server] {
        let begun = wall_ms();
        way.store(ONE_IN, Ordering::Relaxed);
        sleep(BAD).await;
        meanwhile.push(json(node.admin, "/calls/list").await[0].clone());
        way.store(0, Ordering::Relaxed);
        times.push((begun, wall_ms()));
        sleep(GOOD).await;
    }

    let list = json(node.admin, "/calls/list").await;
    assert_eq!((list.as_array().map(Vec::len), &list[0]["room"], list[0]["ended_unix_ms"].is_null()), (Some(1), &"weak-link".into(), true));
    for (listed, leg, had_by) in [(&meanwhile[0], "downlink", &bad_id), (&meanwhile[1], "uplink", &good_id)] {
        let lossy = listed["at_present"].as_array().and_then(|all| all.iter().find(|found| found["sign"] == "loss" && found["leg"] == leg));
        assert!(lossy.is_some_and(|found| found["had_by"][0] == **had_by && found["leg_of"] == *bad_id), "{leg}, while it lasts: {listed}");
        assert!(listed["troubles"].as_u64() >= Some(1) && listed["epoch_unix_ms"].is_u64(), "{listed}");
    }
    let path = format!("/calls/{}/account", list[0]["id"]);
    let present = json(node.admin, &path).await;
    let down = lossy(&present, "downlink");
    assert_eq!(down.len(), 1, "{present}");
    let (had_by, leg_of, shown, from, to) = &down[0];
    assert_eq!((&had_by[..], leg_of, shown), (&[bad_id.clone()][..], &bad_id, &good_id), "the picture of the other, on the way to this one");
    is_about(*from, times[0].0);
    is_about(to.expect("it is over"), times[0].1);
    let up = lossy(&present, "uplink");
    assert_eq!(up.len(), 1, "{present}");
    let (had_by, leg_of, shown, from, to) = &up[0];
    assert_eq!((&had_by[..], leg_of, shown), (&[good_id.clone()][..], &bad_id, &bad_id), "the other had it, on the way from this one");
    is_about(*from, times[1].0);
    is_about(to.expect("it is over"), times[1].1);
    let worst = present["troubles"].as_array().expect("a list").iter().filter_map(|t| t["worst"]["loss_per_cent"].as_u64()).max();
    assert!(worst.is_some_and(|worst| (50..=90).contains(&worst)), "five in six were lost: {worst:?}");

    good.leave().await;
    bad.leave().await;
    let begun = Instant::now();
    let over = loop {
        let list = json(node.admin, "/calls/list").await;
        if list[0]["ended_unix_ms"].is_u64() {
            break list;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the call ends: {list}");
        sleep(Duration::from_millis(100)).await;
    };
    assert!(over[0]["members"] == 2 && over[0]["troubles"].as_u64().is_some_and(|n| n >= 2), "{over}");
    let kept = json(node.admin, &path).await;
    assert_eq!((lossy(&kept, "downlink"), lossy(&kept, "uplink")), (down, up), "it stays when the call is over");
    assert!(kept["ended_ms"].is_u64() && kept["members"][0]["entries"].as_array().is_some_and(|all| !all.is_empty()), "{kept}");

    let file = reqwest::get(format!("http://{}{path}?file", node.admin)).await.expect("an answer");
    let disposition = file.headers()["content-disposition"].to_str().expect("text").to_owned();
    assert!(disposition.starts_with("attachment; filename=\"call-") && disposition.ends_with(".json\""), "{disposition}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_to_be_kept_nothing_is_known_of_a_call_that_is_over() {
    let folder = Folder::new("unkept");
    let node = start(&folder.0, |config| config.kept = KeptConfig { bytes: 0, lifetime: Duration::from_secs(1) }).await;
    let (_phase, phases) = watch::channel(Phase::Count);
    let one = join(format!("ws://{}/ws", node.http), 1, &phases).await;
    let id = json(node.admin, "/calls/list").await[0]["id"].clone();
    one.leave().await;
    let begun = Instant::now();
    while get(node.admin, &format!("/calls/{id}/account")).await.0 == 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the call ends");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(json(node.admin, "/calls/list").await, Value::Array(Vec::new()));
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_shown_nothing_and_the_own_page_runs_no_words_of_members() {
    let folder = Folder::new("guard");
    let node = start(&folder.0, |_| ()).await;
    let client = reqwest::Client::new();
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        let request = client.get(format!("http://{}/calls/list", node.admin)).header("sec-fetch-site", site);
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), status, "{site}");
    }
    let page = reqwest::get(format!("http://{}/calls", node.admin)).await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text().await.expect("text");
    for part in ["calls/page.css", "calls/words.js", "calls/page.js"] {
        assert!(text.contains(part), "{part}");
        let (status, text) = get(node.admin, &format!("/{part}")).await;
        assert!(status == 200 && !text.contains("innerHTML"), "{part}");
    }
    assert_eq!(get(node.admin, "/calls/7/account").await.0, 404);
    node.shut_down().await;
}
