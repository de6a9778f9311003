//! Delivery to a real receiver, which does as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const SECRETS: [&str; 2] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="];

/// What a receiver does with a request.
#[derive(Clone, Copy)]
enum Answer {
    Take,
    Status(u16),
    Late,
    Redirect,
}

#[derive(Default)]
struct Heard {
    taken: Vec<Event>,
    refused: Vec<Event>,
    /// What is done with the next requests; afterwards all are taken.
    answers: VecDeque<Answer>,
    /// Rooms that are refused for as long as they are here.
    sick: Vec<String>,
    elsewhere: usize,
    connections: usize,
}

#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Heard>>);

impl Hook {
    async fn serve(&self) -> SocketAddr {
        self.serve_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn serve_at(&self, address: SocketAddr) -> SocketAddr {
        let elsewhere = |State(hook): State<Hook>| async move { hook.heard().elsewhere += 1 };
        let routes = Router::new().route("/hook", post(take)).route("/elsewhere", post(elsewhere)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn until(&self, what: &str, holds: impl Fn(&Heard) -> bool) {
        for _ in 0..3_000 {
            if holds(&self.heard()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let heard = self.heard();
        panic!("{what}: {} taken, {} refused", heard.taken.len(), heard.refused.len());
    }
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).expect("a header").to_owned();
    let (id, timestamp, signatures) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body].concat();
    let expected = SECRETS.map(|secret| {
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
        format!("v1,{}", STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed)))
    });
    assert_eq!(signatures, expected.join(" "), "both secrets sign");
    let event: Event = serde_json::from_slice(&body).expect("an event");
    assert_eq!((event.id.as_str(), header("content-type").as_str()), (id.as_str(), "application/json"));
    let answer = {
        let mut heard = hook.heard();
        heard.connections += 1;
        let sick = heard.sick.contains(&event.room).then_some(Answer::Status(500));
        let answer = sick.or_else(|| heard.answers.pop_front()).unwrap_or(Answer::Take);
        if matches!(answer, Answer::Take) {
            heard.taken.push(event)
        } else {
            heard.refused.push(event)
        }
        answer
    };
    match answer {
        Answer::Take => StatusCode::NO_CONTENT.into_response(),
        Answer::Status(status) => (StatusCode::from_u16(status).expect("a status"), "x".repeat(1 << 20)).into_response(),
        Answer::Late => {
            tokio::time::sleep(Duration::from_secs(4)).await;
            StatusCode::OK.into_response()
        }
        Answer::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
    }
}

fn told(config: &mut EventsConfig, address: SocketAddr, give_up: Duration) {
    let settings = WebhookSettings {
        urls: vec![format!("http://{address}/hook")],
        secret: crate::config::Key::Secret(SECRETS[0].into()),
        old_secret: crate::config::Key::Secret(SECRETS[1].into()),
        timeout_seconds: 1,
        retry_ms: 20,
        retry_most_seconds: 1,
        ..WebhookSettings::default()
    };
    let on = EventSettings { enabled: true, folder: config.folder.clone(), ..EventSettings::default() };
    config.webhooks = WebhookConfig { give_up, ..on.check(&settings).expect("it can work").expect("it is on").webhooks };
}

struct Stage {
    folder: Folder,
    hook: Hook,
    address: SocketAddr,
    events: Events,
    metrics: Metrics,
    closing: watch::Sender<bool>,
    deliveries: Deliveries,
}

impl Stage {
    async fn new(give_up: Duration) -> Self {
        let (folder, hook) = (Folder::new(), Hook::default());
        let address = hook.serve().await;
        let (events, metrics, closing, deliveries) = begin(&folder, address, give_up);
        Self { folder, hook, address, events, metrics, closing, deliveries }
    }

    fn heard_of(&self, room: &str) -> Vec<u64> {
        self.hook.heard().taken.iter().filter(|event| event.room == room).map(|event| event.seq).collect()
    }
}

fn begin(folder: &Folder, address: SocketAddr, give_up: Duration) -> (Events, Metrics, watch::Sender<bool>, Deliveries) {
    let mut config = config(&folder.0);
    told(&mut config, address, give_up);
    let (events, metrics) = folder.open();
    let (closing, seen) = watch::channel(false);
    let deliveries = events.deliver(&config, &seen).expect("delivered");
    (events, metrics, closing, deliveries)
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn each_rooms_events_come_in_order_through_failures_of_every_kind() {
    let stage = Stage::new(LONG).await;
    stage.hook.heard().answers =
        [Answer::Status(500), Answer::Redirect, Answer::Take, Answer::Status(429), Answer::Late, Answer::Status(302), Answer::Status(404)].into();
    let mut books: Vec<Book> = ["a", "b", "c"].iter().map(|name| stage.events.book(room(name))).collect();
    for visit in 1..=40 {
        books.iter_mut().for_each(|book| book.write(joined(visit)));
    }
    stage.hook.until("all are taken", |heard| heard.taken.len() >= 120).await;
    for name in ["a", "b", "c"] {
        assert_eq!(stage.heard_of(name), (1..=40).collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(stage.hook.heard().elsewhere, 0, "redirects are not followed");
    let attempts = |result: &str| metric(&stage.metrics, &format!("althing_webhook_attempts_total{{result=\"{result}\"}}"));
    assert_eq!(["delivered", "error", "refused", "redirect", "timeout"].map(attempts), ["120", "1", "2", "2", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_events_nobody_takes_keeps_no_other_one_waiting() {
    let stage = Stage::new(LONG).await;
    stage.hook.heard().sick = vec!["sick".into()];
    let (mut sick, mut well) = (stage.events.book(room("sick")), stage.events.book(room("well")));
    sick.write(joined(1));
    stage.hook.until("the first one is refused", |heard| !heard.refused.is_empty()).await;
    for visit in 2..=50 {
        sick.write(joined(visit));
        well.write(joined(visit));
        // What comes while one is under way waits for it.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    well.write(joined(51));
    stage.hook.until("the other one is told", |heard| heard.taken.len() == 50).await;
    assert!(stage.hook.heard().refused.iter().all(|event| event.seq == 1), "the first one is tried again and again");
    for _ in 0..300 {
        if metric(&stage.metrics, "althing_webhook_events_waiting") == "50" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metric(&stage.metrics, "althing_webhook_events_waiting"), "50");
    stage.hook.heard().sick.clear();
    stage.hook.until("it is told as well", |heard| heard.taken.len() == 100).await;
    assert_eq!(stage.heard_of("sick"), (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_more_events_than_are_held_keeps_no_other_one_waiting() {
    let stage = Stage::new(LONG).await;
    stage.hook.heard().sick = vec!["sick".into()];
    let (mut sick, mut well) = (stage.events.book(room("sick")), stage.events.book(room("well")));
    sick.write(joined(1));
    stage.hook.until("the first one is refused", |heard| !heard.refused.is_empty()).await;
    (2..=9_000).for_each(|visit| sick.write(joined(visit)));
    well.write(joined(1));
    stage.hook.until("the other one is told", |heard| heard.taken.len() == 1).await;
    assert_eq!(stage.heard_of("well"), [1]);
    for _ in 0..300 {
        if metric(&stage.metrics, "althing_webhook_events_waiting") == "9000" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metric(&stage.metrics, "althing_webhook_events_waiting"), "9000", "those that are on the disk alone are counted");
    stage.hook.heard().sick.clear();
    stage.hook.until("it is told what was given back", |heard| heard.taken.len() > 200).await;
    let told = stage.heard_of("sick");
    assert_eq!(told, (1..=told.len() as u64).collect::<Vec<_>>());
    well.write(joined(2));
    stage.hook.until("the other one goes on meanwhile", |heard| heard.taken.iter().filter(|event| event.room == "well").count() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_takes_nothing_has_nobody_told_twice_after_a_restart() {
    let stage = Stage::new(LONG).await;
    stage.hook.heard().sick = vec!["sick".into()];
    let (mut sick, mut well) = (stage.events.book(room("sick")), stage.events.book(room("well")));
    (1..=30).for_each(|visit| {
        sick.write(joined(visit));
        well.write(joined(visit));
    });
    stage.hook.until("the other one is told", |heard| heard.taken.len() == 30 && !heard.refused.is_empty()).await;
    drop((sick, well));
    let Stage { folder, hook, address, events, closing, deliveries, .. } = stage;
    closing.send_replace(true);
    deliveries.ended().await;
    drop(events);
    hook.heard().sick.clear();
    let (events, _, closing, deliveries) = begin(&folder, address, LONG);
    hook.until("the rest is taken", |heard| heard.taken.len() >= 60).await;
    events.book(room("well")).write(joined(31));
    hook.until("and what comes now", |heard| {
        heard.taken.iter().any(|event| event.room == "well" && matches!(event.what, What::MemberJoined { visit: 31, .. }))
    })
    .await;
    let heard = hook.heard();
    let told = |name: &str| heard.taken.iter().filter(|event| event.room == name).count();
    assert_eq!((told("sick"), told("well")), (30, 31), "each once");
    drop((closing, deliveries));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_that_wait_for_a_receiver_that_was_away_are_told_as_soon_as_one_finds_it_again() {
    let (folder, hook) = (Folder::new(), Hook::default());
    let address = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let mut config = config(&folder.0);
    told(&mut config, address, LONG);
    config.webhooks = WebhookConfig { retry: Duration::from_secs(600), retry_most: Duration::from_secs(600), ..config.webhooks };
    let (events, metrics) = folder.open();
    let (_closing, seen) = watch::channel(false);
    let _deliveries = events.deliver(&config, &seen).expect("delivered");
    ["a", "b"].into_iter().for_each(|name| events.book(room(name)).write(joined(1)));
    for _ in 0..3_000 {
        if metric(&metrics, "althing_webhook_attempts_total{result=\"unreachable\"}") == "2" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metric(&metrics, "althing_webhook_attempts_total{result=\"unreachable\"}"), "2", "they wait now");
    hook.serve_at(address).await;
    events.book(room("c")).write(joined(1));
    hook.until("all three are told, ten minutes before their time", |heard| heard.taken.len() == 3).await;
    assert_eq!(hook.heard().taken[0].room, "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_before_a_restart_is_told_after_it_and_what_was_is_not() {
    let stage = Stage::new(LONG).await;
    let mut book = stage.events.book(room("a"));
    (1..=30).for_each(|visit| book.write(joined(visit)));
    stage.hook.until("all are taken", |heard| heard.taken.len() == 30).await;
    stage.hook.heard().sick = vec!["a".into()];
    (31..=60).for_each(|visit| book.write(joined(visit)));
    stage.hook.until("one is refused", |heard| !heard.refused.is_empty()).await;
    stage.events.flush().await;
    let Stage { folder, hook, address, events, closing, deliveries, .. } = stage;
    closing.send_replace(true);
    deliveries.ended().await;
    drop((events, book));
    hook.heard().sick.clear();
    let (events, _, closing, deliveries) = begin(&folder, address, LONG);
    hook.until("the rest is taken", |heard| heard.taken.len() >= 60).await;
    // What comes now is told before the node ends.
    events.book(room("b")).write(joined(1));
    events.flush().await;
    closing.send_replace(true);
    deliveries.ended().await;
    let heard = hook.heard();
    let numbers = |name: &str| heard.taken.iter().filter(|event| event.room == name).map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!((numbers("a"), numbers("b")), ((1..=60).collect(), vec![1]), "none twice, for it ended as it should");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_for_too_long_is_given_up_and_can_still_be_asked_for() {
    let stage = Stage::new(Duration::from_millis(300)).await;
    stage.hook.heard().sick = vec!["a".into()];
    let mut book = stage.events.book(room("a"));
    book.write(joined(1));
    for _ in 0..1_000 {
        if metric(&stage.metrics, "althing_webhook_events_given_up_total") == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metric(&stage.metrics, "althing_webhook_events_given_up_total"), "1");
    stage.hook.heard().sick.clear();
    book.write(joined(2));
    stage.hook.until("the next one is taken", |heard| heard.taken.len() == 1).await;
    assert_eq!(stage.heard_of("a"), [2]);
    assert_eq!(all(&stage.events).len(), 2);
    let _ = (&stage.folder, &stage.closing, &stage.deliveries, stage.address);
}
