//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): publishing into a room, and playing members of one, by plain HTTP.
//!
//! The way of an offer: rate and size → `auth` → [`Offer::parse`] → the room's actor → the pure [`Room::apply`] → the answer.
//! The room, its rules and its members are those of signaling; only the front door differs.
//!
//! | | |
//! |---|---|
//! | `POST /whip/{room}/{member}` | publishes as this member |
//! | `POST /whep/{room}/{member,member…}` | plays these members: slot pair i shows the i-th |
//! | `POST /whep/{room}` | plays whoever speaks |
//! | `PATCH <Location>` | candidates, or an ICE restart |
//! | `DELETE <Location>` | ends the session |
//!
//! [`Room::apply`]: crate::control::rooms::Room::apply

mod headers;
mod pins;
mod place;
mod rate;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::control::auth::unix_time;
use crate::control::http::Public;
use crate::control::http::cors::{Allowed, Cors};
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::actor::Letter;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{Admission, Attach, Command, Purpose};
use crate::control::trace::{Journey, Step};
use crate::control::{Refusal, draw};
use crate::sdp::{Offer, OfferLimits};
use crate::wire::{ErrorCode, OkResult};
use headers::{ACCEPT_PATCH, ACCEPT_POST, FRAGMENT, SDP, is_of_type, link, tag_of};
use pins::{SPEAKER, pins_of_path};
use rate::Rate;

pub use place::{Place, Places};

/// What pages of other origins may ask for and see.
const ALLOWED: Allowed = Allowed {
    methods: "DELETE, OPTIONS, PATCH, POST",
    headers: "Authorization, Content-Type, If-Match",
    exposed: "Accept-Patch, ETag, Link, Location, Retry-After",
};
/// A body that is not there by then is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Fragments that may come for each session that may begin, a second: a client that trickles has one for each batch of candidates.
const PATCHES: u32 = 8;
/// How often a room that has just ended is opened anew for one offer.
const TRIES: u32 = 3;

/// What the endpoints share.
struct Endpoints {
    public: Public,
    places: Places,
    rate: Rate,
    patches: Rate,
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
    let patches = Rate::new(limits.whip_posts_per_second.saturating_mul(PATCHES));
    let endpoints = Arc::new(Endpoints { public, places, rate, patches });
    let speaker = async |State(at): State<Arc<Endpoints>>, ConnectInfo(from): ConnectInfo<SocketAddr>, Path(room): Path<String>, request: Request| {
        at.endpoint(Protocol::Whep, from, (room, SPEAKER.to_owned()), request).await
    };
    let mut router = Router::new().route("/whep/{room}", any(speaker)).route("/whip/{room}", any(nobody));
    for protocol in [Protocol::Whip, Protocol::Whep] {
        let begin = move |State(at): State<Arc<Endpoints>>,
                          ConnectInfo(from): ConnectInfo<SocketAddr>,
                          Path(place): Path<(String, String)>,
                          request: Request| async move { at.endpoint(protocol, from, place, request).await };
        let session = move |State(at): State<Arc<Endpoints>>,
                            ConnectInfo(from): ConnectInfo<SocketAddr>,
                            Path((room, _, session)): Path<(String, String, String)>,
                            request: Request| async move { at.session(protocol, from, &room, session, request).await };
        let name = protocol.name();
        router = router
            .route(&format!("/{name}"), any(nobody))
            .route(&format!("/{name}/"), any(nobody))
            .route(&format!("/{name}/{{room}}/"), any(nobody))
            .route(&format!("/{name}/{{room}}/{{member}}"), any(begin))
            .route(&format!("/{name}/{{room}}/{{member}}/{{session}}"), any(session));
    }
    router.with_state(endpoints)
}

/// What is below neither of the two is where no session begins.
async fn nobody(State(at): State<Arc<Endpoints>>, request: Request) -> Response {
    let cors = Cors::of(&request, &at.public);
    let protocol = if request.uri().path().starts_with("/whip") { Protocol::Whip } else { Protocol::Whep };
    let why = "a session begins at /whip/ROOM/MEMBER (who publishes), at /whep/ROOM/MEMBER,MEMBER (who is played) or at /whep/ROOM (whoever speaks)";
    let problem = if cors.is_allowed() { Refusal::new(ErrorCode::NotFound, why).into() } else { Problem::strange_origin() };
    at.finish(protocol.name(), &cors, Err(problem))
}

impl Endpoints {
    /// The URL that sessions begin at.
    async fn endpoint(&self, protocol: Protocol, from: SocketAddr, (room, member): (String, String), request: Request) -> Response {
        let cors = Cors::of(&request, &self.public);
        let answer = match *request.method() {
            _ if !cors.is_allowed() => Err(Problem::strange_origin()),
            Method::OPTIONS => Ok(self.preflight(protocol, &cors, from, (&room, &member), &request)),
            Method::POST => self.begin(protocol, from, &room, &member, request).await,
            _ => Err(Problem::method("OPTIONS, POST", "this is where a session begins: POST an offer")),
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

    /// Has a session begin, and its join be traced.
    async fn begin(&self, protocol: Protocol, from: SocketAddr, room: &str, member: &str, request: Request) -> Result<Response, Problem> {
        let journey = self.public.front.tracer.begin(SystemTime::now());
        journey.passed(Step::Socket, SystemTime::now());
        let answer = self.open(protocol, from, (room, member), request, &journey).await;
        match &answer {
            Ok(_) => journey.passed(Step::Answer, SystemTime::now()),
            Err(problem) => journey.refused(problem.code),
        }
        answer
    }

    async fn open(
        &self, protocol: Protocol, from: SocketAddr, (room, member): (&str, &str), request: Request, journey: &Journey,
    ) -> Result<Response, Problem> {
        if !self.rate.allows(from.ip()) {
            let why = format!("at most {} sessions a second may begin from one network: slow down", self.public.front.limits.whip_posts_per_second);
            return Err(Refusal::new(ErrorCode::RateLimited, why).into());
        }
        if !*self.public.ready.borrow() {
            return Err(Refusal::new(ErrorCode::Draining, "the server is shutting down: try again in a moment").into());
        }
        let headers = request.headers();
        let (admission, purpose) = self.admit(protocol, room, member, bearer(headers))?;
        journey.passed(Step::Token, SystemTime::now());
        if !is_of_type(headers, SDP) {
            let why = "the body has to be an offer, with Content-Type: application/sdp";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why).with(ACCEPT_POST, SDP));
        }
        let place = self.place()?;
        let text = self.offered(request.into_body()).await?;
        journey.waited(SystemTime::now());
        let begun = Instant::now();
        let offer = self.parse(&text)?;
        let identity = admission.identity.clone();
        let (sdp, session, at) = self.attach(protocol, admission, purpose, offer, (place, journey)).await?;
        self.public.front.rooms.metrics().join_seconds.observe(begun.elapsed().as_secs_f64());
        let location = format!("/{}/{room}/{member}/{session}", protocol.name());
        let location = HeaderValue::try_from(location).map_err(|_| Refusal::new(ErrorCode::InvalidName, "a name that no URL can have"))?;
        let tag = tag_of(&sdp);
        let mut response = (StatusCode::CREATED, sdp).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
        response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
        link(&self.public.front.ice.of(&at.relay_user(&identity), unix_time()), &mut response);
        Ok(response)
    }

    /// The answer to `OPTIONS`: what can be posted here (RFC 9725 section 4.2), and for whoever shows a token where STUN and TURN are, since some
    /// clients have to know before they offer (section 4.6). A browser's preflight shows none.
    fn preflight(&self, protocol: Protocol, cors: &Cors, from: SocketAddr, (room, member): (&str, &str), request: &Request) -> Response {
        let mut response = cors.preflight(&ALLOWED);
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(SDP));
        let front = &self.public.front;
        if let Some(token) = bearer(request.headers())
            && self.rate.allows(from.ip())
            && let Ok((admission, _)) = self.admit(protocol, room, member, Some(token))
        {
            // Without a room nobody could take a relay's credentials back.
            let user = front.rooms.named(&admission.room).map(|room| room.relay_user(&admission.identity));
            let mut servers = front.ice.of(user.as_deref().unwrap_or_default(), unix_time());
            servers.retain(|server| user.is_some() || server.credential.is_none());
            link(&servers, &mut response);
        }
        response
    }

    fn admit(&self, protocol: Protocol, room: &str, member: &str, token: Option<&str>) -> Result<(Admission, Purpose), Refusal> {
        let front = &self.public.front;
        match protocol {
            Protocol::Whip => Ok((front.access.admit_publisher(room, member, token)?, Purpose::Publish)),
            Protocol::Whep => {
                let admission = front.access.admit_player(room, token)?;
                let pins = pins_of_path(member, front.limits.mlines as usize)?;
                Ok((admission, Purpose::Play(pins)))
            }
        }
    }

    fn place(&self) -> Result<Place, Refusal> {
        self.places.take().ok_or_else(|| Refusal::new(ErrorCode::Full, "the server has no place for another session: try again later"))
    }

    /// The text of an offer.
    async fn offered(&self, body: Body) -> Result<String, Problem> {
        let most = self.public.front.limits.offer_bytes as usize;
        let too_large = || format!("an offer has at most {most} bytes: offer fewer codecs or m-lines");
        Ok(read(body, most).await?.ok_or_else(|| Refusal::new(ErrorCode::LimitExceeded, too_large()))?)
    }

    fn parse(&self, text: &str) -> Result<Offer, Refusal> {
        let limits = &self.public.front.limits;
        let limits = OfferLimits { max_mlines: limits.mlines as usize, max_bytes: limits.offer_bytes as usize };
        Ok(Offer::parse(text, &limits)?)
    }

    /// Has the room take the member in; the answer's text, the session's secret, and the room.
    async fn attach(
        &self, protocol: Protocol, admission: Admission, purpose: Purpose, offer: Offer, (place, journey): (Place, &Journey),
    ) -> Result<(String, String, Handle), Problem> {
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
            let place = Some((place.take().map_or_else(|| self.place(), Ok)?, journey.clone()));
            if room.send(Letter::Ask { command, name: protocol.name(), socket, place, answered }).await.is_err() {
                continue;
            }
            match outcome.await {
                Ok(Ok(Some(OkResult::Answer { sdp, .. }))) => return Ok((sdp, session, room)),
                Ok(Err(refusal)) => return Err(Problem { counted: true, ..refusal.into() }),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
        Err(Refusal::new(ErrorCode::Internal, "the room is lost: try again").into())
    }
}

/// Reads a body as text; none when it has more than `most` bytes. Twice as many are still taken in, so that whoever sends too much is told so.
async fn read(body: Body, most: usize) -> Result<Option<String>, Problem> {
    let broken = |why| Problem::new(StatusCode::BAD_REQUEST, ErrorCode::Malformed, why);
    let whole = async {
        let mut text = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| broken("the body did not come whole"))?;
            if text.len().saturating_add(chunk.len()) > most.saturating_mul(2) {
                return Ok::<_, Problem>(None);
            }
            text.extend_from_slice(&chunk);
        }
        Ok(Some(text).filter(|text| text.len() <= most))
    };
    let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Malformed, "the body did not come in time");
    let Some(text) = timeout(BODY_WITHIN, whole).await.map_err(|_| late())?? else { return Ok(None) };
    let text = String::from_utf8(text).map_err(|_| Refusal::new(ErrorCode::SdpMalformed, "the body is not UTF-8"))?;
    Ok(Some(text))
}
