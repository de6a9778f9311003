//! The HTTP API: what a program does that runs a service on this server. docs/API.md says it for its authors, docs/openapi.json for their tools.
//!
//! The way of a request: `guard` (origin; problems as JSON) → `once` (a request that comes again is answered, not carried out again) → the
//! token's grant → the room's actor → `Room::apply(Administer)`, or a look at the room → the answer. What is seen and what is changed is the
//! room's; nothing is kept here but the answers to requests that may come again.
//!
//! | | |
//! |---|---|
//! | `GET /api/v1/node` | the server |
//! | `GET`, `POST /api/v1/rooms`; `GET`, `PATCH`, `DELETE …/{room}` | rooms |
//! | `GET …/{room}/members`; `GET`, `PATCH`, `DELETE …/members/{member}` | members |
//! | `GET …/{room}/tracks`; `PATCH …/tracks/{track}`; `POST …/{room}/mute` | tracks |
//! | `POST …/{room}/data`; `PUT …/{room}/knocking/{member}` | data for members; who is let in |
//! | `GET`, `POST …/{room}/egress`; `GET`, `DELETE …/egress/{id}` | what is sent to servers elsewhere |
//! | `GET /api/v1/events` | what happened in rooms |
//! | `GET /api/v1/openapi.json` | the description of all of it |

mod answer;
mod asked;
mod egress;
mod events;
mod members;
mod node;
mod once;
mod rooms;
mod tracks;

#[cfg(test)]
mod openapi;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::control::Refusal;
use crate::control::http::Public;
use crate::control::http::cors::{Allowed, Cors};
use crate::control::http::problem::{Problem, ProblemCode, as_problem, bearer, page_size, query};
use crate::control::rooms::actor::{Letter, Look};
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{AdminOrder, Command, RoomName};
use crate::wire::{ErrorCode, MemberId};

pub use once::{Once, once};

/// What pages of other origins may ask for and see.
const ALLOWED: Allowed = Allowed {
    methods: "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
    headers: "Authorization, Content-Type, Idempotency-Key",
    exposed: "Idempotency-Replayed, Location, Retry-After",
};
/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 3] =
    [(header::CACHE_CONTROL, "private, no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];
/// Bytes of a request's JSON: a message of data in base64, with what is around it.
const JSON_BYTES: usize = 128 * 1024;
/// A body that is not there by then is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Things of a page at most.
const MOST: usize = 100;
/// As many where nothing is said.
const USUAL: usize = 50;
/// The description of all of it, made from the types by `UPDATE_API=1 cargo test --lib`.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// What the endpoints share.
struct Endpoints {
    public: Public,
    began: Instant,
}

/// The routes.
pub fn routes(public: Public, answered: Once) -> Router {
    let endpoints = Arc::new(Endpoints { public: public.clone(), began: Instant::now() });
    Router::new()
        .route("/api/v1/node", get(node::look))
        .route("/api/v1/openapi.json", get(openapi_document))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/rooms", get(rooms::list).post(rooms::create))
        .route("/api/v1/rooms/{room}", get(rooms::look).patch(rooms::change).delete(rooms::end))
        .route("/api/v1/rooms/{room}/members", get(members::list))
        .route("/api/v1/rooms/{room}/members/{member}", get(members::look).patch(members::change).delete(members::remove))
        .route("/api/v1/rooms/{room}/tracks", get(tracks::list))
        .route("/api/v1/rooms/{room}/tracks/{track}", patch(tracks::mute))
        .route("/api/v1/rooms/{room}/mute", post(tracks::mute_all))
        .route("/api/v1/rooms/{room}/data", post(rooms::send))
        .route("/api/v1/rooms/{room}/egress", get(egress::list).post(egress::begin))
        .route("/api/v1/rooms/{room}/egress/{egress}", get(egress::look).delete(egress::end))
        .route("/api/v1/rooms/{room}/knocking/{member}", put(rooms::admit))
        .route("/api/v1", any(nothing))
        .route("/api/v1/", any(nothing))
        .route("/api/v1/{*rest}", any(nothing))
        .with_state(endpoints)
        .layer(from_fn_with_state(answered, once))
        .layer(from_fn_with_state(public, guard))
}

/// Around every request: whose page asks, and what every answer carries.
async fn guard(State(public): State<Public>, request: Request, next: Next) -> Response {
    let cors = Cors::of(&request, &public);
    let answer = match *request.method() {
        _ if !cors.is_allowed() => Problem::strange_origin().into_response(),
        Method::OPTIONS => cors.preflight(&ALLOWED),
        _ => as_problem(next.run(request).await),
    };
    public.front.rooms.metrics().answered("api", answer.extensions().get::<ProblemCode>().map(|code| code.0));
    let mut answer = cors.around(&ALLOWED, answer);
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this path: /api/v1/openapi.json says what there is")
}

async fn openapi_document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Which part of a list is wanted.
#[derive(Deserialize)]
struct PageQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

impl PageQuery {
    /// Behind what, and how many.
    fn of(uri: &Uri) -> Result<(u64, usize), Problem> {
        let Self { after, limit } = query(uri)?;
        Ok((after.unwrap_or(0), page_size(limit, USUAL, MOST)?))
    }
}

/// Takes what is too much off a page that was asked for with one more; where the next one begins.
fn cut<T>(page: &mut Vec<T>, limit: usize, place: impl Fn(&T) -> u64) -> Option<String> {
    let more = page.len() > limit;
    page.truncate(limit);
    page.last().filter(|_| more).map(|last| place(last).to_string())
}

impl Endpoints {
    /// A room, and who may administer it.
    fn room(&self, room: &str, headers: &HeaderMap) -> Result<(Handle, MemberId), Problem> {
        let name = RoomName::new(room)?;
        let by = self.public.front.access.admit_administrator(Some(&name), bearer(headers))?;
        let room = self.public.front.rooms.named(&name).filter(|room| !room.is_over()).ok_or_else(no_room)?;
        Ok((room, by))
    }

    /// Whoever may administer the node.
    fn node(&self, headers: &HeaderMap) -> Result<MemberId, Problem> {
        Ok(self.public.front.access.admit_administrator(None, bearer(headers))?)
    }

    /// Looks at a room.
    async fn look<T>(&self, room: &Handle, what: impl FnOnce(oneshot::Sender<T>) -> Look) -> Result<T, Problem> {
        let (to, seen) = oneshot::channel();
        room.send(Letter::Look(what(to))).await.map_err(|_| no_room())?;
        Ok(seen.await.map_err(|_| no_room())?)
    }

    /// Has the room's task carry something out.
    async fn order(&self, room: &Handle, name: &'static str, order: AdminOrder) -> Result<(), Problem> {
        let socket = self.public.front.rooms.numbers().socket();
        let (answered, outcome) = oneshot::channel();
        let command = Command::Administer { socket, order };
        room.send(Letter::Ask { command, name, socket, place: None, answered }).await.map_err(|_| no_room())?;
        outcome.await.map_err(|_| no_room())??;
        Ok(())
    }
}

fn no_room() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no room of this name at present")
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, why)
}

/// A body that is longer than any may be, or that has broken off: nobody hears that one.
fn too_long() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::LimitExceeded, format!("a request has at most {JSON_BYTES} bytes"))
}

async fn json_of<T: DeserializeOwned + Default>(body: Body) -> Result<T, Problem> {
    let bytes = match timeout(BODY_WITHIN, to_bytes(body, JSON_BYTES)).await {
        Ok(bytes) => bytes.map_err(|_| too_long())?,
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the request did not come in time")),
    };
    if bytes.is_empty() {
        return Ok(T::default());
    }
    // Serde would take an array for an object, by position.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(malformed("the request is not a JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|error| malformed(format!("the request is not what it should be: {error}")))
}
