//! Somebody in a room that is recorded, and what it is told of whether that is written.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use althing::wire::{Event, OkResult, RecordingPause, Request, VERSION};
use tokio::time::sleep;

use super::client::Signaling;

/// What was told, and when.
pub type Told = (Instant, Option<RecordingPause>);

/// Somebody who publishes nothing and listens.
pub struct Witness {
    _signaling: Signaling,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Witness {
    /// Joins. Of a recording that goes on it is told by that.
    pub async fn join(http: SocketAddr, room: &str, name: &str) -> Self {
        let (signaling, mut heard) = Signaling::open(&format!("ws://{http}/ws")).await.expect("open");
        signaling.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
        let joined = signaling.ask(Request::join(room, name, None)).await.expect("joined");
        let Some(OkResult::Joined { recording, .. }) = joined else { panic!("{joined:?}") };
        let told = Arc::new(Mutex::new(recording.map(|info| (Instant::now(), info.paused)).into_iter().collect::<Vec<_>>()));
        let listening = told.clone();
        tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                if let Event::Recording { recording: Some(info), .. } = event {
                    listening.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), info.paused));
                }
            }
        });
        Self { _signaling: signaling, told }
    }

    /// All that it was told, in its order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When it was told this last of all.
    pub async fn is_told(&self, paused: Option<RecordingPause>) -> Instant {
        let begun = Instant::now();
        loop {
            match self.told().last() {
                Some((at, last)) if *last == paused => return *at,
                told => assert!(begun.elapsed() < Duration::from_secs(20), "{told:?} instead of {paused:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
