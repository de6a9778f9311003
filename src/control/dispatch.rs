//! Workers' events find their rooms.

use crate::base::RoomId;
use crate::contract::Event;
use crate::control::rooms::Directory;
use crate::port::EventReceiver;

/// Hands out events until every worker is gone. Never waits for a room.
pub async fn run(mut events: EventReceiver, rooms: Directory) {
    while let Some(event) = events.recv().await {
        // An event of a room that has just ended is of no interest.
        let Some(room) = rooms.find(room_of(&event)) else { continue };
        if room.media(event).is_err() && !room.is_over() {
            rooms.metrics().media_events_dropped.inc();
        }
    }
}

fn room_of(event: &Event) -> RoomId {
    match event {
        Event::Connected { room, .. }
        | Event::Disconnected { room, .. }
        | Event::Reconnected { room, .. }
        | Event::Speakers { room, .. }
        | Event::Demand { room, .. }
        | Event::Quality { room, .. }
        | Event::TrackStarted { room, .. }
        | Event::DataChannel { room, .. }
        | Event::Data { room, .. }
        | Event::RoomFailed { room } => *room,
    }
}
