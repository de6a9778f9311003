//! What is kept of rooms, by HTTP: lists, playing, downloading, renaming, deleting, sharing. docs/LIBRARY.md says it for authors of clients.
//!
//! The way of a request: `guard` (origin; headers of the answer) → the token's grant for the room, or the link's signature → the library, in
//! a thread that may wait for the disk. A path is made of what the index and the manifest name, never of what a request says.
//!
//! | | |
//! |---|---|
//! | `GET /api/v1/library?room=…` | what is kept of a room |
//! | `GET`, `PATCH`, `DELETE /api/v1/library/{id}` | one of it |
//! | `POST /api/v1/library/{id}/share`, `GET /api/v1/library/shared/{id}` | a link for whoever has it |
//! | `GET /api/v1/library/{id}/files/{name}`, `…/{id}/zip`, `…/{id}/chat` | a file, all of them, what was said; by a signed link |
//! | `…/{id}/thumbnail`, `…/{id}/files/{name}/waveform`, `…/{id}/files/{name}/index.m3u8` | what is made of it; by a signed link |
//! | `POST`, `GET`, `DELETE /api/v1/library/{id}/mixdown` | one film of it |
//! | `/api/v1/library/uploads` | what members add: tus 1.0.0 |
//! | `/api/v1/rooms/{room}/recording` | a recording begins or ends |

mod answer;
mod bytes;
mod link;
mod made;
mod orders;
mod stored;
mod uploads;
mod zip;

/// What requests and answers are, for their description.
#[cfg(test)]
pub mod described {
    use schemars::JsonSchema;

    pub use super::answer::ItemAnswer;
    pub use super::orders::What;
    pub use super::{Rename, Share};

    /// What is kept of a room, newest first.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    pub struct ItemList {
        /// The items.
        items: Vec<ItemAnswer<'static>>,
        /// `after` of the next page; absent where there are no more.
        #[schemars(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// A link for whoever has it.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    pub struct Shared {
        /// The page of this server that shows it.
        url: String,
        /// Until when: seconds since the Unix epoch.
        expires: u64,
    }

    /// A recording that has begun.
    #[derive(JsonSchema)]
    #[allow(dead_code)]
    pub struct Began {
        /// Its identity in the library.
        id: String,
    }
}

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::control::api::{Once, once};
use crate::control::auth::{Visitor, unix_time};
use crate::control::http::Public;
use crate::control::http::cors::{Allowed, Cors};
use crate::control::http::problem::{Problem, ProblemCode, as_problem, bearer, page_size, query};
use crate::record::hls::Fragments;
use crate::record::library::{CHAT, Holder, Item, Library, LibraryError, Place, Purpose};
use crate::record::manifest::{Kind, NAME as MANIFEST, State as Recorded};
use crate::wire::{ErrorCode, LibraryGrant};
use answer::{ItemAnswer, file_name, title};
use bytes::saved_as;
use link::{Link, Links};
use zip::{Content, Entry, Zips};

/// What pages of other origins may ask for and see.
const ALLOWED: Allowed = Allowed {
    methods: "DELETE, GET, HEAD, OPTIONS, PATCH, POST",
    headers: "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset",
    exposed: "Accept-Ranges, Althing-Item, Content-Length, Content-Range, ETag, Location, Retry-After, Tus-Extension, Tus-Max-Size, Tus-Resumable, \
              Tus-Version, Upload-Expires, Upload-Length, Upload-Offset",
};
/// Sent with every answer. What strangers have sent is shown, never run, and nobody between keeps it.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "private, no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Items of an answer at most.
const MOST: usize = 100;
/// As many where nothing is said.
const USUAL: usize = 50;
/// Bytes of a request's JSON.
const JSON_BYTES: usize = 4_096;
/// Bytes of a title.
const TITLE_BYTES: usize = 200;
/// Seconds that a shared link is good for at most: a year.
const SHARED_SECONDS: u64 = 31_536_000;

/// What the endpoints share.
struct Endpoints {
    public: Public,
    library: Library,
    zips: Zips,
    fragments: Fragments,
}

/// The routes.
pub fn routes(public: Public, answered: Once) -> Router {
    let orders = orders::routes().layer(from_fn_with_state(answered, once)).with_state(public.clone());
    let kept = match public.front.library.clone() {
        Some(library) => kept(&public, library),
        None => nothing_kept(),
    };
    kept.merge(orders).layer(from_fn_with_state(public, guard))
}

fn kept(public: &Public, library: Library) -> Router {
    let zips = Zips::new(library.metrics().zips.clone());
    let endpoints = Arc::new(Endpoints { public: public.clone(), zips, fragments: Fragments::default(), library });
    Router::new()
        .route("/api/v1/library", get(list))
        .route("/api/v1/library/shared/{id}", get(shared))
        .route("/api/v1/library/{id}", get(one).patch(rename).delete(delete))
        .route("/api/v1/library/{id}/share", post(share))
        .route("/api/v1/library/{id}/files/{name}", get(file))
        .route("/api/v1/library/{id}/zip", get(zip))
        .route("/api/v1/library/{id}/chat", get(chat))
        .merge(made::routes())
        .merge(uploads::routes())
        .with_state(endpoints)
}

fn nothing_kept() -> Router {
    let why = "nothing is kept on this server: neither recording.enabled nor library.uploads is set, or library.enabled is not";
    let answer = any(move || async move { Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, why) });
    Router::new().route("/api/v1/library", answer.clone()).route("/api/v1/library/{*rest}", answer)
}

/// Around every request: whose page asks, and what every answer carries.
async fn guard(State(public): State<Public>, request: Request, next: Next) -> Response {
    let cors = Cors::of(&request, &public);
    let answer = match *request.method() {
        _ if !cors.is_allowed() => Problem::strange_origin().into_response(),
        Method::OPTIONS => preflight(&public, &cors),
        _ => as_problem(next.run(request).await),
    };
    public.front.rooms.metrics().answered("library", answer.extensions().get::<ProblemCode>().map(|code| code.0));
    let mut answer = cors.around(&ALLOWED, answer);
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn preflight(public: &Public, cors: &Cors) -> Response {
    let mut answer = cors.preflight(&ALLOWED);
    if let Some(uploads) = public.front.library.as_ref().and_then(|library| library.config().uploads.as_ref()) {
        uploads::options(uploads.bytes, answer.headers_mut());
    }
    answer
}

#[derive(Deserialize)]
struct ListQuery {
    room: String,
    after: Option<String>,
    limit: Option<usize>,
    kind: Option<Kind>,
}

async fn list(State(at): State<Arc<Endpoints>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let ListQuery { room, after, limit, kind } = query(&uri)?;
    let visitor = at.visitor(&room, &headers, LibraryGrant::View)?;
    let holder = visitor.clone();
    let limit = page_size(limit, USUAL, MOST)?;
    let after = after.map(|after| place(&after).ok_or_else(|| malformed("`after` is what `next` was"))).transpose()?;
    let (items, next) = at
        .library
        .work(move |library| {
            let places = library.page(visitor.room.as_str(), kind, after.as_ref(), limit + 1);
            let next = places.get(limit).and(places.get(limit - 1)).map(|(began, id)| format!("{began}.{id}"));
            // One that is deleted meanwhile is not there.
            let items: Vec<Item> = places.iter().take(limit).filter_map(|(_, id)| library.read(id).ok()).collect();
            Ok((items, next))
        })
        .await?;
    let links = at.links(&holder);
    let items: Vec<_> = items.iter().map(|item| ItemAnswer::new(item, &links, at.library.jobs())).collect();
    let mut answer = json!({ "items": items });
    if let Some(next) = next {
        answer["next"] = next.into();
    }
    Ok(Json(answer).into_response())
}

/// Where a page of the list ends: what was said in `next`.
fn place(after: &str) -> Option<Place> {
    let (began, id) = after.split_once('.')?;
    Some((began.parse().ok()?, id.to_owned()))
}

async fn one(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::View)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    Ok(at.answer(&item, &at.links(&visitor)))
}

/// Another title.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rename {
    /// The title (at most 200 bytes); empty for the room's name again.
    title: String,
}

async fn rename(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::Manage)?;
    let Rename { title } = json_of(body).await?;
    let title = title_of(&title)?;
    let item = at.library.work(move |library| library.amend(&id, |manifest| manifest.title = title)).await?;
    Ok(at.answer(&item, &at.links(&visitor)))
}

/// A title as it is kept; none for an empty one.
fn title_of(title: &str) -> Result<Option<String>, Problem> {
    let title = title.trim();
    if title.len() > TITLE_BYTES || title.chars().any(char::is_control) {
        return Err(malformed("a title has at most 200 bytes, and no line breaks or control characters"));
    }
    Ok((!title.is_empty()).then(|| title.to_owned()))
}

async fn delete(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::Manage)?;
    tracing::info!(item = id, room = %visitor.room, member = visitor.member.0, "to be deleted");
    at.library.work(move |library| library.delete(&id, "request")).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A link for whoever has it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Share {
    /// Seconds that it is good for: at most a year.
    seconds: u64,
}

async fn share(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let visitor = at.admit(&id, &uri, &headers, LibraryGrant::Manage)?;
    let Share { seconds } = json_of(body).await?;
    if !(1..=SHARED_SECONDS).contains(&seconds) {
        return Err(malformed("a link is good for 1 second to a year (31536000 seconds)"));
    }
    let expires = unix_time().as_secs().saturating_add(seconds);
    let signature = at.library.signer().sign(Purpose::Share, &id, "", expires, at.holder(&visitor).as_ref());
    Ok(Json(json!({ "url": format!("/library/shared/{id}?expires={expires}&signature={signature}"), "expires": expires })).into_response())
}

async fn shared(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri) -> Result<Response, Problem> {
    let link = at.link(Purpose::Share, &id, "", &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    Ok(at.answer(&item, &Links::by(at.library.signer(), &link)))
}

async fn file(
    State(at): State<Arc<Endpoints>>, Path((id, name)): Path<(String, String)>, uri: Uri, method: Method, headers: HeaderMap,
) -> Result<Response, Problem> {
    let link = at.link(Purpose::File, &id, &name, &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    let (path, media_type) = item.file(&name).ok_or(LibraryError::Unknown)?;
    let mut answer = match bytes::serve(&path, media_type, &method, &headers).await? {
        Some(answer) => answer,
        None => stored::serve(&at.library, &item, &name, media_type, &method, &headers)?,
    };
    if link.is_download() && answer.status().is_success() {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, bytes::attachment(&file_name(&item, &name)));
    }
    Ok(answer)
}

async fn zip(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri, method: Method) -> Result<Response, Problem> {
    at.link(Purpose::Zip, &id, "", &uri)?;
    let reader = at.clone();
    let (item, entries) =
        at.library.work(move |library| library.read(&id).and_then(|item| entries(&reader.library, &item).map(|entries| (item, entries)))).await?;
    let length = zip::length(&entries);
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let why = "as many downloads of everything as may be are under way already: try again later, or download single files";
        let full = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Full, why).with(header::RETRY_AFTER, "10");
        at.zips.begin().ok_or_else(full)?.stream(entries)
    };
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, bytes::attachment(&format!("{}.zip", title(&item))));
    if let Some(length) = length {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(answer)
}

/// What an archive of something has in it. What is still being recorded grows.
fn entries(library: &Library, item: &Item) -> Result<Vec<Entry>, LibraryError> {
    let goes_on = item.manifest.state == Recorded::Recording;
    let began = Duration::from_millis(item.manifest.began);
    let entry = |name: String, at: Duration, file: &str| {
        let (path, stored) = (item.folder.join(file), stored::Object::of(library, item, file));
        let bytes = match (std::fs::metadata(&path), &stored) {
            _ if goes_on => None,
            (Err(error), Some(stored)) if error.kind() == std::io::ErrorKind::NotFound => Some(stored.bytes()),
            (metadata, _) => Some(metadata?.len()),
        };
        Ok(Entry { name, at, content: Content::File { path, bytes, stored } })
    };
    let begins = |name: &str| {
        let file = item.manifest.files.iter().find(|file| file.name == name);
        began.saturating_add(Duration::from_micros(file.map_or(0, |file| file.at.max(0).unsigned_abs())))
    };
    let files = item.names().map(|name| entry(saved_as(&file_name(item, name)), begins(name), name));
    let chat = item.beside.contains(CHAT).then(|| entry(CHAT.to_owned(), began, CHAT));
    // Renaming it puts another manifest there: what was said here is what is sent.
    let manifest = Entry { name: MANIFEST.to_owned(), at: began, content: Content::Bytes(item.manifest.text()?) };
    files.chain(chat).chain([Ok(manifest)]).collect()
}

async fn chat(State(at): State<Arc<Endpoints>>, Path(id): Path<String>, uri: Uri) -> Result<Response, Problem> {
    at.link(Purpose::Chat, &id, "", &uri)?;
    let item = at.library.work(move |library| library.read(&id)).await?;
    at.library.bring(&item, CHAT).await?;
    let said = at.library.work(move |_| item.chat()).await?;
    Ok(Json(said).into_response())
}

impl Endpoints {
    /// Whoever asks, if its token allows so much in this room.
    fn visitor(&self, room: &str, headers: &HeaderMap, needed: LibraryGrant) -> Result<Visitor, Problem> {
        let visitor = self.public.front.access.admit_visitor(room, bearer(headers))?;
        refuse_removed(&self.public, &visitor)?;
        if visitor.library < needed {
            let why = if needed == LibraryGrant::View {
                "your token does not allow to see what is kept"
            } else {
                "your token does not allow to change what is kept"
            };
            return Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, why));
        }
        Ok(visitor)
    }

    /// Whoever asks, if its token allows so much of something's room.
    fn admit(&self, id: &str, uri: &Uri, headers: &HeaderMap, needed: LibraryGrant) -> Result<Visitor, Problem> {
        #[derive(Deserialize)]
        struct Room {
            room: Option<String>,
        }
        let Room { room } = query(uri)?;
        let entry = self.library.find(id).filter(|entry| room.is_none_or(|room| room == entry.room)).ok_or(LibraryError::Unknown)?;
        self.visitor(&entry.room, headers, needed)
    }

    /// The link that was asked by, if it is a good one for this.
    fn link(&self, purpose: Purpose, id: &str, name: &str, uri: &Uri) -> Result<Link, Problem> {
        let mut link: Link = query(uri)?;
        let checked = link.check(&self.library, purpose, id, name);
        self.library.metrics().link(checked.as_ref().map_or_else(|bad| bad.1, |()| "ok"));
        checked.map_err(|bad| bad.0).map(|()| link)
    }

    /// An item with these links.
    fn answer(&self, item: &Item, links: &Links) -> Response {
        Json(ItemAnswer::new(item, links, self.library.jobs())).into_response()
    }

    /// Links for somebody.
    fn links(&self, visitor: &Visitor) -> Links<'_> {
        Links::new(self.library.signer(), self.holder(visitor))
    }

    /// Whom a link is handed to now; nobody where nobody says who they are.
    fn holder(&self, visitor: &Visitor) -> Option<Holder> {
        let known = !self.public.front.access.development();
        known.then(|| Holder { member: visitor.member.0.clone(), issued: unix_time().as_secs() })
    }
}

/// Refuses whom a moderator has removed from the room.
fn refuse_removed(public: &Public, visitor: &Visitor) -> Result<(), Problem> {
    let library = public.front.library.as_ref().filter(|_| !public.front.access.development());
    if library.is_some_and(|library| library.is_sent_away(visitor.room.as_str(), &visitor.member.0)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Kicked, "a moderator has removed you from this room"));
    }
    Ok(())
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Unknown => Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such thing in the library (any more)"),
            LibraryError::GoesOn => Self::new(StatusCode::CONFLICT, ErrorCode::WrongState, "it is still being recorded: end the recording first"),
            LibraryError::Away(trouble) => {
                tracing::error!(why = %trouble, "what the bucket alone has cannot be had");
                Self::named(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", "the place where it is does not answer: try again later")
                    .with(header::RETRY_AFTER, "5")
            }
            LibraryError::Disk(error) => {
                tracing::error!(%error, "the library's disk refuses");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, "the server's disk refuses: try again later")
                    .with(header::RETRY_AFTER, "5")
            }
        }
    }
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, why)
}

async fn json_of<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = to_bytes(body, JSON_BYTES).await.map_err(|_| malformed("the request is no JSON of at most 4096 bytes"))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(format!("the request is not what it should be: {error}")))
}
