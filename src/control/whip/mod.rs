//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): publishing into a room, and playing members of one, by plain HTTP.
//!
//! The way of an offer: rate and size → `auth` → [`Offer::parse`] → the room's actor → the pure [`Room::apply`] → the answer.
//! The room, its rules and its members are those of signaling; only the front door differs.
//!
//! | | |
//! |---|---|
//! | `POST /whip/{room}/{member}` | publishes as this member |
//! | `POST /whep/{room}/{member,member…}` | plays these members: slot pair i shows the i-th |
//! | `DELETE <Location>` | ends the session |
//!
//! [`Room::apply`]: crate::control::rooms::Room::apply

mod place;
mod rate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::control::auth::member_of_path;
use crate::control::http::Public;
use crate::control::http::cors::{Allowed, Cors};
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::actor::Letter;
use crate::control::rooms::{Admission, Attach, Command, Purpose};
use crate::control::{Refusal, draw};
use crate::sdp::{Offer, OfferLimits};
use crate::wire::{ErrorCode, OkResult};
use rate::Rate;

pub use place::{Place, Places};

/// What can be posted (RFC 9725 section 4.2).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// The media type of offers and answers (RFC 8866 section 8.1).
const SDP: &str = "application/sdp";
/// What pages of other origins may ask for and see.
const ALLOWED: Allowed = Allowed {
    methods: "DELETE, OPTIONS, PATCH, POST",
    headers: "Authorization, Content-Type, If-Match",
    exposed: "Location, Link, ETag, Retry-After",
};
/// A body that is not there by then is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How often a room that has just ended is opened anew for one offer.
const TRIES: u32 = 3;

/// What the endpoints share.
struct Endpoints {
    public: Public,
    places: Places,
    rate: Rate,
}

/// Which of the two.
#[derive(Clone, Copy)]
enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Protocol::Whip => "whip",
            Protocol::Whep => "whep",
        }
    }
}

/// The routes of both.
pub fn routes(public: Public) -> Router {
    let (limits, gauge) = (&public.front.limits, public.front.rooms.metrics().whip_sessions.clone());
    let (places, rate) = (Places::new(limits.whip_sessions, gauge), Rate::new(limits.whip_posts_per_second));
    let endpoints = Arc::new(Endpoints { public, places, rate });
    let mut router = Router::new();
    for protocol in [Protocol::Whip, Protocol::Whep] {
        let begin = move |State(at): State<Arc<Endpoints>>,
                          ConnectInfo(from): ConnectInfo<SocketAddr>,
                          Path(place): Path<(String, String)>,
                          request: Request| async move { at.endpoint(protocol, from, place, request).await };
        let end = move |State(at): State<Arc<Endpoints>>, Path((room, _, session)): Path<(String, String, String)>, request: Request| async move {
            at.session(protocol, &room, session, request).await
        };
        let name = protocol.name();
        router =
            router.route(&format!("/{name}/{{room}}/{{member}}"), any(begin)).route(&format!("/{name}/{{room}}/{{member}}/{{session}}"), any(end));
    }
    router.with_state(endpoints)
}

impl Endpoints {
    /// The URL that sessions begin at.
    async fn endpoint(&self, protocol: Protocol, from: SocketAddr, (room, member): (String, String), request: Request) -> Response {
        let cors = Cors::of(&request, &self.public);
        let answer = match *request.method() {
            _ if !cors.is_allowed() => Err(Problem::strange_origin()),
            Method::OPTIONS => Ok(preflight(&cors)),
            Method::POST => self.begin(protocol, from, &room, &member, request).await,
            _ => Err(Problem::method("OPTIONS, POST", "this is where a session begins: POST an offer")),
        };
        self.finish(protocol.name(), &cors, answer)
    }

    /// The URL of a session.
    async fn session(&self, protocol: Protocol, room: &str, session: String, request: Request) -> Response {
        let cors = Cors::of(&request, &self.public);
        let answer = match *request.method() {
            _ if !cors.is_allowed() => Err(Problem::strange_origin()),
            Method::OPTIONS => Ok(preflight(&cors)),
            Method::DELETE => self.end(protocol, room, session).await,
            Method::PATCH => Err(Problem::method(
                "DELETE, OPTIONS",
                "this server needs no candidates (it is ICE-lite) and restarts no session: POST a new offer instead",
            )),
            _ => Err(Problem::method("DELETE, OPTIONS", "a session can be ended: DELETE it")),
        };
        self.finish(protocol.name(), &cors, answer)
    }

    fn finish(&self, name: &'static str, cors: &Cors, answer: Result<Response, Problem>) -> Response {
        let response = answer.unwrap_or_else(|problem| {
            if !problem.counted {
                self.public.front.rooms.metrics().answered(name, Some(problem.code));
            }
            problem.into_response()
        });
        cors.around(&ALLOWED, response)
    }

    async fn begin(&self, protocol: Protocol, from: SocketAddr, room: &str, member: &str, request: Request) -> Result<Response, Problem> {
        if !self.rate.allows(from.ip()) {
            let why = format!("at most {} sessions a second may begin from one network: slow down", self.public.front.limits.whip_posts_per_second);
            return Err(Refusal::new(ErrorCode::RateLimited, why).into());
        }
        if !*self.public.ready.borrow() {
            return Err(Refusal::new(ErrorCode::Full, "the server is shutting down: try again in a moment").into());
        }
        let headers = request.headers();
        let (admission, purpose) = self.admit(protocol, room, member, bearer(headers))?;
        if !is_sdp(headers) {
            let why = "the body has to be an offer, with Content-Type: application/sdp";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why).with(ACCEPT_POST, SDP));
        }
        let place = self.place()?;
        let offer = self.offer(request.into_body()).await?;
        let (sdp, session) = self.attach(protocol, admission, purpose, offer, place).await?;
        let location = format!("/{}/{room}/{member}/{session}", protocol.name());
        let location = HeaderValue::try_from(location).map_err(|_| Refusal::new(ErrorCode::InvalidName, "a name that no URL can have"))?;
        let mut response = (StatusCode::CREATED, sdp).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn admit(&self, protocol: Protocol, room: &str, member: &str, token: Option<&str>) -> Result<(Admission, Purpose), Refusal> {
        let front = &self.public.front;
        match protocol {
            Protocol::Whip => Ok((front.access.admit_publisher(room, member, token)?, Purpose::Publish)),
            Protocol::Whep => {
                let admission = front.access.admit_player(room, token)?;
                let most = front.limits.mlines as usize;
                let members = member.split(',').take(most.saturating_add(1)).map(member_of_path).collect::<Result<Vec<_>, _>>()?;
                if members.len() > most {
                    return Err(Refusal::new(ErrorCode::LimitExceeded, format!("at most {most} members are played at once")));
                }
                Ok((admission, Purpose::Play(members)))
            }
        }
    }

    fn place(&self) -> Result<Place, Refusal> {
        self.places.take().ok_or_else(|| Refusal::new(ErrorCode::Full, "the server has no place for another session: try again later"))
    }

    /// Reads the offer. Twice the size allowed is still taken in, so that whoever sends too much is told so.
    async fn offer(&self, body: Body) -> Result<Offer, Problem> {
        let limits = &self.public.front.limits;
        let limits = OfferLimits { max_mlines: limits.mlines as usize, max_bytes: limits.offer_bytes as usize };
        let text = match timeout(BODY_WITHIN, read(body, limits.max_bytes.saturating_mul(2))).await {
            Ok(text) => text?,
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the offer did not come in time")),
        };
        if text.len() > limits.max_bytes {
            return Err(too_large(limits.max_bytes).into());
        }
        let text = String::from_utf8(text).map_err(|_| Refusal::new(ErrorCode::SdpMalformed, "the offer is not UTF-8"))?;
        Ok(Offer::parse(&text, &limits).map_err(Refusal::from)?)
    }

    /// Has the room take the member in; the answer's text and the session's secret.
    async fn attach(
        &self, protocol: Protocol, admission: Admission, purpose: Purpose, offer: Offer, place: Place,
    ) -> Result<(String, String), Problem> {
        let rooms = &self.public.front.rooms;
        let (mut place, offer) = (Some(place), Box::new(offer));
        for _ in 0..TRIES {
            let room = rooms.open(&admission.room, &admission.settings)?;
            let (socket, joining) = (rooms.numbers().socket(), draw::join(room.id));
            let session = joining.resume.clone();
            let (admission, purpose, offer) = (admission.clone(), purpose.clone(), offer.clone());
            let attach = Attach { socket, admission, purpose, offer, joining, offering: rooms.draw_offer() };
            let (answered, outcome) = oneshot::channel();
            let command = Command::Attach(Box::new(attach));
            // A room that ends meanwhile takes the place with it; the next try has to take another.
            let place = Some(place.take().map_or_else(|| self.place(), Ok)?);
            if room.send(Letter::Ask { command, name: protocol.name(), socket, place, answered }).await.is_err() {
                continue;
            }
            match outcome.await {
                Ok(Ok(Some(OkResult::Answer { sdp, .. }))) => return Ok((sdp, session)),
                Ok(Err(refusal)) => return Err(Problem { counted: true, ..refusal.into() }),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        Err(Refusal::new(ErrorCode::Internal, "the room is lost: try again").into())
    }

    async fn end(&self, protocol: Protocol, room: &str, secret: String) -> Result<Response, Problem> {
        let rooms = &self.public.front.rooms;
        let unknown = || Refusal::new(ErrorCode::ResumeUnknown, "there is no such session (any more)");
        let room = rooms.of_secret(&secret).filter(|r| r.name.as_str() == room).ok_or_else(unknown)?;
        let socket = rooms.numbers().socket();
        let (answered, outcome) = oneshot::channel();
        let command = Command::Detach { socket, secret };
        let name = match protocol {
            Protocol::Whip => "whip_delete",
            Protocol::Whep => "whep_delete",
        };
        room.send(Letter::Ask { command, name, socket, place: None, answered }).await.map_err(|_| unknown())?;
        match outcome.await {
            Ok(Ok(_)) => Ok(StatusCode::OK.into_response()),
            Ok(Err(refusal)) => Err(Problem { counted: true, ..refusal.into() }),
            Err(_) => Err(unknown().into()),
        }
    }
}

/// The answer to `OPTIONS`: what can be posted here (RFC 9725 section 4.2).
fn preflight(cors: &Cors) -> Response {
    let mut response = cors.preflight(&ALLOWED);
    response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    response
}

/// Whether the body is said to be a session description; parameters are let go.
fn is_sdp(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP))
}

async fn read(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, "the offer did not come whole"))?;
        if text.len().saturating_add(chunk.len()) > most {
            return Err(too_large(most / 2).into());
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(ErrorCode::LimitExceeded, format!("an offer has at most {limit} bytes: offer fewer codecs or m-lines"))
}
