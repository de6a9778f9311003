//! A room's chat: numbered, kept up to a limit, each sender's key taken once.

use std::collections::VecDeque;

use crate::wire::{ChatMessage, MemberId};

/// Bytes of texts in one answer: JSON may double them, and an outbox has to hold them.
const ANSWER_BYTES: usize = 256 * 1024;
/// Keys remembered: far more than a sender has unanswered when its socket is lost.
const KEYS: usize = 1_024;

/// The chat of a room.
pub struct ChatLog {
    kept: VecDeque<ChatMessage>,
    keys: VecDeque<Said>,
    limit: usize,
    last: u64,
}

/// Where a message with a key went.
#[derive(Clone)]
struct Said {
    member: MemberId,
    key: String,
    number: u64,
    at: u64,
}

impl ChatLog {
    /// An empty log that keeps `limit` messages.
    pub fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), keys: VecDeque::new(), limit, last: 0 }
    }

    /// The number and time of a message that this member has said with this key before.
    pub fn said(&self, member: &MemberId, key: &str) -> Option<(u64, u64)> {
        self.keys.iter().find(|s| s.key == key && s.member == *member).map(|s| (s.number, s.at))
    }

    /// Adds a message; its number is set here.
    pub fn add(&mut self, mut message: ChatMessage) -> ChatMessage {
        self.last = self.last.saturating_add(1);
        message.number = self.last;
        if let Some(key) = &message.key {
            self.keys.push_back(Said { member: message.member.clone(), key: key.clone(), number: message.number, at: message.at });
        }
        if self.keys.len() > KEYS {
            self.keys.pop_front();
        }
        self.kept.push_back(message.clone());
        if self.kept.len() > self.limit {
            self.kept.pop_front();
        }
        message
    }

    /// The newest messages below `before`, at most `limit` of them, oldest first; fewer when they are long.
    pub fn newest(&self, before: Option<u64>, limit: usize) -> Vec<ChatMessage> {
        let mut bytes = 0usize;
        let below = self.kept.iter().rev().filter(|m| before.is_none_or(|b| m.number < b));
        let mut found: Vec<_> = below
            .take(limit)
            .take_while(|m| {
                bytes = bytes.saturating_add(m.text.len());
                bytes <= ANSWER_BYTES
            })
            .cloned()
            .collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, key: Option<&str>) -> ChatMessage {
        ChatMessage { number: 0, member: MemberId("a".into()), name: "A".into(), at: 7, text: text.into(), key: key.map(Into::into) }
    }

    fn numbers(messages: &[ChatMessage]) -> Vec<u64> {
        messages.iter().map(|m| m.number).collect()
    }

    #[test]
    fn messages_are_numbered_without_gaps_and_the_oldest_go_first() {
        let mut log = ChatLog::new(3);
        for _ in 0..5 {
            log.add(message("x", None));
        }
        assert_eq!(numbers(&log.newest(None, 10)), [3, 4, 5]);
        assert_eq!(numbers(&log.newest(Some(5), 1)), [4]);
        assert_eq!(numbers(&log.newest(Some(3), 10)), [0u64; 0]);
    }

    #[test]
    fn a_key_is_remembered_longer_than_its_message() {
        let mut log = ChatLog::new(1);
        log.add(message("x", Some("k")));
        log.add(message("y", None));
        assert_eq!(log.said(&MemberId("a".into()), "k"), Some((1, 7)));
        assert_eq!(log.said(&MemberId("b".into()), "k"), None);
    }

    #[test]
    fn an_answer_is_bounded_in_bytes() {
        let mut log = ChatLog::new(200);
        for _ in 0..200 {
            log.add(message(&"x".repeat(4096), None));
        }
        let newest = log.newest(None, 200);
        assert_eq!((newest.len(), newest.last().map(|m| m.number)), (64, Some(200)));
    }
}
