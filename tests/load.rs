//! The load tester against a real node, in one process: what it counts is what was sent, and what is lost it notices.

#[path = "load/foreign.rs"]
mod foreign;
mod nodes;
#[path = "load/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use althing::config::Secret;
use althing::control::auth::{Claims, Source, TokenGrants, sign};
use althing::load::{Door, Kind, Outcome, Place, Plan, Trace, Trouble, run};
use althing::node::Node;
use tokio::sync::watch;
use wire::{Wire, signaling_that_names};

/// Two rooms with two publishers and two subscribers each.
fn plan(node: &Node) -> Plan {
    Plan {
        door: Door::Socket { url: format!("ws://{}/ws", node.http) },
        tokens: Vec::new(),
        rooms: 2,
        room_prefix: "load-".into(),
        publishers: 2,
        subscribers: 2,
        publishers_receive: true,
        video: "500k@30".parse().ok(),
        audio: "1/1".parse().ok(),
        trace: None,
        kind: Kind::Light,
        join_rate: 50.0,
        duration: Duration::from_secs(3),
        patience: Duration::from_secs(20),
        pairs: None,
        threads: None,
        open_one_in: None,
        nack: true,
        transport_cc: false,
        merged: true,
        server_pid: Some(std::process::id()),
        metrics: Some(format!("http://{}/metrics", node.admin)),
    }
}

async fn carried_out(plan: Plan) -> Outcome {
    let (_stop, stopped) = watch::channel(false);
    run(plan, true, stopped).await.expect("a run")
}

/// Everybody came, and everything came once. Each publisher's streams have three receivers: two subscribers and the other publisher.
fn all_came(outcome: &Outcome) {
    assert_eq!((outcome.participants.joined, &outcome.participants.failed), (8, &[].into()), "{outcome}");
    assert_eq!((outcome.participants.unplaced, outcome.participants.silent), (0, 0), "{outcome}");
    for delivery in [outcome.audio, outcome.video] {
        assert!(delivery.offered > 100, "{outcome}");
        assert_eq!((delivery.expected, delivery.delivered, delivery.lost), (delivery.offered * 3, delivery.offered * 3, 0), "{outcome}");
        assert_eq!(delivery.duplicated, 0, "{outcome}");
    }
    assert!(outcome.latency_ms.count > 0 && outcome.latency_ms.p50 > 0.0, "{outcome}");
    assert_eq!((outcome.join_ms.count, outcome.first_media_ms.count), (8, 8), "{outcome}");
    assert!(outcome.server.cpu_seconds_per_million.is_some() && outcome.server.memory_bytes.is_some_and(|b| b > 0), "{outcome}");
    assert!(outcome.server.forwarded.is_some_and(|f| f > 0), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn light_clients_in_two_rooms_receive_everything_of_their_own_room() {
    let node = nodes::start(|_| ()).await;
    all_came(&carried_out(plan(&node)).await);
    node.shut_down().await;
}

/// With tokens, members have the same identities in each room.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_keys_is_counted_right_in_several_rooms() {
    let secret = || Secret::new(&"k".repeat(40)).expect("long enough");
    let node = nodes::start(|config| config.auth = [("main".to_owned(), secret())].into_iter().collect()).await;
    let plan = plan(&node);
    let token = |place: &Place| {
        let publish = vec![Source::Microphone, Source::Camera];
        let grants = TokenGrants { room: place.room_name.clone(), join: true, publish, subscribe: true, ..TokenGrants::default() };
        sign("main", &secret(), &Claims { sub: place.name.clone(), name: None, exp: 4_000_000_000, grants, ..Claims::default() }).expect("signed")
    };
    let tokens = plan.places().iter().map(token).collect();
    all_came(&carried_out(Plan { tokens, ..plan }).await);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn light_clients_that_open_few_packets_count_the_same() {
    let node = nodes::start(|config| config.media.workers = 2).await;
    let outcome = carried_out(Plan { open_one_in: Some(16), threads: Some(2), merged: false, transport_cc: true, ..plan(&node) }).await;
    all_came(&outcome);
    assert!(outcome.latency_ms.count < outcome.total.delivered / 4, "{outcome}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_clients_receive_everything() {
    let node = nodes::start(|_| ()).await;
    all_came(&carried_out(Plan { kind: Kind::Full, ..plan(&node) }).await);
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_sent_as_it_was_recorded() {
    let node = nodes::start(|_| ()).await;
    let trace = "0 1000 0 video\n200 400 1 video\n33000 900 1 video\n40000 100 0 audio\n60000 90 0 audio\n";
    let trace = Some(Arc::new(Trace::read(trace).expect("a trace")));
    let outcome = carried_out(Plan { trace, rooms: 1, publishers: 1, ..plan(&node) }).await;
    assert_eq!((outcome.audio.lost, outcome.video.lost), (0, 0), "{outcome}");
    // Each turn of the trace has three packets of video and two of audio.
    let (audio, video) = (outcome.audio.offered as f64, outcome.video.offered as f64);
    assert!(audio > 20.0 && (video / audio - 1.5).abs() < 0.2, "{outcome}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_keys_lets_in_who_has_a_token_and_others_are_counted_as_refused() {
    let key = "0123456789abcdef0123456789abcdef";
    let node = nodes::start(|config| config.auth = [("main".to_owned(), Secret::new(key).expect("long enough"))].into_iter().collect()).await;
    let (_stop, stopped) = watch::channel(false);
    let trouble = run(plan(&node), true, stopped).await.expect_err("nobody has a token");
    assert!(matches!(&trouble, Trouble::Token(text) if text.contains("token_missing")), "{trouble}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_ends_in_order_with_what_it_has() {
    let node = nodes::start(|_| ()).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(Plan { duration: Duration::from_secs(600), ..plan(&node) }, true, stopped));
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.send_replace(true);
    let outcome = running.await.expect("no panic").expect("a run");
    assert!(outcome.interrupted && outcome.total.lost == 0, "{outcome}");
    node.shut_down().await;
}

/// A node and a wire in front of its media.
async fn node_behind_a_wire(drop_one_in: u64) -> (Node, Wire) {
    let node = nodes::start(|config| config.media.workers = 1).await;
    let wire = Wire::new(node.media[0]).await;
    wire.to_clients.store(drop_one_in, Ordering::Relaxed);
    (node, wire)
}

async fn lossy(nack: bool, transport_cc: bool) -> (Outcome, u64) {
    let (node, wire) = node_behind_a_wire(50).await;
    let signaling = signaling_that_names(&node, wire.address).await;
    let plan = Plan { door: Door::Socket { url: format!("ws://{signaling}/ws") }, rooms: 1, publishers: 1, nack, transport_cc, ..plan(&node) };
    let outcome = carried_out(plan).await;
    node.shut_down().await;
    (outcome, wire.dropped.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_dropped_on_purpose_are_counted_as_lost_and_no_others() {
    let (outcome, dropped) = lossy(false, false).await;
    assert_eq!(outcome.participants.joined, 3, "{outcome}");
    // Some of the dropped ones were sent before or after those that count.
    let lost = outcome.video.lost;
    assert!(lost > 5 && lost <= dropped, "{lost} of {dropped}\n{outcome}");
    // Every 50th at each of two receivers, wherever in fifty the counting began and ended.
    assert!(lost.abs_diff(outcome.video.expected / 50) <= 2, "{outcome}");
    assert_eq!((outcome.audio.lost, outcome.video.duplicated, outcome.video.repaired), (0, 0, 0), "{outcome}");
    assert_eq!(outcome.video.delivered + lost, outcome.video.expected, "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_dropped_are_repaired_when_they_are_asked_for_again() {
    // As they were, and by RTX.
    for transport_cc in [false, true] {
        let (outcome, _) = lossy(true, transport_cc).await;
        assert!(outcome.video.repaired > 5, "{outcome}");
        assert_eq!((outcome.audio.lost, outcome.video.lost, outcome.load.foreign), (0, 0, 0), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whip_publishers_are_played_by_whep_players() {
    let node = nodes::start(|_| ()).await;
    let base = format!("http://{}", node.http);
    let door = Door::Http { whip: Some(format!("{base}/whip/{{room}}/{{member}}")), whep: Some(format!("{base}/whep/{{room}}/{{members}}")) };
    for kind in [Kind::Light, Kind::Full] {
        let outcome = carried_out(Plan { door: door.clone(), kind, room_prefix: kind.name().to_owned(), ..plan(&node) }).await;
        assert_eq!((outcome.participants.joined, &outcome.participants.failed), (8, &[].into()), "{outcome}");
        // Each publisher's streams are played by the two subscribers of its room.
        assert_eq!((outcome.total.expected, outcome.total.lost, outcome.total.duplicated), (outcome.total.offered * 2, 0, 0), "{outcome}");
        assert!(outcome.total.offered > 500, "{outcome}");
    }
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_whip_server_is_published_to_with_its_token() {
    let node = nodes::start(|_| ()).await;
    let (address, foreign) = foreign::serve().await;
    let door = Door::Http { whip: Some(format!("http://{address}/publish/{{room}}/{{member}}")), whep: None };
    let plan = Plan { door, subscribers: 0, duration: Duration::from_secs(2), ..plan(&node) };
    let (_stop, stopped) = watch::channel(false);
    let trouble = run(plan.clone(), true, stopped).await.expect_err("without a token nobody comes in");
    assert!(matches!(&trouble, Trouble::Token(text) if text.contains("HTTP 401") && text.contains("who are you?")), "{trouble}");

    let outcome = carried_out(Plan { tokens: vec!["open sesame".to_owned(); 4], ..plan }).await;
    assert_eq!((outcome.participants.joined, &outcome.participants.failed), (4, &[].into()), "{outcome}");
    assert!(outcome.total.offered > 400 && outcome.total.expected == 0, "{outcome}");
    let (came, ended) = (foreign.packets.load(Ordering::Relaxed), foreign.ended.load(Ordering::Relaxed));
    // What was sent before and after the counted packets came too.
    assert!(came >= outcome.total.offered, "{came} came\n{outcome}");
    assert_eq!(ended, 4);
    node.shut_down().await;
}
