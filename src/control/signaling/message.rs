//! From text to a request, or to a typed refusal that has the request's id whenever there is one.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::config::LimitSettings;
use crate::control::Refusal;
use crate::wire::{ClientMessage, ErrorCode, PublishLine, REQUEST_TYPES, Request};

/// A message that is none.
#[derive(Debug, PartialEq)]
pub struct Rejected {
    /// The request's id, when it could be read.
    pub id: Option<u32>,
    /// Why.
    pub refusal: Refusal,
    /// Whether it is bigger than any message of its kind may be.
    pub too_large: bool,
}

/// The fields that every request has; other values are skipped, not built. But for one: the longest text of the protocol is built where it
/// is met, and so is gone through once.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(default)]
    sdp: Sdp,
    #[serde(borrow)]
    publish: Option<&'a RawValue>,
}

/// The value of `sdp`, which is text in a good offer.
#[derive(Default)]
enum Sdp {
    #[default]
    Missing,
    Text(String),
    NoText,
}

impl<'de> Deserialize<'de> for Sdp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SdpVisitor)
    }
}

struct SdpVisitor;

impl<'de> Visitor<'de> for SdpVisitor {
    type Value = Sdp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Sdp, E> {
        Ok(Sdp::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Sdp, E> {
        Ok(Sdp::Text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sdp, E> {
        Ok(Sdp::NoText)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sdp, E> {
        Ok(Sdp::NoText)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sdp, E> {
        Ok(Sdp::NoText)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sdp, E> {
        Ok(Sdp::NoText)
    }

    fn visit_unit<E>(self) -> Result<Sdp, E> {
        Ok(Sdp::NoText)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sdp, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Sdp::NoText)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sdp, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Sdp::NoText)
    }
}

/// Reads a message. Total: any text comes to a request or a refusal.
pub fn read(text: &str, limits: &LimitSettings) -> Result<ClientMessage, Rejected> {
    if text.len() > limits.offer_bytes as usize {
        return Err(too_large(None, limits.offer_bytes));
    }
    // Serde would take an array for an object, by position.
    if !text.trim_start().starts_with('{') {
        return Err(rejected(None, ErrorCode::Malformed, "a message is a JSON object".into()));
    }
    let envelope: Envelope<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(e) => return Err(rejected(None, ErrorCode::Malformed, format!("not a JSON object: {}", place(&e)))),
    };
    let id = envelope.id.and_then(|id| id.get().parse::<u32>().ok());
    let kind = envelope.kind.and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
    let Some(kind) = kind else {
        return Err(rejected(id, ErrorCode::Malformed, "a request has a `type`, which is text".into()));
    };
    if !REQUEST_TYPES.contains(&kind.as_str()) {
        return Err(rejected(id, ErrorCode::UnknownMessage, "there is no request of this type in this version of the protocol".into()));
    }
    if id.is_none() {
        return Err(rejected(None, ErrorCode::Malformed, "a request has an `id`, a whole number below 2^32".into()));
    }
    if text.len() > limits.message_bytes as usize && kind != "offer" {
        return Err(too_large(id, limits.message_bytes));
    }
    let request = match id {
        Some(id) if kind == "offer" => {
            let Sdp::Text(sdp) = envelope.sdp else {
                return Err(rejected(Some(id), ErrorCode::Malformed, "not a request of type offer: its `sdp` has to be text".into()));
            };
            let publish = envelope.publish.map_or(Ok(Vec::new()), |publish| serde_json::from_str::<Vec<PublishLine>>(publish.get()));
            publish.map(|publish| ClientMessage { id, request: Request::Offer { sdp, publish } })
        }
        _ => serde_json::from_str(text),
    };
    request.map_err(|e| rejected(id, ErrorCode::Malformed, format!("not a request of type {kind}: {}", shortened(&e.to_string()))))
}

/// The id alone, for a refusal that does not depend on the rest; long messages are not read for it.
pub fn id_of(text: &str) -> Option<u32> {
    const WORTH_READING: usize = 16 * 1024;
    let envelope: Envelope<'_> = (text.len() <= WORTH_READING).then(|| serde_json::from_str(text).ok())??;
    envelope.id?.get().parse().ok()
}

fn rejected(id: Option<u32>, code: ErrorCode, message: String) -> Rejected {
    Rejected { id, refusal: Refusal::new(code, message), too_large: false }
}

fn too_large(id: Option<u32>, bytes: u32) -> Rejected {
    Rejected { too_large: true, ..rejected(id, ErrorCode::LimitExceeded, format!("a message like this has at most {bytes} bytes")) }
}

fn place(e: &serde_json::Error) -> String {
    format!("line {}, column {}", e.line(), e.column())
}

/// What serde says may quote the message.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> (Option<u32>, ErrorCode) {
        let rejected = read(text, &LimitSettings::default()).expect_err("refused");
        (rejected.id, rejected.refusal.code)
    }

    #[test]
    fn a_request_is_read() {
        assert_eq!(read(r#"{"id":7,"type":"ping"}"#, &LimitSettings::default()), Ok(ClientMessage { id: 7, request: Request::Ping {} }));
        assert_eq!(read(r#" {"type":"ping","more":[1],"id":7} "#, &LimitSettings::default()).map(|m| m.id), Ok(7), "unknown fields are left alone");
    }

    #[test]
    fn what_is_no_request_is_malformed_with_its_id_when_there_is_one() {
        for text in ["", "x", "[]", "[1,\"ping\"]", "7", "null", "{", r#"{"id":1,"type":"ping""#, r#"{"id":1,"type":"ping"}x"#] {
            assert_eq!(refused(text), (None, ErrorCode::Malformed), "{text}");
        }
        assert_eq!(refused(r#"{"type":"ping"}"#), (None, ErrorCode::Malformed));
        for id in ["-1", "4294967296", "1.5", "\"1\"", "null", "[1]"] {
            assert_eq!(refused(&format!(r#"{{"id":{id},"type":"ping"}}"#)), (None, ErrorCode::Malformed), "{id}");
        }
        assert_eq!(refused(r#"{"id":3}"#), (Some(3), ErrorCode::Malformed));
        assert_eq!(refused(r#"{"id":3,"type":7}"#), (Some(3), ErrorCode::Malformed));
        assert_eq!(refused(r#"{"id":3,"type":"join","room":7}"#), (Some(3), ErrorCode::Malformed));
        assert_eq!(refused(r#"{"id":3,"type":"publish","mid":"0","source":"telescope"}"#), (Some(3), ErrorCode::Malformed));
    }

    #[test]
    fn an_unknown_type_is_said_to_be_unknown() {
        assert_eq!(refused(r#"{"id":3,"type":"dance"}"#), (Some(3), ErrorCode::UnknownMessage));
        assert_eq!(refused(r#"{"type":"dance"}"#), (None, ErrorCode::UnknownMessage));
    }

    #[test]
    fn an_offer_read_straight_is_the_offer_of_the_protocol() {
        for text in [
            r#"{"id":7,"type":"offer","sdp":"v=0\r\nx","publish":[{"mid":"0","source":"camera"}],"more":{"a":[1]}}"#,
            r#"{"sdp":"","type":"offer","id":7}"#,
        ] {
            let message = serde_json::from_str::<ClientMessage>(text).expect("an offer");
            assert_eq!(read(text, &LimitSettings::default()), Ok(message));
        }
        for text in [r#"{"id":7,"type":"offer"}"#, r#"{"id":7,"type":"offer","sdp":1}"#, r#"{"id":7,"type":"offer","sdp":"","publish":[1]}"#] {
            assert!(serde_json::from_str::<ClientMessage>(text).is_err());
            assert_eq!(refused(text), (Some(7), ErrorCode::Malformed));
        }
    }

    #[test]
    fn deep_nesting_is_malformed_and_costs_no_stack() {
        let deep = format!(r#"{{"id":1,"type":"ping","x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(refused(&deep), (Some(1), ErrorCode::Malformed));
    }

    #[test]
    fn only_an_offer_may_be_long() {
        let long = "x".repeat(70_000);
        let rejected = read(&format!(r#"{{"id":1,"type":"chat","text":"{long}"}}"#), &LimitSettings::default()).expect_err("refused");
        assert_eq!((rejected.id, rejected.refusal.code, rejected.too_large), (Some(1), ErrorCode::LimitExceeded, true));
        assert!(read(&format!(r#"{{"id":1,"type":"offer","sdp":"{long}"}}"#), &LimitSettings::default()).is_ok());
        let huge = read(&"x".repeat(600_000), &LimitSettings::default()).expect_err("refused");
        assert_eq!((huge.id, huge.refusal.code, huge.too_large), (None, ErrorCode::LimitExceeded, true));
    }

    #[test]
    fn the_id_of_a_message_is_found_without_reading_the_rest() {
        assert_eq!(id_of(r#"{"type":"whatever","id":9}"#), Some(9));
        assert_eq!(id_of("{"), None);
    }

    proptest! {
        #[test]
        fn any_text_comes_to_a_request_or_a_refusal(text in ".{0,200}") {
            let _ = read(&text, &LimitSettings::default());
            let _ = id_of(&text);
        }

        #[test]
        fn any_cut_of_a_request_is_refused(cut in 0usize..60) {
            let text = r#"{"id":1,"type":"chat","text":"hello","key":"k","echo":true}"#;
            prop_assume!(cut < text.len());
            prop_assert!(read(&text[..cut], &LimitSettings::default()).is_err());
        }
    }
}
