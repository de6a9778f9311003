//! Join tokens: JWT (RFC 7519) signed by the key that `kid` names, with the algorithm of that key and no other.

use std::collections::BTreeMap;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use crate::config::{AuthKeys, KeyAlgorithm, Secret, TokenKey};
use crate::control::Refusal;
use crate::control::rooms::{RoomName, RoomSettings, identity};
use crate::wire::{ErrorCode, Grants, LibraryGrant, MemberId, Source};

/// Seconds that the clocks of the token's maker and of this server may differ.
pub const LEEWAY: u64 = 10;

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// The member's identity: 1–64 letters, digits, `.`, `_`, `-`.
    pub sub: String,
    /// The name to show; without it the client chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds since the Unix epoch: not valid from then on.
    pub exp: u64,
    /// Seconds since the Unix epoch: not valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// What it allows.
    pub grants: TokenGrants,
    /// What the application says of the member: the server does not look into it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The same by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Tracks that the member publishes at most at a time, as far as the room takes as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracks: Option<u8>,
    /// Kilobits a second that the member publishes at most, all its tracks together, as far as the room takes as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_kbps: Option<u32>,
    /// What the room is given, where this token's bearer is the first one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<RoomSettings>,
}

/// What a token allows. What is not mentioned is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenGrants {
    /// The room that it is for. A token that administers the node needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// A usual set of what follows; what is said beside it is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether its bearer may join.
    #[serde(default)]
    pub join: bool,
    /// The sources that it may publish.
    #[serde(default)]
    pub publish: Vec<Source>,
    /// Whether it may receive the others' tracks.
    #[serde(default)]
    pub subscribe: bool,
    /// Whether it may read and write chat.
    #[serde(default)]
    pub chat: bool,
    /// Whether it may send data. Where nothing is said it is as `chat`: tokens were made before there was data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<bool>,
    /// Whether it may kick, mute others and lock the room.
    #[serde(default)]
    pub moderate: bool,
    /// Whether it may have the room recorded.
    #[serde(default)]
    pub record: bool,
    /// What it may do with what is kept of the room. Where nothing is said, whoever may record may manage it, and nobody else sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<LibraryGrant>,
    /// Whether it may change its own metadata and attributes.
    #[serde(default)]
    pub describe: bool,
    /// What it may do by the HTTP API.
    #[serde(default, skip_serializing_if = "AdminGrant::is_none")]
    pub admin: AdminGrant,
}

/// A usual set of grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Joins, publishes everything, moderates, records and manages what is kept.
    Host,
    /// Joins, publishes everything, chats and sends data.
    Member,
    /// Joins, receives and chats.
    Viewer,
}

/// What a token's bearer may do by the HTTP API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminGrant {
    /// Nothing.
    #[default]
    None,
    /// Everything that concerns the token's room.
    Room,
    /// Everything, in all rooms.
    Node,
}

impl AdminGrant {
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl TokenGrants {
    /// What it may do with what is kept of the room.
    pub fn library(&self) -> LibraryGrant {
        let by_role = if self.role == Some(Role::Host) { LibraryGrant::Manage } else { LibraryGrant::None };
        self.library.unwrap_or(if self.record { LibraryGrant::Manage } else { by_role })
    }

    /// Whether its bearer may join: every role may.
    pub fn may_join(&self) -> bool {
        self.join || self.role.is_some()
    }

    /// What its bearer may do in the room.
    pub fn in_room(&self) -> Grants {
        let library = self.library();
        let Self { role, publish, subscribe, chat, data, moderate, record, describe, .. } = self.clone();
        let (host, member) = (role == Some(Role::Host), matches!(role, Some(Role::Host | Role::Member)));
        let chat = chat || role.is_some();
        Grants {
            publish: if member { Source::ALL.to_vec() } else { publish },
            subscribe: subscribe || role.is_some(),
            chat,
            data: data.unwrap_or(if role.is_some() { member } else { chat }),
            moderate: moderate || host,
            record: record || host,
            library,
            describe: describe || member,
        }
    }
}

/// Why a token opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// There is none.
    Missing,
    /// It is not a JWT whose header names an algorithm that is taken (`none` is not).
    NotSigned,
    /// No key has the id that its header names, or it names none.
    UnknownKey,
    /// Its header names another algorithm than that of the key.
    WrongAlgorithm,
    /// It was not signed with that key.
    Signature,
    /// A claim is missing or has a wrong form.
    Claims,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It is for another room.
    WrongRoom,
    /// It does not allow to join.
    NotToJoin,
    /// It does not allow to administer this.
    NotToAdminister,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let (code, why) = match error {
            TokenError::Missing => (ErrorCode::TokenMissing, "this server asks for a token"),
            TokenError::NotSigned => (ErrorCode::TokenInvalid, "the token is not a JWT signed with HS256, EdDSA or RS256"),
            TokenError::UnknownKey => (ErrorCode::TokenInvalid, "the token's header names no key (kid) of this server"),
            TokenError::WrongAlgorithm => (ErrorCode::TokenInvalid, "the token is signed with another algorithm than that of its key"),
            TokenError::Signature => (ErrorCode::TokenInvalid, "the token's signature is wrong"),
            TokenError::Claims => {
                (ErrorCode::TokenInvalid, "the token lacks a claim, or has one of a wrong form: sub, exp and grants.room are needed")
            }
            TokenError::Expired => (ErrorCode::TokenExpired, "the token has expired: ask for a new one"),
            TokenError::NotYet => (ErrorCode::TokenExpired, "the token is not valid yet"),
            TokenError::WrongRoom => (ErrorCode::TokenWrongRoom, "the token is for another room"),
            TokenError::NotToJoin => (ErrorCode::Forbidden, "the token does not allow to join"),
            TokenError::NotToAdminister => (ErrorCode::Forbidden, "the token does not allow to administer this (grants.admin)"),
        };
        Refusal::new(code, why)
    }
}

/// Checks a token against the keys and the room that its bearer wants to join.
///
/// # Errors
/// The first thing that is wrong, in the order of [`TokenError`].
pub fn verify(keys: &AuthKeys, token: Option<&str>, room: &RoomName) -> Result<(MemberId, Claims), TokenError> {
    let (identity, claims) = open(keys, token)?;
    joins(&claims, room)?;
    Ok((identity, claims))
}

/// Whether a token's bearer may join a room.
pub(super) fn joins(claims: &Claims, room: &RoomName) -> Result<(), TokenError> {
    if claims.grants.room != room.as_str() {
        return Err(if claims.grants.room.is_empty() { TokenError::Claims } else { TokenError::WrongRoom });
    }
    if claims.grants.may_join() { Ok(()) } else { Err(TokenError::NotToJoin) }
}

/// Checks a token against the keys and what its bearer wants to administer: a room, or the node.
///
/// # Errors
/// As [`verify`].
pub fn verify_admin(keys: &AuthKeys, token: Option<&str>, room: Option<&RoomName>) -> Result<(MemberId, Claims), TokenError> {
    let (identity, claims) = open(keys, token)?;
    administers(&claims, room)?;
    Ok((identity, claims))
}

/// Whether a token's bearer may administer a room, or the node.
pub(super) fn administers(claims: &Claims, room: Option<&RoomName>) -> Result<(), TokenError> {
    match (claims.grants.admin, room) {
        (AdminGrant::Node, _) => Ok(()),
        (AdminGrant::Room, Some(room)) if claims.grants.room == room.as_str() => Ok(()),
        (AdminGrant::Room, Some(_)) => Err(TokenError::WrongRoom),
        (AdminGrant::Room | AdminGrant::None, _) => Err(TokenError::NotToAdminister),
    }
}

/// Checks that a token is by one of the keys, and valid now.
pub(super) fn open(keys: &AuthKeys, token: Option<&str>) -> Result<(MemberId, Claims), TokenError> {
    let token = token.filter(|t| !t.is_empty()).ok_or(TokenError::Missing)?;
    let header = decode_header(token).map_err(|_| TokenError::NotSigned)?;
    if !matches!(header.alg, Algorithm::HS256 | Algorithm::EdDSA | Algorithm::RS256) {
        return Err(TokenError::NotSigned);
    }
    let key = header.kid.and_then(|kid| keys.get(&kid)).ok_or(TokenError::UnknownKey)?;
    // What a token is checked with follows from the key alone: a public key is never taken for a secret.
    let (algorithm, key) = match key {
        TokenKey::Secret(secret) => (Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes())),
        TokenKey::Public(key) => match key.algorithm {
            KeyAlgorithm::EdDsa => (Algorithm::EdDSA, DecodingKey::from_ed_der(&key.bytes)),
            KeyAlgorithm::Rs256 => (Algorithm::RS256, DecodingKey::from_rsa_der(&key.bytes)),
        },
    };
    if header.alg != algorithm {
        return Err(TokenError::WrongAlgorithm);
    }
    let claims = decode::<Claims>(token, &key, &rules(algorithm)).map_err(|e| reason(e.kind()))?.claims;
    let identity = identity(&claims.sub).ok_or(TokenError::Claims)?;
    Ok((identity, claims))
}

/// Makes a token.
///
/// # Errors
/// Never with claims that can be written as JSON; the text says why.
pub fn sign(kid: &str, secret: &Secret, claims: &Claims) -> Result<String, String> {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).map_err(|e| e.to_string())
}

fn rules(algorithm: Algorithm) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    // Tokens are for this server by their key: an audience says nothing more.
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "sub"]);
    rules
}

fn reason(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYet,
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
        ErrorKind::InvalidToken => TokenError::NotSigned,
        _ => TokenError::Claims,
    }
}

#[cfg(test)]
mod tests;
