//! Names, checked once at the border.

use std::fmt;

use crate::control::Refusal;
use crate::wire::{ErrorCode, MemberId};

/// The longest name of a room, and the longest identity, in characters.
pub const MAX_NAME: usize = 64;

/// A room's name: 1–64 letters, digits, `.`, `_`, `-` (ASCII).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoomName(String);

impl RoomName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        if plain(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refusal::new(ErrorCode::InvalidRoomName, "a room's name has 1 to 64 letters, digits, dots, underscores or hyphens"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks an identity: it follows the rule of rooms' names.
pub fn identity(text: &str) -> Option<MemberId> {
    plain(text).then(|| MemberId(text.to_owned()))
}

/// Checks a name to show: any text of one line, without what would turn the text around it.
pub fn display_name(text: &str, max_bytes: u32) -> Result<String, Refusal> {
    let text = text.trim();
    if text.len() > max_bytes as usize {
        return Err(Refusal::new(ErrorCode::InvalidName, format!("a name to show has at most {max_bytes} bytes")));
    }
    if text.chars().any(|c| c.is_control() || turns_text(c)) {
        return Err(Refusal::new(ErrorCode::InvalidName, "a name to show has no line breaks and no control characters"));
    }
    Ok(text.to_owned())
}

fn plain(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Marks that change the direction of the text after them (Unicode Standard Annex 9): a name could rewrite a page's own words.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rooms_are_short_and_plain() {
        for good in ["a", "Team.Meeting_2-b", &"x".repeat(64)] {
            assert!(RoomName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", "a\0", "../x ", &"x".repeat(65)] {
            assert_eq!(RoomName::new(bad).expect_err("refused").code, ErrorCode::InvalidRoomName, "{bad}");
        }
    }

    #[test]
    fn names_to_show_may_be_of_any_script_but_of_one_line_and_one_direction() {
        assert_eq!(display_name("  李雷 ", 128).as_deref(), Ok("李雷"));
        assert_eq!(display_name("", 128).as_deref(), Ok(""));
        for bad in ["a\nb", "a\u{202e}b", "\u{7}"] {
            assert!(display_name(bad, 128).is_err(), "{bad:?}");
        }
        assert!(display_name(&"x".repeat(129), 128).is_err());
    }
}
