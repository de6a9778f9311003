//! What the log may not say.

use std::io::Write;
use std::sync::{Arc, Mutex, Once};

use althing::config::{LogFormat, LogSettings};
use althing::control::auth::{Claims, TokenGrants, sign, unix_time};
use althing::node::Node;
use althing::node::logs::subscriber;
use althing::wire::{CallMedia, Event, MemberId, OkResult, Request};

use crate::client::{Client, SECRET, everyones, guarded_node, secret};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

#[derive(Clone)]
struct Into;

impl Write for Into {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs of all tests of this process go to one place, at info, as JSON.
pub fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let settings = LogSettings { format: LogFormat::Json, level: "info".into() };
        let log = subscriber(&settings, || Into).expect("a level");
        tracing::subscriber::set_global_default(Arc::new(log)).expect("the first log");
    });
}

/// The token that an end of an accepted call is given.
async fn call_token(node: &Node, alice: &str) -> String {
    let grants = TokenGrants { room: "logged".into(), join: true, ..TokenGrants::default() };
    let claims = Claims { sub: "bob".into(), name: None, exp: unix_time().as_secs() + 60, grants, ..Claims::default() };
    let bob = sign("main", &secret(), &claims).expect("a token");
    let enter = |token: &str| Request::Enter { lobby: "logged".into(), name: "Private Name".into(), token: Some(token.into()), me: None, call: None };
    let (mut caller, mut callee) = (Client::greet(node).await, Client::greet(node).await);
    caller.ask(enter(alice)).await.expect("entered");
    callee.ask(enter(&bob)).await.expect("entered");
    let called = caller.ask(Request::Call { to: MemberId("bob".into()), media: CallMedia::Voice }).await;
    let Ok(Some(OkResult::Calling { call, .. })) = called else { panic!("not calling: {called:?}") };
    callee.ask(Request::Accept { call }).await.expect("accepted");
    loop {
        if let Event::Accepted { token, .. } = caller.event().await.1 {
            return token.expect("a token");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_no_secret_no_address_of_a_client_and_no_session_description() {
    let node = guarded_node().await;
    let mut client = Client::greet(&node).await;
    let grants = TokenGrants { moderate: true, ..everyones("logged") };
    let claims = Claims { sub: "alice".into(), name: Some("Private Name".into()), exp: unix_time().as_secs() + 60, grants, ..Claims::default() };
    let token = sign("main", &secret(), &claims).expect("a token");
    let join = Request::join("logged", "", Some(token.clone()));
    let joined = client.enter(join).await.expect("joined");
    client.ask(Request::Offer { sdp: crate::calls::offer(&[("audio", "sendonly")], 0xC7), publish: vec![] }).await.expect("answered");
    client.ask(Request::Offer { sdp: "v=0 broken description".into(), publish: vec![] }).await.expect_err("refused");
    let call_token = call_token(&node, &token).await;
    client.say("a private word", None).await.expect("said");
    client.send("{broken message").await;
    client.error().await;
    let address = client.address.to_string();
    client.cut();
    node.shut_down().await;
    let log = String::from_utf8_lossy(&LOG.lock().expect("the log")).into_owned();
    assert!(log.contains("room opened") && log.contains("\"logged\""), "the log does not work:\n{log}");
    for secret in [SECRET, &token, &call_token, &joined.resume, &address, "m=audio", "C7:C7", "a=ice", "a private word", "Private Name", "broken"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
    }
}
