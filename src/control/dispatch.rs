//! Workers' events find their rooms.

use tokio::sync::mpsc;

use crate::base::RoomId;
use crate::contract::{Event, Mapped};
use crate::control::rooms::Directory;
use crate::port::EventReceiver;

/// Hands out events until every worker is gone. Never waits for a room, nor for whoever asks how the media ports are seen.
pub async fn run(mut events: EventReceiver, rooms: Directory, mapped: mpsc::Sender<Mapped>) {
    while let Some(event) = events.recv().await {
        let Some(room) = room_of(&event) else {
            if let Event::Mapped(answer) = event {
                // It asks again for what it has no room for.
                let _ = mapped.try_send(answer);
            }
            continue;
        };
        // An event of a room that has just ended is of no interest.
        let Some(room) = rooms.find(room) else { continue };
        if room.media(event).is_err() && !room.is_over() {
            rooms.metrics().media_events_dropped.inc();
        }
    }
}

/// The room that an event is of; none: it is of the node.
const fn room_of(event: &Event) -> Option<RoomId> {
    match event {
        Event::Connected { room, .. }
        | Event::Disconnected { room, .. }
        | Event::Reconnected { room, .. }
        | Event::Speakers { room, .. }
        | Event::Demand { room, .. }
        | Event::Quality { room, .. }
        | Event::Health { room, .. }
        | Event::Excess { room, .. }
        | Event::TrackStarted { room, .. }
        | Event::DataChannel { room, .. }
        | Event::Data { room, .. }
        | Event::RoomFailed { room } => Some(*room),
        Event::Mapped(_) => None,
    }
}
