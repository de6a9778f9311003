//! Who may join, and what they may do there: join tokens, or nobody asked (development mode).

mod token;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::AuthKeys;
use crate::control::rooms::{Admission, display_name};
use crate::control::{Refusal, draw};
use crate::wire::{Grants, MemberId};

pub use crate::control::rooms::{RoomName, identity};
pub use crate::wire::Source;
pub use token::{Claims, TokenError, TokenGrants, sign, verify};

/// Decides who may join.
#[derive(Clone, Debug)]
pub struct Access {
    keys: AuthKeys,
    name_bytes: u32,
}

impl Access {
    /// With these keys; with none of them, everybody may do everything.
    pub fn new(keys: AuthKeys, name_bytes: u32) -> Self {
        Self { keys, name_bytes }
    }

    /// Whether everybody may do everything.
    pub fn development(&self) -> bool {
        self.keys.is_empty()
    }

    /// Admits to a room, or says why not.
    ///
    /// # Errors
    /// A bad name, or a token that is missing or does not allow this.
    pub fn admit(&self, room: &str, name: &str, token: Option<&str>) -> Result<Admission, Refusal> {
        let (room, name) = (RoomName::new(room)?, display_name(name, self.name_bytes)?);
        if self.development() {
            let identity = MemberId(format!("guest-{}", draw::hex::<6>()));
            let grants = Grants { publish: Source::ALL.to_vec(), subscribe: true, chat: true, moderate: true };
            return Ok(Admission { room, identity, name, grants });
        }
        let (identity, claims) = verify(&self.keys, token, &room)?;
        let name = match &claims.name {
            Some(name) => display_name(name, self.name_bytes)?,
            None => name,
        };
        let TokenGrants { publish, subscribe, chat, moderate, .. } = claims.grants;
        Ok(Admission { room, identity, name, grants: Grants { publish, subscribe, chat, moderate } })
    }
}

/// Since the Unix epoch, by the wall clock: for tokens and for the time of a chat message.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
