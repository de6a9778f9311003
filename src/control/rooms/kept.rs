//! Accounts of calls that are over: kept for a while, within a bound, for whoever asks later why one was bad.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use super::names::RoomName;
use super::past::{AtPresent, CallAccount, Finding};
use crate::base::{RoomId, Time};
use crate::config::KeptConfig;
use crate::metrics::ControlMetrics;

/// A call, in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Under which its account is found.
    pub id: u64,
    /// The room's name.
    pub room: String,
    /// In milliseconds since 1970.
    pub began_unix_ms: u64,
    /// The same; none while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_unix_ms: Option<u64>,
    /// Who was there; of one that is under way, who is. None where its room does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<usize>,
    /// Of one that is over: how many times were bad for somebody. Of one that is under way: how many are at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubles: Option<usize>,
    /// Of one that is under way: the wall clock at 0 of what ends in `_ms` below, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_unix_ms: Option<u64>,
    /// Of one that is under way: the newest of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_present: Vec<Finding>,
}

/// The accounts.
pub struct Kept {
    config: KeptConfig,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// The oldest first.
    all: VecDeque<Call>,
    bytes: usize,
}

struct Call {
    summary: Summary,
    account: Bytes,
    at: Instant,
}

impl Summary {
    /// Of a call that is under way. `epoch` is the wall clock at [`Time::ZERO`], in milliseconds since 1970.
    pub fn of_present(id: RoomId, room: &RoomName, since: Time, epoch: u64) -> Self {
        let began_unix_ms = epoch.saturating_add(since.as_micros() / 1_000);
        Self {
            id: id.0,
            room: room.as_str().to_owned(),
            began_unix_ms,
            ended_unix_ms: None,
            members: None,
            troubles: None,
            epoch_unix_ms: Some(epoch),
            at_present: Vec::new(),
        }
    }

    /// With what its room says of it.
    pub fn with(self, AtPresent { members, count, troubles }: AtPresent) -> Self {
        Self { members: Some(members), troubles: Some(count), at_present: troubles, ..self }
    }

    fn of(account: &CallAccount) -> Self {
        Self {
            id: account.id,
            room: account.room.clone(),
            began_unix_ms: account.epoch_unix_ms.saturating_add(account.began_ms),
            ended_unix_ms: account.ended_ms.map(|at| account.epoch_unix_ms.saturating_add(at)),
            members: Some(account.members.len()),
            troubles: Some(account.troubles.iter().filter(|trouble| !trouble.had_by.is_empty()).count()),
            epoch_unix_ms: None,
            at_present: Vec::new(),
        }
    }
}

impl Kept {
    /// Without any.
    pub fn new(config: KeptConfig) -> Self {
        Self { config, calls: Mutex::default() }
    }

    /// Whether anything is kept at all.
    pub const fn keeps(&self) -> bool {
        self.config.bytes > 0
    }

    /// Keeps one; the oldest go where that is too much. One that is too long by itself is not kept.
    pub fn put(&self, account: &CallAccount, metrics: &ControlMetrics) {
        let (summary, account) = (Summary::of(account), account.to_json());
        self.with(metrics, |calls| {
            calls.bytes += account.len();
            calls.all.push_back(Call { summary, account, at: Instant::now() });
        });
    }

    /// Those that are kept, the oldest first.
    pub fn list(&self, metrics: &ControlMetrics) -> Vec<Summary> {
        self.with(metrics, |calls| calls.all.iter().map(|call| call.summary.clone()).collect())
    }

    /// One of them.
    pub fn get(&self, id: RoomId, metrics: &ControlMetrics) -> Option<Bytes> {
        self.with(metrics, |calls| calls.all.iter().find(|call| call.summary.id == id.0).map(|call| call.account.clone()))
    }

    fn with<T>(&self, metrics: &ControlMetrics, act: impl FnOnce(&mut Calls) -> T) -> T {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.forget(self.config.lifetime, usize::MAX);
        let done = act(&mut calls);
        calls.forget(self.config.lifetime, self.config.bytes);
        let [count, bytes] = &metrics.kept;
        count.set(calls.all.len() as i64);
        bytes.set(calls.bytes as i64);
        done
    }
}

impl Calls {
    fn forget(&mut self, lifetime: Duration, most: usize) {
        while self.all.front().is_some_and(|call| self.bytes > most || call.at.elapsed() > lifetime) {
            if let Some(gone) = self.all.pop_front() {
                self.bytes -= gone.account.len();
            }
        }
    }
}
