//! The private listener: metrics, health, journals, and what happened in calls.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
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
pub fn admin_router(metrics: Metrics, rooms: Directory, ready: watch::Receiver<bool>, hosts: Vec<String>) -> Router {
    let events = rooms.events();
    let hosts = Arc::new(hosts);
    let calls = calls_router(rooms.clone());
    Router::new()
        .route("/api/v1/events", get(move |uri: Uri| async move { page(events, &uri).await }))
        .route("/rooms/{room}/journal", get(move |Path(room): Path<String>| async move { journal(&rooms, &room).await }))
        .route("/metrics", get(move || async move { text(&metrics) }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || readiness(ready.clone())))
        .merge(calls)
        .layer(from_fn(move |request: Request, next: Next| named_well(hosts.clone(), request, next)))
}

/// Lets through what names an address, localhost, or one of `hosts`. A page whose name was made to lead here names itself: its browser takes what
/// comes for its own, and no check of origins would help.
async fn named_well(hosts: Arc<Vec<String>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // By HTTP/2 it is in the request's URI (RFC 9113 section 8.3.1). What names nobody at all comes from no browser.
    let named = header.or_else(|| request.uri().host());
    if named.is_none_or(|host| is_good(host, &hosts)) {
        return next.run(request).await;
    }
    let why = "this listener is asked by address, as localhost, or by a name in the setting admin.hosts\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

fn is_good(named: &str, hosts: &[String]) -> bool {
    let Ok(authority) = named.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    !named.contains('@') && (host == "localhost" || host.parse::<IpAddr>().is_ok() || hosts.contains(&host))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_named_hosts_are_good_and_no_others() {
        let hosts = ["althing.internal".to_owned(), "althing".to_owned()];
        let good = [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[2001:db8::7]",
            "localhost",
            "LOCALHOST:9090",
            "althing:9090",
            "Althing.Internal",
            "althing.internal.",
        ];
        for host in good {
            assert!(is_good(host, &hosts), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil@127.0.0.1",
            "althing.evil",
            "a b",
            "127.0.0.1/",
        ] {
            assert!(!is_good(host, &hosts), "{host}");
        }
    }
}
