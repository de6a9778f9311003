//! The task of one session: it does what the room says, one thing after the other, and says what has come of it.

use reqwest::Url;
use tokio::sync::mpsc;

use super::http::{Client, Given};
use super::{Egress, Instruction, Slot, Trouble};
use crate::control::draw;
use crate::control::rooms::actor::Letter;
use crate::control::rooms::directory::Handle;
use crate::control::rooms::{Command, Directory, EgressDraws, EgressReport};

/// A session, until the room says that it is over or is over itself.
pub struct Session {
    egress: String,
    node: Egress,
    slot: Slot,
    rooms: Directory,
    room: Handle,
    url: Url,
    token: Option<String>,
    instructions: mpsc::Receiver<Instruction>,
    /// Where the present session is ended.
    resource: Option<Url>,
}

impl Session {
    /// A session of a room with a server elsewhere; the room says what is to be done.
    pub fn new(
        egress: String, (node, slot): (Egress, Slot), (rooms, room): (Directory, Handle), (url, token): (Url, Option<String>),
        instructions: mpsc::Receiver<Instruction>,
    ) -> Self {
        Self { egress, node, slot, rooms, room, url, token, instructions, resource: None }
    }

    /// Does what the room says.
    pub async fn run(mut self) {
        let mut next = self.instructions.recv().await;
        while let Some(instruction) = next {
            next = match instruction {
                Instruction::Draw => {
                    let draws = EgressDraws {
                        offer: self.rooms.draw_offer(),
                        tie_breaker: draw::number(),
                        outlets: self.node.0.outlets.clone(),
                        slot: self.slot.number(),
                    };
                    self.report(EgressReport::Drawn(Box::new(draws))).await;
                    self.instructions.recv().await
                }
                Instruction::Offer { sdp } => self.offer(&sdp).await,
                Instruction::HangUp => {
                    self.hang_up().await;
                    self.instructions.recv().await
                }
                Instruction::Over => break,
            };
        }
        self.hang_up().await;
    }

    /// Offers; what the room says meanwhile goes before the answer. A session that is given to us after that is ended.
    async fn offer(&mut self, sdp: &str) -> Option<Instruction> {
        let (client, url, token) = (self.client().clone(), self.url.clone(), self.token.clone());
        let sdp = sdp.to_owned();
        let mut offering = tokio::spawn(async move { client.offer(&url, token.as_deref(), &sdp).await });
        let (result, meanwhile) = tokio::select! {
            result = &mut offering => (result, None),
            instruction = self.instructions.recv() => (offering.await, Some(instruction)),
        };
        let answered = match result.unwrap_or(Err(Trouble::Failed)) {
            Ok(Given { answer, resource }) => {
                self.resource = resource;
                Ok(Box::new(answer))
            }
            Err(trouble) => Err(trouble),
        };
        if let Some(instruction) = meanwhile {
            return instruction;
        }
        if let Err(trouble) = &answered {
            tracing::debug!(room = %self.room.name, host = self.url.host_str(), why = trouble.name(), "a call cannot be sent elsewhere");
        }
        self.report(EgressReport::Answered(answered)).await;
        self.instructions.recv().await
    }

    /// Ends the present session there, if there is one. A server that does not hear it notices that nothing comes any more.
    async fn hang_up(&mut self) {
        let Some(resource) = self.resource.take() else { return };
        if let Err(trouble) = self.client().end(&resource, self.token.as_deref()).await {
            tracing::debug!(room = %self.room.name, host = self.url.host_str(), why = trouble.name(), "the end of a session was not heard");
        }
    }

    async fn report(&self, report: EgressReport) {
        // A room that is over says nothing any more, and that is how the task ends.
        let _ = self.room.send(Letter::Command(Command::Egress { egress: self.egress.clone(), report }, "egress")).await;
    }

    fn client(&self) -> &Client {
        &self.node.0.client
    }
}
