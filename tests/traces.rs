//! Traces of real joins, as a receiver of OTLP gets them.

mod client;
mod nodes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing::load::{self, Door, Plan};
use althing::node::Node;
use althing::wire::{Request, VERSION};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use client::{Kind, Participant, Phase, Settings, Signaling};
use nodes::HERE;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;
use tokio::time::sleep;

/// The steps of a join, in their order.
const STEPS: [&str; 7] = ["socket accepted", "token checked", "room command", "answer written", "ICE connected", "DTLS done", "first packet"];

/// What a receiver has got.
type Taken = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A receiver of traces.
async fn receiver() -> (SocketAddr, Taken) {
    let taken = Taken::default();
    let kept = taken.clone();
    let take = move |headers: HeaderMap, body: Bytes| {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        kept.lock().expect("no panic").push(ExportTraceServiceRequest::decode(body).expect("OTLP"));
        async { StatusCode::OK }
    };
    let listener = tokio::net::TcpListener::bind((HERE, 0)).await.expect("a port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/v1/traces", post(take))).await });
    (at, taken)
}

async fn node(endpoint: String) -> Node {
    nodes::start(|config| config.otel = Some(endpoint.parse().expect("an address"))).await
}

/// The spans of each trace, in the order of their beginning.
fn traces(taken: &Taken) -> Vec<Vec<Span>> {
    let mut traces: BTreeMap<Vec<u8>, Vec<Span>> = BTreeMap::new();
    let taken = taken.lock().expect("no panic");
    let resources = taken.iter().flat_map(|request| &request.resource_spans);
    for resource in resources {
        let service = resource.resource.iter().flat_map(|about| &about.attributes).find(|attribute| attribute.key == "service.name");
        assert!(format!("{service:?}").contains("althing"), "{service:?}");
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            traces.entry(span.trace_id.clone()).or_default().push(span.clone());
        }
    }
    let in_order = |mut spans: Vec<Span>| {
        spans.sort_by_key(|span| (span.start_time_unix_nano, span.parent_span_id.len(), span.end_time_unix_nano));
        spans
    };
    traces.into_values().map(in_order).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_one_trace_with_a_span_for_each_step_and_a_refused_one_says_why() {
    let (at, taken) = receiver().await;
    let node = node(format!("http://{at}")).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let settings = |number| Settings { url: format!("ws://{}/ws", node.http), room: "traced".into(), number, token: None, address: HERE, pairs: 2 };
    let begun = Instant::now();
    let people = [
        Participant::join(&settings(1), phases.clone()).await.expect("joined and connected"),
        Participant::join(&settings(2), phases.clone()).await.expect("joined and connected"),
    ];
    while people[0].count(2, Kind::Audio).unique < 10 || people[1].count(1, Kind::Video).unique < 10 {
        assert!(begun.elapsed() < Duration::from_secs(30), "they hear each other");
        sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    let (refused, _events) = Signaling::open(&settings(3).url).await.expect("open");
    refused.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
    refused.ask(Request::join("no such name!", "eve", None)).await.expect_err("that is no name of a room");
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;

    let (whole, short): (Vec<_>, Vec<_>) = traces(&taken).into_iter().partition(|spans| spans.len() > 3);
    assert_eq!((whole.len(), short.len()), (2, 1), "one trace a join");
    for spans in whole {
        let (roots, steps): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.parent_span_id.is_empty());
        let [join] = roots[..] else { panic!("one root: {roots:?}") };
        assert_eq!(join.name, "join");
        assert_eq!(steps.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), STEPS);
        assert!(steps.iter().all(|span| span.parent_span_id == join.span_id));
        for two in steps.windows(2) {
            assert!(two[0].end_time_unix_nano <= two[1].start_time_unix_nano, "one after the other: {two:?}");
        }
        let first = (steps[0].start_time_unix_nano, steps[6].end_time_unix_nano);
        assert_eq!((join.start_time_unix_nano, join.end_time_unix_nano), first, "it lasts from the socket to the first packet");
        assert!(u128::from(join.end_time_unix_nano - join.start_time_unix_nano) <= took.as_nanos());
        let long = |name: &str| steps.iter().find(|span| span.name == name).map_or(0, |span| span.end_time_unix_nano - span.start_time_unix_nano);
        assert!(long("ICE connected") > 0 && long("DTLS done") > 100_000, "a handshake takes its time: {steps:?}");
    }
    let status = short[0].iter().find(|span| span.parent_span_id.is_empty()).and_then(|span| span.status.clone()).expect("a status");
    assert_eq!((status.code, status.message.as_str()), (2, "invalid_room_name"));
    let said: Vec<String> = taken.lock().expect("no panic").iter().map(|request| format!("{request:?}")).collect();
    assert!(said.iter().all(|text| !text.contains("traced") && !text.contains("127.0.0.1")), "no name and no address is told");
}

/// One publishes by WHIP, one plays it by WHEP.
fn by_http(node: &Node) -> Plan {
    let url = |way: &str| Some(format!("http://{}/{way}/{{room}}/{{member}}", node.http));
    Plan {
        door: Door::Http { whip: url("whip"), whep: url("whep") },
        tokens: Vec::new(),
        rooms: 1,
        room_prefix: "traced-".into(),
        publishers: 1,
        subscribers: 1,
        publishers_receive: false,
        video: "500k@30".parse().ok(),
        audio: "1/1".parse().ok(),
        trace: None,
        kind: load::Kind::Light,
        join_rate: 50.0,
        duration: Duration::from_secs(2),
        patience: Duration::from_secs(20),
        pairs: None,
        threads: None,
        open_one_in: None,
        nack: true,
        transport_cc: false,
        merged: true,
        server_pid: None,
        metrics: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_by_whip_and_whep_have_the_same_spans() {
    let (at, taken) = receiver().await;
    let node = node(format!("http://{at}")).await;
    let (_stop, stopped) = watch::channel(false);
    let outcome = load::run(by_http(&node), true, stopped).await.expect("a run");
    assert_eq!(outcome.participants.joined, 2, "{outcome}");
    let refused = reqwest::Client::new().post(format!("http://{}/whip/traced/eve", node.http)).header("content-type", "application/sdp");
    assert_eq!(refused.body("no offer").send().await.expect("an answer").status().as_u16(), 400);
    node.shut_down().await;

    let traces = traces(&taken);
    assert_eq!(traces.len(), 3, "one trace a join: {traces:?}");
    let steps = |spans: &Vec<Span>| spans.iter().filter(|span| !span.parent_span_id.is_empty()).map(|span| span.name.clone()).collect::<Vec<_>>();
    let found = |wanted: &[&str]| traces.iter().find(|spans| steps(spans) == wanted).unwrap_or_else(|| panic!("{wanted:?}: {traces:?}"));
    let published = found(&STEPS);
    // Who plays publishes nothing that a first packet could be of.
    let played = found(&STEPS[..6]);
    let refused = found(&STEPS[..2]);
    for spans in [published, played] {
        let join = spans.iter().find(|span| span.parent_span_id.is_empty()).expect("a root");
        let last = spans.iter().filter(|span| !span.parent_span_id.is_empty()).map(|span| span.end_time_unix_nano).max();
        let later = join.end_time_unix_nano - last.expect("steps");
        assert!(later < 100_000_000, "a join is over with its last step: {later} ns");
    }
    let status = refused.iter().find(|span| span.parent_span_id.is_empty()).and_then(|span| span.status.clone()).expect("a status");
    assert_eq!((status.code, status.message.as_str()), (2, "sdp_malformed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_keeps_nobody_waiting() {
    let gone = std::net::TcpListener::bind((HERE, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let node = node(format!("http://{gone}")).await;
    let (_phase, phases) = watch::channel(Phase::Count);
    let settings = Settings { url: format!("ws://{}/ws", node.http), room: "traced".into(), number: 1, token: None, address: HERE, pairs: 2 };
    Participant::join(&settings, phases).await.expect("joined and connected").leave().await;
    let begun = Instant::now();
    node.shut_down().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
