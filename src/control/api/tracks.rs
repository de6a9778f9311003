//! Tracks: looked at and muted.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};

use super::answer::TrackList;
use super::asked::{MuteAll, TrackChange};
use super::{Endpoints, PageQuery, cut, json_of, malformed};
use crate::control::Refusal;
use crate::control::http::problem::Problem;
use crate::control::rooms::AdminOrder;
use crate::control::rooms::actor::Look;
use crate::wire::{ErrorCode, TrackNumber};

pub async fn list(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Json<TrackList>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let (after, limit) = PageQuery::of(&uri)?;
    let mut page = at.look(&room, |to| Look::Tracks(after, limit + 1, to)).await?;
    let next = cut(&mut page, limit, |seen| seen.track.track.0);
    Ok(Json(TrackList { tracks: page.into_iter().map(Into::into).collect(), next }))
}

pub async fn mute(
    State(at): State<Arc<Endpoints>>, Path((room, track)): Path<(String, String)>, headers: HeaderMap, body: Body,
) -> Result<StatusCode, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let track = track.parse().map_err(|_| Refusal::new(ErrorCode::NotFound, "a track has a number"))?;
    let TrackChange { muted } = json_of::<Option<TrackChange>>(body).await?.ok_or_else(|| malformed("`muted` is missing"))?;
    at.order(&room, "track_by_api", AdminOrder::MuteTrack { track: TrackNumber(track), muted }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn mute_all(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let MuteAll { source, muted } = json_of::<Option<MuteAll>>(body).await?.ok_or_else(|| malformed("`source` and `muted` are missing"))?;
    at.order(&room, "mute_by_api", AdminOrder::MuteAll { source, muted }).await?;
    Ok(StatusCode::NO_CONTENT)
}
