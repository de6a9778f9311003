//! Rooms: made, looked at, changed and ended; data for their members; who is let in.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::{RoomAnswer, RoomList};
use super::asked::{Entry, NewData, NewRoom};
use super::{Endpoints, PageQuery, cut, json_of, malformed};
use crate::base::RoomId;
use crate::control::auth::member_of_path;
use crate::control::draw;
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::actor::Look;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{AdminOrder, OwnedData, RoomName, RoomSettings};
use crate::wire::DataPayload;

pub async fn list(State(at): State<Arc<Endpoints>>, uri: Uri, headers: HeaderMap) -> Result<Json<RoomList>, Problem> {
    at.node(&headers)?;
    let (after, limit) = PageQuery::of(&uri)?;
    let mut page = at.public.front.rooms.begun_after(RoomId(after), limit + 1);
    let next = cut(&mut page, limit, |room| room.id.0);
    let mut rooms = Vec::with_capacity(page.len());
    for room in page {
        // One that ends meanwhile is not there.
        rooms.extend(at.answer(&room).await.ok());
    }
    Ok(Json(RoomList { rooms, next }))
}

pub async fn create(State(at): State<Arc<Endpoints>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let NewRoom { name, settings } = json_of(body).await?;
    let name = RoomName::new(&name.unwrap_or_else(draw::hex::<8>))
        .map_err(|refusal| Problem::new(StatusCode::BAD_REQUEST, refusal.code, refusal.message))?;
    at.public.front.access.admit_administrator(Some(&name), bearer(&headers))?;
    let room = at.public.front.rooms.create(&name, &settings)?;
    let mut answer = (StatusCode::CREATED, Json(at.answer(&room).await?)).into_response();
    if let Ok(place) = HeaderValue::try_from(format!("/api/v1/rooms/{name}")) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

pub async fn look(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap) -> Result<Json<RoomAnswer>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    Ok(Json(at.answer(&room).await?))
}

pub async fn change(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Result<Json<RoomAnswer>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let settings = json_of::<RoomSettings>(body).await?;
    at.order(&room, "room_by_api", AdminOrder::Set(settings)).await?;
    Ok(Json(at.answer(&room).await?))
}

pub async fn end(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (room, by) = at.room(&room, &headers)?;
    tracing::info!(room = %room.name, by = by.0, "the room is ended by the API");
    at.order(&room, "end_by_api", AdminOrder::End).await?;
    // It is found no more when this is answered.
    room.over().await;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn send(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let (room, from) = at.room(&room, &headers)?;
    let NewData { topic, to, payload, lossy } = json_of::<Option<NewData>>(body).await?.ok_or_else(|| malformed("there is no data"))?;
    let (text, payload) = match payload {
        DataPayload::Text(text) => (true, text.into_bytes()),
        DataPayload::Base64(text) => {
            let bytes = STANDARD.decode(text);
            (false, bytes.map_err(|_| malformed("the payload is not base64 (RFC 4648 section 4, with padding)"))?)
        }
    };
    let data = OwnedData { topic, to, text, payload, lossy, number: None };
    at.order(&room, "data_by_api", AdminOrder::Send { from, data }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn admit(
    State(at): State<Arc<Endpoints>>, Path((room, member)): Path<(String, String)>, headers: HeaderMap, body: Body,
) -> Result<StatusCode, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let member = member_of_path(&member)?;
    let entry = json_of::<Option<Entry>>(body).await?.ok_or_else(|| malformed("`admitted` is missing"))?;
    at.order(&room, "admit_by_api", AdminOrder::Admit { member, admitted: entry.admitted }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Endpoints {
    async fn answer(&self, room: &Handle) -> Result<RoomAnswer, Problem> {
        Ok(RoomAnswer::new(room, self.look(room, Look::Room).await?))
    }
}
