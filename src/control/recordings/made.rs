//! What is made of what is kept: thumbnails and waveforms (as they are, or made now), playlists of fragments, mixdowns.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::answer::mixdowns;
use super::link::Links;
use super::{Endpoints, bytes, json_of, malformed, query};
use crate::control::auth::Visitor;
use crate::control::http::problem::Problem;
use crate::record::hls::{place_of, playlist};
use crate::record::jobs::mixdown::Film;
use crate::record::jobs::{JobState, Jobs, Unmade, thumbnail_of, waveform_of};
use crate::record::library::{Item, LibraryError, Purpose};
use crate::record::manifest::{Kind, State as Recorded};
use crate::wire::LibraryGrant;

/// How long whoever asks waits for what is made now; it is made all the same. More: a page has six connections to a server (HTTP/1.1), and as many pictures
/// that are long in coming keep it from all else, even from another page. Less: more is asked for twice.
const PATIENCE: Duration = Duration::from_secs(2);

/// The routes.
pub fn routes() -> Router<Arc<Endpoints>> {
    Router::new()
        .route("/api/v1/library/{id}/thumbnail", get(thumbnail))
        .route("/api/v1/library/{id}/files/{name}/waveform", get(waveform))
        .route("/api/v1/library/{id}/files/{name}/index.m3u8", get(index))
        .route("/api/v1/library/{id}/mixdown", post(mix_down).get(look).delete(take_back))
}

async fn thumbnail(
    State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, method: Method, headers: HeaderMap,
) -> Result<Response, Problem> {
    at.link(Purpose::Thumbnail, &id, "", &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    let clip = item.to_be_seen().ok_or(Unmade::Nothing)?;
    let place = thumbnail_of(&item.folder);
    soon(at.jobs()?.thumbnail(clip, &place)).await?;
    Ok(bytes::serve(&place, "image/jpeg", &method, &headers).await?.ok_or(LibraryError::Unknown)?)
}

async fn waveform(
    State(at): State<Arc<Endpoints>>, Path((id, name)): Path<(String, String)>, uri: Uri, method: Method, headers: HeaderMap,
) -> Result<Response, Problem> {
    at.link(Purpose::Waveform, &id, &name, &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    let clip = item.to_be_heard(&name).ok_or(Unmade::Nothing)?;
    let place = waveform_of(&clip.path);
    soon(at.jobs()?.waveform(clip, &place)).await?;
    Ok(bytes::serve(&place, "application/json", &method, &headers).await?.ok_or(LibraryError::Unknown)?)
}

/// What is made, if it is soon.
async fn soon(made: impl Future<Output = Result<(), Unmade>>) -> Result<(), Unmade> {
    timeout(PATIENCE, made).await.unwrap_or(Err(Unmade::Busy))
}

/// A playlist of a file of fragments, by the link to that file: whoever may have it may stream it.
async fn index(State(at): State<Arc<Endpoints>>, Path((id, name)): Path<(String, String)>, uri: Uri) -> Result<Response, Problem> {
    let link = at.link(Purpose::File, &id, &name, &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    let (path, goes_on) = item.fragments(&name).ok_or(LibraryError::Unknown)?;
    if let Some(kept) = place_of(&path).file_name().and_then(|name| name.to_str()) {
        at.library.bring(&item, kept).await?;
    }
    let endpoints = at.clone();
    let list = at.library.work(move |library| {
        let whole = endpoints.fragments.of(&path)?;
        let url = Links::by(library.signer(), &link).to(Purpose::File, &item.manifest.id, &name);
        Ok(playlist(&whole, &url, !goes_on))
    });
    let mut answer = Response::new(Body::from(list.await?));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"));
    Ok(answer)
}

#[derive(Deserialize)]
struct Wish {
    /// `mp4`, or `webm`.
    film: String,
}

impl Wish {
    fn film(&self) -> Result<Film, Problem> {
        Film::named(&self.film).ok_or_else(|| malformed("`film` is mp4 or webm"))
    }
}

async fn mix_down(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::Manage)?;
    let film = json_of::<Wish>(body).await?.film()?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    if item.manifest.state == Recorded::Recording {
        return Err(LibraryError::GoesOn.into());
    }
    if item.manifest.kind != Kind::Recording {
        return Err(Unmade::Nothing.into());
    }
    let jobs = at.jobs()?;
    if !jobs.may_work() {
        return Err(Unmade::NoProgram.into());
    }
    if state_of(&item, film, jobs).is_none_or(|(state, _)| matches!(state, JobState::Failed(_))) {
        jobs.mix_down(&item.folder, film)?;
    }
    Ok((StatusCode::ACCEPTED, at.mixdowns(&item, &visitor)).into_response())
}

async fn look(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::View)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    Ok(at.mixdowns(&item, &visitor).into_response())
}

/// One that is being made is taken back; one that there is is deleted.
async fn take_back(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    at.admit(&id, &uri, &headers, LibraryGrant::Manage)?;
    let film = query::<Wish>(&uri)?.film()?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    if !at.jobs()?.cancel_mixdown(&item.folder, film) {
        at.library.work(move |library| library.unmake(&item, film.file_name())).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Endpoints {
    fn jobs(&self) -> Result<&Jobs, Unmade> {
        self.library.jobs().ok_or(Unmade::NoProgram)
    }

    fn mixdowns(&self, item: &Item, visitor: &Visitor) -> Json<Vec<MixdownAnswer>> {
        Json(mixdowns(item, &self.links(visitor), self.library.jobs()))
    }
}

/// A mixdown that there is, or that is being made, or that could not be made lately.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MixdownAnswer {
    film: &'static str,
    /// `waiting`, `fetching` (its recording's files come from the bucket first), `running`, `done` or `failed`. One that waits with a `progress` has
    /// begun, and the machine has no time for it at present.
    state: &'static str,
    /// How many are before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<usize>,
    /// How much of it is done, or of its recording's files is here, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f32>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl MixdownAnswer {
    /// Of an item; `url` leads to it once it is there.
    pub fn new(item: &Item, film: Film, jobs: &Jobs, url: impl FnOnce() -> String) -> Option<Self> {
        let (state, ahead) = state_of(item, film, jobs)?;
        let film_name = film.name();
        let mut answer =
            Self { film: film_name, state: "done", ahead: None, progress: None, code: None, detail: None, url: None, download: None, bytes: None };
        match state {
            JobState::Waiting => (answer.state, answer.ahead) = ("waiting", Some(ahead)),
            JobState::Fetching(part) => (answer.state, answer.progress) = ("fetching", Some(part)),
            JobState::Held(part) => (answer.state, answer.ahead, answer.progress) = ("waiting", Some(0), Some(part)),
            JobState::Running(part) => (answer.state, answer.progress) = ("running", Some(part)),
            JobState::Failed(why) => (answer.state, answer.code, answer.detail) = ("failed", Some(why.code()), Some(why.detail())),
            JobState::Done => {
                let url = url();
                let here = item.folder.join(film.file_name()).metadata().ok().map(|data| data.len());
                answer.bytes = here.or_else(|| item.stored.of(film.file_name()).map(|stored| stored.bytes));
                (answer.download, answer.url) = (Some(format!("{url}&download=1")), Some(url));
            }
        }
        Some(answer)
    }
}

/// How far a mixdown is; one that the bucket alone has is there.
fn state_of(item: &Item, film: Film, jobs: &Jobs) -> Option<(JobState, usize)> {
    match jobs.mixdown(&item.folder, film) {
        None | Some((JobState::Failed(_), _)) if item.stored.of(film.file_name()).is_some() => Some((JobState::Done, 0)),
        known => known,
    }
}

impl From<Unmade> for Problem {
    fn from(why: Unmade) -> Self {
        let status = match why {
            Unmade::NoProgram | Unmade::NoEncoder | Unmade::Nothing | Unmade::Gone => StatusCode::NOT_FOUND,
            Unmade::Busy | Unmade::Cancelled | Unmade::Away => StatusCode::SERVICE_UNAVAILABLE,
            Unmade::Full => StatusCode::INSUFFICIENT_STORAGE,
            Unmade::TooLong | Unmade::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let problem = Self::named(status, why.code(), why.detail());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.with(header::RETRY_AFTER, "5") } else { problem }
    }
}
