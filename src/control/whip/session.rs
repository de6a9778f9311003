//! The URL of a session: candidates and ICE restarts, and its end.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::headers::{ACCEPT_PATCH, FRAGMENT, if_match, is_of_type, tag_of};
use super::{ALLOWED, Endpoints, Protocol, read};
use crate::control::Refusal;
use crate::control::http::cors::Cors;
use crate::control::http::problem::Problem;
use crate::control::rooms::actor::Letter;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{Command, SocketId, Trickle};
use crate::sdp::{Fragment, MOST_FRAGMENT};
use crate::wire::{ErrorCode, OkResult};

const METHODS: &str = "DELETE, OPTIONS, PATCH";

impl Protocol {
    /// What a request to a session is counted as.
    const fn name_of(self, patches: bool) -> &'static str {
        match (self, patches) {
            (Protocol::Whip, true) => "whip_patch",
            (Protocol::Whip, false) => "whip_delete",
            (Protocol::Whep, true) => "whep_patch",
            (Protocol::Whep, false) => "whep_delete",
        }
    }
}

impl Endpoints {
    /// A request to a session. Its URL is its secret, and asks for no token: one may have expired long before its session ends.
    pub(super) async fn session(&self, protocol: Protocol, from: SocketAddr, room: &str, secret: String, request: Request) -> Response {
        let cors = Cors::of(&request, &self.public);
        let name = protocol.name_of(request.method() == Method::PATCH);
        let answer = match *request.method() {
            _ if !cors.is_allowed() => Err(Problem::strange_origin()),
            Method::OPTIONS => Ok(preflight(&cors)),
            Method::DELETE => self.end(name, room, secret).await,
            Method::PATCH => self.patch(name, from, room, secret, request).await,
            _ => Err(Problem::method(METHODS, "a session takes candidates and ICE restarts: PATCH it; and ends: DELETE it")),
        };
        self.finish(name, &cors, answer)
    }

    async fn patch(&self, name: &'static str, from: SocketAddr, room: &str, secret: String, request: Request) -> Result<Response, Problem> {
        if !self.patches.allows(from.ip()) {
            return Err(Refusal::new(ErrorCode::RateLimited, "too many candidates come from one network: put more of them into one request").into());
        }
        let room = self.room_of(room, &secret)?;
        if !is_of_type(request.headers(), FRAGMENT) {
            let why = "the body has to be a fragment, with Content-Type: application/trickle-ice-sdpfrag";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::Malformed, why).with(ACCEPT_PATCH, FRAGMENT));
        }
        let condition = if_match(request.headers()).ok_or_else(|| {
            let why = "say which ICE generation it is for: If-Match with the entity tag of the answer, or * to restart ICE";
            Problem::named(StatusCode::PRECONDITION_REQUIRED, "precondition_required", why)
        })?;
        let too_large = || Refusal::new(ErrorCode::LimitExceeded, format!("a fragment has at most {MOST_FRAGMENT} bytes"));
        let text = read(request.into_body(), MOST_FRAGMENT).await?.ok_or_else(too_large)?;
        let fragment = Fragment::parse(&text).map_err(Refusal::from)?;
        let rooms = &self.public.front.rooms;
        let (socket, offering) = (rooms.numbers().socket(), rooms.draw_offer());
        let command = Command::Trickle(Box::new(Trickle { socket, secret, condition, fragment, offering }));
        let outcome = ask(&room, command, name, socket).await?;
        let Some(OkResult::Answer { sdp, .. }) = outcome else { return Ok(StatusCode::NO_CONTENT.into_response()) };
        let tag = tag_of(&sdp);
        let mut response = (StatusCode::OK, sdp).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
        Ok(response)
    }

    async fn end(&self, name: &'static str, room: &str, secret: String) -> Result<Response, Problem> {
        let room = self.room_of(room, &secret)?;
        let socket = self.public.front.rooms.numbers().socket();
        ask(&room, Command::Detach { socket, secret }, name, socket).await?;
        Ok(StatusCode::OK.into_response())
    }

    fn room_of(&self, room: &str, secret: &str) -> Result<Handle, Refusal> {
        self.public.front.rooms.of_secret(secret).filter(|found| found.name.as_str() == room).ok_or_else(unknown)
    }
}

/// Has the room's task carry it out. The one thing that is in the wrong state for it is a session whose ICE generation is another one.
async fn ask(room: &Handle, command: Command, name: &'static str, socket: SocketId) -> Result<Option<OkResult>, Problem> {
    let (answered, outcome) = oneshot::channel();
    room.send(Letter::Ask { command, name, socket, place: None, answered }).await.map_err(|_| unknown())?;
    match outcome.await.map_err(|_| unknown())? {
        Ok(result) => Ok(result),
        Err(Refusal { code: ErrorCode::WrongState, message, .. }) => {
            Err(Problem { counted: true, ..Problem::named(StatusCode::PRECONDITION_FAILED, "precondition_failed", message) })
        }
        Err(refusal) => Err(Problem { counted: true, ..refusal.into() }),
    }
}

fn unknown() -> Refusal {
    Refusal::new(ErrorCode::ResumeUnknown, "there is no such session (any more)")
}

fn preflight(cors: &Cors) -> Response {
    let mut response = cors.preflight(&ALLOWED);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    response
}
