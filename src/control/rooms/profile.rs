//! What the application says of a member: metadata and attributes. The server hands them on and does not look into them.

use std::collections::BTreeMap;

use crate::base::{Bucket, Time};
use crate::control::Refusal;
use crate::wire::ErrorCode;

/// Attributes of a member.
const ATTRIBUTES: usize = 32;
/// Bytes of an attribute's name.
const NAME_BYTES: usize = 64;
/// What a member may change of itself a second, and at once: each is told to everybody.
const CHANGES: (u32, u32) = (2, 10);

/// What the application says of a member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// One text.
    pub metadata: String,
    /// Others by name.
    pub attributes: BTreeMap<String, String>,
}

impl Profile {
    /// Checks it; `most` are the bytes of all of it together.
    ///
    /// # Errors
    /// `LimitExceeded` when it is too long, `Malformed` when it has what no text has.
    pub fn check(&self, most: usize) -> Result<(), Refusal> {
        let attributes = self.attributes.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum::<usize>();
        if self.metadata.len().saturating_add(attributes) > most || self.attributes.len() > ATTRIBUTES {
            let why = format!("metadata and attributes have at most {most} bytes together, and there are at most {ATTRIBUTES} attributes");
            return Err(Refusal::new(ErrorCode::LimitExceeded, why));
        }
        check_text("metadata", &self.metadata, most)?;
        for (name, value) in &self.attributes {
            if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
                let why = format!("an attribute's name has 1 to {NAME_BYTES} bytes and no control characters");
                return Err(Refusal::new(ErrorCode::Malformed, why));
            }
            check_text("an attribute", value, most)?;
        }
        Ok(())
    }

    /// With what is said anew.
    pub(super) fn amended(&self, metadata: Option<String>, attributes: Option<BTreeMap<String, String>>) -> Self {
        Self { metadata: metadata.unwrap_or_else(|| self.metadata.clone()), attributes: attributes.unwrap_or_else(|| self.attributes.clone()) }
    }
}

/// Control characters have six bytes each in JSON: a few texts of them would fill an outbox.
pub(super) fn check_text(what: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.len() > most {
        return Err(Refusal::new(ErrorCode::LimitExceeded, format!("{what} has at most {most} bytes")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Refusal::new(ErrorCode::Malformed, format!("{what} has no control characters but line breaks and tabs")));
    }
    Ok(())
}

/// What a member may still change of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes(Option<Bucket>);

impl Changes {
    /// Takes one, if it is left.
    pub fn take(&mut self, now: Time) -> bool {
        self.0.get_or_insert_with(|| Bucket::new(CHANGES.1)).take(now, CHANGES, 1)
    }
}
