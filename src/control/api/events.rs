//! What happened in rooms. The private listener has the same, without a token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::{Endpoints, query};
use crate::control::events::http::page;
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::RoomName;

#[derive(Deserialize)]
struct Of {
    room: Option<String>,
}

pub async fn list(State(at): State<Arc<Endpoints>>, headers: HeaderMap, uri: Uri) -> Result<Response, Problem> {
    let Of { room } = query(&uri)?;
    let room = room.as_deref().map(RoomName::new).transpose()?;
    at.public.front.access.admit_administrator(room.as_ref(), bearer(&headers))?;
    page(at.public.front.rooms.events(), &uri).await
}
