//! The diagram of joining in docs/PROTOCOL.md is what a join says: a real call, whose sockets are listened to.

mod client;
mod nodes;

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Participant, Phase, Settings};
use futures_util::{SinkExt, StreamExt};
use nodes::HERE;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What comes when it comes: nobody waits for it to join.
const UNORDERED: [&str; 3] = ["speakers", "quality", "demand"];

/// What was said on one socket, as the diagram writes it: `join`, `ok joined`, `slots`.
type Said = Arc<Mutex<Vec<(bool, String)>>>;

/// Stands between a client and the node, and notes what is said.
async fn listen_in(node: SocketAddr) -> (String, Said) {
    let listener = TcpListener::bind((HERE, 0)).await.expect("a port");
    let (address, said) = (listener.local_addr().expect("an address"), Said::default());
    let notes = said.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the client comes");
        #[allow(clippy::result_large_err, reason = "as the library has it")]
        let agree = |request: &Request, mut response: Response| {
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let (mut to_client, mut of_client) = tokio_tungstenite::accept_hdr_async(stream, agree).await.expect("a socket").split();
        let mut request = format!("ws://{node}/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", althing::wire::SUBPROTOCOL.parse().expect("a header"));
        let (mut to_node, mut of_node) = tokio_tungstenite::connect_async(request).await.expect("the node").0.split();
        loop {
            tokio::select! {
                Some(Ok(message)) = of_client.next() => {
                    note(&notes, true, &message);
                    to_node.send(message).await.expect("sent");
                }
                Some(Ok(message)) = of_node.next() => {
                    note(&notes, false, &message);
                    to_client.send(message).await.expect("sent");
                }
                else => return,
            }
        }
    });
    (format!("ws://{address}/ws"), said)
}

fn note(said: &Said, by_client: bool, message: &Message) {
    let Message::Text(text) = message else { return };
    let value: Value = serde_json::from_str(text.as_str()).expect("JSON");
    let named = |value: &Value| value.as_str().expect("a name").to_owned();
    let what = match (by_client, value["type"].as_str()) {
        (true, Some(kind)) => kind.to_owned(),
        (false, Some("ok")) => format!("ok {}", value["result"]["of"].as_str().unwrap_or_default()).trim_end().to_owned(),
        (false, Some("event")) => named(&value["event"]["type"]),
        _ => panic!("an error, or nothing: {text}"),
    };
    said.lock().expect("no panic while locked").push((by_client, what));
}

/// What the diagram lets somebody say and hear.
fn drawn(who: &str) -> Vec<(bool, String)> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let diagram = text.split("```mermaid\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a diagram");
    let line = |line: &str| {
        let (arrow, what) = line.trim().split_once(": ")?;
        let said = (arrow == format!("{who}->>S"), what.to_owned());
        (said.0 || arrow == format!("S-->>{who}") || arrow == format!("S-){who}")).then_some(said)
    };
    diagram.lines().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_says_what_the_diagram_shows() {
    let node = nodes::start(|config| config.media.workers = 1).await;
    let (phase, phases) = watch::channel(Phase::Count);
    let (mut people, mut sockets) = (Vec::new(), Vec::new());
    for number in 1..=2 {
        if let Some(said) = sockets.first() as Option<&Said> {
            said.lock().expect("no panic while locked").clear();
        }
        let (url, said) = listen_in(node.http).await;
        sockets.push(said);
        let settings = Settings { url, room: "diagram".into(), number, token: None, address: HERE, pairs: 2 };
        people.push(Participant::join(&settings, phases.clone()).await.expect("joined and connected"));
        // Until everything has been said that follows from it.
        sleep(Duration::from_secs(2)).await;
    }
    for (who, said) in ["A", "B"].into_iter().zip(&sockets) {
        let said: Vec<_> =
            said.lock().expect("no panic while locked").iter().filter(|(_, what)| !UNORDERED.contains(&what.as_str())).cloned().collect();
        assert_eq!(said, drawn(who), "what {who} says (true) and hears (false)");
    }
    phase.send(Phase::Stop).expect("they listen");
    for person in people {
        person.leave().await;
    }
    node.shut_down().await;
}
