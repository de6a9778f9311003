//! Many who come into one room at once, while a call goes on in another.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::participant::{Light, Sends, Wish};
use crate::client::{Kind, Result};

/// People in the call beside it.
const CALL: u16 = 3;
/// Packets of the call that are still under way when sending is no longer counted.
const TAIL: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// How many came.
    pub came: u16,
    /// How many of them had sound and pictures of the one who speaks.
    pub receiving: u16,
    /// From the first socket to the last one's first media.
    pub ready: Duration,
    /// Packets of the call, each counted once for each who was to have it.
    pub call_offered: u64,
    /// Of those, what has not come.
    pub call_lost: u64,
}

/// `joins` come into a room where one speaks and shows, as fast as they can; a call of three goes on in another room.
pub async fn storm(url: &str, joins: u16) -> Result<Storm> {
    let wish = |room: &str, number, sends| Wish { url: url.to_owned(), room: room.to_owned(), number, sends, publishes: false };
    let call = Sends { audio: Duration::from_millis(20), video: Duration::from_millis(40) };
    let mut people = Vec::new();
    for number in 1..=CALL {
        people.push(Light::join(wish("call", number, Some(call))).await?);
    }
    meet(&people).await?;
    // One picture every two seconds begins with a key frame: with light clients nobody has to ask.
    let stage = Sends { audio: Duration::from_millis(100), video: Duration::from_millis(400) };
    let speaker = Light::join(wish("hall", CALL + 1, Some(stage))).await?;
    people.iter().for_each(|p| p.shared.counts.store(true, Ordering::Relaxed));

    let begun = Instant::now();
    let mut coming = JoinSet::new();
    for number in 0..joins {
        coming.spawn(Light::join(wish("hall", CALL + 2 + number, None)));
    }
    let mut hall = Vec::new();
    while let Some(joined) = coming.join_next().await {
        hall.push(joined??);
    }
    for newcomer in &hall {
        newcomer.first_media().await?;
    }
    let ready = begun.elapsed();
    let receives = |p: &Light| Kind::ALL.iter().all(|kind| p.tally(|t| t.count(speaker.number, *kind)).heard > 0);
    let patient = Instant::now();
    while !hall.iter().all(receives) && patient.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(100)).await;
    }
    let receiving = hall.iter().filter(|p| receives(p)).count() as u16;

    people.iter().for_each(|p| p.shared.counts.store(false, Ordering::Relaxed));
    sleep(TAIL).await;
    let (call_offered, call_lost) = lost(&people);
    for person in hall.into_iter().chain(people).chain([speaker]) {
        person.abandon();
    }
    Ok(Storm { came: joins, receiving, ready, call_offered, call_lost })
}

/// Waits until everybody hears and sees everybody.
async fn meet(people: &[Light]) -> Result<()> {
    let begun = Instant::now();
    let hears = |me: &Light, other: &Light| Kind::ALL.iter().all(|kind| me.tally(|t| t.count(other.number, *kind)).heard > 0);
    while !people.iter().all(|me| people.iter().all(|other| other.number == me.number || hears(me, other))) {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err("the call did not come about within 20 s".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn lost(people: &[Light]) -> (u64, u64) {
    let (mut offered, mut came) = (0, 0);
    for me in people {
        for other in people.iter().filter(|o| o.number != me.number) {
            for (kind, sent) in Kind::ALL.iter().zip(&other.shared.offered) {
                offered += u64::from(sent.load(Ordering::Relaxed));
                came += me.tally(|t| t.count(other.number, *kind)).unique;
            }
        }
    }
    (offered, offered - came)
}
