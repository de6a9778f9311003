//! `GET /api/v1/events?after=…&room=…&limit=…`: the log again, from anywhere that is still kept.

use axum::body::Body;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Events, Page};
use crate::control::http::problem::{Problem, page_size, query};
use crate::wire::ErrorCode;

/// Events of a page at most.
const MOST: usize = 1_000;
/// As many where nothing is said.
const USUAL: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    after: u64,
    room: Option<String>,
    limit: Option<usize>,
}

/// A page of the log: `{"events":[…],"after":"…","more":…}`.
///
/// # Errors
/// What is asked for is not written as it should be; there is no log; the disk does not give it.
pub async fn page(events: Option<Events>, uri: &Uri) -> Result<Response, Problem> {
    let Asked { after, room, limit } = query(uri)?;
    let limit = page_size(limit, USUAL, MOST)?;
    let none = || Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "this server keeps no events (events.enabled)");
    let events = events.ok_or_else(none)?;
    let page = tokio::task::spawn_blocking(move || events.page(after, room.as_deref(), limit)).await;
    match page {
        Ok(Ok(page)) => Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(written(page))).into_response()),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "events cannot be read");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "the events cannot be read: the log says why")
}

/// The events are JSON already.
fn written(Page { events, after, more }: Page) -> Vec<u8> {
    let mut text = b"{\"events\":[".to_vec();
    text.extend(events.join(&b","[..]));
    text.extend(format!("],\"after\":\"{after}\",\"more\":{more}}}").into_bytes());
    text
}
