//! The private listener: metrics, health, journals, and what happened in calls.

use axum::extract::Path;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::watch;

use super::readiness;
use crate::control::admin::calls::calls_router;
use crate::control::events::http::page;
use crate::control::rooms::Directory;
use crate::metrics::Metrics;

/// The private listener's routes.
pub fn admin_router(metrics: Metrics, rooms: Directory, ready: watch::Receiver<bool>) -> Router {
    let events = rooms.events();
    let calls = calls_router(rooms.clone());
    Router::new()
        .route("/api/v1/events", get(move |uri: Uri| async move { page(events, &uri).await }))
        .route("/rooms/{room}/journal", get(move |Path(room): Path<String>| async move { journal(&rooms, &room).await }))
        .route("/metrics", get(move || async move { text(&metrics) }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || readiness(ready.clone())))
        .merge(calls)
}

/// What happened to the media of a room's members, and why: JSON, a list of members.
async fn journal(rooms: &Directory, room: &str) -> Response {
    match rooms.journals(room).await {
        Some(members) => Json(members).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no room of this name at present\n").into_response(),
    }
}

fn text(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
