//! Recordings that programs begin and end.

use axum::Json;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{JSON_BYTES, malformed, refuse_removed};
use crate::control::auth::{Visitor, unix_time};
use crate::control::http::Public;
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::actor::Letter;
use crate::control::rooms::{Command, RecordOrder};
use crate::control::{Refusal, draw};
use crate::wire::{ErrorCode, MemberId, Source};

/// Whom and what a recording is of; without it everybody and everything.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct What {
    /// Who is recorded; nobody named: everybody.
    members: Vec<MemberId>,
    /// What of them is recorded; nothing named: everything.
    sources: Vec<Source>,
}

/// The routes.
pub fn routes() -> Router<Public> {
    Router::new().route("/api/v1/rooms/{room}/recording", post(begin).delete(end))
}

async fn begin(State(public): State<Public>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let visitor = admit(&public, &room, &headers)?;
    public.front.rooms.may_record(&visitor.room)?;
    let body = to_bytes(body, JSON_BYTES).await.map_err(|_| malformed("the request is no JSON of at most 4096 bytes"))?;
    let What { members, sources } = if body.is_empty() {
        What::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| malformed(format!("the request is not what it should be: {error}")))?
    };
    let (recording, at) = (draw::hex::<16>(), u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX));
    let answer = Json(json!({ "id": recording }));
    order(&public, visitor, "record_by_http", RecordOrder::Begin { recording, at, members, sources }).await?;
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn end(State(public): State<Public>, Path(room): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let visitor = admit(&public, &room, &headers)?;
    order(&public, visitor, "stop_recording_by_http", RecordOrder::End).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn admit(public: &Public, room: &str, headers: &HeaderMap) -> Result<Visitor, Problem> {
    let visitor = public.front.access.admit_visitor(room, bearer(headers))?;
    refuse_removed(public, &visitor)?;
    if !visitor.record {
        return Err(Refusal::forbidden("your token does not allow to record").into());
    }
    Ok(visitor)
}

/// Has the room's task carry it out.
async fn order(public: &Public, visitor: Visitor, name: &'static str, order: RecordOrder) -> Result<(), Problem> {
    let rooms = &public.front.rooms;
    let nobody = || Refusal::new(ErrorCode::WrongState, "nobody is in the room");
    let room = rooms.named(&visitor.room).ok_or_else(nobody)?;
    let socket = rooms.numbers().socket();
    let shown = visitor.name.unwrap_or_else(|| visitor.member.0.clone());
    let command = Command::Order { socket, by: (visitor.member, shown), order };
    let (answered, outcome) = oneshot::channel();
    room.send(Letter::Ask { command, name, socket, place: None, answered }).await.map_err(|_| nobody())?;
    outcome.await.map_err(|_| nobody())??;
    Ok(())
}
