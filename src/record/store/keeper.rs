//! Has one item after the other looked after, and knows whether the bucket takes things.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::agenda::Weather;
use super::copy::{Failed, look_after};
use super::{Store, rebuild};
use crate::record::library::Library;
use crate::record::unix_millis;

/// Items that are looked after at a time. More: many small ones are copied sooner; less: memory, 16 MiB each, and the disk's time.
const AT_ONCE: usize = 2;
/// How often it is looked whether a bucket refuses for too long.
const TURN: Duration = Duration::from_secs(5);

impl Store {
    /// Keeps the bucket as the folder is until the node ends; first of all, what the folder lacks is brought from there.
    pub async fn run(self, library: Library, mut closing: watch::Receiver<bool>) {
        let kept = self.keep();
        let filled = rebuild::fill(&self, &library);
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => {}
            ((), ()) = async { tokio::join!(kept, filled) } => {}
        }
    }

    async fn keep(&self) {
        let (mut weather, mut under_way) = (Weather::default(), FuturesUnordered::new());
        loop {
            let now = Instant::now();
            self.metrics().show(self.agenda().waiting(now), weather.alarms(now));
            let (pause, most) = weather.allows(AT_ONCE);
            while pause.is_none_or(|until| until <= now) && under_way.len() < most {
                let Some(id) = self.agenda().next(now) else { break };
                under_way.push(async move { (look_after(self, &id).await, id) });
            }
            let wakes = if under_way.len() < most { self.agenda().wakes() } else { None };
            let until = wakes.map_or(now + TURN, |wakes| wakes.max(pause.unwrap_or(wakes)).min(now + TURN));
            tokio::select! {
                Some((result, id)) = under_way.next(), if !under_way.is_empty() => self.settle(&mut weather, &id, result),
                () = self.0.bell.notified() => {}
                () = sleep_until(until.into()) => {}
            }
        }
    }

    fn settle(&self, weather: &mut Weather, id: &str, result: Result<Option<u64>, Failed>) {
        let now = Instant::now();
        match result {
            Ok(next) => {
                let next = next.map(|at| now + Duration::from_millis(at.saturating_sub(unix_millis())));
                self.agenda().done(id, next, now);
                if weather.fine() {
                    tracing::info!(bucket = self.bucket().name(), "what is kept is copied to the bucket again");
                }
            }
            Err(Failed::Bucket(trouble)) => {
                self.metrics().failed("bucket");
                self.agenda().failed(id, now);
                if weather.refused(now) {
                    tracing::error!(
                        bucket = self.bucket().name(), item = id, why = %trouble,
                        "what is kept cannot be copied to the bucket: it stays on this disk, and is copied when the bucket takes it"
                    );
                }
            }
            Err(Failed::Disk(error)) => {
                self.metrics().failed("disk");
                self.agenda().failed(id, now);
                tracing::error!(item = id, %error, "what is kept cannot be read, and is not copied to the bucket");
            }
        }
    }
}
