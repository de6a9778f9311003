//! The way of a picture that the server takes: its key frame is waited for, made a PNG, and kept. Beside the room, which is told what came of it.

use tokio::sync::oneshot;

use super::actor::Letter;
use super::command::Command;
use super::directory::Handle;
use super::screenshot::Wish;
use crate::control::{Refusal, draw};
use crate::record::glimpse::KeyFrame;
use crate::record::jobs::Unmade;
use crate::record::library::{Library, LibraryError, Picture};
use crate::record::manifest::Person;
use crate::wire::ErrorCode;

/// Waits for the key frame and keeps it; the room hears twice of it.
pub(super) async fn take(room: Handle, library: Library, wish: Wish, seen: oneshot::Receiver<KeyFrame>) {
    let number = wish.number;
    let seen = seen.await;
    // Whatever becomes of the picture, nothing more is copied. A room that is over wants to hear nothing.
    let _ = room.send(Letter::Command(Command::ScreenshotSeen { number }, "screenshot")).await;
    let result = match seen {
        Ok(key_frame) => keep(room.name.as_str(), &library, wish, key_frame).await,
        Err(_) => Err(unavailable("no picture came within a few seconds: try again")),
    };
    let _ = room.send(Letter::Command(Command::ScreenshotOver { number, result }, "screenshot")).await;
}

async fn keep(room: &str, library: &Library, wish: Wish, KeyFrame { container, file }: KeyFrame) -> Result<String, Refusal> {
    let jobs = library.jobs().ok_or_else(|| unavailable(Unmade::NoProgram.detail()))?;
    let file = jobs.screenshot(container, file).await.map_err(|why| unavailable(why.detail()))?;
    let person = |(member, name): (crate::wire::MemberId, String)| Person { member: member.0, name };
    let picture = Picture { room: room.to_owned(), by: person(wish.by), of: person(wish.member), file };
    let item: String = draw::hex::<12>();
    let id = item.clone();
    library.work(move |library| library.keep_picture(&id, picture)).await.map_err(|error| match error {
        LibraryError::Disk(error) => {
            tracing::error!(%error, "a picture cannot be kept");
            unavailable("the server's disk refuses")
        }
        LibraryError::Unknown | LibraryError::GoesOn | LibraryError::Away(_) => unavailable("the server's disk refuses"),
    })?;
    Ok(item)
}

/// Why there is no picture.
pub(super) fn unavailable(why: &'static str) -> Refusal {
    Refusal::new(ErrorCode::ScreenshotUnavailable, why)
}
