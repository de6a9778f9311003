//! `data`, and what comes on data channels: one way for both, so that a sender need not know how each receiver is reached.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

use crate::base::{Bucket, PeerId, Time, WorkerId};
use crate::contract::{DataEnd, DataLimits, RoomCommand};
use crate::control::Refusal;
use crate::control::rooms::command::{Effect, OwnedData};
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{self, DataDelivery, DataMessage, DataPayload, ErrorCode, Event, MOST_RECEIVERS, MemberId, TOPIC_BYTES};

/// What a member may still send by its socket, and what it has sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sending {
    /// Messages and bytes; none before the first message.
    left: Option<(Bucket, Bucket)>,
    /// The highest number of a message.
    number: u64,
}

impl Sending {
    /// Takes one message of so many bytes, if as much is left.
    fn take(&mut self, now: Time, bytes: usize, limits: &DataLimits) -> bool {
        let twice = |a_second: u32| (a_second, a_second.saturating_mul(2));
        let (each_message, each_byte) = (twice(limits.messages_per_second), twice(limits.bytes_per_second));
        let (messages, all) = self.left.get_or_insert_with(|| (Bucket::new(each_message.1), Bucket::new(each_byte.1)));
        let open = messages.is_open(now, each_message.0, each_message.1) && all.is_open(now, each_byte.0, each_byte.1);
        if open {
            messages.spend(1);
            all.spend(bytes);
        }
        open
    }
}

impl Room {
    /// Data by a socket.
    pub(in crate::control::rooms) fn send_data(&mut self, seat: Seat, data: OwnedData, now: Time) -> Outcome {
        let OwnedData { topic, to, text, payload, lossy, number } = data;
        let message = DataMessage { topic: &topic, to, text, payload: &payload };
        self.may_send(seat, &message)?;
        let limits = self.rules.data;
        let Some(member) = self.members.get_mut(&seat) else { return Ok(None) };
        if number.is_some_and(|number| number <= member.sending.number) {
            return Ok(None);
        }
        if !member.sending.take(now, payload.len(), &limits) {
            let why = format!("at most {} messages and {} bytes of data a second: slow down", limits.messages_per_second, limits.bytes_per_second);
            return Err(Refusal::new(ErrorCode::RateLimited, why));
        }
        member.sending.number = number.unwrap_or(member.sending.number);
        self.deliver(seat, &message, !lossy);
        Ok(None)
    }

    /// Data that came on a data channel; it is dealt with then, whatever becomes of it.
    pub(in crate::control::rooms) fn pass_on(&mut self, worker: WorkerId, peer: PeerId, message: &[u8], reliable: bool) {
        let seat = self.peers.get(&peer).copied();
        if let Some(seat) = seat {
            let read = DataMessage::read(message).ok_or_else(|| Refusal::new(ErrorCode::Malformed, "not a message"));
            match read.and_then(|message| self.may_send(seat, &message).map(|()| message)) {
                Ok(message) => self.deliver(seat, &message, reliable),
                Err(refusal) => self.effects.push(Effect::DataRefused(refusal.code)),
            }
        }
        // After what came of it: the worker has that in hand when it hands up more. Who is gone may have been the last one there.
        if seat.is_some() || self.on_workers().contains(&worker) {
            self.worker(worker, RoomCommand::DataTaken { messages: 1 });
        }
    }

    /// A member's data channels are open, or are no more.
    pub(in crate::control::rooms) fn data_channel(&mut self, peer: PeerId, end: Option<DataEnd>) {
        let Some(seat) = self.peers.get(&peer).copied() else { return };
        if let Some(connection) = self.members.get_mut(&seat).and_then(|m| m.connection.as_mut()) {
            connection.data = end.is_none();
        }
        let reason = match end {
            Some(DataEnd::TooSlow) => wire::DataEnd::TooSlow,
            Some(DataEnd::Misuse) => wire::DataEnd::Misuse,
            Some(DataEnd::Closed) | None => return,
        };
        self.tell(|s| s == seat, Event::DataClosed { reason });
    }

    /// Data of a program that runs the service.
    pub(in crate::control::rooms) fn send_for(&mut self, from: MemberId, data: &OwnedData) -> Outcome {
        let OwnedData { topic, to, text, payload, lossy, .. } = data;
        let message = DataMessage { topic, to: to.clone(), text: *text, payload };
        self.check_data(&message)?;
        self.deliver_from(from, None, &message, !lossy);
        Ok(None)
    }

    fn may_send(&self, seat: Seat, message: &DataMessage<'_>) -> Result<(), Refusal> {
        if !self.members.get(&seat).is_some_and(|m| m.grants.data) {
            return Err(Refusal::forbidden("your token does not allow to send data"));
        }
        self.check_data(message)
    }

    fn check_data(&self, message: &DataMessage<'_>) -> Result<(), Refusal> {
        let (longest, topic) = (self.rules.data.message_bytes as usize, message.topic);
        if message.payload.len() > longest {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("data has at most {longest} bytes a message")));
        }
        if topic.len() > TOPIC_BYTES || topic.chars().any(char::is_control) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a topic has at most {TOPIC_BYTES} bytes and no control characters")));
        }
        if message.to.len() > MOST_RECEIVERS {
            let why = format!("a message is for at most {MOST_RECEIVERS} members, or for all");
            return Err(Refusal::new(ErrorCode::LimitExceeded, why));
        }
        Ok(())
    }

    /// To each receiver by its data channels, or by its socket.
    fn deliver(&mut self, from: Seat, message: &DataMessage<'_>, reliable: bool) {
        let Some(sender) = self.members.get(&from).map(|m| m.identity.clone()) else { return };
        self.deliver_from(sender, Some(from), message, reliable);
    }

    fn deliver_from(&mut self, sender: MemberId, from: Option<Seat>, message: &DataMessage<'_>, reliable: bool) {
        let mut peers: BTreeMap<WorkerId, Vec<PeerId>> = BTreeMap::new();
        let mut ears = Vec::new();
        for seat in self.receivers(from, &message.to) {
            let Some(member) = self.members.get_mut(&seat) else { continue };
            match &member.connection {
                Some(connection) if connection.data => peers.entry(connection.worker).or_default().push(connection.peer),
                _ => ears.extend(member.ear().map(|socket| (socket, member.next_seq()))),
            }
        }
        if !peers.is_empty() {
            let delivery = DataDelivery { topic: message.topic, from: sender.clone(), text: message.text, payload: message.payload }.write();
            for (worker, to) in peers {
                self.worker(worker, RoomCommand::Data { to, message: delivery.clone(), reliable });
            }
        }
        if !ears.is_empty() {
            let event = Event::Data { from: sender, topic: message.topic.to_owned(), payload: written(message) };
            self.effects.push(Effect::Tell { to: ears, event });
        }
    }

    /// Who gets it: all others, or those of them who are named, each once.
    fn receivers(&self, from: Option<Seat>, to: &[MemberId]) -> Vec<Seat> {
        let mut seats: Vec<Seat> = match to {
            [] => self.members.keys().copied().collect(),
            named => named.iter().filter_map(|identity| self.identities.get(identity).copied()).collect(),
        };
        seats.sort_unstable();
        seats.dedup();
        seats.retain(|seat| Some(*seat) != from);
        seats
    }
}

fn written(message: &DataMessage<'_>) -> DataPayload {
    match std::str::from_utf8(message.payload) {
        Ok(text) if message.text => DataPayload::Text(text.to_owned()),
        _ => DataPayload::Base64(STANDARD.encode(message.payload)),
    }
}
