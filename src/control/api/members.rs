//! Members: looked at, changed and removed.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;

use super::answer::{MemberAnswer, MemberList};
use super::{Endpoints, PageQuery, cut, json_of, malformed, query};
use crate::control::Refusal;
use crate::control::auth::member_of_path;
use crate::control::http::problem::Problem;
use crate::control::rooms::actor::Look;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{AdminOrder, MemberChange};
use crate::wire::{ErrorCode, MemberId};

pub async fn list(State(at): State<Arc<Endpoints>>, Path(room): Path<String>, uri: Uri, headers: HeaderMap) -> Result<Json<MemberList>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let (after, limit) = PageQuery::of(&uri)?;
    let after = u32::try_from(after).unwrap_or(u32::MAX);
    let mut page = at.look(&room, |to| Look::Members(after, limit + 1, to)).await?;
    let next = cut(&mut page, limit, |member| member.seat.into());
    Ok(Json(MemberList { members: page.into_iter().map(|member| MemberAnswer::new(&room, member)).collect(), next }))
}

pub async fn look(
    State(at): State<Arc<Endpoints>>, Path((room, member)): Path<(String, String)>, headers: HeaderMap,
) -> Result<Json<MemberAnswer>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    Ok(Json(at.member(&room, member_of_path(&member)?).await?))
}

pub async fn change(
    State(at): State<Arc<Endpoints>>, Path((room, member)): Path<(String, String)>, headers: HeaderMap, body: Body,
) -> Result<Json<MemberAnswer>, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let member = member_of_path(&member)?;
    let mut change = json_of::<MemberChange>(body).await?;
    let shown = |name: String| at.public.front.access.shown_name(&name).map_err(|refusal| malformed(refusal.message));
    change.name = change.name.map(shown).transpose()?;
    at.order(&room, "member_by_api", AdminOrder::Change { member: member.clone(), change }).await?;
    Ok(Json(at.member(&room, member).await?))
}

/// How a member is removed.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Removal {
    may_return: bool,
}

pub async fn remove(
    State(at): State<Arc<Endpoints>>, Path((room, member)): Path<(String, String)>, uri: Uri, headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (room, _) = at.room(&room, &headers)?;
    let Removal { may_return } = query(&uri)?;
    at.order(&room, "remove_by_api", AdminOrder::Remove { member: member_of_path(&member)?, may_return }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Endpoints {
    async fn member(&self, room: &Handle, member: MemberId) -> Result<MemberAnswer, Problem> {
        let seen = self.look(room, |to| Look::Member(member, to)).await?;
        let seen = seen.ok_or_else(|| Refusal::new(ErrorCode::NotFound, "there is no such member (any more)"))?;
        Ok(MemberAnswer::new(room, seen))
    }
}
