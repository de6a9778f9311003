//! Fallbacks over real sockets: what is taken, what is refused, and what is counted.

use althing::node::Node;
use althing::wire::{ErrorCode, Event, OkResult, PublishLine, Request, Source, TrackInfo};

use crate::calls::offer;
use crate::client::{Client, get, node};

fn line(mid: &str, source: Source, fallback: bool) -> PublishLine {
    PublishLine { mid: mid.into(), source, muted: false, fallback }
}

fn call(publish: Vec<PublishLine>) -> Request {
    let lines =
        [("audio", "sendonly"), ("video", "sendonly"), ("video", "sendonly"), ("video", "sendonly"), ("audio", "recvonly"), ("video", "recvonly")];
    Request::Offer { sdp: offer(&lines, 1), publish }
}

async fn published(client: &mut Client, publish: Vec<PublishLine>) -> Result<Vec<TrackInfo>, ErrorCode> {
    match client.ask(call(publish)).await? {
        Some(OkResult::Answer { published, .. }) => Ok(published.into_iter().map(|(_, track)| track).collect()),
        other => panic!("not an answer: {other:?}"),
    }
}

/// How many fallbacks the node says that it is sent; the room's task counts after it has answered.
async fn counted(node: &Node, wanted: &str) {
    for _ in 0..100 {
        let (_, text) = get(node.admin, "/metrics").await;
        if text.lines().any(|line| line == format!("althing_fallbacks{{state=\"sent\"}} {wanted}")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the metrics do not say {wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_is_told_to_its_publisher_only_and_counted_as_long_as_it_is_there() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "r").await;
    let (mut bob, _) = Client::join(&node, "r").await;
    let list = vec![line("1", Source::Camera, false), line("2", Source::Camera, true)];
    let tracks = published(&mut alice, list).await.expect("answered");
    assert_eq!(tracks.iter().map(|t| (t.source, t.fallback)).collect::<Vec<_>>(), [(Source::Camera, false), (Source::Camera, true)]);
    counted(&node, "1").await;
    assert!(matches!(bob.event().await.1, Event::Track { track, .. } if track == tracks[0]));
    bob.ask(Request::Ping {}).await.expect("answered");
    assert!(bob.events.is_empty(), "{:?}", bob.events);
    assert_eq!(bob.ask(Request::Unsubscribe { tracks: vec![tracks[1].track] }).await, Err(ErrorCode::NotFound));
    assert_eq!(bob.ask(Request::Unpublish { track: tracks[1].track }).await, Err(ErrorCode::NotFound));
    alice.ask(Request::Unpublish { track: tracks[0].track }).await.expect("unpublished");
    counted(&node, "0").await;
    let again = vec![line("1", Source::Camera, false), line("2", Source::Camera, true)];
    published(&mut alice, again).await.expect("answered");
    counted(&node, "1").await;
    alice.ask(Request::Leave {}).await.expect("left");
    counted(&node, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_fallback_is_refused_by_its_code_and_changes_nothing() {
    let node = node().await;
    let (mut alice, _) = Client::join(&node, "r").await;
    let camera = || line("1", Source::Camera, false);
    for bad in [
        vec![line("2", Source::Camera, true)],
        vec![camera(), line("2", Source::Screen, true)],
        vec![camera(), line("1", Source::Camera, true)],
        vec![camera(), line("2", Source::Camera, true), line("3", Source::Camera, true)],
        vec![line("0", Source::Microphone, false), line("0", Source::Microphone, true)],
    ] {
        assert_eq!(published(&mut alice, bad.clone()).await, Err(ErrorCode::PublishConflict), "{bad:?}");
    }
    published(&mut alice, vec![camera()]).await.expect("answered");
    for bad in
        [line("2", Source::Screen, true), line("1", Source::Camera, true), line("0", Source::Microphone, true), line("9", Source::Camera, true)]
    {
        assert_eq!(alice.ask(Request::Publish { line: bad.clone() }).await, Err(ErrorCode::PublishConflict), "{bad:?}");
    }
    let answer = alice.ask(Request::Publish { line: line("2", Source::Camera, true) }).await;
    let Ok(Some(OkResult::Published { track })) = answer else { panic!("not published: {answer:?}") };
    assert_eq!(alice.ask(Request::Publish { line: line("3", Source::Camera, true) }).await, Err(ErrorCode::PublishConflict));
    assert_eq!(alice.ask(Request::Mute { track: track.track, muted: true }).await, Err(ErrorCode::PublishConflict));
    counted(&node, "1").await;
}
