//! What of a room is sent to servers elsewhere: begun, looked at, ended.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::answer::{EgressAnswer, EgressList};
use super::asked::{NewEgress, SentSource};
use super::{Endpoints, json_of, malformed, no_room};
use crate::control::auth::unix_time;
use crate::control::egress::{Session, instructions};
use crate::control::http::problem::{Problem, bearer};
use crate::control::rooms::actor::{Letter, Look};
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{Command, EgressOrder, EgressSeen, RoomName};
use crate::control::{Refusal, draw};
use crate::wire::{EgressInfo, ErrorCode, MemberId};

pub async fn list(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap) -> Result<Json<EgressList>, Problem> {
    let (room, _) = at.sending_room(&room, &headers)?;
    Ok(Json(EgressList { sessions: at.egresses(&room).await?.into_iter().map(Into::into).collect() }))
}

pub async fn begin(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let (room, by) = at.sending_room(&room, &headers)?;
    let off = || Refusal::forbidden("this server sends nothing to other servers (whip_out.allow_hosts)");
    let node = at.public.front.egress.clone().ok_or_else(off)?;
    let asked = json_of::<Option<NewEgress>>(body).await?.ok_or_else(|| malformed("`member` and `url` are missing"))?;
    let NewEgress { member, source, url, token } = asked;
    if token.as_ref().is_some_and(|token| token.bytes().any(|byte| !byte.is_ascii_graphic())) {
        return Err(malformed("`token` has characters that no token has"));
    }
    let url = node.place(&url)?;
    let slot = node.slot()?;
    let at_ms = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
    let host = url.host_str().unwrap_or_default().to_owned();
    let said = (by.clone(), member.clone(), host.clone());
    let info = EgressInfo { egress: draw::hex::<16>(), member, screen: source == SentSource::Screen, host, by, at: at_ms };
    let (of_room, tries) = node.bounds();
    let (task, read) = instructions();
    let (egress, socket) = (info.egress.clone(), at.public.front.rooms.numbers().socket());
    let command = Command::OrderEgress { socket, order: EgressOrder::Begin { info, of_room, tries } };
    let (answered, outcome) = oneshot::channel();
    let session = Session::new(egress.clone(), (node, slot), (at.public.front.rooms.clone(), room.clone()), (url, token), read);
    tokio::spawn(session.run());
    room.send(Letter::SendOut { command, socket, task: (egress.clone(), task), answered }).await.map_err(|_| no_room())?;
    outcome.await.map_err(|_| no_room())??;
    let (by, member, host) = said;
    tracing::info!(room = %room.name, by = by.0, member = member.0, host, "a call is sent elsewhere");
    let begun = at.egress(&room, &egress).await?;
    let mut answer = (StatusCode::CREATED, Json(EgressAnswer::from(begun))).into_response();
    if let Ok(place) = HeaderValue::try_from(format!("/api/v1/rooms/{}/egress/{egress}", room.name)) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

pub async fn look(
    State(at): State<Arc<Endpoints>>, Path((room, egress)): Path<(String, String)>, headers: HeaderMap,
) -> Result<Json<EgressAnswer>, Problem> {
    let (room, _) = at.sending_room(&room, &headers)?;
    Ok(Json(at.egress(&room, &egress).await?.into()))
}

pub async fn end(State(at): State<Arc<Endpoints>>, Path((room, egress)): Path<(String, String)>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (room, _) = at.sending_room(&room, &headers)?;
    let socket = at.public.front.rooms.numbers().socket();
    let command = Command::OrderEgress { socket, order: EgressOrder::End { egress } };
    let (answered, outcome) = oneshot::channel();
    room.send(Letter::Ask { command, name: "egress_end_by_api", socket, place: None, answered }).await.map_err(|_| no_room())?;
    outcome.await.map_err(|_| no_room())??;
    Ok(StatusCode::NO_CONTENT)
}

impl Endpoints {
    /// A room, and who may have something of it sent elsewhere: whoever administers it, or may record it.
    fn sending_room(&self, room: &str, headers: &HeaderMap) -> Result<(Handle, MemberId), Problem> {
        let name = RoomName::new(room)?;
        let access = &self.public.front.access;
        let by = match access.admit_administrator(Some(&name), bearer(headers)) {
            Ok(by) => by,
            Err(refusal) => match access.admit_visitor(room, bearer(headers)) {
                Ok(visitor) if visitor.record => visitor.member,
                // Whoever may do nothing here is told why as an administrator is.
                _ => return Err(refusal.into()),
            },
        };
        let room = self.public.front.rooms.named(&name).filter(|room| !room.is_over()).ok_or_else(no_room)?;
        Ok((room, by))
    }

    async fn egresses(&self, room: &Handle) -> Result<Vec<EgressSeen>, Problem> {
        self.look(room, Look::Egress).await
    }

    async fn egress(&self, room: &Handle, egress: &str) -> Result<EgressSeen, Problem> {
        let found = self.egresses(room).await?.into_iter().find(|seen| seen.info.egress == egress);
        let gone = || Refusal::new(ErrorCode::NotFound, "there is no such session (any more)");
        Ok(found.ok_or_else(gone)?)
    }
}
