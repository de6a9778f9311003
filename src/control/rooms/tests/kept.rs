//! Accounts of calls that are over, within their bounds.

use std::time::Duration;

use super::scene::Scene;
use crate::base::RoomId;
use crate::config::KeptConfig;
use crate::control::rooms::CallAccount;
use crate::control::rooms::kept::Kept;
use crate::metrics::{ControlMetrics, Metrics};

fn metrics() -> ControlMetrics {
    Metrics::new(Vec::new()).expect("names are unique").control
}

fn account(id: u64) -> CallAccount {
    Scene::new().room.account_at_the_end(RoomId(id), 1_000_000)
}

fn kept(accounts: usize, lifetime: Duration) -> (Kept, ControlMetrics) {
    let one = account(1).to_json().len();
    (Kept::new(KeptConfig { bytes: one * accounts + one / 2, lifetime }), metrics())
}

#[test]
fn the_oldest_go_where_there_is_no_room_for_more() {
    let (kept, metrics) = kept(2, Duration::from_secs(60));
    (1..=3).for_each(|id| kept.put(&account(id), &metrics));
    let ids: Vec<_> = kept.list(&metrics).iter().map(|call| call.id).collect();
    assert_eq!(ids, [2, 3]);
    assert_eq!((kept.get(RoomId(1), &metrics), metrics.kept[0].get()), (None, 2));
    let text = kept.get(RoomId(3), &metrics).expect("kept");
    assert_eq!(metrics.kept[1].get(), 2 * text.len() as i64);
    let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!((&read["id"], &read["room"], &read["ended_ms"]), (&3.into(), &"room".into(), &0.into()), "{read}");
}

#[test]
fn one_that_is_too_long_by_itself_is_not_kept() {
    let (kept, metrics) = kept(0, Duration::from_secs(60));
    kept.put(&account(1), &metrics);
    assert_eq!((kept.list(&metrics), metrics.kept[1].get()), (vec![], 0));
}

#[test]
fn what_is_old_is_forgotten() {
    let (kept, metrics) = kept(2, Duration::ZERO);
    kept.put(&account(1), &metrics);
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(kept.get(RoomId(1), &metrics), None);
}

#[test]
fn a_summary_says_when_it_was_by_the_wall_clock() {
    let (kept, metrics) = kept(2, Duration::from_secs(60));
    kept.put(&account(1), &metrics);
    let list = kept.list(&metrics);
    assert_eq!((list[0].began_unix_ms, list[0].ended_unix_ms, list[0].members, list[0].troubles), (1_000_000, Some(1_000_000), Some(0), Some(0)));
}
