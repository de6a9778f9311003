//! Data between members: its form on the socket, and the bytes of a message on a data channel.
//!
//! Both ways a message on a channel begins with a byte of flags ([`TEXT`]), and a byte that says how long the topic is, and the topic
//! (UTF-8). To the server there follow a byte that says how many members it is for (none: for all others) and each of their identities
//! after a byte with its length; from the server one such identity, the sender's. The rest is the payload.

use serde::{Deserialize, Serialize};

use super::values::MemberId;

/// The flag of a payload that is text (UTF-8). The other flags are 0.
pub const TEXT: u8 = 1;
/// Bytes of a topic.
pub const TOPIC_BYTES: usize = 64;
/// Members that one message is for, when it is not for all.
pub const MOST_RECEIVERS: usize = 32;

/// What is sent, on the socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum DataPayload {
    /// Text.
    Text(String),
    /// Bytes, in base64 (RFC 4648 section 4).
    Base64(String),
}

/// Why the server has closed a member's data channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS, schemars::JsonSchema))]
pub enum DataEnd {
    /// The member took too long to take what it was sent: what waited is lost.
    TooSlow,
    /// What came on them was not SCTP as it should be.
    Misuse,
}

/// A message to the server, on a data channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataMessage<'a> {
    /// What it is about: receivers may look at some topics only.
    pub topic: &'a str,
    /// Whom it is for; empty for all others.
    pub to: Vec<MemberId>,
    /// Whether the payload is text.
    pub text: bool,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> DataMessage<'a> {
    /// Reads a message; none when it is not one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (topic, rest) = short(rest)?;
        let (count, mut rest) = rest.split_first()?;
        if flags & !TEXT != 0 || topic.len() > TOPIC_BYTES || usize::from(*count) > MOST_RECEIVERS {
            return None;
        }
        let mut to = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            let (identity, after) = short(rest)?;
            to.push(MemberId(std::str::from_utf8(identity).ok()?.to_owned()));
            rest = after;
        }
        let text = flags & TEXT != 0;
        if text {
            std::str::from_utf8(rest).ok()?;
        }
        Some(Self { topic: std::str::from_utf8(topic).ok()?, to, text, payload: rest })
    }

    /// The message's bytes, as a client writes them. Lengths are those that [`Self::read`] takes.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = head(self.text, self.topic, self.payload.len());
        bytes.push(self.to.len() as u8);
        self.to.iter().for_each(|to| push_short(&mut bytes, &to.0));
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

/// A message from the server, on a data channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataDelivery<'a> {
    /// What it is about.
    pub topic: &'a str,
    /// Who has sent it.
    pub from: MemberId,
    /// Whether the payload is text.
    pub text: bool,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> DataDelivery<'a> {
    /// Reads a message; none when it is not one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (topic, rest) = short(rest)?;
        let (from, payload) = short(rest)?;
        let name = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self { topic: name(topic)?, from: MemberId(name(from)?.to_owned()), text: flags & TEXT != 0, payload })
    }

    /// The message's bytes. Topics and identities are shorter than 256 bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = head(self.text, self.topic, self.payload.len());
        push_short(&mut bytes, &self.from.0);
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

fn head(text: bool, topic: &str, payload: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload + topic.len() + 70);
    bytes.push(if text { TEXT } else { 0 });
    push_short(&mut bytes, topic);
    bytes
}

fn push_short(bytes: &mut Vec<u8>, text: &str) {
    let text = text.as_bytes().get(..text.len().min(255)).unwrap_or_default();
    bytes.push(text.len() as u8);
    bytes.extend_from_slice(text);
}

/// What stands after a byte with its length, and the rest.
fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_as_the_protocol_says() {
        let message = DataMessage { topic: "ab", to: vec![MemberId("x".into()), MemberId("yz".into())], text: true, payload: b"hi" };
        assert_eq!(message.write(), b"\x01\x02ab\x02\x01x\x02yzhi");
        assert_eq!(DataMessage::read(&message.write()), Some(message));
        let delivery = DataDelivery { topic: "ab", from: MemberId("x".into()), text: false, payload: b"\xff" };
        assert_eq!(delivery.write(), b"\x00\x02ab\x01x\xff");
        assert_eq!(DataDelivery::read(&delivery.write()), Some(delivery));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bad in [
            &b""[..],
            b"\x00",
            b"\x00\x00",
            b"\x02\x00\x00payload of an unknown kind",
            b"\x00\x03ab\x00",
            b"\x00\x00\x01",
            b"\x00\x00\x01\x02x",
            b"\x00\x01\xff\x00",
            b"\x00\x00\x01\x01\xff",
            b"\x01\x00\x00\xff no UTF-8",
            b"\x00\x00\x21too many",
        ] {
            assert_eq!(DataMessage::read(bad), None, "{bad:?}");
        }
        let long = [&[0, 65][..], &[b'x'; 65], &[0]].concat();
        assert_eq!(DataMessage::read(&long), None);
        assert_eq!(DataMessage::read(b"\x00\x00\x00").map(|m| m.payload.len()), Some(0), "an empty payload is one");
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_a_message_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(message) = DataMessage::read(&bytes) {
                prop_assert_eq!(message.write(), bytes);
            }
        }
    }
}
