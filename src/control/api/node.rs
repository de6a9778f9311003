//! The server.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::Endpoints;
use super::answer::NodeAnswer;
use crate::control::http::problem::Problem;

pub async fn look(State(at): State<Arc<Endpoints>>, headers: HeaderMap) -> Result<Json<NodeAnswer>, Problem> {
    at.node(&headers)?;
    let front = &at.public.front;
    let metrics = front.rooms.metrics();
    Ok(Json(NodeAnswer {
        version: env!("CARGO_PKG_VERSION"),
        ready: *at.public.ready.borrow(),
        development: front.access.development(),
        uptime_seconds: at.began.elapsed().as_secs(),
        rooms: front.rooms.count(),
        members: u64::try_from(metrics.members.get()).unwrap_or_default(),
        sockets: at.public.open_sockets(),
        whip_sessions: u64::try_from(metrics.whip_sessions.get()).unwrap_or_default(),
        records: front.rooms.records(),
    }))
}
