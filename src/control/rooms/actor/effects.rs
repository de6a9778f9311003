//! How what a room says is carried out: members are told, workers are commanded, recordings and pictures are begun.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::{Actor, Letter, Over};
use crate::base::WorkerId;
use crate::contract::{self, RoomCommand};
use crate::control::egress::Instruction;
use crate::control::rooms::command::{Command, Effect, SocketId};
use crate::control::rooms::recording::RecordEffect;
use crate::control::rooms::screenshot::Wish;
use crate::control::rooms::way::labels;
use crate::control::rooms::{fate, picture};
use crate::control::signaling::{End, encode};
use crate::control::trace::Step;
use crate::record::manifest::Person;
use crate::record::{Beginning, Wanted};
use crate::wire;

/// A worker whose inbox stays full for so long is taken for stuck, and the room is given up.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

impl Actor {
    pub(super) async fn carry_out(&mut self, effect: Effect, name: &'static str, slow: &mut Vec<SocketId>) -> Result<(), Over> {
        match effect {
            Effect::Reply { socket, id, result } => {
                self.around.metrics.answered(name, result.as_ref().err().map(|r| r.code.name()));
                if let Some(limit) = result.as_ref().err().and_then(|refusal| refusal.limit) {
                    self.around.metrics.limited(limit.name());
                }
                let is_good = result.is_ok();
                // Whoever has asked by HTTP goes on with the answer at once.
                if let Some(journey) = self.journeys.get(&socket).filter(|_| is_good && matches!(name, "whip" | "whep")) {
                    journey.passed(Step::Room, SystemTime::now());
                }
                match self.asking.take_if(|(who, _)| *who == socket) {
                    // Whoever asked by HTTP may have hung up: its session then ends because nobody connects.
                    Some((_, answered)) => drop(answered.send(result)),
                    None => self.push(socket, encode::reply(id, &result), slow),
                }
                if let Some(journey) = self.journeys.get(&socket).filter(|_| name == "offer" && is_good) {
                    journey.passed(Step::Answer, SystemTime::now());
                }
            }
            Effect::Tell { to, event } => {
                let body = encode::event_body(&event);
                for (socket, seq) in to {
                    self.push(socket, encode::event(seq, &body), slow);
                }
            }
            Effect::Bye { socket, seq, reason } => {
                let last = encode::event(seq, &encode::event_body(&wire::Event::Bye { reason }));
                if let Some(outbox) = self.outboxes.remove(&socket) {
                    outbox.finish(End::bye(last, reason));
                }
            }
            Effect::Worker(worker, command) => self.command(worker, command).await?,
            Effect::Record(_) | Effect::Screenshot(_) => {}
            Effect::Egress { egress, what } => self.instruct(egress, what),
            Effect::Direct(state) => self.around.metrics.direct(labels(state)),
            Effect::Unreached => self.around.unreached(&self.handle.name),
            // Nobody has asked, so nobody is answered.
            Effect::DataRefused(code) => self.around.metrics.answered("data_channel", Some(code.name())),
            Effect::SentAway { member } => {
                self.around.relay_users.revoke(&self.handle.relay_user(&member));
                if let Some(library) = &self.around.library {
                    library.send_away(self.handle.name.as_str(), &member.0);
                }
            }
            Effect::Happened(what) => {
                if let Some(book) = &mut self.book {
                    book.write(*what);
                }
            }
            Effect::Closed => return Err(Over),
        }
        Ok(())
    }

    /// Has the task of a session do something.
    fn instruct(&mut self, egress: String, what: Instruction) {
        let over = what == Instruction::Over;
        if let Some(task) = self.egresses.get(&egress)
            && task.try_send(what).is_err()
        {
            tracing::error!(room = %self.handle.name, "the task of a session with another server has failed");
        }
        if over {
            self.egresses.remove(&egress);
        }
    }

    /// Has something recorded; false when that cannot be, and the recording is over.
    pub(super) async fn record(&mut self, what: RecordEffect) -> Result<bool, Over> {
        match what {
            RecordEffect::Begin { recording, by, most } => {
                let by = Person { member: by.0.0, name: by.1 };
                let beginning = Beginning { id: recording.clone(), room: self.handle.name.as_str().to_owned(), by, most };
                self.recording = self.around.recorder.as_ref().and_then(|recorder| recorder.begin(beginning).ok());
                if let Some(begun) = &self.recording {
                    tokio::spawn(fate::follow(self.handle.clone(), recording.clone(), begun.fate(), begun.paused()));
                    self.fates.insert(recording, begun.fate());
                }
                return Ok(self.recording.is_some());
            }
            RecordEffect::Attach { track, worker, member, source } => {
                let Some(recording) = &mut self.recording else { return Ok(true) };
                let person = Person { member: member.0.0, name: member.1 };
                let wanted = Wanted {
                    worker,
                    room: self.handle.id,
                    track,
                    member: person.member.clone(),
                    screen: source.is_screen(),
                    audio: source.is_audio(),
                };
                let Some(tap) = recording.attach(wanted, person) else { return Ok(false) };
                self.command(worker, RoomCommand::Tap { track, tap: Some(tap) }).await?;
            }
            RecordEffect::Detach { track } => {
                if let Some(recording) = &mut self.recording {
                    recording.detach(track);
                }
            }
            RecordEffect::Chat { member, text } => {
                if let Some(recording) = &self.recording {
                    recording.say(Person { member: member.0.0, name: member.1 }, text);
                }
            }
            RecordEffect::End => self.recording = None,
        }
        Ok(true)
    }

    /// Has a picture taken; the room hears of it later.
    pub(super) async fn take_picture(&mut self, wish: Wish) -> Result<(), Over> {
        let Wish { number, track, worker, recorded, .. } = wish;
        let recorded = recorded.then(|| self.recording.as_ref()?.tap_of(track));
        let begun = match (&self.around.recorder, &self.around.library, recorded) {
            // It is to be recorded, and is not: the recorder is overloaded.
            (_, _, Some(None)) => None,
            (Some(recorder), Some(library), tap) => {
                recorder.glimpse(worker, self.handle.id, track, tap.flatten()).map(|(tap, seen)| (tap, seen, library.clone()))
            }
            _ => None,
        };
        let handle = self.handle.clone();
        let Some((tap, seen, library)) = begun else {
            let result = Err(picture::unavailable("the recorder has too much to do: try again later"));
            tokio::spawn(async move { handle.send(Letter::Command(Command::ScreenshotOver { number, result }, "screenshot")).await });
            return Ok(());
        };
        if recorded.is_none() {
            self.command(worker, RoomCommand::Tap { track, tap: Some(tap) }).await?;
        }
        tokio::spawn(picture::take(handle, library, wish, seen));
        Ok(())
    }

    fn push(&self, socket: SocketId, text: String, slow: &mut Vec<SocketId>) {
        if let Some(outbox) = self.outboxes.get(&socket)
            && outbox.push(text).is_err()
            && !slow.contains(&socket)
        {
            slow.push(socket);
        }
    }

    /// Commands are never lost: their order is the room's state on the worker. So a full inbox is waited for.
    async fn command(&mut self, worker: WorkerId, what: RoomCommand) -> Result<(), Over> {
        self.note_placement(worker, &what);
        let Some(worker) = self.around.worker(worker) else { return Err(Over) };
        let command = contract::Command { room: self.handle.id, what };
        let since = Instant::now();
        while worker.send(command.clone()).is_err() {
            if since.elapsed() > WORKER_PATIENCE {
                tracing::error!(room = %self.handle.name, "the worker takes no commands: the room is given up");
                return Err(Over);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How many connections each worker has of this room, and all workers of all rooms.
    fn note_placement(&mut self, worker: WorkerId, what: &RoomCommand) {
        let placed = self.placed.entry(worker).or_default();
        match what {
            RoomCommand::AddPeer { .. } => {
                *placed += 1;
                self.around.placement.give(worker);
            }
            RoomCommand::RemovePeer { .. } if *placed > 0 => {
                *placed -= 1;
                self.around.placement.take_back(worker, 1);
            }
            RoomCommand::Close => self.around.placement.take_back(worker, std::mem::take(placed)),
            _ => {}
        }
    }
}
