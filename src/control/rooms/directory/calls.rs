//! What is known of calls, for the private listener: of those that are under way and of those that are over.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Directory, Handle, MOST_LISTED};
use crate::base::RoomId;
use crate::control::rooms::RoomName;
use crate::control::rooms::actor::Letter;
use crate::control::rooms::journal::MemberJournal;
use crate::control::rooms::kept::Summary;
use crate::control::rooms::past::AtPresent;

/// A room that does not say in so long how it does is listed without that.
const PATIENCE: Duration = Duration::from_secs(2);

impl Directory {
    /// What happened to the media of a room's members, and why; none when there is no such room.
    pub async fn journals(&self, name: &str) -> Option<Vec<MemberJournal>> {
        let room = self.named(&RoomName::new(name).ok()?)?;
        let (asked, answer) = oneshot::channel();
        room.send(Letter::Journals(asked)).await.ok()?;
        answer.await.ok()
    }

    /// Calls that are under way, and those that are over and kept: the newest first, at most [`MOST_LISTED`].
    /// Of those that are under way, it is said what is bad at present.
    pub async fn calls(&self) -> Vec<Summary> {
        let mut calls = self.0.kept.list(&self.0.metrics);
        calls.extend(self.0.by_id.iter().map(|room| Summary::of_present(room.id, &room.name, room.since, self.0.began())));
        calls.sort_by_key(|call| std::cmp::Reverse(call.id));
        calls.truncate(MOST_LISTED);
        let asked = calls.into_iter().map(async |call| match (call.ended_unix_ms, self.find(RoomId(call.id))) {
            (None, Some(room)) => match timeout(PATIENCE, room.present()).await {
                Ok(Some(present)) => call.with(present),
                _ => call,
            },
            _ => call,
        });
        join_all(asked).await
    }

    /// What happened in a call, as JSON; none when nothing is known of it (any more).
    pub async fn call(&self, id: RoomId) -> Option<Bytes> {
        if let Some(room) = self.find(id) {
            let (asked, answer) = oneshot::channel();
            if room.send(Letter::Account(asked)).await.is_ok()
                && let Ok(account) = answer.await
            {
                return Some(account.to_json());
            }
        }
        self.0.kept.get(id, &self.0.metrics)
    }
}

impl Handle {
    /// How the call does at present; none when it is over.
    async fn present(&self) -> Option<AtPresent> {
        let (asked, answer) = oneshot::channel();
        self.send(Letter::Present(asked)).await.ok()?;
        answer.await.ok()
    }
}
