//! Uploads in pieces: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), with the extensions creation, termination and expiration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Endpoints, malformed, refuse_removed, title_of};
use crate::control::auth::{Visitor, unix_time};
use crate::control::http::problem::{Problem, bearer};
use crate::control::{Limit, Refusal, draw};
use crate::record::library::{About, Continued, Progress, UploadError, media_type};
use crate::record::manifest::{Kind, Person};
use crate::wire::{ErrorCode, LibraryGrant};

const VERSION: &str = "1.0.0";
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// The item that an upload has become.
const ITEM: HeaderName = HeaderName::from_static("althing-item");
/// The media type of a piece.
const PIECE: &str = "application/offset+octet-stream";
/// Bytes of all that is said of an upload.
const METADATA_BYTES: usize = 4_096;
/// Bytes of a file's name, and of a name to show.
const NAME_BYTES: usize = 255;
/// Who sends nothing for so long is taken for gone, and may go on by another connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is written at a time at least, but for the last piece: writing takes a thread that may wait for the disk.
const AT_ONCE: usize = 256 * 1024;
/// The longest recording of a browser, in microseconds: a week.
const LONGEST: i64 = 7 * 86_400 * 1_000_000;

/// What `OPTIONS` says of uploads of at most so many bytes.
pub fn options(bytes: u64, answer: &mut HeaderMap) {
    answer.insert(RESUMABLE, HeaderValue::from_static(VERSION));
    answer.insert(VERSIONS, HeaderValue::from_static(VERSION));
    answer.insert(HeaderName::from_static("tus-extension"), HeaderValue::from_static("creation,termination,expiration"));
    answer.insert(HeaderName::from_static("tus-max-size"), HeaderValue::from(bytes));
}

/// Their routes.
pub fn routes() -> Router<Arc<Endpoints>> {
    let nothing =
        any(|| async { Problem::method("DELETE, HEAD, OPTIONS, PATCH", "an upload is asked about (HEAD), continued (PATCH) or ended (DELETE)") });
    let one = nothing.head(progress).patch(go_on).delete(cancel);
    Router::new().route("/api/v1/library/uploads", post(begin)).route("/api/v1/library/uploads/{id}", one)
}

async fn begin(State(at): State<Arc<Endpoints>>, headers: HeaderMap) -> Result<Response, Problem> {
    speaks(&headers)?;
    let said = metadata(&headers)?;
    let text = |key: &str| said.get(key).map(String::as_str).filter(|text| !text.is_empty());
    let room = text("room").ok_or_else(|| malformed("Upload-Metadata says no room"))?;
    let visitor = at.visitor(room, &headers, LibraryGrant::Manage)?;
    let bytes = number(&headers, &LENGTH).filter(|bytes| *bytes > 0).ok_or_else(|| malformed("Upload-Length has to say how many bytes there are"))?;
    let Some((kind, media_type, _)) = text("type").and_then(media_type) else {
        let why = "only PNG, JPEG and WebP pictures, WebM, Ogg and MP4 sound, WebM and MP4 video are taken: say which in `type`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why));
    };
    if text("kind").is_some_and(|said| said != name_of(kind)) {
        return Err(malformed("`kind` does not go with `type`: a picture is a screenshot, sound is audio, and video is video"));
    }
    let about = About {
        room: room.to_owned(),
        kind,
        by: person(&at, &visitor, text("by"))?,
        called: text("name").unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_BYTES / 4).collect(),
        media_type: media_type.to_owned(),
        title: text("title").map(title_of).transpose()?.flatten(),
        at: moment(text("at"))?,
        length: length(text("length"))?,
        bytes,
    };
    let id = draw::hex::<16>();
    let (library, begun, most) = (at.library.clone(), id.clone(), at.public.front.rooms.kept_of(&visitor.room));
    let metrics = at.public.front.rooms.metrics().clone();
    blocking(move || {
        library.begin_upload(&begun, about, most).inspect_err(|error| {
            if matches!(error, UploadError::RoomFull) {
                metrics.limited(Limit::Kept.name());
            }
        })
    })
    .await?;
    tracing::info!(upload = id, room, member = visitor.member.0, bytes, media_type, "an upload begins");
    let location = HeaderValue::try_from(format!("/api/v1/library/uploads/{id}")).map_err(|_| malformed("no such place"))?;
    let mut answer = (StatusCode::CREATED, [(header::LOCATION, location)]).into_response();
    if let Some(progress) = at.library.upload(&id) {
        say(&progress, &id, answer.headers_mut());
    }
    Ok(answer)
}

async fn progress(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let progress = at.own(&id, &headers)?;
    let mut answer = StatusCode::OK.into_response();
    say(&progress, &id, answer.headers_mut());
    answer.headers_mut().insert(LENGTH, HeaderValue::from(progress.bytes));
    Ok(answer)
}

async fn go_on(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let progress = at.own(&id, &headers)?;
    let is_piece = headers.get(header::CONTENT_TYPE).is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(PIECE.as_bytes()));
    if !is_piece {
        let why = "a piece comes as application/offset+octet-stream";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why));
    }
    let offset = number(&headers, &OFFSET).ok_or_else(|| malformed("Upload-Offset has to say where the piece begins"))?;
    if progress.finished {
        return Err(UploadError::Offset(progress.offset).into());
    }
    let (library, continued) = (at.library.clone(), id.clone());
    let upload = blocking(move || library.continue_upload(&continued, offset)).await?;
    let (upload, ended) = receive(upload, body).await?;
    // What has come is kept, even when the rest has not.
    let whole = upload.missing() == 0;
    if whole {
        blocking(move || upload.finish()).await?;
        tracing::info!(item = id, "an upload is complete");
    } else {
        drop(upload);
        ended?;
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    if let Some(progress) = at.library.upload(&id) {
        say(&progress, &id, answer.headers_mut());
    }
    Ok(answer)
}

async fn cancel(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    if at.own(&id, &headers)?.finished {
        return Err(UploadError::Unknown.into());
    }
    let library = at.library.clone();
    blocking(move || library.cancel_upload(&id)).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    Ok(answer)
}

/// Takes in a piece; the second value is why it was not whole.
async fn receive(mut upload: Continued, body: Body) -> Result<(Continued, Result<(), Problem>), Problem> {
    let mut chunks = body.into_data_stream();
    let mut waiting = Vec::new();
    loop {
        let ended = match timeout(PATIENCE, chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                waiting.extend_from_slice(&chunk);
                if waiting.len() as u64 > upload.missing() {
                    return Err(UploadError::TooBig(upload.offset() + upload.missing()).into());
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Ok(Some(Err(_))) => Some(Err(malformed("the piece did not come whole"))),
            Err(_) => Some(Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the piece did not come in time"))),
        };
        if waiting.len() >= AT_ONCE || (ended.is_some() && !waiting.is_empty()) {
            let written = blocking(move || upload.write(&waiting).map(|()| (upload, waiting))).await?;
            (upload, waiting) = written;
            waiting.clear();
        }
        if let Some(ended) = ended {
            return Ok((upload, ended));
        }
    }
}

impl Endpoints {
    /// How far an upload is, for who adds it and nobody else.
    fn own(&self, id: &str, headers: &HeaderMap) -> Result<Progress, Problem> {
        speaks(headers)?;
        let progress = self.library.upload(id).ok_or(UploadError::Unknown)?;
        let visitor = self.public.front.access.admit_visitor(&progress.room, bearer(headers))?;
        refuse_removed(&self.public, &visitor)?;
        let own = progress.finished || visitor.member.0 == progress.member;
        if visitor.library < LibraryGrant::Manage || !own {
            return Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "the upload is another member's"));
        }
        Ok(progress)
    }
}

async fn blocking<T: Send + 'static>(what: impl FnOnce() -> Result<T, UploadError> + Send + 'static) -> Result<T, Problem> {
    let done = spawn_blocking(what).await.map_err(|error| UploadError::Disk(std::io::Error::other(error)))?;
    Ok(done?)
}

/// What is said of an upload with each answer.
fn say(progress: &Progress, id: &str, answer: &mut HeaderMap) {
    answer.insert(RESUMABLE, HeaderValue::from_static(VERSION));
    answer.insert(OFFSET, HeaderValue::from(progress.offset));
    if let Some(Ok(item)) = progress.finished.then(|| HeaderValue::try_from(id)) {
        answer.insert(ITEM, item);
    }
    let expires = progress.expires.map(|millis| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(1 << 45))));
    if let Some(Ok(expires)) = expires.map(HeaderValue::try_from) {
        answer.insert(EXPIRES, expires);
    }
}

fn speaks(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(RESUMABLE).is_some_and(|version| version.as_bytes() == VERSION.as_bytes()) {
        return Ok(());
    }
    let why = "this server speaks tus 1.0.0: send Tus-Resumable: 1.0.0";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, ErrorCode::UnsupportedVersion, why).with(VERSIONS, VERSION))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// What is said of the upload: keys, and values in Base64.
fn metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Problem> {
    let said = headers.get(METADATA).map_or(Ok(""), |said| said.to_str()).map_err(|_| malformed("Upload-Metadata is not ASCII"))?;
    if said.len() > METADATA_BYTES {
        return Err(malformed(format!("Upload-Metadata has at most {METADATA_BYTES} bytes")));
    }
    let pair = |pair: &str| {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = STANDARD.decode(value.trim()).ok().and_then(|value| String::from_utf8(value).ok());
        Ok((key.to_owned(), value.ok_or_else(|| malformed("Upload-Metadata has a value that is not UTF-8 in Base64"))?))
    };
    said.split(',').filter(|said| !said.trim().is_empty()).map(pair).collect()
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Recording => "recording",
        Kind::Screenshot => "screenshot",
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}

/// Who adds it: as the token says, and under the name that the page has for itself where the token has none.
fn person(at: &Endpoints, visitor: &Visitor, by: Option<&str>) -> Result<Person, Problem> {
    let name = match (&visitor.name, by) {
        (Some(name), _) => name.clone(),
        (None, Some(by)) => at.public.front.access.shown_name(by)?,
        (None, None) => visitor.member.0.clone(),
    };
    Ok(Person { member: visitor.member.0.clone(), name })
}

/// When it was made, in milliseconds since the Unix epoch: not in the future, and now where nobody says.
fn moment(said: Option<&str>) -> Result<u64, Problem> {
    let now = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
    let Some(said) = said else { return Ok(now) };
    said.parse().map(|at: u64| at.min(now)).map_err(|_| malformed("`at` is a number of milliseconds since 1970"))
}

fn length(said: Option<&str>) -> Result<i64, Problem> {
    let Some(said) = said else { return Ok(0) };
    let length = said.parse().ok().filter(|length| (0..=LONGEST).contains(length));
    length.ok_or_else(|| malformed("`length` is a number of microseconds, of a week at most"))
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Off => Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "this server takes no uploads (library.uploads)"),
            UploadError::Unknown => Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such upload (any more)"),
            UploadError::TooBig(most) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::LimitExceeded, format!("there are more bytes than may be: at most {most}"))
            }
            UploadError::TooMany => {
                let why = "as many uploads as may be are under way already: finish or end one, or try again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Full, why).with(header::RETRY_AFTER, "60")
            }
            UploadError::RoomFull => Refusal::library_full().into(),
            UploadError::NoRoom => Self::named(StatusCode::INSUFFICIENT_STORAGE, "no_room", "the server has no room for it"),
            UploadError::Busy => {
                Self::named(StatusCode::LOCKED, "busy", "another connection is at this upload: try again in a moment").with(header::RETRY_AFTER, "2")
            }
            UploadError::Offset(at) => Self::named(StatusCode::CONFLICT, "wrong_offset", format!("the upload goes on at byte {at}")),
            UploadError::NotThat => {
                let why = "the file is not of the type that it was said to be";
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why)
            }
            UploadError::Disk(error) => {
                tracing::error!(%error, "an upload cannot be written");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, "the server's disk refuses: try again later")
                    .with(header::RETRY_AFTER, "5")
            }
        }
    }
}
