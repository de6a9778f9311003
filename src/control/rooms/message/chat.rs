//! `chat` and `history`.

use std::collections::BTreeSet;

use crate::control::Refusal;
use crate::control::rooms::member::Seat;
use crate::control::rooms::room::{Outcome, Room};
use crate::wire::{ChatMessage, ErrorCode, Event, OkResult};

/// Bytes of a sender's key.
const KEY_BYTES: usize = 64;
/// Messages in one answer to `history`.
const HISTORY: u32 = 200;

impl Room {
    pub(in crate::control::rooms) fn say(&mut self, seat: Seat, text: String, key: Option<String>, echo: bool, at: u64) -> Outcome {
        let Some(member) = self.members.get(&seat).filter(|m| m.grants.chat) else { return Err(no_chat()) };
        self.check_text(&text, key.as_deref())?;
        if let Some((number, at)) = key.as_ref().and_then(|key| self.chat.said(&member.identity, key)) {
            return Ok(Some(OkResult::Said { number, at }));
        }
        let (member, name) = (member.identity.clone(), member.name.clone());
        self.record_chat(&member, &name, &text);
        let message = self.chat.add(ChatMessage { number: 0, member, name, at, text, key });
        let number = message.number;
        let readers: BTreeSet<Seat> = self.members.iter().filter(|(_, m)| m.grants.chat).map(|(seat, _)| *seat).collect();
        self.tell(|s| readers.contains(&s) && (echo || s != seat), Event::Chat { message });
        Ok(Some(OkResult::Said { number, at }))
    }

    pub(in crate::control::rooms) fn history(&self, seat: Seat, before: Option<u64>, limit: u32) -> Outcome {
        if !self.members.get(&seat).is_some_and(|m| m.grants.chat) {
            return Err(no_chat());
        }
        if !(1..=HISTORY).contains(&limit) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("ask for 1 to {HISTORY} messages at a time")));
        }
        Ok(Some(OkResult::History { messages: self.chat.newest(before, limit as usize) }))
    }

    fn check_text(&self, text: &str, key: Option<&str>) -> Result<(), Refusal> {
        let limit = self.rules.chat_bytes;
        if text.is_empty() || text.len() > limit {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a chat text has 1 to {limit} bytes")));
        }
        // Control characters have six bytes each in JSON: a few texts of them would fill an outbox.
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(Refusal::new(ErrorCode::Malformed, "a chat text has no control characters but line breaks and tabs"));
        }
        if key.is_some_and(|k| k.is_empty() || k.len() > KEY_BYTES || k.chars().any(char::is_control)) {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a key has 1 to {KEY_BYTES} bytes and no control characters")));
        }
        Ok(())
    }
}

fn no_chat() -> Refusal {
    Refusal::forbidden("your token does not allow to chat")
}
