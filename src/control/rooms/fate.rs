//! What becomes of recordings when they are over: their room hears of it, and where that is over, too, its book does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::actor::Letter;
use super::command::{Command, Whole};
use super::directory::Handle;
use super::ledger::{Ending, Remains};
use crate::control::events::Book;
use crate::record::{Fate, Pause};

/// The last word on a room waits so long for its recordings. A disk that refuses for longer has failed them, though they may become whole yet.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells a room what becomes of a recording, until that is known for good, and when it pauses. A room that is over wants to hear nothing.
pub(super) async fn follow(room: Handle, recording: String, mut fate: watch::Receiver<Fate>, mut pause: watch::Receiver<Option<Pause>>) {
    let (mut full, mut told) = (false, None);
    let whole = loop {
        let paused = *pause.borrow_and_update();
        if std::mem::replace(&mut told, paused) != paused {
            let command = Command::RecordingPaused { recording: recording.clone(), paused: paused.map(Into::into) };
            let _ = room.send(Letter::Command(command, "record")).await;
        }
        let now = *fate.borrow_and_update();
        match now {
            Fate::Whole { files, bytes } => break Some(Whole { files, bytes }),
            Fate::RoomFull if !std::mem::replace(&mut full, true) => {
                let _ = room.send(Letter::Command(Command::RecordingFull { recording: recording.clone() }, "record")).await;
            }
            Fate::GoesOn | Fate::RoomFull => {}
        }
        tokio::select! {
            changed = fate.changed() => if changed.is_err() { break None },
            Ok(()) = pause.changed() => {}
        }
    };
    let _ = room.send(Letter::Command(Command::RecordingOver { recording, whole }, "record")).await;
}

/// Writes what is left to be said of a room that is over: at once, or when its recordings are whole. `unsettled` counts the rooms that wait.
pub(super) fn write(mut book: Book, remains: Remains, mut fates: BTreeMap<String, watch::Receiver<Fate>>, unsettled: &Arc<AtomicUsize>) {
    let Remains { now, recordings, last } = remains;
    now.into_iter().for_each(|what| book.write(what));
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if recordings.is_empty() {
        return last.into_iter().for_each(|what| book.write(what));
    }
    unsettled.fetch_add(1, Ordering::Relaxed);
    let unsettled = unsettled.clone();
    runtime.spawn(async move {
        for ending in recordings {
            let fate = fates.remove(&ending.recording);
            let said = said(ending, fate).await;
            book.write(said);
        }
        last.into_iter().for_each(|what| book.write(what));
        unsettled.fetch_sub(1, Ordering::Relaxed);
    });
}

async fn said(ending: Ending, fate: Option<watch::Receiver<Fate>>) -> crate::control::events::What {
    let Some(mut fate) = fate else { return ending.said(None) };
    let known = timeout(PATIENCE, fate.wait_for(|fate| matches!(fate, Fate::Whole { .. }))).await;
    let whole = match known {
        Ok(Ok(fate)) => match *fate {
            Fate::Whole { files, bytes } => Some(Whole { files, bytes }),
            Fate::GoesOn | Fate::RoomFull => None,
        },
        _ => None,
    };
    ending.said(whole)
}
