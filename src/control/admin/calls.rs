//! The page about calls, and what it is made of: who had bad pictures or sound, when, and on which leg. On the private listener.

use axum::extract::{Path, RawQuery, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::base::RoomId;
use crate::control::rooms::Directory;

const PAGE: &str = include_str!("calls/page.html");
const STYLE: &str = include_str!("calls/page.css");
const WORDS: &str = include_str!("calls/words.js");
const SCRIPT: &str = include_str!("calls/page.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The page, the list of calls and the account of each.
pub fn calls_router(rooms: Directory) -> Router {
    let (listed, account) = (rooms.clone(), rooms);
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/calls") }))
        .route("/calls", get(|| async { file("text/html; charset=utf-8", PAGE) }))
        .route("/calls/page.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/calls/words.js", get(|| async { file("text/javascript; charset=utf-8", WORDS) }))
        .route("/calls/page.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/calls/list", get(move || async move { Json(listed.calls().await) }))
        .route(
            "/calls/{id}/account",
            get(move |Path(id): Path<u64>, RawQuery(query): RawQuery| async move {
                give(&account, RoomId(id), query.as_deref() == Some("file")).await
            }),
        )
        .layer(middleware::from_fn(guard))
}

/// No page of another site is shown names of members, whoever's browser it runs in.
async fn guard(request: Request, next: Next) -> Response {
    let site = request.headers().get(FETCH_SITE).and_then(|value| value.to_str().ok());
    let navigates = request.headers().get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    if site.is_some_and(|site| site != "same-origin" && site != "none") && !navigates {
        return (StatusCode::FORBIDDEN, "not for pages of other sites\n").into_response();
    }
    let mut response = next.run(request).await;
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn give(rooms: &Directory, id: RoomId, as_file: bool) -> Response {
    let Some(account) = rooms.call(id).await else {
        return (StatusCode::NOT_FOUND, "nothing is known of this call (any more)\n").into_response();
    };
    let mut response = ([(header::CONTENT_TYPE, "application/json")], account).into_response();
    if as_file && let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"call-{id}.json\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}
