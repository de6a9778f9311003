//! Messages to clients as text. An event's body is written once for all whom it is told.

use crate::control::Refusal;
use crate::wire::{Event, OkResult, ServerMessage};

/// The answer to a request.
pub fn reply(id: u32, result: &Result<Option<OkResult>, Refusal>) -> String {
    match result {
        Ok(result) => text(&ServerMessage::Ok { id, result: result.clone() }),
        Err(refusal) => error(Some(id), refusal),
    }
}

/// A refusal; without an id when the message was too broken to have one.
pub fn error(id: Option<u32>, refusal: &Refusal) -> String {
    let Refusal { code, message, .. } = refusal;
    text(&ServerMessage::Error { id, code: *code, message: message.clone().into_owned(), retryable: code.retryable() })
}

/// An event without its number.
pub fn event_body(event: &Event) -> String {
    text(event)
}

/// An event with its number.
pub fn event(seq: u64, body: &str) -> String {
    // Longer than any number and what is around it.
    let mut text = String::with_capacity(body.len() + 64);
    text.push_str(r#"{"type":"event","seq":"#);
    text.push_str(&seq.to_string());
    text.push_str(r#","event":"#);
    text.push_str(body);
    text.push('}');
    text
}

/// Types of the protocol have text keys only, so that they can always be written.
fn text(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MemberId;

    #[test]
    fn an_event_put_together_is_the_event_of_the_protocol() {
        let said = Event::MemberAway { member: MemberId("a\"b".into()), away: true };
        let whole = serde_json::from_str::<ServerMessage>(&event(7, &event_body(&said))).expect("a message");
        assert_eq!(whole, ServerMessage::Event { seq: 7, event: said });
    }
}
